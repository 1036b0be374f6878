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
use burn::tensor::{DType, Device, Tensor, s};
use helmholtz_core::{
    Contrast, Draws, EnergyModel, GENERATIVE, Gradients, Harmonium, LayerMeans, ParameterGroup, Role,
    Trainable, Weighed,
};
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

    /// `E[v | h]` of each row: `[n, d]`.
    pub fn visible_means(&self, h: Tensor<2>) -> Tensor<2> {
        let logits = product::abt(h, self.weight.val());
        -bernoulli::score(self.off(self.observed()), logits, self.visible.val()).trace
    }

    /// h given v in each row: `[n, m]`.
    pub fn draw_hidden(&self, v: Tensor<2>, draws: &Draws) -> Tensor<2> {
        self.sample_hidden(product::ab(v, self.weight.val()), self.hidden.val(), draws)
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

    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let scored = self.given(x.clone());
        let free_energy = scored.log_prob - along(x.clone(), self.visible.val());
        self.add_energy_gradient((x, -scored.trace), weights, into);
        free_energy
    }
}

/// The draws of h in a sweep are those of layer 1, and the draws of v those of layer 0. Noise is fair coins.
impl Harmonium for Rbm {
    fn hidden_means(&self, x: Tensor<2>) -> Tensor<2> {
        // The error of units that are off is minus their mean.
        -self.given(x).trace
    }

    fn noise(&self, draws: &Draws) -> Tensor<2> {
        noise::uniform(draws, self.observed(), self.dtype(), &self.device())
            .lower_elem(0.5)
            .float()
            .cast(self.dtype())
    }

    fn sweep(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let of_hidden = product::ab(x, self.weight.val());
        let Some(beta) = beta else {
            let h = self.sample_hidden(of_hidden, self.hidden.val(), draws);
            return self.sample_visible(product::abt(h, self.weight.val()), self.visible.val(), draws);
        };
        let (hidden, visible) = (self.hidden.val(), self.visible.val());
        let tempered =
            |product: Tensor<2>, bias: &Tensor<1>| (product + bias.clone().unsqueeze()) * beta.clone();
        let h = self.sample_hidden(tempered(of_hidden, &hidden), hidden.zeros_like(), draws);
        let of_visible = product::abt(h, self.weight.val());
        self.sample_visible(tempered(of_visible, &visible), visible.zeros_like(), draws)
    }

    fn log_tempered(&self, x: Tensor<2>, beta: Tensor<2>) -> Tensor<2> {
        let hidden = self.hidden.val();
        let logits = product::ab(x.clone(), self.weight.val()) + hidden.clone().unsqueeze();
        let visible = along(x, self.visible.val()).unsqueeze_dim::<2>(1);
        let at = |beta: Tensor<2>| {
            let off = self.off(self.n_hidden());
            let log_off =
                bernoulli::constant_log_prob(off, logits.clone() * beta.clone(), hidden.zeros_like());
            visible.clone() * beta - log_off.unsqueeze_dim::<2>(1)
        };
        Tensor::cat(beta.clone().chunk(beta.dims()[1], 1).into_iter().map(at).collect(), 1)
    }

    /// With `G` the plain contrast and μ, ν the offsets:
    ///
    /// ```text
    /// G_W ← G_W - μ G_bᵀ - G_a νᵀ        G_a ← G_a - G_W ν        G_b ← G_b - G_Wᵀ μ
    /// ```
    ///
    /// with the new `G_W` in the last two. This is the step of the parameters W, a, b that a gradient step of
    /// `E = -(v - μ)·a' - (h - ν)·b' - (v - μ)ᵀ W (h - ν)` in W, a', b' amounts to. Offsets may move: a and b do not
    /// depend on them.
    ///
    /// # Reference
    /// Melchior, Fischer, Wiskott, "How to center deep Boltzmann machines", JMLR 17, 2016.
    fn contrast(
        &self,
        data: Weighed,
        samples: Weighed,
        offsets: &mut dyn FnMut(LayerMeans, LayerMeans) -> Option<LayerMeans>,
    ) -> Contrast {
        let n = data.x.dims()[0];
        // All rows in one product.
        let x = Tensor::cat(vec![data.x.clone(), samples.x.clone()], 0);
        let weights = Tensor::cat(vec![data.weights.clone(), -samples.weights.clone()], 0);
        let scored = self.given(x.clone());
        let free_energy = scored.log_prob - along(x.clone(), self.visible.val());
        let h = -scored.trace;
        let means = |rows: Weighed, h: Tensor<2>| LayerMeans {
            visible: mean(rows.weights.clone(), rows.x),
            hidden: mean(rows.weights, h),
        };
        let of_data = means(data, h.clone().slice(s![..n, ..]));
        let of_samples = means(samples, h.clone().slice(s![n.., ..]));
        let mut of_visible = of_samples.visible.clone() - of_data.visible.clone();
        let mut of_hidden = of_samples.hidden.clone() - of_data.hidden.clone();
        let of_weight = match offsets(of_data, of_samples) {
            None => -product::weighed_atb(x, weights, h).0,
            Some(LayerMeans { visible, hidden }) => {
                let (column, row) = (visible.clone().unsqueeze_dim::<2>(1), hidden.clone().unsqueeze::<2>());
                let of_weight = -product::weighed_atb(x, weights, h - row).0
                    - column * of_hidden.clone().unsqueeze::<2>();
                let along_hidden = product::ab(of_weight.clone(), hidden.unsqueeze_dim::<2>(1));
                of_visible = of_visible - along_hidden.squeeze_dim::<1>(1);
                of_hidden = of_hidden - mean(visible, of_weight.clone());
                of_weight
            }
        };
        let mut gradients = Gradients::new();
        gradients.add(&self.weight, of_weight);
        gradients.add(&self.visible, of_visible);
        gradients.add(&self.hidden, of_hidden);
        Contrast {
            gradients,
            at_data: free_energy.clone().slice(s![..n]),
            at_samples: free_energy.slice(s![n..]),
        }
    }
}

/// The sum of rows under weights.
fn mean(weights: Tensor<1>, rows: Tensor<2>) -> Tensor<1> {
    product::ab(weights.unsqueeze(), rows).squeeze_dim::<1>(0)
}
