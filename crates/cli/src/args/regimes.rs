//! Flags of `helmholtz regimes`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::model::ModelArgs;

/// `helmholtz regimes`.
#[derive(Debug, Subcommand)]
pub enum RegimesCommand {
    /// Compare chains of a trained energy, which begin at noise, with the data after more and more sweeps
    Equilibrium(EquilibriumArgs),
    /// Train a small energy, and show its exact divergence from the data against the exact autocorrelation time of its chains
    Stages(StagesArgs),
    /// Train an energy together with the choice of its edges, by network connectivity gradients
    Connectivity(ConnectivityArgs),
}

/// `helmholtz regimes equilibrium`.
#[derive(Debug, ClapArgs)]
pub struct EquilibriumArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of sweeps of each chain [default: 100 times those of an update in training, or 1000]
    #[arg(long, value_name = "T")]
    pub sweeps: Option<i64>,
    /// Number of chains [default: 1000]
    #[arg(long, value_name = "N")]
    pub chains: Option<i64>,
    /// Seed of the chains
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Split that chains are compared with: train, valid or test
    #[arg(long, default_value = "train")]
    pub split: String,
    /// Figure to write; the numbers go to a .json beside it [default: equilibrium.svg in the run folder]
    #[arg(long, value_name = "F.svg")]
    pub out: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// What is trained, for the commands that train.
#[derive(Debug, ClapArgs)]
pub struct TrainedHereArgs {
    /// Config file; flags override it [default: a built-in config that needs no files]
    pub config: Option<PathBuf>,
    /// Data set; `helmholtz data list` lists them [default: the config's]
    #[arg(long, value_name = "ID")]
    pub dataset: Option<String>,
    /// Number of hidden units [default: the config's]
    #[arg(long)]
    pub hidden: Option<i64>,
    /// Strategy whose gradient is followed; `helmholtz models` lists them [default: the config's]
    #[arg(long)]
    pub strategy: Option<String>,
    /// Number of passes over the training rows [default: the config's]
    #[arg(long, conflicts_with = "steps")]
    pub epochs: Option<i64>,
    /// Number of training steps, instead of --epochs [default: the config's]
    #[arg(long)]
    pub steps: Option<i64>,
    /// Number of rows per training step [default: the config's]
    #[arg(long)]
    pub batch: Option<i64>,
    /// Learning rate [default: the config's]
    #[arg(long)]
    pub lr: Option<f64>,
    /// Seed of all random draws [default: the config's]
    #[arg(long)]
    pub seed: Option<i64>,
    /// Set any key of the config, as in --set strategy.sweeps=5
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Device to compute on; `helmholtz devices` lists them [default: the config's]
    #[arg(long)]
    pub device: Option<String>,
    /// Number of CPU threads [default: one per core]
    #[arg(long)]
    pub threads: Option<i64>,
    /// Folder with the data files [default: that of the config, or $HELMHOLTZ_DATA]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `helmholtz regimes stages`.
#[derive(Debug, ClapArgs)]
pub struct StagesArgs {
    /// What is trained.
    #[command(flatten)]
    pub training: TrainedHereArgs,
    /// Figure to write; the numbers go to a .json beside it
    #[arg(long, value_name = "F.svg", default_value = "stages.svg")]
    pub out: PathBuf,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz regimes connectivity`.
#[derive(Debug, ClapArgs)]
pub struct ConnectivityArgs {
    /// What is trained.
    #[command(flatten)]
    pub training: TrainedHereArgs,
    /// Probability of each edge at the start
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    pub share: f64,
    /// Split that is scored, unless the exact distribution of the data is known: train, valid or test
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Number of temperatures of the annealing that estimates log Z where it cannot be summed
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub temperatures: i64,
    /// Figure to write; the numbers go to a .json beside it
    #[arg(long, value_name = "F.svg", default_value = "connectivity.svg")]
    pub out: PathBuf,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}
