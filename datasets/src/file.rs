//! `file:TRAIN[,VALID[,TEST]]`: a user's own files, in any of the [formats](crate::formats).
//!
//! Relative paths start from the current directory, and a path holds no comma. `PATH#NAME` is the
//! array NAME of a `.npz` or `.mat` file that holds several, and `PATH#NAME.T` its transpose: an
//! example a column.
//! - Without VALID, a tenth of the training rows (rounded, at least one) is held out for
//!   validation: the last of a permutation that depends on the number of rows alone, never on a
//!   run's seed. Both parts keep the order of the file. `file:TRAIN,,TEST` does so beside a TEST.
//! - Without TEST, the test rows are the validation rows. A result on them is one on data that
//!   choices were made on; give a TEST for anything that is to be reported.
//! - Values that are all 0 or 1 are binary. Others are intensities, and stay so.
//!
//! The protocol's id is the id as it was written; two files under one name are told apart by
//! `data_sha256`.

use std::path::{Path, PathBuf};

use helmholtz_noise::{Key, Role};
use rayon::prelude::*;

use crate::cache::{Cache, hex};
use crate::formats::{Format, Wanted};
use crate::partition::partition;
use crate::source_file::FoundFile;
use crate::{DataError, DataSet, Kind, Split};

/// Version of the rules above.
const VERSION: u32 = 1;

/// Loads the files that an id such as `file:a.amat,b.amat` names.
///
/// # Errors
/// If the id does not name one to three files, a file is not well formed, or they do not fit
/// together.
pub fn load(id: &str, cache: &Cache) -> Result<DataSet, DataError> {
    let parts = parts(id)?;
    let read = parts.par_iter().map(|part| part.as_ref().map(|part| part.read(cache)).transpose());
    // Collected before it is searched, so that of several errors the first file's is reported.
    let read: Vec<_> = read.collect::<Vec<_>>().into_iter().collect::<Result<_, _>>()?;
    let files = parts.iter().zip(&read).filter_map(|(part, read)| {
        let (part, (split, sha256)) = (part.as_ref()?, read.as_ref()?);
        let intensity = split.first_not_binary().map(|(row, column, value)| (row + 1, column + 1, value));
        Some(FoundFile { path: part.path.clone(), sha256: hex(sha256), original: None, intensity })
    });
    let files = files.collect();
    let paths = parts.map(|part| part.map_or_else(PathBuf::new, |part| part.path));
    let splits: Vec<Option<Split>> = read.into_iter().map(|read| read.map(|(split, _)| split)).collect();
    let [train, valid, test] = splits.try_into().expect("three parts were read");
    let [train, valid, test] = fitted(&paths, [train, valid, test])?;

    let train = train.expect("TRAIN is given");
    let (train, valid) = match valid {
        Some(valid) => (train, valid),
        None => hold_out(&paths[0], &train)?,
    };
    let test = test.unwrap_or_else(|| valid.clone());
    Ok(DataSet { files, ..DataSet::new(id, VERSION, [train, valid, test], None) })
}

/// One file of an id.
struct Part {
    path: PathBuf,
    array: Option<String>,
    transposed: bool,
}

impl Part {
    fn of(text: &str) -> Option<Self> {
        let (path, array) = text.split_once('#').map_or((text, None), |(path, array)| (path, Some(array)));
        let transposed = array.is_some_and(|array| array.ends_with(".T"));
        let array = array.map(|array| array.strip_suffix(".T").unwrap_or(array).to_owned());
        (!path.is_empty()).then(|| Part { path: PathBuf::from(path), array, transposed })
    }

    fn read(&self, cache: &Cache) -> Result<(Split, [u8; 32]), DataError> {
        cache.read(
            &self.path,
            &Wanted { array: self.array.clone(), transposed: self.transposed, ..Wanted::default() },
        )
    }
}

fn parts(id: &str) -> Result<[Option<Part>; 3], DataError> {
    let wrong = |problem| DataError::FileId { id: id.to_owned(), problem };
    let list = id.strip_prefix("file:").ok_or_else(|| wrong("does not start with `file:`"))?;
    let parts: Vec<&str> = list.split(',').map(str::trim).collect();
    if parts.len() > 3 {
        return Err(wrong("names more than three files"));
    }
    if Part::of(parts[0]).is_none() {
        return Err(wrong("names no training file"));
    }
    Ok([0, 1, 2].map(|i| parts.get(i).and_then(|part| Part::of(part))))
}

/// The splits with one width and one kind of values.
///
/// LIBSVM rows are as wide as the widest of the three files. A split of real numbers may happen to
/// hold only zeros and ones; one of bytes may not stand beside it, for nobody could tell a 1 that
/// is ink from a 1 that is 1/255.
fn fitted(paths: &[PathBuf; 3], splits: [Option<Split>; 3]) -> Result<[Option<Split>; 3], DataError> {
    let sparse = |path: &Path| matches!(Format::of(path), Ok(Format::Libsvm));
    let widest = splits.iter().flatten().map(Split::width).max().unwrap_or(0);
    let mut splits = splits;
    for (split, _) in splits.iter_mut().zip(paths).filter(|(_, path)| sparse(path)) {
        *split = split.take().map(|split| split.widened(widest));
    }
    let train = splits[0].as_ref().map(|split| (split.width(), split.kind()));
    let (width, kind) = train.expect("TRAIN is given");
    let real = splits.iter().flatten().any(|split| split.kind() == Kind::Real);
    for (split, path) in splits.iter_mut().zip(paths) {
        let Some(found) = split else { continue };
        let (path, train) = (path.clone(), paths[0].clone());
        if found.width() != width {
            return Err(DataError::Widths { path, found: found.width(), train, expected: width });
        }
        if real && found.kind() != Kind::Real {
            *split = split.take().map(|split| split.to_real());
        } else if found.kind() != kind && !real {
            return Err(DataError::Kinds { path, found: found.kind(), train, expected: kind });
        }
    }
    Ok(splits)
}

/// Nine tenths of the rows, and the tenth that is held out.
fn hold_out(path: &Path, rows: &Split) -> Result<(Split, Split), DataError> {
    let n = rows.rows();
    if n < 2 {
        return Err(DataError::TooFewRows { path: path.to_owned(), rows: n });
    }
    let n_held = ((n + 5) / 10).max(1);
    let key = Key::new(u64::from(VERSION)).child(Role::Subset);
    let [kept, held] = partition(n, [n - n_held, n_held], key);
    Ok((rows.select(&kept), rows.select(&held)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Twenty different rows of five values.
    fn twenty() -> Vec<Vec<u8>> {
        (0..20u8).map(|i| (0..5).map(|bit| i >> bit & 1).collect()).collect()
    }

    fn write(path: &Path, rows: &[Vec<u8>]) {
        let line = |row: &Vec<u8>| row.iter().map(u8::to_string).collect::<Vec<_>>().join(" ") + "\n";
        fs::write(path, rows.iter().map(line).collect::<String>()).unwrap();
    }

    #[test]
    fn a_tenth_of_the_rows_is_held_out_in_file_order_and_for_any_run_alike() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.amat");
        write(&path, &twenty());
        let set = load(&format!("file:{}", path.display()), &Cache::off()).unwrap();
        assert_eq!((set.train.rows(), set.valid.rows()), (18, 2));
        assert_eq!(set.test, set.valid);
        assert_eq!(set.protocol(), format!("file:{}@1", path.display()));
        let number = |row: &[u8]| row.iter().rev().fold(0, |n, bit| 2 * n + bit);
        let numbers = |split: &Split| (0..split.rows()).map(|i| number(split.bits_of(i))).collect::<Vec<_>>();
        // Value-breaking if it ever changes: results on held-out rows would not compare.
        assert_eq!(numbers(&set.valid), [0, 7]);
        let kept: Vec<u8> = (0..20).filter(|i| !numbers(&set.valid).contains(i)).collect();
        assert_eq!(numbers(&set.train), kept);
    }

    #[test]
    fn the_three_files_become_the_three_splits() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a.amat", "b.amat", "c.amat"].map(|name| dir.path().join(name));
        let rows = twenty();
        write(&a, &rows[..10]);
        write(&b, &rows[10..13]);
        write(&c, &rows[13..]);
        let [a, b, c] = [a, b, c].map(|path| path.display().to_string());
        let set = load(&format!("file:{a},{b},{c}"), &Cache::off()).unwrap();
        assert_eq!([set.train.rows(), set.valid.rows(), set.test.rows()], [10, 3, 7]);
        let set = load(&format!("file:{a},{b}"), &Cache::off()).unwrap();
        assert_eq!(set.test, set.valid);
        let set = load(&format!("file:{a},,{c}"), &Cache::off()).unwrap();
        assert_eq!([set.train.rows(), set.valid.rows(), set.test.rows()], [9, 1, 7]);
    }

    #[test]
    fn files_of_different_widths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.amat", "b.data"].map(|name| dir.path().join(name));
        fs::write(&a, "0 1\n").unwrap();
        fs::write(&b, "0,1,1\n").unwrap();
        let error =
            load(&format!("file:{},{}", a.display(), b.display()), &Cache::off()).unwrap_err().to_string();
        assert!(error.contains("b.data: rows of 3 values, but those of"), "{error}");
        assert!(error.contains("a.amat have 2"), "{error}");
    }

    #[test]
    fn one_row_is_too_few_to_hold_any_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.amat");
        fs::write(&path, "0 1\n").unwrap();
        let error = load(&format!("file:{}", path.display()), &Cache::off()).unwrap_err();
        assert!(matches!(error, DataError::TooFewRows { rows: 1, .. }), "{error}");
    }

    #[test]
    fn an_id_names_one_to_three_files() {
        for (id, problem) in [
            ("file:", "names no training file"),
            ("file:,a.amat", "names no training file"),
            ("file:a,b,c,d", "names more than three files"),
        ] {
            let error = load(id, &Cache::off()).unwrap_err().to_string();
            assert!(error.contains(id) && error.contains(problem), "{error}");
        }
        let error = load("file:nowhere.amat", &Cache::off()).unwrap_err().to_string();
        assert!(error.contains("no file nowhere.amat"), "{error}");
        let error = load("file:a.txt", &Cache::off()).unwrap_err().to_string();
        assert!(error.contains("a.txt: the format is not known"), "{error}");
    }

    #[test]
    fn libsvm_rows_are_as_wide_as_the_widest_file() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.svm", "b.svm"].map(|name| dir.path().join(name));
        fs::write(&a, "1 1:1\n-1 2:1\n").unwrap();
        fs::write(&b, "1 4:1\n").unwrap();
        let set = load(&format!("file:{},{}", a.display(), b.display()), &Cache::off()).unwrap();
        assert_eq!(
            (set.train.bits(), set.valid.bits()),
            ([1, 0, 0, 0, 0, 1, 0, 0].as_slice(), [0, 0, 0, 1].as_slice())
        );
    }

    #[test]
    fn real_values_in_one_file_make_all_three_real_and_bytes_beside_bits_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c, d] = ["a.amat", "b.amat", "c-ubyte", "d-ubyte"].map(|name| dir.path().join(name));
        fs::write(&a, "0 1\n1 1\n").unwrap();
        fs::write(&b, "0 0.5\n").unwrap();
        fs::write(&c, [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51]).unwrap();
        fs::write(&d, [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1]).unwrap();
        let set = |paths: [&Path; 2]| {
            load(&format!("file:{},{}", paths[0].display(), paths[1].display()), &Cache::off())
        };
        let mixed = set([&a, &b]).unwrap();
        assert_eq!(
            (mixed.train, mixed.valid),
            (Split::real(2, 2, vec![0.0, 1.0, 1.0, 1.0]), Split::real(1, 2, vec![0.0, 0.5]))
        );
        assert_eq!(set([&b, &c]).unwrap().test, Split::real(1, 2, vec![0.0, 0.2]));
        let error = set([&c, &d]).unwrap_err().to_string();
        assert!(
            error.contains("d-ubyte: binary values, but those of") && error.contains("are grey"),
            "{error}"
        );
    }

    #[test]
    fn a_name_after_a_hash_chooses_an_array_of_a_file_that_has_some() {
        let part = Part::of("dir/a.mat#ff.T").unwrap();
        assert_eq!(
            (part.path, part.array, part.transposed),
            ("dir/a.mat".into(), Some("ff".to_owned()), true)
        );
        let dir = tempfile::tempdir().unwrap();
        let a = dir.path().join("a.amat");
        fs::write(&a, "0 1\n").unwrap();
        let error = load(&format!("file:{}#x", a.display()), &Cache::off()).unwrap_err().to_string();
        assert!(error.contains("so there is no `x`"), "{error}");
    }
}
