//! Opening a file: it must be a file, and it may be gzipped.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::DataError;
use crate::formats::Limits;

/// Bytes asked of the operating system and of the decoder at a time.
const BUFFER: usize = 1 << 18;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The inflated bytes of a file.
///
/// # Errors
/// If it is not there, not a regular file, or cannot be read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, DataError> {
    let mut file = BufReader::with_capacity(BUFFER, open_raw(path)?);
    let start = file.fill_buf().map_err(|cause| unreadable(path, cause))?;
    let named_gz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    // The bytes decide as well as the name: browsers inflate files and keep their names.
    let gzipped = start.starts_with(&GZIP_MAGIC) || named_gz && !start.is_empty() && !is_inflated(start);
    if gzipped {
        let inflated = Inflated(MultiGzDecoder::new(file));
        return Ok(Box::new(BufReader::with_capacity(BUFFER, inflated)));
    }
    Ok(Box::new(file))
}

/// A file as it lies on the disk, if it is one: opening a pipe would wait for ever, and reading a
/// device would never end.
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

/// SHA-256 of a file as it lies on the disk, and its length.
///
/// # Errors
/// If it is not there, not a regular file, or cannot be read.
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

/// A decoder whose errors say that they are the archive's and not the disk's.
struct Inflated<R>(R);

/// What [`Inflated`] wraps errors in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InflateError(io::Error);

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|cause| match cause.kind() {
            io::ErrorKind::Interrupted => cause,
            kind => io::Error::new(kind, InflateError(cause)),
        })
    }
}

/// The error of a reader that stopped after `after`, such as `10 rows`.
pub(crate) fn failed(path: &Path, after: String, cause: io::Error) -> DataError {
    let path = path.to_owned();
    match cause.get_ref().is_some_and(|inner| inner.is::<InflateError>()) {
        true => DataError::Gzip { path, after, cause },
        false => DataError::Read { path, after, cause },
    }
}

/// All bytes up to the limit.
pub(crate) fn read_whole(path: &Path, bytes: &mut dyn Read, limits: &Limits) -> Result<Vec<u8>, DataError> {
    let mut whole = Vec::new();
    // One byte more than there may be, to tell a long file from one that ends there.
    match bytes.take(limits.bytes.saturating_add(1)).read_to_end(&mut whole) {
        Err(cause) => Err(failed(path, format!("{} bytes", whole.len()), cause)),
        Ok(_) if whole.len() as u64 > limits.bytes => {
            Err(DataError::TooLarge { path: path.to_owned(), limit: limits.bytes, rows: 0 })
        }
        Ok(_) => Ok(whole),
    }
}

/// True if a file that claims to be gzipped starts like the text or the container it should hold.
fn is_inflated(start: &[u8]) -> bool {
    let container = [b"\0\0\x08".as_slice(), b"\x93NUMPY", b"PK\x03\x04", b"MATLAB"];
    let text = |byte: &u8| byte.is_ascii_digit() || b" \t\r\n,.:+-".contains(byte);
    container.iter().any(|magic| start.starts_with(magic)) || start.iter().take(64).all(text)
}
