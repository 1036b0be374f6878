//! The reader of idx files, the container format of MNIST.
//!
//! A big-endian header holds two zero bytes, the type of the values (0x08 for bytes), the number of axes, and their
//! lengths as 32-bit integers. The values follow; the last axis varies fastest.
//!
//! # Reference
//! LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998.

use crate::formats::array::{Array, Number};
use crate::formats::axes::AxisOrder;
use crate::formats::wanted::{Limits, RowAxis, Table, Wanted};

/// The type code of unsigned bytes, the only type that is supported.
const BYTES: u8 = 0x08;

/// The lengths of the axes, and the bytes after them.
fn header(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
    let Some((&[zero, also_zero, kind, n_axes], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(format!(
            "the file has {} bytes and no idx header; copy or download it again",
            bytes.len()
        ));
    };
    if (zero, also_zero) != (0, 0) || !(1..=4).contains(&n_axes) {
        let magic = u32::from_be_bytes([zero, also_zero, kind, n_axes]);
        return Err(format!(
            "the magic number is 0x{magic:08x}, but that of an idx file of bytes is 0x00000801 to 0x00000804; \
             check that it is an idx file"
        ));
    }
    if kind != BYTES {
        return Err(format!(
            "its values have the type 0x{kind:02x}, but only 0x08 (unsigned bytes) is supported; convert it"
        ));
    }
    let header = 4 * usize::from(n_axes);
    if rest.len() < header {
        return Err("the header is cut off; copy or download it again".to_owned());
    }
    let (lengths, values) = rest.split_at(header);
    let axes: Vec<usize> = lengths
        .chunks_exact(4)
        .map(|length| u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize)
        .collect();
    Ok((axes, values))
}

/// The lengths of the axes, and the bytes.
fn container(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
    let (axes, values) = header(bytes)?;
    let wanted = axes.iter().try_fold(1usize, |product, length| product.checked_mul(*length));
    if wanted != Some(values.len()) {
        let found = match values.len() {
            more if wanted.is_some_and(|wanted| more > wanted) => "more".to_owned(),
            fewer => fewer.to_string(),
        };
        return Err(format!(
            "the header announces {} bytes, but {found} follow; copy or download it again",
            product(&axes)
        ));
    }
    Ok((axes, values))
}

fn product(axes: &[usize]) -> String {
    axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// Number of bytes of the file according to its header; an error if the header is malformed.
pub(crate) fn promised(start: &[u8], limits: &Limits) -> Result<u64, String> {
    let (axes, values) = header(start)?;
    let n = axes.iter().try_fold(1usize, |product, length| product.checked_mul(*length));
    let n = n.filter(|n| *n <= limits.values).ok_or_else(|| {
        format!("the header announces {} bytes, more than {}; split the file", product(&axes), limits.values)
    })?;
    Ok((start.len() - values.len() + n) as u64)
}

/// Reads the images of a file with two to four axes, where the first axis is that of the rows.
pub(crate) fn parse(bytes: &[u8], wanted: &Wanted) -> Result<Table, String> {
    let (axes, data) = container(bytes)?;
    if axes.len() == 1 {
        return Err("it has one axis and so holds labels or one row; images have three axes".to_owned());
    }
    let (order, number) = (AxisOrder::RowMajor, Number::Int { bytes: 1, signed: false });
    let array = Array { axes, order, number, big_endian: true, integers: true, data };
    // In this format the rows come first, whatever the lengths of the axes.
    array.split(Some(wanted.rows.unwrap_or(RowAxis::First)), &wanted.limits).map(Table::from)
}

/// Reads the labels of a file with one axis.
pub(crate) fn labels(bytes: &[u8]) -> Result<Vec<i32>, String> {
    match container(bytes)? {
        (axes, values) if axes.len() == 1 => Ok(values.iter().map(|label| i32::from(*label)).collect()),
        (axes, _) => Err(format!("it has {} axes, but labels have one", axes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageShape, Split};

    fn parse(bytes: &[u8], limits: &Limits) -> Result<Split, String> {
        super::parse(bytes, &Wanted { limits: *limits, ..Wanted::default() }).map(|table| table.split)
    }

    fn file(magic: u32, axes: &[u32], values: &[u8]) -> Vec<u8> {
        let header = std::iter::once(magic).chain(axes.iter().copied()).flat_map(u32::to_be_bytes);
        header.chain(values.iter().copied()).collect()
    }

    #[test]
    fn images_keep_their_shape_and_bytes_their_intensity() {
        let bytes = file(0x803, &[2, 1, 3], &[0, 255, 51, 0, 0, 2]);
        let split = parse(&bytes, &Limits::default()).unwrap();
        assert_eq!(split.shape(), ImageShape { height: 1, width: 3 });
        assert_eq!((split.row(0), split.row(1)), (vec![0.0, 1.0, 0.2], vec![0.0, 0.0, 2.0 / 255.0]));
        let bits = parse(&file(0x802, &[1, 4], &[0, 1, 1, 0]), &Limits::default()).unwrap();
        assert_eq!(
            (bits.bits(), bits.shape()),
            ([0, 1, 1, 0].as_slice(), ImageShape { height: 2, width: 2 })
        );
        let channel = parse(&file(0x804, &[2, 1, 1, 3], &[0, 255, 51, 0, 0, 2]), &Limits::default()).unwrap();
        assert_eq!(channel, split);
        assert_eq!(labels(&file(0x801, &[3], &[7, 0, 9])).unwrap(), [7, 0, 9]);
        assert_eq!(promised(&bytes[..20], &Limits::default()), Ok(bytes.len() as u64));
        let error = promised(&file(0x803, &[u32::MAX, 2, 2], &[]), &Limits::default()).unwrap_err();
        assert!(error.contains("announces 4294967295 x 2 x 2 bytes, more than 2147483648"), "{error}");
    }

    #[test]
    fn a_header_is_checked_against_what_follows() {
        for (bytes, part) in [
            (vec![0, 0, 8], "has 3 bytes and no idx header"),
            (b"PK\x03\x04....".to_vec(), "the magic number is 0x504b0304"),
            (file(0xd03, &[1, 1, 1], &[0; 4]), "the type 0x0d, but only 0x08"),
            (file(0x803, &[1, 1], &[]), "the header is cut off"),
            (file(0x803, &[2, 2, 2], &[0; 7]), "announces 2 x 2 x 2 bytes, but 7 follow"),
            (file(0x803, &[u32::MAX; 3], &[0; 7]), "announces 4294967295 x"),
            (file(0x801, &[2], &[0; 2]), "holds labels"),
            (file(0x803, &[2, 2, 2], &[0; 9]), "announces 2 x 2 x 2 bytes, but more follow"),
            (
                file(0x804, &[1, 3, 2, 2], &[0; 12]),
                "an array of shape [1, 3, 2, 2] where [rows, height, width]",
            ),
            (file(0x803, &[0, 2, 2], &[]), "no rows"),
        ] {
            let error = parse(&bytes, &Limits::default()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(labels(&file(0x803, &[1, 1, 1], &[0])).unwrap_err().contains("labels have one"));
    }
}
