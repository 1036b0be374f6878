//! `helmholtz compare`, and what `helmholtz` does without a command.
//!
//! A plan names courts and races. A court compares the gradient estimates of strategies with exact gradients
//! (`helmholtz-court`). In a race, strategies train the same model from the same weights, on the same rows in the same
//! order, at the same cost, and are judged by the likelihood. The results go to a table in the terminal, to
//! `report.html`, to SVG files and to `compare.json`.

mod court;
pub(crate) mod descent;
mod figures;
mod out;
mod plan;
mod race;
mod report;
mod table;
mod terminal;

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use crate::args::CompareArgs;
use crate::console::say;
use crate::error::user;
use crate::output::write_inside;
use crate::shell::quoted;
use crate::threads::use_threads;
use figures::Figure;
use out::Out;
use plan::{Flags, Plan, Precision};
use report::{Provenance, Section};

/// Compares strategies by a plan.
///
/// # Errors
/// If the plan makes no sense, a run fails or a file cannot be written.
pub fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    if let Some(seeds) = args.seeds.filter(|seeds| !(1..=1000).contains(seeds)) {
        return Err(user(format!("--seeds {seeds}: must be from 1 to 1000")));
    }
    if let Some(seed) = args.seed.filter(|&seed| i64::try_from(seed).is_err()) {
        return Err(user(format!("--seed {seed}: must be below 2^63")));
    }
    let precision = Precision::of(args)?;
    use_threads(args.threads)?;
    let started = Instant::now();
    let (plan, text) = Plan::read(args.config.as_deref())?;
    let place = args.config.as_ref().map_or("the default plan".to_owned(), |path| path.display().to_string());
    let flags = Flags { place, device: args.device.clone(), seed: args.seed };
    let (data_dir, tell) = (args.data_dir.as_deref(), |line: &str| eprintln!("{line}"));
    let courts = plan.court.iter().map(|court| court::prepare(court, &flags, data_dir, tell));
    let courts = courts.collect::<anyhow::Result<Vec<_>>>()?;
    let races = plan.race.iter().map(|race| race::prepare(race, &flags, args.seeds, data_dir));
    let races = races.collect::<anyhow::Result<Vec<_>>>()?;
    let out = Out::create(args.out.as_deref(), args.resume)?;
    let plan_file = args.config.as_ref().map(|path| format!(" {}", quoted(path))).unwrap_or_default();
    tell(&format!(
        "writing to {0}; if this is interrupted, `helmholtz compare{plan_file} --resume --out {0}` goes on",
        quoted(&out.folder)
    ));

    let (mut in_terminal, mut verdicts, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = None;
    let (mut sections, mut of_court, mut of_race) = (Vec::new(), Vec::new(), Vec::new());
    let mut data: Vec<(String, String)> = Vec::new();
    let (mut is_right, mut is_broken) = (true, false);
    for (i, (race, plan)) in races.iter().zip(&plan.race).enumerate() {
        let (budget, unit) = plan.budget.amount();
        tell(&format!("race {}: {budget} {} for each strategy and seed", i + 1, unit.replace('_', " ")));
        let found = race.run(i + 1, &out, tell)?;
        is_broken |= found.is_broken();
        of_race.extend(found.json());
        data.push((found.protocol.clone(), found.data_sha256.clone()));
        let (table, figures) = (table::of_race(&found), figures::of_race(i + 1, &found)?);
        in_terminal.push(terminal::race(&found));
        let shown = terminal::findings(&found);
        findings.extend(shown.clone());
        next = terminal::best(&found).and_then(|runner| race.train_command(&runner.strategy)).or(next);
        sections.push(Section { findings: shown, table, figures, samples: report::samples(&found)? });
        keep(&out, &sections, &json!({"court": of_court, "race": of_race}))?;
    }
    for (i, (court, plan)) in courts.iter().zip(&plan.court).enumerate() {
        tell(&format!("court {}: {} estimates for each strategy, K and weights", i + 1, plan.estimates));
        let found = court.hold(precision, tell)?;
        is_right &= found.is_right();
        of_court.extend(found.json());
        data.push((found.protocol.clone(), found.data_sha256.clone()));
        let (table, figures) = (table::of_court(&found), figures::of_court(i + 1, &found)?);
        let verdict = terminal::court(&found);
        sections.push(Section { findings: verdict.clone(), table, figures, samples: Vec::new() });
        verdicts.extend(verdict);
        keep(&out, &sections, &json!({"court": of_court, "race": of_race}))?;
    }
    data.dedup();
    let provenance = Provenance {
        plan: text,
        data,
        device: args.device.clone().unwrap_or_else(|| "as in the plan, flex by default".to_owned()),
        seconds: started.elapsed().as_secs_f64(),
    };
    let page = out.folder.join("report.html");
    write_inside(&page, |file| file.write_all(report::render(&sections, &provenance).as_bytes()))?;

    if args.json {
        say!("{}", json!({"court": of_court, "race": of_race}));
    } else {
        in_terminal.iter().for_each(|race| say!("\n{}", race.trim_end()));
        say!("");
        verdicts.iter().chain(&findings).for_each(|line| say!("{}", terminal::wrap(line)));
        say!("\n{:.0} s; every number and figure: {}", started.elapsed().as_secs_f64(), page.display());
        if let Some(next) = next {
            say!("next: {next}");
        }
    }
    if !is_right {
        eprintln!(
            "error: a strategy does not estimate what it claims; see what is marked WRONG above and in the report"
        );
    }
    if is_broken {
        eprintln!(
            "error: a run of a race ended with a likelihood that is not finite; the notes in the report name it"
        );
    }
    Ok(if is_right && !is_broken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the results so far, so that an interruption loses the current section only.
fn keep(out: &Out, sections: &[Section], result: &Value) -> anyhow::Result<()> {
    for Figure { name, svg } in sections.last().into_iter().flat_map(|section| &section.figures) {
        out.write_figure(name, svg)?;
    }
    out.write_result(result)
}
