//! Values that override a config, and the keys that a config may have.

use std::path::PathBuf;

use toml::{Table, Value};

use super::schema::{OptimizerConfig, RunConfig, Sections, TrainConfig};
use crate::error::{excerpt, known, user};
use crate::registry::registry;

/// Values that override those of a config, in order.
#[derive(Clone, Debug, Default)]
pub struct Overlay(pub(super) Vec<(String, Value)>);

impl Overlay {
    /// Overrides one value.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.push((key.to_string(), value.into()));
        self
    }

    /// Overrides a value if `value` is given.
    pub fn set_if(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// The keys with their values, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether the value of a key is overridden.
    pub(crate) fn sets(&self, key: &str) -> bool {
        self.0.iter().any(|(other, _)| other == key)
    }

    /// Applies a `key=value` pair. The value is read as TOML, or as a string if it is not TOML.
    ///
    /// # Errors
    /// If there is no `=`.
    pub fn parse(self, pair: &str) -> anyhow::Result<Self> {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            let pair = excerpt(pair);
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

/// Sets the value of a dotted key in the table. Of epochs and steps, the one given last counts.
pub(crate) fn lay_over(table: &mut Table, key: &str, value: Value) -> anyhow::Result<()> {
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
        table = entry.as_table_mut().ok_or_else(|| {
            user(format!("{}: `{}` is a value, not a section", excerpt(key), excerpt(part)))
        })?;
    }
    table.insert(last.to_string(), value);
    Ok(())
}

fn remove(table: &mut Table, section: &str, key: &str) {
    if let Some(section) = table.get_mut(section).and_then(Value::as_table_mut) {
        section.remove(key);
    }
}

/// Every key that a config may have, with its section. The keys of model and strategy come from the families. The
/// others come from the structs, whose optional keys are given some value here so that they appear.
fn all_keys() -> Vec<String> {
    let full = Sections {
        tried: Some(1),
        run: RunConfig { threads: Some(1), data_dir: Some(PathBuf::new()), ..RunConfig::default() },
        optimizer: OptimizerConfig {
            beta1: Some(0.0),
            beta2: Some(0.0),
            decay: Some(0.0),
            epsilon: Some(0.0),
            ..OptimizerConfig::default()
        },
        train: TrainConfig {
            epochs: Some(1),
            steps: Some(1),
            init_from: Some(PathBuf::new()),
            ..TrainConfig::default()
        },
        ..Sections::default()
    };
    let table = Table::try_from(full).expect("a config is made of tables and scalars");
    let mut keys = registry().keys();
    for (section, value) in &table {
        match value {
            Value::Table(inner) => keys.extend(inner.keys().map(|key| format!("{section}.{key}"))),
            _ => keys.push(section.clone()),
        }
    }
    keys
}

/// Refuses learning rates that are not numbers, and names their keys.
fn check_rates(table: &Table, place: &str) -> anyhow::Result<()> {
    let stages = table.get("stage").and_then(Value::as_array).into_iter().flatten().enumerate();
    let of_stages = stages.filter_map(|(i, stage)| Some((format!("stage {}, ", i + 1), stage.as_table()?)));
    let of_all = table.get("optimizer").and_then(Value::as_table).map(|all| ("optimizer.".to_owned(), all));
    for (section, all) in of_all.into_iter().chain(of_stages) {
        let is_rate = |key: &str| key.starts_with("lr_");
        let wrong =
            all.iter().find(|(key, value)| is_rate(key) && value.as_float().is_none() && !value.is_integer());
        if let Some((key, value)) = wrong {
            let value = excerpt(&value.to_string()).into_owned();
            return Err(user(format!(
                "{place}: {section}{key} = {value}: a learning rate must be a number, such as 0.001"
            )));
        }
    }
    Ok(())
}

/// The keys of a stage, except for the rates of parameter groups.
const STAGE: [&str; 5] = ["epochs", "samples", "lr", "schedule", "lr_end"];

pub(super) fn check_keys(table: &Table, place: &str) -> anyhow::Result<()> {
    let known_keys = all_keys();
    let names: Vec<&str> = known_keys.iter().map(String::as_str).collect();
    let found = table.iter().flat_map(|(section, value)| match value {
        Value::Table(inner) if !inner.is_empty() => {
            inner.keys().map(|key| format!("{section}.{key}")).collect()
        }
        Value::Table(_) if names.iter().any(|name| name.starts_with(&format!("{section}."))) => Vec::new(),
        _ => vec![section.clone()],
    });
    // The parameter groups depend on the model.
    let is_rate = |key: &str| key.starts_with("optimizer.lr_");
    let stages = table.get("stage").and_then(Value::as_array).into_iter().flatten();
    for (i, stage) in stages.enumerate() {
        let keys = stage.as_table().into_iter().flat_map(Table::keys);
        if let Some(key) =
            keys.into_iter().find(|key| !STAGE.contains(&key.as_str()) && !key.starts_with("lr_"))
        {
            let (key, known) = (excerpt(key), known(key, &STAGE));
            return Err(user(format!("{place}: stage {}: unknown key `{key}`; {known}", i + 1)));
        }
    }
    check_rates(table, place)?;
    match found.into_iter().find(|key| !names.contains(&key.as_str()) && !is_rate(key)) {
        Some(key) => Err(user(format!("{place}: unknown key `{}`; {}", excerpt(&key), known(&key, &names)))),
        None => Ok(()),
    }
}
