//! The exact expectation of each update, without noise: see [`helmholtz_tests::case`].

use burn::module::Module;
use burn::tensor::DType;
use helmholtz_core::{
    Enumerable, Estimate, Gradients, Key, LatentVariableModel, Measure, Strategy, enumerate_bits,
};
use helmholtz_layers::{Layer, Top};
use helmholtz_ops::log_weights::log_sum_exp;
use helmholtz_strategies::{Bidirectional, BidirectionalError, ReweightedWakeSleep, WakeSleep};
use helmholtz_tests::case::{Case, STACKS, X, cases, phi, theta};
use helmholtz_tests::{
    Named, add_scaled, device, distance, either, named, norm, row, sbn, sbn_with_spread, taped, values,
};

/// Stacks whose biases are computed for up to 8 samples, which takes thousands of updates each.
fn orders() -> &'static [&'static [usize]] {
    either(&STACKS[1..2], &STACKS)
}

fn rws(k: usize) -> ReweightedWakeSleep {
    ReweightedWakeSleep::new(k).unwrap()
}

#[test]
fn rws_theta_is_the_gradient_of_the_k_sample_bound() {
    for (name, case) in cases() {
        for k in [1, 2, 4] {
            let expected = case.expected(k, |model, x, proposals, into| {
                rws(k).wake(model, x, proposals, into);
            });
            let reference = case.reference(|log_p, _| case.bound(k, log_p).neg());
            let deviation = distance(&theta(&expected), &theta(&reference));
            assert!(deviation < 1e-10, "{name}, K = {k}: {deviation:e}");
        }
    }
}

#[test]
fn rws_theta_under_a_defensive_mixture_is_the_gradient_of_the_mixtures_bound() {
    let case = Case::new(&[2, 1], 0.2);
    let strategy = ReweightedWakeSleep { defence: 0.2, ..rws(2) }.checked().unwrap();
    let expected = case.expected(2, |model, x, proposals, into| {
        strategy.wake(model, x, proposals, into);
    });
    let reference = case.reference(|log_p, _| case.bound(2, log_p).neg());
    let deviation = distance(&theta(&expected), &theta(&reference));
    assert!(deviation < 1e-10, "{deviation:e}");
}

#[test]
fn wake_sleep_theta_is_the_gradient_of_the_elbo() {
    for (name, case) in cases() {
        for k in [1, 2] {
            let expected = case.expected(k, |model, x, proposals, into| {
                WakeSleep::new(k).wake(model, x, proposals, into);
            });
            // E_q log p(x, h): the entropy of q does not depend on theta.
            let q = case.log_q.clone().exp().autodiff();
            let reference = case.reference(|log_p, _| (q.clone() * log_p).sum().neg());
            let deviation = distance(&theta(&expected), &theta(&reference));
            assert!(deviation < 1e-10, "{name}, K = {k}: {deviation:e}");
        }
    }
}

#[test]
fn the_bias_of_wake_phi_falls_as_one_over_k() {
    for latents in orders() {
        // Weights small enough that K = 4 is already in the asymptotic regime.
        let case = Case::of(sbn_with_spread(X.len(), latents, 21, 0.2), 0.0);
        let posterior = (case.log_p.clone() - log_sum_exp(case.log_p.clone().unsqueeze())).exp().autodiff();
        // The limit: the gradient of E_{p(h | x)} log q(h | x).
        let limit = case.reference(|_, log_q| (posterior.clone() * log_q).sum().neg());
        let bias = |k: usize| {
            let mut bias = phi(&case.expected(k, |model, x, proposals, into| {
                rws(k).wake(model, x, proposals, into);
            }));
            add_scaled(&mut bias, &phi(&limit), -1.0);
            bias
        };
        let biases: [Named; 4] = [1, 2, 4, 8].map(bias);
        let norms = biases.each_ref().map(norm);
        println!("{latents:?}: bias of wake phi at K = 1, 2, 4, 8: {norms:.5?}");
        assert!(norms.is_sorted_by(|a, b| a > b) && norms[3] > 0.0);
        // With bias(K) = c / K + O(1/K²), the vector 2 bias(2 K) - bias(K) is of second order.
        let second_order: Vec<f64> = (0..3)
            .map(|i| {
                let mut rest = Named::new();
                add_scaled(&mut rest, &biases[i + 1], 2.0);
                add_scaled(&mut rest, &biases[i], -1.0);
                norm(&rest) / norms[i]
            })
            .collect();
        println!("{latents:?}: share of the second order at K = 1, 2, 4: {second_order:.3?}");
        assert!(second_order[2] < 0.1, "{latents:?}: {second_order:?}");
    }
}

#[test]
fn the_control_variate_moves_no_expectation() {
    let case = Case::new(&[2, 1], 0.0);
    assert!(ReweightedWakeSleep { control_variate: true, ..rws(1) }.checked().is_err());
    for k in [2, 3] {
        let with = ReweightedWakeSleep { control_variate: true, ..rws(k) }.checked().unwrap();
        let update = |strategy: &ReweightedWakeSleep| {
            case.expected(k, |model, x, proposals, into| {
                strategy.wake(model, x, proposals, into);
            })
        };
        let deviation = distance(&update(&with), &update(&rws(k)));
        assert!(deviation < 1e-12, "K = {k}: {deviation:e}");
    }
}

#[test]
fn bihm_theta_is_the_gradient_of_the_k_sample_bound_on_the_bidirectional_marginal() {
    for (name, case) in cases() {
        for k in [1, 2, 4] {
            let strategy = Bidirectional { samples: k, control_variate: false };
            let expected = case.expected(k, |model, x, proposals, into| {
                strategy.update(model, x, proposals, into);
            });
            // 2 E log 1/K Σ √(p / q).
            let q = || case.log_q.clone().autodiff();
            let reference = case.reference(|log_p, _| case.bound_of(k, (log_p - q()) * 0.5) * -2.0);
            let deviation = distance(&theta(&expected), &theta(&reference));
            assert!(deviation < 1e-10, "{name}, K = {k}: {deviation:e}");
        }
    }
}

#[test]
fn the_bias_of_bihm_falls_as_one_over_k() {
    for latents in orders() {
        let case = Case::of(sbn_with_spread(X.len(), latents, 21, 0.2), 0.0);
        // The limit: the gradient of log p̃* = 2 log Σ_h √(p q), in theta and in phi.
        let limit = case.reference(|log_p, log_q| log_sum_exp(((log_p + log_q) * 0.5).unsqueeze()) * -2.0);
        let bias = |k: usize| {
            let strategy = Bidirectional { samples: k, control_variate: k > 1 };
            let mut bias = case.expected(k, |model, x, proposals, into| {
                strategy.update(model, x, proposals, into);
            });
            add_scaled(&mut bias, &limit, -1.0);
            bias
        };
        let biases: [Named; 4] = [1, 2, 4, 8].map(bias);
        for part in [theta, phi] {
            let norms = biases.each_ref().map(|bias| norm(&part(bias)));
            println!("{latents:?}: bias of bihm at K = 1, 2, 4, 8: {norms:.6?}");
            assert!(norms.is_sorted_by(|a, b| a > b) && norms[3] > 0.0);
            // The vector 2 bias(2 K) - bias(K) is of second order.
            let mut rest = Named::new();
            add_scaled(&mut rest, &biases[3], 2.0);
            add_scaled(&mut rest, &biases[2], -1.0);
            let second_order = norm(&part(&rest)) / norms[2];
            assert!(second_order < 0.1, "{latents:?}: {second_order}");
        }
    }
}

#[test]
fn the_control_variate_of_bihm_moves_no_expectation() {
    assert_eq!(Bidirectional::new(0).unwrap_err(), BidirectionalError::NoSamples);
    assert_eq!(Bidirectional::new(1).unwrap_err(), BidirectionalError::IdleControlVariate);
    for (name, case) in cases() {
        for k in [2, 3] {
            let update = |control_variate: bool| {
                case.expected(k, |model, x, proposals, into| {
                    Bidirectional { samples: k, control_variate }.update(model, x, proposals, into);
                })
            };
            let deviation = distance(&update(true), &update(false));
            assert!(deviation < 1e-12, "{name}, K = {k}: {deviation:e}");
        }
    }
}

#[test]
fn sleep_phi_is_the_gradient_of_its_own_objective() {
    for latents in STACKS {
        // Every dream (x, h) is weighted by its probability p(x, h). A batch cannot have weights, so each dream is a
        // batch of its own, and the updates are summed with weights p(x, h).
        let model = sbn(3, latents, 22);
        let (mut of_ws, mut of_both, mut reference) = (Named::new(), Named::new(), Named::new());
        let half = ReweightedWakeSleep { wake_phi: 0.5, sleep_phi: 0.5, ..rws(2) }.checked().unwrap();
        for x in enumerate_bits(3, 0, 8, DType::F64, &device()).iter_dim(0) {
            for s in 0..8 {
                let h = model.states(s, 1);
                let p: f64 = model.trace_joint(x.clone(), &h).log_prob.exp().into_scalar();
                let (mut ws, mut both) = (Gradients::new(), Gradients::new());
                WakeSleep::new(1).sleep_at(&model, x.clone(), &h, &mut ws);
                half.sleep_at(&model, x.clone(), &h, &mut both);
                add_scaled(&mut of_ws, &named(&model, &ws), p);
                add_scaled(&mut of_both, &named(&model, &both), p);
                let tracked = model.clone().train();
                let h: Vec<_> = h.into_iter().map(|h| h.autodiff()).collect();
                let tape = tracked.log_posterior(x.clone().autodiff(), &h).sum().neg().backward();
                add_scaled(&mut reference, &phi(&taped(&tracked, tape)), p);
            }
        }
        assert!(distance(&of_ws, &reference) < 1e-12, "{latents:?}");
        let mut halved = Named::new();
        add_scaled(&mut halved, &reference, 0.5);
        assert!(distance(&of_both, &halved) < 1e-12, "{latents:?}");
    }
}

#[test]
fn rws_with_one_sample_and_sleep_phi_is_wake_sleep_to_the_bit() {
    for latents in STACKS {
        let model = sbn(X.len(), latents, 23);
        let x = enumerate_bits(4, 0, 16, DType::F64, &device());
        let strategy = ReweightedWakeSleep { wake_phi: 0.0, sleep_phi: 1.0, ..rws(1) }.checked().unwrap();
        let (a, b) = (
            strategy.estimate(&model, &x.clone().into(), Key::new(5)),
            WakeSleep::new(1).estimate(&model, &x.into(), Key::new(5)),
        );
        assert_eq!(named(&model, &a.gradients), named(&model, &b.gradients), "{latents:?}");
        let bound = |of: Estimate| values(of.value(Measure::BOUND).expect("it is measured"));
        assert_eq!(bound(a), bound(b));
    }
}

#[test]
fn an_exact_recognition_net_has_equal_weights() {
    // One latent unit without influence on x: q(h | x) = p(h) is the posterior, so every weight is p(x), and the
    // effective sample size is K.
    let mut model = sbn(2, &[1], 3);
    let (Layer::Bernoulli(p), Layer::Bernoulli(q), Top::Bernoulli(prior)) =
        (&mut model.generative[0], &mut model.recognition[0], &model.prior)
    else {
        panic!("an sbn has Bernoulli layers")
    };
    p.weight = p.weight.clone().map(|w| w.zeros_like());
    q.weight = q.weight.clone().map(|w| w.zeros_like());
    q.bias = prior.bias.clone();
    let estimate = rws(6).estimate(&model, &row(&[1, 0]).into(), Key::new(1));
    assert!((values(estimate.value(Measure::ESS).expect("it is measured"))[0] - 1.0).abs() < 1e-12);
}

#[test]
fn a_batch_is_the_mean_of_its_rows() {
    let model = sbn(3, &[2, 2], 4);
    let x = enumerate_bits(3, 2, 4, DType::F64, &device());
    let key = Key::new(9);
    let together = named(&model, &rws(5).estimate(&model, &x.clone().into(), key).gradients);
    // Row i of the batch alone, with the same noise.
    let mut mean = Named::new();
    for i in 0..4u64 {
        let draws = helmholtz_core::Draws::of_rows(key.child(helmholtz_core::Role::Wake), vec![i], 5);
        let alone = x.clone().slice([i as usize..i as usize + 1, 0..3]);
        let proposals = model.propose(alone.clone(), &draws, 0.0);
        let mut gradients = Gradients::new();
        rws(5).wake(&model, alone, &proposals, &mut gradients);
        add_scaled(&mut mean, &named(&model, &gradients), 0.25);
    }
    assert!(distance(&together, &mean) < 1e-12);
}
