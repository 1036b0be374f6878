//! Chains that run side by side.

use burn::tensor::{Int, Tensor, TensorData};

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
}

/// The rows of a matrix at the given places.
pub(crate) fn select(rows: Tensor<2>, places: &[usize]) -> Tensor<2> {
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    let n = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &rows.device());
    rows.select(0, places)
}
