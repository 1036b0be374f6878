//! Strategies for products of experts.

use helmholtz_core::Role;
use helmholtz_energy::Unigauss;
use helmholtz_strategies::{Centring, ContrastiveDivergence, Offsets, PersistentChains, Start};

use super::config::ExpertsWord;
use crate::energy::strategies::check;
use crate::error::ConfigError;
use crate::papers;
use crate::registry::StrategyEntry;
use crate::spec::{BuiltOn, ModelSpec};
use crate::strategies::MaximumLikelihoodSettings;
use crate::strategy::{BoxedStrategy, boxed_on};
use crate::strategy_settings::StrategySettings;

/// Strategies for a [`StudentT`](helmholtz_energy::StudentT) or a [`Unigauss`].
pub(super) fn entries() -> Vec<StrategyEntry> {
    let needs = "an energy with hidden units";
    vec![
        StrategyEntry::of::<MaximumLikelihoodSettings>(
            "ml",
            "maximum likelihood, by its gradient",
            papers::LIKELIHOOD,
            "a likelihood that can be computed",
        ),
        StrategyEntry::of::<ExpertsCdSettings>(
            "cd",
            "contrastive divergence: chains from the batch",
            papers::CD,
            needs,
        ),
        StrategyEntry::of::<ExpertsPcdSettings>(
            "pcd",
            "contrast with chains that persist",
            papers::PCD,
            needs,
        ),
    ]
}

crate::settings! {
    /// `cd`
    pub ExpertsCdSettings {
        /// Number of sweeps of each chain, k.
        sweeps: usize = 1,
    }
}

crate::settings! {
    /// `pcd`
    pub ExpertsPcdSettings {
        /// Number of sweeps of each chain in an update, k.
        sweeps: usize = 1,
        /// Number of chains.
        chains: usize = 100,
    }
}

fn unigauss<'a>(on: &BuiltOn<'a>) -> &'a Unigauss {
    on.model.downcast_ref().expect("other experts were refused")
}

/// Refuses experts without hidden units.
fn needs_choices(kind: &str, model: &dyn ModelSpec) -> Result<(), ConfigError> {
    let word = ExpertsWord::Unigauss.word();
    if model.table().get("experts").and_then(toml::Value::as_str) == Some(word) {
        return Ok(());
    }
    Err(ConfigError(format!(
        "strategy.kind = \"{kind}\": its chains draw hidden units, and student-t experts have none; their likelihood is a \
         formula, so use ml, or model.experts = \"{word}\""
    )))
}

impl StrategySettings for ExpertsCdSettings {
    fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        needs_choices(kind, model)
    }

    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("sweeps", self.sweeps)], 1.0)
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let centring = Centring::new(unigauss(on), Offsets::Zero);
        let strategy = ContrastiveDivergence { sweeps: self.sweeps, start: Start::Data, centring };
        Ok(boxed_on::<Unigauss, _>(strategy))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("k = {}", self.sweeps))
    }
}

impl StrategySettings for ExpertsPcdSettings {
    fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        needs_choices(kind, model)
    }

    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("sweeps", self.sweeps), ("chains", self.chains)], 1.0)
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let (counts, key) = ((self.chains, self.sweeps), on.key.child(Role::Start));
        Ok(boxed_on::<Unigauss, _>(PersistentChains::new(unigauss(on), counts, Offsets::Zero, key)))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("k = {}", self.sweeps))
    }
}
