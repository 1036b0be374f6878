//! Block Gibbs sampling.

use helmholtz_core::Draws;

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

#[test]
fn the_transitions_of_a_sweep_leave_the_law_of_the_machine_invariant() {
    let joint = joint(&rbm([3, 2], 21));
    let law: Vec<f64> = joint.iter().map(|row| row.iter().sum()).collect();
    let transitions = transitions(&joint);
    let after: Vec<f64> =
        (0..8).map(|to| (0..8).map(|from| law[from] * transitions[from][to]).sum()).collect();
    assert_close(&after, &law, 1e-14);
}

#[test]
fn sweeps_have_the_frequencies_of_their_transitions() {
    let rbm = rbm([3, 2], 22);
    let transitions = transitions(&joint(&rbm));
    let n = 20_000;
    for from in [0usize, 5] {
        let v = states(3).narrow(0, from, 1).repeat_dim(0, n);
        let found = into_f64(rbm.sweep(v, &Draws::new(Key::new(23 + from as u64), n, 1)));
        let mut counts = [0.0; 8];
        for row in found.chunks(3) {
            counts[row.iter().enumerate().map(|(j, bit)| (*bit as usize) << j).sum::<usize>()] += 1.0;
        }
        // Seven degrees of freedom: chi-squared is above 45 with a probability of 1e-7.
        let chi: f64 = counts
            .iter()
            .zip(&transitions[from])
            .map(|(count, p)| (count - n as f64 * p).powi(2) / (n as f64 * p))
            .sum();
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
