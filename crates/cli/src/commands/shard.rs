//! Parts of an evaluation, and the files that hold them.
//!
//! A part holds either some of the samples of every row, as sums of weights, or by annealing some of the rows.
//! The file is a safetensors file: what must agree between the parts is its metadata.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use helmholtz_eval::{AnnealedRow, Checked, LogPartition, RowEstimate, RowWeights};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use crate::error::user;
use crate::run_folder::write_whole;

/// Part I of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// I, from 1.
    pub(crate) index: usize,
    /// N.
    pub(crate) of: usize,
}

/// No evaluation is shared out among more.
const MOST: usize = 1 << 16;

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, of)) if (1..=of).contains(&index) && of <= MOST => Ok(Shard { index, of }),
            _ => Err(format!("give part I of N as I/N, as in 1/4, with I from 1 to N and N up to {MOST}")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Shard {
    /// The samples of this part, of `k`; those of all parts follow upon each other.
    pub(crate) fn of_samples(self, k: usize) -> Range<usize> {
        (self.index - 1) * k / self.of..self.index * k / self.of
    }

    /// The rows of this part: every N-th, for files may be sorted by what makes a row hard.
    pub(crate) fn of_rows<T: Copy>(self, rows: &[T]) -> Vec<T> {
        rows.iter().skip(self.index - 1).step_by(self.of).copied().collect()
    }

    pub(crate) fn is_first(self) -> bool {
        self.index == 1
    }
}

/// What the parts of an evaluation have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setting {
    pub(crate) protocol: String,
    pub(crate) data_sha256: String,
    pub(crate) split: String,
    /// `is` or `ais`.
    pub(crate) method: String,
    /// Whether p* is scored.
    pub(crate) bidirectional: bool,
    /// K, or the number of chains.
    pub(crate) samples: usize,
    /// Temperatures and leapfrog steps.
    pub(crate) annealing: Option<[usize; 2]>,
    pub(crate) seed: u64,
    pub(crate) weights_sha256: String,
    pub(crate) layers: Vec<usize>,
    /// The share of the defence in the proposals.
    #[serde(default)]
    pub(crate) defence: Option<f64>,
    /// The rows of the whole evaluation, in order.
    pub(crate) rows: Vec<u64>,
}

impl Setting {
    /// The first thing in which another evaluation differs: its name, here and there.
    pub(crate) fn difference(&self, other: &Setting) -> Option<(String, String, String)> {
        let fields = |setting| match serde_json::to_value(setting) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => unreachable!("a struct of plain values is an object"),
        };
        let (here, there) = (fields(self), fields(other));
        let (name, value) = here.into_iter().find(|(name, value)| there.get(name) != Some(value))?;
        let shown = |value: Option<&serde_json::Value>| match value {
            Some(serde_json::Value::Array(of)) if name == "rows" => format!("{} of them", of.len()),
            Some(value) => value.to_string(),
            None => "nothing".to_string(),
        };
        let pair = (shown(Some(&value)), shown(there.get(&name)));
        Some((name, pair.0, pair.1))
    }
}

/// What a part found.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Weights of some of the samples, of every row.
    Samples(Vec<RowWeights>),
    /// Some of the rows.
    Rows(Vec<AnnealedRow>),
}

impl Content {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Content::Samples(weights) => weights.len(),
            Content::Rows(rows) => rows.len(),
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
    /// In the first part of a model read as bidirectional.
    pub(crate) log_z2: Option<LogPartition>,
    /// The check of the samples, in the first part.
    pub(crate) checked: Option<Checked>,
    pub(crate) seconds: f64,
}

// Names in the file.
const SHARD: &str = "helmholtz.shard";
const SETTING: &str = "helmholtz.setting";
const ACTIVE: &str = "helmholtz.active_units";
const CHECK: &str = "helmholtz.check";
const SECONDS: &str = "helmholtz.seconds";
const WEIGHTS: &str = "weights";
const ROWS: &str = "rows";
const LOG_Z2: &str = "log_z2";
/// As many as `--samples` takes.
const MOST_SAMPLES: usize = 1 << 30;
/// Numbers of a row's weights, and of an annealed row.
const WIDTHS: [usize; 2] = [12, 7];

impl Part {
    /// Writes the part: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let (name, width, values): (_, _, Vec<f64>) = match &self.content {
            Content::Samples(weights) => {
                (WEIGHTS, WIDTHS[0], weights.iter().flat_map(|row| row.parts().concat()).collect())
            }
            Content::Rows(rows) => (ROWS, WIDTHS[1], rows.iter().flat_map(numbers_of).collect()),
        };
        let bytes = |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let content = bytes(&values);
        let log_z2 =
            self.log_z2.map(|z| bytes(&[z.log_z2, z.se_formula, z.se_batches, z.check, z.samples as f64]));
        let mut views =
            vec![(name, TensorView::new(Dtype::F64, vec![self.content.rows(), width], &content)?)];
        if let Some(log_z2) = &log_z2 {
            views.push((LOG_Z2, TensorView::new(Dtype::F64, vec![5], log_z2)?));
        }
        let mut metadata = HashMap::from([
            (SHARD.to_string(), self.shard.to_string()),
            (SETTING.to_string(), serde_json::to_string(&self.setting)?),
            (SECONDS.to_string(), self.seconds.to_string()),
        ]);
        if let Some(active) = &self.active {
            metadata.insert(ACTIVE.to_string(), serde_json::to_string(active)?);
        }
        if let Some(checked) = &self.checked {
            metadata.insert(CHECK.to_string(), serde_json::to_string(checked)?);
        }
        let bytes = serialize(views, Some(metadata))?;
        write_whole(path, |file| file.write_all(&bytes))
    }

    /// Reads a part.
    ///
    /// # Errors
    /// If the file is none.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = fs::read(path).map_err(|error| user(format!("{shown}: {error}")))?;
        parse(&bytes)
            .map_err(|what| user(format!("{shown}: not a part of an evaluation (evaluate --shard): {what}")))
    }
}

fn numbers_of(row: &AnnealedRow) -> [f64; 7] {
    let RowEstimate { log_prob, samples, ess, max_weight, variance, bias } = row.estimate;
    [log_prob, samples as f64, ess, max_weight, variance, bias, row.acceptance.unwrap_or(f64::NAN)]
}

/// A part from the bytes of its file, or what is wrong with them.
fn parse(bytes: &[u8]) -> Result<Part, String> {
    let text = |error: &dyn fmt::Display| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| text(&error))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let said = |name: &str| metadata.get(name).ok_or_else(|| format!("it has no {name}"));
    let shard: Shard = said(SHARD)?.parse().map_err(|error: String| format!("{SHARD}: {error}"))?;
    let setting: Setting =
        serde_json::from_str(said(SETTING)?).map_err(|error| format!("{SETTING}: {error}"))?;
    if setting.rows.is_empty() || !["is", "ais"].contains(&setting.method.as_str()) {
        return Err(format!("{SETTING}: no rows, or an unknown method `{}`", setting.method));
    }
    if setting.samples > MOST_SAMPLES {
        return Err(format!("{SETTING}: {} samples are more than {MOST_SAMPLES}", setting.samples));
    }
    let active = metadata
        .get(ACTIVE)
        .map(|text| serde_json::from_str(text).map_err(|error| format!("{ACTIVE}: {error}")))
        .transpose()?;
    let checked = metadata
        .get(CHECK)
        .map(|text| serde_json::from_str(text).map_err(|error| format!("{CHECK}: {error}")))
        .transpose()?;
    let seconds = said(SECONDS)?.parse().map_err(|error| format!("{SECONDS}: {error}"))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| text(&error))?;
    let values = |name: &str, shape: &[usize]| -> Result<Vec<f64>, String> {
        let view = tensors.tensor(name).map_err(|error| text(&error))?;
        if view.dtype() != Dtype::F64 || view.shape() != shape {
            let found = (view.dtype(), view.shape());
            return Err(format!("{name} is {found:?}, and should be F64 {shape:?}"));
        }
        let (numbers, _) = view.data().as_chunks::<8>();
        Ok(numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
    };
    let content = if setting.method == "ais" {
        let values = values(ROWS, &[shard.of_rows(&setting.rows).len(), WIDTHS[1]])?;
        let (rows, _) = values.as_chunks::<7>();
        Content::Rows(rows.iter().map(annealed).collect())
    } else {
        let samples = shard.of_samples(setting.samples).len() as u64;
        let values = values(WEIGHTS, &[setting.rows.len(), WIDTHS[0]])?;
        let (rows, _) = values.as_chunks::<12>();
        let weights = |row: &[f64; 12]| {
            let (whole, root) = row.split_at(6);
            let parts = [whole, root].map(|part| part.try_into().expect("half of twelve"));
            RowWeights::from_parts(parts).filter(|row| row.samples() == samples)
        };
        let weights: Option<Vec<RowWeights>> = rows.iter().map(weights).collect();
        Content::Samples(weights.ok_or_else(|| format!("a row's weights are not of {samples} samples"))?)
    };
    let log_z2 = if setting.bidirectional && shard.is_first() {
        let values = values(LOG_Z2, &[5])?;
        Some(LogPartition {
            log_z2: values[0],
            se_formula: values[1],
            se_batches: values[2],
            check: values[3],
            samples: values[4] as u64,
        })
    } else {
        None
    };
    Ok(Part { shard, setting, content, active, log_z2, checked, seconds })
}

fn annealed(&[log_prob, samples, ess, max_weight, variance, bias, acceptance]: &[f64; 7]) -> AnnealedRow {
    AnnealedRow {
        estimate: RowEstimate { log_prob, samples: samples as usize, ess, max_weight, variance, bias },
        acceptance: (!acceptance.is_nan()).then_some(acceptance),
    }
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
