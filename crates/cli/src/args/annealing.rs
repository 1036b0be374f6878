//! Flags of annealed importance sampling.

use clap::Args as ClapArgs;
use serde::{Deserialize, Serialize};

/// Annealed importance sampling.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct AnnealingArgs {
    /// With --method ais: number of chains per row [default: 16]; for an energy, of chains for log Z [default: 100], and
    /// with raise of each row [default: 10]; with --error, the number that log Z starts with
    #[arg(long, value_name = "C")]
    pub chains: Option<i64>,
    /// With --method ais: number of temperatures between q and the posterior [default: 1000]; for an energy in equal
    /// steps [default: the 14500 of Salakhutdinov and Murray 2008]; with --error, the number to start with [default: 1000]
    #[arg(long, value_name = "T")]
    pub temperatures: Option<i64>,
    /// For an energy with --error: maximum number of chains for log Z [default: 10000]
    #[arg(long, value_name = "C", requires = "error")]
    pub max_chains: Option<i64>,
    /// For an energy with --error: maximum number of temperatures [default: 100000]
    #[arg(long, value_name = "T", requires = "error")]
    pub max_temperatures: Option<i64>,
    /// With --method ais: number of leapfrog steps per move [default: 10]
    #[arg(long, value_name = "N")]
    pub leapfrog: Option<i64>,
}

/// The law that the annealing of an energy begins with.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    strum::EnumString,
    strum::IntoStaticStr,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_base)]
#[serde(rename_all = "lowercase")]
pub enum BaseWord {
    /// Independent units with the means of the training rows.
    #[default]
    Data,
    /// Fair coins.
    Uniform,
}

impl BaseWord {
    /// The word.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

fn unknown_base(_: &str) -> String {
    "expected data or uniform".to_string()
}
