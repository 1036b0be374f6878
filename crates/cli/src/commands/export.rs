//! `helmholtz export`.

use std::process::ExitCode;

use burn::store::{ModuleSnapshot, SafetensorsStore};

use super::trained::Trained;
use crate::args::{ExportArgs, ModelArgs};
use crate::error::user;

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
    let scratch = args.file.with_extension("part.safetensors");
    let mut store = SafetensorsStore::from_file(&scratch)
        .overwrite(true)
        .metadata("helmholtz.data", trained.data.protocol())
        .metadata("helmholtz.data_sha256", trained.data.data_sha256.clone())
        .metadata("helmholtz.config", trained.config.to_toml());
    let saved = trained
        .model
        .save_into(&mut store)
        .map_err(|error| anyhow::anyhow!("{}: {error}", args.file.display()))
        .and_then(|()| Ok(std::fs::rename(&scratch, &args.file)?));
    if saved.is_err() {
        let _ = std::fs::remove_file(&scratch);
    }
    saved?;
    eprintln!("weights written to {}", args.file.display());
    Ok(ExitCode::SUCCESS)
}
