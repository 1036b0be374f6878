//! The importance-weighted bound with doubly reparameterised gradients of q.
//!
//! The bound and the update of theta are those of [`iwae`](crate::iwae). The score of q in phi's derivative is written
//! as another path derivative, after which phi follows
//!
//! ```text
//! Σ_k w̃_k² d/dh [log p(x, h_k) - log q(h_k | x)] dh_k/dφ
//! ```
//!
//! with q's parameters held fixed in its density: the same expectation, and a signal that does not fall against its
//! noise as K grows. With several layers the parameters are held fixed, and not the outputs of lower layers.
//!
//! Gradients are means over the batch.
//!
//! # Reference
//! Tucker, Lawson, Gu, Maddison, "Doubly reparameterized gradient estimators for Monte Carlo objectives", ICLR 2019,
//! arXiv:1810.04152, equation 8.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Diagnostics, Direction, Estimate, Follows, Gradients, Key, Parts, PathWeights, Proposals,
    Reparameterized, Strategy,
};
use helmholtz_ops::log_weights::normalise;

use crate::path::estimate_on_path;
use crate::wake::{diagnose, per_row};

/// The ascent of the importance-weighted bound, doubly reparameterised.
#[derive(Module, Debug)]
pub struct Dreg {
    /// Samples per observation, K.
    pub samples: usize,
}

impl Dreg {
    /// With `samples` per observation.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "the importance-weighted bound needs at least one sample per observation");
        Dreg { samples }
    }

    /// The update at given noise, of the nets that `parts` names.
    pub fn update<M: Reparameterized>(
        &self,
        model: &M,
        x: Tensor<2>,
        noise: Tensor<2>,
        proposals: Proposals<M::Latents>,
        parts: Parts,
        into: &mut Gradients,
    ) -> Diagnostics {
        let log_weights = proposals.log_weights();
        let w = normalise(log_weights.clone()); // self-normalised over k, a constant
        let [batch, k] = w.dims();
        let weights = PathWeights {
            joint: per_row(w.clone()),
            path: Some(w.clone().reshape([batch * k])),
            posterior: Some(w.zeros_like().reshape([batch * k])),
            analytic_prior: false,
            parts,
        };
        model.pathwise_gradient(x, noise, proposals, &weights, into);
        diagnose(log_weights)
    }
}

impl<M: Reparameterized> Strategy<M> for Dreg {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        estimate_on_path(model, x.clone(), self.samples, key, |noise, proposals, into| {
            self.update(model, x, noise, proposals, Parts::Both, into)
        })
    }

    fn follows(&self) -> Follows {
        let bound = Direction::Bound { samples: self.samples };
        Follows::new(bound, bound)
    }
}
