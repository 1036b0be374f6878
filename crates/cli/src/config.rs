//! The config file, its defaults and its checks.
//!
//! A config is resolved from a file, then `--set` pairs, then flags; the resolved form, with every
//! default written out, is what a run saves.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::{OrUser, known, user};

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
    /// Family.
    pub kind: String,
    /// Latent sizes, from the data up.
    pub layers: Vec<usize>,
    /// Kind of each generative layer and of the prior, which comes last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<Vec<String>>,
    /// Kind of each recognition layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<Vec<String>>,
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
    /// Samples per observation, K; 10 for rws and 1 for ws if absent.
    pub samples: Option<usize>,
    /// What updates the recognition net in rws: `wake`, `sleep` or `both` (half of each).
    pub phi: String,
    /// Whether wake phi uses w - 1/K.
    pub control_variate: bool,
    /// Share of the uniform law in the proposals.
    pub defence: f64,
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
    /// Momentum of sgd.
    pub momentum: f64,
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
            control_variate: false,
            defence: 0.0,
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig { kind: "adam".into(), lr: 1e-3, lr_q: None, momentum: 0.0 }
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
        }
    }
}

/// Models, strategies and optimisers by name.
pub const MODELS: [&str; 1] = ["sbn"];
/// The strategies.
pub const STRATEGIES: [&str; 2] = ["ws", "rws"];
/// The optimisers.
pub const OPTIMIZERS: [&str; 3] = ["adam", "sgd", "rmsprop"];
const PHI: [&str; 3] = ["wake", "sleep", "both"];
const WEIGHTS: [&str; 2] = ["glorot", "glorot-over-fan-in"];

/// Keys that may differ between a run and its resumption.
pub const MAY_CHANGE: [&str; 5] =
    ["train.epochs", "train.steps", "run.device", "run.threads", "run.data_dir"];

/// Values laid over a config, in order.
#[derive(Clone, Debug, Default)]
pub struct Overlay(Vec<(String, Value)>);

impl Overlay {
    /// Lays one value over.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.push((key.to_string(), value.into()));
        self
    }

    /// Lays a value over if there is one.
    pub fn set_if(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Lays `key=value` over, the value being TOML or, failing that, a bare word.
    ///
    /// # Errors
    /// If there is no `=`.
    pub fn parse(self, pair: &str) -> anyhow::Result<Self> {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            user(format!(
                "--set {pair}: there is no `=`; write a key and a value, as in --set train.batch=50"
            ))
        })?;
        let value = toml::from_str::<Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| Value::String(value.to_string()));
        Ok(self.set(key.trim(), value))
    }
}

impl Config {
    /// The config of a file (or none) with `overlay` on top, checked, with defaults written out.
    ///
    /// # Errors
    /// If the file cannot be read or a key, type or value is wrong.
    pub fn resolve(file: Option<&Path>, overlay: &Overlay) -> anyhow::Result<Self> {
        let (place, mut table) = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    user(format!(
                        "{}: {error}; give the path of a config file, or flags alone",
                        path.display()
                    ))
                })?;
                let table =
                    text.parse::<Table>().map_err(|error| user(format!("{}: {error}", path.display())))?;
                (path.display().to_string(), table)
            }
            None => ("the command line".to_string(), Table::new()),
        };
        check_keys(&table, &place)?;
        for (key, value) in &overlay.0 {
            lay_over(&mut table, key, value.clone())?;
        }
        check_keys(&table, "the command line")?;
        let config: Config = table
            .try_into()
            .map_err(|error: toml::de::Error| user(format!("{place}: {}", error.message().trim())))?;
        config.checked()
    }

    /// Writes out what depends on other keys and refuses what makes no sense.
    fn checked(mut self) -> anyhow::Result<Self> {
        let name = |key: &str, value: &str, names: &[&str]| {
            if names.contains(&value) {
                return Ok(());
            }
            Err(user(format!("{key} = \"{value}\": unknown; {}", known(value, names))))
        };
        if self.schema != 1 {
            return Err(user(format!("schema = {}: this version reads schema 1", self.schema)));
        }
        name("model.kind", &self.model.kind, &MODELS)?;
        name("model.weights", &self.model.weights, &WEIGHTS)?;
        name("strategy.kind", &self.strategy.kind, &STRATEGIES)?;
        name("strategy.phi", &self.strategy.phi, &PHI)?;
        name("optimizer.kind", &self.optimizer.kind, &OPTIMIZERS)?;
        self.check_layers()?;
        let is_ws = self.strategy.kind == "ws";
        let samples = *self.strategy.samples.get_or_insert(if is_ws { 1 } else { 10 });
        let lr_q = *self.optimizer.lr_q.get_or_insert(self.optimizer.lr);
        for (key, value) in [
            ("strategy.samples", samples),
            ("train.batch", self.train.batch),
            ("train.checkpoint_every", self.train.checkpoint_every),
            ("train.valid_samples", self.train.valid_samples),
            ("train.final_samples", self.train.final_samples),
        ] {
            if value == 0 {
                return Err(user(format!("{key} = 0: must be at least 1")));
            }
        }
        for (key, rate) in [("optimizer.lr", self.optimizer.lr), ("optimizer.lr_q", lr_q)] {
            if !(rate.is_finite() && rate >= 0.0) {
                return Err(user(format!(
                    "{key} = {rate}: a learning rate is a finite number, not below zero, such as 0.001"
                )));
            }
        }
        if !(0.0..1.0).contains(&self.optimizer.momentum) {
            return Err(user(format!(
                "optimizer.momentum = {}: must lie in [0, 1)",
                self.optimizer.momentum
            )));
        }
        if !self.model.bias.is_finite() {
            return Err(user(format!("model.bias = {}: must be finite", self.model.bias)));
        }
        if self.run.threads == Some(0) {
            return Err(user("run.threads = 0: must be at least 1; leave it out for all of them"));
        }
        match (self.train.epochs, self.train.steps) {
            (Some(_), Some(_)) => {
                return Err(user("train.epochs and train.steps: give one of them, not both"));
            }
            (None, None) => self.train.epochs = Some(30),
            (Some(0), _) | (_, Some(0)) => {
                return Err(user("a run of no epochs or steps trains nothing: give at least 1"));
            }
            _ => {}
        }
        crate::assemble::strategy(&self)?;
        crate::device::select(&self.run.device)?;
        Ok(self)
    }

    fn check_layers(&self) -> anyhow::Result<()> {
        let layers = self.model.layers.len();
        if layers == 0 {
            return Err(user(
                "model.layers = []: an sbn needs at least one latent layer, as in --layers 200,200",
            ));
        }
        if let Some(layer) = self.model.layers.iter().position(|&d| d == 0) {
            return Err(user(format!(
                "model.layers: layer {layer} has no units; every size must be at least 1"
            )));
        }
        for (key, kinds, expected, what) in [
            ("p", &self.model.p, layers + 1, "one for each generative layer and one for the prior"),
            ("q", &self.model.q, layers, "one for each recognition layer"),
        ] {
            let Some(kinds) = kinds else { continue };
            if kinds.len() != expected {
                let found = kinds.len();
                return Err(user(format!(
                    "model.{key} names {found} layers where model.layers = {:?} asks for {expected}: {what}",
                    self.model.layers
                )));
            }
            if let Some(kind) = kinds.iter().find(|kind| !MODELS.contains(&kind.as_str())) {
                return Err(user(format!(
                    "model.{key} = [.. \"{kind}\" ..]: unknown layer; {}",
                    known(kind, &MODELS)
                )));
            }
        }
        Ok(())
    }

    /// The config as TOML, every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is made of tables and scalars")
    }

    /// Keys whose values differ between two resolved configs, less those that may.
    pub fn differences(&self, other: &Config) -> Vec<String> {
        let flat = |config: &Config| {
            let table: Table = config.to_toml().parse().expect("written by ourselves");
            let mut flat = std::collections::BTreeMap::new();
            for (section, value) in table {
                match value {
                    Value::Table(keys) => {
                        flat.extend(keys.into_iter().map(|(k, v)| (format!("{section}.{k}"), v)))
                    }
                    value => {
                        flat.insert(section, value);
                    }
                }
            }
            flat
        };
        let (a, b) = (flat(self), flat(other));
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let show = |value: Option<&Value>| value.map_or("nothing".to_string(), |value| value.to_string());
        keys.into_iter()
            .filter(|key| a.get(*key) != b.get(*key) && !MAY_CHANGE.contains(&key.as_str()))
            .map(|key| format!("{key} ({} in the run, {} now)", show(a.get(key)), show(b.get(key))))
            .collect()
    }
}

/// Puts a dotted key's value into the table. Of epochs and steps, the one given last counts.
fn lay_over(table: &mut Table, key: &str, value: Value) -> anyhow::Result<()> {
    match key {
        "train.epochs" => remove(table, "train", "steps"),
        "train.steps" => remove(table, "train", "epochs"),
        _ => {}
    }
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut table = table;
    for part in parts {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        table =
            entry.as_table_mut().ok_or_else(|| user(format!("{key}: `{part}` is a value, not a section")))?;
    }
    table.insert(last.to_string(), value);
    Ok(())
}

fn remove(table: &mut Table, section: &str, key: &str) {
    if let Some(section) = table.get_mut(section).and_then(Value::as_table_mut) {
        section.remove(key);
    }
}

/// Every key a config may have, by section; learnt from the defaults, so that it cannot go stale.
fn all_keys() -> Vec<String> {
    let full = Config {
        run: RunConfig { threads: Some(1), data_dir: Some(PathBuf::new()), ..RunConfig::default() },
        model: ModelConfig { p: Some(Vec::new()), q: Some(Vec::new()), ..ModelConfig::default() },
        strategy: StrategyConfig { samples: Some(1), ..StrategyConfig::default() },
        optimizer: OptimizerConfig { lr_q: Some(1.0), ..OptimizerConfig::default() },
        train: TrainConfig { epochs: Some(1), steps: Some(1), ..TrainConfig::default() },
        ..Config::default()
    };
    let table: Table = full.to_toml().parse().expect("written by ourselves");
    let mut keys = Vec::new();
    for (section, value) in &table {
        match value {
            Value::Table(inner) => keys.extend(inner.keys().map(|key| format!("{section}.{key}"))),
            _ => keys.push(section.clone()),
        }
    }
    keys
}

fn check_keys(table: &Table, place: &str) -> anyhow::Result<()> {
    let known_keys = all_keys();
    let names: Vec<&str> = known_keys.iter().map(String::as_str).collect();
    let found = table.iter().flat_map(|(section, value)| match value {
        Value::Table(inner) if !inner.is_empty() => {
            inner.keys().map(|key| format!("{section}.{key}")).collect()
        }
        Value::Table(_) if names.iter().any(|name| name.starts_with(&format!("{section}."))) => Vec::new(),
        _ => vec![section.clone()],
    });
    match found.into_iter().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(user(format!("{place}: unknown key `{key}`; {}", known(&key, &names)))),
        None => Ok(()),
    }
}

/// A count from a flag: a negative one is refused by name instead of by its type.
///
/// # Errors
/// If it is below zero.
pub fn count(flag: &str, value: i64) -> anyhow::Result<usize> {
    usize::try_from(value).map_err(|_| format!("{flag} {value}: must not be negative")).or_user()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(overlay: Overlay) -> String {
        Config::resolve(None, &overlay).unwrap_err().to_string()
    }

    #[test]
    fn a_resolved_config_reads_back_as_itself() {
        let config = Config::resolve(None, &Overlay::default().set("train.steps", 7)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(Config::resolve(Some(&path), &Overlay::default()).unwrap(), config);
    }

    #[test]
    fn unknown_names_and_keys_come_with_the_nearest_known_one() {
        assert!(message(Overlay::default().set("model.kind", "sbm")).contains("did you mean `sbn`?"));
        assert!(message(Overlay::default().set("strategy.kind", "rsw")).contains("did you mean `rws`?"));
        assert!(message(Overlay::default().set("train.epcohs", 3)).contains("did you mean `train.epochs`?"));
        assert!(message(Overlay::default().set("run.device", "flx")).contains("did you mean `flex`?"));
    }

    #[test]
    fn numbers_that_make_no_run_are_refused() {
        assert!(message(Overlay::default().set("strategy.samples", 0)).contains("strategy.samples = 0"));
        assert!(message(Overlay::default().set("optimizer.lr", f64::NAN)).contains("optimizer.lr = NaN"));
        assert!(message(Overlay::default().set("train.batch", 0)).contains("train.batch = 0"));
        let biased = Overlay::default().set("strategy.control_variate", true).set("strategy.defence", 0.2);
        assert!(message(biased).contains("do not go together"));
    }

    #[test]
    fn differences_name_the_keys_that_may_not_change() {
        let run = Config::resolve(None, &Overlay::default()).unwrap();
        let now = Config::resolve(None, &Overlay::default().set("seed", 1).set("train.epochs", 99)).unwrap();
        assert_eq!(run.differences(&now), ["seed (0 in the run, 1 now)"]);
    }
}
