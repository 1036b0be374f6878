//! The alphabet of the glyphs: forty characters: Latin, Greek and runic.
//!
//! A character is a list of strokes, separated by `/`. A stroke is a list of points on a grid of
//! 9 × 9, written `xy` with x from the left and y from the top. A point in parentheses is the
//! control point of a quadratic curve between its neighbours: `18 (10) 40` goes from the bottom left to the
//! middle of the top and starts straight up.

use std::sync::LazyLock;

#[rustfmt::skip]
const STROKES: [&str; 40] = [
    "18 (10) 40 (70) 78",                                       // arch
    "10 (18) 48 (78) 70",                                       // cup
    "40 (00) 04 (08) 48 (88) 84 (80) 40",                       // ring
    "08 40 88 / 25 65",
    "18 10 40 (70) 72 (74) 44 14",
    "14 44 (84) 86 (88) 48 18 10 40 (70) 72 (74) 44",
    "72 (70) 40 (00) 04 (08) 48 (78) 76",
    "10 18 38 (88) 84 (80) 30 10",
    "70 10 18 78 / 14 54",
    "18 10 63 / 14 67",                                         // ansuz
    "10 18 / 70 78 / 14 74",
    "10 18 / 70 14 78",
    "08 10 45 70 88",
    "18 10 78 70",
    "71 (70) 40 (10) 12 (14) 44 (74) 76 (78) 48 (18) 17",
    "00 80 / 40 46 (48) 68",
    "10 78 / 70 18",
    "00 44 80 / 44 48",
    "10 70 18 78",
    "10 18 / 12 64 16",                                         // thorn
    "40 12 44 72 40 / 44 48",                                   // kite
    "10 12 (15) 45 (75) 72 70 / 40 48",                         // trident
    "40 48 / 03 40 83",                                         // tiwaz
    "40 48 / 42 (02) 04 (06) 46 (86) 84 (82) 42",               // wheel
    "10 70 18 78 10",                                           // hourglass
    "54 (53) 43 (23) 25 (27) 47 (87) 84 (80) 40 (10) 02",       // snail
    "18 10 60 (80) 82",
    "40 08 88 40",
    "10 40 (70) 72 (74) 44 (84) 86 (88) 48 (18) 17",
    "12 (10) 40 (80) 73 18 78",
    "58 50 06 86",
    "10 70 38 / 25 65",
    "72 (74) 44 (14) 12 (10) 40 (70) 72 (78) 38",
    "60 (10) 16 (18) 48 (78) 76 (74) 44 (14) 16",
    "10 (30) 44 78 / 44 18",
    "40 48 / 13 73",                                            // dagger
    "81 (57) 27 (07) 04 (01) 21 (51) 87",                       // fish
    "10 43 70 / 15 48 75",                                      // chevrons
    "60 13 75 28",                                              // sowilo
    "18 10 40 (70) 72 (74) 44 14 / 44 78",
];

/// A character: the points that its strokes share, and quadratic curves between them.
///
/// Strokes that meet share one point, so that they still meet when it moves.
#[derive(Debug)]
pub(crate) struct Character {
    /// Points in [-1, 1]², x to the right and y down.
    pub(crate) points: Vec<[f64; 2]>,
    /// Start, control point and end of each curve; for a straight line the control point is the start.
    pub(crate) curves: Vec<[usize; 3]>,
}

/// The alphabet.
pub(crate) static ALPHABET: LazyLock<Vec<Character>> = LazyLock::new(|| STROKES.map(parse).into());

fn parse(strokes: &str) -> Character {
    let mut character = Character { points: Vec::new(), curves: Vec::new() };
    for stroke in strokes.split('/') {
        let (mut start, mut control) = (None, None);
        for word in stroke.split_whitespace() {
            let point = character.point(word.trim_matches(['(', ')']));
            if word.starts_with('(') {
                control = Some(point);
            } else {
                if let Some(start) = start {
                    character.curves.push([start, control.take().unwrap_or(start), point]);
                }
                start = Some(point);
            }
        }
    }
    character
}

impl Character {
    /// The number of the point `xy`.
    fn point(&mut self, xy: &str) -> usize {
        let digit = |i: usize| f64::from(xy.as_bytes()[i] - b'0');
        let point = [digit(0), digit(1)].map(|grid| (grid - 4.0) / 4.0);
        self.points.iter().position(|other| *other == point).unwrap_or_else(|| {
            self.points.push(point);
            self.points.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_different_and_made_of_points_on_the_grid() {
        for (i, strokes) in STROKES.iter().enumerate() {
            assert!(!STROKES[..i].contains(strokes), "{strokes} twice");
            let words = strokes.split_whitespace().filter(|word| *word != "/");
            for word in words {
                let digits = word.strip_prefix('(').map_or(Some(word), |word| word.strip_suffix(')'));
                let on_grid = |d: &str| d.len() == 2 && d.bytes().all(|d| (b'0'..=b'8').contains(&d));
                assert!(digits.is_some_and(on_grid), "{word} in {strokes}");
            }
        }
    }

    #[test]
    fn strokes_become_curves_that_share_their_points() {
        let character = parse("18 (10) 40 78 / 40 18");
        assert_eq!(character.points, [[-0.75, 1.0], [-0.75, -1.0], [0.0, -1.0], [0.75, 1.0]]);
        assert_eq!(character.curves, [[0, 1, 2], [2, 2, 3], [2, 2, 0]]);
    }
}
