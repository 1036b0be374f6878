//! Products of unigauss experts in two dimensions, compared with quadrature.

use std::f64::consts::TAU;

use helmholtz_core::{Batch, Draws, EnergyModel, Gradients, Harmonium, LayerMeans, Tractable, Weighed};

use super::gradient::{flat, slopes};
use super::grid::{assert_moments, draws_of};
use super::*;
use crate::unigauss::{Unigauss, UnigaussError};

const LOW: f64 = -2.0;
const HIGH: f64 = 3.0;
const LOGITS: [f64; 3] = [0.4, -0.8, 1.1];
const MEANS: [f64; 6] = [0.5, -1.0, 2.5, 0.3, -0.7, 1.9];
const SCALES: [f64; 6] = [0.6, 0.9, 0.5, 1.4, 1.1, 0.7];

fn model() -> Unigauss {
    let log_scales = SCALES.map(f64::ln).to_vec();
    let means = tensor(MEANS.to_vec(), [3, 2]);
    Unigauss::new(tensor(LOGITS.to_vec(), [3]), means, tensor(log_scales, [3, 2]), (LOW, HIGH)).unwrap()
}

/// `π N(x; μ, s²)` and `(1 - π) / V` of each expert, by the definition.
fn parts(x: &[f64]) -> Vec<[f64; 2]> {
    let density = |at: usize, x: f64| {
        let z = (x - MEANS[at]) / SCALES[at];
        (-0.5 * z * z).exp() / (TAU.sqrt() * SCALES[at])
    };
    let expert = |i: usize| {
        let share = 1.0 / (1.0 + (-LOGITS[i]).exp());
        let normal = density(2 * i, x[0]) * density(2 * i + 1, x[1]);
        [share * normal, (1.0 - share) / (HIGH - LOW).powi(2)]
    };
    (0..3).map(expert).collect()
}

/// Points of the box with weights, by Simpson's rule in both dimensions.
fn points() -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = 200;
    let step = (HIGH - LOW) / n as f64;
    let weight = |i: usize| match i {
        0 => step / 3.0,
        i if i == n => step / 3.0,
        i if i % 2 == 1 => step * 4.0 / 3.0,
        _ => step * 2.0 / 3.0,
    };
    let cells = || (0..=n).flat_map(|i| (0..=n).map(move |j| (i, j)));
    let at = |i: usize| LOW + step * i as f64;
    (
        cells().map(|(i, j)| vec![at(i), at(j)]).collect(),
        cells().map(|(i, j)| weight(i) * weight(j)).collect(),
    )
}

fn rows(points: &[Vec<f64>]) -> Tensor<2> {
    super::grid::rows(points)
}

#[test]
fn the_density_is_that_of_its_definition_and_integrates_to_the_partition_function() {
    let (model, (points, weights)) = (model(), points());
    let expected: Vec<f64> =
        points.iter().map(|x| parts(x).iter().map(|[normal, uniform]| normal + uniform).product()).collect();
    assert_close(&into_f64((-model.free_energy(rows(&points))).exp()), &expected, 1e-12);
    let z: f64 = expected.iter().zip(weights).map(|(density, weight)| density * weight).sum();
    let found = model.log_partition().unwrap();
    assert!((found - z.ln()).abs() < 1e-6, "{found} for {}", z.ln());
    let outside = tensor(vec![0.0, HIGH + 1e-3, LOW - 1e-3, 0.0], [2, 2]);
    assert_eq!(into_f64(model.free_energy(outside)), [f64::INFINITY; 2]);
}

#[test]
fn hidden_means_are_the_shares_of_the_normal_parts() {
    let some = [vec![0.4, -0.9], vec![2.9, 2.9], vec![-1.0, 1.5]];
    let expected: Vec<f64> = some
        .iter()
        .flat_map(|x| parts(x).into_iter().map(|[normal, uniform]| normal / (normal + uniform)))
        .collect();
    assert_close(&into_f64(model().hidden_means(rows(&some))), &expected, 1e-13);
}

#[test]
fn tempered_sums_are_those_of_powers_of_the_joint() {
    let some = [vec![0.4, -0.9], vec![2.9, 2.9]];
    let betas = [0.0, 0.3, 1.0];
    let found = into_f64(model().log_tempered(rows(&some), tensor(betas.repeat(2), [2, 3])));
    let at = |x: &Vec<f64>, beta: f64| -> f64 {
        parts(x).iter().map(|[normal, uniform]| (normal.powf(beta) + uniform.powf(beta)).ln()).sum()
    };
    let expected: Vec<f64> = some.iter().flat_map(|x| betas.map(|beta| at(x, beta))).collect();
    assert_close(&found, &expected, 1e-12);
}

#[test]
fn tempered_sweeps_leave_the_moments_invariant() {
    let (model, (points, weights), n) = (model(), points(), 40_000);
    for (seed, beta) in (401..).zip([0.0, 0.5, 1.0]) {
        let betas = |n: usize| tensor(vec![beta; n], [n, 1]);
        let logs = into_f64(model.log_tempered(rows(&points), betas(points.len())));
        let masses: Vec<f64> = logs.iter().zip(&weights).map(|(log, weight)| log.exp() * weight).collect();
        let start = rows(&draws_of(&points, &masses, n, seed));
        let after = model.sweep(start.clone(), Some(betas(n)), &Draws::new(Key::new(seed), n, 1));
        assert_moments(&after, &points, &masses);
        assert!(into_f64(after.clone()).iter().all(|x| (LOW..=HIGH).contains(x)));
        if beta == 1.0 {
            let plain = model.sweep(start, None, &Draws::new(Key::new(seed), n, 1));
            assert_eq!(into_f64(plain), into_f64(after));
        }
    }
}

#[test]
fn chains_begin_in_the_box() {
    let x = model().noise(&Draws::new(Key::new(410), 20_000, 1));
    assert!(into_f64(x.clone()).iter().all(|x| (LOW..=HIGH).contains(x)));
    let (points, weights) = points();
    assert_moments(&x, &points, &weights);
}

#[test]
fn gradients_are_those_of_central_differences() {
    let (model, weights) = (model(), [0.5, -0.7, 1.1]);
    let x = tensor(vec![0.3, -1.2, 2.0, 0.7, -0.1, 0.4], [3, 2]);
    let mut gradients = Gradients::new();
    let energies = model.free_energy_gradient(x.clone(), tensor(weights.to_vec(), [3]), &mut gradients);
    assert_close(&into_f64(energies), &into_f64(model.free_energy(x.clone())), 1e-13);
    let weighed = |model: &Unigauss| -> f64 {
        into_f64(model.free_energy(x.clone())).iter().zip(weights).map(|(energy, w)| energy * w).sum()
    };
    assert_close(&flat(&model, &gradients), &slopes(&model, weighed), 1e-6);
    // A contrast is the gradient at the data less that at the samples.
    let part = |first: usize, n: usize| Weighed::equally(x.clone().narrow(0, first, n));
    let found = model.contrast(part(0, 1), part(1, 2), &mut |_, _| None);
    let gap = |model: &Unigauss| -> f64 {
        let energies = into_f64(model.free_energy(x.clone()));
        energies[0] - (energies[1] + energies[2]) / 2.0
    };
    assert_close(&flat(&model, &found.gradients), &slopes(&model, gap), 1e-6);
}

#[test]
#[should_panic(expected = "experts have no connections whose units could be centred")]
fn offsets_are_refused() {
    let offsets = LayerMeans { visible: tensor(vec![0.0; 2], [2]), hidden: tensor(vec![0.0; 3], [3]) };
    let x = || Weighed::equally(tensor(vec![0.3, -1.2], [1, 2]));
    model().contrast(x(), x(), &mut |_, _| Some(offsets.clone()));
}

#[test]
fn products_without_a_box_are_refused_with_the_reason() {
    let one = |n: usize, bounds: (f64, f64)| {
        let zeros = || tensor(vec![0.0; n], [n, 1]);
        Unigauss::new(tensor(vec![0.0; n], [n]), zeros(), zeros(), bounds)
    };
    for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NEG_INFINITY, 1.0), (0.0, f64::NAN)] {
        let error = one(1, (low, high)).unwrap_err();
        assert!(matches!(error, UnigaussError::Bounds { .. }));
        let text = error.to_string();
        assert!(text.contains("the product can be normalised only between finite bounds"), "{text}");
    }
    assert_eq!(one(21, (0.0, 1.0)).unwrap().log_partition(), Err(UnigaussError::TooManyExperts(21)));
}

#[test]
fn gradients_of_the_likelihood_are_those_of_central_differences() {
    let (model, weights) = (model(), [0.5, -0.7, 1.1]);
    let batch = Batch::of(tensor(vec![0.4, -0.9, 2.9, 2.9, -1.0, 1.5], [3, 2]));
    let mut gradients = Gradients::new();
    let found = model.likelihood_gradient(&batch, tensor(weights.to_vec(), [3]), &mut gradients);
    assert_close(&into_f64(found), &into_f64(model.log_prob(&batch)), 1e-13);
    let loss = |model: &Unigauss| -> f64 {
        -into_f64(model.log_prob(&batch)).iter().zip(weights).map(|(log_p, w)| log_p * w).sum::<f64>()
    };
    assert_close(&flat(&model, &gradients), &slopes(&model, loss), 1e-6);
}

#[test]
fn samples_have_the_moments_of_quadrature() {
    let (model, (points, weights), n) = (model(), points(), 100_000);
    let (x, h) = model.sample(&Draws::new(Key::new(91), n, 1)).unwrap();
    let (x, means) = (into_f64(x), into_f64(model.visible_means(h)));
    let p = into_f64(model.log_prob(&Batch::of(rows(&points))).exp());
    for f in [|x: &[f64]| x[0], |x: &[f64]| x[1], |x: &[f64]| x[0] * x[1], |x: &[f64]| x[1] * x[1]] {
        let mean = |power: i32| -> f64 {
            points.iter().zip(p.iter().zip(&weights)).map(|(x, (p, w))| f(x).powi(power) * p * w).sum()
        };
        let (expected, se) = (mean(1), ((mean(2) - mean(1).powi(2)) / n as f64).sqrt());
        let found = x.chunks(2).map(f).sum::<f64>() / n as f64;
        // Five standard errors: a false alarm in 2 million.
        assert!((found - expected).abs() < 5.0 * se, "{found} for {expected}");
    }
    // Means given the choices have the same mean.
    for k in 0..2 {
        let of = |values: &[f64]| values.chunks(2).map(|row| row[k]).sum::<f64>() / n as f64;
        let spread = x.chunks(2).zip(means.chunks(2)).map(|(x, mean)| (x[k] - mean[k]).powi(2)).sum::<f64>();
        let se = spread.sqrt() / n as f64;
        assert!((of(&x) - of(&means)).abs() < 5.0 * se, "{} for {}", of(&x), of(&means));
    }
}
