//! The file readers. What the bytes of a file say is checked before it is used.
//!
//! | extension (each also with `.gz`) | module | values |
//! | --- | --- | --- |
//! | `.amat` | [`text`] | one row per line, separated by spaces |
//! | `.data` | [`text`] | one row per line, separated by commas |
//! | `.csv` | [`csv`] | one row per record, with or without a header; a column `label` holds classes |
//! | `.libsvm`, `.svm` | [`libsvm`] | `label index:value ...`, indices from 1; `qid:` is ignored |
//! | `.idx`, `-ubyte` | [`idx`] | bytes in the MNIST container |
//! | `.npy` | [`npy`] | NumPy arrays `[rows, width]` or `[rows, height, width]`, also with one channel, in any byte order and axis order |
//! | `.npz` | [`npz`] | a zip archive of such arrays |
//! | `.mat` | [`mat`] | dense numeric arrays of MATLAB 5 files |
//!
//! Text and floating-point arrays hold numbers in [0, 1]. Arrays of integers hold 0 and 1, or bytes, where v stands for
//! v / 255; a `.csv` may hold bytes too. A split whose values are all 0 or 1 is binary. Text may begin with a UTF-8
//! byte-order mark.
//!
//! NaN is a missing value, and so are an empty field and `NA` in a `.csv`. The sparse rows of LIBSVM and the rows of a
//! protocol have no missing values. Labels and real targets are in columns of a `.csv`, or in separate arrays of the
//! same file as the rows.
//!
//! Every reader works within [`Limits`] and checks the magic number and the header before it reads the rest. For
//! malformed input it returns a [`DataError`] that names the place. Memory for values is reserved before it is used, so
//! that too little memory is also an error and not an abort.

use std::io::BufRead;
use std::path::Path;

use crate::error::DataError;
use crate::split::Split;

pub(crate) mod array;
mod axes;
mod beside;
mod builder;
pub mod csv;
pub(crate) mod header;
pub mod idx;
pub mod libsvm;
pub mod mat;
pub mod npy;
pub mod npz;
pub(crate) mod room;
mod rows;
pub(crate) mod source;
pub mod text;
mod wanted;

pub use wanted::{Column, Expected, LabelColumn, Limits, RowAxis, Wanted};
pub(crate) use wanted::{Table, place_in_file};

/// How a file's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text, separated by spaces or by commas.
    Text(text::Separator),
    /// Comma-separated values.
    Csv,
    /// Sparse text with labels.
    Libsvm,
    /// The container format of MNIST.
    Idx,
    /// One NumPy array.
    Npy,
    /// Several NumPy arrays.
    Npz,
    /// MATLAB 5.
    Mat,
}

impl Format {
    /// Every format, with its extension.
    pub const ALL: [(Format, &'static str); 8] = [
        (Format::Text(text::Separator::Space), "amat"),
        (Format::Text(text::Separator::Comma), "data"),
        (Format::Csv, "csv"),
        (Format::Libsvm, "libsvm"),
        (Format::Idx, "idx"),
        (Format::Npy, "npy"),
        (Format::Npz, "npz"),
        (Format::Mat, "mat"),
    ];

    /// The format that the name of a file implies, with or without `.gz`.
    ///
    /// # Errors
    /// [`DataError::Format`] for an unknown extension.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        if name.ends_with("-ubyte") || name.ends_with(".idx3") {
            return Ok(Format::Idx);
        }
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let ending = if ending == "svm" { "libsvm" } else { ending };
        let found = Format::ALL.into_iter().find(|(_, known)| *known == ending);
        found.map(|(format, _)| format).ok_or_else(|| DataError::Format { path: path.to_owned() })
    }

    /// True if a file of this format holds named arrays.
    pub fn names_arrays(self) -> bool {
        matches!(self, Format::Npz | Format::Mat)
    }
}

/// Reads a file in the format that its name implies; rows keep their order.
///
/// # Errors
/// If the file is malformed or does not have the expected size; see [`DataError`].
pub fn read(path: &Path, wanted: &Wanted) -> Result<Split, DataError> {
    read_table(path, wanted).map(|table| table.split)
}

/// Reads a file, and returns how it was read as well.
pub(crate) fn read_table(path: &Path, wanted: &Wanted) -> Result<Table, DataError> {
    let format = Format::of(path)?;
    decode_table(format, path, source::open(path, &wanted.limits)?, wanted)
}

/// Reads decompressed bytes in a format; error messages use `path`.
///
/// # Errors
/// If the bytes are malformed or do not have the expected size; see [`DataError`].
pub fn decode(format: Format, path: &Path, bytes: impl BufRead, wanted: &Wanted) -> Result<Split, DataError> {
    decode_table(format, path, bytes, wanted).map(|table| table.split)
}

/// Reads a matrix of a MATLAB file, such as weights that another program has trained. Its numbers need not be valid
/// values of a row.
///
/// Returns the numbers row after row, and how many rows and columns there are.
///
/// # Errors
/// If the file cannot be read, or has no array of this name with two axes.
pub fn read_matrix(path: &Path, name: &str, limits: &Limits) -> Result<(Vec<f64>, [usize; 2]), DataError> {
    let mut bytes = source::open(path, limits)?;
    let whole = source::read_whole(path, &mut bytes, limits, mat::promised)?;
    mat::matrix(&whole, name, limits).map_err(|problem| DataError::malformed(path, problem))
}

/// A parser of a container, which gets all of its bytes.
type Parse = fn(&[u8], &Wanted) -> Result<Table, String>;

fn decode_table(
    format: Format,
    path: &Path,
    mut bytes: impl BufRead,
    wanted: &Wanted,
) -> Result<Table, DataError> {
    let limits = &wanted.limits;
    if let Some(array) = wanted.array.as_ref().filter(|_| !format.names_arrays()) {
        return Err(DataError::malformed(
            path,
            format!("only .npz and .mat files have named arrays, so there is no `{array}`"),
        ));
    }
    let beside = matches!(wanted.label, Some(LabelColumn::At(_))) || !wanted.targets.is_empty();
    if beside && !(format == Format::Csv || format.names_arrays()) {
        let problem = "labels and targets can be chosen only in .csv, .npz and .mat files; leave #label= and \
                       #target= out";
        return Err(DataError::malformed(path, problem.to_owned()));
    }
    let (promised, parse): (source::Promised, Parse) = match format {
        Format::Text(separator) => {
            let mut text = source::without_mark(path, bytes)?;
            return text::read(path, separator, &mut text, wanted).map(Table::from);
        }
        Format::Csv => return csv::read(path, &mut source::without_mark(path, bytes)?, wanted),
        Format::Libsvm => {
            return libsvm::read(path, &mut source::without_mark(path, bytes)?, wanted).map(Table::from);
        }
        Format::Idx => (idx::promised, idx::parse),
        Format::Npy => (npy::promised, npy::parse),
        Format::Npz => (npz::promised, npz::parse),
        Format::Mat => (mat::promised, mat::parse),
    };
    let whole = source::read_whole(path, &mut bytes, limits, promised)?;
    parse(&whole, wanted).map_err(|problem| DataError::malformed(path, problem))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::BufReader;

    use super::*;

    #[test]
    fn a_name_stands_for_a_format_gzipped_or_not() {
        for (format, ending) in Format::ALL {
            assert_eq!(Format::of(Path::new(&format!("dir.d/a.{ending}"))).unwrap(), format);
            assert_eq!(Format::of(Path::new(&format!("A.{}.GZ", ending.to_uppercase()))).unwrap(), format);
        }
        assert_eq!(Format::of(Path::new("train-images-idx3-ubyte.gz")).unwrap(), Format::Idx);
        for name in ["amat", "a.txt.gz"] {
            let error = read(Path::new(name), &Wanted::default()).unwrap_err().to_string();
            let known = format!("{name}: the format is not known");
            assert!(error.contains(&known) && error.contains(".amat"), "{error}");
        }
    }

    #[test]
    fn labels_and_targets_are_not_passed_over_where_a_format_has_none() {
        let target = Wanted { targets: vec![Column::Number(0)], ..Wanted::default() };
        for (format, ending) in Format::ALL {
            let name = format!("a.{ending}");
            let error = decode(format, Path::new(&name), &b"0 1\n"[..], &target).unwrap_err().to_string();
            let refused =
                error.contains("labels and targets can be chosen only in .csv, .npz and .mat files");
            assert_eq!(refused, format != Format::Csv && !format.names_arrays(), "{error}");
        }
    }

    #[test]
    fn the_mark_of_utf8_is_passed_over_in_every_text() {
        let rows = Split::new(1, 2, vec![0, 1]);
        for (format, name, text) in [
            (Format::Text(text::Separator::Space), "a.amat", "0 1\n"),
            (Format::Text(text::Separator::Comma), "a.data", "0,1\n"),
            (Format::Csv, "a.csv", "0,1\n"),
            (Format::Libsvm, "a.libsvm", "7 2:1\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let marked = format!("\u{feff}{text}");
            for name in [name.to_owned(), format!("{name}.gz")] {
                // A browser may have decompressed the second file and kept its name.
                let path = dir.path().join(name);
                fs::write(&path, &marked).unwrap();
                assert_eq!(read(&path, &Wanted::default()).unwrap().values(), rows.values(), "{path:?}");
            }
            // One byte at a time, as a slow decoder may return them.
            let slow = BufReader::with_capacity(1, marked.as_bytes());
            let read = decode(format, Path::new(name), slow, &Wanted::default()).unwrap();
            assert_eq!(read.values(), rows.values(), "{name}");
        }
    }
}
