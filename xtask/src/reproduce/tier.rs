//! How much of a row is run.

use clap::ValueEnum;

/// How much of a row is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// Seconds: two epochs of a small model on a handful of random rows of the same width, to try the plumbing.
    Smoke,
    /// Minutes on two cores: the row's data and model for a few epochs.
    Small,
    /// The published protocol, or the nearest that its sources allow.
    Paper,
}

impl Tier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tier::Smoke => "smoke",
            Tier::Small => "small",
            Tier::Paper => "paper",
        }
    }
}
