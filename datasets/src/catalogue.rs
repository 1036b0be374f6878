//! The catalogue of protocols, and how a data set is loaded.
//!
//! To add a data set, write a file with its [`Entry`] and add a row to the table below.

use std::path::Path;

use crate::cache::Cache;
use crate::data_set::DataSet;
use crate::entry::Entry;
use crate::error::DataError;
use crate::places::Places;
use crate::{
    bars, caltech, fashion, file, formats, frey, glyphs, laplace, lines, mnist, modes, omniglot, stripes, uci,
};

static CATALOGUE: [Entry; 30] = [
    bars::BARS_5,
    bars::BARS_4,
    lines::LINES_3,
    stripes::STRIPES_3,
    stripes::STRIPES_3_UNIQUE,
    stripes::STRIPES_4,
    stripes::STRIPES_4_UNIQUE,
    modes::MODES_001,
    modes::MODES_01,
    modes::MODES_1,
    laplace::LAPLACE_2D,
    glyphs::GLYPHS,
    mnist::BINARIZED,
    mnist::BINARIZED_ALL,
    mnist::DYNAMIC,
    mnist::THRESHOLD,
    mnist::THRESHOLD_ALL,
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

/// Every protocol that can be loaded by its id. Users' own files are loaded by [`mod@file`].
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE
}

/// The row of the catalogue with this id.
///
/// # Errors
/// If no row has this id.
pub fn entry(id: &str) -> Result<&'static Entry, DataError> {
    catalogue().iter().find(|entry| entry.id == id).ok_or_else(|| unknown(id))
}

/// Loads a data set by the id of its protocol, or by `file:TRAIN[,VALID[,TEST]]`.
///
/// Files are looked for below [`data_dir`](crate::data_dir); parsed copies are kept in the platform's cache directory.
///
/// # Errors
/// If no protocol has the id, if a file is missing or malformed, or if the values are not those of the
/// protocol.
pub fn load(id: &str, data_dir: Option<&Path>) -> Result<DataSet, DataError> {
    load_from(id, &Places { data_dir: data_dir.map(Path::to_owned), cache: Cache::platform() })
}

/// [`load`] with explicit places for files and parsed copies.
///
/// # Errors
/// As [`load`].
pub fn load_from(id: &str, places: &Places) -> Result<DataSet, DataError> {
    let set = if id.starts_with("file:") { file::load_from(id, places)? } else { entry(id)?.load(places)? };
    tracing::debug!(protocol = set.protocol(), data_sha256 = set.data_sha256, "loaded a data set");
    Ok(set)
}

fn unknown(id: &str) -> DataError {
    let known: Vec<&str> = catalogue().iter().map(|entry| entry.id).collect();
    let likeness = |known: &&str| strsim::jaro_winkler(&id.to_lowercase(), known);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    // Below 0.7 the nearest id merely shares a few letters.
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
    use crate::split::Split;

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
            ("qqq", "`qqq`; the data sets are bars/5x5, bars/4x4,"),
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
        fs::write(folder.join("adult.valid.data"), "").unwrap(); // a file that is not gzipped counts as well
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
}
