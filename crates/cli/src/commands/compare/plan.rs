//! What `compare` compares: the plan file and its checks.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::args::CompareArgs;
use crate::config::{Config, Overlay, read_text};
use crate::error::{excerpt, known, toml_problem, user};
use crate::registry::registry;

/// The default plan.
const DEFAULT: &str = include_str!("../../../../../configs/compare.toml");

/// A plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    schema: u32,
    #[serde(default)]
    pub(super) court: Vec<Court>,
    #[serde(default)]
    pub(super) race: Vec<Race>,
}

/// `[[court]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Court {
    /// The strategies that are tried.
    pub(super) strategies: Vec<String>,
    /// The numbers of samples per observation, K, that each is tried with.
    pub(super) samples: Vec<i64>,
    /// The weights that gradients are taken at.
    pub(super) weights: Vec<TrainedFor>,
    /// Rows of the batch, the first of the training split.
    #[serde(default = "four")]
    pub(super) rows: usize,
    /// Estimates of each strategy, K and weights.
    pub(super) estimates: u64,
    /// Model, data and training of the weights, with the keys of `helmholtz train`.
    config: Table,
    /// Settings of single strategies that differ.
    #[serde(default)]
    with: BTreeMap<String, Table>,
}

/// `[[race]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Race {
    /// The strategies that run.
    pub(super) strategies: Vec<String>,
    /// Number of seeds of each strategy.
    pub(super) seeds: u64,
    /// The budget of each run.
    pub(super) budget: Budget,
    /// How many times a run is judged on its way.
    #[serde(default = "ten")]
    pub(super) judged: usize,
    /// Number of importance samples per row if the likelihood is not exact.
    #[serde(default = "thousand")]
    pub(super) samples: i64,
    /// Number of test rows judged if the likelihood is not exact; which rows depends only on the protocol.
    #[serde(default = "thousand")]
    pub(super) rows: i64,
    config: Table,
    #[serde(default)]
    with: BTreeMap<String, Table>,
}

/// A budget: exactly one of the two fields is set.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    /// Seconds of training.
    pub(super) seconds: Option<f64>,
    /// Pairs (x, h) scored by p or by q.
    pub(super) model_evaluations: Option<f64>,
}

/// Weights that gradients are taken at.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(super) enum TrainedFor {
    /// The initial weights.
    Fresh,
    /// After half of the training.
    HalfTrained,
    /// After all of the training.
    Trained,
}

fn four() -> usize {
    4
}

fn ten() -> usize {
    10
}

fn thousand() -> i64 {
    1000
}

/// The flags that override every config of a plan.
pub(super) struct Flags {
    pub(super) place: String,
    pub(super) device: Option<String>,
    pub(super) seed: Option<u64>,
}

/// How small a bias a court must be able to see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Precision {
    /// As a share of the exact gradient of each net.
    pub(super) asked: f64,
    /// The most estimates of a strategy, K and weights.
    pub(super) most: u64,
}

impl Precision {
    /// What the flags ask for.
    ///
    /// # Errors
    /// If it cannot be reached, or makes no sense.
    pub(super) fn of(args: &CompareArgs) -> anyhow::Result<Option<Self>> {
        let Some(asked) = args.precision else { return Ok(None) };
        if !(asked > 0.0 && asked <= 1.0) {
            return Err(user(format!(
                "--precision {asked}: must be above 0 and at most 1, the exact gradient itself"
            )));
        }
        let most = args.max_estimates.unwrap_or(1_000_000);
        if !(100..=100_000_000).contains(&most) {
            return Err(user(format!("--max-estimates {most}: must be from 100 to 10^8")));
        }
        Ok(Some(Precision { asked, most }))
    }
}

impl Plan {
    /// The plan of a file, or the default one.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a plan.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<(Self, String)> {
        let (place, text) = match path {
            None => ("the default plan".to_owned(), DEFAULT.to_owned()),
            Some(path) => {
                let place = path.display().to_string();
                (place, read_text(path, "a plan, or no path for the default plan")?)
            }
        };
        check_is_plan(&place, &text)?;
        let plan: Plan = toml::from_str(&text)
            .map_err(|error| user(format!("{place}: {}", toml_problem(&error, &text))))?;
        if plan.schema != 1 {
            return Err(user(format!("{place}: schema = {}: this version reads schema 1", plan.schema)));
        }
        if plan.court.is_empty() && plan.race.is_empty() {
            return Err(user(format!("{place}: has neither a [[court]] nor a [[race]]; add one")));
        }
        plan.court.iter().try_for_each(|court| court.check(&place))?;
        plan.race.iter().try_for_each(|race| race.check(&place))?;
        Ok((plan, text))
    }
}

impl Court {
    fn check(&self, place: &str) -> anyhow::Result<()> {
        check_names(place, "court", &self.strategies, &self.with)?;
        for (what, is_none) in [("samples", self.samples.is_empty()), ("weights", self.weights.is_empty())] {
            if is_none {
                return Err(user(format!("{place}: [[court]] {what} = []: name at least one")));
            }
        }
        if let Some((_, k)) = self.samples.iter().enumerate().find(|(i, k)| self.samples[..*i].contains(k)) {
            return Err(user(format!("{place}: [[court]] samples: {k} is listed twice")));
        }
        if !(1..=64).contains(&self.rows) {
            return Err(user(format!("{place}: [[court]] rows = {}: must be from 1 to 64", self.rows)));
        }
        if !(100..=100_000_000).contains(&self.estimates) {
            let estimates = self.estimates;
            return Err(user(format!(
                "{place}: [[court]] estimates = {estimates}: must be from 100, for a useful standard error, to 10^8"
            )));
        }
        Ok(())
    }

    /// The config that the weights are trained by, including its stages, if there are any.
    pub(super) fn base(&self, flags: &Flags) -> anyhow::Result<Config> {
        resolve(self.config.clone(), None, flags, Overlay::default())
    }

    /// The numbers of samples that a strategy is tried with; just one of them if it takes no samples.
    pub(super) fn samples_of(&self, strategy: &str) -> &[i64] {
        if registry().takes_samples(strategy) { &self.samples } else { &self.samples[..1] }
    }

    /// The config of a strategy with `samples` per observation, if it takes any.
    pub(super) fn of(&self, strategy: &str, samples: i64, flags: &Flags) -> anyhow::Result<Config> {
        let samples = registry().takes_samples(strategy).then_some(samples);
        let overlay = Overlay::default().set_if("strategy.samples", samples);
        resolve(named(&self.config, strategy), self.with.get(strategy), flags, overlay)
    }
}

impl Race {
    fn check(&self, place: &str) -> anyhow::Result<()> {
        check_names(place, "race", &self.strategies, &self.with)?;
        let wrong = |what: String| Err(user(format!("{place}: [[race]] {what}")));
        match (self.budget.seconds, self.budget.model_evaluations) {
            (Some(amount), None) | (None, Some(amount)) if amount.is_finite() && amount > 0.0 => {}
            (Some(_), Some(_)) | (None, None) => {
                return wrong("budget: give either seconds or model_evaluations".into());
            }
            (amount, other) => {
                let amount = amount.or(other).unwrap_or_default();
                return wrong(format!("budget of {amount}: must be above zero"));
            }
        }
        for (key, value) in [("samples", self.samples), ("rows", self.rows), ("judged", self.judged as i64)] {
            if !(1..=1 << 24).contains(&value) {
                return wrong(format!("{key} = {value}: must be from 1 to 2^24"));
            }
        }
        if !(1..=1000).contains(&self.seeds) {
            return wrong(format!("seeds = {}: must be from 1 to 1000", self.seeds));
        }
        Ok(())
    }

    /// The config of a strategy and a seed.
    pub(super) fn of(&self, strategy: &str, seed: u64, flags: &Flags) -> anyhow::Result<Config> {
        let overlay = Overlay::default().set("seed", i64::try_from(seed).unwrap_or(i64::MAX));
        resolve(named(&self.config, strategy), self.with.get(strategy), flags, overlay)
    }

    /// The first seed.
    pub(super) fn first_seed(&self, flags: &Flags) -> anyhow::Result<u64> {
        Ok(resolve(self.config.clone(), None, flags, Overlay::default())?.seed)
    }
}

impl Budget {
    /// Amount and unit.
    pub(super) fn amount(&self) -> (f64, &'static str) {
        match (self.seconds, self.model_evaluations) {
            (Some(seconds), _) => (seconds, "seconds"),
            (None, evaluations) => (evaluations.unwrap_or_default(), "model_evaluations"),
        }
    }
}

/// Refuses the config of a training with the command that takes it.
fn check_is_plan(place: &str, text: &str) -> anyhow::Result<()> {
    let Ok(table) = text.parse::<Table>() else { return Ok(()) };
    let is_config =
        ["data", "model", "strategy", "optimizer", "train"].iter().any(|key| table.contains_key(*key));
    if is_config && !["court", "race"].iter().any(|key| table.contains_key(*key)) {
        return Err(user(format!(
            "{place}: this is a config of one training, not a plan with [[court]] or [[race]]; train it with \
             `helmholtz train {place}`"
        )));
    }
    Ok(())
}

fn check_names(
    place: &str,
    section: &str,
    names: &[String],
    with: &BTreeMap<String, Table>,
) -> anyhow::Result<()> {
    if names.is_empty() {
        return Err(user(format!("{place}: [[{section}]] strategies = []: name at least one")));
    }
    let all = registry().strategy_names();
    if let Some(name) = names.iter().chain(with.keys()).find(|name| !all.contains(&name.as_str())) {
        return Err(user(format!(
            "{place}: [[{section}]] strategy {}: unknown; {}",
            excerpt(name),
            known(name, &all)
        )));
    }
    if let Some(name) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(user(format!("{place}: [[{section}]] strategy {}: named twice", name.1)));
    }
    match with.keys().find(|name| !names.contains(name)) {
        Some(name) => Err(user(format!(
            "{place}: [{section}.with.{name}]: {name} is not in strategies; add it there, or leave this out"
        ))),
        None => Ok(()),
    }
}

/// Refuses a strategy whose config differs from the others' in what all must share.
pub(super) fn check_shared(
    place: &str,
    strategy: &str,
    config: &Config,
    shared: &Config,
) -> anyhow::Result<()> {
    let differs = [
        ("model", config.spec.tables()[0] != shared.spec.tables()[0]),
        ("data", config.data != shared.data),
        ("run", config.run != shared.run),
        ("train", config.train != shared.train),
        ("stage", config.stage != shared.stage),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        Some((section, _)) => Err(user(format!(
            "{place}: [{section}] of {strategy} differs from that of the others: strategies are compared on one model, \
             data set, device and plan of batches; give only [strategy] and [optimizer] under `with`"
        ))),
        None => Ok(()),
    }
}

/// The config with another strategy, without the keys of the first one.
fn named(config: &Table, strategy: &str) -> Table {
    let mut config = config.clone();
    let is_other = |table: &Table| table.get("kind").is_some_and(|kind| kind.as_str() != Some(strategy));
    let kept = config.get("strategy").and_then(Value::as_table).filter(|table| !is_other(table));
    let mut table = kept.cloned().unwrap_or_default();
    table.insert("kind".into(), strategy.into());
    config.insert("strategy".into(), table.into());
    config
}

/// The config of a table with `with` on top of it, section by section.
fn resolve(
    mut config: Table,
    with: Option<&Table>,
    flags: &Flags,
    mut overlay: Overlay,
) -> anyhow::Result<Config> {
    for (section, value) in with.into_iter().flatten() {
        match (config.get_mut(section).and_then(Value::as_table_mut), value) {
            (Some(table), Value::Table(more)) => table.extend(more.clone()),
            _ => {
                config.insert(section.clone(), value.clone());
            }
        }
    }
    overlay = overlay.set_if("run.device", flags.device.clone());
    if let Some(seed) = flags.seed
        && !overlay.sets("seed")
    {
        overlay = overlay.set("seed", i64::try_from(seed).unwrap_or(i64::MAX));
    }
    let config = Config::of_table(config, &flags.place, &overlay)?;
    crate::device::check_asked(&config.run.device, flags.device.is_some(), &flags.place)?;
    if let Some(path) = &config.train.init_from {
        return Err(user(format!(
            "{}: train.init_from = {}: a comparison starts from fresh weights; leave it out",
            flags.place,
            path.display()
        )));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Flags {
        Flags { place: "a plan".into(), device: None, seed: None }
    }

    fn message(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        Plan::read(Some(&path)).unwrap_err().to_string()
    }

    #[test]
    fn the_default_plan_resolves() {
        let (plan, _) = Plan::read(None).unwrap();
        for court in &plan.court {
            court.base(&flags()).unwrap();
            for strategy in &court.strategies {
                for &samples in &court.samples {
                    let config = court.of(strategy, samples, &flags()).unwrap();
                    assert_eq!(
                        (config.spec.strategy.kind(), config.spec.strategy.samples()),
                        (strategy.as_str(), samples as usize)
                    );
                }
            }
        }
        for race in &plan.race {
            for strategy in &race.strategies {
                assert_eq!(race.of(strategy, 7, &flags()).unwrap().seed, 7);
            }
        }
    }

    #[test]
    fn a_strategy_keeps_its_own_keys_and_none_of_the_other() {
        let text = "strategy = { kind = \"rws\", samples = 4, phi = \"both\" }\nmodel = { layers = [3] }";
        let config: Table = text.parse().unwrap();
        let of = |strategy: &str| {
            let config = resolve(named(&config, strategy), None, &flags(), Overlay::default()).unwrap();
            config.spec.strategy.table()
        };
        assert_eq!((of("rws")["phi"].as_str(), of("rws")["samples"].as_integer()), (Some("both"), Some(4)));
        assert_eq!((of("ws").get("phi"), of("ws")["samples"].as_integer()), (None, Some(1)));
    }

    #[test]
    fn what_is_no_plan_is_refused_by_name() {
        let race = |more: &str| {
            message(&format!(
                "schema = 1\n[[race]]\nstrategies = [\"ws\"]\nseeds = 1\n{more}\nconfig = {{}}\n"
            ))
        };
        assert!(message("schema = 2").contains("schema = 2"));
        assert!(message("schema = 1").contains("neither"));
        assert!(message("schema = 1\nraces = 1").contains("races"));
        assert!(race("budget = {}").contains("either seconds or model_evaluations"));
        assert!(race("budget = { seconds = -1 }").contains("-1"));
        assert!(race("budget = { seconds = 1 }\njudged = 0").contains("judged = 0"));
        let named = message(
            "schema = 1\n[[race]]\nstrategies = [\"wss\"]\nseeds = 1\nbudget = { seconds = 1 }\nconfig = {}",
        );
        assert!(named.contains("did you mean `ws`?"), "{named}");
        let court = "schema = 1\n[[court]]\nstrategies = [\"ws\"]\nsamples = [1]\nweights = [\"ripe\"]\nestimates = 100\nconfig = {}";
        assert!(message(court).contains("ripe"));
    }
}
