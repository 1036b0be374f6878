//! Flags of the commands that sample from a model, or show what it infers from rows.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::model::ModelArgs;

/// `helmholtz sample`.
#[derive(Debug, ClapArgs)]
pub struct SampleArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of samples
    #[arg(long, default_value_t = 100)]
    pub n: i64,
    /// Seed of the samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Show E[x | h] under p, given the sampled latents, instead of sampled pixels
    #[arg(long)]
    pub mean: bool,
    /// File to write: a .png contact sheet or a .npy array [default: samples.png in the run's samples folder]
    #[arg(long, value_name = "F.png|F.npy")]
    pub out: Option<PathBuf>,
    /// Pixels per side of each value, for a picture [default: 1, and more for pictures of fewer than 15 pixels a side]
    #[arg(long, value_name = "N")]
    pub scale: Option<i64>,
    /// Read the weights as this model: bihm, or the kind of the layers [default: the trained model]
    #[arg(long = "as", value_name = "MODEL")]
    pub as_model: Option<String>,
    /// Sampler: ancestral; for a model read as bihm also one-shot or gibbs; for an energy gibbs or tempering [default: ancestral; gibbs for bihm and for an energy]
    #[arg(long)]
    pub sampler: Option<String>,
    /// Number of inverse temperatures, from 1 to 0, with --sampler tempering [default: 10]
    #[arg(long, value_name = "T")]
    pub temperatures: Option<i64>,
    /// Number of ancestral draws behind each one-shot sample, at which a Gibbs chain starts [default: 100]
    #[arg(long, value_name = "N")]
    pub oversample: Option<i64>,
    /// The chains.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Keep the state of the Gibbs chains in this file; if it exists, continue from it
    #[arg(long, value_name = "F.safetensors")]
    pub keep_chains: Option<PathBuf>,
    /// Print one JSON object on standard output; for an energy with the autocorrelation time of its chains
    #[arg(long)]
    pub json: bool,
}

/// A sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Sampler {
    /// Independent samples of p, from the top layer down.
    Ancestral,
    /// Independent samples of p*, by importance resampling.
    OneShot,
    /// Gibbs chains, of p* or of an energy.
    Gibbs,
    /// Tempered chains of an energy.
    Tempering,
}

impl Sampler {
    /// The word.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// Gibbs chains.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct ChainArgs {
    /// Total number of sweeps of each chain over all layers [default: 50; 1000 to sample an energy]
    #[arg(long, value_name = "N")]
    pub sweeps: Option<i64>,
    /// Number of proposals for each layer of a chain [default: 20]
    #[arg(long, value_name = "N")]
    pub proposals: Option<i64>,
    /// Number of samples of q for the marginal of each proposal for x [default: 10]
    #[arg(long, value_name = "K")]
    pub inner: Option<i64>,
}

/// `helmholtz inpaint`.
#[derive(Debug, ClapArgs)]
pub struct InpaintArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// What to hide and fill in: top, bottom, left, right, or a .png of the picture's size, white where hidden
    #[arg(long, default_value = "bottom")]
    pub mask: String,
    /// Number of pictures: a pseudo-random subset of the split that depends only on the data set
    #[arg(long, default_value_t = 10)]
    pub n: i64,
    /// Split: train, valid or test
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Seed of the chains
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Show sampled pixels instead of E[x | h] under p
    #[arg(long)]
    pub bits: bool,
    /// Read the weights as this model: bihm [default: the trained model]
    #[arg(long = "as", value_name = "MODEL")]
    pub as_model: Option<String>,
    /// The chains.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// Number of states of the chains in the strip, besides their start
    #[arg(long, default_value_t = 12)]
    pub frames: i64,
    /// File to write: a .png strip or an animated .gif
    /// [default: both inpaint.png and inpaint.gif, in the run's samples folder]
    #[arg(long, value_name = "F.png|F.gif")]
    pub out: Option<PathBuf>,
}

/// `helmholtz filters`.
#[derive(Debug, ClapArgs)]
pub struct FiltersArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of hidden units to show, the first ones in the order of --order [default: all]
    #[arg(long, value_name = "N")]
    pub units: Option<i64>,
    /// Order of the units: norm, with the largest Euclidean norm of the connections first, or index, as in the weights
    #[arg(long, value_name = "ORDER", default_value = "norm")]
    pub order: String,
    /// .png sheet to write [default: filters.png in the run's samples folder]
    #[arg(long, value_name = "F.png")]
    pub out: Option<PathBuf>,
    /// Pixels per side of each value [default: 1, and more for pictures of fewer than 15 pixels a side]
    #[arg(long, value_name = "N")]
    pub scale: Option<i64>,
    /// Print one JSON object on standard output, with the index of each unit in the order of the sheet
    #[arg(long)]
    pub json: bool,
}

/// An order of hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum UnitOrder {
    /// The largest norm of the connections first.
    Norm,
    /// As in the weights.
    Index,
}

impl UnitOrder {
    /// The word.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// `helmholtz encode`.
#[derive(Debug, ClapArgs)]
pub struct EncodeArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Split: train, valid or test
    #[arg(long, default_value = "test")]
    pub split: String,
    /// .npy array to write: a row per example, all layers side by side [default: in the run's samples folder]
    #[arg(long, value_name = "F.npy")]
    pub out: Option<PathBuf>,
}

/// `helmholtz classify`.
#[derive(Debug, ClapArgs)]
pub struct ClassifyArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Split: train, valid or test
    #[arg(long, default_value = "test")]
    pub split: String,
    /// File of your own instead of a split, written as after file: (rows.csv, rows.csv#label=class)
    #[arg(long, value_name = "F", conflicts_with = "split")]
    pub data: Option<String>,
    /// .npy array of the probabilities to write: a row per example, a column per class
    /// [default: in the run's samples folder]
    #[arg(long, value_name = "F.npy")]
    pub out: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// `helmholtz reconstruct`.
#[derive(Debug, ClapArgs)]
pub struct ReconstructArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Split: train, valid or test
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Number of pictures: a pseudo-random subset of the split that depends only on the data set
    #[arg(long, default_value_t = 10)]
    pub n: i64,
    /// .png strip to write [default: reconstruct.png in the run's samples folder]
    #[arg(long, value_name = "F.png")]
    pub out: Option<PathBuf>,
}
