//! What is measured, in which unit, and whether higher or lower is better.

use burn::tensor::Tensor;

/// Whether a higher or a lower number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher is better.
    Higher,
    /// Lower is better.
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

/// The number that measures a model's quality: a mean over the rows of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Its name in `metrics.jsonl`, in snake case.
    pub name: &'static str,
    /// Its name in a sentence or on an axis.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Whether higher or lower is better.
    pub better: Better,
}

impl Score {
    /// The negative log-likelihood of a row.
    pub const NLL: Score = Score { name: "nll", title: "NLL", unit: "nats", better: Better::Lower };

    /// The title of an axis: the unit per row, and whether higher or lower is better.
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
    /// Whether higher or lower is better, if either is.
    pub better: Option<Better>,
    /// How the steps of an epoch are combined.
    pub over: Over,
}

impl Measure {
    /// The strategy's own estimate of what it ascends: `log 1/K Σ_k w_k`, or `2 log 1/K Σ_k √w_k` for a bidirectional
    /// machine. Its expectation is a lower bound on `log p(x)`. A mean over the batch.
    pub const BOUND: Measure =
        Measure { name: "bound", unit: Some("nats"), better: Some(Better::Higher), over: Over::Mean };
    /// The effective sample size `(Σ w)² / Σ w²` of the weights of the update, as a share of K. A mean over the batch.
    pub const ESS: Measure =
        Measure { name: "ess", unit: None, better: Some(Better::Higher), over: Over::Mean };

    /// A number without a unit, of which neither higher nor lower is better.
    pub const fn new(name: &'static str, over: Over) -> Self {
        Measure { name, unit: None, better: None, over }
    }

    /// The value of this measure at one step, `[1]`.
    pub fn is(self, value: Tensor<1>) -> Measured {
        Measured { measure: self, value }
    }
}

/// How the values of the steps of an epoch are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// By their mean, each step weighted by the number of rows in its batch.
    Mean,
    /// By their maximum.
    Maximum,
    /// By their sum.
    Sum,
}

/// The value of a measure at one step; a tensor, read from the device only when needed.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was measured.
    pub measure: Measure,
    /// The value: `[1]`.
    pub value: Tensor<1>,
}
