//! A restricted Boltzmann machine of bits.
//!
//! ```text
//! E(v, h) = -a·v - b·h - vᵀ W h        p(v, h) = exp(-E(v, h)) / Z
//!
//! F(v) = -log Σ_h exp(-E(v, h)) = -a·v - Σⱼ softplus(bⱼ + (vW)ⱼ)
//! ```
//!
//! Given one layer, the units of the other are independent: `p(hⱼ = 1 | v) = σ(bⱼ + (vW)ⱼ)` and
//! `p(vᵢ = 1 | h) = σ(aᵢ + (Wh)ᵢ)`. A sweep of block Gibbs sampling draws h given v and then v given h; it leaves p
//! invariant.
//!
//! With the means η of the hidden units given v, the gradient of F is
//!
//! ```text
//! ∂F/∂a = -v        ∂F/∂b = -η        ∂F/∂W = -v ηᵀ
//! ```
//!
//! # Reference
//! Smolensky, "Information processing in dynamical systems: foundations of harmony theory", 1986.
//! Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Draws, EnergyModel, GENERATIVE, Gradients, ParameterGroup, Role, Trainable};
use helmholtz_ops::{bernoulli, noise, product};

/// A restricted Boltzmann machine with d visible and m hidden units, all of them bits.
#[derive(Module, Debug)]
pub struct Rbm {
    /// W, the connections: `[d, m]`.
    pub weight: Param<Tensor<2>>,
    /// a, the biases of the visible units: `[d]`.
    pub visible: Param<Tensor<1>>,
    /// b, the biases of the hidden units: `[m]`.
    pub hidden: Param<Tensor<1>>,
}

impl Rbm {
    /// m, the number of hidden units.
    pub fn n_hidden(&self) -> usize {
        self.weight.lazy_shape()[1]
    }

    /// `E(v, h)` of each row, in nats: `[n]`. Differentiable by autodiff in the parameters.
    ///
    /// # Shapes
    /// - `v`: `[n, d]`, `h`: `[n, m]`
    pub fn energy(&self, v: Tensor<2>, h: Tensor<2>) -> Tensor<1> {
        let joint = dots(product::ab(v.clone(), self.weight.val()), h.clone());
        -(joint + along(v, self.visible.val()) + along(h, self.hidden.val()))
    }

    /// `E[h | v]` of each row: `[n, m]`.
    pub fn hidden_means(&self, v: Tensor<2>) -> Tensor<2> {
        // The error of units that are off is minus their mean.
        -self.given(v).trace
    }

    /// `E[v | h]` of each row: `[n, d]`.
    pub fn visible_means(&self, h: Tensor<2>) -> Tensor<2> {
        let logits = product::abt(h, self.weight.val());
        -bernoulli::score(self.off(self.observed()), logits, self.visible.val()).trace
    }

    /// A sweep of block Gibbs sampling: h given v, then v given h. Returns v; the draws of h are those of layer 1.
    ///
    /// # Shapes
    /// - `v`: `[n, d]` for the n matrix rows of `draws`; output `[n, d]`
    pub fn sweep(&self, v: Tensor<2>, draws: &Draws) -> Tensor<2> {
        let h = self.sample_hidden(product::ab(v, self.weight.val()), self.hidden.val(), draws);
        self.sample_visible(product::abt(h, self.weight.val()), self.visible.val(), draws)
    }

    /// Visible units that are fair coins, one row for each matrix row of `draws`: a start for chains.
    pub fn noise(&self, draws: &Draws) -> Tensor<2> {
        noise::uniform(draws, self.observed(), self.dtype(), &self.device())
            .lower_elem(0.5)
            .float()
            .cast(self.dtype())
    }

    pub(crate) fn sample_hidden(&self, product: Tensor<2>, bias: Tensor<1>, draws: &Draws) -> Tensor<2> {
        bernoulli::sample(product, bias, &draws.child(Role::Layer).child(1usize)).0
    }

    pub(crate) fn sample_visible(&self, product: Tensor<2>, bias: Tensor<1>, draws: &Draws) -> Tensor<2> {
        bernoulli::sample(product, bias, &draws.child(Role::Layer).child(0usize)).0
    }

    /// `-Σⱼ softplus(bⱼ + (vW)ⱼ)` of each row, which is the log-probability that all hidden units are off, and minus
    /// the means of the hidden units.
    pub(crate) fn given(&self, v: Tensor<2>) -> helmholtz_core::Scored {
        bernoulli::score(self.off(self.n_hidden()), product::ab(v, self.weight.val()), self.hidden.val())
    }

    /// A row of `n` units that are off: `[1, n]`.
    pub(crate) fn off(&self, n: usize) -> Tensor<2> {
        let weight = self.weight.val();
        Tensor::zeros([1, n], (&weight.device(), weight.dtype()))
    }

    /// Adds the gradient of `Σᵢ wᵢ E(vᵢ, hᵢ)`. One of the two layers may hold means given the other.
    pub(crate) fn add_energy_gradient(
        &self,
        (v, h): (Tensor<2>, Tensor<2>),
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        let of_visible = product::ab(weights.clone().unsqueeze(), v.clone()).squeeze_dim::<1>(0);
        let (of_weight, of_hidden) = product::weighed_atb(v, weights, h);
        into.add(&self.weight, -of_weight);
        into.add(&self.visible, -of_visible);
        into.add(&self.hidden, -of_hidden);
    }
}

/// The scalar product of each row with a vector: `[n]`.
pub(crate) fn along(rows: Tensor<2>, vector: Tensor<1>) -> Tensor<1> {
    (rows * vector.unsqueeze()).sum_dim(1).squeeze_dim::<1>(1)
}

/// The scalar products of rows: `[n]`.
fn dots(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    (a * b).sum_dim(1).squeeze_dim::<1>(1)
}

impl Trainable for Rbm {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn observed(&self) -> usize {
        self.weight.lazy_shape()[0]
    }

    fn dtype(&self) -> DType {
        self.weight.val().dtype()
    }

    fn device(&self) -> Device {
        self.weight.val().device().inner()
    }
}

impl EnergyModel for Rbm {
    fn free_energy(&self, x: Tensor<2>) -> Tensor<1> {
        let logits = product::ab(x.clone(), self.weight.val()) + self.hidden.val().unsqueeze();
        bernoulli::log_prob(self.off(self.n_hidden()), logits) - along(x, self.visible.val())
    }

    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) {
        let h = self.hidden_means(x.clone());
        self.add_energy_gradient((x, h), weights, into);
    }
}
