//! Decides whether the integers of a `.csv` are bytes: 3 may be a dark grey, a class or a count.

use std::path::Path;

use crate::error::DataError;
use crate::formats::header::Opening;
use crate::formats::wanted::{Wanted, place_in_file};

/// A value that bytes reach in any picture, but counts and classes rarely reach.
const BRIGHT: u8 = 128;
/// A column with greater values is not a column of labels.
const MOST_CLASSES: u8 = 100;

/// Refuses integers that may be something else than bytes, unless the user has said what they are. `first_byte` is the
/// line, column and text of the first integer above 1.
pub(super) fn check(
    path: &Path,
    values: &[u8],
    width: usize,
    opening: &Opening,
    first_byte: Option<(usize, usize, String)>,
    wanted: &Wanted,
) -> Result<(), DataError> {
    let Some((line, column, value)) = first_byte else { return Ok(()) };
    let refuse = |advice: String| {
        let (path, value) = (path.to_owned(), value.clone());
        Err(DataError::NoByte { path, line, column, value, advice })
    };
    let place = |column: usize| place_in_file(&opening.taken(), column);
    if opening.label.is_none() && wanted.label.is_none() {
        if let Some(index) = row_numbers(values, width) {
            return refuse(format!(
                "column {} numbers the rows: leave it out (pandas: index=False), or add #label=none to the path to \
                 keep it",
                place(index) + 1
            ));
        }
        if let Some(label) = looks_like_labels(values, width) {
            return refuse(format!(
                "column {} looks like labels: add #label={} to the path if it holds labels, or #label=none \
                 if not",
                place(label) + 1,
                place(label)
            ));
        }
    }
    let most = values.iter().copied().max().unwrap_or(0);
    if most < BRIGHT && !wanted.bytes {
        return refuse(format!(
            "no number is above {most}: add #bytes to the path if v stands for v / 255, or rescale the values first"
        ));
    }
    Ok(())
}

/// The first column, if it counts the rows from 0 or 1.
fn row_numbers(values: &[u8], width: usize) -> Option<usize> {
    let first = values.first().filter(|first| **first <= 1 && values.len() >= 3 * width)?;
    let counts = |(row, values): (usize, &[u8])| usize::from(values[0]) == row + usize::from(*first);
    (width > 1 && values.chunks_exact(width).enumerate().all(counts)).then_some(0)
}

/// The only column with values above 1; else the first or last column whose values vary and stay below
/// [`MOST_CLASSES`], unless those of all columns do.
fn looks_like_labels(values: &[u8], width: usize) -> Option<usize> {
    if width == 1 {
        return None;
    }
    let mut most = vec![0; width];
    for row in values.chunks_exact(width) {
        most.iter_mut().zip(row).for_each(|(most, value)| *most = (*most).max(*value));
    }
    let mut beyond = most.iter().enumerate().filter(|(_, most)| **most > 1).map(|(column, _)| column);
    if let (Some(only), None) = (beyond.next(), beyond.next()) {
        return Some(only);
    }
    let varies = |column: usize| values.chunks_exact(width).any(|row| row[column] != values[column]);
    // If all columns are that dark, no column stands out.
    let dark = |column: usize| most[column] < MOST_CLASSES;
    let stands_out = |column: &usize| dark(*column) && varies(*column) && !(0..width).all(dark);
    [0, width - 1].into_iter().find(stands_out)
}
