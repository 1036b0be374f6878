//! Burn's checkpoint files, sealed by a hash.
//!
//! For epoch `e` the learner writes `model-e.bpk`, `optim-e.bpk` and `scheduler-e.bpk`. After each, its
//! SHA-256 and its name are written into a file beside it, in the format of `sha256sum`. A checkpoint
//! counts only if all three files agree with their hashes and names, so one that was cut short by a
//! crash, or renamed to another epoch, is detected.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use burn::store::RecordError;
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy, FileCheckpointer,
};
use burn::train::metric::store::EventStoreClient;
use helmholtz_datasets::whole;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::earlier::renamed;
use crate::history::{History, wait_for_records};
use crate::stop::Stop;

/// The three parts of a checkpoint, by the names of their files.
pub const PARTS: [&str; 3] = ["model", "optim", "scheduler"];

/// Why a checkpoint folder cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The folder or a file in it cannot be read.
    #[error("{path}: {source}; it was left as it is: make it readable, or put a copy in its place")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be removed.
    #[error("{path}: cannot be removed ({source})")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every checkpoint is damaged.
    #[error("{folder}: no checkpoint is whole ({damaged}); start a new run in another folder")]
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

/// The checkpoints of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Epochs whose checkpoint is whole.
    pub whole: BTreeSet<usize>,
    /// Epochs whose checkpoint is damaged, with what is wrong.
    pub damaged: Vec<(usize, String)>,
    /// The damaged epochs in which something is missing and nothing disagrees with its hash, as a run leaves them that
    /// died while it saved them.
    pub unfinished: BTreeSet<usize>,
}

/// The checkpoint that a run resumes from.
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
    /// If the folder or a file in it exists but cannot be read.
    pub fn examine(&self) -> Result<Examined, CheckpointError> {
        let mut found = Examined::default();
        let at_folder = |source| CheckpointError::Unreadable { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.map_err(at_folder)?,
        };
        let mut epochs = BTreeSet::new();
        for entry in entries {
            epochs.extend(epoch_of(&entry.map_err(at_folder)?.file_name().to_string_lossy()));
        }
        for epoch in epochs {
            let mut defects = Vec::new();
            for part in PARTS {
                defects.extend(defect(&self.file(part, epoch))?);
            }
            if defects.iter().all(|defect| matches!(defect, Defect::Missing(_))) && !defects.is_empty() {
                found.unfinished.insert(epoch);
            }
            match defects.into_iter().next() {
                None => {
                    found.whole.insert(epoch);
                }
                Some(Defect::Missing(what) | Defect::Wrong(what)) => found.damaged.push((epoch, what)),
            }
        }
        Ok(found)
    }

    /// The same, but checkpoints that `try_it` rejects count as damaged too.
    ///
    /// # Errors
    /// If the folder or a file in it exists but cannot be read.
    pub fn examine_with(
        &self,
        try_it: impl Fn(usize) -> Result<(), String>,
    ) -> Result<Examined, CheckpointError> {
        let Examined { whole, mut damaged, unfinished } = self.examine()?;
        let sound = |epoch: &usize| try_it(*epoch).map_err(|defect| damaged.push((*epoch, defect))).is_ok();
        let whole = whole.into_iter().filter(sound).collect();
        damaged.sort();
        Ok(Examined { whole, damaged, unfinished })
    }

    /// The newest whole checkpoint of those found; `None` if there is no checkpoint at all.
    ///
    /// # Errors
    /// If all checkpoints are damaged.
    pub fn newest(&self, found: Examined) -> Result<Option<Newest>, CheckpointError> {
        let Examined { whole, damaged, .. } = found;
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
        let Examined { whole, damaged, .. } = self.examine()?;
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

    /// The checkpointers of the three parts of a run whose last step was in `stage`.
    pub(crate) fn checkpointers(&self, stop: &Stop, stage: usize) -> [Sealed; 3] {
        let saved = Arc::new(Saved::default());
        [0, 1, 2].map(|part| Sealed {
            files: FileCheckpointer::new(&self.folder, PARTS[part]),
            part,
            folder: self.clone(),
            stage,
            saved: saved.clone(),
            stop: stop.clone(),
        })
    }
}

fn seal_of(file: &Path) -> PathBuf {
    file.with_extension("bpk.sha256")
}

/// The epoch that a file of a checkpoint, or its seal, is named after.
fn epoch_of(name: &str) -> Option<usize> {
    let stem = name.strip_suffix(".sha256").unwrap_or(name).strip_suffix(".bpk")?;
    let (part, epoch) = stem.rsplit_once('-')?;
    PARTS.contains(&part).then(|| epoch.parse().ok()).flatten()
}

fn hash(file: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (fs::File::open(file)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The most bytes of a seal that are read; a hash and a name have fewer.
const LONGEST_SEAL: u64 = 4096;

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is wrong with a part, in words.
enum Defect {
    /// It or its seal is missing.
    Missing(String),
    /// It exists but is not what was saved.
    Wrong(String),
}

impl From<Defect> for String {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::Missing(what) | Defect::Wrong(what) => what,
        }
    }
}

/// What is wrong with a part, if anything.
///
/// # Errors
/// If the part or its seal exists but cannot be read.
fn defect(file: &Path) -> Result<Option<Defect>, CheckpointError> {
    let name = name_of(file);
    let found = match hash(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("{name} is missing");
            // A seal is written after its file and removed before it, so a seal without its file means that somebody
            // else removed the file.
            let sealed = fs::symlink_metadata(seal_of(file)).is_ok();
            return Ok(Some(if sealed { Defect::Wrong(what) } else { Defect::Missing(what) }));
        }
        found => found.map_err(|source| CheckpointError::Unreadable { path: file.into(), source })?,
    };
    let path = seal_of(file);
    let mut seal = String::new();
    let seal = match fs::File::open(&path).and_then(|file| file.take(LONGEST_SEAL).read_to_string(&mut seal))
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Defect::Missing(format!("{name} was not completely written"))));
        }
        // Not text, so not a hash.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => "",
        Err(source) => return Err(CheckpointError::Unreadable { path, source }),
        Ok(_) => seal.as_str(),
    };
    // Older seals are the hash alone.
    let (hash, of) = seal.trim_end().split_once("  ").unwrap_or((seal.trim(), &name));
    Ok(if hash != found {
        Some(Defect::Wrong(format!("{name} is damaged: its bytes differ from its hash")))
    } else if of != name {
        Some(Defect::Wrong(format!("{name} is {of} under another name")))
    } else {
        None
    })
}

/// Burn's file checkpointer with a hash beside every file.
pub(crate) struct Sealed {
    files: FileCheckpointer,
    /// Its place in [`PARTS`].
    part: usize,
    folder: Checkpoints,
    /// The stage whose memory is restored if a file of an earlier version has one for each stage.
    stage: usize,
    saved: Arc<Saved>,
    /// Gets the cause of a failure, which Burn's message hides.
    stop: Stop,
}

/// A part that is never saved, because its thread died, must not keep the others waiting for ever.
const LONGEST_SAVE: Duration = Duration::from_secs(600);

/// What the three parts have saved. Burn saves each in a thread of its own, and one may be epochs behind another. If
/// each deleted what it no longer needs itself, a crash could leave no epoch with all three parts.
#[derive(Default)]
struct Saved {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The last epoch that each part has saved and sealed.
    epochs: [usize; 3],
    /// A part could not be saved: from then on nothing is deleted.
    failed: bool,
}

impl Saved {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until all parts have saved the epoch that `part` saved last. Returns false if one of them could not.
    ///
    /// Saving never waits, so the other parts do finish.
    fn is_whole(&self, part: usize) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = state.epochs[part];
        let behind = |state: &mut State| !state.failed && state.epochs.iter().any(|&saved| saved < epoch);
        let waited = self.changed.wait_timeout_while(state, LONGEST_SAVE, behind);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            tracing::warn!(
                "a part of a checkpoint was not saved within {LONGEST_SAVE:?}: older checkpoints are kept"
            );
        }
        !(state.failed || timeout.timed_out())
    }
}

impl Sealed {
    /// Reports a failure to the run, and to Burn too.
    fn failing<T>(&self, epoch: usize, result: Result<T, CheckpointerError>) -> Result<T, CheckpointerError> {
        result.inspect_err(|error| {
            self.saved.change(|state| state.failed = true);
            let file = self.file(epoch);
            self.stop.fail(format!("{}: {}", file.display(), cause(error)));
        })
    }

    fn file(&self, epoch: usize) -> PathBuf {
        self.folder.file(PARTS[self.part], epoch)
    }
}

/// The system's message without the text that Burn's crates wrap around it.
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
        let file = self.file(epoch);
        let seal = || -> io::Result<()> {
            fs::File::open(&file)?.sync_all()?;
            let line = format!("{}  {}\n", hash(&file)?, name_of(&file));
            whole::write(&seal_of(&file), |seal| seal.write_all(line.as_bytes()))
        };
        self.failing(epoch, seal().map_err(CheckpointerError::IOError))?;
        self.saved.change(|state| state.epochs[self.part] = epoch);
        Ok(())
    }

    fn delete(&self, epoch: usize) -> Result<(), CheckpointerError> {
        if !self.saved.is_whole(self.part) {
            return Ok(());
        }
        let seal = seal_of(&self.file(epoch));
        if seal.exists() {
            self.failing(epoch, fs::remove_file(seal).map_err(CheckpointerError::IOError))?;
        }
        self.failing(epoch, Checkpointer::<R>::delete(&self.files, epoch))
    }

    fn restore(&self, epoch: usize) -> Result<R, CheckpointerError> {
        match defect(&self.file(epoch)) {
            Ok(None) if self.part == 0 => {
                let bytes = fs::read(self.file(epoch)).map_err(CheckpointerError::IOError)?;
                let bytes = renamed(bytes, self.stage).map_err(CheckpointerError::Unknown)?;
                R::checkpoint_from_bytes(bytes).map_err(CheckpointerError::Record)
            }
            Ok(None) => self.files.restore(epoch),
            Ok(Some(defect)) => Err(CheckpointerError::Unknown(defect.into())),
            Err(error) => Err(CheckpointerError::Unknown(error.to_string())),
        }
    }
}

/// Keeps the last two checkpoints and the best one by validation score.
///
/// Saves every `every` epochs, whenever the validation score improves, and at the end.
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
        // A checkpoint without its record could not be resumed from.
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_part_deletes_only_once_the_others_have_saved_what_it_has_or_not_at_all() {
        let saved = Arc::new(Saved::default());
        saved.change(|state| state.epochs = [3, 3, 1]);
        let waiting = thread::spawn({
            let saved = saved.clone();
            move || saved.is_whole(0)
        });
        // The part that lags behind does not wait: nothing of its own is newer than what the others have.
        assert!(saved.is_whole(2));
        assert!(!waiting.is_finished());
        saved.change(|state| state.epochs[2] = 2);
        assert!(saved.is_whole(2) && !waiting.is_finished());
        saved.change(|state| state.epochs[2] = 3);
        assert!(waiting.join().unwrap());
        // If a part can no longer be saved, nothing is deleted.
        saved.change(|state| state.epochs[0] = 4);
        saved.change(|state| state.failed = true);
        assert!(!saved.is_whole(0));
    }
}
