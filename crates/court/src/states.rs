//! The latent states that sums run over.

use std::fmt::Debug;

use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Enumerable, LatentVariableModel, Proposals, Reparameterized};
use thiserror::Error;

/// Latent states for one row, with the mass that q gives to each.
#[derive(Clone, Debug)]
pub struct Supported<H> {
    /// The states, scored under both nets.
    pub proposals: Proposals<H>,
    /// Logarithms of their masses under `q(h | x)`, which sum to one.
    pub log_mass: Vec<f64>,
}

/// Why the latent states of a model cannot be summed over.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum StatesError {
    /// Too many bits.
    #[error(
        "{bits} latent bits make 2^{bits} states for each row; the court enumerates up to 2^{MOST_BITS}; \
         use a smaller model"
    )]
    Bits {
        /// Latent bits.
        bits: usize,
    },
    /// A grid that is too coarse.
    #[error(
        "half of the grid's points give p(x) with a relative error of {off:.0e}: the nets are too steep for integrals \
         over a grid; use smaller weights or smoother nets"
    )]
    Unresolved {
        /// The relative difference.
        off: f64,
    },
    /// Latents of another sort.
    #[error(
        "the latents of the model are neither bits nor smooth functions of noise, so the court cannot sum over them"
    )]
    Neither,
    /// Too many real latents.
    #[error("{units} real latents: the court integrates over one or two; use a smaller model")]
    Units {
        /// Noise units.
        units: usize,
    },
}

/// The largest relative error with half of a grid's points; the error with all points is about its square.
const RESOLVED: f64 = 1e-3;
/// The most latent bits.
pub const MOST_BITS: usize = 14;

/// All latent states of a row of data, or grid points in their place.
pub trait States<M: LatentVariableModel>: Debug {
    /// The states of the row `x`, `[1, d_x]`.
    ///
    /// # Errors
    /// If there are too many.
    fn of(&self, model: &M, x: Tensor<2>) -> Result<Supported<M::Latents>, StatesError>;
}

/// Every state of a few latent bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enumeration;

impl<M: Enumerable> States<M> for Enumeration {
    fn of(&self, model: &M, x: Tensor<2>) -> Result<Supported<M::Latents>, StatesError> {
        let bits = model.latent_bits();
        if bits > MOST_BITS {
            return Err(StatesError::Bits { bits });
        }
        let k = 1 << bits;
        let latents = model.states(0, k);
        let p = model.trace_joint(x.clone(), &latents);
        let q = model.trace_posterior(x, &latents);
        let log_proposal = q.log_prob.clone();
        let log_mass = nats(log_proposal.clone());
        Ok(Supported { proposals: Proposals { latents, p, q, log_proposal, k }, log_mass })
    }
}

/// A grid of noise for one or two Gaussian latents: the trapezoidal rule over `N(ξ; 0, I)`.
///
/// Its error falls faster than any power of the spacing as long as the integrand is as smooth as the Gaussian. For
/// this the latents must be smooth functions of noise and the nets must have no kinks.
#[derive(Clone, Copy, Debug)]
pub struct Quadrature {
    /// Points along each axis, for one latent and for two; odd numbers.
    pub points: [usize; 2],
    /// Half the width of the grid, in standard deviations.
    pub reach: f64,
}

impl Default for Quadrature {
    /// Reaches to 10 standard deviations: 1001 points at a spacing of 1/50 for one latent, 161 an axis at 1/8 for two.
    fn default() -> Self {
        Quadrature { points: [1001, 161], reach: 10.0 }
    }
}

impl<M: Reparameterized> States<M> for Quadrature {
    fn of(&self, model: &M, x: Tensor<2>) -> Result<Supported<M::Latents>, StatesError> {
        let units = model.noise_units();
        if !(1..=2).contains(&units) {
            return Err(StatesError::Units { units });
        }
        let points = self.points[units - 1];
        let spacing = 2.0 * self.reach / (points - 1) as f64;
        let axis = |i: usize| -self.reach + spacing * i as f64;
        let of_axis = |e: f64| spacing.ln() - 0.5 * (e * e + (2.0 * std::f64::consts::PI).ln());
        let n = points.pow(units as u32);
        let (mut noise, mut log_mass) = (Vec::with_capacity(n * units), Vec::with_capacity(n));
        let mut coarse = Vec::with_capacity(n);
        for point in 0..n {
            let places = [point / points, point % points];
            let of_point = places[2 - units..].iter().map(|&i| axis(i));
            let is_coarse = places[2 - units..].iter().all(|i| i % 2 == 0);
            coarse.push(is_coarse);
            log_mass.push(of_point.clone().map(of_axis).sum());
            noise.extend(of_point);
        }
        let noise = tensor(noise, [n, units], model.dtype(), &model.device());
        let proposals = model.propose_at(x, noise);
        // Compare p(x) from every second point of each axis with p(x) from all: the error of the latter is far smaller.
        let log_w = nats(proposals.log_weights());
        let max = log_w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let terms = || {
            log_mass.iter().zip(&log_w).map(|(log_mass, log_w): (&f64, &f64)| (log_mass + log_w - max).exp())
        };
        let all: f64 = terms().sum();
        let half: f64 = terms().zip(&coarse).filter(|(_, is_coarse)| **is_coarse).map(|(term, _)| term).sum();
        let off = (half * f64::from(1 << units) / all - 1.0).abs();
        if off.is_nan() || off > RESOLVED {
            return Err(StatesError::Unresolved { off });
        }
        Ok(Supported { proposals, log_mass })
    }
}

/// Values as a tensor of a model's type.
pub(crate) fn tensor<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    dtype: DType,
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}

/// Values in double precision.
pub(crate) fn nats<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).try_to_vec().expect("converted to f64 just now")
}
