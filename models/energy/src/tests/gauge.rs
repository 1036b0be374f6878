//! Other parameters for the same law.

use helmholtz_core::{Batch, Tractable};

use super::grid::{SITE, machine, points, rows};
use super::*;
use crate::units::Units;

#[test]
fn spins_have_the_law_of_the_bits() {
    let rbm = rbm([4, 3], 301);
    let spins = rbm.spins().unwrap();
    let (w, a, b) = (into_f64(spins.weight), into_f64(spins.visible), into_f64(spins.hidden));
    let sign = |state: usize, j: usize| 2.0 * (state >> j & 1) as f64 - 1.0;
    // exp(Σ a s + Σ b t + Σ s W t) by its definition.
    let mass = |v: usize, h: usize| {
        let fields =
            (0..4).map(|i| a[i] * sign(v, i)).sum::<f64>() + (0..3).map(|j| b[j] * sign(h, j)).sum::<f64>();
        let joint = |i: usize| (0..3).map(|j| sign(v, i) * w[i * 3 + j] * sign(h, j)).sum::<f64>();
        (fields + (0..4).map(joint).sum::<f64>()).exp()
    };
    let masses: Vec<Vec<f64>> = (0..16).map(|v| (0..8).map(|h| mass(v, h)).collect()).collect();
    let z: f64 = masses.iter().flatten().sum();
    let expected = joint(&rbm).concat();
    let found: Vec<f64> = masses.iter().flatten().map(|mass| mass / z).collect();
    assert_close(&found, &expected, 1e-13);
    // log Z is less by ½ Σ a + ½ Σ b + ¼ Σ W of the bits.
    let total = |values: Vec<f64>| values.into_iter().sum::<f64>();
    let less = 0.5 * (total(into_f64(rbm.visible.val())) + total(into_f64(rbm.hidden.val())))
        + 0.25 * total(into_f64(rbm.weight.val()));
    assert!((rbm.log_partition().unwrap() - less - z.ln()).abs() < 1e-12);
    assert!(machine(&[(SITE, 3)], 2, 302).spins().is_none());
}

#[test]
fn the_zero_sum_gauge_leaves_the_law_as_it_is() {
    for (seed, blocks) in (303..).zip([
        vec![(SITE, 6)],
        vec![(Units::Bernoulli, 2), (SITE, 3)],
        vec![(Units::Gaussian, 1), (SITE, 3)],
    ]) {
        let rbm = machine(&blocks, 2, seed);
        let fixed = rbm.clone().in_zero_sum_gauge();
        let (x, m) = (rows(&points(&rbm).0), rbm.n_hidden());
        let [found, expected] = [&fixed, &rbm].map(|rbm| into_f64(rbm.log_prob(&Batch::of(x.clone()))));
        assert_close(&found, &expected, 1e-11);
        let (w, a) = (into_f64(fixed.weight.val()), into_f64(fixed.visible.val()));
        let (before, biases) = (into_f64(rbm.weight.val()), into_f64(rbm.visible.val()));
        let mut sites = 0;
        for (units, columns) in rbm.layer().ranges() {
            let first = columns.start;
            if units != SITE {
                assert_eq!(w[first * m..columns.end * m], before[first * m..columns.end * m]);
                assert_eq!(a[first..columns.end], biases[first..columns.end]);
                continue;
            }
            for site in columns.step_by(3) {
                sites += 1;
                assert!(a[site..site + 3].iter().sum::<f64>().abs() < 1e-14);
                for j in 0..m {
                    let sum: f64 = (site..site + 3).map(|column| w[column * m + j]).sum();
                    assert!(sum.abs() < 1e-14, "{sum}");
                }
            }
        }
        assert!(sites > 0);
    }
}

#[test]
fn the_gauge_of_bits_alone_is_no_change() {
    let rbm = rbm([3, 2], 309);
    let fixed = rbm.clone().in_zero_sum_gauge();
    assert_eq!(into_f64(fixed.weight.val()), into_f64(rbm.weight.val()));
    assert_eq!(into_f64(fixed.hidden.val()), into_f64(rbm.hidden.val()));
}
