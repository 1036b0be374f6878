//! The files of a protocol: their names, sizes and addresses.

use std::path::{Path, PathBuf};

/// One file of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile {
    /// The names that it may have below the data directory, the preferred one first. The extension gives the format.
    pub names: &'static [&'static str],
    /// Bytes of the file under its preferred name.
    pub bytes: u64,
    /// SHA-256 of the file under its preferred name, if one original is known. Another file may hold the same values.
    /// If the values differ, this hash shows which file is damaged.
    pub sha256: Option<&'static str>,
    /// True if it holds only labels: the set can be loaded without it.
    pub labels: bool,
    /// The addresses to download it from, the best first.
    pub mirrors: &'static [Mirror],
}

/// An address of a file.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    /// The address.
    pub url: &'static str,
    /// The name that fits the file from this address, out of the names of the file.
    pub name: &'static str,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundFile {
    /// Its path.
    pub path: PathBuf,
    /// SHA-256 of its bytes on the disk.
    pub sha256: String,
    /// Whether these are the bytes of the known original; `None` if no original is known.
    pub original: Option<bool>,
    /// For a user's own file: row, column and value of the first observed value that is neither 0 nor 1. Row and column
    /// count from 1; for a `.csv` it is the column of the file.
    pub intensity: Option<(usize, usize, f32)>,
    /// For a user's own file: number of missing values.
    pub missing: usize,
    /// Row and column of the first missing value, from 1; for a `.csv` it is the column of the file.
    pub first_missing: Option<(usize, usize)>,
    /// For a user's own file: how it was read where the file itself does not say so.
    pub notes: Vec<Note>,
}

/// A note on how a file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How it was read, and how to choose another reading.
    pub text: String,
    /// True if the reading may well be wrong: then every command reports it, not only `data check`.
    pub doubtful: bool,
}

impl Note {
    /// A note that only `data check` reports.
    pub(crate) fn fact(text: impl Into<String>) -> Self {
        Note { text: text.into(), doubtful: false }
    }

    /// A note that every command reports.
    pub(crate) fn doubt(text: impl Into<String>) -> Self {
        Note { text: text.into(), doubtful: true }
    }
}

impl SourceFile {
    /// The path of the first of its names that exists.
    pub fn find(&self, dir: &Path) -> Option<PathBuf> {
        // Anything with that name counts, so that a directory in its place is not reported as missing.
        self.names.iter().map(|name| dir.join(name)).find(|path| path.symlink_metadata().is_ok())
    }

    /// The path of its preferred name.
    pub fn preferred(&self, dir: &Path) -> PathBuf {
        dir.join(self.names[0])
    }
}

/// An idx file in a folder, gzipped or not, with addresses that end in its name.
macro_rules! idx_file {
    ($folder:literal, $name:literal, $bytes:literal, $sha256:literal, labels: $labels:literal, [$($at:literal),*]) => {
        SourceFile {
            names: &[concat!($folder, "/", $name, "-ubyte.gz"), concat!($folder, "/", $name, "-ubyte")],
            bytes: $bytes,
            sha256: Some($sha256),
            labels: $labels,
            mirrors: &[$($crate::source_file::Mirror {
                url: concat!($at, $name, "-ubyte.gz"),
                name: concat!($folder, "/", $name, "-ubyte.gz"),
            }),*],
        }
    };
}

pub(crate) use idx_file;
