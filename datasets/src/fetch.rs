//! Downloads the files of a protocol; they get their names when the values are the protocol's.
//!
//! Files arrive in a folder of their own below the data directory (`.fetch/`), where a cut transfer
//! is taken up again by the next call. Only when the set has been read from there, and its values
//! have the hash of the protocol, are they moved to their places, each in one step.
//!
//! Nothing is ever asked of a network unless [`fetch`] is called.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub mod download;

use download::{DownloadError, Rules, download};

use crate::cache::{Cache, hex};
use crate::catalogue::Entry;
use crate::formats::source;
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
        use DownloadError::{Address, Source};
        match self {
            FetchError::Download(errors) => {
                errors.iter().all(|error| matches!(error, Address { .. } | Source { .. }))
            }
            FetchError::Values { .. } | FetchError::Disk { .. } => false,
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
        let error = match entry.load_in(&[staging.folder.clone(), data_dir.to_owned()], &Cache::off()) {
            Ok(set) => return Ok(Fetched { set, new_files: staging.put_in_place(&wanted, data_dir)? }),
            Err(error) => error,
        };
        // The folder that files arrive in is nobody's business.
        let what = error.to_string().replace(&format!("{}/", staging.folder.display()), "");
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
#[derive(Clone, Debug)]
struct Address {
    url: String,
    name: &'static str,
}

/// A file that is wanted, and where it may come from.
struct Candidate {
    file: &'static SourceFile,
    addresses: Vec<Address>,
    /// The first address that has not been refused.
    next: usize,
    /// The address that the file at hand came from; none if an earlier call brought it.
    used: Option<usize>,
}

impl Candidate {
    fn of(entry: &Entry, file: &'static SourceFile, origin: &Origin) -> Result<Self, FetchError> {
        Ok(Candidate { file, addresses: addresses(entry, file, origin)?, next: 0, used: None })
    }
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
    lock_path: PathBuf,
    _lock: File,
}

impl Staging {
    fn open(entry: &Entry, data_dir: &Path) -> Result<Self, FetchError> {
        let folder = data_dir.join(".fetch").join(entry.id.replace('/', "-"));
        fs::create_dir_all(&folder).map_err(|cause| disk(&folder, cause))?;
        let lock_path = folder.with_extension("lock");
        let lock = File::create(&lock_path).map_err(|cause| disk(&lock_path, cause))?;
        match lock.try_lock() {
            // The process that held it may have removed it between our opening and our locking it.
            Ok(()) if lock_path.exists() => Ok(Staging { folder, lock_path, _lock: lock }),
            Ok(()) | Err(TryLockError::WouldBlock) => Err(FetchError::Busy { path: folder }),
            Err(TryLockError::Error(cause)) => Err(disk(&lock_path, cause)),
        }
    }

    /// Removes what earlier calls left of a set that is complete by now, if nobody is using it.
    fn discard(entry: &Entry, data_dir: &Path) {
        if data_dir.join(".fetch").is_dir()
            && let Ok(staging) = Staging::open(entry, data_dir)
        {
            staging.tidy_up(data_dir);
        }
    }

    /// Downloads a file, unless it is here, from the first of its addresses that has it.
    fn arrive(
        &self,
        candidate: &mut Candidate,
        rules: &Rules,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FetchError> {
        let Candidate { file, addresses, next, used } = candidate;
        if file.find(&self.folder).is_some() {
            return Ok(());
        }
        let mut errors = Vec::new();
        for (i, Address { url, name }) in addresses.iter().enumerate().skip(*next) {
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
                    *used = Some(i);
                    on_event(Event::Arrived { name });
                    return Ok(());
                }
                Err(error) if error.another_mirror_may_help() => {
                    if i + 1 < addresses.len() {
                        on_event(Event::Failed { error: &error });
                    }
                    errors.push(error);
                }
                Err(error) => return Err(FetchError::Download(vec![error])),
            }
        }
        if file.labels { Ok(()) } else { Err(FetchError::Download(errors)) }
    }

    /// Removes a file with which the set is not the protocol's, unless it is the known original;
    /// true if there is another place to have it from.
    fn refuse(&self, candidate: &mut Candidate) -> Result<bool, FetchError> {
        let Candidate { file, addresses, next, used } = candidate;
        let Some(path) = file.find(&self.folder) else { return Ok(false) };
        let original = file.sha256.is_some_and(|known| {
            path.ends_with(file.names[0]) && source::hash(&path).is_ok_and(|(found, _)| hex(&found) == known)
        });
        if original {
            return Ok(false);
        }
        self.remove(file)?;
        // One that an earlier call brought says nothing of the addresses of this call. Of several
        // files any may be the wrong one, so the last address stays in use beside others.
        let goes_on = used.is_none_or(|used| used + 1 < addresses.len());
        *next = used.map_or(0, |used| (used + 1).min(addresses.len() - 1));
        *used = None;
        Ok(goes_on)
    }

    /// Removes what has arrived of a file.
    fn remove(&self, file: &SourceFile) -> Result<(), FetchError> {
        while let Some(path) = file.find(&self.folder) {
            fs::remove_file(&path).map_err(|cause| disk(&path, cause))?;
        }
        Ok(())
    }

    /// Moves the files that have arrived to where they are looked for.
    fn put_in_place(self, wanted: &[&SourceFile], data_dir: &Path) -> Result<Vec<PathBuf>, FetchError> {
        let mut places = Vec::new();
        for file in wanted.iter().filter_map(|file| file.find(&self.folder)) {
            let place = data_dir.join(file.strip_prefix(&self.folder).unwrap_or(&file));
            let folder = place.parent().unwrap_or(data_dir);
            fs::create_dir_all(folder).map_err(|cause| disk(folder, cause))?;
            fs::rename(&file, &place).map_err(|cause| disk(&place, cause))?;
            places.push(place);
        }
        self.tidy_up(data_dir);
        Ok(places)
    }

    /// Removes the folder; what cannot be removed does no harm.
    fn tidy_up(self, data_dir: &Path) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
        let _ = fs::remove_dir(data_dir.join(".fetch"));
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn disk(path: &Path, cause: io::Error) -> FetchError {
    FetchError::Disk { path: path.to_owned(), cause }
}
