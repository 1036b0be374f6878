//! The config file, its defaults and its checks.
//!
//! A config is resolved from a file, then `--set` pairs, then flags; the resolved form, with every
//! default written out, is what a run saves.

mod limits;
mod optimizer;
mod overlay;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use helmholtz_datasets::Plan;
use helmholtz_zoo::limits::LARGEST;
use toml::{Table, Value};

use limits::check_name;
pub(crate) use limits::check_threads;
pub use limits::count;
pub(crate) use optimizer::rate_keys;
pub use overlay::Overlay;
use overlay::check_keys;
pub(crate) use overlay::lay_over;
pub use schema::{
    Config, DataConfig, OPTIMIZERS, OptimizerConfig, Rates, RunConfig, StageConfig, TrainConfig,
};
use schema::{LOSSES, SCHEDULES, Sections};

use crate::error::{known, shortened, toml_problem, user};
use crate::registry::registry;

/// Keys that may change when a run is resumed. The length may change only if the run has no stages and a constant
/// rate.
pub const MAY_CHANGE: [&str; 5] =
    ["train.epochs", "train.steps", "run.device", "run.threads", "run.data_dir"];

/// A plan for questions that do not depend on the plan, such as which strategies there are.
pub(crate) const ANY: Plan = Plan { rows: 1, batch: 1, steps: 1 };

impl Config {
    /// The config of a file, if one is given, with `overlay` on top, checked, with defaults written out.
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
    pub fn of_table(mut table: Table, place: &str, overlay: &Overlay) -> anyhow::Result<Self> {
        if ["court", "race"].iter().any(|key| table.get(*key).is_some_and(Value::is_array)) {
            return Err(user(format!(
                "{place}: this is a plan for comparing strategies ([[court]], [[race]]), not a config; run it with \
                 `helmholtz compare {place}`"
            )));
        }
        // What `helmholtz tune` searches is no setting of a run.
        if table.get("tune").is_some_and(Value::is_table) {
            table.remove("tune");
        }
        check_keys(&table, place)?;
        for (key, value) in &overlay.0 {
            lay_over(&mut table, key, value.clone())?;
        }
        check_keys(&table, "the command line")?;
        let given: Vec<String> = match table.get("optimizer") {
            Some(Value::Table(keys)) => keys.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let sections: Sections = table.try_into().map_err(|error: toml::de::Error| {
            user(format!("{place}: {}", shortened(error.message().trim(), 300)))
        })?;
        let Sections { schema, seed, tried, run, data, model, strategy, mut optimizer, train, stage } =
            sections;
        check_stages(&stage, &train)?;
        let stages: Vec<Option<usize>> = stage.iter().map(|stage| stage.samples).collect();
        let spec = registry().resolve(model, strategy, &stages).map_err(|error| {
            // If flags override the file, the error may come from them.
            user(if overlay.0.is_empty() { format!("{place}: {error}") } else { error.to_string() })
        })?;
        if spec.strategy.takes_whole_steps() {
            optimizer.take_whole_steps(&given);
        }
        Config { schema, seed, tried, run, data, spec, optimizer, train, stage }.checked()
    }

    /// Writes out defaults that depend on other keys, and refuses invalid values.
    fn checked(mut self) -> anyhow::Result<Self> {
        if self.schema != 1 {
            return Err(user(format!("schema = {}: this version reads schema 1", self.schema)));
        }
        check_name("optimizer.kind", &self.optimizer.kind, &OPTIMIZERS)?;
        check_name("optimizer.schedule", &self.optimizer.schedule, &SCHEDULES)?;
        check_name("optimizer.loss", &self.optimizer.loss, &LOSSES)?;
        self.check_optimizer()?;
        for (key, value) in [
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
        if let Some(threads) = self.run.threads {
            check_threads("run.threads =", threads)?;
        }
        match (self.train.epochs, self.train.steps) {
            (Some(_), Some(_)) => {
                return Err(user("train.epochs and train.steps: give one of them, not both"));
            }
            (None, None) => self.train.epochs = Some(30),
            (Some(n), _) | (_, Some(n)) if n > LARGEST as u64 => {
                return Err(user(format!("train.epochs or train.steps = {n}: must not be above {LARGEST}")));
            }
            (Some(0), _) | (_, Some(0)) => {
                return Err(user("train.epochs or train.steps = 0: a run needs at least 1"));
            }
            _ => {}
        }
        // Whether the device is available is checked where it is used, because a run is also read on other machines.
        crate::device::check(&self.run.device)?;
        Ok(self)
    }

    /// Keys that differ from those of another config and change what its model's weights mean here, or whether they
    /// mean anything. Keys that only set the initial weights are left out.
    pub fn differences_in_structure(&self, other: &Config) -> Vec<String> {
        let show = |value: Option<Value>| value.map_or("not set".to_string(), |value| value.to_string());
        self.structure_differences(other)
            .into_iter()
            .map(|(key, ours, theirs)| format!("model.{key} ({} there, {} here)", show(theirs), show(ours)))
            .collect()
    }

    /// The same keys, each with its value here and in the other config.
    pub(crate) fn structure_differences(
        &self,
        other: &Config,
    ) -> Vec<(String, Option<Value>, Option<Value>)> {
        let (ours, theirs) = (self.spec.model.structure(), other.spec.model.structure());
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.into_iter()
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .map(|key| (key.clone(), ours.get(key).cloned(), theirs.get(key).cloned()))
            .collect()
    }

    /// The config as TOML, every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config is made of tables and scalars")
    }

    /// Every key with its section, such as `train.batch`, and its value.
    pub fn flat(&self) -> BTreeMap<String, Value> {
        let table: Table = self.to_toml().parse().expect("written by ourselves");
        let mut flat = BTreeMap::new();
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
    }

    /// Keys whose values differ between two resolved configs, except those that may differ.
    pub fn differences(&self, other: &Config) -> Vec<String> {
        let (a, b) = (self.flat(), other.flat());
        // Stages and falling rates are spread over the run's length: with another length, past steps would differ.
        let fixed = !self.stage.is_empty() || self.optimizer.schedule != "constant";
        let may_change = |key: &str| {
            MAY_CHANGE.contains(&key) && !(fixed && matches!(key, "train.epochs" | "train.steps"))
        };
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let show = |value: Option<&Value>| value.map_or("not set".to_string(), |value| value.to_string());
        // A model or strategy of another kind has other keys, too.
        let of_other_kind = |key: &str| {
            let kind = key.split_once('.').map(|(section, _)| format!("{section}.kind")).unwrap_or_default();
            key != kind && a.get(&kind) != b.get(&kind)
        };
        keys.into_iter()
            .filter(|key| !of_other_kind(key) && a.get(*key) != b.get(*key) && !may_change(key.as_str()))
            .map(|key| format!("{key} ({} in the run, {} now)", show(a.get(key)), show(b.get(key))))
            .collect()
    }
}

/// The text of a config or a plan. Longer files than [`LONGEST`] bytes are refused, so that a device or another
/// program's file cannot fill the memory.
///
/// # Errors
/// If the file cannot be read or is too long. The message ends with `what`: the file that is wanted.
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

/// The most bytes of a config file: 4 MiB.
const LONGEST: u64 = 4 << 20;

fn check_stages(stages: &[StageConfig], train: &TrainConfig) -> anyhow::Result<()> {
    if !stages.is_empty() && train.steps.is_some() {
        return Err(user(
            "train.steps does not go with [[stage]], because stages follow whole epochs; give train.epochs",
        ));
    }
    for (i, stage) in stages.iter().enumerate() {
        let wrong = |key: &str, value: &dyn std::fmt::Display, wanted: &str| {
            Err(user(format!("stage {}, {key} = {value}: {wanted}", i + 1)))
        };
        if !(1..=LARGEST as u64).contains(&stage.epochs) {
            return wrong("epochs", &stage.epochs, &format!("must be from 1 to {LARGEST}"));
        }
        if let Some(samples) = stage.samples.filter(|k| !(1..=LARGEST).contains(k)) {
            return wrong("samples", &samples, &format!("must be from 1 to {LARGEST}"));
        }
        let of_groups = stage.rates.iter().map(|(key, rate)| (key.as_str(), Some(*rate)));
        for (key, value) in [("lr", stage.lr), ("lr_end", stage.lr_end)].into_iter().chain(of_groups) {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return wrong(key, &value, "must be finite and not negative");
            }
        }
        if let Some(schedule) = stage.schedule.as_ref().filter(|name| !SCHEDULES.contains(&name.as_str())) {
            return wrong("schedule", schedule, &known(schedule, &SCHEDULES));
        }
    }
    Ok(())
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
        assert!(message(Overlay::default().set("model.kind", "sbnn")).contains("did you mean `sbn`?"));
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
