//! A Bernoulli layer: log-probability, error and sample in one pass over the logits.
//!
//! `log p(x | l) = Σⱼ xⱼ log σ(lⱼ) + (1 - xⱼ) log σ(-lⱼ)`, whose gradient with respect to the logits
//! is the error `x - σ(l)`. Both come from one exponential: with `z = exp(-|l|)`,
//! `log σ(±l) = -max(∓l, 0) - log(1 + z)` and `σ(l) = [l >= 0 ? 1 : z] / (1 + z)`.
//! Nothing is clipped: an infinite logit on the right side costs zero nats, on the wrong side
//! infinitely many.
//!
//! The caller passes the matrix product, and the bias is added here: `l = y W + b`.

use std::mem::MaybeUninit;

use burn::tensor::{DType, Tensor, TensorData, activation};
use helmholtz_core::{Defence, Drawn, Draws, Scored};
use helmholtz_noise::fill_uniform;
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::host::{self, SEQUENTIAL, common_dtype, for_real, in_host_memory, repeats};
use crate::noise;
use crate::product::abt;
use crate::real::Real;
use crate::rows::{repeat_rows, repeat_shorter};
use crate::units::{draw_row, log_prob_row, sample_row, score_row};

/// Number of rows that one task of the thread pool handles.
const ROWS_PER_TASK: usize = 16;

/// Log-probability and error of `x` under logits `product + bias`.
///
/// # Shapes
/// - `x`: `[n, d]`, or `[n / k, d]` where each row serves `k` consecutive rows of the product;
///   values in [0, 1] (a value between 0 and 1 is read as a mean)
/// - `product`: `[n, d]`, or `[n / k, d]` where each row serves `k` consecutive rows of `x`; `bias`: `[d]`
/// - log-probability `[n]` in nats, error `[n, d]`
pub fn score(x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Scored {
    if in_host_memory(&product.device()) {
        let dtype = common_dtype(x.dtype(), product.dtype());
        for_real!(dtype, T => score_on_host::<T>(x, product, bias))
    } else {
        score_by_tensors(x, product, bias)
    }
}

/// The log-probability of [`score`], the same to the bit, without the error; a constant.
///
/// # Shapes
/// As in [`score`].
pub fn constant_log_prob(x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Tensor<1> {
    if in_host_memory(&product.device()) {
        let dtype = common_dtype(x.dtype(), product.dtype());
        for_real!(dtype, T => log_prob_on_host::<T>(x, product, bias))
    } else {
        score_by_tensors(x, product, bias).log_prob
    }
}

/// [`score`] by plain tensor operations, on any device.
pub fn score_by_tensors(x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Scored {
    let (x, product) = repeat_shorter(x, product);
    let logits = product + bias.unsqueeze();
    Scored { log_prob: log_prob_of_logits(x.clone(), logits.clone()), trace: x - activation::sigmoid(logits) }
}

/// `log p(x | logits)`, one for each row, differentiable by autodiff in the logits.
///
/// The value and the error e come from the same pass as in [`score`] and are constants. The surrogate
/// `Σⱼ eⱼ lⱼ` minus its own value is added to give the result the gradient `e`.
///
/// # Shapes
/// - `x`: `[n, d]`, `logits`: `[n, d]`, output `[n]`; rows repeat as in [`score`]
pub fn log_prob(x: Tensor<2>, logits: Tensor<2>) -> Tensor<1> {
    if !logits.device().is_autodiff() {
        let bias = Tensor::zeros([logits.dims()[1]], (&logits.device(), logits.dtype()));
        return constant_log_prob(x, logits, bias);
    }
    let (x, logits) = repeat_shorter(x, logits);
    let (x, constants) = (x.inner(), logits.clone().inner());
    let bias = Tensor::zeros([constants.dims()[1]], (&constants.device(), constants.dtype()));
    let Scored { log_prob, trace } = score(x, constants, bias);
    // With an infinite logit, the error is zero or the value is infinite; neither may become NaN.
    let largest = if logits.dtype() == DType::F64 { f64::MAX } else { f64::from(f32::MAX) };
    let surrogate =
        (Tensor::from_inner(trace) * logits.clamp(-largest, largest)).sum_dim(1).squeeze_dim::<1>(1);
    surrogate.clone() + (Tensor::from_inner(log_prob) - surrogate.detach())
}

/// `log p(xᵢ | productⱼ + bias)` for every pair: `[n_x, n_l]`.
///
/// # Shapes
/// - `x`: `[n_x, d]`, `product`: `[n_l, d]`, `bias`: `[d]`
pub fn log_prob_table(x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    // log p(x | l) = x · l + log p(0 | l).
    let all_off = score(product.zeros_like(), product.clone(), bias.clone()).log_prob;
    let logits = product + bias.unsqueeze();
    abt(x, logits) + all_off.unsqueeze()
}

/// Samples `x ~ p(x | product + bias)` with their log-probability and error.
///
/// Unit `j` of a cell is on if the cell's uniform `j` is below `σ(lⱼ)`, or below one half in the
/// rows that `defence` marks.
///
/// # Shapes
/// - `product`: `[n, d]` for the `n` matrix rows of `draws`, or fewer rows, where each serves consecutive
///   matrix rows (for example the `k` samples of one data row); `bias`: `[d]`
/// - sample and error `[n, d]`, log-probability `[n]`
pub fn draw(product: Tensor<2>, bias: Tensor<1>, draws: &Draws, defence: Defence<'_>) -> Drawn {
    if in_host_memory(&product.device()) {
        for_real!(product.dtype(), T => draw_on_host::<T>(product, bias, draws, defence))
    } else {
        draw_by_tensors(product, bias, draws, defence)
    }
}

/// The sample of [`draw`] and its log-probability, the same to the bit, without the error.
///
/// # Shapes
/// As in [`draw`].
pub fn sample(product: Tensor<2>, bias: Tensor<1>, draws: &Draws) -> (Tensor<2>, Tensor<1>) {
    if in_host_memory(&product.device()) {
        for_real!(product.dtype(), T => sample_on_host::<T>(product, bias, draws))
    } else {
        let drawn = draw_by_tensors(product, bias, draws, None);
        (drawn.x, drawn.scored.log_prob)
    }
}

/// [`draw`] by plain tensor operations, on any device.
pub fn draw_by_tensors(product: Tensor<2>, bias: Tensor<1>, draws: &Draws, defence: Defence<'_>) -> Drawn {
    let k = repeats(draws.len(), product.dims()[0]);
    let logits = repeat_rows(product + bias.unsqueeze(), k);
    let [_, d] = logits.dims();
    let mean = activation::sigmoid(logits.clone());
    let u = noise::uniform(draws, d, logits.dtype(), &logits.device());
    let x = decide_by_tensors(u, mean.clone(), defence);
    let scored = Scored { log_prob: log_prob_of_logits(x.clone(), logits), trace: x.clone() - mean };
    Drawn { x, scored }
}

/// One where the uniform is below the mean, or below one half in the rows that `defence` marks: `[n, d]`.
pub(crate) fn decide_by_tensors(u: Tensor<2>, mean: Tensor<2>, defence: Defence<'_>) -> Tensor<2> {
    let (dtype, device) = (mean.dtype(), mean.device());
    let mut threshold = mean;
    if let Some(marked) = defence {
        let n = marked.len();
        let marked: Vec<f32> = marked.iter().map(|&m| f32::from(u8::from(m))).collect();
        let marked = TensorData::new(marked, [n, 1]).convert_dtype(dtype);
        let marked = Tensor::<2>::from_data(marked, (&device, dtype));
        threshold = threshold * (marked.clone().neg() + 1.0) + marked * 0.5;
    }
    u.lower(threshold).float().cast(dtype)
}

/// `xⱼ log σ(lⱼ) + (1 - xⱼ) log σ(-lⱼ)` summed over `j`, stable at infinite logits.
fn log_prob_of_logits(x: Tensor<2>, logits: Tensor<2>) -> Tensor<1> {
    let log1p = logits.clone().abs().neg().exp().log1p();
    // 0 * inf is NaN, so a mask removes each term whose factor is zero.
    let on = (x.clone() * logits.clone().neg().clamp_min(0.0)).mask_fill(x.clone().equal_elem(0.0), 0.0);
    let off = ((x.clone().neg() + 1.0) * logits.clamp_min(0.0)).mask_fill(x.equal_elem(1.0), 0.0);
    (log1p + on + off).sum_dim(1).squeeze_dim::<1>(1).neg()
}

/// Number of rows of `x`, number of rows of the logits, and number of columns of both.
fn sizes(x: &Tensor<2>, product: &Tensor<2>, bias: &Tensor<1>) -> [usize; 3] {
    let ([n_x, d], [n_l, d_l]) = (x.dims(), product.dims());
    assert!(
        d == d_l && bias.dims() == [d],
        "x has {d} columns, the logits have {d_l}, and the bias has the shape {:?}; all three sizes must agree",
        bias.dims()
    );
    [n_x, n_l, d]
}

fn score_on_host<T: Real>(x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Scored {
    let device = product.device();
    let [n_x, n_l, d] = sizes(&x, &product, &bias);
    let (x, bias) = (host::read::<T, 2>(x), host::read::<T, 1>(bias));
    let n = n_x.max(n_l);
    // The error overwrites the logits if both have the same number of rows.
    let (mut error, logits) = if n_l == n {
        (host::values::<T, 2>(product), None)
    } else {
        (vec![T::ZERO; n * d], Some(host::read::<T, 2>(product)))
    };
    let (k_x, k_l) = (repeats(n, n_x), repeats(n, n_l));
    let mut log_prob = vec![T::ZERO; n];
    let (x, bias, logits): (&[T], &[T], Option<&[T]>) = (&x, &bias, logits.as_deref());
    for_row_blocks(n, d, &mut error, &mut log_prob, |first, error, log_prob| {
        for (i, (error, log_prob)) in error.chunks_exact_mut(d).zip(log_prob).enumerate() {
            let row = first + i;
            if let Some(logits) = logits {
                error.copy_from_slice(&logits[row / k_l * d..][..d]);
            }
            *log_prob = score_row(&x[row / k_x * d..][..d], error, bias);
        }
    });
    Scored { log_prob: host::tensor(log_prob, [n], &device), trace: host::tensor(error, [n, d], &device) }
}

fn log_prob_on_host<T: Real>(x: Tensor<2>, product: Tensor<2>, bias: Tensor<1>) -> Tensor<1> {
    let device = product.device();
    let [n_x, n_l, d] = sizes(&x, &product, &bias);
    let (x, logits, bias) = (host::read::<T, 2>(x), host::read::<T, 2>(product), host::read::<T, 1>(bias));
    let n = n_x.max(n_l);
    let (k_x, k_l) = (repeats(n, n_x), repeats(n, n_l));
    let (x, logits, bias): (&[T], &[T], &[T]) = (&x, &logits, &bias);
    let of_row = |row: usize| log_prob_row(&x[row / k_x * d..][..d], &logits[row / k_l * d..][..d], bias);
    let least = if n * d < SEQUENTIAL { n } else { ROWS_PER_TASK };
    let log_prob = (0..n).into_par_iter().with_min_len(least).map(of_row).collect();
    host::tensor(log_prob, [n], &device)
}

/// Where the errors of a row are written.
enum Errors<'a, T> {
    /// Over the row's logits.
    Logits(&'a mut [T]),
    /// Into memory that is not initialised.
    Space(&'a mut [MaybeUninit<T>]),
}

fn draw_on_host<T: Real>(product: Tensor<2>, bias: Tensor<1>, draws: &Draws, defence: Defence<'_>) -> Drawn {
    let device = product.device();
    let [n_l, d] = product.dims();
    assert_eq!(bias.dims(), [d], "one bias for each unit");
    let n = draws.len();
    let k = repeats(n, n_l);
    let bias = host::read::<T, 1>(bias);
    // The errors overwrite the logits if both have the same number of rows.
    let (mut error, logits) = if k == 1 {
        (host::values::<T, 2>(product), None)
    } else {
        (Vec::with_capacity(n * d), Some(host::read::<T, 2>(product)))
    };
    let (mut x, mut log_prob) = (Vec::with_capacity(n * d), vec![T::ZERO; n]);
    let mut rows: Vec<(&mut [MaybeUninit<T>], Errors<'_, T>)> = Vec::with_capacity(n);
    let spaces = x.spare_capacity_mut()[..n * d].chunks_exact_mut(d);
    if logits.is_none() {
        rows.extend(spaces.zip(error.chunks_exact_mut(d).map(Errors::Logits)));
    } else {
        rows.extend(spaces.zip(error.spare_capacity_mut()[..n * d].chunks_exact_mut(d).map(Errors::Space)));
    }
    let (bias, logits): (&[T], &[T]) = (&bias, logits.as_deref().unwrap_or_default());
    let zeros = vec![T::ZERO; d];
    let task = |first: usize, rows: &mut [(&mut [MaybeUninit<T>], Errors<'_, T>)], log_prob: &mut [T]| {
        for (i, ((x, error), log_prob)) in rows.iter_mut().zip(log_prob).enumerate() {
            let (row, sample) = draws.cell(first + i);
            let x = x.write_copy_of_slice(&zeros);
            fill_uniform(draws.key(), row, sample, x);
            let error = match error {
                Errors::Logits(logits) => &mut logits[..],
                Errors::Space(space) => space.write_copy_of_slice(&logits[(first + i) / k * d..][..d]),
            };
            *log_prob = match defence {
                Some(marked) if marked[first + i] => draw_row::<T, true>(x, error, bias),
                _ => draw_row::<T, false>(x, error, bias),
            };
        }
    };
    if n * d < SEQUENTIAL {
        vectorised(|| task(0, &mut rows, &mut log_prob));
    } else {
        rows.par_chunks_mut(ROWS_PER_TASK)
            .zip(log_prob.par_chunks_mut(ROWS_PER_TASK))
            .enumerate()
            .for_each(|(block, (rows, log_prob))| vectorised(|| task(block * ROWS_PER_TASK, rows, log_prob)));
    }
    drop(rows);
    // SAFETY: a task wrote each of the n rows of both.
    unsafe {
        x.set_len(n * d);
        error.set_len(n * d);
    }
    let scored = Scored {
        log_prob: host::tensor(log_prob, [n], &device),
        trace: host::tensor(error, [n, d], &device),
    };
    Drawn { x: host::tensor(x, [n, d], &device), scored }
}

fn sample_on_host<T: Real>(product: Tensor<2>, bias: Tensor<1>, draws: &Draws) -> (Tensor<2>, Tensor<1>) {
    let device = product.device();
    let [n_l, d] = product.dims();
    assert_eq!(bias.dims(), [d], "one bias for each unit");
    let n = draws.len();
    let k = repeats(n, n_l);
    let (bias, logits) = (host::read::<T, 1>(bias), host::read::<T, 2>(product));
    let (bias, logits): (&[T], &[T]) = (&bias, &logits);
    let (mut x, mut log_prob) = (Vec::with_capacity(n * d), vec![T::ZERO; n]);
    let zeros = vec![T::ZERO; d];
    let least = if n * d < SEQUENTIAL { n } else { ROWS_PER_TASK };
    let rows = x.spare_capacity_mut()[..n * d].par_chunks_exact_mut(d).zip(&mut log_prob).enumerate();
    rows.with_min_len(least).for_each(|(i, (x, log_prob))| {
        let x = x.write_copy_of_slice(&zeros);
        let (row, sample) = draws.cell(i);
        fill_uniform(draws.key(), row, sample, x);
        *log_prob = sample_row(x, &logits[i / k * d..][..d], bias);
    });
    // SAFETY: each of the n rows was written.
    unsafe { x.set_len(n * d) };
    (host::tensor(x, [n, d], &device), host::tensor(log_prob, [n], &device))
}

/// Runs `task(first row, rows, one number per row)` over blocks of rows, on all threads.
fn for_row_blocks<T: Real>(
    n: usize,
    d: usize,
    rows: &mut [T],
    per_row: &mut [T],
    task: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) {
    if n * d < SEQUENTIAL {
        return task(0, rows, per_row);
    }
    rows.par_chunks_mut(ROWS_PER_TASK * d)
        .zip(per_row.par_chunks_mut(ROWS_PER_TASK))
        .enumerate()
        .for_each(|(block, (rows, per_row))| task(block * ROWS_PER_TASK, rows, per_row));
}

#[cfg(test)]
mod tests;
