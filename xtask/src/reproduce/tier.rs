//! How much of a row is run.

use clap::ValueEnum;

/// How much of a row is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Tier {
    /// Seconds: two epochs of a small model on a few random rows of the same width, to test the plumbing.
    Smoke,
    /// Minutes on two cores: the row's data and model for a few epochs.
    Small,
    /// The published protocol, or the nearest that its sources allow.
    Paper,
}
