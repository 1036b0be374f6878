//! Block Gibbs sampling.

use helmholtz_core::{Draws, EnergyModel, Harmonium, map_params};

use super::*;

/// `T(v, v') = Σ_h p(h | v) p(v' | h)`, a row for each v.
fn transitions(joint: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of_hidden: Vec<f64> = (0..joint[0].len()).map(|h| joint.iter().map(|row| row[h]).sum()).collect();
    let from = |row: &Vec<f64>| {
        let total: f64 = row.iter().sum();
        (0..joint.len())
            .map(|to| (0..of_hidden.len()).map(|h| row[h] / total * joint[to][h] / of_hidden[h]).sum())
            .collect()
    };
    joint.iter().map(from).collect()
}

/// Pearson's statistic of the frequencies of states against probabilities. With 8 states it is above 45 with a
/// probability of 1e-7.
pub(super) fn chi_squared(states: &[f64], probabilities: &[f64]) -> f64 {
    let n = (states.len() / 3) as f64;
    let mut counts = [0.0; 8];
    for row in states.chunks(3) {
        counts[row.iter().enumerate().map(|(j, bit)| (*bit as usize) << j).sum::<usize>()] += 1.0;
    }
    counts.iter().zip(probabilities).map(|(count, p)| (count - n * p).powi(2) / (n * p)).sum()
}

#[test]
fn a_sweep_leaves_the_law_of_the_machine_invariant() {
    let rbm = rbm([3, 2], 21);
    let law: Vec<f64> = joint(&rbm).iter().map(|row| row.iter().sum()).collect();
    let mut stream = Stream::new(Key::new(27));
    let mut exact_sample = || {
        let mut left = stream.uniform();
        let state = law.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        let state = state.unwrap_or(7);
        [0, 1, 2].map(|j| (state >> j & 1) as f64)
    };
    let n = 20_000;
    let before: Vec<f64> = (0..n).flat_map(|_| exact_sample()).collect();
    assert!(chi_squared(&before, &law) < 45.0);
    let after = into_f64(rbm.sweep(tensor(before, [n, 3]), None, &Draws::new(Key::new(28), n, 1)));
    assert!(chi_squared(&after, &law) < 45.0, "{}", chi_squared(&after, &law));
}

#[test]
fn sweeps_have_the_frequencies_of_their_transitions() {
    let rbm = rbm([3, 2], 22);
    let transitions = transitions(&joint(&rbm));
    let n = 20_000;
    for from in [0usize, 5] {
        let v = states(3).narrow(0, from, 1).repeat_dim(0, n);
        let found = into_f64(rbm.sweep(v, None, &Draws::new(Key::new(23 + from as u64), n, 1)));
        let chi = chi_squared(&found, &transitions[from]);
        assert!(chi < 45.0, "from {from}: {chi}");
    }
}

#[test]
fn chains_begin_as_fair_coins() {
    let rbm = rbm([50, 2], 24);
    let x = into_f64(rbm.noise(&Draws::new(Key::new(25), 400, 1)));
    assert!(x.iter().all(|value| *value == 0.0 || *value == 1.0));
    // Five standard errors of 20 000 coins.
    assert!((x.iter().sum::<f64>() / 20_000.0 - 0.5).abs() < 5.0 * 0.5 / 20_000f64.sqrt());
}

/// The machine at an inverse temperature: all parameters times β.
fn tempered(rbm: &Rbm, beta: f64) -> Rbm {
    map_params(rbm.clone(), |_, param| param.values() * beta)
}

#[test]
fn the_law_of_chains_is_that_of_their_transitions() {
    let rbm = rbm([3, 2], 29);
    let transitions = transitions(&joint(&rbm));
    let step = |law: Vec<f64>| -> Vec<f64> {
        (0..8).map(|to| (0..8).map(|from| law[from] * transitions[from][to]).sum()).collect()
    };
    let begin = vec![0.1, 0.05, 0.2, 0.15, 0.1, 0.1, 0.25, 0.05];
    let found = into_f64(rbm.law_after(tensor(begin.clone(), [8]), 3));
    assert_close(&found, &step(step(step(begin))), 1e-13);
    // The law of the machine stays as it is.
    let own: Vec<f64> = joint(&rbm).iter().map(|row| row.iter().sum()).collect();
    assert_close(&into_f64(rbm.law_after(tensor(own.clone(), [8]), 4)), &own, 1e-13);
}

#[test]
fn tempered_sums_and_sweeps_are_those_of_scaled_parameters() {
    let rbm = rbm([3, 2], 30);
    let betas = [0.0, 0.4, 1.0];
    let columns = tensor(betas.repeat(8), [8, 3]);
    let found = into_f64(rbm.log_tempered(states(3), columns));
    let of = |beta: f64| into_f64(-tempered(&rbm, beta).free_energy(states(3)));
    let all = betas.map(of);
    let expected: Vec<f64> =
        (0..8).flat_map(|v| (0..3).map(move |b| (b, v))).map(|(b, v)| all[b][v]).collect();
    assert_close(&found, &expected, 1e-13);
    let n = 20_000;
    for (seed, beta) in (31..).zip(betas) {
        let v = states(3).narrow(0, 5, 1).repeat_dim(0, n);
        let draws = Draws::new(Key::new(seed), n, 1);
        let found = into_f64(rbm.sweep(v, Some(tensor(vec![beta; n], [n, 1])), &draws));
        let chi = chi_squared(&found, &transitions(&joint(&tempered(&rbm, beta)))[5]);
        assert!(chi < 45.0, "at {beta}: {chi}");
    }
}
