//! What a row is.

/// One published number, and how it is reproduced.
#[derive(Debug)]
pub(crate) struct Row {
    /// What the command line knows it by.
    pub(crate) id: &'static str,
    /// Key of the paper; see [`papers`](super::papers).
    pub(crate) paper: &'static str,
    /// Table or section of the paper.
    pub(crate) table: &'static str,
    /// The model, sizes from the data up.
    pub(crate) model: &'static str,
    /// The strategy.
    pub(crate) strategy: &'static str,
    /// Id of the data's protocol.
    pub(crate) data: &'static str,
    /// The config of `helmholtz train`, from the root of the workspace.
    pub(crate) config: &'static str,
    /// Flags beside the config.
    pub(crate) flags: &'static [&'static str],
    /// The row whose weights, of the same seed, it begins with, if it does.
    pub(crate) begins_from: Option<&'static str>,
    /// What was published.
    pub(crate) reported: Reported,
    /// Nats above the published value within which a row is NEAR.
    pub(crate) tolerance: f64,
    /// Why so many.
    pub(crate) why: &'static str,
    /// What the sources leave open and how it was filled.
    pub(crate) choices: &'static str,
    /// What may be the cause where it falls short.
    pub(crate) suspect: &'static str,
    /// Epochs of tier `small`.
    pub(crate) small_epochs: u32,
    /// What tier `paper` costs: minutes of one core for a seed.
    pub(crate) minutes: u32,
}

impl Row {
    /// Whether the model is a bidirectional machine, whose NLL is that of p*.
    pub(crate) fn is_bidirectional(&self) -> bool {
        self.model.starts_with("bihm ")
    }

    /// Whether coupled chains train it.
    pub(crate) fn is_coupled(&self) -> bool {
        self.strategy.contains("coupled")
    }

    /// Whether the published value is by annealed importance sampling, and ours is therefore as well.
    pub(crate) fn is_annealed(&self) -> bool {
        self.reported.measured.contains("annealed")
    }

    /// The published value that the row is judged by, if it is.
    pub(crate) fn judged_by(&self) -> Option<f64> {
        self.reported.nll.filter(|_| self.reported.source.is_judged())
    }
}

/// A published value.
#[derive(Debug)]
pub(crate) struct Reported {
    /// NLL, in nats per example; none where the sources give no number for this row.
    pub(crate) nll: Option<f64>,
    /// How it was measured.
    pub(crate) measured: &'static str,
    /// How sure we are of it.
    pub(crate) source: Source,
}

/// How far a published value can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Read in the paper that reports it.
    Read,
    /// Read in a paper whose table quotes it.
    Quoted(&'static str),
    /// Read in the paper, and not the quantity that is measured here.
    Other(&'static str),
    /// Known from a summary, or in versions that disagree.
    SecondHand(&'static str),
    /// Recalled, not verified.
    Recalled,
    /// There is no published number.
    None,
}

impl Source {
    /// A word for tables.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Source::Read => "read",
            Source::Quoted(_) => "quoted",
            Source::Other(_) => "other quantity",
            Source::SecondHand(_) => "second-hand",
            Source::Recalled => "recalled",
            Source::None => "none",
        }
    }

    /// Where it was read, or what is wrong with it.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Source::Quoted(note) | Source::Other(note) | Source::SecondHand(note) => note,
            Source::Read => "in the paper itself",
            Source::Recalled => "not verified",
            Source::None => "",
        }
    }

    /// Whether a row is judged by it: a number that was read, in the paper or where a paper quotes it.
    pub(crate) fn is_judged(self) -> bool {
        matches!(self, Source::Read | Source::Quoted(_))
    }
}
