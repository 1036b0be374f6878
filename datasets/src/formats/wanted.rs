//! How to read a file, the limits of reading, and the result.

use crate::source_file::Note;
use crate::split::Split;

/// How to read a file.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Name of the array in a `.npz` or `.mat` file; if it is not set, the only array of the file.
    pub array: Option<String>,
    /// The axis of an array that the examples lie along; if it is not set, the shape decides.
    pub rows: Option<RowAxis>,
    /// Whether the first record of a `.csv` is a header; if it is not set, the record decides.
    pub header: Option<bool>,
    /// The column of a `.csv` that holds labels; if it is not set, the header decides. For a `.npz` or `.mat` file, the
    /// name of the array that holds labels.
    pub label: Option<LabelColumn>,
    /// The columns of a `.csv`, or the array of a `.npz` or `.mat` file, that hold real numbers to predict.
    pub targets: Vec<Column>,
    /// True if the numbers of a `.csv` are bytes that stand for v / 255, even if all of them are small.
    pub bytes: bool,
    /// Rows and width, if a protocol sets them. Only the text formats use them.
    pub expected: Option<Expected>,
    /// The limits of reading.
    pub limits: Limits,
}

/// The axis that the examples of an array lie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAxis {
    /// The first axis, as is usual with NumPy.
    First,
    /// The last axis, as is usual with MATLAB: `#NAME.T` or `#rows=last`.
    Last,
}

/// The column of a `.csv` that holds labels. Labels do not belong to the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelColumn {
    /// No column, whatever the header and the values look like.
    Nowhere,
    /// This column, or this array.
    At(Column),
}

/// A column of a `.csv`, or an array of a file that holds several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The column with this number, from 0. A negative number counts from the end: -1 is the last column.
    Number(i64),
    /// The column with this name in the header, or the array with this name.
    Named(String),
}

/// How many times its own size a file may grow, whatever the limits. Usual text compresses to a hundredth at best, and
/// the deflate format to a thousandth at best.
pub(crate) const RATIO: u64 = 256;

/// Limits of reading. With them a small file that inflates without end causes an error and does not fill the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after decompression.
    pub bytes: u64,
    /// Bytes of a line of text.
    pub line: u64,
    /// Values of a file.
    pub values: usize,
    /// Bytes to which any file may grow when it is decompressed, or when its sparse rows are expanded. A file larger
    /// than a 256th of this may grow to 256 times its own size.
    pub grown: u64,
}

impl Default for Limits {
    /// 8 GiB, lines of 16 MiB, 2^31 values; 256 MiB from a file of less than 1 MiB.
    fn default() -> Self {
        Limits { bytes: 8 << 30, line: 16 << 20, values: 1 << 31, grown: 256 << 20 }
    }
}

impl Limits {
    /// Number of bytes to which a file of `bytes` bytes may grow.
    pub(crate) fn grown_from(&self, bytes: u64) -> u64 {
        self.grown.max(bytes.saturating_mul(RATIO))
    }
}

/// Rows and width that a protocol requires of a file of binary values.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The protocol, `id@version`.
    pub protocol: String,
    /// Rows of the file.
    pub rows: usize,
    /// Values in a row.
    pub width: usize,
}

/// The content of a file, and how it was read.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) split: Split,
    /// The names of the columns of values, if the file has names.
    pub(crate) columns: Option<Vec<String>>,
    /// The names of the columns of targets, if the file has names.
    pub(crate) targets: Option<Vec<String>>,
    /// The columns of the file, from 0, that hold labels or targets.
    pub(crate) taken: Vec<usize>,
    pub(crate) notes: Vec<Note>,
}

impl From<Split> for Table {
    fn from(split: Split) -> Self {
        Table { split, columns: None, targets: None, taken: Vec::new(), notes: Vec::new() }
    }
}

/// The column in the file, from 0, of the value column `column`, where the columns `taken` hold no values.
pub(crate) fn place_in_file(taken: &[usize], column: usize) -> usize {
    (0..).filter(|place| !taken.contains(place)).nth(column).unwrap_or(column)
}
