//! The catalogue of protocols, and how one is loaded.
//!
//! A new data set is a file with its [`Entry`] and a row in the table below.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::data_set::protocol;
use crate::{DataError, DataSet, ImageShape, Law, Split, bars, file, glyphs, lines, mnist, text, uci};

static CATALOGUE: [Entry; 6] =
    [bars::BARS_5, bars::BARS_4, lines::LINES_3, glyphs::GLYPHS, mnist::BINARIZED, uci::ADULT];

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
    /// Values in a row.
    pub width: usize,
    /// Rows of the train, valid and test split.
    pub split_sizes: [usize; 3],
    /// For each split, the names that its file may have below the data directory, the preferred first.
    pub files: [&'static [&'static str]; 3],
    /// The `data_sha256` that the values must have.
    pub sha256: &'static str,
    pub(crate) recipe: Recipe,
}

/// How the values of a protocol are come by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe {
    /// Drawn from fixed keys.
    Generate(fn(&Entry) -> Generated),
    /// Read from the text files of the entry.
    Text,
}

/// What a generator hands back.
pub(crate) struct Generated {
    pub(crate) splits: [Split; 3],
    pub(crate) law: Option<Law>,
}

/// Every protocol that can be loaded by its id; besides them there is [`mod@file`].
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE
}

/// Loads a data set by the id of its protocol, or by `file:TRAIN[,VALID[,TEST]]`.
///
/// Files are looked for below [`data_dir`].
///
/// # Errors
/// If no protocol has the id, a file is missing or not well formed, or the values are not the
/// protocol's.
pub fn load(id: &str, data_dir: Option<&Path>) -> Result<DataSet, DataError> {
    let set = if id.starts_with("file:") {
        file::load(id)?
    } else {
        catalogue().iter().find(|entry| entry.id == id).ok_or_else(|| unknown(id))?.load(data_dir)?
    };
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

    /// How a row is laid out as an image.
    pub fn shape(&self) -> ImageShape {
        ImageShape::of_width(self.width)
    }

    /// The files that would have to be there and are not, under their preferred names.
    pub fn missing_files(&self, data_dir: Option<&Path>) -> Vec<PathBuf> {
        let dir = self::data_dir(data_dir);
        let missing = self.files.iter().filter(|names| present(&dir, names).is_none());
        missing.filter_map(|names| names.first()).map(|name| dir.join(name)).collect()
    }

    fn load(&self, data_dir: Option<&Path>) -> Result<DataSet, DataError> {
        let Generated { splits, law } = match self.recipe {
            Recipe::Generate(draw) => draw(self),
            Recipe::Text => Generated { splits: self.read(data_dir)?, law: None },
        };
        let set = DataSet::new(self.id, self.version, splits, law);
        if set.data_sha256 == self.sha256 {
            return Ok(set);
        }
        let (protocol, expected, found) = (self.protocol(), self.sha256, set.data_sha256);
        Err(if self.generated {
            DataError::OtherDraws { protocol, expected, found }
        } else {
            DataError::OtherValues { protocol, expected, found }
        })
    }

    /// Reads the three files side by side.
    fn read(&self, data_dir: Option<&Path>) -> Result<[Split; 3], DataError> {
        let dir = self::data_dir(data_dir);
        let paths = self.files.map(|names| present(&dir, names));
        let [Some(train), Some(valid), Some(test)] = paths else {
            let (protocol, paths) = (self.protocol(), self.missing_files(Some(&dir)));
            let advice = format!(
                "get the data from {} and put it there, or name the directory that holds `{}` with \
                 --data-dir or $HELMHOLTZ_DATA",
                self.source, self.files[0][0],
            );
            return Err(DataError::Missing { protocol, paths, advice });
        };
        let jobs = [(train, 0), (valid, 1), (test, 2)].into_par_iter().map(|(path, split)| {
            let (rows, width) = (self.split_sizes[split], self.width);
            text::read(&path, Some(&text::Expected { protocol: self.protocol(), rows, width }))
        });
        // Collected before it is searched, so that of several errors the first file's is reported.
        let splits: Vec<_> = jobs.collect::<Vec<_>>().into_iter().collect::<Result<_, _>>()?;
        Ok(splits.try_into().expect("three files were read"))
    }
}

/// The first of the names that is there.
fn present(dir: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

fn unknown(id: &str) -> DataError {
    let known: Vec<&str> = catalogue().iter().map(|entry| entry.id).collect();
    let likeness = |known: &&str| strsim::jaro_winkler(&id.to_lowercase(), known);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    // Below 0.7 the nearest id is no more than the first that shares a few letters.
    let hint = match nearest.filter(|nearest| likeness(nearest) > 0.7) {
        _ if text::Separator::of(Path::new(id)).is_ok() => format!(" (did you mean `file:{id}`?)"),
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
            assert_eq!(set.data_sha256, entry.sha256);
            let splits = [&set.train, &set.valid, &set.test];
            assert_eq!(splits.map(Split::rows), entry.split_sizes, "{}", entry.id);
            assert!(splits.iter().all(|split| split.width() == entry.width));
            assert_eq!(set.shape.pixels(), entry.width);
            assert!(entry.missing_files(None).is_empty());
        }
    }

    #[test]
    fn every_id_is_in_the_catalogue_once_and_has_its_files() {
        for (i, entry) in catalogue().iter().enumerate() {
            assert!(catalogue()[..i].iter().all(|other| other.id != entry.id), "{} twice", entry.id);
            assert!(entry.files.iter().all(|names| names.is_empty() == entry.generated), "{}", entry.id);
        }
    }

    #[test]
    fn an_unknown_id_is_answered_with_the_nearest_one() {
        for (id, hint) in [
            ("bars/5X5", " (did you mean `bars/5x5`?)"),
            ("mnist", " (did you mean `mnist/binarized`?)"),
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
        for (names, rows) in uci::ADULT.files.iter().zip(uci::ADULT.split_sizes) {
            let row = ["0"; 123].join(",") + "\n";
            fs::write(dir.path().join(names[1]), row.repeat(rows)).unwrap();
        }
        let error = load("uci/adult", Some(dir.path())).unwrap_err().to_string();
        for part in ["uci/adult@1", uci::ADULT.sha256, "file:TRAIN"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_explicit_data_directory_comes_first() {
        assert_eq!(data_dir(Some(Path::new("here"))), Path::new("here"));
    }
}
