//! Gradients, compared with finite differences and with autodiff.

use burn::module::Module;
use burn::optim::GradientsParams;
use helmholtz_core::{
    Batch, EnergyModel, Gradients, Harmonium, LayerMeans, Tractable, Trainable, Weighed, map_params,
    visit_params,
};

use super::*;

/// The gradients of all parameters, concatenated.
pub(super) fn flat<M: Trainable>(model: &M, gradients: &Gradients) -> Vec<f64> {
    let mut all = Vec::new();
    visit_params(model, |_, param| all.extend(param.gradient(gradients).into_iter().flat_map(into_f64)));
    all
}

/// The model with `by` added to parameter value number `place`.
pub(super) fn moved<M: Trainable>(model: &M, place: usize, by: f64) -> M {
    let mut first = 0;
    map_params(model.clone(), |_, param| {
        let mut values = into_f64(param.values());
        let n = values.len();
        if (first..first + n).contains(&place) {
            values[place - first] += by;
        }
        first += n;
        tensor(values, [n])
    })
}

/// The derivatives of a function in all parameters, by central differences.
pub(super) fn slopes<M: Trainable>(model: &M, f: impl Fn(&M) -> f64) -> Vec<f64> {
    let (h, mut n) = (1e-4, 0);
    visit_params(model, |_, param| n += param.values().dims()[0]);
    (0..n).map(|i| (f(&moved(model, i, h)) - f(&moved(model, i, -h))) / (2.0 * h)).collect()
}

/// Rows of bits with weights, one of them negative.
fn rows(d: usize) -> (Tensor<2>, Vec<f64>) {
    let x = states(d).narrow(0, 1, 7);
    (x, vec![0.3, 0.5, -0.7, 0.9, 1.1, 1.3, 1.5])
}

#[test]
fn gradients_are_those_of_central_differences() {
    for (seed, size) in (11..).zip([[5, 3], [3, 5]]) {
        let (rbm, (x, weights)) = (rbm(size, seed), rows(size[0]));
        let weighed =
            |values: Tensor<1>| -> f64 { into_f64(values).iter().zip(&weights).map(|(v, w)| v * w).sum() };
        let tensor_of_weights = || tensor(weights.clone(), [7]);
        let (mut of_energy, mut of_likelihood) = (Gradients::new(), Gradients::new());
        rbm.free_energy_gradient(x.clone(), tensor_of_weights(), &mut of_energy);
        let batch = Batch::of(x.clone());
        let log_prob = rbm.likelihood_gradient(&batch, tensor_of_weights(), &mut of_likelihood);
        assert_close(&into_f64(log_prob), &into_f64(rbm.log_prob(&batch)), 1e-13);
        let energy = |rbm: &Rbm| weighed(rbm.free_energy(x.clone()));
        let loss = |rbm: &Rbm| -weighed(rbm.log_prob(&batch));
        // The error of differences with step h is h² plus rounding / h: 1e-8 and 1e-10 of a few nats.
        for (gradients, f) in [(of_energy, &energy as &dyn Fn(&Rbm) -> f64), (of_likelihood, &loss)] {
            let found = flat(&rbm, &gradients);
            assert_eq!(found.len(), size[0] * size[1] + size[0] + size[1]);
            assert_close(&found, &slopes(&rbm, f), 1e-7);
        }
    }
}

#[test]
fn the_gradient_of_the_free_energy_is_that_of_autodiff() {
    let (rbm, (x, weights)) = (rbm([6, 4], 13), rows(6));
    let mut found = Gradients::new();
    rbm.free_energy_gradient(x.clone(), tensor(weights.clone(), [7]), &mut found);
    let taped = rbm.clone().train();
    let loss = (taped.free_energy(x.autodiff()) * tensor(weights, [7]).autodiff()).sum();
    let expected: Gradients = GradientsParams::from_grads(loss.backward(), &taped).into();
    assert_close(&flat(&rbm, &found), &flat(&rbm, &expected), 1e-13);
}

#[test]
fn the_free_energy_is_differentiable_in_the_visible_units() {
    let rbm = rbm([4, 3], 14);
    // Means in the place of bits.
    let x = vec![0.2, 0.9, 0.4, 0.7];
    let taped = tensor(x.clone(), [1, 4]).autodiff().require_grad();
    let gradients = rbm.clone().train().free_energy(taped.clone()).sum().backward();
    let found = into_f64(taped.grad(&gradients).unwrap());
    let h = 1e-5;
    let at = |i: usize, by: f64| {
        let mut x = x.clone();
        x[i] += by;
        into_f64(rbm.free_energy(tensor(x, [1, 4])))[0]
    };
    let expected: Vec<f64> = (0..4).map(|i| (at(i, h) - at(i, -h)) / (2.0 * h)).collect();
    assert_close(&found, &expected, 1e-8);
}

fn some_states(rbm: &Rbm, places: &[usize]) -> Tensor<2> {
    let all = states(rbm.weight.val().dims()[0]);
    Tensor::cat(places.iter().map(|place| all.clone().narrow(0, *place, 1)).collect(), 0)
}

/// A machine by its parameters: W row by row, a, b.
fn of_values([d, m]: [usize; 2], values: &[f64]) -> Rbm {
    let weight = tensor(values[..d * m].to_vec(), [d, m]);
    let visible = tensor(values[d * m..][..d].to_vec(), [d]);
    Rbm::of_bits(weight, visible, tensor(values[d * m + d..].to_vec(), [m]))
}

fn values_of(rbm: &Rbm) -> Vec<f64> {
    [into_f64(rbm.weight.val()), into_f64(rbm.visible.val()), into_f64(rbm.hidden.val())].concat()
}

/// The parameters W, a, b of a machine whose energy is written with offsets: `a = a' - W ν`, `b = b' - Wᵀ μ`.
fn plain([d, m]: [usize; 2], centred: &[f64], mu: &[f64], nu: &[f64]) -> Vec<f64> {
    let mut plain = centred.to_vec();
    for i in 0..d {
        for j in 0..m {
            plain[d * m + i] -= centred[i * m + j] * nu[j];
            plain[d * m + d + j] -= centred[i * m + j] * mu[i];
        }
    }
    plain
}

#[test]
fn the_centred_contrast_is_a_step_in_the_centred_parameters() {
    let size = [4, 3];
    let (rbm, mu, nu) = (rbm(size, 15), [0.2, 0.7, 0.5, 0.1], [0.6, 0.3, 0.8]);
    let (data, samples) = ([1, 4, 11], [3, 14, 15, 2]);
    let loss = |values: &[f64]| {
        let rbm = of_values(size, values);
        let mean = |places: &[usize]| into_f64(rbm.free_energy(some_states(&rbm, places)).mean())[0];
        mean(&data) - mean(&samples)
    };
    // a' = a + W ν and b' = b + Wᵀ μ.
    let negated = |values: &[f64]| values.iter().map(|value| -value).collect::<Vec<f64>>();
    let centred = plain(size, &values_of(&rbm), &negated(&mu), &negated(&nu));
    assert_close(&plain(size, &centred, &mu, &nu), &values_of(&rbm), 1e-13);
    let (h, rate) = (1e-5, 0.1);
    let slopes: Vec<f64> = (0..centred.len())
        .map(|place| {
            let at = |by: f64| {
                let mut moved = centred.clone();
                moved[place] += by;
                loss(&plain(size, &moved, &mu, &nu))
            };
            (at(h) - at(-h)) / (2.0 * h)
        })
        .collect();
    let stepped: Vec<f64> = centred.iter().zip(slopes).map(|(value, slope)| value - rate * slope).collect();
    let expected = plain(size, &stepped, &mu, &nu);

    let offsets = LayerMeans { visible: tensor(mu.to_vec(), [4]), hidden: tensor(nu.to_vec(), [3]) };
    let of = |places: &[usize]| Weighed::equally(some_states(&rbm, places));
    let contrast = rbm.contrast(of(&data), of(&samples), &mut |_, _| Some(offsets.clone()));
    let energies = into_f64(rbm.free_energy(some_states(&rbm, &samples)));
    assert_close(&into_f64(contrast.at_samples), &energies, 1e-13);
    let gradients = contrast.gradients;
    let found: Vec<f64> = [
        into_f64(gradients.get::<2>(rbm.weight.id).unwrap()),
        into_f64(gradients.get::<1>(rbm.visible.id).unwrap()),
        into_f64(gradients.get::<1>(rbm.hidden.id).unwrap()),
    ]
    .concat();
    let found: Vec<f64> =
        values_of(&rbm).iter().zip(found).map(|(value, slope)| value - rate * slope).collect();
    assert_close(&found, &expected, 1e-9);
}

#[test]
fn the_centred_step_does_not_depend_on_which_state_of_a_pixel_is_called_one() {
    let size = [3, 2];
    let rbm = rbm(size, 16);
    // Inverting pixel 1 gives the machine W₁ → -W₁, a₁ → -a₁, b → b + W₁, which has the same law on inverted rows.
    let invert = |values: &[f64]| -> Vec<f64> {
        let mut values = values.to_vec();
        for j in 0..2 {
            values[9 + j] += values[2 + j];
            values[2 + j] *= -1.0;
        }
        values[7] *= -1.0;
        values
    };
    let step = |rbm: &Rbm, flip: usize, is_centred: bool| -> Vec<f64> {
        let flipped = |places: [usize; 3]| places.map(|place| place ^ flip);
        let [data, samples] =
            [[1, 4, 7], [0, 6, 2]].map(|places| Weighed::equally(some_states(rbm, &flipped(places))));
        let gradients = rbm.contrast(data, samples, &mut |data, _| is_centred.then_some(data)).gradients;
        let slopes = flat(rbm, &gradients);
        values_of(rbm).iter().zip(slopes).map(|(value, slope)| value - 0.3 * slope).collect()
    };
    let inverted = of_values(size, &invert(&values_of(&rbm)));
    assert_close(&step(&inverted, 0b010, true), &invert(&step(&rbm, 0, true)), 1e-13);
    let (one, other) = (step(&inverted, 0b010, false), invert(&step(&rbm, 0, false)));
    assert!(one.iter().zip(other).any(|(a, b)| (a - b).abs() > 1e-3), "the plain step depends on it");
}

#[test]
fn training_anew_from_noise_ends_where_chains_of_that_length_have_the_moments_of_the_data() {
    let (mut rbm, sweeps) = (rbm([3, 2], 17), 2);
    let data = [0, 0, 1, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 7, 7, 7];
    let contrast = |rbm: &Rbm, law: Tensor<1>| {
        let data = Weighed::equally(some_states(rbm, &data));
        let found = rbm.contrast(data, Weighed { x: states(3), weights: law }, &mut |_, _| None);
        flat(rbm, &found.gradients)
    };
    let chains = |rbm: &Rbm| rbm.law_after(tensor(vec![0.125; 8], [8]), sweeps);
    for _ in 0..20_000 {
        let slopes = contrast(&rbm, chains(&rbm));
        let values: Vec<f64> = values_of(&rbm).iter().zip(slopes).map(|(v, slope)| v - 0.5 * slope).collect();
        rbm = of_values([3, 2], &values);
    }
    let gap = |law: Tensor<1>| {
        let slopes = contrast(&rbm, law);
        slopes.iter().map(|slope| slope.abs()).fold(0.0, f64::max)
    };
    let equilibrium: Vec<f64> = joint(&rbm).iter().map(|row| row.iter().sum()).collect();
    assert!(gap(chains(&rbm)) < 1e-6, "{}", gap(chains(&rbm)));
    assert!(gap(tensor(equilibrium.clone(), [8])) > 1e-3, "{}", gap(tensor(equilibrium, [8])));
}
