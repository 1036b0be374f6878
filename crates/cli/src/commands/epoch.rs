//! Which epoch of a run the weights come from, and how they are read.

use std::collections::BTreeMap;

use burn::module::Module;
use helmholtz_core::Key;
use helmholtz_datasets::Plan;
use helmholtz_train::checkpoints::PARTS;
use helmholtz_train::{Checkpoints, Examined, History, Newest, Rule, Trainee, examine_parts, model_record};
use helmholtz_zoo::{BoxedModel, TrainingRows};

use crate::assemble;
use crate::config::{ANY, Config};
use crate::error::{OrUser, user};
use crate::run_folder::RunFolder;

/// The checkpoints of a run.
pub(crate) fn checkpoints(folder: &RunFolder) -> Checkpoints {
    Checkpoints::new(folder.path().join("checkpoint"))
}

/// The newest epoch of a run with a whole checkpoint, if there is one.
///
/// # Errors
/// If the checkpoints cannot be read.
pub(crate) fn newest(folder: &RunFolder) -> anyhow::Result<Option<usize>> {
    Ok(checkpoints(folder).examine().or_user()?.whole.last().copied())
}

/// The epoch that `--epoch` asks for, or else the best by validation score.
///
/// If the best epoch on record was never saved, the best saved epoch is taken, with a warning.
///
/// # Errors
/// If the checkpoint of the epoch is damaged or missing, or a file cannot be read.
pub(crate) fn choose(folder: &RunFolder, asked: Option<usize>) -> anyhow::Result<usize> {
    let found = checkpoints(folder).examine().or_user()?;
    let run = folder.path().display();
    if let Some(epoch) = asked {
        if found.whole.contains(&epoch) {
            return Ok(epoch);
        }
        let defects: BTreeMap<usize, String> = found.damaged.iter().cloned().collect();
        let why = defects.get(&epoch).map_or("it has no checkpoint", |defect| defect.as_str());
        return Err(user(format!("--epoch {epoch}: {why} in {run}; {}", whole_ones(&found))));
    }
    let Some(&newest) = found.whole.last() else {
        let defects: Vec<&str> = found.damaged.iter().map(|(_, defect)| defect.as_str()).collect();
        let defects = if defects.is_empty() { String::new() } else { format!(" ({})", defects.join("; ")) };
        return Err(user(format!(
            "{run}: no whole checkpoint{defects}; let the run finish an epoch first \
             (`helmholtz train --resume --out {run}`)"
        )));
    };
    let history = History::read(&folder.path().join("metrics.jsonl"), usize::MAX).or_user()?;
    let recorded = history.last().map_or(0, |(epoch, _)| epoch);
    if recorded < newest {
        return Err(user(format!(
            "{run}/metrics.jsonl: the record of epoch {newest} is missing or was cut short, although its checkpoint \
             exists, so the best epoch is not known; repeat it with `helmholtz train --resume --out {run}`, or {}",
            whole_ones(&found)
        )));
    }
    let Some((best, _)) = history.best() else { return Ok(newest) };
    // An unfinished checkpoint newer than all whole ones was cut off while it was saved, or is being saved now.
    let begun = |epoch: usize| epoch > newest && found.unfinished.contains(&epoch);
    let saved = |epoch: usize| {
        found.whole.contains(&epoch) || (found.damaged.iter().any(|(e, _)| *e == epoch) && !begun(epoch))
    };
    if saved(best) || best < newest {
        return whole(folder, best, &found);
    }
    // The run ended before the checkpoints of its last epochs were saved, or it is still running.
    let of_saved = history.validation().filter(|(epoch, ..)| saved(*epoch));
    let next =
        of_saved.min_by(|(_, _, a), (_, _, b)| history.by_score(*a, *b)).map_or(newest, |(epoch, ..)| epoch);
    let next = whole(folder, next, &found)?;
    eprintln!(
        "warning: {run}: the best epoch on record is {best}, but its checkpoint was never saved; \
         taking epoch {next}, the best one that was saved"
    );
    Ok(next)
}

/// The epoch, if its checkpoint is whole.
fn whole(folder: &RunFolder, epoch: usize, found: &Examined) -> anyhow::Result<usize> {
    if found.whole.contains(&epoch) {
        return Ok(epoch);
    }
    let missing = || format!("model-{epoch}.bpk is missing");
    let defect =
        found.damaged.iter().find(|(e, _)| *e == epoch).map_or_else(missing, |(_, defect)| defect.clone());
    Err(damaged(folder, epoch, &defect, found))
}

/// The error for a checkpoint that cannot be used, with what to do instead.
fn damaged(folder: &RunFolder, epoch: usize, defect: &str, found: &Examined) -> anyhow::Error {
    let run = folder.path().display();
    let again = match found.whole.iter().rfind(|whole| **whole != epoch) {
        Some(newest) if *newest < epoch => {
            format!(", or repeat the epoch with `helmholtz train --resume --out {run}`")
        }
        _ => String::new(),
    };
    let others = Examined {
        whole: found.whole.iter().copied().filter(|e| *e != epoch).collect(),
        ..Examined::default()
    };
    user(format!(
        "{run}/checkpoint/{defect} (the checkpoint of epoch {epoch}); {}{again}",
        whole_ones(&others)
    ))
}

fn whole_ones(found: &Examined) -> String {
    let whole: Vec<String> = found.whole.iter().map(usize::to_string).collect();
    match whole.as_slice() {
        [] => "no other checkpoint is whole".to_string(),
        [one] => format!("use another checkpoint with --epoch {one}"),
        more => format!("use another checkpoint with --epoch N, where N is one of {}", more.join(", ")),
    }
}

/// The model of the epoch that `--epoch` asks for, or else of the best epoch. Also returns the epoch.
///
/// # Errors
/// If its checkpoint is damaged or does not fit the model of the config.
pub(crate) fn of_run(
    folder: &RunFolder,
    asked: Option<usize>,
    fresh: BoxedModel,
    config: &Config,
) -> anyhow::Result<(BoxedModel, usize)> {
    let epoch = choose(folder, asked)?;
    Ok((of_epoch(folder, epoch, fresh, config)?, epoch))
}

/// The model of an epoch's checkpoint.
///
/// # Errors
/// If the file cannot be read or does not fit the model of the config.
fn of_epoch(
    folder: &RunFolder,
    epoch: usize,
    fresh: BoxedModel,
    config: &Config,
) -> anyhow::Result<BoxedModel> {
    let checkpoints = checkpoints(folder);
    let trainee = trainee(fresh, config)?;
    let read = || -> Result<BoxedModel, String> {
        let record = model_record(&checkpoints.file("model", epoch), &trainee)?;
        let trainee = trainee.clone().try_load_record(record).map_err(|error| error.to_string())?;
        Ok(trainee.judged().expect("it was made of such a model"))
    };
    match read() {
        Ok(model) => Ok(model),
        Err(defect) => {
            let defect = format!("model-{epoch}.bpk {defect}");
            Err(damaged(folder, epoch, &defect, &checkpoints.examine().or_user()?))
        }
    }
}

/// What the learner saves for a model.
fn trainee(fresh: BoxedModel, config: &Config) -> anyhow::Result<Trainee> {
    // The record holds nothing of the rule and of the evaluator.
    let (learn, rule) = (assemble::learn(config, fresh, &ANY, &TrainingRows::default())?, Rule::default());
    Ok(Trainee { learn, rule, key: Key::new(config.seed) })
}

/// The checkpoints that a run could resume from.
///
/// All parts of the whole ones have been read, and fit the model, the optimiser and the learning rates of the config.
/// Burn's learner loads them again, and would panic on the damage that this function finds.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn examined(
    folder: &RunFolder,
    fresh: &BoxedModel,
    config: &Config,
    plan: &Plan,
) -> anyhow::Result<Examined> {
    let checkpoints = checkpoints(folder);
    let found = checkpoints.examine().or_user()?;
    let records = folder.path().join("metrics.jsonl");
    let recorded = match found.whole.last() {
        Some(&newest) => {
            Some(History::read(&records, newest).or_user()?.last().map_or(0, |(epoch, _)| epoch))
        }
        None => None,
    };
    let unrecorded = |epoch: usize| {
        format!("{}: the record of epoch {epoch} is missing or was cut short", records.display())
    };
    let trainee = trainee(fresh.clone(), config)?;
    let examine = |epoch: usize| {
        if recorded.is_some_and(|recorded| epoch > recorded) {
            return Err(unrecorded(epoch));
        }
        let files = PARTS.map(|part| checkpoints.file(part, epoch));
        let files = [&files[0], &files[1], &files[2]].map(|file| file.as_path());
        examine_parts(files, &trainee, assemble::optimiser(config), assemble::schedule(config, plan))
            .map_err(|(part, what)| format!("{}-{epoch}.bpk {what}", PARTS[part]))
    };
    let mut found = checkpoints.examine_with(examine).or_user()?;
    if recorded == Some(0) && found.damaged.iter().any(|(epoch, _)| *epoch == 1) {
        found.unfinished.insert(1);
    }
    Ok(found)
}

/// The epoch whose checkpoint the run resumes from. Warns of each newer checkpoint that is damaged.
///
/// # Errors
/// If every checkpoint is damaged.
pub(crate) fn to_resume(folder: &RunFolder, found: Examined) -> anyhow::Result<Option<usize>> {
    // A run keeps a whole checkpoint until it has another. A run that died before its first one has some of the first
    // epoch's files, and at most some of the second's: no part is saved twice before every part was saved once.
    let unfinished = found.damaged.iter().all(|(epoch, _)| found.unfinished.contains(epoch));
    if let ([(1, defect)] | [(1, defect), _], true, true) =
        (found.damaged.as_slice(), found.whole.is_empty(), unfinished)
    {
        eprintln!("warning: {defect}, and no other checkpoint is whole; starting from the beginning");
        return Ok(None);
    }
    match checkpoints(folder).newest(found).or_user()? {
        Some(Newest { epoch, passed_over }) => {
            for defect in passed_over {
                eprintln!("warning: {defect}; going on from the checkpoint of epoch {epoch} instead");
            }
            eprintln!("resuming after epoch {epoch}");
            warn_of_lost_best(folder, epoch);
            Ok(Some(epoch))
        }
        None => {
            eprintln!("no checkpoint yet: starting from the beginning");
            Ok(None)
        }
    }
}

/// Warns if the best epoch so far is lost. The run goes on, because a better one may come.
pub(crate) fn warn_of_lost_best(folder: &RunFolder, epoch: usize) {
    let history = History::read(&folder.path().join("metrics.jsonl"), epoch);
    let best = history.ok().and_then(|history| history.best());
    let (Some((best, _)), Ok(found)) = (best, checkpoints(folder).examine()) else { return };
    if !found.whole.contains(&best) {
        let defect = found.damaged.iter().find(|(e, _)| *e == best).map(|(_, defect)| defect.as_str());
        let defect = defect.unwrap_or("it has no checkpoint");
        eprintln!("warning: epoch {best}: {defect}; the run goes on without the best epoch so far");
    }
}

/// The model whose scores a finished run reports, and its epoch: the best one, or the best with a whole checkpoint if
/// the checkpoint of the best one was damaged before the run was resumed.
///
/// # Errors
/// If no checkpoint is whole.
pub(crate) fn of_finished(
    folder: &RunFolder,
    fresh: BoxedModel,
    config: &Config,
) -> anyhow::Result<(BoxedModel, usize)> {
    let error = match of_run(folder, None, fresh.clone(), config) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let whole = checkpoints(folder).examine().or_user()?.whole;
    let history = History::read(&folder.path().join("metrics.jsonl"), usize::MAX).or_user()?;
    let mut epochs: Vec<(usize, f64)> = history
        .validation()
        .filter(|(epoch, ..)| whole.contains(epoch))
        .map(|(epoch, _, nll)| (epoch, nll))
        .collect();
    epochs.sort_by(|(_, a), (_, b)| history.by_score(*a, *b));
    for (epoch, _) in epochs {
        if let Ok(model) = of_epoch(folder, epoch, fresh.clone(), config) {
            eprintln!("warning: {error:#}; the results below are of epoch {epoch}");
            return Ok((model, epoch));
        }
    }
    Err(error)
}
