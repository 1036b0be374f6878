//! The partition function of a machine by enumeration of its smaller layer, or of its hidden one if the visible units
//! are not all bits.
//!
//! If the hidden layer is the smaller one, the sum over the visible units has a closed form:
//!
//! ```text
//! Z = Σ_h exp(b·h) Πᵢ (1 + exp(aᵢ + (Wh)ᵢ))
//! ```
//!
//! otherwise `Z = Σ_v exp(-F(v))`. For other visible units, the factor of a unit in the product is the sum or integral
//! over its values; a machine with Gaussian units is a mixture of 2^m normal laws. The logarithms of the terms have the precision of the parameters, their sum is taken
//! in double precision.

use burn::tensor::{Tensor, TensorData};
use helmholtz_core::{Batch, Draws, EnergyModel, Gradients, Role, Tractable, Trainable, enumerate_bits};
use helmholtz_noise::Stream;
use helmholtz_ops::log_weights::log_sum_exp_f64;
use helmholtz_ops::{bernoulli, into_f64, product};
use thiserror::Error;

use crate::Rbm;
use crate::rbm::along;

/// The largest number of units that are enumerated: 2^25 states.
pub const MAX_ENUMERATED_BITS: usize = 25;

/// Values of the larger layer that are held at a time. This bounds the memory.
const CHUNK: usize = 1 << 22;

/// A machine whose layers are both too large to enumerate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the smaller layer has {units} units, that is 2^{units} states; at most 2^{MAX_ENUMERATED_BITS} are enumerated: \
     estimate the partition function by annealing"
)]
pub struct TooManyUnits {
    /// Units of the smaller layer.
    pub units: usize,
}

/// States of the smaller layer, with the layers summed out or replaced by their means.
struct States {
    /// `log Σ exp(-E)` over the states of the larger layer: `[n]`.
    log_terms: Tensor<1>,
    /// Values or means of the visible units, `[n, d]`, the means of their squares if they are means of real units, and
    /// values or means of the hidden units, `[n, m]`.
    layers: (Tensor<2>, Option<Tensor<2>>, Tensor<2>),
}

impl Rbm {
    /// `log Z` in nats, exactly.
    ///
    /// # Errors
    /// If both layers have more than 25 units.
    pub fn log_partition(&self) -> Result<f64, TooManyUnits> {
        let parts: Vec<f64> =
            self.parts()?.flat_map(|states| log_sum_exp_f64(states.log_terms.unsqueeze())).collect();
        let max = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Ok(max + parts.iter().map(|part| (part - max).exp()).sum::<f64>().ln())
    }

    /// The states of the smaller layer, a part at a time.
    fn parts(&self) -> Result<impl Iterator<Item = States>, TooManyUnits> {
        let (d, m) = (self.layer().columns(), self.n_hidden());
        let units = self.enumerated_units();
        if units > MAX_ENUMERATED_BITS {
            return Err(TooManyUnits { units });
        }
        let all = 1u64 << units;
        let at_once = ((CHUNK / d.max(m)).max(1) as u64).min(all);
        Ok((0..all).step_by(at_once as usize).map(move |first| {
            let n = at_once.min(all - first) as usize;
            let bits = enumerate_bits(units, first, n, self.dtype(), &self.device());
            if units == m { self.of_hidden(bits) } else { self.of_visible(bits) }
        }))
    }

    /// The number of units over whose states log Z is a sum.
    pub fn enumerated_units(&self) -> usize {
        if self.layer().is_bits() { self.layer().columns().min(self.n_hidden()) } else { self.n_hidden() }
    }

    /// Independent samples of the visible and of the hidden units, one row for each matrix row of `draws`: `[n, d]` and
    /// `[n, m]`. A state of the enumerated layer is drawn from its law, and the other layer given that state.
    ///
    /// # Errors
    /// If both layers have more than 25 units.
    pub fn sample(&self, draws: &Draws) -> Result<(Tensor<2>, Tensor<2>), TooManyUnits> {
        let log_terms: Vec<f64> = self.parts()?.flat_map(|states| into_f64(states.log_terms)).collect();
        let max = log_terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sums: Vec<f64> = log_terms
            .iter()
            .scan(0.0, |sum, log| {
                *sum += (log - max).exp();
                Some(*sum)
            })
            .collect();
        let (units, total) = (self.enumerated_units(), sums.last().copied().unwrap_or_default());
        let of_states = draws.child(Role::Choice);
        let state = |row: usize| {
            let (number, sample) = of_states.cell(row);
            let key = of_states.key().child(number).child(u64::from(sample));
            let mass = Stream::new(key).uniform() * total;
            // Rounding may put the mass beyond the last sum.
            sums.partition_point(|sum| *sum <= mass).min(sums.len() - 1)
        };
        let bits: Vec<f64> = (0..draws.len())
            .map(state)
            .flat_map(|state| (0..units).map(move |unit| (state >> unit & 1) as f64))
            .collect();
        let shape = [draws.len(), units];
        let bits = Tensor::from_data(TensorData::new(bits, shape), (&self.device(), self.dtype()));
        if units != self.n_hidden() {
            let h = self.draw_hidden(bits.clone(), draws);
            return Ok((bits, h));
        }
        Ok((self.draw_visible(product::abt(bits.clone(), self.weight.val()), draws), bits))
    }

    fn of_hidden(&self, h: Tensor<2>) -> States {
        let logits = product::abt(h.clone(), self.weight.val());
        if !self.layer().is_bits() {
            return self.of_hidden_by_law(h, logits);
        }
        let scored = bernoulli::score(self.off(self.layer().columns()), logits, self.visible.val());
        let log_terms = along(h.clone(), self.hidden.val()) - scored.log_prob;
        States { log_terms, layers: (-scored.trace, None, h) }
    }

    fn of_hidden_by_law(&self, h: Tensor<2>, field: Tensor<2>) -> States {
        let law = self.given_field(field);
        let log_factors = self.layer().log_normalizer(&law);
        // log f of the law leaves a² / 2s² out.
        let squares = self
            .precision()
            .map(|precision| (precision * self.visible.val().square() * self.real_columns()).sum() * 0.5);
        let log_terms = along(h.clone(), self.hidden.val()) + log_factors;
        let log_terms = match squares {
            Some(squares) => log_terms - squares,
            None => log_terms,
        };
        let mean_squares = law.precision.is_some().then(|| self.layer().mean_squares(&law));
        States { log_terms, layers: (self.layer().means(&law), mean_squares, h) }
    }

    fn of_visible(&self, v: Tensor<2>) -> States {
        let scored = self.given(v.clone());
        let log_terms = self.all_own(v.clone()) - scored.log_prob;
        States { log_terms, layers: (v, None, -scored.trace) }
    }
}

/// By enumeration; nothing is remembered between calls. With labels it is `log p(x, y)`. log Z is a constant to autodiff, so that the derivative of
/// `log_prob` by autodiff lacks that of log Z; `likelihood_gradient` has both.
///
/// # Panics
/// If both layers have more than 25 units.
impl Tractable for Rbm {
    fn log_prob(&self, batch: &Batch) -> Tensor<1> {
        let log_z = self.log_partition().unwrap_or_else(|error| panic!("{error}"));
        -self.free_energy(self.rows(batch)) - log_z
    }

    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let log_z = self.log_partition().unwrap_or_else(|error| panic!("{error}"));
        let x = self.rows(batch);
        let scored = self.given(x.clone());
        let log_prob = self.all_own(x.clone()) - scored.log_prob - log_z;
        let total = weights.clone().sum();
        self.add_energy_gradient((x, None, -scored.trace), weights, into);
        // log Z has the gradient -E[∂E].
        for states in self.parts().unwrap_or_else(|error| panic!("{error}")) {
            let probabilities = (states.log_terms - log_z).exp();
            self.add_energy_gradient(states.layers, -probabilities * total.clone(), into);
        }
        log_prob
    }
}
