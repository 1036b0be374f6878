//! The path from independent visible units to a machine.
//!
//! ```text
//! log f_β(v) = (1 - β) a⁰·v + β a·v + Σⱼ softplus(β (bⱼ + (vW)ⱼ))
//! ```
//!
//! At β = 0 the visible units are independent with logits a⁰ and the m hidden units are fair coins:
//! `log Z_0 = Σᵢ softplus(aᵢ⁰) + m log 2`. At β = 1 it is the machine. A move at β draws h with the logits
//! `β (b + vW)`, then v with the logits `(1 - β) a⁰ + β (a + Wh)`.
//!
//! # The first law
//! It should have the means of the data. From fair coins, annealing can miss much of the mass of a machine and state a
//! small error for a log Z that is too low by many nats.
//!
//! # Reference
//! Salakhutdinov, Murray, "On the quantitative analysis of deep belief networks", ICML 2008, section 4.1.

use burn::tensor::{Int, Tensor};
use helmholtz_core::{AnnealingPath, Draws, InverseTemperature, Kernel, ReversiblePath, Trainable};
use helmholtz_ops::{bernoulli, into_f64, product};

use crate::Rbm;
use crate::rbm::along;

/// The path from independent visible units to a machine.
#[derive(Clone, Debug)]
pub struct FromIndependent<'a> {
    rbm: &'a Rbm,
    /// a⁰: `[d]`.
    base: Tensor<1>,
}

/// Chains with what their densities need.
#[derive(Clone, Debug)]
pub struct Annealed {
    /// The visible units: `[n, d]`.
    pub v: Tensor<2>,
    /// `vW`: `[n, m]`.
    product: Tensor<2>,
}

impl<'a> FromIndependent<'a> {
    /// The path that begins at independent units with these logits, a⁰: `[d]`.
    ///
    /// # Panics
    /// If there is not one logit for each visible unit.
    pub fn new(rbm: &'a Rbm, base: Tensor<1>) -> Self {
        assert_eq!(base.dims(), [rbm.observed()], "one logit for each visible unit");
        FromIndependent { rbm, base }
    }

    /// The path that begins at the means of `n` rows of data, smoothed: the logits of `(n mean + s) / (n + 2 s)`.
    ///
    /// `s` is the number of ones and of zeros that are added for each unit, so that no logit is infinite.
    ///
    /// # Panics
    /// If there is not one mean for each visible unit, or `s` is not above zero.
    pub fn data_means(rbm: &'a Rbm, mean: &[f64], n: usize, s: f64) -> Self {
        assert!(s > 0.0, "without pseudo-rows (s = {s}), logits can be infinite");
        let n = n as f64;
        let logits: Vec<f64> =
            mean.iter().map(|mean| (n * mean + s).ln() - (n * (1.0 - mean) + s).ln()).collect();
        FromIndependent::new(rbm, Tensor::from_data(logits.as_slice(), (&rbm.device(), rbm.dtype())))
    }

    /// `-Σⱼ softplus(β (bⱼ + (vW)ⱼ))`: `[n]`.
    fn log_hidden_off(&self, state: &Annealed, beta: f64) -> Tensor<1> {
        let off = self.rbm.off(self.rbm.n_hidden());
        bernoulli::constant_log_prob(off, state.product.clone() * beta, self.rbm.hidden.val() * beta)
    }
}

impl Kernel for FromIndependent<'_> {
    type State = Annealed;
    type Info = ();

    fn at(&self, v: Tensor<2>) -> Annealed {
        Annealed { product: product::ab(v.clone(), self.rbm.weight.val()), v }
    }

    fn positions(&self, state: &Annealed) -> Tensor<2> {
        state.v.clone()
    }

    fn step(&self, state: Annealed, beta: &InverseTemperature, draws: &Draws) -> (Annealed, ()) {
        let (weight, hidden, visible) =
            (self.rbm.weight.val(), self.rbm.hidden.val(), self.rbm.visible.val());
        let v = match beta {
            InverseTemperature::Same(at) => {
                let h = self.rbm.sample_hidden(state.product * *at, hidden * *at, draws);
                let bias = self.base.clone() * (1.0 - at) + visible * *at;
                self.rbm.sample_visible(product::abt(h, weight) * *at, bias, draws)
            }
            InverseTemperature::Each(_) => {
                let logits = beta.times(state.product + hidden.clone().unsqueeze());
                let h = self.rbm.sample_hidden(logits, hidden.zeros_like(), draws);
                // a⁰ + β (a - a⁰ + Wh)
                let further = (visible - self.base.clone()).unsqueeze();
                let logits = beta.times(product::abt(h, weight) + further);
                self.rbm.sample_visible(logits, self.base.clone(), draws)
            }
        };
        (self.at(v), ())
    }

    fn log_densities(&self, state: &Annealed, beta: Tensor<2>) -> Tensor<2> {
        let from = along(state.v.clone(), self.base.clone()).unsqueeze_dim::<2>(1);
        let way = along(state.v.clone(), self.rbm.visible.val() - self.base.clone()).unsqueeze_dim::<2>(1);
        let logits = state.product.clone() + self.rbm.hidden.val().unsqueeze();
        let zeros = self.rbm.hidden.val().zeros_like();
        let at = |beta: Tensor<2>| {
            let off = self.rbm.off(self.rbm.n_hidden());
            let log_off = bernoulli::constant_log_prob(off, logits.clone() * beta.clone(), zeros.clone());
            from.clone() + way.clone() * beta - log_off.unsqueeze_dim::<2>(1)
        };
        Tensor::cat(beta.clone().chunk(beta.dims()[1], 1).into_iter().map(at).collect(), 1)
    }

    fn log_ratio(&self, state: &Annealed, from: f64, to: f64) -> Tensor<1> {
        let visible = along(state.v.clone(), (self.rbm.visible.val() - self.base.clone()) * (to - from));
        visible + self.log_hidden_off(state, from) - self.log_hidden_off(state, to)
    }

    fn select(&self, state: Annealed, from: Tensor<1, Int>) -> Annealed {
        Annealed { v: state.v.select(0, from.clone()), product: state.product.select(0, from) }
    }
}

impl AnnealingPath for FromIndependent<'_> {
    fn log_base(&self) -> f64 {
        let softplus = |a: f64| a.max(0.0) + (-a.abs()).exp().ln_1p();
        let visible: f64 = into_f64(self.base.clone()).into_iter().map(softplus).sum();
        visible + self.rbm.n_hidden() as f64 * std::f64::consts::LN_2
    }

    fn begin(&self, draws: &Draws) -> Annealed {
        let logits = self.rbm.off(self.rbm.observed()).repeat_dim(0, draws.len());
        self.at(self.rbm.sample_visible(logits, self.base.clone(), draws))
    }
}

/// A move draws h given v and then v given h under one joint law, so that it is reversible in v.
impl ReversiblePath for FromIndependent<'_> {
    fn log_end(&self, state: &Annealed) -> Tensor<1> {
        along(state.v.clone(), self.rbm.visible.val()) - self.log_hidden_off(state, 1.0)
    }
}
