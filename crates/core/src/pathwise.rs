//! Latents as differentiable functions of noise.
//!
//! If `h = g_φ(ξ, x)` with `ξ ~ N(0, I)` has the distribution `q_φ(h | x)`, the gradient in φ can follow the path
//! through g. Every estimator of this kind is again a sum over samples, with three constants α, ρ and γ for each:
//!
//! - α times `∇_θ log p(x, h)`;
//! - α ρ times the derivative of `log p(x, h) - log q(h | x)` along the path `h = g_φ(ξ, x)`, with the parameters
//!   of the density q held fixed;
//! - γ times `∇_φ log q(h | x)` at fixed h.
//!
//! With normalised weights w:
//!
//! - the ELBO has α = 1/K, ρ = 1, γ = -1/K, and with γ = 0 it is "sticking the landing";
//! - the K-sample bound (IWAE) has α = w, ρ = 1, γ = -w, and in its doubly reparameterised form α = w, ρ = w, γ = 0;
//! - reweighted wake-sleep has α = w, ρ = 0, γ = w.
//!
//! # References
//! Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014, arXiv:1312.6114.
//! Roeder, Wu, Duvenaud, "Sticking the landing", NeurIPS 2017, arXiv:1703.09194.
//! Tucker, Lawson, Gu, Maddison, "Doubly reparameterized gradient estimators for Monte Carlo objectives", ICLR
//! 2019, arXiv:1810.04152.

use burn::tensor::Tensor;

use crate::{Gradients, LatentVariableModel, Proposals};

/// The constants of each sample's gradient: one for each matrix row of the latents, `[n]`.
#[derive(Clone, Debug)]
pub struct PathWeights {
    /// α, the weight of `∇_θ log p(x, h)`.
    pub joint: Tensor<1>,
    /// ρ, the weight of the path as a share of α; 1 if not set.
    pub path: Option<Tensor<1>>,
    /// γ, the weight of `∇_φ log q(h | x)` at fixed h; `-α ρ` if not set, which gives the whole derivative of
    /// `α ρ (log p - log q)` in φ.
    pub posterior: Option<Tensor<1>>,
    /// Whether the part of the path through the prior of the highest latents is integrated over their
    /// own noise: the analytic form of `KL(q || p)`.
    pub analytic_prior: bool,
    /// The nets whose gradient is added.
    pub parts: PathParts,
}

/// The parameters that a gradient is added to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathParts {
    /// Those of both nets.
    #[default]
    Both,
    /// Those of the recognition net alone, if another estimator trains the generative net. Then α matters only
    /// through the path (α ρ) and through the default of γ.
    Recognition,
}

/// A model whose latents are `h = g_φ(ξ, x)` with standard normal noise ξ.
pub trait Reparameterized: LatentVariableModel {
    /// Number of noise units of one sample.
    fn noise_units(&self) -> usize;

    /// The latents `g(ξ, x)` at the given noise, scored under both nets; constants.
    ///
    /// # Shapes
    /// - `x`: `[batch, d_x]`, `noise`: `[batch * k, noise_units]`, with the `k` samples of one row in consecutive rows
    fn propose_at(&self, x: Tensor<2>, noise: Tensor<2>) -> Proposals<Self::Latents>;

    /// `log p(x, h) - log q(h | x)` at `h = g(ξ, x)`: `[batch, k]`.
    ///
    /// These are the numbers of [`propose_at`](Self::propose_at), but nothing is kept for a gradient.
    fn log_weights_at(&self, x: Tensor<2>, noise: Tensor<2>) -> Tensor<2> {
        self.propose_at(x, noise).log_weights()
    }

    /// Adds the gradient of the loss `-Σᵢ (αᵢ log p + αᵢ ρᵢ (log p - log q)(path) + γᵢ log q(density))` in the
    /// parameters of the nets that `weights.parts` names; see the [module](self).
    ///
    /// `proposals` come from [`propose_at`](Self::propose_at) at the same `x` and `noise`.
    fn pathwise_gradient(
        &self,
        x: Tensor<2>,
        noise: Tensor<2>,
        proposals: Proposals<Self::Latents>,
        weights: &PathWeights,
        into: &mut Gradients,
    );

    /// `log w(ξ) = log p(x, g(ξ, x)) - log q(g(ξ, x) | x)` and its gradient in ξ: `[n]` and `[n, noise_units]`.
    ///
    /// In noise space the posterior has the density `N(ξ; 0, I) w(ξ) / p(x)`.
    fn log_weight_gradient(&self, x: Tensor<2>, noise: Tensor<2>) -> (Tensor<1>, Tensor<2>);
}
