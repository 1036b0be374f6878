//! Importance sampling that allocates samples to rows for a given error of the mean over all rows.

use std::sync::{Arc, OnceLock};

use burn::tensor::{DType, Int, Tensor};
use helmholtz_core::{Draws, Enumerable, Key, LatentVariableModel, enumerate_bits};
use helmholtz_directed::HelmholtzMachine;
use helmholtz_eval::{ExactLikelihood, ImportanceSampling, Reading, RowEstimate, Within, summarise};
use helmholtz_tests::{device, either, sbn, sbn_with_spread, values};

/// A model and rows, which are scored with key 3.
struct Split {
    model: HelmholtzMachine,
    x: Tensor<2>,
    rows: Arc<[u64]>,
}

impl Split {
    fn new(model: HelmholtzMachine, x: Tensor<2>) -> Self {
        let rows = (0..x.dims()[0] as u64).collect();
        Split { model, x, rows }
    }

    /// Eight hundred rows, five of which are hard. Easy and hard rows are the patterns of a model with the smallest and
    /// the largest variance of a weight, which differ by a factor of at least a thousand.
    fn with_hard_rows() -> (Self, [usize; 5]) {
        let model = sbn(5, &[3], 31);
        let all = enumerate_bits(5, 0, 32, DType::F64, &device());
        let variances = variances(&model, all.clone());
        let order = |a: &usize, b: &usize| variances[*a].total_cmp(&variances[*b]);
        let (easy, hard) = ((0..32).min_by(order).unwrap(), (0..32).max_by(order).unwrap());
        assert!(variances[hard] > 1000.0 * variances[easy], "{} and {}", variances[hard], variances[easy]);
        let places = [17, 18, 300, 555, 799];
        let patterns: Vec<i64> =
            (0..800).map(|row| if places.contains(&row) { hard as i64 } else { easy as i64 }).collect();
        let x = all.select(0, Tensor::<1, Int>::from_data(patterns.as_slice(), &device()));
        (Split::new(model, x), places)
    }

    /// Only the rows at some places, with their original numbers.
    fn part(&self, places: &[usize]) -> Self {
        let at: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let x = self.x.clone().select(0, Tensor::<1, Int>::from_data(at.as_slice(), &device()));
        let rows = places.iter().map(|&place| self.rows[place]).collect();
        Split { model: self.model.clone(), x, rows }
    }

    fn fixed(&self, samples: usize) -> Vec<RowEstimate> {
        let evaluator = ImportanceSampling::new(samples);
        evaluator.estimate(&self.model, self.x.clone(), self.rows.clone(), Key::new(3)).unwrap()
    }

    /// Starts with a thousand samples: enough to find the states with most of the weight of the hard rows.
    fn within(&self, chunk: usize, error: f64, most: usize) -> Vec<RowEstimate> {
        let evaluator = ImportanceSampling { chunk, ..ImportanceSampling::new(1000) };
        let (x, rows, within) = (self.x.clone(), self.rows.clone(), Within { error, most });
        let mut heard = (0, 0);
        let found = evaluator
            .weigh_within(&self.model, x, rows, Key::new(3), within, |done, planned| {
                assert!(done > heard.0 && done <= planned && planned >= heard.1);
                heard = (done, planned);
            })
            .unwrap();
        let found: Vec<RowEstimate> = found.iter().map(|row| row.estimate(Reading::Directed)).collect();
        let drawn = found.iter().map(|row| row.samples as u64).sum();
        assert_eq!(heard, (drawn, drawn));
        found
    }
}

/// The requested error for the eight hundred rows.
const ERROR: f64 = 0.0003;

/// The estimates of the eight hundred rows with that error.
fn whole() -> &'static [RowEstimate] {
    static WHOLE: OnceLock<Vec<RowEstimate>> = OnceLock::new();
    WHOLE.get_or_init(|| Split::with_hard_rows().0.within(4000, ERROR, 1_000_000))
}

/// Exact relative variance of one weight for each row of x, `Σ_h p(x, h)² / q(h | x) / p(x)² - 1`.
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

#[test]
fn an_estimate_is_that_of_as_many_samples_for_all_rows() {
    let (split, _) = Split::with_hard_rows();
    let found = whole();
    let mut counts: Vec<usize> = found.iter().map(|row| row.samples).collect();
    counts.sort_unstable();
    counts.dedup();
    assert!(counts.len() > 1, "{counts:?}");
    for samples in counts {
        let places: Vec<usize> = (0..found.len()).filter(|&place| found[place].samples == samples).collect();
        for (fixed, place) in split.part(&places).fixed(samples).iter().zip(places) {
            let found = &found[place];
            // The same samples in the same order; only the matrix products may round differently.
            let pairs = [
                (found.log_prob, fixed.log_prob),
                (found.ess, fixed.ess),
                (found.max_weight, fixed.max_weight),
                (found.variance, fixed.variance),
            ];
            assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, {fixed:?}");
        }
    }
}

#[test]
fn samples_go_where_the_error_is_and_the_mean_is_right_within_it() {
    let (split, hard) = Split::with_hard_rows();
    let exact = ExactLikelihood::default().log_prob(&split.model, split.x.clone()).unwrap();
    let exact = -exact.iter().sum::<f64>() / 800.0;
    for error in either(vec![ERROR], vec![ERROR, 0.0002]) {
        let found = if error == ERROR { whole() } else { &split.within(4000, error, 1_000_000) };
        let summary = summarise(found);
        let (se, bias) = (summary.se_mc, summary.bias_mc);
        assert!(se <= error && bias <= error, "{error}: {se}, {bias}");
        // The hard rows share a stratum, and the other strata have far fewer samples.
        assert!(hard.iter().all(|&row| found[row].samples == summary.k_max), "{summary:?}");
        assert!(summary.k_max < 1_000_000 && summary.k_mean < 0.4 * summary.k_max as f64, "{summary:?}");
        // A normal distribution exceeds 5 standard errors with a probability of 6e-7.
        assert!((summary.nll - exact).abs() < 5.0 * se + bias, "{error}: {} for {exact}", summary.nll);
    }
}

#[test]
fn rows_that_were_lucky_do_not_take_the_samples_of_the_others() {
    // With heavy-tailed weights the effective sample size of a row is a matter of luck. An allocation by it would give
    // no further samples to the unlucky rows, whose estimates are far too low.
    let model = sbn_with_spread(10, &[12], 3, 1.3);
    let (x, _) = model.dream(&Draws::new(Key::new(4), 200, 1));
    let split = Split::new(model, x);
    let begin = summarise(&split.fixed(1000));
    let found = summarise(&split.within(4000, 0.8 * begin.bias_mc, 8000));
    let fixed = summarise(&split.fixed(found.k_mean.round() as usize));
    assert!(begin.ess < 0.1, "{}", begin.ess);
    assert!(found.nll < begin.nll && found.nll < fixed.nll + 0.25 * (begin.nll - fixed.nll));
}

#[test]
fn rows_with_all_the_samples_that_they_may_have_end_the_work() {
    let (split, hard) = Split::with_hard_rows();
    let split = split.part(&(0..200).collect::<Vec<_>>());
    let found = split.within(4000, 1e-7, 3000);
    assert!(summarise(&found).se_mc > 1e-7);
    assert!(found.iter().all(|row| row.samples <= 3000) && found[hard[0]].samples == 3000);
    // If the maximum is the initial number of samples, this is plain importance sampling.
    assert_eq!(split.within(4000, 1e-7, 1000), split.fixed(1000));
}

#[test]
fn the_allocation_and_the_estimates_do_not_depend_on_the_chunking() {
    let (split, _) = Split::with_hard_rows();
    for chunk in either(vec![999], vec![37, 999, 100_000]) {
        for (part, whole) in split.within(chunk, ERROR, 1_000_000).iter().zip(whole()) {
            assert_eq!(part.samples, whole.samples, "chunk {chunk}");
            assert!((part.log_prob - whole.log_prob).abs() < 1e-12, "chunk {chunk}");
        }
    }
}
