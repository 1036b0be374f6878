//! Products of experts over real numbers.

pub mod checks;
pub mod config;
mod initial;
pub mod strategies;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Draws, Estimate, Harmonium, Key, Strategy};
use helmholtz_court::{Exact, ReferenceError, StatesError};
use helmholtz_energy::{StudentT, Unigauss};
use helmholtz_strategies::MaximumLikelihood;

use crate::can::{Can, Drawn, Formula, Likelihood};
use crate::error::ConfigError;
use crate::registry::Family;

/// The family.
pub fn family() -> Family {
    Family {
        name: "experts",
        models: config::models(),
        strategies: strategies::entries(),
        checks: checks::checks,
    }
}

impl Can for StudentT {
    fn formula(&self) -> Option<&dyn Formula> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }

    /// Weights from a file may be such that there is no law.
    fn drawn(&self) -> Option<&dyn Drawn> {
        if self.check().is_ok() { Some(self) } else { None }
    }

    /// What the filters make of a row, `u = Wᵀ x`.
    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        Ok(vec![self.responses(batch.whole())])
    }

    /// w_i of each expert.
    fn filters(&self) -> Result<Tensor<2>, ConfigError> {
        Ok(self.filters.val().transpose())
    }
}

impl Likelihood for StudentT {
    fn ascend(&self, batch: &Batch, key: Key) -> Estimate {
        MaximumLikelihood {}.estimate(self, batch, key)
    }

    /// log Z is computed outside of any tape. Tests compare the gradient with central differences.
    fn gradient(&self, _: &Batch) -> Result<Box<dyn Exact>, ReferenceError> {
        Err(StatesError::Neither.into())
    }
}

impl Drawn for StudentT {
    /// Exact samples, with or without `means`: nothing else is drawn than x.
    fn draw(&self, draws: &Draws, _: bool) -> Tensor<2> {
        self.sample(draws).expect("the law exists, and there are as many experts as columns")
    }

    fn units_are_independent(&self) -> bool {
        false
    }
}

/// A setting keeps the experts so few that sums over their choices are always possible.
const FEW: &str = "the experts are few enough for sums over their choices";

impl Can for Unigauss {
    fn formula(&self) -> Option<&dyn Formula> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }

    fn drawn(&self) -> Option<&dyn Drawn> {
        Some(self)
    }

    /// The probabilities that a row is from the normal part of each expert.
    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        Ok(vec![self.hidden_means(batch.whole())])
    }
}

impl Likelihood for Unigauss {
    fn summed_units(&self) -> usize {
        self.experts()
    }

    fn ascend(&self, batch: &Batch, key: Key) -> Estimate {
        MaximumLikelihood {}.estimate(self, batch, key)
    }

    /// log Z is computed outside of any tape. Tests compare the gradient with central differences.
    fn gradient(&self, _: &Batch) -> Result<Box<dyn Exact>, ReferenceError> {
        Err(StatesError::Neither.into())
    }
}

impl Drawn for Unigauss {
    /// Exact samples, or the means of x given the parts that were drawn.
    fn draw(&self, draws: &Draws, means: bool) -> Tensor<2> {
        let (x, h) = self.sample(draws).expect(FEW);
        if means { self.visible_means(h) } else { x }
    }

    fn units_are_independent(&self) -> bool {
        true
    }
}
