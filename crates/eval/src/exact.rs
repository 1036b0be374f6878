//! `log p(x)`, `log p̃*(x)` and 2 log Z by enumeration.

use burn::tensor::Tensor;
use helmholtz_core::{Enumerable, enumerate_bits};
use helmholtz_ops::log_weights::{log_sum_exp, log_sum_exp_f64};
use thiserror::Error;

use crate::importance::Reading;
use crate::streaming::WeightSums;

/// The largest number of latent bits that is enumerated: 2^24 joint states.
pub const MAX_LATENT_BITS: usize = 24;
/// The largest number of observed and latent bits that a partition function is enumerated over: 2^32 joint
/// states.
pub const MAX_JOINT_BITS: usize = 32;

/// Exact likelihood: a sum over all latent states, in chunks.
#[derive(Clone, Debug)]
pub struct ExactLikelihood {
    /// Entries of the table of joint log-probabilities held at a time. This bounds the memory.
    pub chunk: usize,
}

impl Default for ExactLikelihood {
    fn default() -> Self {
        ExactLikelihood { chunk: 1 << 22 }
    }
}

/// A model too large to enumerate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ExactError {
    /// Too many latent states.
    #[error(
        "{bits} latent bits make 2^{bits} joint states, but enumeration stops at 2^{MAX_LATENT_BITS}; \
         use importance sampling (`--method is --samples 10000`) instead"
    )]
    Latents {
        /// Number of latent bits.
        bits: usize,
    },
    /// Too many states of observed and latent units together.
    #[error(
        "{observed} observed and {bits} latent bits make 2^{} joint states, but the enumeration of a \
         partition function stops at 2^{MAX_JOINT_BITS}; use `--method is`, which estimates it",
        observed + bits
    )]
    Joint {
        /// Number of observed bits.
        observed: usize,
        /// Number of latent bits.
        bits: usize,
    },
}

impl ExactLikelihood {
    /// `log p(x) = log Σ_h p(x, h)` of each row of `x`, in nats.
    ///
    /// # Errors
    /// If the model has more than 2^24 joint latent states.
    pub fn log_prob<M: Enumerable>(&self, model: &M, x: Tensor<2>) -> Result<Vec<f64>, ExactError> {
        self.score(model, x, Reading::Directed)
    }

    /// `log p(x)` or `log p̃*(x) = 2 log Σ_h √(p(x, h) q(h | x))` of each row of `x`, in nats.
    ///
    /// # Errors
    /// If the model has more than 2^24 joint latent states.
    pub fn score<M: Enumerable>(
        &self,
        model: &M,
        x: Tensor<2>,
        reading: Reading,
    ) -> Result<Vec<f64>, ExactError> {
        let bits = model.latent_bits();
        if bits > MAX_LATENT_BITS {
            return Err(ExactError::Latents { bits });
        }
        let [n, d] = x.dims();
        let n_states = 1u64 << bits;
        // Wide enough that the states dominate, narrow enough that one table stays in bounds.
        let states_at_once = n_states.min(4096);
        let rows_at_once = (self.chunk / states_at_once as usize).max(1);
        let mut sums = vec![WeightSums::default(); n];
        for first in (0..n_states).step_by(states_at_once as usize) {
            let h = model.states(first, states_at_once.min(n_states - first) as usize);
            for (block, sums) in sums.chunks_mut(rows_at_once).enumerate() {
                let start = block * rows_at_once;
                let rows = x.clone().slice([start..start + sums.len(), 0..d]);
                let of_states = log_sum_exp_f64(table(model, rows, &h, reading));
                sums.iter_mut().zip(of_states).for_each(|(sums, log_sum)| sums.push(log_sum));
            }
        }
        Ok(sums.iter().map(|sums| reading.factor() * sums.log_sum()).collect())
    }

    /// `2 log Z = log Σ_x p̃*(x)` of the model as a bidirectional machine, by a sum over all states of its units.
    ///
    /// # Errors
    /// If there are more than 2^32 of them, or more than 2^24 latent states.
    pub fn log_z2<M: Enumerable>(&self, model: &M) -> Result<f64, ExactError> {
        let (observed, bits) = (model.observed(), model.latent_bits());
        if bits > MAX_LATENT_BITS {
            return Err(ExactError::Latents { bits });
        }
        if observed + bits > MAX_JOINT_BITS {
            return Err(ExactError::Joint { observed, bits });
        }
        let (n_rows, n_states) = (1u64 << observed, 1u64 << bits);
        let states_at_once = n_states.min(4096);
        let rows_at_once = (self.chunk as u64 / states_at_once).clamp(1, n_rows);
        let mut total = WeightSums::default();
        for first_row in (0..n_rows).step_by(rows_at_once as usize) {
            let rows = rows_at_once.min(n_rows - first_row) as usize;
            let x = enumerate_bits(observed, first_row, rows, model.dtype(), &model.device());
            let parts = (0..n_states).step_by(states_at_once as usize).map(|first| {
                let h = model.states(first, states_at_once.min(n_states - first) as usize);
                log_sum_exp(table(model, x.clone(), &h, Reading::Bidirectional)).unsqueeze_dim::<2>(1)
            });
            let log_roots = log_sum_exp(Tensor::cat(parts.collect(), 1)) * 2.0;
            let log_roots = log_roots.into_data_as::<f64>();
            log_roots.iter::<f64>().for_each(|log_p| total.push(log_p));
        }
        Ok(total.log_sum())
    }
}

/// The logarithms of what a reading sums over the latent states: `[n, states]`.
fn table<M: Enumerable>(model: &M, x: Tensor<2>, h: &M::Latents, reading: Reading) -> Tensor<2> {
    let joint = model.log_joint_table(x.clone(), h);
    match reading {
        Reading::Directed => joint,
        Reading::Bidirectional => (joint + model.log_posterior_table(x, h)) * 0.5,
    }
}
