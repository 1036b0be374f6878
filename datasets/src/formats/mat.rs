//! The reader of MATLAB 5 files: dense arrays of real numbers.
//!
//! Cells, structures, strings, sparse and complex arrays are passed over. It is written by hand:
//! the sizes in such a file are hostile until checked, compressed elements may inflate without
//! end, and what is wanted of it is small.
//!
//! # Reference
//! The MathWorks, "MAT-File Format", the level 5 format.

use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::Split;
use crate::formats::array::{Array, Number, Order};
use crate::formats::{Limits, Wanted, pick};

const HEADER: usize = 128;
/// An element that holds another, deflated.
const COMPRESSED: u32 = 15;
/// An element that holds an array.
const MATRIX: u32 = 14;

/// The arrays of a file, inflated: what [`Arrays::get`] lends from.
pub(crate) struct Arrays {
    big_endian: bool,
    /// The contents of the matrix elements.
    matrices: Vec<Vec<u8>>,
}

/// The rows of one of the arrays.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Split, String> {
    let arrays = Arrays::open(bytes, &wanted.limits)?;
    let arrays = arrays.numeric()?;
    pick(&arrays, wanted.array.as_deref())?.split(wanted.transposed, &wanted.limits)
}

impl Arrays {
    /// Inflates the elements of a file.
    pub(crate) fn open(bytes: &[u8], limits: &Limits) -> Result<Self, String> {
        let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or_else(|| {
            format!("the file has {} bytes and no MATLAB header; copy or download it again", bytes.len())
        })?;
        if header.starts_with(b"MATLAB 7.3") {
            return Err("MATLAB 7.3 files (HDF5) are not read; save it with -v7".to_owned());
        }
        // The version 0x0100 and the letters MI, as numbers of 16 bits.
        let big_endian = match &header[124..] {
            [0x00, 0x01, b'I', b'M'] => false,
            [0x01, 0x00, b'M', b'I'] => true,
            other => {
                return Err(format!(
                    "the version and byte order are {other:02x?} where a MATLAB 5 file has [00, 01, 49, 4d] or [01, 00, 4d, 49]"
                ));
            }
        };
        let (mut matrices, mut left) = (Vec::new(), limits.bytes);
        while !rest.is_empty() {
            let (kind, data, after) = element(rest, big_endian)?;
            rest = after;
            match kind {
                COMPRESSED => {
                    let inflated = inflate(data, &mut left)?;
                    let (kind, data, _) = element(&inflated, big_endian)?;
                    if kind == MATRIX {
                        matrices.push(data.to_vec());
                    }
                }
                MATRIX => matrices.push(data.to_vec()),
                _ => {}
            }
        }
        Ok(Arrays { big_endian, matrices })
    }

    /// The dense arrays of real numbers, by name.
    pub(crate) fn numeric(&self) -> Result<Vec<(String, Array<'_>)>, String> {
        let arrays = self.matrices.iter().map(|matrix| matrix_array(matrix, self.big_endian));
        arrays.filter_map(Result::transpose).collect()
    }
}

fn inflate(data: &[u8], left: &mut u64) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    ZlibDecoder::new(data)
        .take(left.saturating_add(1))
        .read_to_end(&mut inflated)
        .map_err(|error| format!("a compressed element is damaged ({error}); copy or download it again"))?;
    *left = left
        .checked_sub(inflated.len() as u64)
        .ok_or("its arrays inflate beyond the limit; split the file, or check that it is data")?;
    Ok(inflated)
}

/// Type and data of the element at the start of `bytes`, and what follows it.
fn element(bytes: &[u8], big_endian: bool) -> Result<(u32, &[u8], &[u8]), String> {
    let cut_off = || "an element is cut off; copy or download it again".to_owned();
    let word =
        |bytes: &[u8; 4]| if big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
    let (first, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    let first = word(first);
    let (kind, small) = (first & 0xffff, (first >> 16) as usize);
    if small > 0 {
        // Up to four bytes of data stand in the tag itself.
        let (data, rest) = rest.split_at_checked(4).ok_or_else(cut_off)?;
        let data =
            data.get(..small).ok_or_else(|| format!("a short element claims {small} bytes where 4 fit"))?;
        return Ok((kind, data, rest));
    }
    let (size, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
    let size = word(size) as usize;
    let (data, rest) = rest.split_at_checked(size).ok_or_else(cut_off)?;
    // Elements start at multiples of eight bytes; compressed ones follow without a gap.
    let padding = if kind == COMPRESSED { 0 } else { size.wrapping_neg() % 8 };
    Ok((kind, data, rest.get(padding..).unwrap_or_default()))
}

/// Name and array of a matrix element; nothing if it is not a dense array of real numbers.
fn matrix_array(matrix: &[u8], big_endian: bool) -> Result<Option<(String, Array<'_>)>, String> {
    let (_, flags, rest) = element(matrix, big_endian)?;
    let Some((flags, _)) = flags.split_first_chunk::<4>() else {
        return Err("an array has no flags; copy or download it again".to_owned());
    };
    let flags = if big_endian { u32::from_be_bytes(*flags) } else { u32::from_le_bytes(*flags) };
    let (class, complex) = (flags & 0xff, flags & 0x800 != 0);
    // 6 and 7 are double and single, 8 to 15 integers; the rest are no dense arrays of numbers.
    if !(6..=15).contains(&class) || complex {
        return Ok(None);
    }
    let (_, dimensions, rest) = element(rest, big_endian)?;
    let (_, name, rest) = element(rest, big_endian)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let length = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let length = if big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) };
        usize::try_from(length).map_err(|_| format!("the array `{name}` has an axis of length {length}"))
    };
    let axes = dimensions.chunks_exact(4).map(length).collect::<Result<Vec<_>, _>>()?;
    let (kind, data, _) = element(rest, big_endian)?;
    // MATLAB stores numbers in the smallest type that holds them all, whatever their class.
    let number = match kind {
        1 => Number::Int { bytes: 1, signed: true },
        2 => Number::Int { bytes: 1, signed: false },
        3 => Number::Int { bytes: 2, signed: true },
        4 => Number::Int { bytes: 2, signed: false },
        5 => Number::Int { bytes: 4, signed: true },
        6 => Number::Int { bytes: 4, signed: false },
        7 => Number::Float { bytes: 4 },
        9 => Number::Float { bytes: 8 },
        12 => Number::Int { bytes: 8, signed: true },
        13 => Number::Int { bytes: 8, signed: false },
        other => return Err(format!("the array `{name}` is stored as type {other}, which holds no numbers")),
    };
    let array = Array { axes, order: Order::ColumnMajor, number, big_endian, integers: class >= 8, data };
    Ok(Some((name, array)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    const PACKED: &[u8] = include_bytes!("../../fixtures/packed.mat");
    const PLAIN: &[u8] = include_bytes!("../../fixtures/plain.mat");

    fn read(bytes: &[u8], array: &str, transposed: bool) -> Result<Split, String> {
        parse(bytes, &Wanted { array: Some(array.to_owned()), transposed, ..Wanted::default() })
    }

    /// A padded element.
    fn element_of(kind: u32, data: &[u8], word: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut element = [word(kind), word(data.len() as u32)].concat();
        element.extend(data);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    /// A file with one array of 2 x 3.
    fn file(big_endian: bool, class: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        let word = if big_endian { u32::to_be_bytes } else { u32::to_le_bytes };
        let mut bytes = vec![b' '; 124];
        bytes.extend(if big_endian { [1, 0, b'M', b'I'] } else { [0, 1, b'I', b'M'] });
        let matrix = [
            element_of(6, &[word(class), word(0)].concat(), word),
            element_of(5, &[word(2), word(3)].concat(), word),
            element_of(1, b"x", word),
            element_of(kind, data, word),
        ];
        bytes.extend(element_of(MATRIX, &matrix.concat(), word));
        bytes
    }

    #[test]
    fn packed_and_plain_files_hold_the_same_arrays() {
        for (name, kind) in
            [("train_data", Kind::Binary), ("halves", Kind::Real), ("train_labels", Kind::Grey)]
        {
            let packed = read(PACKED, name, false).unwrap();
            assert_eq!((packed.rows(), packed.kind()), (3, kind), "{name}");
            assert_eq!(packed, read(PLAIN, name, false).unwrap());
        }
        let error = read(PACKED, "classnames", false).unwrap_err();
        assert!(error.contains("`classnames` in it, but `train_data`, `train_labels`, `halves`"), "{error}");
        assert_eq!(read(PLAIN, "train_data", true).unwrap().rows(), 784);
    }

    #[test]
    fn columns_come_out_as_rows_in_either_byte_order() {
        let rows = Split::grey(2, 3, vec![1, 3, 5, 2, 4, 6]);
        assert_eq!(parse(&file(false, 9, 2, &[1, 2, 3, 4, 5, 6]), &Wanted::default()).unwrap(), rows);
        let shorts: Vec<u8> = (1..=6u16).flat_map(u16::to_be_bytes).collect();
        assert_eq!(parse(&file(true, 13, 4, &shorts), &Wanted::default()).unwrap(), rows);
        // Doubles are intensities, however small the type that they are stored in.
        assert_eq!(
            parse(&file(false, 6, 2, &[0, 1, 0, 1, 1, 1]), &Wanted::default()).unwrap().bits(),
            [0, 0, 1, 1, 1, 1]
        );
        let error = parse(&file(false, 6, 2, &[0, 1, 2, 1, 1, 1]), &Wanted::default()).unwrap_err();
        assert!(error.contains("row 1, column 2: found 2 where a number in [0, 1]"), "{error}");
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let mut hdf = PLAIN.to_vec();
        hdf[..10].copy_from_slice(b"MATLAB 7.3");
        let mut version = PLAIN.to_vec();
        version[124] = 9;
        let huge = [&PLAIN[..128], &COMPRESSED.to_le_bytes(), &u32::MAX.to_le_bytes()].concat();
        for (bytes, part) in [
            (hdf, "save it with -v7"),
            (version, "[09, 01, 49, 4d]"),
            (PLAIN[..100].to_vec(), "has 100 bytes and no MATLAB header"),
            (huge, "an element is cut off"),
            (file(false, 4, 2, &[0; 6]), "no array of numbers in it"),
            (file(false, 9, 16, &[0; 6]), "stored as type 16"),
            (file(false, 9, 2, &[0; 5]), "takes 6 bytes, and 5 follow"),
        ] {
            let error = parse(&bytes, &Wanted::default()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn arrays_that_inflate_beyond_the_limit_are_given_up_on() {
        let limits = Limits { bytes: 3000, ..Limits::default() };
        let error = Arrays::open(PACKED, &limits).err().unwrap();
        assert!(error.contains("inflate beyond the limit"), "{error}");
    }
}
