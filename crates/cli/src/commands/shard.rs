//! Parts of an evaluation.
//!
//! A part holds some of the samples of every row, as sums of weights. With annealing of latents, it holds some of the rows.
//! With annealing of an energy, it holds some of the chains and the free energies of some of the rows.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use helmholtz_eval::{AnnealedRow, Checked, LogPartition, RowEstimate, RowWeights};
use serde::{Deserialize, Serialize};

use super::energy_annealing::EnergyAnnealing;
use super::test_rows::TestRows;

/// Part I of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// I, from 1.
    pub(crate) index: usize,
    /// N.
    pub(crate) of: usize,
}

/// Maximum number of parts.
const MOST: usize = 1 << 16;

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, of)) if (1..=of).contains(&index) && of <= MOST => Ok(Shard { index, of }),
            _ => Err(format!("give part I of N as I/N, such as 1/4, with I from 1 to N and N up to {MOST}")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Shard {
    /// The samples of this part, out of `k`. Each part has one range, and the ranges are consecutive.
    pub(crate) fn of_samples(self, k: usize) -> Range<usize> {
        (self.index - 1) * k / self.of..self.index * k / self.of
    }

    /// The rows of this part: every N-th row, because files may be sorted by how hard their rows are.
    pub(crate) fn of_rows<T: Copy>(self, rows: &[T]) -> Vec<T> {
        rows.iter().skip(self.index - 1).step_by(self.of).copied().collect()
    }

    pub(crate) fn is_first(self) -> bool {
        self.index == 1
    }
}

/// What is evaluated, and how: the same for all parts of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setting {
    pub(crate) protocol: String,
    pub(crate) data_sha256: String,
    pub(crate) split: String,
    /// `is`, `exact`, `ais` or `raise`; never `exact` for a part.
    pub(crate) method: String,
    /// Whether p* is scored.
    pub(crate) bidirectional: bool,
    /// K, or the number of chains.
    pub(crate) samples: usize,
    /// Temperatures and leapfrog steps.
    pub(crate) annealing: Option<[usize; 2]>,
    pub(crate) seed: u64,
    pub(crate) weights_sha256: String,
    /// The epoch of the weights, if they come from a run; missing in older files.
    #[serde(default)]
    pub(crate) epoch: Option<usize>,
    pub(crate) layers: Vec<usize>,
    /// The share of the proposals that are defensive.
    #[serde(default)]
    pub(crate) defence: Option<f64>,
    /// How the model is annealed, if it is given by an energy.
    #[serde(default)]
    pub(crate) energy: Option<EnergyAnnealing>,
    /// The rows of the whole evaluation, in order.
    pub(crate) rows: Vec<u64>,
}

impl Setting {
    /// The first setting in which another evaluation differs: its name, its value here and its value there.
    pub(crate) fn difference(&self, other: &Setting) -> Option<(String, String, String)> {
        let fields = |setting| match serde_json::to_value(setting) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => unreachable!("a struct of plain values is an object"),
        };
        let (mut here, mut there) = (fields(self), fields(other));
        // Parts of older versions do not record the epoch, and the weights must agree in any case.
        if self.epoch.is_none() || other.epoch.is_none() {
            here.remove("epoch");
            there.remove("epoch");
        }
        let (name, value) = here.into_iter().find(|(name, value)| there.get(name) != Some(value))?;
        let shown = |value: Option<&serde_json::Value>| match value {
            Some(serde_json::Value::Array(of)) if name == "rows" => format!("a list of {}", of.len()),
            Some(value) => value.to_string(),
            None => "not set".to_string(),
        };
        let pair = (shown(Some(&value)), shown(there.get(&name)));
        Some((name, pair.0, pair.1))
    }
}

/// The results of a part.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Weights of some of the samples, for every row.
    Samples(Vec<RowWeights>),
    /// Annealed estimates of some of the rows.
    Rows(Vec<AnnealedRow>),
    /// Chains and rows of a model that is given by an energy.
    Chains(OfChains),
}

/// Some of the chains that estimate log Z, and what belongs to some of the rows.
#[derive(Clone, Debug)]
pub(crate) struct OfChains {
    /// The mean of the exponentials of those of all parts is Z.
    pub(crate) log_weights: Vec<f64>,
    pub(crate) free_energies: Vec<f64>,
    /// Estimates by reverse annealing, with `raise`.
    pub(crate) reverse: Option<Vec<RowEstimate>>,
}

impl Content {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Content::Samples(weights) => weights.len(),
            Content::Rows(rows) => rows.len(),
            Content::Chains(of) => of.free_energies.len(),
        }
    }
}

/// A part of an evaluation.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) shard: Shard,
    pub(crate) setting: Setting,
    pub(crate) content: Content,
    /// Active units of each layer, in the first part.
    pub(crate) active: Option<Vec<usize>>,
    /// 2 log Z, in the first part, if the model is read as bidirectional.
    pub(crate) log_z2: Option<LogPartition>,
    /// The check of the samples, in the first part.
    pub(crate) checked: Option<Checked>,
    /// How the test rows relate to the others, in the first part of the test split.
    pub(crate) test_rows: Option<TestRows>,
    pub(crate) seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_every_sample_and_every_row_once() {
        let rows: Vec<usize> = (0..11).collect();
        for of in 1..8 {
            let parts = || (1..=of).map(|index| Shard { index, of });
            let samples: Vec<usize> = parts().flat_map(|part| part.of_samples(11)).collect();
            assert_eq!(samples, rows);
            let mut shared: Vec<usize> = parts().flat_map(|part| part.of_rows(&rows)).collect();
            shared.sort_unstable();
            assert_eq!(shared, rows);
        }
    }

    #[test]
    fn what_is_no_part_of_any_number_is_refused() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        for text in ["", "2", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1/100000"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
