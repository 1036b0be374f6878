//! The distribution of initial weights.

use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_noise::{Key, fill_uniform};

/// The distribution of the initial weights of a layer with `d_y` inputs and `d_x` outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitialWeights {
    /// Uniform on `±√(6 / (d_y + d_x))` (Glorot and Bengio, 2010).
    #[default]
    Glorot,
    /// Uniform on `±√(6 / (d_y + d_x)) / d_y`, the rule of the reweighted wake-sleep and BiHM code.
    GlorotOverFanIn,
}

impl InitialWeights {
    /// A matrix of initial weights, `[d_y, d_x]`, keyed row by row.
    pub fn draw(self, d_y: usize, d_x: usize, key: Key, device: &Device) -> Tensor<2> {
        let mut bound = (6.0 / (d_y + d_x) as f64).sqrt();
        if self == InitialWeights::GlorotOverFanIn {
            bound /= d_y as f64;
        }
        let mut values = vec![0.0f32; d_y * d_x];
        for (row, values) in values.chunks_exact_mut(d_x).enumerate() {
            fill_uniform(key, row as u64, 0, values);
            for value in values {
                *value = ((2.0 * f64::from(*value) - 1.0) * bound) as f32;
            }
        }
        Tensor::from_data(TensorData::new(values, [d_y, d_x]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_weights_fill_their_interval() {
        let weights = InitialWeights::Glorot.draw(30, 20, Key::new(0), &Device::flex());
        let bound = (6.0f32 / 50.0).sqrt();
        let (low, high) = (weights.clone().min().into_scalar::<f32>(), weights.max().into_scalar::<f32>());
        assert!(-bound <= low && low < -0.9 * bound && 0.9 * bound < high && high <= bound);
    }
}
