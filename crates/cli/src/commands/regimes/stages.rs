//! `helmholtz regimes stages`: how good a small energy is, and how slow its chains are, from step to step.
//!
//! At first a machine learns the means of the units, and its chains need no time. Then it learns how units depend on each
//! other: the divergence from the data falls, and the autocorrelation time grows. With a gradient that chains estimate,
//! slow chains spoil it in the end, and the divergence grows again.
//!
//! # Reference
//! Dabelow, Ueda, "Three learning stages and accuracy-efficiency tradeoff of restricted Boltzmann machines", Nature
//! Communications 13, 2022.

use std::fmt::Write;
use std::process::ExitCode;

use helmholtz_datasets::{DataSet, SplitName};
use helmholtz_zoo::BoxedModel;
use helmholtz_zoo::can::{Transitions, divergence};
use serde_json::{Value, json};

use super::figure::{Files, line, with_mark};
use super::shared::{bar, config_of, energy_of, spaced};
use crate::args::StagesArgs;
use crate::chart::{Chart, Line, Scale};
use crate::commands::compare::descent::Descent;
use crate::config::Config;
use crate::error::OrUser;
use crate::threads::use_threads;
use crate::{assemble, memory_limit};

const BUILT_IN: &str = include_str!("../../../../../configs/regimes-stages.toml");

/// Records in each power of ten.
const A_DECADE: u32 = 10;

/// Trains, records and writes the figure.
///
/// # Errors
/// If the config makes no sense, the machine is too large, training fails, or a file cannot be written.
pub(super) fn run(args: &StagesArgs) -> anyhow::Result<ExitCode> {
    let files = Files::named(&args.out)?;
    let config = config_of(&args.training, BUILT_IN)?;
    use_threads(args.training.threads)?;
    let data = assemble::data(&config, args.training.data_dir.as_deref())?;
    let device = crate::device::select(&config.run.device)?;
    memory_limit::check_training(&config, &data, &device)?;
    let plan = assemble::plan(&config, &data);
    // Whether there are few enough units is known before a strategy is built on them.
    let target = target(&data, &transitions(&assemble::model(&config, &data, &device)?, &config)?);
    let mut descent = Descent::new(&config, &data, plan)?;
    let bar = bar(plan.steps, "steps")?;
    let mut records = vec![Record::of(0, &descent.model(), &config, &target)?];
    for step in spaced(plan.steps, A_DECADE) {
        descent.run(|taken| taken >= step)?;
        records.push(Record::of(step, &descent.model(), &config, &target)?);
        bar.set_position(step);
    }
    bar.finish_and_clear();
    let found = Found { records };
    let mut json = json!({
        "protocol": data.protocol(),
        "model": config.spec.model.in_words(data.shape.pixels()),
        "strategy": config.spec.strategy.in_words(),
        "seed": config.seed,
        "steps": plan.steps,
        "entropy": -divergence(&target, &vec![1.0; target.len()]),
        "best": found.best().json(),
        "records": found.records.iter().map(Record::json).collect::<Vec<_>>(),
    });
    files.write(&found.charts(), &mut json, (args.json, &found.words()))?;
    Ok(ExitCode::SUCCESS)
}

fn transitions(model: &BoxedModel, config: &Config) -> anyhow::Result<Transitions> {
    energy_of(model, config, "stages")?.transitions().or_user()
}

/// The exact distribution of the data, or else that of the training rows: `[states]`.
fn target(data: &DataSet, transitions: &Transitions) -> Vec<f64> {
    let Some(law) = &data.law else {
        let rows = data.fixed(SplitName::Train);
        let values: Vec<f64> = (0..rows.rows()).flat_map(|row| rows.row(row)).map(f64::from).collect();
        return transitions.law_of_rows(&values);
    };
    let numbers = |bits: &[u8]| -> Vec<f64> { bits.iter().map(|bit| f64::from(*bit)).collect() };
    let mut target = vec![0.0; transitions.law().len()];
    for (i, share) in law.probabilities().iter().enumerate() {
        let own = transitions.law_of_rows(&numbers(law.patterns().bits_of(i)));
        target.iter_mut().zip(own).for_each(|(target, own)| *target += share * own);
    }
    target
}

/// A machine after so many steps.
struct Record {
    step: u64,
    /// `KL(data || p)` in nats.
    kl: f64,
    /// The autocorrelation time of the visible units in sweeps; not set if it is beyond double precision.
    tau: Option<f64>,
    /// That of the slowest function of the visible units.
    slowest: Option<f64>,
}

impl Record {
    fn of(step: u64, model: &BoxedModel, config: &Config, target: &[f64]) -> anyhow::Result<Self> {
        let transitions = transitions(model, config)?;
        let fundamental = transitions.fundamental();
        Ok(Record {
            step,
            kl: divergence(target, transitions.law()),
            tau: fundamental.as_ref().and_then(|fundamental| fundamental.time_of_units()),
            slowest: fundamental.as_ref().and_then(|fundamental| fundamental.slowest()),
        })
    }

    fn json(&self) -> Value {
        json!({ "step": self.step, "kl": self.kl, "tau": self.tau, "tau_slowest": self.slowest })
    }
}

/// What was found.
struct Found {
    records: Vec<Record>,
}

impl Found {
    /// The record with the lowest divergence.
    fn best(&self) -> &Record {
        self.records.iter().min_by(|a, b| a.kl.total_cmp(&b.kl)).expect("there is a record at least")
    }

    fn words(&self) -> String {
        let mut text = format!("{:>9}  {:>10}  {:>12}  {:>12}\n", "steps", "KL, nats", "tau", "slowest tau");
        let (best, last) = (self.best().step, self.records.last().map(|record| record.step));
        // A record for each power of ten.
        let shown = |record: &&Record| {
            let is_power =
                record.step == 0 || record.step.checked_ilog10().is_some_and(|n| 10u64.pow(n) == record.step);
            is_power || record.step == best || Some(record.step) == last
        };
        let number = |tau: Option<f64>| tau.map_or("-".to_owned(), |tau| format!("{tau:.3}"));
        for record in self.records.iter().filter(shown) {
            let note = if record.step == best { "  lowest KL" } else { "" };
            let _ = writeln!(
                text,
                "{:>9}  {:>10.5}  {:>12}  {:>12}{note}",
                record.step,
                record.kl,
                number(record.tau),
                number(record.slowest)
            );
        }
        text
    }

    fn charts(&self) -> Vec<Chart> {
        let of = |x: fn(&Record) -> f64, y: fn(&Record) -> f64| -> Vec<(f64, f64)> {
            self.records.iter().map(|record| (x(record), y(record))).collect()
        };
        let step = |record: &Record| record.step as f64;
        let kl = |record: &Record| record.kl;
        let units = |record: &Record| record.tau.unwrap_or(f64::NAN);
        let slowest = |record: &Record| record.slowest.unwrap_or(f64::NAN);
        let best = Some(self.best().step).filter(|step| *step > 0).map(|step| step as f64);
        let chart = |title: &str, x: &str, y: &str, lines: Vec<Line>| Chart {
            title: title.into(),
            x: (x.into(), Scale::Log10),
            y: (y.into(), Scale::Log10),
            lines,
        };
        let marked = |lines| with_mark(lines, "lowest KL", best, true);
        let times = vec![line("visible units", 0, of(step, units)), line("slowest", 1, of(step, slowest))];
        vec![
            chart("divergence", "steps", "KL(data || p), nats", marked(vec![line("KL", 0, of(step, kl))])),
            chart("autocorrelation time", "steps", "tau, sweeps", marked(times)),
            chart(
                "accuracy and efficiency",
                "tau, sweeps",
                "KL(data || p), nats",
                vec![line("visible units", 0, of(units, kl)), line("slowest", 1, of(slowest, kl))],
            ),
        ]
    }
}
