//! The families that a program knows, and how the names in a config are resolved.

use toml::{Table, Value};

use crate::check::DoctorCheck;
use crate::error::{ConfigError, excerpt, known};
use crate::settings::ConfigKey;
use crate::spec::{ModelSpec, Spec, StrategySpec};

/// A family: models that share strategies.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its models.
    pub models: Vec<ModelEntry>,
    /// The strategies that train any of them.
    pub strategies: Vec<StrategyEntry>,
    /// What the doctor compares between devices.
    pub checks: fn() -> Vec<DoctorCheck>,
}

/// The paper that a model or a strategy is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paper {
    /// Authors and year, as in `Bornschein & Bengio 2015`.
    pub cite: &'static str,
    /// Where it can be read.
    pub link: &'static str,
}

/// A model that a config can name.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// `model.kind`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// The paper that it is from.
    pub paper: Paper,
    /// What its latents are, in a word or two.
    pub latents: &'static str,
    /// What it is without latents, if that has a name of its own.
    pub without_latents: Option<&'static str>,
    /// The strategy that trains it by default.
    pub usual: &'static str,
    /// The keys of `[model]`.
    pub keys: &'static [ConfigKey],
    /// Keys of other models, with values, that earlier versions wrote out for this one too. They are ignored.
    pub once: SaysNothing,
    /// Reads the keys; the table has no other keys.
    pub read: ReadSection<dyn ModelSpec>,
}

/// A strategy that a config can name.
#[derive(Clone, Debug)]
pub struct StrategyEntry {
    /// `strategy.kind`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// The paper that it is from.
    pub paper: Paper,
    /// What it needs from a model.
    pub needs: &'static str,
    /// The keys of `[strategy]`.
    pub keys: &'static [ConfigKey],
    /// Keys of other strategies, with values, that earlier versions wrote out for this one too. They are ignored.
    pub once: SaysNothing,
    /// Reads the keys; the table has no other keys.
    pub read: ReadSection<dyn StrategySpec>,
}

/// Reads a section of a config, given the name and the table without `kind`.
pub type ReadSection<S> = fn(&'static str, Table) -> Result<Box<S>, ConfigError>;

/// Whether a key that is not its own, with this value, is ignored.
pub type SaysNothing = fn(&str, &Value) -> bool;

/// The families that a program knows.
#[derive(Clone, Debug)]
pub struct Registry {
    families: Vec<Family>,
}

impl Registry {
    /// A registry of some families. The first model of the first family is the default of a config.
    ///
    /// # Panics
    /// If there is no model, if two models, two families or two strategies of a family have the same name, or if a
    /// family lacks the usual strategy of one of its models.
    pub fn new(families: Vec<Family>) -> Self {
        let registry = Registry { families };
        let names = registry.model_names();
        assert!(!names.is_empty(), "a registry needs at least one model");
        let is_single = |names: &[&str]| names.iter().enumerate().all(|(i, name)| !names[..i].contains(name));
        assert!(is_single(&names), "two models have the same name: {names:?}");
        let of_families: Vec<&str> = registry.families.iter().map(|family| family.name).collect();
        assert!(is_single(&of_families), "two families have the same name: {of_families:?}");
        for family in &registry.families {
            let names: Vec<&str> = family.strategies.iter().map(|strategy| strategy.name).collect();
            assert!(is_single(&names), "two strategies of a family have the same name: {names:?}");
            let without = family.models.iter().find(|model| !names.contains(&model.usual));
            assert!(without.is_none(), "{}: the usual strategy of {without:?} is missing", family.name);
        }
        registry
    }

    /// The registry with another family.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with(mut self, family: Family) -> Self {
        self.families.push(family);
        Registry::new(self.families)
    }

    /// The families.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Names of all models.
    pub fn model_names(&self) -> Vec<&'static str> {
        self.models().map(|model| model.name).collect()
    }

    /// Names of all strategies, each once.
    pub fn strategy_names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for strategy in self.strategies() {
            if !names.contains(&strategy.name) {
                names.push(strategy.name);
            }
        }
        names
    }

    /// All keys that some model or strategy has, with their sections, as in `model.layers`.
    pub fn keys(&self) -> Vec<String> {
        let of_models = self.models().flat_map(|model| model.keys).map(|key| format!("model.{}", key.name));
        let strategies = self.strategies().flat_map(|strategy| strategy.keys);
        let mut keys: Vec<String> =
            of_models.chain(strategies.map(|key| format!("strategy.{}", key.name))).collect();
        keys.extend(["model.kind", "strategy.kind"].map(str::to_owned));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What a model is without latents, if that has a name of its own.
    pub fn without_latents(&self, kind: &str) -> Option<&'static str> {
        self.models().find(|model| model.name == kind)?.without_latents
    }

    /// Whether a strategy takes samples, that is, whether K is one of its keys.
    pub fn takes_samples(&self, strategy: &str) -> bool {
        let mut of_name = self.strategies().filter(|entry| entry.name == strategy);
        of_name.any(|entry| entry.keys.iter().any(|key| key.name == "samples"))
    }

    fn models(&self) -> impl Iterator<Item = &ModelEntry> {
        self.families.iter().flat_map(|family| &family.models)
    }

    fn strategies(&self) -> impl Iterator<Item = &StrategyEntry> {
        self.families.iter().flat_map(|family| &family.strategies)
    }

    /// Resolves `[model]` and `[strategy]`; `stages` has the K of each later stage, if it is set.
    ///
    /// # Errors
    /// If a name is unknown, a key is not the model's or the strategy's own, a value is invalid, or the strategy does
    /// not train the model.
    pub fn resolve(
        &self,
        mut model: Table,
        mut strategy: Table,
        stages: &[Option<usize>],
    ) -> Result<Spec, ConfigError> {
        let kind = take_kind("model", &mut model)?.unwrap_or_else(|| self.model_names()[0].to_owned());
        let found = self.families.iter().find_map(|family| {
            family.models.iter().find(|entry| entry.name == kind).map(|entry| (family, entry))
        });
        let Some((family, entry)) = found else { return Err(unknown("model", &kind, &self.model_names())) };
        let others = self.models().map(|model| (model.name, model.keys));
        let model = (entry.read)(
            entry.name,
            own_keys("model", entry.name, (entry.keys, entry.once), others, model)?,
        )?;

        let kind = take_kind("strategy", &mut strategy)?.unwrap_or_else(|| entry.usual.to_owned());
        let Some(entry) = family.strategies.iter().find(|strategy| strategy.name == kind) else {
            return Err(self.does_not_fit(family, entry, &kind));
        };
        let others = self.strategies().map(|strategy| (strategy.name, strategy.keys));
        let mut table = own_keys("strategy", entry.name, (entry.keys, entry.once), others, strategy)?;
        let has_samples = entry.keys.iter().any(|key| key.name == "samples");
        if !has_samples && stages.iter().any(Option::is_some) {
            return Err(ConfigError(format!(
                "[[stage]] samples: {} takes no samples; leave it out",
                entry.name
            )));
        }
        if model.layers().is_empty() && has_samples {
            // There is nothing to propose.
            table.entry("samples").or_insert(1.into());
        }
        Spec::new(model, (entry.read)(entry.name, table)?, stages)
    }

    fn does_not_fit(&self, family: &Family, model: &ModelEntry, kind: &str) -> ConfigError {
        let Some(entry) = self.strategies().find(|strategy| strategy.name == kind) else {
            return unknown("strategy", kind, &self.strategy_names());
        };
        let instead: Vec<&str> = family.strategies.iter().map(|strategy| strategy.name).collect();
        let trains = |family: &&Family| family.strategies.iter().any(|strategy| strategy.name == kind);
        let models: Vec<&str> = self
            .families
            .iter()
            .filter(trains)
            .flat_map(|family| &family.models)
            .map(|model| model.name)
            .collect();
        ConfigError(format!(
            "strategy.kind = \"{kind}\" on model.kind = \"{}\": {kind} needs {}, but the latents of {} are {}; use {}, \
             or another model ({})",
            model.name,
            entry.needs,
            model.name,
            model.latents,
            instead.join(", "),
            models.join(", ")
        ))
    }
}

fn take_kind(section: &str, table: &mut Table) -> Result<Option<String>, ConfigError> {
    table.remove("kind").map(|kind| crate::settings::read(section, "kind", kind)).transpose()
}

fn unknown(section: &str, name: &str, names: &[&str]) -> ConfigError {
    ConfigError(format!("{section}.kind = \"{}\": unknown; {}", excerpt(name), known(name, names)))
}

/// The table without keys that are ignored here.
///
/// # Errors
/// If it has a key that is not its own.
fn own_keys<'a>(
    section: &str,
    name: &str,
    (own, once): (&[ConfigKey], SaysNothing),
    others: impl Iterator<Item = (&'static str, &'a [ConfigKey])>,
    mut table: Table,
) -> Result<Table, ConfigError> {
    let is_own = |key: &str| own.iter().any(|own| own.name == key);
    table.retain(|key, value| is_own(key) || !once(key, value));
    let names: Vec<&str> = own.iter().map(|own| own.name).collect();
    let Some((key, _)) = table.iter().find(|(key, _)| !is_own(key)) else { return Ok(table) };
    let mut owners: Vec<&str> = Vec::new();
    for (owner, keys) in others {
        if owner != name && keys.iter().any(|other| other.name == key) && !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    if owners.is_empty() {
        return Err(ConfigError(format!("{section}.{}: unknown key; {}", excerpt(key), known(key, &names))));
    }
    Err(ConfigError(format!(
        "{section}.{key} belongs to {}, and the {section} is {name}, {}; leave it out, or choose another {section}.kind",
        owners.join(" and "),
        if names.is_empty() {
            "which has no keys".to_owned()
        } else {
            format!("whose keys are {}", names.join(", "))
        }
    )))
}
