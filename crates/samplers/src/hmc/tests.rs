use burn::tensor::{DType, Device, TensorData};
use helmholtz_core::Key;

use super::*;

/// `log f(q) = -½ qᵀ P q` in two dimensions.
struct Normal([[f64; 2]; 2]);

/// Variances 4 and ¼, correlation 0.6.
const COVARIANCE: [[f64; 2]; 2] = [[4.0, 0.6], [0.6, 0.25]];

impl Normal {
    fn correlated() -> Self {
        let [[a, b], [_, c]] = COVARIANCE;
        let determinant = a * c - b * b;
        Normal([[c / determinant, -b / determinant], [-b / determinant, a / determinant]])
    }
}

impl LogDensity for Normal {
    fn log_density_and_gradient(&self, q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let p = matrix(&self.0.concat(), 2);
        let gradient = q.clone().matmul(p).neg();
        ((q * gradient.clone()).sum_dim(1).squeeze_dim::<1>(1) * 0.5, gradient)
    }
}

/// `log f(q) = -Σ qᵢ⁴ / 4 - q₀ q₁ / 2`: no exact solution, and no symmetry that would hide a wrong sign.
struct Quartic;

impl LogDensity for Quartic {
    fn log_density_and_gradient(&self, q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let swap = q.clone().matmul(matrix(&[0.0, 1.0, 1.0, 0.0], 2));
        let fourth = q.clone().powi_scalar(4).sum_dim(1).squeeze_dim::<1>(1) * 0.25;
        let product = (q.clone() * swap.clone()).sum_dim(1).squeeze_dim::<1>(1) * 0.25;
        (fourth.neg() - product, q.powi_scalar(3).neg() - swap * 0.5)
    }
}

/// The standard normal distribution of one number, cut off below zero.
struct HalfNormal;

impl LogDensity for HalfNormal {
    fn log_density_and_gradient(&self, q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        let outside = q.clone().lower_elem(0.0);
        let log_density = (q.clone().square() * -0.5).mask_fill(outside.clone(), f64::NEG_INFINITY);
        (log_density.squeeze_dim(1), q.neg().mask_fill(outside, f64::NAN))
    }
}

fn matrix(values: &[f64], d: usize) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / d, d]);
    Tensor::from_data(data, (&Device::flex(), DType::F64))
}

fn constant(value: f64, n: usize) -> Tensor<1> {
    Tensor::full([n], value, (&Device::flex(), DType::F64))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_as::<f64>().try_to_vec().unwrap()
}

fn normals(key: u64, n: usize, d: usize) -> Tensor<2> {
    normal(&Draws::new(Key::new(key), n, 1), d, DType::F64, &Device::flex())
}

/// Exact draws of `N(0, COVARIANCE)` for n chains.
fn exact_draws(n: usize) -> Tensor<2> {
    let [[a, b], [_, c]] = COVARIANCE;
    // Rows times the transpose of the Cholesky factor.
    let l = [a.sqrt(), b / a.sqrt(), 0.0, (c - b * b / a).sqrt()];
    normals(100, n, 2).matmul(matrix(&l, 2))
}

/// Runs `steps` steps of each chain and returns the positions and the mean acceptance.
fn run(
    hmc: Hmc,
    target: &impl LogDensity,
    law: &Tempered,
    start: Tensor<2>,
    step_size: f64,
    steps: u64,
) -> (Position, f64) {
    let [n, _] = start.dims();
    let mut at = Position::of(target, start);
    let mut accepted = 0.0;
    for t in 0..steps {
        let draws = Draws::new(Key::new(7).child(t), n, 1);
        let (next, info) = hmc.step(target, law, at, constant(step_size, n), &draws);
        accepted += values(info.acceptance).iter().sum::<f64>() / n as f64 / steps as f64;
        at = next;
    }
    (at, accepted)
}

/// The mean and the second moments of independent draws agree with those of `N(0, covariance)`.
///
/// Five statistics within 5 standard errors each: false alarms below 3e-6.
fn assert_moments(draws: &[f64], covariance: [[f64; 2]; 2]) {
    let n = (draws.len() / 2) as f64;
    for i in 0..2 {
        let mean = draws.chunks_exact(2).map(|q| q[i]).sum::<f64>() / n;
        let z = mean / (covariance[i][i] / n).sqrt();
        assert!(z.abs() < 5.0, "mean {i} is {mean}, z = {z:.1}");
        for j in 0..=i {
            let found = draws.chunks_exact(2).map(|q| q[i] * q[j]).sum::<f64>() / n;
            // Isserlis: Var(qᵢ qⱼ) = Cᵢᵢ Cⱼⱼ + Cᵢⱼ².
            let variance = covariance[i][i] * covariance[j][j] + covariance[i][j].powi(2);
            let z = (found - covariance[i][j]) / (variance / n).sqrt();
            assert!(z.abs() < 5.0, "moment {i}{j} is {found} for {}, z = {z:.1}", covariance[i][j]);
        }
    }
}

#[test]
fn the_law_is_invariant_at_step_sizes_whose_energy_errors_are_large() {
    // Started by exact draws, the chains keep the distribution whatever the number of steps. Without rejections, a
    // step size of 1.3 times the smallest standard deviation would change a variance by more than half.
    let (target, n) = (Normal::correlated(), 20_000);
    let (at, acceptance) = run(Hmc::new(3), &target, &Tempered::NOT, exact_draws(n), 0.52, 5);
    assert!((0.4..0.9).contains(&acceptance), "{acceptance}");
    assert_moments(&values(at.position), COVARIANCE);
}

#[test]
fn chains_from_a_wrong_start_reach_a_correlated_normal_law() {
    let (target, n) = (Normal::correlated(), 20_000);
    let start = normals(8, n, 2) * 0.1 + 3.0;
    let (at, acceptance) = run(Hmc::new(10), &target, &Tempered::NOT, start, 0.3, 40);
    assert!(acceptance > 0.8, "{acceptance}");
    assert_moments(&values(at.position), COVARIANCE);
}

#[test]
fn powers_of_the_density_and_of_a_normal_beside_it_make_the_law() {
    // f^½ N(0, I)^2 has the precision ½ P + 2 I.
    let target = Normal::correlated();
    let [[a, b], [_, c]] = target.0;
    let (a, b, c) = (0.5 * a + 2.0, 0.5 * b, 0.5 * c + 2.0);
    let determinant = a * c - b * b;
    let covariance = [[c / determinant, -b / determinant], [-b / determinant, a / determinant]];
    let law = &Tempered { power: InverseTemperature::Same(0.5), normal: 2.0 };
    let (at, _) = run(Hmc::new(5), &target, law, normals(9, 20_000, 2), 0.3, 20);
    assert_moments(&values(at.position), covariance);
}

#[test]
fn what_has_no_density_is_never_visited_and_the_rest_keeps_its_law() {
    let n = 20_000;
    let (at, acceptance) = run(Hmc::new(3), &HalfNormal, &Tempered::NOT, normals(10, n, 1).abs(), 0.6, 10);
    let q = values(at.position);
    assert!(q.iter().all(|&q| q >= 0.0) && acceptance < 0.9, "{acceptance}");
    // E q = √(2/π) and E q² = 1, within 5 standard errors each: false alarms below 2e-6.
    let mean = |f: fn(f64) -> f64| q.iter().map(|&q| f(q)).sum::<f64>() / n as f64;
    let first = (2.0 / std::f64::consts::PI).sqrt();
    assert!((mean(|q| q) - first).abs() < 5.0 * ((1.0 - first * first) / n as f64).sqrt());
    assert!((mean(|q| q * q) - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt());
}

/// One trajectory of a given length in time.
fn end(start: &Tensor<2>, momentum: &Tensor<2>, leapfrog: usize, time: f64) -> (Position, Tensor<2>) {
    let [n, _] = start.dims();
    let step_size = constant(time / leapfrog as f64, n);
    let from = Position::of(&Quartic, start.clone());
    Hmc::new(leapfrog).trajectory(&Quartic, &Tempered::NOT, &from, momentum.clone(), step_size)
}

#[test]
fn the_error_of_the_energy_is_of_the_second_order_in_the_step_size() {
    let (start, momentum) = (normals(1, 50, 2), normals(2, 50, 2));
    let before = energy(&Tempered::NOT, &Position::of(&Quartic, start.clone()), momentum.clone());
    let error = |leapfrog| {
        let (to, momentum) = end(&start, &momentum, leapfrog, 1.0);
        values(energy(&Tempered::NOT, &to, momentum) - before.clone())
    };
    let (coarse, fine) = (error(100), error(200));
    let norm = |errors: &[f64]| errors.iter().map(|e| e * e).sum::<f64>().sqrt();
    // The next order is the fourth: at a step of a hundredth it is some 1e-4 of the second.
    let ratio = norm(&coarse) / norm(&fine);
    assert!((ratio - 4.0).abs() < 0.02, "{ratio}");
}

#[test]
fn a_trajectory_with_its_momentum_turned_goes_back() {
    let (start, momentum) = (normals(1, 50, 2), normals(2, 50, 2));
    let (to, there) = end(&start, &momentum, 12, 2.0);
    let (back, again) = end(&to.position, &there.neg(), 12, 2.0);
    let distance = (back.position - start).abs().max() + (again + momentum).abs().max();
    // Rounding of 12 steps, which a quartic well may enlarge a hundredfold.
    assert!(distance.into_scalar::<f64>() < 1e-11);
}

#[test]
fn trajectories_keep_volume() {
    // The determinant of the map of (q, m) in central differences, whose error is of the order h² = 1e-8.
    let (h, point) = (1e-4, [0.7, -1.1, 0.4, 0.9]);
    let moved = |sign: f64| -> Vec<f64> {
        let rows: Vec<f64> = (0..4)
            .flat_map(|i| (0..4).map(move |j| point[j] + if i == j { sign * h } else { 0.0 }))
            .collect();
        let rows = matrix(&rows, 4);
        let (to, momentum) = end(&rows.clone().slice([0..4, 0..2]), &rows.slice([0..4, 2..4]), 5, 2.0);
        values(Tensor::cat(vec![to.position, momentum], 1))
    };
    let mut jacobian: Vec<f64> =
        moved(1.0).iter().zip(moved(-1.0)).map(|(up, down)| (up - down) / (2.0 * h)).collect();
    // By elimination; the matrix is far from singular.
    let mut determinant = 1.0;
    for i in 0..4 {
        let pivot =
            (i..4).max_by(|&a, &b| jacobian[4 * a + i].abs().total_cmp(&jacobian[4 * b + i].abs())).unwrap();
        if pivot != i {
            (0..4).for_each(|j| jacobian.swap(4 * i + j, 4 * pivot + j));
            determinant = -determinant;
        }
        determinant *= jacobian[5 * i];
        for row in i + 1..4 {
            let factor = jacobian[4 * row + i] / jacobian[5 * i];
            (0..4).for_each(|j| jacobian[4 * row + j] -= factor * jacobian[4 * i + j]);
        }
    }
    assert!((determinant - 1.0).abs() < 1e-5, "{determinant}");
}

#[test]
fn a_chain_does_not_depend_on_its_neighbours() {
    let (hmc, start) = (Hmc::new(4), normals(3, 6, 2));
    let steps = |rows: &[u64], start: Tensor<2>, sizes: Tensor<1>| {
        let mut at = Position::of(&Quartic, start);
        for t in 0..30u64 {
            let draws = Draws::of_rows(Key::new(5).child(t), rows.to_vec(), 1);
            at = hmc.step(&Quartic, &Tempered::NOT, at, sizes.clone(), &draws).0;
        }
        values(at.position)
    };
    // Each has a step size of its own; that of the fourth leads to numbers that are not finite.
    let sizes = [0.1, 0.3, 0.5, 1e200, 0.2, 0.4];
    let all = Tensor::<1>::from_data(TensorData::new(sizes.to_vec(), [6]), (&Device::flex(), DType::F64));
    let together = steps(&[0, 1, 2, 3, 4, 5], start.clone(), all);
    for i in 0..6 {
        let alone = steps(&[i as u64], start.clone().slice([i..i + 1, 0..2]), constant(sizes[i], 1));
        assert_eq!(together[2 * i..2 * i + 2], alone, "chain {i}");
    }
    assert_eq!(together[6..8], values(start)[6..8], "a chain that never accepts stays to the bit");
}

#[test]
fn a_step_decides_by_the_energy_error_and_the_uniform() {
    let target = Normal::correlated();
    let from = Position::of(&target, exact_draws(400));
    let momentum = normals(4, 400, 2);
    let accept =
        uniform(&Draws::new(Key::new(6), 400, 1), 1, DType::F64, &Device::flex()).squeeze_dim::<1>(1);
    let noise = Noise { momentum, accept: accept.clone() };
    let (to, info) = Hmc::new(2).step_with(&target, &Tempered::NOT, from.clone(), constant(0.6, 400), noise);
    let moved: Vec<bool> = info.accepted.into_data().try_to_vec().unwrap();
    let (u, error) = (values(accept), values(info.energy_error));
    let (old, new) = (values(from.position), values(to.position.clone()));
    for i in 0..400 {
        assert_eq!(moved[i], u[i] < (-error[i]).exp(), "chain {i}");
        assert_eq!(moved[i], old[2 * i..2 * i + 2] != new[2 * i..2 * i + 2], "chain {i}");
    }
    assert!(moved.iter().any(|moved| *moved) && moved.iter().any(|moved| !moved));
    // The stored density and gradient are those at the new position.
    let fresh = Position::of(&target, to.position);
    assert_eq!(values(to.log_density), values(fresh.log_density));
    assert_eq!(values(to.gradient), values(fresh.gradient));
}

#[test]
fn step_sizes_approach_the_acceptance_that_is_sought() {
    let (target, n, hmc) = (Normal::correlated(), 500, Hmc::new(10));
    let adaptation = Adaptation { target: 0.65, gain: 0.2 };
    let mut at = Position::of(&target, exact_draws(n));
    let mut log_step_size = constant(-4.0, 1);
    for t in 0..150u64 {
        let draws = Draws::new(Key::new(11).child(t), n, 1);
        let sizes = log_step_size.clone().exp().expand([n]);
        let (next, info) = hmc.step(&target, &Tempered::NOT, at, sizes, &draws);
        log_step_size = adaptation.next(log_step_size, info.acceptance.mean());
        at = next;
    }
    let step_size = values(log_step_size)[0].exp();
    let (_, acceptance) = run(hmc, &target, &Tempered::NOT, exact_draws(n), step_size, 40);
    // 20 000 trajectories have a standard error of 0.003; the last step sizes add one of 0.01.
    assert!((acceptance - 0.65).abs() < 0.05, "{acceptance} at {step_size}");
}

#[test]
fn the_first_step_size_has_the_acceptance_that_its_formula_says() {
    struct Flat;
    impl LogDensity for Flat {
        fn log_density_and_gradient(&self, q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
            (q.clone().sum_dim(1).squeeze_dim::<1>(1) * 0.0, q * 0.0)
        }
    }
    // In many dimensions the error of the energy is normal. Trajectories of steps that vary by a fifth do not quite
    // have all lengths, and the formula is of the lowest order in ε.
    let law = &Tempered { power: InverseTemperature::Same(1.0), normal: 1.0 };
    let step_size = Adaptation::first_step_size(500);
    let (_, acceptance) = run(Hmc::new(40), &Flat, law, normals(12, 500, 500), step_size, 3);
    assert!((acceptance - 0.65).abs() < 0.05, "{acceptance}");
}
