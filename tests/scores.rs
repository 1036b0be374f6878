//! The exact expectation of score-function updates, without noise: see [`helmholtz_tests::case`].

use burn::tensor::Tensor;
use helmholtz_core::{Key, Strategy, map_params};
use helmholtz_noise::Stream;
use helmholtz_strategies::{Nvil, Reinforce, TooFewSamples, Vimco};
use helmholtz_tests::case::{Case, X, cases, phi, theta};
use helmholtz_tests::{Named, add_scaled, device, distance, named};

#[test]
fn reinforce_is_the_gradient_of_the_elbo() {
    let refused = TooFewSamples { strategy: "reinforce", samples: 1 };
    assert_eq!(Reinforce::new(1).unwrap_err(), refused);
    for (name, case) in cases() {
        for k in [2, 3] {
            let expected = case.expected(k, |model, x, proposals, into| {
                Reinforce::new(k).unwrap().update(model, x, proposals, into);
            });
            let reference = case.reference(|log_p, log_q| Case::elbo(log_p, log_q).neg());
            let deviation = distance(&expected, &reference);
            assert!(deviation < 1e-10, "{name}, K = {k}: {deviation:e}");
        }
    }
}

#[test]
fn vimco_is_the_gradient_of_the_k_sample_bound_in_both_nets() {
    assert_eq!(Vimco::new(0).unwrap_err(), TooFewSamples { strategy: "vimco", samples: 0 });
    for (name, case) in cases() {
        for k in [2, 3, 4] {
            let expected = case.expected(k, |model, x, proposals, into| {
                Vimco::new(k).unwrap().update(model, x, proposals, into);
            });
            let reference = case.reference(|log_p, log_q| Case::bound_under_q(k, log_p, log_q).neg());
            let deviation = distance(&expected, &reference);
            assert!(deviation < 1e-9, "{name}, K = {k}: {deviation:e}");
        }
    }
}

/// NVIL for the model of a case, with arbitrary baselines that are not zero.
fn nvil(case: &Case, k: usize, variance: f64) -> Nvil {
    let sizes = [&[X.len()], case.model.latent_sizes().as_slice()].concat();
    let centres: Vec<f64> = (1..sizes.len()).map(|i| 0.7 - i as f64).collect();
    let mut stream = Stream::new(Key::new(9));
    let at_random = map_params(Nvil::new(k, &sizes, Key::new(8), &device()), |_, param| {
        let n = param.shape().num_elements();
        let values: Vec<f32> = (0..n).map(|_| stream.uniform_in(-0.5, 0.5) as f32).collect();
        Tensor::from_data(values.as_slice(), (&device(), param.values().dtype()))
    });
    at_random.with_state(&centres, variance)
}

#[test]
fn nvil_is_the_gradient_of_the_elbo_whatever_its_baselines() {
    for (name, case) in cases() {
        for (k, variance) in [(1, 0.5), (2, 9.0)] {
            let mut strategy = nvil(&case, k, variance);
            for normalise in [false, true] {
                strategy.normalise = normalise;
                let expected = case.expected(k, |model, x, proposals, into| {
                    strategy.update(model, x, proposals, into);
                });
                let reference = case.reference(|log_p, log_q| Case::elbo(log_p, log_q).neg());
                let deviation = distance(&theta(&expected), &theta(&reference));
                assert!(deviation < 1e-10, "{name}, K = {k}: {deviation:e}");
                // Signals are divided by max(1, s).
                let mut scaled = Named::new();
                let share = if normalise && variance > 1.0 { variance.sqrt().recip() } else { 1.0 };
                add_scaled(&mut scaled, &phi(&reference), share);
                let deviation = distance(&phi(&expected), &scaled);
                assert!(deviation < 1e-10, "{name}, K = {k}, {normalise}: {deviation:e}");
            }
        }
    }
}

#[test]
fn nvil_uses_what_earlier_batches_taught_it_and_learns_from_each() {
    let case = Case::new(&[2, 1], 0.0);
    let strategy = nvil(&case, 4, 1.0);
    let before = strategy.state();
    let estimate = |strategy: &Nvil| {
        named(&case.model, &strategy.estimate(&case.model, &case.x.clone().into(), Key::new(3)).gradients)
    };
    let first = estimate(&strategy);
    let after = strategy.state();
    assert!(before.0.iter().zip(&after.0).all(|(a, b)| a != b) && before.1 != after.1);
    assert_ne!(first, estimate(&strategy), "the state has moved");
    let held = nvil(&case, 4, 1.0).held();
    assert_eq!(first, estimate(&held), "the first estimate was made with the initial state");
    assert_eq!(held.state(), before);
}
