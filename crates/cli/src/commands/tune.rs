//! `helmholtz tune`: better settings for a config, by successive halving and the validation split alone.

mod found;
mod halving;
mod space;
mod trial;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use helmholtz_datasets::{Plan, whole};
use helmholtz_train::Stop;
use sha2::{Digest, Sha256};
use toml::Table;

use crate::args::{TrainArgs, TuneArgs};
use crate::assemble;
use crate::chart;
use crate::config::{Config, Overlay, count, lay_over, read_text};
use crate::console::say;
use crate::error::{excerpt, toml_problem, user};
use crate::output::{next_free, write_inside};
use crate::screen::Screen;
use crate::shell::quoted;
use crate::signals::Signals;
use found::{RECORD, Run, Search};
use halving::{ETA, Place, RUNGS, WIDTH, share};
use space::{Space, Values};
use trial::{Ended, Pilot, Running, Trials};

/// The copy of the config in the folder.
const CONFIG: &str = "config.toml";
/// The folder of run folders.
const RUNS: &str = "runs";
/// The winner.
const BEST: &str = "best.toml";

/// Searches and writes the winner.
///
/// # Errors
/// If the config or the space makes no sense, a file cannot be written, or no run ends with a score.
pub fn run(args: &TuneArgs) -> anyhow::Result<ExitCode> {
    let given = Given::read(args)?;
    let full = given.full(args)?;
    let (folder, record) = folder(args, &given.key)?;
    write_inside(&folder.join(CONFIG), |file| file.write_all(given.text.as_bytes()))?;
    let runs = folder.join(RUNS);
    fs::create_dir_all(&runs).map_err(|error| user(format!("{}: {error}", runs.display())))?;
    let running = Running::default();
    listen(&running, args, &folder)?;
    let trials = Trials { config: folder.join(CONFIG), flags: given.flags.clone(), folder: runs, running };
    let clock =
        Clock { before: record.as_ref().map_or(0.0, |record| record.seconds), started: Instant::now() };
    let minutes = args.minutes.map(|minutes| 60.0 * minutes);
    let (mut search, pilot) = match record {
        Some(record) => (record, None),
        None => {
            let (steps, pilot) = match (minutes, args.max_steps) {
                (Some(seconds), None) => {
                    let sized = pilot(&trials, full).and_then(|pilot| {
                        Ok((fitting(&pilot, &given, full, seconds - clock.seconds())?, Some(pilot)))
                    });
                    sized.inspect_err(|_| clear(&folder))?
                }
                _ => (full, None),
            };
            let (space, seed) = (given.space.in_words(), args.seed);
            (Search { key: given.key.clone(), space, seed, steps, seconds: 0.0, runs: Vec::new() }, pilot)
        }
    };
    eprintln!(
        "searching {}; runs of {} steps, and of a third and a ninth of that",
        search.space.join("; "),
        search.steps
    );
    while let Some(place) = next(&search, minutes.is_some()) {
        let expected = expected(&search, place, pilot.as_ref(), &given);
        if minutes.is_some_and(|minutes| clock.seconds() + expected > minutes) {
            break;
        }
        let run = given.train(&trials, &search, place)?;
        let score = run.nll.map_or("failed".to_owned(), |nll| format!("{nll:.3}"));
        eprintln!(
            "  configuration {:>3}  {:>7} steps  {score}   ({:.1} s)",
            place.configuration, run.steps, run.seconds
        );
        search.runs.push(run);
        search.seconds = clock.seconds();
        write_inside(&folder.join(RECORD), |file| writeln!(file, "{:#}", search.json()))?;
    }
    finish(args, &given, &folder, &search)
}

/// Seconds of this search, those before a resume included.
struct Clock {
    before: f64,
    started: Instant,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }
}

/// The config as given, with what may be searched.
struct Given {
    text: String,
    table: Table,
    flags: Vec<String>,
    overlay: Overlay,
    space: Space,
    plan: Plan,
    batch: usize,
    seed: u64,
    /// A hash of everything that decides the configurations and their runs.
    key: String,
}

/// Settings that decide what is measured, or for how long.
const FIXED: [&str; 8] = [
    "data.id",
    "seed",
    "schema",
    "tried",
    "train.epochs",
    "train.steps",
    "train.valid_samples",
    "train.final_samples",
];

impl Given {
    fn read(args: &TuneArgs) -> anyhow::Result<Self> {
        if let Some(minutes) = args.minutes.filter(|minutes| !(*minutes > 0.0 && minutes.is_finite())) {
            return Err(user(format!("--minutes {minutes}: must be a number above zero")));
        }
        args.threads.map(|threads| count("--threads", threads)).transpose()?;
        let place = args.config.display().to_string();
        let text = read_text(&args.config, "a config file")?;
        let mut table: Table =
            text.parse().map_err(|error| user(format!("{place}: {}", toml_problem(&error, &text))))?;
        let (mut overlay, mut flags) = (Overlay::default(), Vec::new());
        for pair in &args.set {
            overlay = overlay.parse(pair)?;
            flags.extend(["--set".to_owned(), pair.clone()]);
        }
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        for (flag, value) in [
            ("--device", args.device.clone()),
            ("--data-dir", args.data_dir.as_ref().map(path)),
            ("--threads", args.threads.map(|threads| threads.to_string())),
        ] {
            flags.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        let config = Config::of_table(table.clone(), &place, &overlay)?;
        if !config.stage.is_empty() {
            return Err(user(format!(
                "{place}: tune does not search a config with [[stage]]; tune its first part alone"
            )));
        }
        let space = match table.remove("tune") {
            Some(toml::Value::Table(stated)) => Space::of_table(&stated, &place)?,
            Some(_) => return Err(user(format!("{place}: tune must be a table of settings, [tune]"))),
            None => Space::usual(&config)?,
        };
        if let Some(key) = space.keys().find(|key| FIXED.contains(key) || key.starts_with("run.")) {
            return Err(user(format!(
                "{place}: [tune] {}: this setting cannot be searched, because it decides what is measured, or how long \
                 runs are",
                excerpt(key)
            )));
        }
        // Unknown keys and impossible values are found before anything is trained.
        for number in 1..WIDTH {
            let drawn = space.draw(args.seed, number).into_iter();
            let overlay = drawn.fold(overlay.clone(), |overlay, (key, value)| overlay.set(&key, value));
            Config::of_table(table.clone(), &format!("{place}: [tune]"), &overlay)?;
        }
        let data = assemble::data(&config, args.data_dir.as_deref())?;
        let hashed = [
            text.as_str(),
            &format!("{:?}", args.set),
            &space.in_words().join("\n"),
            &args.seed.to_string(),
            &data.data_sha256,
        ];
        let key = Sha256::digest(hashed.join("\n\n")).iter().map(|byte| format!("{byte:02x}")).collect();
        let plan = assemble::plan(&config, &data);
        let (batch, seed) = (config.train.batch.min(data.train.rows()), args.seed);
        Ok(Given { text, table, flags, overlay, space, plan, batch, seed, key })
    }

    /// Steps of the longest runs, unless they are too many for the time.
    fn full(&self, args: &TuneArgs) -> anyhow::Result<u64> {
        let full = args.max_steps.unwrap_or(self.plan.steps);
        let fewest = (1.0 / share(0)).round() as u64;
        if full < fewest {
            let what = match args.max_steps {
                Some(steps) => format!("--max-steps {steps}"),
                None => format!("the config's {full} steps"),
            };
            return Err(user(format!(
                "{what}: a search needs at least {fewest} steps, since its shortest runs have a ninth"
            )));
        }
        Ok(full)
    }

    /// The values of a configuration.
    fn values(&self, configuration: usize) -> Values {
        if configuration == 0 { Values::new() } else { self.space.draw(self.seed, configuration) }
    }

    /// Steps of a run that sees its share of the rows of the longest ones, whatever its batch.
    fn steps(&self, full: u64, place: Place) -> u64 {
        let values = self.values(place.configuration);
        let batch = values.get("train.batch").and_then(toml::Value::as_integer).unwrap_or(self.batch as i64);
        let rows = share(place.rung) * full as f64 * self.batch as f64;
        (rows / batch.clamp(1, self.plan.rows as i64) as f64).round().max(1.0) as u64
    }

    fn train(&self, trials: &Trials, search: &Search, place: Place) -> anyhow::Result<Run> {
        let (values, steps) = (self.values(place.configuration), self.steps(search.steps, place));
        let (ended, seconds) = trials.run(&format!("{}-{steps}", place.configuration), &values, steps)?;
        let Place { configuration, rung } = place;
        let (nll, se_rows, failed) = match ended {
            Ended::Scored { nll, se } => (Some(nll), se, None),
            Ended::Failed(why) => (None, None, Some(why)),
        };
        Ok(Run { configuration, rung, steps, values, nll, se_rows, failed, seconds })
    }

    /// The config of a run, with what was found in a comment.
    fn config_of(&self, best: &Run, search: &Search) -> anyhow::Result<String> {
        let mut table = self.table.clone();
        for (key, value) in self.overlay.pairs() {
            lay_over(&mut table, key, value.clone())?;
        }
        for (key, value) in &best.values {
            lay_over(&mut table, key, value.clone())?;
        }
        lay_over(&mut table, "train.steps", i64::try_from(best.steps)?.into())?;
        lay_over(&mut table, "tried", i64::try_from(search.configurations())?.into())?;
        let words: String = search.words().iter().map(|line| format!("# {line}.\n")).collect();
        Ok(format!("# Found by `helmholtz tune`.\n{words}\n{}", toml::to_string(&table)?))
    }
}

/// The folder of the search, and its record if it goes on.
fn folder(args: &TuneArgs, key: &str) -> anyhow::Result<(PathBuf, Option<Search>)> {
    let Some(folder) = &args.out else { return Ok((next_free("tune")?, None)) };
    let shown = folder.display();
    let record = folder.join(RECORD);
    if args.resume {
        let text = fs::read_to_string(&record).map_err(|error| {
            user(format!("{}: {error}; leave out --resume to start a search", record.display()))
        })?;
        let search: Search = serde_json::from_str(&text)
            .map_err(|error| user(format!("{}: is no record of a search ({error})", record.display())))?;
        if search.key != key {
            return Err(user(format!(
                "--out {shown}: --resume cannot go on with another config, space, data set or --seed; leave them as they \
                 were, or choose another --out"
            )));
        }
        return Ok((folder.clone(), Some(search)));
    }
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(user(format!("--out {shown}: {error}; it must be a folder"))),
        Ok(entries) => {
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            let names: Vec<String> = names.filter(|name| !whole::is_scratch(name)).collect();
            if names.iter().any(|name| name == RECORD) {
                return Err(user(format!(
                    "--out {shown}: holds a search; add --resume to go on with it, or choose another folder"
                )));
            }
            // A search that was stopped before its first run has ended left these.
            if let Some(name) = names.iter().find(|name| ![CONFIG, RUNS].contains(&name.as_str())) {
                return Err(user(format!(
                    "--out {shown}: holds {name} but no search; choose another folder"
                )));
            }
        }
    }
    let runs = folder.join(RUNS);
    if runs.exists() {
        fs::remove_dir_all(&runs).map_err(|error| user(format!("{}: {error}", runs.display())))?;
    }
    Ok((folder.clone(), None))
}

/// Removes what a search without a record has written, and the folder if nothing else is in it.
fn clear(folder: &Path) {
    let _ = fs::remove_dir_all(folder.join(RUNS));
    let _ = fs::remove_file(folder.join(CONFIG));
    let _ = fs::remove_dir(folder);
}

/// From now on a signal ends the running process and this one. Nothing is lost: the run goes on from its checkpoint.
fn listen(running: &Running, args: &TuneArgs, folder: &Path) -> anyhow::Result<()> {
    let quiet = TrainArgs { quiet: true, ..TrainArgs::default() };
    let signals = Signals::listen(Stop::new(), Screen::new(&quiet, Plan { rows: 1, batch: 1, steps: 1 })?)?;
    let (running, folder) = (running.clone(), quoted(folder));
    let command = format!("helmholtz tune {} --resume --out {folder}", quoted(&args.config));
    let _ = signals.scoring(move |request| {
        if let Ok(mut child) = running.lock()
            && let Some(child) = child.as_mut()
        {
            let _ = child.kill();
        }
        format!("stopped ({request}); go on with `{command}` and the same flags")
    });
    Ok(())
}

/// The next run of the search; `None` after one round, unless there is time for more.
fn next(search: &Search, is_timed: bool) -> Option<Place> {
    let reference = Place { configuration: 0, rung: RUNGS - 1 };
    for round in 0.. {
        if let Some(place) = halving::next(round, |place| search.score(place)) {
            return Some(place);
        }
        // What the search gains is measured after the longest runs.
        if search.run(reference).is_none() {
            return Some(reference);
        }
        if !is_timed {
            return None;
        }
    }
    None
}

/// Seconds that a run is expected to take: those of runs of its length, or of shorter ones.
fn expected(search: &Search, place: Place, pilot: Option<&Pilot>, given: &Given) -> f64 {
    let mean = |rung: usize| {
        let taken: Vec<f64> =
            search.runs.iter().filter(|run| run.rung == rung).map(|run| run.seconds).collect();
        (!taken.is_empty()).then(|| taken.iter().sum::<f64>() / taken.len() as f64)
    };
    let known = (0..=place.rung)
        .rev()
        .find_map(|rung| mean(rung).map(|seconds| seconds * (ETA as f64).powi((place.rung - rung) as i32)));
    let by_pilot = || {
        let steps = given.steps(search.steps, place) as f64;
        pilot.map_or(0.0, |pilot| pilot.seconds(steps, given.per_epoch()))
    };
    known.unwrap_or_else(by_pilot)
}

impl Given {
    /// Steps of a pass over the training rows.
    fn per_epoch(&self) -> f64 {
        (self.plan.rows as f64 / self.batch as f64).ceil()
    }
}

/// A run that is long enough to tell the speed of training.
fn pilot(trials: &Trials, full: u64) -> anyhow::Result<Pilot> {
    let most = (full as f64 * share(0)).max(1.0) as u64;
    let mut steps = 8.min(most);
    loop {
        let found = trials.pilot(&Values::new(), steps)?;
        if found.training > 0.5 || steps >= most {
            return Ok(found);
        }
        steps = (4 * steps).min(most);
    }
}

/// The most steps of the longest runs with which a round, and the config as given at full length, fit into some seconds.
fn fitting(pilot: &Pilot, given: &Given, full: u64, seconds: f64) -> anyhow::Result<u64> {
    let cost = |full: f64| {
        let of = |rung: usize| pilot.seconds(share(rung) * full, given.per_epoch());
        (0..RUNGS).map(|rung| (WIDTH / ETA.pow(rung as u32)) as f64 * of(rung)).sum::<f64>() + of(RUNGS - 1)
    };
    let fewest = 1.0 / share(0);
    if cost(fewest) > RESERVE * seconds {
        return Err(user(format!(
            "--minutes: too few for a round of {WIDTH} configurations, which takes at least {:.1} minutes here",
            cost(fewest) / RESERVE / 60.0
        )));
    }
    let (mut low, mut high) = (fewest, full as f64);
    if cost(high) <= RESERVE * seconds {
        return Ok(full);
    }
    while high - low > 1.0 {
        let middle = 0.5 * (low + high);
        if cost(middle) <= RESERVE * seconds { low = middle } else { high = middle }
    }
    Ok(low as u64)
}

/// The share of the time that a round may take by the estimate of a short run.
const RESERVE: f64 = 0.9;

/// Rows of the table in the terminal.
const SHOWN: usize = 10;

fn finish(args: &TuneArgs, given: &Given, folder: &Path, search: &Search) -> anyhow::Result<ExitCode> {
    let svg = chart::sheet(&search.charts(given.space.continuous()))?;
    write_inside(&folder.join("tune.svg"), |file| file.write_all(svg.as_bytes()))?;
    let best = search.best();
    let path = folder.join(BEST);
    if let Some(best) = best {
        let text = given.config_of(best, search)?;
        write_inside(&path, |file| file.write_all(text.as_bytes()))?;
    }
    if args.json {
        let mut json = search.json();
        json["out"] = folder.display().to_string().into();
        json["config"] = best.map(|_| path.display().to_string()).into();
        say!("{json}");
    } else {
        say!("\n{}", search.table(SHOWN).trim_end());
        search.words().iter().for_each(|line| say!("{line}"));
        if best.is_some() {
            say!("{}\n{}", folder.join("tune.svg").display(), path.display());
            say!("next: helmholtz train {}", quoted(&path));
        }
    }
    if best.is_none() {
        anyhow::bail!("no run ended with a score; {} has the reason of each", folder.join(RECORD).display());
    }
    Ok(ExitCode::SUCCESS)
}
