//! From a config to data, model, strategy and optimiser.

use std::path::Path;

use burn::module::ParamGroup;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::Device;
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Key, LatentVariableModel};
use helmholtz_datasets::{Binarization, DataError, DataSet, ImageShape, Plan, SplitName, Values};
use helmholtz_eval::ImportanceSampling;
use helmholtz_train::{Adam, Learn, Pair, Rate, RmsProp, Rule, Schedule, Shape, Stages};
use helmholtz_zoo::{BoxedModel, Support};

use crate::config::{Config, OptimizerConfig};
use crate::error::{OrUser, user};
use crate::memory_limit;

/// The data set of a config.
///
/// # Errors
/// If the id is unknown, its files are missing or wrong, or the model cannot be fitted to its values.
pub fn data(config: &Config, data_dir: Option<&Path>) -> anyhow::Result<DataSet> {
    let data = load(config, data_dir)?;
    for file in data.files.iter().filter(|file| file.original == Some(false)) {
        eprintln!(
            "note: {} is not the original file, though the values of {} are right: it was packed anew, \
             or is damaged outside its values",
            file.path.display(),
            data.protocol()
        );
    }
    for (file, note) in data.files.iter().flat_map(|file| file.notes.iter().map(move |note| (file, note))) {
        if note.doubtful {
            eprintln!("warning: {}: {}", file.path.display(), note.text);
        }
    }
    match config.spec.model.support() {
        Support::Grey => check_grey(config, &data)?,
        Support::Bits => check_bits(config, &data)?,
    }
    Ok(data)
}

/// Loads the set from where the command line says, or where the run found it, or for a run that has moved with its data
/// from the current folder.
fn load(config: &Config, data_dir: Option<&Path>) -> anyhow::Result<DataSet> {
    let id = &config.data.id;
    let folder = data_dir.or(config.run.data_dir.as_deref());
    match helmholtz_datasets::load(id, folder) {
        Err(missing @ DataError::NoFile { .. }) if data_dir.is_none() && folder.is_some() => {
            match helmholtz_datasets::load(id, None) {
                Err(DataError::NoFile { .. }) => {
                    Err(user(format!("{missing}; name another folder with --data-dir")))
                }
                here => here.or_user(),
            }
        }
        loaded => loaded.or_user(),
    }
}

/// Refuses values that are neither 0 nor 1.
fn check_bits(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    let advice = format!(
        "and {} models zeros and ones; choose a binary set (helmholtz data list), or binarize the values first{}",
        config.spec.model.kind(),
        config.spec.model.instead_of_bits()
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
    Ok(())
}

/// Refuses values that are not among the 256 grey levels v / 255.
fn check_grey(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    let (id, kind) = (&config.data.id, config.spec.model.kind());
    if data.binarization == Binarization::Dynamic {
        return Err(user(format!(
            "data.id = {id}: bits are drawn from the grey values of this set, and {kind} models the 256 grey levels \
             v / 255; choose a set of grey values (frey/faces, or your own by file:...), or let {kind} model bits"
        )));
    }
    for name in SplitName::ALL {
        let split = data.split(name);
        let Values::Real(values) = split.values() else { continue };
        // A file of single precision has its levels within 1e-5 of a whole number of 255ths.
        let is_level = |value: f32| (value * 255.0 - (value * 255.0).round()).abs() < 1e-3;
        if let Some(place) = values.iter().position(|value| !is_level(*value)) {
            return Err(user(format!(
                "data.id = {id}: row {} of its {name} split has {} in column {}, which is no multiple of 1/255; \
                 {kind} models the 256 grey levels v / 255",
                place / split.width() + 1,
                values[place],
                place % split.width() + 1
            )));
        }
    }
    Ok(())
}

/// The model of a config, freshly initialised for its data.
///
/// # Errors
/// If its sizes make no model.
pub fn model(config: &Config, data: &DataSet, device: &Device) -> anyhow::Result<BoxedModel> {
    model_for(config, data.shape, Some(&data.train.mean()), device)
}

/// The model of a config for rows of a shape. Without the mean of the training rows its biases are not those that a
/// training begins with: it is for weights to be read into.
///
/// # Errors
/// If its sizes make no model.
pub(crate) fn model_for(
    config: &Config,
    shape: ImageShape,
    mean: Option<&[f64]>,
    device: &Device,
) -> anyhow::Result<BoxedModel> {
    memory_limit::check_model(config, shape.pixels(), device)?;
    config.spec.model.init(shape, mean, Key::new(config.seed), device).or_user()
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

/// The model under the strategies of a config, with the evaluator of its validation split.
///
/// # Errors
/// If the strategy's settings make no estimator.
pub fn learn(config: &Config, model: BoxedModel, plan: &Plan) -> anyhow::Result<Boxed<dyn Learn>> {
    let strategies = config.spec.strategies(model.observed(), config.seed, &model.device()).or_user()?;
    let stages = Stages::new(stage_ends(config, plan).into_iter().zip(strategies).collect());
    let evaluator =
        ImportanceSampling::new(config.train.valid_samples).with_reading(config.spec.model.reading());
    let average = Some(config.optimizer.average).filter(|decay| *decay > 0.0);
    Ok(Pair::of(model, stages, average, evaluator))
}

/// The optimiser of a config, whose keys are written out. Learning rates come from the [`schedule()`].
pub fn optimiser(config: &Config) -> ModuleOptimizer {
    let OptimizerConfig { momentum, beta1, beta2, decay, epsilon, .. } = &config.optimizer;
    let epsilon = epsilon.unwrap_or_default() as f32;
    match config.optimizer.kind.as_str() {
        "adam" => {
            Adam::new(beta1.unwrap_or_default() as f32, beta2.unwrap_or_default() as f32, epsilon).init()
        }
        "sgd" => {
            let momentum = (*momentum > 0.0).then_some(MomentumConfig {
                momentum: *momentum,
                dampening: 0.0,
                nesterov: false,
            });
            SgdConfig::new().with_momentum(momentum).init()
        }
        _ => RmsProp::new(decay.unwrap_or_default() as f32, epsilon, *momentum as f32).init(),
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
