//! Iterated sampling importance resampling.
//!
//! The state of a chain is K points and the index l of the point that it is at. A step draws a slot a uniformly, puts
//! `ξ_l` there, and fills the other slots:
//!
//! ```text
//! ξ*_a = ξ_l
//! ξ*_k = β ξ*_{k-1} + √(1 - β²) n_k    for k = a + 1 ... K
//! ξ*_k = β ξ*_{k+1} + √(1 - β²) n_k    for k = a - 1 ... 1
//! l* ~ Categorical(w(ξ*_1), ..., w(ξ*_K))
//! ```
//!
//! with `n_k` drawn from q. With β = 0 this is ISIR, and q may be any distribution. With β > 0 it is dependent ISIR
//! (DISIR), and q is a standard normal: along the slots the points are a stationary autoregression under q, which may
//! be started at any slot. In both cases the distribution `1/K Q(ξ_1 ... ξ_K) w(ξ_l) / Z` is invariant, where Q is
//! that of the points under q. Under it `ξ_l` is distributed as π, and so is a point chosen by its weight. Hence
//! `E Σ_k w̃_k f(ξ_k) = E_π f` there.
//!
//! # References
//! Andrieu, Doucet, Holenstein, "Particle Markov chain Monte Carlo methods", JRSS B 72, 2010.
//! Ruiz, Titsias, Cemgil, Doucet, "Unbiased gradient estimation for variational auto-encoders using coupled Markov
//! chains", UAI 2021, arXiv:2010.01845, algorithms 3 to 6.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// The linear map that makes the points of a step from the kept ones and fresh draws, for several chains at once.
#[derive(Clone, Debug)]
pub struct Mixing {
    k: usize,
    /// `β^|k - a|`, the share of the kept point: `[n, K, 1]`.
    of_kept: Tensor<3>,
    of_fresh: OfFresh,
}

#[derive(Clone, Debug)]
enum OfFresh {
    /// β = 0: one, except zero in slot a, `[n, K, 1]`.
    Itself(Tensor<3>),
    /// `√(1 - β²) β^|k - j|` for the draws j between a, which is not among them, and k: `[n, K, K]`.
    Along(Tensor<3>),
}

impl Mixing {
    /// The map with the kept points in the given slots out of `k`, one slot for each row.
    ///
    /// # Panics
    /// If a slot is not below `k`, or β is not in [0, 1).
    pub fn new(slots: &[usize], k: usize, beta: f64, dtype: DType, device: &Device) -> Self {
        assert!((0.0..1.0).contains(&beta), "β = {beta}");
        assert!(slots.iter().all(|&slot| slot < k), "slots {slots:?} of {k}");
        let n = slots.len();
        let tensor = |values: Vec<f64>, width: usize| {
            let data = TensorData::new(values, [n, k, width]).convert_dtype(dtype);
            Tensor::<3>::from_data(data, (device, dtype))
        };
        let kept = slots.iter().flat_map(|&a| (0..k).map(move |i| beta.powi(i.abs_diff(a) as i32)));
        let of_kept = tensor(kept.collect(), 1);
        let of_fresh = if beta == 0.0 {
            OfFresh::Itself(of_kept.clone().neg() + 1.0)
        } else {
            let scale = (1.0 - beta * beta).sqrt();
            let share = |a: usize, i: usize, j: usize| {
                let between = (a < j && j <= i) || (i <= j && j < a);
                if between { scale * beta.powi(i.abs_diff(j) as i32) } else { 0.0 }
            };
            let pairs = |a: usize| (0..k).flat_map(move |i| (0..k).map(move |j| share(a, i, j)));
            OfFresh::Along(tensor(slots.iter().flat_map(|&a| pairs(a)).collect(), k))
        };
        Mixing { k, of_kept, of_fresh }
    }

    /// The points of one or more chains of each row, which share their fresh draws. The points of a row are side by
    /// side, chain by chain. With β = 0 they are the kept point and the draws themselves, to the bit.
    ///
    /// # Shapes
    /// - `kept`: `[n, d]` for each chain, `fresh`: `[n * K, d]`; output `[n * chains * K, d]`
    pub fn apply(&self, kept: &[Tensor<2>], fresh: Tensor<2>) -> Tensor<2> {
        let ([n, _, _], [_, d]) = (self.of_kept.dims(), fresh.dims());
        let fresh = fresh.reshape([n, self.k, d]);
        let fresh = match &self.of_fresh {
            OfFresh::Itself(but_one) => fresh * but_one.clone(),
            OfFresh::Along(shares) => shares.clone().matmul(fresh),
        };
        let chains = kept.iter().map(|kept| {
            let kept: Tensor<3> = kept.clone().unsqueeze_dim(1);
            kept * self.of_kept.clone() + fresh.clone()
        });
        Tensor::cat(chains.collect(), 1).reshape([n * kept.len() * self.k, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: Tensor<2>) -> Vec<f64> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn matrix(values: &[f64], d: usize) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [values.len() / d, d]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    #[test]
    fn points_follow_the_recursion_outwards_from_the_slot() {
        let (k, d, beta, device) = (5, 2, 0.6f64, Device::flex());
        let fresh: Vec<f64> = (0..3 * k * d).map(|i| ((i * 7) % 11) as f64 / 3.0 - 1.5).collect();
        let kept: [Vec<f64>; 2] = [0.25, -2.0].map(|at| (0..3 * d).map(|i| at + i as f64).collect());
        let slots = [0, 2, 4];
        let mixing = Mixing::new(&slots, k, beta, DType::F64, &device);
        let chains = [matrix(&kept[0], d), matrix(&kept[1], d)];
        let found = values(mixing.apply(&chains, matrix(&fresh, d)));
        for (row, &a) in slots.iter().enumerate() {
            for (chain, kept) in kept.iter().enumerate() {
                for j in 0..d {
                    let noise = |k: usize| fresh[(row * 5 + k) * d + j];
                    let mut points = [0.0; 5];
                    points[a] = kept[row * d + j];
                    let step = |from: f64, k: usize| beta * from + (1.0 - beta * beta).sqrt() * noise(k);
                    (a + 1..k).for_each(|k| points[k] = step(points[k - 1], k));
                    (0..a).rev().for_each(|k| points[k] = step(points[k + 1], k));
                    for (i, expected) in points.into_iter().enumerate() {
                        let found = found[((row * 2 + chain) * k + i) * d + j];
                        assert!(
                            (found - expected).abs() < 1e-12,
                            "{row} {chain} {i}: {found} for {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn without_correlation_the_points_are_copies_to_the_bit() {
        let fresh: Vec<f64> = (0..12).map(|i| (f64::from(i) + 0.3).sqrt()).collect();
        let mixing = Mixing::new(&[1, 2], 3, 0.0, DType::F64, &Device::flex());
        let found = values(mixing.apply(&[matrix(&[0.1, -0.2, 1e-9, 7.0], 2)], matrix(&fresh, 2)));
        let mut expected = fresh;
        expected[2..4].copy_from_slice(&[0.1, -0.2]);
        expected[10..].copy_from_slice(&[1e-9, 7.0]);
        assert_eq!(found, expected);
    }
}
