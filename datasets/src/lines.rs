//! `lines/3x3`: twelve patterns of whole lines, vertical ones twice as likely as horizontal ones.
//!
//! A vertical pattern is the union of one or two of the three columns; there are six, with probability 2/18 each. A
//! horizontal pattern is the union of one or two of the three rows; there are six, with probability 1/18 each.
//! The entropy is 6·(2/18)·ln 9 + 6·(1/18)·ln 18 = 2.4283 nats, the lowest expected NLL of any model.
//!
//! # Reference
//! The toy data of the natural reweighted wake-sleep code (`ThreeByThreeLines`), after
//! Dayan, Hinton, Neal, Zemel, "The Helmholtz machine", Neural Computation 1995.

use helmholtz_noise::Stream;

use crate::entry::{Entry, Generated, Recipe};
use crate::{Binarization, ImageShape, Law, generate};

/// The 3×3 lines.
pub const LINES_3: Entry = Entry {
    id: "lines/3x3",
    version: 1,
    summary: "twelve patterns of horizontal or vertical lines, 3x3; exact entropy 2.4283 nats",
    source: "drawn here, after the 3x3 lines of natural reweighted wake-sleep",
    licence: "not needed",
    generated: true,
    shape: ImageShape::of_width(9),
    split_sizes: [10_000, 1_000, 10_000],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: Some("1f3eb7a316e584f3b774a4c5f09919d22c2404313d290c00f0442773bb54c672"),
    labels_sha256: None,
    recipe: Recipe::Generate(|entry| {
        let seed = u64::from_be_bytes(*b"line/3x3");
        let draw = |stream: &mut Stream, row: &mut [u8]| row.copy_from_slice(&outcome(stream.below(18)));
        let splits = generate::splits(seed, entry.split_sizes, 9, draw);
        let law = Law::of_outcomes(9, (0..18).map(|n| (outcome(n).to_vec(), 1.0 / 18.0)));
        Generated { splits, law: Some(law) }
    }),
};

/// Outcome `n` of eighteen equally likely outcomes; each vertical pattern is two of them.
fn outcome(n: usize) -> [u8; 9] {
    let (vertical, lines) = if n < 12 { (true, n / 2 + 1) } else { (false, n - 12 + 1) };
    // `lines` runs over 1..=6, the sets of three lines that are neither empty nor full.
    std::array::from_fn(|pixel| {
        let line = if vertical { pixel % 3 } else { pixel / 3 };
        (lines >> line & 1) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::LINES_3;
    use crate::law::assert_drawn_from;

    #[test]
    fn the_law_of_the_lines_is_exact() {
        let set = LINES_3.load(&crate::places::Places::default()).unwrap();
        let law = set.law.unwrap();
        assert_eq!(law.patterns().rows(), 12);
        assert!((law.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let entropy = 12.0 / 18.0 * 9f64.ln() + 6.0 / 18.0 * 18f64.ln();
        assert!((law.entropy() - entropy).abs() < 1e-12);
        assert!((law.entropy() - 2.4283).abs() < 1e-4);
        // A single column has probability 2/18, a single row 1/18.
        let p = |pattern: [u8; 9]| {
            let i = (0..12).find(|i| law.patterns().bits_of(*i) == pattern).unwrap();
            law.probabilities()[i]
        };
        assert!((p([0, 1, 0, 0, 1, 0, 0, 1, 0]) - 2.0 / 18.0).abs() < 1e-15);
        assert!((p([0, 0, 0, 1, 1, 1, 0, 0, 0]) - 1.0 / 18.0).abs() < 1e-15);
    }

    #[test]
    fn training_rows_follow_the_law() {
        let set = LINES_3.load(&crate::places::Places::default()).unwrap();
        assert_drawn_from(set.law.as_ref().unwrap(), &set.train);
    }
}
