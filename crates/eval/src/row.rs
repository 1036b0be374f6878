//! The estimate of one row, with its errors.

use crate::halves::Halves;

/// The estimate of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowEstimate {
    /// `log p̂(x)`, or `log p̃̂*(x)`, in nats.
    pub log_prob: f64,
    /// Samples of this row, K.
    pub samples: usize,
    /// Effective sample size of what is summed, `w` or `√w`, as a share of K.
    pub ess: f64,
    /// The largest normalised weight.
    pub max_weight: f64,
    /// Variance of `log_prob`, estimated from the samples themselves.
    pub variance: f64,
    /// How much `log_prob` is expected to be too low if K is large, estimated from the same samples.
    pub bias: f64,
    /// What halves and quarters of the samples say about both; `None` for fewer than 16 samples.
    pub halves: Option<Halves>,
}
