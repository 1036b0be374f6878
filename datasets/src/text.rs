//! The reader of `.amat` and `.data` files: a row a line, each value 0 or 1.
//!
//! The file may be gzipped. It is read line by line and never held as text; a line and the whole
//! have limits, so that a small file that inflates without end is an error and not a full memory.
//! Blank lines at the end are passed over, and `\r\n` ends a line as well as `\n`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::rows::Rows;
use crate::{DataError, Split};

/// Text beyond this many bytes is not read: 4 G values and their separators.
const MAX_TEXT: u64 = 8 << 30;
/// A line beyond this many bytes is not a row.
const MAX_LINE: u64 = 16 << 20;
/// Bytes asked of the operating system and of the decoder at a time.
const BUFFER: usize = 1 << 18;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What stands between two values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// Spaces or tabs, also at both ends of the line: `.amat`.
    Space,
    /// One comma, with or without spaces around it: `.data`.
    Comma,
}

impl Separator {
    /// The separator that a file's name stands for, with or without `.gz`.
    ///
    /// # Errors
    /// [`DataError::Format`] for any other ending than `.amat` and `.data`.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        match name.strip_suffix(".gz").unwrap_or(&name) {
            name if name.ends_with(".amat") => Ok(Separator::Space),
            name if name.ends_with(".data") => Ok(Separator::Comma),
            _ => Err(DataError::Format { path: path.to_owned() }),
        }
    }

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

/// Rows and width that a protocol asks of a file.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The protocol, `id@version`.
    pub protocol: String,
    /// Rows of the file.
    pub rows: usize,
    /// Values in a row.
    pub width: usize,
}

/// Reads a file, in its order of rows. Without `expected`, the first row sets the width.
///
/// # Errors
/// Anything but a well-formed file of the expected size; see [`DataError`].
pub fn read(path: &Path, expected: Option<&Expected>) -> Result<Split, DataError> {
    read_limited(path, expected, MAX_TEXT, MAX_LINE)
}

fn read_limited(
    path: &Path,
    expected: Option<&Expected>,
    max_text: u64,
    max_line: u64,
) -> Result<Split, DataError> {
    let separator = Separator::of(path)?;
    let file = File::open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => DataError::NoFile { path: path.to_owned() },
        _ => DataError::Read { path: path.to_owned(), rows: 0, cause },
    })?;
    let mut file = BufReader::with_capacity(BUFFER, file);
    let start = file.fill_buf().map_err(|cause| DataError::Read { path: path.to_owned(), rows: 0, cause })?;
    let named_gz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    // The bytes decide as well as the name: browsers inflate files and keep their names.
    let gzipped = start.starts_with(&GZIP_MAGIC) || named_gz && !start.is_empty() && !is_text(start);
    let mut text: Box<dyn BufRead> = if gzipped {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };

    let mut rows = Rows::new(path, separator, expected);
    let (mut line, mut n_bytes) = (Vec::new(), 0);
    loop {
        line.clear();
        // One byte more than a line may have, to tell a long line from a last one.
        let read = text.by_ref().take(max_line + 1).read_until(b'\n', &mut line);
        n_bytes += read.map_err(|cause| {
            let (path, rows) = (path.to_owned(), rows.n_rows);
            if gzipped {
                DataError::Gzip { path, rows, cause }
            } else {
                DataError::Read { path, rows, cause }
            }
        })? as u64;
        if line.is_empty() {
            return rows.finish();
        }
        if n_bytes > max_text {
            return Err(DataError::TooLarge { path: path.to_owned(), limit: max_text, rows: rows.n_rows });
        }
        if line.len() as u64 > max_line {
            return Err(DataError::LineTooLong {
                path: path.to_owned(),
                line: rows.n_lines + 1,
                limit: max_line,
            });
        }
        rows.push(&line)?;
    }
}

/// True if a file that claims to be gzipped starts like the text that it should hold.
fn is_text(start: &[u8]) -> bool {
    start.iter().take(64).all(|byte| byte.is_ascii_digit() || b" \t\r\n,.".contains(byte))
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

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A file of that name and content, and the directory that it goes with.
    fn file(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        (dir, path)
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
        assert!(matches!(read(&path, None), Err(DataError::Read { rows: 0, .. })));
    }

    #[test]
    fn a_name_without_a_known_format_is_refused() {
        let error = error("a.txt.gz", b"0 1\n", None);
        assert!(error.contains("a.txt.gz: the format is not known") && error.contains(".amat"), "{error}");
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
        // 10 bytes of header, 5 of the block's, 10 rows of 4, and a part of the eleventh.
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
        assert!(wide.contains("a.amat, line 1: found 3 values where 2 are wanted"), "{wide}");
    }

    #[test]
    fn text_without_end_is_given_up_on() {
        // A thousand bytes are the limit of these tests; the bomb inflates to a million.
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
