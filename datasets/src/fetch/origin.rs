//! Where the files of a set can be downloaded, and how large each may be.

use std::fmt;
use std::path::PathBuf;

use crate::entry::Entry;
use crate::fetch::error::FetchError;
use crate::fetch::secret::redacted;
use crate::source_file::SourceFile;

/// Where files come from.
#[derive(Clone, Default)]
pub enum Origin {
    /// The addresses of the catalogue.
    #[default]
    Mirrors,
    /// A folder or an address (`https://`, `http://`, `file://`) below which files have the names of the catalogue,
    /// with or without their folders. A user name and a password in it are sent to the server but never shown.
    From(String),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Mirrors => f.write_str("Mirrors"),
            Origin::From(from) => f.debug_tuple("From").field(&redacted(from)).finish(),
        }
    }
}

/// Where one file can be read or downloaded.
pub(super) enum Place {
    Url(String),
    File(PathBuf),
}

impl Place {
    /// The place without passwords, for messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Place::Url(url) => redacted(url),
            Place::File(path) => path.display().to_string(),
        }
    }
}

/// A place, and the name and size of a file that comes from there.
pub(super) struct Address {
    pub(super) place: Place,
    /// The name that fits this place, out of the names of the file.
    pub(super) name: &'static str,
    /// Limit of its size, in bytes.
    pub(super) most_bytes: u64,
}

/// The addresses of a file, the best first; empty only if the file is optional.
pub(super) fn addresses(
    entry: &Entry,
    file: &'static SourceFile,
    origin: &Origin,
) -> Result<Vec<Address>, FetchError> {
    let bare = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
    let names = file.names.iter().flat_map(|name| [(*name, *name), (*name, bare(name))]);
    let places: Vec<(Place, &'static str)> = match origin {
        Origin::Mirrors => {
            file.mirrors.iter().map(|mirror| (Place::Url(mirror.url.to_owned()), mirror.name)).collect()
        }
        Origin::From(from) => match folder_of(from)? {
            Some(folder) => {
                let there =
                    names.map(|(name, below)| (folder.join(below), name)).filter(|(path, _)| path.exists());
                there.map(|(path, name)| (Place::File(path), name)).collect()
            }
            None => {
                let url = |below| Place::Url(format!("{}/{below}", from.trim_end_matches('/')));
                names.map(|(name, below)| (url(below), name)).collect()
            }
        },
    };
    if places.is_empty() && !file.labels {
        let name = file.names[0];
        return Err(FetchError::Request(match origin {
            Origin::Mirrors => format!(
                "{}: no address is known for {name}; get it from {} and pass the folder that holds it with --from DIR",
                entry.id, entry.source
            ),
            Origin::From(from) => format!(
                "{}: {name} is not there under any of its names ({}); pass the folder that holds it with --from",
                redacted(from),
                file.names.join(", ")
            ),
        }));
    }
    let address = |(place, name)| Address { place, name, most_bytes: most_bytes(entry, file, name) };
    Ok(places.into_iter().map(address).collect())
}

/// Limit of the bytes of one value as text: its digits, or its index and itself.
const MOST_OF_A_VALUE: u64 = 32;

/// Limit of the bytes of a file under one of its names. Under the preferred name it is twice the size in the catalogue,
/// because the file may have been compressed anew. Under another name it is the size of the whole set as text, if that
/// is more. One mebibyte is added to either.
fn most_bytes(entry: &Entry, file: &SourceFile, name: &str) -> u64 {
    let rows: usize = entry.split_sizes.iter().sum();
    let text = (rows as u64).saturating_mul(entry.width() as u64).saturating_mul(MOST_OF_A_VALUE);
    let packed_anew = file.bytes.saturating_mul(2);
    let most = if name == file.names[0] { packed_anew } else { packed_anew.max(text) };
    most.saturating_add(1 << 20)
}

/// The folder that `--from` names, as a path or as `file://`; `None` if it is the address of a server.
fn folder_of(from: &str) -> Result<Option<PathBuf>, FetchError> {
    let Some((scheme, rest)) = from.split_once("://") else { return Ok(Some(PathBuf::from(from))) };
    if !scheme.eq_ignore_ascii_case("file") {
        return Ok(None);
    }
    let wrong = |problem: &str| {
        FetchError::Request(format!(
            "`{}` {problem}; write https://HOST/PATH or file:///PATH",
            redacted(from)
        ))
    };
    let (host, path) = rest.split_at(rest.find('/').ok_or_else(|| wrong("names no absolute path"))?);
    if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) {
        return Err(wrong("names a file on another machine"));
    }
    let is_code = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    if !path.split('%').skip(1).all(|rest| is_code(rest.as_bytes())) {
        return Err(wrong("has a `%` without two hexadecimal digits after it (a `%` itself is `%25`)"));
    }
    let bytes = percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
    #[cfg(unix)]
    let path = <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes);
    #[cfg(not(unix))]
    let path = String::from_utf8(bytes).map_err(|_| wrong("names a path that is not UTF-8"))?;
    // On Windows file:///C:/x is C:/x.
    #[cfg(windows)]
    let path = path.trim_start_matches('/');
    Ok(Some(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_catalogue_may_be_as_large_as_it_is_and_not_much_larger() {
        for entry in crate::catalogue().iter() {
            for file in entry.files {
                let packed = most_bytes(entry, file, file.names[0]);
                assert!(file.bytes > 0 && packed == 2 * file.bytes + (1 << 20), "{}", entry.id);
                for name in file.names {
                    let most = most_bytes(entry, file, name);
                    assert!((packed..4 << 30).contains(&most), "{name}: {most}");
                }
            }
        }
    }

    #[test]
    fn a_folder_is_named_by_its_path_or_as_a_file_address() {
        let folder = |from: &str| folder_of(from).map(|folder| folder.map(|path| path.display().to_string()));
        for (from, path) in [
            ("there", Some("there")),
            ("file:///r%C3%A4der%20100%25", Some("/räder 100%")),
            ("FILE://localhost/a/b/", Some("/a/b/")),
            ("https://example.org/a", None),
        ] {
            assert_eq!(folder(from).unwrap().as_deref(), path);
        }
        #[cfg(unix)]
        assert_eq!(
            folder_of("file:///r%E4der").unwrap().unwrap().as_os_str().as_encoded_bytes(),
            b"/r\xe4der"
        );
        for from in ["file://", "file://localhost", "file://elsewhere/a", "file:///%zz", "file:///100%"] {
            let error = folder(from).unwrap_err();
            assert!(error.is_of_the_request() && error.to_string().contains(from), "{error}");
        }
    }
}
