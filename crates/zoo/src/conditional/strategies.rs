//! Strategies for conditional machines.

use helmholtz_energy::ConditionalRbm;
use helmholtz_strategies::{Centring, ContrastiveDivergence, Start};

use crate::energy::strategies::{CentringWord, check};
use crate::error::ConfigError;
use crate::papers;
use crate::registry::StrategyEntry;
use crate::spec::BuiltOn;
use crate::strategies::MaximumLikelihoodSettings;
use crate::strategy::{BoxedStrategy, boxed_on};
use crate::strategy_settings::StrategySettings;

/// Strategies for a [`ConditionalRbm`].
pub(super) fn entries() -> Vec<StrategyEntry> {
    vec![
        StrategyEntry::of::<ConditionalCdSettings>(
            "cd",
            "contrastive divergence: chains from the batch, each with the class of its row",
            papers::CD,
            "an energy with hidden units",
        ),
        StrategyEntry::of::<MaximumLikelihoodSettings>(
            "ml",
            "maximum likelihood, by its gradient",
            papers::LIKELIHOOD,
            "a likelihood that can be computed",
        ),
    ]
}

crate::settings! {
    /// `cd`
    pub ConditionalCdSettings {
        /// Number of sweeps of each chain, k.
        sweeps: usize = 1,
        /// Offsets of the units: ema (moving means of the data), data (means of the batch), enhanced (half of the
        /// batch, half of the chains) or none.
        centring: CentringWord = CentringWord::Ema,
        /// Share of a new batch in the moving means.
        centring_rate: f64 = 0.01,
    }
}

impl StrategySettings for ConditionalCdSettings {
    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("sweeps", self.sweeps)], self.centring_rate)
    }

    /// Chains begin at the data, because their side inputs must be those of the data.
    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let model: &ConditionalRbm =
            on.model.downcast_ref().expect("a family's strategies are for its own models");
        let centring = Centring::new(model, self.centring.offsets(self.centring_rate));
        let strategy = ContrastiveDivergence { sweeps: self.sweeps, start: Start::Data, centring };
        Ok(boxed_on::<ConditionalRbm, _>(strategy))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("k = {}, {}", self.sweeps, self.centring.words()))
    }
}
