//! `helmholtz export`.

use std::process::ExitCode;

use super::trained::Trained;
use super::weights::write_weights;
use crate::args::{ExportArgs, ModelArgs};
use crate::error::user;
use crate::output::Output;

/// Writes the weights of a run to a safetensors file: those of the best epoch, or of `--epoch`.
///
/// # Errors
/// If the run cannot be read or the file cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let out = Output::named("export", &args.file, &["safetensors"])?;
    if args.file.exists() && !args.force {
        return Err(user(format!("{}: the file already exists; --force replaces it", args.file.display())));
    }
    let model = ModelArgs {
        run: Some(args.run.clone()),
        weights: None,
        config: None,
        device: None,
        threads: None,
        data_dir: args.data_dir.clone(),
        epoch: args.epoch,
    };
    let trained = Trained::without_data(&model)?;
    trained.say_epoch();
    write_weights(&trained.model, &trained.data, &trained.config, &out)?;
    eprintln!("weights written to {}", args.file.display());
    Ok(ExitCode::SUCCESS)
}
