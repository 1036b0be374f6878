//! `file:TRAIN[,VALID[,TEST]]`: a user's own files, `.amat` or `.data`, gzipped or not.
//!
//! Relative paths start from the current directory, and a path holds no comma.
//! - Without VALID, a tenth of the training rows (rounded, at least one) is held out for
//!   validation: the last of a permutation that depends on the number of rows alone, never on a
//!   run's seed. Both parts keep the order of the file. `file:TRAIN,,TEST` does so beside a TEST.
//! - Without TEST, the test rows are the validation rows. A result on them is one on data that
//!   choices were made on; give a TEST for anything that is to be reported.
//!
//! The protocol's id is the id as it was written; two files under one name are told apart by
//! `data_sha256`.

use std::path::{Path, PathBuf};

use helmholtz_noise::{Key, Role, Stream};
use rayon::prelude::*;

use crate::{DataError, DataSet, Split, text};

/// Version of the rules above.
const VERSION: u32 = 1;

/// Loads the files that an id such as `file:a.amat,b.amat` names.
///
/// # Errors
/// If the id does not name one to three files, a file is not well formed, or their widths differ.
pub fn load(id: &str) -> Result<DataSet, DataError> {
    let [train, valid, test] = paths(id)?;
    let splits = [&train, &valid, &test].into_par_iter().map(|path| match path {
        Some(path) => text::read(path, None).map(Some),
        None => Ok(None),
    });
    // Collected before it is searched, so that of several errors the first file's is reported.
    let mut splits = splits.collect::<Vec<_>>().into_iter();
    let mut next = || splits.next().expect("three paths were read");
    let (train_rows, valid_rows, test_rows) = (next()?.expect("TRAIN is given"), next()?, next()?);

    let train = train.expect("TRAIN is given");
    for (path, split) in [(valid, &valid_rows), (test, &test_rows)] {
        if let (Some(path), Some(split)) = (path, split)
            && split.width() != train_rows.width()
        {
            return Err(DataError::Widths {
                path,
                found: split.width(),
                train,
                expected: train_rows.width(),
            });
        }
    }
    let (train_rows, valid_rows) = match valid_rows {
        Some(valid_rows) => (train_rows, valid_rows),
        None => hold_out(&train, &train_rows)?,
    };
    let test_rows = test_rows.unwrap_or_else(|| valid_rows.clone());
    Ok(DataSet::new(id, VERSION, [train_rows, valid_rows, test_rows], None))
}

fn paths(id: &str) -> Result<[Option<PathBuf>; 3], DataError> {
    let wrong = |problem| DataError::FileId { id: id.to_owned(), problem };
    let list = id.strip_prefix("file:").ok_or_else(|| wrong("does not start with `file:`"))?;
    let parts: Vec<&str> = list.split(',').map(str::trim).collect();
    if parts.len() > 3 {
        return Err(wrong("names more than three files"));
    }
    if parts[0].is_empty() {
        return Err(wrong("names no training file"));
    }
    Ok([0, 1, 2].map(|i| parts.get(i).filter(|part| !part.is_empty()).map(PathBuf::from)))
}

/// Nine tenths of the rows, and the tenth that is held out.
fn hold_out(path: &Path, rows: &Split) -> Result<(Split, Split), DataError> {
    let n = rows.rows();
    if n < 2 {
        return Err(DataError::TooFewRows { path: path.to_owned(), rows: n });
    }
    let n_held = ((n + 5) / 10).max(1);
    let key = Key::new(u64::from(VERSION)).child(Role::Subset);
    let mut order = Stream::new(key).permutation(n);
    let (kept, held) = order.split_at_mut(n - n_held);
    kept.sort_unstable();
    held.sort_unstable();
    Ok((rows.select(kept), rows.select(held)))
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
        let set = load(&format!("file:{}", path.display())).unwrap();
        assert_eq!((set.train.rows(), set.valid.rows()), (18, 2));
        assert_eq!(set.test, set.valid);
        assert_eq!(set.protocol(), format!("file:{}@1", path.display()));
        let number = |row: &[u8]| row.iter().rev().fold(0, |n, bit| 2 * n + bit);
        let numbers = |split: &Split| (0..split.rows()).map(|i| number(split.row(i))).collect::<Vec<_>>();
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
        let set = load(&format!("file:{a},{b},{c}")).unwrap();
        assert_eq!([set.train.rows(), set.valid.rows(), set.test.rows()], [10, 3, 7]);
        let set = load(&format!("file:{a},{b}")).unwrap();
        assert_eq!(set.test, set.valid);
        let set = load(&format!("file:{a},,{c}")).unwrap();
        assert_eq!([set.train.rows(), set.valid.rows(), set.test.rows()], [9, 1, 7]);
    }

    #[test]
    fn files_of_different_widths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.amat", "b.data"].map(|name| dir.path().join(name));
        fs::write(&a, "0 1\n").unwrap();
        fs::write(&b, "0,1,1\n").unwrap();
        let error = load(&format!("file:{},{}", a.display(), b.display())).unwrap_err().to_string();
        assert!(error.contains("b.data: rows of 3 values, but those of"), "{error}");
        assert!(error.contains("a.amat have 2"), "{error}");
    }

    #[test]
    fn one_row_is_too_few_to_hold_any_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.amat");
        fs::write(&path, "0 1\n").unwrap();
        let error = load(&format!("file:{}", path.display())).unwrap_err();
        assert!(matches!(error, DataError::TooFewRows { rows: 1, .. }), "{error}");
    }

    #[test]
    fn an_id_names_one_to_three_files() {
        for (id, problem) in [
            ("file:", "names no training file"),
            ("file:,a.amat", "names no training file"),
            ("file:a,b,c,d", "names more than three files"),
        ] {
            let error = load(id).unwrap_err().to_string();
            assert!(error.contains(id) && error.contains(problem), "{error}");
        }
        let error = load("file:nowhere.amat").unwrap_err().to_string();
        assert!(error.contains("no file nowhere.amat"), "{error}");
        let error = load("file:a.csv").unwrap_err().to_string();
        assert!(error.contains("a.csv: the format is not known"), "{error}");
    }
}
