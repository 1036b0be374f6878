//! A product of Student-t experts.
//!
//! ```text
//! F(x) = Σ_i α_i log(1 + u_i²),   u = Wᵀ x        p(x) = exp(-F(x)) / Z
//! ```
//!
//! With `u_i' = 2 u_i / (1 + u_i²)`, the gradient is `∂F/∂W = x (α ∘ u')ᵀ`, and `∂F/∂ log α_i = α_i log(1 + u_i²)`.
//!
//! # Whether there is such a law
//! Along a direction that no expert sees, the density does not fall; and an expert with `α <= 1/2` alone falls too slowly
//! for an integral. The law exists if d of the experts have independent filters and `α > 1/2`: the others only make the
//! density smaller. Machines without d such experts are refused.
//!
//! # As many experts as dimensions
//! With W square, the `u_i` are independent Student-t variables with `ν_i = 2 α_i - 1` degrees of freedom, divided by `√ν_i`,
//! so that Z and samples are exact:
//!
//! ```text
//! log Z = -log |det W| + Σ_i (½ log π + log Γ(α_i - ½) - log Γ(α_i))
//! ```
//!
//! # Reference
//! Welling, Hinton, Osindero, "Learning sparse topographic representations with products of Student-t distributions", NIPS
//! 2002.

use std::f64::consts::{PI, TAU};

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{
    Batch, Draws, EnergyModel, GENERATIVE, Gradients, ParameterGroup, Tractable, Trainable,
};
use helmholtz_noise::Stream;
use helmholtz_ops::{into_f64, product};
use thiserror::Error;

use crate::digamma::digamma;

/// A product of n experts over d real numbers.
#[derive(Module, Debug)]
pub struct StudentT {
    /// W, a filter in each column: `[d, n]`.
    pub filters: Param<Tensor<2>>,
    /// log α: `[n]`.
    pub log_alpha: Param<Tensor<1>>,
}

/// Why a product of experts is no distribution, or has no closed form.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum StudentTError {
    /// Fewer independent experts than dimensions.
    #[error(
        "{independent} experts with independent filters and alpha > 1/2 for {dimensions} dimensions: the density does \
         not fall fast enough in every direction, so that it cannot be normalised; use more experts, or larger alpha"
    )]
    NotNormalisable {
        /// The rank of the filters of experts with α > 1/2.
        independent: usize,
        /// d.
        dimensions: usize,
    },
    /// More experts than dimensions.
    #[error(
        "{experts} experts for {dimensions} dimensions: log Z and samples are exact only for as many as dimensions"
    )]
    NotSquare {
        /// n.
        experts: usize,
        /// d.
        dimensions: usize,
    },
}

impl StudentT {
    /// The product of experts with these filters, `[d, n]`, and log α, `[n]`.
    ///
    /// # Errors
    /// If it cannot be normalised.
    ///
    /// # Panics
    /// If there is not one α for each filter.
    pub fn new(filters: Tensor<2>, log_alpha: Tensor<1>) -> Result<Self, StudentTError> {
        assert_eq!(filters.dims()[1], log_alpha.dims()[0], "one alpha for each filter");
        let model =
            StudentT { filters: Param::from_tensor(filters), log_alpha: Param::from_tensor(log_alpha) };
        model.check()?;
        Ok(model)
    }

    /// Whether the law exists, which training can change.
    ///
    /// # Errors
    /// If d experts with independent filters and α > 1/2 are not among them.
    pub fn check(&self) -> Result<(), StudentTError> {
        let [d, n] = self.filters.val().dims();
        let (filters, alpha) = (into_f64(self.filters.val()), self.alphas());
        let columns: Vec<Vec<f64>> = (0..n)
            .filter(|i| alpha[*i] > 0.5 && alpha[*i].is_finite())
            .map(|i| (0..d).map(|row| filters[row * n + i]).collect())
            .collect();
        let independent = Factors::of(columns).pivots.iter().filter(|pivot| pivot.abs() > 0.0).count();
        if independent < d {
            return Err(StudentTError::NotNormalisable { independent, dimensions: d });
        }
        Ok(())
    }

    /// log Z in nats, for as many experts as dimensions.
    ///
    /// # Errors
    /// If there are more experts, or the law does not exist.
    pub fn log_partition(&self) -> Result<f64, StudentTError> {
        let factors = self.square()?;
        let log_det: f64 = factors.pivots.iter().map(|pivot| pivot.abs().ln()).sum();
        let expert = |alpha: f64| 0.5 * PI.ln() + libm::lgamma(alpha - 0.5) - libm::lgamma(alpha);
        Ok(self.alphas().into_iter().map(expert).sum::<f64>() - log_det)
    }

    /// Independent samples, one for each matrix row of `draws`, for as many experts as dimensions: `[rows, d]`.
    ///
    /// # Errors
    /// If there are more experts, or the law does not exist.
    pub fn sample(&self, draws: &Draws) -> Result<Tensor<2>, StudentTError> {
        let factors = self.square()?;
        let alpha = self.alphas();
        let values: Vec<f64> = (0..draws.len())
            .flat_map(|i| {
                let (row, sample) = draws.cell(i);
                let mut stream = Stream::new(draws.key().child(row).child(u64::from(sample)));
                // A normal variable over the root of a chi-squared one with ν = 2 α - 1 degrees of freedom.
                let draw = |alpha: &f64| normal(&mut stream) / (2.0 * gamma(alpha - 0.5, &mut stream)).sqrt();
                factors.solve(&alpha.iter().map(draw).collect::<Vec<f64>>())
            })
            .collect();
        let shape = [draws.len(), self.observed()];
        Ok(Tensor::from_data(TensorData::new(values, shape), (&self.device(), self.dtype())))
    }

    fn alphas(&self) -> Vec<f64> {
        into_f64(self.log_alpha.val()).into_iter().map(f64::exp).collect()
    }

    /// The equations `Wᵀ x = u`, of a machine whose law is known.
    fn square(&self) -> Result<Factors, StudentTError> {
        self.check()?;
        let [d, n] = self.filters.val().dims();
        if n != d {
            return Err(StudentTError::NotSquare { experts: n, dimensions: d });
        }
        let filters = into_f64(self.filters.val());
        Ok(Factors::of((0..d).map(|i| (0..d).map(|row| filters[row * d + i]).collect()).collect()))
    }

    /// `u = Wᵀ x` of each row: `[rows, n]`.
    pub fn responses(&self, x: Tensor<2>) -> Tensor<2> {
        product::ab(x, self.filters.val())
    }
}

impl Trainable for StudentT {
    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn observed(&self) -> usize {
        self.filters.lazy_shape()[0]
    }

    fn dtype(&self) -> DType {
        self.filters.val().dtype()
    }

    fn device(&self) -> Device {
        self.filters.val().device().inner()
    }
}

/// For as many experts as dimensions. log Z is a constant to autodiff; `likelihood_gradient` has its derivatives,
///
/// ```text
/// ∂ log Z / ∂W = -W⁻ᵀ        ∂ log Z / ∂ log α_i = α_i (ψ(α_i - ½) - ψ(α_i))
/// ```
///
/// If the law does not exist, which training can bring about, Z is infinite: `log p` is -∞, and the gradient NaN.
impl Tractable for StudentT {
    fn log_prob(&self, batch: &Batch) -> Tensor<1> {
        let log_z = self.log_partition().unwrap_or(f64::INFINITY);
        -self.free_energy(batch.whole()) - log_z
    }

    fn likelihood_gradient(&self, batch: &Batch, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let total = weights.clone().sum();
        self.free_energy_gradient(batch.whole(), weights, into);
        let ([d, n], on) = (self.filters.val().dims(), (&self.device(), self.dtype()));
        let (mut of_filters, mut of_logs) = (vec![f64::NAN; d * n], vec![f64::NAN; n]);
        if let Ok(factors) = self.square() {
            for (i, alpha) in self.alphas().into_iter().enumerate() {
                // Column i of the inverse of Wᵀ.
                let column =
                    factors.solve(&(0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<f64>>());
                column.into_iter().enumerate().for_each(|(row, value)| of_filters[row * n + i] = -value);
                of_logs[i] = alpha * (digamma(alpha - 0.5) - digamma(alpha));
            }
        }
        let of_filters = Tensor::<2>::from_data(TensorData::new(of_filters, [d, n]), on);
        into.add(&self.filters, of_filters * total.clone().unsqueeze());
        into.add(&self.log_alpha, Tensor::<1>::from_data(TensorData::new(of_logs, [n]), on) * total);
        self.log_prob(batch)
    }
}

impl EnergyModel for StudentT {
    fn free_energy(&self, x: Tensor<2>) -> Tensor<1> {
        let logs = (self.responses(x).square() + 1.0).log();
        (logs * self.log_alpha.val().exp().unsqueeze()).sum_dim(1).squeeze_dim::<1>(1)
    }

    fn free_energy_gradient(&self, x: Tensor<2>, weights: Tensor<1>, into: &mut Gradients) -> Tensor<1> {
        let u = self.responses(x.clone());
        let alpha = self.log_alpha.val().exp();
        let terms = (u.clone().square() + 1.0).log() * alpha.clone().unsqueeze();
        let slopes = u.clone() * 2.0 / (u.square() + 1.0) * alpha.unsqueeze();
        into.add(&self.filters, product::weighed_atb(x, weights.clone(), slopes).0);
        into.add(&self.log_alpha, product::ab(weights.unsqueeze(), terms.clone()).squeeze_dim::<1>(0));
        terms.sum_dim(1).squeeze_dim::<1>(1)
    }
}

/// The rows of a matrix, reduced to triangular form with the largest pivot in each step.
struct Factors {
    /// The reduced rows.
    rows: Vec<Vec<f64>>,
    /// What was subtracted: of each row, multiples of the rows above.
    multiples: Vec<Vec<f64>>,
    /// The places of rows and of columns.
    order: (Vec<usize>, Vec<usize>),
    /// The pivots; exactly zero beyond the rank, up to rounding.
    pivots: Vec<f64>,
}

impl Factors {
    fn of(mut rows: Vec<Vec<f64>>) -> Self {
        let (n, d) = (rows.len(), rows.first().map_or(0, Vec::len));
        let size = rows.iter().flatten().fold(0.0f64, |most, value| most.max(value.abs()));
        let (mut of_rows, mut of_columns): (Vec<usize>, Vec<usize>) = ((0..n).collect(), (0..d).collect());
        let (mut multiples, mut pivots) = (vec![Vec::new(); n], Vec::new());
        for step in 0..n.min(d) {
            let places = (step..n).flat_map(|i| (step..d).map(move |j| (i, j)));
            let (i, j) = places
                .max_by(|a, b| rows[a.0][a.1].abs().total_cmp(&rows[b.0][b.1].abs()))
                .expect("there are rows and columns left");
            rows.swap(step, i);
            multiples.swap(step, i);
            of_rows.swap(step, i);
            of_columns.swap(step, j);
            rows.iter_mut().for_each(|row| row.swap(step, j));
            let pivot = rows[step][step];
            if pivot.abs() <= size * n.max(d) as f64 * f64::EPSILON {
                pivots.push(0.0);
                continue;
            }
            pivots.push(pivot);
            let (above, below) = rows.split_at_mut(step + 1);
            for (row, multiples) in below.iter_mut().zip(&mut multiples[step + 1..]) {
                let multiple = row[step] / pivot;
                row.iter_mut().zip(&above[step]).for_each(|(value, own)| *value -= multiple * own);
                multiples.push(multiple);
            }
        }
        Factors { rows, multiples, order: (of_rows, of_columns), pivots }
    }

    /// x of `rows · x = right`, for a square matrix of full rank.
    fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = right.len();
        let mut y: Vec<f64> = self.order.0.iter().map(|i| right[*i]).collect();
        for i in 0..n {
            let known: f64 = self.multiples[i].iter().zip(&y).map(|(multiple, y)| multiple * y).sum();
            y[i] -= known;
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| self.rows[i][j] * y[j]).sum();
            y[i] = (y[i] - known) / self.pivots[i];
        }
        let mut x = vec![0.0; n];
        self.order.1.iter().zip(y).for_each(|(place, value)| x[*place] = value);
        x
    }
}

fn normal(stream: &mut Stream) -> f64 {
    (-2.0 * (1.0 - stream.uniform()).ln()).sqrt() * (TAU * stream.uniform()).cos()
}

/// A gamma variable with this shape and scale 1.
///
/// # Reference
/// Marsaglia, Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical Software 26, 2000.
fn gamma(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        // With a shape one higher, times a power of a uniform variable.
        return gamma(shape + 1.0, stream) * (1.0 - stream.uniform()).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    loop {
        let x = normal(stream);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - stream.uniform()).ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
            return d * v;
        }
    }
}
