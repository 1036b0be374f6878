//! Where `helmholtz train --resume` goes on.

use helmholtz_train::checkpoints::Found;
use helmholtz_train::{Checkpoints, History, HistoryError};

use crate::args::TrainArgs;
use crate::config::{Config, Overlay};
use crate::error::{OrUser, user};
use crate::run_folder::RunFolder;

/// The config of a run with new flags on top, if nothing changes that may not.
///
/// # Errors
/// If something does, or the run's config cannot be read.
pub(super) fn config(folder: &RunFolder, args: &TrainArgs, overlay: &Overlay) -> anyhow::Result<Config> {
    let saved = folder.config()?;
    let now = match &args.config {
        Some(path) => Config::resolve(Some(path), overlay)?,
        None => Config::resolve(Some(&folder.config_path()), overlay)?,
    };
    let differences = saved.differences(&now);
    if differences.is_empty() {
        return Ok(now);
    }
    Err(user(format!(
        "{}: --resume with a changed config: {}; leave these as they were, or start a new run in another --out",
        folder.path().display(),
        differences.join(", ")
    )))
}

/// Whether there is a run to go on with, and not only the beginning of one that died before its first step.
pub(super) fn is_begun(folder: &RunFolder) -> bool {
    if !folder.is_begun() {
        eprintln!("{}: the run was stopped before it had begun; beginning anew", folder.path().display());
    }
    folder.is_begun()
}

/// The epoch whose checkpoint the run goes on from: the newest that is whole and on record. A newer one is passed over
/// with a warning; a run without any begins anew.
///
/// # Errors
/// If checkpoints or records are damaged so that nothing is left to go on from.
pub(super) fn epoch(folder: &RunFolder) -> anyhow::Result<Option<usize>> {
    let checkpoints = Checkpoints::new(folder.path().join("checkpoint"));
    let Found { whole, damaged } = checkpoints.examine().or_user()?;
    let Some(&newest) = whole.last() else {
        return match damaged.as_slice() {
            [] => {
                eprintln!("no checkpoint yet: starting from the beginning");
                Ok(None)
            }
            // A run that has had a whole checkpoint keeps it until it has another.
            [(_, defect)] if is_unfinished(defect) => {
                eprintln!(
                    "warning: {defect}, and there is no checkpoint before it; starting from the beginning"
                );
                Ok(None)
            }
            _ => Err(user(checkpoints.newest().expect_err("none is whole"))),
        };
    };
    let records = folder.path().join("metrics.jsonl");
    let recorded = History::read(&records, newest).or_user()?.last().map_or(0, |(epoch, _)| epoch);
    let Some(&epoch) = whole.range(..=recorded).next_back() else {
        if newest == 1 {
            eprintln!(
                "warning: {}: the record of epoch 1 is missing or was cut short; starting from the beginning",
                records.display()
            );
            return Ok(None);
        }
        return Err(user(HistoryError::Short { path: records, epoch: newest }));
    };
    for (_, defect) in damaged.iter().filter(|(damaged, _)| *damaged > epoch) {
        eprintln!("warning: {defect}; going on from the checkpoint of epoch {epoch} instead");
    }
    if epoch < newest {
        eprintln!(
            "warning: {}: the record of epoch {newest} is missing or was cut short; going on from the checkpoint of \
             epoch {epoch} instead",
            records.display()
        );
    }
    eprintln!("going on after epoch {epoch}");
    Ok(Some(epoch))
}

fn is_unfinished(defect: &str) -> bool {
    ["is missing", "was not finished"].iter().any(|end| defect.ends_with(end))
}

/// Steps taken by the end of an epoch.
pub(super) fn steps_by(folder: &RunFolder, epoch: usize) -> u64 {
    History::read(&folder.path().join("metrics.jsonl"), epoch)
        .ok()
        .and_then(|history| history.last())
        .map_or(0, |(_, step)| step)
}
