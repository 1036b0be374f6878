//! One test suite for every model with latent variables.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Draws, Enumerable, Key, LatentVariableModel, enumerate_bits};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_eval::{ExactLikelihood, ImportanceSampling};
use helmholtz_layers::UnitOrder;
use helmholtz_tests::{device, either, sbn, stack, stack_of, values};

/// Latent sizes of the stacks with layers of one kind.
const STACKS: [&[usize]; 3] = [&[3], &[2, 2], &[2, 1, 2]];

/// Checks stacks of each kind of layer, a mixed stack, and models without latents.
fn for_each_stack(observed: usize, seed: u64, check: impl Fn(&str, HelmholtzMachine)) {
    for latents in STACKS {
        check(&format!("sbn {latents:?}"), sbn(observed, latents, seed));
    }
    for (name, kind) in LayerKind::ALL.into_iter().skip(1) {
        for latents in STACKS {
            check(&format!("{name} {latents:?}"), stack_of(kind, observed, latents, seed));
        }
    }
    let mixed = StackConfig {
        generative: vec![LayerKind::Nade, LayerKind::Sbn, LayerKind::Darn, LayerKind::Nade],
        recognition: vec![LayerKind::Darn, LayerKind::Dsbn, LayerKind::Nade],
        order: UnitOrder::random(observed, Key::new(2)),
        ..StackConfig::new(observed, vec![2, 2, 1])
    };
    check("mixed", stack(&mixed, seed));
    for kind in [LayerKind::Darn, LayerKind::Nade] {
        check(&format!("{kind:?} without latents"), stack_of(kind, observed, &[], seed));
    }
}

fn all(d: usize) -> Tensor<2> {
    enumerate_bits(d, 0, 1 << d, DType::F64, &device())
}

#[test]
fn the_model_is_a_distribution_over_all_patterns() {
    for_each_stack(5, 1, |name, model| {
        let log_p = ExactLikelihood::default().log_prob(&model, all(5)).unwrap();
        let total: f64 = log_p.iter().map(|l| l.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12, "{name}: {total}");
    });
}

#[test]
fn the_recognition_net_is_a_distribution_over_all_latents() {
    for_each_stack(5, 2, |name, model| {
        let n = 1 << model.latent_bits();
        let total: f64 =
            model.log_posterior(all(5).slice([9..10, 0..5]), &model.states(0, n)).exp().sum().into_scalar();
        assert!((total - 1.0).abs() < 1e-12, "{name}: {total}");
    });
}

#[test]
fn the_table_of_joint_probabilities_agrees_with_single_pairs() {
    for_each_stack(4, 3, |name, model| {
        let n = 1 << model.latent_bits();
        let (h, table) = (model.states(0, n), values(model.log_joint_table(all(4), &model.states(0, n))));
        for (i, x) in all(4).iter_dim(0).enumerate() {
            let single = values(model.log_joint(x.clone(), &h));
            let traced = values(model.trace_joint(x, &h).log_prob);
            for j in 0..n {
                assert!(
                    (table[i * n + j] - single[j]).abs() < 1e-12 && (traced[j] - single[j]).abs() < 1e-12,
                    "{name}"
                );
            }
        }
    });
}

#[test]
fn importance_sampling_agrees_with_enumeration() {
    // Eight rows of thirteen stacks with K = 20 000 (5000 in every run): the deviation stays below 5 of its exact
    // standard errors. In 104 comparisons, fewer than 7 in 100 000 keys give a false alarm.
    let k = either(5000, 20_000);
    for_each_stack(5, 4, |name, model| {
        let x = all(5).slice([3..11, 0..5]);
        let exact = ExactLikelihood::default().log_prob(&model, x.clone()).unwrap();
        let rows: Arc<[u64]> = (3..11).collect();
        let estimates = ImportanceSampling::new(k).estimate(&model, x.clone(), rows, Key::new(7)).unwrap();
        let states = model.states(0, 1 << model.latent_bits());
        for ((estimate, exact), x) in estimates.iter().zip(exact).zip(x.iter_dim(0)) {
            if model.depth() == 0 {
                assert!((estimate.log_prob - exact).abs() < 1e-12 && estimate.variance < 1e-12);
                continue;
            }
            // Relative second moment of one weight: Σ_h q (p / q)² / p(x)².
            let log_p = values(model.log_joint(x.clone(), &states));
            let log_q = values(model.log_posterior(x, &states));
            // The fourth moment gives the error of the estimate of that variance.
            let moment = |m: f64| -> f64 {
                log_p.iter().zip(&log_q).map(|(p, q)| (m * (p - exact) - (m - 1.0) * q).exp()).sum()
            };
            let (second, fourth) = (moment(2.0), moment(4.0));
            let variance = (second - 1.0) / k as f64;
            let z = (estimate.log_prob - exact) / variance.sqrt();
            assert!(z.abs() < 5.0, "{name}: {} against {exact}, z = {z:.1}", estimate.log_prob);
            let spread = ((fourth - second * second) / k as f64).sqrt() / second;
            let ratio = estimate.variance / variance;
            assert!((ratio - 1.0).abs() < 0.05 + 5.0 * spread * second / (second - 1.0), "{name}: {ratio}");
            let ess = estimate.ess * second;
            assert!((1.0 / ess - 1.0).abs() < 0.05 + 5.0 * spread, "{name}: ess {}", estimate.ess);
        }
    });
}

#[test]
fn defended_estimates_agree_with_enumeration_whatever_the_share() {
    // Eight rows of fifteen stacks with two shares and K = 2000: 240 deviations within 5 of their own standard errors.
    // Weights under a mixture are bounded, so the false-alarm probability is below 2e-4.
    for_each_stack(5, 4, |name, model| {
        let x = all(5).slice([3..11, 0..5]);
        let exact = ExactLikelihood::default().log_prob(&model, x.clone()).unwrap();
        let rows: Arc<[u64]> = (3..11).collect();
        for defence in [0.1, 0.5] {
            let sampling = ImportanceSampling { defence, ..ImportanceSampling::new(2000) };
            let found = sampling.estimate(&model, x.clone(), rows.clone(), Key::new(7)).unwrap();
            for (found, exact) in found.iter().zip(&exact) {
                let error = 5.0 * found.variance.sqrt() + 1e-9;
                assert!((found.log_prob - exact).abs() < error, "{name}, {defence}: {found:?} for {exact}");
            }
            // The same draws, in other chunks.
            let chunked = ImportanceSampling { chunk: 37, samples: 100, ..sampling };
            let [a, b] = [ImportanceSampling { chunk: 4000, ..chunked.clone() }, chunked]
                .map(|sampling| sampling.estimate(&model, x.clone(), rows.clone(), Key::new(8)).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| (a.log_prob - b.log_prob).abs() < 1e-12), "{name}");
        }
    });
}

#[test]
fn a_defence_finds_the_mode_that_a_recognition_net_without_it_never_draws() {
    // q is certain of a state that has almost no posterior probability.
    let mut model = sbn(5, &[3], 6);
    let layer = model.recognition[0].clone();
    model.recognition[0] = layer.with_bias(Tensor::from_data(
        TensorData::new(vec![40.0f64, 40.0, 40.0], [3]),
        (&device(), DType::F64),
    ));
    let x = all(5).slice([3..11, 0..5]);
    let exact = ExactLikelihood::default().log_prob(&model, x.clone()).unwrap();
    let rows: Arc<[u64]> = (3..11).collect();
    let estimate = |defence| {
        let sampling = ImportanceSampling { defence, ..ImportanceSampling::new(4000) };
        sampling.estimate(&model, x.clone(), rows.clone(), Key::new(7)).unwrap()
    };
    let (alone, defended) = (estimate(0.0), estimate(0.3));
    for i in 0..8 {
        assert!(exact[i] - alone[i].log_prob > 0.1 && alone[i].variance < 1e-4, "row {i}: {:?}", alone[i]);
        let error = 5.0 * defended[i].variance.sqrt();
        assert!((defended[i].log_prob - exact[i]).abs() < error && error < 0.5, "row {i}: {:?}", defended[i]);
    }
}

#[test]
fn an_estimate_does_not_depend_on_the_chunking_or_on_other_rows() {
    let model = sbn(5, &[2, 2], 5);
    let x = all(5);
    let rows: Arc<[u64]> = (0..32).collect();
    let whole = ImportanceSampling::new(50).estimate(&model, x.clone(), rows, Key::new(1)).unwrap();
    for chunk in [1, 7, 50, 333] {
        let evaluator = ImportanceSampling { chunk, ..ImportanceSampling::new(50) };
        let alone = evaluator
            .estimate(&model, x.clone().slice([20..23, 0..5]), Arc::from([20, 21, 22]), Key::new(1))
            .unwrap();
        for (alone, whole) in alone.iter().zip(&whole[20..]) {
            // The same samples; only the order of summation differs.
            assert!((alone.log_prob - whole.log_prob).abs() < 1e-12, "chunk {chunk}");
        }
    }
}

#[test]
fn proposals_from_a_mixture_carry_its_density() {
    let model = sbn(4, &[2, 1], 6);
    let (x, defence) = (all(4).slice([6..7, 0..4]), 0.3);
    let n = 30_000;
    let proposals = model.propose(x.clone(), &Draws::new(Key::new(8), 1, n), defence);
    let states = model.states(0, 8);
    let density = |log_q: f64| (1.0 - defence) * log_q.exp() + defence / 8.0;
    let law: Vec<f64> = values(model.log_posterior(x, &states)).into_iter().map(density).collect();
    // The density of each sample is that of the mixture.
    let log_q = values(proposals.q.log_prob.clone());
    for (log_proposal, log_q) in values(proposals.log_proposal.clone()).iter().zip(log_q) {
        assert!((log_proposal - density(log_q).ln()).abs() < 1e-12);
    }
    // The samples follow it: 8 counts within 5 standard deviations; the false-alarm probability is below 5e-6.
    let mut counts = [0u32; 8];
    let bits: Vec<Vec<f64>> = proposals.latents.iter().map(|h| values(h.clone())).collect();
    for i in 0..n {
        let state = bits[0][2 * i] as usize | (bits[0][2 * i + 1] as usize) << 1 | (bits[1][i] as usize) << 2;
        counts[state] += 1;
    }
    for (count, p) in counts.iter().zip(law) {
        let z = (f64::from(*count) - n as f64 * p) / (n as f64 * p * (1.0 - p)).sqrt();
        assert!(z.abs() < 5.0, "off by {z:.1} standard deviations");
    }
}

#[test]
fn dreams_follow_the_marginal_of_the_model() {
    // 32 patterns of 15 stacks, 40 000 dreams (10 000 in every run), 5 standard deviations: the false-alarm
    // probability is below 3e-4.
    for_each_stack(5, 9, |name, model| {
        let n = either(10_000, 40_000);
        let (x, h) = model.dream(&Draws::new(Key::new(10), n, 1));
        assert!(h.iter().zip(model.latent_sizes()).all(|(h, d)| h.dims() == [n, d]), "{name}");
        let mut counts = [0u32; 32];
        for row in values(x).chunks_exact(5) {
            counts[row.iter().enumerate().map(|(j, bit)| (*bit as usize) << j).sum::<usize>()] += 1;
        }
        let law = ExactLikelihood::default().log_prob(&model, all(5)).unwrap();
        for (count, log_p) in counts.iter().zip(law) {
            let p = log_p.exp();
            let z = (f64::from(*count) - n as f64 * p) / (n as f64 * p * (1.0 - p)).sqrt();
            assert!(z.abs() < 5.0, "{name}: off by {z:.1} standard deviations");
        }
    });
}

#[test]
fn a_model_too_large_to_enumerate_is_refused() {
    let error = ExactLikelihood::default().log_prob(&sbn(3, &[20, 5], 0), all(3)).unwrap_err();
    assert!(error.to_string().contains("25 latent bits"), "{error}");
}

#[test]
fn a_row_without_weight_is_named() {
    let mut model = sbn(3, &[2], 0);
    // A model that is certain of ones gives no probability to a row of zeros.
    let certain = Tensor::full([3], f64::INFINITY, (&device(), DType::F64));
    model.generative[0] = model.generative[0].clone().with_bias(certain);
    let error = ImportanceSampling::new(5)
        .estimate(&model, all(3).slice([0..1, 0..3]), Arc::from([41]), Key::new(0))
        .unwrap_err();
    assert!(
        error.to_string().starts_with("row 41: the importance weights of all 5 samples sum to 0"),
        "{error}"
    );
}
