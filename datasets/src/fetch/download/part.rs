//! The partial file and the note that says what its bytes are from.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::DownloadError;
use crate::own_file::{self, OpenError};

/// A note is shorter than this: an address and a header have 64 KiB each at most.
const MAX_NOTE: u64 = 256 << 10;
/// The first line of a note; another one means another program's or a later version's.
const MAGIC: &str = "helmholtz download 1";

/// What the bytes of a part are from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The address asked for (not the one it redirects to, which may be a passing one).
    pub(super) url: String,
    /// What tells this version of the file from others: a strong ETag, else the Last-Modified date.
    pub(super) validator: Option<String>,
    /// Bytes of the whole file, if the server said it.
    pub(super) total: Option<u64>,
}

impl Origin {
    fn note(&self) -> String {
        let validator = self.validator.as_deref().unwrap_or("");
        let total = self.total.map_or(String::new(), |total| total.to_string());
        format!("{MAGIC}\nurl {}\nvalidator {validator}\nlength {total}\n", self.url)
    }

    fn of_note(note: &str) -> Option<Self> {
        // An unfinished last line could be an unfinished number.
        let mut lines = note.strip_suffix('\n')?.split('\n');
        let mut value = |name| lines.next()?.strip_prefix(name);
        value(MAGIC).filter(|rest| rest.is_empty())?;
        let url = value("url ")?.to_owned();
        let validator = value("validator ")?;
        // It becomes a header, where a control character would be an error.
        if validator.contains(char::is_control) {
            return None;
        }
        let total = match value("length ")? {
            "" => None,
            total => Some(total.parse().ok()?),
        };
        let validator = Some(validator.to_owned()).filter(|validator| !validator.is_empty());
        lines.next().is_none().then_some(Origin { url, validator, total })
    }
}

/// An open partial file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Stands at `length`.
    pub(super) file: File,
    /// Bytes that are here and are good to go on from.
    pub(super) length: u64,
    pub(super) origin: Origin,
}

impl Part {
    /// Opens the part, or makes an empty one. Bytes that are not known to be from `url` are not gone
    /// on from, but stay until the server has something better.
    pub(super) fn open(path: &Path, url: &str) -> Result<Self, DownloadError> {
        let error = |cause| DownloadError::disk(path, 0, cause);
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        let mut file = own_file::open_to_write(path, &options).map_err(|problem| match problem {
            OpenError::NotAFile(found) => DownloadError::NotAFile { path: path.to_owned(), found },
            OpenError::Io(cause) => error(cause),
        })?;
        let length = file.seek(SeekFrom::End(0)).map_err(error)?;
        let mut part = Part { path: path.to_owned(), file, length, origin: Origin::default() };
        match read_note(&note_path(path)) {
            Some(origin) if origin.url == url && origin.total.is_none_or(|total| length <= total) => {
                part.origin = origin;
            }
            _ => part.forget(),
        }
        Ok(part)
    }

    /// Does not go on from the bytes that are here.
    pub(super) fn forget(&mut self) {
        self.length = 0;
        self.origin = Origin::default();
    }

    /// Empties the file and notes what its next bytes are from.
    pub(super) fn restart(&mut self, origin: Origin) -> Result<(), DownloadError> {
        self.length = 0;
        // In this order: a note must never stand beside bytes of another origin.
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|cause| DownloadError::disk(&self.path, 0, cause))?;
        let path = note_path(&self.path);
        write_note(&path, &origin.note()).map_err(|cause| DownloadError::disk(&path, 0, cause))?;
        self.origin = origin;
        Ok(())
    }

    /// The whole file is here.
    pub(super) fn finish(&mut self) -> Result<(), DownloadError> {
        // Some file systems notice only now that the disk is full.
        self.file.sync_all().map_err(|cause| DownloadError::disk(&self.path, self.length, cause))?;
        let note = note_path(&self.path);
        remove_if_there(&note).map_err(|cause| DownloadError::disk(&note, self.length, cause))
    }

    /// Removes the part and its note.
    pub(super) fn remove(&self) -> Result<(), DownloadError> {
        for path in [&self.path, &note_path(&self.path)] {
            remove_if_there(path).map_err(|cause| DownloadError::disk(path, 0, cause))?;
        }
        Ok(())
    }

    /// Leaves no empty file behind when there is already an error to report.
    pub(super) fn remove_if_empty(&self) {
        if self.file.metadata().is_ok_and(|there| there.len() == 0)
            && let Err(error) = self.remove()
        {
            tracing::debug!(%error, "an empty partial file stays");
        }
    }
}

fn note_path(part: &Path) -> PathBuf {
    let mut path = part.as_os_str().to_owned();
    path.push(".from");
    path.into()
}

/// Nothing if there is no note, or none that we can make sense of.
fn read_note(path: &Path) -> Option<Origin> {
    let mut note = String::new();
    own_file::open(path, File::options().read(true)).ok()?.take(MAX_NOTE).read_to_string(&mut note).ok()?;
    Origin::of_note(&note)
}

/// By way of a scratch file, so that a note is whole or not there.
fn write_note(path: &Path, note: &str) -> io::Result<()> {
    let mut scratch = own_file::scratch(path.parent().unwrap_or(Path::new(".")))?;
    scratch.write_all(note.as_bytes())?;
    scratch.persist(path)?;
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}
