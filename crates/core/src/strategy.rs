//! Training strategies.

use helmholtz_noise::Key;

use crate::{Batch, Gradients, Measure, Measured, Model};

/// An update direction, with what was measured on the way.
#[derive(Debug)]
pub struct Estimate {
    /// Gradients of the loss that the strategy descends, averaged over the batch.
    pub gradients: Gradients,
    /// Values of some of the strategy's [`measures`](Strategy::measures).
    pub measured: Vec<Measured>,
    /// Model evaluations that it took: pairs (x, h) scored by p or by q.
    pub evaluations: u64,
}

impl Estimate {
    /// The value of a measure, if it was taken.
    pub fn value(&self, measure: Measure) -> Option<burn::tensor::Tensor<1>> {
        self.measured.iter().find(|found| found.measure == measure).map(|found| found.value.clone())
    }
}

/// Whether a strategy keeps something from one batch to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It does not: the rows of a batch can be shared out, and the parts of the update added up.
    Batch,
    /// It does; several devices with a part of each batch would each remember for themselves.
    AcrossBatches,
}

/// Maps a model and a batch to an update direction.
///
/// A strategy that remembers keeps it in a [`Memory`](crate::Memory), which is a part of the module and travels in
/// checkpoints.
pub trait Strategy<M>: Model {
    /// Estimates the direction for a batch, all noise keyed by `key`.
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate;

    /// What it measures.
    fn measures(&self) -> &[Measure] {
        &[Measure::BOUND, Measure::ESS]
    }

    /// Whether it keeps something from one batch to the next.
    fn scope(&self) -> Scope {
        Scope::Batch
    }

    /// The strategy with these settings and what `other` remembers and has learnt: how a stage with settings of its own
    /// goes on. What this one remembers is dropped.
    ///
    /// A strategy whose scope is [`Scope::AcrossBatches`], or that has parameters, says how.
    fn continuing(&self, _other: &Self) -> Self {
        self.clone()
    }
}
