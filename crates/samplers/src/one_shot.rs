//! Independent samples of a bidirectional Helmholtz machine.
//!
//! Each sample is one of `oversample` ancestral draws `x, h ~ p`, chosen with the weight
//!
//! ```text
//! p*(x, h) / p(x, h) ∝ √(p̃*(x) q(h | x) / p(x, h))
//! ```
//!
//! where `√p̃*(x)` is an unbiased estimate with `inner` samples of q. In the limit of many draws the sample is
//! distributed as p*; the error is of the order of one over their number.
//!
//! The authors' code resamples all n at once from `oversample n` draws, so good ones are repeated. Here every
//! sample has draws of its own, and no draw occurs twice.
//!
//! # Reference
//! Bornschein, Shabanian, Fischer, Bengio, "Bidirectional Helmholtz machines", ICML 2016, arXiv:1506.03877, and
//! the `sample` of its code.

use std::ops::Range;

use burn::tensor::Tensor;
use helmholtz_core::{Key, Layerwise, Role};

use crate::chains::{Chains, blocks, draws, pick};
use crate::choose::{NoWeight, choose};
use crate::marginal::log_root_marginal;

/// Importance resampling of ancestral samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneShot {
    /// Ancestral draws for each sample.
    pub oversample: usize,
    /// Samples of q for the marginal of each draw; 10 in the authors' code.
    pub inner: usize,
}

impl OneShot {
    /// `n` samples.
    ///
    /// # Errors
    /// If the weights of all draws of a sample are zero or not finite.
    ///
    /// # Panics
    /// If there are no samples, no draws or no inner samples.
    pub fn sample<M: Layerwise>(&self, model: &M, n: usize, key: Key) -> Result<Chains, NoWeight> {
        assert!(self.oversample > 0 && self.inner > 0, "{self:?}: both must be at least 1");
        let mut layers: Vec<Vec<Tensor<2>>> = Vec::new();
        for range in blocks(n, self.oversample) {
            let found = self.block(model, range, key)?;
            layers.resize_with(found.layers.len(), Vec::new);
            layers.iter_mut().zip(found.layers).for_each(|(parts, part)| parts.push(part));
        }
        Ok(Chains { layers: layers.into_iter().map(|parts| Tensor::cat(parts, 0)).collect() })
    }

    /// The samples with the numbers in `range`.
    fn block<M: Layerwise>(&self, model: &M, range: Range<usize>, key: Key) -> Result<Chains, NoWeight> {
        let (n, k) = (range.len(), self.oversample);
        let (x, h) = model.dream(&draws(key.child(Role::Sleep), &range, k));
        let log_root =
            log_root_marginal(model, x.clone(), self.inner, range.start * k, key.child(Role::Wake));
        let p = model.trace_joint(x.clone(), &h).log_prob;
        let q = model.trace_posterior(x.clone(), &h).log_prob;
        let log_weights: Tensor<1> = log_root + (q - p) * 0.5;
        let chosen = choose(log_weights.reshape([n, k]), range.start, key.child(Role::Choice))?;
        Ok(Chains::new(pick(x, k, &chosen), h.into_iter().map(|h| pick(h, k, &chosen)).collect()))
    }
}
