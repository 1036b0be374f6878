//! Independent samples of a bidirectional Helmholtz machine.
//!
//! Each sample is one of `oversample` ancestral draws `x, h ~ p`, chosen with the weight
//!
//! ```text
//! p*(x, h) / p(x, h) ∝ √(p̃*(x) q(h | x) / p(x, h))
//! ```
//!
//! where `√p̃*(x)` is an unbiased estimate with `inner` samples of q. The law of the sample is p* in the limit of
//! many draws, from which it differs by an order of one over their number.
//!
//! The authors' code resamples all n at once from `oversample n` draws, so that good ones are repeated; here
//! every sample has draws of its own and none occurs twice.
//!
//! # Reference
//! Bornschein, Shabanian, Fischer, Bengio, "Bidirectional Helmholtz machines", ICML 2016, arXiv:1506.03877, and
//! the `sample` of its code.

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, Layerwise, Role};

use crate::chains::{Chains, select};
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
    /// If the draws of a sample have no weight.
    ///
    /// # Panics
    /// If there are no draws or no inner samples.
    pub fn sample<M: Layerwise>(&self, model: &M, n: usize, key: Key) -> Result<Chains, NoWeight> {
        assert!(self.oversample > 0 && self.inner > 0, "{self:?}: at least one of each");
        let (x, h) = model.dream(&Draws::new(key.child(Role::Sleep), n, self.oversample));
        let log_root = log_root_marginal(model, x.clone(), self.inner, key.child(Role::Wake));
        let p = model.trace_joint(x.clone(), &h).log_prob;
        let q = model.trace_posterior(x.clone(), &h).log_prob;
        let log_weights: Tensor<1> = log_root + (q - p) * 0.5;
        let chosen = choose(log_weights.reshape([n, self.oversample]), key.child(Role::Choice))?;
        let places: Vec<usize> =
            chosen.iter().enumerate().map(|(chain, place)| chain * self.oversample + place).collect();
        let latents = h.into_iter().map(|h| select(h, &places)).collect();
        Ok(Chains::new(select(x, &places), latents))
    }
}
