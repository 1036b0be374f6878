//! A trained model, from a run folder or from a weight file.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::store::{ModuleRecord, ModuleSnapshot, SafetensorsStore};
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{Key, LatentVariableModel};
use helmholtz_datasets::DataSet;
use helmholtz_eval::{ImportanceSampling, Reading};
use helmholtz_train::{Average, Checkpoints, History, Rule, Trainee};
use sha2::{Digest, Sha256};

use super::train::average;
use super::use_threads;
use crate::args::ModelArgs;
use crate::assemble;
use crate::config::{ANY, Config, MODELS, Overlay};
use crate::error::{OrUser, known, user};
use crate::model::AnyModel;
use crate::run_folder::RunFolder;

/// A model with its data.
pub struct Trained {
    /// The model, on the device.
    pub model: AnyModel,
    /// The config it was trained by.
    pub config: Config,
    /// Its data.
    pub data: DataSet,
    /// The device.
    pub device: Device,
    /// The run folder, if it comes from one.
    pub folder: Option<PathBuf>,
}

impl Trained {
    /// Loads the best epoch of a run, or a weight file.
    ///
    /// # Errors
    /// If the run, the weights or the data are missing or wrong.
    pub fn load(args: &ModelArgs) -> anyhow::Result<Self> {
        use_threads(args.threads)?;
        let (config, run) = match (&args.run, &args.config) {
            (Some(run), _) => {
                let folder = RunFolder::open(run)?;
                (folder.config()?, Some(folder))
            }
            (None, config) => (Config::resolve(config.as_deref(), &Overlay::default())?, None),
        };
        let trained_on = crate::device::first(&config.run.device);
        let place =
            run.as_ref().map(RunFolder::config_path).or_else(|| args.config.clone()).unwrap_or_default();
        crate::device::check_asked(trained_on, args.device.is_some(), &place.display())?;
        let device = crate::device::select(args.device.as_deref().unwrap_or(trained_on))?;
        let data = assemble::data(&config, args.data_dir.as_deref())?;
        if let Some(folder) = &run {
            folder.check_data(&data.data_sha256)?;
        }
        let fresh = assemble::model(&config, &data, &device)?;
        let (model, folder) = match (run, &args.weights) {
            (Some(folder), _) => (best_of(&folder, fresh, &config)?, Some(folder.path().to_path_buf())),
            (None, Some(weights)) => (with_weights(fresh, weights)?, None),
            (None, None) => return Err(user("give a run folder, or --weights with --config")),
        };
        Ok(Trained { model, config, data, device, folder })
    }

    /// How the weights are to be read: as the config says, or as a model of the kind that `--as` names.
    ///
    /// # Errors
    /// If the layers are not of that kind.
    pub(crate) fn reading(&self, as_model: Option<&str>) -> anyhow::Result<Reading> {
        let model = &self.config.model;
        let Some(kind) = as_model else { return Ok(model.reading()) };
        if !MODELS.contains(&kind) {
            return Err(user(format!("--as {kind}: unknown model; {}", known(kind, &MODELS))));
        }
        if [kind, model.kind.as_str()].contains(&"vae") {
            if kind == model.kind {
                return Ok(Reading::Directed);
            }
            return Err(user(format!(
                "--as {kind}: the model is {}, and the latents of a vae and of the others have nothing in common; \
                 leave --as out",
                model.kind
            )));
        }
        let [generative, recognition] = model.layer_kinds();
        match kind {
            "bihm" if model.layers.is_empty() => {
                Err(user("--as bihm: without latents there is no recognition net, and nothing bidirectional"))
            }
            "bihm" => Ok(Reading::Bidirectional),
            _ if kind == model.kind || *kind == generative[0] => Ok(Reading::Directed),
            _ => Err(user(format!(
                "--as {kind}: the layers are {generative:?} and {recognition:?} and cannot be read as others; \
                 --as takes bihm, or {} for the directed model",
                generative[0]
            ))),
        }
    }
}

/// A hash of the weights of a model.
pub(crate) fn fingerprint(model: &AnyModel) -> String {
    struct Hash(Sha256);
    impl ModuleVisitor for Hash {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.update(param.val().into_data().as_bytes());
        }
    }
    let mut hash = Hash(Sha256::new());
    model.visit(&mut hash);
    hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The model of a run's best epoch by validation likelihood; of its newest if the best is damaged.
///
/// # Errors
/// If no checkpoint is whole.
pub fn best_of(folder: &RunFolder, fresh: AnyModel, config: &Config) -> anyhow::Result<AnyModel> {
    let checkpoints = Checkpoints::new(folder.path().join("checkpoint"));
    let found = checkpoints.examine()?;
    let Some(&newest) = found.whole.last() else {
        return Err(user(format!(
            "{}: no whole checkpoint; let the run finish an epoch first (`helmholtz train --resume --out {0}`)",
            folder.path().display()
        )));
    };
    let history = History::read(&folder.path().join("metrics.jsonl"), newest).or_user()?;
    let best = history.best().map_or(newest, |(epoch, _)| epoch);
    let epoch = if found.whole.contains(&best) {
        best
    } else {
        eprintln!(
            "warning: the checkpoint of the best epoch {best} is not whole; taking that of epoch {newest}"
        );
        newest
    };
    of_epoch(folder, epoch, fresh, config)
}

/// The model of an epoch's checkpoint.
///
/// # Errors
/// If the file cannot be read or does not fit the model of the config.
pub fn of_epoch(
    folder: &RunFolder,
    epoch: usize,
    fresh: AnyModel,
    config: &Config,
) -> anyhow::Result<AnyModel> {
    let file = Checkpoints::new(folder.path().join("checkpoint")).file("model", epoch);
    let misfit = |error: &dyn std::fmt::Display| {
        user(format!(
            "{}: does not fit the model of {}: {error}",
            file.display(),
            folder.config_path().display()
        ))
    };
    let record = ModuleRecord::load(&file).map_err(|error| misfit(&error))?;
    let trainee = Trainee {
        average: average(config).map(|decay| Average::new(&fresh, decay)),
        // The rule has nothing in the record.
        strategy: assemble::strategies(config, &ANY, fresh.observed(), &fresh.device())?,
        rule: Rule::default(),
        evaluator: ImportanceSampling::new(1),
        key: Key::new(config.seed),
        model: fresh,
    };
    Ok(trainee.try_load_record(record).map_err(|error| misfit(&error))?.judged())
}

/// The model with the weights of a file.
///
/// # Errors
/// If the file cannot be read or does not fit.
pub(super) fn with_weights(mut fresh: AnyModel, file: &Path) -> anyhow::Result<AnyModel> {
    if !file.is_file() {
        return Err(user(format!(
            "{}: no such file; `helmholtz export RUN F.safetensors` writes one",
            file.display()
        )));
    }
    let mut store = SafetensorsStore::from_file(file);
    let result = fresh.load_from(&mut store).map_err(|error| {
        user(format!("{}: {error}; the names and shapes are in docs/weights.md", file.display()))
    })?;
    if !result.errors.is_empty() || !result.missing.is_empty() {
        return Err(user(format!(
            "{}: does not fit the model of the config (missing: {:?}; wrong: {:?})",
            file.display(),
            result.missing,
            result.errors
        )));
    }
    // Burn keeps the element type of the file; the model computes in f32.
    Ok(fresh.map(&mut InSinglePrecision))
}

struct InSinglePrecision;

impl ModuleMapper for InSinglePrecision {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(DType::F32))
    }
}
