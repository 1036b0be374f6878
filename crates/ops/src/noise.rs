//! Keyed uniforms and normals as a tensor, for operations that are built from tensor operations.

use burn::tensor::{DType, Device, Tensor};
use helmholtz_noise::simd::vectorised;
use helmholtz_noise::{Draws, fill_uniform};
use rayon::prelude::*;

#[cfg(feature = "cube")]
use crate::cube;
use crate::host::{self, SEQUENTIAL, for_real};
use crate::real::{LANES, Real};

/// The uniforms in [0, 1) of units `0..d` of every cell of `draws`: `[n * k, d]`.
pub fn uniform(draws: &Draws, d: usize, dtype: DType, device: &Device) -> Tensor<2> {
    #[cfg(feature = "cube")]
    if cube::applies(device, dtype) {
        return cube::uniform(draws, d, device);
    }
    for_real!(dtype, T => {
        let mut values = vec![T::default(); draws.len() * d];
        for (i, cell) in values.chunks_exact_mut(d.max(1)).enumerate() {
            let (row, sample) = draws.cell(i);
            fill_uniform(draws.key(), row, sample, cell);
        }
        host::tensor(values, [draws.len(), d], device)
    })
}

/// Standard normals for units `0..d` of every cell of `draws`: `[n * k, d]`.
///
/// The Box-Muller transform of the cell's uniforms: units 2i and 2i + 1 are `√(-2 log(1 - u))` times the cosine and
/// the sine of `2 π v`, with u and v the uniforms 2i and 2i + 1. The largest magnitude is 5.8 in f32 and 8.5 in f64.
///
/// # Reference
/// Box, Muller, "A note on the generation of random normal deviates", Annals of Mathematical Statistics 29, 1958.
pub fn normal(draws: &Draws, d: usize, dtype: DType, device: &Device) -> Tensor<2> {
    #[cfg(feature = "cube")]
    if cube::applies(device, dtype) {
        return cube::normal(draws, d, device);
    }
    for_real!(dtype, T => {
        let mut values = vec![T::default(); draws.len() * d];
        let width = d.max(1);
        let rows = if values.len() < SEQUENTIAL { draws.len().max(1) } else { ROWS_PER_TASK };
        values.par_chunks_mut(rows * width).enumerate().for_each(|(block, part)| {
            // Uniforms are used in pairs; if the number of units is odd, the partner of the last one is dropped.
            let mut cell = vec![T::default(); width.next_multiple_of(2)];
            for (i, out) in part.chunks_exact_mut(width).enumerate() {
                let (row, sample) = draws.cell(block * rows + i);
                fill_uniform(draws.key(), row, sample, &mut cell);
                to_normal(&mut cell);
                out.copy_from_slice(&cell[..width]);
            }
        });
        host::tensor(values, [draws.len(), d], device)
    })
}

/// Number of rows that one task of the thread pool handles.
const ROWS_PER_TASK: usize = 16;

/// Replaces uniforms by normals; their number must be even.
fn to_normal<T: Real>(cell: &mut [T]) {
    vectorised(
        #[inline(always)]
        || {
            let (groups, rest) = cell.as_chunks_mut::<{ 2 * LANES }>();
            for group in groups {
                let (mut u, mut v) = ([T::ZERO; LANES], [T::ZERO; LANES]);
                for i in 0..LANES {
                    (u[i], v[i]) = (group[2 * i], group[2 * i + 1]);
                }
                for i in 0..LANES {
                    (u[i], v[i]) = pair(u[i], v[i]);
                }
                for i in 0..LANES {
                    (group[2 * i], group[2 * i + 1]) = (u[i], v[i]);
                }
            }
            for two in rest.chunks_exact_mut(2) {
                (two[0], two[1]) = pair(two[0], two[1]);
            }
        },
    );
}

#[inline(always)]
fn pair<T: Real>(u: T, v: T) -> (T, T) {
    let radius = (-(T::log_unit(T::ONE - u) + T::log_unit(T::ONE - u))).sqrt();
    let (cos, sin) = T::cos_sin_turn(v);
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use helmholtz_noise::Key;

    use super::*;

    fn values(tensor: Tensor<2>) -> Vec<f64> {
        tensor.into_data_as::<f64>().try_to_vec::<f64>().unwrap()
    }

    #[test]
    fn normals_have_the_moments_and_the_tails_of_the_normal_law() {
        // Over n = 2^20 draws, each statistic is within 5 standard errors, with a false-alarm rate below 6e-7. The
        // standard error of the fourth moment is √(96 / n), that of the share beyond two is √(0.0455 · 0.9545 / n).
        let n = 1 << 20;
        for dtype in [DType::F32, DType::F64] {
            let z = values(normal(&Draws::new(Key::new(5), n / 64, 1), 64, dtype, &Device::flex()));
            let mean = |f: fn(f64) -> f64| z.iter().map(|&z| f(z)).sum::<f64>() / n as f64;
            let within = |found: f64, exact: f64, variance: f64| {
                assert!((found - exact).abs() < 5.0 * (variance / n as f64).sqrt(), "{found} for {exact}");
            };
            within(mean(|z| z), 0.0, 1.0);
            within(mean(|z| z * z), 1.0, 2.0);
            within(mean(|z| z * z * z), 0.0, 15.0);
            within(mean(|z| z.powi(4)), 3.0, 96.0);
            within(mean(|z| f64::from(u8::from(z.abs() > 2.0))), 0.045_500_264, 0.0434);
            // The two normals of a pair share their radius but are independent.
            let products = z.chunks_exact(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / (n / 2) as f64;
            within(products / 2f64.sqrt(), 0.0, 1.0);
        }
    }

    #[test]
    fn a_unit_does_not_depend_on_the_width_or_the_chunk_and_f64_refines_f32() {
        let (device, draws) = (Device::flex(), Draws::new(Key::new(2), 50, 3));
        let wide = values(normal(&draws, 77, DType::F64, &device));
        let narrow = values(normal(&draws, 5, DType::F64, &device));
        let single = values(normal(&draws, 77, DType::F32, &device));
        for i in 0..150 {
            assert_eq!(wide[i * 77..][..5], narrow[i * 5..][..5]);
        }
        let part = values(normal(&draws.samples(1..2), 77, DType::F64, &device));
        assert_eq!(part[77..154], wide[4 * 77..][..77]);
        assert!(wide.iter().zip(&single).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}
