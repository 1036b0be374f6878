//! Probabilities and conditionals, by enumeration.

use helmholtz_core::{Batch, EnergyModel, Harmonium, Tractable};

use super::*;
use crate::{FromIndependent, RbmConfig, RowMoments, TooManyUnits};

/// Either layer may be the smaller one, and they may be equal.
const SIZES: [[usize; 2]; 4] = [[5, 3], [3, 5], [4, 4], [1, 1]];

#[test]
fn probabilities_are_those_of_the_energy_and_sum_to_one() {
    for (seed, size) in (1..).zip(SIZES) {
        let (rbm, x) = (rbm(size, seed), states(size[0]));
        let expected: Vec<f64> = joint(&rbm).iter().map(|row| row.iter().sum()).collect();
        let found = into_f64(rbm.log_prob(&Batch::of(x.clone())).exp());
        assert_close(&found, &expected, 1e-13);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-13);
        let log_z = into_f64(-rbm.free_energy(x)).into_iter().map(f64::exp).sum::<f64>().ln();
        assert!((rbm.log_partition().unwrap() - log_z).abs() < 1e-13);
    }
}

#[test]
fn the_energy_is_that_of_its_definition() {
    let rbm = rbm([4, 3], 5);
    let (v, h) = (states(4), states(3));
    let log_z = rbm.log_partition().unwrap();
    for (i, row) in joint(&rbm).iter().enumerate() {
        let v = v.clone().narrow(0, i, 1).repeat_dim(0, 8);
        let found = into_f64((-rbm.energy(v, h.clone()) - log_z).exp());
        assert_close(&found, row, 1e-13);
    }
}

#[test]
fn conditionals_are_those_of_the_joint() {
    let rbm = rbm([4, 3], 6);
    let joint = joint(&rbm);
    let bit = |state: usize, j: usize| (state >> j & 1) as f64;
    let hidden: Vec<f64> = joint
        .iter()
        .flat_map(|row| {
            (0..3).map(|j| (0..8).map(|h| row[h] * bit(h, j)).sum::<f64>() / row.iter().sum::<f64>())
        })
        .collect();
    assert_close(&into_f64(rbm.hidden_means(states(4))), &hidden, 1e-13);
    let mean_of = |h: usize, i: usize| {
        let total: f64 = joint.iter().map(|row| row[h]).sum();
        (0..16).map(|v| joint[v][h] * bit(v, i)).sum::<f64>() / total
    };
    let visible: Vec<f64> =
        (0..8).flat_map(|h| (0..4).map(move |i| (h, i))).map(|(h, i)| mean_of(h, i)).collect();
    assert_close(&into_f64(rbm.visible_means(states(3))), &visible, 1e-13);
}

#[test]
fn a_machine_with_two_large_layers_is_refused() {
    let rbm = RbmConfig::new(26, 30).init(None, Key::new(0), &Device::flex()).unwrap();
    assert_eq!(rbm.log_partition(), Err(TooManyUnits { units: 26 }));
}

#[test]
fn a_path_begins_at_smoothed_means_and_ends_at_the_machine() {
    use helmholtz_core::{AnnealingPath, Draws, Kernel};
    let rbm = rbm([3, 2], 7);
    // Nine rows: (9 mean + 1) / 11.
    let data = RowMoments { mean: &[0.0, 1.0, 4.0 / 9.0], variance: &[], rows: 9 };
    let path = FromIndependent::of_data(&rbm, data, 1.0);
    let base = [1.0f64 / 11.0, 10.0 / 11.0, 5.0 / 11.0];
    let log_z0: f64 = base.iter().map(|p| -(1.0 - p).ln()).sum::<f64>() + 2.0 * std::f64::consts::LN_2;
    assert!((path.log_base() - log_z0).abs() < 1e-13);
    // The density at 1 over that at 0, at the states of the chains.
    let state = path.begin(&Draws::new(Key::new(8), 20, 1));
    let found = into_f64(path.log_ratio(&state, 0.0, 1.0));
    let logits: Vec<f64> = base.iter().map(|p| (p / (1.0 - p)).ln()).collect();
    let at_zero = into_f64((state.v.clone() * tensor(logits, [1, 3])).sum_dim(1));
    let at_one = into_f64(-rbm.free_energy(state.v));
    let expected: Vec<f64> =
        at_one.iter().zip(at_zero).map(|(one, zero)| one - zero - 2.0 * std::f64::consts::LN_2).collect();
    assert_close(&found, &expected, 1e-13);
}
