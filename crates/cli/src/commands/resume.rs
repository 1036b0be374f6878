//! Where `helmholtz train --resume` continues.

use std::path::Path;

use helmholtz_train::History;

use super::epoch::{examined, to_resume};
use crate::args::TrainArgs;
use crate::assemble;
use crate::config::{Config, Overlay};
use crate::error::user;
use crate::run_folder::RunFolder;

/// The config of a run with new flags applied, if these change only what may change.
///
/// # Errors
/// If they change anything else, or the run's config cannot be read.
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
        "{}: --resume cannot change these settings: {}; leave them as they were, or start a new run in another --out",
        folder.path().display(),
        differences.join(", ")
    )))
}

/// The epoch that `train --resume` would continue from; `None` if it would start from the beginning.
///
/// # Errors
/// If the run cannot be resumed.
pub fn epoch_of(out: &Path) -> anyhow::Result<Option<usize>> {
    let folder = RunFolder::open(out)?;
    let config = folder.config()?;
    let device = crate::device::select(crate::device::first(&config.run.device))?;
    let data = assemble::data(&config, None)?;
    folder.check_data(&data, &config)?;
    let (plan, model) = (assemble::plan(&config, &data), assemble::model(&config, &data, &device)?);
    to_resume(&folder, examined(&folder, &model, &config, &plan)?)
}

/// Whether there is a run to resume, and not just what a run left that died before its first step.
pub(super) fn is_begun(folder: &RunFolder) -> bool {
    if !folder.is_begun() {
        eprintln!(
            "{}: the run was stopped before it had begun; starting from the beginning",
            folder.path().display()
        );
    }
    folder.is_begun()
}

/// Number of steps taken by the end of an epoch.
pub(super) fn steps_by(folder: &RunFolder, epoch: usize) -> u64 {
    History::read(&folder.path().join("metrics.jsonl"), epoch)
        .ok()
        .and_then(|history| history.last())
        .map_or(0, |(_, step)| step)
}
