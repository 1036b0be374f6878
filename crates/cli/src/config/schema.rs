//! The keys of a config file and their defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use helmholtz_zoo::Spec;
use serde::{Deserialize, Serialize};
use toml::Table;

/// A resolved config.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Version of this format: 1.
    pub schema: i64,
    /// Seed of every draw.
    pub seed: u64,
    /// Where the run computes; may change on resume.
    pub run: RunConfig,
    /// The data.
    pub data: DataConfig,
    /// `[model]` and `[strategy]`, whose keys are those of a family.
    #[serde(flatten)]
    pub spec: Spec,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The run's length.
    pub train: TrainConfig,
    /// What follows the epochs of `[train]`, stage by stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<StageConfig>,
}

/// The sections of a config file as they are read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sections {
    pub(super) schema: i64,
    pub(super) seed: u64,
    pub(super) run: RunConfig,
    pub(super) data: DataConfig,
    pub(super) model: Table,
    pub(super) strategy: Table,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
    pub(super) stage: Vec<StageConfig>,
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The device.
    pub device: String,
    /// Threads of the processor; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Where data files lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Id of the protocol.
    pub id: String,
}

/// Learning rates by their keys: `lr_` and the name of a group of parameters.
pub type Rates = BTreeMap<String, f64>;

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptimizerConfig {
    /// `adam`, `sgd` or `rmsprop`.
    pub kind: String,
    /// Learning rate, on the batch mean.
    pub lr: f64,
    /// Learning rates of groups of parameters: `lr_q` is that of the recognition net; `lr` if absent.
    #[serde(flatten)]
    pub rates: Rates,
    /// Momentum of sgd and of rmsprop.
    pub momentum: f64,
    /// Decay of adam's mean of gradients, β₁; 0.9 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of adam's mean of squares, β₂; 0.999 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Decay of rmsprop's mean of squares; 0.99 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// What adam and rmsprop add to the root of the mean of squares; 1e-8 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// How the rate goes over the epochs of `[train]`: `constant`, or `linear` or `cosine` to `lr_end`.
    pub schedule: String,
    /// Where a linear or cosine schedule ends, as a share of the rate.
    pub lr_end: f64,
    /// What gradients are of: the `mean` of the loss over the batch, or its `sum`.
    pub loss: String,
    /// λ of the penalty λ/2 Σ w² on weight matrices.
    pub weight_decay: f64,
    /// λ of the penalty λ Σ |w| on weight matrices.
    pub l1: f64,
    /// The greatest norm of the whole gradient; 0 for any.
    pub clip_norm: f64,
    /// Decay of the average of the weights that is judged and kept; 0 for the weights themselves.
    pub average: f64,
}

/// `[[stage]]`: more epochs, with some settings changed and the rest as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageConfig {
    /// Passes over the training rows.
    pub epochs: u64,
    /// Samples per observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Learning rate; the rate that the stage before began with if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Learning rates of groups of parameters; `lr` if only that is given.
    #[serde(flatten)]
    pub rates: Rates,
    /// How the rate goes over the stage; `constant` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Where a linear or cosine schedule ends, as a share of the rate; 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_end: Option<f64>,
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training rows, unless `steps` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Training steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Rows per step.
    pub batch: usize,
    /// Epochs between checkpoints.
    pub checkpoint_every: usize,
    /// Epochs without a better validation score after which the run stops; 0 for never.
    pub patience: usize,
    /// Importance samples per row of the validation likelihood during training, where it is not a formula.
    pub valid_samples: usize,
    /// Importance samples per row of the likelihoods that a finished run reports.
    pub final_samples: usize,
    /// A run folder or a weight file whose weights the run begins with; the run keeps a copy of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
}

impl Default for Sections {
    fn default() -> Self {
        Sections {
            schema: 1,
            seed: 0,
            run: RunConfig::default(),
            data: DataConfig::default(),
            model: Table::new(),
            strategy: Table::new(),
            optimizer: OptimizerConfig::default(),
            train: TrainConfig::default(),
            stage: Vec::new(),
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig { device: "flex".into(), threads: None, data_dir: None }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig { id: "bars/5x5".into() }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            kind: "adam".into(),
            lr: 1e-3,
            rates: Rates::new(),
            momentum: 0.0,
            beta1: None,
            beta2: None,
            decay: None,
            epsilon: None,
            schedule: "constant".into(),
            lr_end: 0.0,
            loss: "mean".into(),
            weight_decay: 0.0,
            l1: 0.0,
            clip_norm: 0.0,
            average: 0.0,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: None,
            steps: None,
            batch: 100,
            checkpoint_every: 1,
            patience: 0,
            valid_samples: 10,
            final_samples: 100,
            init_from: None,
        }
    }
}

/// The optimisers.
pub const OPTIMIZERS: [&str; 3] = ["adam", "sgd", "rmsprop"];
pub(super) const SCHEDULES: [&str; 3] = ["constant", "linear", "cosine"];
pub(super) const LOSSES: [&str; 2] = ["mean", "sum"];
