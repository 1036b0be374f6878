//! Deterministic hidden units: a bias and an activation in one pass over a matrix product, and the backward pass.
//!
//! Forward: `a = f(product + bias)`. Backward: `δ ⊙ f'`, where `f'` is a function of `a` alone, and its column sums,
//! which are the gradient of the bias.

use burn::tensor::{Tensor, activation};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::host::{self, SEQUENTIAL, common_dtype, for_real, in_host_memory};
use crate::real::{self, Real};

/// The activation of hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(s, 0)`, with slope zero at zero.
    Relu,
    /// `tanh s`
    Tanh,
    /// `σ(s)`
    Sigmoid,
}

/// Number of rows in a block; each block is summed first, then the sums of blocks. It is fixed, so that the result is.
const BLOCK: usize = 64;

/// `f(product + bias)`; differentiable by autodiff.
///
/// # Shapes
/// - `product`: `[n, d]`, `bias`: `[d]`; output `[n, d]`
pub fn forward(product: Tensor<2>, bias: Tensor<1>, f: Activation) -> Tensor<2> {
    let device = product.device();
    if !device.is_autodiff() && in_host_memory(&device) {
        let dtype = common_dtype(product.dtype(), bias.dtype());
        for_real!(dtype, T => forward_on_host::<T>(product, bias, f))
    } else {
        forward_by_tensors(product, bias, f)
    }
}

/// [`forward`] by plain tensor operations, on any device.
pub fn forward_by_tensors(product: Tensor<2>, bias: Tensor<1>, f: Activation) -> Tensor<2> {
    let sum = product + bias.unsqueeze();
    match f {
        Activation::Relu => activation::relu(sum),
        Activation::Tanh => sum.tanh(),
        Activation::Sigmoid => activation::sigmoid(sum),
    }
}

/// `δ ⊙ f'` and its column sums, from the activations `a` that [`forward`] returned.
///
/// # Shapes
/// - `delta` and `a`: `[n, d]`; output `[n, d]` and `[d]`
pub fn backward(delta: Tensor<2>, a: Tensor<2>, f: Activation) -> (Tensor<2>, Tensor<1>) {
    assert_eq!(delta.dims(), a.dims(), "the derivatives and the activations differ in shape");
    if in_host_memory(&delta.device()) {
        let dtype = common_dtype(delta.dtype(), a.dtype());
        for_real!(dtype, T => backward_on_host::<T>(delta, a, f))
    } else {
        backward_by_tensors(delta, a, f)
    }
}

/// [`backward`] by plain tensor operations, on any device.
pub fn backward_by_tensors(delta: Tensor<2>, a: Tensor<2>, f: Activation) -> (Tensor<2>, Tensor<1>) {
    let slope = match f {
        Activation::Relu => a.clone().greater_elem(0.0).float().cast(a.dtype()),
        Activation::Tanh => a.square().neg() + 1.0,
        Activation::Sigmoid => a.clone() * (a.neg() + 1.0),
    };
    let delta = delta * slope;
    let sums = delta.clone().sum_dim(0).squeeze_dim::<1>(0);
    (delta, sums)
}

/// Replaces s by `f(s + bias)`, in rows as long as `bias`.
#[inline(always)]
fn activate<T: Real>(part: &mut [T], bias: &[T], f: impl Fn(T) -> T) {
    for row in part.chunks_exact_mut(bias.len()) {
        for (s, b) in row.iter_mut().zip(bias) {
            *s = f(*s + *b);
        }
    }
}

/// Multiplies derivatives by `slope(a)`, in rows as long as `sums`, and adds the rows to `sums`.
#[inline(always)]
fn deactivate<T: Real>(delta: &mut [T], a: &[T], sums: &mut [T], slope: impl Fn(T) -> T) {
    for (delta, a) in delta.chunks_exact_mut(sums.len()).zip(a.chunks_exact(sums.len())) {
        for ((delta, a), sum) in delta.iter_mut().zip(a).zip(sums.iter_mut()) {
            *delta = *delta * slope(*a);
            *sum += *delta;
        }
    }
}

fn forward_on_host<T: Real>(product: Tensor<2>, bias: Tensor<1>, f: Activation) -> Tensor<2> {
    let ([n, d], device) = (product.dims(), product.device());
    assert_eq!(bias.dims(), [d], "one bias for each unit");
    let (mut values, bias) = (host::values::<T, 2>(product), host::read::<T, 1>(bias));
    let rows = if n * d < SEQUENTIAL { n.max(1) } else { BLOCK };
    values.par_chunks_mut(rows * d.max(1)).for_each(|part| {
        vectorised(
            #[inline(always)]
            || {
                // One loop for each activation: a loop that chose at every element would not vectorise.
                match f {
                    Activation::Relu => activate(part, &bias, T::max0),
                    Activation::Tanh => activate(part, &bias, |s| {
                        let upper = real::sigmoid(s + s);
                        upper + upper - T::ONE
                    }),
                    Activation::Sigmoid => activate(part, &bias, real::sigmoid),
                }
            },
        );
    });
    host::tensor(values, [n, d], &device)
}

fn backward_on_host<T: Real>(delta: Tensor<2>, a: Tensor<2>, f: Activation) -> (Tensor<2>, Tensor<1>) {
    let ([n, d], device) = (delta.dims(), delta.device());
    let (mut values, a) = (host::values::<T, 2>(delta), host::read::<T, 2>(a));
    let mut sums = vec![T::ZERO; n.div_ceil(BLOCK) * d];
    let blocks = values
        .par_chunks_mut(BLOCK * d.max(1))
        .zip(a.par_chunks(BLOCK * d.max(1)))
        .zip(sums.par_chunks_mut(d.max(1)));
    let blocks = blocks.with_min_len(if n * d < SEQUENTIAL { n.div_ceil(BLOCK) } else { 1 });
    blocks.for_each(|((delta, a), sums)| {
        vectorised(
            #[inline(always)]
            || match f {
                Activation::Relu => {
                    deactivate(delta, a, sums, |a| if a > T::ZERO { T::ONE } else { T::ZERO });
                }
                Activation::Tanh => deactivate(delta, a, sums, |a| T::ONE - a * a),
                Activation::Sigmoid => deactivate(delta, a, sums, |a| a * (T::ONE - a)),
            },
        );
    });
    let mut total = vec![T::ZERO; d];
    for block in sums.chunks_exact(d.max(1)) {
        for (total, sum) in total.iter_mut().zip(block) {
            *total += *sum;
        }
    }
    (host::tensor(values, [n, d], &device), host::tensor(total, [d], &device))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData, Tolerance};

    use super::*;

    #[test]
    fn the_fused_passes_and_the_tensor_operations_are_the_same_functions() {
        for (n, d) in [(1, 1), (3, 7), (200, 50), (1000, 33)] {
            for dtype in [DType::F32, DType::F64] {
                for f in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
                    let tensor = |n: usize, seed: usize| {
                        let values: Vec<f64> = (0..n).map(|i| ((i * seed) % 23) as f64 / 4.0 - 2.6).collect();
                        Tensor::<1>::from_data(
                            TensorData::new(values, [n]).convert_dtype(dtype),
                            (&Device::flex(), dtype),
                        )
                    };
                    let (product, bias) = (tensor(n * d, 5).reshape([n, d]), tensor(d, 3));
                    let delta = tensor(n * d, 7).reshape([n, d]);
                    let same = |a: Tensor<2>, b: Tensor<2>| {
                        let tolerance = Tolerance::<f64>::rel_abs(1e-5, 1e-5);
                        let data = |t: Tensor<2>| t.into_data().convert_dtype(DType::F64);
                        data(a).assert_approx_eq::<f64>(&data(b), tolerance);
                    };
                    let a = forward(product.clone(), bias.clone(), f);
                    same(a.clone(), forward_by_tensors(product, bias, f));
                    let (fused, sums) = backward(delta.clone(), a.clone(), f);
                    let (plain, plain_sums) = backward_by_tensors(delta, a, f);
                    same(fused, plain);
                    same(sums.unsqueeze(), plain_sums.unsqueeze());
                }
            }
        }
    }
}
