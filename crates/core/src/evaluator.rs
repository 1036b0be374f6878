//! Evaluators.

use std::fmt::Debug;

use burn::tensor::Tensor;
use helmholtz_noise::Key;

use crate::{Batch, Score};

/// One number per observation.
///
/// Validation uses the evaluator, never a strategy's loss: surrogate losses cannot be compared between strategies. The
/// best epoch is the one with the best mean.
pub trait Evaluator<M>: Clone + Debug + Send {
    /// What is computed once for a model and then used for every batch, such as a partition function.
    type Prepared: Send + Sync + 'static;

    /// What the numbers measure.
    fn measures(&self) -> Score;

    /// Computes what every batch needs.
    fn prepare(&self, model: &M, key: Key) -> Self::Prepared;

    /// The score of each row, `[n]`, as [`measures`](Self::measures) describes it; draws are keyed by the row numbers.
    fn score(&self, model: &M, prepared: &Self::Prepared, batch: &Batch, key: Key) -> Tensor<1>;
}
