//! `modes/4x4`: four images that are far apart, with every pixel flipped with a small probability p.
//!
//! Any two of the four images differ in at least 10 of the 16 pixels, which is as far apart as four images can be. The
//! entropy is close to `ln 4 + 16 H(p)`, which it would be if the four never met.
//!
//! A chain that flips pixels one by one, or resamples them given hidden units, hardly ever goes from one image to
//! another: chains that persist fail on such data as training goes on, and tempered ones do not.
//!
//! # Reference
//! Desjardins, Courville, Bengio, Vincent, Delalleau, "Tempered Markov chain Monte Carlo for training of restricted
//! Boltzmann machines", AISTATS 2010, section 5.1. The images are our own.

use helmholtz_noise::Stream;

use crate::entry::{Entry, Generated, Recipe};
use crate::{Binarization, ImageShape, Law, generate};

/// Pixels flipped with probability 0.001.
pub const MODES_001: Entry = Entry {
    id: "modes/4x4",
    version: 1,
    summary: "four images far apart, 4x4, pixels flipped with p = 0.001; exact entropy 1.5128 nats",
    source: "drawn here, after the toy data of tempered training (Desjardins et al. 2010)",
    licence: "not needed",
    generated: true,
    shape: ImageShape::of_width(PIXELS),
    split_sizes: [10_000, 1_000, 10_000],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: Some("39c0d830c5089275c000b69d5752819ade6e3d657734766e41bbde04d9190708"),
    labels_sha256: None,
    recipe: Recipe::Generate(|entry| modes(entry, 0.001)),
};

/// Pixels flipped with probability 0.01.
pub const MODES_01: Entry = Entry {
    id: "modes/4x4-0.01",
    summary: "four images far apart, 4x4, pixels flipped with p = 0.01; exact entropy 2.2823 nats",
    sha256: Some("409e6588b80c7f5dfebf57b76c58df7fe54555e4f45669e8246702ead2245c31"),
    recipe: Recipe::Generate(|entry| modes(entry, 0.01)),
    ..MODES_001
};

/// Pixels flipped with probability 0.1.
pub const MODES_1: Entry = Entry {
    id: "modes/4x4-0.1",
    summary: "four images far apart, 4x4, pixels flipped with p = 0.1; exact entropy 6.5838 nats",
    sha256: Some("2c4c4083e9899d5d6ff7805a7e84d8bc89b7a87117fb95ce76d48e72415f774b"),
    recipe: Recipe::Generate(|entry| modes(entry, 0.1)),
    ..MODES_001
};

const PIXELS: usize = 16;

/// Pixels 0 to 4, 5 to 9 and 10 to 15 are three groups. The empty image has none on, each other image two of them.
fn image(mode: usize) -> [u8; PIXELS] {
    std::array::from_fn(|pixel| {
        let group = (pixel / 5).min(2);
        u8::from(mode > 0 && group != mode - 1)
    })
}

fn modes(entry: &Entry, p: f64) -> Generated {
    let seed = u64::from_be_bytes(*b"mode/4x4");
    let draw = |stream: &mut Stream, row: &mut [u8]| {
        let image = image(stream.below(4));
        row.iter_mut().zip(image).for_each(|(to, bit)| *to = bit ^ u8::from(stream.uniform() < p));
    };
    let splits = generate::splits(seed, entry.split_sizes, PIXELS, draw);
    let outcomes = (0..1usize << PIXELS).map(|state| {
        let row: Vec<u8> = (0..PIXELS).map(|pixel| (state >> pixel & 1) as u8).collect();
        let of_mode = |mode: usize| {
            let flips = image(mode).iter().zip(&row).filter(|(a, b)| a != b).count() as i32;
            p.powi(flips) * (1.0 - p).powi(PIXELS as i32 - flips) / 4.0
        };
        let probability = (0..4).map(of_mode).sum();
        (row, probability)
    });
    Generated { splits, law: Some(Law::of_outcomes(PIXELS, outcomes)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::assert_drawn_from;

    #[test]
    fn any_two_images_differ_in_ten_pixels_or_more() {
        for (a, b) in (0..4).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let differ = image(a).iter().zip(image(b)).filter(|(a, b)| **a != *b).count();
            assert!(differ >= 10, "{a} and {b}: {differ}");
        }
    }

    #[test]
    fn rows_follow_the_law() {
        for (entry, p) in [(MODES_001, 0.001f64), (MODES_01, 0.01), (MODES_1, 0.1)] {
            let set = entry.load(&crate::places::Places::default()).unwrap();
            let law = set.law.unwrap();
            let bits = -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
            // Images overlap a little, which lowers the entropy.
            let apart = 4f64.ln() + 16.0 * bits;
            let overlap = apart - law.entropy();
            assert!((0.0..0.02).contains(&overlap), "{}: {} of {apart}", entry.id, law.entropy());
            assert_drawn_from(&law, &set.train);
        }
    }
}
