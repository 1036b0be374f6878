//! The folder that files arrive in before they are verified.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::download::{Rules, download};
use super::lock::Lock;
use super::{Address, Candidate, Event, FetchError, disk};
use crate::cache::hex;
use crate::entry::Entry;
use crate::formats::source;
use crate::own_file::{self, OpenError};
use crate::source_file::SourceFile;

/// The folder that files arrive in, held by one process.
pub(super) struct Staging {
    folder: PathBuf,
    lock: Lock,
}

impl Staging {
    pub(super) fn open(entry: &Entry, data_dir: &Path) -> Result<Self, FetchError> {
        let below = Path::new(".fetch").join(entry.id.replace('/', "-"));
        match fs::metadata(data_dir) {
            Ok(there) if !there.is_dir() => {
                return Err(FetchError::InTheWay {
                    path: data_dir.to_owned(),
                    found: own_file::kind(&there),
                });
            }
            _ => fs::create_dir_all(data_dir).map_err(|cause| disk(data_dir, cause))?,
        }
        make_folders(data_dir, &below)?;
        let folder = data_dir.join(below);
        let lock_path = folder.with_extension("lock");
        match Lock::take(&lock_path) {
            Ok(Some(lock)) => Ok(Staging { folder, lock }),
            Ok(None) => Err(FetchError::Busy { path: folder }),
            Err(OpenError::NotAFile(found)) => Err(FetchError::InTheWay { path: lock_path, found }),
            Err(OpenError::Io(cause)) => Err(disk(&lock_path, cause)),
        }
    }

    /// Where files arrive.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes what earlier calls left of a set that is complete by now, if nobody is using it.
    pub(super) fn discard(entry: &Entry, data_dir: &Path) {
        if data_dir.join(".fetch").is_dir()
            && let Ok(staging) = Staging::open(entry, data_dir)
        {
            staging.tidy_up(data_dir);
        }
    }

    /// Downloads a file, unless it is here, from the first of its addresses that has it.
    pub(super) fn arrive(
        &self,
        candidate: &mut Candidate,
        rules: &Rules,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FetchError> {
        let file = candidate.file;
        if let Some(path) = file.find(&self.folder) {
            let there = fs::symlink_metadata(&path).map_err(|cause| disk(&path, cause))?;
            if !there.is_file() {
                return Err(FetchError::InTheWay { path, found: own_file::kind(&there) });
            }
            return Ok(());
        }
        let mut errors = Vec::new();
        for (i, Address { url, name }) in candidate.addresses.iter().enumerate().skip(candidate.next) {
            let arrived = self.folder.join(name);
            let part = with_suffix(&arrived, ".part");
            if let Some(folder) = Path::new(name).parent() {
                make_folders(&self.folder, folder)?;
            }
            let most = candidate.most_bytes(name).unwrap_or(u64::MAX);
            let rules = Rules { max_bytes: rules.max_bytes.min(most), ..rules.clone() };
            let mut progress = |here, total: Option<u64>| {
                let total = total.or((*name == file.names[0]).then_some(file.bytes));
                on_event(Event::Bytes { name, here, total });
            };
            match download(url, &part, &rules, &mut progress) {
                Ok(()) => {
                    fs::rename(&part, &arrived).map_err(|cause| disk(&arrived, cause))?;
                    candidate.used = Some(i);
                    on_event(Event::Arrived { name });
                    return Ok(());
                }
                Err(error) if error.another_mirror_may_help() => {
                    if i + 1 < candidate.addresses.len() {
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
    pub(super) fn refuse(&self, candidate: &mut Candidate) -> Result<bool, FetchError> {
        let Candidate { file, addresses, next, used, .. } = candidate;
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
    pub(super) fn remove(&self, file: &SourceFile) -> Result<(), FetchError> {
        while let Some(path) = file.find(&self.folder) {
            fs::remove_file(&path).map_err(|cause| disk(&path, cause))?;
        }
        Ok(())
    }

    /// Moves the files that have arrived to where they are looked for.
    pub(super) fn put_in_place(
        self,
        wanted: &[&SourceFile],
        data_dir: &Path,
    ) -> Result<Vec<PathBuf>, FetchError> {
        if !self.lock.is_held() {
            return Err(FetchError::LockLost { path: self.folder });
        }
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
        self.lock.release();
        let _ = fs::remove_dir(data_dir.join(".fetch"));
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the folders of `below` in `base`, none of which may be a link to another place.
fn make_folders(base: &Path, below: &Path) -> Result<(), FetchError> {
    let mut path = base.to_owned();
    for name in below {
        path.push(name);
        match fs::create_dir(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|cause| disk(&path, cause))?,
        }
        let there = fs::symlink_metadata(&path).map_err(|cause| disk(&path, cause))?;
        if !there.is_dir() {
            return Err(FetchError::InTheWay { path, found: own_file::kind(&there) });
        }
    }
    Ok(())
}
