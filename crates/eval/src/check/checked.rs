//! The settings of a check, and its findings as the records of an evaluation hold them.

use serde::{Deserialize, Deserializer, Serialize};

/// How the importance samples of an evaluation are checked.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Samples per row, K, as in the evaluation.
    pub samples: usize,
    /// Matrix rows processed at a time.
    pub chunk: usize,
    /// Number of dreams.
    pub dreams: usize,
    /// Whether rows are enumerated if there are at most 2^14 latent states.
    pub enumerate: bool,
    /// Whether the evaluation draws from q alone. If it draws from a mixture, it may cover what q misses, so only
    /// visited states and enumeration can check it.
    pub q_alone: bool,
}

/// The findings on one row of the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowCheck {
    /// The row's number in its split.
    pub row: u64,
    /// `log p̂_V(x)`, nats.
    pub log_prob: f64,
    /// The share of `p̂_V(x)` that visited states make up.
    pub explained: f64,
    /// Number of states visited.
    pub visited: u64,
    /// Number of different states among the K draws.
    pub distinct: u64,
    /// The largest share of the weight that a single state has.
    pub top_state: f64,
    /// Estimated entropy of q, nats.
    #[serde(deserialize_with = "or_nan")]
    pub entropy: f64,
    /// Excess share of posterior samples from Markov chains: the mass that q misses. Set only for draws from q alone.
    pub missed: Option<f64>,
    /// `log p(x)` by enumeration.
    pub exact: Option<f64>,
}

/// The findings on one dream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DreamCheck {
    /// `log 1/K Σ w_k`, low on average, and `log 1/(K + 1) (w* + Σ w_k)`, high on average, if both are finite.
    pub bounds: Option<[f64; 2]>,
    /// Excess share of the exact sample of the posterior: the mass that q misses.
    #[serde(deserialize_with = "or_nan")]
    pub missed: f64,
}

/// JSON has no NaN; null stands for it.
fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::<f64>::deserialize(deserializer).map(|number| number.unwrap_or(f64::NAN))
}

/// The findings on all rows and dreams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Rows of the data; empty for real latents.
    pub rows: Vec<RowCheck>,
    /// Dreams.
    pub dreams: Vec<DreamCheck>,
}
