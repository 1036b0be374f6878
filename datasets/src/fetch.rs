//! Downloads the files of a protocol; they get their names when the values are the protocol's.
//!
//! Files arrive in a folder of their own below the data directory (`.fetch/`), where a cut transfer
//! is taken up again by the next call. Only when the set has been read from there, and its values
//! have the hash of the protocol, are they moved to their places, each in one step.
//!
//! Nothing is ever asked of a network unless [`fetch`] is called.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub mod download;
mod lock;
mod staging;

use download::{DownloadError, Rules, redacted};
use staging::Staging;

use crate::cache::Cache;
use crate::entry::Entry;
use crate::source_file::SourceFile;
use crate::{DataError, DataSet};

/// Why a set could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A set that is drawn, not downloaded.
    #[error("{id} is built in; there is nothing to fetch")]
    BuiltIn {
        /// The set.
        id: &'static str,
    },

    /// A file that no address is known of.
    #[error("{id}: no address is known of {}; get it from {from_whom} and name the folder that holds it with --from DIR",
            .name)]
    NoMirror {
        /// The set.
        id: &'static str,
        /// The file.
        name: &'static str,
        /// Where the set comes from.
        from_whom: &'static str,
    },

    /// A place named by the user that does not have a file.
    #[error("{from}: {name} is not there (nor under another of its names: {}); name the folder that holds it", .names.join(", "))]
    NotThere {
        /// The place.
        from: String,
        /// The file.
        name: &'static str,
        /// All its names.
        names: &'static [&'static str],
    },

    /// No address had a file.
    #[error("{}", listed(.0))]
    Download(Vec<DownloadError>),

    /// Files that came, and with which the set is not the protocol's.
    #[error("{what}; what was downloaded and is not the original was removed{}",
            if *.others { " (or the mistake is in a file that was there before: see `helmholtz data check`)" } else { "" })]
    Values {
        /// What is wrong with the set.
        what: String,
        /// True if some of its files were there before.
        others: bool,
    },

    /// Files that were there before, and are not the protocol's.
    #[error(
        "{0}; its files are there already, and nothing was downloaded: move them away to fetch them anew"
    )]
    Present(DataError),

    /// The data directory cannot be written.
    #[error("{}: {cause}; free some space or check the permissions, then run it again", .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },

    /// Something else stands where a file or a folder of the download should be.
    #[error("{}: here is {found} where the download keeps its files; move it away, then run it again", .path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },

    /// The lock was removed while the set was fetched.
    #[error("{}: the lock of this download was removed, so another process may have begun the same; run it again", .path.display())]
    LockLost {
        /// The set's folder.
        path: PathBuf,
    },

    /// Another process fetches the same set.
    #[error("{}: another process is fetching this set; wait for it to end", .path.display())]
    Busy {
        /// Its folder.
        path: PathBuf,
    },
}

impl FetchError {
    /// True if it is not the network or the disk that failed, but what was asked for, or a place that may not be
    /// written to.
    pub fn is_of_the_request(&self) -> bool {
        use DownloadError::{Address, Denied, NotAFile, Source};
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let is_of_the_request =
            |error| matches!(error, &(Address { .. } | Denied { .. } | NotAFile { .. } | Source { .. }));
        match self {
            FetchError::Download(errors) => errors.iter().all(is_of_the_request),
            FetchError::Disk { cause, .. } => matches!(cause.kind(), PermissionDenied | ReadOnlyFilesystem),
            FetchError::Values { .. } | FetchError::LockLost { .. } => false,
            _ => true,
        }
    }
}

fn listed(errors: &[DownloadError]) -> String {
    let mut sentences: Vec<String> = errors.iter().map(DownloadError::to_string).collect();
    sentences.dedup();
    sentences.join("; ")
}

/// Where files come from.
#[derive(Clone, Default)]
pub enum Origin {
    /// The addresses of the catalogue.
    #[default]
    Mirrors,
    /// A folder or an address (`https://`, `http://`, `file://`) below which files have the names of the
    /// catalogue, with or without their folders. A name and a password in it are sent, and shown nowhere.
    From(String),
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Mirrors => f.write_str("Mirrors"),
            Origin::From(from) => f.debug_tuple("From").field(&redacted(from)).finish(),
        }
    }
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Event<'a> {
    /// Bytes of a file that are here, and how many there will be, as far as is known.
    Bytes {
        /// The file.
        name: &'static str,
        /// Bytes so far.
        here: u64,
        /// Bytes of the whole.
        total: Option<u64>,
    },
    /// A file is here.
    Arrived {
        /// The file.
        name: &'static str,
    },
    /// An address failed, and the next is tried.
    Failed {
        /// What happened.
        error: &'a DownloadError,
    },
    /// What came is not the protocol's, and other addresses are tried.
    Refused {
        /// What is wrong with it.
        error: &'a FetchError,
    },
}

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The set, loaded and verified.
    pub set: DataSet,
    /// The files that were downloaded, where they lie now; none if all were there before.
    pub new_files: Vec<PathBuf>,
}

/// Fetches the files of a set that are not below `data_dir` yet, and verifies the whole set.
///
/// # Errors
/// If no address has a file, the values are not the protocol's, or the disk fails; see [`FetchError`].
/// Then nothing has changed outside the folder `.fetch` below `data_dir`.
pub fn fetch(
    entry: &'static Entry,
    data_dir: &Path,
    origin: &Origin,
    rules: &Rules,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Fetched, FetchError> {
    if entry.generated {
        return Err(FetchError::BuiltIn { id: entry.id });
    }
    let is_wanted = |file: &&SourceFile| file.find(data_dir).is_none();
    let (wanted, others): (Vec<&'static SourceFile>, Vec<_>) = entry.files.iter().partition(is_wanted);
    if wanted.is_empty() {
        let set = entry.load_in(&[data_dir.to_owned()], &Cache::platform()).map_err(FetchError::Present)?;
        Staging::discard(entry, data_dir);
        return Ok(Fetched { set, new_files: Vec::new() });
    }
    let candidates = wanted.iter().map(|file| Candidate::of(entry, file, origin));
    let mut candidates = candidates.collect::<Result<Vec<_>, _>>()?;
    let staging = Staging::open(entry, data_dir)?;
    // What an earlier call left of a file that is there by now must not stand in for it.
    others.iter().try_for_each(|file| staging.remove(file))?;
    let mut refusal = None;
    loop {
        for candidate in &mut candidates {
            match staging.arrive(candidate, rules, on_event) {
                Ok(()) => {}
                // That the remaining addresses have nothing is not the reason: what came was refused.
                Err(error @ FetchError::Download(_)) => return Err(refusal.unwrap_or(error)),
                Err(error) => return Err(error),
            }
        }
        let error = match entry.load_in(&[staging.folder().to_owned(), data_dir.to_owned()], &Cache::off()) {
            Ok(set) => return Ok(Fetched { set, new_files: staging.put_in_place(&wanted, data_dir)? }),
            Err(error) => error,
        };
        // The folder that files arrive in is nobody's business.
        let what = error.to_string().replace(&format!("{}/", staging.folder().display()), "");
        let mut goes_on = false;
        for candidate in &mut candidates {
            goes_on |= staging.refuse(candidate)?;
        }
        let refused = FetchError::Values { what, others: !others.is_empty() };
        if !goes_on {
            return Err(refused);
        }
        on_event(Event::Refused { error: &refused });
        refusal = Some(refused);
    }
}

/// An address and the name that fits what comes from there.
struct Address {
    url: String,
    name: &'static str,
}

/// A file that is wanted, and where it may come from.
struct Candidate {
    file: &'static SourceFile,
    addresses: Vec<Address>,
    /// Bytes that the set has as text, at most.
    text: u64,
    /// The first address that has not been refused.
    next: usize,
    /// The address that the file at hand came from; none if an earlier call brought it.
    used: Option<usize>,
}

impl Candidate {
    fn of(entry: &Entry, file: &'static SourceFile, origin: &Origin) -> Result<Self, FetchError> {
        let rows: usize = entry.split_sizes.iter().sum();
        let text = (rows as u64).saturating_mul(entry.width() as u64).saturating_mul(MOST_OF_A_VALUE);
        Ok(Candidate { file, addresses: addresses(entry, file, origin)?, text, next: 0, used: None })
    }

    /// Bytes that the file may have under one of its names: twice those of the catalogue under the preferred one,
    /// which may have been packed anew, and those of the whole set as text under another, each with a mebibyte more.
    /// None where the catalogue names no size; then [`Rules::max_bytes`] alone is the cap.
    fn most_bytes(&self, name: &str) -> Option<u64> {
        let bytes = Some(self.file.bytes).filter(|bytes| *bytes > 0)?;
        let packed_anew = bytes.saturating_mul(2);
        let most = if name == self.file.names[0] { packed_anew } else { packed_anew.max(self.text) };
        Some(most.saturating_add(1 << 20))
    }
}

/// Bytes of a value as text, at most: its digits, or its index beside it.
const MOST_OF_A_VALUE: u64 = 32;

fn addresses(entry: &Entry, file: &'static SourceFile, origin: &Origin) -> Result<Vec<Address>, FetchError> {
    let found: Vec<Address> = match origin {
        Origin::Mirrors => file
            .mirrors
            .iter()
            .map(|mirror| Address { url: mirror.url.to_owned(), name: mirror.name })
            .collect(),
        Origin::From(from) => {
            let bare = |name: &'static str| name.rsplit('/').next().unwrap_or(name);
            let names = file.names.iter().flat_map(|name| [(*name, *name), (*name, bare(name))]);
            match from.contains("://") {
                true => {
                    let address = |(name, below)| Address {
                        url: format!("{}/{below}", from.trim_end_matches('/')),
                        name,
                    };
                    names.map(address).collect()
                }
                false => {
                    let here = |(name, below): (&'static str, &str)| {
                        let path = fs::canonicalize(Path::new(from).join(below)).ok()?;
                        Some(Address { url: file_url(&path), name })
                    };
                    names.filter_map(here).collect()
                }
            }
        }
    };
    match (found.is_empty(), origin) {
        (false, _) => Ok(found),
        // Labels are not needed.
        (true, _) if file.labels => Ok(found),
        (true, Origin::Mirrors) => {
            Err(FetchError::NoMirror { id: entry.id, name: file.names[0], from_whom: entry.source })
        }
        (true, Origin::From(from)) => {
            Err(FetchError::NotThere { from: redacted(from), name: file.names[0], names: file.names })
        }
    }
}

/// The address of a file of this machine.
fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

fn disk(path: &Path, cause: io::Error) -> FetchError {
    FetchError::Disk { path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_may_not_be_written_to_is_of_the_request_and_a_full_disk_is_not() {
        for (kind, is_of_the_request) in [
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::ReadOnlyFilesystem, true),
            (io::ErrorKind::StorageFull, false),
        ] {
            assert_eq!(disk(Path::new("data"), kind.into()).is_of_the_request(), is_of_the_request);
            let error = DownloadError::disk(Path::new("data"), 0, kind.into());
            assert_eq!(FetchError::Download(vec![error]).is_of_the_request(), is_of_the_request);
        }
    }

    #[test]
    fn every_file_of_the_catalogue_may_be_as_large_as_it_is_and_not_much_larger() {
        for entry in crate::catalogue().iter().filter(|entry| !entry.generated) {
            for file in entry.files {
                let origin = Origin::From("http://127.0.0.1:1".to_owned());
                let candidate = Candidate::of(entry, file, &origin).unwrap();
                let packed = candidate.most_bytes(file.names[0]).unwrap();
                assert!(file.bytes > 0 && packed == 2 * file.bytes + (1 << 20), "{}", entry.id);
                for name in file.names {
                    let most = candidate.most_bytes(name).unwrap();
                    assert!((packed..4 << 30).contains(&most), "{name}: {most}");
                }
            }
        }
    }
}
