//! The reader of LIBSVM files: `label index:value index:value ...`, indices from 1, ascending.
//!
//! Values that are not named are 0. A file does not say how wide its rows are: unless a protocol gives the width, it is
//! the greatest index in the file. Text after a `#` is a comment. `qid:N` after the label, which is for ranking, is
//! ignored. Labels become classes if all of them are integers.
//!
//! # Reference
//! Chang and Lin, "LIBSVM: a library for support vector machines", ACM TIST 2011.

use std::io::BufRead;
use std::path::Path;

use crate::error::DataError;
use crate::formats::builder::{integer, shown, unit_number};
use crate::formats::room;
use crate::formats::text::Lines;
use crate::formats::wanted::{Expected, Wanted};
use crate::split::Split;

/// Greater indices count as damage: a short line must not request a row of any width.
const MAX_INDEX: usize = 1 << 20;
const FROM_ONE: &str = "an index of at least 1 (indices count from 1; scikit-learn: zero_based=False)";
const RISING: &str = "an index above the one before (indices must increase)";
const SEPARATED: &str = "index:value pairs separated by spaces";

/// Reads the examples of a file.
pub(crate) fn read(path: &Path, text: &mut impl BufRead, wanted: &Wanted) -> Result<Split, DataError> {
    let expected = wanted.expected.as_ref();
    let mut examples = Examples { named: Vec::new(), ends: Vec::new(), labels: Some(Vec::new()) };
    let mut lines = Lines::new(path, text, &wanted.limits);
    let mut n_bytes = 0;
    while let Some(line) = lines.next(examples.ends.len())? {
        n_bytes += line.len() as u64;
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        let line = line.to_vec();
        examples.push(path, lines.n_lines, &line, expected)?;
        // Rows count even if they name no value: each takes memory.
        let limit = wanted.limits.values;
        if examples.ends.len() > limit || examples.named.len() > limit {
            return Err(DataError::TooManyValues {
                path: path.to_owned(),
                limit,
                rows: examples.ends.len() - 1,
            });
        }
    }
    examples.finish(path, wanted, n_bytes)
}

/// Sparse rows: the named values of all rows, and the place where those of each row end.
struct Examples {
    named: Vec<(u32, f32)>,
    ends: Vec<usize>,
    /// `None` as soon as a label is not an integer.
    labels: Option<Vec<i32>>,
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
        let no_room = |problem| DataError::malformed(path, problem);
        let mut tokens = text.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty()).enumerate();
        let (_, label) = tokens.next().unwrap_or_default();
        let is_number = std::str::from_utf8(label).is_ok_and(|text| text.parse::<f64>().is_ok());
        if !is_number {
            return Err(wrong(1, label, "a label"));
        }
        match (&mut self.labels, integer(label)) {
            (Some(labels), Some(label)) => {
                room::more_room(labels, 1).map_err(no_room)?;
                labels.push(label);
            }
            _ => self.labels = None,
        }
        let max_index = expected.map_or(MAX_INDEX, |expected| expected.width);
        let mut last = 0;
        for (i, token) in tokens {
            let colon = token.iter().position(|byte| *byte == b':');
            let (index, number) = match colon {
                Some(colon) => (&token[..colon], &token[colon + 1..]),
                None => return Err(wrong(i + 1, token, "index:value")),
            };
            if i == 1 && index == b"qid" && !number.is_empty() && number.iter().all(u8::is_ascii_digit) {
                continue;
            }
            let index: Option<usize> = std::str::from_utf8(index).ok().and_then(|text| text.parse().ok());
            let index = match index {
                Some(0) => return Err(wrong(i + 1, token, FROM_ONE)),
                Some(index) if index > max_index => {
                    return Err(wrong(i + 1, token, "an index within the row"));
                }
                Some(index) if index <= last => return Err(wrong(i + 1, token, RISING)),
                Some(index) => index,
                None => return Err(wrong(i + 1, token, "an index and its value, as in 3:1,")),
            };
            last = index;
            let binary = expected.is_some();
            let number = unit_number(number).filter(|number| !binary || *number == 0.0 || *number == 1.0);
            let number = number.ok_or_else(|| wrong(i + 1, token, DataError::wanted(binary)))?;
            // MAX_INDEX and the widths of protocols are far below 2^32.
            room::more_room(&mut self.named, 1).map_err(no_room)?;
            self.named.push(((index - 1) as u32, number));
        }
        room::more_room(&mut self.ends, 1).map_err(no_room)?;
        self.ends.push(self.named.len());
        Ok(())
    }

    /// Expands the sparse rows; `n_bytes` is the size of the text.
    fn finish(self, path: &Path, wanted: &Wanted, n_bytes: u64) -> Result<Split, DataError> {
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
        let binary = self.named.iter().all(|(_, number)| *number == 0.0 || *number == 1.0);
        // The expanded rows can be far larger than the file, so the limits are checked before the allocation.
        let limits = &wanted.limits;
        let Some(n_values) = n.checked_mul(width).filter(|n_values| *n_values <= limits.values) else {
            return Err(DataError::TooManyValues { path, limit: limits.values, rows: n });
        };
        let bytes = n_values as u64 * if binary { 1 } else { size_of::<f32>() as u64 };
        let most = limits.grown_from(n_bytes);
        if wanted.expected.is_none() && bytes > most {
            let problem = format!(
                "{n} rows of {width} values (the width is the greatest index) take {bytes} bytes, more than {most} \
                 for {n_bytes} bytes of text; check the indices, or renumber those that occur"
            );
            return Err(DataError::malformed(&path, problem));
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let rows = starts.zip(&self.ends).map(|(start, end)| &self.named[start..*end]);
        let split = match binary {
            true => written_out(rows, n_values, width, |value| value as u8)
                .map(|values| Split::new(n, width, values)),
            false => {
                written_out(rows, n_values, width, |value| value).map(|values| Split::real(n, width, values))
            }
        };
        let split = split.map_err(|problem| DataError::malformed(&path, problem))?;
        Ok(split.with_labels(self.labels))
    }
}

/// Expands sparse rows to `width` values each, with zeros where no value is named.
fn written_out<'a, T: Copy + Default>(
    rows: impl Iterator<Item = &'a [(u32, f32)]>,
    n_values: usize,
    width: usize,
    value: impl Fn(f32) -> T,
) -> Result<Vec<T>, String> {
    let mut values = room::with_room(n_values)?;
    values.resize(n_values, T::default());
    for (out, row) in values.chunks_exact_mut(width).zip(rows) {
        row.iter().for_each(|(i, number)| out[*i as usize] = value(*number));
    }
    Ok(values)
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
    fn query_numbers_are_passed_over() {
        let plain = read_text("1 1:1 3:1\n2 2:1\n3\n", &Wanted::default()).unwrap();
        let ranked = read_text("1 qid:7 1:1 3:1\n2 qid:7 2:1\n3 qid:8\n", &Wanted::default()).unwrap();
        assert_eq!(ranked, plain);
    }

    #[test]
    fn a_protocol_sets_the_width_and_the_values() {
        let expected = Expected { protocol: "a/b@1".into(), rows: 1, width: 4 };
        let wanted = Wanted { expected: Some(expected), ..Wanted::default() };
        assert_eq!(read_text("1 2:1\n", &wanted).unwrap().bits(), [0, 1, 0, 0]);
        for (text, part) in [
            ("1 5:1\n", "line 1, column 2: found `5:1` where an index within the row"),
            ("1 2:0.5\n", "found `2:0.5` where 0 or 1 is expected"),
            ("1 2:1\n1 2:1\n", "found 2 rows where a/b@1 has 1"),
        ] {
            let error = read_text(text, &wanted).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn anything_else_is_named_with_its_place() {
        for (text, part) in [
            ("a 1:1\n", "line 1, column 1: found `a` where a label is expected"),
            ("1 1\n", "column 2: found `1` where index:value"),
            (
                "1 2:1 1:1\n",
                "column 3: found `1:1` where an index above the one before (indices must increase)",
            ),
            ("1 2:1 2:1\n", "indices must increase"),
            ("1 0:1\n", "found `0:1` where an index of at least 1 (indices count from 1"),
            ("1 99999999999:1\n", "found `99999999999:1` where an index"),
            ("1 x:1 1:1\n", "found `x:1` where an index"),
            ("1 qid: 1:1\n", "found `qid:` where an index"),
            ("1 qid:x 1:1\n", "found `qid:x` where an index"),
            ("1 1:1 qid:1\n", "found `qid:1` where an index"),
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

    #[test]
    fn what_sparse_rows_take_is_estimated_before_it_is_allocated() {
        // Two thousand rows of a million values from 12 KB.
        for (value, bytes) in [("1", "2147483648"), ("0.5", "8589934592")] {
            let text = format!("1 1048576:{value}\n{}", "1 1:1\n".repeat(2047));
            let error = read_text(&text, &Wanted::default()).unwrap_err();
            for part in ["2048 rows of 1048576 values", bytes, "more than 268435456 for 1229"] {
                assert!(error.contains(part), "{error}");
            }
        }
        // A long file may be sparse, as usual files are.
        let limits = crate::formats::Limits { grown: 100, ..Default::default() };
        let text = "1 9:1 999:1\n".repeat(50);
        assert!(read_text(&text, &Wanted { limits, ..Wanted::default() }).is_ok());
    }
}
