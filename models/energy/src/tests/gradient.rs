//! Gradients, compared with finite differences and with autodiff.

use burn::module::Module;
use burn::optim::GradientsParams;
use helmholtz_core::{Batch, EnergyModel, Gradients, Tractable, map_params, visit_params};

use super::*;

/// The gradients of all parameters, concatenated.
fn flat(rbm: &Rbm, gradients: &Gradients) -> Vec<f64> {
    let mut all = Vec::new();
    visit_params(rbm, |_, param| all.extend(param.gradient(gradients).into_iter().flat_map(into_f64)));
    all
}

/// The machine with `by` added to parameter value number `place`.
fn moved(rbm: &Rbm, place: usize, by: f64) -> Rbm {
    let mut first = 0;
    map_params(rbm.clone(), |_, param| {
        let mut values = into_f64(param.values());
        let n = values.len();
        if (first..first + n).contains(&place) {
            values[place - first] += by;
        }
        first += n;
        tensor(values, [n])
    })
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
        let h = 1e-4;
        for (gradients, f) in [(of_energy, &energy as &dyn Fn(&Rbm) -> f64), (of_likelihood, &loss)] {
            let found = flat(&rbm, &gradients);
            assert_eq!(found.len(), size[0] * size[1] + size[0] + size[1]);
            let expected: Vec<f64> = (0..found.len())
                .map(|i| (f(&moved(&rbm, i, h)) - f(&moved(&rbm, i, -h))) / (2.0 * h))
                .collect();
            assert_close(&found, &expected, 1e-7);
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
