//! What can go wrong with a download: what was wrong, where, the value found, what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Why a set could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The request cannot be met: unknown address, missing file, or a path that is taken.
    #[error("{0}")]
    Request(String),

    /// Files that were there before, and are not the protocol's.
    #[error(
        "{0}; its files are there already, and nothing was downloaded: move them away to fetch them anew"
    )]
    Present(DataError),

    /// No address had a file.
    #[error("{}", listed(.0))]
    Download(Vec<DownloadError>),

    /// Files that came, and with which the set is not the protocol's.
    #[error("{0}")]
    Values(String),

    /// The data directory cannot be written.
    #[error("{}: {}", .path.display(), of_the_disk(.cause))]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
}

impl FetchError {
    /// True if it is not the network or the disk that failed, but what was asked for, or a place that may not be
    /// written to.
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
            format!("the disk is full ({cause}); free some space, then run it again")
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

/// Why an address did not give a file, in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// Not an address, or a file of this machine that cannot be had.
    #[error("{0}")]
    Request(String),
    /// No connection.
    #[error("{0}")]
    Unreachable(String),
    /// A transfer that ended too early, each time.
    #[error("{0}")]
    Cut(String),
    /// The server answered something else than the file, or too much, or too slowly.
    #[error("{0}")]
    Answer(String),
}
