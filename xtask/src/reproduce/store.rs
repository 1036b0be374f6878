//! The results so far: a JSON file for each paper.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::catalogue::Paper;
use super::row::Row;
use super::tier::Tier;
use crate::output::{read, write};

/// The result of a row, with all its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// `smoke`, `small` or `paper`.
    pub(crate) tier: String,
    /// `id@version` of the data.
    pub(crate) protocol: String,
    /// Hash of the data's values.
    pub(crate) data_sha256: String,
    /// The config file and the row's flags.
    pub(crate) config: String,
    /// The config that these make, with every default written out.
    pub(crate) resolved: String,
    /// The commit of the checkout when it was finished.
    pub(crate) commit: String,
    /// The device.
    pub(crate) device: String,
    /// One for each seed.
    pub(crate) seeds: Vec<Seed>,
    /// Seconds that the command took for it, without what was finished before.
    pub(crate) wall_seconds: f64,
}

/// One training and its evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seed {
    pub(crate) seed: u64,
    /// NLL of the test split; for a bidirectional machine that of p*.
    pub(crate) nll: f64,
    /// NLL of the validation split, which the best epoch was chosen by.
    pub(crate) valid_nll: f64,
    pub(crate) se_rows: f64,
    /// Monte Carlo error of `nll`: that of the rows' samples, and of 2 log Z where there is one.
    pub(crate) se_mc: f64,
    pub(crate) bias_mc: f64,
    /// Mean effective sample size, as a share of K.
    pub(crate) ess: f64,
    /// Mean number of samples per test row.
    pub(crate) k: u64,
    /// The most samples of a test row. Missing in results from older versions, where all rows had the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) k_max: Option<u64>,
    pub(crate) epochs: u64,
    pub(crate) train_seconds: f64,
    /// Further results of a bidirectional machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bidirectional: Option<StoredMachine>,
    /// What annealing found, for a row that is also scored by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annealed: Option<Annealed>,
    /// What annealing backwards found, for a model that is given by an energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reverse: Option<Reverse>,
    /// What training changed, for a row that begins with the weights of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) continued: Option<Continued>,
}

/// An NLL by importance sampling on all rows and annealing on some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Annealed {
    /// NLL of all rows by K importance samples.
    pub(crate) importance_nll: f64,
    /// How much lower it is by annealing, on average over the rows that were annealed.
    pub(crate) lower_by: Difference,
    /// Chains per row.
    pub(crate) chains: u64,
    /// Temperatures per chain.
    pub(crate) temperatures: u64,
    /// Mean acceptance rate of the moves; missing with a single temperature.
    pub(crate) acceptance: Option<f64>,
}

/// The NLL of some test rows by annealing in both directions. Where they are far apart, neither can be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reverse {
    /// Number of rows.
    pub(crate) rows: u64,
    /// By annealing backwards from each row, on average too high.
    pub(crate) nll: f64,
    /// By log Z, on average too low.
    pub(crate) forward_nll: f64,
}

/// The NLL of some test rows before and after training that began with another row's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Continued {
    /// How much lower the NLL is, on average over some test rows.
    pub(crate) lower_by: Difference,
    /// Importance samples per test row.
    pub(crate) k: u64,
}

/// The mean difference between two scores of the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Number of rows scored twice; the protocol fixes which.
    pub(crate) rows: u64,
    pub(crate) mean: f64,
    /// Standard error of the mean.
    pub(crate) se: f64,
}

impl Difference {
    /// The difference of `scores` minus `others`, scores of the same rows.
    pub(crate) fn of(scores: &[f64], others: &[f64]) -> Self {
        let n = scores.len() as f64;
        let differences = || scores.iter().zip(others).map(|(score, other)| score - other);
        let mean = differences().sum::<f64>() / n;
        let squares: f64 = differences().map(|difference| (difference - mean).powi(2)).sum();
        Difference { rows: scores.len() as u64, mean, se: (squares / (n - 1.0) / n).sqrt() }
    }

    /// The 95 % confidence interval of the mean over all rows.
    pub(crate) fn ci95(&self) -> [f64; 2] {
        [self.mean - 1.96 * self.se, self.mean + 1.96 * self.se]
    }
}

/// A bidirectional machine, whose `nll` is that of p*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredMachine {
    /// NLL of the same rows under its directed half p.
    pub(crate) nll_p: f64,
    /// Mean effective sample size for p, as a share of K; `ess` is that for p*.
    pub(crate) ess_p: f64,
    /// 2 log Z and its error. If it could not be estimated, it is missing and `nll` is an upper bound.
    pub(crate) log_z2: Option<[f64; 2]>,
}

impl Finished {
    fn over_seeds(&self, of: impl Fn(&Seed) -> f64) -> f64 {
        self.seeds.iter().map(of).sum::<f64>() / self.seeds.len() as f64
    }

    /// Mean test NLL over the seeds.
    pub(crate) fn mean(&self) -> f64 {
        self.over_seeds(|seed| seed.nll)
    }

    /// Mean validation NLL over the seeds.
    pub(crate) fn valid_mean(&self) -> f64 {
        self.over_seeds(|seed| seed.valid_nll)
    }

    /// Standard deviation over the seeds; `None` for a single seed.
    pub(crate) fn seed_spread(&self) -> Option<f64> {
        let (n, mean) = (self.seeds.len() as f64, self.mean());
        let sum: f64 = self.seeds.iter().map(|seed| (seed.nll - mean).powi(2)).sum();
        (n > 1.0).then(|| (sum / (n - 1.0)).sqrt())
    }

    /// Standard error over the test rows: the mean over the seeds, which share the rows.
    pub(crate) fn se_rows(&self) -> f64 {
        self.over_seeds(|seed| seed.se_rows)
    }

    /// Monte Carlo error of the mean; the errors of the seeds are independent.
    pub(crate) fn se_mc(&self) -> f64 {
        self.seeds.iter().map(|seed| seed.se_mc.powi(2)).sum::<f64>().sqrt() / self.seeds.len() as f64
    }

    /// How much too high the mean is expected to be.
    pub(crate) fn bias_mc(&self) -> f64 {
        self.over_seeds(|seed| seed.bias_mc)
    }

    /// Mean and largest number of samples per test row, each of the seed with the most.
    pub(crate) fn samples(&self) -> (u64, u64) {
        let most = |of: &dyn Fn(&Seed) -> u64| self.seeds.iter().map(of).max().unwrap_or_default();
        (most(&|seed| seed.k), most(&|seed| seed.k_max.unwrap_or(seed.k)))
    }

    /// The mean over the seeds of a number of bidirectional machines; `None` for other models, or if a seed
    /// lacks it.
    pub(crate) fn bidirectional(&self, of: impl Fn(&StoredMachine) -> Option<f64>) -> Option<f64> {
        let found: Option<Vec<f64>> =
            self.seeds.iter().map(|seed| of(seed.bidirectional.as_ref()?)).collect();
        found.map(|found| found.iter().sum::<f64>() / found.len() as f64)
    }

    /// Seconds of training, all seeds together.
    pub(crate) fn seconds(&self) -> f64 {
        self.seeds.iter().map(|seed| seed.train_seconds).sum()
    }
}

/// Results by paper, then by `row tier`.
pub(crate) struct Store {
    folder: PathBuf,
    papers: BTreeMap<String, BTreeMap<String, Finished>>,
}

impl Store {
    /// Reads the stored results of these papers.
    pub(crate) fn open(folder: &Path, papers: &[Paper]) -> anyhow::Result<Self> {
        let papers = papers.iter().map(|Paper { key, .. }| Ok((key.clone(), read(&path_of(folder, key))?)));
        Ok(Store { folder: folder.to_owned(), papers: papers.collect::<anyhow::Result<_>>()? })
    }

    /// The result of a row at a tier.
    pub(crate) fn get(&self, id: &str, tier: Tier) -> Option<&Finished> {
        self.papers.values().find_map(|rows| rows.get(&key(id, tier)))
    }

    /// Stores a result, except at tier `smoke`: nobody needs those later.
    pub(crate) fn put(&mut self, row: &Row, tier: Tier, finished: Finished) -> anyhow::Result<()> {
        if tier == Tier::Smoke {
            return Ok(());
        }
        self.change(&row.paper, |rows| drop(rows.insert(key(&row.id, tier), finished)))
    }

    /// Removes a result that will be computed again.
    pub(crate) fn forget(&mut self, row: &Row, tier: Tier) -> anyhow::Result<()> {
        if self.get(&row.id, tier).is_none() {
            return Ok(());
        }
        self.change(&row.paper, |rows| drop(rows.remove(&key(&row.id, tier))))
    }

    /// Changes the results of a paper. Reads them again first: other processes may have added to them.
    fn change(
        &mut self,
        paper: &str,
        change: impl FnOnce(&mut BTreeMap<String, Finished>),
    ) -> anyhow::Result<()> {
        let path = path_of(&self.folder, paper);
        let _lock = lock(&self.folder)?;
        let mut rows: BTreeMap<String, Finished> = read(&path)?;
        change(&mut rows);
        write(&path, &(serde_json::to_string_pretty(&rows)? + "\n"))?;
        self.papers.insert(paper.to_owned(), rows);
        Ok(())
    }
}

fn path_of(folder: &Path, paper: &str) -> PathBuf {
    folder.join(format!("{paper}.json"))
}

/// Takes the lock on the folder, so that one process at a time writes results.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(".lock");
    let open = || -> std::io::Result<File> {
        fs::create_dir_all(folder)?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().with_context(|| path.display().to_string())
}

fn key(id: &str, tier: Tier) -> String {
    format!("{id} {tier}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::catalogue::{Catalogue, catalogue};
    use super::*;

    pub(crate) fn finished(nlls: &[f64]) -> Finished {
        let seed = |(i, nll): (usize, &f64)| Seed {
            seed: i as u64,
            nll: *nll,
            valid_nll: nll + 0.5,
            se_rows: 0.2,
            se_mc: 0.03,
            bias_mc: 0.01,
            ess: 0.1,
            k: 1000,
            k_max: None,
            epochs: 5,
            train_seconds: 10.0,
            bidirectional: None,
            annealed: None,
            reverse: None,
            continued: None,
        };
        Finished {
            tier: "paper".into(),
            protocol: "uci/dna@1".into(),
            data_sha256: "0".into(),
            config: "c.toml".into(),
            resolved: "schema = 1\n".into(),
            commit: "1".into(),
            device: "flex".into(),
            seeds: nlls.iter().enumerate().map(seed).collect(),
            wall_seconds: 30.0,
        }
    }

    #[test]
    fn seeds_make_a_mean_a_spread_and_an_error() {
        let three = finished(&[90.0, 91.0, 92.0]);
        assert_eq!((three.mean(), three.seed_spread(), three.seconds()), (91.0, Some(1.0), 30.0));
        assert!((three.se_mc() - 0.03 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(finished(&[90.0]).seed_spread(), None);
        assert_eq!(three.samples(), (1000, 1000));
    }

    #[test]
    fn results_are_there_when_the_store_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let Catalogue { rows, papers, .. } = catalogue().unwrap();
        let row = &rows[0];
        let open = || Store::open(dir.path(), papers);
        let mut store = open().unwrap();
        store.put(row, Tier::Paper, finished(&[90.0, 91.0])).unwrap();
        store.put(row, Tier::Smoke, finished(&[1.0])).unwrap();
        let again = open().unwrap();
        assert_eq!(again.get(&row.id, Tier::Paper), Some(&finished(&[90.0, 91.0])));
        assert_eq!(again.get(&row.id, Tier::Smoke), None);
        // Two stores that were opened at the same time do not undo each other's changes.
        let mut other = open().unwrap();
        store.put(&rows[1], Tier::Paper, finished(&[1.0])).unwrap();
        other.put(&rows[2], Tier::Paper, finished(&[2.0])).unwrap();
        let all = open().unwrap();
        assert!(rows[..3].iter().all(|row| all.get(&row.id, Tier::Paper).is_some()));
        other.forget(&rows[1], Tier::Paper).unwrap();
        assert!(open().unwrap().get(&rows[1].id, Tier::Paper).is_none());
        fs::write(dir.path().join(format!("{}.json", row.paper)), "{").unwrap();
        assert!(open().is_err());
    }
}
