//! Flags that name a trained model.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// A trained model: a run folder, or weights with a config.
#[derive(Debug, ClapArgs)]
pub struct ModelArgs {
    /// The run folder
    #[arg(required_unless_present = "weights", conflicts_with = "weights")]
    pub run: Option<PathBuf>,
    /// Weights instead of a run folder
    #[arg(long, requires = "config", value_name = "F.safetensors")]
    pub weights: Option<PathBuf>,
    /// The config that goes with --weights
    #[arg(long, requires = "weights", value_name = "C.toml")]
    pub config: Option<PathBuf>,
    /// Take the weights of this epoch of the run [default: the best by validation score]
    #[arg(long, value_name = "N", conflicts_with = "weights")]
    pub epoch: Option<i64>,
    /// Device to compute on
    #[arg(long)]
    pub device: Option<String>,
    /// Threads of the processor
    #[arg(long)]
    pub threads: Option<i64>,
    /// Where data files lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
