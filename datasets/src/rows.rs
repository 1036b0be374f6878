//! Lines of text into rows of zeros and ones.

use std::path::Path;

use crate::text::{Expected, Separator};
use crate::{DataError, Split};

/// The rows read so far.
pub(crate) struct Rows<'a> {
    path: &'a Path,
    separator: Separator,
    expected: Option<&'a Expected>,
    width: Option<usize>,
    values: Vec<u8>,
    row: Vec<u8>,
    pub(crate) n_rows: usize,
    pub(crate) n_lines: usize,
    /// The first of the blank lines since the last row.
    blank: Option<usize>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(path: &'a Path, separator: Separator, expected: Option<&'a Expected>) -> Self {
        let capacity = expected.map_or(0, |expected| expected.rows * expected.width);
        Rows {
            path,
            separator,
            expected,
            width: expected.map(|expected| expected.width),
            values: Vec::with_capacity(capacity),
            row: Vec::new(),
            n_rows: 0,
            n_lines: 0,
            blank: None,
        }
    }

    /// Takes in the next line, with or without what ends it.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<(), DataError> {
        self.n_lines += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !self.plain_row(line) {
            let line = line.trim_ascii();
            if line.is_empty() {
                self.blank.get_or_insert(self.n_lines);
                return Ok(());
            }
            self.any_row(line)?;
        }
        if let Some(blank) = self.blank {
            return Err(self.row_length(blank, 0));
        }
        if *self.width.get_or_insert(self.row.len()) != self.row.len() {
            return Err(self.row_length(self.n_lines, self.row.len()));
        }
        self.n_rows += 1;
        // Rows beyond the protocol's are counted for the message, and not kept.
        if self.expected.is_none_or(|expected| self.n_rows <= expected.rows) {
            self.values.extend_from_slice(&self.row);
        }
        Ok(())
    }

    /// The usual case: one digit and one separator in turn. It has no branch inside the row, so
    /// that the compiler checks many values at a time; false for anything else, good or bad.
    fn plain_row(&mut self, line: &[u8]) -> bool {
        let separator = self.separator.byte();
        let Some((last, pairs)) = line.split_last().filter(|(_, pairs)| pairs.len() % 2 == 0) else {
            return false;
        };
        let mut wrong = u8::from(*last & !1 != b'0');
        self.row.clear();
        self.row.extend(pairs.chunks_exact(2).map(|pair| {
            wrong |= (pair[0] & !1) ^ b'0' | pair[1] ^ separator;
            pair[0] & 1
        }));
        self.row.push(last & 1);
        wrong == 0
    }

    /// A row in any spelling: `1.0`, `0e0`, several spaces.
    fn any_row(&mut self, line: &[u8]) -> Result<(), DataError> {
        self.row.clear();
        let separator = self.separator;
        let mut tokens = line
            .split(|byte| match separator {
                Separator::Space => byte.is_ascii_whitespace(),
                Separator::Comma => *byte == b',',
            })
            .map(<[u8]>::trim_ascii)
            .filter(|token| separator == Separator::Comma || !token.is_empty());
        tokens.try_for_each(|token| {
            match value(token) {
                Some(value) => self.row.push(value),
                None => {
                    return Err(DataError::NotBinary {
                        path: self.path.to_owned(),
                        line: self.n_lines,
                        column: self.row.len() + 1,
                        value: shown(token),
                        separators: separator.described(),
                    });
                }
            }
            Ok(())
        })
    }

    fn row_length(&self, line: usize, found: usize) -> DataError {
        // Only blank lines can come before the first row has set the width.
        let expected = self.width.unwrap_or(self.row.len());
        DataError::RowLength { path: self.path.to_owned(), line, found, expected }
    }

    /// The split, once there are no more lines.
    pub(crate) fn finish(self) -> Result<Split, DataError> {
        let path = self.path.to_owned();
        let (Some(width), 1..) = (self.width, self.n_rows) else {
            return Err(DataError::Empty { path });
        };
        match self.expected {
            Some(expected) if expected.rows != self.n_rows => Err(DataError::RowCount {
                path,
                protocol: expected.protocol.clone(),
                found: self.n_rows,
                expected: expected.rows,
            }),
            _ => Ok(Split::new(self.n_rows, width, self.values)),
        }
    }
}

/// 0 or 1 in any spelling of a number.
fn value(token: &[u8]) -> Option<u8> {
    match token {
        b"0" => return Some(0),
        b"1" => return Some(1),
        _ => {}
    }
    let number: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    [0, 1].into_iter().find(|value| number == f64::from(*value))
}

/// A value as it can be put into a message: escaped, and cut after 24 characters.
fn shown(token: &[u8]) -> String {
    let text = String::from_utf8_lossy(&token[..token.len().min(100)]);
    let mut shown: String = text.chars().take(24).flat_map(char::escape_debug).collect();
    if text.chars().nth(24).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(separator: Separator, text: &str) -> Result<Split, DataError> {
        let mut rows = Rows::new(Path::new("t.amat"), separator, None);
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
    fn a_value_that_is_not_binary_is_named_with_its_place() {
        for (separator, text, place, value) in [
            (Separator::Space, "0 1\n0 2\n", (2, 2), "2"),
            (Separator::Space, "0.5 1\n", (1, 1), "0.5"),
            (Separator::Space, "0 1\n1 NaN\n", (2, 2), "NaN"),
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
                DataError::NotBinary { line, column, value: found, .. } => {
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
}
