//! Parameters that training begins with.

use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Draws, Key, Role};
use helmholtz_energy::{StudentT, StudentTError, Unigauss, UnigaussError};
use helmholtz_noise::Stream;
use helmholtz_ops::{into_f64, noise};

/// As many Student-t experts as dimensions, with orthogonal filters and α = 2.
///
/// Then the density is the product of Student-t laws with 3 degrees of freedom along the filters, in which x has the
/// standard deviation `scale` in every direction.
///
/// # Errors
/// If the filters are not independent in single precision.
pub(super) fn student_t(d: usize, scale: f64, key: Key, device: &Device) -> Result<StudentT, StudentTError> {
    let filters: Vec<f32> = orthogonal(d, key).into_iter().map(|value| (value / scale) as f32).collect();
    let filters = Tensor::from_data(TensorData::new(filters, [d, d]), device);
    StudentT::new(filters, Tensor::full([d], 2.0f64.ln(), device))
}

/// A random orthogonal matrix, row by row: normal numbers, made orthogonal by Gram and Schmidt.
fn orthogonal(d: usize, key: Key) -> Vec<f64> {
    let draws = Draws::new(key.child(Role::Init), d, 1);
    let normal = into_f64(noise::normal(&draws, d, DType::F64, &Device::flex()));
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for row in normal.chunks(d.max(1)) {
        let mut row = row.to_vec();
        // Twice, because rounding leaves a part of the others in a short remainder.
        for other in rows.iter().chain(&rows) {
            let share = dot(&row, other);
            row.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
        }
        let length = dot(&row, &row).sqrt();
        row.iter_mut().for_each(|value| *value /= length);
        rows.push(row);
    }
    rows.concat()
}

/// Unigauss experts that are normal or uniform with equal probability, with the standard deviation `scale`. Their centres
/// are normal numbers around the mean, `[d]`, with the same deviation, moved into the box.
///
/// # Errors
/// If the bounds are not finite, or the first is not the lower one.
pub(super) fn unigauss(
    mean: &[f64],
    (n, scale): (usize, f64),
    (low, high): (f64, f64),
    (key, device): (Key, &Device),
) -> Result<Unigauss, UnigaussError> {
    let d = mean.len();
    let mut stream = Stream::new(key.child(Role::Init));
    let mut normal = || {
        let radius = (-2.0 * (1.0 - stream.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * stream.uniform()).cos()
    };
    let centre = |mean: &f64| (mean + scale * normal()).max(low).min(high) as f32;
    let means: Vec<f32> = mean.repeat(n).iter().map(centre).collect();
    let means = Tensor::from_data(TensorData::new(means, [n, d]), device);
    let log_scales = Tensor::full([n, d], scale.ln(), device);
    Unigauss::new(Tensor::zeros([n], device), means, log_scales, (low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_orthogonal_and_as_long_as_the_scale_asks() {
        let d = 7;
        let model = student_t(d, 0.5, Key::new(3), &Device::flex()).unwrap();
        let filters = model.filters.val();
        let products = into_f64(filters.clone().transpose().matmul(filters));
        for (i, found) in products.into_iter().enumerate() {
            let expected = if i / d == i % d { 4.0 } else { 0.0 };
            assert!((found - expected).abs() < 1e-5, "{i}: {found}");
        }
    }

    #[test]
    fn centres_lie_in_the_box_around_the_mean() {
        let (mean, device) = ([0.9, -0.5], Device::flex());
        let model = unigauss(&mean, (400, 0.2), (-1.0, 1.0), (Key::new(4), &device)).unwrap();
        let centres = into_f64(model.means.val());
        assert!(centres.iter().all(|centre| centre.abs() <= 1.0));
        let of_second = centres.chunks(2).map(|row| row[1]).sum::<f64>() / 400.0;
        // Five standard errors: a false alarm in 2 million.
        assert!((of_second + 0.5).abs() < 5.0 * 0.2 / 20.0, "{of_second}");
    }
}
