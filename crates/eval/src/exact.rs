//! `log p(x)` by enumeration.

use burn::tensor::Tensor;
use helmholtz_core::Enumerable;
use thiserror::Error;

use crate::streaming::WeightSums;

/// The largest number of latent bits that is enumerated: 2^24 joint states.
pub const MAX_LATENT_BITS: usize = 24;

/// Exact likelihood: `log p(x) = log Σ_h p(x, h)` over all latent states, in chunks.
#[derive(Clone, Debug)]
pub struct ExactLikelihood {
    /// Entries of the table of joint log-probabilities held at a time: what bounds the memory.
    pub chunk: usize,
}

impl Default for ExactLikelihood {
    fn default() -> Self {
        ExactLikelihood { chunk: 1 << 22 }
    }
}

/// A model too large to enumerate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "{bits} latent bits make 2^{bits} joint states, and enumeration stops at 2^{MAX_LATENT_BITS}; \
     use importance sampling (`--method is --samples 10000`) instead"
)]
pub struct ExactError {
    /// Number of latent bits.
    pub bits: usize,
}

impl ExactLikelihood {
    /// `log p` of each row of `x`, in nats.
    ///
    /// # Errors
    /// If the model has more than 2^24 joint latent states.
    pub fn log_prob<M: Enumerable>(&self, model: &M, x: Tensor<2>) -> Result<Vec<f64>, ExactError> {
        let bits = model.latent_bits();
        if bits > MAX_LATENT_BITS {
            return Err(ExactError { bits });
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
                let table = model.log_joint_table(rows, &h).into_data_as::<f64>();
                let table = table.try_to_vec::<f64>().expect("converted to f64 just now");
                let width = table.len() / sums.len();
                for (sums, row) in sums.iter_mut().zip(table.chunks_exact(width)) {
                    row.iter().for_each(|&log_joint| sums.push(log_joint));
                }
            }
        }
        Ok(sums.iter().map(WeightSums::log_sum).collect())
    }
}
