//! `helmholtz sample`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use helmholtz_core::{Draws, LatentVariableModel, Role};
use helmholtz_datasets::ImageShape;
use helmholtz_eval::Reading;
use helmholtz_samplers::{Chains, NoWeight, OneShot, Swaps};
use helmholtz_zoo::{BoxedModel, Chained};
use serde_json::{Value, json};
use strum::VariantNames;

use super::chains::{self, Kept, Settings};
use super::energy_chains::{EnergyChains, Ran};
use super::trained::{Trained, fingerprint};
use crate::args::{SampleArgs, Sampler};
use crate::config::count;
use crate::console::say;
use crate::data_facts::DataFacts;
use crate::error::{OrUser, known, user};
use crate::memory_limit::{self, Limit};
use crate::output::{self, Output};
use crate::{npy, picture};

/// Draws samples and writes them to a picture or an array.
///
/// # Errors
/// If the model cannot be read or the file cannot be written.
pub fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    let n = count("--n", args.n)?;
    if n == 0 {
        return Err(user("--n 0: ask for at least one sample"));
    }
    let settings = args.chain.settings()?;
    let oversample = chains::draws("--oversample", args.oversample, 100)?;
    let one_shot = OneShot { oversample, inner: settings.gibbs.inner };
    let asked = args.sampler.as_deref().map(named_sampler).transpose()?;
    args.keep_chains.as_ref().map_or(Ok(()), |path| output::check("--keep-chains", path, &[]))?;
    let named_out = args.out.as_ref().map(|path| Output::named("--out", path, &ENDINGS)).transpose()?;
    let trained = Trained::without_data(&args.model)?;
    trained.say_epoch();
    let sampler = sampler(asked, args, &trained)?;
    let temperatures = temperatures(sampler, args)?;
    let out = match (named_out, &trained.folder) {
        (Some(out), _) => out,
        (None, Some(folder)) => Output::inside(&folder.join("samples"), "samples.png"),
        (None, None) => Output::named("--out", Path::new("samples.png"), &ENDINGS)?,
    };
    let shape = trained.data.shape();
    let width = shape.pixels();
    let scale = scale(args.scale, &out, shape)?;
    memory_limit::of_samples(&*trained.config.spec.model, shape, width, n, scale)
        .check(Limit::of_processor())?;
    memory_limit::of_tempering(&*trained.config.spec.model, width, n, temperatures)
        .check(Limit::of_processor())?;
    let mut ran = None;
    let values = match sampler {
        _ if let Some(energy) = trained.model.unnormalised() => {
            let sweeps = args.chain.sweeps.map_or(SWEEPS_OF_ENERGY, |_| settings.sweeps);
            let chains = EnergyChains { n, sweeps, temperatures, is_recorded: args.json };
            let found = chains.run(energy, chains::key(args.seed));
            found.warn();
            let x = found.x.clone();
            let draws = Draws::new(chains::key(args.seed).child(Role::Choice), n, 1);
            ran = Some((sweeps, found));
            read(if args.mean { energy.resample(x, &draws) } else { x })?
        }
        Sampler::Ancestral => ancestral(&trained.model, n, args.seed, args.mean)?,
        sampler => {
            let what = format!("--sampler {} samples layers of bits; leave it out", sampler.word());
            let chained = trained.model.chained_for(&what).or_user()?;
            let begin = || chained.sample(&one_shot, n, chains::key(args.seed));
            let state = match sampler {
                Sampler::OneShot => begin()?,
                _ => {
                    let kept = args
                        .keep_chains
                        .as_ref()
                        .map(|path| kept(path, args, &trained, (n, settings, one_shot)));
                    gibbs((chained, &trained.device), begin, kept, (n, settings, args.seed))?
                }
            };
            shown(&trained.model, &state, args.mean)?
        }
    };
    write(&out, shape, width, &values, scale)?;
    match args.json {
        true => say!("{}", summary(&out, (sampler, temperatures), (args.seed, n), settings, ran)),
        false => say!("{}", out.path().display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--json` prints.
fn summary(
    out: &Output,
    (sampler, temperatures): (Sampler, usize),
    (seed, n): (u64, usize),
    settings: Settings,
    ran: Option<(u64, Ran)>,
) -> Value {
    let of_layers = (sampler == Sampler::Gibbs).then_some(settings.sweeps);
    let (sweeps, ran) = ran.map_or((of_layers, None), |(sweeps, ran)| (Some(sweeps), Some(ran)));
    let swaps = ran.as_ref().map(|ran| &ran.swaps);
    let time = ran.as_ref().and_then(Ran::autocorrelation_time);
    json!({
        "file": out.path().display().to_string(),
        "sampler": sampler.word(),
        "n": n,
        "seed": seed,
        "sweeps": sweeps,
        "temperatures": (sampler == Sampler::Tempering).then_some(temperatures),
        "swap_acceptance": swaps.and_then(Swaps::acceptance),
        "swap_acceptances": swaps.map(Swaps::of_pairs).filter(|pairs| !pairs.is_empty()),
        "tau": time.map(|time| time.tau),
        "tau_se": time.map(|time| time.se),
        "recorded_sweeps": ran.as_ref().map(|ran| ran.free_energies.len()),
    })
}

/// The sampler of a name.
///
/// # Errors
/// If no sampler is called so.
fn named_sampler(name: &str) -> anyhow::Result<Sampler> {
    name.parse().map_err(|_| user(format!("--sampler {name}: unknown; {}", known(name, Sampler::VARIANTS))))
}

/// The largest number of temperatures.
const MOST_TEMPERATURES: usize = 1000;

/// The number of temperatures of a sampler: 1 without tempering.
///
/// # Errors
/// If the number is out of range.
fn temperatures(sampler: Sampler, args: &SampleArgs) -> anyhow::Result<usize> {
    if sampler != Sampler::Tempering {
        return Ok(1);
    }
    match args.temperatures.map_or(Ok(10), |n| count("--temperatures", n))? {
        n @ 2..=MOST_TEMPERATURES => Ok(n),
        n => Err(user(format!("--temperatures {n}: must be from 2 to {MOST_TEMPERATURES}"))),
    }
}

/// Runs Gibbs chains from the state that `kept` holds, or from the start that `begin` draws.
fn gibbs(
    (model, device): (&dyn Chained, &Device),
    begin: impl Fn() -> Result<Chains, NoWeight>,
    kept: Option<Kept<'_>>,
    (n, settings, seed): (usize, Settings, u64),
) -> anyhow::Result<Chains> {
    let found = kept.as_ref().map_or(Ok(None), |kept| kept.read(&model.sizes(), n, device))?;
    if let Some((done, _)) = found.as_ref().filter(|(done, _)| *done > settings.sweeps) {
        return Err(user(format!(
            "--sweeps {}: the chains have had {done} already; give a larger number",
            settings.sweeps
        )));
    }
    let (done, state) = found.map_or_else(|| Ok((0, begin()?)), anyhow::Ok)?;
    // Written every few seconds, so that little is lost when the command is stopped.
    let mut written = Instant::now();
    chains::run(model, state, None, settings, (done, chains::key(seed)), |sweeps, state| match &kept {
        Some(kept) if sweeps == settings.sweeps || written.elapsed() > Duration::from_secs(5) => {
            written = Instant::now();
            kept.write(sweeps, state)
        }
        _ => Ok(()),
    })
}

/// Sweeps of the chains of an energy if `--sweeps` does not say how many.
const SWEEPS_OF_ENERGY: u64 = 1000;

/// The sampler that is asked for, or that of the model. Refuses flags that do not apply to it.
fn sampler(
    asked: Option<Sampler>,
    args: &SampleArgs,
    trained: &Trained<DataFacts>,
) -> anyhow::Result<Sampler> {
    use Sampler::{Ancestral, Gibbs, OneShot, Tempering};
    let is_energy = trained.model.unnormalised().is_some();
    let kind = trained.config.spec.model.kind();
    let sampler = match (asked, trained.reading(args.as_model.as_deref())?) {
        (None, _) if is_energy => Gibbs,
        (Some(asked @ (Gibbs | Tempering)), _) if is_energy => asked,
        (Some(asked), _) if is_energy => {
            return Err(user(format!(
                "--sampler {}: a model that is given by an energy is sampled by chains; use {} or {}, or leave it out",
                asked.word(),
                Gibbs.word(),
                Tempering.word()
            )));
        }
        (Some(Tempering), _) => {
            return Err(user(format!(
                "--sampler {} is for a model that is given by an energy, but the model is {kind}; leave it out",
                Tempering.word()
            )));
        }
        (Some(asked @ (OneShot | Gibbs)), Reading::Directed) if trained.model.chained().is_none() => {
            return Err(user(format!(
                "--sampler {} samples p* of a bidirectional machine, but the model is {kind}; leave it out for \
                 ancestral samples",
                asked.word()
            )));
        }
        (Some(asked @ (OneShot | Gibbs)), Reading::Directed) => {
            return Err(user(format!(
                "--sampler {} samples p* of a bidirectional machine, but the model is read as {kind}; \
                 add --as bihm to read it as a bidirectional machine",
                asked.word()
            )));
        }
        (Some(asked), _) => asked,
        (None, Reading::Directed) => Ancestral,
        (None, Reading::Bidirectional) => Gibbs,
    };
    for (flag, given, samplers) in [
        ("--sweeps", args.chain.sweeps.is_some(), &[Gibbs, Tempering][..]),
        ("--temperatures", args.temperatures.is_some(), &[Tempering]),
        ("--proposals", args.chain.proposals.is_some(), &[Gibbs]),
        ("--inner", args.chain.inner.is_some(), &[Gibbs, OneShot]),
        ("--oversample", args.oversample.is_some(), &[Gibbs, OneShot]),
        ("--keep-chains", args.keep_chains.is_some(), &[Gibbs]),
    ] {
        if !given || samplers.contains(&sampler) {
            continue;
        }
        // Tempering is for energies alone.
        let fitting = samplers.iter().filter(|sampler| is_energy == (**sampler == Tempering));
        let words: Vec<&str> = fitting.map(|sampler| sampler.word()).collect();
        let instead = match words.as_slice() {
            [] => String::new(),
            words => format!(", or use --sampler {}", words.join(" or ")),
        };
        return Err(user(format!(
            "{flag} does not apply to {} samples; leave it out{instead}",
            sampler.word()
        )));
    }
    for (flag, given) in [
        ("--keep-chains", args.keep_chains.is_some()),
        ("--proposals", args.chain.proposals.is_some()),
        ("--inner", args.chain.inner.is_some()),
        ("--oversample", args.oversample.is_some()),
    ] {
        if given && is_energy {
            return Err(user(format!(
                "{flag} is for chains of a bidirectional machine, and the model is given by an energy; leave it out"
            )));
        }
    }
    Ok(sampler)
}

/// The file that keeps these chains, with the settings that must be the same.
fn kept<'a>(
    path: &'a Path,
    args: &SampleArgs,
    trained: &Trained<DataFacts>,
    (n, settings, one_shot): (usize, Settings, OneShot),
) -> Kept<'a> {
    let setting = vec![
        ("weights", fingerprint(&trained.model)),
        ("n", n.to_string()),
        ("seed", args.seed.to_string()),
        ("oversample", one_shot.oversample.to_string()),
        ("proposals", settings.gibbs.proposals.to_string()),
        ("inner", settings.gibbs.inner.to_string()),
    ];
    Kept { path, setting }
}

/// The observed units of chains, or their means given the latents and the preceding units, row by row.
pub(crate) fn shown(model: &BoxedModel, chains: &Chains, mean: bool) -> anyhow::Result<Vec<f32>> {
    let x = chains.x();
    if !mean {
        return read(x);
    }
    let latent = model.latent_for("only models with such latents have chains").or_user()?;
    read(latent.decode(x, &chains.h().to_vec()))
}

/// `n` ancestral samples `x ~ p(x)`, or the means of their units given the latents and the preceding units, row by row.
pub(crate) fn ancestral(model: &BoxedModel, n: usize, seed: u64, mean: bool) -> anyhow::Result<Vec<f32>> {
    read(model.draw(&Draws::new(chains::key(seed), n, 1), mean).or_user()?)
}

/// The values, row by row.
pub(crate) fn read(values: Tensor<2>) -> anyhow::Result<Vec<f32>> {
    values
        .into_data_as::<f32>()
        .try_to_vec()
        .map_err(|error| anyhow::anyhow!("samples could not be read: {error:?}"))
}

/// The file endings of samples.
pub(crate) const ENDINGS: [&str; 2] = ["png", "npy"];

/// The largest number that `--scale` takes.
const LARGEST_SCALE: usize = 64;

/// Pixels per side of each value: what `--scale` says, or enough for a small picture. `None` for an array.
///
/// # Errors
/// If `--scale` is out of range, or there is no picture.
pub(crate) fn scale(asked: Option<i64>, out: &Output, shape: ImageShape) -> anyhow::Result<Option<usize>> {
    let asked = asked.map(|n| count("--scale", n)).transpose()?;
    let is_array = out.path().extension().is_some_and(|ending| ending == "npy");
    match asked {
        Some(0) => Err(user("--scale 0: must be at least 1")),
        Some(n) if n > LARGEST_SCALE => Err(user(format!("--scale {n}: must be at most {LARGEST_SCALE}"))),
        Some(n) if is_array => Err(user(format!("--scale {n} is for pictures; leave it out for an array"))),
        asked => Ok((!is_array).then(|| asked.unwrap_or_else(|| picture::scale(shape)))),
    }
}

/// Writes rows of values: as a picture with `scale` pixels per side of each value, or without a scale as an array.
pub(crate) fn write(
    out: &Output,
    shape: ImageShape,
    width: usize,
    values: &[f32],
    scale: Option<usize>,
) -> anyhow::Result<()> {
    match scale {
        None => out.write(|file| npy::write_f32(file, &[values.len() / width, width], values)),
        Some(scale) => {
            out.write(|file| picture::write_sheet(file, shape, values, scale).map_err(picture::as_io))
        }
    }
}
