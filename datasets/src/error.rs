//! Errors of data: each says what is wrong, where, what was found, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::{SplitName, ValueKind};

/// Why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No protocol has this id.
    #[error("there is no data set `{id}`{hint}; the data sets are {known} and file:TRAIN[,VALID[,TEST]]")]
    UnknownId {
        /// The requested id.
        id: String,
        /// ` (did you mean ...?)` or empty.
        hint: String,
        /// The ids of the catalogue.
        known: String,
    },

    /// A `file:` id that does not name one to three files.
    #[error("`{id}` {problem}; write file:TRAIN[,VALID[,TEST]], with paths separated by commas")]
    FileId {
        /// The requested id.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// Files of a protocol are missing.
    #[error("{protocol} needs {}; {advice}", listed(.paths))]
    Missing {
        /// The protocol, `id@version`.
        protocol: String,
        /// The missing files.
        paths: Vec<PathBuf>,
        /// Where to get them and where to put them.
        advice: String,
    },

    /// A user's file is missing.
    #[error("there is no file {}; relative paths start from --data-dir if it is given, else from the current \
             directory", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },

    /// The name of a file does not say its format.
    #[error("{}: the format is not known from the name; use one of .amat (values separated by spaces), \
             .data (by commas), .csv, .libsvm, .idx or -ubyte, .npy, .npz and .mat, each also with .gz",
            .path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },

    /// A path is a directory, a device or a pipe.
    #[error("{}: is {found} and not a file; give the path of a file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },

    /// The operating system failed to read a file.
    #[error("{}: cannot be read after {after} ({cause}); check the path and its permissions", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What was read before the error: whole rows, or bytes.
        after: String,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },

    /// A gzip file ends too early or is damaged.
    #[error("{}: the gzip data is truncated or damaged after {after} ({cause}); copy or download it again",
            .path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What was read before the error: whole rows, or bytes.
        after: String,
        /// What the decoder said.
        #[source]
        cause: io::Error,
    },

    /// A file has no rows.
    #[error("{}: the file holds no rows; copy or download it again", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },

    /// A file has more text than the limit.
    #[error("{}: stopped after {limit} bytes of text and {rows} rows; split the file, or check that it is data",
            .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes of text.
        limit: u64,
        /// Whole rows that were read before the error.
        rows: usize,
    },

    /// A line is too long to be a row.
    #[error("{}, line {line}: the line is longer than {limit} bytes; write one row of values per line",
            .path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The limit, in bytes of a line.
        limit: u64,
    },

    /// A file has more values than the limit.
    #[error("{}: more than {limit} values after {rows} rows; split the file, or check that it is data",
            .path.display())]
    TooManyValues {
        /// The file.
        path: PathBuf,
        /// The limit, in values.
        limit: usize,
        /// Whole rows that were read before the error.
        rows: usize,
    },

    /// A value in a text file is not of the expected kind.
    #[error("{}, line {line}, column {column}: found `{value}` where {wanted} is expected, with {separators}; {}",
            .path.display(), advice(.wanted))]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The number of the value in its row, from 1.
        column: usize,
        /// What was found, shortened if it is long.
        value: String,
        /// What is expected there.
        wanted: &'static str,
        /// How the values of this format are separated.
        separators: &'static str,
    },

    /// An integer in a text file may be a byte, a label or a count.
    #[error("{}, line {line}, column {column}: found `{value}`, which is not in [0, 1] and may be a byte, a label \
             or a count; {advice}", .path.display())]
    NoByte {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The number of the value in its row, from 1.
        column: usize,
        /// What was found.
        value: String,
        /// Why it is not read as a byte, and what to do.
        advice: String,
    },

    /// The bytes of a file are not what its format requires.
    #[error("{}: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found, what is expected and what to do.
        problem: String,
    },

    /// A row has too few or too many values.
    #[error("{}, line {line}: found {found} values where {expected} are expected; the file may be cut off \
             or belong to another data set", .path.display())]
    RowLength {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Values found.
        found: usize,
        /// Values expected: those of the protocol, or of the file's first row.
        expected: usize,
    },

    /// A file has too few or too many rows for its protocol.
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

    /// A user's files have rows of different widths.
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

    /// The headers of a user's files differ.
    #[error("{}: {what} {column} is `{found}`, and in {} it is `{expected}`; give files with the same columns in \
             the same order", .path.display(), .train.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// `column` or `target`.
        what: &'static str,
        /// The number of the column among the columns of values, or of targets, from 1.
        column: usize,
        /// Its name.
        found: String,
        /// The training file.
        train: PathBuf,
        /// The name of that column in the training file.
        expected: String,
    },

    /// A file has too few rows to hold some out.
    #[error("{}: {rows} row is too few to hold validation rows out; add rows, or name a file of \
             validation rows as file:TRAIN,VALID", .path.display())]
    TooFewRows {
        /// The training file.
        path: PathBuf,
        /// Its rows.
        rows: usize,
    },

    /// A user's files hold values of different kinds.
    #[error("{}: {found} values, but those of {} are {expected}; give files of one kind",
            .path.display(), .train.display())]
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

    /// A user's files have different numbers of targets.
    #[error("{}: {found} targets per row, but the rows of {} have {expected}; give every file the same #target=",
            .path.display(), .train.display())]
    Targets {
        /// The file.
        path: PathBuf,
        /// Targets per row of it.
        found: usize,
        /// The training file.
        train: PathBuf,
        /// Targets per row of the training file.
        expected: usize,
    },

    /// A label occurs in no training row.
    #[error(
        "{id}: row {row} of the {split} split has the label {label}, which is not one of the {classes} classes of \
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
        /// Number of classes of the training rows.
        classes: usize,
    },

    /// The files are well formed, but hold other values than the protocol's.
    #[error(
        "{protocol}: the {what} have sha256 {found}, but those of the protocol have {expected}; a file is damaged \
             or belongs to another data set: use the original files ({files}), or name your own variant as \
             file:TRAIN,VALID,TEST"
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
        /// The files that were read; those that are not original come first.
        files: String,
    },

    /// A generator draws other values than the protocol's.
    #[error(
        "{protocol}: this build draws values with data_sha256 {found}, but the protocol has {expected}; \
             results would not be comparable, so please report this together with your platform"
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
    /// The bytes of a file are not what its format requires.
    pub(crate) fn malformed(path: &Path, problem: String) -> Self {
        DataError::Malformed { path: path.to_owned(), problem }
    }

    /// What is expected of a value.
    pub(crate) fn wanted(binary: bool) -> &'static str {
        if binary { BIT } else { UNIT }
    }
}

const BIT: &str = "0 or 1";
const UNIT: &str = "a number in [0, 1]";

/// What to do about a value that is not of the expected kind.
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
