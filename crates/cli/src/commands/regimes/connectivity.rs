//! `helmholtz regimes connectivity`: an energy that learns its edges along with its connections.
//!
//! The method is in `helmholtz_strategies::connectivity`.

use std::fmt::Write;
use std::process::ExitCode;

use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use helmholtz_core::{Batch, Key, Role, Strategy};
use helmholtz_datasets::{Binarization, DataSet, Feed, SplitName};
use helmholtz_eval::{Annealing, Schedule};
use helmholtz_zoo::can::EXACT_UNITS;
use helmholtz_zoo::{Base, BoxedModel, TrainingRows};
use serde_json::{Value, json};

use super::figure::{Files, level, line};
use super::shared::{bar, config_of, energy_of, spaced};
use crate::args::ConnectivityArgs;
use crate::chart::{Chart, Scale};
use crate::commands::log_z::log_probs;
use crate::config::{Config, count};
use crate::error::{OrUser, user};
use crate::threads::use_threads;
use crate::{assemble, memory_limit};

const BUILT_IN: &str = include_str!("../../../../../configs/regimes-connectivity.toml");

/// Records in each power of ten of the steps.
const A_DECADE: u32 = 8;
/// Chains of annealing.
const CHAINS: usize = 100;

/// Trains, records and writes the figure.
///
/// # Errors
/// If the config makes no sense, training fails, or a file cannot be written.
pub(super) fn run(args: &ConnectivityArgs) -> anyhow::Result<ExitCode> {
    let files = Files::named(&args.out)?;
    let split: SplitName = args.split.parse().or_user()?;
    if !(0.0..=1.0).contains(&args.share) {
        return Err(user(format!("--share {}: a probability is from 0 to 1", args.share)));
    }
    let temperatures = count("--temperatures", args.temperatures)?;
    if temperatures == 0 {
        return Err(user("--temperatures 0: must be at least 1"));
    }
    let config = config_of(&args.training, BUILT_IN)?;
    use_threads(args.training.threads)?;
    let data = assemble::data(&config, args.training.data_dir.as_deref())?;
    let device = crate::device::select(&config.run.device)?;
    memory_limit::check_training(&config, &data, &device)?;
    let scored = Scored::of(&data, split, temperatures, &device);
    let key = Key::new(config.seed);
    let initial = assemble::model(&config, &data, &device)?;
    energy_of(&initial, &config, "connectivity")?;
    check_plain(&config)?;
    let connected = initial.connected().ok_or_else(|| {
        user(format!(
            "the model is {}, and `regimes connectivity` needs one whose connections are given one by one, without \
             model.classes",
            config.spec.model.kind()
        ))
    })?;
    let (values, mut connectivity) = connected.disconnected(args.share, key.child(Role::Init));
    let mut model = initial.clone().with_values(values);
    let strategy = config.spec.strategies(&model, config.seed).or_user()?.swap_remove(0);
    let plan = assemble::plan(&config, &data);
    let feed = Feed::new(assemble::batch(&config, &data, SplitName::Train, &device)?, plan, key, 0);
    let feed = if data.binarization == Binarization::Dynamic { feed.drawing_bits(key) } else { feed };
    let mut records = vec![Record::new(0, scored.nll(&model, &config)?, connectivity.share())];
    let mut due = spaced(plan.steps, A_DECADE).into_iter().peekable();
    let bar = bar(plan.steps, "steps")?;
    while due.peek().is_some() {
        for share in DataLoader::iter(&feed) {
            let batch = share.map_err(|error| anyhow::anyhow!("{error}"))?.batch;
            let step = batch.step;
            let estimate = strategy.estimate(&model, &batch, key.child(step));
            let connected = model.connected().expect("it was made from such a model");
            let values;
            (values, connectivity) =
                connected.reconnected(&connectivity, &estimate.gradients, config.optimizer.lr);
            model = model.with_values(values);
            if due.next_if_eq(&(step + 1)).is_some() {
                records.push(Record::new(step + 1, scored.nll(&model, &config)?, connectivity.share()));
                bar.set_position(step + 1);
            }
        }
    }
    bar.finish_and_clear();
    let found = Found { records, floor: scored.floor, per_epoch: plan.steps_per_epoch() };
    let mut json = json!({
        "protocol": data.protocol(),
        "model": config.spec.model.in_words(data.shape.pixels()),
        "strategy": config.spec.strategy.in_words(),
        "split": scored.split.map(|split| split.to_string()),
        "seed": config.seed,
        "steps": plan.steps,
        "floor": found.floor,
        "best": found.json(found.best()),
        "records": found.records.iter().map(|record| found.json(record)).collect::<Vec<_>>(),
    });
    files.write(&found.charts(), &mut json, (args.json, &found.words()))?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses what plain descent does not do.
fn check_plain(config: &Config) -> anyhow::Result<()> {
    let optimizer = &config.optimizer;
    if optimizer.kind != "sgd" {
        return Err(user(format!(
            "optimizer.kind = \"{}\": connections and strengths take plain steps here; set optimizer.kind = \"sgd\"",
            optimizer.kind
        )));
    }
    let set = [
        ("optimizer.momentum", optimizer.momentum > 0.0),
        ("optimizer.average", optimizer.average > 0.0),
        ("optimizer.weight_decay", optimizer.weight_decay > 0.0),
        ("optimizer.l1", optimizer.l1 > 0.0),
        ("optimizer.clip_norm", optimizer.clip_norm > 0.0),
        ("optimizer.schedule", optimizer.schedule != "constant"),
        ("optimizer.loss", optimizer.loss != "mean"),
        ("optimizer.lr_p", !optimizer.rates.is_empty()),
        ("[[stage]]", !config.stage.is_empty()),
    ];
    match set.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((key, _)) => Err(user(format!(
            "{key}: connections and strengths take plain steps at one rate here; leave it out"
        ))),
    }
}

/// What the NLL is a mean over.
struct Scored<'a> {
    data: &'a DataSet,
    /// Not set if it is the exact distribution.
    split: Option<SplitName>,
    rows: Batch,
    /// The weight of each row, in place of equal ones.
    weights: Option<&'a [f64]>,
    /// The entropy of the exact distribution: no NLL is lower.
    floor: Option<f64>,
    temperatures: usize,
}

impl<'a> Scored<'a> {
    fn of(data: &'a DataSet, split: SplitName, temperatures: usize, device: &Device) -> Self {
        match &data.law {
            Some(law) => Scored {
                data,
                split: None,
                rows: law.patterns().batch(device),
                weights: Some(law.probabilities()),
                floor: Some(law.entropy()),
                temperatures,
            },
            None => Scored {
                data,
                split: Some(split),
                rows: data.fixed(split).batch(device),
                weights: None,
                floor: None,
                temperatures,
            },
        }
    }

    /// The mean NLL in nats, with the standard error that annealing adds.
    fn nll(&self, model: &BoxedModel, config: &Config) -> anyhow::Result<[f64; 2]> {
        let energy = energy_of(model, config, "connectivity")?;
        let [log_z, error] = if energy.enumerated_units() <= EXACT_UNITS {
            [energy.log_partition().or_user()?, 0.0]
        } else {
            let by = Annealing { chains: CHAINS, schedule: Schedule::linear(self.temperatures) };
            let rows = TrainingRows::of(&self.data.train);
            let key = Key::new(config.seed).child(Role::Partition);
            let found = energy.anneal(&by, &Base::Data(&rows), key, &mut |_| {});
            [found.log_z, found.se]
        };
        let log_probs = log_probs(energy, &self.rows, log_z);
        let mean: f64 = match self.weights {
            Some(weights) => log_probs.iter().zip(weights).map(|(log_prob, weight)| weight * log_prob).sum(),
            None => log_probs.iter().sum::<f64>() / log_probs.len() as f64,
        };
        if !mean.is_finite() {
            anyhow::bail!("the NLL is {}; use a lower learning rate", -mean);
        }
        Ok([-mean, error])
    }
}

/// A machine after so many steps.
struct Record {
    step: u64,
    nll: f64,
    /// The standard error that an annealed log Z adds.
    se: f64,
    /// Pairs with an edge, as a share.
    share: f64,
}

impl Record {
    fn new(step: u64, [nll, se]: [f64; 2], share: f64) -> Self {
        Record { step, nll, se, share }
    }
}

/// What was found.
struct Found {
    records: Vec<Record>,
    floor: Option<f64>,
    per_epoch: u64,
}

impl Found {
    fn best(&self) -> &Record {
        self.records.iter().min_by(|a, b| a.nll.total_cmp(&b.nll)).expect("there is a record at least")
    }

    fn epoch(&self, record: &Record) -> f64 {
        record.step as f64 / self.per_epoch as f64
    }

    fn json(&self, record: &Record) -> Value {
        json!({
            "step": record.step,
            "epoch": self.epoch(record),
            "nll": record.nll,
            "log_z_se": record.se,
            "share": record.share,
        })
    }

    fn words(&self) -> String {
        let mut text = format!("{:>9}  {:>10}  {:>10}  {:>8}\n", "steps", "epochs", "NLL, nats", "edges");
        let (best, last) = (self.best().step, self.records.last().map(|record| record.step));
        let shown = |record: &&Record| {
            let is_power =
                record.step == 0 || record.step.checked_ilog10().is_some_and(|n| 10u64.pow(n) == record.step);
            is_power || record.step == best || Some(record.step) == last
        };
        for record in self.records.iter().filter(shown) {
            let note = if record.step == best { "  lowest NLL" } else { "" };
            let error = if record.se > 0.0 { format!(" ±{:.2}", record.se) } else { String::new() };
            let _ = writeln!(
                text,
                "{:>9}  {:>10.3}  {:>10.4}{error}  {:>6.1} %{note}",
                record.step,
                self.epoch(record),
                record.nll,
                100.0 * record.share
            );
        }
        if let Some(floor) = self.floor {
            let _ = writeln!(text, "{:>9}  {:>10}  {floor:>10.4}", "floor", "");
        }
        text
    }

    fn charts(&self) -> Vec<Chart> {
        let of = |y: fn(&Record) -> f64| -> Vec<(f64, f64)> {
            let trained = self.records.iter().filter(|record| record.step > 0);
            trained.map(|record| (self.epoch(record), y(record))).collect()
        };
        let nll = of(|record| record.nll);
        let ends = [nll.first(), nll.last()].map(|point| point.map_or(1.0, |(epoch, _)| *epoch));
        let mut lines = vec![line("NLL", 0, nll)];
        lines.extend(self.floor.map(|floor| level("floor", floor, ends)));
        let chart = |title: &str, y: &str, lines| Chart {
            title: title.into(),
            x: ("epochs".into(), Scale::Log10),
            y: (y.into(), Scale::Linear),
            lines,
        };
        vec![
            chart("likelihood", "NLL, nats", lines),
            chart("edges", "share of all pairs", vec![line("share", 1, of(|record| record.share))]),
        ]
    }
}
