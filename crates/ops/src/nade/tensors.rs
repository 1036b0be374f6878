//! The scan by plain tensor operations, one block of units at a time: for devices other than the host, and for
//! autodiff.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use helmholtz_core::{Defence, Drawn, Draws, Scored};

use super::scan::{Scan, ScanGradient};
use crate::bernoulli;
use crate::host::repeats;
use crate::noise;
use crate::rows::repeat_rows;

/// Number of units whose hidden activations are held at the same time.
const BLOCK: usize = 32;

/// `log p(x)`, differentiable by autodiff with respect to everything except `x`.
///
/// # Shapes
/// As in [`score`](super::score), with the bias included in `product`. Output `[n]`.
pub fn log_prob(x: Tensor<2>, start: Tensor<2>, product: Tensor<2>, scan: &Scan) -> Tensor<1> {
    let logits = logits(&x, start, product, scan);
    bernoulli::log_prob(x, logits)
}

/// [`score`](super::score) by plain tensor operations, on any device.
pub fn score_by_tensors(
    x: Tensor<2>,
    start: Tensor<2>,
    product: Tensor<2>,
    bias: Tensor<1>,
    scan: &Scan,
) -> Scored {
    let logits = logits(&x, start, product, scan);
    bernoulli::score_by_tensors(x, logits, bias)
}

/// [`draw`](super::draw) by plain tensor operations, on any device.
pub fn draw_by_tensors(
    start: Tensor<2>,
    product: Tensor<2>,
    bias: Tensor<1>,
    scan: &Scan,
    draws: &Draws,
    defence: Defence<'_>,
) -> Drawn {
    let n = draws.len();
    let [_, d] = product.dims();
    let (mut a, product) = (in_full(start, n), in_full(product, n));
    let u = noise::uniform(draws, d, a.dtype(), &a.device());
    let mut drawn = Vec::with_capacity(d);
    let mut logits = Vec::with_capacity(d);
    for unit in scan.order.units(d) {
        let row = |matrix: &Tensor<2>| matrix.clone().slice([unit..unit + 1, 0..matrix.dims()[1]]);
        let column = |matrix: &Tensor<2>| matrix.clone().slice([0..n, unit..unit + 1]);
        let read = (activation::sigmoid(a.clone()) * row(&scan.decoder)).sum_dim(1);
        let logit = read + column(&product);
        let mean = activation::sigmoid(logit.clone() + bias.clone().slice(unit..unit + 1).unsqueeze());
        let x = bernoulli::decide_by_tensors(column(&u), mean, defence);
        a = a + x.clone() * row(&scan.encoder);
        drawn.push(x);
        logits.push(logit);
    }
    let unsorted = |columns: Vec<Tensor<2>>| scan.order.restore_columns(Tensor::cat(columns, 1));
    let x = unsorted(drawn);
    Drawn { x: x.clone(), scored: bernoulli::score_by_tensors(x, unsorted(logits), bias) }
}

/// [`gradient`](super::gradient) by plain tensor operations, on any device.
pub fn gradient_by_tensors(x: Tensor<2>, start: Tensor<2>, errors: Tensor<2>, scan: &Scan) -> ScanGradient {
    let ([n, d], [n_start, h]) = (errors.dims(), start.dims());
    let device = errors.device();
    let x = scan.order.sort_columns(in_full(x, n));
    let errors = scan.order.sort_columns(errors);
    let encoder = scan.order.sort_rows(scan.encoder.clone());
    let decoder = scan.order.sort_rows(scan.decoder.clone());
    let mut after = in_full(start, n) + x.clone().matmul(encoder.clone());
    let mut later = after.zeros_like();
    let (mut d_encoder, mut d_decoder) = (Vec::new(), Vec::new());
    for first in (0..d).step_by(BLOCK).collect::<Vec<_>>().into_iter().rev() {
        let units = first..(first + BLOCK).min(d);
        let x = x.clone().slice([0..n, units.clone()]);
        let encoder = encoder.clone().slice([units.clone(), 0..h]);
        let decoder = decoder.clone().slice([units.clone(), 0..h]);
        let errors = errors.clone().slice([0..n, units.clone()]).unsqueeze_dim::<3>(2);
        after = after - x.clone().matmul(encoder.clone());
        let hidden = activations(&x, &after, encoder);
        d_decoder.push((errors.clone() * hidden.clone()).sum_dim(0).squeeze_dim::<2>(0));
        let g = errors * decoder.unsqueeze_dim(0) * hidden.clone() * (hidden.neg() + 1.0);
        // Σ over the later units of this block, and over all later blocks, which were visited before.
        let mask = earlier(units.len(), x.dtype(), &device).transpose();
        let sums = mask.unsqueeze_dim::<3>(0).repeat_dim(0, n).matmul(g.clone());
        let sums = sums + later.clone().unsqueeze_dim(1);
        d_encoder.push((x.unsqueeze_dim::<3>(2) * sums).sum_dim(0).squeeze_dim::<2>(0));
        later = later + g.sum_dim(1).squeeze_dim(1);
    }
    let assembled = |mut blocks: Vec<Tensor<2>>| {
        blocks.reverse();
        scan.order.restore_rows(Tensor::cat(blocks, 0))
    };
    let k = repeats(n, n_start);
    let start = later.reshape([n_start, k, h]).sum_dim(1).squeeze_dim(1);
    ScanGradient { encoder: assembled(d_encoder), decoder: assembled(d_decoder), start }
}

/// The logits without a bias: `[n, d]`.
fn logits(x: &Tensor<2>, start: Tensor<2>, product: Tensor<2>, scan: &Scan) -> Tensor<2> {
    let n = x.dims()[0].max(start.dims()[0]).max(product.dims()[0]);
    let [d, h] = scan.encoder.dims();
    let x = scan.order.sort_columns(in_full(x.clone(), n));
    let encoder = scan.order.sort_rows(scan.encoder.clone());
    let decoder = scan.order.sort_rows(scan.decoder.clone());
    let mut before = in_full(start, n);
    let mut read = Vec::new();
    for first in (0..d).step_by(BLOCK) {
        let units = first..(first + BLOCK).min(d);
        let x = x.clone().slice([0..n, units.clone()]);
        let encoder = encoder.clone().slice([units.clone(), 0..h]);
        let decoder = decoder.clone().slice([units, 0..h]);
        let hidden = activations(&x, &before, encoder.clone());
        read.push((hidden * decoder.unsqueeze_dim(0)).sum_dim(2).squeeze_dim::<2>(2));
        before = before + x.matmul(encoder);
    }
    scan.order.restore_columns(Tensor::cat(read, 1)) + in_full(product, n)
}

/// `hidᵢ` of the units of a block, given the sums before it: `[n, B, H]`.
fn activations(x: &Tensor<2>, before: &Tensor<2>, encoder: Tensor<2>) -> Tensor<3> {
    let ([n, b], [_, h]) = (x.dims(), encoder.dims());
    let seen = x.clone().unsqueeze_dim::<3>(1) * earlier(b, x.dtype(), &x.device()).unsqueeze_dim(0);
    let sums = seen.reshape([n * b, b]).matmul(encoder).reshape([n, b, h]);
    activation::sigmoid(sums + before.clone().unsqueeze_dim(1))
}

/// One where the unit of the column comes before the unit of the row: `[b, b]`.
fn earlier(b: usize, dtype: DType, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..b * b).map(|i| f32::from(u8::from(i % b < i / b))).collect();
    Tensor::from_data(TensorData::new(values, [b, b]).convert_dtype(dtype), (device, dtype))
}

fn in_full(rows: Tensor<2>, n: usize) -> Tensor<2> {
    let k = repeats(n, rows.dims()[0]);
    repeat_rows(rows, k)
}
