//! `file://` addresses: the file is copied, under the same cap.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::part::{Origin, Part};
use super::{DownloadError, Rules, Stop, redacted};

/// The path that a `file://` address names; nothing for other addresses.
pub(super) fn path_of(url: &str) -> Result<Option<PathBuf>, DownloadError> {
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("file") {
        return Ok(None);
    }
    let error = |problem: &str| DownloadError::Address { url: redacted(url), problem: problem.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').ok_or_else(|| error("names no absolute path"))?);
    if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) {
        return Err(error("names a file of another machine"));
    }
    let path = decode(path).ok_or_else(|| error("has a % that is not followed by two hexadecimal digits"))?;
    path_of_bytes(path).map(Some).ok_or_else(|| error("names a path that is not UTF-8"))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                (16 * high + low) as u8
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(unix)]
fn path_of_bytes(path: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(path).into())
}

#[cfg(not(unix))]
fn path_of_bytes(path: Vec<u8>) -> Option<PathBuf> {
    let path = String::from_utf8(path).ok()?;
    // file:///C:/x is C:/x.
    let has_drive = path.as_bytes().get(2) == Some(&b':');
    Some(PathBuf::from(&path[usize::from(has_drive)..]))
}

/// Copies `source` to the part, from its beginning each time.
pub(super) fn copy(
    url: &str,
    source: &Path,
    part: &Path,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), DownloadError> {
    let error = |problem: String| DownloadError::Source { path: source.to_owned(), problem };
    let unreadable = |cause| error(format!("cannot be read ({cause})"));
    // Asked before it is opened, because opening a pipe waits for its writer.
    if !fs::metadata(source).map_err(unreadable)?.is_file() {
        return Err(error("is not a regular file".to_owned()));
    }
    let file = File::open(source).map_err(unreadable)?;
    let total = file.metadata().map_err(unreadable)?.len();
    if total > rules.max_bytes {
        let (url, limit) = (url.to_owned(), rules.max_bytes);
        return Err(DownloadError::TooLarge { url, limit, said: Some(total) });
    }

    let mut part = Part::open(part, url)?;
    let same = fs::canonicalize(source).and_then(|a| fs::canonicalize(&part.path).map(|b| a == b));
    if same.map_err(unreadable)? {
        return Err(error("would be copied onto itself".to_owned()));
    }
    part.restart(Origin { url: url.to_owned(), validator: None, total: Some(total) })?;
    progress(0, Some(total));
    let Part { file: to, length, .. } = &mut part;
    let mut told = |here| progress(here, Some(total));
    match super::copy(file.take(total), to, length, rules.max_bytes, &mut told) {
        Ok(()) if part.length < total => Err(error("became shorter while it was copied".to_owned())),
        Ok(()) => part.finish(),
        Err(Stop::Read(cause)) => Err(unreadable(cause)),
        Err(Stop::Write(cause)) => Err(DownloadError::disk(&part.path, part.length, cause)),
        Err(Stop::TooLarge) => {
            part.remove()?;
            let (url, limit) = (url.to_owned(), rules.max_bytes);
            Err(DownloadError::TooLarge { url, limit, said: None })
        }
    }
}
