//! `helmholtz encode`, and `helmholtz reconstruct`, which encodes and decodes.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::Tensor;
use helmholtz_core::LatentVariableModel;
use helmholtz_datasets::SplitName;

use super::sample;
use super::score::{batch_for, chosen_rows};
use super::trained::Trained;
use crate::args::{EncodeArgs, ReconstructArgs};
use crate::config::count;
use crate::console::say;
use crate::error::{OrUser, user};
use crate::output::Output;
use crate::{npy, picture};

/// Number of rows encoded at a time.
const CHUNK: usize = 500;

/// Writes the recognition means of a split, those of all layers side by side, from the data up.
///
/// # Errors
/// If the model has no such means, or the file cannot be written.
pub fn run(args: &EncodeArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let named = named(args.out.as_ref(), "npy")?;
    let trained = Trained::load(&args.model)?;
    trained.say_epoch();
    let out = out(named, &trained, &format!("encode-{split}.npy"));
    let rows: Vec<usize> = (0..trained.data.split(split).rows()).collect();
    let mut means = Vec::new();
    for part in rows.chunks(CHUNK) {
        let batch = batch_for(&trained.model, &trained.data, split, part)?;
        means.extend(sample::read(Tensor::cat(trained.model.encode(&batch).or_user()?, 1))?);
    }
    let shape = [rows.len(), means.len() / rows.len().max(1)];
    out.write(|file| npy::write_f32(file, &shape, &means))?;
    say!("{}", out.path().display());
    Ok(ExitCode::SUCCESS)
}

/// Writes some pictures of a split above what the model decodes from their recognition means.
///
/// # Errors
/// If the model has no such means, or the file cannot be written.
pub fn reconstruct(args: &ReconstructArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let n = count("--n", args.n)?;
    if !(1..=MOST).contains(&n) {
        return Err(user(format!("--n {n}: must be from 1 to {MOST}")));
    }
    let named = named(args.out.as_ref(), "png")?;
    let trained = Trained::load(&args.model)?;
    trained.say_epoch();
    let out = out(named, &trained, "reconstruct.png");
    let rows = chosen_rows(&trained.data, split, Some(n));
    let x = trained.data.fixed(split).select(&rows).batch(&trained.device).whole();
    let back = match trained.model.unnormalised() {
        Some(energy) => energy.reconstruct(x.clone()),
        None => {
            let what = "reconstruct decodes the means of such latents";
            let latent = trained.model.latent_for(what).or_user()?;
            latent.decode(x.clone(), &trained.model.encode(&x.clone().into()).or_user()?)
        }
    };
    let pixels = [sample::read(x)?, sample::read(back)?].concat();
    let shape = trained.data.shape;
    out.write(|file| picture::write_strip(file, shape, &pixels, rows.len()).map_err(picture::as_io))?;
    say!("{}", out.path().display());
    Ok(ExitCode::SUCCESS)
}

/// Maximum number of pictures in a row.
const MOST: usize = 100;

/// The file of `--out`, if it is given.
pub(super) fn named(out: Option<&PathBuf>, ending: &str) -> anyhow::Result<Option<Output>> {
    out.map(|out| Output::named("--out", out, &[ending])).transpose()
}

/// The file of `--out`, or this one in the samples folder of the run.
pub(super) fn out<D>(named: Option<Output>, trained: &Trained<D>, name: &str) -> Output {
    let folder = || trained.folder.as_ref().map_or_else(PathBuf::new, |folder| folder.join("samples"));
    named.unwrap_or_else(|| Output::inside(&folder(), name))
}
