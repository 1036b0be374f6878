//! The bidirectional reading of a stack is checked against enumeration.
//!
//! `p*(x, h) = √(p(x, h) q(h | x) p*(x)) / Z` with `p*(x) = p̃*(x) / Z²`.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use helmholtz_core::{Enumerable, Key, LatentVariableModel, enumerate_bits};
use helmholtz_directed::{HelmholtzMachine, LayerKind, StackConfig};
use helmholtz_eval::{ExactLikelihood, ImportanceSampling, PartitionFunction, Reading};
use helmholtz_tests::{device, either, sbn, stack, values};

const OBSERVED: usize = 4;

/// Stacks of SBN layers and of other layers, with at most five latent bits.
fn models() -> Vec<(&'static str, HelmholtzMachine)> {
    let mixed = |generative: [LayerKind; 3], recognition: [LayerKind; 2]| {
        let config = StackConfig {
            generative: generative.to_vec(),
            recognition: recognition.to_vec(),
            ..StackConfig::new(OBSERVED, vec![3, 2])
        };
        stack(&config, 31)
    };
    vec![
        ("sbn 4-3", sbn(OBSERVED, &[3], 31)),
        ("sbn 4-3-2", sbn(OBSERVED, &[3, 2], 32)),
        ("sbn 4-2-1-2", sbn(OBSERVED, &[2, 1, 2], 33)),
        (
            "nade over dsbn",
            mixed([LayerKind::Nade, LayerKind::Dsbn, LayerKind::Darn], [LayerKind::Dsbn, LayerKind::Nade]),
        ),
        (
            "dsbn over darn",
            mixed([LayerKind::Dsbn, LayerKind::Darn, LayerKind::Nade], [LayerKind::Darn, LayerKind::Sbn]),
        ),
    ]
}

/// All rows of four bits: `[16, 4]`.
fn all() -> Tensor<2> {
    enumerate_bits(OBSERVED, 0, 16, DType::F64, &device())
}

/// `log p(x, h)` and `log q(h | x)` of every pair, scored pair by pair: `[16][states]`.
fn tables(model: &HelmholtzMachine) -> [Vec<Vec<f64>>; 2] {
    let states = model.states(0, 1 << model.latent_bits());
    let rows = |score: &dyn Fn(Tensor<2>) -> Tensor<1>| all().iter_dim(0).map(|x| values(score(x))).collect();
    [rows(&|x| model.log_joint(x, &states)), rows(&|x| model.log_posterior(x, &states))]
}

#[test]
fn tables_hold_the_log_probabilities_of_every_pair() {
    for (name, model) in models() {
        let states = model.states(0, 1 << model.latent_bits());
        let [p, q] = tables(&model);
        for (table, expected) in
            [(model.log_joint_table(all(), &states), p), (model.log_posterior_table(all(), &states), q)]
        {
            let worst =
                values(table).iter().zip(expected.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12, "{name}: {worst:e}");
        }
    }
}

#[test]
fn the_geometric_mean_of_both_halves_is_a_law_whose_marginal_is_known() {
    for (name, model) in models() {
        let [p, q] = tables(&model);
        let exact = ExactLikelihood::default();
        let log_z2 = exact.log_z2(&model).unwrap();
        assert!(log_z2 < 0.0, "{name}: Z = exp({}) is above 1", log_z2 / 2.0);
        // In pieces of any size.
        let in_pieces = ExactLikelihood { chunk: 24 }.log_z2(&model).unwrap();
        assert!((log_z2 - in_pieces).abs() < 1e-12, "{name}");
        let tilde = exact.score(&model, all(), Reading::Bidirectional).unwrap();
        let log_p = exact.log_prob(&model, all()).unwrap();
        let mut total = 0.0;
        for x in 0..16 {
            let log_star = tilde[x] - log_z2;
            let joint = |(p, q): (&f64, &f64)| (0.5 * (p + q + log_star) - 0.5 * log_z2).exp();
            let marginal: f64 = p[x].iter().zip(&q[x]).map(joint).sum();
            assert!((marginal - log_star.exp()).abs() < 1e-12, "{name}: row {x}");
            assert!(log_p[x] >= tilde[x] && log_star >= tilde[x], "{name}: row {x}");
            total += marginal;
        }
        assert!((total - 1.0).abs() < 1e-12, "{name}: sums to {total}");
    }
}

#[test]
fn the_draws_for_z_have_the_mean_and_the_second_moment_that_theory_says() {
    for (name, model) in models() {
        let [p, q] = tables(&model);
        let (mut mean, mut second) = (0.0, 0.0);
        for (p, q) in p.iter().zip(&q) {
            let pairs = || p.iter().zip(q);
            for (log_p, log_q) in pairs() {
                for (other_p, other_q) in pairs() {
                    let s = 0.5 * (log_q - log_p + other_p - other_q);
                    let law = (log_p + other_q).exp();
                    mean += law * s.exp();
                    second += law * (2.0 * s).exp();
                }
            }
        }
        let log_z2 = ExactLikelihood::default().log_z2(&model).unwrap();
        assert!((mean.ln() - log_z2).abs() < 1e-12, "{name}: E exp(s) = {mean}");
        assert!((second - 1.0).abs() < 1e-12, "{name}: E exp(2 s) = {second}");
    }
}

#[test]
fn estimates_of_z_agree_with_enumeration() {
    // The mean of exp(s) over 20 keys (2 in every run) with 20 000 draws each, for 5 stacks, in units of its exact
    // standard error √((1 - Z⁴) / n). Five comparisons within 4.5: the false-alarm probability is below 4e-5.
    let keys = either(2, 20);
    let asked = PartitionFunction { error: 10.0, most: 20_000 };
    for (name, model) in models() {
        let log_z2 = ExactLikelihood::default().log_z2(&model).unwrap();
        let runs: Vec<_> = (0..keys).map(|key| asked.estimate(&model, Key::new(key), |_, _| {})).collect();
        let n: u64 = runs.iter().map(|run| run.samples).sum();
        assert_eq!(n, 20_000 * keys);
        let mean = runs.iter().map(|run| run.log_z2.exp()).sum::<f64>() / keys as f64;
        let z = (mean - log_z2.exp()) / ((1.0 - (2.0 * log_z2).exp()) / n as f64).sqrt();
        println!("{name}: 2 log Z = {log_z2:.4}, mean of estimates {:.4}, z = {z:.2}", mean.ln());
        assert!(z.abs() < 4.5, "{name}: {mean} against {}, z = {z:.1}", log_z2.exp());
        for run in &runs {
            // The two estimates of the error agree with theory, within the precision of 20 batches.
            let exact = (((-2.0 * log_z2).exp() - 1.0) / run.samples as f64).sqrt();
            assert!((run.se_formula / exact - 1.0).abs() < 0.2, "{name}: {} for {exact}", run.se_formula);
            assert!((0.3..2.2).contains(&(run.se_batches / exact)), "{name}: {} for {exact}", run.se_batches);
            assert!((run.check - 1.0).abs() < 0.5, "{name}: E exp(2 s) = {}", run.check);
        }
    }
}

#[test]
fn draws_for_z_go_on_until_the_error_is_as_asked() {
    let (_, model) = models().swap_remove(1);
    let mut heard = (0, 0);
    let asked = PartitionFunction { error: 0.004, most: 10_000_000 };
    let found = asked.estimate(&model, Key::new(3), |done, planned| {
        assert!(done > heard.0 && done <= planned && planned >= heard.1);
        heard = (done, planned);
    });
    assert!(found.se_formula <= 0.004 && found.se_formula > 0.0038, "{found:?}");
    assert_eq!(found.se(), found.se_formula.max(found.se_batches));
    assert_eq!(heard, (found.samples, found.samples));
    let log_z2 = ExactLikelihood::default().log_z2(&model).unwrap();
    assert!((found.log_z2 - log_z2).abs() < 4.5 * 0.004 && found.is_known());
    // The limit on the draws is kept, and the reported error is then above the requested one.
    let bounded = PartitionFunction { error: 0.004, most: 30_000 }.estimate(&model, Key::new(3), |_, _| {});
    assert!(bounded.samples == 30_000 && bounded.se_formula > 0.004);
}

#[test]
fn halves_that_do_not_overlap_leave_z_unknown() {
    // The weights are so large that q considers samples of p nearly impossible.
    let model = helmholtz_tests::sbn_with_spread(OBSERVED, &[3, 2], 5, 12.0);
    let found = PartitionFunction { error: 0.01, most: 20_000 }.estimate(&model, Key::new(0), |_, _| {});
    assert!(!found.is_known(), "{found:?}");
}

#[test]
fn importance_samples_of_the_bidirectional_marginal_agree_with_enumeration() {
    // Eight rows of five stacks with K = 20 000 (5000 in every run): deviations within 5 of their exact standard
    // errors; the false-alarm probability is below 3e-5.
    let k = either(5000, 20_000);
    let rows: Arc<[u64]> = (4..12).collect();
    for (name, model) in models() {
        let [p, q] = tables(&model);
        let x = all().slice([4..12, 0..OBSERVED]);
        let exact = ExactLikelihood::default().score(&model, x.clone(), Reading::Bidirectional).unwrap();
        let sampler = ImportanceSampling::new(k).with_reading(Reading::Bidirectional);
        let weights = sampler.weigh(&model, x.clone(), rows.clone(), Key::new(7)).unwrap();
        let directed =
            ImportanceSampling::new(k).estimate(&model, x.clone(), rows.clone(), Key::new(7)).unwrap();
        for (i, weights) in weights.iter().enumerate() {
            let found = weights.estimate(Reading::Bidirectional);
            assert_eq!(
                weights.estimate(Reading::Directed),
                directed[i],
                "{name}: both readings use the same samples"
            );
            // With √w as weights: E √w = √p̃*, E w = p(x).
            let moment = |m: f64| -> f64 {
                let terms = p[i + 4].iter().zip(&q[i + 4]);
                terms.map(|(p, q)| (0.5 * m * (p - q - exact[i]) + q).exp()).sum()
            };
            let (first, second, fourth) = (moment(1.0), moment(2.0), moment(4.0));
            assert!((first - 1.0).abs() < 1e-12);
            let variance = 4.0 * (second - 1.0) / k as f64;
            let z = (found.log_prob - exact[i]) / variance.sqrt();
            assert!(z.abs() < 5.0, "{name}: {} against {}, z = {z:.1}", found.log_prob, exact[i]);
            let spread = ((fourth - second * second) / k as f64).sqrt() / second;
            let ratio = found.variance / variance;
            assert!((ratio - 1.0).abs() < 0.05 + 5.0 * spread * second / (second - 1.0), "{name}: {ratio}");
            assert_eq!(found.bias, found.variance / 4.0);
            assert!((found.ess * second - 1.0).abs() < 0.05 + 5.0 * spread, "{name}: {}", found.ess);
        }
    }
}
