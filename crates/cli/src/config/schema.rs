//! The keys of a config file and their defaults.

use std::collections::BTreeSet;
use std::path::PathBuf;

use helmholtz_eval::Reading;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// A resolved config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Version of this format: 1.
    pub schema: i64,
    /// Seed of every draw.
    pub seed: u64,
    /// Where the run computes; may change on resume.
    pub run: RunConfig,
    /// The data.
    pub data: DataConfig,
    /// The model.
    pub model: ModelConfig,
    /// The strategy.
    pub strategy: StrategyConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// The run's length.
    pub train: TrainConfig,
    /// What follows the epochs of `[train]`, stage by stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stage: Vec<StageConfig>,
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

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Family: the kind of all layers, `bihm`, a bidirectional machine of sbn layers, or `vae`, whose latents are
    /// Gaussian.
    pub kind: String,
    /// Latent sizes, from the data up; if absent 200, of a vae 20.
    pub layers: Vec<usize>,
    /// Kind of each generative layer and of the prior, which comes last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<Vec<String>>,
    /// Kind of each recognition layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<Vec<String>>,
    /// Hidden units of nade and dsbn layers; the smaller of a nade layer's two sizes and the mean of a dsbn
    /// layer's two if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// The hidden units of dsbn layers: `sigmoid` (if absent) or `tanh`; of a vae also `relu` (if absent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<String>,
    /// Hidden widths of the net between each two layers of a vae, from the data up, a list for each; 200, 200 if
    /// absent, `[]` for a linear map. The generative nets mirror those of the recognition net.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bodies: Option<Vec<Vec<usize>>>,
    /// What makes the standard deviations of a vae's latents positive: `softplus` (if absent) or `exp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<String>,
    /// The law of a vae's observed units: `bernoulli` (if absent), or `logistics`, a mixture of discretised ones for
    /// grey values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<String>,
    /// Components of each mixture of logistics; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// Channels of the convolutions between the data and the lowest latents of a vae, from the data up; none if
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<usize>>,
    /// In which order a darn or nade layer over the data visits them: `index` (if absent), or `random` by
    /// `order_seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Seed of a random order, 0 if absent; apart from the run's, so that runs of several seeds share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_seed: Option<u64>,
    /// `glorot`, or `glorot-over-fan-in` as in the RWS and BiHM code.
    pub weights: String,
    /// Initial bias of the units that the data do not set.
    pub bias: f64,
    /// Whether the lowest generative bias starts at the logit of the data mean.
    pub bias_from_data: bool,
    /// Whether the recognition net sees x less the data mean.
    pub centre: bool,
}

/// `[strategy]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StrategyConfig {
    /// Name.
    pub kind: String,
    /// Samples per observation, K; if absent 1 for ws, nvil, elbo and stl and for a model without latents, else 10.
    pub samples: Option<usize>,
    /// What updates the recognition net in rws: `wake`, `sleep` or `both` (half of each).
    pub phi: String,
    /// Whether rws's wake phi and bihm's phi use w - 1/K; if absent no in rws, yes in bihm.
    pub control_variate: Option<bool>,
    /// Share of the uniform law in the proposals of rws, where latents are bits.
    pub defence: f64,
    /// The part of elbo's gradient that runs through the prior of the highest latents: `analytic` (if absent) or
    /// `sampled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<String>,
    /// The kernel of coupled's chains: `disir` (if absent) or `isir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// How many steps one of coupled's two chains is ahead of the other; 10 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<usize>,
    /// Steps of coupled's chains before the first that counts; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burn_in: Option<usize>,
    /// Steps after which coupled gives up on chains that have not met; 1000 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<usize>,
}

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// `adam`, `sgd` or `rmsprop`.
    pub kind: String,
    /// Learning rate of the generative net, on the batch mean.
    pub lr: f64,
    /// Learning rate of the recognition net; that of the generative net if absent.
    pub lr_q: Option<f64>,
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
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Passes over the training rows.
    pub epochs: u64,
    /// Samples per observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Learning rate of the generative net; the rate that the stage before began with if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Learning rate of the recognition net; that of the generative net if only `lr` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_q: Option<f64>,
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
    /// Epochs without a better validation likelihood after which the run stops; 0 for never.
    pub patience: usize,
    /// Importance samples per row of the validation likelihood during training.
    pub valid_samples: usize,
    /// Importance samples per row of the likelihoods that a finished run reports.
    pub final_samples: usize,
    /// A run folder or a weight file whose weights the run begins with; the run keeps a copy of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_from: Option<PathBuf>,
}

impl Config {
    /// Samples per observation in each stage.
    pub(crate) fn samples(&self) -> Vec<usize> {
        let first = self.strategy.samples.unwrap_or_default();
        let later = self.stage.iter().scan(first, |samples, stage| {
            *samples = stage.samples.unwrap_or(*samples);
            Some(*samples)
        });
        std::iter::once(first).chain(later).collect()
    }
}

impl ModelConfig {
    /// The kinds of the generative layers, the prior last, and of the recognition layers.
    pub fn layer_kinds(&self) -> [Vec<String>; 2] {
        let depth = self.layers.len();
        let of_all = if self.kind == "bihm" { "sbn" } else { self.kind.as_str() };
        let kinds =
            |given: &Option<Vec<String>>, n| given.clone().unwrap_or_else(|| vec![of_all.to_owned(); n]);
        [kinds(&self.p, depth + 1), kinds(&self.q, depth)]
    }

    /// Keys in which the weights of another model would mean something else, or nothing, here; those of how a model
    /// starts are none of them.
    pub fn differences_in_structure(&self, other: &ModelConfig) -> Vec<String> {
        let show = |value: Option<Value>| value.map_or("nothing".to_string(), |value| value.to_string());
        self.structure_differences(other)
            .into_iter()
            .map(|(key, ours, theirs)| format!("model.{key} ({} there, {} here)", show(theirs), show(ours)))
            .collect()
    }

    /// The same keys, each with its value here and in the other.
    pub(crate) fn structure_differences(
        &self,
        other: &ModelConfig,
    ) -> Vec<(String, Option<Value>, Option<Value>)> {
        let table = |model: &ModelConfig| {
            let mut table = Table::try_from(model).expect("a config is made of tables and scalars");
            for start in ["weights", "bias", "bias_from_data", "centre"] {
                table.remove(start);
            }
            if model.kind != "vae" {
                // A bidirectional machine is the stack that it is made of.
                let [p, q] = model.layer_kinds();
                table.remove("kind");
                table.insert("p".into(), p.into());
                table.insert("q".into(), q.into());
            }
            table
        };
        let (ours, theirs) = (table(self), table(other));
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.into_iter()
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| (key.clone(), ours.get(key).cloned(), theirs.get(key).cloned()))
            .collect()
    }

    /// Whether the stack is read as `p*(x, h)` or as `p(x, h)` with an aid to infer.
    pub fn reading(&self) -> Reading {
        if self.kind == "bihm" { Reading::Bidirectional } else { Reading::Directed }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            schema: 1,
            seed: 0,
            run: RunConfig::default(),
            data: DataConfig::default(),
            model: ModelConfig::default(),
            strategy: StrategyConfig::default(),
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

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            kind: "sbn".into(),
            layers: vec![200],
            p: None,
            q: None,
            hidden: None,
            activation: None,
            bodies: None,
            std: None,
            likelihood: None,
            components: None,
            channels: None,
            order: None,
            order_seed: None,
            weights: "glorot".into(),
            bias: 0.0,
            bias_from_data: true,
            centre: true,
        }
    }
}

impl Default for StrategyConfig {
    fn default() -> Self {
        StrategyConfig {
            kind: "rws".into(),
            samples: None,
            phi: "wake".into(),
            control_variate: None,
            defence: 0.0,
            kl: None,
            kernel: None,
            lag: None,
            burn_in: None,
            cap: None,
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            kind: "adam".into(),
            lr: 1e-3,
            lr_q: None,
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

/// The models: stacks of layers of one kind, those read as a bidirectional machine, and one of continuous latents.
pub const MODELS: [&str; 6] = ["sbn", "dsbn", "darn", "nade", "bihm", "vae"];
/// The kinds of single layers.
pub const LAYERS: [&str; 4] = ["sbn", "dsbn", "darn", "nade"];
/// The strategies.
pub const STRATEGIES: [&str; 11] =
    ["ws", "rws", "vimco", "reinforce", "nvil", "bihm", "elbo", "iwae", "stl", "dreg", "coupled"];
/// The optimisers.
pub const OPTIMIZERS: [&str; 3] = ["adam", "sgd", "rmsprop"];
pub(super) const PHI: [&str; 3] = ["wake", "sleep", "both"];
pub(super) const SCHEDULES: [&str; 3] = ["constant", "linear", "cosine"];
pub(super) const LOSSES: [&str; 2] = ["mean", "sum"];
pub(super) const KL: [&str; 2] = ["analytic", "sampled"];
pub(super) const KERNELS: [&str; 2] = ["disir", "isir"];
pub(super) const ACTIVATIONS: [&str; 2] = ["sigmoid", "tanh"];
pub(super) const VAE_ACTIVATIONS: [&str; 3] = ["relu", "tanh", "sigmoid"];
pub(super) const STDS: [&str; 2] = ["softplus", "exp"];
pub(super) const LIKELIHOODS: [&str; 2] = ["bernoulli", "logistics"];
pub(super) const ORDERS: [&str; 2] = ["index", "random"];
pub(super) const WEIGHTS: [&str; 2] = ["glorot", "glorot-over-fan-in"];
