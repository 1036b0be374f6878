//! Kernels, and what runs on any of them, against laws by enumeration.

use burn::tensor::{DType, Int, Tensor, TensorData};
use helmholtz_core::{
    AnnealingPath, Draws, EnergyModel, Harmonium, InverseTemperature, Kernel, Key, map_params,
};
use helmholtz_energy::{FromIndependent, Rbm, RowMoments};
use helmholtz_eval::Schedule;
use helmholtz_eval::annealing::log_weights;
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;
use helmholtz_ops::noise::normal;
use helmholtz_samplers::hmc::LogDensity;
use helmholtz_samplers::tempering::advance;
use helmholtz_samplers::trajectory::{LOWEST_ACCEPTANCE, choose, swap_acceptance};
use helmholtz_samplers::{
    AutocorrelationTime, BlockGibbs, Hmc, HmcKernel, HmcState, Ladder, Temperatures, Trajectory,
};
use helmholtz_tests::{device, either};

use crate::rbm::small;

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}

/// Probabilities from logarithms of weights.
fn normalised(logs: &[f64]) -> Vec<f64> {
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// The law of a kernel of three bits at an inverse temperature, by its densities at all eight states.
fn law<K: Kernel>(kernel: &K, rbm: &Rbm, beta: f64) -> Vec<f64> {
    let state = kernel.at(rbm.visible_states());
    normalised(&into_f64(kernel.log_densities(&state, tensor(vec![beta; 8], [8, 1]))))
}

/// The law of a machine over its visible states.
fn law_of(rbm: &Rbm) -> Vec<f64> {
    normalised(&into_f64(-rbm.free_energy(rbm.visible_states())))
}

/// `n` exact samples of a law over the states of `d` bits: `[n, d]`.
fn exact(law: &[f64], d: usize, n: usize, stream: &mut Stream) -> Tensor<2> {
    let mut bits = Vec::with_capacity(n * d);
    for _ in 0..n {
        let mut left = stream.uniform();
        let state = law.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        let state = state.unwrap_or(law.len() - 1);
        bits.extend((0..d).map(|bit| (state >> bit & 1) as f64));
    }
    tensor(bits, [n, d])
}

/// The numbers of the states of rows of bits.
fn numbers(x: Tensor<2>) -> Vec<usize> {
    let d = x.dims()[1];
    let number = |row: &[f64]| row.iter().enumerate().map(|(i, bit)| (*bit as usize) << i).sum();
    into_f64(x).chunks(d).map(number).collect()
}

/// Pearson's statistic of the frequencies of states against a law.
fn chi_squared(states: &[usize], law: &[f64]) -> f64 {
    let n = states.len() as f64;
    let mut counts = vec![0.0; law.len()];
    states.iter().for_each(|state| counts[*state] += 1.0);
    counts.iter().zip(law).map(|(count, p)| (count - n * p).powi(2) / (n * p)).sum()
}

/// With 8 states the statistic is above this with a probability of 1e-7.
const OF_8: f64 = 45.0;
/// The same with 64 states.
const OF_64: f64 = 142.0;

/// What holds for any kernel on bits: its steps leave the law of their temperature invariant, whether all chains have it
/// or each its own, and its densities agree with its ratios.
fn keeps_its_laws<K: Kernel>(kernel: &K, rbm: &Rbm, key: Key) {
    let n = 20_000;
    let mut stream = Stream::new(key);
    let betas = [0.0, 0.4, 1.0];
    for beta in betas {
        let law = law(kernel, rbm, beta);
        let start = exact(&law, 3, n, &mut stream);
        let each = InverseTemperature::Each(tensor(vec![beta; n], [n]));
        for (i, at) in [InverseTemperature::Same(beta), each].into_iter().enumerate() {
            let draws = Draws::new(key.child(i), n, 1);
            let after = kernel.step(kernel.at(start.clone()), &at, &draws).0;
            let chi = chi_squared(&numbers(kernel.positions(&after)), &law);
            assert!(chi < OF_8, "at {at:?}: {chi}");
        }
    }
    let state = kernel.at(rbm.visible_states());
    let log_f = into_f64(kernel.log_densities(&state, tensor(betas.repeat(8), [8, 3])));
    let ratio = into_f64(kernel.log_ratio(&state, 0.4, 1.0));
    for (row, ratio) in log_f.chunks(3).zip(ratio) {
        assert!((row[2] - row[1] - ratio).abs() < 1e-12, "{row:?}, {ratio}");
    }
    // Chains that have exchanged their points are chains that began at these.
    let order = Tensor::<1, Int>::from_data([3, 0, 0, 7, 1, 2, 6, 5], &device());
    let exchanged = kernel.select(state, order.clone());
    let fresh = kernel.at(rbm.visible_states().select(0, order));
    let one = tensor(vec![1.0; 8], [8, 1]);
    assert_eq!(into_f64(kernel.positions(&exchanged)), into_f64(kernel.positions(&fresh)));
    assert_eq!(
        into_f64(kernel.log_densities(&exchanged, one.clone())),
        into_f64(kernel.log_densities(&fresh, one))
    );
}

fn path(rbm: &Rbm) -> FromIndependent<'_> {
    let moments = RowMoments { mean: &[0.2, 0.6, 0.7], variance: &[], rows: 100 };
    FromIndependent::of_data(rbm, moments, 5.0)
}

#[test]
fn kernels_leave_the_law_of_each_temperature_invariant() {
    let rbm = small(3, 2, 41);
    keeps_its_laws(&BlockGibbs { model: &rbm }, &rbm, Key::new(42));
    keeps_its_laws(&path(&rbm), &rbm, Key::new(43));
    // At 1 both are the law of the machine.
    for (own, exact) in law(&path(&rbm), &rbm, 1.0).iter().zip(law_of(&rbm)) {
        assert!((own - exact).abs() < 1e-13);
    }
}

/// The law of a chain of a kernel on three bits after it has gone through inverse temperatures, from the law at 0, with
/// the mean weight of the chains that end in each state: `Σ over paths of p(path) W(path)`, by the transitions of the
/// machine whose parameters are scaled.
fn exact_mean_weight(rbm: &Rbm, betas: &[f64]) -> f64 {
    let scaled = |beta: f64| map_params(rbm.clone(), |_, param| param.values() * beta);
    let log_f = |beta: f64| into_f64(-scaled(beta).free_energy(rbm.visible_states()));
    let mut mass = vec![0.125; 8];
    let mut from = 0.0;
    for (t, &to) in betas.iter().enumerate() {
        let (before, after) = (log_f(from), log_f(to));
        mass.iter_mut().enumerate().for_each(|(x, mass)| *mass *= (after[x] - before[x]).exp());
        if t + 1 < betas.len() {
            mass = into_f64(scaled(to).law_after(tensor(mass, [8]), 1));
        }
        from = to;
    }
    mass.iter().sum()
}

#[test]
fn annealing_by_any_kernel_has_weights_with_the_mean_of_the_ratio_of_partition_functions() {
    let rbm = small(3, 2, 44);
    let log_z = rbm.log_partition().unwrap();
    let betas: Vec<f64> = Schedule::linear(3).after_zero().collect();
    // At 0 all states of both layers are equally likely, so that f_0 sums to 2^5.
    let log_base = 5.0 * std::f64::consts::LN_2;
    assert!((exact_mean_weight(&rbm, &betas).ln() + log_base - log_z).abs() < 1e-12);
    let n = either(20_000, 400_000);
    let draws = Draws::new(Key::new(45), n, 1);
    let noise = rbm.noise(&Draws::new(Key::new(46), n, 1));
    let gibbs = BlockGibbs { model: &rbm };
    let path = path(&rbm);
    let begun = path.begin(&Draws::new(Key::new(47), n, 1));
    let mut steps = Vec::new();
    let by_gibbs = log_weights(&gibbs, noise, &betas, &draws, |t, _, info| steps.push((t, info.is_some())));
    assert_eq!(steps, [(1, true), (2, true), (3, false)]);
    let by_path = log_weights(&path, begun, &betas, &draws, |_, _, _| {});
    for (log_weights, log_base) in [(by_gibbs, log_base), (by_path, path.log_base())] {
        let shares: Vec<f64> = log_weights.iter().map(|w| (w + log_base - log_z).exp()).collect();
        let mean = shares.iter().sum::<f64>() / n as f64;
        let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / n as f64;
        let se = (variance / n as f64).sqrt();
        // False alarms below 6e-7 each.
        assert!((mean - 1.0).abs() < 5.0 * se && se < 0.02, "{mean} ± {se}");
    }
}

#[test]
fn tempering_along_a_path_leaves_the_law_of_every_level_invariant() {
    let rbm = small(3, 2, 48);
    let (chains, key) = (20_000, Key::new(49));
    let betas = vec![1.0, 0.6, 0.2, 0.0];
    let ladder = Temperatures::new(path(&rbm), betas.clone());
    let mut stream = Stream::new(Key::new(50));
    let laws: Vec<Vec<f64>> = betas.iter().map(|beta| law(&path(&rbm), &rbm, *beta)).collect();
    let start = laws.iter().map(|law| exact(law, 3, chains, &mut stream)).collect();
    let mut state = path(&rbm).at(Tensor::cat(start, 0));
    for turn in 0..4u64 {
        let (next, swaps) = advance(&ladder, state, chains, turn % 2 == 1, key.child(turn));
        state = next;
        let tried = if turn % 2 == 1 { [0, 20_000, 0] } else { [20_000, 0, 20_000] };
        assert_eq!(swaps.tried, tried);
        let positions = numbers(path(&rbm).positions(&state));
        for (level, (found, law)) in positions.chunks(chains).zip(&laws).enumerate() {
            let chi = chi_squared(found, law);
            assert!(chi < OF_8, "turn {turn}, level {level}: {chi}");
        }
    }
}

/// `log f(q) = -2 |q|²` in two dimensions.
struct Narrow;

impl LogDensity for Narrow {
    fn log_density_and_gradient(&self, q: Tensor<2>) -> (Tensor<1>, Tensor<2>) {
        ((q.clone().square().sum_dim(1) * -2.0).squeeze_dim(1), q * -4.0)
    }
}

#[test]
fn tempering_by_hamiltonian_trajectories_leaves_the_law_of_every_level_invariant() {
    let (chains, betas) = (10_000, [1.0, 0.5, 0.0]);
    let kernel = HmcKernel { hmc: Hmc::new(3), target: &Narrow, normal: 1.0 };
    // Precisions 1 + 4 β.
    let deviations = betas.map(|beta: f64| (1.0 + 4.0 * beta).recip().sqrt());
    let scale: Vec<f64> = deviations.iter().flat_map(|s| vec![*s; chains]).collect();
    let n = scale.len();
    let normals = normal(&Draws::new(Key::new(51), n, 1), 2, DType::F64, &device());
    let sizes = tensor(scale.clone(), [n]);
    let mut state =
        HmcState { step_size: sizes.clone(), ..kernel.at(normals * tensor(scale.clone(), [n, 1])) };
    let ladder = Temperatures::new(kernel, betas.to_vec());
    for turn in 0..4u64 {
        let (next, swaps) = advance(&ladder, state, chains, turn % 2 == 1, Key::new(52).child(turn));
        assert!(swaps.acceptance().is_some_and(|share| (0.3..0.95).contains(&share)), "{swaps:?}");
        state = next;
    }
    assert_eq!(into_f64(state.step_size), scale, "step sizes stay with their level");
    let fresh = Narrow.log_density_and_gradient(state.at.position.clone());
    assert_eq!(into_f64(state.at.log_density), into_f64(fresh.0));
    for (level, of_level) in into_f64(state.at.position).chunks(2 * chains).enumerate() {
        // The mean square of 2 n numbers has a relative standard error of 1 / √n: a false alarm below 6e-7 each.
        let square = of_level.iter().map(|q| q * q).sum::<f64>() / of_level.len() as f64;
        let off = square / deviations[level].powi(2) - 1.0;
        assert!(off.abs() < 5.0 / (chains as f64).sqrt(), "level {level}: {off}");
    }
}

/// The machine whose parameters are scaled.
fn scaled(rbm: &Rbm, by: f64) -> Rbm {
    map_params(rbm.clone(), |_, param| param.values() * by)
}

#[test]
fn swaps_between_models_leave_the_product_of_their_laws_invariant() {
    let (last, first) = (scaled(&small(3, 2, 53), 1.5), small(3, 2, 54));
    let models = [&last, &first];
    let laws = models.map(law_of);
    let n = 40_000;
    let mut stream = Stream::new(Key::new(55));
    let start = laws.iter().map(|law| exact(law, 3, n, &mut stream)).collect();
    let ladder = Trajectory::new(models.to_vec());
    let x = Tensor::cat(start, 0);
    // The definition of the swap, for all pairs of states.
    let f = models.map(|model| into_f64(model.free_energy(last.visible_states())));
    let pairs = || (0..8).flat_map(|a| (0..8).map(move |b| (a, b)));
    let expected: f64 = pairs()
        .map(|(a, b)| laws[0][a] * laws[1][b] * (f[0][a] + f[1][b] - f[0][b] - f[1][a]).exp().min(1.0))
        .sum();
    let (x, swaps) = advance(&ladder, x, n, false, Key::new(56));
    let found = swaps.acceptance().unwrap();
    let se = (expected * (1.0 - expected) / n as f64).sqrt();
    assert!((found - expected).abs() < 5.0 * se && expected < 0.9, "{found} for {expected}");
    // Both chains of a pair together, so that a dependence between them would show.
    let states = numbers(x.clone());
    let joint: Vec<usize> = (0..n).map(|chain| states[chain] * 8 + states[n + chain]).collect();
    let law: Vec<f64> = pairs().map(|(a, b)| laws[0][a] * laws[1][b]).collect();
    let chi = chi_squared(&joint, &law);
    assert!(chi < OF_64, "{chi}");
    // From samples of each, without a chain; the error of an acceptance is at most half of one over √n.
    let (a, b) = (x.clone().narrow(0, 0, n), x.clone().narrow(0, n, n));
    let estimated = swap_acceptance(&(&last, a), &(&first, b));
    assert!((estimated - expected).abs() < 2.5 / (n as f64).sqrt(), "{estimated} for {expected}");
    // Two models have no odd pair.
    let (after, none) = advance(&ladder, x.clone(), n, true, Key::new(57));
    assert_eq!((none.acceptance(), none.of_pairs()), (None, vec![None]));
    // Each level is swept by its own model, under the numbers of its own chains.
    let by_hand = models.iter().enumerate().map(|(level, model)| {
        let numbers: Vec<u64> = (level * n..(level + 1) * n).map(|chain| chain as u64).collect();
        model.sweep(x.clone().narrow(0, level * n, n), None, &Draws::of_rows(Key::new(57), numbers, 1))
    });
    assert_eq!(into_f64(after), into_f64(Tensor::cat(by_hand.collect(), 0)));
    assert_eq!(ladder.levels(), 2);
}

#[test]
fn a_ladder_keeps_the_models_between_which_enough_swaps_are_accepted() {
    // A training that scales a machine up, from independent units.
    let rbm = scaled(&small(6, 4, 58), 8.0);
    let models: Vec<Rbm> = (0..=12).map(|step| scaled(&rbm, step as f64 / 12.0)).collect();
    let mut stream = Stream::new(Key::new(59));
    let sampled: Vec<(&Rbm, Tensor<2>)> =
        models.iter().map(|model| (model, exact(&law_of(model), 6, 4000, &mut stream))).collect();
    let rungs = choose(&sampled, LOWEST_ACCEPTANCE);
    let places: Vec<usize> = rungs.iter().map(|rung| rung.model).collect();
    assert!(rungs.len() > 2 && rungs.len() < 13, "{places:?}");
    assert_eq!((places[0], places[places.len() - 1]), (12, 0));
    assert!(places.windows(2).all(|pair| pair[0] > pair[1]), "{places:?}");
    for pair in rungs.windows(2) {
        let accepted = pair[0].acceptance.unwrap();
        assert_eq!(accepted, swap_acceptance(&sampled[pair[0].model], &sampled[pair[1].model]));
        assert!(accepted >= LOWEST_ACCEPTANCE, "{rungs:?}");
        // One model further there would be too few.
        if pair[1].model > 0 {
            let further = swap_acceptance(&sampled[pair[0].model], &sampled[pair[1].model - 1]);
            assert!(further < LOWEST_ACCEPTANCE, "{rungs:?}");
        }
    }
    // A ladder on which nothing is enough keeps every model, and says how few swaps there are.
    let all = choose(&sampled, 1.1);
    assert_eq!(all.len(), 13);
    assert!(all[..12].iter().all(|rung| rung.acceptance.is_some_and(|share| share <= 1.0)));
}

/// Two modes, all units on and all units off, that one sweep hardly connects.
fn two_modes() -> Rbm {
    let (d, m, w) = (8, 2, 3.0);
    map_params(small(d, m, 60), |_, param| {
        let n = param.values().dims()[0];
        let value = if n == d * m {
            w
        } else if n == d {
            -w * m as f64 / 2.0
        } else {
            -w * d as f64 / 2.0
        };
        tensor(vec![value; n], [n])
    })
}

#[test]
fn tempered_chains_cross_between_modes_in_which_single_chains_stay() {
    let rbm = two_modes();
    let (chains, levels, steps) = (10, 8, 3000u64);
    let ladder = Temperatures::even(BlockGibbs { model: &rbm }, levels);
    // The share of units that are on after each step, at β = 1.
    let share = |x: &Tensor<2>| into_f64(x.clone().narrow(0, 0, chains).mean_dim(1));
    let noise = rbm.noise(&Draws::new(Key::new(61), levels * chains, 1));
    let mut x = noise.clone();
    let mut tempered = Vec::new();
    for t in 0..steps {
        x = advance(&ladder, x, chains, t % 2 == 1, Key::new(62).child(t)).0;
        tempered.push(share(&x));
    }
    let mut x = noise.narrow(0, 0, chains);
    let mut single = Vec::new();
    for t in 0..steps {
        x = rbm.sweep(x, None, &Draws::new(Key::new(63).child(t), chains, 1));
        single.push(share(&x));
    }
    let tempered = AutocorrelationTime::of(&tempered).expect("states come down from β = 0");
    assert!(tempered.tau < 40.0, "{tempered:?}");
    let single = AutocorrelationTime::of(&single);
    assert!(single.is_none_or(|single| single.tau > 5.0 * tempered.tau), "{single:?} with {tempered:?}");
}
