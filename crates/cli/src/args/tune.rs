//! Flags of `helmholtz tune`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// `helmholtz tune`.
#[derive(Debug, ClapArgs)]
pub struct TuneArgs {
    /// Config file to improve; its `[tune]` table states the settings to search
    /// [default: learning rate, schedule, averaging and L1]
    #[arg(value_name = "CONFIG.toml")]
    pub config: PathBuf,
    /// Minutes to search; as many rounds of nine configurations as fit [default: one round]
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,
    /// Number of training steps of the longest runs [default: the config's, or as many as one round in --minutes allows]
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Seed of the configurations that are drawn; training has the config's seed [default: 0]
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Set any key of the config, as in --set data.id=lines/3x3
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder for the runs, tune.json, tune.svg and the winner, best.toml [default: the next free runs/tune-N]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the search in --out: finished runs are kept
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Device to compute on; `helmholtz devices` lists them [default: the config's]
    #[arg(long)]
    pub device: Option<String>,
    /// Folder with the data files [default: $HELMHOLTZ_DATA, or helmholtz in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Number of CPU threads [default: one per core]
    #[arg(long)]
    pub threads: Option<i64>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}
