//! Training strategies.

use helmholtz_noise::Key;

use crate::{Batch, Gradients, Measure, Measured, Model};

/// An update direction, with what was measured while it was computed.
#[derive(Debug)]
pub struct Estimate {
    /// Gradients of the loss that the strategy descends, averaged over the batch.
    pub gradients: Gradients,
    /// Values of some of the strategy's [`measures`](Strategy::measures).
    pub measured: Vec<Measured>,
    /// Number of model evaluations it took: pairs (x, h) scored by p or by q.
    pub evaluations: u64,
}

impl Estimate {
    /// The value of a measure, if it was measured.
    pub fn value(&self, measure: Measure) -> Option<burn::tensor::Tensor<1>> {
        self.measured.iter().find(|found| found.measure == measure).map(|found| found.value.clone())
    }
}

/// Whether a strategy keeps something from one batch to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It does not: the rows of a batch can be split over devices, and the parts of the update added up.
    Batch,
    /// It does: several devices with a part of each batch would each keep a memory of their own.
    AcrossBatches,
}

/// Maps a model and a batch to an update direction.
///
/// A strategy keeps what it remembers in a [`Memory`](crate::Memory), which is part of the module and is saved in
/// checkpoints.
pub trait Strategy<M>: Model {
    /// Estimates the direction for a batch; all noise is keyed by `key`.
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate;

    /// What it measures.
    fn measures(&self) -> &[Measure] {
        &[Measure::BOUND, Measure::ESS]
    }

    /// Whether it keeps something from one batch to the next.
    fn scope(&self) -> Scope {
        Scope::Batch
    }

    /// A strategy with the settings of `self` and the memory and parameters of `other`. A stage of training that has
    /// its own settings continues in this way. What `self` remembers is dropped.
    ///
    /// Override this if the scope is [`Scope::AcrossBatches`] or if the strategy has parameters.
    fn continuing(&self, _other: &Self) -> Self {
        self.clone()
    }
}
