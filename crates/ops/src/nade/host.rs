//! The forward scan as one loop over host memory.
//!
//! Tasks are blocks of rows that visit the units together, so that a row of `W` and `V` is fetched once for all
//! of them.

use burn::tensor::Tensor;
use helmholtz_core::{Defence, Drawn, Draws, Scored};
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use super::scan::Scan;
use super::vectors::{ROWS, advance, multiply, rows_that_are_on, squash};
use crate::host::{self, SEQUENTIAL, Values, repeats};
use crate::real::{LANES, Real};
use crate::units::{decide, score_row, sum_lanes};
use crate::unitwise::draw_rows;

/// `W` and `V` with their rows padded with zeros to whole vectors, and the units in order.
pub(super) struct ScanWeights<T> {
    encoder: Vec<T>,
    decoder: Vec<T>,
    pub(super) units: Vec<usize>,
    pub(super) width: usize,
    h: usize,
}

impl<T: Real> ScanWeights<T> {
    pub(super) fn of(scan: &Scan) -> Self {
        let [d, h] = scan.encoder.dims();
        assert_eq!(scan.decoder.dims(), [d, h], "W and V differ in shape");
        let width = h.next_multiple_of(LANES);
        let padded = |matrix: &Tensor<2>| padded(&host::read::<T, 2>(matrix.clone()), h, width);
        let (encoder, decoder) = (padded(&scan.encoder), padded(&scan.decoder));
        ScanWeights { encoder, decoder, units: scan.order.units(d), width, h }
    }

    pub(super) fn encoder(&self, unit: usize) -> &[T] {
        &self.encoder[unit * self.width..][..self.width]
    }

    pub(super) fn decoder(&self, unit: usize) -> &[T] {
        &self.decoder[unit * self.width..][..self.width]
    }
}

/// Pads rows of `h` values to rows of `width` values.
pub(super) fn padded<T: Real>(values: &[T], h: usize, width: usize) -> Vec<T> {
    if h == width {
        return values.to_vec();
    }
    let mut rows = vec![T::ZERO; values.len() / h * width];
    for (to, from) in rows.chunks_exact_mut(width).zip(values.chunks_exact(h)) {
        to[..h].copy_from_slice(from);
    }
    rows
}

/// The scan's inputs for n rows; each input may have fewer rows, which then repeat.
struct Inputs<T> {
    start: Vec<T>,
    product: Values<T>,
    k_start: usize,
    k_product: usize,
    d: usize,
}

impl<T: Real> Inputs<T> {
    fn of(start: Tensor<2>, product: Tensor<2>, n: usize, weights: &ScanWeights<T>) -> Self {
        let ([n_start, h], [n_product, d]) = (start.dims(), product.dims());
        assert!(
            h == weights.h && d == weights.units.len(),
            "the scan has {} units and {} hidden units, but the starts have {h} columns and the logits have {d}",
            weights.units.len(),
            weights.h
        );
        Inputs {
            start: padded(&host::read(start), h, weights.width),
            product: host::read(product),
            k_start: repeats(n, n_start),
            k_product: repeats(n, n_product),
            d,
        }
    }

    fn start(&self, row: usize, width: usize) -> &[T] {
        &self.start[row / self.k_start * width..][..width]
    }

    fn product(&self, row: usize) -> &[T] {
        &self.product[row / self.k_product * self.d..][..self.d]
    }
}

pub(super) fn score<T: Real>(
    x: Tensor<2>,
    start: Tensor<2>,
    product: Tensor<2>,
    bias: Tensor<1>,
    scan: &Scan,
) -> Scored {
    let device = product.device();
    let [n_x, d] = x.dims();
    let n = n_x.max(start.dims()[0]).max(product.dims()[0]);
    let weights = ScanWeights::of(scan);
    let inputs = Inputs::of(start, product, n, &weights);
    let (x, bias, k_x) = (host::read::<T, 2>(x), host::read::<T, 1>(bias), repeats(n, n_x));
    let (mut error, mut log_prob) = (vec![T::ZERO; n * d], vec![T::ZERO; n]);
    let block = rows_per_task(n, d * weights.width);
    let x: &[T] = &x;
    let row_of = |row: usize| &x[row / k_x * d..][..d];
    let tasks = error.par_chunks_mut(block * d).zip(log_prob.par_chunks_mut(block)).enumerate();
    tasks.for_each(|(task, (error, log_prob))| {
        let first = task * block;
        let mut walk = Walk::start(first, log_prob.len(), row_of, &inputs, &weights);
        vectorised(
            #[inline(always)]
            || walk.score(),
        );
        walk.logits_into(error);
        for (r, (row, log_prob)) in error.chunks_exact_mut(d).zip(log_prob).enumerate() {
            *log_prob = score_row(row_of(first + r), row, &bias);
        }
    });
    Scored { log_prob: host::tensor(log_prob, [n], &device), trace: host::tensor(error, [n, d], &device) }
}

pub(super) fn draw<T: Real>(
    start: Tensor<2>,
    product: Tensor<2>,
    bias: Tensor<1>,
    scan: &Scan,
    draws: &Draws,
    defence: Defence<'_>,
) -> Drawn {
    let device = product.device();
    let n = draws.len();
    let weights = ScanWeights::of(scan);
    let inputs = Inputs::of(start, product, n, &weights);
    let d = inputs.d;
    let bias = host::read::<T, 1>(bias);
    let block = rows_per_task(n, d * weights.width);
    draw_rows([n, d], block, &bias, draws, defence, &device, |first, x, logits, marked: &[bool; ROWS]| {
        let rows = x.len() / d;
        let mut walk = Walk::start(first, rows, |row| &x[(row - first) * d..][..d], &inputs, &weights);
        vectorised(
            #[inline(always)]
            || walk.draw(&bias, marked),
        );
        walk.units_into(x);
        walk.logits_into(logits);
    })
}

/// Number of rows in one task; up to `ROWS` if threads would cost more than they gain.
fn rows_per_task(n: usize, work_per_row: usize) -> usize {
    if n * work_per_row < SEQUENTIAL {
        return n.clamp(1, ROWS);
    }
    n.div_ceil(rayon::current_num_threads()).clamp(1, ROWS)
}

/// A few rows on their walk over the units.
///
/// The values of one unit are adjacent, one for each row.
struct Walk<'a, T> {
    rows: usize,
    weights: &'a ScanWeights<T>,
    /// The values of the units, or the uniforms that decide them.
    x: Vec<[T; ROWS]>,
    /// The logits of the units without their bias; at first only the part that does not depend on x.
    logits: Vec<[T; ROWS]>,
    /// `a`, row after row.
    sums: Vec<T>,
    /// `σ(a)`.
    hidden: Vec<T>,
    /// The products of a dot product, not yet summed over lanes.
    products: Vec<[T; LANES]>,
}

impl<'a, T: Real> Walk<'a, T> {
    fn start<'b>(
        first: usize,
        rows: usize,
        row_of: impl Fn(usize) -> &'b [T],
        inputs: &Inputs<T>,
        weights: &'a ScanWeights<T>,
    ) -> Self {
        let mut sums = Vec::with_capacity(rows * weights.width);
        let (mut x, mut logits) = (vec![[T::ZERO; ROWS]; inputs.d], vec![[T::ZERO; ROWS]; inputs.d]);
        for r in 0..rows {
            sums.extend_from_slice(inputs.start(first + r, weights.width));
            for (to, from) in x.iter_mut().zip(row_of(first + r)) {
                to[r] = *from;
            }
            for (to, from) in logits.iter_mut().zip(inputs.product(first + r)) {
                to[r] = *from;
            }
        }
        let (hidden, products) = (sums.clone(), vec![[T::ZERO; LANES]; ROWS]);
        Walk { rows, weights, x, logits, sums, hidden, products }
    }

    /// Completes the logits of units with given values.
    #[inline(always)]
    fn score(&mut self) {
        squash(&self.sums, &mut self.hidden);
        for &unit in &self.weights.units {
            self.read(unit);
            self.add(unit);
        }
    }

    /// Turns uniforms into units and completes their logits.
    #[inline(always)]
    fn draw(&mut self, bias: &[T], marked: &[bool; ROWS]) {
        squash(&self.sums, &mut self.hidden);
        for &unit in &self.weights.units {
            self.read(unit);
            decide(&mut self.x[unit], &self.logits[unit], bias[unit], marked);
            self.add(unit);
        }
    }

    /// Adds the contribution of the hidden units to the logits of a unit.
    #[inline(always)]
    fn read(&mut self, unit: usize) {
        let (decoder, width) = (self.weights.decoder(unit), self.weights.width);
        for (hidden, products) in self.hidden.chunks_exact(width).zip(&mut self.products) {
            *products = multiply(hidden, decoder);
        }
        // A separate loop: with the sums in the first loop, the compiler would keep the lanes apart from the start.
        for (logit, products) in self.logits[unit].iter_mut().zip(&self.products).take(self.rows) {
            *logit += sum_lanes(*products);
        }
    }

    /// Adds the values of a unit to the hidden units.
    #[inline(always)]
    fn add(&mut self, unit: usize) {
        let (encoder, width) = (self.weights.encoder(unit), self.weights.width);
        let (rows, n) = rows_that_are_on(&self.x[unit], self.rows);
        for &r in &rows[..n] {
            let own = r * width..(r + 1) * width;
            advance(&mut self.sums[own.clone()], &mut self.hidden[own], self.x[unit][r], encoder);
        }
    }

    fn units_into(&self, rows: &mut [T]) {
        Self::transpose(&self.x, rows);
    }

    fn logits_into(&self, rows: &mut [T]) {
        Self::transpose(&self.logits, rows);
    }

    fn transpose(by_unit: &[[T; ROWS]], rows: &mut [T]) {
        for (r, row) in rows.chunks_exact_mut(by_unit.len()).enumerate() {
            for (to, from) in row.iter_mut().zip(by_unit) {
                *to = from[r];
            }
        }
    }
}
