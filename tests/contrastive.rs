//! Strategies that contrast data with chains, against laws of chains by enumeration.

use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Batch, Draws, Gradients, Harmonium, Key, Strategy, Weighed, visit_params};
use helmholtz_energy::{FromIndependent, Rbm};
use helmholtz_eval::{Annealing, Schedule};
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;
use helmholtz_strategies::{Centring, ContrastiveDivergence, Offsets, PersistentChains, Start, Tempering};
use helmholtz_tests::{device, either};

use crate::rbm::small;

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}

fn flat(rbm: &Rbm, gradients: &Gradients) -> Vec<f64> {
    let mut all = Vec::new();
    visit_params(rbm, |_, param| all.extend(param.gradient(gradients).into_iter().flat_map(into_f64)));
    all
}

/// Four rows of five bits.
fn batch() -> Batch {
    Batch::of(tensor(
        [[1, 0, 0, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0]]
            .concat()
            .iter()
            .map(|bit| f64::from(*bit))
            .collect(),
        [4, 5],
    ))
}

/// The law of a row drawn from a matrix.
fn law_of(rows: &Tensor<2>) -> Tensor<1> {
    let [n, d] = rows.dims();
    let mut law = vec![0.0; 1 << d];
    for row in into_f64(rows.clone()).chunks(d) {
        law[row.iter().enumerate().map(|(i, bit)| (*bit as usize) << i).sum::<usize>()] += 1.0 / n as f64;
    }
    tensor(law, [1 << d])
}

/// The update whose samples have a law, with offsets at the means of the batch or none.
fn exact(rbm: &Rbm, law: Tensor<1>, is_centred: bool) -> Vec<f64> {
    let samples = Weighed { x: rbm.visible_states(), weights: law };
    let data = Weighed::equally(batch().whole());
    flat(rbm, &rbm.contrast(data, samples, &mut |means, _| is_centred.then_some(means)).gradients)
}

/// The mean of many updates, and the largest distance from a vector in standard errors.
fn off<S: Strategy<Rbm>>(strategy: impl Fn() -> S, rbm: &Rbm, expected: &[f64]) -> f64 {
    let n = either(4000, 40_000);
    let (mut sum, mut squares) = (vec![0.0; expected.len()], vec![0.0; expected.len()]);
    for i in 0..n as u64 {
        let found = flat(rbm, &strategy().estimate(rbm, &batch(), Key::new(7).child(i)).gradients);
        for (place, value) in found.iter().enumerate() {
            sum[place] += value;
            squares[place] += value * value;
        }
    }
    let n = n as f64;
    (0..expected.len())
        .map(|i| {
            let mean = sum[i] / n;
            let se = ((squares[i] / n - mean * mean) / (n - 1.0)).sqrt();
            (mean - expected[i]).abs() / se.max(1e-12)
        })
        .fold(0.0, f64::max)
}

/// 23 coordinates and six strategies: a false alarm below 1e-4 in all.
const CRITICAL: f64 = 5.0;

#[test]
fn updates_are_the_contrast_with_the_law_of_the_chains() {
    let rbm = small(5, 3, 11);
    let rows = batch().whole();
    let noise = tensor(vec![1.0 / 32.0; 32], [32]);
    for (offsets, is_centred) in
        [(Offsets::Zero, false), (Offsets::Data, true), (Offsets::Moving { rate: 0.1 }, true)]
    {
        let centring = || Centring::new(&rbm, offsets);
        let cd = || ContrastiveDivergence { sweeps: 2, start: Start::Data, centring: centring() };
        let expected = exact(&rbm, rbm.law_after(law_of(&rows), 2), is_centred);
        assert!(off(cd, &rbm, &expected) < CRITICAL, "cd, {offsets:?}");
        // With one sweep fewer it is another vector.
        let other = exact(&rbm, rbm.law_after(law_of(&rows), 1), is_centred);
        assert!(off(cd, &rbm, &other) > CRITICAL, "cd, {offsets:?}");
        let start = Start::Noise { chains: 3 };
        let rdm = || ContrastiveDivergence { sweeps: 3, start, centring: centring() };
        let expected = exact(&rbm, rbm.law_after(noise.clone(), 3), is_centred);
        assert!(off(rdm, &rbm, &expected) < CRITICAL, "rdm, {offsets:?}");
    }
}

#[test]
fn persistent_chains_go_on_from_where_they_were() {
    let rbm = small(5, 3, 12);
    let start = tensor(vec![1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0], [2, 5]);
    let pcd = || {
        let pcd = PersistentChains::new(&rbm, (2, 2), Offsets::Zero, Key::new(1));
        pcd.put(start.clone());
        pcd
    };
    let expected = exact(&rbm, rbm.law_after(law_of(&start), 2), false);
    assert!(off(pcd, &rbm, &expected) < CRITICAL);

    // Two updates of one sweep leave the chains where two sweeps with the same draws do.
    let one = PersistentChains::new(&rbm, (3, 1), Offsets::Zero, Key::new(2));
    let before = one.states();
    let held = one.held();
    one.estimate(&rbm, &batch(), Key::new(3));
    let draws = Draws::new(Key::new(3).child(helmholtz_core::Role::Chain).child(0usize), 3, 1);
    let after = into_f64(rbm.sweep(before.clone(), None, &draws));
    assert_eq!(into_f64(one.states()), after);
    assert_eq!(into_f64(held.states()), into_f64(before), "what is held has chains of its own");
    let other = PersistentChains::new(&rbm, (3, 5), Offsets::Zero, Key::new(4));
    let next = Strategy::<Rbm>::continuing(&other, &one);
    assert_eq!((next.sweeps, into_f64(next.states())), (5, after), "a stage goes on with the chains");
}

/// Pearson's statistic of the frequencies of rows of three bits against a law.
fn chi_squared(rows: &Tensor<2>, law: &[f64]) -> f64 {
    let n = rows.dims()[0] as f64;
    let found = into_f64(law_of(rows));
    found.iter().zip(law).map(|(found, p)| n * (found - p).powi(2) / p).sum()
}

#[test]
fn tempering_leaves_the_law_of_every_temperature_invariant() {
    let rbm = small(3, 2, 13);
    let (levels, chains) = (4, 20_000);
    let tempering = Tempering::new(&rbm, (levels, chains, 1), Offsets::Zero, Key::new(1));
    let laws: Vec<Vec<f64>> = (0..levels)
        .map(|level| {
            let beta = 1.0 - level as f64 / 3.0;
            let logs = into_f64(rbm.log_tempered(rbm.visible_states(), tensor(vec![beta; 8], [8, 1])));
            let total: f64 = logs.iter().map(|log| log.exp()).sum();
            logs.iter().map(|log| log.exp() / total).collect()
        })
        .collect();
    let mut stream = Stream::new(Key::new(14));
    let mut exact_sample = |law: &Vec<f64>| -> [f64; 3] {
        let mut left = stream.uniform();
        let state = law.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        [0, 1, 2].map(|bit| (state.unwrap_or(7) >> bit & 1) as f64)
    };
    let begin: Vec<f64> =
        laws.iter().flat_map(|law| (0..chains).flat_map(|_| exact_sample(law)).collect::<Vec<_>>()).collect();
    let mut x = tensor(begin, [levels * chains, 3]);
    for turn in 0..4u64 {
        let (next, swaps) = tempering.advance(&rbm, x, turn % 2 == 1, Key::new(15).child(turn));
        x = next;
        let [accepted, tried] =
            [swaps.accepted, swaps.tried].map(|of_pairs| of_pairs.iter().sum::<u64>() as usize);
        assert_eq!(tried, if turn % 2 == 1 { chains } else { 2 * chains });
        assert!(accepted > tried / 2 && accepted < tried, "{accepted} of {tried}");
        for (level, law) in laws.iter().enumerate() {
            // With eight states the statistic is above 45 with a probability of 1e-7.
            let chi = chi_squared(&x.clone().narrow(0, level * chains, chains), law);
            assert!(chi < 45.0, "turn {turn}, level {level}: {chi}");
        }
    }
    // Swaps that did not look at the energies would mix the laws.
    let chi = chi_squared(&x.narrow(0, chains, chains), &laws[0]);
    assert!(chi > 100.0, "neighbouring laws are too close for this test: {chi}");
}

#[test]
fn reverse_annealing_has_weights_with_the_mean_of_the_annealed_law() {
    let rbm = small(3, 2, 16);
    // From fair coins the densities of the path are those of scaled machines.
    let path = FromIndependent::uniform(&rbm);
    let scaled = |beta: f64| helmholtz_core::map_params(rbm.clone(), |_, param| param.values() * beta);
    let annealed = [0.25, 0.5, 0.75, 1.0]
        .iter()
        .fold(tensor(vec![0.125; 8], [8]), |law, beta| scaled(*beta).law_after(law, 1));
    let chains = either(4000, 100_000);
    let by = Annealing { chains, schedule: Schedule::linear(4) };
    let rows: Vec<u64> = (0..8).collect();
    let mut steps = Vec::new();
    let found = by.reverse(&path, (rbm.visible_states(), rows.into()), Key::new(17), |step| steps.push(step));
    assert_eq!(steps, [1, 2, 3, 4]);
    for (row, (found, p)) in found.iter().zip(into_f64(annealed)).enumerate() {
        let (log_prob, se) = (found.log_prob, found.variance.sqrt());
        assert!((log_prob - p.ln()).abs() < 5.0 * se, "row {row}: {log_prob} ± {se} for {}", p.ln());
    }
}
