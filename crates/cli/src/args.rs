//! The commands and their flags.

mod evaluate;
mod model;
mod numbers;
mod pictures;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::registry::registry;

pub use evaluate::{AnnealingArgs, Checking, EvaluateArgs, MergeArgs};
pub use model::ModelArgs;
pub use numbers::Layers;
pub use pictures::{ChainArgs, ClassifyArgs, EncodeArgs, InpaintArgs, ReconstructArgs, SampleArgs};

/// Train and compare deep generative models with latent variables.
///
/// Without a command: wake-sleep against reweighted wake-sleep on embedded data, judged by the
/// exact likelihood, in under two minutes.
#[derive(Debug, Parser)]
#[command(name = "helmholtz", version, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// The command and its flags, as [`Parser::parse_from`] would find them, but that flags take negative numbers.
    ///
    /// Ends the process with a message where they make no sense, or ask for help.
    pub fn of_words(words: impl IntoIterator<Item = OsString>) -> Self {
        Args::try_of_words(words).unwrap_or_else(|error| error.exit())
    }

    /// The same, and the message as an error.
    ///
    /// # Errors
    /// If the words make no sense, or ask for help.
    pub fn try_of_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = numbers::with_negative(Args::command()).mut_subcommand("train", |train| {
            let listed =
                |what: &str, names: Vec<&str>| format!("{what}: {} (`helmholtz models`)", names.join(", "));
            let (model, strategy) = (
                listed("Model", registry().model_names()),
                listed("Training strategy", registry().strategy_names()),
            );
            train.mut_arg("model", |arg| arg.help(model)).mut_arg("strategy", |arg| arg.help(strategy))
        });
        let matches = command.try_get_matches_from_mut(words)?;
        Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one model by one strategy into a run folder
    Train(Box<TrainArgs>),
    /// Likelihood of a trained model
    Evaluate(EvaluateArgs),
    /// Put the parts of an evaluation together that `evaluate --shard` wrote
    Merge(MergeArgs),
    /// Strategies side by side on embedded data, judged by the exact likelihood
    Compare(CompareArgs),
    /// Samples of a trained model, as a picture or an array
    Sample(SampleArgs),
    /// Fill in hidden parts of pictures by a bidirectional machine
    Inpaint(InpaintArgs),
    /// Recognition means of a split, or the components that its rows are of, as an array
    Encode(EncodeArgs),
    /// Probabilities of the classes of rows, and how many of their labels they miss
    Classify(ClassifyArgs),
    /// Pictures above what the model makes of their recognition means
    Reconstruct(ReconstructArgs),
    /// Write a model's weights to a safetensors file (names: docs/weights.md)
    Export(ExportArgs),
    /// Data sets by protocol
    Data {
        /// What to do with them.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Models, the strategies that train each, and what each can do
    Models(ModelsArgs),
    /// The backends this binary was built with and the devices found
    Devices {
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Every layer, strategy, sampler and evaluator on a device against the processor; exit 1 past tolerance
    Doctor(DoctorArgs),
    /// Lend devices of this machine to others, which name them --device remote:HOST:PORT
    Serve(ServeArgs),
}

/// `helmholtz serve`.
#[derive(Debug, ClapArgs)]
pub struct ServeArgs {
    /// The devices, as in cuda:0,cuda:1
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Where to listen; on another interface than 127.0.0.1 only with a token in $HELMHOLTZ_TOKEN
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub listen: String,
    /// Threads of the processor
    #[arg(long)]
    pub threads: Option<i64>,
}

/// `helmholtz models`.
#[derive(Debug, ClapArgs)]
pub struct ModelsArgs {
    /// One of them alone, with the keys of its config
    pub kind: Option<String>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz doctor`.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// The device: see `helmholtz devices` [default: flex]
    #[arg(long)]
    pub device: Option<String>,
    /// Threads of the processor
    #[arg(long)]
    pub threads: Option<i64>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz train`.
#[derive(Debug, Default, ClapArgs)]
pub struct TrainArgs {
    /// Config file; flags override it
    pub config: Option<PathBuf>,
    /// Model: see `helmholtz models`
    #[arg(long)]
    pub model: Option<String>,
    /// Latent sizes from the data up, as in 200,200; '' for none
    #[arg(long)]
    pub layers: Option<Layers>,
    /// Training strategy: see `helmholtz models`
    #[arg(long)]
    pub strategy: Option<String>,
    /// Samples per observation, K
    #[arg(long, value_name = "K")]
    pub samples: Option<i64>,
    /// Kernel of the chains of strategy coupled: disir or isir
    #[arg(long)]
    pub kernel: Option<String>,
    /// Data set
    #[arg(long, value_name = "ID")]
    pub dataset: Option<String>,
    /// Passes over the training rows
    #[arg(long, conflicts_with = "steps")]
    pub epochs: Option<i64>,
    /// Training steps; may end in the middle of a pass
    #[arg(long)]
    pub steps: Option<i64>,
    /// Rows per step
    #[arg(long)]
    pub batch: Option<i64>,
    /// Learning rate (`--set optimizer.lr_q=X` for the recognition net alone, where there is one)
    #[arg(long)]
    pub lr: Option<f64>,
    /// adam, sgd or rmsprop
    #[arg(long)]
    pub optimizer: Option<String>,
    /// Seed of every draw
    #[arg(long)]
    pub seed: Option<i64>,
    /// flex, ndarray, wgpu, vulkan, cuda, cuda:1 or remote:HOST:PORT
    #[arg(long)]
    pub device: Option<String>,
    /// Threads of the processor
    #[arg(long)]
    pub threads: Option<i64>,
    /// Where data files lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The run folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Begin with the weights of another run's best epoch, or of a weight file
    #[arg(long, value_name = "RUN|F.safetensors")]
    pub init_from: Option<PathBuf>,
    /// Go on with the run in --out
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Epochs between checkpoints; the best and the last are kept besides
    #[arg(long, value_name = "EPOCHS")]
    pub checkpoint_every: Option<i64>,
    /// Any key of the config, as in --set strategy.phi=both
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the resolved config and stop
    #[arg(long)]
    pub print_config: bool,
    /// Burn's full-screen dashboard in place of the progress bar; press q to stop
    #[arg(long, conflicts_with_all = ["no_tui", "quiet", "json"])]
    pub tui: bool,
    /// The progress bar, which is the default: see --tui
    #[arg(long, hide = true)]
    pub no_tui: bool,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz compare`.
#[derive(Debug, Default, ClapArgs)]
pub struct CompareArgs {
    /// A plan of courts and races (default: one that needs no files)
    #[arg(value_name = "CONFIG.toml")]
    pub config: Option<PathBuf>,
    /// Number of seeds of each race (default: the plan's)
    #[arg(long)]
    pub seeds: Option<u64>,
    /// The first seed (default: the plan's)
    #[arg(long)]
    pub seed: Option<u64>,
    /// Folder of report.html, compare.json and figures
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    pub out: Option<PathBuf>,
    /// The device: see `helmholtz devices` (default: the plan's)
    #[arg(long)]
    pub device: Option<String>,
    /// Where data files lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Threads of the processor
    #[arg(long)]
    pub threads: Option<i64>,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz export`.
#[derive(Debug, ClapArgs)]
pub struct ExportArgs {
    /// The run folder
    pub run: PathBuf,
    /// The file to write
    pub file: PathBuf,
    /// Take the weights of this epoch of the run [default: the best by validation score]
    #[arg(long, value_name = "N")]
    pub epoch: Option<i64>,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
    /// Where data files lie; read only for runs of older versions, which do not say how wide a row is
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `helmholtz data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// What there is, what is missing and where it comes from
    List {
        /// Where data files lie
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Read sets from their files and hold them against their protocols
    Check {
        /// The sets, also `file:` ones; without any, all of the catalogue
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// Where data files lie
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Download the missing files of a set, verified by the hash of its values
    Fetch(FetchArgs),
    /// Write a contact sheet of a set
    Show(ShowArgs),
}

/// `helmholtz data fetch`.
#[derive(Debug, ClapArgs)]
pub struct FetchArgs {
    /// The set
    pub id: String,
    /// A folder or an address (https://, http://, file://) to take the files from instead of the
    /// known ones, under the names of `data list`, with or without their folders
    #[arg(long, value_name = "DIR|URL")]
    pub from: Option<String>,
    /// Where data files lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz data show`.
#[derive(Debug, ClapArgs)]
pub struct ShowArgs {
    /// The set
    pub id: String,
    /// The picture
    #[arg(long, value_name = "F.png")]
    pub out: PathBuf,
    /// Split: train, valid or test
    #[arg(long, default_value = "train")]
    pub split: String,
    /// How many rows; which ones is fixed by the set alone
    #[arg(long, default_value_t = 100)]
    pub n: i64,
    /// Where data files lie
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
