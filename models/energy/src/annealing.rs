//! The path from independent visible units to a machine.
//!
//! ```text
//! log f_β(v) = (1 - β) (n⁰·v - ½ p⁰·v²) - β own(v) + Σⱼ softplus(β (bⱼ + (vW)ⱼ))
//! ```
//!
//! with `own(v)` the own energies of the visible units, `-a·v` for bits, and `n⁰`, `p⁰` the parameters of the first law:
//! the logits of bits and the logarithms of the shares of categories, and `mean / variance` and `1 / variance` of real
//! units. At β = 0 the visible units are independent and the m hidden units are fair coins:
//! `log Z_0 = log ∫ exp(n⁰·v - ½ p⁰·v²) + m log 2`. At β = 1 it is the machine. A move at β draws h with the logits
//! `β (b + vW)`, then v with its parameters on the way from the first law's to those that the machine's law has given h.
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
use crate::units::{Natural, Units};

/// The path from independent visible units to a machine.
#[derive(Clone, Debug)]
pub struct FromIndependent<'a> {
    rbm: &'a Rbm,
    /// n⁰: `[d]`.
    base: Tensor<1>,
    /// p⁰: `[d]`; not set if no unit is real.
    precision: Option<Tensor<1>>,
}

/// Chains with what their densities need.
#[derive(Clone, Debug)]
pub struct Annealed {
    /// The visible units: `[n, d]`.
    pub v: Tensor<2>,
    /// What the hidden units see of them, `vW`: `[n, m]`.
    product: Tensor<2>,
}

/// What the first law of a path may know of n rows of data.
#[derive(Clone, Copy, Debug)]
pub struct RowMoments<'a> {
    /// The mean of each column.
    pub mean: &'a [f64],
    /// The variance of each column; read for real units alone.
    pub variance: &'a [f64],
    /// n.
    pub rows: usize,
}

impl<'a> FromIndependent<'a> {
    /// The path that begins at fair coins, categories that are all as likely, and real units with the biases and
    /// variances that they have in the machine.
    pub fn uniform(rbm: &'a Rbm) -> Self {
        let precision = rbm.precision();
        let base = match &precision {
            Some(precision) => precision.clone() * rbm.visible.val() * rbm.real_columns(),
            None => rbm.visible.val().zeros_like(),
        };
        FromIndependent { rbm, base, precision }
    }

    /// The path that begins at the moments of rows of data. The shares of bits and of categories are smoothed:
    /// `(n mean + s) / (n + K s)`, with K = 2 for bits. Variances are at least those of the machine given its hidden
    /// units.
    ///
    /// `s` is the number of rows that are added for each value, so that no logit is infinite.
    ///
    /// # Panics
    /// If there is not one mean for each column, and one variance for each if units are real, or `s` is not above zero.
    pub fn of_data(rbm: &'a Rbm, data: RowMoments<'_>, s: f64) -> Self {
        assert!(s > 0.0, "without pseudo-rows (s = {s}), logits can be infinite");
        assert_eq!(data.mean.len(), rbm.layer().columns(), "one mean for each column");
        let n = data.rows as f64;
        let own: Option<Vec<f64>> = rbm.precision().map(into_f64);
        let mut base = Vec::with_capacity(rbm.layer().columns());
        let mut precisions = vec![1.0; rbm.layer().columns()];
        for (units, columns) in rbm.layer().ranges() {
            for column in columns {
                let mean = data.mean[column];
                base.push(match units {
                    Units::Bernoulli => (n * mean + s).ln() - (n * (1.0 - mean) + s).ln(),
                    Units::Softmax { categories } => (n * mean + s).ln() - (n + categories as f64 * s).ln(),
                    Units::Gaussian | Units::Rectified => {
                        let own = own.as_ref().expect("real units have variances")[column];
                        precisions[column] = own.min(data.variance[column].recip());
                        mean * precisions[column]
                    }
                });
            }
        }
        let tensor = |values: &[f64]| Tensor::from_data(values, (&rbm.device(), rbm.dtype()));
        let precision = own.is_some().then(|| tensor(&precisions));
        FromIndependent { rbm, base: tensor(&base), precision }
    }

    /// The parameters of the visible units at β in the field `f = Wh`, `[n, d]`.
    fn given(&self, field: Tensor<2>, beta: &InverseTemperature) -> Natural {
        let n = field.dims()[0];
        let (machine, base) = (self.rbm.given_field(field), self.first(n));
        let mix = |base: Tensor<2>, own: Tensor<2>| base.clone() + beta.times(own - base);
        let precision = base.precision.zip(machine.precision).map(|(base, own)| mix(base, own));
        Natural { linear: mix(base.linear, machine.linear), precision }
    }

    /// `log f_0` of the visible units: `[n]`.
    fn of_base(&self, v: Tensor<2>) -> Tensor<1> {
        let linear = along(v.clone(), self.base.clone());
        match &self.precision {
            Some(p) => linear - along(v.square(), p.clone() * self.rbm.real_columns()) * 0.5,
            None => linear,
        }
    }

    /// `log f_to - log f_from` of the visible units by themselves, with `by = to - from`: `[n]`.
    fn difference(&self, v: Tensor<2>, by: f64) -> Tensor<1> {
        if self.precision.is_none() {
            return along(v, (self.rbm.visible.val() - self.base.clone()) * by);
        }
        (self.rbm.all_own(v.clone()) - self.of_base(v)) * by
    }

    /// The first law in each of `n` rows.
    fn first(&self, n: usize) -> Natural {
        let linear = self.base.clone().unsqueeze::<2>().repeat_dim(0, n);
        Natural { linear, precision: self.precision.clone().map(Tensor::unsqueeze) }
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
        Annealed { product: product::ab(self.rbm.seen(v.clone()), self.rbm.weight.val()), v }
    }

    fn positions(&self, state: &Annealed) -> Tensor<2> {
        state.v.clone()
    }

    fn step(&self, state: Annealed, beta: &InverseTemperature, draws: &Draws) -> (Annealed, ()) {
        let (weight, hidden, visible) =
            (self.rbm.weight.val(), self.rbm.hidden.val(), self.rbm.visible.val());
        let v = match beta {
            _ if !self.rbm.layer().is_bits() => {
                let logits = beta.times(state.product + hidden.clone().unsqueeze());
                let h = self.rbm.sample_hidden(logits, hidden.zeros_like(), draws);
                self.rbm.sample_law(&self.given(product::abt(h, weight), beta), draws)
            }
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
        let from = self.of_base(state.v.clone()).unsqueeze_dim::<2>(1);
        let way = self.difference(state.v.clone(), 1.0).unsqueeze_dim::<2>(1);
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
        let visible = self.difference(state.v.clone(), to - from);
        visible + self.log_hidden_off(state, from) - self.log_hidden_off(state, to)
    }

    fn select(&self, state: Annealed, from: Tensor<1, Int>) -> Annealed {
        Annealed { v: state.v.select(0, from.clone()), product: state.product.select(0, from) }
    }
}

impl AnnealingPath for FromIndependent<'_> {
    fn log_base(&self) -> f64 {
        let visible: f64 = if self.rbm.layer().is_bits() {
            let softplus = |a: f64| a.max(0.0) + (-a.abs()).exp().ln_1p();
            into_f64(self.base.clone()).into_iter().map(softplus).sum()
        } else {
            into_f64(self.rbm.layer().log_normalizer(&self.first(1)))[0]
        };
        visible + self.rbm.n_hidden() as f64 * std::f64::consts::LN_2
    }

    fn begin(&self, draws: &Draws) -> Annealed {
        if !self.rbm.layer().is_bits() {
            return self.at(self.rbm.sample_law(&self.first(draws.len()), draws));
        }
        let logits = self.rbm.off(self.rbm.layer().columns()).repeat_dim(0, draws.len());
        self.at(self.rbm.sample_visible(logits, self.base.clone(), draws))
    }
}

/// A move draws h given v and then v given h under one joint law, so that it is reversible in v.
impl ReversiblePath for FromIndependent<'_> {
    fn log_end(&self, state: &Annealed) -> Tensor<1> {
        self.rbm.all_own(state.v.clone()) - self.log_hidden_off(state, 1.0)
    }
}
