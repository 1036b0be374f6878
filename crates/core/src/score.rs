//! What is measured, in which unit, and which way is better.

use burn::tensor::Tensor;

/// Which way a number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The larger.
    Higher,
    /// The smaller.
    Lower,
}

impl Better {
    /// As a word: `higher` or `lower`.
    pub fn word(self) -> &'static str {
        match self {
            Better::Higher => "higher",
            Better::Lower => "lower",
        }
    }
}

/// The number that a model is judged by: a mean over the rows of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Its name in `metrics.jsonl`, in snake case.
    pub name: &'static str,
    /// What it is called in a sentence or on an axis.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way it is better.
    pub better: Better,
}

impl Score {
    /// The negative log-likelihood of a row.
    pub const NLL: Score = Score { name: "nll", title: "NLL", unit: "nats", better: Better::Lower };

    /// What it is per row, in which unit and which way it is better: the title of an axis.
    pub fn axis(&self) -> String {
        format!("{} per row, {} is better", self.unit, self.better.word())
    }
}

/// A quantity that a strategy measures at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name, in snake case.
    pub name: &'static str,
    /// Its unit, if it has one.
    pub unit: Option<&'static str>,
    /// Which way it is better, if either is.
    pub better: Option<Better>,
    /// What becomes of the steps of an epoch.
    pub over: Over,
}

impl Measure {
    /// The strategy's own estimate of what it ascends, in expectation a lower bound on `log p(x)`: `log 1/K Σ_k w_k`, or
    /// `2 log 1/K Σ_k √w_k` of a bidirectional machine. A mean over the batch.
    pub const BOUND: Measure =
        Measure { name: "bound", unit: Some("nats"), better: Some(Better::Higher), over: Over::Mean };
    /// The effective sample size `(Σ w)² / Σ w²` of the weights of the update, as a share of K. A mean over the batch.
    pub const ESS: Measure =
        Measure { name: "ess", unit: None, better: Some(Better::Higher), over: Over::Mean };

    /// A number without a unit, of which neither way is better.
    pub const fn new(name: &'static str, over: Over) -> Self {
        Measure { name, unit: None, better: None, over }
    }

    /// This measure at one step: `[1]`.
    pub fn is(self, value: Tensor<1>) -> Measured {
        Measured { measure: self, value }
    }
}

/// How the steps of an epoch are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// By their mean, each step counting as often as its batch has rows.
    Mean,
    /// By the largest.
    Maximum,
    /// By their sum.
    Sum,
}

/// The value of a measure at one step, read when somebody looks.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was measured.
    pub measure: Measure,
    /// The value: `[1]`.
    pub value: Tensor<1>,
}
