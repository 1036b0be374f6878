//! Strategies for mixtures.

use helmholtz_mixture::BernoulliMixture;
use helmholtz_strategies::ExpectationMaximisation;

use crate::error::ConfigError;
use crate::papers;
use crate::registry::StrategyEntry;
use crate::spec::BuiltOn;
use crate::strategies::MaximumLikelihoodSettings;
use crate::strategy::{BoxedStrategy, boxed};
use crate::strategy_settings::StrategySettings;

crate::estimates!(ExpectationMaximisation => BernoulliMixture);

/// Strategies for a [`BernoulliMixture`].
pub(super) fn entries() -> Vec<StrategyEntry> {
    let formula = "a likelihood in closed form";
    vec![
        StrategyEntry::of::<MaximumLikelihoodSettings>(
            "ml",
            "maximum likelihood, by its gradient",
            papers::LIKELIHOOD,
            formula,
        ),
        StrategyEntry::of::<ExpectationMaximisationSettings>(
            "em",
            "expectation maximisation, with statistics averaged over batches",
            papers::EM,
            "a mixture",
        ),
    ]
}

crate::settings! {
    /// `em`
    pub ExpectationMaximisationSettings {
        /// Exponent κ of the step size (1 + t)^-κ of the statistics: 0 takes each batch alone, values above 1/2
        /// average over batches.
        step_exponent: f64 = 0.6,
    }
}

impl StrategySettings for ExpectationMaximisationSettings {
    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        if (0.0..=1.0).contains(&self.step_exponent) {
            return Ok(());
        }
        Err(ConfigError(format!("strategy.step_exponent = {}: must lie in [0, 1]", self.step_exponent)))
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let model: &BernoulliMixture =
            on.model.downcast_ref().expect("a family's strategies are for its own models");
        Ok(boxed(ExpectationMaximisation::new(model, self.step_exponent)))
    }

    /// Statistics of each component and unit, those kept and those of a batch.
    fn values_remembered(&self, weights: u64) -> u64 {
        weights.saturating_mul(4)
    }

    fn takes_whole_steps(&self) -> bool {
        true
    }
}
