//! `helmholtz compare`, and what `helmholtz` does without a command.
//!
//! A plan names courts and races. A court compares the gradient estimates of strategies with exact gradients
//! (`helmholtz-court`). In a race, strategies train the same model from the same weights, on the same rows in the same
//! order, at the same cost, and are judged by the likelihood. The results go to a table in the terminal, to
//! `report.html`, to SVG files and to `compare.json`.

mod court;
mod descent;
mod figures;
mod plan;
mod race;
mod report;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use helmholtz_datasets::whole;
use serde_json::{Value, json};

use crate::args::CompareArgs;
use crate::console::say;
use crate::error::user;
use crate::output::write_inside;
use crate::threads::use_threads;
use plan::{Flags, Plan};
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
    let out = Out::create(args.out.clone().unwrap_or_else(|| PathBuf::from("runs/compare")))?;

    let (mut sections, mut of_court, mut of_race) = (Vec::new(), Vec::new(), Vec::new());
    let mut data: Vec<(String, String)> = Vec::new();
    let (mut is_right, mut is_broken) = (true, false);
    for (i, (court, plan)) in courts.iter().zip(&plan.court).enumerate() {
        tell(&format!("court {}: {} estimates for each strategy, K and weights", i + 1, plan.estimates));
        let found = court.hold(tell)?;
        is_right &= found.is_right();
        of_court.extend(found.json());
        data.push((found.protocol.clone(), found.data_sha256.clone()));
        let (table, figures) = (table::of_court(&found), figures::of_court(i + 1, &found)?);
        sections.push(Section { table, figures, samples: Vec::new() });
        out.write(&sections, &json!({"court": of_court, "race": of_race}))?;
    }
    for (i, (race, plan)) in races.iter().zip(&plan.race).enumerate() {
        let (budget, unit) = plan.budget.amount();
        tell(&format!("race {}: {budget} {} for each strategy and seed", i + 1, unit.replace('_', " ")));
        let found = race.run(tell)?;
        is_broken |= found.is_broken();
        of_race.extend(found.json());
        data.push((found.protocol.clone(), found.data_sha256.clone()));
        let (table, figures) = (table::of_race(&found), figures::of_race(i + 1, &found)?);
        sections.push(Section { table, figures, samples: report::samples(&found)? });
        out.write(&sections, &json!({"court": of_court, "race": of_race}))?;
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
        for section in &sections {
            say!("\n{}", section.table.text().trim_end());
            section.table.notes.iter().for_each(|note| say!("{note}"));
        }
        say!("\n{:.0} s; report: {}", started.elapsed().as_secs_f64(), page.display());
    }
    if !is_right {
        eprintln!("error: a strategy does not estimate what it claims; see the rows marked WRONG");
    }
    if is_broken {
        eprintln!(
            "error: a run of a race ended with a likelihood that is not finite; see the notes below its table"
        );
    }
    Ok(if is_right && !is_broken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file of the results, by which the folder of a comparison is recognised.
const RESULT: &str = "compare.json";

/// The folder that a comparison is written to.
struct Out {
    folder: PathBuf,
}

impl Out {
    /// The folder, without the figures of an earlier comparison.
    fn create(folder: PathBuf) -> anyhow::Result<Self> {
        check_ours(&folder)?;
        let figures = folder.join("figures");
        let clear = || -> std::io::Result<()> {
            std::fs::create_dir_all(&figures)?;
            for entry in std::fs::read_dir(&figures)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let is_ours = ["court-", "race-"].iter().any(|start| name.starts_with(start));
                if is_ours && name.ends_with(".svg") {
                    std::fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        clear().map_err(|error| user(format!("{}: {error}", figures.display())))?;
        Ok(Out { folder })
    }

    /// Writes the results so far, so that an interruption loses the current section only.
    fn write(&self, sections: &[Section], result: &Value) -> anyhow::Result<()> {
        for figure in sections.last().into_iter().flat_map(|section| &section.figures) {
            let path = self.folder.join("figures").join(format!("{}.svg", figure.name));
            write_inside(&path, |file| file.write_all(figure.svg.as_bytes()))?;
        }
        write_inside(&self.folder.join(RESULT), |file| writeln!(file, "{result:#}"))
    }
}

/// Refuses a folder that holds something other than a comparison: its `report.html` may be somebody else's.
fn check_ours(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(user(format!("--out {shown}: {error}; it must be a folder"))),
    };
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let foreign = names.iter().find(|name| *name != "figures" && !whole::is_scratch(name));
    match foreign {
        Some(name) if !names.iter().any(|name| name == RESULT) => Err(user(format!(
            "--out {shown}: holds {name} but no comparison ({RESULT}); choose another folder"
        ))),
        _ => Ok(()),
    }
}
