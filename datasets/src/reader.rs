//! Reads the files of a protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use crate::cache::{Cache, hex};
use crate::error::DataError;
use crate::formats::array::Array;
use crate::formats::{Expected, Limits, RowAxis, Wanted, idx, mat, source};
use crate::shape::ImageShape;
use crate::source_file::{FoundFile, SourceFile};
use crate::split::Split;

/// The files of a protocol. All files that it needs were found.
pub(crate) struct Reader<'a> {
    /// `id@version`.
    pub(crate) protocol: String,
    /// How a row is laid out.
    pub(crate) shape: ImageShape,
    /// Rows of the train, valid and test split.
    pub(crate) split_sizes: [usize; 3],
    /// The files; `paths` holds the path of each.
    pub(crate) files: &'a [SourceFile],
    pub(crate) paths: Vec<Option<PathBuf>>,
    pub(crate) cache: &'a Cache,
    /// What was read, by the number of the file.
    pub(crate) found: Mutex<Vec<(usize, FoundFile)>>,
}

impl Reader<'_> {
    /// The files that were read, in the order of the protocol.
    pub(crate) fn into_files(self) -> Vec<FoundFile> {
        let mut found = self.found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        found.sort_by_key(|(i, _)| *i);
        found.into_iter().map(|(_, file)| file).collect()
    }

    /// Reads the three files of binary text in parallel.
    pub(crate) fn text_splits(&self) -> Result<[Split; 3], DataError> {
        let splits = (0..3).into_par_iter().map(|i| {
            let (rows, width) = (self.split_sizes[i], self.shape.pixels());
            let expected = Expected { protocol: self.protocol.clone(), rows, width };
            self.read(i, &Wanted { expected: Some(expected), ..Wanted::default() })
        });
        // All results are collected first, so that of several errors the one of the first file is reported.
        let splits: Vec<_> = splits.collect::<Vec<_>>().into_iter().collect::<Result<_, _>>()?;
        Ok(splits.try_into().expect("three files were read"))
    }

    /// Reads file `i`; its name gives the format.
    pub(crate) fn read(&self, i: usize, wanted: &Wanted) -> Result<Split, DataError> {
        let path = self.path(i);
        let (table, sha256) = self.cache.read(path, wanted)?;
        self.note(i, path, &sha256);
        Ok(table.split)
    }

    /// Reads file `i`, which must hold `rows` images.
    pub(crate) fn images(&self, i: usize, rows: usize) -> Result<Split, DataError> {
        let split = self.read(i, &Wanted::default())?;
        self.of_size(i, split, rows)
    }

    /// Reads the labels in file `i`; `None` if the file is missing.
    pub(crate) fn labels(&self, i: usize, rows: usize) -> Result<Option<Vec<i32>>, DataError> {
        let Some(path) = self.paths[i].as_deref() else { return Ok(None) };
        let labels = idx::labels(&self.whole(i, idx::promised)?)
            .map_err(|problem| DataError::malformed(path, problem))?;
        if labels.len() != rows {
            return Err(self.row_count(path, labels.len(), rows));
        }
        Ok(Some(labels))
    }

    /// Reads the MATLAB file `i`.
    pub(crate) fn mat(&self, i: usize) -> Result<MatFile<'_>, DataError> {
        Ok(MatFile { reader: self, i, bytes: self.whole(i, mat::promised)? })
    }

    /// The decompressed bytes of file `i`; `promised` reads their number from the start of the file.
    fn whole(&self, i: usize, promised: source::Promised) -> Result<Vec<u8>, DataError> {
        let path = self.path(i);
        let (sha256, _) = source::hash(path)?;
        self.note(i, path, &sha256);
        let limits = Limits::default();
        source::read_whole(path, &mut source::open(path, &limits)?, &limits, promised)
    }

    /// The split of file `i`, checked to have the number of rows and the width of the protocol.
    pub(crate) fn of_size(&self, i: usize, split: Split, rows: usize) -> Result<Split, DataError> {
        let (path, expected) = (self.path(i), self.shape);
        if split.width() != expected.pixels() {
            let problem = format!(
                "its rows have {} values, but those of {} have {}; use the original file",
                split.width(),
                self.protocol,
                expected.pixels()
            );
            return Err(DataError::malformed(path, problem));
        }
        if split.rows() != rows {
            return Err(self.row_count(path, split.rows(), rows));
        }
        Ok(split.with_shape(expected))
    }

    pub(crate) fn path(&self, i: usize) -> &Path {
        self.paths[i].as_deref().expect("every file that is needed was found")
    }

    fn row_count(&self, path: &Path, found: usize, expected: usize) -> DataError {
        DataError::RowCount { path: path.to_owned(), protocol: self.protocol.clone(), found, expected }
    }

    fn note(&self, i: usize, path: &Path, sha256: &[u8; 32]) {
        let (file, sha256) = (&self.files[i], hex(sha256));
        // Under another name the values are packed differently, and no hash is known.
        let preferred = file.names.first().is_some_and(|name| path.ends_with(name));
        let original = file.sha256.filter(|_| preferred).map(|known| known == sha256);
        if original == Some(false) {
            let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
            tracing::info!(
                "{}: not the original file ({length} bytes, sha256 {sha256}); its values are checked instead",
                path.display()
            );
        }
        let found = FoundFile {
            path: path.to_owned(),
            sha256,
            original,
            intensity: None,
            missing: 0,
            first_missing: None,
            notes: Vec::new(),
        };
        self.found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((i, found));
    }
}

/// A MATLAB file of a protocol.
pub(crate) struct MatFile<'a> {
    reader: &'a Reader<'a>,
    i: usize,
    bytes: Vec<u8>,
}

impl MatFile<'_> {
    /// The images in an array, one example per row.
    pub(crate) fn images(&self, name: &str, rows: usize) -> Result<Split, DataError> {
        let split = self.array(name, |array| array.split(Some(RowAxis::First), &Limits::default()))?;
        self.reader.of_size(self.i, split, rows)
    }

    /// The labels in an array.
    pub(crate) fn labels(&self, name: &str, rows: usize) -> Result<Vec<i32>, DataError> {
        let labels = self.array(name, |array| array.integers())?;
        if labels.len() != rows {
            return Err(self.reader.row_count(self.reader.path(self.i), labels.len(), rows));
        }
        Ok(labels)
    }

    fn array<T>(&self, name: &str, read: impl Fn(&Array<'_>) -> Result<T, String>) -> Result<T, DataError> {
        let malformed = |problem| DataError::malformed(self.reader.path(self.i), problem);
        let limits = Limits::default();
        let arrays = mat::Arrays::open(&self.bytes, &limits).map_err(malformed)?;
        let found = arrays.find(name).ok_or_else(|| {
            malformed(format!(
                "there is no array `{name}` in it; it holds {}; use the original file",
                arrays.names().join(", ")
            ))
        })?;
        arrays
            .with(found, |array| read(&array))
            .map_err(|problem| malformed(format!("the array `{name}`: {problem}")))
    }
}
