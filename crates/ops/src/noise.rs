//! Keyed uniforms as a tensor, for operations that are built of tensors.

use burn::tensor::{DType, Device, Tensor};
use helmholtz_noise::{Draws, fill_uniform};

use crate::host::{self, for_real};

/// The uniforms in [0, 1) of units `0..d` of every cell of `draws`: `[n * k, d]`.
pub fn uniform(draws: &Draws, d: usize, dtype: DType, device: &Device) -> Tensor<2> {
    for_real!(dtype, T => {
        let mut values = vec![T::default(); draws.len() * d];
        for (i, cell) in values.chunks_exact_mut(d.max(1)).enumerate() {
            let (row, sample) = draws.cell(i);
            fill_uniform(draws.key(), row, sample, cell);
        }
        host::tensor(values, [draws.len(), d], device)
    })
}
