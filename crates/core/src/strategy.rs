//! Training strategies.

use burn::tensor::Tensor;
use helmholtz_noise::Key;

use crate::{Gradients, Model};

/// What a strategy measured on the way; scalars as `[1]` tensors, read when somebody looks.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// Mean over the batch of the strategy's own estimate of what it ascends, in expectation a lower bound on
    /// `log p(x)`, in nats: `log 1/K Σ_k w_k`, or `2 log 1/K Σ_k √w_k` of a bidirectional machine.
    pub bound: Tensor<1>,
    /// Mean over the batch of the effective sample size `(Σ w)² / Σ w²` of the weights of the update, as a
    /// share of K.
    pub ess: Tensor<1>,
}

/// An update direction with its diagnostics.
#[derive(Debug)]
pub struct Estimate {
    /// Gradients of the loss that the strategy descends, averaged over the batch.
    pub gradients: Gradients,
    /// What was measured on the way.
    pub diagnostics: Diagnostics,
}

/// Maps a model and a batch to an update direction.
pub trait Strategy<M>: Model {
    /// Estimates the direction for the batch `x` of shape `[batch, d]`, all noise keyed by `key`.
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate;
}
