//! `cargo xtask reproduce`.

mod judge;
mod pages;
mod papers;
mod row;
mod rows;
mod seeds;
mod store;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::exit::{UserError, print, progress};
use crate::workspace;
use judge::judge;
use row::Row;
use rows::ROWS;
use seeds::{Missing, Seeds};
use store::{Finished, Store};

/// Reproduce published rows: train, evaluate, judge.
///
/// `reproduce list` shows every row; `reproduce ID...` runs some, `reproduce all` runs all. Each is
/// trained by `helmholtz train` from its file in configs/, once for each seed, and evaluated by
/// `helmholtz evaluate` with as many samples as it takes for their error and their bias to be below
/// a tenth of the tolerance. The mean over the seeds is judged:
///
/// - PASS: at or below the published value plus twice our Monte Carlo error;
/// - NEAR: above that, within the tolerance;
/// - SHORT: beyond the tolerance;
/// - a dash: the published value is recalled, second-hand or of another quantity, and only shown.
///
/// Results go to results/: a page and a JSON file for each paper, and README.md with all rows. What
/// was cut short goes on where it stopped; finished rows are not run again without --again.
///
/// Exit codes: 0 done, whatever the verdicts; 1 a row is SHORT or failed; 2 a row is not known or
/// its data are missing.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Reproduce {
    /// `list`, `all`, or the ids of rows; `uci-*` stands for all that begin so.
    #[arg(required = true)]
    ids: Vec<String>,
    /// How much to run.
    #[arg(long, default_value = "paper")]
    tier: Tier,
    /// Seeds, from 0; 3 at tier paper and 1 below if absent.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Device of `helmholtz train`.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Where data files lie.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where results are written.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Where runs are kept.
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Run finished rows anew.
    #[arg(long)]
    again: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// How much of a row is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// Seconds: two epochs on a handful of random rows of the same width, to try the plumbing.
    Smoke,
    /// Minutes on two cores: the row's data and model for a few epochs.
    Small,
    /// The published protocol, or the nearest that its sources allow.
    Paper,
}

impl Tier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tier::Smoke => "smoke",
            Tier::Small => "small",
            Tier::Paper => "paper",
        }
    }
}

impl Reproduce {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.ids == ["list"] {
            return print(&pages::list());
        }
        let chosen = chosen(&self.ids)?;
        let results = self.results.clone().unwrap_or_else(|| workspace::root().join("results"));
        let mut store = Store::open(&results)?;
        let (mut rows, mut missing, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for row in chosen {
            match self.one(row, &mut store) {
                Ok(finished) => {
                    progress(&format!("{}: {}", row.id, judge(row, &finished)));
                    rows.push(to_json(row, &finished));
                }
                Err(error) if error.is::<Missing>() => {
                    progress(&format!("{}: {error:#}", row.id));
                    missing.push(row.id);
                }
                Err(error) => {
                    progress(&format!("{}: failed: {error:#}", row.id));
                    failed.push(row.id);
                }
            }
        }
        if self.tier != Tier::Smoke {
            pages::write(&results, &store)?;
        }
        if self.json {
            print(&format!("{}\n", json!({"rows": rows})))?;
        }
        if !missing.is_empty() {
            return Err(UserError(format!("{}: the data are missing, see above", missing.join(", "))).into());
        }
        let short = rows.iter().filter(|row| row["verdict"].as_str().is_some_and(|v| v.starts_with("SHORT")));
        let short: Vec<&str> = short.filter_map(|row| row["id"].as_str()).collect();
        anyhow::ensure!(failed.is_empty(), "{}: failed, see above", failed.join(", "));
        anyhow::ensure!(short.is_empty(), "{}: SHORT of the published value", short.join(", "));
        Ok(())
    }

    /// Runs a row, or finds its result.
    fn one(&self, row: &'static Row, store: &mut Store) -> anyhow::Result<Finished> {
        let seeds = self.seeds.unwrap_or(if self.tier == Tier::Paper { 3 } else { 1 });
        if seeds == 0 {
            return Err(UserError("--seeds 0: at least one".to_owned()).into());
        }
        let known = store.get(row.id, self.tier).filter(|known| known.seeds.len() as u64 >= seeds);
        if let Some(known) = known.filter(|_| !self.again) {
            return Ok(known.clone());
        }
        let runs = self.runs.clone().unwrap_or_else(|| workspace::root().join("runs/reproduce"));
        let folder = runs.join(format!("{}-{}", row.id, self.tier.name()));
        let seeds = Seeds {
            row,
            tier: self.tier,
            seeds,
            device: &self.device,
            data_dir: self.data_dir.as_deref(),
            folder,
            again: self.again,
        };
        let started = Instant::now();
        let mut finished = seeds.run().with_context(|| format!("row {}", row.id))?;
        finished.wall_seconds = started.elapsed().as_secs_f64();
        store.put(row, self.tier, finished.clone())?;
        Ok(finished)
    }
}

/// The rows that ids stand for.
fn chosen(ids: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    let mut chosen: Vec<&'static Row> = Vec::new();
    for id in ids {
        let matches = |row: &&'static Row| match id.strip_suffix('*') {
            Some(start) => row.id.starts_with(start),
            None => id == "all" || row.id == id,
        };
        let before = chosen.len();
        for row in ROWS.iter().filter(matches) {
            if !chosen.iter().any(|known| known.id == row.id) {
                chosen.push(row);
            }
        }
        if chosen.len() == before && !ROWS.iter().any(|row| matches(&row)) {
            let nearest = ROWS.iter().max_by(|a, b| likeness(id, a.id).total_cmp(&likeness(id, b.id)));
            let hint = nearest.map(|row| format!("; did you mean `{}`?", row.id)).unwrap_or_default();
            return Err(
                UserError(format!("there is no row `{id}`{hint} (`cargo xtask reproduce list`)")).into()
            );
        }
    }
    Ok(chosen)
}

/// The share of letter pairs that two ids have in common.
fn likeness(a: &str, b: &str) -> f64 {
    let pairs = |text: &str| text.as_bytes().windows(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (a, b) = (pairs(a), pairs(b));
    let common = a.iter().filter(|pair| b.contains(pair)).count();
    2.0 * common as f64 / (a.len() + b.len()).max(1) as f64
}

fn to_json(row: &Row, finished: &Finished) -> serde_json::Value {
    json!({
        "id": row.id, "verdict": judge(row, finished).to_string(), "confidence": row.reported.source.tag(),
        "ours": finished.mean(), "seed_spread": finished.seed_spread(), "se_rows": finished.se_rows(),
        "se_mc": finished.se_mc(), "reported": row.reported.nll, "tolerance": row.tolerance,
        "seeds": finished.seeds.len(), "tier": finished.tier, "seconds": finished.seconds(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_for_rows_and_unknown_ones_are_answered_with_the_nearest() {
        let ids = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            chosen(&words).map(|rows| rows.iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&["uci-dna-rws-sbn", "uci-dna-*"]).unwrap()[0], "uci-dna-rws-sbn");
        assert_eq!(ids(&["all"]).unwrap().len(), ROWS.len());
        let error = ids(&["uci-dnb-rws-sbn"]).unwrap_err().to_string();
        assert!(error.contains("did you mean `uci-dna-rws-sbn`?"), "{error}");
    }

    #[test]
    fn every_row_has_an_id_of_its_own_a_config_and_data_of_the_catalogue() {
        for (i, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..i].iter().all(|other| other.id != row.id), "{} twice", row.id);
            assert!(workspace::root().join(row.config).is_file(), "{}", row.config);
            let entry = helmholtz_datasets::catalogue().iter().find(|entry| entry.id == row.data);
            assert!(entry.is_some(), "{}: {}", row.id, row.data);
            assert!(papers::PAPERS.iter().any(|paper| paper.key == row.paper), "{}: {}", row.id, row.paper);
        }
        for best in &rows::best::SETS {
            assert!(ROWS.iter().any(|row| row.data == best.data), "{}: no candidate", best.data);
        }
    }
}
