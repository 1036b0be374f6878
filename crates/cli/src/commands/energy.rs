//! Evaluating models that are given by an energy: the flags that apply, and reverse annealing.

use helmholtz_core::Trainable;
use helmholtz_eval::{NllSummary, RowEstimate, summarise};
use helmholtz_zoo::can::EXACT_UNITS;
use helmholtz_zoo::{TrainingRows, Unnormalised};
use indicatif::ProgressBar;

use super::log_z::Asked;
use super::score::{Sampled, numbers};
use crate::args::EvaluateArgs;
use crate::error::user;

/// Rows of reverse annealing.
pub(crate) const REVERSE_ROWS: usize = 100;

/// The method for an energy: the one that is asked for, or for `is`, which does not apply, what fits its size.
///
/// # Errors
/// If flags do not apply.
pub(crate) fn method<'a>(
    method: &'a str,
    energy: &dyn Unnormalised,
    args: &EvaluateArgs,
) -> anyhow::Result<&'a str> {
    let refused = [
        ("--samples", args.samples.is_some(), "nothing is drawn for a row; use --chains with --method ais"),
        ("--error", args.error.is_some(), "raise --chains or --temperatures with --method ais"),
        ("--defence", args.defence.is_some(), "nothing is proposed; leave it out"),
        ("--z-error", args.z_error.is_some(), "raise --chains or --temperatures with --method ais"),
        ("--z-samples", args.z_samples.is_some(), "use --chains with --method ais"),
        ("--leapfrog", args.annealing.leapfrog.is_some(), "units are drawn, not moved; leave it out"),
        ("--shard", args.shard.is_some(), "log Z is one number for all rows; leave it out"),
    ];
    let method = match method {
        "is" if energy.enumerated_units() <= EXACT_UNITS => "exact",
        "is" => "ais",
        method => method,
    };
    // As for other models whose likelihood is exact, the number of samples does not matter.
    let ignored: &[&str] = if method == "exact" { &["--samples", "--error"] } else { &[] };
    let applies = |flag: &str| !ignored.contains(&flag);
    if let Some((flag, _, instead)) = refused.iter().find(|(flag, given, _)| *given && applies(flag)) {
        return Err(user(format!("{flag} does not apply to a model that is given by an energy: {instead}")));
    }
    if method == "exact" && args.base.is_some() {
        return Err(user("--base applies to --method ais and raise; leave it out"));
    }
    Ok(method)
}

/// Reverse annealing of rows.
///
/// # Panics
/// If it was not asked for.
pub(crate) fn reverse(
    energy: &dyn Unnormalised,
    of: Sampled<'_>,
    asked: &Asked,
    bar: &ProgressBar,
) -> NllSummary {
    let by = asked.reverse.as_ref().expect("the method is raise");
    let rows = TrainingRows::of(&of.data.train);
    let base = asked.base(&rows);
    let parts = of.rows.chunks((asked.chunk / by.chains).max(1));
    let steps = by.schedule.steps() as u64;
    bar.set_length(steps * parts.len() as u64);
    let estimates: Vec<RowEstimate> = (0..)
        .zip(parts)
        .flat_map(|(i, part)| {
            let x = of.data.fixed(of.split).select(part).batch(&of.model.device()).whole();
            energy.anneal_back(by, &base, (x, numbers(part)), of.key(), &mut |step| {
                bar.set_position(i * steps + step as u64);
            })
        })
        .collect();
    summarise(&estimates)
}
