//! Conditional machines, compared with the machine for each side input and with sums over states.

use burn::module::Param;
use burn::tensor::Int;
use helmholtz_core::{
    Batch, Draws, EnergyModel, Gradients, Harmonium, LayerMeans, Tractable, Trainable, Weighed,
};

use super::gradient::{flat, moved, slopes};
use super::grid::{SITE, machine, minus_energy, points, rows};
use super::*;
use crate::ConditionalRbm;
use crate::units::Units;

/// Two side inputs, of which the last is a repeated one.
const INPUTS: [[f64; 2]; 3] = [[0.7, -1.2], [0.0, 0.5], [0.7, -1.2]];

/// Machines of every type with random parameters for two side inputs, with and without gains, and the tolerance of
/// quadrature.
fn machines() -> Vec<(ConditionalRbm, f64)> {
    let (bits, real, rectified) = (Units::Bernoulli, Units::Gaussian, Units::Rectified);
    let blocks = [
        (vec![(bits, 3)], 1e-12),
        (vec![(SITE, 3)], 1e-12),
        (vec![(real, 1)], 1e-10),
        (vec![(rectified, 1)], 1e-7),
        (vec![(real, 1), (bits, 1), (SITE, 3)], 1e-10),
    ];
    let of = |(seed, (blocks, tolerance)): (u64, (Vec<(Units, usize)>, f64))| {
        [false, true].map(|has_gains| {
            let rbm = machine(&blocks, 2, seed);
            let mut stream = Stream::new(Key::new(seed + 100));
            let mut model = ConditionalRbm::new(rbm, 2, has_gains);
            for param in [Some(&mut model.of_visible), Some(&mut model.of_hidden), model.gains.as_mut()] {
                let Some(param) = param else { continue };
                let values =
                    (0..param.val().shape().num_elements()).map(|_| stream.uniform_in(-0.5, 0.5)).collect();
                *param = Param::from_tensor(tensor(values, param.val().dims()));
            }
            (model, tolerance)
        })
    };
    (201..).zip(blocks).flat_map(of).collect()
}

/// The machine for u by the definition, in plain numbers.
fn by_definition(model: &ConditionalRbm, u: [f64; 2]) -> Rbm {
    let (d, m) = (model.observed(), model.rbm.n_hidden());
    let of = |param: &Param<Tensor<2>>, columns: usize| -> Vec<f64> {
        let values = into_f64(param.val());
        (0..columns).map(|j| u[0] * values[j] + u[1] * values[columns + j]).collect()
    };
    let add = |own: &Param<Tensor<1>>, more: Vec<f64>| -> Vec<f64> {
        into_f64(own.val()).iter().zip(more).map(|(own, more)| own + more).collect()
    };
    let gains = model.gains.as_ref().map_or(vec![0.0; m], |gains| of(gains, m));
    let weight = into_f64(model.rbm.weight.val());
    let weight = (0..d * m).map(|place| weight[place] * (1.0 + gains[place % m])).collect();
    let mut rbm = model.rbm.clone();
    rbm.weight = Param::from_tensor(tensor(weight, [d, m]));
    rbm.visible = Param::from_tensor(tensor(add(&rbm.visible, of(&model.of_visible, d)), [d]));
    rbm.hidden = Param::from_tensor(tensor(add(&rbm.hidden, of(&model.of_hidden, m)), [m]));
    rbm
}

/// A batch of points that all have the side input u.
fn batch(points: &[Vec<f64>], u: [f64; 2]) -> Batch {
    let side = tensor(u.repeat(points.len()), [points.len(), 2]);
    Batch { side: Some(side), ..Batch::of(rows(points)) }
}

/// Rows and side inputs that differ from row to row, with weights for sums of the rows.
fn mixed(model: &ConditionalRbm) -> (Batch, Vec<f64>) {
    let (points, _) = points(&model.rbm);
    let some: Vec<Vec<f64>> = points.iter().step_by(points.len() / 3 + 1).cloned().collect();
    let n = some.len();
    let side = tensor(INPUTS[..n].concat(), [n, 2]);
    (Batch { side: Some(side), ..Batch::of(rows(&some)) }, vec![0.4, -0.9, 1.3][..n].to_vec())
}

/// Derivatives for the columns of log variances that are no parameters, which are those of units that are not real.
fn without_unused(model: &ConditionalRbm, mut slopes: Vec<f64>) -> Vec<f64> {
    if model.rbm.log_variance.is_some() {
        let (d, m) = (model.observed(), model.rbm.n_hidden());
        let real = into_f64(model.rbm.real_columns());
        slopes[d * m + d + m..][..d].iter_mut().zip(real).for_each(|(slope, real)| *slope *= real);
    }
    slopes
}

#[test]
fn probabilities_given_a_side_input_are_those_of_the_definition_and_sum_to_one() {
    for (model, tolerance) in machines() {
        let (points, weights) = points(&model.rbm);
        for u in [INPUTS[0], INPUTS[1]] {
            let rbm = by_definition(&model, u);
            let mass = |v: &Vec<f64>| (0..4).map(|h| minus_energy(&rbm, v, h).exp()).sum::<f64>();
            let masses: Vec<f64> = points.iter().map(mass).collect();
            let batch = batch(&points, u);
            assert_close(&into_f64((-model.free_energy(model.rows(&batch))).exp()), &masses, 1e-11);
            let p = into_f64(model.log_prob(&batch).exp());
            let total: f64 = p.iter().zip(&weights).map(|(p, weight)| p * weight).sum();
            assert!((total - 1.0).abs() < tolerance, "{:?}: {total}", rbm.layer());
        }
    }
}

#[test]
fn each_row_has_the_law_of_the_machine_for_its_side_input() {
    let n = 60;
    for (model, _) in machines() {
        let (points, _) = points(&model.rbm);
        let some: Vec<Vec<f64>> = points.iter().cycle().step_by(7).take(n).cloned().collect();
        let inputs: Vec<[f64; 2]> = (0..n).map(|row| INPUTS[row % 2]).collect();
        let x = Tensor::cat(vec![rows(&some), tensor(inputs.concat(), [n, 2])], 1);
        let (draws, d) = (Draws::new(Key::new(210), n, 1), model.observed());
        for beta in [None, Some(0.3)] {
            let beta = beta.map(|beta| tensor(vec![beta; n], [n, 1]));
            let swept = model.sweep(x.clone(), beta.clone(), &draws);
            assert_eq!(into_f64(swept.clone().narrow(1, d, 2)), inputs.concat(), "side inputs stay");
            let betas = beta.clone().unwrap_or_else(|| tensor(vec![1.0; n], [n, 1]));
            for (first, u) in [INPUTS[0], INPUTS[1]].into_iter().enumerate() {
                let given = by_definition(&model, u);
                let of_rows = |values: Tensor<2>| {
                    let columns = values.dims()[1];
                    let each = into_f64(values);
                    each.chunks(columns).skip(first).step_by(2).flatten().copied().collect::<Vec<f64>>()
                };
                let expected = given.sweep(rows(&some), beta.clone(), &draws);
                assert_close(&of_rows(swept.clone().narrow(1, 0, d)), &of_rows(expected), 1e-9);
                let expected = given.hidden_means(rows(&some));
                assert_close(&of_rows(model.hidden_means(x.clone())), &of_rows(expected), 1e-12);
                let expected = given.log_tempered(rows(&some), betas.clone());
                assert_close(
                    &of_rows(model.log_tempered(x.clone(), betas.clone())),
                    &of_rows(expected),
                    1e-11,
                );
                // The machine that the model gives is this one.
                let given_by_model = model.given(tensor(u.to_vec(), [1, 2]));
                let [found, expected] =
                    [&given_by_model, &given].map(|rbm| into_f64(rbm.free_energy(rows(&some))));
                assert_close(&found, &expected, 1e-12);
            }
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for (model, _) in machines() {
        let (batch, weights) = mixed(&model);
        let weighed =
            |values: Tensor<1>| -> f64 { into_f64(values).iter().zip(&weights).map(|(v, w)| v * w).sum() };
        let row_weights = || tensor(weights.clone(), [weights.len()]);
        let (mut of_energy, mut of_likelihood) = (Gradients::new(), Gradients::new());
        let found = model.free_energy_gradient(model.rows(&batch), row_weights(), &mut of_energy);
        assert_close(&into_f64(found), &into_f64(model.free_energy(model.rows(&batch))), 1e-12);
        let found = model.likelihood_gradient(&batch, row_weights(), &mut of_likelihood);
        assert_close(&into_f64(found), &into_f64(model.log_prob(&batch)), 1e-12);
        let energy = |model: &ConditionalRbm| weighed(model.free_energy(model.rows(&batch)));
        let loss = |model: &ConditionalRbm| -weighed(model.log_prob(&batch));
        for (gradients, f) in
            [(of_energy, &energy as &dyn Fn(&ConditionalRbm) -> f64), (of_likelihood, &loss)]
        {
            let expected = without_unused(&model, slopes(&model, f));
            assert_close(&flat(&model, &gradients), &expected, 2e-6);
        }
    }
}

/// The model whose energy is written with offsets: `a = a' - W ν`, `b = b' - Wᵀ μ`, with the other sign for the way back.
fn with_offsets(model: &ConditionalRbm, mu: &[f64], nu: &[f64], sign: f64) -> ConditionalRbm {
    let rbm = super::units::with_offsets(&model.rbm, mu, nu, sign);
    ConditionalRbm { rbm, ..model.clone() }
}

#[test]
fn contrasts_are_steps_in_the_plain_and_in_the_centred_parameters() {
    for (model, _) in machines() {
        let (d, m) = (model.observed(), model.rbm.n_hidden());
        let (batch, _) = mixed(&model);
        let data = model.rows(&batch);
        let n = data.dims()[0];
        let samples = model.sweep(data.clone(), None, &Draws::new(Key::new(220), n, 1));
        let mean = |model: &ConditionalRbm, x: &Tensor<2>| into_f64(model.free_energy(x.clone()).mean())[0];
        let gap = |model: &ConditionalRbm| mean(model, &data) - mean(model, &samples);
        let contrast = |offsets: Option<LayerMeans>| {
            let [of_data, of_samples] = [&data, &samples].map(|x| Weighed::equally(x.clone()));
            let found = model.contrast(of_data, of_samples, &mut |_, _| offsets.clone());
            assert_close(&into_f64(found.at_data), &into_f64(model.free_energy(data.clone())), 1e-12);
            assert_close(&into_f64(found.at_samples), &into_f64(model.free_energy(samples.clone())), 1e-12);
            flat(&model, &found.gradients)
        };
        assert_close(&contrast(None), &without_unused(&model, slopes(&model, gap)), 2e-6);

        let mu: Vec<f64> = (0..d).map(|i| 0.3 + 0.2 * i as f64).collect();
        let nu: Vec<f64> = (0..m).map(|j| 0.6 - 0.1 * j as f64).collect();
        let seen = into_f64(model.rbm.seen(tensor(mu.clone(), [1, d])));
        let centred = with_offsets(&model, &seen, &nu, -1.0);
        let at = |place: usize, by: f64| gap(&with_offsets(&moved(&centred, place, by), &seen, &nu, 1.0));
        let h = 1e-4;
        let offsets = LayerMeans {
            visible: tensor([mu, vec![9.0; 2]].concat(), [d + 2]),
            hidden: tensor(nu.clone(), [m]),
        };
        let found = contrast(Some(offsets));
        let mut expected: Vec<f64> = (0..found.len()).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
        for i in 0..d {
            for j in 0..m {
                let of_weight = expected[i * m + j];
                expected[d * m + i] -= of_weight * nu[j];
                expected[d * m + d + j] -= of_weight * seen[i];
            }
        }
        // The offsets hold the seen values at fixed variances; the step of variances is the plain one.
        let first = d * m + d + m;
        let of_variances = if model.rbm.log_variance.is_some() { d } else { 0 };
        expected[first..first + of_variances].clone_from_slice(&contrast(None)[first..first + of_variances]);
        assert_close(&found, &expected, 2e-6);
    }
}

#[test]
#[should_panic(expected = "the samples of a conditional machine must have the side inputs of the data")]
fn samples_with_other_side_inputs_are_refused() {
    let (model, _) = machines().remove(0);
    let data = model.rows(&mixed(&model).0);
    let samples = model.noise(&Draws::new(Key::new(230), 3, 1));
    model.contrast(Weighed::equally(data), Weighed::equally(samples), &mut |_, _| None);
}

#[test]
fn a_new_machine_is_the_same_for_every_side_input() {
    let rbm = machine(&[(Units::Bernoulli, 3)], 2, 240);
    let model = ConditionalRbm::new(rbm.clone(), 2, true);
    let given = model.given(tensor(INPUTS[0].to_vec(), [1, 2]));
    assert_eq!(into_f64(given.free_energy(states(3))), into_f64(rbm.free_energy(states(3))));
    assert_eq!(model.side_inputs(), 2);
}

#[test]
fn classes_are_those_under_which_rows_are_likely_if_all_classes_are_equally_so() {
    for (model, _) in machines() {
        let (points, _) = points(&model.rbm);
        let some: Vec<Vec<f64>> = points.iter().step_by(points.len() / 5 + 1).cloned().collect();
        let given = |u: [f64; 2]| into_f64(by_definition(&model, u).log_prob(&Batch::of(rows(&some))).exp());
        let [first, second] = [given([1.0, 0.0]), given([0.0, 1.0])];
        let expected: Vec<f64> =
            first.iter().zip(&second).flat_map(|(a, b)| [a / (a + b), b / (a + b)]).collect();
        let found = model.log_class_probabilities(rows(&some)).unwrap().exp();
        assert_close(&into_f64(found), &expected, 1e-10);
    }
}

/// The frequencies of the states of v and h, a row for each v.
fn frequencies(v: Tensor<2>, h: Tensor<2>) -> Vec<Vec<f64>> {
    let ([n, d], [_, m]) = (v.dims(), h.dims());
    let number = |bits: &[f64]| bits.iter().rev().fold(0, |sum, bit| 2 * sum + *bit as usize);
    let mut counts = vec![vec![0.0; 1 << m]; 1 << d];
    for (v, h) in into_f64(v).chunks(d).zip(into_f64(h).chunks(m)) {
        counts[number(v)][number(h)] += 1.0 / n as f64;
    }
    counts
}

#[test]
fn samples_have_the_law_of_the_machine_for_their_side_input() {
    let n = 40_000;
    // A false alarm of one of 72 frequencies is a matter of 5 standard errors: 4 in 100 000.
    let assert_near = |found: Vec<Vec<f64>>, expected: Vec<Vec<f64>>, n: usize| {
        for (found, p) in found.concat().into_iter().zip(expected.concat()) {
            let se = (p * (1.0 - p) / n as f64).sqrt();
            assert!((found - p).abs() < 5.0 * se, "{found} for {p}");
        }
    };
    // The sum runs over the smaller layer, which is the hidden one of the first machine.
    for (size, seed) in [([3, 2], 250), ([2, 3], 251)] {
        let rbm = super::rbm(size, seed);
        let (v, h) = rbm.sample(&Draws::new(Key::new(seed), n, 1)).unwrap();
        assert_near(frequencies(v, h), joint(&rbm), n);
    }
    let (model, _) = machines().swap_remove(1);
    let inputs: Vec<[f64; 2]> = (0..n).map(|row| INPUTS[row % 2]).collect();
    let draws = Draws::new(Key::new(252), n, 1);
    let (v, h) = model.sample(tensor(inputs.concat(), [n, 2]), &draws).unwrap();
    for (first, u) in [INPUTS[0], INPUTS[1]].into_iter().enumerate() {
        let places: Vec<i64> = (first as i64..n as i64).step_by(2).collect();
        let places = Tensor::<1, Int>::from_data(places.as_slice(), &Device::flex());
        let of_rows = |values: &Tensor<2>| values.clone().select(0, places.clone());
        assert_near(frequencies(of_rows(&v), of_rows(&h)), joint(&by_definition(&model, u)), n / 2);
    }
    // The means are those of the machine for each row's side input.
    let means = model.visible_means(h.clone().narrow(0, 0, 4), tensor(INPUTS[0].repeat(4), [4, 2]));
    let expected = by_definition(&model, INPUTS[0]).visible_means(h.narrow(0, 0, 4));
    assert_close(&into_f64(means), &into_f64(expected), 1e-12);
}
