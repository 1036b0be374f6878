//! Whether the peers compute what we compute.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use burn::module::Param;
use burn::tensor::Tensor;
use helmholtz_core::Gradients;
use tempfile::TempDir;

use crate::bench::peers::Peer;
use crate::exit::progress;

/// The largest deviation from our result, relative to its largest entry.
const TOLERANCE: f64 = 1e-4;

/// A part of a result, with its name.
pub(crate) type Part = (String, Vec<f32>);

/// Files in which the peers find the weights and rows, and to which they write their results.
///
/// Both hold arrays of little-endian f32, in the order that the peers' script states.
pub(crate) struct Exchange {
    folder: TempDir,
    /// Our result, part by part.
    ours: Vec<Part>,
}

impl Exchange {
    pub(crate) fn new(inputs: Vec<Vec<f32>>, ours: Vec<Part>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let exchange = Exchange { folder, ours };
        let bytes: Vec<u8> = inputs.into_iter().flatten().flat_map(f32::to_le_bytes).collect();
        fs::write(exchange.inputs(), bytes).context("cannot write the inputs of the peers")?;
        Ok(exchange)
    }

    fn inputs(&self) -> PathBuf {
        self.folder.path().join("inputs.f32")
    }

    fn result(&self) -> PathBuf {
        self.folder.path().join("result.f32")
    }

    /// The arguments that name the files to a peer.
    pub(crate) fn arguments(&self) -> [(&'static str, OsString); 2] {
        [("--inputs", self.inputs().into()), ("--result", self.result().into())]
    }

    /// Fails if the peer's result differs from ours.
    pub(crate) fn check(&self, peer: &mut Peer) -> anyhow::Result<()> {
        let bytes = self.bytes(peer, "result")?;
        let name = peer.name();
        let worst = compare(&self.ours, &bytes)
            .with_context(|| format!("{name} does not compute what we compute"))?;
        progress(&format!("peers: {name} agrees with ours to {worst:.0e}"));
        Ok(())
    }

    /// The numbers that the peer writes in reply to a command.
    pub(crate) fn numbers(&self, peer: &mut Peer, command: &str) -> anyhow::Result<Vec<f32>> {
        let bytes = self.bytes(peer, command)?;
        let (numbers, _) = bytes.as_chunks();
        Ok(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }

    fn bytes(&self, peer: &mut Peer, command: &str) -> anyhow::Result<Vec<u8>> {
        peer.ask(command)?;
        fs::read(self.result()).with_context(|| format!("cannot read the result of {}", peer.name()))
    }
}

/// The numbers of a tensor.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> anyhow::Result<Vec<f32>> {
    Ok(tensor.into_data().try_into_vec()?)
}

/// The gradient of a parameter.
pub(crate) fn gradient<const D: usize>(
    gradients: &Gradients,
    param: &Param<Tensor<D>>,
) -> anyhow::Result<Vec<f32>> {
    values(gradients.get::<D>(param.id).context("a parameter has received no gradient")?)
}

/// The largest relative deviation of the numbers in `theirs`; an error if it exceeds the tolerance.
fn compare(ours: &[Part], theirs: &[u8]) -> anyhow::Result<f64> {
    let (theirs, _) = theirs.as_chunks();
    let mut theirs = theirs.iter().map(|&bytes| f32::from_le_bytes(bytes));
    let length: usize = ours.iter().map(|(_, part)| part.len()).sum();
    ensure!(theirs.len() == length, "{} numbers instead of {length}", theirs.len());
    let mut worst = 0.0f64;
    for (name, part) in ours {
        let largest = part.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        for (ours, theirs) in part.iter().zip(&mut theirs) {
            let off = f64::from((ours - theirs).abs()) / f64::from(largest);
            // False for NaN.
            ensure!(off <= TOLERANCE, "{name}: {theirs} instead of {ours}; the largest entry is {largest}");
            worst = worst.max(off);
        }
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_above_the_tolerance_is_an_error() {
        let ours = [("log-probability", vec![-100.0, -50.0]), ("gradient in b", vec![0.5])]
            .map(|(name, values)| (name.to_string(), values));
        let theirs = |values: [f32; 3]| values.map(f32::to_le_bytes).concat();
        let worst = compare(&ours, &theirs([-100.0, -50.0, 0.50002])).unwrap();
        assert!((worst - 4e-5).abs() < 1e-6);
        assert!(compare(&ours, &theirs([-100.0, -50.02, 0.5])).is_err());
        assert!(compare(&ours, &theirs([-100.0, -50.0, 0.4999])).is_err());
        assert!(compare(&ours, &theirs([f32::NAN, -50.0, 0.5])).is_err());
        assert!(compare(&ours, &theirs([-100.0, -50.0, 0.5])[4..]).is_err());
    }
}
