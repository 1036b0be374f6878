//! Scores of trained seeds.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::judge::{error_asked, is_reached, settle};
use super::super::row::Scoring;
use super::super::tier::Tier;
use super::{Seeds, object};
use crate::exit::progress;
use crate::output::write;

/// Samples that every row of a split begins with.
pub(super) const SAMPLES: u64 = 1_000;
/// The most samples of a row that no verdict depends on. Validation rows only rank the candidates for the table of
/// best rows, and test rows that are not judged are shown with their errors as found.
const MOST_SAMPLES_UNJUDGED: u64 = 4_000;
/// The most samples of a judged test row at each stage, until the verdict is settled. A stage repeats the draws of
/// the stages before it, which are about a fifth of the last.
const MOST_SAMPLES_JUDGED: [u64; 4] = [1_000, 4_000, 16_000, 100_000];

impl Seeds<'_> {
    /// Scores the test rows of all seeds, with more samples as long as the verdict depends on them.
    pub(super) fn test(&self) -> anyhow::Result<Vec<Value>> {
        if self.recipe.row.score == Scoring::Annealed && self.tier != Tier::Small {
            return self.side_by_side(|seed| self.annealed(seed));
        }
        if self.recipe.row.score == Scoring::Partition {
            return self.side_by_side(|seed| self.both_ways(seed));
        }
        settle(self.recipe.row, self.stages(), |most| {
            self.side_by_side(|seed| self.evaluate(seed, "test", most))
        })
    }

    /// Scores the validation rows of a seed.
    pub(super) fn valid(&self, seed: u64) -> anyhow::Result<Value> {
        self.evaluate(seed, "valid", self.most_of_valid())
    }

    /// The most samples of a validation row. If a row is judged by annealing, its validation rows have only the
    /// samples that every row begins with.
    fn most_of_valid(&self) -> u64 {
        if self.recipe.row.score == Scoring::Annealed { SAMPLES } else { MOST_SAMPLES_UNJUDGED }
    }

    /// The most samples of a test row at each stage.
    fn stages(&self) -> &'static [u64] {
        match self.tier {
            Tier::Paper if self.recipe.row.judged_by().is_some() => &MOST_SAMPLES_JUDGED,
            _ => &[MOST_SAMPLES_UNJUDGED],
        }
    }

    /// Evaluates a split of a trained seed with at most `most` samples per row, unless that has been done.
    fn evaluate(&self, seed: u64, split: &str, most: u64) -> anyhow::Result<Value> {
        if let Some(found) = self.evaluated(seed, split)?
            && (self.tier == Tier::Smoke
                || self.recipe.row.score == Scoring::Partition
                || is_reached(self.recipe.row, &found)
                || had(&found, most))
        {
            return Ok(found);
        }
        let flags = self.evaluate_flags(seed, split, most)?;
        let how = match self.recipe.row.score {
            Scoring::Partition => "log Z once for all".to_owned(),
            _ => format!("at most {most} samples each"),
        };
        progress(&format!("{} seed {seed}: evaluating the {split} rows, {how}", self.recipe.row.id));
        self.scored(seed, split, &flags)
    }

    /// Runs `helmholtz evaluate` with these flags on a trained seed, and keeps what it prints under a name.
    pub(super) fn scored(&self, seed: u64, name: &str, flags: &[String]) -> anyhow::Result<Value> {
        let threads = self.jobs_and_threads().1.to_string();
        let mut words: Vec<OsString> = vec!["evaluate".into()];
        words.extend(flags.iter().map(Into::into));
        words.extend(["--threads", &threads, "--quiet", "--json"].map(Into::into));
        words.push(self.out(seed).into());
        self.keep(seed, name, flags, object(words)?)
    }

    /// Keeps the result of an evaluation with these flags under a name.
    pub(super) fn keep(
        &self,
        seed: u64,
        name: &str,
        flags: &[String],
        result: Value,
    ) -> anyhow::Result<Value> {
        let text = json!({"config": self.resolved, "flags": flags, "result": result});
        write(&self.kept(seed, name), &serde_json::to_string_pretty(&text)?)?;
        Ok(result)
    }

    /// Where an evaluation is kept.
    pub(super) fn kept(&self, seed: u64, name: &str) -> PathBuf {
        self.folder.join(format!("seed-{seed}.{name}.json"))
    }

    /// The earlier result of a split, from a finished run or from one of the stages.
    fn evaluated(&self, seed: u64, split: &str) -> anyhow::Result<Option<Value>> {
        let summed = self.summed(seed)?;
        let kept = self.of_config(&self.kept(seed, split))?;
        let of_valid = [self.most_of_valid()];
        let stages = if split == "test" { self.stages() } else { &of_valid };
        let ways: Vec<Value> = stages
            .iter()
            .map(|&most| Ok(json!(self.evaluate_flags(seed, split, most)?)))
            .collect::<anyhow::Result<_>>()?;
        let in_this_way = |kept: &Value| ways.contains(&kept["flags"]);
        // If both exist, the kept file is newer than the summary.
        Ok(match kept.filter(in_this_way) {
            Some(kept) => Some(kept["result"].clone()),
            None => summed.map(|summed| summed[if split == "test" { "evaluate" } else { split }].clone()),
        })
    }

    fn evaluate_flags(&self, seed: u64, split: &str, most: u64) -> anyhow::Result<Vec<String>> {
        let mut flags = match self.recipe.row.score {
            Scoring::Partition => self.partition_flags(seed, split, "ais"),
            Scoring::Importance | Scoring::Annealed => self.sample_flags(seed, split, most),
        };
        if self.recipe.row.last_epoch {
            flags.extend(["--epoch".to_owned(), self.recipe.last_epoch(self.tier)?.to_string()]);
        }
        Ok(flags)
    }

    /// The flags of one log Z for all rows.
    fn partition_flags(&self, seed: u64, split: &str, method: &str) -> Vec<String> {
        let seed = seed.to_string();
        let mut flags = vec!["--split", split, "--seed", &seed, "--method", method];
        if self.tier == Tier::Smoke {
            flags.extend(["--chains", "5", "--temperatures", "20"]);
        }
        flags.into_iter().map(str::to_owned).collect()
    }

    /// Scores the test rows of a seed by annealing, and some of them also backwards.
    fn both_ways(&self, seed: u64) -> anyhow::Result<Value> {
        let mut found = self.evaluate(seed, "test", MOST_SAMPLES_UNJUDGED)?;
        if found.get("reverse").is_none() {
            let mut flags = self.partition_flags(seed, "test", "raise");
            flags.extend(["--limit", if self.tier == Tier::Smoke { "5" } else { "100" }].map(str::to_owned));
            let reverse = match self.of_config(&self.kept(seed, "raise"))? {
                Some(kept) if kept["flags"] == json!(flags) => kept["result"].clone(),
                _ => {
                    progress(&format!(
                        "{} seed {seed}: annealing some test rows backwards",
                        self.recipe.row.id
                    ));
                    self.scored(seed, "raise", &flags)?
                }
            };
            found["reverse"] = json!({
                "rows": reverse["n"], "nll": reverse["nll_raise"], "forward_nll": reverse["nll"],
            });
        }
        Ok(found)
    }

    fn sample_flags(&self, seed: u64, split: &str, most: u64) -> Vec<String> {
        let error = error_asked(self.recipe.row);
        // Each seed has its own draws, so that the errors of the seeds are independent.
        let seed = seed.to_string();
        let mut flags = vec!["--split", split, "--seed", &seed];
        // Small compared with the error of the rows' samples, so that both together can stay within the share.
        let of_z = (error / 4.0).to_string();
        let [first, most] = [SAMPLES, most].map(|k| k.to_string());
        let error = error.to_string();
        match self.tier {
            Tier::Smoke => flags.extend(["--samples", "5"]),
            _ => flags.extend(["--samples", &first, "--error", &error, "--max-samples", &most]),
        }
        if self.recipe.is_bidirectional() {
            match self.tier {
                Tier::Smoke => flags.extend(["--z-samples", "2000"]),
                _ => flags.extend(["--z-error", &of_z]),
            }
        }
        flags.into_iter().map(str::to_owned).collect()
    }
}

/// Whether some row had `most` samples or more in an evaluation.
fn had(found: &Value, most: u64) -> bool {
    found["k_max"].as_u64().is_some_and(|k| k >= most)
}
