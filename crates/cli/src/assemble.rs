//! Makes the data, model, strategy and optimiser of a config.

use std::path::Path;

use burn::module::ParamGroup;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::Device;
use helmholtz_core::erased::Boxed;
use helmholtz_core::{Batch, Key};
use helmholtz_datasets::{Binarization, DataError, DataSet, ImageShape, Plan, SplitName, Values};
use helmholtz_train::{Adam, Learn, Pair, Rate, RmsProp, Rule, Schedule, Shape, Stages};
use helmholtz_zoo::{BoxedModel, Support, TrainingRows};

use crate::config::{Config, OptimizerConfig, Rates, rate_keys};
use crate::error::{OrUser, user};
use crate::memory_limit;

/// The data set of a config.
///
/// # Errors
/// If the id is unknown, its files are missing or wrong, or the model cannot be fitted to its values.
pub fn data(config: &Config, data_dir: Option<&Path>) -> anyhow::Result<DataSet> {
    let data = load(config, data_dir)?;
    check_values(config, &data)?;
    check_classes(config, &data)?;
    Ok(data)
}

/// Rows of another data set, `id`, for a model of the config. They may have no labels.
///
/// # Errors
/// If they cannot be read, or have values that the model does not allow.
pub(crate) fn rows(config: &Config, id: &str) -> anyhow::Result<DataSet> {
    let mut config = config.clone();
    config.data.id = id.to_owned();
    let data = load(&config, None)?;
    check_values(&config, &data)?;
    Ok(data)
}

/// Reports anything unusual about the files, and refuses values that the model does not allow.
fn check_values(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    for file in data.files.iter().filter(|file| file.original == Some(false)) {
        eprintln!(
            "note: {} is not the original file, although the values of {} are right: it was packed again, \
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
    check_missing(config, data)?;
    match config.spec.model.support() {
        Support::Grey => check_grey(config, data),
        Support::Bits => check_bits(config, data),
        // No value of a data set is infinite or no number.
        Support::Real => Ok(()),
        Support::NotNegative => {
            let negative = |row: &[f32]| row.iter().position(|value| *value < 0.0);
            check_rows(config, data, negative, "but {kind} models numbers that are not negative")
        }
        Support::Between(low, high) => {
            let outside =
                |row: &[f32]| row.iter().position(|value| !(low..=high).contains(&f64::from(*value)));
            let wanted = format!(
                "but {{kind}} models numbers from {low} to {high}; set model.low and model.high so that all values lie \
                 between them"
            );
            check_rows(config, data, outside, &wanted)
        }
        Support::Categories(k) if !data.shape.pixels().is_multiple_of(k) => Err(user(format!(
            "data.id = {}: its {} columns are not a whole number of units with model.categories = {k} columns each; \
             set model.categories to the number of columns of each unit",
            config.data.id,
            data.shape.pixels()
        ))),
        Support::Categories(k) => {
            let no_site = |row: &[f32]| {
                let is_site = |site: &[f32]| {
                    site.iter().all(|value| [0.0, 1.0].contains(value)) && site.iter().sum::<f32>() == 1.0
                };
                row.chunks(k).position(|site| !is_site(site)).map(|site| site * k)
            };
            let wanted = format!(
                "where one unit of {{kind}} begins, of whose {k} columns one must be 1 and the others 0"
            );
            check_rows(config, data, no_site, &wanted)
        }
    }
}

/// Loads the data set from the folder that the command line gives, or else from the folder of the run. If the files are
/// no longer there, it loads the set without a folder, for a run that was moved together with its data.
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

/// Refuses missing values, unless the model takes them.
fn check_missing(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    if config.spec.model.takes_missing() {
        return Ok(());
    }
    let kind = config.spec.model.kind();
    let advice = format!(
        "and {kind} takes no missing values; fill it in, leave its row out, or choose a model that takes them \
         (helmholtz models)"
    );
    if let Some((file, (row, column))) = data.files.iter().find_map(|file| Some((file, file.first_missing?)))
    {
        let (path, n) = (file.path.display(), file.missing);
        return Err(user(format!(
            "{path}: row {row}, column {column}: the value is missing ({n} in all), {advice}"
        )));
    }
    for name in SplitName::ALL {
        if let Some((row, column)) = data.split(name).first_missing() {
            return Err(user(format!(
                "data.id = {}: row {} of its {name} split has no value in column {}, {advice}",
                config.data.id,
                row + 1,
                column + 1
            )));
        }
    }
    Ok(())
}

/// Refuses a data set whose rows do not have as many classes as the model.
fn check_classes(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    let Some(classes) = config.spec.model.classes() else { return Ok(()) };
    let (id, kind) = (&config.data.id, config.spec.model.kind());
    let Some(found) = data.classes() else {
        return Err(user(format!(
            "data.id = {id}: its rows have no labels, but {kind} with model.classes = {classes} needs them; choose a \
             data set with labels (mnist/threshold), name the label column of your own file with #label=, or leave \
             model.classes out if {kind} can do without it"
        )));
    };
    if found.len() != classes {
        return Err(user(format!(
            "data.id = {id}: its training rows have {} classes, but model.classes = {classes}; set model.classes = {}",
            found.len(),
            found.len()
        )));
    }
    for name in SplitName::ALL {
        let Some(labels) = data.split(name).labels() else {
            return Err(user(format!(
                "data.id = {id}: the rows of its {name} split have no labels, but {kind} with model.classes = \
                 {classes} needs them; give them labels, or leave model.classes out if {kind} can do without it"
            )));
        };
        if let Some(row) = labels.iter().position(|label| !found.contains(label)) {
            let (id, split, label) = (id.clone(), name, labels[row]);
            return Err(DataError::UnknownLabel { id, split, row: row + 1, label, classes }).or_user();
        }
    }
    Ok(())
}

/// A split of a data set on a device, with its classes if the model of the config has classes.
///
/// # Errors
/// If a row is of a class that no training row has.
pub(crate) fn batch(
    config: &Config,
    data: &DataSet,
    name: SplitName,
    device: &Device,
) -> anyhow::Result<Batch> {
    match config.spec.model.classes() {
        Some(_) => data.batch(name, device).or_user(),
        None => Ok(data.split(name).batch(device)),
    }
}

/// The same for evaluation: training rows that are drawn anew in every epoch of training are drawn once.
///
/// # Errors
/// As [`batch`].
pub(crate) fn judged(
    config: &Config,
    data: &DataSet,
    name: SplitName,
    device: &Device,
) -> anyhow::Result<Batch> {
    match config.spec.model.classes() {
        Some(_) => data.fixed_batch(name, device).or_user(),
        None => Ok(data.fixed(name).batch(device)),
    }
}

/// Refuses values that are neither 0 nor 1.
fn check_bits(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    let advice = format!(
        "but {} models zeros and ones; choose a binary data set (helmholtz data list), or binarize the values first{}",
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

/// Refuses rows in which `wrong` finds a column. `wanted` is the end of the message, with `{kind}` for the model.
fn check_rows(
    config: &Config,
    data: &DataSet,
    wrong: impl Fn(&[f32]) -> Option<usize>,
    wanted: &str,
) -> anyhow::Result<()> {
    for name in SplitName::ALL {
        let split = data.split(name);
        for row in 0..split.rows() {
            let values = split.row(row);
            if let Some(column) = wrong(&values) {
                return Err(user(format!(
                    "data.id = {}: row {} of its {name} split has {} in column {}, {}",
                    config.data.id,
                    row + 1,
                    values[column],
                    column + 1,
                    wanted.replace("{kind}", config.spec.model.kind())
                )));
            }
        }
    }
    Ok(())
}

/// Refuses values that are not among the 256 grey levels v / 255.
fn check_grey(config: &Config, data: &DataSet) -> anyhow::Result<()> {
    let (id, kind) = (&config.data.id, config.spec.model.kind());
    if data.binarization == Binarization::Dynamic {
        return Err(user(format!(
            "data.id = {id}: this data set draws bits from its grey values, but {kind} models the 256 grey levels \
             v / 255; choose a data set of grey values (frey/faces, or your own with file:...), or let {kind} \
             model bits"
        )));
    }
    for name in SplitName::ALL {
        let split = data.split(name);
        let Values::Real(values) = split.values() else { continue };
        // In a file in single precision, 255 times a level is within 1e-5 of a whole number.
        let is_level = |value: f32| (value * 255.0 - (value * 255.0).round()).abs() < 1e-3;
        if let Some(place) = values.iter().position(|value| !is_level(*value)) {
            return Err(user(format!(
                "data.id = {id}: row {} of its {name} split has {} in column {}, which is not a multiple of 1/255; \
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
/// If its sizes make no valid model.
pub fn model(config: &Config, data: &DataSet, device: &Device) -> anyhow::Result<BoxedModel> {
    model_for(config, data.shape, Some(&data.train.mean()), device)
}

/// The model of a config for rows of a shape. Without the mean of the training rows, its biases are not those that
/// training begins with; such a model is for loading weights into.
///
/// # Errors
/// If its sizes make no valid model.
pub(crate) fn model_for(
    config: &Config,
    shape: ImageShape,
    mean: Option<&[f64]>,
    device: &Device,
) -> anyhow::Result<BoxedModel> {
    memory_limit::check_model(config, shape.pixels(), device)?;
    config.spec.model.init(shape, mean, Key::new(config.seed), device).or_user()
}

/// Rows, batch and steps of the run of a config, over all its stages.
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

/// The step after the last one of each stage. The first stage is that of `[train]`.
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

/// The model with the strategies of a config, and the evaluator of its validation split.
///
/// # Errors
/// If the strategy's settings make no valid estimator.
pub fn learn(
    config: &Config,
    model: BoxedModel,
    plan: &Plan,
    rows: &TrainingRows,
) -> anyhow::Result<Boxed<dyn Learn>> {
    let strategies = config.spec.strategies(&model, config.seed).or_user()?;
    let stages = Stages::new(stage_ends(config, plan).into_iter().zip(strategies).collect());
    let evaluator = config.spec.model.evaluator(config.train.valid_samples, rows);
    let average = Some(config.optimizer.average).filter(|decay| *decay > 0.0);
    Ok(Pair::of(model, stages, average, evaluator))
}

/// The optimiser of a resolved config. Learning rates come from the [`schedule()`].
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

/// The learning rates of a config: one for each group of parameters that has its own, and one for the rest.
pub fn schedule(config: &Config, plan: &Plan) -> ModuleLrScheduler {
    let shape = |name: &str| match name {
        "linear" => Shape::Linear,
        "cosine" => Shape::Cosine,
        _ => Shape::Constant,
    };
    let OptimizerConfig { lr, rates, schedule, lr_end, .. } = &config.optimizer;
    let ends = stage_ends(config, plan);
    // The schedule of a group of parameters, or without a key that of the rest.
    let of = |key: Option<&str>| {
        let own = |rates: &Rates| key.and_then(|key| rates.get(key).copied());
        let rate =
            |start: f64, schedule: &str, end: f64| Rate { start, end: start * end, shape: shape(schedule) };
        let mut now = own(rates).unwrap_or(*lr);
        let mut stages = vec![rate(now, schedule, *lr_end)];
        for stage in &config.stage {
            now = own(&stage.rates).or(stage.lr).unwrap_or(now);
            let schedule = stage.schedule.as_deref().unwrap_or("constant");
            stages.push(rate(now, schedule, stage.lr_end.unwrap_or(0.0)));
        }
        Schedule::new(ends.iter().copied().zip(stages).collect())
    };
    rate_keys(config.spec.model.groups()).fold(ModuleLrScheduler::new(of(None)), |all, (key, field)| {
        // The parameters of the model below the field. What a strategy learns for itself is not among them.
        let below = vec!["model.".to_owned(), format!(".{field}.")];
        all.with_group(ParamGroup::from_predicates(below), of(Some(&key)))
    })
}
