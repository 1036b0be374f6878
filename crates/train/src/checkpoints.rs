//! Burn's checkpoint files, sealed by a hash.
//!
//! For epoch `e` the learner writes `model-e.bpk`, `optim-e.bpk` and `scheduler-e.bpk`; beside each
//! lies its SHA-256, written after it. A checkpoint counts only if all three agree with their
//! hashes, so that one cut short by a crash is told from a whole one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::store::RecordError;
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy, FileCheckpointer,
};
use burn::train::metric::store::EventStoreClient;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::History;
use crate::history::wait_for_records;
use crate::stop::Stop;

/// The three parts of a checkpoint, by the names of their files.
pub const PARTS: [&str; 3] = ["model", "optim", "scheduler"];

/// A checkpoint folder that cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The folder cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every checkpoint is damaged.
    #[error("{folder}: no checkpoint is whole ({damaged}); train anew into another folder")]
    AllDamaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with each.
        damaged: String,
    },
}

/// The checkpoint folder of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Epochs whose checkpoint is whole.
    pub whole: BTreeSet<usize>,
    /// Epochs whose checkpoint is damaged, with what is wrong.
    pub damaged: Vec<(usize, String)>,
}

/// The checkpoint that a run goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its epoch.
    pub epoch: usize,
    /// What is wrong with each newer one.
    pub passed_over: Vec<String>,
}

impl Checkpoints {
    /// The folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Checkpoints { folder: folder.into() }
    }

    /// The file of a part of an epoch.
    pub fn file(&self, part: &str, epoch: usize) -> PathBuf {
        self.folder.join(format!("{part}-{epoch}.bpk"))
    }

    /// Examines every checkpoint.
    ///
    /// # Errors
    /// If the folder is there but cannot be read.
    pub fn examine(&self) -> Result<Found, CheckpointError> {
        let mut found = Found::default();
        let at_folder = |source| CheckpointError::Io { path: self.folder.clone(), source };
        if !self.folder.exists() {
            return Ok(found);
        }
        let mut epochs = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).map_err(at_folder)? {
            let name = entry.map_err(at_folder)?.file_name().to_string_lossy().into_owned();
            let epoch =
                name.strip_suffix(".bpk").and_then(|stem| stem.rsplit_once('-')).map(|(_, epoch)| epoch);
            epochs.extend(epoch.and_then(|epoch| epoch.parse::<usize>().ok()));
        }
        for epoch in epochs {
            match PARTS.iter().map(|part| self.file(part, epoch)).find_map(|file| defect(&file)) {
                None => {
                    found.whole.insert(epoch);
                }
                Some(defect) => found.damaged.push((epoch, defect)),
            }
        }
        Ok(found)
    }

    /// The newest whole checkpoint; `None` if there is none at all.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds damaged checkpoints only.
    pub fn newest(&self) -> Result<Option<Newest>, CheckpointError> {
        let Found { whole, damaged } = self.examine()?;
        match whole.last() {
            Some(&epoch) => {
                let newer = damaged.into_iter().filter(|(e, _)| *e > epoch);
                Ok(Some(Newest { epoch, passed_over: newer.map(|(_, defect)| defect).collect() }))
            }
            None if damaged.is_empty() => Ok(None),
            None => {
                let damaged: Vec<String> = damaged.into_iter().map(|(_, defect)| defect).collect();
                Err(CheckpointError::AllDamaged { folder: self.folder.clone(), damaged: damaged.join("; ") })
            }
        }
    }

    /// Removes all files of the epochs after `epoch`.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn forget_after(&self, epoch: usize) -> Result<(), CheckpointError> {
        let Found { whole, damaged } = self.examine()?;
        for later in whole.into_iter().chain(damaged.into_iter().map(|(e, _)| e)).filter(|e| *e > epoch) {
            for part in PARTS {
                let file = self.file(part, later);
                for path in [seal_of(&file), file] {
                    match fs::remove_file(&path) {
                        Err(source) if source.kind() != io::ErrorKind::NotFound => {
                            return Err(CheckpointError::Io { path, source });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn checkpointer(&self, part: &str, stop: Stop) -> Sealed {
        Sealed {
            files: FileCheckpointer::new(&self.folder, part),
            part: part.to_string(),
            folder: self.clone(),
            stop,
        }
    }
}

fn seal_of(file: &Path) -> PathBuf {
    file.with_extension("bpk.sha256")
}

fn hash(file: &Path) -> io::Result<String> {
    let digest = Sha256::digest(fs::read(file)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is wrong with a part, if anything.
fn defect(file: &Path) -> Option<String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(found) = hash(file) else { return Some(format!("{name} is missing")) };
    let Ok(seal) = fs::read_to_string(seal_of(file)) else { return Some(format!("{name} was not finished")) };
    (seal.trim() != found).then(|| format!("{name} is damaged: its bytes differ from its hash"))
}

/// Burn's file checkpointer with a hash beside every file.
pub(crate) struct Sealed {
    files: FileCheckpointer,
    part: String,
    folder: Checkpoints,
    /// Hears of what fails, which Burn's words hide.
    stop: Stop,
}

impl Sealed {
    /// Tells the run what failed, and Burn too.
    fn failing<T>(&self, epoch: usize, result: Result<T, CheckpointerError>) -> Result<T, CheckpointerError> {
        result.inspect_err(|error| {
            let file = self.folder.file(&self.part, epoch);
            self.stop.fail(format!("{}: {}", file.display(), cause(error)));
        })
    }
}

/// The system's words without those that Burn's crates wrap around them.
fn cause(error: &CheckpointerError) -> String {
    match error {
        CheckpointerError::IOError(error) => error.to_string(),
        // As in "I/O error: cannot write to 'model-1.bpk.7-0.tmp': No space left on device (os error 28)".
        CheckpointerError::Record(RecordError::Io(words)) => {
            words.rsplit_once("': ").map_or(words.as_str(), |(_, cause)| cause).to_string()
        }
        CheckpointerError::Record(error) => error.to_string(),
        CheckpointerError::Unknown(words) => words.clone(),
    }
}

impl<R: Checkpoint> Checkpointer<R> for Sealed {
    fn save(&self, epoch: usize, record: R) -> Result<(), CheckpointerError> {
        self.failing(epoch, self.files.save(epoch, record))?;
        let file = self.folder.file(&self.part, epoch);
        let seal = || -> io::Result<()> {
            fs::File::open(&file)?.sync_all()?;
            let (path, scratch) = (seal_of(&file), file.with_extension("bpk.sha256.part"));
            fs::write(&scratch, format!("{}\n", hash(&file)?))?;
            fs::rename(scratch, path)
        };
        self.failing(epoch, seal().map_err(CheckpointerError::IOError))
    }

    fn delete(&self, epoch: usize) -> Result<(), CheckpointerError> {
        let seal = seal_of(&self.folder.file(&self.part, epoch));
        if seal.exists() {
            self.failing(epoch, fs::remove_file(seal).map_err(CheckpointerError::IOError))?;
        }
        self.failing(epoch, Checkpointer::<R>::delete(&self.files, epoch))
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        match defect(&self.folder.file(&self.part, epoch)) {
            Some(defect) => Err(CheckpointerError::Unknown(defect)),
            None => self.files.restore(epoch),
        }
    }
}

/// Keeps the last two checkpoints and the best one by validation NLL.
///
/// Saves every `every` epochs, whenever the validation likelihood improves, and at the end.
pub(crate) struct KeepLastAndBest {
    pub(crate) history: Arc<Mutex<History>>,
    pub(crate) every: usize,
    pub(crate) last_epoch: usize,
    pub(crate) patience: Option<usize>,
    pub(crate) saved: BTreeSet<usize>,
}

impl CheckpointingStrategy for KeepLastAndBest {
    fn checkpointing(&mut self, epoch: usize, store: &EventStoreClient) -> Vec<CheckpointingAction> {
        wait_for_records(store, epoch);
        let history = self.history.lock().expect("no thread panics while it holds the history");
        // Without its record no run could go on from it: the record was not written, or the epoch was cut short.
        if history.last().is_none_or(|(last, _)| last != epoch) {
            return Vec::new();
        }
        let best = history.best().map(|(epoch, _)| epoch);
        let ends = epoch == self.last_epoch || history.exhausted(self.patience);
        if !(ends || best == Some(epoch) || epoch.is_multiple_of(self.every)) {
            return Vec::new();
        }
        self.saved.insert(epoch);
        let keep: BTreeSet<usize> = self.saved.iter().rev().take(2).copied().chain(best).collect();
        let superfluous: Vec<usize> = self.saved.difference(&keep).copied().collect();
        self.saved.retain(|epoch| keep.contains(epoch));
        // Saved before anything is deleted: a crash in between loses nothing.
        let deletions = superfluous.into_iter().map(CheckpointingAction::Delete);
        std::iter::once(CheckpointingAction::Save).chain(deletions).collect()
    }
}
