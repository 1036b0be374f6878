//! Machines of all types of units, and sums over all of their states.

use burn::module::Param;

use super::*;
use crate::units::{Block, Layer, Units};

pub(super) const SITE: Units = Units::Softmax { categories: 3 };

/// A machine of these visible units with m hidden units.
pub(super) fn machine(blocks: &[(Units, usize)], m: usize, seed: u64) -> Rbm {
    let blocks = blocks.iter().map(|&(units, columns)| Block { units, columns }).collect();
    let layer = Layer::new(blocks).unwrap();
    let (d, mut stream) = (layer.columns(), Stream::new(Key::new(seed)));
    let mut uniform =
        |n: usize, size: f64| -> Vec<f64> { (0..n).map(|_| stream.uniform_in(-size, size)).collect() };
    let [weight, visible, hidden] = [uniform(d * m, 1.0), uniform(d, 0.8), uniform(m, 0.8)];
    let log_variances = uniform(d, 0.5);
    let real = into_f64(layer.real_columns(DType::F64, &Device::flex()));
    let (visible, hidden) = (tensor(visible, [d]), tensor(hidden, [m]));
    let mut rbm = Rbm::new(layer, tensor(weight, [d, m]), visible, hidden);
    if rbm.log_variance.is_some() {
        let values = log_variances.iter().zip(real).map(|(value, real)| value * real).collect();
        rbm.log_variance = Some(Param::from_tensor(tensor(values, [d])));
    }
    rbm
}

/// `-E(v, h)` by its definition in plain numbers.
pub(super) fn minus_energy(rbm: &Rbm, v: &[f64], h: usize) -> f64 {
    let [d, m] = rbm.weight.val().dims();
    let (w, a, b) = (into_f64(rbm.weight.val()), into_f64(rbm.visible.val()), into_f64(rbm.hidden.val()));
    let variance: Vec<f64> = match &rbm.log_variance {
        Some(values) => into_f64(values.val()).into_iter().map(f64::exp).collect(),
        None => vec![1.0; d],
    };
    let real = into_f64(rbm.real_columns());
    let bit = |j: usize| (h >> j & 1) as f64;
    let own = |i: usize| {
        if real[i] == 1.0 { -(v[i] - a[i]).powi(2) / (2.0 * variance[i]) } else { a[i] * v[i] }
    };
    let joint = |i: usize| (0..m).map(|j| v[i] / variance[i] * w[i * m + j] * bit(j)).sum::<f64>();
    (0..d).map(|i| own(i) + joint(i)).sum::<f64>() + (0..m).map(|j| b[j] * bit(j)).sum::<f64>()
}

/// Points with weights for sums over all values of the visible units: the trapezoidal rule for real ones.
pub(super) fn points(rbm: &Rbm) -> (Vec<Vec<f64>>, Vec<f64>) {
    let (mut points, mut weights) = (vec![Vec::new()], vec![1.0]);
    for block in rbm.layer().blocks() {
        let (values, sites): (Vec<(Vec<f64>, f64)>, usize) = match block.units {
            Units::Bernoulli => ([0.0, 1.0].map(|v| (vec![v], 1.0)).to_vec(), block.columns),
            Units::Softmax { categories } => {
                let one = |k: usize| (0..categories).map(|i| f64::from(u8::from(i == k))).collect();
                ((0..categories).map(|k| (one(k), 1.0)).collect(), block.columns / categories)
            }
            Units::Gaussian => {
                let step = 0.2;
                ((-60..=60).map(|i| (vec![step * f64::from(i)], step)).collect(), block.columns)
            }
            Units::Rectified => {
                // Simpson's rule, since the density does not vanish at 0.
                let (step, n) = (0.04, 300);
                let weight = |i: i32| match i {
                    0 => step / 3.0,
                    i if i == n => step / 3.0,
                    i if i % 2 == 1 => step * 4.0 / 3.0,
                    _ => step * 2.0 / 3.0,
                };
                ((0..=n).map(|i| (vec![step * f64::from(i)], weight(i))).collect(), block.columns)
            }
        };
        for _ in 0..sites {
            let mut next = (Vec::new(), Vec::new());
            for (point, weight) in points.iter().zip(&weights) {
                for (value, more) in &values {
                    next.0.push([point.as_slice(), value].concat());
                    next.1.push(weight * more);
                }
            }
            (points, weights) = next;
        }
    }
    (points, weights)
}

pub(super) fn rows(points: &[Vec<f64>]) -> Tensor<2> {
    tensor(points.concat(), [points.len(), points[0].len()])
}

/// Machines of every type, alone and mixed, with the tolerance of their quadrature.
pub(super) fn machines() -> Vec<(Rbm, f64)> {
    let (bits, real, rectified) = (Units::Bernoulli, Units::Gaussian, Units::Rectified);
    vec![
        (machine(&[(SITE, 6)], 3, 31), 1e-12),
        (machine(&[(SITE, 3)], 4, 32), 1e-12),
        (machine(&[(bits, 2), (SITE, 3)], 2, 33), 1e-12),
        (machine(&[(real, 1)], 3, 34), 1e-10),
        (machine(&[(real, 2)], 2, 35), 1e-10),
        (machine(&[(rectified, 1)], 3, 36), 1e-7),
        (machine(&[(rectified, 2)], 2, 37), 1e-7),
        (machine(&[(real, 1), (bits, 1), (SITE, 3)], 2, 38), 1e-10),
    ]
}

/// n of the points by their masses, drawn with this seed.
pub(super) fn draws_of(points: &[Vec<f64>], masses: &[f64], n: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut cumulated = masses.to_vec();
    (1..cumulated.len()).for_each(|i| cumulated[i] += cumulated[i - 1]);
    let total = cumulated[cumulated.len() - 1];
    let mut stream = Stream::new(Key::new(seed));
    let mut draw = || {
        let u = stream.uniform() * total;
        points[cumulated.partition_point(|sum| *sum < u).min(points.len() - 1)].clone()
    };
    (0..n).map(|_| draw()).collect()
}

/// Asserts that the first two moments of each column of rows are those of points with masses.
pub(super) fn assert_moments(found: &Tensor<2>, points: &[Vec<f64>], masses: &[f64]) {
    let ([n, d], values) = (found.dims(), into_f64(found.clone()));
    let total: f64 = masses.iter().sum();
    for i in 0..d {
        let mean = |power: i32| -> f64 {
            points.iter().zip(masses).map(|(v, mass)| v[i].powi(power) * mass).sum::<f64>() / total
        };
        for power in [1, 2] {
            let found = values.chunks(d).map(|row| row[i].powi(power)).sum::<f64>() / n as f64;
            let (expected, square) = (mean(power), mean(2 * power));
            // Five standard errors: a false alarm in 2 million for each number. The grid has steps.
            let bound = 5.0 * ((square - expected * expected) / n as f64).sqrt() + 2e-3;
            assert!((found - expected).abs() < bound, "column {i}, power {power}: {found} for {expected}");
        }
    }
}
