//! Flags that name a trained model.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// A trained model: a run folder, or weights with a config.
#[derive(Clone, Debug, ClapArgs)]
pub struct ModelArgs {
    /// Run folder
    #[arg(required_unless_present = "weights", conflicts_with = "weights")]
    pub run: Option<PathBuf>,
    /// Weight file, instead of a run folder
    #[arg(long, requires = "config", value_name = "F.safetensors")]
    pub weights: Option<PathBuf>,
    /// Config that the weights of --weights were trained with
    #[arg(long, requires = "weights", value_name = "C.toml")]
    pub config: Option<PathBuf>,
    /// Use the weights of this epoch of the run [default: the best by validation score]
    #[arg(long, value_name = "N", conflicts_with = "weights")]
    pub epoch: Option<i64>,
    /// Device to compute on [default: that of the run or config]
    #[arg(long)]
    pub device: Option<String>,
    /// Number of CPU threads [default: one per core]
    #[arg(long)]
    pub threads: Option<i64>,
    /// Folder with the data files [default: that of the run or config, or $HELMHOLTZ_DATA]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
