//! One run of a search: `helmholtz train` in a process of its own, which leaves the test split alone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use super::space::Values;
use crate::commands::finished::RESULTS;
use crate::error::user;

/// What runs have in common.
pub(super) struct Trials {
    /// The config that is improved.
    pub(super) config: PathBuf,
    /// Flags that follow it.
    pub(super) flags: Vec<String>,
    /// The folder of the run folders.
    pub(super) folder: PathBuf,
    /// The process that runs now, so that a signal can end it.
    pub(super) running: Running,
}

/// A process that may be running.
pub(super) type Running = Arc<Mutex<Option<Child>>>;

/// How a run ended.
pub(super) enum Ended {
    /// With a score of the validation split, in nats, and its standard error over rows.
    Scored { nll: f64, se: Option<f64> },
    /// Without one, such as a training that diverged, for this reason.
    Failed(String),
}

/// How often a running process is looked after.
const PAUSE: Duration = Duration::from_millis(5);

impl Trials {
    /// Trains with some values for `steps` steps in the run folder `name`, or goes on with that run. The seconds are
    /// those of this process.
    ///
    /// # Errors
    /// If the config is refused, or the process cannot be started or was stopped.
    pub(super) fn run(&self, name: &str, values: &Values, steps: u64) -> anyhow::Result<(Ended, f64)> {
        let out = self.folder.join(name);
        if let Some(found) = results(&out) {
            return Ok((found, 0.0));
        }
        let log = self.folder.join(format!("{name}.log"));
        let started = Instant::now();
        let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
        // The words before this command, where another program passes its words on.
        command.args(std::env::args_os().skip(1).take_while(|word| word != "tune"));
        command.arg("train").arg(&self.config).args(&self.flags).args(sets(values));
        command
            .arg("--steps")
            .arg(steps.to_string())
            .args(["--no-test", "--quiet", "--json", "--out"])
            .arg(&out);
        if out.exists() {
            command.arg("--resume");
        }
        let to = File::create(&log).with_context(|| log.display().to_string())?;
        // The pipe is open until the child ends: some programs take its end for that of their parent.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(to);
        let status = self.wait(command)?;
        let seconds = started.elapsed().as_secs_f64();
        let said = fs::read_to_string(&log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("no message").trim_start_matches("error: ").to_owned();
        match (status.code(), results(&out)) {
            (Some(0), Some(found)) => {
                // An empty or finished log says nothing that results.json does not.
                let _ = fs::remove_file(&log);
                Ok((found, seconds))
            }
            (Some(1), _) => Ok((Ended::Failed(last), seconds)),
            (Some(2), _) => Err(user(last)),
            (code, _) => {
                let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                anyhow::bail!("{}: the run ended with {code}: {last}", out.display())
            }
        }
    }

    /// Seconds that `steps` steps of training take, apart from starting and validation, and those of the rest.
    ///
    /// # Errors
    /// As [`Trials::run`], and if the run failed.
    pub(super) fn pilot(&self, values: &Values, steps: u64) -> anyhow::Result<Pilot> {
        let name = format!("pilot-{steps}");
        let (ended, seconds) = self.run(&name, values, steps)?;
        if let Ended::Failed(why) = ended {
            anyhow::bail!("the config as given fails within {steps} steps: {why}");
        }
        let out = self.folder.join(name);
        let text = fs::read_to_string(out.join("timing.jsonl")).unwrap_or_default();
        let mut pilot = Pilot { steps, training: 0.0, validation: 0.0, validations: 0, rest: seconds };
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let taken = line["seconds"].as_f64().unwrap_or(0.0);
            if line["split"] == "train" {
                pilot.training += taken;
            } else {
                pilot.validation += taken;
                pilot.validations += 1;
            }
        }
        pilot.rest = (seconds - pilot.training - pilot.validation).max(0.0);
        let _ = fs::remove_dir_all(&out);
        Ok(pilot)
    }

    fn wait(&self, mut command: Command) -> anyhow::Result<ExitStatus> {
        let lock = || self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *lock() = Some(command.spawn().context("a process for a run")?);
        loop {
            let mut running = lock();
            if let Some(status) = running.as_mut().and_then(|child| child.try_wait().transpose()) {
                *running = None;
                return status.context("waiting for a run");
            }
            drop(running);
            thread::sleep(PAUSE);
        }
    }
}

/// Seconds of the parts of a short run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pilot {
    pub(super) steps: u64,
    pub(super) training: f64,
    pub(super) validation: f64,
    pub(super) validations: usize,
    /// Starting, and scoring at the end.
    pub(super) rest: f64,
}

impl Pilot {
    /// Seconds that a run of `steps` steps takes, with a validation after each `per_epoch` steps.
    pub(super) fn seconds(&self, steps: f64, per_epoch: f64) -> f64 {
        let each = self.validation / self.validations.max(1) as f64;
        self.rest + steps * self.training / self.steps as f64 + (steps / per_epoch).ceil() * each
    }
}

/// The values as flags.
fn sets(values: &Values) -> impl Iterator<Item = String> {
    values.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")])
}

/// The validation score of a finished run.
fn results(run: &Path) -> Option<Ended> {
    let text = fs::read_to_string(run.join(RESULTS)).ok()?;
    let found: Value = serde_json::from_str(&text).ok()?;
    let valid = &found["valid"];
    match valid["nll"].as_f64() {
        Some(nll) => Some(Ended::Scored { nll, se: valid["se_rows"].as_f64() }),
        // JSON has no infinity: a validation row has no probability.
        None => Some(Ended::Failed("the validation NLL is not finite".to_owned())),
    }
}
