//! Sticking the landing: the evidence lower bound without the score of q.
//!
//! The derivative of `log p(x, h) - log q(h | x)` in phi has two parts: the path through `h = g_φ(ξ, x)`, and the score
//! `-∇_φ log q(h | x)` at fixed h, whose expectation is zero. Here only the first is followed: unbiased as before,
//! and without any variance where `q(h | x) = p(h | x)`. With several layers q's parameters are held fixed in its
//! density, and not its outputs, through which lower latents are reached.
//!
//! Gradients are means over the batch.
//!
//! # Reference
//! Roeder, Wu, Duvenaud, "Sticking the landing: simple, lower-variance gradient estimators for variational
//! inference", NeurIPS 2017, arXiv:1703.09194.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Diagnostics, Direction, Estimate, Follows, Gradients, Key, Parts, PathWeights, Proposals,
    Reparameterized, Strategy,
};

use crate::path::estimate_on_path;
use crate::wake::{diagnose_mean, per_row};

/// The ascent of the evidence lower bound along the path alone.
#[derive(Module, Debug)]
pub struct Stl {
    /// Samples per observation.
    pub samples: usize,
}

impl Stl {
    /// With `samples` per observation.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "the evidence lower bound needs at least one sample per observation");
        Stl { samples }
    }

    /// The update at given noise.
    pub fn update<M: Reparameterized>(
        &self,
        model: &M,
        x: Tensor<2>,
        noise: Tensor<2>,
        proposals: Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> Diagnostics {
        let log_weights = proposals.log_weights();
        let joint = per_row(log_weights.full_like(1.0 / proposals.k as f64));
        let posterior = Some(joint.zeros_like());
        let weights = PathWeights { joint, path: None, posterior, analytic_prior: false, parts: Parts::Both };
        model.pathwise_gradient(x, noise, proposals, &weights, into);
        diagnose_mean(log_weights)
    }
}

impl<M: Reparameterized> Strategy<M> for Stl {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        estimate_on_path(model, x.clone(), self.samples, key, |noise, proposals, into| {
            self.update(model, x, noise, proposals, into)
        })
    }

    fn follows(&self) -> Follows {
        Follows::new(Direction::Elbo, Direction::Elbo)
    }
}
