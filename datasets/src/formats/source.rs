//! Opens a file, which must be a regular file and may be gzipped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::error::DataError;
use crate::formats::room::{self, Unfilled};
use crate::formats::wanted::{Limits, RATIO};

/// Bytes requested from the operating system and from the decoder at a time.
const BUFFER: usize = 1 << 18;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The UTF-8 byte-order mark, with which some editors and spreadsheets begin a text.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// The decompressed bytes of a file. Reading them ends with an error if there are more than the limits allow for the
/// size of the file on the disk.
///
/// # Errors
/// If the file is missing, is not a regular file, or cannot be read.
pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Box<dyn BufRead + Send>, DataError> {
    let raw = open_raw(path)?;
    let length = raw.metadata().map_err(|cause| unreadable(path, cause))?.len();
    let mut file = BufReader::with_capacity(BUFFER, raw);
    let start = file.fill_buf().map_err(|cause| unreadable(path, cause))?;
    let named_gz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    // The bytes decide too, not only the name: browsers decompress files and keep their names.
    let gzipped = start.starts_with(&GZIP_MAGIC) || named_gz && !start.is_empty() && !is_inflated(start);
    if gzipped {
        let most = limits.grown_from(length);
        let inflated = Inflated { bytes: MultiGzDecoder::new(file), most, left: most };
        return Ok(Box::new(BufReader::with_capacity(BUFFER, inflated)));
    }
    Ok(Box::new(file))
}

/// Opens a file as it is on the disk, if it is a regular file: opening a pipe would wait for ever, and reading a device
/// would never end.
fn open_raw(path: &Path) -> Result<File, DataError> {
    let missing = || DataError::NoFile { path: path.to_owned() };
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(cause) => return Err(unreadable(path, cause)),
    };
    if !kind.is_file() {
        let found = if kind.is_dir() { "a directory" } else { "a device, a pipe or a socket" };
        return Err(DataError::NotAFile { path: path.to_owned(), found });
    }
    File::open(path).map_err(|cause| unreadable(path, cause))
}

fn unreadable(path: &Path, cause: io::Error) -> DataError {
    DataError::Read { path: path.to_owned(), after: "0 bytes".to_owned(), cause }
}

/// SHA-256 of a file as it is on the disk, and its length.
///
/// # Errors
/// If the file is missing, is not a regular file, or cannot be read.
pub(crate) fn hash(path: &Path) -> Result<([u8; 32], u64), DataError> {
    let mut file = open_raw(path)?;
    let (mut sha, mut length, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((sha.finalize().into(), length)),
            Ok(n) => {
                sha.update(&buffer[..n]);
                length += n as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => {
                return Err(DataError::Read {
                    path: path.to_owned(),
                    after: format!("{length} bytes"),
                    cause,
                });
            }
        }
    }
}

/// A decoder whose errors distinguish a damaged archive from a failing disk. It stops when it has returned more bytes
/// than a file of that length may hold.
struct Inflated<R> {
    bytes: R,
    most: u64,
    left: u64,
}

/// The error type of [`Inflated`].
#[derive(Debug, thiserror::Error)]
enum InflateError {
    #[error("{0}")]
    Damaged(io::Error),
    #[error("it inflates to more than {most} bytes")]
    Grown { most: u64 },
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(buffer).map_err(|cause| match cause.kind() {
            io::ErrorKind::Interrupted => cause,
            kind => io::Error::new(kind, InflateError::Damaged(cause)),
        })?;
        let most = self.most;
        self.left =
            self.left.checked_sub(n as u64).ok_or_else(|| io::Error::other(InflateError::Grown { most }))?;
        Ok(n)
    }
}

/// The error of a reader that stopped after `after`, such as `10 rows`.
pub(crate) fn failed(path: &Path, after: String, cause: io::Error) -> DataError {
    match cause.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(InflateError::Damaged(_)) => DataError::Gzip { path: path.to_owned(), after, cause },
        Some(InflateError::Grown { most }) => DataError::malformed(
            path,
            format!(
                "stopped after {after}: it inflates to more than {most} bytes, {RATIO} times its size or more; \
                 decompress it yourself (gunzip) if that is correct"
            ),
        ),
        None => DataError::Read { path: path.to_owned(), after, cause },
    }
}

/// Reads the total number of bytes of a container from its start, which holds the magic number and the header: its
/// first [`START`] bytes, or all of them if there are fewer.
pub(crate) type Promised = fn(&[u8], &Limits) -> Result<u64, String>;

/// Bytes at the start of a container that contain its header.
const START: u64 = 1 << 14;

/// Reads all bytes that a container announces, and one more if there is one. The magic number and the header are
/// checked before the rest is read.
pub(crate) fn read_whole(
    path: &Path,
    bytes: &mut dyn Read,
    limits: &Limits,
    promised: Promised,
) -> Result<Vec<u8>, DataError> {
    let mut whole = Vec::new();
    fill(path, bytes, &mut whole, START.min(limits.bytes.saturating_add(1)))?;
    let promised = promised(&whole, limits).map_err(|problem| DataError::malformed(path, problem))?;
    if promised <= limits.bytes {
        fill(path, bytes, &mut whole, promised.saturating_add(1))?;
    }
    if promised.max(whole.len() as u64) <= limits.bytes {
        return Ok(whole);
    }
    let problem =
        format!("it has more than {} bytes; split the file, or check that it is data", limits.bytes);
    Err(DataError::malformed(path, problem))
}

/// Reads until there are `n` bytes in total, or until the end.
fn fill(path: &Path, bytes: &mut dyn Read, whole: &mut Vec<u8>, n: u64) -> Result<(), DataError> {
    room::fill(bytes, whole, n).map_err(|unfilled| match unfilled {
        Unfilled::NoRoom(problem) => DataError::malformed(path, problem),
        Unfilled::Io(cause) => failed(path, format!("{} bytes", whole.len()), cause),
    })
}

/// True if a file with a `.gz` name starts like the text or the container that it should hold.
fn is_inflated(start: &[u8]) -> bool {
    let start = start.strip_prefix(UTF8_MARK).unwrap_or(start);
    let container = [b"\0\0\x08".as_slice(), b"\x93NUMPY", b"PK\x03\x04", b"MATLAB"];
    let text = |byte: &u8| byte.is_ascii_digit() || b" \t\r\n,.:+-".contains(byte);
    container.iter().any(|magic| start.starts_with(magic)) || start.iter().take(64).all(text)
}

/// A text without its byte-order mark.
///
/// # Errors
/// If the mark is that of UTF-16, or if the text cannot be read.
pub(crate) fn without_mark<'a>(path: &Path, text: impl BufRead + 'a) -> Result<impl BufRead + 'a, DataError> {
    let (mut text, mut start) = (text, Vec::new());
    let read = text.by_ref().take(UTF8_MARK.len() as u64).read_to_end(&mut start);
    read.map_err(|cause| failed(path, "0 rows".to_owned(), cause))?;
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(DataError::malformed(path, "the text is UTF-16; save it as UTF-8".to_owned()));
    }
    if start == UTF8_MARK {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(text))
}
