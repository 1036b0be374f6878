//! Machines with other visible units, compared with sums over states and with quadrature.

use std::f64::consts::PI;

use burn::module::Param;
use helmholtz_core::{
    AnnealingPath, Batch, Draws, EnergyModel, Gradients, Harmonium, InverseTemperature, Kernel, LayerMeans,
    ReversiblePath, Tractable, Trainable, Weighed,
};

use super::gradient::{flat, moved};
use super::grid::{SITE, assert_moments, draws_of, machine, machines, minus_energy, points, rows};
use super::*;
use crate::units::{Block, Layer, LayerError, Units};
use crate::{FromIndependent, RbmConfig, RowMoments};

#[test]
fn probabilities_are_those_of_the_energy_and_sum_to_one() {
    for (rbm, tolerance) in machines() {
        let (points, weights) = points(&rbm);
        let hs = 0..1usize << rbm.n_hidden();
        let mass = |v: &Vec<f64>| hs.clone().map(|h| minus_energy(&rbm, v, h).exp()).sum::<f64>();
        let masses: Vec<f64> = points.iter().map(mass).collect();
        let log_z = masses.iter().zip(&weights).map(|(mass, weight)| mass * weight).sum::<f64>().ln();
        let found = rbm.log_partition().unwrap();
        assert!((found - log_z).abs() < tolerance, "{:?}: {found} for {log_z}", rbm.layer());
        let x = rows(&points);
        assert_close(&into_f64((-rbm.free_energy(x.clone())).exp()), &masses, 1e-11);
        let p = into_f64(rbm.log_prob(&Batch::of(x)).exp());
        let total: f64 = p.iter().zip(&weights).map(|(p, weight)| p * weight).sum();
        assert!((total - 1.0).abs() < tolerance, "{:?}: {total}", rbm.layer());
    }
}

#[test]
fn conditionals_are_those_of_the_joint() {
    for (rbm, tolerance) in machines() {
        let (points, weights) = points(&rbm);
        let (d, m) = (rbm.observed(), rbm.n_hidden());
        let joint = |v: &[f64], h: usize| minus_energy(&rbm, v, h).exp();
        let hs = || 0..1usize << m;
        let some: Vec<Vec<f64>> = points.iter().step_by(points.len() / 3 + 1).cloned().collect();
        let hidden: Vec<f64> = some
            .iter()
            .flat_map(|v| {
                let total: f64 = hs().map(|h| joint(v, h)).sum();
                let mean =
                    move |j: usize| hs().map(|h| joint(v, h) * (h >> j & 1) as f64).sum::<f64>() / total;
                (0..m).map(mean).collect::<Vec<f64>>()
            })
            .collect();
        assert_close(&into_f64(rbm.hidden_means(rows(&some))), &hidden, 1e-12);
        for h in hs() {
            let masses: Vec<f64> =
                points.iter().zip(&weights).map(|(v, weight)| joint(v, h) * weight).collect();
            let total: f64 = masses.iter().sum();
            let mean = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
                let of = |i: usize| points.iter().zip(&masses).map(|(v, mass)| f(v[i]) * mass).sum::<f64>();
                (0..d).map(|i| of(i) / total).collect()
            };
            let h = states(m).narrow(0, h, 1);
            assert_close(&into_f64(rbm.visible_means(h.clone())), &mean(&|v| v), tolerance);
            let law = rbm.given_field(h.matmul(rbm.weight.val().transpose()));
            assert_close(&into_f64(rbm.layer().mean_squares(&law)), &mean(&|v| v * v), tolerance);
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for (rbm, _) in machines() {
        let (points, _) = points(&rbm);
        let some: Vec<Vec<f64>> = points.iter().step_by(points.len() / 5 + 1).cloned().collect();
        let weights: Vec<f64> = [0.3, 0.5, -0.7, 0.9, 1.1][..some.len()].to_vec();
        let weighed =
            |values: Tensor<1>| -> f64 { into_f64(values).iter().zip(&weights).map(|(v, w)| v * w).sum() };
        let row_weights = || tensor(weights.clone(), [weights.len()]);
        let (mut of_energy, mut of_likelihood) = (Gradients::new(), Gradients::new());
        let x = rows(&some);
        let found = rbm.free_energy_gradient(x.clone(), row_weights(), &mut of_energy);
        assert_close(&into_f64(found), &into_f64(rbm.free_energy(x.clone())), 1e-12);
        let batch = Batch::of(x.clone());
        rbm.likelihood_gradient(&batch, row_weights(), &mut of_likelihood);
        let energy = |rbm: &Rbm| weighed(rbm.free_energy(x.clone()));
        let loss = |rbm: &Rbm| -weighed(rbm.log_prob(&batch));
        let h = 1e-4;
        for (gradients, f) in [(of_energy, &energy as &dyn Fn(&Rbm) -> f64), (of_likelihood, &loss)] {
            let found = flat(&rbm, &gradients);
            let real = into_f64(rbm.real_columns());
            // log_variance comes last; only the columns of real units are parameters.
            let is_parameter = |i: usize| {
                let first = found.len() - real.len();
                rbm.log_variance.is_none() || i < first || real[i - first] == 1.0
            };
            let slope = |i: usize| {
                if is_parameter(i) {
                    (f(&moved(&rbm, i, h)) - f(&moved(&rbm, i, -h))) / (2.0 * h)
                } else {
                    0.0
                }
            };
            let expected: Vec<f64> = (0..found.len()).map(slope).collect();
            assert_close(&found, &expected, 2e-6);
        }
    }
}

/// The parameters W, a, b of a machine whose energy is written with offsets, of which the connections see μ: `a = a' -
/// W ν`, `b = b' - Wᵀ μ`.
pub(super) fn with_offsets(rbm: &Rbm, mu: &[f64], nu: &[f64], sign: f64) -> Rbm {
    let [d, m] = rbm.weight.val().dims();
    let w = rbm.weight.val();
    let mut moved = rbm.clone();
    let of_visible = w.clone().matmul(tensor(nu.to_vec(), [m, 1])).squeeze_dim::<1>(1) * sign;
    let of_hidden = tensor(mu.to_vec(), [1, d]).matmul(w).squeeze_dim::<1>(0) * sign;
    moved.visible = Param::initialized(rbm.visible.id, rbm.visible.val() - of_visible);
    moved.hidden = Param::initialized(rbm.hidden.id, rbm.hidden.val() - of_hidden);
    moved
}

#[test]
fn the_centred_contrast_is_a_step_in_the_centred_parameters() {
    for (rbm, _) in machines() {
        let [d, m] = rbm.weight.val().dims();
        let (points, _) = points(&rbm);
        let every = |step: usize, first: usize| -> Vec<Vec<f64>> {
            points.iter().skip(first).step_by(step).cloned().collect()
        };
        let (data, samples) = (every(points.len() / 3 + 1, 0), every(points.len() / 4 + 1, 1));
        let mu: Vec<f64> = (0..d).map(|i| 0.3 + 0.2 * i as f64).collect();
        let nu: Vec<f64> = (0..m).map(|j| 0.6 - 0.1 * j as f64).collect();
        let seen = into_f64(rbm.seen(tensor(mu.clone(), [1, d])));
        let mean = |rbm: &Rbm, of: &[Vec<f64>]| into_f64(rbm.free_energy(rows(of)).mean())[0];
        // The machine at centred parameters that are moved by a small number.
        let centred = with_offsets(&rbm, &seen, &nu, -1.0);
        let at = |place: usize, by: f64| {
            let moved = with_offsets(&moved(&centred, place, by), &seen, &nu, 1.0);
            mean(&moved, &data) - mean(&moved, &samples)
        };
        let offsets = LayerMeans { visible: tensor(mu, [d]), hidden: tensor(nu.clone(), [m]) };
        let [of_data, of_samples] = [&data, &samples].map(|of| Weighed::equally(rows(of)));
        let found = rbm.contrast(of_data, of_samples, &mut |_, _| Some(offsets.clone()));
        let found = flat(&rbm, &found.gradients);
        let (h, real) = (1e-4, into_f64(rbm.real_columns()));
        let slopes: Vec<f64> = (0..found.len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
        // A step of the centred parameters, in terms of the plain ones.
        let (of_weight, rest) = slopes.split_at(d * m);
        let mut expected = slopes.clone();
        for i in 0..d {
            for j in 0..m {
                expected[d * m + i] -= of_weight[i * m + j] * nu[j];
                expected[d * m + d + j] -= of_weight[i * m + j] * seen[i];
            }
        }
        for (i, slope) in rest.iter().skip(d + m).enumerate() {
            expected[d * m + d + m + i] = slope * real[i];
        }
        assert_close(&found, &expected, 2e-6);
    }
}

#[test]
fn tempered_laws_are_those_of_the_tempered_energy() {
    for (rbm, _) in machines() {
        let (points, _) = points(&rbm);
        let some: Vec<Vec<f64>> = points.iter().step_by(points.len() / 4 + 1).cloned().collect();
        let n = some.len();
        let betas = [0.0, 0.3, 1.0];
        let found = into_f64(rbm.log_tempered(rows(&some), tensor(betas.repeat(n), [n, 3])));
        // The own energies of real units are not tempered.
        let real = |v: &[f64]| {
            into_f64(rbm.own(tensor(v.to_vec(), [1, v.len()])).1.unwrap_or_else(|| tensor(vec![0.0], [1])))[0]
        };
        let at = |v: &Vec<f64>, beta: f64| {
            let tempered = |h: usize| (beta * (minus_energy(&rbm, v, h) - real(v))).exp();
            (0..1usize << rbm.n_hidden()).map(tempered).sum::<f64>().ln() + real(v)
        };
        let expected: Vec<f64> = some.iter().flat_map(|v| betas.map(|beta| at(v, beta))).collect();
        assert_close(&found, &expected, 1e-11);
    }
}

#[test]
fn a_sweep_leaves_the_law_of_categories_invariant() {
    for (rbm, _) in machines().into_iter().filter(|(rbm, _)| !rbm.layer().has_real()) {
        let law = rbm.log_prob(&Batch::of(rbm.visible_states())).exp();
        assert_close(&into_f64(rbm.law_after(law.clone(), 1)), &into_f64(law), 1e-12);
        // Chains that begin at one state have the law of its transitions.
        let (states, n) = (rbm.visible_states(), 20_000);
        let first = states.clone().narrow(0, 0, 1);
        let mut begin = vec![0.0; states.dims()[0]];
        begin[0] = 1.0;
        let expected = into_f64(rbm.law_after(tensor(begin, [states.dims()[0]]), 1));
        let after = rbm.sweep(first.repeat_dim(0, n), None, &Draws::new(Key::new(41), n, 1));
        let (after, columns) = (into_f64(after), rbm.observed());
        let all = into_f64(states);
        let mut chi_squared = 0.0;
        for (state, p) in all.chunks(columns).zip(&expected) {
            let count = after.chunks(columns).filter(|row| *row == state).count() as f64;
            let mean = p * n as f64;
            chi_squared += (count - mean).powi(2) / mean;
        }
        // Twelve states at most: above 50 once in a million.
        assert!(chi_squared < 50.0, "{:?}: {chi_squared}", rbm.layer());
    }
}

#[test]
fn tempered_sweeps_of_real_units_leave_their_moments_invariant() {
    let n = 40_000;
    for (seed, (rbm, _)) in (51..).zip(machines()).filter(|(_, (rbm, _))| rbm.layer().has_real()) {
        let (points, weights) = points(&rbm);
        let x = rows(&points);
        for beta in [0.5, 1.0] {
            // Exact chains: a point of the grid by its probability, then sweeps.
            let ones = tensor(vec![beta; points.len()], [points.len(), 1]);
            let masses: Vec<f64> = into_f64(rbm.log_tempered(x.clone(), ones))
                .iter()
                .zip(&weights)
                .map(|(log, weight)| log.exp() * weight)
                .collect();
            let start = rows(&draws_of(&points, &masses, n, seed));
            let betas = tensor(vec![beta; n], [n, 1]);
            let after = rbm.sweep(start, Some(betas), &Draws::new(Key::new(seed), n, 1));
            assert_moments(&after, &points, &masses);
        }
    }
}

#[test]
fn paths_begin_at_their_first_law_and_end_at_the_machine() {
    for (rbm, tolerance) in machines() {
        let (points, weights) = points(&rbm);
        let d = rbm.observed();
        let (mean, variance) = (vec![0.3; d], vec![1.7; d]);
        let data = RowMoments { mean: &mean, variance: &variance, rows: 50 };
        for path in [FromIndependent::uniform(&rbm), FromIndependent::of_data(&rbm, data, 1.0)] {
            let state = path.at(rows(&points));
            let log_end = into_f64(path.log_end(&state));
            assert_close(&log_end, &into_f64(-rbm.free_energy(rows(&points))), 1e-11);
            // Z_0 from the ratio to the end.
            let ratio = into_f64(path.log_ratio(&state, 0.0, 1.0));
            let base: f64 = (0..points.len()).map(|i| (log_end[i] - ratio[i]).exp() * weights[i]).sum();
            let log_base = path.log_base();
            assert!((base.ln() - log_base).abs() < 10.0 * tolerance, "{:?}: {log_base}", rbm.layer());
            let halves: Vec<f64> = into_f64(path.log_ratio(&state, 0.0, 0.4))
                .iter()
                .zip(into_f64(path.log_ratio(&state, 0.4, 1.0)))
                .map(|(one, other)| one + other)
                .collect();
            assert_close(&halves, &ratio, 1e-10);
        }
    }
}

#[test]
fn moves_of_a_path_leave_its_law_invariant() {
    let n = 40_000;
    let blocks = [(Units::Gaussian, 1), (Units::Rectified, 1), (SITE, 3)];
    let rbm = machine(&blocks, 2, 61);
    let (points, weights) = points(&rbm);
    let (mean, variance) = (vec![0.4; 5], vec![3.0; 5]);
    let path = FromIndependent::of_data(&rbm, RowMoments { mean: &mean, variance: &variance, rows: 50 }, 1.0);
    let state = path.at(rows(&points));
    let at = 0.6;
    // log f_at = log f_1 - (log f_1 - log f_at).
    let masses: Vec<f64> = into_f64(path.log_end(&state) - path.log_ratio(&state, at, 1.0))
        .iter()
        .zip(&weights)
        .map(|(log, weight)| log.exp() * weight)
        .collect();
    let start = rows(&draws_of(&points, &masses, n, 62));
    let at = InverseTemperature::Same(at);
    let after = path.step(path.at(start), &at, &Draws::new(Key::new(63), n, 1)).0.v;
    assert_moments(&after, &points, &masses);
}

#[test]
fn a_gaussian_machine_is_the_mixture_of_its_hidden_states() {
    // With one unit and one hidden unit: weights 1 and exp(b + ((a + w)² - a²) / 2s²), both with the factor √(2π) s.
    let mut rbm = machine(&[(Units::Gaussian, 1)], 1, 71);
    let set = |value: f64| Param::from_tensor(tensor(vec![value], [1]));
    (rbm.visible, rbm.hidden, rbm.log_variance) = (set(0.7), set(-0.4), Some(set(2.0f64.ln())));
    rbm.weight = Param::from_tensor(tensor(vec![1.5], [1, 1]));
    let second = (-0.4f64 + (2.2f64.powi(2) - 0.7f64.powi(2)) / 4.0).exp();
    let log_z = (1.0 + second).ln() + 0.5 * (4.0 * PI).ln();
    assert!((rbm.log_partition().unwrap() - log_z).abs() < 1e-14);
}

#[test]
fn values_outside_the_support_are_told_from_those_inside() {
    let layer = |units, columns| Layer::of(units, columns).unwrap();
    for (layer, good, bad) in [
        (layer(Units::Bernoulli, 2), [1.0, 0.0].to_vec(), [0.5, 0.0].to_vec()),
        (layer(SITE, 3), [0.0, 1.0, 0.0].to_vec(), [0.0, 1.0, 1.0].to_vec()),
        (layer(SITE, 3), [1.0, 0.0, 0.0].to_vec(), [0.0, 0.0, 0.0].to_vec()),
        (layer(Units::Gaussian, 1), [-3.0].to_vec(), [f32::NAN].to_vec()),
        (layer(Units::Rectified, 1), [3.0].to_vec(), [-1e-6].to_vec()),
    ] {
        assert!(layer.supports(&good) && !layer.supports(&bad), "{layer:?}");
        assert!(!layer.supports(&[&good[..], &[0.0]].concat()), "a value too many");
    }
}

#[test]
fn layers_that_are_none_are_refused() {
    assert_eq!(Layer::of(Units::Bernoulli, 0), Err(LayerError::Empty));
    assert_eq!(Layer::of(Units::Softmax { categories: 1 }, 3), Err(LayerError::Categories(1)));
    assert_eq!(Layer::of(SITE, 4), Err(LayerError::Columns { columns: 4, categories: 3 }));
    let config = RbmConfig::of(vec![Block { units: SITE, columns: 4 }], 2);
    let error = config.init(None, Key::new(0), &Device::flex()).unwrap_err().to_string();
    assert_eq!(error, "4 columns are not a whole number of units with 3 categories each");
}

#[test]
fn a_new_machine_has_the_means_of_the_data() {
    let blocks = [(Units::Gaussian, 1), (SITE, 3), (Units::Bernoulli, 1)];
    let blocks = blocks.map(|(units, columns)| Block { units, columns }).to_vec();
    let mean = [2.5, 0.2, 0.5, 0.3, 0.7];
    let rbm = RbmConfig::of(blocks, 2).init(Some(&mean), Key::new(0), &Device::flex()).unwrap();
    let found = into_f64(rbm.visible_means(Tensor::zeros([1, 2], &Device::flex())));
    for (found, expected) in found.into_iter().zip(mean) {
        assert!((found - expected).abs() < 1e-6, "{found}");
    }
}

#[test]
fn a_hidden_unit_of_a_new_machine_has_its_odds() {
    for units in [Units::Gaussian, Units::Rectified, SITE, Units::Bernoulli] {
        let blocks = vec![Block { units, columns: 3 }];
        let config = RbmConfig { spread: 0.7, odds: Some(0.2), ..RbmConfig::of(blocks, 2) };
        let rbm = config.init(Some(&[0.3, 0.4, 0.3]), Key::new(72), &Device::flex()).unwrap();
        // All other units are held off.
        let with_only = |on: &[usize]| {
            let hidden = into_f64(rbm.hidden.val());
            let hidden: Vec<f32> =
                (0..2).map(|j| if on.contains(&j) { hidden[j] as f32 } else { -1e4 }).collect();
            let mut held = rbm.clone();
            held.hidden = Param::from_tensor(Tensor::from_floats(hidden.as_slice(), &Device::flex()));
            held.log_partition().unwrap()
        };
        for j in 0..2 {
            // Z of unit j free over Z of all off is 1 + odds.
            let odds = (with_only(&[j]) - with_only(&[])).exp() - 1.0;
            assert!((odds - 0.2).abs() < 1e-4, "{units:?}: {odds}");
        }
    }
}
