//! The reader of `.amat` and `.data` files: one row per line.
//!
//! It reads line by line and never holds the whole text in memory.
//! Blank lines at the end are ignored, and a line may end with `\r\n` or `\n`.

use std::io::{BufRead, Read};
use std::path::Path;

use crate::error::DataError;
use crate::formats::rows::RowParser;
use crate::formats::source;
use crate::formats::wanted::{Limits, Wanted};
use crate::split::Split;

pub use crate::formats::rows::Separator;

/// Reads rows of text. Unless a protocol sets the width, the first row does.
pub(crate) fn read(
    path: &Path,
    separator: Separator,
    text: &mut impl BufRead,
    wanted: &Wanted,
) -> Result<Split, DataError> {
    let mut rows = RowParser::new(path, separator, wanted);
    let mut lines = Lines::new(path, text, &wanted.limits);
    while let Some(line) = lines.next(rows.n_rows())? {
        rows.push(line)?;
    }
    rows.finish()
}

/// The lines of a text, within limits.
pub(crate) struct Lines<'a, R> {
    path: &'a Path,
    text: &'a mut R,
    limits: &'a Limits,
    line: Vec<u8>,
    n_bytes: u64,
    pub(crate) n_lines: usize,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub(crate) fn new(path: &'a Path, text: &'a mut R, limits: &'a Limits) -> Self {
        Lines { path, text, limits, line: Vec::new(), n_bytes: 0, n_lines: 0 }
    }

    /// The next line with its line ending; `None` at the end. `rows` is the number of rows so far, for messages.
    pub(crate) fn next(&mut self, rows: usize) -> Result<Option<&[u8]>, DataError> {
        let Limits { bytes, line: max_line, .. } = *self.limits;
        self.line.clear();
        // One byte more than a line may have, to distinguish a line that is too long from the last line.
        let read = self.text.by_ref().take(max_line + 1).read_until(b'\n', &mut self.line);
        let read = read.map_err(|cause| source::failed(self.path, format!("{rows} rows"), cause))?;
        self.n_bytes += read as u64;
        self.n_lines += 1;
        if self.line.is_empty() {
            return Ok(None);
        }
        let path = || self.path.to_owned();
        if self.n_bytes > bytes {
            return Err(DataError::TooLarge { path: path(), limit: bytes, rows });
        }
        if self.line.len() as u64 > max_line {
            return Err(DataError::LineTooLong { path: path(), line: self.n_lines, limit: max_line });
        }
        Ok(Some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::TempDir;

    use super::*;
    use crate::formats::wanted::Expected;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A file with this name and content, and the temporary directory that holds it.
    fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    fn read_limited(
        path: &Path,
        expected: Option<&Expected>,
        bytes: u64,
        line: u64,
    ) -> Result<Split, DataError> {
        let limits = Limits { bytes, line, ..Limits::default() };
        let wanted = Wanted { expected: expected.cloned(), limits, ..Wanted::default() };
        let is_data = path.to_string_lossy().to_lowercase().contains(".data");
        let separator = if is_data { Separator::Comma } else { Separator::Space };
        super::read(path, separator, &mut source::open(path, &limits)?, &wanted)
    }

    fn read(path: &Path, expected: Option<&Expected>) -> Result<Split, DataError> {
        read_limited(path, expected, 8 << 30, 16 << 20)
    }

    fn error(name: &str, content: &[u8], expected: Option<&Expected>) -> String {
        let (_dir, path) = file(name, content);
        read_limited(&path, expected, 1000, 100).unwrap_err().to_string()
    }

    #[test]
    fn the_same_rows_are_read_from_text_and_from_gzip() {
        let rows = Split::new(2, 3, vec![0, 1, 1, 1, 0, 0]);
        let (amat, data) = (b"0 1 1\n1 0 0\n".as_slice(), b"0,1,1\n1,0,0\n".as_slice());
        for (name, content) in [
            ("a.amat", amat.to_vec()),
            ("a.amat.gz", gzip(amat)),
            ("a.amat.gz", [gzip(b"0 1 1\n1"), gzip(b" 0 0\n")].concat()), // two members
            ("a.amat", gzip(amat)),                                       // a wrong name
            ("a.amat.gz", amat.to_vec()),                                 // the other wrong name
            ("A.DATA", data.to_vec()),
            ("a.data.gz", gzip(data)),
        ] {
            let (_dir, path) = file(name, &content);
            assert_eq!(read(&path, None).unwrap(), rows, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("nowhere/a.amat"), None).unwrap_err().to_string();
        assert!(error.contains("nowhere/a.amat"), "{error}");
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.amat");
        fs::create_dir(&path).unwrap();
        assert!(matches!(read(&path, None), Err(DataError::NotAFile { found: "a directory", .. })));
    }

    #[test]
    fn an_empty_file_is_an_error_gzipped_or_not() {
        for (name, content) in [("a.amat", vec![]), ("a.amat.gz", vec![]), ("a.amat.gz", gzip(b""))] {
            let error = error(name, &content, None);
            assert!(error.contains("holds no rows"), "{error}");
        }
    }

    #[test]
    fn a_truncated_gzip_file_says_how_far_it_was_read() {
        // Stored without compression, so that the cut falls after a known row.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(&b"0 1\n".repeat(20)).unwrap();
        let whole = encoder.finish().unwrap();
        // 10 bytes of header, 5 bytes of the block's header, 10 rows of 4 bytes, and a part of the eleventh.
        let error = error("a.amat.gz", &whole[..10 + 5 + 40 + 2], None);
        assert!(error.contains("a.amat.gz: the gzip data is truncated or damaged after 10 rows"), "{error}");
    }

    #[test]
    fn a_damaged_gzip_file_is_an_error() {
        let mut content = gzip(&b"0 1\n1 1\n".repeat(20));
        let crc = content.len() - 8;
        content[crc] ^= 1;
        let first = error("a.amat.gz", &content, None);
        assert!(first.contains("truncated or damaged after"), "{first}");
        let second = error("a.amat.gz", b"\x89PNG\r\n\x1a\n", None);
        assert!(second.contains("truncated or damaged after 0 rows"), "{second}");
    }

    #[test]
    fn a_file_of_another_size_than_the_protocol_is_refused() {
        let expected = Expected { protocol: "a/b@1".into(), rows: 2, width: 2 };
        let few = error("a.amat", b"0 1\n", Some(&expected));
        assert!(few.contains("a.amat: found 1 rows where a/b@1 has 2"), "{few}");
        let many = error("a.amat", &b"0 1\n".repeat(5), Some(&expected));
        assert!(many.contains("found 5 rows where a/b@1 has 2"), "{many}");
        let wide = error("a.amat", b"0 1 1\n", Some(&expected));
        assert!(wide.contains("a.amat, line 1: found 3 values where 2 are expected"), "{wide}");
    }

    #[test]
    fn text_without_end_is_given_up_on() {
        // The limit in these tests is a thousand bytes; the bomb inflates to a million.
        let long = error("a.amat.gz", &gzip(&b"0 1\n".repeat(250_000)), None);
        assert!(long.contains("stopped after 1000 bytes of text and 250 rows"), "{long}");
        let line = error("a.amat.gz", &gzip(&[b'0'; 1_000_000]), None);
        assert!(line.contains("line 1: the line is longer than 100 bytes"), "{line}");
    }

    #[test]
    fn the_last_line_needs_no_line_end_at_the_limit() {
        let (_dir, path) = file("a.amat", b"0 1\n1 1");
        assert_eq!(read_limited(&path, None, 7, 4).unwrap().rows(), 2);
        assert!(matches!(read_limited(&path, None, 6, 4), Err(DataError::TooLarge { rows: 1, .. })));
        assert!(matches!(read_limited(&path, None, 7, 3), Err(DataError::LineTooLong { line: 1, .. })));
    }
}
