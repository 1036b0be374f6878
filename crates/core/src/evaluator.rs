//! Evaluators.

use std::fmt::Debug;

use burn::tensor::Tensor;
use helmholtz_noise::Key;

use crate::{Batch, Score};

/// One number per observation.
///
/// The evaluator, never a strategy's loss, is the metric of validation: surrogate losses cannot be compared between
/// strategies. By its mean the best epoch is chosen.
pub trait Evaluator<M>: Clone + Debug + Send {
    /// What is found once for a model, and then used for every batch, such as a partition function.
    type Prepared: Send + Sync + 'static;

    /// What the numbers are.
    fn measures(&self) -> Score;

    /// Finds what every batch needs.
    fn prepare(&self, model: &M, key: Key) -> Self::Prepared;

    /// The score of each row, `[n]`, in terms of [`measures`](Self::measures); draws are keyed by the rows' own numbers.
    fn score(&self, model: &M, prepared: &Self::Prepared, batch: &Batch, key: Key) -> Tensor<1>;
}
