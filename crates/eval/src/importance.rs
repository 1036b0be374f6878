//! `log p(x)` by importance sampling from the recognition net.
//!
//! `log p̂(x) = log 1/K Σ_k p(x, h_k) / q(h_k | x)` with `h_k ~ q(h | x)`: consistent, and low on
//! average by about half the relative variance of the mean weight. Samples pass in chunks, so that
//! memory does not grow with K.
//!
//! Draws are keyed by the row's own number and the sample's own number: the same row gets the same
//! estimate whatever the chunking, up to rounding in the matrix products.
//!
//! # Reference
//! Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016 (the estimate and its
//! direction); Bornschein, Bengio 2015 (its use for Helmholtz machines).

use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Evaluator, Key, LatentVariableModel};
use thiserror::Error;

use crate::streaming::WeightSums;

/// Importance sampling with K samples for each row.
#[derive(Clone, Debug)]
pub struct ImportanceSampling {
    /// Samples per row, K.
    pub samples: usize,
    /// Matrix rows, that is (row, sample) pairs, in flight at a time: what bounds the memory.
    pub chunk: usize,
}

/// The estimate of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowEstimate {
    /// `log p̂(x)` in nats.
    pub log_prob: f64,
    /// Effective sample size as a share of K.
    pub ess: f64,
    /// The largest normalised weight.
    pub max_weight: f64,
    /// Relative variance of the mean weight, estimated from the samples themselves.
    pub relative_variance: f64,
}

/// A row that no sample explains, or whose weights are not numbers.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "row {row}: the importance weights of all {samples} samples sum to {total}; \
     the model gives this row no probability or its parameters are not finite"
)]
pub struct ZeroWeight {
    /// The row's number in its split.
    pub row: u64,
    /// K.
    pub samples: usize,
    /// exp of the log sum: 0, NaN or infinity.
    pub total: f64,
}

impl ImportanceSampling {
    /// K samples for each row, in chunks of 4000 pairs.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "importance sampling needs at least one sample");
        ImportanceSampling { samples, chunk: 4000 }
    }

    /// Estimates `log p` of each row of `x`, whose own numbers are `rows`.
    ///
    /// # Errors
    /// If a row's weights are all zero or not numbers: such a row must not vanish in a mean.
    pub fn estimate<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
    ) -> Result<Vec<RowEstimate>, ZeroWeight> {
        let [n, d] = x.dims();
        assert_eq!(n, rows.len(), "one number for each row");
        let samples_at_once = self.samples.min(self.chunk.max(1));
        let rows_at_once = (self.chunk / samples_at_once).max(1);
        let mut estimates = Vec::with_capacity(n);
        for first in (0..n).step_by(rows_at_once) {
            let range = first..(first + rows_at_once).min(n);
            let part = x.clone().slice([range.clone(), 0..d]);
            let draws = Draws::of_rows(key, &rows[range.clone()], self.samples);
            let mut sums = vec![WeightSums::default(); range.len()];
            for sample in (0..self.samples).step_by(samples_at_once) {
                let samples = sample..(sample + samples_at_once).min(self.samples);
                let k = samples.len();
                let log_weights = model.log_weights(part.clone(), &draws.samples(samples));
                let log_weights = log_weights.into_data_as::<f64>();
                let log_weights = log_weights.try_to_vec::<f64>().expect("converted to f64 just now");
                for (sums, log_weights) in sums.iter_mut().zip(log_weights.chunks_exact(k)) {
                    log_weights.iter().for_each(|&log_weight| sums.push(log_weight));
                }
            }
            for (sums, row) in sums.iter().zip(&rows[range]) {
                if !sums.log_sum().is_finite() {
                    return Err(ZeroWeight { row: *row, samples: self.samples, total: sums.log_sum().exp() });
                }
                estimates.push(RowEstimate {
                    log_prob: sums.log_mean(),
                    ess: sums.effective_share(),
                    max_weight: sums.largest_share(),
                    relative_variance: sums.relative_variance(),
                });
            }
        }
        Ok(estimates)
    }
}

impl<M: LatentVariableModel> Evaluator<M> for ImportanceSampling {
    /// `log p̂(x)`; NaN for every row of the batch if one of them has no weight.
    fn score(&self, model: &M, x: Tensor<2>, rows: Arc<[u64]>, key: Key) -> Tensor<1> {
        let device = x.device();
        let n = rows.len();
        let values: Vec<f32> = match self.estimate(model, x, rows, key) {
            Ok(rows) => rows.into_iter().map(|row| row.log_prob as f32).collect(),
            Err(_) => vec![f32::NAN; n],
        };
        Tensor::from_floats(values.as_slice(), &device)
    }
}
