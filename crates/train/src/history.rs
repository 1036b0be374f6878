//! `metrics.jsonl`: one object per epoch and split, and what follows from it.
//!
//! The file holds nothing that depends on the clock, and it is the only record of the best epoch
//! and of the patience: a run that resumes from epoch `e` reads it up to `e` and drops the rest.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::train::logger::MetricLogger;
use burn::train::metric::store::{Aggregate, EpochSummary, EventStoreClient, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use helmholtz_core::{Better, Score};
use helmholtz_datasets::{Plan, whole};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::chain::Chain;
use crate::stop::Stop;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The learner's epoch, from one.
    pub epoch: usize,
    /// `train` or `valid`.
    pub split: String,
    /// Training steps taken by the end of the epoch.
    pub step: u64,
    /// Name of the score of a validation record, if it is not the negative log-likelihood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// Its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Which way it is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<BetterWord>,
    /// Means over the epoch, and a few maxima, by name.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// Which way a score is better, as written in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BetterWord {
    /// A larger score.
    Higher,
    /// A smaller score.
    Lower,
}

impl Record {
    /// The name and the value of the score, if this is a validation record.
    pub fn score(&self) -> Option<(&str, f64)> {
        let name = self.score.as_deref().unwrap_or(Score::NLL.name);
        self.values.get(name).filter(|_| self.split == "valid").map(|value| (name, *value))
    }

    fn json(&self) -> String {
        serde_json::to_string(self).expect("names and finite numbers are JSON")
    }
}

/// Called with the record of each epoch and split; an error ends the run.
pub type OnRecord = Box<dyn FnMut(&Record) -> io::Result<()> + Send>;

/// Why a `metrics.jsonl` cannot be used.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be read or written.
    #[error(
        "{path}: {cause}; the run cannot go on without the best epoch and the patience that this file holds"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A line is not a record, or not the one that was written there.
    #[error(
        "{path}, line {line}: the record of an epoch is not as it was written ({message}); restore the file, or start \
         a new run in another folder"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The records end before the checkpoint.
    #[error(
        "{path}: there is no record of epoch {epoch}, but its checkpoint exists; the run cannot be resumed from it"
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// The epoch of the checkpoint.
        epoch: usize,
    },
}

/// The records of a run, with the best epoch by validation score and the patience that follow from them.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// Reads the records up to `epoch`. A last line cut short by a crash is dropped.
    ///
    /// # Errors
    /// If the file cannot be read, holds something else, or was changed before that epoch.
    pub fn read(path: &Path, epoch: usize) -> Result<Self, HistoryError> {
        let io = |cause| HistoryError::Io { path: path.into(), cause };
        let bytes = std::fs::read(path).map_err(io)?;
        let (mut records, mut chain) = (Vec::new(), Chain::default());
        for (i, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let wrong = |message: String| HistoryError::Malformed { path: path.into(), line: i + 1, message };
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let mut read = || -> Result<Record, String> {
                let line = std::str::from_utf8(line).map_err(|error| error.to_string())?;
                let object = chain.open(line)?;
                serde_json::from_str(&object).map_err(|error| error.to_string())
            };
            let record = match read() {
                Ok(record) => record,
                // What comes after the epoch is not needed.
                Err(_)
                    if records
                        .last()
                        .is_some_and(|last: &Record| last.epoch == epoch && last.split == "valid") =>
                {
                    break;
                }
                Err(what) => return Err(wrong(what)),
            };
            if record.epoch > epoch {
                break;
            }
            records.push(record);
        }
        Ok(History { records })
    }

    /// Replaces the file with all records: completely, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), HistoryError> {
        let (text, _) = self.text();
        whole::write(path, |file| file.write_all(text.as_bytes()))
            .map_err(|cause| HistoryError::Io { path: path.into(), cause })
    }

    /// The file's text, and its chain.
    fn text(&self) -> (String, Chain) {
        let mut chain = Chain::default();
        let lines = self.records.iter().map(|record| chain.seal(&record.json()) + "\n").collect();
        (lines, chain)
    }

    /// All records, in the order of the file.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Adds a record.
    pub fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Epoch, step and validation score of every epoch.
    pub fn validation(&self) -> impl Iterator<Item = (usize, u64, f64)> {
        self.records.iter().filter_map(|record| Some((record.epoch, record.step, record.score()?.1)))
    }

    /// Whether larger scores are better.
    fn higher_is_better(&self) -> bool {
        self.records.iter().any(|record| record.better == Some(BetterWord::Higher))
    }

    /// The order of two scores, the better one first.
    pub fn by_score(&self, a: f64, b: f64) -> Ordering {
        if self.higher_is_better() { b.total_cmp(&a) } else { a.total_cmp(&b) }
    }

    /// The epoch with the best validation score; of equal ones the earliest.
    pub fn best(&self) -> Option<(usize, f64)> {
        let sign = if self.higher_is_better() { -1.0 } else { 1.0 };
        self.validation().fold(None, |best, (epoch, _, score)| match best {
            Some((_, lowest)) if sign * score >= sign * lowest || score.is_nan() => best,
            _ => Some((epoch, score)),
        })
    }

    /// The last epoch and the number of steps taken by its end.
    pub fn last(&self) -> Option<(usize, u64)> {
        self.validation().last().map(|(epoch, step, _)| (epoch, step))
    }

    /// True if none of the last `patience` epochs was better than the best epoch before them.
    pub fn exhausted(&self, patience: Option<usize>) -> bool {
        match (patience, self.best(), self.last()) {
            (Some(patience), Some((best, _)), Some((last, _))) => last - best >= patience,
            _ => false,
        }
    }
}

/// What a whole epoch consists of, which decides when it is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) plan: Plan,
    /// The epoch that the run resumes from, and the steps taken by its end.
    pub(crate) first: (usize, u64),
    /// Batches of the validation split.
    pub(crate) valid_batches: u64,
    /// Parts of a training batch, one for each device.
    pub(crate) parts: u64,
}

impl Extent {
    fn step_after(&self, epoch: usize) -> u64 {
        self.plan.step_after(self.first.1, epoch - self.first.0)
    }

    /// Batches of a split in a whole epoch.
    fn batches(&self, epoch: usize, split: &Split) -> u64 {
        match split {
            Split::Train => self.parts * (self.step_after(epoch) - self.step_after(epoch - 1)),
            _ => self.valid_batches,
        }
    }
}

/// Burn's metric logger that appends to `metrics.jsonl` and to the shared history.
pub(crate) struct Journal {
    path: PathBuf,
    /// The seal of the last line, and the bytes of the file so far.
    chain: Chain,
    length: u64,
    history: Arc<Mutex<History>>,
    extent: Extent,
    score: Score,
    names: BTreeMap<String, String>,
    /// By split: batches seen in this epoch, and the values at its end.
    pending: BTreeMap<String, (u64, BTreeMap<String, f64>)>,
    on_record: OnRecord,
    stop: Stop,
    /// Nothing is appended after a record that could not be written.
    failed: bool,
}

impl Journal {
    pub(crate) fn new(
        path: PathBuf,
        history: Arc<Mutex<History>>,
        extent: Extent,
        score: Score,
        stop: Stop,
        on_record: OnRecord,
    ) -> Self {
        let (text, chain) = history.lock().expect("no thread panics while it holds the history").text();
        Journal {
            path,
            chain,
            length: text.len() as u64,
            history,
            extent,
            score,
            names: BTreeMap::new(),
            pending: BTreeMap::new(),
            on_record,
            stop,
            failed: false,
        }
    }

    /// Appends a record. If somebody else removed or changed the file, the run's past is no longer known: an error.
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut file = whole::open_append(&self.path, false)?;
        let found = file.metadata()?.len();
        if found != self.length {
            let of = self.length;
            return Err(io::Error::other(format!(
                "was changed during the run: it has {found} bytes instead of {of}"
            )));
        }
        let mut chain = self.chain.clone();
        let line = chain.seal(&record.json()) + "\n";
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        (self.chain, self.length) = (chain, self.length + line.len() as u64);
        Ok(())
    }
}

fn id_of(id: &MetricId) -> String {
    format!("{id:?}")
}

impl MetricLogger for Journal {
    fn log(&mut self, update: MetricsUpdate, _epoch: usize, split: &Split) {
        let (batches, values) = self.pending.entry(split.to_string()).or_default();
        let mut is_batch = false;
        for update in update.entries_numeric {
            match (update.numeric_entry, self.names.get(&id_of(&update.entry.metric_id))) {
                // The value at the end of an epoch.
                (Some(NumericEntry::Final(value)), Some(name)) => {
                    values.insert(name.clone(), value);
                }
                // The end of an epoch in which there was nothing to read.
                (Some(NumericEntry::Aggregated { count: 0, .. }), _) => {}
                _ => is_batch = true,
            }
        }
        *batches += u64::from(is_batch);
    }

    fn read_numeric(&mut self, name: &str, epoch: usize, split: &Split) -> Result<Vec<NumericEntry>, String> {
        let history = self.history.lock().expect("no thread panics while it holds the history");
        let split = split.to_string();
        Ok(history
            .records()
            .iter()
            .filter(|record| record.epoch == epoch && record.split == split)
            .filter_map(|record| record.values.get(name).map(|&value| NumericEntry::Final(value)))
            .collect())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.names.insert(id_of(&definition.metric_id), definition.name.to_string());
    }

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        let EpochSummary { epoch_number: epoch, split } = summary;
        let (batches, values) = self.pending.remove(&split.to_string()).unwrap_or_default();
        // Nothing is kept of an epoch that was cut short; a resumed run repeats it.
        let is_whole =
            batches == self.extent.batches(epoch, &split) && values.values().all(|v| v.is_finite());
        if self.failed || !is_whole {
            return;
        }
        let other = Some(self.score).filter(|score| split == Split::Valid && *score != Score::NLL);
        let record = Record {
            epoch,
            split: split.to_string(),
            step: self.extent.step_after(epoch),
            score: other.map(|score| score.name.to_owned()),
            unit: other.map(|score| score.unit.to_owned()),
            better: other.map(|score| match score.better {
                Better::Higher => BetterWord::Higher,
                Better::Lower => BetterWord::Lower,
            }),
            values,
        };
        // The callback may know that the file no longer belongs to this run.
        let looked = (self.on_record)(&record).map_err(|error| error.to_string());
        let kept = looked
            .and_then(|()| self.append(&record).map_err(|error| format!("{}: {error}", self.path.display())));
        if let Err(message) = kept {
            tracing::info!("stopped: {message}");
            self.failed = true;
            self.stop.fail(message);
            return;
        }
        self.history.lock().expect("no thread panics while it holds the history").push(record);
    }
}

/// Waits until every record up to `epoch` is in the history: Burn passes events to the logger in a
/// thread of its own, and answers a query only after all events before it.
pub(crate) fn wait_for_records(store: &EventStoreClient, epoch: usize) {
    // The metric does not exist, so the answer is empty; it only matters that it came.
    store.find_metric("", epoch, Aggregate::Mean, &Split::Valid);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(nlls: &[f64]) -> History {
        let mut history = History::default();
        for (i, &nll) in nlls.iter().enumerate() {
            let values = BTreeMap::from([("nll".to_string(), nll)]);
            let step = 10 * (i as u64 + 1);
            history.push(Record {
                epoch: i + 1,
                split: "valid".into(),
                step,
                score: None,
                unit: None,
                better: None,
                values,
            });
        }
        history
    }

    #[test]
    fn the_best_epoch_is_the_earliest_of_the_lowest() {
        assert_eq!(history(&[3.0, 2.0, 2.0, 2.5]).best(), Some((2, 2.0)));
        assert_eq!(history(&[]).best(), None);
    }

    #[test]
    fn a_score_of_which_more_is_better_says_so_in_its_records() {
        let mut run = history(&[0.3, 0.5, 0.4]);
        run.records.iter_mut().for_each(|record| record.better = Some(BetterWord::Higher));
        assert_eq!(run.best(), Some((2, 0.5)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        run.write(&path).unwrap();
        assert_eq!(History::read(&path, 9).unwrap().best(), Some((2, 0.5)));
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"better\":\"higher\""));
    }

    #[test]
    fn patience_counts_epochs_without_improvement() {
        let run = history(&[3.0, 2.0, 2.1, 2.2]);
        assert!(run.exhausted(Some(2)) && !run.exhausted(Some(3)) && !run.exhausted(None));
    }

    #[test]
    fn numbers_come_back_from_the_file_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let run = history(&[0.1 + 0.2, 1.0 / 3.0, 104.200_000_000_000_01]);
        run.write(&path).unwrap();
        assert_eq!(History::read(&path, 9).unwrap().records(), run.records());
        assert_eq!(History::read(&path, 2).unwrap().records(), &run.records()[..2]);
    }

    #[test]
    fn a_line_cut_short_is_dropped_and_a_foreign_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        history(&[1.0]).write(&path).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"epoch\":2,\"spl")).unwrap();
        assert_eq!(History::read(&path, 9).unwrap().records().len(), 1);
        std::fs::write(&path, format!("{whole}hello\n")).unwrap();
        assert!(History::read(&path, 9).unwrap_err().to_string().contains("line 2"));
    }
}
