//! Restricted Boltzmann machines of rows given their classes.

pub mod checks;
pub mod config;
pub mod evaluator;
pub mod strategies;

use burn::tensor::{Int, Tensor};
use helmholtz_core::{Batch, Draws, EnergyModel, Estimate, Harmonium, Key, Strategy, Trainable};
use helmholtz_court::{Exact, ReferenceError, StatesError};
use helmholtz_energy::{ConditionalRbm, MOST_UNITS};
use helmholtz_strategies::MaximumLikelihood;

use self::evaluator::FEW;
use crate::can::{Can, Classified, Drawn, Formula, Likelihood};
use crate::error::ConfigError;
use crate::registry::Family;
use crate::taped::gradient_of;

/// The family.
pub fn family() -> Family {
    Family {
        name: "conditional",
        models: config::models(),
        strategies: strategies::entries(),
        checks: checks::checks,
    }
}

impl Can for ConditionalRbm {
    fn formula(&self) -> Option<&dyn Formula> {
        Some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }

    fn drawn(&self) -> Option<&dyn Drawn> {
        Some(self)
    }

    fn is_conditional(&self) -> bool {
        true
    }

    fn classified(&self) -> Option<&dyn Classified> {
        Some(self)
    }

    /// The means of the hidden units given the row and its class.
    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        Ok(vec![self.hidden_means(self.rows(batch))])
    }

    /// Wᵀ, which gains only scale.
    fn filters(&self) -> Result<Tensor<2>, ConfigError> {
        Ok(self.rbm.weight.val().transpose())
    }
}

impl Likelihood for ConditionalRbm {
    fn summed_units(&self) -> usize {
        self.rbm.enumerated_units()
    }

    fn ascend(&self, batch: &Batch, key: Key) -> Estimate {
        MaximumLikelihood {}.estimate(self, batch, key)
    }

    /// By autodiff through `log p(x | y) = -F(x, y) - log Σ_v exp(-F(v, y))`, with the sum over all rows v.
    fn gradient(&self, batch: &Batch) -> Result<Box<dyn Exact>, ReferenceError> {
        let layer = self.rbm.layer();
        if layer.has_real() {
            return Err(StatesError::Neither.into());
        }
        // There are at most 2^columns states.
        if layer.columns() > MOST_UNITS[0] {
            return Err(StatesError::Bits { bits: layer.columns() }.into());
        }
        let states = self.rbm.visible_states();
        let classes = batch.unit_vectors(self.side_inputs()).expect("rows have classes");
        let log_prob = |model: &ConditionalRbm, batch: &Batch| {
            let of_row = |row: usize| {
                let u = classes.clone().narrow(0, row, 1).repeat_dim(0, states.dims()[0]);
                let all = Tensor::cat(vec![states.clone(), u], 1);
                let energies = model.free_energy(Tensor::from_inner(all));
                let lowest = energies.clone().min().detach();
                lowest.clone() - (lowest - energies).exp().sum().log()
            };
            let minus_log_z = Tensor::cat((0..batch.len()).map(of_row).collect(), 0);
            let rows = Tensor::cat(vec![batch.whole(), Tensor::from_inner(classes.clone())], 1);
            minus_log_z - model.free_energy(rows)
        };
        Ok(gradient_of(self, batch, log_prob))
    }
}

impl Drawn for ConditionalRbm {
    /// Exact samples. Row i is drawn given class `i mod K`.
    fn draw(&self, draws: &Draws, means: bool) -> Tensor<2> {
        let k = self.side_inputs();
        let classes: Vec<i64> = (0..draws.len()).map(|row| (row % k) as i64).collect();
        let classes = Tensor::<1, Int>::from_data(classes.as_slice(), &self.device());
        let u = self.classes().select(0, classes);
        let (v, h) = self.sample(u.clone(), draws).expect(FEW);
        if means { self.visible_means(h, u) } else { v }
    }

    fn units_are_independent(&self) -> bool {
        true
    }
}

impl Classified for ConditionalRbm {
    /// All classes are equally likely.
    fn log_class_probabilities(&self, batch: &Batch) -> Tensor<2> {
        ConditionalRbm::log_class_probabilities(self, batch.whole()).expect(FEW)
    }
}
