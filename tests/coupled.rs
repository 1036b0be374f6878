//! Coupled chains: their distributions are compared with enumeration, and their estimates with exact expectations.

use std::cell::RefCell;

use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Draws, Enumerable, Gradients, Key, LatentVariableModel};
use helmholtz_ops::log_weights::normalise;
use helmholtz_ops::{noise, rows::repeat_rows};
use helmholtz_samplers::{Contribution, CoupledChains, CoupledError, Meetings, Mixing, Posterior, Target};
use helmholtz_tests::{device, either, named, row, sbn, values};

fn matrix(values: Vec<f64>, d: usize) -> Tensor<2> {
    let shape = [values.len() / d, d];
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}

/// Mean and standard error.
fn summary(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Checks that a mean is within 4.5 standard errors: one such check in 150 000 gives a false alarm. There are about 60
/// in this file.
fn assert_mean(what: &str, values: &[f64], exact: f64) {
    let (mean, error) = summary(values);
    assert!(((mean - exact) / error).abs() < 4.5, "{what}: {mean} ± {error} for {exact}");
}

/// Four states with a proposal and weights; a point is the number of its state.
struct Finite {
    q: [f64; 4],
    w: [f64; 4],
}

/// The posterior is far from the proposal, so that chains are slow to forget where they started.
const FINITE: Finite = Finite { q: [0.4, 0.3, 0.2, 0.1], w: [0.2, 1.0, 0.5, 4.0] };

/// The function that is averaged over the states.
const F: [f64; 4] = [1.0, -2.0, 0.5, 3.0];

impl Finite {
    fn posterior(&self) -> [f64; 4] {
        let z: f64 = (0..4).map(|s| self.q[s] * self.w[s]).sum();
        [0, 1, 2, 3].map(|s| self.q[s] * self.w[s] / z)
    }

    /// The probabilities of one step of ISIR with `k` points from each state to each state, by enumeration of the
    /// slots and the fresh draws.
    fn transition(&self, k: usize) -> [[f64; 4]; 4] {
        let tuples = 4usize.pow(k as u32);
        let mut p = [[0.0; 4]; 4];
        let state = |tuple: usize, i: usize| tuple / 4usize.pow(i as u32) % 4;
        for (from, to) in p.iter_mut().enumerate() {
            for slot in 0..k {
                let fresh =
                    (0..tuples).flat_map(|tuple| (0..k).map(move |i| state(tuple, i) as f64)).collect();
                let mixing = Mixing::new(&vec![slot; tuples], k, 0.0, DType::F64, &device());
                let points = values(mixing.apply(&[matrix(vec![from as f64; tuples], 1)], matrix(fresh, 1)));
                for (tuple, points) in points.chunks_exact(k).enumerate() {
                    let chance: f64 = (0..k).map(|i| self.q[state(tuple, i)]).product();
                    let total: f64 = points.iter().map(|&s| self.w[s as usize]).sum();
                    for &s in points {
                        to[s as usize] += chance / k as f64 * self.w[s as usize] / total;
                    }
                }
            }
        }
        p
    }
}

impl Target for Finite {
    type Kept = Vec<f64>;

    fn fresh(&self, _rows: &[usize], draws: &Draws) -> Vec<Tensor<2>> {
        let state = |mut u: f64| {
            let passed = self.q.iter().position(|q| {
                u -= q;
                u < 0.0
            });
            passed.unwrap_or(3) as f64
        };
        let uniforms = values(noise::uniform(draws, 1, DType::F64, &device()));
        vec![matrix(uniforms.into_iter().map(state).collect(), 1)]
    }

    fn log_weights(&self, rows: &[usize], points: Vec<Tensor<2>>) -> Tensor<2> {
        self.weigh(rows, points).0
    }

    fn weigh(&self, rows: &[usize], points: Vec<Tensor<2>>) -> (Tensor<2>, Vec<f64>) {
        let states = values(points[0].clone());
        let log_weights: Vec<f64> = states.iter().map(|&s| self.w[s as usize].ln()).collect();
        let k = states.len() / rows.len();
        (matrix(log_weights, k), states.into_iter().map(|s| F[s as usize]).collect())
    }

    fn place(&self) -> (DType, Device) {
        (DType::F64, device())
    }
}

/// Standard normal noise in two dimensions with the weight `exp(-½ Σ p_i (ξ_i - m_i)²)`, where each row has its own m.
/// The posterior is normal, with the means `p m / (1 + p)` and the variances `1 / (1 + p)`.
struct Gaussian;

const PRECISION: [f64; 2] = [3.0, 0.5];

impl Gaussian {
    fn centre(row: usize) -> [f64; 2] {
        [0.8 + 0.1 * (row % 5) as f64, -1.0 + 0.2 * (row % 3) as f64]
    }

    /// The function that is averaged: `ξ_0 + ξ_1²`.
    fn f(point: &[f64]) -> f64 {
        point[0] + point[1] * point[1]
    }

    fn exact(row: usize) -> f64 {
        let centre = Self::centre(row);
        let mean = |i: usize| PRECISION[i] * centre[i] / (1.0 + PRECISION[i]);
        mean(0) + mean(1).powi(2) + 1.0 / (1.0 + PRECISION[1])
    }
}

impl Target for Gaussian {
    type Kept = Vec<f64>;

    fn fresh(&self, _rows: &[usize], draws: &Draws) -> Vec<Tensor<2>> {
        vec![noise::normal(draws, 2, DType::F64, &device())]
    }

    fn log_weights(&self, rows: &[usize], points: Vec<Tensor<2>>) -> Tensor<2> {
        self.weigh(rows, points).0
    }

    fn weigh(&self, rows: &[usize], points: Vec<Tensor<2>>) -> (Tensor<2>, Vec<f64>) {
        let points = values(points[0].clone());
        let k = points.len() / 2 / rows.len();
        let log_weight = |(i, point): (usize, &[f64])| {
            let centre = Self::centre(rows[i / k]);
            -0.5 * (0..2).map(|j| PRECISION[j] * (point[j] - centre[j]).powi(2)).sum::<f64>()
        };
        (matrix(points.chunks_exact(2).enumerate().map(log_weight).collect(), k), points)
    }

    fn is_gaussian(&self) -> bool {
        true
    }

    fn place(&self) -> (DType, Device) {
        (DType::F64, device())
    }
}

/// The estimate of each row; `f` returns the function at every kept point.
fn estimates<T: Target>(
    chains: &CoupledChains,
    target: &T,
    batch: usize,
    key: Key,
    f: impl Fn(&T::Kept) -> Vec<f64>,
) -> (Vec<f64>, Meetings) {
    let mut sums = vec![0.0; batch];
    let meetings = chains.run(target, batch, key, |part| {
        let [_, k] = part.coefficients.dims();
        let (coefficients, f) = (values(part.coefficients), f(&part.kept));
        assert_eq!(coefficients.len(), f.len());
        for (i, &row) in part.rows.iter().enumerate() {
            sums[row] += (i * k..(i + 1) * k).map(|at| coefficients[at] * f[at]).sum::<f64>();
        }
    });
    (sums, meetings.unwrap())
}

fn gaussian_f(points: &[f64]) -> Vec<f64> {
    points.chunks_exact(2).map(Gaussian::f).collect()
}

const CHAINS: CoupledChains = CoupledChains { samples: 4, beta: None, lag: 3, burn_in: 1, cap: 1000 };

#[test]
fn a_step_leaves_the_target_invariant() {
    for k in 2..=4 {
        let (p, posterior) = (FINITE.transition(k), FINITE.posterior());
        for (to, before) in posterior.into_iter().enumerate() {
            let after: f64 = (0..4).map(|from| posterior[from] * p[from][to]).sum();
            assert!((after - before).abs() < 1e-14, "K = {k}, state {to}: {after} for {before}");
        }
        assert!(p.iter().all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        assert!(p[3][3] < 0.9, "a chain that never moves would leave any distribution invariant");
    }
}

#[test]
fn both_chains_have_the_enumerated_law_at_every_time() {
    let (k, batch, lag, burn_in) = (2, either(10_000, 40_000), 2, 5);
    let p = FINITE.transition(k);
    // E f after t steps from the proposal distribution.
    let after = |t: usize| {
        let step = |law: [f64; 4]| [0, 1, 2, 3].map(|to| (0..4).map(|from| law[from] * p[from][to]).sum());
        let law = (0..t).fold(FINITE.q, |law, _| step(law));
        law.iter().zip(F).map(|(p, f)| p * f).sum::<f64>()
    };
    let limit: f64 = FINITE.posterior().iter().zip(F).map(|(p, f)| p * f).sum();
    assert!(
        (after(3) - limit).abs() > 0.1,
        "the distribution must differ visibly from its limit: {} {limit}",
        after(3)
    );
    let seen = RefCell::new(Vec::new());
    let watch = |part: Contribution<'_, Vec<f64>>, lag: usize| {
        let [n, points] = part.coefficients.dims();
        if n < batch {
            return; // Chains that have not met yet differ from the others.
        }
        for chain in 0..points / k {
            // The weighted mean of f over the points of a chain. The value of f identifies the state, and so its
            // weight.
            let of_row = |f: &[f64]| {
                let weight = |f: &f64| FINITE.w[F.iter().position(|of| of == f).unwrap()];
                let of_chain = &f[chain * k..][..k];
                of_chain.iter().map(|f| f * weight(f)).sum::<f64>() / of_chain.iter().map(weight).sum::<f64>()
            };
            let means: Vec<f64> = part.kept.chunks_exact(points).map(of_row).collect();
            seen.borrow_mut().push((chain, part.t - chain * lag, means));
        }
    };
    let late = CoupledChains { samples: k, lag, burn_in, ..CHAINS };
    late.run(&FINITE, batch, Key::new(1), |part| watch(part, lag)).unwrap();
    let early = CoupledChains { samples: k, lag: 4, burn_in: 1, ..CHAINS };
    early.run(&FINITE, batch, Key::new(2), |part| watch(part, 4)).unwrap();
    let times: Vec<(usize, usize)> = seen.borrow().iter().map(|(chain, t, _)| (*chain, *t)).collect();
    assert_eq!(times, [(0, 5), (1, 3), (0, 6), (1, 4), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 1)]);
    for (chain, t, means) in seen.take() {
        assert_mean(&format!("chain {chain} at {t}"), &means, after(t));
    }
}

#[test]
fn both_chains_have_one_law_under_disir() {
    // The leading chain while it runs alone, and the other chain at the same time, each with its own key.
    let (k, batch, at) = (3, either(5000, 20_000), 2);
    let state = |chains: CoupledChains, t: usize, chain: usize, key: Key| {
        let mut found = Vec::new();
        let record = |part: Contribution<'_, Vec<f64>>| {
            if part.t == t {
                assert_eq!(part.rows.len(), batch);
                let [_, points] = part.coefficients.dims();
                let of_row = |points: &[f64]| gaussian_f(&points[chain * k * 2..][..k * 2]);
                found = part.kept.chunks_exact(points * 2).map(of_row).collect();
            }
        };
        chains.run(&Gaussian, batch, key, record).unwrap();
        found
    };
    let base = CoupledChains { samples: k, beta: Some(0.7), ..CHAINS };
    let alone = CoupledChains { lag: 5, burn_in: at, ..base };
    let behind = CoupledChains { lag: 2, burn_in: at + 2, ..base };
    let a: Vec<Vec<f64>> = state(alone, at, 0, Key::new(3));
    let b: Vec<Vec<f64>> = state(behind, at + 2, 1, Key::new(4));
    for k in 0..k {
        let pairs = a.iter().zip(&b).map(|(a, b)| a[k] - b[k]);
        assert_mean("point", &pairs.collect::<Vec<_>>(), 0.0);
        let squares = a.iter().zip(&b).map(|(a, b)| a[k].powi(2) - b[k].powi(2));
        assert_mean("square", &squares.collect::<Vec<_>>(), 0.0);
    }
}

#[test]
fn the_estimate_of_a_finite_posterior_has_no_bias() {
    let exact: f64 = FINITE.posterior().iter().zip(F).map(|(p, f)| p * f).sum();
    for (i, (samples, lag, burn_in)) in
        [(2, 1, 0), (2, 1, 1), (2, 3, 4), (3, 1, 2), (4, 5, 0), (8, 2, 1), (8, 10, 1), (3, 2, 0)]
            .into_iter()
            .enumerate()
    {
        let chains = CoupledChains { samples, lag, burn_in, ..CHAINS };
        let (found, meetings) =
            estimates(&chains, &FINITE, either(10_000, 30_000), Key::new(10 + i as u64), Vec::clone);
        assert!(meetings.times.iter().all(|time| time.is_some_and(|time| time > lag)));
        assert_mean(&format!("K = {samples}, L = {lag}, t0 = {burn_in}"), &found, exact);
        let (_, error) = summary(&found);
        assert!(error < either(0.17, 0.1), "an error of {error} would hide a bias");
    }
}

#[test]
fn what_the_chains_correct_is_a_bias_that_the_test_can_see() {
    // The first state alone, with t0 = 0 and L = 1 and without the sum up to the meeting, is importance resampling.
    let exact: f64 = FINITE.posterior().iter().zip(F).map(|(p, f)| p * f).sum();
    let mut first = vec![0.0; 30_000];
    let chains = CoupledChains { samples: 4, lag: 1, burn_in: 0, ..CHAINS };
    let sum = |part: Contribution<'_, Vec<f64>>| {
        if part.t == 0 {
            let c = values(part.coefficients);
            let sums = c.chunks_exact(8).zip(part.kept.chunks_exact(8));
            first = sums.map(|(c, f)| (0..4).map(|i| c[i] * f[i]).sum()).collect();
        }
    };
    chains.run(&FINITE, 30_000, Key::new(20), sum).unwrap();
    let (mean, error) = summary(&first);
    assert!(((mean - exact) / error).abs() > 20.0, "{mean} ± {error} for {exact}");
}

#[test]
fn the_estimate_under_gaussian_noise_has_no_bias_with_either_kernel() {
    let batch = either(5000, 15_000);
    let exact = (0..batch).map(Gaussian::exact).collect::<Vec<_>>();
    for (i, (samples, beta, lag, burn_in)) in [
        (4, None, 1, 0),
        (10, None, 10, 1),
        (2, Some(0.4), 2, 1),
        (4, Some(0.9), 1, 0),
        (4, Some(0.9), 3, 5),
        (10, Some(0.5), 10, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let chains = CoupledChains { samples, beta, lag, burn_in, ..CHAINS };
        let (found, meetings) =
            estimates(&chains, &Gaussian, batch, Key::new(30 + i as u64), |points| gaussian_f(points));
        assert!(meetings.times.iter().all(Option::is_some));
        let centred: Vec<f64> = found.iter().zip(&exact).map(|(found, exact)| found - exact).collect();
        assert_mean(&format!("K = {samples}, β = {beta:?}, L = {lag}, t0 = {burn_in}"), &centred, 0.0);
        let (_, error) = summary(&centred);
        assert!(error < either(0.17, 0.1), "an error of {error} would hide a bias");
    }
}

#[test]
fn the_gradient_of_a_sigmoid_belief_network_has_no_bias() {
    let model = sbn(4, &[2, 2], 21);
    let x = row(&[1, 0, 1, 1]);
    let states = model.states(0, 16);
    let p = model.trace_joint(x.clone(), &states);
    let posterior = normalise(p.log_prob.clone().reshape([1, 16])).reshape([16]);
    let mut exact = Gradients::new();
    model.joint_gradient(x.clone(), &states, &p.traces, posterior, &mut exact);
    let exact = named(&model, &exact);
    // Means over 64 rows; a bias would be the same in each of them.
    let (groups, batch) = (150u64, 64);
    let means = (0..groups).map(|group| {
        let mut sum = Gradients::new();
        let x = repeat_rows(x.clone(), batch);
        let chains = CoupledChains { lag: 2, ..CHAINS };
        let meetings = chains.run(&Posterior::new(&model, x), batch, Key::new(70).child(group), |part| {
            let [n, k] = part.coefficients.dims();
            let (weights, found) = (part.coefficients.reshape([n * k]) / batch as f64, &part.kept.proposals);
            model.joint_gradient(part.kept.x, &found.latents, &found.p.traces, weights, &mut sum);
        });
        assert!(meetings.unwrap().times.iter().all(Option::is_some));
        named(&model, &sum)
    });
    let means: Vec<_> = means.collect();
    assert!(means[0].keys().eq(exact.keys()) && exact.len() == 5, "{:?}", exact.keys());
    for (path, exact) in &exact {
        for (i, exact) in exact.iter().enumerate() {
            let found: Vec<f64> = means.iter().map(|mean| mean[path][i]).collect();
            assert_mean(&format!("{path} {i}"), &found, *exact);
        }
    }
}

#[test]
fn chains_meet_when_the_indices_say_so_and_stay_together() {
    let (k, batch, burn_in) = (4, 200, 60);
    for beta in [None, Some(0.6)] {
        // With such a late burn-in every row runs past its meeting; with an early one every state is counted.
        let chains = CoupledChains { samples: k, beta, lag: 3, burn_in, ..CHAINS };
        let key = Key::new(40);
        let mut late = Vec::new();
        let meetings = chains.run(&Gaussian, batch, key, |part| {
            let [_, points] = part.coefficients.dims();
            if part.t == burn_in {
                late = part.kept.chunks_exact(points * 2).map(|row| row[..k * 2] == row[k * 2..]).collect();
            }
        });
        let times = meetings.unwrap().times;
        let together = times.iter().map(|time| time.is_some_and(|time| time <= burn_in));
        assert_eq!(late, together.collect::<Vec<_>>());
        assert!(late.iter().filter(|&&equal| equal).count() > batch / 2, "{times:?}");
        // The same draws, counted from the start: states are equal from the meeting on, and not before.
        let early = CoupledChains { burn_in: 1, ..chains };
        let mut last_apart = vec![0; batch];
        let meetings = early.run(&Gaussian, batch, key, |part| {
            let [n, points] = part.coefficients.dims();
            for i in (0..n).filter(|_| points == 2 * k) {
                let row = &part.kept[i * points * 2..][..points * 2];
                assert_ne!(row[..k * 2], row[k * 2..], "a row that has met is still there");
                last_apart[part.rows[i]] = part.t;
            }
        });
        let again = meetings.unwrap().times;
        assert_eq!(times, again, "the meeting must not depend on what is counted");
        for (time, apart) in again.into_iter().zip(last_apart) {
            assert_eq!(time, Some(apart.max(3) + 1));
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    for beta in [None, Some(0.5)] {
        let chains = CoupledChains { beta, ..CHAINS };
        let (all, of_all) = estimates(&chains, &Gaussian, 60, Key::new(50), |points| gaussian_f(points));
        let (few, of_few) = estimates(&chains, &Gaussian, 7, Key::new(50), |points| gaussian_f(points));
        assert_eq!(of_few.times, of_all.times[..7]);
        // Matrix products with other shapes may round differently.
        assert!(few.iter().zip(&all).all(|(few, all)| (few - all).abs() < 1e-12), "{few:?} {:?}", &all[..7]);
        let (other, _) = estimates(&chains, &Gaussian, 7, Key::new(51), |points| gaussian_f(points));
        assert_ne!(few, other);
    }
}

#[test]
fn chains_that_do_not_meet_are_given_up_at_the_cap_and_counted() {
    // A state with a proposal probability of one in a thousand has nearly all of the weight. Chains that start
    // elsewhere rarely find it.
    let target = Finite { q: [0.333, 0.333, 0.333, 0.001], w: [1e-9, 1e-9, 1e-9, 1.0] };
    let chains = CoupledChains { samples: 2, lag: 2, cap: 6, ..CHAINS };
    let mut latest = 0;
    let meetings = chains.run(&target, 400, Key::new(60), |part| latest = latest.max(part.t)).unwrap();
    assert_eq!(latest, 6);
    let capped = meetings.times.iter().filter(|time| time.is_none()).count();
    assert!(capped > 0 && capped < 400, "{capped} of 400");
    assert!(meetings.times.iter().flatten().all(|&time| time <= 7));
}

#[test]
fn settings_that_make_no_estimator_are_refused_and_a_row_without_weight_is_named() {
    let refused = |chains: CoupledChains| chains.checked().unwrap_err();
    assert_eq!(refused(CoupledChains { samples: 1, ..CHAINS }), CoupledError::TooFewSamples(1));
    assert_eq!(refused(CoupledChains { lag: 0, ..CHAINS }), CoupledError::NoLag);
    let cap = CoupledError::Cap { cap: 3, lag: 3, burn_in: 1 };
    assert_eq!(refused(CoupledChains { cap: 3, ..CHAINS }), cap);
    assert_eq!(refused(CoupledChains { beta: Some(1.0), ..CHAINS }), CoupledError::Beta(1.0));
    let disir = CoupledChains { beta: Some(0.5), ..CHAINS };
    assert_eq!(disir.run(&FINITE, 3, Key::new(0), |_| ()).unwrap_err(), CoupledError::NotGaussian);
    let nothing = Finite { w: [0.0; 4], ..FINITE };
    let error = CHAINS.run(&nothing, 3, Key::new(0), |_| ()).unwrap_err();
    assert!(matches!(error, CoupledError::NoWeight(none) if none.chain == 0), "{error}");
}
