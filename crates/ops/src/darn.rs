//! DARN's recurrent weights: the mask that makes them autoregressive, and sampling unit by unit.
//!
//! `logit of xⱼ = oⱼ + Σ_{i before j} xᵢ W_ij`: given all of x, this is one product with the masked matrix.
//! A sample costs `O(d)` per unit, because each unit that turns on adds its row to the logits of the later units.
//!
//! # Reference
//! Gregor, Danihelka, Mnih, Blundell, Wierstra, "Deep autoregressive networks", ICML 2014. Within its layer, a
//! logit depends only on earlier units, in scoring and in sampling alike.

use burn::tensor::{Tensor, activation};
use helmholtz_core::{Defence, Drawn, Draws};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::bernoulli;
use crate::host::{self, SEQUENTIAL, common_dtype, for_real, in_host_memory, repeats};
use crate::noise;
use crate::order::{UnitOrder, indices};
use crate::product::ab;
use crate::real::{LANES, Real};
use crate::rows::repeat_rows;
use crate::units::decide;
use crate::unitwise::draw_rows;

/// `W` with zeros where the unit of the row does not come before the unit of the column: `[d, d]`.
///
/// Differentiable by autodiff.
pub fn masked(weight: Tensor<2>, order: &UnitOrder) -> Tensor<2> {
    let device = weight.device();
    if !device.is_autodiff() && in_host_memory(&device) {
        return for_real!(weight.dtype(), T => masked_on_host::<T>(weight, order));
    }
    let [d, _] = weight.dims();
    let places = indices(order.places(d), &device);
    let before = places.clone().unsqueeze_dim::<2>(1).lower(places.unsqueeze_dim::<2>(0));
    weight.clone() * before.float().cast(weight.dtype())
}

/// `x W` with the [`masked`] weights: `[n, d]`.
///
/// Differentiable by autodiff. On the host, if the units are in the order of their indices, they are added up one by
/// one and units that are off are left out. This takes at most half the work of a product, and needs no mask.
pub fn product(x: Tensor<2>, weight: Tensor<2>, order: &UnitOrder) -> Tensor<2> {
    let device = weight.device();
    if device.is_autodiff() || !in_host_memory(&device) || !order.is_index() {
        return ab(x, masked(weight, order));
    }
    let dtype = common_dtype(x.dtype(), weight.dtype());
    for_real!(dtype, T => product_on_host::<T>(x, weight))
}

/// Number of rows in one task of a product, and number of units whose sums stay in the first-level cache meanwhile.
const ROWS: usize = 32;
const TILE: usize = 128;

fn product_on_host<T: Real>(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let (device, [n, d]) = (weight.device(), x.dims());
    assert_eq!(weight.dims(), [d, d], "the recurrent weights of {d} units must be [{d}, {d}]");
    let (x, weight) = (host::read::<T, 2>(x), host::read::<T, 2>(weight));
    let weight: &[T] = &weight;
    let mut sums = vec![T::ZERO; n * d];
    let few = n * d * d < SEQUENTIAL;
    let block = if few { ROWS } else { n.div_ceil(rayon::current_num_threads()).clamp(1, ROWS) };
    sums.par_chunks_mut(block * d).zip(x.par_chunks(block * d)).for_each(|(sums, x)| {
        vectorised(
            #[inline(always)]
            || add_up(sums, x, weight, d),
        );
    });
    host::tensor(sums, [n, d], &device)
}

/// Computes the sums of a few rows, one tile of units at a time.
#[inline(always)]
fn add_up<T: Real>(sums: &mut [T], x: &[T], weight: &[T], d: usize) {
    let rows = x.len() / d;
    // For each unit, a list of the rows in which it is on: loops over these lists have no unpredictable branch.
    let (mut on, mut counts) = (vec![0u8; d * ROWS], vec![0usize; d]);
    for unit in 0..d {
        let (list, n) = (&mut on[unit * ROWS..][..ROWS], &mut counts[unit]);
        for r in 0..rows {
            list[*n] = r as u8;
            *n += usize::from(x[r * d + unit] != T::ZERO);
        }
    }
    for first in (0..d).step_by(TILE) {
        let last = (first + TILE).min(d);
        for unit in 0..last {
            let later = first.max(unit + 1);
            let weight = &weight[unit * d + later..unit * d + last];
            for &r in &on[unit * ROWS..][..counts[unit]] {
                let row = usize::from(r) * d;
                let x = x[row + unit];
                for (sum, weight) in sums[row + later..row + last].iter_mut().zip(weight) {
                    *sum = x.mul_add(*weight, *sum);
                }
            }
        }
    }
}

fn masked_on_host<T: Real>(weight: Tensor<2>, order: &UnitOrder) -> Tensor<2> {
    let device = weight.device();
    let [d, columns] = weight.dims();
    assert_eq!(d, columns, "the matrix of recurrent weights must be square");
    let places = order.places(d);
    let mut values = host::values::<T, 2>(weight);
    for (i, row) in values.chunks_exact_mut(d.max(1)).enumerate() {
        if order.is_index() {
            row[..=i].fill(T::ZERO);
        } else {
            for (weight, place) in row.iter_mut().zip(&places) {
                if *place <= places[i] {
                    *weight = T::ZERO;
                }
            }
        }
    }
    host::tensor(values, [d, d], &device)
}

/// Samples drawn unit by unit, with their log-probability and error.
///
/// # Shapes
/// - `product`: `[n, d]`, the part of the logits that does not depend on x, or one row for every k of the `n` matrix
///   rows of `draws`; `bias`: `[d]`; `recurrent`: `[d, d]`, already [`masked`]
/// - sample and error `[n, d]`, log-probability `[n]`
pub fn draw(
    product: Tensor<2>,
    bias: Tensor<1>,
    recurrent: Tensor<2>,
    order: &UnitOrder,
    draws: &Draws,
    defence: Defence<'_>,
) -> Drawn {
    if in_host_memory(&product.device()) {
        for_real!(product.dtype(), T => draw_on_host::<T>(product, bias, recurrent, order, draws, defence))
    } else {
        draw_by_tensors(product, bias, recurrent, order, draws, defence)
    }
}

/// [`draw`] by plain tensor operations, on any device.
pub fn draw_by_tensors(
    product: Tensor<2>,
    bias: Tensor<1>,
    recurrent: Tensor<2>,
    order: &UnitOrder,
    draws: &Draws,
    defence: Defence<'_>,
) -> Drawn {
    let k = repeats(draws.len(), product.dims()[0]);
    let mut logits = repeat_rows(product, k);
    let [n, d] = logits.dims();
    let u = noise::uniform(draws, d, logits.dtype(), &logits.device());
    let mut drawn = Vec::with_capacity(d);
    for unit in order.units(d) {
        let column = |matrix: &Tensor<2>| matrix.clone().slice([0..n, unit..unit + 1]);
        let bias = bias.clone().slice(unit..unit + 1).unsqueeze();
        let mean = activation::sigmoid(column(&logits) + bias);
        let x = bernoulli::decide_by_tensors(column(&u), mean, defence);
        logits = logits + x.clone() * recurrent.clone().slice([unit..unit + 1, 0..d]);
        drawn.push(x);
    }
    let x = order.restore_columns(Tensor::cat(drawn, 1));
    Drawn { x: x.clone(), scored: bernoulli::score_by_tensors(x, logits, bias) }
}

fn draw_on_host<T: Real>(
    product: Tensor<2>,
    bias: Tensor<1>,
    recurrent: Tensor<2>,
    order: &UnitOrder,
    draws: &Draws,
    defence: Defence<'_>,
) -> Drawn {
    let device = product.device();
    let [n_product, d] = product.dims();
    assert_eq!(
        (bias.dims(), recurrent.dims()),
        ([d], [d, d]),
        "{d} units need biases [{d}] and recurrent weights [{d}, {d}]"
    );
    let n = draws.len();
    let k = repeats(n, n_product);
    let (product, bias) = (host::read::<T, 2>(product), host::read::<T, 1>(bias));
    let recurrent = host::read::<T, 2>(recurrent);
    let (product, bias, recurrent): (&[T], &[T], &[T]) = (&product, &bias, &recurrent);
    let units = order.units(d);
    let few = n * d * d < SEQUENTIAL;
    let block = if few { LANES } else { n.div_ceil(rayon::current_num_threads()).clamp(1, LANES) };
    draw_rows([n, d], block, bias, draws, defence, &device, |first, x, logits, marked: &[bool; LANES]| {
        let rows = x.len() / d;
        for (r, logits) in logits.chunks_exact_mut(d).enumerate() {
            logits.copy_from_slice(&product[(first + r) / k * d..][..d]);
        }
        vectorised(
            #[inline(always)]
            || walk(x, logits, [rows, d], &units, order.is_index(), bias, recurrent, marked),
        );
    })
}

/// Turns the uniforms of a few rows into samples and completes their logits.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "everything that the loop reads and writes, by name")]
fn walk<T: Real>(
    x: &mut [T],
    logits: &mut [T],
    [rows, d]: [usize; 2],
    units: &[usize],
    by_index: bool,
    bias: &[T],
    recurrent: &[T],
    marked: &[bool; LANES],
) {
    for &unit in units {
        let (mut values, mut of_unit) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        for r in 0..rows {
            values[r] = x[r * d + unit];
            of_unit[r] = logits[r * d + unit];
        }
        decide(&mut values, &of_unit, bias[unit], marked);
        for r in 0..rows {
            x[r * d + unit] = values[r];
            if values[r] == T::ONE {
                // The masked weights are zero for earlier units.
                let later = if by_index { unit + 1 } else { 0 };
                let weights = &recurrent[unit * d + later..(unit + 1) * d];
                for (logit, weight) in logits[r * d + later..(r + 1) * d].iter_mut().zip(weights) {
                    *logit += *weight;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData, Tolerance};
    use helmholtz_core::Key;

    use super::*;

    fn matrix(shape: [usize; 2], seed: usize, dtype: DType) -> Tensor<2> {
        let values: Vec<f64> =
            (0..shape[0] * shape[1]).map(|i| ((i * 7919 + seed * 131) % 97) as f64 / 24.0 - 2.0).collect();
        Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (&Device::flex(), dtype))
    }

    fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>, dtype: DType) {
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 2e-5 };
        let (a, b) = (a.into_data().convert_dtype(DType::F64), b.into_data().convert_dtype(DType::F64));
        a.assert_approx_eq::<f64>(&b, Tolerance::rel_abs(tolerance, tolerance));
    }

    #[test]
    fn the_fused_sampler_and_the_tensor_operations_are_the_same_function() {
        for dtype in [DType::F32, DType::F64] {
            for (n, d, k) in [(1, 1, 1), (6, 13, 3), (40, 20, 1), (33, 50, 33)] {
                for order in [UnitOrder::index(), UnitOrder::random(d, Key::new(4))] {
                    let recurrent = masked(matrix([d, d], 1, dtype), &order);
                    let (product, bias) =
                        (matrix([n / k, d], 2, dtype), matrix([1, d], 3, dtype).squeeze_dim(0));
                    let draws = Draws::new(Key::new(5), n / k, k);
                    let defence: Vec<bool> = (0..n).map(|i| i % 3 == 1).collect();
                    for defence in [None, Some(defence.as_slice())] {
                        let fused =
                            draw(product.clone(), bias.clone(), recurrent.clone(), &order, &draws, defence);
                        let plain = draw_by_tensors(
                            product.clone(),
                            bias.clone(),
                            recurrent.clone(),
                            &order,
                            &draws,
                            defence,
                        );
                        // A unit whose uniform equals its mean to rounding could differ; here no unit does.
                        assert_eq!(fused.x.into_data(), plain.x.into_data(), "{n} {d} {k} {dtype:?}");
                        assert_close(fused.scored.log_prob, plain.scored.log_prob, dtype);
                        assert_close(fused.scored.trace, plain.scored.trace, dtype);
                    }
                }
            }
        }
    }

    #[test]
    fn a_product_unit_by_unit_is_the_product_with_the_masked_weights() {
        for (n, d) in [(9, 7), (1, 300), (70, 300), (33, 128)] {
            for order in [UnitOrder::index(), UnitOrder::random(d, Key::new(1))] {
                let (x, weight) = (matrix([n, d], 2, DType::F64), matrix([d, d], 9, DType::F64));
                let x = x.clone() * x.greater_elem(0.0).float().cast(DType::F64);
                let whole = x.clone().matmul(masked(weight.clone(), &order));
                assert_close(product(x, weight, &order), whole, DType::F64);
            }
        }
    }

    #[test]
    fn both_masks_are_the_same() {
        for order in [UnitOrder::index(), UnitOrder::random(7, Key::new(1))] {
            let weight = matrix([7, 7], 9, DType::F64);
            let fused = masked(weight.clone(), &order);
            let plain = masked(weight.autodiff(), &order).inner();
            assert_close(fused, plain, DType::F64);
        }
    }
}
