//! What can go wrong with a download: what was wrong, where, the value found, what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Why a set could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// What was asked for is nowhere to be had, or has no room where it should lie.
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
    #[error("{}: {cause}; free some space or check the permissions, then run it again", .path.display())]
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

fn listed(errors: &[DownloadError]) -> String {
    let mut sentences: Vec<String> = errors.iter().map(DownloadError::to_string).collect();
    sentences.dedup();
    sentences.join("; ")
}

/// Why an address did not give a file, in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// An address that is none, or a file of this machine that cannot be had.
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
