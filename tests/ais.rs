//! Annealed importance sampling is compared with exactly known evidence; active units are tested.

use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Draws, Key, LatentVariableModel, map_params};
use helmholtz_eval::{
    Activity, AnnealedImportanceSampling, AnnealedRow, ImportanceSampling, RowEstimate, summarise,
};
use helmholtz_ops::noise::normal;
use helmholtz_ops::rows::repeat_rows;
use helmholtz_samplers::LogDensity;
use helmholtz_tests::{device, either, values};
use helmholtz_vae::net::Linear;
use helmholtz_vae::{Likelihood, Vae, VaeConfig};

/// `log w(ξ) = bᵀξ - ½ ξᵀAξ` with a b for each row: the log weight of a linear model with normal noise under a normal
/// q.
///
/// `Z = ∫ N(ξ; 0, I) w(ξ) dξ = |I + A|^-½ exp(½ bᵀ (I + A)⁻¹ b)`. The posterior is narrower than q in one direction and
/// wider in another, and is correlated and not centred. `I + 2 A` is positive definite, so that w has a finite variance
/// under q.
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

/// Log weights minus the exact log Z, for the chains of n rows, and the mean acceptance.
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
    // Single chains, each with step sizes from a preliminary run of one chain, which is the hardest case. The mean over
    // n chains is within 5 standard errors of one; the false-alarm probability of the three checks is below 2e-6.
    for (temperatures, leapfrog) in [(2, 3), (6, 3), (25, 10)] {
        let mut annealing = AnnealedImportanceSampling::new(1, temperatures);
        annealing.hmc.leapfrog = leapfrog;
        let (log_ratios, _) = log_ratios(&annealing, 8000, 1);
        let (mean, deviation) = moments(log_ratios.iter().map(|r| r.exp()));
        let se = deviation / 8000f64.sqrt();
        assert!((mean - 1.0).abs() < 5.0 * se, "T = {temperatures}: {mean} ± {se}");
        // The test would see a bias of a tenth.
        assert!(se < 0.02, "T = {temperatures}: {se}");
    }
}

#[test]
fn the_spread_of_the_weights_falls_as_temperatures_rise() {
    // With n chains the standard error of a standard deviation is about 5 per cent. In the limit of many temperatures
    // the variance falls as one over their number, so ten times as many reduce the standard deviation by 3.2.
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
        // In two dimensions, with a step size near its bound of 2, a jitter of a fifth costs a few per cent.
        assert!((acceptance - sought).abs() < 0.06, "{acceptance} for {sought}");
    }
}

/// The model with parameters in double precision that are larger than the initial ones.
fn wide(fresh: Vae) -> Vae {
    map_params(fresh, |_, param| param.values().cast(DType::F64) * 1.5)
}

/// The model in double precision, with a q that was never fitted: its standard deviations are one for any input, as
/// wide as the posterior can be, and its means hardly depend on the input.
fn prepared(fresh: Vae) -> Vae {
    let mut model = wide(fresh);
    for layer in &mut model.recognition {
        let Linear { weight, bias } = &mut layer.std;
        *weight = weight.clone().map(|weight| weight * 0.0);
        *bias = bias.clone().map(|bias| bias * 0.0 + (1f64.exp() - 1.0).ln());
        layer.mean.weight = layer.mean.weight.clone().map(|weight| weight * 0.2);
    }
    model
}

/// Variance of each observed unit given the latents.
const V: f64 = 0.3;

/// Probabilistic principal components: a linear map of 3 latents to 6 units, with a q that was never fitted.
fn principal_components() -> Vae {
    let config = VaeConfig {
        bodies: vec![vec![]],
        likelihood: Likelihood::Gaussian { variance: V },
        ..VaeConfig::new(6, vec![3])
    };
    prepared(config.init(None, Key::new(21), &device()).unwrap())
}

/// `log N(x; b, Wᵀ W + v I)` of each row.
fn exact_log_probs(model: &Vae, x: &Tensor<2>) -> Vec<f64> {
    let w = values(model.observed.weight.as_ref().unwrap().val());
    let b = values(model.observed.bias.val());
    let d = b.len();
    // The Cholesky factor of the covariance.
    let mut l = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let covariance =
                w.chunks_exact(d).map(|row| row[i] * row[j]).sum::<f64>() + if i == j { V } else { 0.0 };
            let rest = covariance - (0..j).map(|k| l[i * d + k] * l[j * d + k]).sum::<f64>();
            l[i * d + j] = if i == j { rest.sqrt() } else { rest / l[j * d + j] };
        }
    }
    let log_prob = |x: &[f64]| {
        let mut standard = vec![0.0; d];
        for i in 0..d {
            let before: f64 = (0..i).map(|k| l[i * d + k] * standard[k]).sum();
            standard[i] = (x[i] - b[i] - before) / l[i * d + i];
        }
        let of_unit =
            |i: usize| 0.5 * standard[i].powi(2) + l[i * d + i].ln() + 0.5 * std::f64::consts::TAU.ln();
        -(0..d).map(of_unit).sum::<f64>()
    };
    values(x.clone()).chunks_exact(d).map(log_prob).collect()
}

fn estimate(
    annealing: &AnnealedImportanceSampling,
    model: &Vae,
    x: Tensor<2>,
    rows: &[u64],
) -> Vec<AnnealedRow> {
    annealing.estimate(model, x, rows.into(), Key::new(6), |_, _| {}).unwrap()
}

#[test]
fn the_evidence_of_principal_components_is_found_within_the_error_that_is_stated() {
    let model = principal_components();
    let n = either(10, 40);
    let (x, _) = model.dream(&Draws::new(Key::new(22), n, 1));
    let exact = exact_log_probs(&model, &x);
    let rows: Vec<u64> = (0..n as u64).collect();
    let annealed: Vec<RowEstimate> =
        estimate(&AnnealedImportanceSampling::new(16, 200), &model, x.clone(), &rows)
            .iter()
            .map(|row| row.estimate)
            .collect();
    let found = summarise(&annealed);
    let off = found.nll + exact.iter().sum::<f64>() / n as f64;
    // A normal distribution exceeds 5 standard errors with a probability of 6e-7.
    assert!(off.abs() < 5.0 * found.se_mc + found.bias_mc, "{off} ± {}", found.se_mc);
    assert!(found.se_mc < either(0.08, 0.04) && found.ess > 0.6, "{found:?}");
    // With as many samples as there are chains, importance sampling has a smaller effective sample size.
    let sampled = ImportanceSampling::new(16).estimate(&model, x, rows.into(), Key::new(6)).unwrap();
    assert!(summarise(&sampled).ess < 0.8 * found.ess);
}

#[test]
fn one_temperature_is_importance_sampling_from_q_under_the_same_noise() {
    let model = principal_components();
    let (x, _) = model.dream(&Draws::new(Key::new(22), 12, 1));
    let rows: Vec<u64> = (40..52).collect();
    let sampled =
        ImportanceSampling::new(7).estimate(&model, x.clone(), rows.clone().into(), Key::new(6)).unwrap();
    let annealed = estimate(&AnnealedImportanceSampling::new(7, 1), &model, x, &rows);
    for (sampled, annealed) in sampled.iter().zip(annealed) {
        // Equal up to rounding: the matrix products have other sizes.
        let RowEstimate { log_prob, ess, variance, samples, .. } = annealed.estimate;
        assert!((log_prob - sampled.log_prob).abs() < 1e-12 && (ess - sampled.ess).abs() < 1e-12);
        assert!((variance - sampled.variance).abs() < 1e-12 && annealed.acceptance.is_none());
        assert_eq!(samples, sampled.samples);
    }
}

#[test]
fn several_layers_of_latents_are_annealed_together() {
    // Two layers with a q that was never fitted: p(x) from many importance samples, and from few chains.
    let config = VaeConfig { bodies: vec![vec![8], vec![8]], ..VaeConfig::new(6, vec![3, 2]) };
    let model = prepared(config.init(None, Key::new(23), &device()).unwrap());
    let n = either(5, 20);
    let (x, _) = model.dream(&Draws::new(Key::new(24), n, 1));
    let rows: Vec<u64> = (0..n as u64).collect();
    let annealed: Vec<RowEstimate> =
        estimate(&AnnealedImportanceSampling::new(16, 100), &model, x.clone(), &rows)
            .iter()
            .map(|row| row.estimate)
            .collect();
    let sampled = ImportanceSampling::new(20_000).estimate(&model, x, rows.into(), Key::new(6)).unwrap();
    let (annealed, sampled) = (summarise(&annealed), summarise(&sampled));
    let se = annealed.se_mc.hypot(sampled.se_mc);
    // 5 standard errors: the false-alarm probability is below 6e-7.
    assert!(
        (annealed.nll - sampled.nll).abs() < 5.0 * se + annealed.bias_mc + sampled.bias_mc,
        "{annealed:?}, {sampled:?}"
    );
    assert!(se < either(0.2, 0.1), "{se}");
}

#[test]
fn a_row_has_the_same_estimate_in_any_batch() {
    // In single precision and with hidden layers, where another order of summation would be visible: after some hundred
    // leapfrog steps the last bit decides where a chain goes.
    let config = VaeConfig { bodies: vec![vec![40, 30]], ..VaeConfig::new(50, vec![5]) };
    let model = config.init(None, Key::new(25), &device()).unwrap();
    let (x, _) = model.dream(&Draws::new(Key::new(26), 9, 1));
    let rows: Vec<u64> = (100..109).collect();
    let annealing = AnnealedImportanceSampling::new(4, 30);
    let whole = estimate(&annealing, &model, x.clone(), &rows);
    for part in [0..1, 7..8, 2..6] {
        let found = estimate(&annealing, &model, x.clone().slice(part.clone()), &rows[part.clone()]);
        assert_eq!(found, whole[part]);
    }
    // A row with another number has other draws.
    let other = estimate(&annealing, &model, x.slice(7..8), &[7]);
    assert_ne!(other[0], whole[7]);
}

#[test]
fn what_is_planned_is_done_and_reported() {
    let model = principal_components();
    let (x, _) = model.dream(&Draws::new(Key::new(22), 5, 1));
    let annealing = AnnealedImportanceSampling { chunk: 8, ..AnnealedImportanceSampling::new(4, 30) };
    let mut heard = Vec::new();
    annealing
        .estimate(&model, x, (0..5).collect(), Key::new(6), |done, planned| heard.push((done, planned)))
        .unwrap();
    assert!(heard.windows(2).all(|pair| pair[0].0 < pair[1].0));
    // 30 temperatures, and as many in the preliminary run.
    assert!(heard.iter().all(|(_, planned)| *planned == 5 * 60) && heard.last().unwrap().0 == 5 * 60);
}

#[test]
fn a_row_without_weight_is_an_error_that_names_it() {
    let model = principal_components();
    let (x, _) = model.dream(&Draws::new(Key::new(22), 4, 1));
    // The square of the scale overflows: the density of the third row is zero in all chains.
    let scale =
        Tensor::<2>::from_data(TensorData::new(vec![1.0, 1.0, 1e200, 1.0], [4, 1]), (&device(), DType::F64));
    let annealing = AnnealedImportanceSampling::new(3, 20);
    let error =
        annealing.estimate(&model, x * scale, Arc::from([5, 6, 7, 8]), Key::new(6), |_, _| {}).unwrap_err();
    assert_eq!((error.row, error.samples), (7, 3));
}

#[test]
fn a_unit_is_active_if_its_mean_moves_with_the_data() {
    // Means of two layers, set by hand: h₁ = (x₀, 0.2 x₁, 3), h₂ = 0.05 h₁₀ + 2 h₁₁.
    let config = VaeConfig { bodies: vec![vec![]; 2], centre: false, ..VaeConfig::new(2, vec![3, 1]) };
    let mut model = wide(config.init(None, Key::new(27), &device()).unwrap());
    let set = |linear: &mut Linear, weight: Vec<f64>, bias: Vec<f64>| {
        let n = bias.len();
        linear.weight = Param::from_tensor(matrix(weight, n));
        linear.bias = Param::from_tensor(matrix(bias, n).squeeze_dim(0));
    };
    set(&mut model.recognition[0].mean, vec![1.0, 0.0, 0.0, 0.0, 0.2, 0.0], vec![0.0, 0.0, 3.0]);
    set(&mut model.recognition[1].mean, vec![0.05, 2.0, 0.0], vec![7.0]);
    // x₀ and x₁ are uncorrelated with variances 1 and 0.25.
    let x: Vec<f64> = (0..2400)
        .flat_map(|i| [if i % 2 == 0 { 1.0 } else { -1.0 }, if i / 2 % 2 == 0 { 0.5 } else { -0.5 }])
        .collect();
    let activity = Activity::of(&model, matrix(x, 2));
    let exact = [vec![1.0, 0.04 * 0.25, 0.0], vec![0.0025 + 4.0 * 0.04 * 0.25]];
    for (found, exact) in activity.variances().concat().iter().zip(exact.concat()) {
        assert!((found - exact).abs() < 1e-12, "{found} for {exact}");
    }
    // The second unit of the first layer is exactly at the bound, up to rounding.
    set(&mut model.recognition[0].mean, vec![1.0, 0.0, 0.0, 0.0, 0.19, 0.0], vec![0.0, 0.0, 3.0]);
    let x: Vec<f64> = values(Tensor::cat(
        vec![matrix(vec![1.0, 0.5, -1.0, 0.5], 2), matrix(vec![1.0, -0.5, -1.0, -0.5], 2)],
        0,
    ));
    assert_eq!(Activity::of(&model, matrix(x.clone(), 2)).active(), [1, 1]);
    // Rows may come in parts.
    let mut parts = Activity::default();
    parts.add(&model, matrix(x[..2].to_vec(), 2));
    parts.add(&model, matrix(x[2..].to_vec(), 2));
    assert_eq!(parts, Activity::of(&model, matrix(x, 2)));
}
