//! The reader of LIBSVM files: `label index:value index:value ...`, indices from 1, ascending.
//!
//! Values that are not named are 0. A file does not say how wide its rows are: without
//! expectations that is the greatest index named. What follows a `#` is a comment. Labels become
//! classes if every one of them is an integer.
//!
//! # Reference
//! Chang and Lin, "LIBSVM: a library for support vector machines", ACM TIST 2011.

use std::io::BufRead;
use std::path::Path;

use crate::formats::builder::{shown, unit_number};
use crate::formats::text::Lines;
use crate::formats::{Expected, Wanted};
use crate::{DataError, Split};

/// Indices beyond this are taken for damage: a short line must not ask for a row of any width.
const MAX_INDEX: usize = 1 << 20;
const SEPARATED: &str = "index:value pairs separated by spaces";

/// Reads the examples of a file.
pub(crate) fn read(path: &Path, text: &mut impl BufRead, wanted: &Wanted) -> Result<Split, DataError> {
    let expected = wanted.expected.as_ref();
    let mut examples = Examples::default();
    let mut lines = Lines::new(path, text, &wanted.limits);
    while let Some(line) = lines.next(examples.ends.len())? {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        let line = line.to_vec();
        examples.push(path, lines.n_lines, &line, expected)?;
        // Rows count even where they name no value: each takes its place in memory.
        let limit = wanted.limits.values;
        if examples.ends.len() > limit || examples.named.len() > limit {
            return Err(DataError::TooManyValues {
                path: path.to_owned(),
                limit,
                rows: examples.ends.len() - 1,
            });
        }
    }
    examples.finish(path, wanted)
}

/// Sparse rows: the named values of all of them, and where each row's end.
#[derive(Default)]
struct Examples {
    named: Vec<(u32, f32)>,
    ends: Vec<usize>,
    labels: Vec<Option<i32>>,
}

impl Examples {
    fn push(
        &mut self,
        path: &Path,
        line: usize,
        text: &[u8],
        expected: Option<&Expected>,
    ) -> Result<(), DataError> {
        let wrong = |column: usize, token: &[u8], wanted| DataError::Value {
            path: path.to_owned(),
            line,
            column,
            value: shown(token),
            wanted,
            separators: SEPARATED,
        };
        let mut tokens = text.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
        let label = tokens.next().unwrap_or_default();
        let label: f64 = std::str::from_utf8(label)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| wrong(1, label, "a label"))?;
        let is_class = label.fract() == 0.0 && label.abs() <= f64::from(i32::MAX);
        self.labels.push(is_class.then_some(label as i32));
        let max_index = expected.map_or(MAX_INDEX, |expected| expected.width);
        let mut last = 0;
        for (i, token) in tokens.enumerate() {
            let pair = token.iter().position(|byte| *byte == b':').map(|colon| token.split_at(colon));
            let (index, number) = pair.ok_or_else(|| wrong(i + 2, token, "index:value"))?;
            let index: Option<usize> = std::str::from_utf8(index).ok().and_then(|text| text.parse().ok());
            let index = index
                .filter(|index| (last + 1..=max_index).contains(index))
                .ok_or_else(|| wrong(i + 2, token, "an index above the one before and within the row"))?;
            last = index;
            let binary = expected.is_some();
            let number =
                unit_number(&number[1..]).filter(|number| !binary || *number == 0.0 || *number == 1.0);
            let number = number.ok_or_else(|| wrong(i + 2, token, DataError::wanted(binary)))?;
            // MAX_INDEX and the widths of protocols are far below 2^32.
            self.named.push(((index - 1) as u32, number));
        }
        self.ends.push(self.named.len());
        Ok(())
    }

    fn finish(self, path: &Path, wanted: &Wanted) -> Result<Split, DataError> {
        let (n, path) = (self.ends.len(), path.to_owned());
        let widest = self.named.iter().map(|(index, _)| *index as usize + 1).max().unwrap_or(0);
        let width = wanted.expected.as_ref().map_or(widest, |expected| expected.width);
        if n == 0 || width == 0 {
            return Err(DataError::Empty { path });
        }
        if let Some(Expected { protocol, rows, .. }) =
            wanted.expected.as_ref().filter(|wanted| wanted.rows != n)
        {
            return Err(DataError::RowCount { path, protocol: protocol.clone(), found: n, expected: *rows });
        }
        // The rows grow from what the file names: the limit stands before the allocation.
        if n.saturating_mul(width) > wanted.limits.values {
            return Err(DataError::TooManyValues { path, limit: wanted.limits.values, rows: n });
        }
        let labels = self.labels.into_iter().collect::<Option<Vec<i32>>>();
        let binary = self.named.iter().all(|(_, number)| *number == 0.0 || *number == 1.0);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let rows = starts.zip(&self.ends).enumerate();
        let split = if binary {
            let mut values = vec![0u8; n * width];
            for (row, (start, end)) in rows {
                self.named[start..*end]
                    .iter()
                    .for_each(|(i, v)| values[row * width + *i as usize] = *v as u8);
            }
            Split::new(n, width, values)
        } else {
            let mut values = vec![0.0; n * width];
            for (row, (start, end)) in rows {
                self.named[start..*end].iter().for_each(|(i, v)| values[row * width + *i as usize] = *v);
            }
            Split::real(n, width, values)
        };
        Ok(split.with_labels(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, wanted: &Wanted) -> Result<Split, String> {
        read(Path::new("a.libsvm"), &mut text.as_bytes(), wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn named_values_stand_where_they_say_and_the_rest_are_zero() {
        let split = read_text("+1 1:1 3:1 # a comment\n\n-1 2:1\n", &Wanted::default()).unwrap();
        assert_eq!((split.bits(), split.width()), ([1, 0, 1, 0, 1, 0].as_slice(), 3));
        assert_eq!(split.labels(), Some([1, -1].as_slice()));
        let real = read_text("0.5 1:0.25\n2 2:1\n", &Wanted::default()).unwrap();
        assert_eq!((real.row(0), real.row(1), real.labels()), (vec![0.25, 0.0], vec![0.0, 1.0], None));
    }

    #[test]
    fn a_protocol_sets_the_width_and_the_values() {
        let expected = Expected { protocol: "a/b@1".into(), rows: 1, width: 4 };
        let wanted = Wanted { expected: Some(expected), ..Wanted::default() };
        assert_eq!(read_text("1 2:1\n", &wanted).unwrap().bits(), [0, 1, 0, 0]);
        for (text, part) in [
            (
                "1 5:1\n",
                "line 1, column 2: found `5:1` where an index above the one before and within the row",
            ),
            ("1 2:0.5\n", "found `2:0.5` where 0 or 1 is wanted"),
            ("1 2:1\n1 2:1\n", "found 2 rows where a/b@1 has 1"),
        ] {
            let error = read_text(text, &wanted).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn anything_else_is_named_with_its_place() {
        for (text, part) in [
            ("a 1:1\n", "line 1, column 1: found `a` where a label is wanted"),
            ("1 1\n", "column 2: found `1` where index:value"),
            ("1 2:1 1:1\n", "column 3: found `1:1` where an index above"),
            ("1 0:1\n", "found `0:1` where an index above"),
            ("1 99999999999:1\n", "found `99999999999:1` where an index"),
            ("1 qid:1 1:1\n", "found `qid:1` where an index"),
            ("1 1:2\n", "found `1:2` where a number in [0, 1]"),
            ("", "holds no rows"),
            ("1\n", "holds no rows"),
        ] {
            let error = read_text(text, &Wanted::default()).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn rows_without_values_are_bounded_as_well() {
        let limits = crate::formats::Limits { values: 100, ..Default::default() };
        let wanted = Wanted { limits, ..Wanted::default() };
        let error = read_text(&"1\n".repeat(101), &wanted).unwrap_err();
        assert!(error.contains("more than 100 values after 100 rows"), "{error}");
    }

    #[test]
    fn short_lines_do_not_ask_for_wide_rows() {
        let wanted = Wanted {
            limits: crate::formats::Limits { values: 1000, ..Default::default() },
            ..Wanted::default()
        };
        let error = read_text("1 1:1\n1 600:1\n", &wanted).unwrap_err();
        assert!(error.contains("more than 1000 values"), "{error}");
    }
}
