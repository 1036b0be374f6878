//! Two scores of the same test rows, compared row by row.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use super::super::store::{Continued, Difference};
use super::super::tier::Tier;
use super::{Seeds, object, optional};
use crate::exit::progress;

/// Number of test rows that are scored before and after continued training, and of samples for each.
const CONTINUED: (u64, u64) = (1_000, 10_000);

impl Seeds<'_> {
    /// What training has changed since the weights that the row began with, if they are another row's.
    ///
    /// Both are scored on the same rows with the same noise, so that the spread over rows and part of the samples'
    /// errors drop out of the difference.
    pub(super) fn continued(&self, seed: u64) -> anyhow::Result<Option<Continued>> {
        let Some(before) = self.before()? else { return Ok(None) };
        if let Some(summed) = self.summed(seed)? {
            return optional(&summed["continued"]);
        }
        let (rows, k) = if self.tier == Tier::Smoke { (10, 5) } else { CONTINUED };
        let flags = format!("--split test --seed {seed} --samples {k} --limit {rows}");
        let flags: Vec<_> = flags.split(' ').map(str::to_owned).collect();
        progress(&format!(
            "{} seed {seed}: {rows} test rows with {k} samples, compared with {}",
            self.recipe.row.id, before.recipe.row.id
        ));
        let (of_now, now) = self.per_row(seed, "continued", flags.clone(), self.parts())?;
        let (of_then, then) = before.per_row(seed, "continued", flags, self.parts())?;
        // At tier smoke each row has its own random data, and the difference means nothing.
        let are_same = of_now["data_sha256"] == of_then["data_sha256"] || self.tier == Tier::Smoke;
        anyhow::ensure!(are_same, "{} was trained on other data; run it with --again", before.recipe.row.id);
        Ok(Some(Continued { lower_by: Difference::of(&now, &then), k }))
    }

    /// Number of parts of a long evaluation. Each is kept, so that an interrupted evaluation continues after the last.
    pub(super) fn parts(&self) -> u64 {
        if self.tier == Tier::Smoke { 2 } else { 10 }
    }

    /// Evaluates with these flags in `parts` parts, unless that has been done. Returns also `log p` of each row.
    pub(super) fn per_row(
        &self,
        seed: u64,
        name: &str,
        flags: Vec<String>,
        parts: u64,
    ) -> anyhow::Result<(Value, Vec<f64>)> {
        let path = self.folder.join(format!("seed-{seed}.{name}.npy"));
        let of_rows = ["--per-example".to_owned(), path.display().to_string()];
        let all = [&flags[..], &of_rows].concat();
        let result = match self.of_config(&self.kept(seed, name))? {
            Some(kept) if kept["flags"] == json!(all) => kept["result"].clone(),
            _ if parts == 1 => self.scored(seed, name, &all)?,
            _ => {
                let files = self.scored_parts(seed, name, &flags, parts)?;
                let mut words: Vec<OsString> = vec!["merge".into(), "--json".into()];
                words.extend(of_rows.iter().map(Into::into));
                words.extend(files.iter().map(Into::into));
                let result = self.keep(seed, name, &all, object(words)?)?;
                for file in files {
                    fs::remove_file(&file).with_context(|| file.display().to_string())?;
                }
                result
            }
        };
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let log_probs = helmholtz_datasets::formats::npy::doubles(&bytes)
            .map_err(|problem| anyhow::anyhow!("{}: {problem}; remove the file", path.display()))?;
        let n = result["n"].as_u64().unwrap_or_default();
        anyhow::ensure!(
            log_probs.len() as u64 == n,
            "{}: has {} rows, but the evaluation has {n}; remove the file",
            path.display(),
            log_probs.len()
        );
        Ok((result, log_probs))
    }

    /// Evaluates the parts of an evaluation that are missing, and returns the files of all.
    fn scored_parts(
        &self,
        seed: u64,
        name: &str,
        flags: &[String],
        parts: u64,
    ) -> anyhow::Result<Vec<PathBuf>> {
        let part = |i: u64| -> anyhow::Result<PathBuf> {
            let file = self.folder.join(format!("seed-{seed}.{name}.{i}-of-{parts}.safetensors"));
            if file.is_file() {
                return Ok(file);
            }
            progress(&format!("{} seed {seed}: {name}, part {i} of {parts}", self.recipe.row.id));
            let mut words: Vec<OsString> = vec!["evaluate".into()];
            words.extend(flags.iter().map(Into::into));
            let threads = self.jobs_and_threads().1.to_string();
            words.extend(["--shard", &format!("{i}/{parts}"), "--threads", &threads].map(Into::into));
            words.extend(["--quiet", "--json", "--out"].map(Into::into));
            words.extend([file.clone().into(), self.out(seed).into()]);
            object(words)?;
            Ok(file)
        };
        (1..=parts).map(part).collect()
    }

    /// Evaluates with these flags, unless that has been done.
    pub(super) fn scored_once(&self, seed: u64, name: &str, flags: Vec<String>) -> anyhow::Result<Value> {
        match self.of_config(&self.kept(seed, name))? {
            Some(kept) if kept["flags"] == json!(flags) => Ok(kept["result"].clone()),
            _ => self.scored(seed, name, &flags),
        }
    }
}
