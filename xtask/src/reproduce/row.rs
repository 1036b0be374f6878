//! A row: a published number to reproduce.

use serde::Deserialize;

/// One published number, and how it is reproduced.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The file that it was read from, relative to the root of the workspace.
    #[serde(skip)]
    pub(crate) file: &'static str,
    /// Its name on the command line.
    pub(crate) id: String,
    /// Key of the paper.
    pub(crate) paper: String,
    /// Table or section of the paper.
    pub(crate) table: String,
    /// The model of its config in words, with sizes from the data up: see [`Recipe`](super::recipe::Recipe).
    pub(crate) model: String,
    /// The strategy of its config in words.
    pub(crate) strategy: String,
    /// Id of the data's protocol.
    pub(crate) data: String,
    /// The config for `helmholtz train`, relative to the root of the workspace; by default that of the row's id.
    pub(crate) config: String,
    /// Flags in addition to the config.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    /// The row whose weights, of the same seed, it begins with, if any.
    pub(crate) begins_from: Option<String>,
    /// How its test rows are scored.
    #[serde(default)]
    pub(crate) score: Scoring,
    /// Whether the weights of the last epoch are scored, and not those of the best on validation.
    #[serde(default)]
    pub(crate) last_epoch: bool,
    /// The published NLL, in nats per example; missing if the sources give no number for this row.
    pub(crate) reported: Option<f64>,
    /// How that was measured.
    #[serde(default)]
    pub(crate) measured: String,
    /// The model that it is the value of, if that has another name than the row's.
    pub(crate) compared_with: Option<String>,
    /// Other published values to know, in words.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// Settings of `[optimizer]` that the paper does not use. A verdict names those that the config uses.
    #[serde(default)]
    pub(crate) beyond: Vec<String>,
    /// How sure we are of it.
    #[serde(default)]
    pub(crate) source: Source,
    /// Nats above the published value within which a row is NEAR.
    pub(crate) tolerance: f64,
    /// Why this tolerance.
    pub(crate) why: String,
    /// What the sources leave open, and what was chosen here.
    pub(crate) choices: String,
    /// The suspected cause if the row is SHORT.
    pub(crate) suspect: String,
    /// Epochs of tier `small`.
    pub(crate) small_epochs: u32,
    /// The cost of tier `paper`: minutes of one core per seed.
    pub(crate) minutes: u32,
    /// Whether the README shows it.
    #[serde(default)]
    pub(crate) in_readme: bool,
}

impl Row {
    /// The published value that the row is judged by, if any.
    pub(crate) fn judged_by(&self) -> Option<f64> {
        self.reported.filter(|_| self.source.is_judged())
    }

    /// Number of seeds at tier `paper`, unless the command line says otherwise.
    pub(crate) fn seeds(&self) -> u64 {
        if self.minutes < 20 { 3 } else { 1 }
    }

    /// Its file and its id, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}, row `{}`", self.file, self.id)
    }
}

/// How test rows are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scoring {
    /// By importance sampling.
    #[default]
    Importance,
    /// By importance sampling, and some of the rows also by annealed importance sampling, like the published value.
    Annealed,
    /// By the density of a model that is given by an energy, whose partition function is annealed once for all rows. Some
    /// of the rows are also annealed backwards.
    Partition,
}

/// How far a published value can be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Source {
    /// Read in the paper that reports it.
    Read,
    /// Read in a paper whose table quotes it.
    Quoted(String),
    /// Read in the paper, but not the quantity that is measured here.
    #[strum(serialize = "other quantity")]
    OtherQuantity(String),
    /// Known from a summary, or in versions that disagree.
    SecondHand(String),
    /// Recalled, not verified.
    Recalled,
    /// There is no published number.
    #[default]
    None,
}

impl Source {
    /// A word for tables.
    pub(crate) fn tag(&self) -> &'static str {
        self.into()
    }

    /// Where it was read, or what is wrong with it.
    pub(crate) fn note(&self) -> &str {
        match self {
            Source::Quoted(note) | Source::OtherQuantity(note) | Source::SecondHand(note) => note,
            Source::Read => "in the paper itself",
            Source::Recalled => "recalled, not verified",
            Source::None => "",
        }
    }

    /// Whether a row is judged by it: only by a number that was read in the paper, or in a paper that quotes it.
    fn is_judged(&self) -> bool {
        matches!(self, Source::Read | Source::Quoted(_))
    }
}
