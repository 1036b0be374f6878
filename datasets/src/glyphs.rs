//! `glyphs/28x28`: pen-drawn characters of a mixed alphabet; no download is needed.
//!
//! Each row is one of forty characters, all equally likely. Its points are moved a little; the character is scaled,
//! slanted, tilted and placed; then a round pen follows the strokes. A pixel is on if its centre is within the pen's
//! radius of a stroke. The amount of ink is close to that of the binarized digits: 12 % of the pixels are on, compared
//! with 13 %.
//!
//! The values are pinned by a hash. Therefore this file uses only +, −, ×, ÷ and comparisons of `f64`: their results
//! are the same to the bit on every machine, while those of a sine are not.

use helmholtz_noise::Stream;

use crate::alphabet::ALPHABET;
use crate::entry::{Entry, Generated, Recipe};
use crate::{Binarization, ImageShape, generate};

/// The glyphs.
pub const GLYPHS: Entry = Entry {
    id: "glyphs/28x28",
    version: 1,
    summary: "pen-drawn letters, digits and runes, forty of them, 28x28",
    source: "drawn here",
    licence: "not needed",
    generated: true,
    shape: ImageShape::of_width(SIDE * SIDE),
    split_sizes: [20_000, 2_000, 2_000],
    binarization: Binarization::AsStored,
    files: &[],
    sha256: Some("5dd00ab686d1edd64dbc7b58d9a073c46f7cb9c37fbe13047fcf44e27f6b1715"),
    labels_sha256: None,
    recipe: Recipe::Generate(|entry| {
        let seed = u64::from_be_bytes(*b"glyphs28");
        let splits = generate::splits(seed, entry.split_sizes, entry.width(), draw);
        Generated { splits, law: None }
    }),
};

/// Pixels per side.
const SIDE: usize = 28;
/// Number of straight pieces that a curve is drawn as; a power of two, so that the parameters of their ends are exact.
const PIECES: usize = 8;
/// How far a point moves at most, as a fraction of half the character's size.
const JITTER: f64 = 0.09;

type Point = [f64; 2];

/// Draws one character.
fn draw(stream: &mut Stream, image: &mut [u8]) {
    let character = &ALPHABET[stream.below(ALPHABET.len())];
    let radius = stream.uniform_in(0.8, 1.5);
    let (half_width, half_height) = (stream.uniform_in(5.0, 7.5), stream.uniform_in(7.5, 9.5));
    let slant = stream.uniform_in(-0.10, 0.30); // pixels to the right per pixel up
    let tilt = stream.uniform_in(-0.12, 0.12); // pixels down per pixel to the right
    let centre = [0, 1].map(|_| SIDE as f64 / 2.0 + stream.uniform_in(-1.5, 1.5));
    let points: Vec<Point> = (character.points.iter())
        .map(|point| {
            let [x, y] = point.map(|at| at + stream.uniform_in(-JITTER, JITTER));
            let (x, y) = (half_width * x, half_height * y);
            [centre[0] + x - slant * y, centre[1] + y + tilt * x]
        })
        .collect();
    for curve in &character.curves {
        draw_curve(curve.map(|point| points[point]), radius, image);
    }
}

/// Draws a quadratic Bézier curve from `a` to `c` with the control point `b`.
fn draw_curve([a, b, c]: [Point; 3], radius: f64, image: &mut [u8]) {
    let mut from = a;
    // The control point of a straight stroke is its start; it is drawn as one piece.
    let pieces = if a == b { 1 } else { PIECES };
    for i in 1..=pieces {
        let t = i as f64 / pieces as f64;
        let s = 1.0 - t;
        let to = [0, 1].map(|axis| s * s * a[axis] + 2.0 * s * t * b[axis] + t * t * c[axis]);
        draw_piece(from, to, radius, image);
        from = to;
    }
}

/// Switches on the pixels whose centres are within `radius` of the segment.
fn draw_piece(from: Point, to: Point, radius: f64, image: &mut [u8]) {
    let [along_x, along_y] = [to[0] - from[0], to[1] - from[1]];
    let length_squared = along_x * along_x + along_y * along_y;
    let [columns, rows] = [0, 1].map(|axis| {
        // Casts saturate, so that parts outside the image are cut off.
        let low = from[axis].min(to[axis]) - radius;
        let high = from[axis].max(to[axis]) + radius + 1.0;
        low as usize..(high as usize).min(SIDE)
    });
    for row in rows {
        for column in columns.clone() {
            let [x, y] = [column as f64 + 0.5 - from[0], row as f64 + 0.5 - from[1]];
            // The nearest point of the segment; a segment of no length is a dot.
            let t = if length_squared > 0.0 { (x * along_x + y * along_y) / length_squared } else { 0.0 };
            let t = t.clamp(0.0, 1.0);
            let [dx, dy] = [x - t * along_x, y - t * along_y];
            if dx * dx + dy * dy <= radius * radius {
                image[row * SIDE + column] = 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_a_disc() {
        let mut image = [0; SIDE * SIDE];
        draw_piece([10.5, 4.5], [10.5, 4.5], 1.0, &mut image);
        let on: Vec<usize> = (0..image.len()).filter(|i| image[*i] == 1).collect();
        assert_eq!(on, [(3, 10), (4, 9), (4, 10), (4, 11), (5, 10)].map(|(row, column)| row * SIDE + column));
    }

    #[test]
    fn a_stroke_that_leaves_the_image_is_cut_off() {
        let mut image = [0; SIDE * SIDE];
        draw_piece([-5.0, 3.5], [40.0, 3.5], 0.5, &mut image);
        assert!(image.iter().enumerate().all(|(i, on)| *on == u8::from(i / SIDE == 3)));
        draw_piece([-9.0, -9.0], [-3.0, -3.0], 1.0, &mut image);
        assert_eq!(image.iter().map(|on| usize::from(*on)).sum::<usize>(), SIDE);
    }

    #[test]
    fn characters_stay_inside_the_image_and_have_the_ink_of_digits() {
        let set = GLYPHS.load(&crate::places::Places::default()).unwrap();
        for i in 0..set.train.rows() {
            let ink: usize = set.train.bits_of(i).iter().map(|on| usize::from(*on)).sum();
            assert!((30..400).contains(&ink), "row {i} has {ink} pixels on");
        }
        // The binarized digits have 13 % of their pixels on.
        let mean = set.train.mean();
        let share = mean.iter().sum::<f64>() / mean.len() as f64;
        assert!((0.10..0.20).contains(&share), "{share}");
        assert_eq!(mean[0], 0.0, "nothing reaches the corner");
    }
}
