//! The evidence lower bound, along the path from the noise.
//!
//! `L = E log p(x, h) - log q(h | x)` with `h = g_φ(ξ, x)`, estimated by the mean over K samples; theta and phi follow
//! its whole derivative. In the analytic form the expectation of `log p(h_L)` under the last layer's own noise is
//! taken in closed form, `-(μ² + σ²)/2`, as that of `log q` is in either form, so that with one layer
//! `KL(q || p)` has no noise.
//!
//! Gradients are means over the batch.
//!
//! # Reference
//! Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014, arXiv:1312.6114, equations 7 and 10.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Diagnostics, Direction, Estimate, Follows, Gradients, Key, Parts, PathWeights, Proposals,
    Reparameterized, Strategy,
};

use crate::path::estimate_on_path;
use crate::wake::{diagnose_mean, per_row};

/// The ascent of the evidence lower bound.
#[derive(Module, Debug)]
pub struct Elbo {
    /// Samples per observation; 1 in the paper.
    pub samples: usize,
    /// Whether the prior of the highest latents is integrated in closed form.
    pub analytic_kl: bool,
}

impl Elbo {
    /// With `samples` per observation, in the analytic form.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "the evidence lower bound needs at least one sample per observation");
        Elbo { samples, analytic_kl: true }
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
        let equal = log_weights.full_like(1.0 / proposals.k as f64);
        let weights = PathWeights {
            joint: per_row(equal),
            path: None,
            posterior: None,
            analytic_prior: self.analytic_kl,
            parts: Parts::Both,
        };
        model.pathwise_gradient(x, noise, proposals, &weights, into);
        diagnose_mean(log_weights)
    }
}

impl<M: Reparameterized> Strategy<M> for Elbo {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        estimate_on_path(model, x.clone(), self.samples, key, |noise, proposals, into| {
            self.update(model, x, noise, proposals, into)
        })
    }

    fn follows(&self) -> Follows {
        Follows::new(Direction::Elbo, Direction::Elbo)
    }
}
