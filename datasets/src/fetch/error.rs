//! Errors of downloads: each says what is wrong, where, what was found, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Why a set could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request cannot be fulfilled: an unknown address, a missing file, or a path that is taken.
    #[error("{0}")]
    Request(String),

    /// The files were there before and do not match the protocol.
    #[error(
        "{0}; its files are already there, so nothing was downloaded; move them away to fetch them again"
    )]
    Present(DataError),

    /// No address had a file.
    #[error("{}", listed(.0))]
    Download(Vec<DownloadError>),

    /// The downloaded files do not match the protocol.
    #[error("{0}")]
    Values(String),

    /// The data directory cannot be written to.
    #[error("{}: {}", .path.display(), of_the_disk(.cause))]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
}

impl FetchError {
    /// True if the user can correct the error by changing the request: neither the network nor the disk failed. A place
    /// without write permission counts as well.
    pub fn is_of_the_request(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            FetchError::Download(errors) => errors.iter().all(|it| matches!(it, DownloadError::Request(_))),
            FetchError::Disk { cause, .. } => matches!(cause.kind(), PermissionDenied | ReadOnlyFilesystem),
            FetchError::Values(_) => false,
            FetchError::Request(_) | FetchError::Present(_) => true,
        }
    }

    pub(super) fn disk(path: &Path, cause: io::Error) -> Self {
        FetchError::Disk { path: path.to_owned(), cause }
    }
}

fn of_the_disk(cause: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match cause.kind() {
        StorageFull | QuotaExceeded => {
            format!("the disk is full ({cause}); free some space, then run the command again")
        }
        PermissionDenied | ReadOnlyFilesystem => {
            format!("no permission to write here ({cause}); change the permissions or choose another folder")
        }
        _ => format!("cannot be written ({cause}); check that the folder exists and the disk is sound"),
    }
}

fn listed(errors: &[DownloadError]) -> String {
    let mut sentences: Vec<String> = errors.iter().map(DownloadError::to_string).collect();
    sentences.dedup();
    sentences.join("; ")
}

/// Why an address did not give a file, as a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// Not a valid address, or a local file that cannot be read.
    #[error("{0}")]
    Request(String),
    /// No connection.
    #[error("{0}")]
    Unreachable(String),
    /// Every transfer ended too early.
    #[error("{0}")]
    Cut(String),
    /// The server did not send the file, or sent too much, or too slowly.
    #[error("{0}")]
    Answer(String),
}
