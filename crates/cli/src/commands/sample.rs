//! `helmholtz sample`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use helmholtz_core::{Draws, Key, LatentVariableModel, Role};
use helmholtz_datasets::ImageShape;
use helmholtz_directed::HelmholtzMachine;

use super::trained::Trained;
use crate::args::SampleArgs;
use crate::config::count;
use crate::error::{say, user};
use crate::run_folder::write_whole;
use crate::{npy, picture};

/// Draws ancestral samples into a picture or an array.
///
/// # Errors
/// If the model cannot be read or the file cannot be written.
pub fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let n = count("--n", args.n)?;
    if n == 0 {
        return Err(user("--n 0: ask for at least one sample"));
    }
    let trained = Trained::load(&args.model)?;
    let out = match (&args.out, &trained.folder) {
        (Some(out), _) => out.clone(),
        (None, Some(folder)) => folder.join("samples").join("samples.png"),
        (None, None) => PathBuf::from("samples.png"),
    };
    let values = ancestral(&trained.model, n, args.seed, args.mean)?;
    write(&out, trained.data.shape, trained.data.train.width(), &values)?;
    say!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// `n` ancestral samples `x ~ p(x)`, or the means of their units given their latents and the units before, row by row.
pub(crate) fn ancestral(
    model: &HelmholtzMachine,
    n: usize,
    seed: u64,
    mean: bool,
) -> anyhow::Result<Vec<f32>> {
    let (x, h) = model.dream(&Draws::new(Key::new(seed).child(Role::Sample), n, 1));
    let shown = if mean { model.decode(x, &h) } else { x };
    shown
        .into_data_as::<f32>()
        .try_to_vec()
        .map_err(|error| anyhow::anyhow!("samples could not be read: {error:?}"))
}

/// Writes rows of values as the file's ending says.
pub(crate) fn write(out: &Path, shape: ImageShape, width: usize, values: &[f32]) -> anyhow::Result<()> {
    match out.extension().and_then(|extension| extension.to_str()) {
        Some("png") => {
            write_whole(out, |file| picture::write_sheet(file, shape, values).map_err(std::io::Error::other))
        }
        Some("npy") => write_whole(out, |file| npy::write_f32(file, &[values.len() / width, width], values)),
        _ => Err(user(format!("{}: the file must end in .png or .npy", out.display()))),
    }
}
