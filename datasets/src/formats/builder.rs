//! Collects rows of text into a split, which stays binary until a row holds another value than 0 and 1.

use std::path::Path;

use crate::error::DataError;
use crate::formats::room;
use crate::formats::wanted::{Expected, Limits};
use crate::split::Split;

/// The rows read so far.
pub(crate) struct Builder<'a> {
    path: &'a Path,
    expected: Option<&'a Expected>,
    limits: &'a Limits,
    pub(crate) width: Option<usize>,
    values: Gathered,
    /// One byte per value, 0 where it is missing, up to the last row with a missing value.
    mask: Vec<u8>,
    pub(crate) n_rows: usize,
}

/// Values so far. The first row with other values than 0 and 1 turns them into real numbers or bytes.
enum Gathered {
    Binary(Vec<u8>),
    Grey(Vec<u8>),
    Real(Vec<f32>),
}

impl<'a> Builder<'a> {
    pub(crate) fn new(path: &'a Path, expected: Option<&'a Expected>, limits: &'a Limits) -> Self {
        let capacity = expected.map_or(0, |expected| expected.rows * expected.width);
        let width = expected.map(|expected| expected.width);
        Builder {
            path,
            expected,
            limits,
            width,
            values: Gathered::Binary(Vec::with_capacity(capacity)),
            mask: Vec::new(),
            n_rows: 0,
        }
    }

    /// Adds a row of zeros and ones from line `line`.
    pub(crate) fn push_bits(&mut self, line: usize, row: &[u8]) -> Result<(), DataError> {
        if self.admit(line, row.len())? {
            let room = match &mut self.values {
                Gathered::Binary(values) | Gathered::Grey(values) => {
                    room::more_room(values, row.len()).map(|()| values.extend_from_slice(row))
                }
                Gathered::Real(values) => room::more_room(values, row.len())
                    .map(|()| values.extend(row.iter().map(|value| f32::from(*value)))),
            };
            room.map_err(|problem| DataError::malformed(self.path, problem))?;
        }
        Ok(())
    }

    /// Adds a row from line `line`: numbers in [0, 1], or NaN where a value is missing.
    pub(crate) fn push(&mut self, line: usize, row: &[f32]) -> Result<(), DataError> {
        let start = self.values.len();
        if row.iter().all(|value| *value == 0.0 || *value == 1.0 || value.is_nan()) {
            self.push_bits(line, &bytes_of(row))?;
        } else if self.admit(line, row.len())? {
            self.push_real(row).map_err(|problem| DataError::malformed(self.path, problem))?;
        }
        self.mark_missing(start, row)
    }

    /// Records which values are missing in the row that begins at `start`, if its values were kept.
    fn mark_missing(&mut self, start: usize, row: &[f32]) -> Result<(), DataError> {
        if self.values.len() > start && row.iter().any(|value| value.is_nan()) {
            let new = self.values.len() - self.mask.len();
            room::more_room(&mut self.mask, new)
                .map_err(|problem| DataError::malformed(self.path, problem))?;
            self.mask.resize(start, 1);
            self.mask.extend(row.iter().map(|value| u8::from(!value.is_nan())));
        }
        Ok(())
    }

    fn push_real(&mut self, row: &[f32]) -> Result<(), String> {
        if let Gathered::Binary(values) = &self.values {
            let mut real = room::with_room(values.len() + row.len())?;
            real.extend(values.iter().map(|value| f32::from(*value)));
            self.values = Gathered::Real(real);
        }
        if let Gathered::Real(values) = &mut self.values {
            room::more_room(values, row.len())?;
            values.extend(row.iter().map(|value| if value.is_nan() { 0.0 } else { *value }));
        }
        Ok(())
    }

    /// Adds a row of bytes that stand for v / 255, or NaN where a value is missing. No row of real numbers may come
    /// before or after it.
    pub(crate) fn push_bytes(&mut self, line: usize, row: &[f32]) -> Result<(), DataError> {
        if let Gathered::Binary(values) = &mut self.values {
            self.values = Gathered::Grey(std::mem::take(values));
        }
        let start = self.values.len();
        self.push_bits(line, &bytes_of(row))?;
        self.mark_missing(start, row)
    }

    /// The values so far, if they are bytes.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.values {
            Gathered::Grey(values) => Some(values),
            _ => None,
        }
    }

    /// Checks the length of a row and the limit; true if its values are to be kept. Rows beyond those of the protocol
    /// are counted for the message and not kept.
    fn admit(&mut self, line: usize, found: usize) -> Result<bool, DataError> {
        let expected = *self.width.get_or_insert(found);
        if expected != found {
            return Err(DataError::RowLength { path: self.path.to_owned(), line, found, expected });
        }
        self.n_rows += 1;
        // A row counts even if it has only a label and no values.
        if self.n_rows.saturating_mul(expected.max(1)) > self.limits.values && self.expected.is_none() {
            let (path, limit) = (self.path.to_owned(), self.limits.values);
            return Err(DataError::TooManyValues { path, limit, rows: self.n_rows - 1 });
        }
        Ok(self.expected.is_none_or(|expected| self.n_rows <= expected.rows))
    }

    /// The split, when there are no more rows.
    pub(crate) fn finish(self) -> Result<Split, DataError> {
        let path = self.path.to_owned();
        let (Some(width @ 1..), 1..) = (self.width, self.n_rows) else {
            return Err(DataError::Empty { path });
        };
        if let Some(Expected { protocol, rows, .. }) =
            self.expected.filter(|wanted| wanted.rows != self.n_rows)
        {
            return Err(DataError::RowCount {
                path,
                protocol: protocol.clone(),
                found: self.n_rows,
                expected: *rows,
            });
        }
        let (n, mut mask) = (self.values.len(), self.mask);
        if !mask.is_empty() {
            let new = n - mask.len();
            room::more_room(&mut mask, new).map_err(|problem| DataError::malformed(&path, problem))?;
            mask.resize(n, 1);
        }
        let mask = (!mask.is_empty()).then_some(mask);
        let split = match self.values {
            Gathered::Binary(values) => Split::new(self.n_rows, width, values),
            Gathered::Grey(values) => Split::grey(self.n_rows, width, values),
            Gathered::Real(values) => Split::real(self.n_rows, width, values),
        };
        Ok(split.with_mask(mask))
    }
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Gathered::Binary(values) | Gathered::Grey(values) => values.len(),
            Gathered::Real(values) => values.len(),
        }
    }
}

/// Converts whole numbers to bytes; NaN becomes 0.
fn bytes_of(row: &[f32]) -> Vec<u8> {
    row.iter().map(|value| *value as u8).collect()
}

/// Whether a value is written as missing: `nan`, in upper or lower case, with or without a sign.
pub(crate) fn is_missing(token: &[u8]) -> bool {
    let unsigned = token.strip_prefix(b"-").or(token.strip_prefix(b"+")).unwrap_or(token);
    unsigned.eq_ignore_ascii_case(b"nan")
}

/// Parses a number in [0, 1] in any spelling; `-0` is 0.
pub(crate) fn unit_number(token: &[u8]) -> Option<f32> {
    match token {
        b"0" => return Some(0.0),
        b"1" => return Some(1.0),
        _ => {}
    }
    let number: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    // The conversion to f32 can round it to 0 or 1, and never leaves the interval.
    (0.0..=1.0).contains(&number).then(|| (number as f32).abs())
}

/// Parses an integer in any spelling; `3.0` is 3.
pub(crate) fn integer(token: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(token).ok()?;
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    let number: f64 = text.parse().ok()?;
    (number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX)).then_some(number as i32)
}

/// A value for a message: escaped, and shortened to 24 characters.
pub(crate) fn shown(token: &[u8]) -> String {
    let text = String::from_utf8_lossy(&token[..token.len().min(100)]);
    let mut shown: String = text.chars().take(24).flat_map(char::escape_debug).collect();
    if text.chars().nth(24).is_some() {
        shown.push('…');
    }
    shown
}
