//! Labels as visible units: a machine over rows x and their classes y.
//!
//! ```text
//! p(x, y) ∝ exp(-F(x, y))        p(y | x) ∝ exp(-F(x, y))        F(x) = -log Σ_y exp(-F(x, y))
//! ```
//!
//! The partition function is the same for both: `Z = Σ_x exp(-F(x)) = Σ_x Σ_y exp(-F(x, y))`. A chain over x alone draws
//! `y | x` first, then makes a sweep of both.
//!
//! # Reference
//! Larochelle, Bengio, "Classification using discriminative restricted Boltzmann machines", ICML 2008, equation 2.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use helmholtz_core::{Draws, Harmonium, Role, Trainable};
use helmholtz_ops::{bernoulli, product};

use crate::Rbm;
use crate::units::{Layer, Natural, Units};

/// A row with each of the labels in turn.
struct WithLabels {
    /// `b + (x, y) W` without what y adds: `[n, m]`.
    logits: Tensor<2>,
    /// Minus the own energies of the visible units without the label, tempered and not: `[n]`.
    own: (Tensor<1>, Option<Tensor<1>>),
}

/// For machines with labels; all of them panic for others. x has the columns of the data: `[n, d]`.
impl Rbm {
    fn with_each_label(&self, x: Tensor<2>) -> WithLabels {
        assert!(self.classes() > 0, "the machine has no labels");
        let none = Tensor::zeros([x.dims()[0], self.classes()], (&x.device(), x.dtype()));
        let x = Tensor::cat(vec![x, none], 1);
        let own = self.own(x.clone());
        let logits = product::ab(self.seen(x), self.weight.val()) + self.hidden.val().unsqueeze();
        WithLabels { logits, own }
    }

    /// What label y adds to the logits of the hidden units, `[1, m]`, and its bias, `[1]`.
    fn of_label(&self, y: usize) -> (Tensor<2>, Tensor<1>) {
        let column = self.observed() + y;
        (self.weight.val().narrow(0, column, 1), self.visible.val().narrow(0, column, 1))
    }

    /// `log Σ_h exp(-β E(x, y, h))` of each row with each label: `[n, K]`, for inverse temperatures of rows, `[n, 1]`, or 1.
    fn log_of_labels(&self, x: Tensor<2>, beta: Option<Tensor<2>>) -> Tensor<2> {
        let WithLabels { logits, own: (own, real) } = self.with_each_label(x);
        let own = own.unsqueeze_dim::<2>(1);
        let of = |y: usize| {
            let (more, bias) = self.of_label(y);
            let times = |values: Tensor<2>| beta.clone().map_or(values.clone(), |beta| values * beta);
            let off = self.off(self.n_hidden());
            let log_off = bernoulli::log_prob(off, times(logits.clone() + more)).unsqueeze_dim::<2>(1);
            times(own.clone() + bias.unsqueeze()) - log_off
        };
        let all = Tensor::cat((0..self.classes()).map(of).collect(), 1);
        match real {
            Some(real) => all + real.unsqueeze_dim::<2>(1),
            None => all,
        }
    }

    /// `log p(y | x)` of each class: `[n, K]`.
    pub fn log_class_probabilities(&self, x: Tensor<2>) -> Tensor<2> {
        log_softmax(self.log_of_labels(x, None), 1)
    }

    /// F of each row with its label summed out, in nats: `[n]`.
    pub fn free_energy_of_unlabelled(&self, x: Tensor<2>) -> Tensor<1> {
        let each = self.log_of_labels(x, None);
        let max = each.clone().max_dim(1);
        let sum = (each - max.clone()).exp().sum_dim(1).log() + max;
        -sum.squeeze_dim::<1>(1)
    }

    /// The means of the hidden units given x alone, `Σ_y p(y | x) E[h | x, y]`: `[n, m]`.
    pub fn hidden_means_of_unlabelled(&self, x: Tensor<2>) -> Tensor<2> {
        let shares = softmax(self.log_of_labels(x.clone(), None), 1);
        let logits = self.with_each_label(x).logits;
        let of = |y: usize| sigmoid(logits.clone() + self.of_label(y).0) * shares.clone().narrow(1, y, 1);
        (0..self.classes()).map(of).reduce(|sum, more| sum + more).expect("there are classes")
    }

    /// Rows with labels drawn from `p(y | x)` at the inverse temperatures of rows, `[n, 1]`, or at 1: `[n, d + K]`.
    pub fn labelled(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let linear = self.log_of_labels(x.clone(), beta);
        let unit = Layer::of(Units::Softmax { categories: self.classes() }, self.classes());
        let unit = unit.expect("a label is one of at least two classes");
        let y = unit.sample(&Natural { linear, precision: None }, &draws.child(Role::Choice));
        Tensor::cat(vec![x, y], 1)
    }

    /// Rows without their labels: `[n, d]`.
    pub fn unlabelled(&self, rows: Tensor<2>) -> Tensor<2> {
        rows.narrow(1, 0, self.observed())
    }

    /// A sweep of chains over x alone, which leaves p(x) at the inverse temperatures of rows invariant: labels are drawn
    /// given x, and then a sweep is made over both.
    ///
    /// # Shapes
    /// - `x`: `[n, d]` for the n matrix rows of `draws`; `beta`: `[n, 1]`, or not set for 1 in every row
    pub fn sweep_of_unlabelled(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let both = self.labelled(x, beta.clone(), draws);
        self.unlabelled(Harmonium::sweep(self, both, beta, draws))
    }
}
