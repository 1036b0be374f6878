//! Mixtures of Bernoulli units.

pub mod checks;
pub mod config;
pub mod strategies;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Draws, Estimate, Key, Strategy};
use helmholtz_court::{Exact, ReferenceError};
use helmholtz_mixture::BernoulliMixture;
use helmholtz_ops::sigmoid;
use helmholtz_strategies::MaximumLikelihood;

use crate::can::{Can, Classified, Drawn, Formula, Likelihood};
use crate::error::ConfigError;
use crate::registry::Family;
use crate::taped::gradient_of_likelihood;

/// The family.
pub fn family() -> Family {
    Family {
        name: "mixture",
        models: config::models(),
        strategies: strategies::entries(),
        checks: checks::checks,
    }
}

impl Can for BernoulliMixture {
    fn formula(&self) -> Option<&dyn Formula> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }

    fn drawn(&self) -> Option<&dyn Drawn> {
        Some(self)
    }

    fn classified(&self) -> Option<&dyn Classified> {
        (self.classes > 1).then_some(self)
    }

    /// The responsibilities of the components.
    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        Ok(vec![self.responsibilities(batch)])
    }
}

impl Likelihood for BernoulliMixture {
    fn ascend(&self, batch: &Batch, key: Key) -> Estimate {
        MaximumLikelihood {}.estimate(self, batch, key)
    }

    /// By autodiff.
    fn gradient(&self, batch: &Batch) -> Result<Box<dyn Exact>, ReferenceError> {
        Ok(gradient_of_likelihood(self, batch))
    }
}

impl Drawn for BernoulliMixture {
    fn draw(&self, draws: &Draws, means: bool) -> Tensor<2> {
        let (x, components) = self.dream(draws);
        if means { sigmoid(self.logits.val().select(0, components)) } else { x }
    }

    fn units_are_independent(&self) -> bool {
        true
    }
}

impl Classified for BernoulliMixture {
    fn log_class_probabilities(&self, batch: &Batch) -> Tensor<2> {
        BernoulliMixture::log_class_probabilities(self, batch)
    }
}
