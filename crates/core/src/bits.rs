//! All states of a few bits, for exact sums.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// The states `first..first + n` of `d` bits as rows of zeros and ones: `[n, d]`.
///
/// Column `j` of state `s` is bit `j` of the number `s`.
///
/// # Panics
/// If `d` is above 63, or a state is not below `2^d`.
pub fn enumerate_bits(d: usize, first: u64, n: usize, dtype: DType, device: &Device) -> Tensor<2> {
    assert!(d < 64 && first + n as u64 <= 1 << d, "{d} bits have no states {first}..{}", first + n as u64);
    let values: Vec<f32> =
        (first..first + n as u64).flat_map(|state| (0..d).map(move |j| (state >> j & 1) as f32)).collect();
    Tensor::from_data(TensorData::new(values, [n, d]).convert_dtype(dtype), (device, dtype))
}
