//! Row weights and sums over rows: they turn errors into a gradient.
//!
//! The gradient of `Σᵢ wᵢ log p(xᵢ | yᵢ)` in the weights of a layer is `Yᵀ diag(w) E`. In its bias it is
//! the column sums of `diag(w) E`. Here `E` are the errors of [`bernoulli::score`](crate::bernoulli::score).

use burn::tensor::Tensor;
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::host::{self, SEQUENTIAL, common_dtype, for_real, in_host_memory, repeats};
use crate::real::{LANES, Real};
use crate::units::sum_lanes;

/// Number of rows in a block; each block is summed first, then the sums of blocks. It is fixed, so that the result is.
const BLOCK: usize = 64;

/// `diag(w) E`, summed over every `k` consecutive rows, and its column sums.
///
/// # Shapes
/// - `errors`: `[n, d]`, `weights`: `[n]`; output `[n / k, d]` and `[d]`
pub fn weigh(errors: Tensor<2>, weights: Tensor<1>, k: usize) -> (Tensor<2>, Tensor<1>) {
    let [n, _] = errors.dims();
    assert_eq!(weights.dims(), [n], "one weight for each row");
    let n_out = repeats(n, k);
    if in_host_memory(&errors.device()) {
        let dtype = common_dtype(errors.dtype(), weights.dtype());
        for_real!(dtype, T => weigh_on_host::<T>(errors, weights, n_out))
    } else {
        weigh_by_tensors(errors, weights, k)
    }
}

/// [`weigh`] by plain tensor operations, on any device.
pub fn weigh_by_tensors(errors: Tensor<2>, weights: Tensor<1>, k: usize) -> (Tensor<2>, Tensor<1>) {
    let [n, d] = errors.dims();
    let weighed = errors * weights.unsqueeze_dim(1);
    let sums = weighed.clone().sum_dim(0).squeeze_dim::<1>(0);
    let weighed =
        if k == 1 { weighed } else { weighed.reshape([n / k, k, d]).sum_dim(1).squeeze_dim::<2>(1) };
    (weighed, sums)
}

/// The sums over every `k` consecutive rows.
///
/// # Shapes
/// - `rows`: `[n, d]`; output `[n / k, d]`
pub fn sum_groups(rows: Tensor<2>, k: usize) -> Tensor<2> {
    if k == 1 {
        return rows;
    }
    let [n, d] = rows.dims();
    rows.reshape([repeats(n, k), k, d]).sum_dim(1).squeeze_dim(1)
}

/// `[n, d]` with each row repeated `k` times: `[n * k, d]`.
pub fn repeat_rows(rows: Tensor<2>, k: usize) -> Tensor<2> {
    let [n, d] = rows.dims();
    if k == 1 { rows } else { rows.unsqueeze_dim::<3>(1).repeat_dim(1, k).reshape([n * k, d]) }
}

/// Both matrices, with the rows of the shorter one repeated so that they have the same number of rows.
pub fn repeat_shorter(a: Tensor<2>, b: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let ([n_a, _], [n_b, _]) = (a.dims(), b.dims());
    match n_a.cmp(&n_b) {
        std::cmp::Ordering::Less => (repeat_rows(a, repeats(n_b, n_a)), b),
        std::cmp::Ordering::Equal => (a, b),
        std::cmp::Ordering::Greater => (a, repeat_rows(b, repeats(n_a, n_b))),
    }
}

/// The sum of the squares of all elements, a constant: `[1]`.
pub fn sum_of_squares<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let device = tensor.device();
    if device.is_autodiff() || !in_host_memory(&device) {
        return tensor.square().sum();
    }
    for_real!(tensor.dtype(), T => {
        let values = host::read::<T, D>(tensor);
        let parts = values.chunks(PART).map(|part| vectorised(#[inline(always)] || squares(part)));
        host::tensor(vec![parts.fold(T::ZERO, |sum, part| sum + part)], [1], &device)
    })
}

/// Number of values in a part; the squares of each part are summed first, then the sums of parts.
const PART: usize = 1 << 12;

#[inline(always)]
fn squares<T: Real>(values: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    let (vectors, rest) = values.as_chunks::<LANES>();
    for vector in vectors {
        for (sum, value) in sums.iter_mut().zip(vector) {
            *sum = value.mul_add(*value, *sum);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum = value.mul_add(*value, *sum);
    }
    sum_lanes(sums)
}

fn weigh_on_host<T: Real>(errors: Tensor<2>, weights: Tensor<1>, n_out: usize) -> (Tensor<2>, Tensor<1>) {
    let device = errors.device();
    let [n, d] = errors.dims();
    let k = n / n_out;
    let weights = host::read::<T, 1>(weights);
    let n_blocks = n_out.div_ceil(BLOCK);
    let mut sums = vec![T::ZERO; n_blocks * d];
    let least = if n * d < SEQUENTIAL { n_blocks } else { 1 };
    let weighed = match if k == 1 { host::take::<T, 2>(errors) } else { Err(host::read(errors)) } {
        Ok(mut errors) => {
            let blocks = errors.par_chunks_mut(BLOCK * d).zip(sums.par_chunks_mut(d));
            blocks
                .zip(weights.par_chunks(BLOCK))
                .with_min_len(least)
                .for_each(|((errors, sums), weights)| weigh_block(errors, sums, weights));
            errors
        }
        // The errors are still used elsewhere, as a trace.
        Err(errors) => {
            let mut weighed = vec![T::ZERO; n_out * d];
            let blocks = errors.par_chunks(BLOCK * k * d).zip(weighed.par_chunks_mut(BLOCK * d));
            let blocks = blocks.zip(sums.par_chunks_mut(d)).zip(weights.par_chunks(BLOCK * k));
            blocks.with_min_len(least).for_each(|(((errors, weighed), sums), weights)| {
                weigh_groups(errors, weighed, sums, weights, k);
            });
            weighed
        }
    };
    let mut total = vec![T::ZERO; d];
    for block in sums.chunks_exact(d) {
        for (total, sum) in total.iter_mut().zip(block) {
            *total += *sum;
        }
    }
    (host::tensor(weighed, [n_out, d], &device), host::tensor(total, [d], &device))
}

/// Multiplies rows by their weights in place, and adds them to `sums`.
fn weigh_block<T: Real>(errors: &mut [T], sums: &mut [T], weights: &[T]) {
    let d = sums.len();
    vectorised(
        #[inline(always)]
        || {
            for (error, &weight) in errors.chunks_exact_mut(d).zip(weights) {
                for (e, sum) in error.iter_mut().zip(sums.iter_mut()) {
                    // Added to zero, like the sum of a group of one row, so that a negative zero becomes zero.
                    *e = T::ZERO + *e * weight;
                    *sum += *e;
                }
            }
        },
    );
}

/// Multiplies rows by their weights, and adds every `k` of them to one row of `weighed`, and all of them to `sums`.
fn weigh_groups<T: Real>(errors: &[T], weighed: &mut [T], sums: &mut [T], weights: &[T], k: usize) {
    let d = sums.len();
    vectorised(
        #[inline(always)]
        || {
            for (i, (error, &weight)) in errors.chunks_exact(d).zip(weights).enumerate() {
                let group = &mut weighed[i / k * d..][..d];
                for ((e, sum), g) in error.iter().zip(sums.iter_mut()).zip(group) {
                    let weighed = *e * weight;
                    *g += weighed;
                    *sum += weighed;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData, Tolerance};

    use super::*;

    #[test]
    fn the_fused_pass_and_the_tensor_operations_are_the_same_function() {
        for (n, d, k) in [(1, 1, 1), (6, 5, 3), (200, 7, 1), (1000, 50, 10), (300, 33, 1)] {
            for dtype in [DType::F32, DType::F64] {
                let tensor = |n: usize, seed: usize| {
                    let values: Vec<f64> = (0..n).map(|i| ((i * seed) % 17) as f64 / 8.0 - 1.0).collect();
                    Tensor::<1>::from_data(
                        TensorData::new(values, [n]).convert_dtype(dtype),
                        (&Device::flex(), dtype),
                    )
                };
                let (errors, weights) = (tensor(n * d, 5).reshape([n, d]), tensor(n, 3));
                let (fused, sums) = weigh(errors.clone(), weights.clone(), k);
                // In place, because nothing else holds these errors.
                let own = Tensor::from_data(errors.to_data(), (&Device::flex(), dtype));
                let in_place = weigh(own, weights.clone(), k);
                assert_eq!(in_place.0.into_data(), fused.to_data());
                assert_eq!(in_place.1.into_data(), sums.to_data());
                let (plain, plain_sums) = weigh_by_tensors(errors, weights, k);
                let tolerance = Tolerance::<f64>::rel_abs(1e-5, 1e-4);
                let data = |t: Tensor<2>| t.into_data().convert_dtype(DType::F64);
                data(fused).assert_approx_eq::<f64>(&data(plain), tolerance);
                data(sums.unsqueeze()).assert_approx_eq::<f64>(&data(plain_sums.unsqueeze()), tolerance);
            }
        }
    }

    #[test]
    fn squares_of_all_elements_are_summed() {
        for n in [0, 1, 15, 16, 17, 5000, 9001] {
            for dtype in [DType::F32, DType::F64] {
                let values: Vec<f64> = (0..n).map(|i| ((i * 7) % 17) as f64 / 8.0 - 1.0).collect();
                let sum: f64 = values.iter().map(|value| value * value).sum();
                let values = TensorData::new(values, [n]).convert_dtype(dtype);
                let tensor = Tensor::<1>::from_data(values, (&Device::flex(), dtype));
                let found = sum_of_squares(tensor).into_data_as::<f64>().try_to_vec::<f64>().unwrap()[0];
                let rounding = if dtype == DType::F64 { 1e-13 } else { 1e-5 };
                assert!((found - sum).abs() <= rounding * sum, "{n}: {found} for {sum}");
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let values: Vec<f32> = (0..1000 * 33).map(|i| ((i * 31) % 97) as f32 * 0.013 - 0.5).collect();
        let sums = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let errors = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1000, 33]);
                let weights = Tensor::<1>::from_floats(&values[..1000], &Device::flex());
                weigh(errors, weights, 1).1.into_data().try_to_vec::<f32>().unwrap()
            })
        };
        assert_eq!(sums(1), sums(2));
        assert_eq!(sums(1), sums(4));
    }
}
