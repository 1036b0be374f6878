//! `helmholtz compare`, and what `helmholtz` does without a command.
//!
//! Wake-sleep against reweighted wake-sleep on `bars/5x5`, each with its usual number of samples: both
//! see the same rows in the same order for the same number of epochs from the same initial weights.
//! What that costs in model evaluations is in the JSON.
//!
//! The judge is the exact cross-entropy of the law that generates the data under each model,
//! `-Σ_x p(x) log p_model(x)`, with all latent states and all patterns enumerated; it can fall no
//! lower than the law's entropy.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use burn::train::Interrupter;
use helmholtz_core::Key;
use helmholtz_datasets::{Binarization, DataSet};
use helmholtz_eval::{ImportanceSampling, Reading};
use helmholtz_train::{End, Fit, Parts};
use serde_json::{Value, json};

use super::score::cross_entropy;
use super::train::average;
use super::use_threads;
use crate::args::CompareArgs;
use crate::assemble;
use crate::config::{Config, Overlay, count};
use crate::error::{say, user, write_out};

/// A strategy in the comparison.
struct Entrant {
    name: &'static str,
    samples: i64,
    batch: i64,
}

const ENTRANTS: [Entrant; 2] =
    [Entrant { name: "ws", samples: 1, batch: 100 }, Entrant { name: "rws", samples: 10, batch: 100 }];
const EPOCHS: i64 = 80;
const LAYERS: [i64; 1] = [15];
const LR: f64 = 2e-2;

/// Compares the strategies.
///
/// # Errors
/// If a run fails.
pub fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    if args.seeds == 0 {
        return Err(user("--seeds 0: compare at least one seed"));
    }
    use_threads(args.threads.map(|n| count("--threads", n)).transpose()?)?;
    let started = Instant::now();
    let config = |entrant: &Entrant, seed: u64| {
        let overlay = Overlay::default()
            .set("seed", seed as i64)
            .set("model.layers", LAYERS.to_vec())
            .set("strategy.kind", entrant.name)
            .set("strategy.samples", entrant.samples)
            .set("optimizer.lr", LR)
            .set("train.batch", entrant.batch)
            .set("train.epochs", EPOCHS);
        Config::resolve(None, &overlay)
    };
    let data = assemble::data(&config(&ENTRANTS[0], 0)?, None)?;
    let entropy = data.law.as_ref().context("bars/5x5 knows its law")?.entropy();
    eprintln!(
        "{}: sbn 25-{}, {EPOCHS} epochs, Adam {LR}; exact cross-entropy in nats, entropy of the data {entropy:.4}",
        data.protocol(),
        LAYERS[0]
    );
    let mut race = Vec::new();
    let mut table = Vec::new();
    for entrant in &ENTRANTS {
        let mut column = Vec::new();
        for seed in 0..args.seeds {
            let config = config(entrant, seed)?;
            let clock = Instant::now();
            let nll = cross_entropy_of_a_run(&config, &data)?;
            eprintln!(
                "  {:<4} K = {:<3} seed {seed}: {nll:.4}   ({:.1} s)",
                entrant.name,
                entrant.samples,
                clock.elapsed().as_secs_f64()
            );
            race.push(row(entrant, seed, nll, &data));
            column.push(nll);
        }
        table.push((entrant, column));
    }
    if args.json {
        say!("{}", json!({"court": [], "race": race}));
        return Ok(ExitCode::SUCCESS);
    }
    print(&table, entropy, started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn row(entrant: &Entrant, seed: u64, nll: f64, data: &DataSet) -> Value {
    // One wake sample is scored by p and by q; ws dreams once a row and scores that by q.
    let per_row = 2 * entrant.samples + if entrant.name == "ws" { 1 } else { 0 };
    let evaluations = per_row * EPOCHS * data.train.rows() as i64;
    json!({
        "strategy": entrant.name, "seed": seed, "budget": {"model_evaluations": evaluations},
        "nll": nll, "se": 0.0, "curve": [[evaluations, nll]],
    })
}

/// Trains by `config` through the learner and enumerates what came of it.
fn cross_entropy_of_a_run(config: &Config, data: &DataSet) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir().context("a scratch folder could not be made")?;
    let device = crate::device::select(&config.run.device)?;
    let plan = assemble::plan(config, data);
    let fit = Fit {
        folder: folder.path().to_path_buf(),
        device: device.clone(),
        key: Key::new(config.seed),
        plan,
        checkpoint_every: usize::MAX,
        patience: None,
        resume: None,
        dashboard: false,
        on_record: Box::new(|_| {}),
        interrupter: Interrupter::new(),
    };
    let outcome = fit.run(Parts {
        model: assemble::model(config, data, &device)?,
        strategy: assemble::strategies(config, &plan, &device)?,
        average: average(config),
        rule: assemble::rule(config),
        evaluator: ImportanceSampling::new(config.train.valid_samples),
        optimiser: assemble::optimiser(config),
        schedule: assemble::schedule(config, &plan),
        train: data.train.tensor(&device),
        draws_bits: data.binarization == Binarization::Dynamic,
        valid: data.valid.tensor(&device),
    })?;
    ensure!(outcome.end == End::Finished, "seed {}: the run ended early: {:?}", config.seed, outcome.end);
    let law = data.law.as_ref().context("the data know their law")?;
    let stack = outcome.model.stack("compare enumerates latent bits")?;
    let nll = cross_entropy(stack, law, Reading::Directed)?;
    ensure!(nll.is_finite(), "seed {}: the cross-entropy is {nll}", config.seed);
    Ok(nll)
}

fn print(table: &[(&Entrant, Vec<f64>)], entropy: f64, seconds: f64) {
    let seeds = table[0].1.len();
    say!("");
    write_out(format_args!("{:<24}", "exact cross-entropy"));
    (0..seeds).for_each(|seed| write_out(format_args!(" {:>8}", format!("seed {seed}"))));
    say!(" {:>8} {:>9}", "median", "- entropy");
    for (entrant, column) in table {
        write_out(format_args!("{:<24}", format!("{}, K = {}", entrant.name, entrant.samples)));
        column.iter().for_each(|nll| write_out(format_args!(" {nll:>8.4}")));
        let median = median(column);
        say!(" {median:>8.4} {:>9.4}", median - entropy);
    }
    say!("{:<24} {entropy:>8.4}", "entropy of the data");
    say!("\n{seconds:.0} s; exact: every latent state and every pattern enumerated, no test sample");
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
