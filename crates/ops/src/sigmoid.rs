//! The logistic function and its logarithm in one vectorised pass.

use burn::tensor::{Tensor, activation};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::host::{self, SEQUENTIAL, for_real, in_host_memory};
use crate::real::{self, LANES, Real};

/// Number of values in one task.
const PART: usize = 1 << 12;

/// `σ(a)` of every element; differentiable by autodiff.
pub fn sigmoid(a: Tensor<2>) -> Tensor<2> {
    let device = a.device();
    if device.is_autodiff() || !in_host_memory(&device) {
        return activation::sigmoid(a);
    }
    for_real!(a.dtype(), T => on_host::<T>(a, real::sigmoid))
}

/// `log σ(a)` of every element; differentiable by autodiff.
pub fn log_sigmoid(a: Tensor<2>) -> Tensor<2> {
    let device = a.device();
    if device.is_autodiff() || !in_host_memory(&device) {
        return activation::log_sigmoid(a);
    }
    for_real!(a.dtype(), T => on_host::<T>(
        a,
        #[inline(always)]
        |a| -((-a).max0() + T::log1p_unit(T::exp_neg(a.abs()))),
    ))
}

fn on_host<T: Real>(a: Tensor<2>, function: impl Fn(T) -> T + Sync) -> Tensor<2> {
    let (shape, device) = (a.dims(), a.device());
    let mut values = host::values::<T, 2>(a);
    let least = if values.len() < SEQUENTIAL { SEQUENTIAL } else { PART };
    values.par_chunks_mut(least).for_each(|part| {
        vectorised(
            #[inline(always)]
            || {
                let (vectors, rest) = part.as_chunks_mut::<LANES>();
                for vector in vectors {
                    for value in vector {
                        *value = function(*value);
                    }
                }
                for value in rest {
                    *value = function(*value);
                }
            },
        );
    });
    host::tensor(values, shape, &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    #[test]
    fn the_fused_pass_is_the_logistic_function() {
        for dtype in [DType::F32, DType::F64] {
            for n in [1, 17, 9001] {
                let values: Vec<f64> = (0..n).map(|i| f64::from(i * 7919 % 1000) / 10.0 - 50.0).collect();
                let data = TensorData::new(values.clone(), [1, n as usize]).convert_dtype(dtype);
                let found = sigmoid(Tensor::from_data(data, (&Device::flex(), dtype)));
                let found = found.into_data_as::<f64>().try_to_vec::<f64>().unwrap();
                let tolerance = if dtype == DType::F64 { 1e-14 } else { 1e-6 };
                for (found, a) in found.into_iter().zip(values) {
                    let a = if dtype == DType::F32 { f64::from(a as f32) } else { a };
                    let exact = 1.0 / (1.0 + (-a).exp());
                    assert!(
                        (found / exact - 1.0).abs() < tolerance,
                        "at {a}: found {found}, expected {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn its_logarithm_keeps_its_digits_at_both_ends() {
        for dtype in [DType::F32, DType::F64] {
            for n in [1, 17, 9001] {
                let values: Vec<f64> = (0..n).map(|i| f64::from(i * 7919 % 1000) / 10.0 - 50.0).collect();
                let data = TensorData::new(values.clone(), [1, n as usize]).convert_dtype(dtype);
                let found = log_sigmoid(Tensor::from_data(data, (&Device::flex(), dtype)));
                let found = found.into_data_as::<f64>().try_to_vec::<f64>().unwrap();
                let tolerance = if dtype == DType::F64 { 1e-14 } else { 1e-6 };
                for (found, a) in found.into_iter().zip(values) {
                    let a = if dtype == DType::F32 { f64::from(a as f32) } else { a };
                    let exact = a.min(0.0) - (-a.abs()).exp().ln_1p();
                    assert!(
                        (found / exact - 1.0).abs() < tolerance,
                        "at {a}: found {found}, expected {exact}"
                    );
                }
            }
        }
        let ends = Tensor::<2>::from_floats([[f32::INFINITY, -1e4, f32::NEG_INFINITY]], &Device::flex());
        assert_eq!(
            log_sigmoid(ends).into_data().try_to_vec::<f32>().unwrap(),
            [0.0, -1e4, f32::NEG_INFINITY]
        );
    }
}
