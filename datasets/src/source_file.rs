//! The files of a protocol: what they are called, what they weigh, where they can be had.

use std::path::{Path, PathBuf};

/// One file of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct SourceFile {
    /// The names that it may have below the data directory, the preferred first. The ending says
    /// how it is read.
    pub names: &'static [&'static str],
    /// Bytes of the file under its preferred name.
    pub bytes: u64,
    /// SHA-256 of the file under its preferred name, where one original is known. Another file may
    /// hold the same values; this is for telling which file is damaged when they differ.
    pub sha256: Option<&'static str>,
    /// True if it holds nothing but labels: the set can be loaded without it.
    pub labels: bool,
    /// Where it can be downloaded, the best address first.
    pub mirrors: &'static [Mirror],
}

/// An address of a file.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    /// Where.
    pub url: &'static str,
    /// The one of the file's names that fits what comes from there.
    pub name: &'static str,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundFile {
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of its bytes as they lie there.
    pub sha256: String,
    /// Whether these are the bytes of the one known original; none if there is no such.
    pub original: Option<bool>,
    /// Of a user's own file: row and column (both from 1; of a `.csv` the column of the file) and value of the first
    /// observed value that is neither 0 nor 1.
    pub intensity: Option<(usize, usize, f32)>,
    /// Of a user's own file: how many of its values are missing.
    pub missing: usize,
    /// Row and column (both from 1; of a `.csv` the column of the file) of the first missing value.
    pub first_missing: Option<(usize, usize)>,
    /// What was understood of a user's own file that it does not say itself.
    pub notes: Vec<Note>,
}

/// How a file was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What was understood, and how to choose otherwise.
    pub text: String,
    /// True if it may well be wrong: worth a word in every command, and not in `data check` alone.
    pub doubtful: bool,
}

impl Note {
    /// Something to be looked up.
    pub(crate) fn fact(text: impl Into<String>) -> Self {
        Note { text: text.into(), doubtful: false }
    }

    /// Something to be seen by whoever uses the file.
    pub(crate) fn doubt(text: impl Into<String>) -> Self {
        Note { text: text.into(), doubtful: true }
    }
}

impl SourceFile {
    /// The first of its names that is there.
    pub fn find(&self, dir: &Path) -> Option<PathBuf> {
        // Anything of that name counts, so that a directory in its place is not called missing.
        self.names.iter().map(|name| dir.join(name)).find(|path| path.symlink_metadata().is_ok())
    }

    /// Where its preferred name would be.
    pub fn preferred(&self, dir: &Path) -> PathBuf {
        dir.join(self.names[0])
    }
}

/// An idx file of a folder, gzipped or not, at addresses that end in its name.
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
