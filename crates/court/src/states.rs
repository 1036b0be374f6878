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

/// A model that no sum runs over.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum StatesError {
    /// Too many bits.
    #[error(
        "{bits} latent bits make 2^{bits} states for each row; the court enumerates up to 2^{MOST_BITS}: \
         take a smaller model"
    )]
    Bits {
        /// Latent bits.
        bits: usize,
    },
    /// Too many real latents.
    #[error("{units} real latents: the court integrates over one or two; take a smaller model")]
    Units {
        /// Noise units.
        units: usize,
    },
}

/// The most latent bits.
pub const MOST_BITS: usize = 14;

/// All latent states of a row of data, or points that stand for them.
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
/// Its error falls faster than any power of the spacing as long as the integrand is as smooth as the Gaussian: with
/// latents that are smooth functions of noise and nets without kinks.
#[derive(Clone, Copy, Debug)]
pub struct Quadrature {
    /// Points along each axis.
    pub points: usize,
    /// Half the width of the grid, in standard deviations.
    pub reach: f64,
}

impl Default for Quadrature {
    /// 101 points an axis to 10 standard deviations, a spacing of one fifth.
    fn default() -> Self {
        Quadrature { points: 101, reach: 10.0 }
    }
}

impl<M: Reparameterized> States<M> for Quadrature {
    fn of(&self, model: &M, x: Tensor<2>) -> Result<Supported<M::Latents>, StatesError> {
        let units = model.noise_units();
        if !(1..=2).contains(&units) {
            return Err(StatesError::Units { units });
        }
        let spacing = 2.0 * self.reach / (self.points - 1) as f64;
        let axis = |i: usize| -self.reach + spacing * i as f64;
        let of_axis = |e: f64| spacing.ln() - 0.5 * (e * e + (2.0 * std::f64::consts::PI).ln());
        let n = self.points.pow(units as u32);
        let (mut noise, mut log_mass) = (Vec::with_capacity(n * units), Vec::with_capacity(n));
        for point in 0..n {
            let places = [point / self.points, point % self.points];
            let of_point = places[2 - units..].iter().map(|&i| axis(i));
            log_mass.push(of_point.clone().map(of_axis).sum());
            noise.extend(of_point);
        }
        let noise = tensor(noise, [n, units], model.dtype(), &model.device());
        Ok(Supported { proposals: model.propose_at(x, noise), log_mass })
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
