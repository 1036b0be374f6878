//! `helmholtz sample`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::Tensor;
use helmholtz_core::{Draws, LatentVariableModel};
use helmholtz_datasets::ImageShape;
use helmholtz_directed::HelmholtzMachine;
use helmholtz_eval::Reading;
use helmholtz_samplers::{Chains, OneShot};

use super::chains::{self, Kept};
use super::trained::Trained;
use crate::args::SampleArgs;
use crate::config::count;
use crate::error::{known, say, user};
use crate::run_folder::write_whole;
use crate::{npy, picture};

const SAMPLERS: [&str; 3] = ["ancestral", "one-shot", "gibbs"];

/// Draws samples into a picture or an array.
///
/// # Errors
/// If the model cannot be read or the file cannot be written.
pub fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let n = count("--n", args.n)?;
    if n == 0 {
        return Err(user("--n 0: ask for at least one sample"));
    }
    let one_shot = OneShot {
        oversample: count("--oversample", args.oversample)?,
        inner: count("--inner", args.chain.inner)?,
    };
    if one_shot.oversample == 0 {
        return Err(user("--oversample 0: must be at least 1"));
    }
    if let Some(name) = args.sampler.as_deref().filter(|name| !SAMPLERS.contains(name)) {
        return Err(user(format!("--sampler {name}: unknown; {}", known(name, &SAMPLERS))));
    }
    if let Some(path) = &args.keep_chains {
        chains::check_folder("--keep-chains", path)?;
    }
    let settings = args.chain.settings()?;
    let trained = Trained::load(&args.model)?;
    let reading = trained.reading(args.as_model.as_deref())?;
    let sampler = match (args.sampler.as_deref(), reading) {
        (Some(name @ ("one-shot" | "gibbs")), Reading::Directed) => {
            return Err(user(format!(
                "--sampler {name}: samples p* of a bidirectional machine, and the model is read as {}; \
                 add --as bihm to read it so",
                trained.config.model.kind
            )));
        }
        (Some(name), _) => name,
        (None, Reading::Directed) => "ancestral",
        (None, Reading::Bidirectional) => "gibbs",
    };
    if args.keep_chains.is_some() && sampler != "gibbs" {
        return Err(user(format!("--keep-chains: {sampler} samples are not chains; use --sampler gibbs")));
    }
    let out = match (&args.out, &trained.folder) {
        (Some(out), _) => out.clone(),
        (None, Some(folder)) => folder.join("samples").join("samples.png"),
        (None, None) => PathBuf::from("samples.png"),
    };
    check_ending(&out)?;
    let begin = || one_shot.sample(&trained.model, n, chains::key(args.seed));
    let values = match sampler {
        "ancestral" => ancestral(&trained.model, n, args.seed, args.mean)?,
        "one-shot" => shown(&trained.model, &begin()?, args.mean)?,
        _ => {
            let kept = args.keep_chains.as_ref().map(|path| kept(path, args, &trained, n));
            let sizes: Vec<usize> =
                std::iter::once(trained.model.observed()).chain(trained.model.latent_sizes()).collect();
            let found = match &kept {
                Some(kept) => kept.read(&sizes, n, &trained.device)?,
                None => None,
            };
            let (done, state) = match found {
                Some((done, _)) if done > settings.sweeps => {
                    return Err(user(format!(
                        "--sweeps {}: the chains have had {done} already; ask for more",
                        settings.sweeps
                    )));
                }
                Some(found) => found,
                None => (0, begin()?),
            };
            let state =
                chains::run(&trained, state, None, settings, (done, chains::key(args.seed)), |_, _| {})?;
            if let Some(kept) = &kept {
                kept.write(settings.sweeps, &state)?;
            }
            shown(&trained.model, &state, args.mean)?
        }
    };
    write(&out, trained.data.shape, trained.data.train.width(), &values)?;
    say!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}

/// The file that keeps these chains, with what they must agree in.
fn kept<'a>(path: &'a Path, args: &SampleArgs, trained: &Trained, n: usize) -> Kept<'a> {
    let model = match (&args.model.run, &args.model.weights) {
        (Some(run), _) => run.display().to_string(),
        (None, Some(weights)) => weights.display().to_string(),
        (None, None) => String::new(),
    };
    let setting = vec![
        ("model", model),
        ("data", trained.data.protocol()),
        ("n", n.to_string()),
        ("seed", args.seed.to_string()),
        ("oversample", args.oversample.to_string()),
        ("proposals", args.chain.proposals.to_string()),
        ("inner", args.chain.inner.to_string()),
    ];
    Kept { path, setting }
}

/// The observed units of chains, or their means given the latents and the units before, row by row.
pub(crate) fn shown(model: &HelmholtzMachine, chains: &Chains, mean: bool) -> anyhow::Result<Vec<f32>> {
    let x = chains.x();
    read(if mean { model.decode(x, &chains.h().to_vec()) } else { x })
}

/// `n` ancestral samples `x ~ p(x)`, or the means of their units given their latents and the units before, row by row.
pub(crate) fn ancestral(
    model: &HelmholtzMachine,
    n: usize,
    seed: u64,
    mean: bool,
) -> anyhow::Result<Vec<f32>> {
    let (x, h) = model.dream(&Draws::new(chains::key(seed), n, 1));
    read(if mean { model.decode(x, &h) } else { x })
}

fn read(values: Tensor<2>) -> anyhow::Result<Vec<f32>> {
    values
        .into_data_as::<f32>()
        .try_to_vec()
        .map_err(|error| anyhow::anyhow!("samples could not be read: {error:?}"))
}

fn ending(out: &Path) -> &str {
    out.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn check_ending(out: &Path) -> anyhow::Result<()> {
    if ["png", "npy"].contains(&ending(out)) {
        return Ok(());
    }
    Err(user(format!("{}: the file must end in .png or .npy", out.display())))
}

/// Writes rows of values as the file's ending says.
pub(crate) fn write(out: &Path, shape: ImageShape, width: usize, values: &[f32]) -> anyhow::Result<()> {
    check_ending(out)?;
    match ending(out) {
        "png" => {
            write_whole(out, |file| picture::write_sheet(file, shape, values).map_err(std::io::Error::other))
        }
        _ => write_whole(out, |file| npy::write_f32(file, &[values.len() / width, width], values)),
    }
}
