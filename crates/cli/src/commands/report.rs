//! `helmholtz report`: trained runs side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use helmholtz_core::Score;
use helmholtz_eval::Reading;
use helmholtz_train::{History, HistoryError};
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::finished::{RESULTS, seconds_by_epoch};
use crate::args::ReportArgs;
use crate::chart::{Chart, Point, Scale};
use crate::config::Config;
use crate::console::say;
use crate::error::user;
use crate::output::Output;
use crate::report::{against, of_training, page_of};
use crate::run_folder::RunFolder;

/// What a run folder says about its run.
struct Run {
    name: String,
    config: Config,
    history: History,
    /// Seconds of training up to the end of each epoch.
    seconds: BTreeMap<u64, f64>,
    /// What `results.json` holds; `None` for a run that is not finished or of an earlier version.
    results: Option<Value>,
    /// A sheet of samples, as a PNG.
    samples: Option<Vec<u8>>,
}

/// Writes one page about some runs.
///
/// # Errors
/// If one of them is not a run, or a file of it cannot be read, or the page cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let out = Output::named("--out", &args.out, &["html"])?;
    let mut seen = BTreeSet::new();
    if let Some(again) = args.runs.iter().find(|path| !seen.insert(fs::canonicalize(path).ok())) {
        return Err(user(format!("{}: is given twice, or does not exist", again.display())));
    }
    if let Some(run) = args.runs.iter().find(|run| is_own_page(&args.out, run)) {
        return Err(user(format!(
            "--out {}: is the report of the run {} itself; choose another name or folder",
            args.out.display(),
            run.display()
        )));
    }
    let read = |path: &PathBuf| Run::read(path, name_among(path, &args.runs));
    let runs = args.runs.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let page = page(&runs)?;
    out.write(|file| file.write_all(page.as_bytes()))?;
    say!("{}", out.path().display());
    Ok(ExitCode::SUCCESS)
}

/// Whether a page is the one that training writes into the folder of a run.
fn is_own_page(page: &Path, run: &Path) -> bool {
    let folder = page.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_same = |(a, b): (PathBuf, PathBuf)| a == b;
    page.file_name().is_some_and(|name| name == "report.html")
        && fs::canonicalize(folder).ok().zip(fs::canonicalize(run).ok()).is_some_and(is_same)
}

/// The last part of a path, if that tells it from the others, or the whole path.
fn name_among(path: &Path, all: &[PathBuf]) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_unique = all.iter().filter(|other| last(other) == last(path)).count() == 1;
    last(path).filter(|_| is_unique).unwrap_or_else(|| path.display().to_string())
}

impl Run {
    fn read(path: &Path, name: String) -> anyhow::Result<Self> {
        let folder = RunFolder::open(path)?;
        let config = folder.config()?;
        let history = match History::read(&path.join("metrics.jsonl"), usize::MAX) {
            Err(HistoryError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => History::default(),
            history => history.map_err(user)?,
        };
        let results = existing(&path.join(RESULTS))?.map(|bytes| {
            let wrong = |what: &dyn std::fmt::Display| {
                user(format!("{}: {what}; remove the file", path.join(RESULTS).display()))
            };
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(results) if results["epochs"].is_u64() => Ok(results),
                Ok(_) => Err(wrong(&"does not hold the results of a run")),
                Err(error) => Err(wrong(&error)),
            }
        });
        Ok(Run {
            name,
            seconds: seconds_by_epoch(&folder),
            samples: existing(&path.join("samples/samples.png"))?,
            results: results.transpose()?,
            config,
            history,
        })
    }

    fn score(&self) -> Score {
        self.config.spec.model.score()
    }

    /// What the validation scores are, as the title of an axis. Those of a bidirectional machine cannot be compared with
    /// likelihoods.
    fn axis(&self) -> String {
        match self.config.spec.model.reading() {
            Reading::Directed => self.score().axis(),
            Reading::Bidirectional => format!("-log p̃*, {}", self.score().axis()),
        }
    }

    /// The best validation score with its unit.
    fn best_score(&self) -> String {
        let Some((_, score)) = self.history.best() else { return "-".to_owned() };
        match self.config.spec.model.reading() {
            Reading::Directed => format!("{score:.3} {}", self.score().unit),
            Reading::Bidirectional => format!("{score:.3} {} (-log p̃*)", self.score().unit),
        }
    }

    /// The likelihood of the test split and its 95 % interval over rows, if the run was scored.
    fn test(&self) -> [String; 2] {
        let none = || ["-".to_owned(), String::new()];
        let Some(results) = &self.results else { return none() };
        let (Some(nll), of) = (results["test"]["nll"].as_f64(), results["of"].as_str()) else {
            return none();
        };
        let bound = if of.is_some_and(|of| of.ends_with("<=")) { "at most " } else { "" };
        let error = results["test"]["se_rows"].as_f64();
        [format!("{bound}{nll:.3}"), error.map_or_else(String::new, |se| format!("± {:.3}", 1.96 * se))]
    }

    /// What a reader has to know about the results.
    fn remark(&self) -> Option<String> {
        let (last, _) = self.history.last()?;
        match &self.results {
            None => Some(format!(
                "{} has no results: its training is not finished, or it is a run of an earlier version",
                self.name
            )),
            Some(results) if results["epochs"] != last => Some(format!(
                "{} was scored after epoch {} and has gone on to epoch {last} since then",
                self.name, results["epochs"]
            )),
            Some(_) => None,
        }
    }

    /// Validation scores, each at the place that `x` gives its epoch and step.
    fn curve(&self, x: impl Fn(usize, u64) -> Option<f64>) -> Vec<Point> {
        let scores = self.history.validation();
        scores.filter_map(|(epoch, step, score)| Some(Point::exact(x(epoch, step)?, score))).collect()
    }
}

/// The bytes of a file; `None` if it does not exist.
fn existing(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(user(format!("{}: {error}", path.display()))),
    }
}

fn page(runs: &[Run]) -> anyhow::Result<String> {
    let title = match runs {
        [one] => format!("Run {}", one.name),
        _ => format!("{} runs side by side", runs.len()),
    };
    let figures = figures(runs)?;
    let body = html! {
        (results(runs))
        @for remark in runs.iter().filter_map(Run::remark) { p { strong { "Note: " } (remark) "." } }
        h2 { "Training" }
        @if figures.is_empty() { p { "No epoch was finished." } }
        div class="figures" {
            @for figure in &figures { figure { (PreEscaped(figure)) } }
        }
        @if runs.iter().any(|run| run.samples.is_some()) {
            h2 { "Samples" }
            div class="pictures" {
                @for run in runs {
                    @if let Some(samples) = &run.samples {
                        figure {
                            img src=(format!("data:image/png;base64,{}", STANDARD.encode(samples))) alt=(format!("samples of {}", run.name));
                            figcaption { (run.name) }
                        }
                    }
                }
            }
        }
        @if runs.len() > 1 {
            h2 { "Settings that differ" }
            (differences(runs))
        }
    };
    Ok(page_of(&title, &body))
}

fn results(runs: &[Run]) -> Markup {
    html! {
        table {
            tr {
                th { "run" } th { "model" } th { "strategy" } th { "data" } th { "test NLL" } th { "95 %" } th { "best validation" }
                th { "of epoch" } th { "epochs" } th { "steps" } th { "seconds" }
            }
            @for run in runs {
                @let (best, last) = (run.history.best(), run.history.last());
                @let [nll, interval] = run.test();
                tr {
                    td { (run.name) }
                    td { (run.config.spec.model.kind()) }
                    td { (run.config.spec.strategy.kind()) }
                    td { (run.config.data.id) }
                    td { (nll) }
                    td { (interval) }
                    td { (run.best_score()) }
                    td { (best.map_or("-".to_owned(), |(epoch, _)| epoch.to_string())) }
                    td { (last.map_or(0, |(epoch, _)| epoch)) }
                    td { (last.map_or(0, |(_, steps)| steps)) }
                    td { (run.seconds.values().copied().reduce(f64::max).map_or("-".to_owned(), |s| format!("{s:.1}"))) }
                }
            }
        }
        p { "NLL in nats per row, lower is better; 95 % is over rows. Seconds are those of training and validation." }
    }
}

/// Validation scores against steps and against seconds, a chart for each data set and score, and the effective sample
/// size.
fn figures(runs: &[Run]) -> anyhow::Result<Vec<String>> {
    let groups: BTreeSet<(&str, String)> =
        runs.iter().map(|run| (run.config.data.id.as_str(), run.axis())).collect();
    let mut charts = Vec::new();
    let steps = || ("training steps".to_owned(), Scale::Linear);
    for (data, axis) in groups {
        // Runs of other groups have no points here, and keep their colours.
        let curves = |x: &dyn Fn(&Run, usize, u64) -> Option<f64>| -> Vec<(String, Vec<Point>)> {
            let is_shown = |run: &Run| run.config.data.id == data && run.axis() == axis;
            let points = |run: &Run| match is_shown(run) {
                true => run.curve(|epoch, step| x(run, epoch, step)),
                false => Vec::new(),
            };
            runs.iter().map(|run| (run.name.clone(), points(run))).collect()
        };
        let title = || format!("Validation score on {data}");
        let y = || (axis.clone(), Scale::Linear);
        charts.push(chart(steps(), title(), y(), curves(&|_, _, step| Some(step as f64))));
        let seconds = ("seconds of training".to_owned(), Scale::Linear);
        let by_seconds = |run: &Run, epoch: usize, _: u64| run.seconds.get(&(epoch as u64)).copied();
        charts.push(chart(seconds, title(), y(), curves(&by_seconds)));
    }
    let ess = |run: &Run| (run.name.clone(), of_training(&run.history, "ess", |value| 100.0 * value));
    charts.push(chart(
        steps(),
        "Effective sample size in training".to_owned(),
        ("per cent of K".to_owned(), Scale::Linear),
        runs.iter().map(ess).collect(),
    ));
    let svgs = charts.iter().map(|chart| chart.svg()).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(svgs.into_iter().flatten().collect())
}

/// A chart of the lines that have points. If that is one of several, the title names it, since there is no legend.
fn chart(
    x: (String, Scale),
    mut title: String,
    y: (String, Scale),
    lines: Vec<(String, Vec<Point>)>,
) -> Chart {
    let mut shown = lines.iter().filter(|(_, points)| !points.is_empty());
    if let (Some((name, _)), None, true) = (shown.next(), shown.next(), lines.len() > 1) {
        title += &format!(": {name}");
    }
    against(x, title, y, lines)
}

/// The settings whose values are not the same in all runs.
fn differences(runs: &[Run]) -> Markup {
    let settings: Vec<_> = runs.iter().map(|run| run.config.flat()).collect();
    let keys: BTreeSet<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    let differs = |key: &&&String| settings.iter().any(|own| own.get(**key) != settings[0].get(**key));
    let keys: Vec<&String> = keys.iter().filter(differs).copied().collect();
    html! {
        @if keys.is_empty() { p { "None." } } @else {
            table {
                tr { th { "setting" } @for run in runs { th { (run.name) } } }
                @for key in keys {
                    tr {
                        td { code { (key) } }
                        @for own in &settings { td { (own.get(key).map_or("-".to_owned(), ToString::to_string)) } }
                    }
                }
            }
        }
    }
}
