//! The model and the data that are timed.

use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_cli::error::user;
use helmholtz_core::Key;
use helmholtz_directed::{HelmholtzMachine, StackConfig};
use helmholtz_noise::fill_uniform;

/// Observed units, those of a 28 x 28 image.
pub(crate) const OBSERVED: usize = 784;

/// Rows of the fixed matrix.
pub(crate) const ROWS: usize = 1000;

/// The share of ones, about that of binarised digits.
pub(crate) const ONES: f32 = 0.13;

/// A model with its data.
pub(crate) struct Stack {
    pub(crate) model: HelmholtzMachine,
    pub(crate) x: Tensor<2>,
}

/// A sigmoid belief network on `device` with initial weights, and data `[ROWS, OBSERVED]`.
pub(crate) fn stack(layers: &[usize], device: &Device) -> anyhow::Result<Stack> {
    let key = Key::new(0);
    let values = bits(ROWS, ONES);
    let mut mean = vec![0.0f64; OBSERVED];
    for row in values.chunks_exact(OBSERVED) {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += f64::from(*value) / ROWS as f64;
        }
    }
    let x = Tensor::from_data(TensorData::new(values, [ROWS, OBSERVED]), device);
    let model = StackConfig::new(OBSERVED, layers.to_vec())
        .init(Some(&mean), key, device)
        .map_err(|error| user(format!("--layers: {error}")))?;
    Ok(Stack { model, x })
}

/// `rows` rows of `OBSERVED` bits, each on with probability `ones`.
pub(crate) fn bits(rows: usize, ones: f32) -> Vec<f32> {
    let key = Key::new(0).child("bench data");
    let mut values = vec![0.0f32; rows * OBSERVED];
    for (row, values) in values.chunks_exact_mut(OBSERVED).enumerate() {
        fill_uniform(key, row as u64, 0, values);
        values.iter_mut().for_each(|value| *value = f32::from(*value < ones));
    }
    values
}
