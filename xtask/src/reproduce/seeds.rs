//! Trains and evaluates a row, once for each seed, as a user would.

mod annealed;
mod paired;
mod scores;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, ensure};
use helmholtz_cli::error::user;
use helmholtz_datasets::DataError;
use rayon::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use super::recipe::{Recipe, is_same_config};
use super::store::{Finished, Seed, StoredMachine};
use super::tier::Tier;
use crate::exit::progress;
use crate::output::write;
use crate::workspace;

/// Missing data.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Missing(String);

/// The seeds of a row.
pub(crate) struct Seeds<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) tier: Tier,
    pub(crate) seeds: u64,
    pub(crate) device: &'a str,
    pub(crate) data_dir: Option<&'a Path>,
    pub(crate) folder: PathBuf,
    /// The config that the row's file and flags make now, with every default written out.
    pub(crate) resolved: String,
}

impl Seeds<'_> {
    /// The row whose weights this one begins with, run in the same way.
    fn before(&self) -> anyhow::Result<Option<Self>> {
        let Some(recipe) = self.recipe.before.as_deref() else { return Ok(None) };
        let folder = self.folder.with_file_name(format!("{}-{}", recipe.row.id, self.tier));
        let resolved = recipe.resolved(self.tier, self.device)?;
        Ok(Some(Seeds { recipe, folder, resolved, ..*self }))
    }

    /// How many seeds run in parallel, and the threads of each.
    fn jobs_and_threads(&self) -> (usize, usize) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // A GPU serves one run at a time. On a CPU, parallel runs share the cores.
        let on_processor = self.device == "flex" || self.device == "ndarray";
        let jobs = if on_processor { cores.min(self.seeds as usize) } else { 1 };
        (jobs, (cores / jobs).max(1))
    }

    /// Checks that the data are present and correct.
    pub(crate) fn check_data(&self) -> anyhow::Result<()> {
        if self.tier == Tier::Smoke {
            return Ok(());
        }
        match helmholtz_datasets::load(&self.recipe.row.data, self.data_dir) {
            Ok(_) => Ok(()),
            Err(error @ DataError::Missing { .. }) => Err(Missing(error.to_string()).into()),
            Err(error) => Err(user(error)),
        }
    }

    /// Runs what has not been run yet, with seeds in parallel on the CPU's cores.
    pub(crate) fn run(&self) -> anyhow::Result<Finished> {
        let (row, data) = (self.recipe.row, self.data()?);
        let trained = self.side_by_side(|seed| self.train(seed, &data))?;
        let tests = self.test()?;
        let runs = self.side_by_side(|seed| {
            let of_seed = seed as usize;
            let valid = self.valid(seed)?;
            let continued = self.continued(seed)?;
            let summed = json!({
                "config": self.resolved, "train": trained[of_seed], "evaluate": tests[of_seed], "valid": valid,
                "continued": continued,
            });
            let run = Run::of(seed, &summed, &self.out(seed))?;
            write(&self.summary(seed), &serde_json::to_string_pretty(&summed)?)?;
            progress(&format!("{} seed {seed}: {:.3}", self.recipe.row.id, run.seed.nll));
            Ok(run)
        })?;
        let first = runs.first().context("no seed was run")?;
        let of_one_kind =
            |run: &&Run| (&run.protocol, &run.data_sha256) == (&first.protocol, &first.data_sha256);
        ensure!(
            runs.iter().all(|run| of_one_kind(&run)),
            "the seeds were run on different data; run the row with --again"
        );
        Ok(Finished {
            tier: self.tier.to_string(),
            protocol: first.protocol.clone(),
            data_sha256: first.data_sha256.clone(),
            config: [std::slice::from_ref(&row.config), &row.flags].concat().join(" "),
            resolved: self.resolved.clone(),
            commit: commits((0..self.seeds).map(|seed| self.out(seed)), &workspace::commit()),
            device: self.device.to_owned(),
            seeds: runs.into_iter().map(|run| run.seed).collect(),
            wall_seconds: 0.0,
        })
    }

    /// Applies `of` to every seed, several at a time.
    fn side_by_side<T: Send>(
        &self,
        of: impl Fn(u64) -> anyhow::Result<T> + Send + Sync,
    ) -> anyhow::Result<Vec<T>> {
        let (jobs, _) = self.jobs_and_threads();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build()?;
        // Run all of them, even if one fails.
        let done: Vec<_> = pool.install(|| (0..self.seeds).into_par_iter().map(of).collect());
        done.into_iter().collect()
    }

    /// Whether every seed has been run.
    pub(crate) fn is_finished(&self) -> bool {
        (0..self.seeds).all(|seed| self.summary(seed).is_file())
    }

    /// Moves the runs out of the way, and removes those that were put aside before.
    pub(crate) fn put_aside(&self) -> anyhow::Result<()> {
        let old = self.folder.with_extension("old");
        let aside = || -> std::io::Result<()> {
            if old.exists() {
                fs::remove_dir_all(&old)?;
            }
            if self.folder.exists() { fs::rename(&self.folder, &old) } else { Ok(()) }
        };
        aside().with_context(|| self.folder.display().to_string())
    }

    fn out(&self, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}"))
    }

    fn summary(&self, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}.json"))
    }

    /// The summary of a finished seed, if there is one.
    fn summed(&self, seed: u64) -> anyhow::Result<Option<Value>> {
        self.of_config(&self.summary(seed))
    }

    /// A kept file, if it exists; an error if it is from another config.
    fn of_config(&self, path: &Path) -> anyhow::Result<Option<Value>> {
        let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
        let kept: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        ensure!(
            kept["config"].as_str().is_some_and(|config| is_same_config(config, &self.resolved)),
            user(format!("{}: is from another config or device; run the row with --again", path.display()))
        );
        Ok(Some(kept))
    }

    /// Trains a seed or resumes its training, unless it is finished.
    fn train(&self, seed: u64, data: &str) -> anyhow::Result<Value> {
        if let Some(summed) = self.summed(seed)? {
            return Ok(summed["train"].clone());
        }
        let out = self.out(seed);
        let mut words = self.recipe.words(self.tier, data, self.device);
        if let Some(before) = self.before()? {
            before.train(seed, &before.data()?)?;
            words.extend(["--init-from".into(), before.out(seed).into()]);
        }
        let (threads, seed_word) = (self.jobs_and_threads().1.to_string(), seed.to_string());
        words.extend(
            ["--seed", &seed_word, "--threads", &threads, "--quiet", "--no-tui", "--json"].map(Into::into),
        );
        words.extend(["--out".into(), out.clone().into()]);
        if ["run.toml", "provenance.json"].iter().all(|name| out.join(name).is_file()) {
            // This is refused if the config has changed since.
            words.push("--resume".into());
        } else if out.exists() {
            // The run was killed while its folder was being set up, before the first step.
            fs::remove_dir_all(&out).with_context(|| out.display().to_string())?;
        }
        if let Some(dir) = self.data_dir {
            words.extend(["--data-dir".into(), dir.as_os_str().to_owned()]);
        }
        progress(&format!("{} seed {seed}: training", self.recipe.row.id));
        object(words)
    }

    /// The data to train on. Creates the folder of the row.
    fn data(&self) -> anyhow::Result<String> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        match self.tier {
            Tier::Smoke => self.random_rows(),
            _ => Ok(self.recipe.row.data.clone()),
        }
    }

    /// Writes files of random rows of the row's width, as a user's own data set.
    fn random_rows(&self) -> anyhow::Result<String> {
        let width = helmholtz_datasets::entry(&self.recipe.row.data)?.width();
        let key = helmholtz_noise::Key::new(0).child(self.recipe.row.id.as_str());
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

/// The result of one seed, and its data.
struct Run {
    seed: Seed,
    protocol: String,
    data_sha256: String,
}

impl Run {
    fn of(seed: u64, summed: &Value, out: &Path) -> anyhow::Result<Self> {
        let [trained, evaluated, valid] = ["train", "evaluate", "valid"].map(|part| &summed[part]);
        let number = |value: &Value, name: &str| {
            value.as_f64().with_context(|| format!("the result of seed {seed} has no {name}: {summed}"))
        };
        let of = |name: &str| number(&evaluated[name], name);
        let bidirectional = match evaluated.get("nll_p") {
            None => None,
            Some(_) => Some(StoredMachine {
                nll_p: of("nll_p")?,
                ess_p: of("ess_p")?,
                log_z2: match evaluated["nll_is_bound"].as_bool() {
                    Some(true) => None,
                    _ => Some([of("log_z2")?, of("log_z2_se")?]),
                },
            }),
        };
        let of_z = bidirectional.as_ref().and_then(|found| found.log_z2).map_or(0.0, |[_, error]| error);
        let word = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
        Ok(Run {
            seed: Seed {
                seed,
                nll: of("nll")?,
                valid_nll: number(&valid["nll"], "validation nll")?,
                se_rows: of("se_rows")?,
                se_mc: of("se_mc")?.hypot(of_z),
                bias_mc: of("bias_mc")?,
                ess: of("ess")?,
                k: of("k")? as u64,
                k_max: evaluated["k_max"].as_u64(),
                epochs: number(&trained["epochs"], "epochs")? as u64,
                train_seconds: seconds_of(out),
                bidirectional,
                annealed: optional(&evaluated["annealed"])?,
                reverse: optional(&evaluated["reverse"])?,
                continued: optional(&summed["continued"])?,
            },
            protocol: word(&evaluated["protocol"]),
            data_sha256: word(&evaluated["data_sha256"]),
        })
    }
}

/// A part of a summary that not every row has.
fn optional<T: DeserializeOwned>(value: &Value) -> anyhow::Result<Option<T>> {
    Option::deserialize(value).with_context(|| format!("cannot read this part of a summary: {value}"))
}

/// The commits of the programs that began the runs in these folders; `here` for a run that does not name its commit.
fn commits(folders: impl Iterator<Item = PathBuf>, here: &str) -> String {
    let of_run = |folder: PathBuf| match built_from(&folder) {
        // `here` also says whether files were modified.
        Some(commit) if here.starts_with(&commit) => here.to_owned(),
        Some(commit) => commit,
        None => here.to_owned(),
    };
    folders.map(of_run).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// The commit of the program that began the run in a folder, if the folder names it.
fn built_from(out: &Path) -> Option<String> {
    let provenance: Value =
        serde_json::from_str(&fs::read_to_string(out.join("provenance.json")).ok()?).ok()?;
    provenance["commit"].as_str().map(str::to_owned)
}

/// Seconds of all sessions of a run: each session appends to `timing.jsonl`.
fn seconds_of(out: &Path) -> f64 {
    let timing = fs::read_to_string(out.join("timing.jsonl")).unwrap_or_default();
    let seconds = |line: &str| serde_json::from_str::<Value>(line).ok()?["seconds"].as_f64();
    timing.lines().filter_map(seconds).sum()
}

/// Runs `helmholtz` with these arguments and returns the JSON object that it prints.
fn object(words: Vec<OsString>) -> anyhow::Result<Value> {
    serde_json::from_str(&helmholtz(words)?).context("helmholtz did not print a JSON object")
}

/// Runs `helmholtz` with these arguments and returns what it prints. Passes its warnings on.
fn helmholtz(words: Vec<OsString>) -> anyhow::Result<String> {
    let mut command = Command::new(workspace::program()?);
    // When this process ends in any way, the child's standard input closes, and the child ends.
    command.arg("helmholtz").args(&words).stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start helmholtz")?;
    let held = child.stdin.take();
    let Output { status, stdout, stderr } = child.wait_with_output().context("cannot wait for helmholtz")?;
    drop(held);
    let said = String::from_utf8_lossy(&stderr);
    if !status.success() {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let text = format!("helmholtz {} ended with {status}: {}", words.join(" "), said.trim());
        return Err(if status.code() == Some(2) { user(text) } else { anyhow::anyhow!(text) });
    }
    said.lines().filter(|line| !line.trim().is_empty()).for_each(progress);
    String::from_utf8(stdout).context("helmholtz did not print UTF-8 text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_of_the_commits_that_trained_them() {
        let folder = tempfile::tempdir().unwrap();
        let told = [Some("0123456789ab"), Some("0123456789ab"), Some("fedcba987654"), None];
        let folders: Vec<PathBuf> = (0..told.len()).map(|i| folder.path().join(i.to_string())).collect();
        for (folder, commit) in folders.iter().zip(told) {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("provenance.json"), json!({"commit": commit}).to_string()).unwrap();
        }
        let of = |n: usize, here: &str| commits(folders[..n].iter().cloned(), here);
        assert_eq!(of(2, "aaaaaaaaaaaa"), "0123456789ab");
        assert_eq!(of(2, "0123456789ab-modified"), "0123456789ab-modified");
        assert_eq!(of(3, "aaaaaaaaaaaa"), "0123456789ab, fedcba987654");
        assert_eq!(of(4, "aaaaaaaaaaaa"), "0123456789ab, aaaaaaaaaaaa, fedcba987654");
        let nowhere = folder.path().join("nowhere");
        assert_eq!(commits(std::iter::once(nowhere), "aaaaaaaaaaaa"), "aaaaaaaaaaaa");
    }
}
