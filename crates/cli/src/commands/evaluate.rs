//! `helmholtz evaluate`.

use std::process::ExitCode;

use helmholtz_core::{Evaluator, Score};
use helmholtz_datasets::SplitName;
use helmholtz_eval::{
    AnnealedImportanceSampling, AnnealedRow, FEWEST_DRAWS, ImportanceSampling, LogPartition,
    PartitionFunction, Reading, Within,
};
use helmholtz_ops::{in_host_memory, into_f64};
use helmholtz_samplers::Hmc;
use helmholtz_zoo::{BoxedModel, TrainingRows, Unnormalised};

use super::check::{Judged, named};
use super::energy;
use super::evaluation::Evaluation;
use super::progress::{bar, show};
use super::score::{PART, Sampled, Scores, chosen_rows, is_closed_form, numbers, partition};
use super::shard::{Content, Part, Setting, Shard};
use super::test_rows::TestRows;
use super::trained::{Trained, fingerprint};
use crate::args::{AnnealingArgs, EvaluateArgs};
use crate::config::count;
use crate::error::{OrUser, known, user};
use crate::memory_limit::{self, Limit};
use crate::{assemble, output};

const METHODS: [&str; 4] = ["is", "exact", "ais", "raise"];
/// Default number of importance samples per row.
const SAMPLES: i64 = 1000;
/// Default maximum of that number with `--error`.
const MAX_SAMPLES: i64 = 100_000;
/// Default numbers of chains, temperatures and leapfrog steps.
const ANNEALING: [i64; 3] = [16, 1000, 10];
/// Default target error of 2 log Z, in nats.
const Z_ERROR: f64 = 0.01;
/// Default maximum number of draws for it.
const Z_SAMPLES: usize = 1_000_000;

/// The checked flags.
struct Asked {
    split: SplitName,
    evaluator: ImportanceSampling,
    limit: Option<usize>,
    within: Option<Within>,
    partition: PartitionFunction,
    annealing: AnnealedImportanceSampling,
    shard: Option<Shard>,
}

/// Scores a split.
///
/// # Errors
/// If the model or its data cannot be read, or a row has no probability.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let method = if args.exact { "exact" } else { args.method.as_str() };
    if !METHODS.contains(&method) {
        return Err(user(format!("--method {method}: unknown; {}", known(method, &METHODS))));
    }
    let mut asked = asked(args, method)?;
    let trained = Trained::load(&args.model)?;
    let reading = trained.reading(args.as_model.as_deref())?;
    asked.evaluator.reading = reading;
    if let Some(energy) = trained.model.unnormalised() {
        return of_energy(args, (&asked, method), &trained, energy);
    }
    energy::refuse_others(args)?;
    // Without latents the likelihood is a closed form; sampling would repeat it K times.
    let method = match method {
        "raise" => {
            return Err(user("--method raise is for models that are given by an energy; use --method is"));
        }
        "ais" => {
            if args.error.is_some() {
                let instead = "with ais, raise --temperatures or --chains";
                return Err(user(format!("--error does not apply to latents that are annealed; {instead}")));
            }
            let what =
                "--method ais moves latents along a gradient; use --method is, or --exact if there are few";
            trained.model.smooth_for(what).or_user()?;
            method
        }
        _ if is_closed_form(&trained.model) => "exact",
        "exact" if asked.within.is_some() => {
            return Err(user("--error: enumeration has no error from sampling; leave one of the two out"));
        }
        method => method,
    };
    if args.z_error.or(args.z_samples.map(|n| n as f64)).is_some() {
        if method == "exact" {
            return Err(user("--z-error, --z-samples: enumeration takes no draws for Z; leave them out"));
        }
        if reading == Reading::Directed {
            return Err(user(format!(
                "--z-error, --z-samples: the model is read as {}, which has no Z; leave them out, or add --as bihm",
                trained.config.spec.model.kind()
            )));
        }
    }
    if args.defence.is_some() && (method != "is" || reading == Reading::Bidirectional) {
        return Err(user(
            "--defence applies only to log p(x) by importance sampling; leave it out, or use --method is and not \
             --as bihm",
        ));
    }
    let rows = chosen_rows(&trained.data, asked.split, asked.limit);
    check_memory(&trained, &asked, rows.len(), method)?;
    let test_rows = (asked.split == SplitName::Test).then(|| TestRows::of(&trained.data));
    test_rows.iter().for_each(TestRows::warn);
    let Trained { model, data, .. } = &trained;
    let of = Sampled { model, data, split: asked.split, rows: &rows, seed: args.seed };
    let setting = setting(&trained, of, &asked, method);
    if let Some(shard) = asked.shard {
        return score_part(shard, of, (setting, test_rows), &asked, args);
    }
    let started = std::time::Instant::now();
    let scores = match method {
        "exact" => Scores::exact(of, reading)?,
        "ais" => Scores::annealed(&anneal(of, &asked, args)?),
        _ => sampled(of, &asked, args)?,
    };
    let active = of.active_units();
    let seconds = started.elapsed().as_secs_f64();
    let samples = scores.summary.k_mean.round() as usize;
    let checked = match method {
        "is" => of.check(&asked.evaluator, (samples, asked.within.is_some()), args.check),
        _ => None,
    };
    let judged = checked.map(|checked| {
        let model = named(Some(&args.model), asked.split, args.model.epoch.and(trained.epoch));
        Judged::new(&checked, &setting, &scores, &model)
    });
    if let Some(Within { error, most }) = asked.within
        && (scores.summary.se_mc > error || scores.summary.bias_mc > error)
    {
        tracing::warn!("--error {error}: not reached with at most {most} samples per row (--max-samples)");
    }
    let own = own_score(&trained, of)?;
    let found = Evaluation { setting, scores, own, active, test_rows, judged };
    found.report(seconds, args.json, args.per_example.as_deref())
}

/// Scores a model that is given by an energy.
fn of_energy(
    args: &EvaluateArgs,
    (asked, method): (&Asked, &str),
    trained: &Trained,
    energy: &dyn Unnormalised,
) -> anyhow::Result<ExitCode> {
    let method = energy::method(method, energy, args)?;
    let limit = match method {
        "raise" => asked.limit.or(Some(energy::REVERSE_ROWS)),
        _ => asked.limit,
    };
    let rows = chosen_rows(&trained.data, asked.split, limit);
    let test_rows = (asked.split == SplitName::Test).then(|| TestRows::of(&trained.data));
    test_rows.iter().for_each(TestRows::warn);
    let Trained { model, data, .. } = trained;
    let of = Sampled { model, data, split: asked.split, rows: &rows, seed: args.seed };
    let setting =
        Setting { samples: 0, annealing: None, defence: None, ..setting(trained, of, asked, method) };
    if method == "exact" {
        let started = std::time::Instant::now();
        let scores = Scores::exact(of, Reading::Directed)?;
        let seconds = started.elapsed().as_secs_f64();
        let found = Evaluation { setting, scores, own: None, active: None, test_rows, judged: None };
        return found.report(seconds, args.json, args.per_example.as_deref());
    }
    energy::anneal(energy, of, (setting, test_rows), args)
}

/// The mean of the score that the best epoch was chosen by, if that score is not the NLL.
fn own_score(trained: &Trained, of: Sampled<'_>) -> anyhow::Result<Option<(Score, f64)>> {
    if trained.config.spec.model.score() == Score::NLL {
        return Ok(None);
    }
    let evaluator = trained.config.spec.model.evaluator(1, &TrainingRows::of(&of.data.train));
    let whole = assemble::judged(&trained.config, of.data, of.split, &trained.device)?;
    let prepared = evaluator.prepare(of.model, of.key());
    let scores = of
        .rows
        .chunks(PART)
        .flat_map(|rows| into_f64(evaluator.score(of.model, &prepared, &whole.select(rows), of.key())));
    Ok(Some((evaluator.measures(), scores.sum::<f64>() / of.rows.len() as f64)))
}

/// What is evaluated, and how.
fn setting(trained: &Trained, of: Sampled<'_>, asked: &Asked, method: &str) -> Setting {
    let AnnealedImportanceSampling { chains, temperatures, hmc, .. } = &asked.annealing;
    Setting {
        protocol: of.data.protocol(),
        data_sha256: of.data.data_sha256.clone(),
        split: asked.split.to_string(),
        method: method.to_string(),
        bidirectional: asked.evaluator.reading == Reading::Bidirectional,
        samples: if method == "ais" { *chains } else { asked.evaluator.samples },
        annealing: (method == "ais").then_some([*temperatures, hmc.leapfrog]),
        seed: of.seed,
        weights_sha256: fingerprint(of.model),
        epoch: trained.epoch,
        layers: trained.config.spec.model.layers().to_vec(),
        energy: None,
        defence: Some(asked.evaluator.defence).filter(|share| *share > 0.0),
        rows: numbers(of.rows).to_vec(),
    }
}

/// Refuses more samples or chains at a time than fit into memory.
fn check_memory(trained: &Trained, asked: &Asked, rows: usize, method: &str) -> anyhow::Result<()> {
    let (model, width) = (&*trained.config.spec.model, trained.data.train.width());
    let ImportanceSampling { samples, chunk, .. } = asked.evaluator;
    let need = match method {
        "ais" => {
            let chains = asked.annealing.chains;
            let at_once = match in_host_memory(&trained.device) {
                true => rayon::current_num_threads(),
                false => (chunk / chains).max(1),
            };
            memory_limit::of_annealing(model, at_once.min(rows), chains)
        }
        "is" if asked.within.is_some() => memory_limit::of_importance(model, width, rows, samples, chunk),
        "is" => memory_limit::of_importance(model, width, rows.min(PART), samples, chunk),
        _ => return Ok(()),
    };
    need.check(Limit::of(&trained.device))
}

/// Scores one part of the samples (with annealing, of the rows) into a file that `merge` reads.
fn score_part(
    shard: Shard,
    of: Sampled<'_>,
    (setting, test_rows): (Setting, Option<TestRows>),
    asked: &Asked,
    args: &EvaluateArgs,
) -> anyhow::Result<ExitCode> {
    let (shared, n) = match setting.method.as_str() {
        "exact" => {
            return Err(user(format!("--shard {shard}: there are no samples to split; leave it out")));
        }
        "ais" => ("rows", of.rows.len()),
        _ => ("samples", setting.samples),
    };
    if n < shard.of {
        return Err(user(format!("--shard {shard}: there are only {n} {shared} to split; use fewer parts")));
    }
    let started = std::time::Instant::now();
    let content = if setting.method == "ais" {
        Content::Rows(anneal(Sampled { rows: &shard.of_rows(of.rows), ..of }, asked, args)?)
    } else {
        let bar = bar("rows", args)?;
        bar.set_length(of.rows.len() as u64);
        let samples = shard.of_samples(setting.samples);
        Content::Samples(of.weigh_part(&asked.evaluator, samples, |n| bar.inc(n as u64))?)
    };
    let mut part = Part {
        shard,
        setting,
        content,
        active: None,
        log_z2: None,
        checked: None,
        test_rows: None,
        seconds: 0.0,
    };
    // What all parts have in common is computed once, with the first part.
    if shard.is_first() {
        part.active = of.active_units();
        part.log_z2 = log_partition(of.model, asked, args)?;
        if part.setting.method == "is" {
            part.checked = of.check(&asked.evaluator, (asked.evaluator.samples, false), args.check);
        }
        part.test_rows = test_rows;
    }
    part.seconds = started.elapsed().as_secs_f64();
    part.deliver(args.out.as_deref().expect("clap asks for --out with --shard"), args.json)
}

fn asked(args: &EvaluateArgs, method: &str) -> anyhow::Result<Asked> {
    let split: SplitName = args.split.parse().or_user()?;
    let samples = count("--samples", args.samples.unwrap_or(SAMPLES))?;
    let chunk = count("--batch-rows", args.batch_rows)?;
    let limit = args.limit.map(|n| count("--limit", n)).transpose()?;
    let within = if ["ais", "raise"].contains(&method) { None } else { within(args, samples)? };
    let most = args.z_samples.map_or(Ok(Z_SAMPLES), |n| count("--z-samples", n))?;
    for (flag, value) in [("--samples", samples), ("--batch-rows", chunk), ("--limit", limit.unwrap_or(1))] {
        if value == 0 {
            return Err(user(format!("{flag} 0: must be at least 1")));
        }
    }
    if (most as u64) < FEWEST_DRAWS {
        return Err(user(format!("--z-samples {most}: must be at least {FEWEST_DRAWS}")));
    }
    let z_error = args.z_error.unwrap_or(Z_ERROR);
    positive("--z-error", z_error)?;
    if let Some(path) = &args.per_example {
        output::check("--per-example", path, &["npy"])?;
    }
    if let (Some(path), Some(_)) = (&args.out, args.shard) {
        output::check("--out", path, &["safetensors"])?;
    }
    let defence = args.defence.unwrap_or(0.0);
    if args.defence.is_some() && !(defence > 0.0 && defence < 1.0) {
        return Err(user(format!("--defence {defence}: must be above 0 and below 1, as in --defence 0.1")));
    }
    Ok(Asked {
        split,
        evaluator: ImportanceSampling { chunk, defence, ..ImportanceSampling::new(samples) },
        limit,
        within,
        partition: PartitionFunction { error: z_error, most: most as u64 },
        annealing: annealing(args, method, chunk)?,
        shard: args.shard,
    })
}

/// The settings of `--chains`, `--temperatures` and `--leapfrog`.
fn annealing(args: &EvaluateArgs, method: &str, chunk: usize) -> anyhow::Result<AnnealedImportanceSampling> {
    let AnnealingArgs { chains, temperatures, leapfrog, .. } = args.annealing;
    let flags = [("--chains", chains), ("--temperatures", temperatures), ("--leapfrog", leapfrog)];
    if !["ais", "raise"].contains(&method) {
        if let Some((flag, _)) = flags.iter().find(|(_, value)| value.is_some()) {
            return Err(user(format!(
                "{flag} applies only to --method ais, but the method is {method}; leave it out"
            )));
        }
    } else if args.samples.is_some() {
        return Err(user("--samples: the samples of --method ais are its chains; use --chains"));
    }
    let mut counts = [0; 3];
    for ((count_of, default), (flag, value)) in counts.iter_mut().zip(ANNEALING).zip(flags) {
        *count_of = count(flag, value.unwrap_or(default))?;
        if *count_of == 0 {
            return Err(user(format!("{flag} 0: must be at least 1")));
        }
    }
    let [chains, temperatures, leapfrog] = counts;
    let annealing = AnnealedImportanceSampling::new(chains, temperatures);
    Ok(AnnealedImportanceSampling { hmc: Hmc::new(leapfrog), chunk, ..annealing })
}

/// The settings of `--error` and `--max-samples`.
fn within(args: &EvaluateArgs, samples: usize) -> anyhow::Result<Option<Within>> {
    let most = count("--max-samples", args.max_samples.unwrap_or(MAX_SAMPLES))?;
    let Some(error) = args.error else { return Ok(None) };
    positive("--error", error)?;
    if samples == 1 {
        return Err(user("--samples 1: --error needs at least 2, because one sample has no error estimate"));
    }
    if most < samples {
        return Err(user(format!(
            "--max-samples {most}: must be at least the {samples} that every row starts with"
        )));
    }
    Ok(Some(Within { error, most }))
}

fn positive(flag: &str, error: f64) -> anyhow::Result<()> {
    if error.is_finite() && error > 0.0 {
        return Ok(());
    }
    Err(user(format!("{flag} {error}: must be finite and above 0")))
}

fn sampled(of: Sampled<'_>, asked: &Asked, args: &EvaluateArgs) -> anyhow::Result<Scores> {
    let weights = match asked.within {
        None => {
            let bar = bar("rows", args)?;
            bar.set_length(of.rows.len() as u64);
            of.weigh(&asked.evaluator, |n| bar.inc(n as u64))?
        }
        Some(within) => {
            let bar = bar("samples planned so far", args)?;
            of.weigh_within(&asked.evaluator, within, |done, planned| show(&bar, done, planned))?
        }
    };
    Ok(Scores::of_weights(&weights, log_partition(of.model, asked, args)?))
}

/// 2 log Z, if the model is read as bidirectional.
fn log_partition(
    model: &BoxedModel,
    asked: &Asked,
    args: &EvaluateArgs,
) -> anyhow::Result<Option<LogPartition>> {
    if asked.evaluator.reading == Reading::Directed {
        return Ok(None);
    }
    let bar = bar("draws for Z planned so far", args)?;
    let show = |done, planned| show(&bar, done, planned);
    partition(model, &asked.partition, (args.seed, " (--z-error, --z-samples)"), show).map(Some)
}

fn anneal(of: Sampled<'_>, asked: &Asked, args: &EvaluateArgs) -> anyhow::Result<Vec<AnnealedRow>> {
    let smooth = of.model.smooth_for("--method ais moves latents along a gradient").or_user()?;
    let bar = bar("(row, temperature) pairs", args)?;
    of.anneal(smooth, &asked.annealing, |done, planned| show(&bar, done, planned))
}
