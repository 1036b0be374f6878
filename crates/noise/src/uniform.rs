//! Uniform numbers for the units of a cell: a data row and one of its samples.
//!
//! The counter of a block is `[block, sample, row, row >> 32]`. Sixteen consecutive blocks yield
//! 64 units: unit `64 g + 16 w + lane` is word `w` of block `16 g + lane`. Vector instructions
//! can store this layout without shuffling. It is part of the format.

use crate::Key;
use crate::philox::{LANES, philox4x32_lanes};
use crate::simd::vectorised;

/// Number of units that [`LANES`] blocks yield.
const GROUP: usize = 4 * LANES;

/// A floating-point type with a uniform distribution on [0, 1).
///
/// The 24 bits of an `f32` draw are the leading bits of the `f64` draw of the same cell, so a
/// model sees the same noise in double precision as in single precision.
pub trait Uniform: Copy + Default + Send + Sync + 'static {
    /// Writes the uniforms of units `0..out.len()` of the cell `(row, sample)` under `key`.
    fn fill(key: Key, row: u64, sample: u32, out: &mut [Self]);
}

/// Writes the uniforms in [0, 1) of units `0..out.len()` of the cell `(row, sample)` under `key`.
///
/// # Panics
/// If `row` is 2^61 or more.
pub fn fill_uniform<T: Uniform>(key: Key, row: u64, sample: u32, out: &mut [T]) {
    T::fill(key, row, sample, out);
}

impl Uniform for f32 {
    fn fill(key: Key, row: u64, sample: u32, out: &mut [Self]) {
        for_each_group(key, row, sample, out, |words, out| {
            for (u, word) in out.iter_mut().zip(words.as_flattened()) {
                *u = (word >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32);
            }
        });
    }
}

impl Uniform for f64 {
    fn fill(key: Key, row: u64, sample: u32, out: &mut [Self]) {
        for_each_group(key, row, sample, out, |words, out| {
            for (u, word) in out.iter_mut().zip(words.as_flattened()) {
                *u = f64::from(*word);
            }
        });
        // The low 21 bits come from a second family of counters, with bit 30 of word 3 set.
        for_each_group(key, row | LOW_WORDS, sample, out, |words, out| {
            for (u, word) in out.iter_mut().zip(words.as_flattened()) {
                *u = (*u * (1u32 << 21) as f64 + f64::from(word >> 11)) * (1.0 / (1u64 << 53) as f64);
            }
        });
    }
}

const LOW_WORDS: u64 = 1 << 62;

/// Calls `write` with the words of each group of units and the part of `out` that they fill.
#[inline(always)]
fn for_each_group<T>(
    key: Key,
    row: u64,
    sample: u32,
    out: &mut [T],
    write: impl Fn(&[[u32; LANES]; 4], &mut [T]),
) {
    assert!(row & !LOW_WORDS < 1 << 61, "row {row} is too large for the counter; rows must be below 2^61");
    vectorised(
        #[inline(always)]
        || groups(key, row, sample, out, write),
    );
}

#[inline(always)]
fn groups<T>(key: Key, row: u64, sample: u32, out: &mut [T], write: impl Fn(&[[u32; LANES]; 4], &mut [T])) {
    for (group, out) in out.chunks_mut(GROUP).enumerate() {
        let first = (group * LANES) as u32;
        let mut words = [[0; LANES], [sample; LANES], [row as u32; LANES], [(row >> 32) as u32; LANES]];
        for (lane, block) in words[0].iter_mut().enumerate() {
            *block = first + lane as u32;
        }
        philox4x32_lanes(&mut words, key.words());
        write(&words, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::philox::philox4x32;

    fn row_of<T: Uniform>(key: Key, row: u64, sample: u32, n: usize) -> Vec<T> {
        let mut out = vec![T::default(); n];
        fill_uniform(key, row, sample, &mut out);
        out
    }

    #[test]
    fn a_unit_is_the_word_of_the_documented_block() {
        let key = Key::new(9);
        let u = row_of::<f32>(key, 5, 3, 200);
        for unit in [0, 15, 16, 63, 64, 100, 199] {
            let (group, word, lane) = (unit / 64, unit % 64 / 16, unit % 16);
            let block = philox4x32([(16 * group + lane) as u32, 3, 5, 0], key.words());
            assert_eq!(u[unit], (block[word] >> 8) as f32 / (1 << 24) as f32);
        }
    }

    #[test]
    fn double_precision_refines_single_precision() {
        let key = Key::new(1);
        let (a, b) = (row_of::<f32>(key, 1, 1, 300), row_of::<f64>(key, 1, 1, 300));
        for (a, b) in a.iter().zip(&b) {
            assert!((0.0..1.0 / (1 << 24) as f64).contains(&(b - f64::from(*a))));
        }
    }

    #[test]
    fn the_same_numbers_on_any_number_of_threads_and_in_any_order() {
        let key = Key::new(4);
        let expected: Vec<Vec<f32>> = (0..64).map(|row| row_of(key, row, 0, 77)).collect();
        for n_threads in [1, 2, 4] {
            let rows = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..n_threads)
                    .map(|t| {
                        scope.spawn(move || -> Vec<(u64, Vec<f32>)> {
                            (0..64)
                                .rev()
                                .filter(|row| row % n_threads == t)
                                .map(|row| (row, row_of(key, row, 0, 77)))
                                .collect()
                        })
                    })
                    .collect();
                threads.into_iter().flat_map(|t| t.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(rows.len(), 64);
            for (row, values) in rows {
                assert_eq!(values, expected[row as usize]);
            }
        }
    }

    #[test]
    fn moments_of_a_million_uniforms() {
        // Mean and second moment of U[0, 1) over n = 2^20 draws are within 5 standard errors of
        // 1/2 and 1/3, with a false-alarm rate below 2e-6 for any key.
        let mut out = vec![0.0f64; 1 << 10];
        let (mut m1, mut m2) = (0.0, 0.0);
        for row in 0..1 << 10 {
            fill_uniform(Key::new(77), row, 0, &mut out);
            m1 += out.iter().sum::<f64>();
            m2 += out.iter().map(|u| u * u).sum::<f64>();
        }
        let n = (1u64 << 20) as f64;
        assert!((m1 / n - 0.5).abs() < 5.0 * (1.0 / 12.0 / n).sqrt());
        assert!((m2 / n - 1.0 / 3.0).abs() < 5.0 * (4.0 / 45.0 / n).sqrt());
    }
}
