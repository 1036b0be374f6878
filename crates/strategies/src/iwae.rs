//! The importance-weighted bound, along the path from the noise.
//!
//! `L_K = E log 1/K Σ_k w_k` with `w_k = p(x, h_k) / q(h_k | x)` and `h_k = g_φ(ξ_k, x)`. Theta and phi follow its whole
//! derivative, `Σ_k w̃_k ∇ log w_k` with the normalised weights held constant: the path through `h_k` and the parameters
//! of q's density. With K = 1 it is the evidence lower bound.
//!
//! The signal in phi falls against its noise as K grows (Rainforth et al. 2018); [`dreg`](crate::dreg) has the same
//! expectation and does not suffer from it.
//!
//! Gradients are means over the batch; the authors' code sums.
//!
//! # References
//! Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, arXiv:1509.00519, equation 14.
//! Rainforth et al., "Tighter variational bounds are not necessarily better", ICML 2018, arXiv:1802.04537.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Diagnostics, Direction, Estimate, Follows, Gradients, Key, Parts, PathWeights, Proposals,
    Reparameterized, Strategy,
};
use helmholtz_ops::log_weights::normalise;

use crate::path::estimate_on_path;
use crate::wake::{diagnose, per_row};

/// The ascent of the importance-weighted bound.
#[derive(Module, Debug)]
pub struct Iwae {
    /// Samples per observation, K (k in the paper).
    pub samples: usize,
}

impl Iwae {
    /// With `samples` per observation.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "the importance-weighted bound needs at least one sample per observation");
        Iwae { samples }
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
        let w = normalise(log_weights.clone()); // self-normalised over k, a constant
        let weights = PathWeights {
            joint: per_row(w),
            path: None,
            posterior: None,
            analytic_prior: false,
            parts: Parts::Both,
        };
        model.pathwise_gradient(x, noise, proposals, &weights, into);
        diagnose(log_weights)
    }
}

impl<M: Reparameterized> Strategy<M> for Iwae {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        estimate_on_path(model, x.clone(), self.samples, key, |noise, proposals, into| {
            self.update(model, x, noise, proposals, into)
        })
    }

    fn follows(&self) -> Follows {
        let bound = Direction::Bound { samples: self.samples };
        Follows::new(bound, bound)
    }
}
