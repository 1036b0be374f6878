//! `bas/DxD`: bars and stripes, images whose rows are all equal or whose columns are all equal.
//!
//! There are 2^D images of whole rows and 2^D images of whole columns. The empty and the full image are among both, so
//! that they count twice; the `-unique` sets have each of the 2^(D+1) - 2 images once. The training split repeats the
//! images a hundred times, the other two hold them once: no model has a lower mean NLL on any split than the entropy.
//!
//! # Reference
//! MacKay, "Information theory, inference, and learning algorithms", 2003, section 43.2.

use crate::entry::{Entry, Generated, Recipe};
use crate::{Binarization, ImageShape, Law, Split};

/// The 3×3 bars and stripes, the empty and the full image twice.
pub const STRIPES_3: Entry = Entry {
    id: "bas/3x3",
    summary: "bars and stripes, 3x3, the empty and the full image twice; exact entropy 2.5993 nats",
    shape: ImageShape::of_width(9),
    split_sizes: [1600, 16, 16],
    sha256: Some("88fe68377157b775714050018ced6ebfc9241ffbf4078cbe4bccf193e7771ca1"),
    recipe: Recipe::Generate(|_| stripes(3, false)),
    ..STRIPES
};

/// The 3×3 bars and stripes, each image once.
pub const STRIPES_3_UNIQUE: Entry = Entry {
    id: "bas/3x3-unique",
    summary: "bars and stripes, 3x3, each image once; exact entropy 2.6391 nats",
    shape: ImageShape::of_width(9),
    split_sizes: [1400, 14, 14],
    sha256: Some("4ca517b8fb5f40d2afa78fb72cf8f48b2682604156d1a09a3fc24ba7110d2153"),
    recipe: Recipe::Generate(|_| stripes(3, true)),
    ..STRIPES
};

/// The 4×4 bars and stripes, the empty and the full image twice.
pub const STRIPES_4: Entry = Entry {
    id: "bas/4x4",
    summary: "bars and stripes, 4x4, the empty and the full image twice; exact entropy 3.3791 nats",
    shape: ImageShape::of_width(16),
    split_sizes: [3200, 32, 32],
    sha256: Some("4bd600ba8a06185b47c144c10a5a7799c18a6e68fd3475a6115cf93a8898553b"),
    recipe: Recipe::Generate(|_| stripes(4, false)),
    ..STRIPES
};

/// The 4×4 bars and stripes, each image once.
pub const STRIPES_4_UNIQUE: Entry = Entry {
    id: "bas/4x4-unique",
    summary: "bars and stripes, 4x4, each image once; exact entropy 3.4012 nats",
    shape: ImageShape::of_width(16),
    split_sizes: [3000, 30, 30],
    sha256: Some("075bef3806a0dbf3df8f61d25488d511ebcc53c9c4580f5f428fa31718554ad1"),
    recipe: Recipe::Generate(|_| stripes(4, true)),
    ..STRIPES
};

/// What all of them share.
const STRIPES: Entry = Entry {
    id: "",
    version: 1,
    summary: "",
    source: "made here: every image of whole rows or of whole columns",
    licence: "not needed",
    generated: true,
    shape: ImageShape::of_width(9),
    split_sizes: [0; 3],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: None,
    labels_sha256: None,
    recipe: Recipe::Generate(|_| stripes(3, false)),
};

/// Times that the training split repeats the images.
const REPEATS: usize = 100;

fn stripes(d: usize, is_unique: bool) -> Generated {
    let images = images(d, is_unique);
    let split = |times: usize| Split::new(images.len() * times, d * d, images.concat().repeat(times));
    let share = 1.0 / images.len() as f64;
    let law = Law::of_outcomes(d * d, images.iter().map(|image| (image.clone(), share)));
    Generated { splits: [split(REPEATS), split(1), split(1)], law: Some(law) }
}

/// Images of whole rows, then those of whole columns.
fn images(d: usize, is_unique: bool) -> Vec<Vec<u8>> {
    let image = |lines: usize, of_rows: bool| -> Vec<u8> {
        (0..d * d).map(|pixel| (lines >> (if of_rows { pixel / d } else { pixel % d }) & 1) as u8).collect()
    };
    let all = (0..1 << d).map(|lines| image(lines, true));
    let is_new = |lines: &usize| !is_unique || (*lines != 0 && *lines != (1 << d) - 1);
    all.chain((0..1 << d).filter(is_new).map(|lines| image(lines, false))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn images_have_equal_rows_or_equal_columns_and_the_entropy_is_that_of_their_number() {
        for (entry, d, images, distinct, entropy) in [
            (STRIPES_3, 3, 16, 14, 2.599_302),
            (STRIPES_3_UNIQUE, 3, 14, 14, 14f64.ln()),
            (STRIPES_4, 4, 32, 30, 3.379_093),
            (STRIPES_4_UNIQUE, 4, 30, 30, 30f64.ln()),
        ] {
            let set = entry.load(&crate::places::Places::default()).unwrap();
            let law = set.law.unwrap();
            assert_eq!((set.test.rows(), law.patterns().rows()), (images, distinct), "{}", entry.id);
            assert!((law.entropy() - entropy).abs() < 1e-6, "{}: {}", entry.id, law.entropy());
            let rows: Vec<Vec<u8>> = (0..images).map(|i| set.test.bits_of(i).to_vec()).collect();
            let by_row = |image: &[u8]| (1..d).all(|i| image[i * d..][..d] == image[..d]);
            let by_column = |image: &[u8]| image.chunks(d).all(|row| row.iter().all(|bit| *bit == row[0]));
            assert!(rows.iter().all(|image| by_row(image) || by_column(image)));
            assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), distinct);
            assert_eq!(set.train.rows(), 100 * images);
            assert!((0..100 * images).all(|i| set.train.bits_of(i) == rows[i % images]));
        }
    }
}
