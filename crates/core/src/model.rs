//! Models with latent variables.

use std::fmt::Debug;

use burn::tensor::Tensor;
use helmholtz_noise::Draws;

use crate::{Gradients, Trainable};

/// A log-probability per matrix row, with the traces that its gradient needs, layer by layer.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The log-probability in nats: `[n]`.
    pub log_prob: Tensor<1>,
    /// What each layer keeps, from the data up.
    pub traces: Vec<Tensor<2>>,
    /// The log-probability of each layer, from the data up, if the model is [`Layerwise`]; otherwise empty.
    pub by_layer: Vec<Tensor<1>>,
}

/// Latents proposed for a batch, scored under both nets.
///
/// Everything here is constant. The `k` samples of one observation are consecutive matrix rows.
#[derive(Clone, Debug)]
pub struct Proposals<H> {
    /// The samples: `batch * k` matrix rows.
    pub latents: H,
    /// `log p(x, h)`.
    pub p: Traced,
    /// `log q(h | x)`.
    pub q: Traced,
    /// The log-density that the samples were drawn from: `log q`, unless a mixture proposed them.
    pub log_proposal: Tensor<1>,
    /// Samples per observation.
    pub k: usize,
}

impl<H> Proposals<H> {
    /// `log p(x, h_k) - log proposal(h_k | x)`: `[batch, k]`.
    pub fn log_weights(&self) -> Tensor<2> {
        let [n] = self.log_proposal.dims();
        (self.p.log_prob.clone() - self.log_proposal.clone()).reshape([n / self.k, self.k])
    }
}

/// `p(x, h)` together with a recognition model `q(h | x)`.
///
/// Rows repeat as in [`layer`](crate::layer): latents may have `k` rows for each row of `x`.
pub trait LatentVariableModel: Trainable {
    /// The state of all latent variables for a number of matrix rows.
    type Latents: Clone + Debug + Send;

    /// `log p(x, h)`, differentiable by autodiff; one for each row of `h`.
    fn log_joint(&self, x: Tensor<2>, h: &Self::Latents) -> Tensor<1>;

    /// `log q(h | x)`, differentiable by autodiff; one for each row of `h`.
    fn log_posterior(&self, x: Tensor<2>, h: &Self::Latents) -> Tensor<1>;

    /// `log p(x, h)` with traces; constants.
    fn trace_joint(&self, x: Tensor<2>, h: &Self::Latents) -> Traced;

    /// `log q(h | x)` with traces; constants.
    fn trace_posterior(&self, x: Tensor<2>, h: &Self::Latents) -> Traced;

    /// `h_k ~ q(h | x)`, or from the mixture `(1 - d) q + d uniform` with `defence` = d > 0.
    fn propose(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Proposals<Self::Latents>;

    /// `log p(x, h_k) - log q(h_k | x)` with `h_k ~ q(h | x)`: `[batch, k]`.
    ///
    /// These are the numbers of [`propose`](Self::propose), but nothing is kept for a gradient.
    fn log_weights(&self, x: Tensor<2>, draws: &Draws) -> Tensor<2> {
        self.propose(x, draws, 0.0).log_weights()
    }

    /// `log p(x, h_k) - log r(h_k | x)` with `h_k` from the mixture `r = (1 - d) q + d s`: `[batch, k]`. Here d is
    /// `defence`, in (0, 1).
    ///
    /// s is a distribution with heavy tails that the model chooses, such as its prior `p(h)`. Each weight is divided by
    /// the density of the whole mixture. So the expected mean of the weights is `p(x)` for any d, and no weight exceeds
    /// `p(x, h) / (d s(h))`, even where q is close to zero. For a model without latents this is
    /// [`log_weights`](Self::log_weights).
    fn log_weights_defended(&self, x: Tensor<2>, draws: &Draws, defence: f64) -> Tensor<2> {
        self.propose(x, draws, defence).log_weights()
    }

    /// `x, h ~ p(x, h)`, one for each matrix row of `draws`.
    fn dream(&self, draws: &Draws) -> (Tensor<2>, Self::Latents);

    /// `E[xⱼ | x_<j, h]`, the mean of each observed unit given the latents and the units before it: one row
    /// for each row of `h`.
    ///
    /// If the units are independent given the latents, this is the decoded image of `h`, for any `x`.
    fn decode(&self, x: Tensor<2>, h: &Self::Latents) -> Tensor<2>;

    /// Adds the gradient of `-Σᵢ wᵢ log p(xᵢ, hᵢ)` in the generative parameters.
    ///
    /// `traces` come from [`trace_joint`](Self::trace_joint) or [`propose`](Self::propose) at the
    /// same `x` and `h`; `weights` is `[n]` over the rows of `h`.
    fn joint_gradient(
        &self,
        x: Tensor<2>,
        h: &Self::Latents,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    );

    /// Adds the gradient of `-Σᵢ wᵢ log q(hᵢ | xᵢ)` in the recognition parameters.
    fn posterior_gradient(
        &self,
        x: Tensor<2>,
        h: &Self::Latents,
        traces: &[Tensor<2>],
        weights: Tensor<1>,
        into: &mut Gradients,
    );
}

/// A model whose latents are layers, each a matrix of bits with a layer below and a layer above.
///
/// Layer 0 is the data; layer `l` >= 1 is the l-th latent layer, from the data up. Rows repeat as in
/// [`layer`](crate::layer).
pub trait Layerwise: LatentVariableModel<Latents = Vec<Tensor<2>>> {
    /// `h ~ p(hₗ | hₗ₊₁)`, [`Draws::k`] samples for each row of `above`. The highest layer has no layer above and is
    /// drawn from the prior.
    fn generate(&self, l: usize, above: Option<Tensor<2>>, draws: &Draws) -> Tensor<2>;

    /// `h ~ q(hₗ | hₗ₋₁)` for `l` >= 1, [`Draws::k`] samples for each row of `below`.
    fn recognise(&self, l: usize, below: Tensor<2>, draws: &Draws) -> Tensor<2>;

    /// `log p(hₗ | hₗ₊₁)`, a constant: `[n]`, one for each row of the longer side.
    fn log_generative(&self, l: usize, h: Tensor<2>, above: Option<Tensor<2>>) -> Tensor<1>;

    /// `log q(hₗ | hₗ₋₁)` for `l` >= 1, a constant: `[n]`, one for each row of the longer side.
    fn log_recognition(&self, l: usize, h: Tensor<2>, below: Tensor<2>) -> Tensor<1>;

    /// Adds the gradient of `-Σᵢ wᵢ log q(hₗ | hₗ₋₁)` for one layer `l` >= 1.
    ///
    /// `trace` is the trace of this layer from [`trace_posterior`](LatentVariableModel::trace_posterior) or
    /// [`propose`](LatentVariableModel::propose).
    fn recognition_gradient(
        &self,
        l: usize,
        h: Tensor<2>,
        below: Tensor<2>,
        trace: Tensor<2>,
        weights: Tensor<1>,
        into: &mut Gradients,
    );

    /// Whether the observed units are independent of each other given the lowest latents.
    fn observed_are_independent(&self) -> bool;
}

/// A model whose latent states can be enumerated.
pub trait Enumerable: LatentVariableModel {
    /// Number of latent bits, d; there are `2^d` joint states.
    fn latent_bits(&self) -> usize;

    /// The joint states `first..first + n`, one per matrix row.
    fn states(&self, first: u64, n: usize) -> Self::Latents;

    /// `log p(xᵢ, hⱼ)` for every pair: `[n, states]`.
    fn log_joint_table(&self, x: Tensor<2>, h: &Self::Latents) -> Tensor<2>;

    /// `log q(hⱼ | xᵢ)` for every pair: `[n, states]`.
    fn log_posterior_table(&self, x: Tensor<2>, h: &Self::Latents) -> Tensor<2>;
}
