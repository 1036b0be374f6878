//! `helmholtz export`.

use std::path::Path;
use std::process::ExitCode;

use burn::store::{ModuleSnapshot, SafetensorsStore};
use helmholtz_datasets::DataSet;

use super::trained::Trained;
use crate::args::{ExportArgs, ModelArgs};
use crate::config::Config;
use crate::error::user;
use crate::model::AnyModel;

/// Writes the weights of a run's best epoch to a safetensors file.
///
/// # Errors
/// If the run cannot be read or the file cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if args.file.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(user(format!("{}: the file must end in .safetensors", args.file.display())));
    }
    if args.file.exists() && !args.force {
        return Err(user(format!("{}: is there already; --force replaces it", args.file.display())));
    }
    let model = ModelArgs {
        run: Some(args.run.clone()),
        weights: None,
        config: None,
        device: None,
        threads: None,
        data_dir: None,
    };
    let trained = Trained::load(&model)?;
    write_weights(&trained.model, &trained.data, &trained.config, &args.file)?;
    eprintln!("weights written to {}", args.file.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the weights of a model to a safetensors file: whole, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write_weights(
    model: &AnyModel,
    data: &DataSet,
    config: &Config,
    file: &Path,
) -> anyhow::Result<()> {
    let scratch = file.with_extension("part.safetensors");
    let mut store = SafetensorsStore::from_file(&scratch)
        .overwrite(true)
        .metadata("helmholtz.data", data.protocol())
        .metadata("helmholtz.data_sha256", data.data_sha256.clone())
        .metadata("helmholtz.config", config.to_toml());
    let saved = model
        .save_into(&mut store)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
        .and_then(|()| Ok(std::fs::rename(&scratch, file)?));
    if saved.is_err() {
        let _ = std::fs::remove_file(&scratch);
    }
    saved
}
