//! Arrays of numbers of any type, order of bytes and order of axes, into splits.

use crate::formats::Limits;
use crate::{ImageShape, Split};

/// What the bytes of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Bool,
    Int { bytes: u8, signed: bool },
    Float { bytes: u8 },
}

impl Number {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Number::Bool => 1,
            Number::Int { bytes, .. } | Number::Float { bytes } => usize::from(bytes),
        }
    }
}

/// Which axis runs fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The last: C.
    RowMajor,
    /// The first: Fortran and MATLAB.
    ColumnMajor,
}

/// An array as it stands in a file.
#[derive(Clone, Debug)]
pub(crate) struct Array<'a> {
    pub(crate) axes: Vec<usize>,
    pub(crate) order: Order,
    pub(crate) number: Number,
    pub(crate) big_endian: bool,
    /// True if the numbers are integers, whatever type they are stored in.
    pub(crate) integers: bool,
    pub(crate) data: &'a [u8],
}

/// Refuses no rows, empty rows, and more values than the limit.
pub(crate) fn admit(rows: usize, width: usize, limits: &Limits) -> Result<(), String> {
    if rows == 0 || width == 0 {
        return Err(format!("it holds no rows of values ({rows} of {width}); copy or download it again"));
    }
    match rows.checked_mul(width) {
        Some(n) if n <= limits.values => Ok(()),
        _ => Err(format!("{rows} rows of {width} values are more than {}; split the file", limits.values)),
    }
}

impl Array<'_> {
    /// The array as rows: `[rows, width]` or `[rows, height, width]`, or, `transposed`, with the
    /// rows along the second of two axes.
    pub(crate) fn split(&self, transposed: bool, limits: &Limits) -> Result<Split, String> {
        let (rows, shape) = match (&self.axes[..], transposed) {
            (&[rows, width], false) | (&[width, rows], true) => (rows, ImageShape::of_width(width)),
            (&[rows, height, width], false) => (rows, ImageShape { height, width }),
            (axes, true) => {
                return Err(format!("an array of shape {axes:?} has no transpose; it needs two axes"));
            }
            (axes, false) => {
                return Err(format!(
                    "an array of shape {axes:?} where [rows, width] or [rows, height, width] is wanted"
                ));
            }
        };
        let width = shape.height.checked_mul(shape.width).ok_or("its rows are too wide")?;
        admit(rows, width, limits)?;
        let bytes = (rows * width).checked_mul(self.number.bytes());
        if bytes != Some(self.data.len()) {
            return Err(format!(
                "an array of shape {:?} takes {} bytes, and {} follow; copy or download it again",
                self.axes,
                bytes.unwrap_or(usize::MAX),
                self.data.len()
            ));
        }
        // Where the value of (row, y, x) stands, as strides over the stored numbers.
        let [of_row, of_y, of_x] = match (self.order, transposed) {
            (Order::RowMajor, false) => [width, shape.width, 1],
            (Order::RowMajor, true) => [1, shape.width * rows, rows],
            (Order::ColumnMajor, false) if self.axes.len() == 3 => [1, rows, rows * shape.height],
            (Order::ColumnMajor, false) => [1, rows * shape.width, rows],
            (Order::ColumnMajor, true) => [width, shape.width, 1],
        };
        let place = |i: usize| {
            let (row, pixel) = (i / width, i % width);
            row * of_row + pixel / shape.width * of_y + pixel % shape.width * of_x
        };
        let split = if self.integers {
            self.of_integers(rows, width, place)
        } else {
            self.of_floats(rows, width, place)
        }?;
        Ok(split.with_shape(shape))
    }

    /// The stored number `i`.
    fn number(&self, i: usize) -> f64 {
        let size = self.number.bytes();
        let mut bytes = [0; 8];
        // Little-endian, the sign carried up.
        let stored = &self.data[i * size..][..size];
        bytes[..size].copy_from_slice(stored);
        if self.big_endian {
            bytes[..size].reverse();
        }
        match self.number {
            Number::Bool => f64::from(u8::from(bytes[0] != 0)),
            Number::Int { signed: false, .. } => u64::from_le_bytes(bytes) as f64,
            Number::Int { signed: true, bytes: size } => {
                let shift = 64 - 8 * u32::from(size);
                ((u64::from_le_bytes(bytes) << shift) as i64 >> shift) as f64
            }
            Number::Float { bytes: 4 } => {
                f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
            Number::Float { .. } => f64::from_le_bytes(bytes),
        }
    }

    /// All numbers as integers, in the order of the file: labels.
    pub(crate) fn integers(&self) -> Result<Vec<i32>, String> {
        let size = self.number.bytes();
        if self.axes.iter().try_fold(size, |product, axis| product.checked_mul(*axis))
            != Some(self.data.len())
        {
            return Err(format!(
                "an array of shape {:?} does not fit the {} bytes that follow",
                self.axes,
                self.data.len()
            ));
        }
        let integer = |i| {
            let number = self.number(i);
            let label = number as i32;
            (f64::from(label) == number)
                .then_some(label)
                .ok_or_else(|| format!("found {number} where a label is wanted"))
        };
        (0..self.data.len() / size).map(integer).collect()
    }

    fn of_integers(
        &self,
        rows: usize,
        width: usize,
        place: impl Fn(usize) -> usize,
    ) -> Result<Split, String> {
        let value = |i: usize| {
            let number = self.number(place(i));
            let byte = number as u8;
            (f64::from(byte) == number)
                .then_some(byte)
                .ok_or_else(|| wrong(i, width, number, "an integer in 0..=255"))
        };
        let values = (0..rows * width).map(value).collect::<Result<Vec<u8>, _>>()?;
        Ok(match values.iter().all(|value| *value <= 1) {
            true => Split::new(rows, width, values),
            false => Split::grey(rows, width, values),
        })
    }

    fn of_floats(&self, rows: usize, width: usize, place: impl Fn(usize) -> usize) -> Result<Split, String> {
        let value = |i: usize| {
            let number = self.number(place(i));
            let fits = (0.0..=1.0).contains(&number);
            fits.then_some((number as f32).abs()).ok_or_else(|| wrong(i, width, number, "a number in [0, 1]"))
        };
        let values = (0..rows * width).map(value).collect::<Result<Vec<f32>, _>>()?;
        Ok(match values.iter().all(|value| *value == 0.0 || *value == 1.0) {
            true => Split::new(rows, width, values.into_iter().map(|value| value as u8).collect()),
            false => Split::real(rows, width, values),
        })
    }
}

fn wrong(i: usize, width: usize, found: f64, wanted: &str) -> String {
    let (row, column) = (i / width + 1, i % width + 1);
    format!(
        "row {row}, column {column}: found {found} where {wanted} is wanted; rescale or clean the values first"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array<'a>(axes: &[usize], order: Order, number: Number, data: &'a [u8]) -> Array<'a> {
        let integers = !matches!(number, Number::Float { .. });
        Array { axes: axes.to_vec(), order, number, big_endian: false, integers, data }
    }

    const BYTE: Number = Number::Int { bytes: 1, signed: false };

    #[test]
    fn axes_in_either_order_and_transposed_give_the_same_rows() {
        let rows = Split::grey(2, 3, vec![10, 20, 30, 40, 50, 60]);
        let limits = Limits::default();
        let (c, f) = ([10, 20, 30, 40, 50, 60], [10, 40, 20, 50, 30, 60]);
        for (axes, order, transposed, data) in [
            ([2, 3], Order::RowMajor, false, c),
            ([2, 3], Order::ColumnMajor, false, f),
            ([3, 2], Order::RowMajor, true, f),
            ([3, 2], Order::ColumnMajor, true, c),
        ] {
            assert_eq!(array(&axes, order, BYTE, &data).split(transposed, &limits).unwrap(), rows);
        }
    }

    #[test]
    fn images_in_either_order_are_row_major_images() {
        // Value 100 n + 10 y + x of image n, row y, column x; two images of 2 x 3.
        let value = |n: usize, y: usize, x: usize| (100 * n + 10 * y + x) as u8;
        let c: Vec<u8> = (0..12).map(|i| value(i / 6, i / 3 % 2, i % 3)).collect();
        let f: Vec<u8> = (0..12).map(|i| value(i % 2, i / 2 % 2, i / 4)).collect();
        let limits = Limits::default();
        let from_c = array(&[2, 2, 3], Order::RowMajor, BYTE, &c).split(false, &limits).unwrap();
        let from_f = array(&[2, 2, 3], Order::ColumnMajor, BYTE, &f).split(false, &limits).unwrap();
        assert_eq!(from_c, from_f);
        assert_eq!(from_c, Split::grey(2, 6, c.clone()).with_shape(ImageShape { height: 2, width: 3 }));
    }

    #[test]
    fn square_rows_are_not_mistaken_for_images_with_swapped_axes() {
        let data: Vec<u8> = (0..8).collect(); // two rows of four, column-major: 0 2 4 6 and 1 3 5 7
        let split = array(&[2, 4], Order::ColumnMajor, BYTE, &data).split(false, &Limits::default()).unwrap();
        assert_eq!(split, Split::grey(2, 4, vec![0, 2, 4, 6, 1, 3, 5, 7]));
        let split = array(&[4, 2], Order::RowMajor, BYTE, &data).split(true, &Limits::default()).unwrap();
        assert_eq!(split, Split::grey(2, 4, vec![0, 2, 4, 6, 1, 3, 5, 7]));
    }

    #[test]
    fn numbers_of_every_type_and_byte_order_are_read() {
        fn big_and_little(number: Number, little: &[u8]) {
            let big: Vec<u8> = little.chunks(number.bytes()).flat_map(|n| n.iter().rev().copied()).collect();
            for (big_endian, data) in [(false, little), (true, &big)] {
                let array = Array { big_endian, ..array(&[1, 2], Order::RowMajor, number, data) };
                assert_eq!(array.split(false, &Limits::default()).unwrap().bits(), [0, 1], "{number:?}");
            }
        }
        for bytes in [1u8, 2, 4, 8] {
            for signed in [false, true] {
                let little: Vec<u8> =
                    [0u64, 1].iter().flat_map(|n| n.to_le_bytes()[..bytes.into()].to_vec()).collect();
                big_and_little(Number::Int { bytes, signed }, &little);
            }
        }
        big_and_little(Number::Bool, &[0, 1]);
        big_and_little(Number::Float { bytes: 4 }, &[0.0f32, 1.0].map(f32::to_le_bytes).concat());
        big_and_little(Number::Float { bytes: 8 }, &[-0.0f64, 1.0].map(f64::to_le_bytes).concat());
    }

    #[test]
    fn values_outside_the_set_are_named_with_their_place() {
        let float = Number::Float { bytes: 4 };
        let signed = Number::Int { bytes: 2, signed: true };
        for (number, data, part) in [
            (float, [0.5f32, f32::NAN].map(f32::to_le_bytes).concat(), "row 2, column 1: found NaN"),
            (
                float,
                [1.5f32, 0.0].map(f32::to_le_bytes).concat(),
                "row 1, column 1: found 1.5 where a number in [0, 1]",
            ),
            (signed, [-1i16, 0].map(i16::to_le_bytes).concat(), "found -1 where an integer in 0..=255"),
            (signed, [0i16, 256].map(i16::to_le_bytes).concat(), "row 2, column 1: found 256"),
        ] {
            let error =
                array(&[2, 1], Order::RowMajor, number, &data).split(false, &Limits::default()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn shapes_that_are_no_rows_or_do_not_fit_the_bytes_are_refused() {
        for (axes, transposed, part) in [
            (vec![6], false, "an array of shape [6] where"),
            (vec![1, 1, 2, 3], false, "an array of shape [1, 1, 2, 3]"),
            (vec![1, 2, 3], true, "has no transpose"),
            (vec![2, 4], false, "takes 8 bytes, and 6 follow"),
            (vec![0, 4], false, "no rows"),
            (vec![2, usize::MAX], false, "are more than"),
            (vec![1, usize::MAX, 2], false, "too wide"),
        ] {
            let error = array(&axes, Order::RowMajor, BYTE, &[0; 6])
                .split(transposed, &Limits::default())
                .unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
