//! `helmholtz evaluate`.

use std::process::ExitCode;
use std::sync::Arc;

use helmholtz_core::{Enumerable, Key, LatentVariableModel, Role};
use helmholtz_datasets::{DataSet, SplitName};
use helmholtz_eval::summary::exact_rows;
use helmholtz_eval::{ExactLikelihood, ImportanceSampling, NllSummary, RowEstimate, Within, summarise};
use helmholtz_noise::Stream;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::trained::Trained;
use crate::args::EvaluateArgs;
use crate::config::{MODELS, count};
use crate::error::{OrUser, known, say, user};
use crate::npy;
use crate::run_folder::write_whole;

const METHODS: [&str; 2] = ["is", "exact"];

/// Scores a split.
///
/// # Errors
/// If the model or its data cannot be read, or a row has no probability.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let method = if args.exact { "exact" } else { args.method.as_str() };
    if !METHODS.contains(&method) {
        return Err(user(format!("--method {method}: unknown; {}", known(method, &METHODS))));
    }
    if let Some(kind) = &args.as_model
        && !MODELS.contains(&kind.as_str())
    {
        return Err(user(format!("--as {kind}: unknown model; {}", known(kind, &MODELS))));
    }
    let samples = count("--samples", args.samples)?;
    let chunk = count("--batch-rows", args.batch_rows)?;
    let limit = args.limit.map(|n| count("--limit", n)).transpose()?;
    let within = within(args, samples)?;
    for (flag, value) in [("--samples", samples), ("--batch-rows", chunk), ("--limit", limit.unwrap_or(1))] {
        if value == 0 {
            return Err(user(format!("{flag} 0: must be at least 1")));
        }
    }
    if let Some(folder) = args.per_example.as_ref().and_then(|path| path.parent())
        && !(folder.as_os_str().is_empty() || folder.is_dir())
    {
        return Err(user(format!("--per-example: {} is not a folder", folder.display())));
    }
    let trained = Trained::load(&args.model)?;
    if let Some(kind) = args.as_model.as_ref().filter(|kind| **kind != trained.config.model.kind) {
        return Err(user(format!(
            "--as {kind}: the model is a {0}, and its layers cannot be read as others; leave --as out",
            trained.config.model.kind
        )));
    }
    // Without latents the likelihood is a closed form; sampling would repeat it K times.
    let method = match trained.model.latent_bits() {
        0 => "exact",
        _ if method == "exact" && within.is_some() => {
            return Err(user("--error: enumeration has no error of samples; leave one of the two out"));
        }
        _ => method,
    };
    let rows = chosen_rows(&trained.data, split, limit);
    let started = std::time::Instant::now();
    let estimates = match method {
        "exact" => exact(&trained, split, &rows)?,
        _ => {
            let evaluator = ImportanceSampling { samples, chunk };
            let quiet = args.quiet || args.json;
            importance(&trained, split, &rows, &evaluator, within, args.seed, quiet)?
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let summary = summarise(&estimates);
    if let Some(Within { error, most }) = within
        && (summary.se_mc > error || summary.bias_mc > error)
    {
        tracing::warn!("--error {error}: not reached with at most {most} samples a row (--max-samples)");
    }
    if args.json {
        say!("{}", to_json(&trained.data, split, method, &summary));
    } else {
        print(&trained.data, split, method, &summary, seconds);
    }
    if let Some(path) = &args.per_example {
        let log_probs: Vec<f64> = estimates.iter().map(|row| row.log_prob).collect();
        write_whole(path, |file| npy::write_f64(file, &[log_probs.len()], &log_probs))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--error` and `--max-samples` ask for.
fn within(args: &EvaluateArgs, samples: usize) -> anyhow::Result<Option<Within>> {
    let most = count("--max-samples", args.max_samples)?;
    let Some(error) = args.error else { return Ok(None) };
    if !(error.is_finite() && error > 0.0) {
        return Err(user(format!("--error {error}: must be finite and above 0")));
    }
    if samples == 1 {
        return Err(user("--samples 1: with --error at least 2, for one says nothing of its error"));
    }
    if most < samples {
        return Err(user(format!("--max-samples {most}: below the {samples} that every row begins with")));
    }
    Ok(Some(Within { error, most }))
}

/// All rows, or the subset of `limit` rows that the protocol alone fixes: files may be sorted.
pub(crate) fn chosen_rows(data: &DataSet, split: SplitName, limit: Option<usize>) -> Vec<usize> {
    let n = data.split(split).rows();
    let Some(limit) = limit.filter(|&limit| limit < n) else { return (0..n).collect() };
    let key =
        Key::new(0).child(Role::Subset).child(data.protocol().as_str()).child(split.to_string().as_str());
    let mut rows = Stream::new(key).permutation(n);
    rows.truncate(limit);
    rows.sort_unstable();
    rows
}

/// Importance-sampled estimates of the given rows of a split.
///
/// The draws are keyed by protocol, row, sample and seed.
pub(crate) fn importance_of<M: LatentVariableModel>(
    model: &M,
    data: &DataSet,
    split: SplitName,
    rows: &[usize],
    evaluator: &ImportanceSampling,
    seed: u64,
    mut on_rows: impl FnMut(usize),
) -> anyhow::Result<Vec<RowEstimate>> {
    let key = importance_key(data, seed);
    let mut estimates = Vec::with_capacity(rows.len());
    let all = data.fixed(split);
    // Parts small enough for a progress bar; the numbers do not depend on them.
    for part in rows.chunks(250) {
        let x = all.select(part).tensor(&model.device());
        let numbers: Arc<[u64]> = part.iter().map(|&row| row as u64).collect();
        estimates.extend(evaluator.estimate(model, x, numbers, key)?);
        on_rows(part.len());
    }
    Ok(estimates)
}

fn importance_key(data: &DataSet, seed: u64) -> Key {
    Key::new(seed).child(Role::Evaluate).child(data.protocol().as_str())
}

fn importance(
    trained: &Trained,
    split: SplitName,
    rows: &[usize],
    evaluator: &ImportanceSampling,
    within: Option<Within>,
    seed: u64,
    quiet: bool,
) -> anyhow::Result<Vec<RowEstimate>> {
    let (model, data) = (&trained.model, &trained.data);
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(rows.len() as u64) };
    let unit = if within.is_some() { "samples planned so far" } else { "rows" };
    bar.set_style(ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit}, {{eta}} left"))?);
    let estimates = match within {
        None => importance_of(model, data, split, rows, evaluator, seed, |n| bar.inc(n as u64)),
        Some(within) => {
            // All rows together: the error is that of the mean over them.
            let x = data.fixed(split).select(rows).tensor(&model.device());
            let numbers: Arc<[u64]> = rows.iter().map(|&row| row as u64).collect();
            let estimates = evaluator.estimate_within(
                model,
                x,
                numbers,
                importance_key(data, seed),
                within,
                |done, planned| {
                    bar.set_length(planned);
                    bar.set_position(done);
                },
            );
            estimates.map_err(Into::into)
        }
    };
    bar.finish_and_clear();
    estimates
}

fn exact(trained: &Trained, split: SplitName, rows: &[usize]) -> anyhow::Result<Vec<RowEstimate>> {
    let bits = trained.model.latent_bits();
    if bits > helmholtz_eval::MAX_LATENT_BITS {
        return Err(user(helmholtz_eval::ExactError { bits }));
    }
    let x = trained.data.fixed(split).select(rows).tensor(&trained.device);
    let log_probs = ExactLikelihood::default().log_prob(&trained.model, x)?;
    if let Some(i) = log_probs.iter().position(|log_p| !log_p.is_finite()) {
        anyhow::bail!("row {} of the {split} split has log p = {}", rows[i], log_probs[i]);
    }
    Ok(exact_rows(&log_probs))
}

fn to_json(data: &DataSet, split: SplitName, method: &str, s: &NllSummary) -> serde_json::Value {
    json!({
        "protocol": data.protocol(), "split": split.to_string(), "n": s.n, "k": s.k_mean.round() as u64,
        "k_max": s.k_max, "method": method,
        "nll": s.nll, "se_rows": s.se_rows, "se_mc": s.se_mc, "bias_mc": s.bias_mc, "ci95": s.ci95,
        "ess": s.ess, "max_weight": s.max_weight,
        "exact_nll": (method == "exact").then_some(s.nll), "log_z2": null, "data_sha256": data.data_sha256,
    })
}

fn print(data: &DataSet, split: SplitName, method: &str, s: &NllSummary, seconds: f64) {
    say!("{} {split}: {} rows, {seconds:.1} s", data.protocol(), s.n);
    say!("  NLL          {:.3} nats, 95 % over rows [{:.3}, {:.3}]", s.nll, s.ci95[0], s.ci95[1]);
    if method == "exact" {
        say!("  by enumeration of all latent states; spread over rows ±{:.3}", s.se_rows);
        return;
    }
    let unknown = if s.k_max == 1 { " (what one sample adds is not known)" } else { "" };
    let k = if s.k_mean == s.k_max as f64 {
        s.k_max.to_string()
    } else {
        format!("{:.0} on average, {} at most", s.k_mean, s.k_max)
    };
    say!("  K = {k}: adds ±{:.4}, and is about {:.4} too high{unknown}", s.se_mc, s.bias_mc);
    say!("  ESS          {:.2} % of K; largest weight {:.3} on average", 100.0 * s.ess, s.max_weight);
    say!("  pairs        {:.0} (row, sample) a second", s.n as f64 * s.k_mean / seconds);
}
