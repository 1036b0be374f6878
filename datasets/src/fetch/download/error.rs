//! What can go wrong with a download: what was wrong, where, the value found, what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file could not be downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// An address that cannot be asked.
    #[error("`{url}` {problem}; write https://HOST/PATH or file:///PATH")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: String,
    },

    /// An `http://` address where only `https://` is allowed.
    #[error("{url}: http:// is not encrypted and not allowed here; use an https:// address")]
    Insecure {
        /// The address.
        url: String,
    },

    /// A redirect to `http://` where only `https://` is allowed.
    #[error("{url}: redirected to {to}, which is not encrypted and not allowed here; use another address")]
    InsecureRedirect {
        /// The address asked for.
        url: String,
        /// Where the server sends us.
        to: String,
    },

    /// No connection.
    #[error("{url}: the server cannot be reached ({cause}); check the network, or try again later")]
    Unreachable {
        /// The address.
        url: String,
        /// What stood in the way.
        cause: String,
    },

    /// A transfer that ended too early, each time.
    #[error("{url}: the transfer was cut after {received} {} ({cause}) and taken up again {retries} \
             times; try again later, it goes on from there", of(*.promised))]
    Cut {
        /// The address.
        url: String,
        /// Bytes that are here.
        received: u64,
        /// Bytes of the whole file, if the server said it.
        promised: Option<u64>,
        /// How many times it was taken up again.
        retries: u32,
        /// What ended it the last time.
        cause: String,
    },

    /// Redirects without end.
    #[error("{url}: redirected more than {limit} times, so probably in a circle; use another address")]
    Redirects {
        /// The address.
        url: String,
        /// Redirects that are followed.
        limit: u32,
    },

    /// The server answered something else than the file.
    #[error(
        "{url}: the server answered `{status}` instead of the file; check the address, or try again later"
    )]
    Status {
        /// The address.
        url: String,
        /// The HTTP status, such as `404 Not Found`.
        status: String,
    },

    /// The server does not speak HTTP as we know it.
    #[error("{url}: the server's answer makes no sense ({cause}); check the address and your proxy settings")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong with the answer.
        cause: String,
    },

    /// A file over the cap.
    #[error("{url}: the file has more than the {limit} bytes that are allowed{}; no file of this data set needs \
             more, so check the address", announced(*.said))]
    TooLarge {
        /// The address.
        url: String,
        /// Bytes that are allowed.
        limit: u64,
        /// Bytes that the server announced, if it did.
        said: Option<u64>,
    },

    /// The file that a `file://` address names cannot be had.
    #[error("{}: {problem}; check the path and its permissions", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A full disk or a used-up quota.
    #[error("{}: the disk is full after {received} bytes ({cause}); free some space and try again, the \
             download goes on from there", .path.display())]
    DiskFull {
        /// The partial file.
        path: PathBuf,
        /// Bytes that are here.
        received: u64,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },

    /// A file that we may not write.
    #[error("{}: no permission to write here ({cause}); change the permissions or choose another folder",
            .path.display())]
    Denied {
        /// The partial file, or the note beside it.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },

    /// Something else stands where the partial file should be.
    #[error("{}: here is {found} where the partial download should be; move it away or choose another folder",
            .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },

    /// Any other trouble with the disk.
    #[error("{}: cannot be written ({cause}); check that the folder exists and the disk is sound",
            .path.display())]
    Disk {
        /// The partial file, or the note beside it.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
}

impl DownloadError {
    /// True if the trouble is with the address or its server, so that another one is worth asking;
    /// false if it is with our own disk, where every other one would end the same way.
    pub fn another_mirror_may_help(&self) -> bool {
        match self {
            DownloadError::Address { .. }
            | DownloadError::Insecure { .. }
            | DownloadError::InsecureRedirect { .. }
            | DownloadError::Unreachable { .. }
            | DownloadError::Cut { .. }
            | DownloadError::Redirects { .. }
            | DownloadError::Status { .. }
            | DownloadError::Answer { .. }
            | DownloadError::TooLarge { .. }
            | DownloadError::Source { .. } => true,
            DownloadError::DiskFull { .. }
            | DownloadError::Denied { .. }
            | DownloadError::NotAFile { .. }
            | DownloadError::Disk { .. } => false,
        }
    }

    /// The error of a write to `path` that failed when `received` bytes were there.
    pub(in crate::fetch) fn disk(path: &Path, received: u64, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                DownloadError::DiskFull { path, received, cause }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                DownloadError::Denied { path, cause }
            }
            _ => DownloadError::Disk { path, cause },
        }
    }
}

fn of(promised: Option<u64>) -> String {
    promised.map_or("bytes".to_owned(), |promised| format!("of {promised} bytes"))
}

fn announced(said: Option<u64>) -> String {
    said.map_or(String::new(), |said| format!(" ({said}, says the server)"))
}
