//! The records of a text, within limits.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::rc::Rc;

use crate::error::DataError;
use crate::formats::source;
use crate::formats::wanted::Limits;

/// Bytes that are read at a time.
const CAPACITY: u64 = 1 << 16;

/// The records of a text, within limits.
pub(super) struct Records<'a, R> {
    path: &'a Path,
    reader: ::csv::Reader<Bounded<'a, R>>,
    record: ::csv::ByteRecord,
    start: Rc<Cell<u64>>,
}

impl<'a, R: BufRead> Records<'a, R> {
    pub(super) fn new(path: &'a Path, text: &'a mut R, limits: &Limits) -> Self {
        let start = Rc::new(Cell::new(0));
        let capacity = limits.line.min(CAPACITY);
        let text = Bounded { text, limits: *limits, capacity, read: 0, record_start: start.clone() };
        let mut builder = ::csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).buffer_capacity(capacity as usize);
        Records { path, reader: builder.from_reader(text), record: ::csv::ByteRecord::new(), start }
    }

    /// The next record with its line; `rows` is the number of rows so far, for messages.
    pub(super) fn next(&mut self, rows: usize) -> Result<Option<(usize, &::csv::ByteRecord)>, DataError> {
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| failed(self.path, rows, error))? {
            return Ok(None);
        }
        self.start.set(self.reader.position().byte());
        let line = self.record.position().map_or(0, |position| position.line() as usize);
        Ok(Some((line, &self.record)))
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
        // Not expected: any bytes and records of any length are accepted.
        other => DataError::malformed(path, format!("{other:?}")),
    }
}

/// A text of limited length, with records of limited length. Otherwise a record with an opening quote and no closing
/// quote would grow to the end of the text.
struct Bounded<'a, R> {
    text: &'a mut R,
    limits: Limits,
    /// Bytes that the reader requests at a time, and may hold beyond the current record.
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
