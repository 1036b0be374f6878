//! What can go wrong with data: what was wrong, where, the value found, what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::{SplitName, ValueKind};

/// Why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No protocol has this id.
    #[error("there is no data set `{id}`{hint}; known are {known} and file:TRAIN[,VALID[,TEST]]")]
    UnknownId {
        /// The id asked for.
        id: String,
        /// ` (did you mean ...?)` or nothing.
        hint: String,
        /// The ids of the catalogue.
        known: String,
    },

    /// A `file:` id that does not name one to three files.
    #[error("`{id}` {problem}; write file:TRAIN[,VALID[,TEST]], the paths separated by commas")]
    FileId {
        /// The id asked for.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// Files of a protocol that are not there.
    #[error("{protocol} needs {}; {advice}", listed(.paths))]
    Missing {
        /// The protocol, `id@version`.
        protocol: String,
        /// The files that are not there.
        paths: Vec<PathBuf>,
        /// Where they come from and where to put them.
        advice: String,
    },

    /// A user's file that is not there.
    #[error("there is no file {}; relative paths start from --data-dir, else from the current directory", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },

    /// A file whose name does not say what its bytes are.
    #[error("{}: the format is not known from the name; known are .amat (values separated by spaces), \
             .data (by commas), .csv, .libsvm, .idx or -ubyte, .npy, .npz and .mat, each also with .gz",
            .path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },

    /// A directory, a device or a pipe in place of a file.
    #[error("{}: is {found} and not a file; name a file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },

    /// The operating system could not read a file to its end.
    #[error("{}: cannot be read after {after} ({cause}); check the path and its permissions", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What was read before: whole rows, or bytes.
        after: String,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },

    /// A gzip file that ends too early or is damaged.
    #[error("{}: the gzip data is truncated or damaged after {after} ({cause}); copy or download it again",
            .path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What was read before: whole rows, or bytes.
        after: String,
        /// What the decoder said.
        #[source]
        cause: io::Error,
    },

    /// A file without rows.
    #[error("{}: the file holds no rows; copy or download it again", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },

    /// A file whose text never seems to end.
    #[error("{}: stopped after {limit} bytes of text and {rows} rows; split the file, or check that it is data",
            .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of text that are accepted.
        limit: u64,
        /// Whole rows that were read before.
        rows: usize,
    },

    /// A line too long to be a row.
    #[error("{}, line {line}: the line is longer than {limit} bytes; write one row of values a line",
            .path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Bytes that are accepted in a line.
        limit: u64,
    },

    /// More values than are accepted.
    #[error("{}: more than {limit} values after {rows} rows; split the file, or check that it is data", .path.display())]
    TooManyValues {
        /// The file.
        path: PathBuf,
        /// Values that are accepted.
        limit: usize,
        /// Whole rows that were read before.
        rows: usize,
    },

    /// A value in a text that is not one of those wanted.
    #[error("{}, line {line}, column {column}: found `{value}` where {wanted} is wanted, {separators}; {}",
            .path.display(), advice(.wanted))]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The number of the value in its row, from 1.
        column: usize,
        /// What was found, cut short if it is long.
        value: String,
        /// What is wanted there.
        wanted: &'static str,
        /// How the values of this format are separated.
        separators: &'static str,
    },

    /// An integer in a text that may be a byte, a label or a count.
    #[error("{}, line {line}, column {column}: found `{value}` where a number in [0, 1] is wanted, or bytes \
             throughout; {advice}", .path.display())]
    NoByte {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The number of the value in its row, from 1.
        column: usize,
        /// What was found.
        value: String,
        /// Why it is not taken for a byte, and what to do.
        advice: String,
    },

    /// A file whose bytes are not what its format asks for.
    #[error("{}: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found, what is wanted and what to do.
        problem: String,
    },

    /// A row with too few or too many values.
    #[error("{}, line {line}: found {found} values where {expected} are wanted; the file may be cut off, \
             or be another data set's", .path.display())]
    RowLength {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Values found.
        found: usize,
        /// Values wanted: the protocol's, or those of the file's first row.
        expected: usize,
    },

    /// A file with too few or too many rows for its protocol.
    #[error("{}: found {found} rows where {protocol} has {expected}; use the original file, or name \
             your own as file:TRAIN[,VALID[,TEST]]", .path.display())]
    RowCount {
        /// The file.
        path: PathBuf,
        /// The protocol, `id@version`.
        protocol: String,
        /// Rows found.
        found: usize,
        /// Rows of the protocol.
        expected: usize,
    },

    /// A user's files that do not fit together.
    #[error("{}: rows of {found} values, but those of {} have {expected}; give files of the same width",
            .path.display(), .train.display())]
    Widths {
        /// The file.
        path: PathBuf,
        /// Values in its rows.
        found: usize,
        /// The training file.
        train: PathBuf,
        /// Values in the rows of the training file.
        expected: usize,
    },

    /// A user's files whose headers do not agree.
    #[error("{}: {what} {column} is `{found}`, and in {} it is `{expected}`; give files with the same columns in \
             the same order", .path.display(), .train.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// `column` or `target`.
        what: &'static str,
        /// The number of the column among those of values, or of targets, from 1.
        column: usize,
        /// Its name.
        found: String,
        /// The training file.
        train: PathBuf,
        /// The name of that column of the training file.
        expected: String,
    },

    /// Too few rows to hold some out.
    #[error("{}: {rows} row is too few to hold validation rows out; add rows, or name a file of \
             validation rows as file:TRAIN,VALID", .path.display())]
    TooFewRows {
        /// The training file.
        path: PathBuf,
        /// Its rows.
        rows: usize,
    },

    /// A user's files that hold values of different kinds.
    #[error("{}: {found} values, but those of {} are {expected}; give files of one kind", .path.display(), .train.display())]
    Kinds {
        /// The file.
        path: PathBuf,
        /// The kind of its values.
        found: ValueKind,
        /// The training file.
        train: PathBuf,
        /// The kind of the values of the training file.
        expected: ValueKind,
    },

    /// A user's files that do not have the same number of targets.
    #[error("{}: {found} targets a row, but the rows of {} have {expected}; ask for the same #target= of every file",
            .path.display(), .train.display())]
    Targets {
        /// The file.
        path: PathBuf,
        /// Targets of its rows.
        found: usize,
        /// The training file.
        train: PathBuf,
        /// Targets of the rows of the training file.
        expected: usize,
    },

    /// A class that the training rows do not have.
    #[error(
        "{id}: row {row} of the {split} split has the label {label}, which is none of the {classes} classes of \
             the training rows; leave the row out, or add rows of its class to the training split"
    )]
    UnknownLabel {
        /// The id of the data set.
        id: String,
        /// The split.
        split: SplitName,
        /// The row in the split, from 1.
        row: usize,
        /// Its label.
        label: i32,
        /// Classes of the training rows.
        classes: usize,
    },

    /// Files that are well formed and hold other values than the protocol's.
    #[error(
        "{protocol}: the {what} have sha256 {found}, those of the protocol {expected}; a file is damaged \
             or another data set's: use the original files ({files}), or name your own variant as file:TRAIN,VALID,TEST"
    )]
    OtherValues {
        /// The protocol, `id@version`.
        protocol: String,
        /// `values` or `labels`.
        what: &'static str,
        /// The hash of the protocol.
        expected: &'static str,
        /// The hash of the values found.
        found: String,
        /// The files that were read, those first that are not the original ones.
        files: String,
    },

    /// A generator that does not draw the protocol's values.
    #[error(
        "{protocol}: this build draws values with data_sha256 {found} where the protocol has {expected}; \
             results would not compare, so please report it together with the platform"
    )]
    OtherDraws {
        /// The protocol, `id@version`.
        protocol: String,
        /// The hash of the protocol.
        expected: &'static str,
        /// The hash of the values drawn.
        found: String,
    },
}

impl DataError {
    /// A file whose bytes are not what its format asks for.
    pub(crate) fn malformed(path: &Path, problem: String) -> Self {
        DataError::Malformed { path: path.to_owned(), problem }
    }

    /// What is wanted of a value.
    pub(crate) fn wanted(binary: bool) -> &'static str {
        if binary { BIT } else { UNIT }
    }
}

const BIT: &str = "0 or 1";
const UNIT: &str = "a number in [0, 1]";

/// What to do about a value that is not the one wanted.
fn advice(wanted: &str) -> &'static str {
    match wanted {
        BIT => "binarize the values first",
        UNIT => "rescale or clean the values first",
        _ => "correct the line",
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path: &PathBuf| Path::display(path).to_string()).collect();
    paths.join(", ")
}
