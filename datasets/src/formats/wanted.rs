//! What is wanted of a file, what is read of it at most, and what was read.

use crate::source_file::Note;
use crate::split::Split;

/// What is wanted of a file.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Which array of a `.npz` or `.mat` file; without a name the file's only one.
    pub array: Option<String>,
    /// The axis of an array that the examples lie along; where it is not said, the shape decides.
    pub rows: Option<RowAxis>,
    /// Whether the first record of a `.csv` is a header; where it is not said, the record decides.
    pub header: Option<bool>,
    /// Which column of a `.csv` holds labels; where it is not said, the header decides. Or which array of a `.npz` or
    /// `.mat` file, by its name.
    pub label: Option<LabelColumn>,
    /// Which columns of a `.csv` hold real numbers to be predicted; or which array of a `.npz` or `.mat` file.
    pub targets: Vec<Column>,
    /// True if the numbers of a `.csv` are bytes that stand for v / 255, even where they are all small.
    pub bytes: bool,
    /// Rows and width, where a protocol sets them. Only the text formats look at it.
    pub expected: Option<Expected>,
    /// What is read at most.
    pub limits: Limits,
}

/// The axis that the examples of an array lie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAxis {
    /// The first, as NumPy users have it.
    First,
    /// The last, as MATLAB users have it: `#NAME.T` or `#rows=last`.
    Last,
}

/// Which column of a `.csv` holds labels, which are no part of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelColumn {
    /// No column, whatever the header and the values look like.
    Nowhere,
    /// That column, or that array.
    At(Column),
}

/// A column of a `.csv`, or an array of a file that holds several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The column of that number, from 0; from the last, -1, where it is negative.
    Number(i64),
    /// The column of that name in the header, or the array of that name.
    Named(String),
}

/// How many times its own size a file may grow, whatever the limits: text that is written as usual
/// deflates to a hundredth at best, and deflate itself to a thousandth.
pub(crate) const RATIO: u64 = 256;

/// What is read at most, so that a small file that inflates without end is an error and not a
/// full memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after inflating.
    pub bytes: u64,
    /// Bytes of a line of text.
    pub line: u64,
    /// Values of a file.
    pub values: usize,
    /// Bytes that any file may become when it is inflated, or when its sparse rows are written out.
    /// A file of more than a 256th of that may become 256 times its own size.
    pub grown: u64,
}

impl Default for Limits {
    /// 8 GiB, lines of 16 MiB, 2^31 values; 256 MiB from a file of less than 1 MiB.
    fn default() -> Self {
        Limits { bytes: 8 << 30, line: 16 << 20, values: 1 << 31, grown: 256 << 20 }
    }
}

impl Limits {
    /// Bytes that so many bytes of a file may become.
    pub(crate) fn grown_from(&self, bytes: u64) -> u64 {
        self.grown.max(bytes.saturating_mul(RATIO))
    }
}

/// Rows and width that a protocol asks of a file of binary values.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The protocol, `id@version`.
    pub protocol: String,
    /// Rows of the file.
    pub rows: usize,
    /// Values in a row.
    pub width: usize,
}

/// A file that was read, and how it was understood.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) split: Split,
    /// The names of the columns of values, where the file has some.
    pub(crate) columns: Option<Vec<String>>,
    /// The names of the columns of targets, where the file has some.
    pub(crate) targets: Option<Vec<String>>,
    /// The columns of the file, from 0, that hold labels or targets and no values.
    pub(crate) taken: Vec<usize>,
    pub(crate) notes: Vec<Note>,
}

impl From<Split> for Table {
    fn from(split: Split) -> Self {
        Table { split, columns: None, targets: None, taken: Vec::new(), notes: Vec::new() }
    }
}

/// Which column of a file, from 0, is that of the values `column`, where the columns `taken` hold none.
pub(crate) fn place_in_file(taken: &[usize], column: usize) -> usize {
    (0..).filter(|place| !taken.contains(place)).nth(column).unwrap_or(column)
}
