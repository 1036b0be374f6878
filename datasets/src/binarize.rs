//! How intensities become bits.

use helmholtz_noise::{Key, fill_uniform};
use rayon::prelude::*;

use crate::{Split, Values};

/// How a protocol turns intensities into bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binarization {
    /// No binarization: the values are what the files hold, binary or not.
    AsStored,
    /// 1 where the intensity is above a half.
    Threshold,
    /// Bits are drawn with the intensity as the probability of a 1. Validation and test rows are drawn once, from
    /// the protocol's key; training rows are drawn anew in every epoch, from the key of the run.
    Dynamic,
}

/// 1 where the intensity is above a half.
pub fn threshold(split: &Split) -> Split {
    let bits = match split.values() {
        Values::Binary(values) => values.clone(),
        // 127 stands for 0.498, 128 for 0.502.
        Values::Grey(values) => values.iter().map(|value| u8::from(*value > 127)).collect(),
        Values::Real(values) => values.iter().map(|value| u8::from(*value > 0.5)).collect(),
    };
    split.with_bits(bits)
}

/// Draws bits that are 1 with the intensity as the probability.
///
/// Value j of row i is 1 if the uniform number at (row i, sample 0, unit j) of `key` is below the intensity. The
/// result does not depend on the number of threads. A selection of rows gives the same bits if the rows keep their
/// numbers in the whole split (see [`draw_rows`]).
pub fn draw(split: &Split, key: Key) -> Split {
    let rows: Vec<u64> = (0..split.rows() as u64).collect();
    draw_rows(split, &rows, key)
}

/// [`draw`] for rows that have the numbers `rows` in the whole split.
///
/// # Panics
/// If the number of entries in `rows` differs from the number of rows.
pub fn draw_rows(split: &Split, rows: &[u64], key: Key) -> Split {
    assert_eq!(rows.len(), split.rows(), "one number for each row");
    let width = split.width();
    let mut bits = vec![0; split.rows() * width];
    let jobs = bits.par_chunks_exact_mut(width.max(1)).zip(rows).enumerate().with_min_len(64);
    jobs.for_each_init(
        || vec![0.0f32; width],
        |uniforms, (i, (bits, row))| {
            fill_uniform(key, *row, 0, uniforms);
            let intensities = split.row(i);
            for ((bit, uniform), intensity) in bits.iter_mut().zip(uniforms).zip(intensities) {
                *bit = u8::from(*uniform < intensity);
            }
        },
    );
    split.with_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_no_ink() {
        let grey = Split::grey(1, 4, vec![0, 127, 128, 255]).with_labels(Some(vec![3]));
        let bits = threshold(&grey);
        assert_eq!((bits.bits(), bits.labels()), ([0, 0, 1, 1].as_slice(), Some([3].as_slice())));
        assert_eq!(threshold(&Split::real(1, 2, vec![0.5, 0.51])).bits(), [0, 1]);
    }

    #[test]
    fn certain_pixels_are_never_drawn_otherwise_and_others_by_their_intensity() {
        let n = 20_000;
        let grey = Split::grey(n, 3, [0, 51, 255].repeat(n));
        let bits = draw(&grey, Key::new(1));
        let mean = bits.mean();
        assert_eq!((mean[0], mean[2]), (0.0, 1.0));
        // Five standard deviations of the mean of n bits of probability 0.2.
        assert!((mean[1] - 0.2).abs() < 5.0 * (0.2 * 0.8 / n as f64).sqrt(), "{mean:?}");
        assert_ne!(bits, draw(&grey, Key::new(2)));
    }

    #[test]
    fn a_row_is_drawn_alike_alone_and_among_others() {
        let values = (0..100 * 7).map(|i| (i * 37 % 251) as f32 / 255.0).collect();
        let all = Split::real(100, 7, values);
        let drawn = draw(&all, Key::new(5));
        let chosen = [93, 4, 17];
        let part = draw_rows(&all.select(&chosen), &chosen.map(|i| i as u64), Key::new(5));
        assert_eq!(part, drawn.select(&chosen));
    }
}
