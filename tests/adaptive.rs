//! Importance sampling with as many samples for each row as the mean over all rows asks for.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use helmholtz_core::{Enumerable, Key, LatentVariableModel, enumerate_bits};
use helmholtz_directed::HelmholtzMachine;
use helmholtz_eval::{ExactLikelihood, ImportanceSampling, RowEstimate, Within, summarise};
use helmholtz_tests::{device, sbn, values};

/// Relative variance of one weight of each row of x, `Σ_h p(x, h)² / q(h | x) / p(x)² - 1`, exactly.
fn variances(model: &HelmholtzMachine, x: Tensor<2>) -> Vec<f64> {
    let states = model.states(0, 1 << model.latent_bits());
    let exact = ExactLikelihood::default().log_prob(model, x.clone()).unwrap();
    let of_row = |(x, exact): (Tensor<2>, f64)| {
        let log_p = values(model.log_joint(x.clone(), &states));
        let log_q = values(model.log_posterior(x, &states));
        log_p.iter().zip(log_q).map(|(p, q)| (2.0 * (p - exact) - q).exp()).sum::<f64>() - 1.0
    };
    x.iter_dim(0).zip(exact).map(of_row).collect()
}

/// A split of sixty rows, one of which is hard: the patterns of a model with the smallest and the largest
/// variance of a weight, at least a thousand times apart. The hard row is row 17.
fn one_hard_row() -> (HelmholtzMachine, Tensor<2>, Arc<[u64]>) {
    let model = sbn(5, &[3], 31);
    let all = enumerate_bits(5, 0, 32, DType::F64, &device());
    let variances = variances(&model, all.clone());
    let order = |a: &usize, b: &usize| variances[*a].total_cmp(&variances[*b]);
    let (easy, hard) = ((0..32).min_by(order).unwrap(), (0..32).max_by(order).unwrap());
    assert!(variances[hard] > 1000.0 * variances[easy], "{} and {}", variances[hard], variances[easy]);
    let pattern = |i: usize| all.clone().slice([i..i + 1, 0..5]);
    let x = (0..60).map(|row| pattern(if row == 17 { hard } else { easy })).collect();
    (model, Tensor::cat(x, 0), (0..60).collect())
}

fn within(
    chunk: usize,
    within: Within,
    (model, x, rows): &(HelmholtzMachine, Tensor<2>, Arc<[u64]>),
) -> Vec<RowEstimate> {
    // Enough to begin with for the states that carry the hard row's weight to be met at all.
    let evaluator = ImportanceSampling { samples: 1000, chunk };
    let mut heard = (0, 0);
    let found = evaluator
        .estimate_within(model, x.clone(), rows.clone(), Key::new(3), within, |done, planned| {
            assert!(done > heard.0 && done <= planned && planned >= heard.1);
            heard = (done, planned);
        })
        .unwrap();
    let drawn = found.iter().map(|row| row.samples as u64).sum();
    assert_eq!(heard, (drawn, drawn));
    found
}

#[test]
fn an_estimate_is_that_of_as_many_samples_for_all_rows() {
    let split = one_hard_row();
    let found = within(4000, Within { error: 0.0012, most: 1_000_000 }, &split);
    let (model, x, rows) = split;
    let mut counts: Vec<usize> = found.iter().map(|row| row.samples).collect();
    counts.sort_unstable();
    counts.dedup();
    assert!(counts.len() > 1, "{counts:?}");
    for samples in counts {
        let fixed =
            ImportanceSampling::new(samples).estimate(&model, x.clone(), rows.clone(), Key::new(3)).unwrap();
        for (found, fixed) in found.iter().zip(fixed).filter(|(found, _)| found.samples == samples) {
            // The same samples in the same order; only the matrix products may round differently.
            assert!((found.log_prob - fixed.log_prob).abs() < 1e-12, "{found:?}, {fixed:?}");
            assert!(
                (found.ess - fixed.ess).abs() < 1e-12 && (found.max_weight - fixed.max_weight).abs() < 1e-12
            );
            assert!((found.relative_variance - fixed.relative_variance).abs() < 1e-12);
        }
    }
}

#[test]
fn samples_go_where_the_error_is_and_the_mean_is_right_within_it() {
    let split = one_hard_row();
    let exact = ExactLikelihood::default().log_prob(&split.0, split.1.clone()).unwrap();
    let exact = -exact.iter().sum::<f64>() / 60.0;
    for error in [0.0012, 0.0005] {
        let found = within(4000, Within { error, most: 1_000_000 }, &split);
        let summary = summarise(&found);
        let (se, bias) = (summary.se_mc, summary.bias_mc);
        assert!(se <= error && bias <= error, "{error}: {se}, {bias}");
        assert_eq!(found[17].samples, summary.k_max);
        assert!(summary.k_max < 1_000_000 && summary.k_mean < 0.2 * summary.k_max as f64, "{summary:?}");
        // Above 5 standard errors with a probability of 6e-7 for a normal law.
        assert!((summary.nll - exact).abs() < 5.0 * se + bias, "{error}: {} for {exact}", summary.nll);
    }
}

#[test]
fn rows_with_all_the_samples_that_they_may_have_end_the_work() {
    let split = one_hard_row();
    let found = within(4000, Within { error: 1e-6, most: 3000 }, &split);
    assert!(summarise(&found).se_mc > 1e-6);
    assert!(found.iter().all(|row| row.samples <= 3000) && found[17].samples == 3000);
    // With as many as all have to begin with it is plain importance sampling.
    let plain = ImportanceSampling { samples: 1000, chunk: 4000 };
    let plain = plain.estimate(&split.0, split.1.clone(), split.2.clone(), Key::new(3)).unwrap();
    assert_eq!(within(4000, Within { error: 1e-6, most: 1000 }, &split), plain);
}

#[test]
fn the_allocation_and_the_estimates_do_not_depend_on_the_chunking() {
    let split = one_hard_row();
    let asked = Within { error: 0.0012, most: 1_000_000 };
    let whole = within(4000, asked, &split);
    for chunk in [37, 999, 100_000] {
        for (part, whole) in within(chunk, asked, &split).iter().zip(&whole) {
            assert_eq!(part.samples, whole.samples, "chunk {chunk}");
            assert!((part.log_prob - whole.log_prob).abs() < 1e-12, "chunk {chunk}");
        }
    }
}
