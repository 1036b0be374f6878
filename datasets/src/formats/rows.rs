//! Parses lines of text into rows of numbers.

use std::path::Path;

use crate::error::DataError;
use crate::formats::builder::{Builder, is_missing, shown, unit_number};
use crate::formats::wanted::Wanted;
use crate::split::Split;

/// The separator between two values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// Spaces or tabs, also at both ends of the line: `.amat`.
    Space,
    /// One comma, with or without spaces around it: `.data`.
    Comma,
}

impl Separator {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Separator::Space => b' ',
            Separator::Comma => b',',
        }
    }

    pub(crate) fn described(self) -> &'static str {
        match self {
            Separator::Space => "values separated by spaces",
            Separator::Comma => "values separated by commas",
        }
    }
}

/// The rows read so far.
pub(crate) struct RowParser<'a> {
    path: &'a Path,
    separator: Separator,
    /// True if a protocol requires zeros and ones.
    binary: bool,
    builder: Builder<'a>,
    bits: Vec<u8>,
    numbers: Vec<f32>,
    pub(crate) n_lines: usize,
    /// The first of the blank lines since the last row.
    blank: Option<usize>,
}

impl<'a> RowParser<'a> {
    pub(crate) fn new(path: &'a Path, separator: Separator, wanted: &'a Wanted) -> Self {
        let expected = wanted.expected.as_ref();
        RowParser {
            path,
            separator,
            binary: expected.is_some(),
            builder: Builder::new(path, expected, &wanted.limits),
            bits: Vec::new(),
            numbers: Vec::new(),
            n_lines: 0,
            blank: None,
        }
    }

    /// Number of whole rows so far.
    pub(crate) fn n_rows(&self) -> usize {
        self.builder.n_rows
    }

    /// Adds the next line, with or without its line ending.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<(), DataError> {
        self.n_lines += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.plain_row(line) {
            self.no_blank_line_before(self.bits.len())?;
            return self.builder.push_bits(self.n_lines, &self.bits);
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            self.blank.get_or_insert(self.n_lines);
            return Ok(());
        }
        self.any_row(line)?;
        self.no_blank_line_before(self.numbers.len())?;
        self.builder.push(self.n_lines, &self.numbers)
    }

    fn no_blank_line_before(&self, width: usize) -> Result<(), DataError> {
        let Some(line) = self.blank else { return Ok(()) };
        let expected = self.builder.width.unwrap_or(width);
        Err(DataError::RowLength { path: self.path.to_owned(), line, found: 0, expected })
    }

    /// Parses the usual case: digits and separators alternate. There is no branch inside the row, so that the compiler
    /// vectorises the check. Returns false for any other line, valid or not.
    fn plain_row(&mut self, line: &[u8]) -> bool {
        let separator = self.separator.byte();
        let Some((last, pairs)) = line.split_last().filter(|(_, pairs)| pairs.len() % 2 == 0) else {
            return false;
        };
        let mut wrong = u8::from(*last & !1 != b'0');
        self.bits.clear();
        self.bits.extend(pairs.chunks_exact(2).map(|pair| {
            wrong |= (pair[0] & !1) ^ b'0' | pair[1] ^ separator;
            pair[0] & 1
        }));
        self.bits.push(last & 1);
        wrong == 0
    }

    /// Parses a row in any spelling: `1.0`, `0e0`, `0.25`, `nan` for a missing value, several spaces.
    fn any_row(&mut self, line: &[u8]) -> Result<(), DataError> {
        self.numbers.clear();
        let separator = self.separator;
        let mut tokens = line
            .split(|byte| match separator {
                Separator::Space => byte.is_ascii_whitespace(),
                Separator::Comma => *byte == b',',
            })
            .map(<[u8]>::trim_ascii)
            .filter(|token| separator == Separator::Comma || !token.is_empty());
        let (binary, numbers) = (self.binary, &mut self.numbers);
        tokens.try_for_each(|token| {
            let number = unit_number(token).filter(|number| !binary || *number == 0.0 || *number == 1.0);
            let number = number.or_else(|| (!binary && is_missing(token)).then_some(f32::NAN));
            numbers.push(number.ok_or_else(|| DataError::Value {
                path: self.path.to_owned(),
                line: self.n_lines,
                column: numbers.len() + 1,
                value: shown(token),
                wanted: DataError::wanted(binary),
                separators: separator.described(),
            })?);
            Ok(())
        })
    }

    /// The split, when there are no more lines.
    pub(crate) fn finish(self) -> Result<Split, DataError> {
        self.builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Expected;

    fn read(separator: Separator, text: &str) -> Result<Split, DataError> {
        let wanted = Wanted::default();
        let mut rows = RowParser::new(Path::new("t.amat"), separator, &wanted);
        text.split_inclusive('\n').try_for_each(|line| rows.push(line.as_bytes()))?;
        rows.finish()
    }

    #[test]
    fn every_spelling_of_the_same_rows_reads_alike() {
        let rows = Split::new(2, 3, vec![0, 1, 1, 1, 0, 0]);
        for text in [
            "0 1 1\n1 0 0\n",
            "0 1 1\n1 0 0",
            "0 1 1\r\n1 0 0\r\n",
            "  0  1\t1 \n1 0 0\n\n \n",
            "0.0 1.0 1e0\n1. 0e5 -0.0\n",
            "0 1 +1\n10e-1 0 .0\n",
        ] {
            assert_eq!(read(Separator::Space, text).unwrap(), rows, "{text:?}");
        }
        for text in ["0,1,1\n1,0,0\n", "0, 1 ,1\r\n1.0,0.0,0\n\n"] {
            assert_eq!(read(Separator::Comma, text).unwrap(), rows, "{text:?}");
        }
    }

    #[test]
    fn a_value_outside_the_unit_interval_is_named_with_its_place() {
        for (separator, text, place, value) in [
            (Separator::Space, "0 1\n0 2\n", (2, 2), "2"),
            (Separator::Space, "0.5 -1\n", (1, 2), "-1"),
            (Separator::Space, "1 1.00001\n", (1, 2), "1.00001"),
            (Separator::Space, "0 1\n1 inf\n", (2, 2), "inf"),
            (Separator::Space, "0 1\n1 NA\n", (2, 2), "NA"),
            (Separator::Space, "0,1\n", (1, 1), "0,1"),
            (Separator::Space, "0 011x\n", (1, 2), "011x"),
            (Separator::Comma, "0,,1\n", (1, 2), ""),
            (Separator::Comma, "0,1,\n", (1, 3), ""),
            (Separator::Comma, "0 1 1\n", (1, 1), "0 1 1"),
            (Separator::Space, "0 \u{1b}[31m\n", (1, 2), "\\u{1b}[31m"),
            (
                Separator::Space,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
                (1, 1),
                "aaaaaaaaaaaaaaaaaaaaaaaa…",
            ),
        ] {
            match read(separator, text).unwrap_err() {
                DataError::Value { line, column, value: found, .. } => {
                    assert_eq!(((line, column), found.as_str()), (place, value), "{text:?}");
                }
                error => panic!("{text:?}: {error}"),
            }
        }
    }

    #[test]
    fn a_row_of_another_length_is_named_with_its_line() {
        for (text, place) in [
            ("0 1 1\n0 1 0\n0 1\n", (3, 2, 3)),
            ("0 1\n0 1 1\n", (2, 3, 2)),
            ("0 1\n\n0 1\n", (2, 0, 2)),
            ("\n0 1\n", (1, 0, 2)),
        ] {
            match read(Separator::Space, text).unwrap_err() {
                DataError::RowLength { line, found, expected, .. } => {
                    assert_eq!((line, found, expected), place, "{text:?}");
                }
                error => panic!("{text:?}: {error}"),
            }
        }
    }

    #[test]
    fn no_rows_are_an_error() {
        for text in ["", "\n", " \n\n"] {
            assert!(matches!(read(Separator::Space, text), Err(DataError::Empty { .. })), "{text:?}");
        }
    }

    #[test]
    fn numbers_between_zero_and_one_make_a_split_of_real_values() {
        let rows = Split::real(2, 2, vec![0.0, 1.0, 0.25, 1.0]);
        assert_eq!(read(Separator::Space, "0 1\n0.25 1\n").unwrap(), rows);
        assert_eq!(read(Separator::Comma, "0,1\n25e-2,1\n").unwrap(), rows);
    }

    #[test]
    fn a_value_that_is_not_a_number_is_missing_and_bits_stay_bits() {
        let mask = Some(vec![1, 1, 0, 1, 1, 1, 0, 0]);
        let bits = Split::new(4, 2, vec![0, 1, 0, 1, 1, 1, 0, 0]).with_mask(mask.clone());
        assert_eq!(read(Separator::Space, "0 1\nNaN 1\n1 1\nnan -NAN\n").unwrap(), bits);
        assert_eq!(read(Separator::Comma, "0,1\nnan,1\n1,1\n nan,nan\n").unwrap(), bits);
        let real = Split::real(4, 2, vec![0.0, 1.0, 0.0, 0.5, 1.0, 1.0, 0.0, 0.0]).with_mask(mask);
        assert_eq!(read(Separator::Space, "0 1\nNaN 0.5\n1 1\nnan nan\n").unwrap(), real);
        let last = read(Separator::Space, "nan 1\n0.5 1\n").unwrap();
        assert_eq!(last, Split::real(2, 2, vec![0.0, 1.0, 0.5, 1.0]).with_mask(Some(vec![0, 1, 1, 1])));
    }

    #[test]
    fn a_protocol_of_binary_values_has_no_others() {
        let expected = Expected { protocol: "a/b@1".into(), rows: 1, width: 2 };
        let wanted = Wanted { expected: Some(expected), ..Wanted::default() };
        let mut rows = RowParser::new(Path::new("t.amat"), Separator::Space, &wanted);
        let error = rows.push(b"0 0.25").unwrap_err().to_string();
        assert!(error.contains("line 1, column 2: found `0.25` where 0 or 1 is expected"), "{error}");
        assert!(rows.push(b"0 nan").unwrap_err().to_string().contains("found `nan` where 0 or 1"));
    }
}
