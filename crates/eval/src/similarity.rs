//! How close samples are to data: moments of the units, and adversarial accuracy.
//!
//! Both need samples alone, and no likelihood, so that they also judge chains that are far from the law of a model.
//!
//! # Reference
//! Yale, Dash, Dutta, Guyon, Pavao, Bennett, "Generation and evaluation of privacy preserving synthetic health data",
//! Neurocomputing 416, 2020.
//! Decelle, Furtlehner, Seoane, "Equilibrium and non-equilibrium regimes in the learning of restricted Boltzmann
//! machines", NeurIPS 2021, arXiv:2105.13889.

use burn::tensor::{Tensor, s};
use helmholtz_ops::{into_f64, product};

/// Means of units, and of products of two units.
#[derive(Clone, Debug)]
pub struct UnitMoments {
    /// `E xᵢ`: `[d]`.
    first: Vec<f64>,
    /// `E xᵢ xⱼ`, row by row: `[d, d]`.
    second: Vec<f64>,
}

impl UnitMoments {
    /// Of rows, `[n, d]`, each as likely as any other.
    pub fn of(x: Tensor<2>) -> Self {
        let n = x.dims()[0];
        let weights = Tensor::full([n], 1.0 / n as f64, (&x.device(), x.dtype()));
        UnitMoments::weighed(x, weights)
    }

    /// Of rows, `[n, d]`, with weights that sum to one, `[n]`.
    pub fn weighed(x: Tensor<2>, weights: Tensor<1>) -> Self {
        let (second, first) = product::weighed_atb(x.clone(), weights, x);
        UnitMoments { first: into_f64(first), second: into_f64(second) }
    }

    /// Root mean squares of the differences from others: of the means over units, and of the means of products over pairs
    /// of different units. The second is 0 if there is a single unit.
    ///
    /// # Panics
    /// If the others are of another number of units.
    pub fn distances(&self, other: &UnitMoments) -> [f64; 2] {
        assert_eq!(self.first.len(), other.first.len(), "moments of the same units are needed");
        let d = self.first.len();
        let first = self.first.iter().zip(&other.first).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let pairs = self.second.iter().zip(&other.second).enumerate().filter(|(i, _)| i / d != i % d);
        let second: f64 = pairs.map(|(_, (a, b))| (a - b).powi(2)).sum();
        [(first / d as f64).sqrt(), (second / (d * d.saturating_sub(1)).max(1) as f64).sqrt()]
    }

    /// The same root mean squares as they are expected for `n` independent rows of bits with these moments: a distance
    /// from them of this size is noise.
    pub fn noise(&self, n: usize) -> [f64; 2] {
        let d = self.first.len();
        // The square of a bit is the bit.
        let variance = |mean: f64| mean * (1.0 - mean) / n as f64;
        let first: f64 = self.first.iter().map(|mean| variance(*mean)).sum();
        let pairs = self.second.iter().enumerate().filter(|(i, _)| i / d != i % d);
        let second: f64 = pairs.map(|(_, mean)| variance(*mean)).sum();
        [(first / d as f64).sqrt(), (second / (d * d.saturating_sub(1)).max(1) as f64).sqrt()]
    }
}

/// Nearest neighbours among data and samples together, by Hamming distance.
///
/// A sampler is ideal at one half in both. Shares near 0 of the true rows or near 1 of the samples say that samples
/// crowd together or lie on rows; shares near 1 of both say that samples are told from data at a glance.
///
/// Rows of bits often have several nearest neighbours. A uniform choice among them is meant: a row counts by the share of
/// its nearest others that are of its own set. The authors' code counts a tie as the other set, which moves both shares
/// below one half on data with few distinct rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdversarialAccuracy {
    /// The share of true rows whose nearest other row is true.
    pub truth: f64,
    /// The share of samples whose nearest other row is a sample.
    pub synthetic: f64,
}

/// Rows whose distances to all others are held at a time.
const ROWS: usize = 256;

impl AdversarialAccuracy {
    /// Of as many true rows as samples, both `[n, d]` in {0, 1} with n at least 2.
    ///
    /// # Panics
    /// If the sets differ in size or have fewer than two rows.
    pub fn of(truth: Tensor<2>, synthetic: Tensor<2>) -> Self {
        assert_eq!(truth.dims(), synthetic.dims(), "as many samples as true rows are needed");
        assert!(truth.dims()[0] >= 2, "nearest others need at least two rows");
        AdversarialAccuracy {
            truth: share_of_own(&truth, &synthetic),
            synthetic: share_of_own(&synthetic, &truth),
        }
    }

    /// `(truth - 1/2)² + (synthetic - 1/2)²`: 0 is ideal, 1/2 the worst.
    pub fn error(&self) -> f64 {
        (self.truth - 0.5).powi(2) + (self.synthetic - 0.5).powi(2)
    }
}

/// The mean over rows of the share of their nearest others that are of their own set.
fn share_of_own(own: &Tensor<2>, other: &Tensor<2>) -> f64 {
    let n = own.dims()[0];
    let sizes = |rows: &Tensor<2>| rows.clone().sum_dim(1).reshape([1, -1]);
    let (of_own, of_other) = (sizes(own), sizes(other));
    let mut total = 0.0;
    for first in (0..n).step_by(ROWS) {
        let part = own.clone().slice(s![first..(first + ROWS).min(n), ..]);
        // |x - y| = |x| + |y| - 2 x·y for bits.
        let distances = |rows: &Tensor<2>, sizes: &Tensor<2>| {
            let both = product::abt(part.clone(), rows.clone()) * -2.0;
            into_f64(both + part.clone().sum_dim(1) + sizes.clone())
        };
        let (to_own, to_other) = (distances(own, &of_own), distances(other, &of_other));
        for (i, (to_own, to_other)) in to_own.chunks(n).zip(to_other.chunks(n)).enumerate() {
            let others =
                to_own.iter().enumerate().filter(|(j, _)| *j != first + i).map(|(_, distance)| *distance);
            let [own, other] = [nearest(others), nearest(to_other.iter().copied())];
            total += match own.0.total_cmp(&other.0) {
                std::cmp::Ordering::Less => 1.0,
                std::cmp::Ordering::Greater => 0.0,
                std::cmp::Ordering::Equal => own.1 / (own.1 + other.1),
            };
        }
    }
    total / n as f64
}

/// The smallest distance, in whole units, and how often it occurs.
fn nearest(distances: impl Iterator<Item = f64>) -> (f64, f64) {
    distances.map(f64::round).fold((f64::INFINITY, 0.0), |(least, times), distance| {
        if distance < least {
            (distance, 1.0)
        } else if distance == least {
            (least, times + 1.0)
        } else {
            (least, times)
        }
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use helmholtz_core::{Draws, Key, enumerate_bits};
    use helmholtz_ops::noise;

    use super::*;

    fn rows(values: &[u8], d: usize) -> Tensor<2> {
        let values: Vec<f32> = values.iter().map(|bit| f32::from(*bit)).collect();
        Tensor::from_data(TensorData::new(values.clone(), [values.len() / d, d]), &Device::flex())
    }

    #[test]
    fn moments_are_means_over_rows_and_their_distances_leave_out_squares() {
        let a = UnitMoments::of(rows(&[1, 0, 1, 1, 0, 1, 1, 1], 2));
        let b = UnitMoments::of(rows(&[0, 0, 1, 1], 2));
        // Means 3/4 and 3/4 against 1/2 and 1/2; products 1/2 against 1/2.
        let [first, second] = a.distances(&b);
        assert!((first - 0.25).abs() < 1e-7 && second < 1e-7, "{first}, {second}");
        // Weights in place of copies.
        let weights = Tensor::from_floats([0.0, 0.25, 0.25, 0.5], &Device::flex());
        let states = enumerate_bits(2, 0, 4, DType::F32, &Device::flex());
        let [first, second] = UnitMoments::weighed(states, weights).distances(&a);
        assert!(first < 1e-7 && second < 1e-7, "{first}, {second}");
    }

    #[test]
    fn the_noise_of_moments_is_their_expected_distance_from_independent_rows() {
        // Two fair coins: means and products over four states, for n = 2 by listing all pairs of rows.
        let states = enumerate_bits(2, 0, 4, DType::F32, &Device::flex());
        let own = UnitMoments::of(states);
        let mut squares = [0.0; 2];
        for (a, b) in (0..4u8).flat_map(|a| (0..4u8).map(move |b| (a, b))) {
            let drawn = UnitMoments::of(rows(&[a & 1, a >> 1, b & 1, b >> 1], 2));
            let distances = drawn.distances(&own);
            squares = [0, 1].map(|i| squares[i] + distances[i].powi(2) / 16.0);
        }
        let noise = own.noise(2);
        for (square, noise) in squares.into_iter().zip(noise) {
            assert!((square.sqrt() - noise).abs() < 1e-6, "{} and {noise}", square.sqrt());
        }
    }

    #[test]
    fn accuracy_is_the_share_of_own_neighbours_by_the_definition() {
        let (n, d) = (7, 4);
        let draws = |seed| Draws::new(Key::new(seed), n, 1);
        let draw = |seed| into_f64(noise::uniform(&draws(seed), d, DType::F32, &Device::flex()));
        let bits = |seed| -> Vec<u8> { draw(seed).into_iter().map(|u| u8::from(u < 0.4)).collect() };
        let (truth, synthetic) = (bits(3), bits(4));
        let row = |set: &[u8], i: usize| set[i * d..][..d].to_vec();
        let apart = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a != b).count();
        let share = |own: &[u8], other: &[u8]| -> f64 {
            let of = |i: usize| {
                let own_rows = (0..n).filter(|j| *j != i).map(|j| (apart(&row(own, i), &row(own, j)), 1.0));
                let all: Vec<(usize, f64)> =
                    own_rows.chain((0..n).map(|j| (apart(&row(own, i), &row(other, j)), 0.0))).collect();
                let least = all.iter().map(|(distance, _)| *distance).min().unwrap();
                let nearest: Vec<f64> = all
                    .iter()
                    .filter(|(distance, _)| *distance == least)
                    .map(|(_, is_own)| *is_own)
                    .collect();
                nearest.iter().sum::<f64>() / nearest.len() as f64
            };
            (0..n).map(of).sum::<f64>() / n as f64
        };
        let found = AdversarialAccuracy::of(rows(&truth, d), rows(&synthetic, d));
        assert!((found.truth - share(&truth, &synthetic)).abs() < 1e-12);
        assert!((found.synthetic - share(&synthetic, &truth)).abs() < 1e-12);
    }

    #[test]
    fn copies_of_one_row_and_noise_lie_at_opposite_ends() {
        let near = rows(&[0; 4 * 600], 4);
        let far = rows(&[1; 4 * 600], 4);
        let apart = AdversarialAccuracy::of(near.clone(), far);
        assert_eq!((apart.truth, apart.synthetic, apart.error()), (1.0, 1.0, 0.5));
        let equal = AdversarialAccuracy::of(near.clone(), near);
        assert!((equal.truth - 599.0 / 1199.0).abs() < 1e-12 && equal.error() < 1e-5, "{equal:?}");
    }
}
