//! Chains that run side by side.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use helmholtz_core::{Draws, Key};

/// The states of n chains: the observed units and each layer of latents, one chain a row.
#[derive(Clone, Debug)]
pub struct Chains {
    /// Layers from the data up: `[n, d_x]`, `[n, d_1]`, ...
    pub layers: Vec<Tensor<2>>,
}

impl Chains {
    /// Chains at `x` and `h`.
    pub fn new(x: Tensor<2>, h: Vec<Tensor<2>>) -> Self {
        Chains { layers: std::iter::once(x).chain(h).collect() }
    }

    /// Number of chains.
    pub fn n(&self) -> usize {
        self.layers[0].dims()[0]
    }

    /// The observed units: `[n, d_x]`.
    pub fn x(&self) -> Tensor<2> {
        self.layers[0].clone()
    }

    /// The latents, from the data up.
    pub fn h(&self) -> &[Tensor<2>] {
        &self.layers[1..]
    }

    /// The chains in `range`.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        Chains { layers: self.layers.iter().map(|layer| layer.clone().slice(range.clone())).collect() }
    }
}

/// Proposals that are processed at a time, or those of one chain if it has more. This bounds the memory.
const AT_ONCE: usize = 10_000;

/// `n` chains with `proposals` each, in blocks small enough for memory.
pub(crate) fn blocks(n: usize, proposals: usize) -> impl Iterator<Item = Range<usize>> {
    let block = (AT_ONCE / proposals).max(1);
    (0..n).step_by(block).map(move |first| first..(first + block).min(n))
}

/// The cells of `k` draws for each of the chains in `range`.
pub(crate) fn draws(key: Key, range: &Range<usize>, k: usize) -> Draws {
    Draws::of_rows(key, range.clone().map(|chain| chain as u64).collect::<Vec<_>>(), k)
}

/// The chosen one of the `k` rows of each chain, which are side by side: `[n k, d]` to `[n, d]`.
pub(crate) fn pick(rows: Tensor<2>, k: usize, chosen: &[usize]) -> Tensor<2> {
    let places: Vec<usize> = chosen.iter().enumerate().map(|(chain, place)| chain * k + place).collect();
    select(rows, &places)
}

/// The rows of a matrix at the given places.
pub(crate) fn select(rows: Tensor<2>, places: &[usize]) -> Tensor<2> {
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    let n = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &rows.device());
    rows.select(0, places)
}
