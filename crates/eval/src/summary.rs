//! Means over rows with their errors.

use crate::halves::{GAINS, still_to_gain};
use crate::row::RowEstimate;

/// The negative log-likelihood of a split in nats per example, with estimates of its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NllSummary {
    /// Number of rows.
    pub n: usize,
    /// Mean of `-log p̂(x)`.
    pub nll: f64,
    /// Standard error of the mean from the spread over rows; not set for a single row.
    pub se_rows: Option<f64>,
    /// Standard error of the mean that the samples add (Monte Carlo).
    pub se_mc: f64,
    /// How much the mean is expected to be too high: half the relative variance of the mean weight (in the
    /// bidirectional reading, the whole relative variance of the mean root) or, if that is more, what halves and
    /// quarters of the samples say ([`halves`](crate::halves)).
    pub bias_mc: f64,
    /// 95 % confidence interval over rows; not set for a single row.
    pub ci95: Option<[f64; 2]>,
    /// Mean number of samples of a row, K; 0 for an exact likelihood.
    pub k_mean: f64,
    /// Largest number of samples of a row.
    pub k_max: usize,
    /// Mean effective sample size, as a share of the row's own K.
    pub ess: f64,
    /// Mean largest normalised weight.
    pub max_weight: f64,
}

/// Summarises the estimates of rows.
///
/// # Panics
/// If `rows` is empty.
pub fn summarise(rows: &[RowEstimate]) -> NllSummary {
    assert!(!rows.is_empty(), "a mean needs at least one row");
    let n = rows.len() as f64;
    let mean = |f: &dyn Fn(&RowEstimate) -> f64| rows.iter().map(f).sum::<f64>() / n;
    let nll = mean(&|row| -row.log_prob);
    let se_rows = (rows.len() > 1).then(|| {
        let variance = mean(&|row| (row.log_prob + nll).powi(2)) * n / (n - 1.0);
        (variance / n).sqrt()
    });
    // 1.96 standard errors: the two-sided 95 % point of the normal distribution.
    let half_width = se_rows.map(|se| 1.959_964 * se);
    let Errors { se_mc, bias_mc, .. } = errors(rows);
    NllSummary {
        n: rows.len(),
        nll,
        se_rows,
        se_mc,
        bias_mc,
        ci95: half_width.map(|half| [nll - half, nll + half]),
        k_mean: mean(&|row| row.samples as f64),
        k_max: rows.iter().map(|row| row.samples).max().unwrap_or_default(),
        ess: mean(&|row| row.ess),
        max_weight: mean(&|row| row.max_weight),
    }
}

/// The errors that the samples add to the mean over rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    se_mc: f64,
    bias_mc: f64,
    /// The same by the relative variances of the mean weights alone.
    by_variance: [f64; 2],
}

/// The errors of a mean over rows, whose K may differ.
pub(crate) fn errors(rows: &[RowEstimate]) -> Errors {
    let n = rows.len() as f64;
    let mean = |f: &dyn Fn(&RowEstimate) -> f64| rows.iter().map(f).sum::<f64>() / n;
    let by_variance = [(mean(&|row| row.variance) / n).sqrt(), mean(&|row| row.bias)];
    let variance = mean(&|row| row.halves.map_or(row.variance, |halves| halves.variance.max(row.variance)));
    let gains: [f64; GAINS] =
        std::array::from_fn(|i| mean(&|row| row.halves.map_or(0.0, |halves| halves.gains[i])));
    // NaN, the bias of a single sample, stays what it is.
    let [_, bias] = by_variance;
    let left = still_to_gain(gains);
    Errors { se_mc: (variance / n).sqrt(), bias_mc: if left > bias { left } else { bias }, by_variance }
}

impl Errors {
    /// By how much the relative variances would have to be larger to give these errors; at least 1.
    pub(crate) fn larger(&self) -> f64 {
        let [se, bias] = self.by_variance;
        let ratio = |now: f64, before: f64| if before > 0.0 { now / before } else { 1.0 };
        ratio(self.se_mc, se).powi(2).max(ratio(self.bias_mc, bias)).max(1.0)
    }
}

/// Exact rows as estimates without error.
pub fn exact_rows(log_probs: &[f64]) -> Vec<RowEstimate> {
    log_probs
        .iter()
        .map(|&log_prob| RowEstimate {
            log_prob,
            samples: 0,
            ess: 1.0,
            max_weight: 1.0,
            variance: 0.0,
            bias: 0.0,
            halves: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_over_rows_gives_the_standard_error() {
        let summary = summarise(&exact_rows(&[-1.0, -2.0, -3.0, -4.0]));
        assert_eq!((summary.n, summary.nll, summary.bias_mc), (4, 2.5, 0.0));
        let se = (5.0f64 / 3.0 / 4.0).sqrt();
        assert!((summary.se_rows.unwrap() - se).abs() < 1e-14);
        assert!((summary.ci95.unwrap()[1] - 2.5 - 1.96 * se).abs() < 1e-4);
    }

    #[test]
    fn one_row_has_no_spread() {
        let summary = summarise(&exact_rows(&[-1.0]));
        assert_eq!((summary.nll, summary.se_rows, summary.ci95), (1.0, None, None));
    }
}
