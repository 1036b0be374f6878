//! The partition function of a bidirectional Helmholtz machine.
//!
//! `p*(x, h) = √(p(x, h) q(h | x) p*(x)) / Z` has the marginal `p*(x) = p̃*(x) / Z²` with
//! `p̃*(x) = (Σ_h √(p(x, h) q(h | x)))²`, so `Z² = Σ_x p̃*(x)`, and `Z <= 1`. With
//!
//! ```text
//! x, h ~ p,   h' ~ q(· | x),   s = ½ [log q(h | x) - log p(x, h) + log p(x, h') - log q(h' | x)]
//! ```
//!
//! `E exp(s) = Z²`: the mean over N draws is unbiased. Its logarithm is too low on average by half its
//! relative variance, so `log p*(x) = log p̃*(x) - 2 log Z` comes out too high. Two identities hold
//! exactly. `E exp(2 s) = 1` is a test of the draws. Hence `Var exp(s) = 1 - Z⁴`, which gives the
//! standard error `√((Z⁻⁴ - 1) / N)` of 2 log Z and the number of draws that a given error needs.
//!
//! # Reference
//! Bornschein, Shabanian, Fischer, Bengio, "Bidirectional Helmholtz machines", ICML 2016, arXiv:1506.03877.

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Key, LatentVariableModel, Role};
use helmholtz_ops::into_f64;

use crate::streaming::WeightSums;

/// Draws samples until 2 log Z is known to a given error.
#[derive(Clone, Debug)]
pub struct PartitionFunction {
    /// The standard error to reach, nats.
    pub error: f64,
    /// Bound on the number of draws, [`FEWEST_DRAWS`] or more.
    pub most: u64,
}

/// An estimate of 2 log Z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogPartition {
    /// 2 log Z in nats, at most 0 except for its error.
    pub log_z2: f64,
    /// Its standard error by the formula, `√((Z⁻⁴ - 1) / N)` at the estimated Z; 0 if it was enumerated.
    pub se_formula: f64,
    /// Its standard error from the spread of the means of batches of a thousand draws.
    pub se_batches: f64,
    /// The mean of exp(2 s), which is 1 in expectation.
    pub check: f64,
    /// Draws, N; 0 if it was enumerated.
    pub samples: u64,
}

impl LogPartition {
    /// An exact value.
    pub fn exact(log_z2: f64) -> Self {
        LogPartition { log_z2, se_formula: 0.0, se_batches: 0.0, check: 1.0, samples: 0 }
    }

    /// The larger of the two standard errors.
    ///
    /// The formula uses the estimate itself, which a single large draw may have made too high; then the
    /// batches disagree.
    pub fn se(&self) -> f64 {
        self.se_formula.max(self.se_batches)
    }

    /// Whether the draws determine 2 log Z. They do not if its standard error is above half a nat.
    ///
    /// This happens with machines whose halves hardly overlap. `log p̃*(x)` is then still a lower bound on
    /// `log p*(x)`, because Z is at most 1.
    pub fn is_known(&self) -> bool {
        self.log_z2.is_finite() && self.se() <= 0.5
    }

    /// How much 2 log Z is expected to be too low.
    pub fn bias(&self) -> f64 {
        0.5 * self.se().powi(2)
    }
}

/// The fewest draws: fewer have no spread of batches.
pub const FEWEST_DRAWS: u64 = 2 * BATCH;
/// Draws of a batch; the spread is that of the means of batches.
const BATCH: u64 = 1000;
/// Batches before the first look at the error.
const FIRST_BATCHES: u64 = 20;

impl PartitionFunction {
    /// Estimates 2 log Z of a model; the draws are keyed by their own numbers.
    ///
    /// `on_draws` is called with the number of draws made, and the number planned.
    ///
    /// # Panics
    /// If the error is not positive, or there are too few draws.
    pub fn estimate<M: LatentVariableModel>(
        &self,
        model: &M,
        key: Key,
        mut on_draws: impl FnMut(u64, u64),
    ) -> LogPartition {
        assert!(self.error > 0.0, "the error must be positive");
        assert!(self.most >= FEWEST_DRAWS, "{} draws are too few for a spread of batches", self.most);
        let mut batches: Vec<f64> = Vec::new();
        let (mut all, mut squares) = (WeightSums::default(), WeightSums::default());
        let most = self.most / BATCH;
        let mut planned = FIRST_BATCHES.min(most);
        while (batches.len() as u64) < planned {
            let mut batch = WeightSums::default();
            for s in half_log_ratios(model, key, batches.len() as u64 * BATCH, BATCH) {
                batch.push(s);
                all.push(s);
                squares.push(2.0 * s);
            }
            batches.push(batch.log_mean());
            if batches.len() as u64 == planned {
                // Z⁻⁴ - 1 = (Z²)⁻² - 1; at most doubles the draws, because few draws may miss much of Z.
                let wanted = variance(all.log_mean()) / (self.error * self.error) / BATCH as f64;
                planned = planned.max((wanted.ceil().min(most as f64) as u64).min(2 * planned));
            }
            on_draws(batches.len() as u64 * BATCH, planned * BATCH);
        }
        let n = batches.len() as f64;
        let relative = batches.iter().map(|batch| ((batch - all.log_mean()).exp() - 1.0).powi(2));
        LogPartition {
            log_z2: all.log_mean(),
            se_formula: (variance(all.log_mean()) / all.n() as f64).sqrt(),
            se_batches: (relative.sum::<f64>() / (n - 1.0) / n).sqrt(),
            check: squares.log_mean().exp(),
            samples: all.n(),
        }
    }
}

/// Relative variance of exp(s), `Z⁻⁴ - 1`; zero where the estimate of Z is above 1, as for a Z of 1.
fn variance(log_z2: f64) -> f64 {
    ((-2.0 * log_z2).exp() - 1.0).max(0.0)
}

/// s of the draws `first .. first + n`.
fn half_log_ratios<M: LatentVariableModel>(model: &M, key: Key, first: u64, n: u64) -> Vec<f64> {
    let numbers: Vec<u64> = (first..first + n).collect();
    let draws = |role| Draws::of_rows(key.child(role), numbers.clone(), 1);
    let (x, h) = model.dream(&draws(Role::Sleep));
    let p = model.trace_joint(x.clone(), &h).log_prob;
    let q = model.trace_posterior(x.clone(), &h).log_prob;
    let other: Tensor<1> = model.log_weights(x, &draws(Role::Wake)).squeeze_dim(1);
    into_f64((q - p + other) * 0.5)
}
