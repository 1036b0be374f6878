//! Annealed importance sampling against evidence that is known exactly.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Draws, Key};
use helmholtz_eval::AnnealedImportanceSampling;
use helmholtz_ops::noise::normal;
use helmholtz_ops::rows::repeat_rows;
use helmholtz_samplers::LogDensity;
use helmholtz_tests::{device, values};

/// `log w(ξ) = bᵀξ - ½ ξᵀAξ` with a b for each row: what a linear model with normal noise has under any normal q.
///
/// `Z = ∫ N(ξ; 0, I) w(ξ) dξ = |I + A|^-½ exp(½ bᵀ (I + A)⁻¹ b)`. The posterior is narrower than q in one direction and
/// wider in another, correlated and not centred, and `I + 2 A` is positive, so that w has a variance under q.
struct Quadratic {
    b: Tensor<2>,
}

const A: [f64; 4] = [1.5, 0.6, 0.6, -0.2];

impl Quadratic {
    /// Rows of four kinds, from easy to hard.
    fn new(rows: &[u64]) -> Self {
        let b =
            rows.iter().flat_map(|row| [[0.2, 0.0], [-1.0, 0.3], [1.5, -0.5], [0.5, 0.6]][*row as usize % 4]);
        Quadratic { b: matrix(b.collect(), 2) }
    }

    /// log Z of each row.
    fn exact(&self) -> Vec<f64> {
        let (a, b, c) = (1.0 + A[0], A[1], 1.0 + A[3]);
        let determinant = a * c - b * b;
        let of = |v: &[f64]| {
            let form = c * v[0] * v[0] - 2.0 * b * v[0] * v[1] + a * v[1] * v[1];
            0.5 * form / determinant - 0.5 * determinant.ln()
        };
        values(self.b.clone()).chunks_exact(2).map(of).collect()
    }
}

impl LogDensity for Quadratic {
    fn log_density_and_gradient(&self, noise: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let b = repeat_rows(self.b.clone(), noise.dims()[0] / self.b.dims()[0]);
        let curved = noise.clone().matmul(matrix(A.to_vec(), 2));
        let log_w = noise * (b.clone() - curved.clone() * 0.5);
        (log_w.sum_dim(1).squeeze_dim(1), b - curved)
    }
}

fn matrix(values: Vec<f64>, d: usize) -> Tensor<2> {
    let n = values.len() / d;
    Tensor::from_data(TensorData::new(values, [n, d]), (&device(), DType::F64))
}

/// Log weights over exact Z, for the chains of n rows, and their mean acceptance.
fn log_ratios(annealing: &AnnealedImportanceSampling, n: u64, key: u64) -> (Vec<f64>, f64) {
    let rows: Arc<[u64]> = (0..n).collect();
    let target = Quadratic::new(&rows);
    let draws = Draws::of_rows(Key::new(key), rows, annealing.chains);
    let start = normal(&draws, 2, DType::F64, &device());
    let found = annealing.anneal(&target, start, &draws, || {});
    let exact = target.exact();
    let ratios = found.log_weights.iter().enumerate().map(|(i, w)| w - exact[i / annealing.chains]);
    (ratios.collect(), found.acceptance.iter().sum::<f64>() / found.acceptance.len().max(1) as f64)
}

/// Mean and standard deviation.
fn moments(numbers: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.clone().sum::<f64>() / n;
    (mean, (numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

#[test]
fn weights_are_unbiased_at_any_number_of_temperatures() {
    // Single chains, each with step sizes of a preliminary run of one chain: as rough as it gets. The mean over n of
    // them lies within 5 standard errors of one; false alarms below 2e-6 for the three.
    for (temperatures, leapfrog) in [(2, 3), (6, 3), (25, 10)] {
        let mut annealing = AnnealedImportanceSampling::new(1, temperatures);
        annealing.hmc.leapfrog = leapfrog;
        let (log_ratios, _) = log_ratios(&annealing, 8000, 1);
        let (mean, deviation) = moments(log_ratios.iter().map(|r| r.exp()));
        let se = deviation / 8000f64.sqrt();
        assert!((mean - 1.0).abs() < 5.0 * se, "T = {temperatures}: {mean} ± {se}");
        // It could tell a bias of a twentieth.
        assert!(se < 0.01, "T = {temperatures}: {se}");
    }
}

#[test]
fn the_spread_of_the_weights_falls_as_temperatures_rise() {
    // Of n chains the standard error of a deviation is some 5 per cent; in the limit of many temperatures the
    // variance falls as one over their number, and the deviation by 3.2 for ten times as many.
    let deviation = |temperatures| {
        let (log_ratios, _) = log_ratios(&AnnealedImportanceSampling::new(4, temperatures), 200, 2);
        moments(log_ratios.iter().copied()).1
    };
    let deviations = [1, 10, 100, 1000].map(deviation);
    assert!(deviations.windows(2).all(|pair| pair[1] < 0.5 * pair[0]), "{deviations:?}");
    assert!((2.3..4.4).contains(&(deviations[2] / deviations[3])), "{deviations:?}");
}

#[test]
fn one_temperature_gives_the_importance_weights() {
    let rows: Arc<[u64]> = (0..8).collect();
    let target = Quadratic::new(&rows);
    let draws = Draws::of_rows(Key::new(3), rows, 5);
    let start = normal(&draws, 2, DType::F64, &device());
    let found = AnnealedImportanceSampling::new(5, 1).anneal(&target, start.clone(), &draws, || {});
    assert_eq!(found.log_weights, values(target.log_density_and_gradient(start).0));
    assert!(found.acceptance.is_empty());
}

#[test]
fn the_preliminary_run_finds_step_sizes_of_the_acceptance_that_is_sought() {
    for sought in [0.65, 0.9] {
        let mut annealing = AnnealedImportanceSampling::new(16, 1500);
        annealing.acceptance = sought;
        let (_, acceptance) = log_ratios(&annealing, 4, 4);
        // In two dimensions a jitter of a fifth of a step size near its bound of 2 costs a few per cent.
        assert!((acceptance - sought).abs() < 0.06, "{acceptance} for {sought}");
    }
}
