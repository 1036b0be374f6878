//! A trained model, from a run folder or from a weight file.

use std::path::PathBuf;

use burn::tensor::Device;
use helmholtz_core::visit_params;
use helmholtz_datasets::{DataSet, ImageShape};
use helmholtz_eval::Reading;
use helmholtz_zoo::BoxedModel;
use sha2::{Digest, Sha256};

use super::epoch::of_run;
use super::weights::{data_facts, with_weights};
use crate::args::ModelArgs;
use crate::assemble;
use crate::config::{Config, Overlay, count};
use crate::data_facts::DataFacts;
use crate::error::{OrUser, known, user};
use crate::registry::registry;
use crate::run_folder::RunFolder;
use crate::threads::use_threads;

/// A model with its data, or with what it needs to know of them ([`DataFacts`]).
pub struct Trained<D = DataSet> {
    /// The model, on the device.
    pub model: BoxedModel,
    /// The config it was trained by.
    pub config: Config,
    /// Its data.
    pub data: D,
    /// The device.
    pub device: Device,
    /// The run folder, if it comes from one.
    pub folder: Option<PathBuf>,
    /// The epoch of the weights, if they come from a run.
    pub epoch: Option<usize>,
}

impl Trained {
    /// Loads a weight file, or an epoch of a run: the best one, unless `--epoch` asks for another.
    ///
    /// # Errors
    /// If the run, the weights or the data are missing or wrong.
    pub fn load(args: &ModelArgs) -> anyhow::Result<Self> {
        Trained::load_with(args, |config, run| {
            let data = assemble::data(config, args.data_dir.as_deref())?;
            if let Some(folder) = run {
                folder.check_data(&data, config)?;
            }
            Ok((data.shape, data))
        })
    }
}

impl Trained<DataFacts> {
    /// Like `Trained::load`, but without the data, which may no longer exist. For a run of an older version the data
    /// are still read, to find out how wide a row is.
    ///
    /// # Errors
    /// If the run or the weights are missing or wrong.
    pub fn without_data(args: &ModelArgs) -> anyhow::Result<Self> {
        Trained::load_with(args, |config, run| {
            let known = match (run, &args.weights) {
                (Some(folder), _) => folder.data_facts()?,
                (None, Some(file)) if file.is_file() => data_facts(file)?,
                (None, _) => None,
            };
            let facts = match known {
                Some(facts) => facts,
                None => DataFacts::of(&assemble::data(config, args.data_dir.as_deref())?),
            };
            Ok((facts.shape(), facts))
        })
    }
}

impl<D> Trained<D> {
    fn load_with(
        args: &ModelArgs,
        data: impl FnOnce(&Config, Option<&RunFolder>) -> anyhow::Result<(ImageShape, D)>,
    ) -> anyhow::Result<Self> {
        let asked = args.epoch.map(|n| count("--epoch", n)).transpose()?;
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
        let (shape, data) = data(&config, run.as_ref())?;
        let fresh = assemble::model_for(&config, shape, None, &device)?;
        let (model, folder, epoch) = match (run, &args.weights) {
            (Some(folder), _) => {
                let (model, epoch) = of_run(&folder, asked, fresh, &config)?;
                (model, Some(folder.path().to_path_buf()), Some(epoch))
            }
            (None, Some(weights)) => (with_weights(fresh, weights, &config)?, None, None),
            (None, None) => return Err(user("give a run folder, or --weights with --config")),
        };
        Ok(Trained { model, config, data, device, folder, epoch })
    }

    /// Prints on standard error which epoch the weights come from.
    pub(crate) fn say_epoch(&self) {
        if let Some(epoch) = self.epoch {
            eprintln!("weights of epoch {epoch}");
        }
    }

    /// How to read the weights: as the config says, or as the model that `--as` names.
    ///
    /// # Errors
    /// If the layers are not of that kind.
    pub(crate) fn reading(&self, as_model: Option<&str>) -> anyhow::Result<Reading> {
        let model = &self.config.spec.model;
        let Some(kind) = as_model else { return Ok(model.reading()) };
        let names = registry().model_names();
        if !names.contains(&kind) {
            return Err(user(format!("--as {kind}: unknown model; {}", known(kind, &names))));
        }
        model.read_as(kind).or_user()
    }
}

/// A hash of the weights of a model.
pub(crate) fn fingerprint(model: &BoxedModel) -> String {
    let mut hash = Sha256::new();
    visit_params(model, |_, param| hash.update(param.values().into_data().as_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
