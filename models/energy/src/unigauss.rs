//! A product of unigauss experts: each is a mixture of a uniform law on a box and a normal law.
//!
//! ```text
//! p(x) ∝ Π_i (π_i N(x; μ_i, s_i²) + (1 - π_i) / V),   x in [low, high]^d,   V = (high - low)^d
//! ```
//!
//! with s_i a standard deviation for each dimension. Which part of expert i an x comes from is a hidden unit h_i: 1 for the
//! normal law. With `l_i(x) = log π_i - log (1 - π_i) + log N(x; μ_i, s_i²) + log V`,
//!
//! ```text
//! F(x) = -Σ_i (log (1 - π_i) - log V + log (1 + exp l_i(x)))        p(h_i = 1 | x) = σ(l_i(x))
//! ```
//!
//! and given h, the dimensions of x are independent normal variables between the bounds, with the precision `Σ_i h_i / s_i²`,
//! or uniform ones if no h_i is 1.
//!
//! # Whether there is such a law
//! All experts may choose their uniform part at once, and the product is then the same everywhere: without bounds it cannot
//! be normalised. So the box is part of the model.
//!
//! # Reference
//! Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002, section 5.

use std::f64::consts::TAU;

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{
    Batch, Contrast, Draws, EnergyModel, GENERATIVE, Gradients, Harmonium, LayerMeans, ParameterGroup, Role,
    Tractable, Trainable, Weighed,
};
use helmholtz_noise::Stream;
use helmholtz_ops::{bernoulli, into_f64, noise};
use thiserror::Error;

use crate::rbm::sum;
use crate::truncated::Interval;

/// The largest number of experts whose choices are enumerated.
const MOST_EXPERTS: usize = 20;

/// A product of n experts over d numbers.
#[derive(Module, Debug)]
pub struct Unigauss {
    /// log π - log (1 - π): `[n]`.
    pub logits: Param<Tensor<1>>,
    /// μ: `[n, d]`.
    pub means: Param<Tensor<2>>,
    /// log s: `[n, d]`.
    pub log_scales: Param<Tensor<2>>,
    #[module(skip)]
    bounds: Interval,
}

/// Why experts make no distribution, or log Z cannot be computed.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum UnigaussError {
    /// No box.
    #[error(
        "bounds from {low} to {high}: all experts may choose their uniform part, so that the product can be normalised \
         only between finite bounds, the lower one first"
    )]
    Bounds {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Too many states.
    #[error("{0} experts choose in 2^{0} ways; log Z is computed for at most {MOST_EXPERTS} experts")]
    TooManyExperts(usize),
}

impl Unigauss {
    /// The experts with these parameters on the box from `low` to `high` in each dimension.
    ///
    /// # Errors
    /// If the bounds are not finite, or the first is not the lower one.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn new(
        logits: Tensor<1>,
        means: Tensor<2>,
        log_scales: Tensor<2>,
        (low, high): (f64, f64),
    ) -> Result<Self, UnigaussError> {
        assert_eq!(means.dims(), log_scales.dims(), "one scale for each mean");
        assert_eq!(means.dims()[0], logits.dims()[0], "one logit for each expert");
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(UnigaussError::Bounds { low, high });
        }
        let [means, log_scales] = [means, log_scales].map(Param::from_tensor);
        let bounds = Interval { low, high };
        Ok(Unigauss { logits: Param::from_tensor(logits), means, log_scales, bounds })
    }

    /// log V.
    fn log_volume(&self) -> f64 {
        self.observed() as f64 * self.bounds.width().ln()
    }

    /// n, the number of experts.
    pub fn experts(&self) -> usize {
        self.means.lazy_shape()[0]
    }

    /// `(x - μ_i) / s_i`: `[rows, n, d]`.
    fn standardised(&self, x: Tensor<2>) -> Tensor<3> {
        let away = x.unsqueeze_dim::<3>(1) - self.means.val().unsqueeze::<3>();
        away * (-self.log_scales.val()).exp().unsqueeze::<3>()
    }

    /// `l_i(x)`: `[rows, n]`.
    fn log_odds(&self, x: Tensor<2>) -> Tensor<2> {
        let d = self.observed() as f64;
        let squares = self.standardised(x).square().sum_dim(2).squeeze_dim::<2>(2) * -0.5;
        let constant = self.logits.val() - self.log_scales.val().sum_dim(1).squeeze_dim::<1>(1);
        squares + (constant + self.log_volume() - 0.5 * d * TAU.ln()).unsqueeze::<2>()
    }

    /// `Σ_i (log (1 - π_i) - log V)`, the log density of all uniform parts: `[1]`.
    fn log_all_uniform(&self) -> Tensor<1> {
        let off = self.logits.val().zeros_like().unsqueeze::<2>();
        bernoulli::log_prob(off, self.logits.val().unsqueeze()) - self.experts() as f64 * self.log_volume()
    }

    /// log Z in nats, by a sum over the choices of all experts.
    ///
    /// # Errors
    /// If there are more than 20 experts.
    pub fn log_partition(&self) -> Result<f64, UnigaussError> {
        let logs = self.log_masses()?;
        Ok(log_sum(&logs) + into_f64(self.log_all_uniform())[0])
    }

    /// The choices of all experts in numbers.
    fn choices(&self) -> Result<Choices, UnigaussError> {
        let (n, d) = (self.experts(), self.observed());
        if n > MOST_EXPERTS {
            return Err(UnigaussError::TooManyExperts(n));
        }
        let [means, scales] = [&self.means, &self.log_scales].map(|param| into_f64(param.val()));
        let logits = into_f64(self.logits.val());
        let precisions: Vec<f64> = scales.iter().map(|log_s| (-2.0 * log_s).exp()).collect();
        // log of π N(x) V / (1 - π) at x = 0 without the square of x.
        let own = |i: usize| {
            let of = |at: usize| -0.5 * (means[at].powi(2) * precisions[at] + TAU.ln()) - scales[at];
            logits[i] + self.log_volume() + (i * d..(i + 1) * d).map(of).sum::<f64>()
        };
        let own: Vec<f64> = (0..n).map(own).collect();
        let linear = means.iter().zip(&precisions).map(|(mean, precision)| mean * precision).collect();
        Ok(Choices { n, d, own, linear, precisions })
    }

    /// The logarithms of the integrals of all choices, relative to that of the uniform parts: `2^n` numbers.
    fn log_masses(&self) -> Result<Vec<f64>, UnigaussError> {
        let choices = self.choices()?;
        let log_mass = |choice: usize| {
            let own = choices.sum(choice, |i| choices.own[i]);
            let of_dimensions = (0..choices.d).map(|k| {
                let [linear, precision] = choices.natural(choice, k);
                self.bounds.log_mass(linear, precision)
            });
            own + of_dimensions.sum::<f64>()
        };
        Ok((0..1usize << choices.n).map(log_mass).collect())
    }

    /// Independent samples of x and of the choices h, one row for each matrix row of `draws`: `[rows, d]` and `[rows, n]`.
    /// The choices are drawn from their law, and x given them.
    ///
    /// # Errors
    /// If there are more than 20 experts.
    pub fn sample(&self, draws: &Draws) -> Result<(Tensor<2>, Tensor<2>), UnigaussError> {
        let logs = self.log_masses()?;
        let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        let sums = logs.iter().map(|log| {
            total += (log - max).exp();
            total
        });
        let sums: Vec<f64> = sums.collect();
        let (n, of_choices) = (self.experts(), draws.child(Role::Choice));
        let choice = |row: usize| {
            let (number, sample) = of_choices.cell(row);
            let mut stream = Stream::new(of_choices.key().child(number).child(u64::from(sample)));
            let mass = stream.uniform() * total;
            // Rounding may put the mass beyond the last sum.
            sums.partition_point(|sum| *sum <= mass).min(sums.len() - 1)
        };
        let bits: Vec<f64> = (0..draws.len())
            .map(choice)
            .flat_map(|choice| (0..n).map(move |i| (choice >> i & 1) as f64))
            .collect();
        let h = Tensor::from_data(TensorData::new(bits, [draws.len(), n]), (&self.device(), self.dtype()));
        Ok((self.draw(h.clone(), None, &draws.child(Role::Layer)), h))
    }

    /// `E[x | h]` of each row: `[rows, d]`.
    pub fn visible_means(&self, h: Tensor<2>) -> Tensor<2> {
        let precisions = (self.log_scales.val() * -2.0).exp();
        let linear = into_f64(h.clone().matmul(precisions.clone() * self.means.val()));
        let [rows, d] = [h.dims()[0], self.observed()];
        let mean = |(linear, precision)| self.bounds.moments(linear, precision)[0];
        let values: Vec<f64> = linear.into_iter().zip(into_f64(h.matmul(precisions))).map(mean).collect();
        Tensor::from_data(TensorData::new(values, [rows, d]), (&self.device(), self.dtype()))
    }

    /// `E h`, `[n]`, and `E[h_i x_k]` and `E[h_i x_k²]`, `[n d]`, under the model.
    fn expectations(&self) -> Result<[Vec<f64>; 3], UnigaussError> {
        let (choices, logs) = (self.choices()?, self.log_masses()?);
        let (n, d, log_total) = (choices.n, choices.d, log_sum(&logs));
        let [mut of_h, mut of_x, mut of_squares] = [vec![0.0; n], vec![0.0; n * d], vec![0.0; n * d]];
        for (choice, log) in logs.into_iter().enumerate() {
            let p = (log - log_total).exp();
            let moments: Vec<[f64; 2]> = (0..d)
                .map(|k| {
                    let [linear, precision] = choices.natural(choice, k);
                    self.bounds.moments(linear, precision)
                })
                .collect();
            for i in choices.chosen(choice) {
                of_h[i] += p;
                for (k, [first, second]) in moments.iter().enumerate() {
                    of_x[i * d + k] += p * first;
                    of_squares[i * d + k] += p * second;
                }
            }
        }
        Ok([of_h, of_x, of_squares])
    }

    /// x given h, at the inverse temperatures of rows, `[rows, 1]`.
    fn draw(&self, h: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let precisions = (self.log_scales.val() * -2.0).exp();
        let sums = |of: Tensor<2>| {
            let sums = h.clone().matmul(of);
            into_f64(beta.clone().map_or(sums.clone(), |beta| sums * beta))
        };
        let linear = sums(precisions.clone() * self.means.val());
        let (precision, d) = (sums(precisions), self.observed());
        let values: Vec<f64> = (0..draws.len())
            .flat_map(|row| {
                let (number, sample) = draws.cell(row);
                let mut stream = Stream::new(draws.key().child(number).child(u64::from(sample)));
                let places = row * d..(row + 1) * d;
                places
                    .map(|at| self.bounds.draw(linear[at], precision[at], &mut stream))
                    .collect::<Vec<f64>>()
            })
            .collect();
        Tensor::from_data(TensorData::new(values, [draws.len(), d]), (&self.device(), self.dtype()))
    }
}

/// What the choices of experts mean: those that are chosen are normal, the others uniform.
struct Choices {
    n: usize,
    d: usize,
    /// The logarithm of `π N(x) V / (1 - π)` at x = 0 of each expert.
    own: Vec<f64>,
    /// `μ / s²` and `1 / s²`: `[n d]`.
    linear: Vec<f64>,
    precisions: Vec<f64>,
}

impl Choices {
    fn chosen(&self, choice: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.n).filter(move |i| choice >> i & 1 == 1)
    }

    fn sum(&self, choice: usize, of: impl Fn(usize) -> f64) -> f64 {
        self.chosen(choice).map(of).sum()
    }

    /// The linear term and the precision of dimension k.
    fn natural(&self, choice: usize, k: usize) -> [f64; 2] {
        [&self.linear, &self.precisions].map(|of| self.sum(choice, |i| of[i * self.d + k]))
    }
}

/// The logarithm of the sum of exponentials.
fn log_sum(logs: &[f64]) -> f64 {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + logs.iter().map(|log| (log - max).exp()).sum::<f64>().ln()
}

/// By a sum over the choices of all experts; nothing is remembered between calls. log Z is a constant to autodiff;
/// `likelihood_gradient` has its derivatives.
///
/// # Panics
/// If there are more than 20 experts.
impl Tractable for Unigauss {
    fn log_prob(&self, batch: &Batch) -> Tensor<1> {
        let log_z = self.log_partition().unwrap_or_else(|error| panic!("{error}"));
        -self.free_energy(batch.whole()) - log_z
    }

    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let total = weights.clone().sum();
        self.free_energy_gradient(batch.whole(), weights, into);
        // log Z has the gradient -E[∂F].
        let [of_h, of_x, of_squares] = self.expectations().unwrap_or_else(|error| panic!("{error}"));
        let [n, d] = self.means.dims();
        let on = (&self.device(), self.dtype());
        let matrix = |values: Vec<f64>| Tensor::<2>::from_data(TensorData::new(values, [n, d]), on);
        let h = Tensor::<1>::from_data(TensorData::new(of_h, [n]), on);
        let by_row = h.clone().unsqueeze_dim::<2>(1);
        let (x, squares, means) = (matrix(of_x), matrix(of_squares), self.means.val());
        let precisions = (self.log_scales.val() * -2.0).exp();
        let away = x.clone() - means.clone() * by_row.clone();
        let squares = squares - x * means.clone() * 2.0 + means.square() * by_row.clone();
        let total_of_matrix = total.clone().unsqueeze::<2>();
        into.add(&self.means, precisions.clone() * away * total_of_matrix.clone());
        into.add(&self.log_scales, (precisions * squares - by_row) * total_of_matrix);
        into.add(&self.logits, (h - sigmoid(self.logits.val())) * total);
        self.log_prob(batch)
    }
}

impl Trainable for Unigauss {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn observed(&self) -> usize {
        self.means.lazy_shape()[1]
    }

    fn dtype(&self) -> DType {
        self.means.val().dtype()
    }

    fn device(&self) -> Device {
        self.means.val().device().inner()
    }
}

/// F is infinite outside of the box.
impl EnergyModel for Unigauss {
    fn free_energy(&self, x: Tensor<2>) -> Tensor<1> {
        let is_outside =
            x.clone().lower_elem(self.bounds.low).bool_or(x.clone().greater_elem(self.bounds.high));
        let is_outside = is_outside.any_dim(1).squeeze_dim::<1>(1);
        let odds = self.log_odds(x);
        let inside = bernoulli::log_prob(odds.zeros_like(), odds) - self.log_all_uniform();
        inside.mask_fill(is_outside, f64::INFINITY)
    }

    /// The gradient of rows outside of the box is that of the formula inside.
    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let h = sigmoid(self.log_odds(x.clone()));
        let z = self.standardised(x.clone());
        let of_experts = h * weights.clone().unsqueeze_dim::<2>(1);
        let weighed = |values: Tensor<3>| -> Tensor<2> {
            (values * of_experts.clone().unsqueeze_dim::<3>(2)).sum_dim(0).squeeze_dim::<2>(0)
        };
        into.add(&self.means, -weighed(z.clone()) * (-self.log_scales.val()).exp());
        into.add(&self.log_scales, -weighed(z.square() - 1.0));
        let prior = sigmoid(self.logits.val()) * weights.sum();
        into.add(&self.logits, prior - of_experts.sum_dim(0).squeeze_dim::<1>(0));
        self.free_energy(x)
    }
}

impl Harmonium for Unigauss {
    fn hidden_means(&self, x: Tensor<2>) -> Tensor<2> {
        sigmoid(self.log_odds(x))
    }

    /// Uniform numbers of the box.
    fn noise(&self, draws: &Draws) -> Tensor<2> {
        let Interval { low, .. } = self.bounds;
        noise::uniform(draws, self.observed(), self.dtype(), &self.device()) * self.bounds.width() + low
    }

    fn sweep(&self, x: Tensor<2>, beta: Option<Tensor<2>>, draws: &Draws) -> Tensor<2> {
        let odds = self.log_odds(x);
        let odds = beta.clone().map_or(odds.clone(), |beta| odds * beta);
        let layer = |number: usize| draws.child(Role::Layer).child(number);
        let h = bernoulli::sample(odds, self.logits.val().zeros_like(), &layer(1)).0;
        self.draw(h, beta, &layer(0))
    }

    fn log_tempered(&self, x: Tensor<2>, beta: Tensor<2>) -> Tensor<2> {
        let odds = self.log_odds(x);
        let at = |beta: Tensor<2>| {
            let off = odds.zeros_like();
            let log_off = bernoulli::log_prob(off, odds.clone() * beta.clone()).unsqueeze_dim::<2>(1);
            self.log_all_uniform().unsqueeze::<2>() * beta - log_off
        };
        Tensor::cat(beta.clone().chunk(beta.dims()[1], 1).into_iter().map(at).collect(), 1)
    }

    /// # Panics
    /// If there are offsets: experts have no connections whose units could be centred.
    fn contrast(
        &self,
        data: Weighed,
        samples: Weighed,
        offsets: &mut dyn FnMut(LayerMeans, LayerMeans) -> Option<LayerMeans>,
    ) -> Contrast {
        let means = |rows: &Weighed| LayerMeans {
            visible: sum(rows.weights.clone(), rows.x.clone()),
            hidden: sum(rows.weights.clone(), self.hidden_means(rows.x.clone())),
        };
        let is_plain = offsets(means(&data), means(&samples)).is_none();
        assert!(is_plain, "experts have no connections whose units could be centred: use no offsets");
        let mut gradients = Gradients::new();
        let at_data = self.free_energy_gradient(data.x, data.weights, &mut gradients);
        let at_samples = self.free_energy_gradient(samples.x, -samples.weights, &mut gradients);
        Contrast { gradients, at_data, at_samples }
    }
}
