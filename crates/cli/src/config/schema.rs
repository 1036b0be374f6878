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
    /// Among how many configurations this one was chosen by validation, as `helmholtz tune` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<u64>,
    /// Where the run computes; may change on resume.
    pub run: RunConfig,
    /// The data.
    pub data: DataConfig,
    /// `[model]` and `[strategy]`, whose keys depend on the family.
    #[serde(flatten)]
    pub spec: Spec,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The run's length.
    pub train: TrainConfig,
    /// The stages that follow the epochs of `[train]`, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<StageConfig>,
}

/// The sections of a config file as they are read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sections {
    pub(super) schema: i64,
    pub(super) seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tried: Option<u64>,
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
    /// Threads of the processor; all if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// The folder of the data files.
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
    /// Learning rates of groups of parameters, such as `lr_q` of the recognition net; `lr` if not set.
    #[serde(flatten)]
    pub rates: Rates,
    /// Momentum of sgd and of rmsprop.
    pub momentum: f64,
    /// Decay of adam's mean of gradients, β₁; 0.9 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of adam's mean of squares, β₂; 0.999 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Decay of rmsprop's mean of squares; 0.99 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decay: Option<f64>,
    /// Constant that adam and rmsprop add to the root of the mean of squares; 1e-8 if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Schedule of the rate over the epochs of `[train]`: `constant`, or `linear` or `cosine` to `lr_end`.
    pub schedule: String,
    /// Final rate of a linear or cosine schedule, as a fraction of the initial rate.
    pub lr_end: f64,
    /// What is differentiated: the `mean` of the loss over the batch, or its `sum`.
    pub loss: String,
    /// λ of the penalty λ/2 Σ w² on weight matrices.
    pub weight_decay: f64,
    /// λ of the penalty λ Σ |w| on weight matrices.
    pub l1: f64,
    /// Largest norm of the whole gradient; 0 for no limit.
    pub clip_norm: f64,
    /// Decay of the average of the weights, which is evaluated and saved; 0 for the weights themselves.
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
    /// Learning rate; if not set, the rate at the start of the stage before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Learning rates of groups of parameters; a group without one takes `lr` if that is set.
    #[serde(flatten)]
    pub rates: Rates,
    /// Schedule of the rate over the stage; `constant` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Final rate of a linear or cosine schedule, as a fraction of the initial rate; 0 if not set.
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
    /// Number of epochs without a better validation score after which the run stops; 0 for never.
    pub patience: usize,
    /// Importance samples per row for the validation likelihood during training, unless the likelihood is a formula.
    pub valid_samples: usize,
    /// Importance samples per row for the likelihoods that a finished run reports.
    pub final_samples: usize,
    /// A run folder or weight file. The run starts with its weights and keeps a copy of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
}

impl Default for Sections {
    fn default() -> Self {
        Sections {
            schema: 1,
            seed: 0,
            tried: None,
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
