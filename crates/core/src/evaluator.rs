//! Evaluators.

use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_noise::Key;

/// One number per observation, in nats.
///
/// The evaluator, never a strategy's loss, is the metric of validation: surrogate losses cannot be
/// compared between strategies.
pub trait Evaluator<M>: Clone + Debug + Send {
    /// The score of each row of `x`, `[batch]`, keyed by the rows' own numbers.
    fn score(&self, model: &M, x: Tensor<2>, rows: Arc<[u64]>, key: Key) -> Tensor<1>;
}
