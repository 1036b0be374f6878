//! What a row is.

use serde::Deserialize;

/// One published number, and how it is reproduced.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The file that it was read from, from the root of the workspace.
    #[serde(skip)]
    pub(crate) file: &'static str,
    /// What the command line knows it by.
    pub(crate) id: String,
    /// Key of the paper.
    pub(crate) paper: String,
    /// Table or section of the paper.
    pub(crate) table: String,
    /// The model, sizes from the data up, as its config makes it: see [`Recipe`](super::recipe::Recipe).
    pub(crate) model: String,
    /// The strategy, likewise.
    pub(crate) strategy: String,
    /// Id of the data's protocol.
    pub(crate) data: String,
    /// The config of `helmholtz train`, from the root of the workspace; that of the row's id if absent.
    pub(crate) config: String,
    /// Flags beside the config.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    /// The row whose weights, of the same seed, it begins with, if it does.
    pub(crate) begins_from: Option<String>,
    /// How its test rows are scored.
    #[serde(default)]
    pub(crate) score: Scoring,
    /// The published NLL, in nats per example; absent where the sources give no number for this row.
    pub(crate) reported: Option<f64>,
    /// How that was measured.
    #[serde(default)]
    pub(crate) measured: String,
    /// How sure we are of it.
    #[serde(default)]
    pub(crate) source: Source,
    /// Nats above the published value within which a row is NEAR.
    pub(crate) tolerance: f64,
    /// Why so many.
    pub(crate) why: String,
    /// What the sources leave open and how it was filled.
    pub(crate) choices: String,
    /// What may be the cause where it falls short.
    pub(crate) suspect: String,
    /// Epochs of tier `small`.
    pub(crate) small_epochs: u32,
    /// What tier `paper` costs: minutes of one core for a seed.
    pub(crate) minutes: u32,
}

impl Row {
    /// The published value that the row is judged by, if it is.
    pub(crate) fn judged_by(&self) -> Option<f64> {
        self.reported.filter(|_| self.source.is_judged())
    }

    /// Where it stands, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}, row `{}`", self.file, self.id)
    }
}

/// How test rows are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scoring {
    /// By importance samples.
    #[default]
    Importance,
    /// By importance samples, and some of the rows by annealed importance sampling, as the published value was.
    Annealed,
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
    /// Read in the paper, and not the quantity that is measured here.
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

    /// Whether a row is judged by it: a number that was read, in the paper or where a paper quotes it.
    fn is_judged(&self) -> bool {
        matches!(self, Source::Read | Source::Quoted(_))
    }
}
