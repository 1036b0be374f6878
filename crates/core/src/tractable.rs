//! Models whose likelihood is a formula.

use burn::tensor::Tensor;

use crate::{Batch, Gradients, Trainable};

/// A model whose `log p` can be computed, and not only bounded or estimated.
///
/// It is a law of the observed values of a row, and of its target where the model has one and the batch gives it:
/// missing values are summed out.
pub trait Tractable: Trainable {
    /// `log p` of each row, in nats: `[n]`.
    fn log_prob(&self, batch: &Batch) -> Tensor<1>;

    /// Adds the gradient of `-Σᵢ wᵢ log pᵢ`, with `weights` w: `[n]`; gives `log p` of each row, `[n]`, besides.
    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1>;
}

/// A model whose likelihood can be ascended by expectation and maximisation.
///
/// With the latents h filled in, the likelihood is an exponential family in sufficient statistics `s(x, h)`, and the
/// parameters that maximise it given their mean are a formula.
///
/// # Reference
/// Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
pub trait Expectation: Tractable {
    /// The mean over the rows of `E s(x, h)` under the posterior of the latents, and `log p` of each row: `[s]`, `[n]`.
    fn expected_statistics(&self, batch: &Batch) -> (Tensor<1>, Tensor<1>);

    /// Adds, to each parameter, what it has above the value that maximises the likelihood where the mean of the
    /// sufficient statistics is `statistics`, `[s]`: a step against the whole of it goes there.
    fn beyond_maximum(&self, statistics: Tensor<1>, into: &mut Gradients);
}
