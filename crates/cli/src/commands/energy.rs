//! Evaluating models that are given by an energy: the flags that apply, log Z by annealing, reverse annealing, and parts
//! of both.

use std::process::ExitCode;
use std::time::Instant;

use helmholtz_core::Trainable;
use helmholtz_eval::{RowEstimate, summarise};
use helmholtz_zoo::can::EXACT_UNITS;
use helmholtz_zoo::{TrainingRows, Unnormalised};
use indicatif::ProgressBar;

use super::evaluation::Evaluation;
use super::log_z::{self, Asked};
use super::progress::bar;
use super::score::{Sampled, Scores, numbers};
use super::shard::{Content, OfChains, Part, Setting, Shard};
use super::test_rows::TestRows;
use crate::args::EvaluateArgs;
use crate::error::user;

/// Rows of reverse annealing.
pub(crate) const REVERSE_ROWS: usize = 100;

/// The method for an energy: the one that is asked for, or for `is`, which does not apply, what fits its size.
///
/// # Errors
/// If flags do not apply.
pub(crate) fn method<'a>(
    asked: &'a str,
    energy: &dyn Unnormalised,
    args: &EvaluateArgs,
) -> anyhow::Result<&'a str> {
    let method = match asked {
        "is" if energy.enumerated_units() <= EXACT_UNITS => "exact",
        "is" => "ais",
        method => method,
    };
    let refused = [
        ("--samples", args.samples.is_some(), "nothing is drawn for a row; use --chains with --method ais"),
        ("--max-samples", args.max_samples.is_some(), "use --max-chains and --max-temperatures"),
        ("--defence", args.defence.is_some(), "nothing is proposed; leave it out"),
        ("--z-error", args.z_error.is_some(), "use --error with --method ais"),
        ("--z-samples", args.z_samples.is_some(), "use --chains with --method ais"),
        ("--leapfrog", args.annealing.leapfrog.is_some(), "units are drawn, not moved; leave it out"),
    ];
    // As for other models whose likelihood is exact, the number of samples does not matter.
    let ignored: &[&str] = if method == "exact" { &["--samples", "--max-samples"] } else { &[] };
    let applies = |flag: &str| !ignored.contains(&flag);
    if let Some((flag, _, instead)) = refused.iter().find(|(flag, given, _)| *given && applies(flag)) {
        return Err(user(format!("{flag} does not apply to a model that is given by an energy: {instead}")));
    }
    if method != "exact" {
        return Ok(method);
    }
    if args.base.is_some() {
        return Err(user("--base applies to --method ais and raise; leave it out"));
    }
    if let Some(shard) = args.shard {
        return Err(user(format!(
            "--shard {shard}: log Z is one sum over states, without chains to split; leave it out, or use --method ais"
        )));
    }
    if asked == "exact" && args.error.is_some() {
        return Err(user("--error: enumeration has no error from chains; leave one of the two out"));
    }
    Ok(method)
}

/// Refuses flags that belong to energies alone, for other models.
///
/// # Errors
/// If there are such flags.
pub(crate) fn refuse_others(args: &EvaluateArgs) -> anyhow::Result<()> {
    let given = [
        ("--base", args.base.is_some()),
        ("--max-chains", args.annealing.max_chains.is_some()),
        ("--max-temperatures", args.annealing.max_temperatures.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            Err(user(format!("{flag} is for models that are given by an energy; leave it out")))
        }
    }
}

/// Scores rows by annealing, and with `raise` also backwards. With `--shard`, writes a part of that.
///
/// # Errors
/// If a flag is wrong, a row has no probability, or a file cannot be written.
pub(crate) fn anneal(
    energy: &dyn Unnormalised,
    of: Sampled<'_>,
    (setting, test_rows): (Setting, Option<TestRows>),
    args: &EvaluateArgs,
) -> anyhow::Result<ExitCode> {
    let asked = Asked::of(args, &setting.method)?;
    let setting = Setting { samples: asked.chains, energy: Some(asked.by), ..setting };
    if let Some(shard) = args.shard {
        return score_part(shard, energy, of, (setting, test_rows), &asked, args);
    }
    let (started, bar) = (Instant::now(), bar("temperatures", args)?);
    let mut found = log_z::annealed(energy, of.data, (&asked, args.seed), &bar);
    if asked.by.reverse.is_some() {
        // The temperatures that were planned, if log Z was.
        let mut back = asked;
        back.by = found.by().unwrap_or(asked.by);
        found = found.with_reverse(summarise(&reverse(energy, of, &back, &bar)));
    }
    let scores = Scores::of_energy(of, energy, found)?;
    let seconds = started.elapsed().as_secs_f64();
    let found = Evaluation { setting, scores, own: None, active: None, test_rows, judged: None };
    found.report(seconds, args.json, args.per_example.as_deref())
}

/// Writes the part of an evaluation that `merge` reads: some of the chains, and some of the rows.
fn score_part(
    shard: Shard,
    energy: &dyn Unnormalised,
    of: Sampled<'_>,
    (setting, test_rows): (Setting, Option<TestRows>),
    asked: &Asked,
    args: &EvaluateArgs,
) -> anyhow::Result<ExitCode> {
    for (n, what) in [(asked.chains, "chains"), (of.rows.len(), "rows")] {
        if n < shard.of {
            return Err(user(format!(
                "--shard {shard}: there are only {n} {what} to split; use fewer parts"
            )));
        }
    }
    let (started, bar) = (Instant::now(), bar("temperatures", args)?);
    let chains = shard.of_samples(asked.chains);
    let log_weights = log_z::log_weights(energy, of.data, asked, (chains, args.seed), &bar);
    let of = Sampled { rows: &shard.of_rows(of.rows), ..of };
    let content = Content::Chains(OfChains {
        log_weights,
        free_energies: log_z::free_energies(energy, &of.batch()?),
        reverse: asked.by.reverse.map(|_| reverse(energy, of, asked, &bar)),
    });
    let part = Part {
        shard,
        setting,
        content,
        active: None,
        log_z2: None,
        checked: None,
        test_rows: test_rows.filter(|_| shard.is_first()),
        seconds: started.elapsed().as_secs_f64(),
    };
    part.deliver(args.out.as_deref().expect("clap asks for --out with --shard"), args.json)
}

/// Reverse annealing of rows.
///
/// # Panics
/// If it was not asked for.
fn reverse(energy: &dyn Unnormalised, of: Sampled<'_>, asked: &Asked, bar: &ProgressBar) -> Vec<RowEstimate> {
    let by = asked.by.annealing(asked.by.reverse.expect("the method is raise"));
    let rows = TrainingRows::of(&of.data.train);
    let base = asked.by.base(&rows);
    let parts = of.rows.chunks((asked.chunk / by.chains).max(1));
    let steps = by.schedule.steps() as u64;
    bar.set_length(steps * parts.len() as u64);
    (0..)
        .zip(parts)
        .flat_map(|(i, part)| {
            let x = of.data.fixed(of.split).select(part).batch(&of.model.device()).whole();
            energy.anneal_back(&by, &base, (x, numbers(part)), of.key(), &mut |step| {
                bar.set_position(i * steps + step as u64);
            })
        })
        .collect()
}
