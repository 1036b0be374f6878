//! `helmholtz train`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use helmholtz_core::Key;
use helmholtz_datasets::{Binarization, Plan, SplitName, whole};
use helmholtz_train::{End, Fit, FitError, Learn, OnRecord, Record, Request, Stop, Training, check_devices};
use helmholtz_zoo::TrainingRows;
use serde_json::json;

use super::advice;
use super::epoch::{examined, of_finished, to_resume};
use super::finished::{Results, finish};
use super::initial::{self, Initial};
use super::resume;
use super::test_rows::TestRows;
use crate::args::TrainArgs;
use crate::config::{Config, Overlay, count};
use crate::console::{print, write_out};
use crate::data_facts::DataFacts;
use crate::error::{OrUser, user};
use crate::run_folder::{RunFolder, RunLock};
use crate::screen::Screen;
use crate::shell::quoted;
use crate::signals::Signals;
use crate::threads::use_threads;
use crate::{assemble, log, memory_limit};

/// Trains a model into a run folder.
///
/// # Errors
/// If the config, the data or the folder are wrong, or the run fails.
pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    Screen::check(args)?;
    let overlay = overlay(args)?;
    let started_run = match (&args.out, args.resume) {
        (Some(out), true) => Some(RunFolder::open(out)?),
        _ => None,
    };
    let mut config = match &started_run {
        Some(folder) => resume::config(folder, args, &overlay)?,
        None => Config::resolve(args.config.as_deref(), &overlay)?,
    };
    if args.print_config {
        write_out(format_args!("{}", config.to_toml()));
        return Ok(ExitCode::SUCCESS);
    }
    use_threads(config.run.threads.and_then(|threads| i64::try_from(threads).ok()))?;
    let place = started_run.as_ref().map(RunFolder::config_path).or_else(|| args.config.clone());
    let asked = args.device.is_some() || overlay.sets("run.device");
    crate::device::check_asked(&config.run.device, asked, &place.unwrap_or_default().display())?;
    let devices = crate::device::select_all(&config.run.device)?;
    let device = devices[0].clone();
    let data = assemble::data(&config, None)?;
    config.run.data_dir = data_dir(&config)?;
    memory_limit::check_training(&config, &data, &device)?;
    let test_rows = (!args.no_test).then(|| TestRows::of(&data));
    test_rows.iter().for_each(TestRows::warn);
    if !args.quiet {
        advice::before(args, &config, &data).iter().for_each(|note| eprintln!("note: {note}"));
    }
    let plan = assemble::plan(&config, &data);
    let rows = TrainingRows::of(&data.train);
    let mut model = assemble::model(&config, &data, &device)?;
    check_devices(
        devices.len(),
        &plan,
        &*assemble::learn(&config, model.clone(), &plan, &rows)?,
        &assemble::rule(&config),
    )
    .or_user()?;
    let (folder, resume, lock) = match started_run.filter(resume::is_begun) {
        Some(folder) => {
            let lock = folder.lock()?;
            folder.sweep()?;
            folder.check_data(&data, &config)?;
            let epoch = to_resume(&folder, examined(&folder, &model, &config, &plan)?)?;
            if epoch.is_none() && config.train.init_from.is_some() {
                model = initial::kept(&folder, model, &config)?;
            }
            folder.rewrite_config(&config)?;
            (folder, epoch, lock)
        }
        None => {
            let source = config.train.init_from.as_deref();
            let initial = source.map(|source| Initial::find(source, model.clone(), &config)).transpose()?;
            let facts = DataFacts::of(&data);
            let (folder, lock) = RunFolder::create(args.out.as_deref(), &config)?;
            let sha256 = initial.as_ref().map(|initial| initial.sha256.clone());
            if let Some(initial) = initial {
                initial.keep(&folder, &facts, &config)?;
                model = initial.model;
            }
            // Written last: with this file the folder holds a run.
            folder.write_provenance(&config, &facts, sha256.as_deref())?;
            (folder, None, lock)
        }
    };
    // Held to the end, because the results are written into the folder too.
    let lock = Arc::new(lock);
    log_to(&folder);
    tracing::info!(
        seed = config.seed,
        data = data.protocol(),
        resume,
        "training into {}",
        folder.path().display()
    );

    let first_step = resume.map_or(0, |epoch| resume::steps_by(&folder, epoch));
    let (stop, screen) = (Stop::new(), Screen::new(args, plan)?);
    let signals = Signals::listen(stop.clone(), screen.clone())?;
    let started = Instant::now();
    let learn = assemble::learn(&config, model.clone(), &plan, &rows)?;
    let fit = Fit {
        folder: folder.path().to_path_buf(),
        devices,
        key: Key::new(config.seed),
        plan,
        checkpoint_every: config.train.checkpoint_every,
        patience: (config.train.patience > 0).then_some(config.train.patience),
        resume,
        progress: screen.progress(first_step),
        on_record: journal((!args.quiet).then(|| screen.clone()), &folder, plan, lock.clone(), &*learn),
        stop,
    };
    let outcome = fit.run(Training {
        learn,
        rule: assemble::rule(&config),
        optimiser: assemble::optimiser(&config),
        schedule: assemble::schedule(&config, &plan),
        train: assemble::batch(&config, &data, SplitName::Train, &device)?,
        draws_bits: data.binarization == Binarization::Dynamic,
        valid: assemble::batch(&config, &data, SplitName::Valid, &device)?,
    });
    screen.close();
    let outcome = outcome.map_err(|error| failed(error, &folder))?;
    let seconds = started.elapsed().as_secs_f64();
    match &outcome.end {
        End::NonFinite(found) => {
            let kept = match outcome.history.last() {
                Some((epoch, _)) => format!("the last good checkpoint, of epoch {epoch}, is kept in"),
                None => "no epoch was finished in".to_string(),
            };
            anyhow::bail!(
                "{found} (seed {}); the run stopped; {kept} {}. \
                 First try a new run with a lower learning rate (--lr) and another --out",
                config.seed,
                folder.path().display()
            );
        }
        End::Stopped(request) => return Ok(stopped(*request, outcome.steps, &folder)),
        End::Finished | End::OutOfPatience => {}
    }
    let path = folder.path().to_path_buf();
    if let Some(request) = signals.scoring(move |request| only_trained(request, &path)) {
        return Ok(stopped(request, outcome.steps, &folder));
    }
    let (best, epoch) = of_finished(&folder, model, &config)?;
    let results = Results::new(&best, &data, &config, test_rows)?;
    let remarks = advice::after(&config, &data, &folder, &outcome, &results);
    signals.writing();
    let of_rows = results.test_rows.iter().flat_map(TestRows::sentences).collect();
    let remarks = [of_rows, remarks].concat();
    results.write_report(&folder, (&best, epoch), (&config, &data), &outcome.history, &remarks)?;
    finish(args, &folder, &outcome, (&results, epoch, &remarks), seconds, (plan, first_step));
    Ok(ExitCode::SUCCESS)
}

/// The config of a new run with these flags.
///
/// # Errors
/// If the file cannot be read, or a key, type, value or flag is wrong.
pub fn config(args: &TrainArgs) -> anyhow::Result<Config> {
    Config::resolve(args.config.as_deref(), &overlay(args)?)
}

/// The flags, as values that override the config.
fn overlay(args: &TrainArgs) -> anyhow::Result<Overlay> {
    let mut overlay = Overlay::default();
    for pair in &args.set {
        overlay = overlay.parse(pair)?;
    }
    for (flag, values) in [
        ("--samples", args.samples),
        ("--epochs", args.epochs),
        ("--steps", args.steps),
        ("--batch", args.batch),
        ("--seed", args.seed),
        ("--threads", args.threads),
        ("--checkpoint-every", args.checkpoint_every),
    ] {
        values.map(|value| count(flag, value)).transpose()?;
    }
    if let Some(rate) = args.lr.filter(|rate| *rate < 0.0) {
        return Err(user(format!(
            "--lr {rate}: a learning rate is a finite number, not below zero, such as 0.001"
        )));
    }
    for &size in args.layers.iter().flat_map(|layers| &layers.0) {
        count("--layers", size)?;
    }
    let data_dir = args.data_dir.as_deref().map(|path| in_config("--data-dir", path)).transpose()?;
    let init_from = args.init_from.as_deref().map(|path| in_config("--init-from", path)).transpose()?;
    Ok(overlay
        .set_if("model.kind", args.model.clone())
        .set_if("model.layers", args.layers.clone().map(|layers| layers.0))
        .set_if("strategy.kind", args.strategy.clone())
        .set_if("strategy.samples", args.samples)
        .set_if("strategy.kernel", args.kernel.clone())
        .set_if("data.id", args.dataset.clone())
        .set_if("train.epochs", args.epochs)
        .set_if("train.steps", args.steps)
        .set_if("train.batch", args.batch)
        .set_if("train.checkpoint_every", args.checkpoint_every)
        .set_if("train.init_from", init_from)
        .set_if("optimizer.lr", args.lr)
        .set_if("optimizer.kind", args.optimizer.clone())
        .set_if("seed", args.seed)
        .set_if("run.device", args.device.clone())
        .set_if("run.threads", args.threads)
        .set_if("run.data_dir", data_dir))
}

/// The folder of the data, as an absolute path because the run may be read from another folder.
fn data_dir(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| user(format!("--data-dir {}: {error}", path.display())))
    };
    match &config.run.data_dir {
        Some(path) => absolute(path).map(Some),
        // The paths of a `file:` data set are relative to the current folder.
        None if config.data.id.starts_with("file:") => {
            let here =
                std::env::current_dir().map_err(|error| user(format!("the current folder: {error}")))?;
            // A path that is not UTF-8 is left out, because run.toml cannot hold it.
            Ok(Some(here).filter(|here| here.to_str().is_some()))
        }
        None => Ok(None),
    }
}

/// A path as text, which is how a config holds it.
fn in_config(flag: &str, path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(String::from);
    text.ok_or_else(|| {
        user(format!(
            "{flag} {}: the name is not UTF-8, so run.toml cannot hold it; rename it",
            path.display()
        ))
    })
}

/// Checks the lock and appends to `timing.jsonl` for each record. If there is a screen, also prints a line per epoch.
fn journal(
    screen: Option<Screen>,
    folder: &RunFolder,
    plan: Plan,
    lock: Arc<RunLock>,
    learn: &dyn Learn,
) -> OnRecord {
    let groups = learn.groups();
    // Measures that cannot be better or worse are written to the file only.
    let shown: Vec<&str> = learn
        .measures()
        .iter()
        .filter(|measure| measure.better.is_some())
        .map(|measure| measure.name)
        .collect();
    let timing = folder.path().join("timing.jsonl");
    let mut last = Instant::now();
    let mut training = String::new();
    Box::new(move |record: &Record| {
        lock.check()?;
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        let line =
            json!({"epoch": record.epoch, "split": record.split, "step": record.step, "seconds": seconds});
        // Timing is a convenience, so errors are ignored: the checkpoint will report a full disk.
        if let Ok(mut file) = whole::open_append(&timing, true) {
            let _ = file.write_all(format!("{line}\n").as_bytes()); // in one write, so that the line is whole
        }
        let value = |name: &str| record.values.get(name).copied().unwrap_or(f64::NAN);
        if record.split == "train" {
            training = shown.iter().map(|name| format!("{name} {:.3}  ", value(name))).collect();
            training += "|grad|";
            for group in groups {
                training +=
                    &format!(" {} {:.3}", group.name, value(&format!("gradient_norm_{}", group.name)));
            }
            training += &format!("  {seconds:.1} s");
        } else if let (Some(screen), Some((name, score))) = (&screen, record.score()) {
            let (total, name) = (plan.steps, name.replace('_', " "));
            screen.line(&format!(
                "epoch {:>3}  step {}/{total}  {training}  valid {name} {score:.3}",
                record.epoch, record.step
            ));
        }
        Ok(())
    })
}

/// The command that resumes a run.
fn resume_command(folder: &Path) -> String {
    format!("`helmholtz train --resume --out {}`", quoted(folder))
}

fn stopped(request: Request, steps: u64, folder: &RunFolder) -> ExitCode {
    print(&format!("stopped after {steps} steps ({request}); go on with {}", resume_command(folder.path())));
    ExitCode::from(request.exit_code())
}

fn only_trained(request: Request, folder: &Path) -> String {
    format!(
        "stopped while scoring ({request}); the run is trained: score it with {}, or with `helmholtz evaluate {}`",
        resume_command(folder),
        quoted(folder)
    )
}

/// The error of a failed training, with how to continue.
fn failed(error: FitError, folder: &RunFolder) -> anyhow::Error {
    match error {
        FitError::Training(_) => {
            anyhow::anyhow!("{error}; fix this, then go on with {}", resume_command(folder.path()))
        }
        error => error.into(),
    }
}

/// Sends the log messages of this program and of Burn to `experiment.log`.
fn log_to(folder: &RunFolder) {
    let file = whole::open_append(&folder.path().join("experiment.log"), true);
    if let Err(error) = file.and_then(log::keep_in) {
        tracing::warn!(
            "{}: experiment.log cannot be written ({error}); the run goes on without it",
            folder.path().display()
        );
    }
}
