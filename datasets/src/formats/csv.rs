//! The reader of `.csv` files.
//!
//! If the first record holds anything but numbers it is a header; a column that it calls `label`,
//! in any case of letters, holds classes and is no part of the rows.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::rc::Rc;

use crate::formats::builder::{Builder, shown, unit_number};
use crate::formats::{Limits, Wanted, source};
use crate::{DataError, Split};

/// Bytes that are read at a time.
const CAPACITY: u64 = 1 << 16;
const SEPARATED: &str = "values separated by commas";

/// Reads the records of a file. Without expectations the first sets the width.
pub(crate) fn read(path: &Path, text: &mut impl BufRead, wanted: &Wanted) -> Result<Split, DataError> {
    let limits = &wanted.limits;
    let record_start = Rc::new(Cell::new(0));
    let capacity = limits.line.min(CAPACITY);
    let text = Bounded { text, limits: *limits, capacity, read: 0, record_start: record_start.clone() };
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(capacity as usize)
        .from_reader(text);
    let mut builder = Builder::new(path, wanted.expected.as_ref(), limits);
    let (mut record, mut row, mut labels) = (::csv::ByteRecord::new(), vec![], vec![]);
    let (mut first, mut header) = (true, None::<Header>);
    loop {
        let more =
            reader.read_byte_record(&mut record).map_err(|error| failed(path, builder.n_rows, error))?;
        if !more {
            break;
        }
        record_start.set(reader.position().byte());
        let line = record.position().map_or(0, |position| position.line() as usize);
        if first {
            first = false;
            header = Header::of(&record);
            if header.is_some() {
                continue;
            }
        }
        if let Some(Header { n_fields, .. }) = &header
            && *n_fields != record.len()
        {
            let problem =
                format!("line {line}: found {} values where the header has {n_fields}", record.len());
            return Err(DataError::malformed(path, problem));
        }
        let label_column = header.as_ref().and_then(|header| header.label);
        row.clear();
        for (i, field) in record.iter().enumerate() {
            let field = field.trim_ascii();
            if label_column == Some(i) {
                let label = std::str::from_utf8(field).ok().and_then(|text| text.parse().ok());
                labels.push(label.ok_or_else(|| value(path, line, i + 1, field, "an integer label"))?);
                continue;
            }
            let binary = wanted.expected.is_some();
            let number = unit_number(field).filter(|number| !binary || *number == 0.0 || *number == 1.0);
            row.push(number.ok_or_else(|| value(path, line, i + 1, field, DataError::wanted(binary)))?);
        }
        builder.push(line, &row)?;
    }
    let split = builder.finish()?;
    let labels = (labels.len() == split.rows()).then_some(labels);
    Ok(split.with_labels(labels))
}

/// A first record that is no row.
struct Header {
    n_fields: usize,
    /// The column of labels.
    label: Option<usize>,
}

impl Header {
    /// The header, if a field is neither a number nor empty: numbers with a hole are a broken row.
    fn of(record: &::csv::ByteRecord) -> Option<Self> {
        let is_number =
            |field: &[u8]| std::str::from_utf8(field).is_ok_and(|text| text.parse::<f64>().is_ok());
        let is_name = |field: &[u8]| !field.trim_ascii().is_empty() && !is_number(field.trim_ascii());
        let is_label = |field: &[u8]| field.trim_ascii().eq_ignore_ascii_case(b"label");
        record
            .iter()
            .any(is_name)
            .then(|| Header { n_fields: record.len(), label: record.iter().position(is_label) })
    }
}

fn value(path: &Path, line: usize, column: usize, field: &[u8], wanted: &'static str) -> DataError {
    DataError::Value {
        path: path.to_owned(),
        line,
        column,
        value: shown(field),
        wanted,
        separators: SEPARATED,
    }
}

fn failed(path: &Path, rows: usize, error: ::csv::Error) -> DataError {
    match error.into_kind() {
        ::csv::ErrorKind::Io(cause) => match cause.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(TooLong::Record { limit }) => {
                DataError::LineTooLong { path: path.to_owned(), line: rows + 1, limit: *limit }
            }
            Some(TooLong::Text { limit }) => {
                DataError::TooLarge { path: path.to_owned(), limit: *limit, rows }
            }
            None => source::failed(path, format!("{rows} rows"), cause),
        },
        // Bytes are never refused, and records may be of any length.
        other => DataError::malformed(path, format!("{other:?}")),
    }
}

/// A text of limited length, with records of limited length: one that is opened by a quote and never
/// closed would otherwise grow to the end of the text.
struct Bounded<'a, R> {
    text: &'a mut R,
    limits: Limits,
    /// Bytes that the reader asks for at a time, and may hold beyond the current record.
    capacity: u64,
    read: u64,
    /// Where the current record starts.
    record_start: Rc<Cell<u64>>,
}

#[derive(Debug, thiserror::Error)]
#[error("too long")]
enum TooLong {
    Record { limit: u64 },
    Text { limit: u64 },
}

impl<R: BufRead> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.text.read(buffer)?;
        self.read += n as u64;
        let Limits { bytes, line, .. } = self.limits;
        if self.read > bytes {
            return Err(io::Error::other(TooLong::Text { limit: bytes }));
        }
        if self.read - self.record_start.get() > line.saturating_add(self.capacity) {
            return Err(io::Error::other(TooLong::Record { limit: line }));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Expected;

    fn read_text(text: &str, wanted: &Wanted) -> Result<Split, String> {
        read(Path::new("a.csv"), &mut text.as_bytes(), wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn records_are_rows_with_or_without_a_header_and_labels() {
        let rows = Split::new(2, 2, vec![0, 1, 1, 1]);
        for text in ["0,1\n1,1\n", "a,b\n0, 1\r\n1,1.0", "\"a, or\",b\n\"0\",1\n1,1\n"] {
            assert_eq!(read_text(text, &Wanted::default()).unwrap(), rows, "{text:?}");
        }
        let labelled = read_text("x,Label,y\n0,7,1\n1,-2,1\n", &Wanted::default()).unwrap();
        assert_eq!(labelled, rows.with_labels(Some(vec![7, -2])));
        let real = read_text("0.25,1\n", &Wanted::default()).unwrap();
        assert_eq!(real, Split::real(1, 2, vec![0.25, 1.0]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let expected = Expected { protocol: "a/b@1".into(), rows: 1, width: 2 };
        let binary = Wanted { expected: Some(expected), ..Wanted::default() };
        let short = Wanted { limits: Limits { line: 10, ..Limits::default() }, ..Wanted::default() };
        let small = Wanted { limits: Limits { bytes: 10, ..Limits::default() }, ..Wanted::default() };
        let few = Wanted { limits: Limits { values: 2, ..Limits::default() }, ..Wanted::default() };
        let free = Wanted::default();
        for (text, wanted, part) in [
            ("a,b\n0,1\n0,2\n", &free, "a.csv, line 3, column 2: found `2` where a number in [0, 1]"),
            ("0,1\n0\n", &free, "line 2: found 1 values where 2"),
            ("0,1\n0,\n", &free, "line 2, column 2: found ``"),
            ("0,,1\n", &free, "line 1, column 2: found ``"),
            ("label,b\nx,1\n", &free, "line 2, column 1: found `x` where an integer label"),
            ("a,b\n", &free, "holds no rows"),
            ("label\n1\n2\n3\n", &few, "more than 2 values after 2 rows"),
            ("0,0.5\n", &binary, "found `0.5` where 0 or 1"),
            ("0,1\n0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n", &short, "longer than 10 bytes"),
            ("0,1\n\"0\n1\n0\n1\n0\n1\n0\n1\n0\n1\n0\n1\n0\n1\n", &short, "longer than 10 bytes"),
            ("a,b,c\n0,1\n", &free, "line 2: found 2 values where the header has 3"),
            ("0,1\n0,1\n0,1\n", &small, "stopped after 10 bytes"),
        ] {
            let error = read_text(text, wanted).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
