//! Importance weights in log space.
//!
//! Rows are observations, columns their samples. An infinite or NaN weight is never hidden. If every
//! weight of a row is zero, `log Σ exp = -inf` and the normalised weights are NaN, which a training
//! run reports as a non-finite loss. The normalised weight of an infinite weight is NaN, too.

use burn::tensor::{Int, Tensor};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use crate::host::{self, SEQUENTIAL, for_real};
use crate::real::{LANES, Real};

/// `log Σ_k exp(log w_k)` along the rows: `[batch, k]` to `[batch]`.
///
/// Stable at ±infinity: the maximum is subtracted only where it is finite.
pub fn log_sum_exp(log_weights: Tensor<2>) -> Tensor<1> {
    let max = log_weights.clone().max_dim(1);
    let finite_max = max.clone().mask_fill(max.is_finite().bool_not(), 0.0);
    let sum = (log_weights - finite_max.clone()).exp().sum_dim(1);
    (sum.log() + finite_max).squeeze_dim::<1>(1)
}

/// [`log_sum_exp`] of constants on any device, summed in double precision on the host.
pub fn log_sum_exp_f64(log_weights: Tensor<2>) -> Vec<f64> {
    let [n, k] = log_weights.dims();
    if k == 0 {
        return vec![f64::NEG_INFINITY; n];
    }
    for_real!(log_weights.dtype(), T => {
        let values = host::read::<T, 2>(log_weights);
        let rows_at_once = (SEQUENTIAL / k).max(1);
        values.par_chunks(k).with_min_len(rows_at_once).map(log_sum_exp_of_row::<T>).collect()
    })
}

fn log_sum_exp_of_row<T: Real>(row: &[T]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            let (vectors, rest) = row.as_chunks::<LANES>();
            let mut largest = [-T::INFINITY; LANES];
            for vector in vectors {
                for (largest, &value) in largest.iter_mut().zip(vector) {
                    *largest = if value > *largest { value } else { *largest };
                }
            }
            let max = largest
                .iter()
                .chain(rest)
                .fold(-T::INFINITY, |max, &value| if value > max { value } else { max });
            if max == T::INFINITY {
                let is_nan = row.iter().any(|value| value.to_f64().is_nan());
                return if is_nan { f64::NAN } else { f64::INFINITY };
            }
            // Without a finite value, all are minus infinity or NaN.
            let max = if max == -T::INFINITY { T::ZERO } else { max };
            let mut sums = [0.0; LANES];
            for vector in vectors {
                for (sum, &value) in sums.iter_mut().zip(vector) {
                    *sum += T::exp_neg(max - value).to_f64();
                }
            }
            for (sum, &value) in sums.iter_mut().zip(rest) {
                *sum += T::exp_neg(max - value).to_f64();
            }
            sums.iter().sum::<f64>().ln() + max.to_f64()
        },
    )
}

/// `log 1/K Σ_k exp(log w_k)` along the rows: `[batch, k]` to `[batch]`.
pub fn log_mean_exp(log_weights: Tensor<2>) -> Tensor<1> {
    let [_, k] = log_weights.dims();
    log_sum_exp(log_weights) - (k as f64).ln()
}

/// `w_k / Σ_k w_k` along the rows: `[batch, k]`. NaN if every weight of a row is zero.
pub fn normalise(log_weights: Tensor<2>) -> Tensor<2> {
    let total = log_sum_exp(log_weights.clone()).unsqueeze_dim::<2>(1);
    (log_weights - total).exp()
}

/// The effective sample size `1 / Σ_k w_k²` of normalised weights, as a share of K: `[batch]`.
pub fn effective_share(weights: Tensor<2>) -> Tensor<1> {
    let [_, k] = weights.dims();
    (weights.square().sum_dim(1) * k as f64).recip().squeeze_dim::<1>(1)
}

/// The mean over the other samples, `1/(K-1) Σ_{j≠k} log w_j`: `[batch, k]`.
///
/// # Panics
/// If there is only one sample.
pub fn mean_of_others(log_weights: Tensor<2>) -> Tensor<2> {
    let [_, k] = log_weights.dims();
    assert!(k > 1, "the mean over the other samples needs at least two samples");
    (log_weights.clone().sum_dim(1) - log_weights) / (k - 1) as f64
}

/// `log Σ_{j≠k} exp(log w_j)`, the sum over the other samples: `[batch, k]`.
///
/// Subtracting a weight from the total is exact to rounding, except for the largest weight. For that one, the others
/// are summed directly.
///
/// # Panics
/// If there is only one sample.
pub fn log_sum_of_others(log_weights: Tensor<2>) -> Tensor<2> {
    let [batch, k] = log_weights.dims();
    assert!(k > 1, "the sum over the other samples needs at least two samples");
    let largest = log_weights.clone().argmax(1);
    let place = Tensor::<1, Int>::arange(0..k as i64, &log_weights.device()).unsqueeze::<2>();
    let is_largest = place.repeat_dim(0, batch).equal(largest.repeat_dim(1, k));
    let rest = log_sum_exp(log_weights.clone().mask_fill(is_largest.clone(), f64::NEG_INFINITY));
    let max = log_weights.clone().max_dim(1);
    let terms = (log_weights - max.clone()).exp();
    let others = (terms.clone().sum_dim(1) - terms).log() + max;
    others.mask_where(is_largest, rest.unsqueeze_dim::<2>(1).repeat_dim(1, k))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    const INF: f32 = f32::INFINITY;

    fn rows<const N: usize, const K: usize>(values: [[f32; K]; N]) -> Tensor<2> {
        Tensor::from_floats(values, &Device::flex())
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn sums_in_double_precision_are_exact_and_hide_nothing() {
        for dtype in [DType::F32, DType::F64] {
            for k in [1, 15, 16, 17, 1000] {
                let values: Vec<f64> = (0..3 * k).map(|i| f64::from(i * 7919 % 1000) / 8.0 - 700.0).collect();
                let data = TensorData::new(values.clone(), [3, k as usize]).convert_dtype(dtype);
                let found = log_sum_exp_f64(Tensor::from_data(data, (&Device::flex(), dtype)));
                let tolerance = if dtype == DType::F64 { 1e-15 } else { 1e-7 };
                for (found, row) in found.into_iter().zip(values.chunks(k as usize)) {
                    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let exact = row.iter().map(|value| (value - max).exp()).sum::<f64>().ln() + max;
                    assert!((found - exact).abs() <= tolerance * exact.abs(), "{k}: {found} for {exact}");
                }
            }
        }
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let ends = [[-inf, -inf], [inf, 0.0], [nan, 0.0], [nan, -inf], [0.0, -inf], [inf, nan]];
        let found = log_sum_exp_f64(Tensor::from_floats(ends, &Device::flex()));
        assert_eq!(found[..2], [f64::NEG_INFINITY, f64::INFINITY]);
        assert!(found[2].is_nan() && found[3].is_nan() && found[5].is_nan());
        assert_eq!(found[4], 0.0);
        assert_eq!(log_sum_exp_f64(Tensor::zeros([2, 0], &Device::flex())), [f64::NEG_INFINITY; 2]);
    }

    #[test]
    fn infinities_keep_their_meaning() {
        let log_w = rows([[-INF, 0.0], [-INF, -INF], [INF, 0.0], [0.0, 0.0]]);
        let sums = values(log_sum_exp(log_w.clone()));
        assert_eq!(sums[..3], [0.0, -INF, INF]);
        assert!((sums[3] - 2f32.ln()).abs() < 1e-7);
        let weights = values(normalise(log_w));
        assert_eq!(weights[..2], [0.0, 1.0]);
        assert!(
            weights[2].is_nan() && weights[3].is_nan(),
            "a row of zero weights has no normalised weights"
        );
        assert!(weights[4].is_nan(), "an infinite weight has no normalised weight");
    }

    #[test]
    fn an_undefined_weight_is_never_hidden() {
        assert!(values(log_sum_exp(rows([[f32::NAN, 0.0]])))[0].is_nan());
        assert!(values(log_sum_exp(rows([[0.0, f32::NAN]])))[0].is_nan());
    }

    #[test]
    fn one_sample_has_the_weight_one_to_the_bit() {
        for log_w in [-1e30, -745.25, -0.1, 0.0, 3.7, 1e30] {
            assert_eq!(values(normalise(rows([[log_w]]))), [1.0]);
            assert_eq!(values(log_mean_exp(rows([[log_w]]))), [log_w]);
        }
    }

    #[test]
    fn others_are_all_but_one() {
        let log_w = [[0.0, 1.0, -2.0], [90.0, -90.0, -91.0], [-800.0, -801.0, -799.5]];
        let (mean, sum) = (values(mean_of_others(rows(log_w))), values(log_sum_of_others(rows(log_w))));
        for (row, log_w) in log_w.iter().enumerate() {
            for k in 0..3 {
                let others = || log_w.iter().enumerate().filter(move |(j, _)| *j != k).map(|(_, w)| *w);
                let max = others().fold(f32::NEG_INFINITY, f32::max);
                let expected = others().map(|w| (w - max).exp()).sum::<f32>().ln() + max;
                assert!((sum[3 * row + k] - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{row}, {k}");
                assert!((mean[3 * row + k] - others().sum::<f32>() / 2.0).abs() < 1e-4, "{row}, {k}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_common_factor_moves_the_sum_and_leaves_the_weights(a in -50f32..50.0, b in -50f32..50.0, c in -500f32..500.0) {
            let (plain, moved) = (rows([[a, b]]), rows([[a + c, b + c]]));
            let (s, t) = (values(log_mean_exp(plain.clone()))[0], values(log_mean_exp(moved.clone()))[0]);
            prop_assert!((t - s - c).abs() < 2e-4);
            for (v, w) in values(normalise(plain)).into_iter().zip(values(normalise(moved))) {
                prop_assert!((v - w).abs() < 2e-4);
            }
        }

        #[test]
        fn the_effective_share_lies_between_one_in_k_and_one(a in -9f32..9.0, b in -9f32..9.0, c in -9f32..9.0) {
            let share = values(effective_share(normalise(rows([[a, b, c]]))))[0];
            prop_assert!((1.0 / 3.0 - 1e-5..=1.0 + 1e-5).contains(&share));
        }
    }
}
