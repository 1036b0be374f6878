//! `helmholtz regimes equilibrium`: chains from noise, compared with the data after more and more sweeps.
//!
//! A machine that was trained with chains of k sweeps from noise has learnt to have the moments of the data after k
//! sweeps, and not in its own law.
//!
//! # References
//! Decelle, Furtlehner, Seoane, "Equilibrium and non-equilibrium regimes in the learning of restricted Boltzmann
//! machines", NeurIPS 2021, arXiv:2105.13889.
//! Agoritsas, Catania, Decelle, Seoane, "Explaining the effects of non-convergent sampling in the training of
//! energy-based models", ICML 2023, arXiv:2301.09428.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use burn::tensor::{Tensor, TensorData};
use helmholtz_core::{Batch, Draws, Role};
use helmholtz_datasets::SplitName;
use helmholtz_eval::{AdversarialAccuracy, UnitMoments};
use helmholtz_ops::into_f64;
use helmholtz_zoo::Unnormalised;
use helmholtz_zoo::can::{Transitions, divergence};
use helmholtz_zoo::limits::LARGEST;
use serde_json::{Value, json};

use super::figure::{Files, level, line, with_mark};
use super::shared::{bar, energy_of, spaced};
use crate::args::{EquilibriumArgs, ModelArgs};
use crate::chart::{Chart, Scale};
use crate::commands::chains;
use crate::commands::epoch::newest;
use crate::commands::log_z::log_probs;
use crate::commands::score::chosen_rows;
use crate::commands::trained::Trained;
use crate::config::{Config, count};
use crate::error::{OrUser, user};
use crate::memory_limit::{Limit, Need};
use crate::run_folder::RunFolder;

/// Chains, and sweeps for each sweep of an update in training.
const USUAL: (usize, usize) = (1000, 100);
/// Sweeps where training had no chains.
const WITHOUT_K: usize = 1000;
/// Most rows for the adversarial accuracy, whose time grows with their square.
const NEIGHBOURS: usize = 2000;
/// Times in each power of ten.
const A_DECADE: u32 = 8;

/// Runs the chains and writes the figure.
///
/// # Errors
/// If the run cannot be read, the model is not given by an energy, or a file cannot be written.
pub(super) fn run(args: &EquilibriumArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let n = chains::draws("--chains", args.chains, USUAL.0)?;
    if n < 2 {
        return Err(user("--chains 1: must be at least 2, because nearest neighbours are compared"));
    }
    let asked = args.sweeps.map(|sweeps| count("--sweeps", sweeps)).transpose()?;
    if asked == Some(0) {
        return Err(user("--sweeps 0: must be at least 1"));
    }
    let named = args.out.as_deref().map(Files::named).transpose()?;
    let trained = Trained::load(&with_newest(&args.model)?)?;
    trained.say_epoch();
    let energy = energy_of(&trained.model, &trained.config, "equilibrium")?;
    let files = match (named, &trained.folder) {
        (Some(files), _) => files,
        (None, Some(folder)) => Files::inside(folder, "equilibrium"),
        (None, None) => Files::named(Path::new("equilibrium.svg"))?,
    };
    let k = sweeps_of_update(&trained.config);
    let usual = || k.map_or(WITHOUT_K, |k| k.saturating_mul(USUAL.1).min(LARGEST));
    let sweeps = asked.unwrap_or_else(usual);
    let width = trained.data.shape.pixels();
    let of_chain = trained.config.spec.model.values_of_proposal(width);
    let rows = trained.data.split(split).rows();
    Need::default()
        .and(format!("--chains {n}"), (n as u64).saturating_mul(of_chain).saturating_mul(4))
        .and(format!("--split {split}"), (rows as u64).saturating_mul(width as u64).saturating_mul(4))
        .check(Limit::of(&trained.device))?;
    let neighbours = n.min(NEIGHBOURS).min(rows);
    if neighbours < 2 {
        return Err(user(format!(
            "--split {split}: has {rows} row, and nearest neighbours need two; choose another split"
        )));
    }
    let fixed = trained.data.fixed(split);
    let all = fixed.batch(&trained.device).whole();
    let chosen = chosen_rows(&trained.data, split, Some(neighbours));
    let near = fixed.select(&chosen).batch(&trained.device).whole();
    let data = Data {
        moments: UnitMoments::of(all.clone()),
        free_energy: mean_free_energy(energy, &all),
        near,
        law: energy.transitions().ok().map(|transitions| {
            let target = transitions.law_of_rows(&into_f64(all.clone()));
            let shape = [transitions.law().len(), all.dims()[1]];
            let states = TensorData::new(transitions.states().to_vec(), shape);
            let states = Tensor::from_data(states, (&all.device(), all.dtype()));
            Law { transitions, target, states }
        }),
    };
    let times = times(sweeps, k);
    let records = follow(energy, &data, (n, &times), args.seed)?;
    let found = Found { k: k.filter(|k| *k <= sweeps), data: &data, noise: data.moments.noise(n), records };
    let mut json = found.json();
    for (key, value) in [
        ("protocol", json!(trained.data.protocol())),
        ("split", json!(split.to_string())),
        ("epoch", json!(trained.epoch)),
        ("k", json!(k)),
        ("sweeps", json!(sweeps)),
        ("chains", json!(n)),
        ("neighbours", json!(neighbours)),
        ("seed", json!(args.seed)),
    ] {
        json[key] = value;
    }
    files.write(&found.charts(), &mut json, (args.json, &found.words()))?;
    Ok(ExitCode::SUCCESS)
}

/// The same model, with the newest epoch of a run if none is asked for. The best one by validation score would be the
/// machine whose own law is best, which is what training with chains from noise leaves behind.
fn with_newest(args: &ModelArgs) -> anyhow::Result<ModelArgs> {
    let mut args = args.clone();
    if let (Some(run), None) = (&args.run, args.epoch) {
        args.epoch = newest(&RunFolder::open(run)?)?.map(|epoch| epoch as i64);
    }
    Ok(args)
}

/// k: the sweeps of an update in training, if its strategy has chains.
fn sweeps_of_update(config: &Config) -> Option<usize> {
    let sweeps = config.spec.strategy.table().get("sweeps")?.as_integer()?;
    usize::try_from(sweeps).ok()
}

/// The times of records, k among them.
fn times(last: usize, k: Option<usize>) -> Vec<usize> {
    let own = k.filter(|k| *k <= last);
    let mut times: Vec<usize> =
        spaced(last as u64, A_DECADE).into_iter().map(|t| t as usize).chain(own).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// What chains are compared with.
struct Data {
    moments: UnitMoments,
    /// The mean over the split.
    free_energy: f64,
    /// Rows for nearest neighbours.
    near: Tensor<2>,
    /// With exact laws, for a machine of few units.
    law: Option<Law>,
}

struct Law {
    transitions: Transitions,
    /// The distribution of the rows.
    target: Vec<f64>,
    /// All states.
    states: Tensor<2>,
}

/// How far a law is from the data.
#[derive(Clone, Copy)]
struct Exact {
    /// Distances of means, and of means of products.
    moments: [f64; 2],
    /// `KL(data || law)`.
    kl: f64,
}

impl Exact {
    fn of(law: &[f64], own: &Law, data: &Data) -> Self {
        let weights = Tensor::from_data(law, (&own.states.device(), own.states.dtype()));
        let moments = UnitMoments::weighed(own.states.clone(), weights);
        Exact { moments: moments.distances(&data.moments), kl: divergence(&own.target, law) }
    }

    fn json(&self) -> Value {
        let [first, second] = self.moments;
        json!({ "first": first, "second": second, "kl": self.kl })
    }
}

/// Chains after so many sweeps.
struct Record {
    sweeps: usize,
    moments: [f64; 2],
    accuracy: AdversarialAccuracy,
    free_energy: f64,
    exact: Option<Exact>,
}

/// Runs chains, and measures them at `times`.
fn follow(
    energy: &dyn Unnormalised,
    data: &Data,
    (n, times): (usize, &[usize]),
    seed: u64,
) -> anyhow::Result<Vec<Record>> {
    let bar = bar(times.last().map_or(0, |last| *last as u64), "sweeps")?;
    // The chains of `sample` with this seed.
    let key = chains::key(seed);
    let mut x = energy.noise(&Draws::new(key.child(Role::Start), n, 1));
    let mut law = data.law.as_ref().map(|own| own.transitions.noise());
    let mut records = Vec::new();
    let mut done = 0;
    for &time in times {
        for t in done..time {
            x = energy.sweep(x, &Draws::new(key.child(Role::Chain).child(t), n, 1));
            bar.inc(1);
        }
        law = law.zip(data.law.as_ref()).map(|(law, own)| own.transitions.after(&law, time - done));
        done = time;
        let near = data.near.dims()[0];
        records.push(Record {
            sweeps: time,
            moments: UnitMoments::of(x.clone()).distances(&data.moments),
            accuracy: AdversarialAccuracy::of(data.near.clone(), x.clone().narrow(0, 0, near)),
            free_energy: mean_free_energy(energy, &x),
            exact: law.as_ref().zip(data.law.as_ref()).map(|(law, own)| Exact::of(law, own, data)),
        });
    }
    bar.finish_and_clear();
    Ok(records)
}

fn mean_free_energy(energy: &dyn Unnormalised, x: &Tensor<2>) -> f64 {
    let minus = log_probs(energy, &Batch::of(x.clone()), 0.0);
    -minus.iter().sum::<f64>() / minus.len() as f64
}

/// What was found.
struct Found<'a> {
    /// The sweeps of an update in training, if the chains get there.
    k: Option<usize>,
    data: &'a Data,
    /// The distances of moments that independent rows would have.
    noise: [f64; 2],
    records: Vec<Record>,
}

impl Found<'_> {
    /// The record with the least of something.
    fn least(&self, of: impl Fn(&Record) -> f64) -> &Record {
        self.records.iter().min_by(|a, b| of(a).total_cmp(&of(b))).expect("there is a time at least")
    }

    /// How far the law that chains settle in is from the data.
    fn settled(&self) -> Option<Exact> {
        self.data.law.as_ref().map(|own| Exact::of(own.transitions.law(), own, self.data))
    }

    fn json(&self) -> Value {
        let records: Vec<Value> = self.records.iter().map(Record::json).collect();
        let has_law = self.data.law.is_some();
        let least_kl = || self.least(|record| record.exact.map_or(f64::INFINITY, |exact| exact.kl)).sweeps;
        json!({
            "noise": { "first": self.noise[0], "second": self.noise[1] },
            "data_free_energy": self.data.free_energy,
            "best": {
                "first": self.least(|record| record.moments[0]).sweeps,
                "second": self.least(|record| record.moments[1]).sweeps,
                "aats": self.least(|record| record.accuracy.error()).sweeps,
                "kl": has_law.then(least_kl),
            },
            "settled": self.settled().map(|exact| exact.json()),
            "records": records,
        })
    }

    fn words(&self) -> String {
        let mut text = format!(
            "{:>9}  {:>9}  {:>9}  {:>9}  {:>12}{}\n",
            "sweeps",
            "means",
            "products",
            "AATS",
            "free energy",
            if self.data.law.is_some() { "    exact KL" } else { "" }
        );
        let best = self.least(|record| record.moments[1]).sweeps;
        let last = self.records.last().map(|record| record.sweeps);
        let shown = |record: &&Record| [Some(1), Some(best), self.k, last].contains(&Some(record.sweeps));
        for record in self.records.iter().filter(shown) {
            let [first, second] = record.moments;
            let note = match record.sweeps {
                t if Some(t) == self.k => "  k of training",
                t if t == best => "  products are closest",
                _ => "",
            };
            let kl = record.exact.map(|exact| format!("  {:>10.5}", exact.kl)).unwrap_or_default();
            let _ = writeln!(
                text,
                "{:>9}  {first:>9.5}  {second:>9.5}  {:>9.5}  {:>12.3}{kl}{note}",
                record.sweeps,
                record.accuracy.error(),
                record.free_energy
            );
        }
        let _ = writeln!(
            text,
            "{:>9}  {:>9.5}  {:>9.5}  as far as independent rows are",
            "noise", self.noise[0], self.noise[1]
        );
        if let Some(settled) = self.settled() {
            let [first, second] = settled.moments;
            let _ = writeln!(
                text,
                "{:>9}  {first:>9.5}  {second:>9.5}  exact KL {:.5}: the machine's own law",
                "settled", settled.kl
            );
        }
        let _ = writeln!(text, "{:>9}  {:.3}: mean free energy", "data", self.data.free_energy);
        text
    }

    fn charts(&self) -> Vec<Chart> {
        let of = |value: &dyn Fn(&Record) -> f64| -> Vec<(f64, f64)> {
            self.records.iter().map(|record| (record.sweeps as f64, value(record))).collect()
        };
        let exact = |value: fn(&Exact) -> f64| {
            self.data
                .law
                .is_some()
                .then(|| of(&|record: &Record| record.exact.as_ref().map_or(f64::NAN, value)))
        };
        let ends = [1.0, self.records.last().map_or(1.0, |record| record.sweeps as f64)];
        let chart = |title: &str, y: (&str, Scale), lines: Vec<crate::chart::Line>| {
            let is_log = y.1 != Scale::Linear;
            let name = self.k.map(|k| format!("k = {k}")).unwrap_or_default();
            let lines = with_mark(lines, &name, self.k.map(|k| k as f64), is_log);
            Chart {
                title: title.into(),
                x: ("sweeps from noise".into(), Scale::Log10),
                y: (y.0.into(), y.1),
                lines,
            }
        };
        let mut charts = Vec::new();
        for (i, title) in [(0, "means of units"), (1, "means of products")] {
            let value: fn(&Exact) -> f64 =
                if i == 0 { |exact| exact.moments[0] } else { |exact| exact.moments[1] };
            let mut lines = vec![line("chains", 0, of(&|record: &Record| record.moments[i]))];
            lines.extend(exact(value).map(|points| line("exact law", 1, points)));
            lines.push(level("noise", self.noise[i], ends));
            charts.push(chart(title, ("distance from data", Scale::Log10), lines));
        }
        let accuracy =
            |value: fn(&AdversarialAccuracy) -> f64| of(&|record: &Record| value(&record.accuracy));
        let shares = vec![
            line("truth", 0, accuracy(|found| found.truth)),
            line("synthetic", 1, accuracy(|found| found.synthetic)),
            level("one half", 0.5, ends),
        ];
        charts.push(chart("nearest neighbours", ("share of own kind", Scale::Linear), shares));
        let errors = vec![line("error", 0, accuracy(AdversarialAccuracy::error))];
        charts.push(chart("adversarial accuracy", ("error", Scale::Log10), errors));
        let energies = vec![
            line("chains", 0, of(&|record: &Record| record.free_energy)),
            line("data", 1, [(ends[0], self.data.free_energy), (ends[1], self.data.free_energy)]),
        ];
        charts.push(chart("free energy", ("mean, nats", Scale::Linear), energies));
        if let Some(points) = exact(|exact| exact.kl) {
            charts.push(chart(
                "KL(data || law of chains)",
                ("nats", Scale::Log10),
                vec![line("exact law", 1, points)],
            ));
        }
        charts
    }
}

impl Record {
    fn json(&self) -> Value {
        let ([first, second], accuracy) = (self.moments, self.accuracy);
        json!({
            "sweeps": self.sweeps,
            "first": first,
            "second": second,
            "aa_truth": accuracy.truth,
            "aa_syn": accuracy.synthetic,
            "aats": accuracy.error(),
            "free_energy": self.free_energy,
            "exact": self.exact.map(|exact| exact.json()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweeps_of_training_are_among_the_times_if_chains_get_there() {
        assert!(times(100, Some(7)).contains(&7));
        assert_eq!(times(5, Some(7)), [1, 2, 3, 4, 5]);
        assert_eq!(times(1, None), [1]);
    }
}
