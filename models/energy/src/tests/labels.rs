//! Machines with labels, compared with sums over rows and classes.

use burn::tensor::Int;
use helmholtz_core::{Batch, Draws, EnergyModel, Gradients, Harmonium, Target, Tractable, Trainable};

use super::gibbs::chi_squared;
use super::gradient::{flat, slopes};
use super::grid::{SITE, assert_moments, draws_of, machine, minus_energy, points, rows};
use super::*;
use crate::RbmConfig;
use crate::units::Units;

const CLASSES: usize = 3;

/// Machines over bits, categories and real numbers with a label, and the machines over the other units alone, which say
/// what the points of x are.
fn machines() -> Vec<(Rbm, Vec<Vec<f64>>, Vec<f64>)> {
    let of = |(seed, units): (u64, (Units, usize))| {
        let (points, weights) = points(&machine(&[units], 2, seed));
        (machine(&[units, (SITE, CLASSES)], 2, seed).with_labels(), points, weights)
    };
    (501..).zip([(Units::Bernoulli, 3), (SITE, 3), (Units::Gaussian, 1)]).map(of).collect()
}

/// `exp(-β E(x, y, h))` summed over h, with the own energies of real units as they are.
fn mass(rbm: &Rbm, x: &[f64], y: usize, beta: f64) -> f64 {
    let v: Vec<f64> = x.iter().copied().chain((0..CLASSES).map(|k| f64::from(u8::from(k == y)))).collect();
    let real = rbm.own(tensor(v.clone(), [1, v.len()])).1.map_or(0.0, |real| into_f64(real)[0]);
    (0..4).map(|h| (beta * (minus_energy(rbm, &v, h) - real) + real).exp()).sum()
}

fn classes(batch: &[usize]) -> Target {
    let classes: Vec<i64> = batch.iter().map(|y| *y as i64).collect();
    Target::Classes(Tensor::<1, Int>::from_data(classes.as_slice(), &Device::flex()))
}

#[test]
fn rows_with_their_labels_have_probabilities_that_sum_to_one() {
    for (rbm, points, weights) in machines() {
        assert_eq!((rbm.observed(), rbm.classes()), (points[0].len(), CLASSES));
        let mut total = 0.0;
        for y in 0..CLASSES {
            let batch = Batch::of(rows(&points)).with_target(classes(&vec![y; points.len()]));
            let expected: Vec<f64> = points.iter().map(|x| mass(&rbm, x, y, 1.0)).collect();
            assert_close(&into_f64((-rbm.free_energy(rbm.rows(&batch))).exp()), &expected, 1e-11);
            let p = into_f64(rbm.log_prob(&batch).exp());
            total += p.iter().zip(&weights).map(|(p, weight)| p * weight).sum::<f64>();
        }
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }
}

#[test]
fn labels_are_summed_out_of_rows_without_them() {
    for (rbm, points, _) in machines() {
        let some: Vec<Vec<f64>> = points.iter().step_by(points.len() / 4 + 1).cloned().collect();
        let x = rows(&some);
        let all = |x: &Vec<f64>| (0..CLASSES).map(|y| mass(&rbm, x, y, 1.0)).collect::<Vec<f64>>();
        let totals: Vec<f64> = some.iter().map(|x| all(x).iter().sum()).collect();
        assert_close(&into_f64((-rbm.free_energy_of_unlabelled(x.clone())).exp()), &totals, 1e-11);
        let shares: Vec<f64> = some
            .iter()
            .zip(&totals)
            .flat_map(|(x, total)| all(x).into_iter().map(move |mass| mass / total))
            .collect();
        assert_close(&into_f64(rbm.log_class_probabilities(x.clone()).exp()), &shares, 1e-11);
        let given = |y: usize| {
            let batch = Batch::of(x.clone()).with_target(classes(&vec![y; some.len()]));
            into_f64(rbm.hidden_means(rbm.rows(&batch)))
        };
        let given: Vec<Vec<f64>> = (0..CLASSES).map(given).collect();
        let mean =
            |place: usize| (0..CLASSES).map(|y| shares[place / 2 * CLASSES + y] * given[y][place]).sum();
        let means: Vec<f64> = (0..2 * some.len()).map(mean).collect();
        assert_close(&into_f64(rbm.hidden_means_of_unlabelled(x)), &means, 1e-11);
    }
}

#[test]
fn labels_are_drawn_by_their_probabilities() {
    let (rbm, points, _) = machines().remove(0);
    let n = 20_000;
    for beta in [0.4, 1.0] {
        let x = rows(&vec![points[5].clone(); n]);
        let draws = Draws::new(Key::new(510), n, 1);
        let found = rbm.labelled(x, Some(tensor(vec![beta; n], [n, 1])), &draws);
        let total: f64 = (0..CLASSES).map(|y| mass(&rbm, &points[5], y, beta)).sum();
        for y in 0..CLASSES {
            let p = mass(&rbm, &points[5], y, beta) / total;
            let share = into_f64(found.clone().narrow(1, 3 + y, 1)).iter().sum::<f64>() / n as f64;
            // Five standard errors: a false alarm in 2 million.
            assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt(), "{share} for {p}");
        }
        if beta == 1.0 {
            assert_eq!(into_f64(found.clone()), into_f64(rbm.labelled(rbm.unlabelled(found), None, &draws)));
        }
    }
}

#[test]
fn sweeps_of_rows_without_labels_leave_their_law_invariant() {
    let n = 20_000;
    for (seed, (rbm, points, weights)) in (520..).zip(machines()) {
        for beta in [0.5, 1.0] {
            let of = |x: &Vec<f64>| (0..CLASSES).map(|y| mass(&rbm, x, y, beta)).sum::<f64>();
            let masses: Vec<f64> = points.iter().zip(&weights).map(|(x, weight)| of(x) * weight).collect();
            let start = rows(&draws_of(&points, &masses, n, seed));
            let betas = tensor(vec![beta; n], [n, 1]);
            let after = rbm.sweep_of_unlabelled(start, Some(betas), &Draws::new(Key::new(seed), n, 1));
            assert_moments(&after, &points, &masses);
            if points.len() == 8 {
                let total: f64 = masses.iter().sum();
                let law: Vec<f64> = masses.iter().map(|mass| mass / total).collect();
                // The first bit changes slowest in the points, and fastest in the states.
                let law: Vec<f64> =
                    (0..8).map(|state: usize| law[(state as u8).reverse_bits() as usize >> 5]).collect();
                let found = chi_squared(&into_f64(after), &law);
                assert!(found < 45.0, "{found}");
            }
        }
    }
}

#[test]
fn the_gradient_is_that_of_rows_with_their_labels() {
    let (rbm, points, _) = machines().remove(0);
    let batch = Batch::of(rows(&points[1..4])).with_target(classes(&[2, 0, 2]));
    let weights = [0.4, -0.9, 1.3];
    let mut gradients = Gradients::new();
    rbm.likelihood_gradient(&batch, tensor(weights.to_vec(), [3]), &mut gradients);
    let loss =
        |rbm: &Rbm| -into_f64(rbm.log_prob(&batch)).iter().zip(weights).map(|(p, w)| p * w).sum::<f64>();
    assert_close(&flat(&rbm, &gradients), &slopes(&rbm, loss), 1e-7);
}

#[test]
fn a_new_machine_has_labels_that_are_all_as_likely() {
    let config = RbmConfig { classes: Some(4), ..RbmConfig::new(3, 2) };
    let rbm = config.init(Some(&[0.2, 0.5, 0.9]), Key::new(0), &Device::flex()).unwrap();
    let (x, off) = (Tensor::zeros([1, 3], &Device::flex()), Tensor::zeros([1, 2], &Device::flex()));
    assert_eq!((rbm.observed(), rbm.classes()), (3, 4));
    for (found, expected) in
        into_f64(rbm.visible_means(off)).into_iter().zip([0.2, 0.5, 0.9, 0.25, 0.25, 0.25, 0.25])
    {
        assert!((found - expected).abs() < 1e-6, "{found}");
    }
    for p in into_f64(rbm.log_class_probabilities(x).exp()) {
        assert!((p - 0.25).abs() < 0.01, "{p}");
    }
}

#[test]
#[should_panic(expected = "labels are the last block")]
fn labels_are_one_unit() {
    let _ = machine(&[(Units::Bernoulli, 2), (SITE, 6)], 2, 530).with_labels();
}
