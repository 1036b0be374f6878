//! `cargo xtask gpu`.

mod child;
mod subjects;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use helmholtz_cli::error::user;
use serde_json::{Value, json};

use crate::exit::{Reported, print, progress};
use crate::output::write;
use child::{Child, Ended};
use subjects::{SPEEDS, TRAININGS};

/// Check and time a machine with a GPU in one go.
///
/// The parts run in this order, each with its own time limit, and all of them within --minutes:
///
/// - the devices that the program finds;
/// - the doctor on each of --devices;
/// - the speed of training steps on the first device and on the CPU, on generated pictures;
/// - with --data-dir, training on mnist/binarized on the first device for the remaining time, and the likelihoods.
///
/// The machine needs neither a compiler nor the sources. A program that was built elsewhere by
/// `cargo build --release -p xtask --features helmholtz-cli/cuda,helmholtz-cli/vulkan` is enough, with the folder
/// configs/ (--configs). Each part writes its result to a file in --out; gpu.json holds all results. If a part fails
/// or exceeds its time limit, a line says so and the exit code is 1. The other parts still run.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Gpu {
    /// Devices for the doctor; speed and training use the first.
    #[arg(long, value_name = "D,D,..", value_delimiter = ',', default_value = "cuda,vulkan")]
    devices: Vec<String>,
    /// Time limit for all parts together, in minutes.
    #[arg(long, value_name = "M", default_value_t = 9.5)]
    minutes: f64,
    /// Folder with the data files.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder with the configs [default: that of the workspace].
    #[arg(long, value_name = "DIR")]
    configs: Option<PathBuf>,
    /// Folder for the results.
    #[arg(long, value_name = "DIR", default_value = "gpu")]
    out: PathBuf,
    /// Number of steps in a measurement of speed.
    #[arg(long, value_name = "N", default_value_t = 300)]
    steps: usize,
}

/// Time limit of one part, except for training.
const PART: Duration = Duration::from_secs(150);
/// Time limit of a likelihood, reserved at the end of its training.
const SCORING: Duration = Duration::from_secs(60);

/// The outcome of a part.
struct PartResult {
    name: String,
    seconds: f64,
    /// What it printed, or why it failed.
    result: Result<Value, String>,
}

impl Gpu {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if !(self.minutes > 0.0 && self.minutes.is_finite()) || self.steps == 0 || self.devices.is_empty() {
            return Err(user("--minutes and --steps must be above zero, and --devices must name a device"));
        }
        for device in &self.devices {
            helmholtz_cli::device::select(device).map_err(|error| user(format!("--devices: {error:#}")))?;
        }
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let end = Instant::now() + Duration::from_secs_f64(60.0 * self.minutes);
        let mut parts = Parts { end, out: self.out.clone(), found: Vec::new() };
        parts.run("devices", PART, &["devices", "--json"])?;
        for device in &self.devices {
            parts.run(&format!("doctor {device}"), PART, &["doctor", "--device", device, "--json"])?;
        }
        self.speeds(&mut parts)?;
        if let Some(data) = &self.data_dir {
            self.trainings(&mut parts, &data.display().to_string())?;
        }
        parts.report()
    }

    fn speeds(&self, parts: &mut Parts) -> anyhow::Result<()> {
        let steps = self.steps.to_string();
        for (name, flags) in SPEEDS {
            for device in [self.devices[0].as_str(), "flex"] {
                let out = self.out.join(format!("speed-{name}-{}", device.replace(':', "-")));
                let out = out.display().to_string();
                let train = ["train", "--dataset", "glyphs/28x28", "--steps", &steps, "--device", device];
                let quick = ["--set", "train.valid_samples=1", "--set", "train.final_samples=1", "--json"];
                let flags: Vec<&str> = flags.split(' ').collect();
                let words = [&train[..], &quick, &["--out", &out], &flags].concat();
                parts.run(&format!("speed of {name} on {device}"), PART, &words)?;
                if self.devices[0] == "flex" {
                    break;
                }
            }
        }
        Ok(())
    }

    fn trainings(&self, parts: &mut Parts, data: &str) -> anyhow::Result<()> {
        let configs = self.configs.clone().unwrap_or_else(|| crate::workspace::root().join("configs"));
        let device = self.devices[0].as_str();
        for (i, (name, config)) in TRAININGS.iter().enumerate() {
            let config = configs.join(config).display().to_string();
            let run = self.out.join(format!("run-{name}")).display().to_string();
            // The remaining time is divided among the remaining runs, each with its likelihood.
            let left = parts.left() / (TRAININGS.len() - i) as u32;
            let limit = left.saturating_sub(SCORING);
            let train = ["train", &config, "--device", device, "--data-dir", data, "--out", &run, "--json"];
            parts.train(&format!("training of {name}"), limit, &train)?;
            let score =
                ["evaluate", &run, "--device", device, "--limit", "1000", "--samples", "1000", "--json"];
            parts.run(&format!("likelihood of {name}"), SCORING, &score)?;
        }
        Ok(())
    }
}

/// The parts so far.
struct Parts {
    end: Instant,
    out: PathBuf,
    found: Vec<PartResult>,
}

impl Parts {
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Runs a part that should end by itself, and keeps what it prints.
    fn run(&mut self, name: &str, limit: Duration, words: &[&str]) -> anyhow::Result<()> {
        self.part(name, limit, words, |ended| match ended {
            Ended::Itself { code: 0 | 1, printed } => {
                // The doctor's exit code is 1 if a row is out of tolerance; its output says which.
                let value: Value =
                    serde_json::from_str(&printed).map_err(|_| "it did not print JSON".to_string())?;
                match value["missed"].as_u64() {
                    Some(missed @ 1..) => Err(format!("{missed} rows are out of tolerance: {}", off(&value))),
                    _ => Ok(value),
                }
            }
            Ended::Itself { code, .. } => Err(format!("it ended with exit code {code}")),
            Ended::Stopped => Err("it exceeded its time limit".to_string()),
        })
    }

    /// Runs a training. Its time limit may stop it, since the checkpoint of its last epoch is kept.
    fn train(&mut self, name: &str, limit: Duration, words: &[&str]) -> anyhow::Result<()> {
        self.part(name, limit, words, |ended| match ended {
            Ended::Itself { code: 0, printed } => {
                serde_json::from_str(&printed).map_err(|_| "it did not print JSON".to_string())
            }
            Ended::Itself { code, .. } => Err(format!("it ended with exit code {code}")),
            Ended::Stopped => Ok(json!({"stopped": "by the time limit; the epochs until then are kept"})),
        })
    }

    fn part(
        &mut self,
        name: &str,
        limit: Duration,
        words: &[&str],
        judge: impl Fn(Ended) -> Result<Value, String>,
    ) -> anyhow::Result<()> {
        let limit = limit.min(self.left());
        if limit.is_zero() {
            let result = Err("no time was left for it".to_string());
            self.found.push(PartResult { name: name.to_string(), seconds: 0.0, result });
            return Ok(());
        }
        progress(name);
        let file = name.replace([' ', ':', ','], "-");
        let start = Instant::now();
        let ended = Child { words, log: &self.out.join(format!("{file}.log")) }.wait(limit)?;
        let result = judge(ended);
        if let Ok(value) = &result {
            write(&self.out.join(format!("{file}.json")), &(serde_json::to_string_pretty(value)? + "\n"))?;
        }
        self.found.push(PartResult {
            name: name.to_string(),
            seconds: start.elapsed().as_secs_f64(),
            result,
        });
        Ok(())
    }

    /// Writes `gpu.json`, prints a line for each part, and fails if one of them did.
    fn report(self) -> anyhow::Result<()> {
        let rows: Vec<Value> = self
            .found
            .iter()
            .map(|found| {
                json!({
                    "part": found.name, "seconds": found.seconds, "found": found.result.as_ref().ok(),
                    "failed": found.result.as_ref().err(),
                })
            })
            .collect();
        let json = json!({"version": env!("CARGO_PKG_VERSION"), "parts": rows});
        write(&self.out.join("gpu.json"), &(serde_json::to_string_pretty(&json)? + "\n"))?;
        for found in &self.found {
            let (verdict, words) = match &found.result {
                Ok(value) => ("ok", words_of(value)),
                Err(words) => ("FAILED", words.clone()),
            };
            print(&format!("{verdict:<6}  {:<44}  {:>6.1} s  {words}\n", found.name, found.seconds))?;
        }
        let failed = self.found.iter().filter(|found| found.result.is_err()).count();
        print(&format!(
            "{}: {} parts, {failed} failed\n",
            self.out.join("gpu.json").display(),
            self.found.len()
        ))?;
        if failed > 0 { Err(Reported(1).into()) } else { Ok(()) }
    }
}

/// The rows that the doctor found out of tolerance.
fn off(value: &Value) -> String {
    let rows = value["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = rows.iter().filter(|row| row["holds"] == false).filter_map(|row| row["name"].as_str());
    names.collect::<Vec<_>>().join("; ")
}

/// A result in a few words.
fn words_of(value: &Value) -> String {
    let number = |value: &Value, unit: &str| value.as_f64().map(|x| format!("{x:.2} {unit}"));
    number(&value["examples_per_second"], "rows a second")
        .or_else(|| number(&value["nll"], "nats"))
        .or_else(|| Some(format!("{} rows within their tolerances", value["rows"].as_array()?.len())))
        .or_else(|| Some(format!("stopped {}", value["stopped"].as_str()?)))
        .or_else(|| Some(format!("{} devices", value["devices"].as_array()?.len())))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_said_in_a_few_words() {
        assert_eq!(words_of(&json!({"examples_per_second": 5.0, "test": {}})), "5.00 rows a second");
        assert_eq!(words_of(&json!({"nll": 93.456, "n": 3})), "93.46 nats");
        assert_eq!(words_of(&json!({"rows": [1, 2], "missed": 0})), "2 rows within their tolerances");
        assert_eq!(words_of(&json!({"devices": []})), "0 devices");
        let found = json!({"rows": [{"name": "a", "holds": false}, {"name": "b", "holds": true}]});
        assert_eq!(off(&found), "a");
    }
}
