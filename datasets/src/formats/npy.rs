//! The reader of `.npy` files: one NumPy array.
//!
//! The header is parsed by hand: it cannot be trusted until it is checked, and existing parsers of Python literals
//! trust its length and multiply its shape without a check.
//!
//! # Reference
//! NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".

use crate::formats::array::{Array, Number};
use crate::formats::axes::AxisOrder;
use crate::formats::wanted::{Limits, Table, Wanted};
use crate::source_file::Note;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header of an array of numbers takes about a hundred bytes; NumPy itself does not trust more than 10 000.
const MAX_HEADER: usize = 10_000;

/// Reads the rows of an array along the axis that its shape or the user gives.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Table, String> {
    let (split, doubt) = array(bytes)?.laid_out(wanted.rows, &wanted.limits)?;
    Ok(Table { notes: doubt.into_iter().map(Note::doubt).collect(), ..split.into() })
}

/// Reads the numbers of a file that holds a list of little-endian doubles.
///
/// # Errors
/// If the file is malformed or holds another kind of array; the error says what is wrong.
pub fn doubles(bytes: &[u8]) -> Result<Vec<f64>, String> {
    let array = array(bytes)?;
    if (array.axes.len(), array.number, array.big_endian) != (1, Number::Float { bytes: 8 }, false) {
        return Err("it holds another array than a list of little-endian doubles ('<f8')".to_owned());
    }
    array.numbers()
}

/// Number of bytes of the file according to its header; an error if the header is malformed.
pub(crate) fn promised(start: &[u8], limits: &Limits) -> Result<u64, String> {
    let Array { axes, number, data, .. } = array(start)?;
    let n = axes.iter().try_fold(1usize, |n, axis| n.checked_mul(*axis)).filter(|n| *n <= limits.values);
    let n = n.ok_or_else(|| {
        format!("the values of an array of shape {axes:?} are more than {}; split the file", limits.values)
    })?;
    Ok((start.len() - data.len()) as u64 + n as u64 * number.bytes() as u64)
}

/// Reads the array of a file.
pub(crate) fn array(bytes: &[u8]) -> Result<Array<'_>, String> {
    let cut_off = || "the header is cut off; copy or download it again".to_owned();
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("it does not start with the magic number of .npy; check that it is one")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut_off)?;
    let (length, rest) = match version {
        [1, 0] => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut_off)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        [2 | 3, 0] => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        [major, minor] => {
            return Err(format!("version {major}.{minor} of .npy is not known; save it with np.save"));
        }
    };
    if length > MAX_HEADER {
        return Err(format!(
            "a header of {length} bytes, but that of an array of numbers has at most {MAX_HEADER}"
        ));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    let header = std::str::from_utf8(header).map_err(|_| "the header is not text".to_owned())?;
    let Header { descr, fortran_order, shape } = Header::parse(header)?;
    let (number, big_endian) = number(&descr)?;
    let order = if fortran_order { AxisOrder::ColumnMajor } else { AxisOrder::RowMajor };
    let integers = !matches!(number, Number::Float { .. });
    Ok(Array { axes: shape, order, number, big_endian, integers, data })
}

/// The number type that a descriptor such as `<f4` stands for, and whether it is big-endian.
fn number(descr: &str) -> Result<(Number, bool), String> {
    let unknown =
        || format!("numbers of the type '{descr}' are not supported; save as uint8, float32 or float64");
    let mut letters = descr.chars();
    let big_endian = match letters.next() {
        Some('<' | '|') => false,
        Some('>') => true,
        _ => return Err(unknown()),
    };
    let number = match letters.as_str() {
        "b1" => Number::Bool,
        "u1" => Number::Int { bytes: 1, signed: false },
        "u2" => Number::Int { bytes: 2, signed: false },
        "u4" => Number::Int { bytes: 4, signed: false },
        "u8" => Number::Int { bytes: 8, signed: false },
        "i1" => Number::Int { bytes: 1, signed: true },
        "i2" => Number::Int { bytes: 2, signed: true },
        "i4" => Number::Int { bytes: 4, signed: true },
        "i8" => Number::Int { bytes: 8, signed: true },
        "f4" => Number::Float { bytes: 4 },
        "f8" => Number::Float { bytes: 8 },
        _ => return Err(unknown()),
    };
    Ok((number, big_endian))
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let malformed = || "the header is not a dictionary of descr, fortran_order and shape".to_owned();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{').ok_or_else(malformed)?.trim_start();
        while !rest.starts_with('}') {
            let (key, after) = quoted(rest).ok_or_else(malformed)?;
            let value = after.trim_start().strip_prefix(':').ok_or_else(malformed)?.trim_start();
            let after = match key {
                "descr" if value.starts_with('[') => {
                    return Err("it holds records, not numbers; save one plain array".to_owned());
                }
                "descr" => {
                    let (name, after) = quoted(value).ok_or_else(malformed)?;
                    descr = Some(name.to_owned());
                    after
                }
                "fortran_order" => {
                    let [yes, no] = ["True", "False"].map(|word| value.strip_prefix(word));
                    fortran_order = Some(yes.is_some());
                    yes.or(no).ok_or_else(malformed)?
                }
                "shape" => {
                    let (list, after) = value
                        .strip_prefix('(')
                        .and_then(|value| value.split_once(')'))
                        .ok_or_else(malformed)?;
                    let lengths = list.split(',').map(str::trim).filter(|length| !length.is_empty());
                    // Python 2 wrote long integers with an L.
                    let lengths = lengths.map(|length| length.strip_suffix('L').unwrap_or(length).parse());
                    shape = Some(lengths.collect::<Result<_, _>>().map_err(|_| malformed())?);
                    after
                }
                _ => return Err(malformed()),
            };
            let after = after.trim_start();
            rest = after.strip_prefix(',').unwrap_or(after).trim_start();
            if rest.is_empty() {
                return Err(malformed());
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Header { descr, fortran_order, shape }),
            _ => Err(malformed()),
        }
    }
}

/// A string in quotes at the start of `text`, and the text after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    /// What `np.save` writes.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read(header: &str, data: &[u8]) -> Result<Split, String> {
        parse(&file(header, data), &Wanted::default()).map(|table| table.split)
    }

    #[test]
    fn arrays_in_either_order_of_bytes_and_axes_are_read() {
        let rows = Split::real(2, 2, vec![0.0, 0.25, 1.0, 0.5]);
        let (c, f) = ([0.0f32, 0.25, 1.0, 0.5], [0.0f32, 1.0, 0.25, 0.5]);
        for (header, data) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }   \n", c.map(f32::to_le_bytes)),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (2L, 2L)}", c.map(f32::to_be_bytes)),
            ("{\"shape\": (2, 2), \"fortran_order\": True, \"descr\": \"<f4\"}\n", f.map(f32::to_le_bytes)),
        ] {
            assert_eq!(read(header, data.as_flattened()).unwrap(), rows, "{header}");
        }
    }

    #[test]
    fn a_list_of_doubles_is_read_to_the_bit_and_nothing_else_is() {
        let values = [1.0, -0.1, f64::INFINITY];
        let head = |descr: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
        };
        let bytes = file(&head("<f8", "(3,)"), values.map(f64::to_le_bytes).as_flattened());
        assert_eq!(doubles(&bytes).unwrap(), values);
        for end in [0, 9, 10, bytes.len() - 24, bytes.len() - 1] {
            assert!(doubles(&bytes[..end]).is_err(), "{end}");
        }
        for (descr, shape) in [("<f8", "(1, 3)"), ("<i8", "(3,)"), (">f8", "(3,)"), ("<f4", "(6,)")] {
            let other = file(&head(descr, shape), &bytes[bytes.len() - 24..]);
            assert!(doubles(&other).unwrap_err().contains("another array"), "{descr} {shape}");
        }
    }

    #[test]
    fn headers_are_checked_before_they_are_believed() {
        let head = |descr: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
        };
        for (header, part) in [
            (head("<f2", "(1, 1)"), "'<f2' are not supported"),
            (head("|O", "(1, 1)"), "'|O' are not supported"),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1)}".to_owned(),
                "holds records",
            ),
            (head("|u1", "(1, -1)"), "not a dictionary"),
            (head("|u1", "(99999999999999999999, 1)"), "not a dictionary"),
            (head("|u1", "(18446744073709551615, 3)"), "are more than"),
            (head("|u1", "()"), "an array of shape []"),
            (head("|u1", "(2, 1)"), "takes 2 bytes, but 1 follow"),
            ("{'descr': '|u1', 'fortran_order': False}".to_owned(), "not a dictionary"),
            ("{'descr': '|u1', 'fortran_order': Maybe, 'shape': (1, 1)}".to_owned(), "not a dictionary"),
            ("{".to_owned(), "not a dictionary"),
            ("(".repeat(9000), "not a dictionary"),
            (" ".repeat(10_001), "a header of 10001 bytes"),
        ] {
            let error = read(&header, &[0]).unwrap_err();
            assert!(error.contains(part), "{header:.60}: {error}");
        }
        for (shape, part) in [("(2, 3, 4)", Ok(24)), ("(65536, 65536)", Err("are more than 2147483648"))] {
            let bytes = file(&head("<f4", shape), &[0; 3]);
            match (promised(&bytes, &Limits::default()), part) {
                (Ok(found), Ok(values)) => assert_eq!(found as usize, bytes.len() - 3 + 4 * values),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (found, _) => panic!("{shape}: {found:?}"),
            }
        }
        let good = file(&head("|u1", "(1, 1)"), &[1]);
        for cut in 0..good.len() {
            assert!(parse(&good[..cut], &Wanted::default()).is_err(), "cut after {cut} bytes");
        }
        assert!(parse(&good, &Wanted::default()).is_ok());
        let other = [MAGIC, &[4, 0], &[0; 4]].concat();
        assert!(parse(&other, &Wanted::default()).unwrap_err().contains("version 4.0"));
    }
}
