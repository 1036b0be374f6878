//! A mixture of Bernoulli units.
//!
//! With C classes y and K components k for each of them:
//!
//! ```text
//! p(y, k) = softmax(a)_yk        p(x | y, k) = Πⱼ Bernoulli(xⱼ; σ(l_ykj))
//!
//! log p(x, y, k) = log p(y, k) + Σⱼ mⱼ (xⱼ l_ykj - softplus(l_ykj))
//! ```
//!
//! Given the component, the units are independent. So a missing value is summed out by leaving it out: its mask mⱼ is
//! 0. Over a batch, the sum of `mⱼ xⱼ l_ykj` is a matrix product. So is the sum of the softplus terms; without missing
//! values it is the same for every row.
//!
//! With the responsibilities `r = p(y, k | x)`, or `p(k | x, y)` for a row whose class is known, the gradient of
//! `log p` is
//!
//! ```text
//! ∂/∂a_yk = r_yk - p(y, k)        ∂/∂l_ykj = r_yk mⱼ (xⱼ - σ(l_ykj))
//! ```
//!
//! # Reference
//! McLachlan, Peel, "Finite mixture models", Wiley, 2000.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor, activation};
use helmholtz_core::{
    Batch, Draws, GENERATIVE, Gradients, ParameterGroup, Role, Scored, Target, Tractable, Trainable,
};
use helmholtz_ops::log_weights::log_sum_exp;
use helmholtz_ops::{bernoulli, log_sigmoid, noise, product, rows, sigmoid};

/// A mixture of Bernoulli units with C classes and K components for each.
///
/// The components of class y are numbered from `y K` on.
#[derive(Module, Debug)]
pub struct BernoulliMixture {
    /// a, the logarithms of the weights of the components, up to a constant: `[C K]`.
    pub weights: Param<Tensor<1>>,
    /// l, the logits of the units in each component: `[C K, d]`, finite.
    pub logits: Param<Tensor<2>>,
    /// The mean of the pseudo-rows of [`smoothing`](Self::smoothing): `[d]`, in (0, 1), not trained.
    pub prior_mean: Param<Tensor<1>>,
    /// C, the number of classes.
    pub classes: usize,
    /// Pseudo-rows that the maximisation adds to the data, as a share of the rows: see [`em`](crate::em).
    #[module(skip)]
    pub smoothing: f64,
}

impl BernoulliMixture {
    /// K, the number of components of each class.
    pub fn components(&self) -> usize {
        self.weights.lazy_shape()[0] / self.classes
    }

    /// `log p(y, k)`: `[C K]`, in nats.
    pub fn log_weights(&self) -> Tensor<1> {
        activation::log_softmax(self.weights.val(), 0)
    }

    /// Samples, and the number of each sample's component, in 0..C K: `[n, d]`, `[n]`.
    ///
    /// The component is chosen by the place of one uniform among the cumulative sums of the weights.
    pub fn dream(&self, draws: &Draws) -> (Tensor<2>, Tensor<1, Int>) {
        let layer = |l: usize| draws.child(Role::Layer).child(l);
        let weights = self.log_weights().exp();
        let (k, device) = (weights.dims()[0], weights.device());
        let ends = weights.cumsum(0);
        // Divided by the last sum, which rounding may leave below one, so that no uniform exceeds it.
        let ends = ends.clone() / ends.narrow(0, k - 1, 1);
        let u = noise::uniform(&layer(1), 1, self.dtype(), &device);
        let passed = u.expand([draws.len(), k]).greater_equal(ends.unsqueeze::<2>().expand([draws.len(), k]));
        let components = passed.int().sum_dim(1).squeeze_dim::<1>(1);
        let logits = self.logits.val().select(0, components.clone());
        let drawn = bernoulli::draw(logits, self.zeros().squeeze_dim(0), &layer(0), None);
        (drawn.x, components)
    }

    /// A row of zeros, `[1, d]`.
    fn zeros(&self) -> Tensor<2> {
        let logits = self.logits.val();
        Tensor::zeros([1, self.observed()], (&logits.device(), logits.dtype()))
    }

    /// `Σⱼ mⱼ log(1 - σ(lⱼ))` of each row and component: `[n, C K]`, or `[1, C K]` if nothing is missing.
    fn log_off(&self, batch: &Batch) -> Tensor<2> {
        let logits = self.logits.val();
        match &batch.mask {
            Some(mask) => product::abt(mask.clone(), log_sigmoid(logits.neg())),
            None => bernoulli::log_prob(self.zeros(), logits).unsqueeze(),
        }
    }

    /// `log p(x, y, k)` of each row for all classes; targets are ignored: `[n, C K]`.
    pub(crate) fn log_joint(&self, batch: &Batch) -> Tensor<2> {
        self.log_joint_of(batch, self.log_off(batch))
    }

    fn log_joint_of(&self, batch: &Batch, log_off: Tensor<2>) -> Tensor<2> {
        product::abt(batch.x.clone(), self.logits.val()) + (log_off + self.log_weights().unsqueeze())
    }

    /// [`log_joint`](Self::log_joint), with probability zero for the components of all classes except a row's own.
    pub(crate) fn given_class(&self, log_joint: Tensor<2>, batch: &Batch) -> Tensor<2> {
        let classes = match &batch.target {
            Some(Target::Classes(classes)) if self.classes > 1 => classes.clone(),
            Some(Target::Values(_)) if self.classes > 1 => {
                panic!("a mixture with classes predicts classes, but the targets are real numbers")
            }
            _ => return log_joint,
        };
        let [n, k] = log_joint.dims();
        let class_of = Tensor::<1, Int>::arange(0..k as i64, &log_joint.device()) / self.components() as i64;
        let own = classes.unsqueeze_dim::<2>(1).expand([n, k]);
        log_joint.mask_fill(own.not_equal(class_of.unsqueeze::<2>().expand([n, k])), f64::NEG_INFINITY)
    }

    /// The responsibilities of the components for each row, and `log p` of the row: `[n, C K]`, `[n]`.
    pub(crate) fn responsibilities_of(&self, batch: &Batch, log_joint: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let log_joint = self.given_class(log_joint, batch);
        let log_prob = log_sum_exp(log_joint.clone());
        ((log_joint - log_prob.clone().unsqueeze_dim(1)).exp(), log_prob)
    }
}

impl Trainable for BernoulliMixture {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn observed(&self) -> usize {
        self.logits.lazy_shape()[1]
    }

    fn dtype(&self) -> DType {
        self.logits.val().dtype()
    }

    fn device(&self) -> Device {
        self.logits.val().device().inner()
    }
}

/// With classes, `log_prob` is `log p(x, y)` if the batch gives the classes y, otherwise `log p(x)`. A mixture without
/// classes (C = 1) has no target.
///
/// # Panics
/// If there are classes and the targets are real numbers.
impl Tractable for BernoulliMixture {
    /// Differentiable by autodiff in the parameters.
    fn log_prob(&self, batch: &Batch) -> Tensor<1> {
        log_sum_exp(self.given_class(self.log_joint(batch), batch))
    }

    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        // The error of a row of zeros is -σ(l).
        let (log_off, off_error) = match &batch.mask {
            Some(_) => (self.log_off(batch), sigmoid(self.logits.val()).neg()),
            None => {
                let bias = self.zeros().squeeze_dim(0);
                let Scored { log_prob, trace } = bernoulli::score(self.zeros(), self.logits.val(), bias);
                (log_prob.unsqueeze(), trace)
            }
        };
        let (r, log_prob) = self.responsibilities_of(batch, self.log_joint_of(batch, log_off));
        let total = weights.clone().sum();
        let (r, mass) = rows::weigh(r, weights.neg(), 1);
        into.add(&self.weights, mass.clone() + self.log_weights().exp() * total);
        let off = match &batch.mask {
            Some(mask) => off_error * product::atb(r.clone(), mask.clone()),
            None => rows::weigh(off_error, mass, 1).0,
        };
        into.add(&self.logits, product::atb(r, batch.x.clone()) + off);
        log_prob
    }
}
