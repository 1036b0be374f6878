//! `file:TRAIN[,VALID[,TEST]]`: a user's own files, in any of the [formats](crate::formats).
//!
//! Relative paths start from `--data-dir` if it is given, else from the current directory. A path must not contain a
//! comma. Selectors after `#` say how a file is read:
//! - `PATH#NAME` is the array NAME of a `.npz` or `.mat` file that holds several;
//! - `#rows=last` means that the examples lie along the last axis of the array (`#NAME.T` for short);
//! - `#label=0` names the column of labels of a `.csv`, and `#target=1` a column of real numbers to predict; for a
//!   `.npz` or `.mat` file, `#label=y` and `#target=t` name arrays;
//! - `#header` and `#no-header` say whether the first line of a `.csv` is a header;
//! - `#bytes` says that the integers of a `.csv` stand for v / 255.
//!
//! Rules:
//! - The headers of several `.csv` files must have the same columns in the same order.
//! - Without VALID, a tenth of the training rows (rounded, at least one) is held out for validation: the last of a
//!   permutation that depends only on the number of rows, never on the seed of a run. Both parts keep the order of the
//!   file. `file:TRAIN,,TEST` holds validation rows out as well.
//! - Without TEST, the test rows are the validation rows. A result on them comes from data that models were selected
//!   on, and is reported with a warning. Give a TEST for any result that matters.
//! - Values that are all 0 or 1 are binary. Other values are intensities and stay intensities.
//! - NaN is a missing value, and so are an empty field and `NA` in a `.csv`. This crate does not decide which models
//!   accept missing values: [`FoundFile`] counts them and says where the first one is.
//! - Only integers count as labels, and only finite numbers as targets. The three files must have the same number of
//!   targets, under the same names.
//!
//! The protocol's id is the id as it was written. Two different files under one name differ in their `data_sha256`.

use std::fs;
use std::path::{Path, PathBuf};

use helmholtz_noise::{Key, Role};
use rayon::prelude::*;

use crate::cache::{Cache, hex};
use crate::formats::{Format, Limits, Table, place_in_file, room};
use crate::partition::partition;
use crate::places::Places;
use crate::source_file::{FoundFile, Note};
use crate::{DataError, DataSet, Split, Targets, ValueKind, selectors};

/// Version of the rules above.
const VERSION: u32 = 1;

/// Loads the files that an id such as `file:a.amat,b.amat` names.
///
/// # Errors
/// If the id does not name one to three files, if a file is malformed, or if the files do not fit together.
pub fn load(id: &str, cache: &Cache) -> Result<DataSet, DataError> {
    load_from(id, &Places { data_dir: None, cache: cache.clone() })
}

/// [`load`], where relative paths start from the data directory in `places`.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_from(id: &str, places: &Places) -> Result<DataSet, DataError> {
    let (mut parts, cache) = (parts(id)?, &places.cache);
    if let Some(folder) = &places.data_dir {
        parts.iter_mut().flatten().for_each(|part| part.path = folder.join(&part.path));
    }
    let read = parts.par_iter().map(|part| part.as_ref().map(|part| part.read(cache)).transpose());
    // All results are collected first, so that of several errors the one of the first file is reported.
    let read: Vec<_> = read.collect::<Vec<_>>().into_iter().collect::<Result<_, _>>()?;
    let paths = parts.map(|part| part.map_or_else(PathBuf::new, |part| part.path));
    let [train, valid, test]: [Option<(Table, [u8; 32])>; 3] =
        read.try_into().expect("three parts were read");
    let mut tables = [train, valid, test];
    columns_agree(&paths, &mut tables)?;
    let files = paths.iter().zip(&mut tables).filter_map(|(path, read)| {
        let (table, sha256) = read.as_mut()?;
        table.notes.extend(nothing_observed(table));
        let Table { split, taken, notes, .. } = table;
        let place = |(row, column): (usize, usize)| (row + 1, place_in_file(taken, column) + 1);
        let intensity = split.first_not_binary().map(|(row, column, value)| {
            let (row, column) = place((row, column));
            (row, column, value)
        });
        let (missing, first_missing) = (split.missing(), split.first_missing().map(place));
        let (path, notes) = (path.clone(), std::mem::take(notes));
        Some(FoundFile {
            path,
            sha256: hex(sha256),
            original: None,
            intensity,
            missing,
            first_missing,
            notes,
        })
    });
    let files = files.collect();
    let [train, valid, test] = tables.map(|read| read.map(|(table, _)| table.split));
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
    /// The selector after each `#`.
    pieces: Vec<String>,
}

impl Part {
    fn of(text: &str) -> Option<Self> {
        let (path, pieces) = text.split_once('#').map_or((text, None), |(path, pieces)| (path, Some(pieces)));
        let pieces = pieces.into_iter().flat_map(|pieces| pieces.split('#')).map(str::to_owned).collect();
        (!path.is_empty()).then(|| Part { path: PathBuf::from(path), pieces })
    }

    fn read(&self, cache: &Cache) -> Result<(Table, [u8; 32]), DataError> {
        let wanted = selectors::wanted(&self.path, self.pieces.iter().map(String::as_str))?;
        cache.read(&self.path, &wanted)
    }
}

/// Refuses headers whose columns differ from those of TRAIN or have another order: values and targets are matched by
/// place.
fn columns_agree(paths: &[PathBuf; 3], tables: &mut [Option<(Table, [u8; 32])>; 3]) -> Result<(), DataError> {
    let train = tables[0].as_ref().map(|(table, _)| (table.columns.clone(), table.targets.clone()));
    let (train, train_targets) = train.unwrap_or_default();
    for (path, read) in paths.iter().zip(tables).skip(1) {
        let Some((table, _)) = read else { continue };
        let differ = |train: &Option<Vec<String>>, found: &Option<Vec<String>>, what| {
            let (train, found) = (train.as_ref()?, found.as_ref()?);
            let i = train.iter().zip(found).position(|(train, found)| train != found)?;
            Some(DataError::Columns {
                path: path.clone(),
                what,
                column: i + 1,
                found: found[i].clone(),
                train: paths[0].clone(),
                expected: train[i].clone(),
            })
        };
        let error = differ(&train, &table.columns, "column");
        if let Some(error) = error.or_else(|| differ(&train_targets, &table.targets, "target")) {
            return Err(error);
        }
        if train.is_some() != table.columns.is_some() {
            let without =
                if train.is_some() { "it has no header, unlike" } else { "it has a header, unlike" };
            table.notes.push(Note::doubt(format!(
                "{without} {}: its columns are read in the order of the file",
                paths[0].display()
            )));
        }
    }
    Ok(())
}

/// Notes on columns and rows without any observed value.
fn nothing_observed(Table { split, columns, taken, .. }: &Table) -> Vec<Note> {
    let Some(mask) = split.mask() else { return Vec::new() };
    let column = |i: usize| {
        let number = place_in_file(taken, i) + 1;
        let name = columns.as_ref().and_then(|names| names.get(i));
        name.map_or(number.to_string(), |name| format!("{number} (`{}`)", name.escape_debug()))
    };
    // At most five are named.
    let note = |what: &str, places: Vec<usize>, name: &dyn Fn(usize) -> String| {
        let some = places.iter().take(5).map(|i| name(*i)).collect::<Vec<_>>().join(", ");
        let more = if places.len() > 5 { format!(" and {} more", places.len() - 5) } else { String::new() };
        let text =
            format!("no value was observed in {what} {some}{more}; leave it out, or check the file there");
        (!places.is_empty()).then(|| Note::doubt(text))
    };
    let columns = split.observed().into_iter().enumerate().filter(|(_, n)| *n == 0).map(|(i, _)| i);
    let rows =
        mask.chunks_exact(split.width()).enumerate().filter(|(_, row)| !row.contains(&1)).map(|(i, _)| i);
    let notes =
        [note("column", columns.collect(), &column), note("row", rows.collect(), &|i| (i + 1).to_string())];
    notes.into_iter().flatten().collect()
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
/// LIBSVM rows are as wide as the widest of the three files. A split of real numbers may happen to hold only zeros and
/// ones, so all splits become real if one is. A split of bytes beside a binary split is refused, because a 1 could mean
/// ink or 1/255.
fn fitted(paths: &[PathBuf; 3], splits: [Option<Split>; 3]) -> Result<[Option<Split>; 3], DataError> {
    let sparse = |path: &Path| matches!(Format::of(path), Ok(Format::Libsvm));
    let widest = splits.iter().flatten().map(Split::width).max().unwrap_or(0);
    let mut splits = splits;
    for (split, path) in splits.iter_mut().zip(paths).filter(|(_, path)| sparse(path)) {
        let Some(narrow) = split.take() else { continue };
        check_wider(path, &narrow, widest)?;
        *split = Some(narrow.widened(widest));
    }
    let train = splits[0].as_ref().map(|split| (split.width(), split.kind()));
    let (width, kind) = train.expect("TRAIN is given");
    let targets = splits[0].as_ref().and_then(Split::targets).map_or(0, Targets::width);
    let real = splits.iter().flatten().any(|split| split.kind() == ValueKind::Real);
    for (split, path) in splits.iter_mut().zip(paths) {
        let Some(found) = split else { continue };
        let (path, train) = (path.clone(), paths[0].clone());
        let found_targets = found.targets().map_or(0, Targets::width);
        if found_targets != targets {
            return Err(DataError::Targets { path, found: found_targets, train, expected: targets });
        }
        if found.width() != width {
            return Err(DataError::Widths { path, found: found.width(), train, expected: width });
        }
        if real && found.kind() != ValueKind::Real {
            room_for(&path, found.values().len() * size_of::<f32>())?;
            *split = split.take().map(|split| split.to_real());
        } else if found.kind() != kind && !real {
            return Err(DataError::Kinds { path, found: found.kind(), train, expected: kind });
        }
    }
    Ok(splits)
}

/// Refuses sparse rows that would become too large with the greatest index of another file.
fn check_wider(path: &Path, split: &Split, width: usize) -> Result<(), DataError> {
    let limits = Limits::default();
    let (rows, now) = (split.rows(), split.values().bytes_in_memory() as u64);
    let bytes = now.div_ceil(split.width().max(1) as u64).saturating_mul(width as u64);
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if width == split.width() || bytes <= limits.grown_from(length).max(now.saturating_mul(2)) {
        return room_for(path, usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let problem = format!(
        "{rows} rows of {width} values (the width is the greatest index of all files) take {bytes} bytes, too many \
         for a file of {length} bytes; check the indices, or renumber those that occur"
    );
    Err(DataError::malformed(path, problem))
}

/// Refuses a copy for which there is not enough memory.
fn room_for(path: &Path, bytes: usize) -> Result<(), DataError> {
    room::check::<u8>(bytes).map_err(|problem| DataError::malformed(path, problem))
}

/// The nine tenths of the rows that are kept, and the tenth that is held out.
fn hold_out(path: &Path, rows: &Split) -> Result<(Split, Split), DataError> {
    let n = rows.rows();
    if n < 2 {
        return Err(DataError::TooFewRows { path: path.to_owned(), rows: n });
    }
    // Held-out rows are used twice if there is no TEST.
    let bytes = rows.values().bytes_in_memory() + rows.mask().map_or(0, <[u8]>::len);
    room_for(path, bytes.saturating_add(n.saturating_mul(2 * size_of::<usize>())))?;
    let n_held = ((n + 5) / 10).max(1);
    let key = Key::new(u64::from(VERSION)).child(Role::Subset);
    let [kept, held] = partition(n, [n - n_held, n_held], key);
    Ok((rows.select(&kept), rows.select(&held)))
}

#[cfg(test)]
mod tests {
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
        // A change here is value-breaking: results on held-out rows would not be comparable.
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
    fn what_follows_a_hash_says_how_a_file_is_read() {
        let part = Part::of("dir/a.mat#ff#rows=last").unwrap();
        assert_eq!(
            (part.path, part.pieces),
            ("dir/a.mat".into(), vec!["ff".to_owned(), "rows=last".to_owned()])
        );
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.amat", "b.csv"].map(|name| dir.path().join(name));
        fs::write(&a, "0 1\n").unwrap();
        let error = load(&format!("file:{}#x", a.display()), &Cache::off()).unwrap_err().to_string();
        assert!(error.contains("so there is no `x`"), "{error}");
        fs::write(&b, "3,0,1\n4,1,1\n").unwrap();
        let set = load(&format!("file:{}#label=0", b.display()), &Cache::off()).unwrap();
        assert_eq!((set.train.width(), set.train.labels()), (2, Some([4].as_slice())));
    }

    #[test]
    fn missing_values_are_counted_and_placed_and_what_was_never_observed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.csv", "b.csv"].map(|name| dir.path().join(name));
        fs::write(&a, "label,x,y,z\n1,0,,1\n2,,NA,NaN\n1,1,,0\n").unwrap();
        fs::write(&b, "label,x,y,z\n1,0,1,1\n").unwrap();
        let set = load(&format!("file:{},{}", a.display(), b.display()), &Cache::off()).unwrap();
        assert_eq!(set.train.mask(), Some([1, 0, 1, 0, 0, 0, 1, 0, 1].as_slice()));
        assert_eq!((set.train.kind(), set.valid.missing()), (ValueKind::Binary, 0));
        let [a, b] = &set.files[..] else { panic!("two files") };
        assert_eq!((a.missing, a.first_missing, a.intensity), (5, Some((1, 3)), None));
        assert_eq!((b.missing, b.first_missing), (0, None));
        let doubts = |file: &FoundFile| -> Vec<String> {
            file.notes.iter().filter(|note| note.doubtful).map(|note| note.text.clone()).collect()
        };
        let [column, row] = &doubts(a)[..] else { panic!("{:?}", a.notes) };
        assert!(column.contains("no value was observed in column 3 (`y`);"), "{column}");
        assert!(row.contains("no value was observed in row 2;"), "{row}");
        assert!(doubts(b).is_empty());
    }

    #[test]
    fn the_three_files_have_the_same_targets() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let a = file("a.csv", "x,s,y,t\n0,1,1,2.5\n1,0,0,-3\n");
        let b = file("b.csv", "x,y,t,s\n1,1,0.5,1\n");
        let load = |id: String| load(&id, &Cache::off());
        let set = load(format!("file:{a}#target=t#target=s,{b}#target=t#target=s")).unwrap();
        assert_eq!(set.train.targets(), Some(&Targets::new(2, vec![2.5, 1.0, -3.0, 0.0])));
        assert_eq!(set.valid.targets(), Some(&Targets::new(2, vec![0.5, 1.0])));
        assert!(set.targets_sha256.is_some());
        let held = load(format!("file:{a}#target=t#target=s")).unwrap();
        assert_eq!((held.train.targets().unwrap().rows(), held.valid.targets().unwrap().rows()), (1, 1));
        for (id, part) in [
            (format!("file:{a}#target=t#target=s,{b}#target=s#target=t"), "target 1 is `s`, and in"),
            (format!("file:{a}#target=t#target=s,{b}#target=t"), "b.csv: 1 targets per row, but the rows of"),
            (format!("file:{a}#target=t,{b}"), "b.csv: "),
        ] {
            let error = load(id).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn columns_of_other_names_or_in_another_order_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let train = file("train.csv", "a,b,c\n1,0,0\n1,0,1\n");
        let load = |test: &str| load(&format!("file:{train},,{test}"), &Cache::off());
        let test = file("test.csv", "c,b,a\n0,0,1\n");
        let error = load(&test).unwrap_err().to_string();
        for part in ["test.csv: column 1 is `c`", "train.csv it is `a`", "same columns in the same order"] {
            assert!(error.contains(part), "{error}");
        }
        let error = load(&file("other.csv", "a,b,d\n0,0,1\n")).unwrap_err().to_string();
        assert!(error.contains("column 3 is `d`"), "{error}");
        // Neither the place of the labels matters, nor whether there are labels.
        let same = load(&file("same.csv", "\u{feff}a, b ,label,\"c\"\n1,0,7,0\n")).unwrap();
        assert_eq!(same.test.bits(), [1, 0, 0]);
        assert!(same.files.iter().flat_map(|file| &file.notes).all(|note| !note.doubtful));
        // Without names the columns cannot be compared, so there is a note.
        let bare = load(&file("bare.csv", "0,0,1\n")).unwrap();
        assert!(bare.files[1].notes.iter().any(|note| note.doubtful && note.text.contains("no header")));
    }

    #[test]
    fn one_great_index_does_not_widen_many_rows_of_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.svm", "b.svm"].map(|name| dir.path().join(name));
        fs::write(&a, "1 1:1\n".repeat(2000)).unwrap();
        fs::write(&b, "1 1048576:1\n").unwrap();
        let error =
            load(&format!("file:{},{}", a.display(), b.display()), &Cache::off()).unwrap_err().to_string();
        assert!(error.contains("a.svm: 2000 rows of 1048576 values"), "{error}");
    }
}
