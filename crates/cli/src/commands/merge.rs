//! `helmholtz merge`.

use std::path::PathBuf;
use std::process::ExitCode;

use helmholtz_eval::{AnnealedRow, LogPartition, RowWeights, summarise};

use super::check::{Judged, named};
use super::energy_annealing::EnergyAnnealing;
use super::evaluation::Evaluation;
use super::log_z::OfEnergy;
use super::score::Scores;
use super::shard::{Content, Part, Setting, Shard};
use super::test_rows::TestRows;
use crate::args::MergeArgs;
use crate::error::{OrUser, user};
use crate::output;

/// Merges the parts of an evaluation: the result is that of the whole evaluation, to rounding.
///
/// # Errors
/// If the files are not all the parts of one evaluation, or a row has no probability.
pub fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.per_example {
        output::check("--per-example", path, &["npy"])?;
    }
    let parts = read(&args.files)?;
    let seconds = parts.iter().map(|part| part.seconds).sum();
    let found = merged(parts)?;
    found.report(seconds, args.json, args.per_example.as_deref())
}

/// The NLL of the merged parts, in nats.
///
/// # Errors
/// If the files are not all the parts of one evaluation, or a row has no probability.
pub fn nll(files: &[PathBuf]) -> anyhow::Result<f64> {
    Ok(merged(read(files)?)?.scores.summary.nll)
}

fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Part>> {
    in_order(files.iter().map(|file| Ok((file, Part::read(file)?))).collect::<anyhow::Result<_>>()?)
}

/// The parts 1 to N in order, if each is there exactly once and all belong to one evaluation.
fn in_order(mut parts: Vec<(&PathBuf, Part)>) -> anyhow::Result<Vec<Part>> {
    parts.sort_by_key(|(_, part)| part.shard.index);
    let Some((first_file, first)) = parts.first() else {
        return Err(user("merge: give the files of all parts"));
    };
    for (file, part) in &parts[1..] {
        if part.shard.of != first.shard.of {
            return Err(user(format!(
                "{} is part {} and {} is part {}, so they belong to different evaluations; give the parts of one",
                first_file.display(),
                first.shard,
                file.display(),
                part.shard
            )));
        }
        if let Some((name, here, there)) = first.setting.difference(&part.setting) {
            return Err(user(format!(
                "the parts belong to different evaluations: {name} is {here} in {} and {there} in {}; \
                 give the parts of one",
                first_file.display(),
                file.display()
            )));
        }
    }
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].1.shard == pair[1].1.shard) {
        let [(one, part), (other, _)] = [&pair[0], &pair[1]];
        return Err(user(format!(
            "part {} is given twice: {} and {}; leave one of them out",
            part.shard,
            one.display(),
            other.display()
        )));
    }
    let of = first.shard.of;
    let there = |index: &usize| !parts.iter().any(|(_, part)| part.shard.index == *index);
    let missing: Vec<String> = (1..=of).filter(there).map(|index| format!("{index}/{of}")).collect();
    if !missing.is_empty() {
        return Err(user(format!(
            "parts are missing: {}; score them with `helmholtz evaluate --shard`",
            missing.join(", ")
        )));
    }
    Ok(parts.into_iter().map(|(_, part)| part).collect())
}

/// The result of all parts together.
fn merged(mut parts: Vec<Part>) -> anyhow::Result<Evaluation> {
    let mut setting = parts[0].setting.clone();
    // Parts of older versions do not record the epoch.
    setting.epoch = parts.iter().find_map(|part| part.setting.epoch);
    let (active, log_z2, checked) = (parts[0].active.take(), parts[0].log_z2, parts[0].checked.take());
    let test_rows = parts[0].test_rows;
    test_rows.iter().for_each(TestRows::warn);
    let scores = match setting.energy {
        Some(by) => of_energy(&setting, by, parts)?,
        None => of_latents(&setting, parts, log_z2)?,
    };
    let model = named(None, setting.split.parse().or_user()?, setting.epoch);
    let judged = checked.map(|checked| Judged::new(&checked, &setting, &scores, &model));
    Ok(Evaluation { setting, scores, own: None, active, test_rows, judged })
}

/// The scores of a model with latents: samples of all rows, or rows.
fn of_latents(setting: &Setting, parts: Vec<Part>, log_z2: Option<LogPartition>) -> anyhow::Result<Scores> {
    let n = setting.rows.len();
    let mut weights = vec![RowWeights::default(); n];
    let mut annealed: Vec<Option<AnnealedRow>> = vec![None; n];
    for part in parts {
        match part.content {
            Content::Samples(of_part) => {
                weights.iter_mut().zip(&of_part).for_each(|(row, more)| row.merge(more));
            }
            Content::Rows(rows) => put(&mut annealed, part.shard, rows),
            Content::Chains(_) => unreachable!("the setting says that there is no energy"),
        }
    }
    if setting.method == "ais" {
        return Ok(Scores::annealed(&all(annealed)));
    }
    let checked = weights.into_iter().zip(&setting.rows).map(|(weights, &row)| weights.checked(row));
    Ok(Scores::of_weights(&checked.collect::<Result<Vec<_>, _>>()?, log_z2))
}

/// The scores of a model that is given by an energy: chains and rows.
fn of_energy(setting: &Setting, by: EnergyAnnealing, parts: Vec<Part>) -> anyhow::Result<Scores> {
    let n = setting.rows.len();
    let (mut log_weights, mut energies, mut reverse) = (Vec::new(), vec![None; n], vec![None; n]);
    for part in parts {
        let Content::Chains(of_part) = part.content else {
            unreachable!("the setting says that there is an energy")
        };
        // The parts are in order, and so are their chains.
        log_weights.extend(of_part.log_weights);
        put(&mut energies, part.shard, of_part.free_energies);
        put(&mut reverse, part.shard, of_part.reverse.unwrap_or_default());
    }
    let found = OfEnergy::of_log_weights(&log_weights, by);
    let found = match by.reverse {
        None => found,
        Some(_) => found.with_reverse(summarise(&all(reverse))),
    };
    Scores::of_free_energies((&setting.rows, &setting.split), &all(energies), found)
}

/// Puts what a part has of its rows into their places.
fn put<T: Clone>(rows: &mut [Option<T>], shard: Shard, of_part: Vec<T>) {
    let places = shard.of_rows(&(0..rows.len()).collect::<Vec<_>>());
    places.into_iter().zip(of_part).for_each(|(place, row)| rows[place] = Some(row));
}

fn all<T>(rows: Vec<Option<T>>) -> Vec<T> {
    let rows: Option<Vec<T>> = rows.into_iter().collect();
    rows.expect("all parts together have every row")
}
