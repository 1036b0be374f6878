//! `helmholtz evaluate`.

use std::process::ExitCode;

use helmholtz_datasets::{DataSet, SplitName};
use helmholtz_eval::{FEWEST_DRAWS, ImportanceSampling, PartitionFunction, Reading, Within};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::score::{Bidirectional, OfLaw, Sampled, Scores, chosen_rows, is_closed_form, partition};
use super::trained::Trained;
use crate::args::EvaluateArgs;
use crate::config::count;
use crate::error::{OrUser, known, say, user};
use crate::npy;
use crate::run_folder::{check_folder, write_whole};

const METHODS: [&str; 2] = ["is", "exact"];
/// Error of 2 log Z that is asked for unless told otherwise, nats.
const Z_ERROR: f64 = 0.01;
/// Bound on the draws for it unless told otherwise.
const Z_SAMPLES: usize = 1_000_000;

/// What the flags ask for, once they are checked.
struct Asked {
    split: SplitName,
    evaluator: ImportanceSampling,
    limit: Option<usize>,
    within: Option<Within>,
    partition: PartitionFunction,
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
    let mut asked = asked(args)?;
    let trained = Trained::load(&args.model)?;
    let reading = trained.reading(args.as_model.as_deref())?;
    asked.evaluator.reading = reading;
    // Without latents the likelihood is a closed form; sampling would repeat it K times.
    let method = match method {
        _ if is_closed_form(&trained.model) => "exact",
        "exact" if asked.within.is_some() => {
            return Err(user("--error: enumeration has no error of samples; leave one of the two out"));
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
                trained.config.model.kind
            )));
        }
    }
    let rows = chosen_rows(&trained.data, asked.split, asked.limit);
    let started = std::time::Instant::now();
    let scores = match method {
        "exact" => {
            let stack = trained.model.stack("--exact counts the states of latent bits; use --method is")?;
            Scores::exact(stack, &trained.data, asked.split, &rows, reading)?
        }
        _ => sampled(&trained, &rows, &asked, args)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    if let Some(Within { error, most }) = asked.within
        && (scores.summary.se_mc > error || scores.summary.bias_mc > error)
    {
        tracing::warn!("--error {error}: not reached with at most {most} samples a row (--max-samples)");
    }
    if args.json {
        say!("{}", to_json(&trained.data, asked.split, method, &scores));
    } else {
        print(&trained.data, asked.split, method, &scores, seconds);
    }
    if let Some(path) = &args.per_example {
        let log_probs = &scores.log_probs;
        write_whole(path, |file| npy::write_f64(file, &[log_probs.len()], log_probs))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(args: &EvaluateArgs) -> anyhow::Result<Asked> {
    let split: SplitName = args.split.parse().or_user()?;
    let samples = count("--samples", args.samples)?;
    let chunk = count("--batch-rows", args.batch_rows)?;
    let limit = args.limit.map(|n| count("--limit", n)).transpose()?;
    let within = within(args, samples)?;
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
        check_folder("--per-example", path)?;
    }
    Ok(Asked {
        split,
        evaluator: ImportanceSampling { reading: Reading::Directed, samples, chunk },
        limit,
        within,
        partition: PartitionFunction { error: z_error, most: most as u64 },
    })
}

/// What `--error` and `--max-samples` ask for.
fn within(args: &EvaluateArgs, samples: usize) -> anyhow::Result<Option<Within>> {
    let most = count("--max-samples", args.max_samples)?;
    let Some(error) = args.error else { return Ok(None) };
    positive("--error", error)?;
    if samples == 1 {
        return Err(user("--samples 1: with --error at least 2, for one says nothing of its error"));
    }
    if most < samples {
        return Err(user(format!("--max-samples {most}: below the {samples} that every row begins with")));
    }
    Ok(Some(Within { error, most }))
}

fn positive(flag: &str, error: f64) -> anyhow::Result<()> {
    if error.is_finite() && error > 0.0 {
        return Ok(());
    }
    Err(user(format!("{flag} {error}: must be finite and above 0")))
}

fn sampled(trained: &Trained, rows: &[usize], asked: &Asked, args: &EvaluateArgs) -> anyhow::Result<Scores> {
    let quiet = args.quiet || args.json;
    let Trained { model, data, .. } = trained;
    let of = Sampled { model, data, split: asked.split, rows, seed: args.seed };
    let weights = match asked.within {
        None => {
            let bar = bar("rows", quiet)?;
            bar.set_length(rows.len() as u64);
            of.weigh(&asked.evaluator, |n| bar.inc(n as u64))?
        }
        Some(within) => {
            let bar = bar("samples planned so far", quiet)?;
            of.weigh_within(&asked.evaluator, within, |done, planned| show(&bar, done, planned))?
        }
    };
    let log_z2 = match asked.evaluator.reading {
        Reading::Directed => None,
        Reading::Bidirectional => {
            let bar = bar("draws for Z planned so far", quiet)?;
            let show = |done, planned| show(&bar, done, planned);
            Some(partition(model, &asked.partition, (args.seed, " (--z-error, --z-samples)"), show))
        }
    };
    Ok(Scores::of_weights(&weights, log_z2))
}

/// A bar that goes away when it is dropped.
fn bar(unit: &str, quiet: bool) -> anyhow::Result<ProgressBar> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(1) };
    bar.set_style(ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit}, {{eta}} left"))?);
    Ok(bar.with_finish(indicatif::ProgressFinish::AndClear))
}

fn show(bar: &ProgressBar, done: u64, planned: u64) {
    bar.set_length(planned);
    bar.set_position(done);
}

fn to_json(data: &DataSet, split: SplitName, method: &str, scores: &Scores) -> serde_json::Value {
    let s = &scores.summary;
    let mut json = json!({
        "protocol": data.protocol(), "split": split.to_string(), "n": s.n, "k": s.k_mean.round() as u64,
        "k_max": s.k_max, "method": method,
        "nll": s.nll, "se_rows": s.se_rows, "se_mc": s.se_mc, "bias_mc": s.bias_mc, "ci95": s.ci95,
        "ess": s.ess, "max_weight": s.max_weight,
        "exact_nll": (method == "exact").then_some(s.nll), "log_z2": null, "data_sha256": data.data_sha256,
    });
    if let Some(OfLaw { cross_entropy, entropy }) = &scores.law {
        json["cross_entropy"] = json!(cross_entropy);
        json["entropy"] = json!(entropy);
    }
    if let Some(Bidirectional { p, log_z2: z }) = &scores.bidirectional {
        json["nll_p"] = json!(p.nll);
        json["ess_p"] = json!(p.ess);
        json["nll_is_bound"] = json!(!z.is_known());
        json["log_z2"] = json!(z.is_known().then_some(z.log_z2));
        for (key, value) in [
            ("log_z2_se", z.se()),
            ("log_z2_se_formula", z.se_formula),
            ("log_z2_se_batches", z.se_batches),
            ("log_z2_bias", z.bias()),
            ("log_z2_check", z.check),
        ] {
            json[key] = json!(value);
        }
        json["log_z2_n"] = json!(z.samples);
    }
    json
}

fn print(data: &DataSet, split: SplitName, method: &str, scores: &Scores, seconds: f64) {
    let s = &scores.summary;
    say!("{} {split}: {} rows, {seconds:.1} s", data.protocol(), s.n);
    let of = match &scores.bidirectional {
        None => "",
        Some(found) if found.log_z2.is_known() => " of p*",
        Some(_) => " of p* <=",
    };
    say!("  NLL{of:<10}{:.3} nats, 95 % over rows [{:.3}, {:.3}]", s.nll, s.ci95[0], s.ci95[1]);
    if method == "exact" {
        if let Some(Bidirectional { p, log_z2: z }) = &scores.bidirectional {
            say!("  NLL of p     {:.3} nats", p.nll);
            say!("  2 log Z      {:.4} nats", z.log_z2);
        }
        if let Some(OfLaw { cross_entropy, entropy }) = &scores.law {
            say!(
                "  of the law   {cross_entropy:.4} nats, the cross-entropy; the law's own entropy is {entropy:.4}"
            );
        }
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
    if let Some(Bidirectional { p, log_z2: z }) = &scores.bidirectional {
        say!(
            "  NLL of p     {:.3} nats; K adds ±{:.4}, about {:.4} too high; ESS {:.2} % of K",
            p.nll,
            p.se_mc,
            p.bias_mc,
            100.0 * p.ess
        );
        if z.is_known() {
            say!(
                "  2 log Z      {:.4} nats ±{:.4} (±{:.4} by batches), about {:.4} too low, and the NLL of p* with it",
                z.log_z2,
                z.se_formula,
                z.se_batches,
                z.bias()
            );
        } else {
            say!("  2 log Z      not known: the NLL of p* is given by its upper bound, with Z = 1");
        }
        say!(
            "  draws        {}; their mean of exp(2 s) is {:.3}, exactly 1 in expectation",
            z.samples,
            z.check
        );
    }
    say!("  pairs        {:.0} (row, sample) a second", s.n as f64 * s.k_mean / seconds);
}
