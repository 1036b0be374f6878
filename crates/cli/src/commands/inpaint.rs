//! `helmholtz inpaint`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::{DType, Tensor, TensorData};
use helmholtz_core::{Draws, Key, LatentVariableModel, Role};
use helmholtz_datasets::{ImageShape, SplitName};
use helmholtz_eval::Reading;
use helmholtz_noise::fill_uniform;
use helmholtz_samplers::{Chains, Known};
use helmholtz_zoo::Unnormalised;

use super::score::chosen_rows;
use super::trained::Trained;
use super::{chains, sample};
use crate::args::InpaintArgs;
use crate::config::count;
use crate::console::say;
use crate::error::{OrUser, known, user};
use crate::memory_limit::{self, Limit};
use crate::output::Output;
use crate::picture;

const SIDES: [&str; 4] = ["top", "bottom", "left", "right"];

/// The files to write.
struct Out {
    strip: Option<Output>,
    animation: Option<Output>,
}

const BIDIRECTIONAL: &str = "inpaint fixes known pixels in chains of a bidirectional machine or of an energy; train one \
                             with --model bihm or rbm";

/// Refuses models without chains that can keep pixels fixed.
fn check_model(args: &InpaintArgs, trained: &Trained) -> anyhow::Result<()> {
    let reading = trained.reading(args.as_model.as_deref())?;
    if trained.model.unnormalised().is_some() {
        if args.chain.proposals.is_some() || args.chain.inner.is_some() {
            return Err(user(
                "--proposals, --inner: they are for chains of a bidirectional machine, and the model is given by an \
                 energy; leave them out",
            ));
        }
        return Ok(());
    }
    trained.model.chained_for(BIDIRECTIONAL).or_user()?;
    if reading == Reading::Directed {
        return Err(user(format!(
            "the model is read as {}, but inpaint needs the chains of a bidirectional machine; \
             add --as bihm to read it as one",
            trained.config.spec.model.kind()
        )));
    }
    Ok(())
}

/// Chains of an energy in which known pixels are put back after each sweep. Given the rest, the hidden pixels then have
/// the law of the model. `on_sweep` gets the number of sweeps and the state, the start first.
fn clamped(
    energy: &dyn Unnormalised,
    start: Tensor<2>,
    known: &Known,
    (sweeps, key): (u64, Key),
    mut on_sweep: impl FnMut(u64, &Tensor<2>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let n = start.dims()[0];
    let mut x = start;
    on_sweep(0, &x)?;
    for sweep in 1..=sweeps {
        let draws = Draws::new(key.child(Role::Chain).child(sweep), n, 1);
        x = known.put_into(energy.sweep(x, &draws));
        on_sweep(sweep, &x)?;
    }
    Ok(())
}

/// Hides a part of some pictures and lets Gibbs chains fill it in.
///
/// # Errors
/// If the model, the mask or the data cannot be read, or the files cannot be written.
pub fn run(args: &InpaintArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let (n, frames) = (count("--n", args.n)?, count("--frames", args.frames)?);
    if n == 0 {
        return Err(user("--n 0: must be at least 1"));
    }
    if !(1..=MOST_COLUMNS).contains(&frames) {
        return Err(user(format!("--frames {frames}: must be from 1 to {MOST_COLUMNS}")));
    }
    let settings = args.chain.settings()?;
    let trained = Trained::load(&args.model)?;
    trained.say_epoch();
    check_model(args, &trained)?;
    let out = out(args, &trained)?;
    let shape = trained.data.shape;
    let hidden = hidden(&args.mask, shape)?;
    if !hidden.contains(&true) {
        return Err(user(format!(
            "--mask {}: hides nothing, so there is nothing to fill in; mark what to hide in white",
            args.mask
        )));
    }
    let rows = chosen_rows(&trained.data, split, Some(n));
    if out.animation.is_some() {
        picture::check_animation(shape, rows.len()).or_user()?;
    }
    let (in_strip, in_animation) = (places(settings.sweeps, frames), places(settings.sweeps, MOST_FRAMES));
    // The originals, the masked pictures and the start; an animation has the latter two once more.
    let states = in_strip.len() + in_animation.len() + 5;
    memory_limit::of_states(trained.data.train.width(), rows.len(), states).check(Limit::of_processor())?;
    let original = trained.data.fixed(split).select(&rows).tensor(&trained.device);
    let known =
        Known { mask: as_row(hidden.iter().map(|hidden| !hidden), &trained), values: original.clone() };
    let key = chains::key(args.seed);
    // Hidden pixels start as noise with the means of the training split, and latents as draws of q.
    let x = known.put_into(noise(&trained, rows.len(), key.child(Role::Data)));
    let given = sample::read(original)?;
    // Known pixels are shown as they are.
    let with_given = |pixels: &dyn Fn(usize) -> f32| -> Vec<f32> {
        given
            .iter()
            .zip(hidden.iter().cycle())
            .enumerate()
            .map(|(i, (&g, &h))| if h { pixels(i) } else { g })
            .collect()
    };
    let masked = with_given(&|_| 0.5);
    let mut columns = vec![given.clone(), masked.clone()];
    let mut shots = vec![masked];
    // The start is in both.
    let mut keep = |sweep: u64, show: &dyn Fn() -> anyhow::Result<Vec<f32>>| -> anyhow::Result<()> {
        let (column, shot) =
            (sweep == 0 || in_strip.contains(&sweep), sweep == 0 || in_animation.contains(&sweep));
        if column || shot {
            let pixels = show()?;
            let shown = with_given(&|i| pixels[i]);
            if column {
                columns.push(shown.clone());
            }
            shots.extend(shot.then_some(shown));
        }
        Ok(())
    };
    if let Some(energy) = trained.model.unnormalised() {
        clamped(energy, x, &known, (settings.sweeps, key), |sweep, x| {
            let means = || energy.resample(x.clone(), &Draws::new(key.child(Role::Choice), rows.len(), 1));
            keep(sweep, &|| sample::read(if args.bits { x.clone() } else { means() }))
        })?;
    } else {
        let latent = trained.model.latent_for(BIDIRECTIONAL).or_user()?;
        let h = latent.propose(x.clone(), &Draws::new(key.child(Role::Wake), rows.len(), 1), 0.0).latents;
        let start = Chains::new(x, h);
        keep(0, &|| sample::shown(&trained.model, &start, !args.bits))?;
        let chained = trained.model.chained_for(BIDIRECTIONAL).or_user()?;
        chains::run(chained, start, Some(&known), settings, (0, key), |sweep, chains| {
            keep(sweep, &|| sample::shown(&trained.model, chains, !args.bits))
        })?;
    }
    if let Some(out) = &out.strip {
        let pixels = by_row(&columns, shape);
        out.write(|file| picture::write_strip(file, shape, &pixels, columns.len()).map_err(picture::as_io))?;
        say!("{}", out.path().display());
    }
    if let Some(out) = &out.animation {
        out.write(|file| picture::write_animation(file, shape, &shots).map_err(std::io::Error::other))?;
        say!("{}", out.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Maximum number of states of the chains in a strip.
const MOST_COLUMNS: usize = 100;
/// Maximum number of states of the chains in an animation.
const MOST_FRAMES: usize = 150;

fn out(args: &InpaintArgs, trained: &Trained) -> anyhow::Result<Out> {
    let Some(path) = &args.out else {
        let folder = trained.folder.as_ref().map_or_else(PathBuf::new, |folder| folder.join("samples"));
        return Ok(Out {
            strip: Some(Output::inside(&folder, "inpaint.png")),
            animation: Some(Output::inside(&folder, "inpaint.gif")),
        });
    };
    let out = Some(Output::named("--out", path, &["png", "gif"])?);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gif") => Ok(Out { strip: None, animation: out }),
        _ => Ok(Out { strip: out, animation: None }),
    }
}

/// Which pixels are hidden.
fn hidden(mask: &str, shape: ImageShape) -> anyhow::Result<Vec<bool>> {
    let ImageShape { height, width } = shape;
    if SIDES.contains(&mask) && height == 1 {
        return Err(user(format!(
            "--mask {mask}: the rows of this data set are not images; give a .png of {width} x 1"
        )));
    }
    let place = |pixel: usize| (pixel / width, pixel % width);
    let by =
        |hidden: &dyn Fn((usize, usize)) -> bool| (0..height * width).map(|i| hidden(place(i))).collect();
    Ok(match mask {
        "top" => by(&|(y, _)| y < height / 2),
        "bottom" => by(&|(y, _)| y >= height / 2),
        "left" => by(&|(_, x)| x < width / 2),
        "right" => by(&|(_, x)| x >= width / 2),
        file => {
            let path = Path::new(file);
            if path.extension().is_none() {
                return Err(user(format!(
                    "--mask {file}: neither a .png nor one of the sides; {}",
                    known(file, &SIDES)
                )));
            }
            let opened = File::open(path).map_err(|error| user(format!("--mask {file}: {error}")))?;
            let (found, values) = picture::read_grey(BufReader::new(opened)).map_err(|error| {
                user(format!("--mask {file}: {error}; give a .png of {width} x {height}"))
            })?;
            if found != shape {
                return Err(user(format!(
                    "--mask {file}: the mask has {} x {} pixels, but the pictures have {width} x {height}",
                    found.width, found.height
                )));
            }
            values.iter().map(|&value| value > 0.5).collect()
        }
    })
}

fn as_row(bits: impl Iterator<Item = bool>, trained: &Trained) -> Tensor<2> {
    let values: Vec<f32> = bits.map(|bit| f32::from(u8::from(bit))).collect();
    let d = values.len();
    Tensor::from_data(TensorData::new(values, [1, d]), (&trained.device, DType::F32))
}

/// Independent pixels with the means of the training split: `[n, d]`.
fn noise(trained: &Trained, n: usize, key: helmholtz_core::Key) -> Tensor<2> {
    let mean = trained.data.train.mean();
    let mut bits = Vec::with_capacity(n * mean.len());
    let mut u = vec![0.0f64; mean.len()];
    for chain in 0..n {
        fill_uniform(key, chain as u64, 0, &mut u);
        bits.extend(u.iter().zip(&mean).map(|(u, mean)| if u < mean { 1.0f32 } else { 0.0 }));
    }
    Tensor::from_data(TensorData::new(bits, [n, mean.len()]), (&trained.device, DType::F32))
}

/// Up to `n` sweeps after which states are shown: the last one is among them, and they lie farther apart towards the
/// end. The start is shown too, but not counted.
fn places(sweeps: u64, n: usize) -> Vec<u64> {
    let place = |i: usize| ((i as f64 / n as f64).powi(2) * sweeps as f64).round() as u64;
    let mut places: Vec<u64> = (1..=n).map(place).filter(|&sweep| sweep > 0).collect();
    places.dedup();
    places
}

/// Rearranges columns of pictures into rows.
fn by_row(columns: &[Vec<f32>], shape: ImageShape) -> Vec<f32> {
    let d = shape.height * shape.width;
    let n = columns[0].len() / d;
    (0..n)
        .flat_map(|row| columns.iter().flat_map(move |column| column[row * d..(row + 1) * d].to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_hide_their_half() {
        let shape = ImageShape { height: 2, width: 3 };
        let shown = |mask: &str| -> String {
            hidden(mask, shape).unwrap().iter().map(|&hidden| if hidden { '#' } else { '.' }).collect()
        };
        assert_eq!(["top", "bottom", "left", "right"].map(shown), ["###...", "...###", "#..#..", ".##.##"]);
        assert!(hidden("botom", shape).unwrap_err().to_string().contains("did you mean `bottom`?"));
        assert!(hidden("top", ImageShape { height: 1, width: 3 }).is_err());
    }

    #[test]
    fn the_states_shown_end_with_the_last_and_lie_farther_apart_towards_it() {
        assert_eq!(places(50, 5), [2, 8, 18, 32, 50]);
        assert_eq!(places(3, 12), [1, 2, 3]);
        assert!(places(0, 12).is_empty());
        let many = places(100_000, MOST_FRAMES);
        assert_eq!((many.len(), many.last()), (MOST_FRAMES, Some(&100_000)));
    }

    #[test]
    fn columns_become_rows() {
        let shape = ImageShape { height: 1, width: 1 };
        assert_eq!(by_row(&[vec![1.0, 2.0], vec![3.0, 4.0]], shape), [1.0, 3.0, 2.0, 4.0]);
    }
}
