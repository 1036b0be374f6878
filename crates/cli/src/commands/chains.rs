//! Chains of a bidirectional machine: their settings, and the file that keeps their state.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use helmholtz_core::{Key, Role};
use helmholtz_samplers::{Chains, Gibbs, GibbsError, Known};
use helmholtz_zoo::Chained;
use indicatif::{ProgressBar, ProgressStyle};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::args::ChainArgs;
use crate::config::count;
use crate::error::user;
use crate::output::write_whole;

/// How chains run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Sweeps in all.
    pub(crate) sweeps: u64,
    pub(crate) gibbs: Gibbs,
}

/// Maximum number of draws for one step of one chain, which are all in memory at once.
const MOST_DRAWS: usize = 1 << 16;

/// The value of a flag that counts draws, or its default.
pub(crate) fn draws(flag: &str, value: Option<i64>, default: usize) -> anyhow::Result<usize> {
    let n = value.map_or(Ok(default), |value| count(flag, value))?;
    match n {
        0 => Err(user(format!("{flag} 0: must be at least 1"))),
        1..=MOST_DRAWS => Ok(n),
        _ => Err(user(format!("{flag} {n}: must not be above {MOST_DRAWS}"))),
    }
}

impl ChainArgs {
    /// The settings, checked.
    ///
    /// # Errors
    /// If there are too few proposals or samples.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let gibbs = Gibbs {
            proposals: draws("--proposals", self.proposals, 20)?,
            inner: draws("--inner", self.inner, 10)?,
        };
        let gibbs = gibbs.checked().map_err(|error| user(format!("--proposals, --inner: {error}")))?;
        let sweeps = self.sweeps.map_or(Ok(50), |sweeps| count("--sweeps", sweeps))?;
        Ok(Settings { sweeps: sweeps as u64, gibbs })
    }
}

/// The key of the chains of a seed.
pub(crate) fn key(seed: u64) -> Key {
    Key::new(seed).child(Role::Sample)
}

/// Runs chains that have had `done` sweeps up to the requested number. After each sweep, `on_sweep` gets the number of
/// sweeps and the chains.
///
/// # Errors
/// If there are known units below an autoregressive layer, or a chain cannot go on.
pub(crate) fn run(
    model: &dyn Chained,
    mut chains: Chains,
    known: Option<&Known>,
    settings: Settings,
    (done, key): (u64, Key),
    mut on_sweep: impl FnMut(u64, &Chains) -> anyhow::Result<()>,
) -> anyhow::Result<Chains> {
    let bar = ProgressBar::new(settings.sweeps).with_position(done);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} sweeps, {eta} left")?);
    for sweep in done..settings.sweeps {
        chains = match model.sweep(&settings.gibbs, &chains, known, key.child(sweep)) {
            Err(error @ GibbsError::Autoregressive) => return Err(user(error)),
            swept => swept?,
        };
        on_sweep(sweep + 1, &chains)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(chains)
}

/// A file that keeps chains.
pub(crate) struct Kept<'a> {
    pub(crate) path: &'a Path,
    /// Names and values of the settings that must be the same for chains to go on.
    pub(crate) setting: Vec<(&'static str, String)>,
}

const SWEEPS: &str = "sweeps";

impl Kept<'_> {
    /// The chains and their number of sweeps, if the file exists.
    ///
    /// # Errors
    /// If it is not such a file, or holds other chains.
    pub(crate) fn read(
        &self,
        sizes: &[usize],
        n: usize,
        device: &Device,
    ) -> anyhow::Result<Option<(u64, Chains)>> {
        let shown = self.path.display();
        let bytes = match fs::read(self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(user(format!("{shown}: {error}"))),
        };
        let wrong = |what: &dyn std::fmt::Display| {
            user(format!(
                "{shown}: not a file of chains that this command wrote: {what}; name another with --keep-chains"
            ))
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| wrong(&error))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        for (name, value) in &self.setting {
            let found = metadata.get(*name).map_or("(not set)", String::as_str);
            if found != value {
                return Err(user(format!(
                    "{shown}: its chains have {name} = {found}, but now it is {value}; leave it as it was, or name \
                     another file with --keep-chains"
                )));
            }
        }
        let sweeps: u64 = metadata
            .get(SWEEPS)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| wrong(&"the number of sweeps is missing"))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(&error))?;
        let layer = |(l, &d): (usize, &usize)| {
            let view = tensors.tensor(&format!("layer.{l}")).map_err(|error| wrong(&error))?;
            if view.dtype() != Dtype::U8 || view.shape() != [n, d] {
                return Err(wrong(&format!("layer {l} is {:?} {:?}", view.shape(), view.dtype())));
            }
            if let Some(byte) = view.data().iter().find(|byte| **byte > 1) {
                return Err(wrong(&format!("layer {l} has a {byte} among its bits")));
            }
            let values: Vec<f32> = view.data().iter().map(|&bit| f32::from(bit)).collect();
            Ok(Tensor::from_data(TensorData::new(values, [n, d]), (device, DType::F32)))
        };
        let layers = sizes.iter().enumerate().map(layer).collect::<anyhow::Result<_>>()?;
        Ok(Some((sweeps, Chains { layers })))
    }

    /// Writes the chains after `sweeps` sweeps.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, sweeps: u64, chains: &Chains) -> anyhow::Result<()> {
        let bits = |layer: &Tensor<2>| -> Vec<u8> {
            layer.clone().into_data_as::<f32>().iter::<f32>().map(|value| (value > 0.5) as u8).collect()
        };
        let layers: Vec<([usize; 2], Vec<u8>)> =
            chains.layers.iter().map(|layer| (layer.dims(), bits(layer))).collect();
        let views = layers
            .iter()
            .enumerate()
            .map(|(l, (shape, bits))| {
                Ok((format!("layer.{l}"), TensorView::new(Dtype::U8, shape.to_vec(), bits)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let mut metadata: HashMap<String, String> =
            self.setting.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        metadata.insert(SWEEPS.to_owned(), sweeps.to_string());
        let bytes = serialize(views, Some(metadata))?;
        write_whole(self.path, |file| file.write_all(&bytes))
    }
}
