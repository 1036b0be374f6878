//! `cargo xtask reproduce`.

mod catalogue;
mod judge;
mod pages;
mod recipe;
mod row;
mod seeds;
mod store;
mod tier;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use helmholtz_cli::error::{UserError, known, user};
use serde_json::json;

use crate::exit::{print, progress};
use crate::workspace;
use catalogue::{Catalogue, catalogue};
use judge::{Verdict, judge};
use recipe::{Recipe, is_same_config};
use row::Row;
use seeds::{Missing, Seeds};
use store::{Finished, Store};
use tier::Tier;

/// Reproduce published rows: train, evaluate, judge.
///
/// `reproduce list` shows every row. `reproduce ID...` runs some rows, `reproduce all` runs all, and
/// `reproduce each` runs one row for each model, strategy and way of scoring. With --tier smoke, `each`
/// tries everything that this command does, in seconds.
///
/// `helmholtz train` trains a row from its file in configs/, once for each seed, and `helmholtz evaluate`
/// scores it. If the row is judged, the number of samples rises in stages until their error and their bias
/// are below a tenth of the tolerance, or until no further sample can change the verdict. Other rows have at
/// most 4000 samples per test row. If the published value was estimated by annealed importance sampling, some
/// test rows are annealed too, and their mean difference corrects the NLL of all test rows: with continuous
/// latents, importance sampling overstates the NLL by a nat or more, and its own error does not show it.
///
/// The verdict is on the mean over the seeds:
///
/// - PASS: not worse than published: at or below the published value plus twice our Monte Carlo error;
/// - NEAR: above that, within the tolerance;
/// - SHORT: beyond the tolerance, with both errors below a tenth of it or even at the most favourable reading;
/// - UNSURE: our Monte Carlo error is more than a tenth of the tolerance, or our NLL is beyond the tolerance
///   and the samples may be the cause;
/// - a dash: not judged, because the published value is missing, recalled, second-hand or another quantity.
///
/// Results go to results/: a page and a JSON file for each paper, and README.md with all rows. An
/// interrupted row continues where it stopped. Finished rows run again only with --again.
///
/// Exit codes: 0 done; 1 a row is SHORT or failed; 2 a row is unknown, its data are missing, its stored result
/// is from another config, or tracked files differ from the commit.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Reproduce {
    /// `list`, `all`, `each`, or the ids of rows; `uci-*` selects every id that begins with `uci-`.
    #[arg(required = true)]
    ids: Vec<String>,
    /// How much of each row to run.
    #[arg(long, default_value = "paper")]
    tier: Tier,
    /// Number of seeds, counted from 0 [default: at tier paper 3 for rows under 20 minutes a seed, else 1].
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Device for `helmholtz train`.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Folder with the data files.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder for the results [default: results/ of the workspace].
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Folder for the runs [default: runs/reproduce/ of the workspace].
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Run finished rows again.
    #[arg(long)]
    again: bool,
    /// Run rows at tier paper although tracked files differ from the commit, by which their results are then named.
    #[arg(long)]
    allow_modified: bool,
    /// With `list`: print one command a row, for GNU parallel, a Slurm array or HyperQueue.
    #[arg(long)]
    commands: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

impl Reproduce {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.ids == ["list"] {
            let rows = &catalogue()?.rows;
            return print(&if self.commands { pages::commands(rows) } else { pages::list(rows) });
        }
        if self.commands {
            return Err(user("--commands: goes with `list`, as in `cargo xtask reproduce list --commands`"));
        }
        let catalogue = catalogue()?;
        let chosen = chosen(&self.ids, catalogue)?;
        let results = self.results.clone().unwrap_or_else(|| workspace::root().join("results"));
        let mut store = Store::open(&results, &catalogue.papers)?;
        let (mut rows, mut failed, mut exit) = (Vec::new(), Vec::new(), Exit::Done);
        for row in chosen {
            match self.one(row, catalogue, &mut store) {
                Ok(finished) => {
                    let verdict = judge(row, &finished);
                    progress(&format!("{}: {:.3}, {verdict}", row.id, finished.mean()));
                    if matches!(verdict, Verdict::Short(_)) {
                        exit = exit.max(Exit::Failed);
                        failed.push(format!("{} is {verdict}", row.id));
                    }
                    rows.push(to_json(row, &finished));
                }
                Err(error) => {
                    progress(&format!("{}: {error:#}", row.id));
                    let of_the_user = error.is::<Missing>() || error.is::<UserError>();
                    exit = exit.max(if of_the_user { Exit::User } else { Exit::Failed });
                    let what = if error.is::<Missing>() { "lacks its data" } else { "failed" };
                    failed.push(format!("{} {what}", row.id));
                }
            }
        }
        if self.json {
            print(&format!("{}\n", json!({"rows": rows})))?;
        }
        if self.tier != Tier::Smoke {
            // Read the results again: other processes may have added to them.
            pages::write(&results, &Store::open(&results, &catalogue.papers)?, catalogue)?;
        }
        let failed = failed.join("; ");
        match exit {
            Exit::Done => Ok(()),
            Exit::User => Err(user(format!("{failed}: see above"))),
            Exit::Failed => anyhow::bail!("{failed}: see above"),
        }
    }

    /// Refuses results at tier paper whose commit would not tell what made them.
    fn check_commit(&self) -> anyhow::Result<()> {
        let commit = workspace::commit();
        if self.tier != Tier::Paper || self.allow_modified || !commit.ends_with(workspace::MODIFIED) {
            return Ok(());
        }
        Err(user(
            "tracked files outside results/ differ from the commit, by which a result is named: commit them or run from a \
             worktree at a commit (`git worktree add`), or add --allow-modified",
        ))
    }

    /// Runs a row, or returns its stored result.
    fn one(
        &self,
        row: &'static Row,
        catalogue: &'static Catalogue,
        store: &mut Store,
    ) -> anyhow::Result<Finished> {
        let recipe = Recipe::of(catalogue, row)?;
        let runs = self.runs.clone().unwrap_or_else(|| workspace::root().join("runs/reproduce"));
        let seeds = Seeds {
            recipe: &recipe,
            tier: self.tier,
            seeds: self.seeds.unwrap_or(if self.tier == Tier::Paper { row.seeds() } else { 1 }),
            device: &self.device,
            data_dir: self.data_dir.as_deref(),
            folder: runs.join(format!("{}-{}", row.id, self.tier)),
            resolved: recipe.resolved(self.tier, &self.device)?,
        };
        if seeds.seeds == 0 {
            return Err(user("--seeds 0: must be at least 1"));
        }
        let known = store.get(&row.id, self.tier);
        if let Some(known) = known.filter(|_| !self.again) {
            let protocol = helmholtz_datasets::entry(&row.data).map(|entry| entry.protocol());
            if !is_same_config(&known.resolved, &seeds.resolved)
                || protocol.is_ok_and(|protocol| protocol != known.protocol)
            {
                let text =
                    "its result is from another config, device or version of the data; run it with --again";
                return Err(user(text));
            }
            if known.seeds.len() as u64 >= seeds.seeds {
                return Ok(known.clone());
            }
        }
        seeds.check_data()?;
        self.check_commit()?;
        let fewer = known.is_some_and(|known| (known.seeds.len() as u64) > seeds.seeds);
        if self.again && fewer {
            return Err(user("--again: results of more seeds are stored; give at least as many --seeds"));
        }
        // The files of an earlier smoke run say nothing about the code as it is now.
        if self.again || self.tier == Tier::Smoke && seeds.is_finished() {
            seeds.put_aside()?;
            store.forget(row, self.tier)?;
        }
        let started = Instant::now();
        let mut finished = seeds.run()?;
        finished.wall_seconds = started.elapsed().as_secs_f64();
        store.put(row, self.tier, finished.clone())?;
        Ok(finished)
    }
}

/// The pages of results, with their paths from the root of the workspace, and the table of the README.
pub(crate) fn generated(root: &Path) -> anyhow::Result<(Vec<(String, String)>, String)> {
    let catalogue = catalogue()?;
    let store = Store::open(&root.join("results"), &catalogue.papers)?;
    let pages = pages::pages(&store, catalogue)?;
    let pages = pages.into_iter().map(|(name, text)| (format!("results/{name}"), text)).collect();
    Ok((pages, pages::in_readme(&store, catalogue)?))
}

/// How the command ends: the worst outcome of its rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    Done,
    User,
    Failed,
}

/// The rows that the ids select.
fn chosen(ids: &[String], catalogue: &'static Catalogue) -> anyhow::Result<Vec<&'static Row>> {
    let mut chosen: Vec<&'static Row> = Vec::new();
    for id in ids {
        let found = match (id.as_str(), id.strip_suffix('*')) {
            ("all", _) => catalogue.rows.iter().collect(),
            ("each", _) => one_of_each(catalogue)?,
            (_, Some(start)) => catalogue.rows.iter().filter(|row| row.id.starts_with(start)).collect(),
            (id, None) => Vec::from_iter(catalogue.row(id)),
        };
        if found.is_empty() {
            let ids: Vec<&str> = catalogue.rows.iter().map(|row| row.id.as_str()).collect();
            return Err(user(format!("there is no row `{id}`; {}", known(id, &ids))));
        }
        for row in found {
            if !chosen.iter().any(|known| known.id == row.id) {
                chosen.push(row);
            }
        }
    }
    Ok(chosen)
}

/// The first row of each treatment.
fn one_of_each(catalogue: &'static Catalogue) -> anyhow::Result<Vec<&'static Row>> {
    let recipes = catalogue.rows.iter().map(|row| Recipe::of(catalogue, row));
    let recipes = recipes.collect::<anyhow::Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    Ok(recipes.iter().filter(|recipe| seen.insert(recipe.treatment())).map(|recipe| recipe.row).collect())
}

fn to_json(row: &Row, finished: &Finished) -> serde_json::Value {
    json!({
        "id": row.id, "verdict": judge(row, finished).word(), "confidence": row.source.tag(),
        "ours": finished.mean(), "seed_spread": finished.seed_spread(), "se_rows": finished.se_rows(),
        "se_mc": finished.se_mc(), "bias_mc": finished.bias_mc(), "reported": row.reported, "tolerance": row.tolerance,
        "seeds": finished.seeds.len(), "tier": finished.tier, "seconds": finished.seconds(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_for_rows_and_unknown_ones_are_answered_with_the_nearest() {
        let catalogue = catalogue().unwrap();
        let ids = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            chosen(&words, catalogue).map(|rows| rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>())
        };
        assert_eq!(ids(&["uci-dna-rws-sbn", "uci-dna-*"]).unwrap()[0], "uci-dna-rws-sbn");
        assert_eq!(ids(&["all"]).unwrap().len(), 109);
        let error = ids(&["uci-dnb-rws-sbn"]).unwrap_err().to_string();
        assert!(error.contains("did you mean `uci-dna-rws-sbn`?"), "{error}");
    }

    #[test]
    fn each_has_every_model_and_strategy_every_way_of_scoring_and_of_beginning_once() {
        let catalogue = catalogue().unwrap();
        let each = one_of_each(catalogue).unwrap();
        let each: Vec<&str> = each.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(
            each,
            [
                "uci-adult-rws-sbn",
                "mnist-ws-sbn-200",
                "uci-adult-rws-nade",
                "uci-adult-nade",
                "uci-adult-darn",
                "uci-adult-bihm",
                "mnist-elbo-vae-20",
                "mnist-iwae-vae-20",
                "mnist-coupled-vae-20",
                "mnist-coupled-after-iwae-vae-20",
                "mnist-iwae-after-iwae-vae-20",
                "mnist-dynamic-iwae-vae-one-layer-k1",
                "omniglot-elbo-vae-two-layers-k5",
                "mnist-mob-10",
                "mnist-rbm-16-centred",
                "mnist-rbm-500-centred",
                "modes-rbm-pcd",
                "modes-rbm-tempering",
                "laplace-rbm-4",
            ]
        );
    }

    #[test]
    fn stored_results_are_of_the_configs_as_they_are_now() {
        let catalogue = catalogue().unwrap();
        let store = Store::open(&workspace::root().join("results"), &catalogue.papers).unwrap();
        let mut found = 0;
        for row in &catalogue.rows {
            for tier in [Tier::Small, Tier::Paper] {
                let Some(stored) = store.get(&row.id, tier) else { continue };
                let now = Recipe::of(catalogue, row).unwrap().resolved(tier, &stored.device).unwrap();
                assert!(
                    is_same_config(&stored.resolved, &now),
                    "{}: run it again, or remove its result: {}\n{now}",
                    row.id,
                    stored.resolved
                );
                found += 1;
            }
        }
        assert!(found > 0, "results/ holds results");
    }
}
