//! Kernels for devices that Burn supports through CubeCL: keyed noise, made on the device that uses it.
//!
//! A host would have to write and send one number for each unit of each sample in the middle of a step. Instead it
//! sends only the numbers of row and sample that identify a row's noise: twelve bytes.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::CubeDim;
use burn_cubecl::ops::numeric::empty_device_dtype;
use helmholtz_noise::{Draws, philox};

use crate::host::in_host_memory;

/// Number of blocks whose words are adjacent in a row: unit `64 g + 16 w + lane` is word `w` of block `16 g + lane`.
const LANES: usize = philox::LANES;

/// Noise as an operation of a backend.
#[backend_extension(Cube)]
pub(crate) trait Noise: Backend {
    /// The uniforms in [0, 1) of units `0..d` of every cell; `key` holds the two words of the key.
    ///
    /// # Shapes
    /// - `cells`: `[n, 3]`, the low and the high word of the row number, and the sample number; output `[n, d]`
    fn keyed_uniform(cells: IntTensor<Self>, d: usize, key: [u32; 2]) -> FloatTensor<Self>;
}

impl Noise for CubeBackend {
    fn keyed_uniform(cells: IntTensor<Self>, d: usize, key: [u32; 2]) -> FloatTensor<Self> {
        let cells = burn_cubecl::kernel::into_contiguous(cells);
        let n = cells.meta.shape()[0];
        let shape = Shape::from([n, d]);
        let output = empty_device_dtype(cells.client.clone(), cells.device.clone(), shape, DType::F32);
        let blocks = d.div_ceil(4 * LANES) * LANES;
        let units = n * blocks;
        if n * d > 0 {
            let dim = CubeDim::new(&cells.client, units);
            let count = calculate_cube_count_elemwise(&cells.client, units, dim);
            let client = output.client.clone();
            let into = output.clone().into_tensor_arg();
            kernel::keyed_uniform::launch(
                &client,
                count,
                dim,
                cells.into_tensor_arg(),
                into,
                blocks as u32,
                key[0],
                key[1],
            );
        }
        output
    }
}

/// Whether the kernels can run on this device and in this type.
pub(crate) fn applies(device: &Device, dtype: DType) -> bool {
    let name = format!("{device:?}");
    dtype == DType::F32 && !device.is_autodiff() && !in_host_memory(device) && !name.contains("Remote")
}

/// The uniforms of units `0..d` of every cell of `draws`: `[n * k, d]`.
pub(crate) fn uniform(draws: &Draws, d: usize, device: &Device) -> Tensor<2> {
    let mut cells = Vec::with_capacity(3 * draws.len());
    for i in 0..draws.len() {
        let (row, sample) = draws.cell(i);
        assert!(row < 1 << 61, "row {row} is too large for the counter; rows must be below 2^61");
        // The bits of the words as i32, the integer type that every backend has.
        cells.extend([row as u32 as i32, (row >> 32) as u32 as i32, sample as i32]);
    }
    let cells = TensorData::new(cells, [draws.len(), 3]);
    let cells = Tensor::<2, Int>::from_data(cells, (device, DType::I32));
    Tensor::from_dispatch(Dispatch::keyed_uniform(cells.into_dispatch(), d, draws.key().words()))
}

/// The standard normals of [`normal`](crate::noise::normal), computed with the device's own functions.
pub(crate) fn normal(draws: &Draws, d: usize, device: &Device) -> Tensor<2> {
    let (n, width) = (draws.len(), d.next_multiple_of(2));
    let pairs = uniform(draws, width, device).reshape([n * width / 2, 2]);
    let [u, v] = [0..1, 1..2].map(|column| pairs.clone().slice([0..n * width / 2, column]));
    let radius = ((u.neg() + 1.0).log() * -2.0).sqrt();
    // The angle minus half a turn, because the functions are most accurate near zero; this flips both signs.
    let angle = (v - 0.5) * std::f64::consts::TAU;
    let (cos, sin) = (angle.clone().cos() * radius.clone(), angle.sin() * radius);
    Tensor::cat(vec![cos.neg(), sin.neg()], 1).reshape([n, width]).slice([0..n, 0..d])
}

/// The kernel in CubeCL, whose tensor types have the same names as those of Burn.
mod kernel {
    use burn_cubecl::cubecl::{self, prelude::*};

    /// One block of Philox4x32-10 for each unit of work: four numbers of a row.
    #[cube(launch)]
    pub(super) fn keyed_uniform(
        cells: &Tensor<i32>,
        output: &mut Tensor<f32>,
        blocks: u32,
        key_0: u32,
        key_1: u32,
    ) {
        let n = output.shape(0);
        let d = output.shape(1);
        let row = ABSOLUTE_POS / blocks as usize;
        if row >= n {
            terminate!();
        }
        let block = (ABSOLUTE_POS % blocks as usize) as u32;
        let mut c0 = block;
        let mut c1 = u32::cast_from(cells[3 * row + 2]);
        let mut c2 = u32::cast_from(cells[3 * row]);
        let mut c3 = u32::cast_from(cells[3 * row + 1]);
        let mut k0 = key_0;
        let mut k1 = key_1;
        #[unroll]
        for _round in 0..10u32 {
            let high_0 = u32::mul_hi(c0, 0xD251_1F53u32);
            let low_0 = c0 * 0xD251_1F53u32;
            let high_1 = u32::mul_hi(c2, 0xCD9E_8D57u32);
            let low_1 = c2 * 0xCD9E_8D57u32;
            c0 = high_1 ^ c1 ^ k0;
            c1 = low_1;
            c2 = high_0 ^ c3 ^ k1;
            c3 = low_0;
            k0 += 0x9E37_79B9u32;
            k1 += 0xBB67_AE85u32;
        }
        let first = row * d;
        let unit = ((block / 16u32) * 64u32 + block % 16u32) as usize;
        write(output, first, unit, d, c0);
        write(output, first, unit + 16, d, c1);
        write(output, first, unit + 32, d, c2);
        write(output, first, unit + 48, d, c3);
    }

    /// Writes the leading 24 bits of a word as a number in [0, 1), if the row has this unit.
    #[cube]
    fn write(output: &mut Tensor<f32>, first: usize, unit: usize, d: usize, word: u32) {
        if unit < d {
            output[first + unit] = f32::cast_from(word >> 8u32) * (1.0f32 / 16_777_216.0f32);
        }
    }
}
