//! Models that are given by an energy.

pub mod checks;
pub mod config;
mod connected;
mod court;
pub mod evaluator;
pub mod strategies;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use helmholtz_core::{Batch, Draws, EnergyModel, Estimate, Harmonium, Key, Role, Strategy, Trainable};
use helmholtz_court::{Exact, ReferenceError};
use helmholtz_energy::{Rbm, Transitions};
use helmholtz_eval::RowEstimate;
use helmholtz_eval::annealing::Annealing;
use helmholtz_ops::{into_f64, product};
use helmholtz_samplers::tempering::advance;
use helmholtz_samplers::{BlockGibbs, Swaps, Temperatures};
use helmholtz_strategies::{MaximumLikelihood, Offsets};

use self::court::{Law, OfContrast};
use self::evaluator::path;
use crate::can::{Base, Can, Classified, Connected, Drawn, Likelihood, Unnormalised};
use crate::error::ConfigError;
use crate::registry::Family;

/// The family.
pub fn family() -> Family {
    Family {
        name: "energy",
        models: config::models(),
        strategies: strategies::entries(),
        checks: checks::checks,
    }
}

/// Sweeps of a chain from noise where a command does not say how many.
const SWEEPS: usize = 1000;

impl Can for Rbm {
    fn unnormalised(&self) -> Option<&dyn Unnormalised> {
        Some(self)
    }

    fn connected(&self) -> Option<&dyn Connected> {
        (self.classes() == 0).then_some(self)
    }

    fn classified(&self) -> Option<&dyn Classified> {
        (self.classes() > 0).then_some(self)
    }

    fn likelihood(&self) -> Option<&dyn Likelihood> {
        Some(self)
    }

    fn drawn(&self) -> Option<&dyn Drawn> {
        Some(self)
    }

    /// The means of the hidden units.
    fn encode(&self, batch: &Batch) -> Result<Vec<Tensor<2>>, ConfigError> {
        Ok(vec![hidden_means(self, batch.whole())])
    }

    /// Wᵀ, as it stands in the energy, without the connections of a label.
    fn filters(&self) -> Result<Tensor<2>, ConfigError> {
        Ok(self.weight.val().narrow(0, 0, self.observed()).transpose())
    }
}

/// The means of the hidden units given x, with a label summed out.
fn hidden_means(rbm: &Rbm, x: Tensor<2>) -> Tensor<2> {
    if rbm.classes() == 0 { rbm.hidden_means(x) } else { rbm.hidden_means_of_unlabelled(x) }
}

/// Rows with a label that is drawn given x, if the machine has labels.
fn completed(rbm: &Rbm, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
    if rbm.classes() == 0 { x } else { rbm.labelled(x, None, draws) }
}

impl Classified for Rbm {
    fn log_class_probabilities(&self, batch: &Batch) -> Tensor<2> {
        Rbm::log_class_probabilities(self, batch.whole())
    }
}

impl Likelihood for Rbm {
    fn summed_units(&self) -> usize {
        Rbm::enumerated_units(self)
    }

    fn ascend(&self, batch: &Batch, key: Key) -> Estimate {
        MaximumLikelihood {}.estimate(self, batch, key)
    }

    /// The contrast with the law of the machine, a sum over visible states.
    fn gradient(&self, batch: &Batch) -> Result<Box<dyn Exact>, ReferenceError> {
        Ok(Box::new(OfContrast::new(self, batch, (Law::Model, 0), Offsets::Zero)?))
    }
}

impl Drawn for Rbm {
    /// Chains of 1000 sweeps from noise.
    fn draw(&self, draws: &Draws, means: bool) -> Tensor<2> {
        let x = Unnormalised::noise(self, &draws.child(Role::Start));
        let sweep = |x, t: usize| Unnormalised::sweep(self, x, &draws.child(Role::Chain).child(t));
        let x = (0..SWEEPS).fold(x, sweep);
        if means { self.resample(x, &draws.child(Role::Choice)) } else { x }
    }

    fn units_are_independent(&self) -> bool {
        true
    }
}

/// A label is summed out, or drawn where a chain needs it.
impl Unnormalised for Rbm {
    fn free_energies(&self, x: Tensor<2>) -> Tensor<1> {
        if self.classes() == 0 { self.free_energy(x) } else { self.free_energy_of_unlabelled(x) }
    }

    fn enumerated_units(&self) -> usize {
        Rbm::enumerated_units(self)
    }

    fn log_partition(&self) -> Result<f64, ConfigError> {
        Rbm::log_partition(self).map_err(ConfigError::new)
    }

    fn anneal_part(
        &self,
        by: &Annealing,
        chains: Range<usize>,
        base: &Base<'_>,
        key: Key,
        on_step: &mut dyn FnMut(usize),
    ) -> Vec<f64> {
        // A chain draws thousands of times, so products that round in another way would send it along another path.
        // A small part therefore has more chains, which are dropped, until its products round as those of all chains.
        let (d, m) = (self.layer().columns(), self.n_hidden());
        let alike = |shape| product::rows_alike(by.chains, shape, &self.device());
        let wide = chains.start..chains.end.max(chains.start + alike([d, m]).max(alike([m, d])));
        let all = Annealing { chains: by.chains.max(wide.end), ..by.clone() };
        let mut log_weights = all.weigh_part(&path(self, base), wide, key, on_step);
        log_weights.truncate(chains.len());
        log_weights
    }

    /// With labels, `log p_ann(x, y) - log p(y | x)` for a y that is drawn given x. The mean of `p_ann(x, y) / p(y | x)`
    /// over y is `p_ann(x)`.
    fn anneal_back(
        &self,
        by: &Annealing,
        base: &Base<'_>,
        (x, numbers): (Tensor<2>, Arc<[u64]>),
        key: Key,
        on_step: &mut dyn FnMut(usize),
    ) -> Vec<RowEstimate> {
        if self.classes() == 0 {
            return by.reverse(&path(self, base), (x, numbers), key, on_step);
        }
        let draws = Draws::of_rows(key.child(Role::Choice), numbers.clone(), 1);
        let both = self.labelled(x.clone(), None, &draws);
        let of_label = self.free_energy_of_unlabelled(x) - self.free_energy(both.clone());
        let found = by.reverse(&path(self, base), (both, numbers), key, on_step);
        let add = |(row, log_p): (RowEstimate, f64)| RowEstimate { log_prob: row.log_prob - log_p, ..row };
        found.into_iter().zip(into_f64(of_label)).map(add).collect()
    }

    fn noise(&self, draws: &Draws) -> Tensor<2> {
        self.unlabelled(Harmonium::noise(self, draws))
    }

    fn sweep(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        if self.classes() == 0 {
            return Harmonium::sweep(self, x, None, draws);
        }
        self.sweep_of_unlabelled(x, None, draws)
    }

    fn temper(&self, x: Tensor<2>, temperatures: usize, is_odd: bool, key: Key) -> (Tensor<2>, Swaps) {
        let (n, chains) = (x.dims()[0], x.dims()[0] / temperatures);
        let at = Temperatures::even(BlockGibbs { model: self }, temperatures);
        if self.classes() == 0 {
            return advance(&at, x, chains, is_odd, key);
        }
        let beta = |row: usize| at.betas()[row / chains];
        let betas: Vec<f64> = (0..n).map(beta).collect();
        let betas = Tensor::from_data(TensorData::new(betas, [n, 1]), (&x.device(), x.dtype()));
        let both = self.labelled(x, Some(betas), &Draws::new(key.child(Role::Choice), n, 1));
        let (both, swaps) = advance(&at, both, chains, is_odd, key);
        (self.unlabelled(both), swaps)
    }

    fn resample(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        let h = self.draw_hidden(completed(self, x, draws), draws);
        self.unlabelled(self.visible_means(h))
    }

    fn reconstruct(&self, x: Tensor<2>) -> Tensor<2> {
        self.unlabelled(self.visible_means(hidden_means(self, x)))
    }

    fn transitions(&self) -> Result<Transitions, ConfigError> {
        if self.classes() > 0 {
            return Err(ConfigError::new(
                "laws of chains are those of rows without labels: train a machine without model.classes",
            ));
        }
        Rbm::transitions(self).map_err(ConfigError::new)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use helmholtz_core::map_params;
    use helmholtz_energy::RbmConfig;
    use helmholtz_eval::Schedule;

    use super::*;

    #[test]
    fn small_parts_of_the_chains_of_a_large_machine_take_the_paths_that_all_chains_take() {
        // In single precision, so that another rounding would change some of the draws. The products of 100 chains use
        // tables of sums; those of 7 by themselves would not.
        let rbm = RbmConfig::new(96, 80).init(None, Key::new(0), &Device::flex()).unwrap();
        let rbm = map_params(rbm, |_, param| param.values() * 30.0);
        let by = Annealing { chains: 100, schedule: Schedule::linear(300) };
        let part = |chains| rbm.anneal_part(&by, chains, &Base::Uniform, Key::new(1), &mut |_| {});
        let whole = part(0..100);
        for chains in [0..7, 50..51, 93..100] {
            assert_eq!(part(chains.clone()), whole[chains]);
        }
    }
}
