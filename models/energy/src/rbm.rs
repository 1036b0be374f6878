//! A restricted Boltzmann machine whose hidden units are bits.
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
//! # Other visible units
//! The visible units may also be categories or real numbers, with the own energies and conditional laws of
//! [`units`](crate::units). Real units have variances s² of their own; with `λ = log s²` as the parameter,
//!
//! ```text
//! ∂F/∂a = -(v - a) / s²        ∂F/∂W = -(v / s²) ηᵀ        ∂F/∂λ = -((v - a)² - 2 v (Wη)) / 2s²
//! ```
//!
//! At the inverse temperature β, the own energies of real units stay as they are, so that the law is one for β = 0, too:
//! only the connections and the biases of hidden units and of bits and categories are multiplied by β.
//!
//! # Reference
//! Smolensky, "Information processing in dynamical systems: foundations of harmony theory", 1986.
//! Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, s};
use helmholtz_core::{
    Batch, Contrast, Draws, EnergyModel, GENERATIVE, Gradients, Harmonium, LayerMeans, ParameterGroup, Role,
    Trainable, Weighed,
};
use helmholtz_ops::{bernoulli, noise, product};

use crate::units::{Layer, Natural, Units};

/// A restricted Boltzmann machine with d columns of visible units and m hidden units, which are bits.
#[derive(Module, Debug)]
pub struct Rbm {
    /// W, the connections: `[d, m]`.
    pub weight: Param<Tensor<2>>,
    /// a, the biases of the visible units: `[d]`.
    pub visible: Param<Tensor<1>>,
    /// b, the biases of the hidden units: `[m]`.
    pub hidden: Param<Tensor<1>>,
    /// λ = log s² of real visible units, and 0 in the columns of others: `[d]`. Not set if no unit is real.
    pub log_variance: Option<Param<Tensor<1>>>,
    #[module(skip)]
    layer: Layer,
    /// The number of classes whose labels are the last columns; 0 without labels.
    #[module(skip)]
    classes: usize,
}

impl Rbm {
    /// The machine of bits with these parameters: W, `[d, m]`, a, `[d]`, and b, `[m]`.
    ///
    /// # Panics
    /// If a size is zero, or the sizes do not fit.
    pub fn of_bits(weight: Tensor<2>, visible: Tensor<1>, hidden: Tensor<1>) -> Self {
        let layer = Layer::of(Units::Bernoulli, visible.dims()[0]).unwrap_or_else(|error| panic!("{error}"));
        Rbm::new(layer, weight, visible, hidden)
    }

    /// The machine with these visible units and parameters, as for [`of_bits`](Self::of_bits). Real units have a variance
    /// of 1.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn new(layer: Layer, weight: Tensor<2>, visible: Tensor<1>, hidden: Tensor<1>) -> Self {
        let sizes = [visible.dims()[0], hidden.dims()[0]];
        assert_eq!(
            (weight.dims(), layer.columns()),
            (sizes, sizes[0]),
            "one connection for each pair of units"
        );
        let log_variance = layer.has_real().then(|| Param::from_tensor(visible.zeros_like()));
        let [visible, hidden] = [visible, hidden].map(Param::from_tensor);
        Rbm { weight: Param::from_tensor(weight), visible, hidden, log_variance, layer, classes: 0 }
    }

    /// The same machine with its last visible unit as the label of rows: one of K classes.
    ///
    /// # Panics
    /// If the last block is not one softmax unit, or there are no others.
    pub fn with_labels(mut self) -> Self {
        let block = self.layer.blocks().last();
        let classes = match block.map(|block| (block.units, block.columns)) {
            Some((Units::Softmax { categories }, columns)) if categories == columns => categories,
            _ => panic!("labels are the last block: one softmax unit with a column for each class"),
        };
        assert!(self.layer.blocks().len() > 1, "a machine has visible units beside the label");
        self.classes = classes;
        self
    }

    /// K, the number of classes of the labels; 0 without labels.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The types of the visible units.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// `1 / s²` of real units, and 1 in the columns of others: `[d]`.
    pub(crate) fn precision(&self) -> Option<Tensor<1>> {
        self.log_variance.as_ref().map(|log_variance| (-log_variance.val()).exp())
    }

    /// What the connections see of v: `v / s²` of real units.
    pub(crate) fn seen(&self, v: Tensor<2>) -> Tensor<2> {
        match self.precision() {
            Some(precision) => v * precision.unsqueeze(),
            None => v,
        }
    }

    /// Minus the own energies of the visible units of each row: of bits and categories, and of real units, if any: `[n]`.
    pub(crate) fn own(&self, v: Tensor<2>) -> (Tensor<1>, Option<Tensor<1>>) {
        self.own_with(v, self.visible.val().unsqueeze())
    }

    /// The same with other biases for each row: `[n, d]`, or `[1, d]` for all.
    pub(crate) fn own_with(&self, v: Tensor<2>, a: Tensor<2>) -> (Tensor<1>, Option<Tensor<1>>) {
        let Some(precision) = self.precision() else {
            return (dots(v, a), None);
        };
        let is_real = self.real_columns();
        let away = (v.clone() - a.clone()).square();
        let real = along(away, precision * is_real.clone()) * -0.5;
        (dots(v, a * (-is_real + 1.0).unsqueeze()), Some(real))
    }

    /// Minus the own energies of all visible units of each row: `[n]`.
    pub(crate) fn all_own(&self, v: Tensor<2>) -> Tensor<1> {
        match self.own(v) {
            (own, None) => own,
            (own, Some(real)) => own + real,
        }
    }

    /// 1 in the columns of real units: `[d]`.
    pub(crate) fn real_columns(&self) -> Tensor<1> {
        self.layer.real_columns(self.dtype(), &self.visible.val().device())
    }

    /// The law of the visible units in the field `f = Wh`, `[n, d]`.
    pub(crate) fn given_field(&self, field: Tensor<2>) -> Natural {
        let linear = field + self.visible.val().unsqueeze();
        Natural { linear: self.seen(linear), precision: self.precision().map(Tensor::unsqueeze) }
    }

    /// v in the field `f = Wh`, `[n, d]`.
    pub(crate) fn draw_visible(&self, field: Tensor<2>, draws: &Draws) -> Tensor<2> {
        if self.layer.is_bits() {
            return self.sample_visible(field, self.visible.val(), draws);
        }
        self.sample_law(&self.given_field(field), draws)
    }

    pub(crate) fn sample_law(&self, law: &Natural, draws: &Draws) -> Tensor<2> {
        self.layer.sample(law, &draws.child(Role::Layer).child(0usize))
    }

    /// m, the number of hidden units.
    pub fn n_hidden(&self) -> usize {
        self.weight.lazy_shape()[1]
    }

    /// `E(v, h)` of each row, in nats: `[n]`. Differentiable by autodiff in the parameters.
    ///
    /// # Shapes
    /// - `v`: `[n, d]`, `h`: `[n, m]`
    pub fn energy(&self, v: Tensor<2>, h: Tensor<2>) -> Tensor<1> {
        let joint = dots(product::ab(self.seen(v.clone()), self.weight.val()), h.clone());
        -(joint + self.all_own(v) + along(h, self.hidden.val()))
    }

    /// `E[v | h]` of each row: `[n, d]`.
    pub fn visible_means(&self, h: Tensor<2>) -> Tensor<2> {
        let field = product::abt(h, self.weight.val());
        if !self.layer.is_bits() {
            return self.layer.means(&self.given_field(field));
        }
        -bernoulli::score(self.off(self.layer.columns()), field, self.visible.val()).trace
    }

    /// h given v in each row: `[n, m]`.
    pub fn draw_hidden(&self, v: Tensor<2>, draws: &Draws) -> Tensor<2> {
        self.sample_hidden(product::ab(self.seen(v), self.weight.val()), self.hidden.val(), draws)
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
        let product = product::ab(self.seen(v), self.weight.val());
        bernoulli::score(self.off(self.n_hidden()), product, self.hidden.val())
    }

    /// A row of `n` units that are off: `[1, n]`.
    pub(crate) fn off(&self, n: usize) -> Tensor<2> {
        let weight = self.weight.val();
        Tensor::zeros([1, n], (&weight.device(), weight.dtype()))
    }

    /// Adds the gradient of `Σᵢ wᵢ E(vᵢ, hᵢ)`. One of the two layers may hold means given the other; then `squares` has the
    /// means of v² where real units are means.
    pub(crate) fn add_energy_gradient(
        &self,
        (v, squares, h): (Tensor<2>, Option<Tensor<2>>, Tensor<2>),
        weights: Tensor<1>,
        into: &mut Gradients,
    ) {
        let of_visible = sum(weights.clone(), v.clone());
        let (of_weight, of_hidden) = product::weighed_atb(self.seen(v.clone()), weights.clone(), h);
        if let (Some(precision), Some(log_variance)) = (self.precision(), &self.log_variance) {
            let (a, is_real) = (self.visible.val(), self.real_columns());
            let total = weights.clone().sum();
            let squares = sum(weights, squares.unwrap_or_else(|| v.square()));
            let away = squares - a.clone() * of_visible.clone() * 2.0 + a.clone().square() * total.clone();
            let joint = (self.weight.val() * of_weight.clone()).sum_dim(1).squeeze_dim::<1>(1);
            let of_log_variance = (joint - precision.clone() * away * 0.5) * is_real.clone();
            into.add(log_variance, of_log_variance);
            into.add(&self.visible, -(of_visible - a * is_real * total) * precision);
        } else {
            into.add(&self.visible, -of_visible);
        }
        into.add(&self.weight, -of_weight);
        into.add(&self.hidden, -of_hidden);
    }
}

/// The scalar product of each row with a vector: `[n]`.
pub(crate) fn along(rows: Tensor<2>, vector: Tensor<1>) -> Tensor<1> {
    (rows * vector.unsqueeze()).sum_dim(1).squeeze_dim::<1>(1)
}

/// The scalar products of rows: `[n]`.
pub(crate) fn dots(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    (a * b).sum_dim(1).squeeze_dim::<1>(1)
}

impl Trainable for Rbm {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    /// The columns of the data: labels are not counted.
    fn observed(&self) -> usize {
        self.layer.columns() - self.classes
    }

    fn dtype(&self) -> DType {
        self.weight.val().dtype()
    }

    fn device(&self) -> Device {
        self.weight.val().device().inner()
    }
}

impl EnergyModel for Rbm {
    /// With labels, those of the batch are the last columns.
    fn rows(&self, batch: &Batch) -> Tensor<2> {
        if self.classes == 0 {
            return batch.whole();
        }
        let labels = batch.unit_vectors(self.classes).expect("a machine with labels needs those of the rows");
        Tensor::cat(vec![batch.whole(), labels.cast(self.dtype())], 1)
    }

    fn free_energy(&self, x: Tensor<2>) -> Tensor<1> {
        let logits = product::ab(self.seen(x.clone()), self.weight.val()) + self.hidden.val().unsqueeze();
        bernoulli::log_prob(self.off(self.n_hidden()), logits) - self.all_own(x)
    }

    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let scored = self.given(x.clone());
        let free_energy = scored.log_prob - self.all_own(x.clone());
        self.add_energy_gradient((x, None, -scored.trace), weights, into);
        free_energy
    }
}

/// The draws of h in a sweep are those of layer 1, and the draws of v those of layer 0. Noise is fair coins for bits,
/// categories that are all as likely, standard normal numbers for real units, and their absolute values if rectified.
impl Harmonium for Rbm {
    fn hidden_means(&self, x: Tensor<2>) -> Tensor<2> {
        // The error of units that are off is minus their mean.
        -self.given(x).trace
    }

    fn noise(&self, draws: &Draws) -> Tensor<2> {
        if !self.layer.is_bits() {
            return self.layer.noise(draws, self.dtype(), &self.device());
        }
        noise::uniform(draws, self.layer.columns(), self.dtype(), &self.device())
            .lower_elem(0.5)
            .float()
            .cast(self.dtype())
    }

    fn sweep(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let of_hidden = product::ab(self.seen(x), self.weight.val());
        let Some(beta) = beta else {
            let h = self.sample_hidden(of_hidden, self.hidden.val(), draws);
            return self.draw_visible(product::abt(h, self.weight.val()), draws);
        };
        let (hidden, visible) = (self.hidden.val(), self.visible.val());
        let tempered =
            |product: Tensor<2>, bias: &Tensor<1>| (product + bias.clone().unsqueeze()) * beta.clone();
        let h = self.sample_hidden(tempered(of_hidden, &hidden), hidden.zeros_like(), draws);
        let of_visible = product::abt(h, self.weight.val());
        if self.layer.is_bits() {
            return self.sample_visible(tempered(of_visible, &visible), visible.zeros_like(), draws);
        }
        // The biases of real units are not tempered.
        let is_real = self.real_columns().unsqueeze::<2>();
        let of_bias = beta.clone() * (-is_real.clone() + 1.0) + is_real;
        let linear = of_visible * beta + visible.unsqueeze::<2>() * of_bias;
        self.sample_law(
            &Natural { linear: self.seen(linear), precision: self.precision().map(Tensor::unsqueeze) },
            draws,
        )
    }

    fn log_tempered(&self, x: Tensor<2>, beta: Tensor<2>) -> Tensor<2> {
        let hidden = self.hidden.val();
        let logits = product::ab(self.seen(x.clone()), self.weight.val()) + hidden.clone().unsqueeze();
        let (visible, real) = self.own(x);
        let visible = visible.unsqueeze_dim::<2>(1);
        let at = |beta: Tensor<2>| {
            let off = self.off(self.n_hidden());
            let log_off =
                bernoulli::constant_log_prob(off, logits.clone() * beta.clone(), hidden.zeros_like());
            visible.clone() * beta - log_off.unsqueeze_dim::<2>(1)
        };
        let tempered = Tensor::cat(beta.clone().chunk(beta.dims()[1], 1).into_iter().map(at).collect(), 1);
        match real {
            Some(real) => tempered + real.unsqueeze_dim::<2>(1),
            None => tempered,
        }
    }

    /// With `G` the plain contrast and μ, ν the offsets:
    ///
    /// ```text
    /// G_W ← G_W - μ G_bᵀ - G_a νᵀ        G_a ← G_a - G_W ν        G_b ← G_b - G_Wᵀ μ
    /// ```
    ///
    /// with the new `G_W` in the last two. This is the step of the parameters W, a, b that a gradient step of
    /// `E = -(v - μ)·a' - (h - ν)·b' - (v - μ)ᵀ W (h - ν)` in W, a', b' amounts to. Offsets may move: a and b do not
    /// depend on them. For real units it is `μ / s²`, what the connections see of the offset, that is taken off and held.
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
        let free_energy = scored.log_prob - self.all_own(x.clone());
        let h = -scored.trace;
        let means = |rows: Weighed, h: Tensor<2>| LayerMeans {
            visible: sum(rows.weights.clone(), rows.x),
            hidden: sum(rows.weights, h),
        };
        let of_data = means(data, h.clone().slice(s![..n, ..]));
        let of_samples = means(samples, h.clone().slice(s![n.., ..]));
        let seen = |vector: Tensor<1>| self.seen(vector.unsqueeze()).squeeze_dim::<1>(0);
        let plain_visible = of_samples.visible.clone() - of_data.visible.clone();
        let mut of_visible = seen(plain_visible.clone());
        let mut of_hidden = of_samples.hidden.clone() - of_data.hidden.clone();
        let rows = self.seen(x.clone());
        let mut gradients = Gradients::new();
        let offsets = offsets(of_data, of_samples);
        let row = offsets.as_ref().map(|offsets| offsets.hidden.clone().unsqueeze::<2>());
        let product = product::weighed_atb(rows, weights.clone(), row.map_or(h.clone(), |row| h - row)).0;
        if let (Some(precision), Some(log_variance)) = (self.precision(), &self.log_variance) {
            let squares = sum(weights, x.square()) + plain_visible * self.visible.val() * 2.0;
            let weight = self.weight.val();
            let mut joint = (weight.clone() * product.clone()).sum_dim(1).squeeze_dim::<1>(1);
            if let Some(LayerMeans { hidden, .. }) = &offsets {
                joint = joint - of_visible.clone() * along(weight, hidden.clone());
            }
            gradients.add(log_variance, (joint - precision * squares * 0.5) * self.real_columns());
        }
        let of_weight = match offsets {
            None => -product,
            Some(LayerMeans { visible, hidden }) => {
                let visible = seen(visible);
                let of_weight =
                    -product - visible.clone().unsqueeze_dim::<2>(1) * of_hidden.clone().unsqueeze::<2>();
                let along_hidden = product::ab(of_weight.clone(), hidden.unsqueeze_dim::<2>(1));
                of_visible = of_visible - along_hidden.squeeze_dim::<1>(1);
                of_hidden = of_hidden - sum(visible, of_weight.clone());
                of_weight
            }
        };
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
pub(crate) fn sum(weights: Tensor<1>, rows: Tensor<2>) -> Tensor<1> {
    product::ab(weights.unsqueeze(), rows).squeeze_dim::<1>(0)
}
