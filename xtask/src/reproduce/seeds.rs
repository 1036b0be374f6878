//! Trains and evaluates a row, once for each seed, as a user would.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use helmholtz_datasets::DataError;
use serde_json::Value;
use thiserror::Error;

use super::Tier;
use super::row::Row;
use super::store::{Finished, Seed, write};
use crate::exit::progress;
use crate::workspace;

/// Data that are not there.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Missing(String);

/// Samples of an evaluation, tried in turn until their error and bias are small enough.
const SAMPLES: [u64; 3] = [1_000, 10_000, 100_000];
/// Share of the tolerance that `se_mc` and `bias_mc` may take.
const SHARE: f64 = 0.1;

/// The seeds of a row.
pub(crate) struct Seeds<'a> {
    pub(crate) row: &'static Row,
    pub(crate) tier: Tier,
    pub(crate) seeds: u64,
    pub(crate) device: &'a str,
    pub(crate) data_dir: Option<&'a Path>,
    pub(crate) folder: PathBuf,
    pub(crate) again: bool,
}

impl Seeds<'_> {
    /// Runs what has not been run yet, side by side on the processor's cores.
    pub(crate) fn run(&self) -> anyhow::Result<Finished> {
        if self.again && self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        }
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        let data = match self.tier {
            Tier::Smoke => self.random_rows()?,
            _ => self.check_data()?,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // A GPU is one device for one run; the processor's cores are shared out.
        let jobs = if self.device == "flex" || self.device == "ndarray" {
            cores.min(self.seeds as usize)
        } else {
            1
        };
        let threads = (cores / jobs).max(1);
        let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::SeqCst);
                        if seed >= self.seeds {
                            return;
                        }
                        let result = self.one(seed, threads, &data);
                        let mut done = done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        done.push((seed, result));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        done.sort_by_key(|(seed, _)| *seed);
        let runs = done.into_iter().map(|(_, run)| run).collect::<anyhow::Result<Vec<Run>>>()?;
        let first = runs.first().context("no seed was run")?;
        let config = [&[self.row.config], self.row.flags].concat().join(" ");
        Ok(Finished {
            tier: self.tier.name().to_owned(),
            protocol: first.protocol.clone(),
            data_sha256: first.data_sha256.clone(),
            config,
            commit: first.commit.clone(),
            device: self.device.to_owned(),
            seeds: runs.into_iter().map(|run| run.seed).collect(),
            wall_seconds: 0.0,
        })
    }

    /// Trains, or goes on, and evaluates, unless that has been done.
    fn one(&self, seed: u64, threads: usize, data: &str) -> anyhow::Result<Run> {
        let out = self.folder.join(format!("seed-{seed}"));
        let summary = self.folder.join(format!("seed-{seed}.json"));
        if let Ok(text) = fs::read_to_string(&summary) {
            return Run::of(seed, &serde_json::from_str(&text)?, &out);
        }
        let (threads, seed_word) = (threads.to_string(), seed.to_string());
        let mut words: Vec<OsString> = vec!["train".into()];
        if out.join("run.toml").is_file() {
            words.push("--resume".into());
        } else {
            words.push(workspace::root().join(self.row.config).into());
            words.extend(self.row.flags.iter().map(Into::into));
            words.extend(["--dataset", data, "--seed", &seed_word, "--device", self.device].map(Into::into));
            words.extend(self.tier_flags().into_iter().map(Into::into));
        }
        words.extend(["--threads", &threads, "--quiet", "--no-tui", "--json", "--out"].map(Into::into));
        words.push(out.clone().into());
        if let Some(dir) = self.data_dir {
            words.extend(["--data-dir".into(), dir.as_os_str().to_owned()]);
        }
        progress(&format!("{} seed {seed}: training", self.row.id));
        let trained = object(words)?;
        let mut evaluated = Value::Null;
        for k in if self.tier == Tier::Smoke { &[5][..] } else { &SAMPLES[..] } {
            progress(&format!("{} seed {seed}: {k} samples a test row", self.row.id));
            let words = ["evaluate", "--samples", &k.to_string(), "--threads", &threads, "--quiet", "--json"];
            let words = words.into_iter().map(Into::into).chain([out.clone().into()]).collect();
            evaluated = object(words)?;
            let of = |name: &str| evaluated[name].as_f64().unwrap_or(f64::NAN);
            if of("se_mc").max(of("bias_mc")) <= SHARE * self.row.tolerance {
                break;
            }
        }
        let summed = serde_json::json!({"train": trained, "evaluate": evaluated});
        let run = Run::of(seed, &summed, &out)?;
        write(&summary, &serde_json::to_string_pretty(&summed)?)?;
        progress(&format!("{} seed {seed}: {:.3}", self.row.id, run.seed.nll));
        Ok(run)
    }

    /// Flags that make a smaller run of the row's config.
    fn tier_flags(&self) -> Vec<String> {
        let set =
            |pairs: &[&str]| pairs.iter().flat_map(|pair| ["--set".to_owned(), (*pair).to_owned()]).collect();
        match self.tier {
            Tier::Smoke => set(&[
                "train.epochs=2",
                "stage=[{epochs=1,samples=20,lr=3e-4}]",
                "train.valid_samples=2",
                "train.final_samples=2",
            ]),
            Tier::Small => set(&[&format!("train.epochs={}", self.row.small_epochs), "stage=[]"]),
            Tier::Paper => Vec::new(),
        }
    }

    /// The id of the row's data, if they are there and right.
    fn check_data(&self) -> anyhow::Result<String> {
        match helmholtz_datasets::load(self.row.data, self.data_dir) {
            Ok(_) => Ok(self.row.data.to_owned()),
            Err(error @ DataError::Missing { .. }) => Err(Missing(error.to_string()).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Files of random rows of the row's width, as a data set of the user's own.
    fn random_rows(&self) -> anyhow::Result<String> {
        let width = helmholtz_datasets::entry(self.row.data)?.width();
        let key = helmholtz_noise::Key::new(0).child(self.row.id);
        let parts =
            [("train", 60), ("valid", 20), ("test", 20)].map(|(name, rows)| -> anyhow::Result<String> {
                let path = self.folder.join(format!("{name}.data"));
                let mut stream = helmholtz_noise::Stream::new(key.child(name));
                let mut text = String::new();
                for _ in 0..rows {
                    let bits: Vec<&str> =
                        (0..width).map(|_| if stream.below(4) == 0 { "1" } else { "0" }).collect();
                    text += &(bits.join(",") + "\n");
                }
                write(&path, &text)?;
                Ok(path.display().to_string())
            });
        let [train, valid, test] = parts;
        Ok(format!("file:{},{},{}", train?, valid?, test?))
    }
}

/// One seed and what it was run on.
struct Run {
    seed: Seed,
    protocol: String,
    data_sha256: String,
    commit: String,
}

impl Run {
    fn of(seed: u64, summed: &Value, out: &Path) -> anyhow::Result<Self> {
        let (trained, evaluated) = (&summed["train"], &summed["evaluate"]);
        let number = |value: &Value, name: &str| {
            value.as_f64().with_context(|| format!("the result of seed {seed} has no {name}: {summed}"))
        };
        let of = |name: &str| number(&evaluated[name], name);
        let provenance = fs::read_to_string(out.join("provenance.json")).unwrap_or_default();
        let provenance: Value = serde_json::from_str(&provenance).unwrap_or(Value::Null);
        let word = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
        Ok(Run {
            seed: Seed {
                seed,
                nll: of("nll")?,
                valid_nll: number(&trained["valid"]["nll"], "validation nll")?,
                se_rows: of("se_rows")?,
                se_mc: of("se_mc")?,
                bias_mc: of("bias_mc")?,
                ess: of("ess")?,
                k: of("k")? as u64,
                epochs: number(&trained["epochs"], "epochs")? as u64,
                train_seconds: number(&trained["train_seconds"], "train_seconds")?,
            },
            protocol: word(&evaluated["protocol"]),
            data_sha256: word(&evaluated["data_sha256"]),
            commit: word(&provenance["commit"]),
        })
    }
}

/// Runs `helmholtz` with these words and gives the object that it prints.
fn object(words: Vec<OsString>) -> anyhow::Result<Value> {
    let program = std::env::current_exe().context("this program cannot be found")?;
    let mut command = Command::new(program);
    command.arg("helmholtz").args(&words).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().context("helmholtz cannot be started")?;
    if !status.success() {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        anyhow::bail!(
            "helmholtz {} ended with {status}: {}",
            words.join(" "),
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    serde_json::from_slice(&stdout).context("helmholtz printed no JSON object")
}
