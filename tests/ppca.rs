//! Gradients of `log p(x)` for probabilistic principal component analysis, where they are known.
//!
//! With `h ~ N(0, I)` and `x | h ~ N(h W + b, v I)`:
//!
//! ```text
//! x ~ N(b, C), C = Wᵀ W + v I        ∇_b log p(x) = C⁻¹ r, ∇_W log p(x) = W (C⁻¹ r rᵀ C⁻¹ - C⁻¹), r = x - b
//! h | x ~ N(r Wᵀ S / v, S), S = (I + W Wᵀ / v)⁻¹
//! ```
//!
//! A factorised q whose variance exceeds that of the posterior in every direction keeps the weights bounded; the
//! unbiased estimator needs bounded weights. (A q that is fitted to a correlated posterior does not keep them
//! bounded.)

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{
    Draws, Estimate, Gradients, Key, LatentVariableModel, Measure, PathParts, Reparameterized, Role, Strategy,
};
use helmholtz_noise::Stream;
use helmholtz_ops::log_weights::normalise;
use helmholtz_ops::noise;
use helmholtz_samplers::{CoupledChains, CoupledError};
use helmholtz_strategies::coupled::{CHAIN_ESS, CORRELATION, Coupled, Kernel};
use helmholtz_strategies::{Pathwise, Weighting};
use helmholtz_tests::{Named, add_scaled, block, device, distance, either, named, norm, values};
use helmholtz_vae::{Likelihood, Std, Vae, VaeConfig};

/// Observed units and latents.
const D: usize = 5;
const H: usize = 2;
const V: f64 = 0.4;
const W: [[f64; D]; H] = [[0.9, 0.5, -0.3, 0.2, 0.6], [0.4, 0.7, 0.5, -0.6, 0.1]];
const B: [f64; D] = [0.2, -0.1, 0.3, 0.0, -0.4];
const X: [f64; D] = [1.5, 0.6, -0.9, 0.4, 0.1];

fn tensor<const R: usize>(values: Vec<f64>, shape: [usize; R]) -> Tensor<R> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}

/// The inverse of a symmetric matrix, by elimination.
fn inverse<const N: usize>(mut a: [[f64; N]; N]) -> [[f64; N]; N] {
    let mut inverse = [[0.0; N]; N];
    (0..N).for_each(|i| inverse[i][i] = 1.0);
    for i in 0..N {
        let pivot = a[i][i];
        for j in 0..N {
            (a[i][j], inverse[i][j]) = (a[i][j] / pivot, inverse[i][j] / pivot);
        }
        for row in (0..N).filter(|&row| row != i) {
            let factor = a[row][i];
            for j in 0..N {
                a[row][j] -= factor * a[i][j];
                inverse[row][j] -= factor * inverse[i][j];
            }
        }
    }
    inverse
}

fn residual() -> [f64; D] {
    std::array::from_fn(|j| X[j] - B[j])
}

/// Mean and covariance of `h | x`.
fn posterior() -> ([f64; H], [[f64; H]; H]) {
    let dot = |i: usize, l: usize| (0..D).map(|j| W[i][j] * W[l][j]).sum::<f64>();
    let precision =
        std::array::from_fn(|i| std::array::from_fn(|l| dot(i, l) / V + f64::from(u8::from(i == l))));
    let (s, r) = (inverse::<H>(precision), residual());
    let project = |l: usize| (0..D).map(|j| r[j] * W[l][j]).sum::<f64>() / V;
    (std::array::from_fn(|i| (0..H).map(|l| project(l) * s[l][i]).sum()), s)
}

/// The gradient of `log p(x)`, by parameter name.
fn exact() -> Named {
    let c = std::array::from_fn(|i| {
        std::array::from_fn(|j| (0..H).map(|l| W[l][i] * W[l][j]).sum::<f64>() + if i == j { V } else { 0.0 })
    });
    let (c, r) = (inverse::<D>(c), residual());
    let in_b: Vec<f64> = (0..D).map(|i| (0..D).map(|j| c[i][j] * r[j]).sum()).collect();
    let a = |i: usize, j: usize| in_b[i] * in_b[j] - c[i][j];
    let in_w = (0..H * D).map(|at| (0..D).map(|i| W[at / D][i] * a(i, at % D)).sum()).collect();
    Named::from([("observed.bias".to_string(), in_b), ("observed.weight".to_string(), in_w)])
}

/// The gradient of `E_q log p(x, h)` in theta under `q = N(mean, diag variance)`.
fn of_elbo(mean: [f64; H], variance: [f64; H]) -> Named {
    let r = residual();
    let error = |j: usize| r[j] - (0..H).map(|l| mean[l] * W[l][j]).sum::<f64>();
    let in_w = (0..H * D).map(|at| (mean[at / D] * error(at % D) - variance[at / D] * W[at / D][at % D]) / V);
    let in_b = (0..D).map(|j| error(j) / V);
    Named::from([
        ("observed.bias".to_string(), in_b.collect()),
        ("observed.weight".to_string(), in_w.collect()),
    ])
}

/// The model with a q that has the given mean and standard deviations for every x.
fn model(mean: [f64; H], std: [f64; H]) -> Vae {
    let config = VaeConfig {
        bodies: vec![vec![]],
        std: Std::Exp,
        likelihood: Likelihood::Gaussian { variance: V },
        ..VaeConfig::new(D, vec![H])
    };
    let mut vae = config.init(None, Key::new(0), &device()).unwrap();
    // Each parameter keeps its identity; only its value is replaced.
    let set = |param: &mut Param<Tensor<1>>, values: Vec<f64>| {
        let n = values.len();
        *param = param.clone().map(|_| tensor(values, [n]));
    };
    let set_weight = |param: &mut Param<Tensor<2>>, values: Vec<f64>, shape: [usize; 2]| {
        *param = param.clone().map(|_| tensor(values, shape));
    };
    set_weight(vae.observed.weight.as_mut().unwrap(), W.concat(), [H, D]);
    set(&mut vae.observed.bias, B.to_vec());
    set(&mut vae.centre, vec![0.0; D]);
    let layer = &mut vae.recognition[0];
    set_weight(&mut layer.mean.weight, vec![0.0; D * H], [D, H]);
    set_weight(&mut layer.std.weight, vec![0.0; D * H], [D, H]);
    set(&mut layer.mean.bias, mean.to_vec());
    set(&mut layer.std.bias, std.map(f64::ln).to_vec());
    vae
}

/// A q with another mean than the posterior, and wider in every direction: its weights are bounded.
fn wide() -> ([f64; H], [f64; H]) {
    let (mean, s) = posterior();
    // The largest eigenvalue of S is at most its largest row sum.
    let largest = s.iter().map(|row| row.iter().map(|s| s.abs()).sum::<f64>()).fold(0.0, f64::max);
    ([mean[0] + 0.3, mean[1] - 0.2], [(1.2 * largest).sqrt(); H])
}

/// The factorised q with the highest ELBO: it has the posterior's mean, and the inverses of its precisions as
/// variances.
fn fitted() -> ([f64; H], [f64; H]) {
    let (mean, s) = posterior();
    let precision = inverse::<H>(s);
    (mean, std::array::from_fn(|i| precision[i][i].powf(-0.5)))
}

fn rows(n: usize) -> Tensor<2> {
    tensor(X.repeat(n), [n, D])
}

/// Estimates of the ascent direction of theta, one for each key. Each is the mean over a group of rows.
fn groups(n: usize, estimate: impl Fn(Key) -> Named) -> Vec<Named> {
    let negated =
        |found: Named| found.into_iter().map(|(path, g)| (path, g.into_iter().map(|g| -g).collect()));
    (0..n as u64).map(|group| negated(estimate(Key::new(100).child(group))).collect()).collect()
}

/// The directions in which the gradient of theta is tested, of unit length: for every block of parameters the exact
/// gradient and eight fixed random directions.
fn directions() -> Vec<(String, Vec<f64>)> {
    let mut stream = Stream::new(Key::new(77));
    let unit = |v: Vec<f64>| {
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        v.into_iter().map(|v| v / length).collect::<Vec<_>>()
    };
    let mut directions = Vec::new();
    for (path, gradient) in exact() {
        for _ in 0..8 {
            let random = gradient.iter().map(|_| stream.uniform_in(-1.0, 1.0)).collect();
            directions.push((path.clone(), unit(random)));
        }
        directions.push((path, unit(gradient)));
    }
    directions
}

/// The difference from `expected` along each direction, in standard errors, and the largest of these errors.
fn deviations(groups: &[Named], expected: &Named) -> (Vec<f64>, f64) {
    let mut largest = 0.0f64;
    let deviations = directions().into_iter().map(|(path, direction)| {
        let along = |g: &Named| g[&path].iter().zip(&direction).map(|(g, d)| g * d).sum::<f64>();
        let n = groups.len() as f64;
        let values: Vec<f64> = groups.iter().map(along).collect();
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let error = (variance / n).sqrt();
        largest = largest.max(error);
        (mean - along(expected)) / error
    });
    (deviations.collect(), largest)
}

/// Rows in a group.
const ROWS: usize = 100;

/// Number of groups for an estimate, and the two-sided critical value of Student's t for a probability of 1/1800, with
/// one degree of freedom less than groups. The 18 directions together give a false alarm in at most one of a hundred
/// runs (Bonferroni).
fn trial() -> (usize, f64) {
    either((100, 3.57), (200, 3.51))
}

fn theta(model: &Vae, chains: &CoupledChains, key: Key) -> Named {
    let mut into = Gradients::new();
    let meetings = Coupled::theta(model, rows(ROWS), chains, key, &mut into).unwrap();
    assert!(
        meetings.times.iter().all(Option::is_some),
        "chains were stopped at the cap, so their estimates are biased"
    );
    named(model, &into)
}

/// Importance-weighted estimates with `k` samples from q: normalised weights for the K-sample bound, equal weights for
/// the ELBO.
fn weighted(model: &Vae, k: usize, normalised: bool, key: Key) -> Named {
    let draws = Draws::new(key.child(Role::Wake), ROWS, k);
    let proposals = model.propose_at(rows(ROWS), noise::normal(&draws, H, DType::F64, &device()));
    let log_weights = proposals.log_weights();
    let w = if normalised { normalise(log_weights) } else { log_weights.full_like(1.0 / k as f64) };
    let mut into = Gradients::new();
    let w = w.reshape([ROWS * k]) / ROWS as f64;
    model.joint_gradient(rows(ROWS), &proposals.latents, &proposals.p.traces, w, &mut into);
    named(model, &into)
}

#[test]
fn coupled_chains_estimate_the_gradient_without_bias() {
    let (mean, std) = wide();
    let model = model(mean, std);
    for (beta, samples) in [(Some(0.5), 10), (None, 10), (Some(0.8), 4)].into_iter().take(either(1, 3)) {
        let chains = CoupledChains { samples, beta, lag: 10, burn_in: 1, cap: 1000 };
        let found = groups(trial().0, |key| theta(&model, &chains, key));
        let (deviations, error) = deviations(&found, &exact());
        assert_eq!(deviations.len(), 18);
        // A bias of 5 standard errors would be found in 93 of 100 runs.
        println!(
            "β = {beta:?}, K = {samples}: a bias of {:.4} would be visible; the norm of the gradient is {:.4}",
            5.0 * error,
            norm(&exact())
        );
        assert!(
            deviations.iter().all(|t| t.abs() < trial().1),
            "β = {beta:?}, K = {samples}: {deviations:?}"
        );
        assert!(5.0 * error < 0.1 * norm(&exact()), "an error of {error} is too large to see a bias");
    }
}

#[test]
fn a_single_bound_gives_a_bias_that_these_tests_see() {
    let (mean, std) = wide();
    let model = model(mean, std);
    let elbo = groups(trial().0, |key| weighted(&model, 10, false, key));
    let (off, _) = deviations(&elbo, &of_elbo(mean, std.map(|std| std * std)));
    assert!(off.iter().all(|t| t.abs() < trial().1), "the ELBO's gradient is E_q ∇ log p(x, h): {off:?}");
    let largest =
        |found: &[Named]| deviations(found, &exact()).0.into_iter().fold(0.0, |a: f64, t| a.max(t.abs()));
    assert!(largest(&elbo) > 30.0, "{}", largest(&elbo));
    let iwae = groups(trial().0, |key| weighted(&model, 10, true, key));
    assert!(largest(&iwae) > 8.0, "{}", largest(&iwae));
    // The bias of the K-sample bound is of order 1/K, and smaller than that of the ELBO.
    let bias = |found: &[Named]| {
        let mut mean = Named::new();
        found.iter().for_each(|g| add_scaled(&mut mean, g, 1.0 / found.len() as f64));
        distance(&mean, &exact())
    };
    let narrow = groups(trial().0, |key| weighted(&model, 40, true, key));
    let (elbo, few, many) = (bias(&elbo), bias(&iwae), bias(&narrow));
    println!("biases: ELBO {elbo:.4}, K = 10 {few:.4}, K = 40 {many:.4}");
    assert!(many < 0.5 * few && few < 0.5 * elbo, "{elbo} {few} {many}");
}

#[test]
#[ignore = "nightly: another test checks the bias; this one checks the spread"]
fn disir_narrows_the_spread_of_the_estimates_under_a_fitted_recognition_net() {
    let (mean, std) = fitted();
    let model = model(mean, std);
    let strategy = Coupled::new(10, Kernel::Disir, &device()).unwrap();
    for step in 0..60u64 {
        strategy.estimate(&model, &rows(5).into(), Key::new(11).child(step)); // β settles.
    }
    let spread = |chains: CoupledChains| {
        let found = groups(trial().0, |key| theta(&model, &chains, key));
        let (deviations, error) = deviations(&found, &exact());
        // This q is narrower than the posterior in some direction, but not by enough to be seen here.
        assert!(deviations.iter().all(|t| t.abs() < trial().1), "{chains:?}: {deviations:?}");
        error
    };
    let [isir, disir] =
        [None, Some(strategy.beta())].map(|beta| spread(CoupledChains { beta, ..strategy.chains() }));
    println!("spread of C-ISIR-DISIR over that of C-ISIR: {:.3}, β = {}", disir / isir, strategy.beta());
    // With 200 groups each spread is known to 5 per cent.
    assert!(disir < 0.85 * isir, "{disir} {isir}");
}

fn measured(estimate: &Estimate, measure: Measure) -> f64 {
    values(estimate.value(measure).expect("it is measured"))[0]
}

#[test]
fn theta_follows_the_chains_and_phi_the_bound_each_in_its_own_net() {
    let (mean, std) = wide();
    let (model, key) = (model(mean, std), Key::new(3));
    for kernel in [Kernel::Isir, Kernel::Disir] {
        let strategy = Coupled::new(10, kernel, &device()).unwrap();
        let chains = strategy.chains();
        let estimate = strategy.estimate(&model, &rows(ROWS).into(), key);
        let found = named(&model, &estimate.gradients);
        let (mut theta, mut phi) = (Gradients::new(), Gradients::new());
        Coupled::theta(&model, rows(ROWS), &chains, key.child(Role::Chain), &mut theta).unwrap();
        let draws = Draws::new(key.child(Role::Wake), ROWS, 10);
        let noise = noise::normal(&draws, H, DType::F64, &device());
        let proposals = model.propose_at(rows(ROWS), noise.clone());
        let bound = Pathwise::new(10, Weighting::Dreg);
        let of_bound = bound.update(&model, rows(ROWS), noise, proposals, PathParts::Recognition, &mut phi);
        let (theta, phi) = (named(&model, &theta), named(&model, &phi));
        assert!(
            theta.keys().all(|path| path.starts_with("observed")) && theta.len() == 2,
            "{:?}",
            theta.keys()
        );
        assert_eq!(distance(&block(&found, "observed"), &theta), 0.0);
        assert_eq!(distance(&block(&found, "recognition"), &phi), 0.0);
        assert_eq!(found.len(), theta.len() + phi.len());
        assert_eq!(of_bound[0].measure, Measure::BOUND);
        assert_eq!(measured(&estimate, Measure::BOUND), values(of_bound[0].value.clone())[0]);
        let names: Vec<Measure> = estimate.measured.iter().map(|found| found.measure).collect();
        assert_eq!(names, Strategy::<Vae>::measures(&strategy));
        assert_eq!(names.contains(&CORRELATION), kernel == Kernel::Disir);
    }
}

#[test]
fn the_correlation_adapts_between_calls_and_survives_a_record_to_the_bit() {
    let (mean, std) = wide();
    let model = model(mean, std);
    let fresh = || Coupled::new(10, Kernel::Disir, &device()).unwrap();
    let strategy = fresh();
    for step in 0..4u64 {
        let before = strategy.beta();
        let estimate = strategy.estimate(&model, &rows(20).into(), Key::new(5).child(step));
        assert_eq!(measured(&estimate, CORRELATION), before, "the call was made with another β");
        let excess = 10.0 * (measured(&estimate, CHAIN_ESS) - 0.3);
        assert_eq!(strategy.beta(), f64::from((before - 0.01 * excess) as f32));
        assert_ne!(strategy.beta(), before);
    }
    let resumed = fresh().load_record(strategy.clone().into_record());
    assert_ne!(resumed.beta(), fresh().beta());
    assert_eq!(resumed.beta(), strategy.beta());
    let gradients = |strategy: &Coupled| {
        named(&model, &strategy.estimate(&model, &rows(20).into(), Key::new(6)).gradients)
    };
    assert_eq!(gradients(&resumed), gradients(&strategy));
    let bounds = [-3.0, 7.0].map(|beta| fresh().with_beta(beta).beta());
    assert!(bounds[0] > 0.0 && bounds[0] < 1e-5 && bounds[1] < 1.0 && bounds[1] > 0.99999, "{bounds:?}");
}

#[test]
fn a_model_with_nan_has_no_bound_and_invalid_settings_are_refused() {
    let (mean, std) = wide();
    let broken = model([f64::NAN, mean[1]], std);
    let strategy = Coupled::new(4, Kernel::Disir, &device()).unwrap();
    let estimate = strategy.estimate(&broken, &rows(3).into(), Key::new(7));
    assert!(measured(&estimate, Measure::BOUND).is_nan());
    assert!(strategy.beta().is_finite());
    assert_eq!(Coupled::new(1, Kernel::Isir, &device()).unwrap_err(), CoupledError::TooFewSamples(1));
    let mut strategy = strategy;
    strategy.lag = 1000;
    assert!(matches!(strategy.checked(), Err(CoupledError::Cap { cap: 1000, lag: 1000, burn_in: 1 })));
}
