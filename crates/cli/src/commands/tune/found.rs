//! What a search has found so far: its record, its table, its figure, and the winner's config.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::halving::{Place, RUNGS};
use super::space::Values;
use crate::chart::{Chart, Line, Point, Scale};

/// The file of the record, by which the folder of a search is recognised.
pub(super) const RECORD: &str = "tune.json";

/// The record of a search, from which it goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Search {
    /// A hash of everything that decides the configurations and their runs.
    pub(super) key: String,
    /// The space in words.
    pub(super) space: Vec<String>,
    /// The seed of the draws.
    pub(super) seed: u64,
    /// Steps of the longest runs, at the batch of the config as given.
    pub(super) steps: u64,
    /// Seconds so far.
    pub(super) seconds: f64,
    /// Finished runs, in order.
    pub(super) runs: Vec<Run>,
}

/// A finished run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) configuration: usize,
    pub(super) rung: usize,
    pub(super) steps: u64,
    /// What differs from the config as given.
    pub(super) values: Values,
    /// The NLL of the validation split, in nats per row; none if the run failed.
    pub(super) nll: Option<f64>,
    /// Its standard error over rows.
    pub(super) se_rows: Option<f64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
    pub(super) seconds: f64,
}

impl Run {
    /// Lower is better; infinite if the run failed.
    pub(super) fn score(&self) -> f64 {
        self.nll.unwrap_or(f64::INFINITY)
    }
}

impl Search {
    pub(super) fn run(&self, place: Place) -> Option<&Run> {
        self.runs.iter().find(|run| (run.configuration, run.rung) == (place.configuration, place.rung))
    }

    /// The score at a place, if its run has ended.
    pub(super) fn score(&self, place: Place) -> Option<f64> {
        self.run(place).map(Run::score)
    }

    /// How many configurations were tried.
    pub(super) fn configurations(&self) -> usize {
        self.longest().len()
    }

    /// The best of the longest runs that ended with a score.
    pub(super) fn best(&self) -> Option<&Run> {
        let scored = || self.runs.iter().filter(|run| run.nll.is_some());
        let top = scored().map(|run| run.rung).max()?;
        scored().filter(|run| run.rung == top).min_by(|a, b| a.score().total_cmp(&b.score()))
    }

    /// The config as given, trained as long as the best, if it was.
    pub(super) fn given(&self) -> Option<&Run> {
        self.run(Place { configuration: 0, rung: self.best()?.rung })
    }

    /// Nats that the best is below the config as given, after as many steps.
    pub(super) fn gained(&self) -> Option<f64> {
        Some(self.given()?.nll? - self.best()?.nll?)
    }

    /// The longest run of each configuration, the best first.
    fn longest(&self) -> Vec<&Run> {
        let mut longest: BTreeMap<usize, &Run> = BTreeMap::new();
        for run in &self.runs {
            let held = longest.entry(run.configuration).or_insert(run);
            if run.rung > held.rung {
                *held = run;
            }
        }
        let mut longest: Vec<&Run> = longest.into_values().collect();
        longest.sort_by(|a, b| b.rung.cmp(&a.rung).then(a.score().total_cmp(&b.score())));
        longest
    }

    /// The record for people's programs: with the winner and what it gained.
    pub(super) fn json(&self) -> Json {
        let mut json = serde_json::to_value(self).expect("names and finite numbers are JSON");
        json["configurations"] = json!(self.configurations());
        json["best"] = json!(self.best());
        json["given"] = json!(self.given());
        json["gained"] = json!(self.gained());
        json
    }

    /// The best configurations, one a line, with their scores at each length.
    pub(super) fn table(&self, most: usize) -> String {
        let keys: Vec<&String> = self.runs.iter().flat_map(|run| run.values.keys()).collect();
        let mut keys: Vec<&String> = keys;
        keys.sort();
        keys.dedup();
        let mut rows =
            vec![Vec::from(["".to_owned(), "short".to_owned(), "middle".to_owned(), "full".to_owned()])];
        rows[0].extend(keys.iter().map(|key| (*key).clone()));
        for run in self.longest().into_iter().take(most) {
            let name =
                if run.configuration == 0 { "as given".to_owned() } else { format!("{}", run.configuration) };
            let mut row = vec![name];
            row.extend((0..RUNGS).map(
                |rung| match self.run(Place { configuration: run.configuration, rung }) {
                    None => String::new(),
                    Some(Run { nll: Some(nll), .. }) => format!("{nll:.3}"),
                    Some(_) => "failed".to_owned(),
                },
            ));
            let value = |key: &&String| run.values.get(*key).map_or("-".to_owned(), ToString::to_string);
            row.extend(keys.iter().map(value));
            rows.push(row);
        }
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        let mut text = String::new();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
            let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        }
        text
    }

    /// What was found, in sentences.
    pub(super) fn words(&self) -> Vec<String> {
        let (configurations, runs) = (self.configurations(), self.runs.len());
        let mut words = vec![format!(
            "{configurations} configurations in {runs} runs of up to {} steps, {:.1} minutes; compared by the NLL of \
             the validation split, in nats per row",
            self.steps,
            self.seconds / 60.0
        )];
        let Some(best) = self.best() else {
            words.push("no run ended with a score; lower the learning rates".to_owned());
            return words;
        };
        let of = |run: &Run| match (run.nll, run.se_rows) {
            (Some(nll), Some(se)) => format!("{nll:.3} ± {se:.3}"),
            (Some(nll), None) => format!("{nll:.3}"),
            (None, _) => "failed".to_owned(),
        };
        words.push(match (best.configuration, self.given(), self.gained()) {
            (0, ..) => format!("no configuration is better than the config as given: {}", of(best)),
            (number, Some(given), Some(gained)) => format!(
                "configuration {number}: {}; the config as given, after as many rows: {}; gained {gained:.3}",
                of(best),
                of(given)
            ),
            (number, Some(_), None) => {
                format!("configuration {number}: {}; the config as given fails", of(best))
            }
            (number, None, _) => format!("configuration {number}: {}", of(best)),
        });
        words
    }

    /// The scores of each configuration at the lengths of its runs; and those of the shortest runs by the first setting
    /// that is drawn from a range, if there is one.
    pub(super) fn charts(&self, key: Option<&str>) -> Vec<Chart> {
        const GIVEN: usize = 6;
        let lines = self.longest().into_iter().rev().map(|longest| {
            let configuration = longest.configuration;
            let of = self.runs.iter().filter(|run| run.configuration == configuration);
            let mut points: Vec<Point> =
                of.filter_map(|run| Some(Point::exact(run.steps as f64, run.nll?))).collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            let is_best = self.best().is_some_and(|best| best.configuration == configuration);
            let (name, colour) = match (configuration, is_best) {
                (0, _) => (Some("as given".to_owned()), GIVEN),
                (_, true) => (Some("best".to_owned()), 1),
                _ => (None, 0),
            };
            Line { name, colour, points }
        });
        let y = |title: &str, x: (String, Scale), lines: Vec<Line>| Chart {
            title: title.to_owned(),
            x,
            y: ("validation NLL, nats".to_owned(), Scale::Linear),
            lines,
        };
        let mut charts = vec![y("runs", ("steps".to_owned(), Scale::Log10), lines.collect())];
        if let Some(key) = key {
            let number =
                |value: &toml::Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
            let mut points: Vec<Point> = self
                .runs
                .iter()
                .filter(|run| run.rung == 0)
                .filter_map(|run| Some(Point::exact(number(run.values.get(key)?)?, run.nll?)))
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            let line = Line { name: Some("shortest runs".to_owned()), colour: 0, points };
            charts.push(y(key, (key.to_owned(), Scale::Log10), vec![line]));
        }
        charts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(configuration: usize, rung: usize, nll: Option<f64>) -> Run {
        let values = Values::from([("optimizer.lr".to_owned(), toml::Value::Float(0.1))]);
        Run { configuration, rung, steps: 3, values, nll, se_rows: None, failed: None, seconds: 1.0 }
    }

    fn search(runs: Vec<Run>) -> Search {
        Search { key: String::new(), space: Vec::new(), seed: 0, steps: 9, seconds: 60.0, runs }
    }

    #[test]
    fn the_best_is_one_of_the_longest_runs_and_its_gain_is_measured_at_the_same_length() {
        let mut runs =
            vec![run(0, 0, Some(3.0)), run(1, 0, Some(2.0)), run(2, 0, Some(1.0)), run(3, 0, None)];
        let first = search(runs.clone());
        assert_eq!((first.best().unwrap().configuration, first.gained()), (2, Some(2.0)));
        runs.extend([run(1, 2, Some(1.5)), run(0, 2, Some(1.75)), run(2, 2, None)]);
        let found = search(runs);
        assert_eq!((found.best().unwrap().configuration, found.gained()), (1, Some(0.25)));
        assert_eq!(found.configurations(), 4);
        let words = found.words().join(" ");
        assert!(words.contains("4 configurations in 7 runs") && words.contains("gained 0.250"), "{words}");
        let table = found.table(2);
        assert_eq!(table.lines().count(), 3);
        assert!(table.lines().nth(1).unwrap().trim_start().starts_with("1 "), "{table}");
        assert!(search(vec![run(0, 0, None)]).words()[1].contains("no run ended with a score"));
    }

    #[test]
    fn a_record_reads_back_as_itself() {
        let found = search(vec![run(0, 0, Some(3.0)), run(1, 0, None)]);
        let read: Search = serde_json::from_value(found.json()).unwrap();
        assert_eq!(read.json(), found.json());
    }
}
