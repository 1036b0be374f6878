//! Gaussian layers: `p(h | y) = N(h; μ(y), diag σ(y)²)` with a net for μ and σ.
//!
//! With `r = (h - μ) / σ`: `log p = Σⱼ -rⱼ²/2 - log σⱼ - log(2 π)/2`. Its derivatives are `-r/σ` in h, `r/σ` in μ and
//! `(r² - 1)/σ` in σ.

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use helmholtz_core::{Gradients, Key};
use helmholtz_ops::rows::{repeat_rows, sum_groups};

use crate::body::Body;
use crate::net::Linear;

/// How a positive standard deviation is computed from a real number s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Std {
    /// `σ = log(1 + exp(s))`
    Softplus,
    /// `σ = exp(s)`
    Exp,
}

impl Std {
    /// σ, `log σ` and `dσ/ds`.
    fn at(self, s: Tensor<2>) -> [Tensor<2>; 3] {
        match self {
            Std::Softplus => {
                // Stable at both ends.
                let std = activation::relu(s.clone()) + s.clone().abs().neg().exp().log1p();
                [std.clone(), std.log(), activation::sigmoid(s)]
            }
            Std::Exp => {
                let std = s.clone().exp();
                [std.clone(), s, std]
            }
        }
    }
}

/// `N(μ(y), diag σ(y)²)`.
#[derive(Module, Debug)]
pub struct Gaussian {
    /// The hidden units between `y` and the two maps.
    pub body: Body,
    /// The map to μ.
    pub mean: Linear,
    /// The map to s, from which σ is computed.
    pub std: Linear,
    #[module(skip)]
    pub(crate) form: Std,
}

/// μ and σ at some `y`, with what the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct GaussianMoments {
    pub(crate) activations: Vec<Tensor<2>>,
    pub(crate) mean: Tensor<2>,
    pub(crate) std: Tensor<2>,
    pub(crate) log_std: Tensor<2>,
    /// `dσ/ds`.
    slope: Tensor<2>,
}

/// Number of tensors in [`GaussianMoments`] besides the activations.
const BESIDES: usize = 4;

impl Gaussian {
    pub(crate) fn init(body: Body, d_out: usize, form: Std, key: Key, device: &Device) -> Self {
        let d_in = body.width();
        let map = |name: &str| Linear::init([d_in, d_out], key.child(name), device);
        Gaussian { mean: map("mean"), std: map("std"), body, form }
    }

    pub(crate) fn moments(&self, y: Tensor<2>) -> GaussianMoments {
        let activations = self.body.forward(y.clone());
        let hidden = activations.last().cloned().unwrap_or(y);
        let mean = self.mean.forward(hidden.clone());
        let [std, log_std, slope] = self.form.at(self.std.forward(hidden));
        GaussianMoments { activations, mean, std, log_std, slope }
    }

    /// The moments whose traces [`GaussianMoments::into_traces`] made.
    pub(crate) fn moments_of(&self, traces: &[Tensor<2>]) -> GaussianMoments {
        let n = self.body.depth();
        let [mean, std, log_std, slope] = std::array::from_fn(|i| traces[n + i].clone());
        GaussianMoments { activations: traces[..n].to_vec(), mean, std, log_std, slope }
    }

    /// Number of traces.
    pub(crate) fn n_traces(&self) -> usize {
        self.body.depth() + BESIDES
    }

    /// The backward pass from derivatives in μ and σ, which may have k rows for each row of `y`.
    pub(crate) fn backward(
        &self,
        y: Tensor<2>,
        moments: GaussianMoments,
        in_mean: Tensor<2>,
        in_std: Tensor<2>,
        mut into: Option<&mut Gradients>,
        wanted: bool,
    ) -> Option<Tensor<2>> {
        let ([n, _], [n_y, _]) = (in_mean.dims(), y.dims());
        let (in_mean, in_std) = (sum_groups(in_mean, n / n_y), sum_groups(in_std, n / n_y));
        let in_s = in_std * moments.slope;
        let hidden = moments.activations.last().cloned().unwrap_or_else(|| y.clone());
        if let Some(into) = into.as_deref_mut() {
            for (map, delta) in [(&self.mean, &in_mean), (&self.std, &in_s)] {
                let sums = delta.clone().sum_dim(0).squeeze_dim::<1>(0);
                map.gradient(hidden.clone(), delta.clone(), sums, into);
            }
        }
        if self.body.depth() == 0 && !wanted {
            return None;
        }
        let delta = self.mean.back(in_mean) + self.std.back(in_s);
        self.body.backward(y, moments.activations, delta, into, wanted)
    }
}

impl GaussianMoments {
    pub(crate) fn into_traces(self) -> Vec<Tensor<2>> {
        let mut traces = self.activations;
        traces.extend([self.mean, self.std, self.log_std, self.slope]);
        traces
    }

    /// μ, σ and `log σ` for `n` rows; each row is repeated for the rows that it serves.
    pub(crate) fn for_rows(&self, n: usize) -> [Tensor<2>; 3] {
        let k = n / self.mean.dims()[0];
        [&self.mean, &self.std, &self.log_std].map(|t| repeat_rows(t.clone(), k))
    }

    /// `r = (h - μ) / σ`.
    pub(crate) fn standardise(&self, h: Tensor<2>) -> Tensor<2> {
        let [mean, std, _] = self.for_rows(h.dims()[0]);
        (h - mean) / std
    }

    /// The derivatives of `Σᵢ wᵢ log N(hᵢ; μ, σ²)` in μ and σ, with one row for each row of `h`.
    pub(crate) fn score(&self, h: Tensor<2>, weights: Tensor<1>) -> [Tensor<2>; 2] {
        let [mean, std, _] = self.for_rows(h.dims()[0]);
        let r = (h - mean) / std.clone();
        let weights = weights.unsqueeze_dim::<2>(1);
        let in_mean = r.clone() / std.clone() * weights.clone();
        [in_mean, (r.square() - 1.0) / std * weights]
    }

    /// `log N(h; μ, σ²)` at `r = (h - μ) / σ`: `[n]`, in nats.
    pub(crate) fn log_prob(&self, r: Tensor<2>) -> Tensor<1> {
        let k = r.dims()[0] / self.log_std.dims()[0];
        let log_stds = repeat_rows(self.log_std.clone().sum_dim(1), k).squeeze_dim::<1>(1);
        log_standard_normal(r) - log_stds
    }
}

/// `log N(r; 0, I)`: `[n]`, in nats.
pub(crate) fn log_standard_normal(r: Tensor<2>) -> Tensor<1> {
    let [_, d] = r.dims();
    let constant = 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
    r.square().sum_dim(1).squeeze_dim::<1>(1) * -0.5 - constant
}
