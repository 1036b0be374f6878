//! Training strategies.

use burn::tensor::Tensor;
use helmholtz_noise::Key;

use crate::{Follows, Gradients, Model};

/// What a strategy measured on the way; scalars as `[1]` tensors, read when somebody looks.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// Mean over the batch of the strategy's own estimate of what it ascends, in expectation a lower bound on
    /// `log p(x)`, in nats: `log 1/K Σ_k w_k`, or `2 log 1/K Σ_k √w_k` of a bidirectional machine.
    pub bound: Tensor<1>,
    /// Mean over the batch of the effective sample size `(Σ w)² / Σ w²` of the weights of the update, as a
    /// share of K.
    pub ess: Tensor<1>,
    /// What else the strategy measures: some of its [`measures`](Strategy::measures).
    pub more: Vec<Measured>,
}

impl Diagnostics {
    /// The two that every strategy has.
    pub fn new(bound: Tensor<1>, ess: Tensor<1>) -> Self {
        Diagnostics { bound, ess, more: Vec::new() }
    }
}

/// A quantity of one strategy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name, in snake case.
    pub name: &'static str,
    /// What becomes of the steps of an epoch.
    pub over: Over,
}

/// How the steps of an epoch are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// By their mean, each step counting as often as its batch has rows.
    Mean,
    /// By the largest.
    Maximum,
    /// By their sum.
    Sum,
}

/// The value of a measure at one step.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was measured.
    pub measure: Measure,
    /// The value: `[1]`.
    pub value: Tensor<1>,
}

/// An update direction with its diagnostics.
#[derive(Debug)]
pub struct Estimate {
    /// Gradients of the loss that the strategy descends, averaged over the batch.
    pub gradients: Gradients,
    /// What was measured on the way.
    pub diagnostics: Diagnostics,
    /// Model evaluations that it took: pairs (x, h) scored by p or by q.
    pub evaluations: u64,
}

/// Maps a model and a batch to an update direction.
pub trait Strategy<M>: Model {
    /// Estimates the direction for the batch `x` of shape `[batch, d]`, all noise keyed by `key`.
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate;

    /// What the update is in expectation, with the state that the strategy is in now.
    fn follows(&self) -> Follows;

    /// What its diagnostics hold besides the bound and the effective sample size.
    fn measures(&self) -> &[Measure] {
        &[]
    }
}
