//! The commands and their flags.

mod annealing;
mod evaluate;
mod guide;
mod model;
mod numbers;
mod pictures;
mod regimes;
mod tune;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::registry::registry;

pub use annealing::{AnnealingArgs, BaseWord};
pub use evaluate::{Checking, EvaluateArgs, MergeArgs};
pub use model::ModelArgs;
pub use numbers::Layers;
pub use pictures::{
    ChainArgs, ClassifyArgs, EncodeArgs, FiltersArgs, InpaintArgs, ReconstructArgs, SampleArgs, Sampler,
    UnitOrder,
};
pub use regimes::{ConnectivityArgs, EquilibriumArgs, RegimesCommand, StagesArgs, TrainedHereArgs};
pub use tune::TuneArgs;

/// Train and compare deep generative models with latent variables.
///
/// Without a command, it compares training strategies on built-in data, by exact gradients and exact likelihoods, in
/// a minute or two.
#[derive(Debug, Parser)]
#[command(name = "helmholtz", version, disable_help_subcommand = true)]
pub struct Args {
    /// The command to run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// Parses the command and its flags like [`Parser::parse_from`], but flags also take negative numbers.
    ///
    /// Exits with a message if the words make no sense or ask for help.
    pub fn of_words(words: impl IntoIterator<Item = OsString>) -> Self {
        Args::try_of_words(words).unwrap_or_else(|error| error.exit())
    }

    /// Like [`Args::of_words`], but returns the message as an error.
    ///
    /// # Errors
    /// If the words make no sense or ask for help.
    pub fn try_of_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Args::described();
        let matches = command.try_get_matches_from_mut(words)?;
        Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// The program with its commands and flags, and the names that the registry knows in their help.
    pub fn described() -> clap::Command {
        guide::with_guide(numbers::with_negative(Args::command()))
            .mut_subcommand("train", |train| {
                let listed = |what: &str, names: Vec<&str>| {
                    format!("{what}: {} (see `helmholtz models`)", names.join(", "))
                };
                let (model, strategy) = (
                    listed("Model, by default the first of these", registry().model_names()),
                    listed(
                        "Training strategy, by default the model's usual one",
                        registry().strategy_names(),
                    ),
                );
                train.mut_arg("model", |arg| arg.help(model)).mut_arg("strategy", |arg| arg.help(strategy))
            })
            .mut_subcommand("regimes", |regimes| {
                let newest = "Use the weights of this epoch of the run [default: the newest that was saved]";
                regimes.mut_subcommand("equilibrium", |own| own.mut_arg("epoch", |arg| arg.help(newest)))
            })
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one model with one strategy and write a run folder
    Train(Box<TrainArgs>),
    /// Score a trained model by its likelihood on a data split
    Evaluate(EvaluateArgs),
    /// Merge the parts of an evaluation that `evaluate --shard` wrote
    Merge(MergeArgs),
    /// Compare strategies by a plan file, or on built-in data by exact gradients and likelihoods
    Compare(CompareArgs),
    /// Search for better settings of a config by the validation split alone, and write the best as a config
    Tune(TuneArgs),
    /// Show trained runs side by side on one page: results, curves, samples and the settings that differ
    Report(ReportArgs),
    /// Draw samples from a trained model, as a picture or an array
    Sample(SampleArgs),
    /// Fill in hidden parts of pictures with a bidirectional machine
    Inpaint(InpaintArgs),
    /// Write the recognition means of a split, or a mixture's component probabilities, as an array
    Encode(EncodeArgs),
    /// Write the class probabilities of rows, and report how many labels they miss
    Classify(ClassifyArgs),
    /// Show pictures above what the model decodes from their recognition means
    Reconstruct(ReconstructArgs),
    /// Show the connections of each hidden unit to the pixels as a picture, each on a scale of its own.
    ///
    /// Grey is 0, and white and black are plus and minus the largest absolute value of the unit's connections.
    Filters(FiltersArgs),
    /// Show how an energy and its chains behave in training, as a figure with its numbers
    Regimes {
        /// The command to run.
        #[command(subcommand)]
        command: RegimesCommand,
    },
    /// Write a model's weights to a safetensors file (names: docs/reference/weights.md)
    Export(ExportArgs),
    /// List, check, download and show the data sets
    Data {
        /// The command to run.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// List the models, the strategies that train each, and what each can do
    Models(ModelsArgs),
    /// List the backends that this binary was built with and the devices found
    Devices {
        /// Print one JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Compare every layer, strategy, sampler and evaluator on a device with the CPU; exit 1 beyond tolerance
    Doctor(DoctorArgs),
    /// Lend devices of this machine to others, which use them by --device remote:HOST:PORT
    Serve(ServeArgs),
}

/// `helmholtz serve`.
#[derive(Debug, ClapArgs)]
pub struct ServeArgs {
    /// Devices to lend, such as cuda:0,cuda:1
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Address to listen on; any but 127.0.0.1 needs a token in $HELMHOLTZ_TOKEN
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub listen: String,
    /// Number of CPU threads [default: one per core]
    #[arg(long)]
    pub threads: Option<i64>,
}

/// `helmholtz models`.
#[derive(Debug, ClapArgs)]
pub struct ModelsArgs {
    /// Show only this model, with the keys of its config
    pub kind: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// Device to check; `helmholtz devices` lists them [default: flex]
    #[arg(long)]
    pub device: Option<String>,
    /// Number of CPU threads [default: one per core]
    #[arg(long)]
    pub threads: Option<i64>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz train`.
#[derive(Debug, Default, ClapArgs)]
pub struct TrainArgs {
    /// Config file; flags override it
    pub config: Option<PathBuf>,
    /// Model; `helmholtz models` lists them
    #[arg(long)]
    pub model: Option<String>,
    /// Latent sizes from the data up, such as 200,200; '' for no latents [default: 200; 20 for vae]
    #[arg(long)]
    pub layers: Option<Layers>,
    /// Training strategy; `helmholtz models` lists them
    #[arg(long)]
    pub strategy: Option<String>,
    /// Number of samples per observation, K [default: depends on the strategy]
    #[arg(long, value_name = "K")]
    pub samples: Option<i64>,
    /// Kernel of the chains of the strategy coupled: disir or isir [default: disir]
    #[arg(long)]
    pub kernel: Option<String>,
    /// Data set; `helmholtz data list` lists them [default: bars/5x5]
    #[arg(long, value_name = "ID")]
    pub dataset: Option<String>,
    /// Number of passes over the training rows [default: 30]
    #[arg(long, conflicts_with = "steps")]
    pub epochs: Option<i64>,
    /// Number of training steps, instead of --epochs; may end in the middle of a pass
    #[arg(long)]
    pub steps: Option<i64>,
    /// Number of rows per training step [default: 100]
    #[arg(long)]
    pub batch: Option<i64>,
    /// Learning rate; `--set optimizer.lr_q=X` sets that of the recognition net alone, if there is one
    /// [default: 0.001; 1 for em]
    #[arg(long)]
    pub lr: Option<f64>,
    /// Optimiser: adam, sgd or rmsprop [default: adam; sgd for em]
    #[arg(long)]
    pub optimizer: Option<String>,
    /// Seed of all random draws [default: 0]
    #[arg(long)]
    pub seed: Option<i64>,
    /// Device: cpu, flex, ndarray, wgpu, vulkan, cuda, cuda:1 or remote:HOST:PORT [default: flex]
    #[arg(long)]
    pub device: Option<String>,
    /// Number of CPU threads [default: one per core]
    #[arg(long)]
    pub threads: Option<i64>,
    /// Folder with the data files [default: $HELMHOLTZ_DATA, or helmholtz in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Run folder to write [default: the next free runs/MODEL-STRATEGY-DATA-N]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Start from the weights of another run's best epoch, or from a weight file
    #[arg(long, value_name = "RUN|F.safetensors")]
    pub init_from: Option<PathBuf>,
    /// Resume the run in --out
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Epochs between checkpoints; the best and the last are always kept [default: 1]
    #[arg(long, value_name = "EPOCHS")]
    pub checkpoint_every: Option<i64>,
    /// Leave the test split alone: no test score, and no picture of test rows
    #[arg(long)]
    pub no_test: bool,
    /// Set any key of the config, as in --set strategy.phi=both
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the resolved config and stop
    #[arg(long)]
    pub print_config: bool,
    /// Show Burn's full-screen dashboard instead of the progress bar; press q to stop
    #[arg(long, conflicts_with_all = ["no_tui", "quiet", "json"])]
    pub tui: bool,
    /// Show the progress bar, which is the default; see --tui
    #[arg(long, hide = true)]
    pub no_tui: bool,
    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz compare`.
#[derive(Debug, Default, ClapArgs)]
pub struct CompareArgs {
    /// Plan of courts (gradient estimates against exact ones) and races (training at equal cost)
    /// [default: a built-in plan that needs no files]
    #[arg(value_name = "CONFIG.toml")]
    pub config: Option<PathBuf>,
    /// Number of seeds of each race [default: the plan's]
    #[arg(long)]
    pub seeds: Option<u64>,
    /// First seed [default: the plan's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Plan more estimates for a court where a bias of this share of the exact gradient could be missed, as in 0.1
    #[arg(long, value_name = "SHARE")]
    pub precision: Option<f64>,
    /// The most estimates that --precision may plan for a strategy, K and weights [default: 1000000]
    #[arg(long, value_name = "N", requires = "precision")]
    pub max_estimates: Option<u64>,
    /// Folder to write report.html, compare.json and figures to [default: the next free runs/compare-N]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the comparison in --out: finished seeds of its races are kept
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Device to compute on; `helmholtz devices` lists them [default: the plan's]
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

/// `helmholtz report`.
#[derive(Debug, ClapArgs)]
pub struct ReportArgs {
    /// Run folders
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Page to write
    #[arg(long, value_name = "F.html", default_value = "report.html")]
    pub out: PathBuf,
}

/// `helmholtz export`.
#[derive(Debug, ClapArgs)]
pub struct ExportArgs {
    /// Run folder
    pub run: PathBuf,
    /// File to write
    pub file: PathBuf,
    /// Use the weights of this epoch of the run [default: the best by validation score]
    #[arg(long, value_name = "N")]
    pub epoch: Option<i64>,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
    /// Folder with the data files; read only for runs of older versions, which do not record how wide a row is
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `helmholtz data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets: what is here, what is missing and where it comes from
    List {
        /// Folder with the data files [default: $HELMHOLTZ_DATA, or helmholtz in the user's data folder]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Print one JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Read data sets from their files and check them against their protocols
    Check {
        /// Data sets, also `file:` ones [default: all of the catalogue]
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// Folder with the data files [default: $HELMHOLTZ_DATA, or helmholtz in the user's data folder]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Print one JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Download the missing files of a data set and verify the hash of its values
    Fetch(FetchArgs),
    /// Write a contact sheet of a data set
    Show(ShowArgs),
}

/// `helmholtz data fetch`.
#[derive(Debug, ClapArgs)]
pub struct FetchArgs {
    /// Data set
    pub id: String,
    /// Folder or address (https://, http://, file://) to take the files from, instead of the known addresses; the
    /// files have the names that `data list` shows, with or without their folders
    #[arg(long, value_name = "DIR|URL")]
    pub from: Option<String>,
    /// Folder with the data files [default: $HELMHOLTZ_DATA, or helmholtz in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz data show`.
#[derive(Debug, ClapArgs)]
pub struct ShowArgs {
    /// Data set
    pub id: String,
    /// Picture to write, a .png
    #[arg(long, value_name = "F.png")]
    pub out: PathBuf,
    /// Split: train, valid or test
    #[arg(long, default_value = "train")]
    pub split: String,
    /// Number of rows; which ones depends only on the data set
    #[arg(long, default_value_t = 100)]
    pub n: i64,
    /// Pixels per side of each value, for a picture [default: 1, and more for pictures of fewer than 15 pixels a side]
    #[arg(long, value_name = "N")]
    pub scale: Option<i64>,
    /// Folder with the data files [default: $HELMHOLTZ_DATA, or helmholtz in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
