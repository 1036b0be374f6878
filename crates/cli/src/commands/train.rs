//! `helmholtz train`.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use burn::train::Interrupter;
use helmholtz_core::{Key, LatentVariableModel};
use helmholtz_datasets::{Binarization, DataSet, Plan, SplitName};
use helmholtz_eval::{ImportanceSampling, LogPartition, NllSummary, PartitionFunction, Reading};
use helmholtz_train::{Checkpoints, End, Fit, Newest, OnRecord, Outcome, Parts, Record, check_devices};
use serde_json::{Value, json};

use super::initial::{self, Initial};
use super::score::{Sampled, Scores, partition};
use super::trained::{best_of, of_epoch};
use super::{sample, use_threads};
use crate::args::TrainArgs;
use crate::config::{Config, Overlay, count};
use crate::error::{OrUser, say, user, write_out};
use crate::model::AnyModel;
use crate::run_folder::RunFolder;
use crate::{assemble, log, report};

/// Trains a model into a run folder.
///
/// # Errors
/// If the config, the data or the folder are wrong, or the run fails.
pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let overlay = overlay(args)?;
    let started_run = match (&args.out, args.resume) {
        (Some(out), true) => Some(RunFolder::open(out)?),
        _ => None,
    };
    let config = match &started_run {
        Some(folder) => resumed_config(folder, args, &overlay)?,
        None => Config::resolve(args.config.as_deref(), &overlay)?,
    };
    if args.print_config {
        write_out(format_args!("{}", config.to_toml()));
        return Ok(ExitCode::SUCCESS);
    }
    use_threads(config.run.threads)?;
    let devices = crate::device::select_all(&config.run.device)?;
    let device = devices[0].clone();
    if devices.len() > 1 && ["coupled", "nvil"].contains(&config.strategy.kind.as_str()) {
        return Err(user(format!(
            "run.device = \"{}\": {} learns from batch to batch, and each device would learn for itself; train on one \
             device",
            config.run.device, config.strategy.kind
        )));
    }
    let data = assemble::data(&config, None)?;
    let plan = assemble::plan(&config, &data);
    check_devices(devices.len(), &plan, average(&config).is_some(), &assemble::rule(&config)).or_user()?;
    let mut model = assemble::model(&config, &data, &device)?;
    let (folder, resume, _lock) = match started_run {
        Some(folder) => {
            let lock = folder.lock()?;
            folder.check_data(&data.data_sha256)?;
            let epoch = epoch_to_resume(&folder)?;
            if let Some(epoch) = epoch {
                // Burn's learner loads it again, and would panic where this refuses.
                of_epoch(&folder, epoch, model.clone(), &config)?;
            } else if config.train.init_from.is_some() {
                model = initial::kept(&folder, model)?;
            }
            folder.write("run.toml", |file| file.write_all(config.to_toml().as_bytes()))?;
            (folder, epoch, lock)
        }
        None => {
            let source = config.train.init_from.as_deref();
            let initial = source.map(|source| Initial::find(source, model.clone(), &config)).transpose()?;
            let folder = RunFolder::create(args.out.as_deref(), &config)?;
            let lock = folder.lock()?;
            let sha256 = initial.as_ref().map(|initial| initial.sha256.as_str());
            folder.write_provenance(&config, [&data.protocol(), &data.data_sha256], sha256)?;
            if let Some(initial) = initial {
                initial.keep(&folder, &data, &config)?;
                model = initial.model;
            }
            (folder, None, lock)
        }
    };
    log_to(&folder);
    tracing::info!(
        seed = config.seed,
        data = data.protocol(),
        resume,
        "training into {}",
        folder.path().display()
    );

    let dashboard = !(args.no_tui || args.quiet || args.json) && std::io::stdout().is_terminal();
    let interrupter = Interrupter::new();
    stop_on_ctrl_c(interrupter.clone())?;
    let started = Instant::now();
    let fit = Fit {
        folder: folder.path().to_path_buf(),
        devices,
        key: Key::new(config.seed),
        plan,
        checkpoint_every: config.train.checkpoint_every,
        patience: (config.train.patience > 0).then_some(config.train.patience),
        resume,
        dashboard,
        on_record: journal(!(dashboard || args.quiet), &folder, plan),
        interrupter,
    };
    let first_step = resume.map_or(0, |epoch| steps_by(&folder, epoch));
    let outcome = fit.run(Parts {
        model: model.clone(),
        strategy: assemble::strategies(&config, &plan, model.observed(), &device)?,
        average: average(&config),
        rule: assemble::rule(&config),
        evaluator: ImportanceSampling::new(config.train.valid_samples).with_reading(config.model.reading()),
        optimiser: assemble::optimiser(&config),
        schedule: assemble::schedule(&config, &plan),
        train: data.train.tensor(&device),
        draws_bits: data.binarization == Binarization::Dynamic,
        valid: data.valid.tensor(&device),
    })?;
    let seconds = started.elapsed().as_secs_f64();
    match &outcome.end {
        End::NonFinite(found) => {
            let kept = match outcome.history.last() {
                Some((epoch, _)) => format!("the last good checkpoint, of epoch {epoch}, is kept in"),
                None => "no epoch was finished in".to_string(),
            };
            anyhow::bail!(
                "{found} (seed {}); the run stopped; {kept} {}. \
                 The first thing to try is a new run into another --out with a lower learning rate (--lr)",
                config.seed,
                folder.path().display()
            );
        }
        End::Interrupted(reason) => {
            let shown = folder.path().display();
            eprintln!(
                "stopped after {} steps ({reason}); go on with `helmholtz train --resume --out {shown}`",
                outcome.steps
            );
            return Ok(ExitCode::from(130));
        }
        End::Finished | End::OutOfPatience => {}
    }
    let best = best_of(&folder, model, &config)?;
    let results = Results::new(&best, &data, &config)?;
    let pixels = sample::ancestral(&best, 100, config.seed, false)?;
    sample::write(&folder.path().join("samples/samples.png"), data.shape, data.train.width(), &pixels)?;
    folder.write("report.html", |file| {
        file.write_all(
            report::render(&config, &data, &outcome.history, results.of(), &results.rows()).as_bytes(),
        )
    })?;
    finish(args, &folder, &outcome, &results, seconds, (plan, first_step));
    Ok(ExitCode::SUCCESS)
}

/// The decay of the average of the weights, if it is what is judged and kept.
pub(super) fn average(config: &Config) -> Option<f64> {
    Some(config.optimizer.average).filter(|decay| *decay > 0.0)
}

/// The flags as values laid over the config.
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
    for &size in args.layers.iter().flat_map(|layers| &layers.0) {
        count("--layers", size)?;
    }
    let text = |path: &PathBuf| path.display().to_string();
    let (data_dir, init_from) = (args.data_dir.as_ref().map(text), args.init_from.as_ref().map(text));
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

/// The config of a run with new flags on top, if nothing changes that may not.
fn resumed_config(folder: &RunFolder, args: &TrainArgs, overlay: &Overlay) -> anyhow::Result<Config> {
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

/// The epoch whose checkpoint the run goes on from, damaged ones being passed over aloud.
fn epoch_to_resume(folder: &RunFolder) -> anyhow::Result<Option<usize>> {
    let checkpoints = Checkpoints::new(folder.path().join("checkpoint"));
    match checkpoints.newest().or_user()? {
        Some(Newest { epoch, passed_over }) => {
            for defect in passed_over {
                eprintln!("warning: {defect}; going on from the checkpoint of epoch {epoch} instead");
            }
            eprintln!("going on after epoch {epoch}");
            Ok(Some(epoch))
        }
        None => {
            eprintln!("no checkpoint yet: starting from the beginning");
            Ok(None)
        }
    }
}

fn steps_by(folder: &RunFolder, epoch: usize) -> u64 {
    helmholtz_train::History::read(&folder.path().join("metrics.jsonl"), epoch)
        .ok()
        .and_then(|history| history.last())
        .map_or(0, |(_, step)| step)
}

/// Appends to `timing.jsonl` and, if `lines`, prints a line for each epoch.
fn journal(lines: bool, folder: &RunFolder, plan: Plan) -> OnRecord {
    let timing = folder.path().join("timing.jsonl");
    let mut last = Instant::now();
    let mut training = String::new();
    Box::new(move |record: &Record| {
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        let line =
            json!({"epoch": record.epoch, "split": record.split, "step": record.step, "seconds": seconds});
        // Timing is a convenience: a disk that is full will be noticed by the checkpoint.
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&timing) {
            let _ = writeln!(file, "{line}");
        }
        let value = |name: &str| record.values.get(name).copied().unwrap_or(f64::NAN);
        if record.split == "train" {
            training = format!(
                "bound {:.3}  ess {:.3}  |grad| p {:.3} q {:.3}  {seconds:.1} s",
                value("bound"),
                value("ess"),
                value("gradient_norm_p"),
                value("gradient_norm_q")
            );
        } else if lines {
            let total = plan.steps;
            // A pipe that was closed must not end the run.
            let _ = writeln!(
                std::io::stderr(),
                "epoch {:>3}  step {}/{total}  {training}  valid nll {:.3}",
                record.epoch,
                record.step,
                value("nll")
            );
        }
    })
}

fn stop_on_ctrl_c(interrupter: Interrupter) -> anyhow::Result<()> {
    ctrlc::set_handler(move || {
        if interrupter.should_stop() {
            // The second time: at once. Nothing is half-written, files being renamed when whole.
            std::process::exit(130);
        }
        interrupter.stop(Some("Ctrl-C"));
        eprintln!("stopping; once more to stop at once");
    })?;
    Ok(())
}

/// Sends what the program and Burn report to `experiment.log`.
fn log_to(folder: &RunFolder) {
    let file = OpenOptions::new().create(true).append(true).open(folder.path().join("experiment.log"));
    if let Err(error) = file.and_then(log::keep_in) {
        tracing::warn!("{}: no experiment.log is kept ({error})", folder.path().display());
    }
}

/// How well the likelihoods that a finished run reports know 2 log Z of a bidirectional machine.
const FINAL_PARTITION: PartitionFunction = PartitionFunction { error: 0.02, most: 200_000 };

const HINT: &str = "; `helmholtz evaluate` takes more draws";

/// The likelihoods that a finished run reports.
struct Results {
    valid: NllSummary,
    test: NllSummary,
    k: usize,
    /// Of a bidirectional machine.
    log_z2: Option<LogPartition>,
}

impl Results {
    fn new(model: &AnyModel, data: &DataSet, config: &Config) -> anyhow::Result<Self> {
        let k = config.train.final_samples;
        let log_z2 = match config.model.reading() {
            Reading::Directed => None,
            Reading::Bidirectional => Some(partition(model, &FINAL_PARTITION, (0, HINT), |_, _| {})),
        };
        let score = |split: SplitName| -> anyhow::Result<NllSummary> {
            let rows: Vec<usize> = (0..data.split(split).rows()).collect();
            let sampled = Sampled { model, data, split, rows: &rows, seed: 0 };
            let weights = sampled.weigh(&ImportanceSampling::new(k), |_| {})?;
            Ok(Scores::of_weights(&weights, log_z2).summary)
        };
        Ok(Results { valid: score(SplitName::Valid)?, test: score(SplitName::Test)?, k, log_z2 })
    }

    /// What the likelihoods are: of p, of p*, or an upper bound on the NLL of that.
    fn of(&self) -> &'static str {
        match &self.log_z2 {
            None => "NLL",
            Some(z) if z.is_known() => "NLL of p*",
            Some(_) => "NLL of p* <=",
        }
    }

    fn rows(&self) -> [(&'static str, NllSummary, usize); 2] {
        [("valid", self.valid, self.k), ("test", self.test, self.k)]
    }
}

fn finish(
    args: &TrainArgs,
    folder: &RunFolder,
    outcome: &Outcome<AnyModel>,
    results: &Results,
    seconds: f64,
    (plan, first_step): (Plan, u64),
) {
    let examples = (plan.rows_by(outcome.steps) - plan.rows_by(first_step)) as f64;
    let (best, _) = outcome.history.best().unwrap_or_default();
    if args.json {
        let split = |s: &NllSummary| -> Value {
            json!({"nll": s.nll, "se_rows": s.se_rows, "se_mc": s.se_mc, "bias_mc": s.bias_mc, "k": results.k, "n": s.n})
        };
        let mut json = json!({
            "run": folder.path().display().to_string(), "steps": outcome.steps,
            "epochs": outcome.history.last().map_or(0, |(epoch, _)| epoch), "best_epoch": best,
            "train_seconds": seconds, "examples_per_second": examples / seconds,
            "valid": split(&results.valid), "test": split(&results.test),
        });
        if let Some(z) = &results.log_z2 {
            json["nll_is_bound"] = json!(!z.is_known());
            json["log_z2"] = json!(z.is_known().then_some(z.log_z2));
            json["log_z2_se"] = json!(z.se());
        }
        say!("{json}");
        return;
    }
    let why = if outcome.end == End::OutOfPatience { ", out of patience" } else { "" };
    say!(
        "{} steps in {seconds:.1} s ({:.0} examples a second){why}; best epoch {best}",
        outcome.steps,
        examples / seconds
    );
    for (name, s, k) in results.rows() {
        let rows = match s.se_rows {
            Some(se) => format!("± {se:.3} nats (K = {k}, {} rows)", s.n),
            None => format!("nats (K = {k}; one row: no spread)"),
        };
        say!("  {name:<5} {} {:.3} {rows}", results.of(), s.nll);
    }
    say!("  {}", folder.path().join("report.html").display());
}
