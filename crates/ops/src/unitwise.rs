//! Samples drawn unit by unit in host memory.

use burn::tensor::Device;
use helmholtz_core::{Defence, Drawn, Draws, Scored};
use helmholtz_noise::fill_uniform;
use rayon::prelude::*;

use crate::host;
use crate::real::Real;
use crate::units::score_row;

/// Draws `n` rows of `d` units in blocks of up to `ROWS` rows, on all threads.
///
/// `walk` receives the number of a block's first row, the uniforms of the rows, a buffer for their logits, and which
/// of the rows `defence` marks. It replaces the uniforms by samples and writes the logits without the bias.
pub(crate) fn draw_rows<T: Real, const ROWS: usize>(
    [n, d]: [usize; 2],
    block: usize,
    bias: &[T],
    draws: &Draws,
    defence: Defence<'_>,
    device: &Device,
    walk: impl Fn(usize, &mut [T], &mut [T], &[bool; ROWS]) + Sync,
) -> Drawn {
    let (mut x, mut error, mut log_prob) = (vec![T::ZERO; n * d], vec![T::ZERO; n * d], vec![T::ZERO; n]);
    let tasks = x
        .par_chunks_mut(block * d)
        .zip(error.par_chunks_mut(block * d))
        .zip(log_prob.par_chunks_mut(block))
        .enumerate();
    tasks.for_each(|(task, ((x, error), log_prob))| {
        let (first, rows) = (task * block, log_prob.len());
        for (r, x) in x.chunks_exact_mut(d).enumerate() {
            let (row, sample) = draws.cell(first + r);
            fill_uniform(draws.key(), row, sample, x);
        }
        let mut marked = [false; ROWS];
        if let Some(defence) = defence {
            marked[..rows].copy_from_slice(&defence[first..first + rows]);
        }
        walk(first, x, error, &marked);
        for ((x, error), log_prob) in x.chunks_exact(d).zip(error.chunks_exact_mut(d)).zip(log_prob) {
            *log_prob = score_row(x, error, bias);
        }
    });
    let scored =
        Scored { log_prob: host::tensor(log_prob, [n], device), trace: host::tensor(error, [n, d], device) };
    Drawn { x: host::tensor(x, [n, d], device), scored }
}
