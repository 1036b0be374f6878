//! The results of a finished run: its likelihoods, its report, and what is printed last.

use std::collections::BTreeMap;

use helmholtz_core::Score;
use helmholtz_datasets::{DataSet, Plan, SplitName};
use helmholtz_eval::{ImportanceSampling, LogPartition, NllSummary, PartitionFunction, Reading};
use helmholtz_train::{End, History, Outcome};
use helmholtz_zoo::BoxedModel;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::log_z::{self, OfEnergy};
use super::sample;
use super::score::{Sampled, Scores, chosen_rows, is_closed_form, partition};
use super::test_rows::TestRows;
use crate::args::TrainArgs;
use crate::config::Config;
use crate::console::say;
use crate::output::Output;
use crate::picture;
use crate::report::{self, RunReport};
use crate::run_folder::RunFolder;

/// How precisely a finished run estimates 2 log Z of a bidirectional machine for the likelihoods that it reports.
const FINAL_PARTITION: PartitionFunction = PartitionFunction { error: 0.02, most: 200_000 };

/// The likelihoods of a finished run, for programs.
pub(super) const RESULTS: &str = "results.json";

const HINT: &str = "; `helmholtz evaluate` takes more draws";

/// The likelihoods that a finished run reports.
pub(super) struct Results {
    pub(super) valid: NllSummary,
    /// `None` if the test split is left alone.
    pub(super) test: Option<NllSummary>,
    k: usize,
    /// Whether they come from a formula, without sampling.
    is_exact: bool,
    /// The score that the best epoch was chosen by.
    chosen_by: Score,
    /// Whether they are likelihoods of rows given their labels.
    is_conditional: bool,
    /// Among how many configurations this one was chosen, if it was.
    tried: Option<u64>,
    /// 2 log Z, for a bidirectional machine.
    log_z2: Option<LogPartition>,
    /// log Z, for a model that is given by an energy.
    energy: Option<OfEnergy>,
    /// Set if the test split is scored.
    pub(super) test_rows: Option<TestRows>,
}

impl Results {
    pub(super) fn new(
        model: &BoxedModel,
        data: &DataSet,
        config: &Config,
        test_rows: Option<TestRows>,
    ) -> anyhow::Result<Self> {
        let k = config.train.final_samples;
        let log_z2 = match config.spec.model.reading() {
            Reading::Directed => None,
            Reading::Bidirectional => Some(partition(model, &FINAL_PARTITION, (0, HINT), |_, _| {})?),
        };
        let energy = match model.unnormalised() {
            None => None,
            Some(energy) if is_closed_form(model) => Some(log_z::exact(energy)?),
            Some(energy) => {
                Some(log_z::annealed(energy, data, (&log_z::Asked::usual(), 0), &ProgressBar::hidden()))
            }
        };
        let score = |split: SplitName| -> anyhow::Result<NllSummary> {
            let rows: Vec<usize> = (0..data.split(split).rows()).collect();
            let sampled = Sampled { model, data, split, rows: &rows, seed: 0 };
            if let (Some(energy), Some(found)) = (model.unnormalised(), &energy) {
                return Ok(Scores::of_energy(sampled, energy, found.clone())?.summary);
            }
            if model.formula().is_some() {
                return Ok(Scores::exact(sampled, Reading::Directed)?.summary);
            }
            let weights = sampled.weigh(&ImportanceSampling::new(k), |_| {})?;
            Ok(Scores::of_weights(&weights, log_z2).summary)
        };
        let is_exact = is_closed_form(model);
        let k = if is_exact { 1 } else { k };
        let chosen_by = config.spec.model.score();
        Ok(Results {
            chosen_by,
            tried: config.tried,
            is_exact,
            is_conditional: model.is_conditional(),
            valid: score(SplitName::Valid)?,
            test: test_rows.map(|_| score(SplitName::Test)).transpose()?,
            k,
            log_z2,
            energy,
            test_rows,
        })
    }

    /// What the reported numbers are: the NLL of p, of p given the label, of p*, or an upper bound on the NLL of p*.
    fn of(&self) -> &'static str {
        match &self.log_z2 {
            None if self.is_conditional => "NLL given the label",
            None => "NLL",
            Some(z) if z.is_known() => "NLL of p*",
            Some(_) => "NLL of p* <=",
        }
    }

    /// Both splits with their estimates, for programs.
    fn json(&self) -> Value {
        let split = |s: &NllSummary| -> Value {
            json!({"nll": s.nll, "se_rows": s.se_rows, "se_mc": s.se_mc, "bias_mc": s.bias_mc, "k": self.k, "n": s.n})
        };
        let mut json = json!({"valid": split(&self.valid), "test": self.test.as_ref().map(split)});
        TestRows::put(self.test_rows.as_ref(), &mut json);
        if let Some(tried) = self.tried {
            json["tried"] = json!(tried);
        }
        if self.is_conditional {
            json["nll_is_conditional"] = json!(true);
        }
        if let Some(z) = &self.log_z2 {
            json["nll_is_bound"] = json!(!z.is_known());
            json["log_z2"] = json!(z.is_known().then_some(z.log_z2));
            json["log_z2_se"] = json!(z.se());
        }
        if let Some(energy) = &self.energy {
            energy.put_log_z(&mut json);
        }
        json
    }

    /// Writes `results.json`, the sheets of samples and of data, and `report.html`.
    pub(super) fn write_report(
        &self,
        folder: &RunFolder,
        (model, epoch): (&BoxedModel, usize),
        (config, data): (&Config, &DataSet),
        history: &History,
        remarks: &[String],
    ) -> anyhow::Result<()> {
        let epochs = history.last().map_or(0, |(last, _)| last);
        let mut scored = json!({"of": self.of(), "epochs": epochs, "epoch": epoch});
        put_all(&mut scored, self.json());
        folder.write(RESULTS, |file| writeln!(file, "{scored:#}"))?;
        let pixels = sample::ancestral(model, 100, config.seed, false)?;
        let write_sheet = |name: &str, values: &[f32]| {
            let sheet = Output::inside(&folder.path().join("samples"), name);
            sample::write(&sheet, data.shape, data.train.width(), values, Some(picture::scale(data.shape)))
        };
        write_sheet("samples.png", &pixels)?;
        let (shown, caption) = match self.test {
            Some(_) => (SplitName::Test, "Rows of the test data"),
            None => (SplitName::Valid, "Rows of the validation data"),
        };
        write_sheet("data.png", &shown_data(data, shown))?;
        let page = report::render(&RunReport {
            config,
            data,
            history,
            of: self.of(),
            results: &self.rows(),
            remarks,
            epoch,
            provenance: &folder.provenance()?.unwrap_or_default(),
            seconds: trained_seconds(folder),
            pictures: &[("samples/samples.png", kind_of_samples(model)), ("samples/data.png", caption)],
        })?;
        folder.write("report.html", |file| file.write_all(page.as_bytes()))
    }

    fn rows(&self) -> Vec<(&'static str, NllSummary, usize)> {
        let test = self.test.map(|test| ("test", test, self.k));
        std::iter::once(("valid", self.valid, self.k)).chain(test).collect()
    }
}

pub(super) fn finish(
    args: &TrainArgs,
    folder: &RunFolder,
    outcome: &Outcome,
    (results, epoch, remarks): (&Results, usize, &[String]),
    seconds: f64,
    (plan, first_step): (Plan, u64),
) {
    let examples = (plan.rows_by(outcome.steps) - plan.rows_by(first_step)) as f64;
    let (best, _) = outcome.history.best().unwrap_or_default();
    if args.json {
        let mut json = json!({
            "run": folder.path().display().to_string(), "steps": outcome.steps,
            "epochs": outcome.history.last().map_or(0, |(epoch, _)| epoch), "best_epoch": best, "epoch": epoch,
            "train_seconds": seconds, "examples_per_second": examples / seconds,
        });
        put_all(&mut json, results.json());
        say!("{json}");
        return;
    }
    let why = if outcome.end == End::OutOfPatience { ", stopped early (train.patience)" } else { "" };
    let by = match (results.chosen_by, outcome.history.best()) {
        (Score::NLL, _) | (_, None) => String::new(),
        (score, Some((_, value))) => format!(" by the validation {}, {value:.3} {}", score.title, score.unit),
    };
    let scored =
        if epoch == best { String::new() } else { format!("; the scores below are of epoch {epoch}") };
    say!(
        "{} steps in {seconds:.1} s ({:.0} examples a second){why}; best epoch {best}{by}{scored}",
        outcome.steps,
        examples / seconds
    );
    for (name, s, k) in results.rows() {
        let how = match &results.energy {
            _ if results.is_exact => "exact".to_owned(),
            Some(energy) => energy.in_words(),
            None => format!("K = {k}"),
        };
        let rows = match s.se_rows {
            Some(se) => format!("± {se:.3} nats ({how}, {} rows)", s.n),
            None => format!("nats ({how}; one row: no spread)"),
        };
        say!("  {name:<5} {} {:.3} {rows}", results.of(), s.nll);
    }
    if let Some(tried) = results.tried {
        say!("  chosen by validation among {tried} configurations");
    }
    for remark in remarks {
        say!("  note: {remark}");
    }
    say!("  {}", folder.path().join("report.html").display());
}

/// What the sheet of samples shows.
fn kind_of_samples(model: &BoxedModel) -> &'static str {
    match model.unnormalised() {
        Some(_) => "Samples of the model: chains from noise",
        None => "Ancestral samples of the model",
    }
}

/// Adds the keys of `more` to the object `json`.
fn put_all(json: &mut Value, more: Value) {
    if let (Value::Object(json), Value::Object(more)) = (json, more) {
        json.extend(more);
    }
}

/// Rows to show beside samples; zeros take the place of missing values.
fn shown_data(data: &DataSet, split: SplitName) -> Vec<f32> {
    let rows = chosen_rows(data, split, Some(100));
    let split = data.fixed(split).select(&rows);
    let values = (0..split.rows()).flat_map(|row| split.row(row));
    values.map(|value| if value.is_finite() { value } else { 0.0 }).collect()
}

/// Seconds of training and validation of all sessions of the run, if they were recorded.
fn trained_seconds(folder: &RunFolder) -> Option<f64> {
    seconds_by_epoch(folder).into_values().reduce(f64::max)
}

/// Each epoch with the seconds of training and validation of all sessions up to its end, by `timing.jsonl`. An epoch
/// that was trained twice, because the run was stopped before its checkpoint, counts twice and is listed once.
pub(super) fn seconds_by_epoch(folder: &RunFolder) -> BTreeMap<u64, f64> {
    let text = std::fs::read_to_string(folder.path().join("timing.jsonl")).unwrap_or_default();
    let (mut total, mut found) = (0.0, BTreeMap::new());
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if let (Some(epoch), Some(seconds)) = (line["epoch"].as_u64(), line["seconds"].as_f64()) {
            total += seconds;
            found.insert(epoch, total);
        }
    }
    found
}
