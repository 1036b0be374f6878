//! Initial weights that come from another run or from a weight file.

use std::path::Path;

use anyhow::Context;

use helmholtz_zoo::BoxedModel;

use super::epoch::of_run;
use super::trained::fingerprint;
use super::weights::{with_weights, write_weights};
use crate::config::Config;
use crate::data_facts::DataFacts;
use crate::error::user;
use crate::output::Output;
use crate::run_folder::{INITIAL, RunFolder};

/// Initial weights.
pub(super) struct Initial {
    /// The model with these weights.
    pub(super) model: BoxedModel,
    /// Their hash.
    pub(super) sha256: String,
}

impl Initial {
    /// Loads the weights of `train.init_from`, a run's best epoch or a file, into the model of the config.
    ///
    /// # Errors
    /// If the weights are missing, or belong to another model.
    pub(super) fn find(source: &Path, fresh: BoxedModel, config: &Config) -> anyhow::Result<Self> {
        let shown = source.display();
        let model = if source.is_dir() {
            let folder = RunFolder::open(source)?;
            let theirs = folder.config()?;
            let differences = config.differences_in_structure(&theirs);
            if !differences.is_empty() {
                return Err(user(format!(
                    "train.init_from = {shown}: its weights belong to another model: {}; use weights of the same model",
                    differences.join(", ")
                )));
            }
            of_run(&folder, None, fresh, &theirs).map(|(model, _)| model)
        } else {
            with_weights(fresh, source, config)
        };
        // An error about a file already begins with its name.
        let model = model.with_context(|| match source.is_dir() {
            true => format!("train.init_from = {shown}"),
            false => "train.init_from".to_string(),
        })?;
        Ok(Initial { sha256: fingerprint(&model), model })
    }

    /// Writes a copy of the weights into the folder of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn keep(&self, folder: &RunFolder, data: &DataFacts, config: &Config) -> anyhow::Result<()> {
        write_weights(&self.model, data, config, &Output::inside(folder.path(), INITIAL))
    }
}

/// The model with the initial weights of the run in the folder.
///
/// # Errors
/// If the copy is damaged.
pub(super) fn kept(folder: &RunFolder, fresh: BoxedModel, config: &Config) -> anyhow::Result<BoxedModel> {
    with_weights(fresh, &folder.path().join(INITIAL), config)
}
