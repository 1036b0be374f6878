//! Flags of the commands that score a trained model.

use std::path::PathBuf;

use clap::Args as ClapArgs;

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
    /// Importance samples per row, K; with --error those that every row begins with [default: 1000]
    #[arg(long, value_name = "K")]
    pub samples: Option<i64>,
    /// More samples, until the error and the bias of the mean are at most E nats
    #[arg(long, value_name = "E")]
    pub error: Option<f64>,
    /// Most samples of a row with --error
    #[arg(long, value_name = "K", default_value_t = 100_000, requires = "error")]
    pub max_samples: i64,
    /// Draw a share A of the samples from laws that miss no state, as in 0.1: of latent bits half from the prior and
    /// half uniformly, of a vae from the prior; unbiased for p(x) [default: 0]
    #[arg(long, value_name = "A")]
    pub defence: Option<f64>,
    /// How the samples are checked: auto, sampling (which enumerates no row) or off
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub check: Checking,
    /// Of a model read as bihm: the error of 2 log Z that is asked for, nats [default: 0.01]
    #[arg(long, value_name = "E")]
    pub z_error: Option<f64>,
    /// Of a model read as bihm: the most draws for 2 log Z [default: 1000000]
    #[arg(long, value_name = "N")]
    pub z_samples: Option<i64>,
    /// is (importance sampling), exact (enumeration), or of a vae ais (annealed importance sampling)
    #[arg(long, default_value = "is")]
    pub method: String,
    /// Same as --method exact
    #[arg(long, conflicts_with = "method")]
    pub exact: bool,
    /// Annealing.
    #[command(flatten)]
    pub annealing: AnnealingArgs,
    /// Read the weights as a model of this kind: bihm, or the kind of the layers
    #[arg(long = "as", value_name = "MODEL")]
    pub as_model: Option<String>,
    /// Score a pseudo-random subset of N rows, fixed by the data set alone
    #[arg(long, value_name = "N")]
    pub limit: Option<i64>,
    /// (row, sample) pairs in flight: bounds the memory
    #[arg(long, value_name = "B", default_value_t = 2000)]
    pub batch_rows: i64,
    /// Seed of the importance samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Only part I of N of the samples, or with --method ais of the rows, into the file of --out
    #[arg(long, value_name = "I/N", requires = "out", conflicts_with_all = ["error", "per_example", "exact"])]
    pub shard: Option<Shard>,
    /// With --shard: the file of the part, which `helmholtz merge` reads
    #[arg(long, value_name = "F.safetensors", requires = "shard")]
    pub out: Option<PathBuf>,
    /// Write log p of each row; of a model read as bihm log p*
    #[arg(long, value_name = "F.npy")]
    pub per_example: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz merge`.
#[derive(Debug, ClapArgs)]
pub struct MergeArgs {
    /// The files of all parts, in any order
    #[arg(required = true, value_name = "F.safetensors")]
    pub files: Vec<PathBuf>,
    /// Write log p of each row; of a model read as bihm log p*
    #[arg(long, value_name = "F.npy")]
    pub per_example: Option<PathBuf>,
    /// One JSON object on standard output, as of `evaluate`
    #[arg(long)]
    pub json: bool,
}

/// Annealed importance sampling.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct AnnealingArgs {
    /// With --method ais: chains of each row [default: 16]
    #[arg(long, value_name = "C")]
    pub chains: Option<i64>,
    /// With --method ais: temperatures between q and the posterior [default: 1000]
    #[arg(long, value_name = "T")]
    pub temperatures: Option<i64>,
    /// With --method ais: leapfrog steps of each move [default: 10]
    #[arg(long, value_name = "N")]
    pub leapfrog: Option<i64>,
}

/// How much an evaluation by importance samples checks itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_check)]
pub enum Checking {
    /// With enumeration of some rows where latent states are few.
    #[default]
    Auto,
    /// Without enumeration.
    Sampling,
    /// Not at all.
    Off,
}

fn unknown_check(_: &str) -> String {
    "it is auto, sampling (which enumerates no row) or off".to_string()
}
