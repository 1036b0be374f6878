//! Training of the bidirectional Helmholtz machine.
//!
//! The model is `p*(x, h) = √(p(x, h) q(x, h)) / Z`, whose recognition half is `q(x, h) = q*(x) q(h | x)`
//! with `q*(x)` defined as the marginal `p*(x)` itself. Then, with `Z <= 1`,
//!
//! ```text
//! log p*(x) = log p̃*(x) - 2 log Z,     p̃*(x) = (Σ_h √(p(x, h) q(h | x)))² <= min(p*(x), p(x))
//! ```
//!
//! and the strategy ascends the bound `log p̃*(x)`. With `h_k ~ q(h | x)` and
//! `w_k ∝ √(p(x, h_k) / q(h_k | x))` normalised over k and held constant:
//!
//! - theta ascends `Σ_k w_k log p(x, h_k)`;
//! - phi ascends `Σ_k (w_k - 1/K) log q(h_k | x)`: `1/K` is a control variate, which adds no bias
//!   because `E_q ∇ log q = 0`.
//!
//! The update of theta is exactly the gradient of the bound `E 2 log 1/K Σ_k √(p(x, h_k) / q(h_k | x))` at
//! every K. As K grows both become the gradient of `log p̃*(x)`, from which they differ by a bias of order
//! 1/K. There is no sleep phase: q is half of the model, and p is pulled towards what q can infer.
//!
//! Gradients are means over the batch. The paper adds its L1 penalty of 1e-3 once to a *sum* over the batch
//! of 100; with a mean over the batch the same penalty is 1e-5.
//!
//! # Reference
//! Bornschein, Shabanian, Fischer, Bengio, "Bidirectional Helmholtz machines", ICML 2016, arXiv:1506.03877.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, LatentVariableModel, Measure, Measured,
    Proposals, SampleWeights, Strategy,
};
use helmholtz_ops::log_weights::{effective_share, log_mean_exp, normalise};
use thiserror::Error;

use crate::wake::{estimate_of_proposals, wake_phi, wake_theta};

/// Ascent of `log p̃*`.
#[derive(Module, Debug)]
pub struct Bidirectional {
    /// Proposals per observation, K in the paper; 10 there.
    pub samples: usize,
    /// Whether phi uses `w - 1/K`, as the authors' code does; the paper has the plain weights.
    pub control_variate: bool,
}

/// Invalid settings.
#[derive(Debug, Error, PartialEq)]
pub enum BidirectionalError {
    /// K = 0.
    #[error(
        "samples = 0: the bidirectional Helmholtz machine needs at least one proposal per observation (K >= 1)"
    )]
    NoSamples,
    /// A control variate with one sample, where it cancels the whole update of phi.
    #[error(
        "control_variate with samples = 1: the weight of a single sample is 1, so the update of phi, w - 1/K, is \
         zero; set samples to 2 or more, or control_variate = false"
    )]
    IdleControlVariate,
}

impl Bidirectional {
    /// K proposals, with the control variate.
    ///
    /// # Errors
    /// If K is below 2.
    pub fn new(samples: usize) -> Result<Self, BidirectionalError> {
        Bidirectional { samples, control_variate: true }.checked()
    }

    /// Returns the same settings if they are valid.
    ///
    /// # Errors
    /// If K is 0, or 1 with a control variate.
    pub fn checked(self) -> Result<Self, BidirectionalError> {
        match self {
            Bidirectional { samples: 0, .. } => Err(BidirectionalError::NoSamples),
            Bidirectional { samples: 1, control_variate: true } => {
                Err(BidirectionalError::IdleControlVariate)
            }
            _ => Ok(self),
        }
    }

    /// The update of theta and phi at given proposals.
    ///
    /// It reports the bound `2 log 1/K Σ_k √w_k`, which is below `log p̃*(x)` on average, and the effective
    /// sample size of the weights `√w`.
    pub fn update<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        proposals: &Proposals<M::Latents>,
        into: &mut Gradients,
    ) -> Vec<Measured> {
        let log_roots = proposals.log_weights() * 0.5;
        let w = normalise(log_roots.clone()); // self-normalised over k, a constant
        wake_theta(model, x.clone(), proposals, w.clone(), into);
        let of_phi = if self.control_variate { w.clone() - 1.0 / proposals.k as f64 } else { w.clone() };
        wake_phi(model, x, proposals, of_phi, into);
        vec![
            Measure::BOUND.is((log_mean_exp(log_roots) * 2.0).mean()),
            Measure::ESS.is(effective_share(w).mean()),
        ]
    }
}

impl<M: LatentVariableModel> Strategy<M> for Bidirectional {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let x = batch.whole();
        estimate_of_proposals(model, x.clone(), self.samples, key, |proposals, into| {
            self.update(model, x, proposals, into)
        })
    }
}

impl Claims for Bidirectional {
    fn follows(&self) -> Follows {
        let roots =
            Direction::SelfNormalised(SampleWeights { power: 0.5, ..SampleWeights::of(self.samples) });
        let limit = Some(Direction::Posterior { power: 0.5 });
        Follows { limit_theta: limit, limit_phi: limit, ..Follows::new(roots, roots) }
    }
}
