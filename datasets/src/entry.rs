//! A protocol: the source of a data set, what it must hold, and how it is loaded and checked.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::binarize::{self, Binarization};
use crate::cache::Cache;
use crate::data_set::{DataSet, protocol, protocol_key};
use crate::error::DataError;
use crate::law::Law;
use crate::places::{Places, data_dir};
use crate::reader::Reader;
use crate::shape::ImageShape;
use crate::source_file::SourceFile;
use crate::split::Split;
use crate::split_name::SplitName;

/// One row of the catalogue: a protocol, its source and what it must hold.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The id under which [`load`](crate::load) finds it.
    pub id: &'static str,
    /// Version of the protocol; it changes if any value changes.
    pub version: u32,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// True if it is generated here, false if it is read from files.
    pub generated: bool,
    /// How a row is laid out.
    pub shape: ImageShape,
    /// Rows of the train, valid and test split.
    pub split_sizes: [usize; 3],
    /// How intensities become bits.
    pub binarization: Binarization,
    /// The files that it is read from.
    pub files: &'static [SourceFile],
    /// The `data_sha256` that the values must have; `None` if no copy was available to compute it from.
    pub sha256: Option<&'static str>,
    /// The `labels_sha256` that the labels must have, if there are labels.
    pub labels_sha256: Option<&'static str>,
    pub(crate) recipe: Recipe,
}

/// How a protocol's values are obtained.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// Drawn from fixed keys.
    Generate(fn(&Entry) -> Generated),
    /// Read from the files of the entry and cut into splits, before any binarization.
    Read(fn(&Reader<'_>) -> Result<[Split; 3], DataError>),
}

/// What a generator returns.
pub(crate) struct Generated {
    pub(crate) splits: [Split; 3],
    pub(crate) law: Option<Law>,
}

impl Entry {
    /// `id@version`.
    pub fn protocol(&self) -> String {
        protocol(self.id, self.version)
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.shape.pixels()
    }

    /// Whether an address is known for every file that is needed.
    pub fn can_be_fetched(&self) -> bool {
        self.files.iter().all(|file| file.labels || !file.mirrors.is_empty())
    }

    /// The files that are needed and missing, under their preferred names.
    pub fn missing_files(&self, data_dir: Option<&Path>) -> Vec<PathBuf> {
        let dir = crate::places::data_dir(data_dir);
        let needed = self.files.iter().filter(|file| !file.labels);
        needed.filter(|file| file.find(&dir).is_none()).map(|file| file.preferred(&dir)).collect()
    }

    /// Loads the set and checks it against the protocol.
    ///
    /// # Errors
    /// If a file is missing or malformed, or if the values are not those of the protocol.
    pub fn load(&self, places: &Places) -> Result<DataSet, DataError> {
        self.load_in(&[data_dir(places.data_dir.as_deref())], &places.cache)
    }

    /// [`Entry::load`] that takes each file from the first of the folders that has it.
    pub(crate) fn load_in(&self, dirs: &[PathBuf], cache: &Cache) -> Result<DataSet, DataError> {
        match self.recipe {
            Recipe::Generate(draw) => {
                let Generated { splits, law } = draw(self);
                let set = DataSet::new(self.id, self.version, splits, law);
                let (protocol, found) = (self.protocol(), set.data_sha256.clone());
                match self.sha256.filter(|expected| *expected != found) {
                    Some(expected) => Err(DataError::OtherDraws { protocol, expected, found }),
                    None => Ok(set),
                }
            }
            Recipe::Read(read) => {
                let reader = self.reader(dirs, cache)?;
                let splits = self.binarized(read(&reader)?);
                let set = DataSet::new(self.id, self.version, splits, None);
                self.verified(DataSet { binarization: self.binarization, files: reader.into_files(), ..set })
            }
        }
    }

    /// Finds the files.
    fn reader<'a>(&self, dirs: &[PathBuf], cache: &'a Cache) -> Result<Reader<'a>, DataError> {
        let find = |file: &SourceFile| dirs.iter().find_map(|dir| file.find(dir));
        let paths: Vec<Option<PathBuf>> = self.files.iter().map(find).collect();
        let absent = self.files.iter().zip(&paths).filter(|(file, path)| !file.labels && path.is_none());
        let missing: Vec<PathBuf> =
            absent.filter_map(|(file, _)| Some(file.preferred(dirs.last()?))).collect();
        if !missing.is_empty() {
            let fetch = match self.can_be_fetched() {
                true => format!("run `helmholtz data fetch {}`, or ", self.id),
                false => String::new(),
            };
            let advice = format!(
                "{fetch}get the data from {} and put it there, or pass the directory that holds `{}` with \
                 --data-dir or $HELMHOLTZ_DATA",
                self.source, self.files[0].names[0],
            );
            return Err(DataError::Missing { protocol: self.protocol(), paths: missing, advice });
        }
        let (protocol, shape, split_sizes, files) =
            (self.protocol(), self.shape, self.split_sizes, self.files);
        Ok(Reader { protocol, shape, split_sizes, files, paths, cache, found: Mutex::default() })
    }

    fn binarized(&self, [train, valid, test]: [Split; 3]) -> [Split; 3] {
        match self.binarization {
            Binarization::AsStored => [train, valid, test],
            Binarization::Threshold => [train, valid, test].map(|split| binarize::threshold(&split)),
            Binarization::Dynamic => {
                let draw = |split: Split, name| binarize::draw(&split, protocol_key(&self.protocol(), name));
                [train, draw(valid, SplitName::Valid), draw(test, SplitName::Test)]
            }
        }
    }

    /// Returns the set if its values are those of the protocol.
    fn verified(&self, set: DataSet) -> Result<DataSet, DataError> {
        let sizes = SplitName::ALL.map(|name| set.split(name).rows());
        assert_eq!((sizes, set.train.width()), (self.split_sizes, self.width()), "the recipe of {}", self.id);
        let labels = set.labels_sha256.as_deref();
        for (what, expected, found) in
            [("values", self.sha256, Some(set.data_sha256.as_str())), ("labels", self.labels_sha256, labels)]
        {
            if let (Some(expected), Some(found)) = (expected, found)
                && expected != found
            {
                let mut files = set.files.clone();
                files.sort_by_key(|file| file.original != Some(false));
                let files = files.iter().map(|file| {
                    let other = if file.original == Some(false) { ", which is not the original" } else { "" };
                    format!("{}{other}", file.path.display())
                });
                let (found, files) = (found.to_owned(), files.collect::<Vec<_>>().join("; "));
                return Err(DataError::OtherValues {
                    protocol: self.protocol(),
                    what,
                    expected,
                    found,
                    files,
                });
            }
        }
        Ok(set)
    }
}
