//! From a config to data, model, strategy and optimiser.

use std::path::Path;

use burn::module::{Module, ParamGroup};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, ModuleOptimizer, RmsPropConfig, SgdConfig};
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Estimate, Key, LatentVariableModel, Measure, Role, Strategy};
use helmholtz_datasets::{Binarization, DataSet, Plan, SplitName};
use helmholtz_directed::{HelmholtzMachine, Kind, StackConfig};
use helmholtz_layers::{InitialWeights, Order};
use helmholtz_strategies::{Bidirectional, ReweightedWakeSleep, WakeSleep};
use helmholtz_train::{Rate, Rule, Schedule, Shape, Stages};

use crate::config::{Config, ModelConfig, OptimizerConfig};
use crate::error::{OrUser, user};

/// Any strategy that a config can name.
#[derive(Module, Debug)]
pub enum AnyStrategy {
    /// `ws`
    WakeSleep(WakeSleep),
    /// `rws`
    ReweightedWakeSleep(ReweightedWakeSleep),
    /// `bihm`
    Bidirectional(Bidirectional),
}

impl<M: LatentVariableModel> Strategy<M> for AnyStrategy {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        match self {
            AnyStrategy::WakeSleep(strategy) => strategy.estimate(model, x, key),
            AnyStrategy::ReweightedWakeSleep(strategy) => strategy.estimate(model, x, key),
            AnyStrategy::Bidirectional(strategy) => strategy.estimate(model, x, key),
        }
    }

    fn measures(&self) -> &[Measure] {
        match self {
            AnyStrategy::WakeSleep(strategy) => Strategy::<M>::measures(strategy),
            AnyStrategy::ReweightedWakeSleep(strategy) => Strategy::<M>::measures(strategy),
            AnyStrategy::Bidirectional(strategy) => Strategy::<M>::measures(strategy),
        }
    }
}

/// The data set of a config.
///
/// # Errors
/// If the id is unknown, its files are missing or wrong, or the model cannot be fitted to its values.
pub fn data(config: &Config, data_dir: Option<&Path>) -> anyhow::Result<DataSet> {
    let data =
        helmholtz_datasets::load(&config.data.id, data_dir.or(config.run.data_dir.as_deref())).or_user()?;
    for file in data.files.iter().filter(|file| file.original == Some(false)) {
        eprintln!(
            "note: {} is not the original file, though the values of {} are right: it was packed anew, \
             or is damaged outside its values",
            file.path.display(),
            data.protocol()
        );
    }
    let advice = format!(
        "and {} models zeros and ones; choose a binary set (helmholtz data list), or binarize the values first",
        config.model.kind
    );
    if let Some((file, (row, column, value))) =
        data.files.iter().find_map(|file| Some((file, file.intensity?)))
    {
        let path = file.path.display();
        return Err(user(format!("{path}: row {row}, column {column}: found {value}, {advice}")));
    }
    let drawn = |name: &SplitName| data.binarization == Binarization::Dynamic && *name == SplitName::Train;
    for name in SplitName::ALL.into_iter().filter(|name| !drawn(name)) {
        if let Some((row, column, value)) = data.split(name).first_not_binary() {
            return Err(user(format!(
                "data.id = {}: row {} of its {name} split has {value} in column {}, {advice}",
                config.data.id,
                row + 1,
                column + 1
            )));
        }
    }
    Ok(data)
}

/// The model of a config, freshly initialised.
///
/// # Errors
/// If its sizes make no model.
pub fn model(config: &Config, data: &DataSet, device: &Device) -> anyhow::Result<HelmholtzMachine> {
    let ModelConfig { layers, hidden, bias, bias_from_data, centre, .. } = &config.model;
    let weights = match config.model.weights.as_str() {
        "glorot" => InitialWeights::Glorot,
        _ => InitialWeights::GlorotOverFanIn,
    };
    let width = data.train.width();
    let order = match config.model.order.as_deref() {
        Some("random") => {
            let seed = config.model.order_seed.unwrap_or_default();
            Order::random(width, Key::new(seed).child(Role::Units))
        }
        _ => Order::index(),
    };
    let kinds = |names: Vec<String>| {
        let kind = |name: &String| Kind::named(name).ok_or_else(|| user(format!("{name}: unknown layer")));
        names.iter().map(kind).collect::<anyhow::Result<Vec<Kind>>>()
    };
    let [generative, recognition] = config.model.layer_kinds();
    let stack = StackConfig {
        generative: kinds(generative)?,
        recognition: kinds(recognition)?,
        hidden: *hidden,
        tanh: config.model.activation.as_deref() == Some("tanh"),
        order,
        weights,
        bias: *bias,
        bias_from_data: *bias_from_data,
        centre: *centre,
        ..StackConfig::new(width, layers.clone())
    };
    stack.init(Some(&data.train.mean()), Key::new(config.seed), device).or_user()
}

/// Rows, batch and steps of the run of a config, all its stages together.
pub fn plan(config: &Config, data: &DataSet) -> Plan {
    let (rows, batch) = (data.train.rows(), config.train.batch);
    match config.train.steps {
        Some(steps) => Plan { rows, batch, steps },
        None => {
            let later: u64 = config.stage.iter().map(|stage| stage.epochs).sum();
            Plan::of_epochs(rows, batch, config.train.epochs.unwrap_or_default().saturating_add(later))
        }
    }
}

/// The step that each stage ends before; the first stage is that of `[train]`.
fn stage_ends(config: &Config, plan: &Plan) -> Vec<u64> {
    let Some(epochs) = config.train.epochs else { return vec![plan.steps] };
    let later = config.stage.iter().map(|stage| stage.epochs);
    std::iter::once(epochs)
        .chain(later)
        .scan(0u64, |epoch, epochs| {
            *epoch = epoch.saturating_add(epochs);
            Some(epoch.saturating_mul(plan.steps_per_epoch()))
        })
        .collect()
}

/// The strategy of each stage of a config.
///
/// # Errors
/// If its settings make no estimator.
pub fn strategies(config: &Config, plan: &Plan) -> anyhow::Result<Stages<AnyStrategy>> {
    let mut samples = config.strategy.samples.unwrap_or_default();
    let mut stages = vec![strategy(config, samples)?];
    for stage in &config.stage {
        samples = stage.samples.unwrap_or(samples);
        stages.push(strategy(config, samples)?);
    }
    Ok(Stages::new(stage_ends(config, plan).into_iter().zip(stages).collect()))
}

/// The strategy of a config, with `samples` per observation.
fn strategy(config: &Config, samples: usize) -> anyhow::Result<AnyStrategy> {
    let settings = &config.strategy;
    if samples == 0 {
        return Err(user("strategy.samples = 0: at least one sample per observation (K >= 1)"));
    }
    let control_variate = settings.control_variate.unwrap_or_default();
    if settings.kind == "ws" {
        if control_variate || settings.defence != 0.0 {
            return Err(user(
                "strategy.control_variate and strategy.defence belong to rws; ws has no weights",
            ));
        }
        return Ok(AnyStrategy::WakeSleep(WakeSleep::new(samples)));
    }
    if settings.kind == "bihm" {
        if settings.phi != "wake" || settings.defence != 0.0 {
            return Err(user(
                "strategy.phi and strategy.defence belong to rws; bihm has neither a sleep phase nor a mixture",
            ));
        }
        let strategy = Bidirectional { samples, control_variate }.checked();
        return Ok(AnyStrategy::Bidirectional(strategy.map_err(|error| user(format!("strategy: {error}")))?));
    }
    let (wake_phi, sleep_phi) = match settings.phi.as_str() {
        "wake" => (1.0, 0.0),
        "sleep" => (0.0, 1.0),
        _ => (0.5, 0.5),
    };
    let strategy =
        ReweightedWakeSleep { samples, wake_phi, sleep_phi, control_variate, defence: settings.defence };
    Ok(AnyStrategy::ReweightedWakeSleep(
        strategy.checked().map_err(|error| user(format!("strategy: {error}")))?,
    ))
}

/// The optimiser of a config. Learning rates come from the [`schedule()`].
pub fn optimiser(config: &Config) -> ModuleOptimizer {
    match config.optimizer.kind.as_str() {
        // Burn's default epsilon of 1e-5 is not small against the gradients of a batch mean.
        "adam" => AdamConfig::new().with_epsilon(1e-8).init(),
        "sgd" => {
            let momentum = config.optimizer.momentum;
            let momentum =
                (momentum > 0.0).then_some(MomentumConfig { momentum, dampening: 0.0, nesterov: false });
            SgdConfig::new().with_momentum(momentum).init()
        }
        _ => RmsPropConfig::new().init(),
    }
}

/// What happens to gradients before the optimiser sees them.
pub fn rule(config: &Config) -> Rule {
    let OptimizerConfig { loss, weight_decay, l1, clip_norm, .. } = &config.optimizer;
    let clip_norm = (*clip_norm > 0.0).then_some(*clip_norm);
    Rule { sum: loss == "sum", weight_decay: *weight_decay, l1: *l1, clip_norm }
}

/// The learning rates of a config: one for the generative net, one for the recognition net.
pub fn schedule(config: &Config, plan: &Plan) -> ModuleLrScheduler {
    let shape = |name: &str| match name {
        "linear" => Shape::Linear,
        "cosine" => Shape::Cosine,
        _ => Shape::Constant,
    };
    let OptimizerConfig { lr, lr_q, schedule, lr_end, .. } = &config.optimizer;
    let rate =
        |start: f64, schedule: &str, end: f64| Rate { start, end: start * end, shape: shape(schedule) };
    let (mut lr, mut lr_q) = (*lr, lr_q.unwrap_or(*lr));
    let mut rates = vec![[rate(lr, schedule, *lr_end), rate(lr_q, schedule, *lr_end)]];
    for stage in &config.stage {
        lr_q = stage.lr_q.or(stage.lr).unwrap_or(lr_q);
        lr = stage.lr.unwrap_or(lr);
        let (schedule, end) = (stage.schedule.as_deref().unwrap_or("constant"), stage.lr_end.unwrap_or(0.0));
        rates.push([rate(lr, schedule, end), rate(lr_q, schedule, end)]);
    }
    let ends = stage_ends(config, plan);
    let of =
        |net: usize| Schedule::new(ends.iter().copied().zip(rates.iter().map(|rates| rates[net])).collect());
    ModuleLrScheduler::new(of(0)).with_group(ParamGroup::from_predicate("recognition"), of(1))
}
