//! Downloads the files of a protocol; they get their names when the values are the protocol's.
//!
//! Files arrive in a folder of their own below the data directory (`.fetch/`), where a cut transfer
//! is taken up again by the next call. Only when the set has been read from there, and its values
//! have the hash of the protocol, are they moved to their places, each in one step.
//!
//! Nothing is ever asked of a network unless [`fetch`] is called.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub mod download;

use download::{DownloadError, Rules, download};

use crate::cache::Cache;
use crate::catalogue::Entry;
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

    /// Files that came, and are not the protocol's.
    #[error("what was downloaded is of no use and was removed: {0}")]
    Values(DataError),

    /// The data directory cannot be written.
    #[error("{}: {cause}; free some space or check the permissions, then run it again", .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },

    /// Another process fetches the same set.
    #[error("{}: another process is fetching this set; wait for it to end", .path.display())]
    Busy {
        /// Its folder.
        path: PathBuf,
    },
}

impl FetchError {
    /// True if it is not the network or the disk that failed, but what was asked for.
    pub fn is_of_the_request(&self) -> bool {
        use FetchError::{BuiltIn, Busy, NoMirror, NotThere};
        matches!(self, BuiltIn { .. } | NoMirror { .. } | NotThere { .. } | Busy { .. })
    }
}

fn listed(errors: &[DownloadError]) -> String {
    errors.iter().map(DownloadError::to_string).collect::<Vec<_>>().join("; ")
}

/// Where files come from.
#[derive(Clone, Debug, Default)]
pub enum Origin {
    /// The addresses of the catalogue.
    #[default]
    Mirrors,
    /// A folder or an address (`https://`, `http://`, `file://`) below which files have the names of the
    /// catalogue, with or without their folders.
    From(String),
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
        error: &'a DataError,
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
    let wanted: Vec<&'static SourceFile> =
        entry.files.iter().filter(|file| file.find(data_dir).is_none()).collect();
    if wanted.is_empty() {
        let set = entry.load_in(&[data_dir.to_owned()], &Cache::platform()).map_err(FetchError::Values)?;
        return Ok(Fetched { set, new_files: Vec::new() });
    }
    let staging = Staging::open(entry, data_dir)?;
    let addresses =
        wanted.iter().map(|file| addresses(entry, file, origin)).collect::<Result<Vec<_>, _>>()?;
    let rounds = addresses.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0.. {
        for (file, addresses) in wanted.iter().zip(&addresses) {
            staging.arrive(file, addresses, round, rules, on_event)?;
        }
        match entry.load_in(&[staging.folder.clone(), data_dir.to_owned()], &Cache::off()) {
            Ok(set) => {
                let new_files = staging.put_in_place(data_dir)?;
                return Ok(Fetched { set, new_files });
            }
            Err(error) => {
                staging.clear()?;
                if round + 1 >= rounds {
                    return Err(FetchError::Values(error));
                }
                on_event(Event::Refused { error: &error });
            }
        }
    }
    unreachable!("a round ends in a set, an error or another round")
}

/// An address and the name that fits what comes from there.
#[derive(Clone, Debug)]
struct Address {
    url: String,
    name: &'static str,
}

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
            Err(FetchError::NotThere { from: from.clone(), name: file.names[0], names: file.names })
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

/// The folder that files arrive in, held by one process.
struct Staging {
    folder: PathBuf,
    _lock: File,
    lock_path: PathBuf,
}

impl Staging {
    fn open(entry: &Entry, data_dir: &Path) -> Result<Self, FetchError> {
        let parent = data_dir.join(".fetch");
        fs::create_dir_all(&parent).map_err(|cause| disk(&parent, cause))?;
        let folder = parent.join(entry.id.replace('/', "-"));
        let lock_path = folder.with_extension("lock");
        let lock = File::create(&lock_path).map_err(|cause| disk(&lock_path, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path: folder }),
            Err(TryLockError::Error(cause)) => return Err(disk(&lock_path, cause)),
        }
        fs::create_dir_all(&folder).map_err(|cause| disk(&folder, cause))?;
        Ok(Staging { folder, _lock: lock, lock_path })
    }

    /// Downloads a file, unless an earlier call has, from the first address that has it; `round`
    /// addresses are passed over, as long as there are others.
    fn arrive(
        &self,
        file: &'static SourceFile,
        addresses: &[Address],
        round: usize,
        rules: &Rules,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FetchError> {
        if file.find(&self.folder).is_some() {
            return Ok(());
        }
        let mut errors = Vec::new();
        for Address { url, name } in &addresses[round.min(addresses.len().saturating_sub(1))..] {
            let arrived = self.folder.join(name);
            let part = with_suffix(&arrived, ".part");
            let folder = arrived.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder).map_err(|cause| disk(folder, cause))?;
            let mut progress = |here, total: Option<u64>| {
                let total = total.or((*name == file.names[0]).then_some(file.bytes));
                on_event(Event::Bytes { name, here, total });
            };
            match download(url, &part, rules, &mut progress) {
                Ok(()) => {
                    fs::rename(&part, &arrived).map_err(|cause| disk(&arrived, cause))?;
                    on_event(Event::Arrived { name });
                    return Ok(());
                }
                Err(error) if error.another_mirror_may_help() => {
                    on_event(Event::Failed { error: &error });
                    errors.push(error);
                }
                Err(error) => return Err(FetchError::Download(vec![error])),
            }
        }
        if file.labels { Ok(()) } else { Err(FetchError::Download(errors)) }
    }

    /// Moves what has arrived to where it is looked for.
    fn put_in_place(self, data_dir: &Path) -> Result<Vec<PathBuf>, FetchError> {
        let mut places = Vec::new();
        for file in files_below(&self.folder).map_err(|cause| disk(&self.folder, cause))? {
            let below = file.strip_prefix(&self.folder).unwrap_or(&file);
            let place = data_dir.join(below);
            let folder = place.parent().unwrap_or(data_dir);
            fs::create_dir_all(folder).map_err(|cause| disk(folder, cause))?;
            fs::rename(&file, &place).map_err(|cause| disk(&place, cause))?;
            places.push(place);
        }
        // What is left is empty folders; they do no harm where they cannot be removed.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
        let _ = fs::remove_dir(data_dir.join(".fetch"));
        Ok(places)
    }

    /// Removes what has arrived.
    fn clear(&self) -> Result<(), FetchError> {
        let cleared = fs::remove_dir_all(&self.folder).and_then(|()| fs::create_dir_all(&self.folder));
        cleared.map_err(|cause| disk(&self.folder, cause))
    }
}

/// Whole files below a folder, without the parts of cut transfers.
fn files_below(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.append(&mut files_below(&entry.path())?);
        } else if !entry.file_name().to_string_lossy().contains(".part") {
            files.insert(entry.path());
        }
    }
    Ok(files)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn disk(path: &Path, cause: io::Error) -> FetchError {
    FetchError::Disk { path: path.to_owned(), cause }
}
