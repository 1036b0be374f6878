//! The reader of MATLAB 5 files: dense arrays of real numbers.
//!
//! Cells, structures, strings, sparse and complex arrays are skipped. The reader is written by hand because the sizes
//! in such a file cannot be trusted until they are checked, compressed elements may inflate without end, and only a
//! small part of the format is needed.
//!
//! # Reference
//! The MathWorks, "MAT-File Format", the level 5 format.

use flate2::read::ZlibDecoder;

use crate::formats::array::{Array, Number, pick};
use crate::formats::axes::AxisOrder;
use crate::formats::beside::{Chosen, labels_of, targets_of};
use crate::formats::room::{self, Unfilled};
use crate::formats::wanted::{Limits, Table, Wanted};
use crate::source_file::Note;

const HEADER: usize = 128;
/// An element that holds another element, compressed.
const COMPRESSED: u32 = 15;
/// An element that holds an array.
const MATRIX: u32 = 14;
/// Bytes at the start of an array's element that contain its flags, axes and name.
const START: u64 = 1 << 12;

/// The dense arrays of real numbers in a file. Only their heads are read at first; their numbers are decompressed on
/// demand.
pub(crate) struct Arrays<'a> {
    big_endian: bool,
    limits: Limits,
    arrays: Vec<Variable<'a>>,
}

/// One array.
struct Variable<'a> {
    name: String,
    /// The element as it is stored in the file, compressed or not.
    stored: &'a [u8],
    compressed: bool,
    /// Decompressed size of the element in bytes, as the file states it.
    size: u64,
}

/// Number of bytes to read of a MATLAB file: the limit, because the header does not say.
pub(crate) fn promised(start: &[u8], limits: &Limits) -> Result<u64, String> {
    big_endian(start).map(|_| limits.bytes)
}

/// Reads the rows from one array, and the labels and targets from others.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Table, String> {
    let arrays = Arrays::open(bytes, &wanted.limits)?;
    let names = arrays.names();
    let Chosen { rows, label, target } = Chosen::of(&names, wanted)?;
    let (split, doubt) = arrays.with(rows, |array| array.laid_out(wanted.rows, &wanted.limits))?;
    let n = split.rows();
    let labels = label.map(|i| arrays.with(i, |array| labels_of(&array, n, names[i])));
    let targets = target.map(|i| arrays.with(i, |array| targets_of(&array, n, wanted.rows, names[i])));
    let split = split.with_labels(labels.transpose()?).with_targets(targets.transpose()?);
    Ok(Table { notes: doubt.into_iter().map(Note::doubt).collect(), ..split.into() })
}

/// The numbers of the array `name`, row after row, and the sizes of its two axes.
pub(crate) fn matrix(bytes: &[u8], name: &str, limits: &Limits) -> Result<(Vec<f64>, [usize; 2]), String> {
    let arrays = Arrays::open(bytes, limits)?;
    arrays.with(pick(&arrays.names(), Some(name))?, |array| {
        let [rows, columns] = array.axes[..] else {
            return Err(format!("`{name}` has the shape {:?}, but a matrix has two axes", array.axes));
        };
        let numbers = array.numbers()?;
        if array.order == AxisOrder::RowMajor {
            return Ok((numbers, [rows, columns]));
        }
        let mut by_rows: Vec<f64> = room::with_room(numbers.len())?;
        by_rows.extend((0..rows * columns).map(|i| numbers[i / columns + i % columns * rows]));
        Ok((by_rows, [rows, columns]))
    })
}

/// True if the header says that the file is big-endian.
fn big_endian(bytes: &[u8]) -> Result<bool, String> {
    let header = bytes.get(..HEADER).ok_or_else(|| {
        format!("the file has {} bytes and no MATLAB header; copy or download it again", bytes.len())
    })?;
    if header.starts_with(b"MATLAB 7.3") {
        return Err("MATLAB 7.3 files (HDF5) are not supported; save it with -v7".to_owned());
    }
    // The version 0x0100 and the letters MI, as numbers of 16 bits.
    match &header[124..] {
        [0x00, 0x01, b'I', b'M'] => Ok(false),
        [0x01, 0x00, b'M', b'I'] => Ok(true),
        other => Err(format!(
            "the version and byte order are {other:02x?}, but a MATLAB 5 file has [00, 01, 49, 4d] or \
             [01, 00, 4d, 49]; save it with -v7"
        )),
    }
}

impl<'a> Arrays<'a> {
    /// Reads the heads of the elements of a file.
    pub(crate) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, String> {
        let big_endian = big_endian(bytes)?;
        let mut rest = &bytes[HEADER..];
        let mut arrays = Vec::new();
        while !rest.is_empty() {
            let (kind, stored, after) = element(rest, big_endian)?;
            rest = after;
            let compressed = kind == COMPRESSED;
            let inflated = if compressed { inflate(stored, START)? } else { Vec::new() };
            let (kind, size, start) = match compressed {
                true => tag(&inflated, big_endian)?,
                false => (kind, stored.len() as u64, stored),
            };
            if kind != MATRIX {
                continue;
            }
            if let Some(Head { name, .. }) = head(start, big_endian)? {
                arrays.push(Variable { name, stored, compressed, size });
            }
        }
        Ok(Arrays { big_endian, limits: *limits, arrays })
    }

    /// The names of the arrays.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.arrays.iter().map(|array| array.name.as_str()).collect()
    }

    /// The place of the array with this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.arrays.iter().position(|array| array.name == name)
    }

    /// Reads an array with its numbers.
    pub(crate) fn with<T>(
        &self,
        place: usize,
        read: impl FnOnce(Array<'_>) -> Result<T, String>,
    ) -> Result<T, String> {
        let Variable { stored, compressed, size, .. } = &self.arrays[place];
        if !compressed {
            return read(matrix_array(stored, self.big_endian)?);
        }
        let most = self.limits.bytes.min(self.limits.grown_from(stored.len() as u64));
        if *size > most {
            return Err(format!(
                "its arrays inflate beyond the limit: one announces {size} bytes, but at most {most} are read \
                 from one that is stored in {}; split the file, or check that it is data",
                stored.len()
            ));
        }
        // The tag, the data, their padding, and the end, where the checksum is checked.
        let inflated = inflate(stored, size + 8 + 8 + 1)?;
        let (_, matrix, _) = element(&inflated, self.big_endian)?;
        read(matrix_array(matrix, self.big_endian)?)
    }
}

/// The first `n` decompressed bytes, or all.
fn inflate(data: &[u8], n: u64) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    room::fill(&mut ZlibDecoder::new(data), &mut inflated, n).map_err(|unfilled| match unfilled {
        Unfilled::NoRoom(problem) => problem,
        Unfilled::Io(error) => {
            format!("a compressed element is damaged ({error}); copy or download it again")
        }
    })?;
    Ok(inflated)
}

fn cut_off() -> String {
    "an element is cut off; copy or download it again".to_owned()
}

fn word(bytes: &[u8; 4], big_endian: bool) -> u32 {
    if big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) }
}

/// Type and size of the element at the start of `bytes`, and the available bytes after the tag.
fn tag(bytes: &[u8], big_endian: bool) -> Result<(u32, u64, &[u8]), String> {
    let (first, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    let first = word(first, big_endian);
    let (kind, small) = (first & 0xffff, first >> 16);
    if small > 0 {
        // Up to four bytes of data are in the tag itself.
        return Ok((kind, u64::from(small), rest));
    }
    let (size, rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
    Ok((kind, u64::from(word(size, big_endian)), rest))
}

/// Type and data of the element at the start of `bytes`, and the bytes after it.
fn element(bytes: &[u8], big_endian: bool) -> Result<(u32, &[u8], &[u8]), String> {
    let (kind, size, rest) = tag(bytes, big_endian)?;
    let size = size as usize;
    if bytes.len() - rest.len() == 4 {
        let (data, rest) = rest.split_at_checked(4).ok_or_else(cut_off)?;
        let data = data.get(..size).ok_or_else(|| {
            format!("a short element announces {size} bytes, but 4 fit; copy or download it again")
        })?;
        return Ok((kind, data, rest));
    }
    let (data, rest) = rest.split_at_checked(size).ok_or_else(cut_off)?;
    // Elements start at multiples of eight bytes; compressed ones follow without a gap.
    let padding = if kind == COMPRESSED { 0 } else { size.wrapping_neg() % 8 };
    Ok((kind, data, rest.get(padding..).unwrap_or_default()))
}

/// The head of an array, which comes before its numbers.
struct Head<'a> {
    class: u32,
    axes: Vec<usize>,
    name: String,
    rest: &'a [u8],
}

/// The head of a matrix element; `None` if it is not a dense array of real numbers. The start of the element is
/// enough.
fn head(matrix: &[u8], big_endian: bool) -> Result<Option<Head<'_>>, String> {
    let (_, flags, rest) = element(matrix, big_endian)?;
    let Some((flags, _)) = flags.split_first_chunk::<4>() else {
        return Err("an array has no flags; copy or download it again".to_owned());
    };
    let flags = word(flags, big_endian);
    let (class, complex) = (flags & 0xff, flags & 0x800 != 0);
    // 6 and 7 are double and single, 8 to 15 are integers; the others are not dense arrays of numbers.
    if !(6..=15).contains(&class) || complex {
        return Ok(None);
    }
    let (_, dimensions, rest) = element(rest, big_endian)?;
    let (_, name, rest) = element(rest, big_endian)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let length = |bytes: &[u8]| {
        let length = word(&[bytes[0], bytes[1], bytes[2], bytes[3]], big_endian) as i32;
        usize::try_from(length).map_err(|_| format!("the array `{name}` has an axis of length {length}"))
    };
    let axes = dimensions.chunks_exact(4).map(length).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Head { class, axes, name, rest }))
}

/// The array in a whole matrix element.
fn matrix_array(matrix: &[u8], big_endian: bool) -> Result<Array<'_>, String> {
    let Some(Head { class, axes, name, rest }) = head(matrix, big_endian)? else {
        return Err(
            "an array does not hold real numbers when it is read again; copy or download it again".to_owned()
        );
    };
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
        other => {
            return Err(format!("the array `{name}` is stored as type {other}, which does not hold numbers"));
        }
    };
    Ok(Array { axes, order: AxisOrder::ColumnMajor, number, big_endian, integers: class >= 8, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Column, LabelColumn, RowAxis};
    use crate::{Split, ValueKind};

    const PACKED: &[u8] = include_bytes!("../../fixtures/packed.mat");
    const PLAIN: &[u8] = include_bytes!("../../fixtures/plain.mat");

    fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Split, String> {
        super::parse(bytes, wanted).map(|table| table.split)
    }

    fn read(bytes: &[u8], array: &str, transposed: bool) -> Result<Split, String> {
        let rows = transposed.then_some(RowAxis::Last);
        parse(bytes, &Wanted { array: Some(array.to_owned()), rows, ..Wanted::default() })
    }

    /// A padded element.
    fn element_of(kind: u32, data: &[u8], word: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut element = [word(kind), word(data.len() as u32)].concat();
        element.extend(data);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    /// A file with one array of 2 × 3.
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
        for (name, kind) in [
            ("train_data", ValueKind::Binary),
            ("halves", ValueKind::Real),
            ("train_labels", ValueKind::Grey),
        ] {
            let packed = read(PACKED, name, false).unwrap();
            assert_eq!((packed.rows(), packed.kind()), (3, kind), "{name}");
            assert_eq!(packed, read(PLAIN, name, false).unwrap());
        }
        let error = read(PACKED, "classnames", false).unwrap_err();
        assert!(
            error.contains("`classnames` in it; it holds `train_data`, `train_labels`, `halves`"),
            "{error}"
        );
        assert_eq!(read(PLAIN, "train_data", true).unwrap().rows(), 784);
    }

    #[test]
    fn labels_and_targets_are_read_from_arrays_beside_the_rows() {
        let named = |name: &str| Column::Named(name.to_owned());
        for bytes in [PACKED, PLAIN] {
            let wanted = Wanted {
                array: Some("train_data".to_owned()),
                label: Some(LabelColumn::At(named("train_labels"))),
                targets: vec![named("halves")],
                ..Wanted::default()
            };
            let split = parse(bytes, &wanted).unwrap();
            let labels = read(bytes, "train_labels", false).unwrap();
            let labels: Vec<i32> =
                labels.values().bytes().unwrap().iter().map(|label| i32::from(*label)).collect();
            assert_eq!(split.labels(), Some(labels.as_slice()));
            // Column-major in the file, and row-major in the split.
            let halves: Vec<f32> = split.row(2).iter().map(|value| value / 2.0).collect();
            assert_eq!(split.targets().unwrap().row(2), halves);
            let other = Wanted { label: Some(LabelColumn::At(named("halves"))), ..wanted };
            let error = parse(bytes, &other).unwrap_err();
            assert!(error.contains("`halves` cannot hold both the labels and the targets"), "{error}");
        }
    }

    #[test]
    fn columns_come_out_as_rows_in_either_byte_order() {
        let rows = Split::grey(2, 3, vec![1, 3, 5, 2, 4, 6]);
        assert_eq!(parse(&file(false, 9, 2, &[1, 2, 3, 4, 5, 6]), &Wanted::default()).unwrap(), rows);
        let shorts: Vec<u8> = (1..=6u16).flat_map(u16::to_be_bytes).collect();
        assert_eq!(parse(&file(true, 13, 4, &shorts), &Wanted::default()).unwrap(), rows);
        // Doubles are intensities, even if they are stored in a smaller type.
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
            (file(false, 9, 2, &[0; 5]), "takes 6 bytes, but 5 follow"),
        ] {
            let error = parse(&bytes, &Wanted::default()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn arrays_that_inflate_beyond_the_limit_are_given_up_on_before_they_do() {
        use std::io::Write;
        // A megabyte of zeros, which takes a thousandth of that in the file.
        let plain = file(false, 9, 2, &vec![0; 1 << 20]);
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&plain[128..]).unwrap();
        let packed = encoder.finish().unwrap();
        let tag = [COMPRESSED, packed.len() as u32].map(u32::to_le_bytes).concat();
        let bytes = [&plain[..128], &tag, &packed].concat();
        for limits in [
            Limits { bytes: 1 << 19, ..Limits::default() },
            Limits { grown: 1000, ..Limits::default() },
            Limits::default(),
        ] {
            let error = parse(&bytes, &Wanted { limits, ..Wanted::default() }).unwrap_err();
            let beyond = error.contains("inflate beyond the limit");
            let misfit = error.contains("takes 6 bytes, but more follow");
            assert!(if limits == Limits::default() { misfit } else { beyond }, "{error}");
        }
    }
}
