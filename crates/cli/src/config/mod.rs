//! The config file, its defaults and its checks.
//!
//! A config is resolved from a file, then `--set` pairs, then flags; the resolved form, with every
//! default written out, is what a run saves.

mod limits;
mod optimizer;
mod overlay;
mod schema;
mod strategy;
mod vae;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use helmholtz_datasets::Plan;
use toml::{Table, Value};

pub(crate) use limits::check_threads;
pub use limits::count;
use limits::{LARGEST, LARGEST_MATRIX, check_name};
pub use overlay::Overlay;
use overlay::{check_keys, lay_over};
use schema::{ACTIVATIONS, LOSSES, ORDERS, PHI, SCHEDULES, WEIGHTS};
pub use schema::{
    Config, DataConfig, LAYERS, MODELS, ModelConfig, OPTIMIZERS, OptimizerConfig, RunConfig, STRATEGIES,
    StageConfig, StrategyConfig, TrainConfig,
};

use crate::error::{excerpt, known, shortened, toml_problem, user};

/// Keys that may differ between a run and its resumption; the length only of a run without stages and at a
/// constant rate.
pub const MAY_CHANGE: [&str; 5] =
    ["train.epochs", "train.steps", "run.device", "run.threads", "run.data_dir"];

/// A plan for questions that do not depend on one: which strategies there are.
pub(crate) const ANY: Plan = Plan { rows: 1, batch: 1, steps: 1 };

impl Config {
    /// The config of a file (or none) with `overlay` on top, checked, with defaults written out.
    ///
    /// # Errors
    /// If the file cannot be read or a key, type or value is wrong.
    pub fn resolve(file: Option<&Path>, overlay: &Overlay) -> anyhow::Result<Self> {
        let (place, table) = match file {
            Some(path) => {
                let text = read_text(path, "a config file, or flags alone")?;
                let table = text
                    .parse::<Table>()
                    .map_err(|error| user(format!("{}: {}", path.display(), toml_problem(&error, &text))))?;
                (path.display().to_string(), table)
            }
            None => ("the command line".to_string(), Table::new()),
        };
        Config::of_table(table, &place, overlay)
    }

    /// The config of a table that was found at `place`, with `overlay` on top, checked, with defaults written out.
    ///
    /// # Errors
    /// If a key, type or value is wrong.
    pub(crate) fn of_table(mut table: Table, place: &str, overlay: &Overlay) -> anyhow::Result<Self> {
        check_keys(&table, place)?;
        for (key, value) in &overlay.0 {
            lay_over(&mut table, key, value.clone())?;
        }
        check_keys(&table, "the command line")?;
        follow_the_model(&mut table)?;
        let config: Config = table.try_into().map_err(|error: toml::de::Error| {
            user(format!("{place}: {}", shortened(error.message().trim(), 300)))
        })?;
        config.checked()
    }

    /// Writes out what depends on other keys and refuses what makes no sense.
    fn checked(mut self) -> anyhow::Result<Self> {
        if self.schema != 1 {
            return Err(user(format!("schema = {}: this version reads schema 1", self.schema)));
        }
        check_name("model.kind", &self.model.kind, &MODELS)?;
        check_name("model.weights", &self.model.weights, &WEIGHTS)?;
        check_name("strategy.kind", &self.strategy.kind, &STRATEGIES)?;
        check_name("strategy.phi", &self.strategy.phi, &PHI)?;
        check_name("optimizer.kind", &self.optimizer.kind, &OPTIMIZERS)?;
        check_name("optimizer.schedule", &self.optimizer.schedule, &SCHEDULES)?;
        check_name("optimizer.loss", &self.optimizer.loss, &LOSSES)?;
        if self.model.kind == "vae" {
            self.check_vae()?;
            self.check_layers()?;
        } else {
            self.check_no_vae()?;
            self.check_layers()?;
            self.check_inside_layers()?;
        }
        let has_latents = !self.model.layers.is_empty();
        if !has_latents && [&self.model.kind, &self.strategy.kind].into_iter().any(|kind| kind == "bihm") {
            return Err(user(
                "model.layers = []: a bidirectional machine is made of p(x, h) and q(h | x); give it latents, \
                 or choose another model and strategy rws",
            ));
        }
        self.check_strategy()?;
        let samples = self.strategy.samples.unwrap_or_default();
        let most = self.stage.iter().filter_map(|stage| stage.samples).fold(samples, usize::max);
        if most > 1 && !has_latents {
            return Err(user(format!(
                "samples = {most} with model.layers = []: without latents there is nothing to propose, and the \
                 likelihood is exact; leave samples out"
            )));
        }
        self.check_optimizer()?;
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
            if value > LARGEST {
                return Err(user(format!("{key} = {value}: must not be above {LARGEST}")));
            }
        }
        self.check_stages()?;
        if !self.model.bias.is_finite() {
            return Err(user(format!("model.bias = {}: must be finite", self.model.bias)));
        }
        if let Some(threads) = self.run.threads {
            check_threads("run.threads =", threads)?;
        }
        match (self.train.epochs, self.train.steps) {
            (Some(_), Some(_)) => {
                return Err(user("train.epochs and train.steps: give one of them, not both"));
            }
            (None, None) => self.train.epochs = Some(30),
            (Some(n), _) | (_, Some(n)) if n > LARGEST as u64 => {
                return Err(user(format!("a run of {n} epochs or steps: must not be above {LARGEST}")));
            }
            (Some(0), _) | (_, Some(0)) => {
                return Err(user("a run of no epochs or steps trains nothing: give at least 1"));
            }
            _ => {}
        }
        for samples in self.samples() {
            crate::strategy::check(&self, samples)?;
        }
        // Whether the device can be had is asked where it is needed: a run is read on other machines as well.
        crate::device::check(&self.run.device)?;
        Ok(self)
    }

    fn check_stages(&self) -> anyhow::Result<()> {
        if !self.stage.is_empty() && self.train.steps.is_some() {
            return Err(user("train.steps with [[stage]]: stages follow whole epochs; give train.epochs"));
        }
        for (i, stage) in self.stage.iter().enumerate() {
            let wrong = |key: &str, value: &dyn std::fmt::Display, wanted: &str| {
                Err(user(format!("stage {}, {key} = {value}: {wanted}", i + 1)))
            };
            if !(1..=LARGEST as u64).contains(&stage.epochs) {
                return wrong("epochs", &stage.epochs, &format!("must be from 1 to {LARGEST}"));
            }
            if let Some(samples) = stage.samples.filter(|k| !(1..=LARGEST).contains(k)) {
                return wrong("samples", &samples, &format!("must be from 1 to {LARGEST}"));
            }
            for (key, value) in [("lr", stage.lr), ("lr_q", stage.lr_q), ("lr_end", stage.lr_end)] {
                if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                    return wrong(key, &value, "a finite number, not below zero");
                }
            }
            if let Some(schedule) = stage.schedule.as_ref().filter(|name| !SCHEDULES.contains(&name.as_str()))
            {
                return wrong("schedule", schedule, &known(schedule, &SCHEDULES));
            }
        }
        Ok(())
    }

    fn check_layers(&self) -> anyhow::Result<()> {
        let layers = self.model.layers.len();
        if let Some(layer) = self.model.layers.iter().position(|&d| d == 0) {
            return Err(user(format!(
                "model.layers: layer {layer} has no units; every size must be at least 1"
            )));
        }
        let (below, above) = (self.model.layers.iter(), self.model.layers.iter().skip(1).chain([&1]));
        if let Some((a, b)) = below.zip(above).find(|(a, b)| a.saturating_mul(**b) > LARGEST_MATRIX) {
            return Err(user(format!("model.layers: {a} units below {b} make more than 2^28 weights")));
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
            if let Some(kind) = kinds.iter().find(|kind| !LAYERS.contains(&kind.as_str())) {
                return Err(user(format!(
                    "model.{key} = [.. \"{}\" ..]: unknown layer; {}",
                    excerpt(kind),
                    known(kind, &LAYERS)
                )));
            }
        }
        Ok(())
    }

    /// Writes out or refuses the keys that only some kinds of layers have.
    fn check_inside_layers(&mut self) -> anyhow::Result<()> {
        let depth = self.model.layers.len();
        let [generative, recognition] = self.model.layer_kinds();
        let conditional = || generative[..depth].iter().chain(&recognition);
        let has_dsbn = conditional().any(|kind| kind == "dsbn");
        let has_hidden = has_dsbn || generative[depth] == "nade" || conditional().any(|kind| kind == "nade");
        let is_ordered = ["darn", "nade"].contains(&generative[0].as_str());
        let in_vain = |key: &str, kinds: &str| {
            Err(user(format!("model.{key} is set, and there is no {kinds} for it; leave it out")))
        };
        let model = &mut self.model;
        match model.hidden {
            Some(_) if !has_hidden => return in_vain("hidden", "nade or dsbn layer"),
            Some(hidden) if !(1..=LARGEST_MATRIX >> 10).contains(&hidden) => {
                return Err(user(format!(
                    "model.hidden = {hidden}: must be from 1 to {}",
                    LARGEST_MATRIX >> 10
                )));
            }
            _ => {}
        }
        if has_dsbn {
            check_name("model.activation", model.activation.get_or_insert("sigmoid".into()), &ACTIVATIONS)?;
        } else if model.activation.is_some() {
            return in_vain("activation", "dsbn layer");
        }
        if is_ordered {
            let order = model.order.get_or_insert("index".into());
            check_name("model.order", order, &ORDERS)?;
            if order == "random" {
                model.order_seed.get_or_insert(0);
            } else if model.order_seed.is_some() {
                return in_vain("order_seed", "random order");
            }
        } else if model.order.is_some() || model.order_seed.is_some() {
            return in_vain("order", "darn or nade layer over the data");
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
        // Stages and falling rates are laid out over the run's length: another length is another past.
        let fixed = !self.stage.is_empty() || self.optimizer.schedule != "constant";
        let may_change = |key: &str| {
            MAY_CHANGE.contains(&key) && !(fixed && matches!(key, "train.epochs" | "train.steps"))
        };
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let show = |value: Option<&Value>| value.map_or("nothing".to_string(), |value| value.to_string());
        keys.into_iter()
            .filter(|key| a.get(*key) != b.get(*key) && !may_change(key.as_str()))
            .map(|key| format!("{key} ({} in the run, {} now)", show(a.get(key)), show(b.get(key))))
            .collect()
    }
}

/// The text of a config or a plan, which no one writes longer than [`LONGEST`] bytes: a device or another program's
/// file must not fill the memory.
///
/// # Errors
/// If the file cannot be read or is too long; `what` ends the sentence: what is wanted.
pub(crate) fn read_text(path: &Path, what: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    let wrong = |problem: &dyn std::fmt::Display| {
        Err(user(format!("{}: {problem}; give the path of {what}", path.display())))
    };
    match read {
        Err(error) => wrong(&error),
        Ok(_) if text.len() as u64 > LONGEST => wrong(&format!("has more than {LONGEST} bytes")),
        Ok(_) => Ok(text),
    }
}

/// Bytes of a config file: 4 MiB.
const LONGEST: u64 = 4 << 20;

/// A bidirectional machine is trained by its own strategy unless another is named, and a vae by the ELBO; a vae's
/// latents are fewer.
fn follow_the_model(table: &mut Table) -> anyhow::Result<()> {
    let given = |section: &str, key: &str| table.get(section)?.get(key);
    let (strategy, layers) = (given("strategy", "kind").is_some(), given("model", "layers").is_some());
    let usual = match given("model", "kind").and_then(Value::as_str) {
        Some("bihm") => "bihm",
        Some("vae") => {
            if !layers {
                lay_over(table, "model.layers", vec![20].into())?;
            }
            "elbo"
        }
        _ => return Ok(()),
    };
    if strategy { Ok(()) } else { lay_over(table, "strategy.kind", usual.into()) }
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
        let falling = |epochs: i64| {
            let overlay = Overlay::default().set("optimizer.schedule", "cosine").set("train.epochs", epochs);
            Config::resolve(None, &overlay).unwrap()
        };
        assert_eq!(falling(10).differences(&falling(20)), ["train.epochs (10 in the run, 20 now)"]);
    }
}
