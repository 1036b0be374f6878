//! Models whose likelihood has a closed form.

use burn::tensor::Tensor;

use crate::{Batch, Gradients, Trainable};

/// A model whose `log p` can be computed, not just bounded or estimated.
///
/// It is a distribution over the observed values of a row, and over its target if the model has one and the batch
/// gives it. Missing values are summed out.
pub trait Tractable: Trainable {
    /// `log p` of each row, in nats: `[n]`. A model says whether it is differentiable by autodiff.
    fn log_prob(&self, batch: &Batch) -> Tensor<1>;

    /// Adds the gradient of `-Σᵢ wᵢ log pᵢ` with w = `weights`, `[n]`; also returns `log p` of each row, `[n]`.
    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1>;
}

/// A model that can be trained by expectation maximisation (EM).
///
/// With the latents h filled in, the likelihood is an exponential family with sufficient statistics `s(x, h)`. The
/// parameters that maximise it, given the mean of the statistics, have a closed form.
///
/// # Reference
/// Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
pub trait Expectation: Tractable {
    /// The mean over the rows of `E s(x, h)` under the posterior of the latents, and `log p` of each row: `[s]`, `[n]`.
    fn expected_statistics(&self, batch: &Batch) -> (Tensor<1>, Tensor<1>);

    /// Adds to the gradient of each parameter its value minus the value that maximises the likelihood when the mean of
    /// the sufficient statistics is `statistics`, `[s]`. A descent step with learning rate 1 reaches the maximum.
    fn beyond_maximum(&self, statistics: Tensor<1>, into: &mut Gradients);
}
