//! Flags of the commands that score a trained model.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::annealing::{AnnealingArgs, BaseWord};
use super::model::ModelArgs;
use crate::commands::shard::Shard;

/// `helmholtz evaluate`.
#[derive(Debug, ClapArgs)]
pub struct EvaluateArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Split: train, valid or test
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Number of importance samples per row, K; with --error, the number each row starts with [default: 1000]
    #[arg(long, value_name = "K")]
    pub samples: Option<i64>,
    /// Add samples until the error and the bias of the mean are at most E nats; with --method ais or raise of an energy,
    /// add temperatures and chains until those of log Z are
    #[arg(long, value_name = "E")]
    pub error: Option<f64>,
    /// Maximum number of samples per row with --error [default: 100000]
    #[arg(long, value_name = "K", requires = "error")]
    pub max_samples: Option<i64>,
    /// Draw a share A of the samples, such as 0.1, from distributions that miss no state: for latent bits half from the
    /// prior and half uniformly, for a vae all from the prior; stays unbiased for p(x) [default: 0]
    #[arg(long, value_name = "A")]
    pub defence: Option<f64>,
    /// How to check the samples: auto, sampling (enumerates no row) or off
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub check: Checking,
    /// For a model read as bihm: target error of 2 log Z in nats [default: 0.01]
    #[arg(long, value_name = "E")]
    pub z_error: Option<f64>,
    /// For a model read as bihm: maximum number of draws for 2 log Z [default: 1000000]
    #[arg(long, value_name = "N")]
    pub z_samples: Option<i64>,
    /// Method: is (importance sampling), exact (enumeration), for a vae or an energy ais (annealed importance sampling),
    /// or for an energy raise (ais and reverse annealing, on 100 rows unless --limit says how many)
    #[arg(long, default_value = "is")]
    pub method: String,
    /// Same as --method exact
    #[arg(long, conflicts_with = "method")]
    pub exact: bool,
    /// Annealing.
    #[command(flatten)]
    pub annealing: AnnealingArgs,
    /// For an energy, what annealing begins with: data (independent units with the means of the data) or uniform (fair
    /// coins, which can miss much mass) [default: data]
    #[arg(long)]
    pub base: Option<BaseWord>,
    /// Read the weights as this model: bihm, or the kind of the layers [default: the trained model]
    #[arg(long = "as", value_name = "MODEL")]
    pub as_model: Option<String>,
    /// Score N rows only: a pseudo-random subset that depends only on the data set [default: all rows]
    #[arg(long, value_name = "N")]
    pub limit: Option<i64>,
    /// Number of (row, sample) pairs at a time; bounds the memory
    #[arg(long, value_name = "B", default_value_t = 2000)]
    pub batch_rows: i64,
    /// Seed of the importance samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Score only part I of N of the samples (with --method ais of the rows, for an energy of chains and rows) into the
    /// file of --out
    #[arg(long, value_name = "I/N", requires = "out", conflicts_with_all = ["error", "per_example", "exact"])]
    pub shard: Option<Shard>,
    /// With --shard: file to write the part to; `helmholtz merge` reads it
    #[arg(long, value_name = "F.safetensors", requires = "shard")]
    pub out: Option<PathBuf>,
    /// Write log p of each row to this file; log p* for a model read as bihm
    #[arg(long, value_name = "F.npy")]
    pub per_example: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz merge`.
#[derive(Debug, ClapArgs)]
pub struct MergeArgs {
    /// Files of all parts, in any order
    #[arg(required = true, value_name = "F.safetensors")]
    pub files: Vec<PathBuf>,
    /// Write log p of each row to this file; log p* for a model read as bihm
    #[arg(long, value_name = "F.npy")]
    pub per_example: Option<PathBuf>,
    /// Print one JSON object on standard output, as `evaluate` does
    #[arg(long)]
    pub json: bool,
}

/// How thoroughly an evaluation by importance sampling checks itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_check)]
pub enum Checking {
    /// Also enumerates some rows if there are few latent states.
    #[default]
    Auto,
    /// Enumerates no row.
    Sampling,
    /// Checks nothing.
    Off,
}

fn unknown_check(_: &str) -> String {
    "expected auto, sampling (enumerates no row) or off".to_string()
}
