//! The catalogue of protocols, and how one is loaded.
//!
//! A new data set is a file with its [`Entry`] and a row in the table below.

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::data_set::{protocol, protocol_key};
use crate::reader::Reader;
use crate::source_file::SourceFile;
use crate::{
    Binarization, DataError, DataSet, ImageShape, Law, Split, SplitName, bars, binarize, caltech, fashion,
    file, formats, frey, glyphs, lines, mnist, omniglot, uci,
};

static CATALOGUE: [Entry; 20] = [
    bars::BARS_5,
    bars::BARS_4,
    lines::LINES_3,
    glyphs::GLYPHS,
    mnist::BINARIZED,
    mnist::DYNAMIC,
    mnist::THRESHOLD,
    fashion::DYNAMIC,
    fashion::THRESHOLD,
    caltech::SILHOUETTES,
    omniglot::DERIVED,
    frey::FACES,
    uci::ADULT,
    uci::CONNECT4,
    uci::DNA,
    uci::MUSHROOMS,
    uci::NIPS,
    uci::OCR_LETTERS,
    uci::RCV1,
    uci::WEB,
];

/// One row of the catalogue: a protocol, where it comes from and what it must hold.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What [`load`] knows it by.
    pub id: &'static str,
    /// Version of the protocol; a change of any value changes it.
    pub version: u32,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// Under which terms.
    pub licence: &'static str,
    /// True if it is drawn here, false if it is read from files.
    pub generated: bool,
    /// How a row is laid out.
    pub shape: ImageShape,
    /// Rows of the train, valid and test split.
    pub split_sizes: [usize; 3],
    /// How intensities become bits.
    pub binarization: Binarization,
    /// The files that it is read from.
    pub files: &'static [SourceFile],
    /// The `data_sha256` that the values must have; none if no copy has been at hand to take it of.
    pub sha256: Option<&'static str>,
    /// The `labels_sha256` that the labels must have, where there are labels.
    pub labels_sha256: Option<&'static str>,
    pub(crate) recipe: Recipe,
}

/// How the values of a protocol are come by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// Drawn from fixed keys.
    Generate(fn(&Entry) -> Generated),
    /// Read from the files of the entry and cut into splits, before any binarization.
    Read(fn(&Reader<'_>) -> Result<[Split; 3], DataError>),
}

/// What a generator hands back.
pub(crate) struct Generated {
    pub(crate) splits: [Split; 3],
    pub(crate) law: Option<Law>,
}

/// Where things are looked for.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Where data files lie; see [`data_dir`].
    pub data_dir: Option<PathBuf>,
    /// Where parsed copies are kept.
    pub cache: Cache,
}

/// Every protocol that can be loaded by its id; besides them there is [`mod@file`].
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE
}

/// The row of the catalogue with this id.
///
/// # Errors
/// If there is none.
pub fn entry(id: &str) -> Result<&'static Entry, DataError> {
    catalogue().iter().find(|entry| entry.id == id).ok_or_else(|| unknown(id))
}

/// Loads a data set by the id of its protocol, or by `file:TRAIN[,VALID[,TEST]]`.
///
/// Files are looked for below [`data_dir`]; parsed copies are kept in the platform's cache.
///
/// # Errors
/// If no protocol has the id, a file is missing or not well formed, or the values are not the
/// protocol's.
pub fn load(id: &str, data_dir: Option<&Path>) -> Result<DataSet, DataError> {
    load_from(id, &Places { data_dir: data_dir.map(Path::to_owned), cache: Cache::platform() })
}

/// [`load`] with a choice of places.
///
/// # Errors
/// As [`load`].
pub fn load_from(id: &str, places: &Places) -> Result<DataSet, DataError> {
    let set = if id.starts_with("file:") { file::load_from(id, places)? } else { entry(id)?.load(places)? };
    tracing::debug!(protocol = set.protocol(), data_sha256 = set.data_sha256, "loaded a data set");
    Ok(set)
}

/// Where data files are looked for: `explicit`, else `$HELMHOLTZ_DATA`, else `helmholtz` in the
/// platform's directory for data, else `helmholtz-data` in the current directory.
pub fn data_dir(explicit: Option<&Path>) -> PathBuf {
    let named = explicit.map(Path::to_owned);
    let from_environment =
        || std::env::var_os("HELMHOLTZ_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let platform = || dirs::data_dir().map(|dir| dir.join("helmholtz"));
    named.or_else(from_environment).or_else(platform).unwrap_or_else(|| PathBuf::from("helmholtz-data"))
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

    /// Whether an address is known of every file that is needed.
    pub fn can_be_fetched(&self) -> bool {
        self.files.iter().all(|file| file.labels || !file.mirrors.is_empty())
    }

    /// The files that would have to be there and are not, under their preferred names.
    pub fn missing_files(&self, data_dir: Option<&Path>) -> Vec<PathBuf> {
        let dir = self::data_dir(data_dir);
        let needed = self.files.iter().filter(|file| !file.labels);
        needed.filter(|file| file.find(&dir).is_none()).map(|file| file.preferred(&dir)).collect()
    }

    /// Loads the set, and holds it against what the protocol says.
    ///
    /// # Errors
    /// If a file is missing or not well formed, or the values are not the protocol's.
    pub fn load(&self, places: &Places) -> Result<DataSet, DataError> {
        self.load_in(&[data_dir(places.data_dir.as_deref())], &places.cache)
    }

    /// [`Entry::load`] from the first of the folders that has a file, for each file.
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
                let reader = Reader::new(self, dirs, cache)?;
                let splits = self.binarized(read(&reader)?);
                let set = DataSet::new(self.id, self.version, splits, None);
                self.verified(DataSet { binarization: self.binarization, files: reader.into_files(), ..set })
            }
        }
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

    /// The set, if it is the protocol's.
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

fn unknown(id: &str) -> DataError {
    let known: Vec<&str> = catalogue().iter().map(|entry| entry.id).collect();
    let likeness = |known: &&str| strsim::jaro_winkler(&id.to_lowercase(), known);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    // Below 0.7 the nearest id is no more than the first that shares a few letters.
    let hint = match nearest.filter(|nearest| likeness(nearest) > 0.7) {
        _ if formats::Format::of(Path::new(id)).is_ok() => format!(" (did you mean `file:{id}`?)"),
        Some(nearest) => format!(" (did you mean `{nearest}`?)"),
        None => String::new(),
    };
    DataError::UnknownId { id: id.to_owned(), hint, known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn generated_sets_are_the_protocols_values() {
        for entry in catalogue().iter().filter(|entry| entry.generated) {
            let set = load(entry.id, None).unwrap();
            assert_eq!(Some(set.data_sha256.as_str()), entry.sha256);
            let splits = [&set.train, &set.valid, &set.test];
            assert_eq!(splits.map(Split::rows), entry.split_sizes, "{}", entry.id);
            assert!(splits.iter().all(|split| split.shape() == entry.shape));
            assert!(entry.missing_files(None).is_empty());
        }
    }

    #[test]
    fn every_id_is_in_the_catalogue_once_and_has_its_files() {
        for (i, entry) in catalogue().iter().enumerate() {
            assert!(catalogue()[..i].iter().all(|other| other.id != entry.id), "{} twice", entry.id);
            assert_eq!(entry.files.is_empty(), entry.generated, "{}", entry.id);
            for file in entry.files {
                assert!(
                    file.names.iter().all(|name| formats::Format::of(Path::new(name)).is_ok()),
                    "{file:?}"
                );
                assert!(file.mirrors.iter().all(|mirror| file.names.contains(&mirror.name)), "{file:?}");
                assert!(file.mirrors.iter().all(|mirror| mirror.url.starts_with("https://")), "{file:?}");
            }
        }
    }

    #[test]
    fn an_unknown_id_is_answered_with_the_nearest_one() {
        for (id, hint) in [
            ("bars/5X5", " (did you mean `bars/5x5`?)"),
            ("mnist/binarised", " (did you mean `mnist/binarized`?)"),
            ("dir/my.amat", " (did you mean `file:dir/my.amat`?)"),
            ("qqq", "`qqq`; known are bars/5x5, bars/4x4,"),
        ] {
            let error = load(id, None).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn missing_files_are_listed_with_where_to_get_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("uci-nade");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("adult.valid.data"), "").unwrap(); // not gzipped will do
        let missing = uci::ADULT.missing_files(Some(dir.path()));
        assert_eq!(missing, ["adult.train.data.gz", "adult.test.data.gz"].map(|name| folder.join(name)));
        let error = load("uci/adult", Some(dir.path())).unwrap_err().to_string();
        assert!(error.starts_with("uci/adult@1 needs "), "{error}");
        for part in ["adult.train.data.gz", "adult.test.data.gz", "$HELMHOLTZ_DATA", "UCLA-StarAI"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn well_formed_files_with_other_values_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("uci-nade")).unwrap();
        for (file, rows) in uci::ADULT.files.iter().zip(uci::ADULT.split_sizes) {
            let row = ["0"; 123].join(",") + "\n";
            fs::write(dir.path().join(file.names[1]), row.repeat(rows)).unwrap();
        }
        let error = load("uci/adult", Some(dir.path())).unwrap_err().to_string();
        for part in ["uci/adult@1", uci::ADULT.sha256.unwrap(), "file:TRAIN"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_explicit_data_directory_comes_first() {
        assert_eq!(data_dir(Some(Path::new("here"))), Path::new("here"));
    }
}
