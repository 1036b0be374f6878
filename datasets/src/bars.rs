//! `bars/DxD`: unions of horizontal and vertical bars.
//!
//! There are 2D independent latents, each on with probability 1/(2D). The first D switch on whole rows of the
//! image and the last D whole columns; the image is their union. On average one bar is on. The image in which every
//! pixel is on has many causes.
//!
//! # Reference
//! Bornschein and Bengio, "Reweighted wake-sleep", 2014, arXiv:1406.2751, whose code draws 5×5 images,
//! 10 000 for training; Bornschein et al., "Bidirectional Helmholtz machines", 2015,
//! arXiv:1506.03877, whose code draws 4×4 images, 5000 a split.

use helmholtz_noise::Stream;

use crate::entry::{Entry, Generated, Recipe};
use crate::{Binarization, ImageShape, Law, generate};

/// The 5×5 bars.
pub const BARS_5: Entry = Entry {
    id: "bars/5x5",
    version: 1,
    summary: "unions of horizontal and vertical bars, 5x5; exact entropy 3.2508 nats",
    source: "drawn here, after the bars of reweighted wake-sleep (arXiv:1406.2751)",
    licence: "not needed",
    generated: true,
    shape: ImageShape::of_width(25),
    split_sizes: [10_000, 1_000, 10_000],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: Some("2a773840e403c09643b96ccb1f52bfbed9efed6597d8306aa44369920e6dba11"),
    labels_sha256: None,
    recipe: Recipe::Generate(|entry| bars(entry, 5, u64::from_be_bytes(*b"bars/5x5"))),
};

/// The 4×4 bars.
pub const BARS_4: Entry = Entry {
    id: "bars/4x4",
    version: 1,
    summary: "unions of horizontal and vertical bars, 4x4; exact entropy 3.0131 nats",
    source: "drawn here, after the bars of bidirectional Helmholtz machines (arXiv:1506.03877)",
    licence: "not needed",
    generated: true,
    shape: ImageShape::of_width(16),
    split_sizes: [5_000; 3],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: Some("f507848b2be22292cae519629125ed9e21527967155b02165cf093e4ff1644fc"),
    labels_sha256: None,
    recipe: Recipe::Generate(|entry| bars(entry, 4, u64::from_be_bytes(*b"bars/4x4"))),
};

fn bars(entry: &Entry, d: usize, seed: u64) -> Generated {
    let on = 1.0 / (2 * d) as f64;
    let draw = |stream: &mut Stream, row: &mut [u8]| {
        for latent in 0..2 * d {
            if stream.uniform() < on {
                switch_on(latent, d, row);
            }
        }
    };
    let splits = generate::splits(seed, entry.split_sizes, d * d, draw);
    Generated { splits, law: Some(law(d)) }
}

/// Latents `0..d` are the rows from the top, `d..2 * d` the columns from the left.
fn switch_on(latent: usize, d: usize, image: &mut [u8]) {
    if latent < d {
        image[latent * d..][..d].fill(1);
    } else {
        image.iter_mut().skip(latent - d).step_by(d).for_each(|pixel| *pixel = 1);
    }
}

/// The distribution of the d×d bars, by enumeration of the 4^d states of the latents.
fn law(d: usize) -> Law {
    let on = 1.0 / (2 * d) as f64;
    let outcomes = (0..1u32 << (2 * d)).map(|state| {
        let (mut image, mut probability) = (vec![0; d * d], 1.0);
        for latent in 0..2 * d {
            if state >> latent & 1 == 1 {
                switch_on(latent, d, &mut image);
                probability *= on;
            } else {
                probability *= 1.0 - on;
            }
        }
        (image, probability)
    });
    Law::of_outcomes(d * d, outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::assert_drawn_from;

    #[test]
    fn the_law_of_the_bars_is_exact() {
        for (d, entropy) in [(5, 3.2508), (4, 3.0131)] {
            let law = law(d);
            // Every image but the full one shows which rows and columns are on.
            let side = (1 << d) - 1;
            assert_eq!(law.patterns().rows(), side * side + 1);
            assert!((law.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!((law.entropy() - entropy).abs() < 1e-4, "{d}: {}", law.entropy());
        }
    }

    #[test]
    fn one_row_and_one_column_make_a_cross() {
        let mut image = [0; 9];
        switch_on(1, 3, &mut image);
        switch_on(3, 3, &mut image);
        assert_eq!(image, [1, 0, 0, 1, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn training_rows_follow_the_law() {
        for entry in [BARS_5, BARS_4] {
            let set = entry.load(&crate::places::Places::default()).unwrap();
            assert_drawn_from(set.law.as_ref().unwrap(), &set.train);
        }
    }
}
