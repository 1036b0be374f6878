//! Downloads the files of a protocol, and puts them in place if the values are those of the protocol.
//!
//! Files arrive in a folder below the data directory that belongs to this call alone. The set is read from there. If
//! its values have the hash of the protocol, the files are moved to their places, each in one step and without
//! replacing an existing file. So concurrent calls do not disturb each other. An interrupted download starts again.
//!
//! The network is used only when [`fetch`] is called.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

mod download;
mod error;
mod origin;
mod secret;

pub use download::Rules;
pub use error::{DownloadError, FetchError};
pub use origin::Origin;
pub use secret::redacted;

use download::{Failure, download};
use origin::{Address, addresses};

use crate::cache::{Cache, hex};
use crate::data_set::DataSet;
use crate::entry::Entry;
use crate::formats::source;
use crate::source_file::SourceFile;
use crate::whole;

/// Prefix of the names of folders that files arrive in.
const ARRIVALS: &str = ".helmholtz-fetch-";
/// The file in such a folder that is locked while its process is running.
const LOCK: &str = "lock";
/// A folder of arrivals without that file and older than this was left by a process that was killed.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// Progress of a call of [`fetch`].
#[derive(Debug)]
pub enum Event<'a> {
    /// Bytes of a file that have arrived, and their total if it is known.
    Bytes {
        /// The file.
        name: &'static str,
        /// Bytes so far.
        here: u64,
        /// Total bytes.
        total: Option<u64>,
    },
    /// A file has arrived.
    Arrived(&'static str),
    /// An address failed; the next one is tried.
    Failed(&'a DownloadError),
    /// The downloaded values are not those of the protocol; other addresses are tried.
    Refused(&'a FetchError),
}

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The set, loaded and verified.
    pub set: DataSet,
    /// The downloaded files in their final places; empty if all files were already there.
    pub new_files: Vec<PathBuf>,
}

/// Fetches the files of a set that are missing below `data_dir`, and verifies the whole set.
///
/// # Errors
/// If no address has a file, if the values are not those of the protocol, or if the disk fails; see [`FetchError`].
/// After an error there are no new files.
pub fn fetch(
    entry: &'static Entry,
    data_dir: &Path,
    origin: &Origin,
    rules: &Rules,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Fetched, FetchError> {
    if entry.generated {
        return Err(FetchError::Request(format!("{} is built in; there is nothing to fetch", entry.id)));
    }
    let is_wanted = |file: &&SourceFile| file.find(data_dir).is_none();
    let (wanted, others): (Vec<&'static SourceFile>, Vec<_>) = entry.files.iter().partition(is_wanted);
    let candidate =
        |file| Ok(Candidate { file, addresses: addresses(entry, file, origin)?, next: 0, arrived: None });
    let mut candidates = wanted.iter().copied().map(candidate).collect::<Result<Vec<_>, FetchError>>()?;
    sweep(data_dir);
    if wanted.is_empty() {
        let set = entry.load_in(&[data_dir.to_owned()], &Cache::platform()).map_err(FetchError::Present)?;
        return Ok(Fetched { set, new_files: Vec::new() });
    }
    // The lock is dropped before the folder.
    let (arrivals, _lock) = arrivals(data_dir, &wanted)?;
    let mut refusal = None;
    loop {
        for candidate in &mut candidates {
            match candidate.arrive(&arrivals, data_dir, rules, on_event) {
                Ok(()) => {}
                // The files that arrived were refused before; report that and not that the other addresses failed.
                Err(error @ FetchError::Download(_)) => return Err(refusal.unwrap_or(error)),
                Err(error) => return Err(error),
            }
        }
        let folders = [arrivals.path().to_owned(), data_dir.to_owned()];
        let error = match entry.load_in(&folders, &Cache::off()) {
            Ok(set) => return put_in_place(set, &candidates, &arrivals, data_dir),
            Err(error) => error,
        };
        // Messages do not show the temporary folder.
        let what = error.to_string().replace(&format!("{}/", arrivals.path().display()), "");
        let others = match others.is_empty() {
            true => "",
            false => " (or the error is in a file that was there before: see `helmholtz data check`)",
        };
        let refused = |done| FetchError::Values(format!("{what}{done}{others}"));
        let removed = refused("; the downloaded files were removed");
        let mut goes_on = false;
        for candidate in &mut candidates {
            goes_on |= candidate.refuse();
        }
        if !goes_on {
            return Err(removed);
        }
        on_event(Event::Refused(&refused("")));
        refusal = Some(removed);
    }
}

/// Removes the folders that killed processes left behind.
fn sweep(data_dir: &Path) {
    let is_left = |entry: &fs::DirEntry| {
        // A link to a folder does not count.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir())
            || !entry.file_name().to_string_lossy().starts_with(ARRIVALS)
        {
            return false;
        }
        match whole::open(&entry.path().join(LOCK), File::options().read(true)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // Another process may be about to lock it.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let made = entry.metadata().and_then(|it| it.modified());
                made.is_ok_and(|at| at.elapsed().unwrap_or_default() > LEFT)
            }
            Err(_) => false,
        }
    };
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten().filter(is_left) {
        let removed = fs::remove_dir_all(entry.path());
        tracing::info!(?removed, "{}: cleaning up after an interrupted fetch", entry.path().display());
    }
}

/// A private folder with a random name for arriving files, and its lock. The folder is removed when it is dropped.
fn arrivals(data_dir: &Path, wanted: &[&SourceFile]) -> Result<(TempDir, File), FetchError> {
    let places = wanted.iter().flat_map(|file| file.names).map(|name| data_dir.join(name));
    let folders = places.filter_map(|place| place.parent().map(Path::to_owned));
    for path in [data_dir.to_owned()].into_iter().chain(folders) {
        if let Some(there) = fs::metadata(&path).ok().filter(|there| !there.is_dir()) {
            return Err(FetchError::Request(format!(
                "{}: this is {} but should be a folder for data; move it away, then run the command again",
                path.display(),
                whole::kind(&there)
            )));
        }
    }
    fs::create_dir_all(data_dir).map_err(|cause| FetchError::disk(data_dir, cause))?;
    let made = tempfile::Builder::new().prefix(ARRIVALS).tempdir_in(data_dir);
    let made = made.map_err(|cause| FetchError::disk(data_dir, whole::without_path(cause)))?;
    let unlocked = made.path().join("unlocked");
    let lock = whole::open_lock(&unlocked).and_then(|lock| {
        // The file gets its name only once it is locked, so that no other process sees it unlocked. If locks are not
        // supported, the age of the folder decides.
        if lock.try_lock().is_ok() {
            fs::rename(&unlocked, made.path().join(LOCK))?;
        }
        Ok(lock)
    });
    let lock = lock.map_err(|cause| FetchError::disk(data_dir, cause))?;
    Ok((made, lock))
}

/// A file to download, and its addresses.
struct Candidate {
    file: &'static SourceFile,
    addresses: Vec<Address>,
    /// The first address that has not been refused.
    next: usize,
    /// The address that the current file came from, and its path.
    arrived: Option<(usize, PathBuf)>,
}

impl Candidate {
    /// Downloads the file, unless it has arrived, from the first of its addresses that has it.
    fn arrive(
        &mut self,
        arrivals: &TempDir,
        data_dir: &Path,
        rules: &Rules,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FetchError> {
        if self.arrived.is_some() {
            return Ok(());
        }
        let mut errors = Vec::new();
        for (i, Address { place, name, most_bytes }) in self.addresses.iter().enumerate().skip(self.next) {
            let path = arrivals.path().join(name);
            let mut progress = |here, total: Option<u64>| {
                let total = total.or((*name == self.file.names[0]).then_some(self.file.bytes));
                on_event(Event::Bytes { name, here, total });
            };
            let folder = path.parent().unwrap_or(arrivals.path());
            let downloaded = match fs::create_dir_all(folder) {
                Ok(()) => download(place, &path, *most_bytes, rules, &mut progress),
                Err(cause) => Err(Failure::Disk(cause)),
            };
            match downloaded {
                Ok(()) => {
                    self.arrived = Some((i, path));
                    on_event(Event::Arrived(name));
                    return Ok(());
                }
                Err(Failure::Place(error)) => {
                    // A partial file must not pass for an optional file.
                    let _ = fs::remove_file(&path);
                    if i + 1 < self.addresses.len() {
                        on_event(Event::Failed(&error));
                    }
                    errors.push(error);
                }
                Err(Failure::Disk(cause)) => return Err(FetchError::disk(&data_dir.join(name), cause)),
            }
        }
        if self.file.labels { Ok(()) } else { Err(FetchError::Download(errors)) }
    }

    /// Removes a file of a set that does not match the protocol, unless it is the known original; true if there is
    /// another address for it.
    fn refuse(&mut self) -> bool {
        let Some((used, path)) = &self.arrived else { return false };
        let is_original = self.file.sha256.is_some_and(|known| {
            path.ends_with(self.file.names[0])
                && source::hash(path).is_ok_and(|(found, _)| hex(&found) == known)
        });
        if is_original {
            return false;
        }
        // If this fails, the file is overwritten or removed with its folder.
        let _ = fs::remove_file(path);
        // Any of several files may be the wrong one, so the last address stays in use while others change.
        let (next, last) = (used + 1, self.addresses.len() - 1);
        (self.next, self.arrived) = (next.min(last), None);
        next <= last
    }
}

/// Moves the files that have arrived to their places: all or nothing.
fn put_in_place(
    mut set: DataSet,
    candidates: &[Candidate],
    arrivals: &TempDir,
    data_dir: &Path,
) -> Result<Fetched, FetchError> {
    let place_of = |path: &Path| Some(data_dir.join(path.strip_prefix(arrivals.path()).ok()?));
    let mut new_files = Vec::new();
    for candidate in candidates {
        let Some((_, path)) = &candidate.arrived else { continue };
        let Some(place) = place_of(path) else { continue };
        let folder = place.parent().unwrap_or(data_dir);
        // The file may also have appeared under another of its names.
        let there = candidate.file.find(data_dir);
        let put = match &there {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => fs::create_dir_all(folder).and_then(|()| put(path, &place)),
        };
        if let Err(cause) = put {
            let place = there.unwrap_or(place);
            for placed in &new_files {
                let _ = fs::remove_file(placed);
            }
            let problem = match (cause.kind(), place.is_file()) {
                (io::ErrorKind::AlreadyExists, true) => {
                    "another process put it there in the meantime; run the command again"
                }
                (io::ErrorKind::AlreadyExists, false) => {
                    "the path is taken by something that is not a file; move it away, then run the command again"
                }
                _ => return Err(FetchError::disk(&place, cause)),
            };
            return Err(FetchError::Request(format!("{}: {problem}", place.display())));
        }
        new_files.push(place);
    }
    for file in &mut set.files {
        file.path = place_of(&file.path).unwrap_or_else(|| file.path.clone());
    }
    Ok(Fetched { set, new_files })
}

/// Gives a file the name `place`, which was free a moment ago.
fn put(from: &Path, place: &Path) -> io::Result<()> {
    fs::hard_link(from, place).or_else(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => Err(cause),
        // Not every file system has hard links.
        _ => fs::rename(from, place),
    })
}
