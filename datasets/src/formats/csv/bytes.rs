//! Whether the integers of a `.csv` are bytes: 3 may be a dark grey, a class or a count.

use std::path::Path;

use crate::error::DataError;
use crate::formats::header::Opening;
use crate::formats::wanted::Wanted;

/// What a scale of bytes reaches in any picture; counts and classes seldom do.
const BRIGHT: u8 = 128;
/// More classes than that are no column of labels.
const MOST_CLASSES: u8 = 100;

/// Refuses integers that may be something else than bytes, unless the user has said what they are; `first_byte` is the
/// line and column of the first above 1, and what stands there.
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
    let place = |column: usize| column + usize::from(opening.label.is_some_and(|label| label <= column));
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
                "column {} looks like labels: add #label={} to the path if it holds them, and #label=none if not",
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

/// The column that alone is no bit, or the first or last one if it takes few values and small ones.
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
    // Where all columns are so dark, none stands out.
    let dark = |column: usize| most[column] < MOST_CLASSES;
    let stands_out = |column: &usize| dark(*column) && varies(*column) && !(0..width).all(dark);
    [0, width - 1].into_iter().find(stands_out)
}

#[cfg(test)]
mod tests {
    use crate::formats::{Format, LabelColumn, Wanted, decode};
    use crate::{DataError, Split};

    fn read(text: &str, wanted: &Wanted) -> Result<Split, DataError> {
        decode(Format::Csv, std::path::Path::new("a.csv"), text.as_bytes(), wanted)
    }

    fn label(label: LabelColumn) -> Wanted {
        Wanted { label: Some(label), ..Wanted::default() }
    }

    #[test]
    fn grey_bytes_are_read_as_from_any_other_format() {
        let grey = Split::grey(2, 3, vec![0, 255, 128, 200, 0, 1]);
        let labelled = grey.clone().with_labels(Some(vec![3, 7]));
        let plain = Wanted::default();
        let (first, last) = (label(LabelColumn::Number(0)), label(LabelColumn::Number(-1)));
        for (text, wanted, split) in [
            ("a,b,c\n0,255,128\n200,0,1\n", &plain, &grey),
            ("0,255,128\r\n200,0,1\r\n", &plain, &grey),
            ("0,255.0,128\n2e2,0,1.0\n", &plain, &grey),
            ("label,a,b,c\n3,0,255,128\n7,200,0,1\n", &plain, &labelled),
            ("label,a,b,c\n3.0,0,255,128\n7.0,200,0,1\n", &plain, &labelled),
            ("3,0,255,128\n7,200,0,1\n", &first, &labelled),
            ("0,255,128,3\n200,0,1,7\n", &last, &labelled),
            ("label,0,1,2\n3,0,255,128\n7,200,0,1\n", &plain, &labelled),
        ] {
            assert_eq!(read(text, wanted).unwrap(), *split, "{text}");
        }
        // Zeros and ones alone are bits, unless the file is said to be of bytes.
        let bits = "label,a,b\n3,0,1\n7,1,1\n";
        assert_eq!(
            read(bits, &plain).unwrap(),
            Split::new(2, 2, vec![0, 1, 1, 1]).with_labels(Some(vec![3, 7]))
        );
        let bytes = Wanted { bytes: true, ..Wanted::default() };
        assert_eq!(read("0,1\n1,1\n", &bytes).unwrap(), Split::grey(2, 2, vec![0, 1, 1, 1]));
        assert_eq!(read("0,16\n7,1\n", &bytes).unwrap(), Split::grey(2, 2, vec![0, 16, 7, 1]));
    }

    #[test]
    fn integers_that_may_be_something_else_are_refused_with_what_to_say() {
        let plain = Wanted::default();
        for (text, parts) in [
            (
                "3,0,255,51\n7,1,0,128\n",
                ["line 1, column 1: found `3`", "column 1 looks like labels", "#label=0"],
            ),
            (
                "0,255,51,3\n200,0,128,7\n",
                ["column 2: found `255`", "column 4 looks like labels", "#label=3"],
            ),
            (
                ",a,b\n0,0,255\n1,255,0\n2,9,255\n",
                ["line 2, column 3", "column 1 numbers the rows", "index=False"],
            ),
            ("x,y\n0,0\n1,2\n", ["line 3, column 2: found `2`", "column 2 looks like labels", "#label=1"]),
            (
                "0,0,1\n1,1,0\n2,1,1\n",
                ["line 3, column 1: found `2`", "column 1 numbers the rows", "index=False"],
            ),
            ("0,16,3\n9,1,7\n", ["line 1, column 2: found `16`", "no number is above 16", "#bytes"]),
        ] {
            let error = read(text, &plain).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{error}");
            }
        }
        // What the user has said is not asked again.
        assert!(read("3,0,255,51\n7,1,0,128\n", &label(LabelColumn::Nowhere)).is_ok());
    }

    #[test]
    fn bytes_and_fractions_do_not_stand_in_one_file() {
        let plain = Wanted::default();
        for (text, part) in [
            ("0,255\n0.5,1\n", "line 2, column 1: found `0.5` where an integer from 0 to 255"),
            ("0.5,0\n255,1\n", "line 2, column 1: found `255` where a number in [0, 1]"),
            ("0,256\n", "line 1, column 2: found `256` where a number in [0, 1]"),
            ("0,255\n0,256\n", "line 2, column 2: found `256` where an integer from 0 to 255"),
            ("0,-1\n", "found `-1` where a number in [0, 1]"),
            ("label,a\n3.5,1\n", "found `3.5` where an integer label"),
            ("label,a\nNA,1\n", "found `NA` where an integer label"),
        ] {
            let error = read(text, &plain).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
