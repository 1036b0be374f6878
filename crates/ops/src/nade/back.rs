//! The backward scan as one loop over host memory.
//!
//! Everything except the error is a function of one hidden unit, so tasks are ranges of hidden units. Each task owns
//! its part of the gradient and visits the rows in order, so sums do not depend on the number of threads.

use burn::tensor::Tensor;
use helmholtz_noise::simd::vectorised;
use rayon::prelude::*;

use super::host::{ScanWeights, padded};
use super::scan::{Scan, ScanGradient};
use super::vectors::{ROWS, add_scaled, advance, rows_that_are_on, squash, vector};
use crate::host::{self, repeats};
use crate::real::{LANES, Real};

/// Number of rows that are processed together.
const ROWS_BACK: usize = 8;
/// The most hidden units in one task: its rows then stay in the first-level cache.
const WIDEST: usize = 128;

pub(super) fn gradient<T: Real>(
    x: Tensor<2>,
    start: Tensor<2>,
    errors: Tensor<2>,
    scan: &Scan,
) -> ScanGradient {
    let device = errors.device();
    let ([n_x, _], [n_start, h], [n, d]) = (x.dims(), start.dims(), errors.dims());
    let weights = ScanWeights::of(scan);
    let width = weights.width;
    let back = Back {
        x: host::values(x),
        k_x: repeats(n, n_x),
        start: padded(&host::read(start), h, width),
        k_start: repeats(n, n_start),
        errors: host::values(errors),
        n,
        d,
        weights,
    };
    let vectors = width / LANES;
    let per_task = vectors.div_ceil(rayon::current_num_threads()).clamp(1, WIDEST / LANES);
    let firsts: Vec<usize> = (0..vectors).step_by(per_task).map(|vector| vector * LANES).collect();
    let parts: Vec<Part<T>> = firsts
        .into_par_iter()
        .map(|first| {
            let columns = first..(first + per_task * LANES).min(width);
            vectorised(
                #[inline(always)]
                || back.columns(columns),
            )
        })
        .collect();
    let assembled = |rows: usize, of: fn(&Part<T>) -> &Vec<T>| {
        let mut matrix = vec![T::ZERO; rows * h];
        for part in &parts {
            let (first, width) = (part.first, part.width);
            let kept = width.min(h - first);
            for (row, from) in matrix.chunks_exact_mut(h).zip(of(part).chunks_exact(width)) {
                row[first..first + kept].copy_from_slice(&from[..kept]);
            }
        }
        host::tensor(matrix, [rows, h], &device)
    };
    ScanGradient {
        encoder: assembled(d, |part| &part.encoder),
        decoder: assembled(d, |part| &part.decoder),
        start: assembled(n_start, |part| &part.start),
    }
}

/// The inputs of the backward scan.
struct Back<T> {
    x: Vec<T>,
    k_x: usize,
    start: Vec<T>,
    k_start: usize,
    errors: Vec<T>,
    n: usize,
    d: usize,
    weights: ScanWeights<T>,
}

/// The gradient for a range of hidden units.
struct Part<T> {
    first: usize,
    width: usize,
    encoder: Vec<T>,
    decoder: Vec<T>,
    start: Vec<T>,
}

impl<T: Real> Back<T> {
    #[inline(always)]
    fn columns(&self, columns: std::ops::Range<usize>) -> Part<T> {
        let (first, width) = (columns.start, columns.len());
        let mut part = Part {
            first,
            width,
            encoder: vec![T::ZERO; self.d * width],
            decoder: vec![T::ZERO; self.d * width],
            start: vec![T::ZERO; self.n / self.k_start * width],
        };
        let mut state = vec![T::ZERO; 4 * ROWS_BACK * width];
        for rows in (0..self.n).step_by(ROWS_BACK) {
            self.rows(rows..(rows + ROWS_BACK).min(self.n), &mut part, &mut state);
        }
        part
    }

    #[inline(always)]
    fn x(&self, row: usize) -> &[T] {
        &self.x[row / self.k_x * self.d..][..self.d]
    }

    /// Visits the units in reverse order for a few rows together.
    #[inline(always)]
    fn rows(&self, rows: std::ops::Range<usize>, part: &mut Part<T>, state: &mut [T]) {
        let (first, width) = (part.first, part.width);
        let weights = &self.weights;
        let encoder = |unit: usize| &weights.encoder(unit)[first..first + width];
        let decoder = |unit: usize| &weights.decoder(unit)[first..first + width];
        // The sums a, σ(a), Σ δ V since the sums last changed, and Σ g over all later units.
        let (sums, rest) = state.split_at_mut(ROWS_BACK * width);
        let (hidden, rest) = rest.split_at_mut(ROWS_BACK * width);
        let (pending, later) = rest.split_at_mut(ROWS_BACK * width);
        pending.fill(T::ZERO);
        later.fill(T::ZERO);
        for (r, row) in rows.clone().enumerate() {
            let own = r * width..(r + 1) * width;
            let sums = &mut sums[own.clone()];
            sums.copy_from_slice(&self.start[row / self.k_start * weights.width + first..][..width]);
            let x = self.x(row);
            for &unit in &weights.units {
                if x[unit] != T::ZERO {
                    add_scaled(sums, x[unit], encoder(unit));
                }
            }
            squash(sums, &mut hidden[own]);
        }
        for &unit in weights.units.iter().rev() {
            let (read, d_decoder) = (decoder(unit), &mut part.decoder[unit * width..][..width]);
            let mut x = [T::ZERO; ROWS];
            for (x, row) in x.iter_mut().zip(rows.clone()) {
                *x = self.x(row)[unit];
            }
            let (on, n) = rows_that_are_on(&x, rows.len());
            for &r in &on[..n] {
                let own = r * width..(r + 1) * width;
                let state = (&mut sums[own.clone()], &mut hidden[own.clone()]);
                let state = (state, (&mut pending[own.clone()], &mut later[own]));
                retreat(state, x[r], encoder(unit), &mut part.encoder[unit * width..][..width]);
            }
            for (r, row) in rows.clone().enumerate() {
                let own = r * width..(r + 1) * width;
                let error = self.errors[row * self.d + unit];
                add_scaled(d_decoder, error, &hidden[own.clone()]);
                add_scaled(&mut pending[own], error, read);
            }
        }
        for (r, row) in rows.enumerate() {
            let own = r * width..(r + 1) * width;
            settle(&mut pending[own.clone()], &hidden[own.clone()], &mut later[own.clone()]);
            add_scaled(&mut part.start[row / self.k_start * width..][..width], T::ONE, &later[own]);
        }
    }
}

/// `later += pending ⊙ h (1 - h)`, `pending = 0`, `dW += x later`, `sums -= x W` and `h = σ(sums)`.
#[inline(always)]
#[expect(clippy::type_complexity, reason = "four parts of the state of a row")]
fn retreat<T: Real>(
    ((sums, hidden), (pending, later)): ((&mut [T], &mut [T]), (&mut [T], &mut [T])),
    x: T,
    encoder: &[T],
    d_encoder: &mut [T],
) {
    settle(pending, hidden, later);
    add_scaled(d_encoder, x, later);
    advance(sums, hidden, -x, encoder);
}

/// `later += pending ⊙ h (1 - h)` and `pending = 0`.
#[inline(always)]
fn settle<T: Real>(pending: &mut [T], hidden: &[T], later: &mut [T]) {
    let (pending, _) = pending.as_chunks_mut::<LANES>();
    let ((hidden, _), (later, _)) = (hidden.as_chunks::<LANES>(), later.as_chunks_mut::<LANES>());
    for ((pending, hidden), later) in pending.iter_mut().zip(hidden).zip(later) {
        let (p, h, mut sum) = (vector(pending), *hidden, *later);
        for i in 0..LANES {
            sum[i] = (p[i] * h[i]).mul_add(T::ONE - h[i], sum[i]);
        }
        *later = sum;
        *pending = [T::ZERO; LANES];
    }
}
