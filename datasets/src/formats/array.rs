//! Converts arrays of numbers of any type, byte order and axis order into splits.

use crate::formats::axes::{AxisOrder, Layout, layout};
use crate::formats::room;
use crate::formats::wanted::{Limits, RowAxis};
use crate::split::Split;

/// The number type of an array.
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

/// An array as it is stored in a file.
#[derive(Clone, Debug)]
pub(crate) struct Array<'a> {
    pub(crate) axes: Vec<usize>,
    pub(crate) order: AxisOrder,
    pub(crate) number: Number,
    pub(crate) big_endian: bool,
    /// True if the numbers are integers, whatever type they are stored in.
    pub(crate) integers: bool,
    pub(crate) data: &'a [u8],
}

/// Refuses an array without rows, with empty rows, or with more values than the limit.
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
    /// The array as rows of values, along the axis that [`layout`] finds.
    pub(crate) fn split(&self, rows: Option<RowAxis>, limits: &Limits) -> Result<Split, String> {
        self.laid_out(rows, limits).map(|(split, _)| split)
    }

    /// The same, with a note on the reading if the axes could have been read otherwise.
    pub(crate) fn laid_out(
        &self,
        rows: Option<RowAxis>,
        limits: &Limits,
    ) -> Result<(Split, Option<String>), String> {
        let Layout { rows: row_axis, image: [y_axis, x_axis], shape, doubt } =
            layout(&self.axes, self.order, rows)?;
        let (rows, width) = (self.axes[row_axis], shape.pixels());
        admit(rows, width, limits)?;
        let bytes = (rows * width).checked_mul(self.number.bytes());
        if bytes != Some(self.data.len()) {
            let bytes = bytes.unwrap_or(usize::MAX);
            let found = match self.data.len() {
                more if more > bytes => "more".to_owned(),
                fewer => fewer.to_string(),
            };
            return Err(format!(
                "an array of shape {:?} takes {bytes} bytes, but {found} follow; copy or download it again",
                self.axes,
            ));
        }
        // The place of the value at (row, y, x), as strides over the stored numbers.
        let stride = |axis: usize| -> usize {
            match self.order {
                AxisOrder::RowMajor => self.axes[axis + 1..].iter().product(),
                AxisOrder::ColumnMajor => self.axes[..axis].iter().product(),
            }
        };
        let of_row = stride(row_axis);
        let of_x = x_axis.map_or(0, stride);
        // Values that lie along one axis may still be shown as a square.
        let of_y = y_axis.map_or(of_x * shape.width, stride);
        let place = |i: usize| {
            let (row, pixel) = (i / width, i % width);
            row * of_row + pixel / shape.width * of_y + pixel % shape.width * of_x
        };
        let plain = self.number == Number::Int { bytes: 1, signed: false }
            && [of_row, of_y, of_x] == [width, shape.width, 1];
        let split = if self.integers && plain {
            let mut values: Vec<u8> = room::with_room(rows * width)?;
            values.extend_from_slice(self.data);
            Ok(bits_or_bytes(rows, width, values))
        } else if self.integers {
            self.of_integers(rows, width, place)
        } else {
            self.of_floats(rows, width, place)
        }?;
        Ok((split.with_shape(shape), doubt))
    }

    /// The stored number `i`.
    fn number(&self, i: usize) -> f64 {
        let size = self.number.bytes();
        let mut bytes = [0; 8];
        // Little-endian; the sign is extended below.
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

    /// Number of values; an error if the number of bytes does not fit the axes.
    fn count(&self) -> Result<usize, String> {
        let (size, found) = (self.number.bytes(), self.data.len());
        match self.axes.iter().try_fold(size, |product, axis| product.checked_mul(*axis)) {
            Some(bytes) if bytes == found => Ok(bytes / size),
            _ => Err(format!("an array of shape {:?} does not fit the {found} bytes that follow", self.axes)),
        }
    }

    /// All numbers, in the order of the file.
    pub(crate) fn numbers(&self) -> Result<Vec<f64>, String> {
        let n = self.count()?;
        let mut numbers = room::with_room(n)?;
        numbers.extend((0..n).map(|i| self.number(i)));
        Ok(numbers)
    }

    /// All numbers as integers, in the order of the file: labels.
    pub(crate) fn integers(&self) -> Result<Vec<i32>, String> {
        let n = self.count()?;
        let integer = |i| {
            let number = self.number(i);
            let label = number as i32;
            (f64::from(label) == number)
                .then_some(label)
                .ok_or_else(|| format!("found {number} where an integer label is expected"))
        };
        (0..n).map(integer).collect()
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
        let mut values: Vec<u8> = room::with_room(rows * width)?;
        (0..rows * width).try_for_each(|i| value(i).map(|value| values.push(value)))?;
        Ok(bits_or_bytes(rows, width, values))
    }

    /// Numbers in [0, 1], and NaN where a value is missing.
    fn of_floats(&self, rows: usize, width: usize, place: impl Fn(usize) -> usize) -> Result<Split, String> {
        // The conversion to f32 can still round a number to 0 or 1.
        let unit = |number: f64| (number as f32).abs();
        let value = |i: usize| unit(self.number(place(i)));
        // All values are checked before they are stored: bits take a quarter of the memory.
        let n = rows * width;
        let (mut binary, mut missing) = (true, false);
        for i in 0..n {
            let number = self.number(place(i));
            let value = unit(number);
            if !(0.0..=1.0).contains(&number) && !number.is_nan() {
                return Err(wrong(i, width, number, "a number in [0, 1]"));
            }
            binary &= value == 0.0 || value == 1.0 || value.is_nan();
            missing |= value.is_nan();
        }
        let mask = match missing {
            true => {
                let mut mask: Vec<u8> = room::with_room(n)?;
                mask.extend((0..n).map(|i| u8::from(!value(i).is_nan())));
                Some(mask)
            }
            false => None,
        };
        let split = if binary {
            let mut values: Vec<u8> = room::with_room(n)?;
            values.extend((0..n).map(|i| value(i) as u8));
            Split::new(rows, width, values)
        } else {
            let mut values: Vec<f32> = room::with_room(n)?;
            values.extend((0..n).map(value).map(|value| if value.is_nan() { 0.0 } else { value }));
            Split::real(rows, width, values)
        };
        Ok(split.with_mask(mask))
    }
}

/// A binary split if no byte is above 1, else a grey split.
fn bits_or_bytes(rows: usize, width: usize, values: Vec<u8>) -> Split {
    match values.iter().all(|value| *value <= 1) {
        true => Split::new(rows, width, values),
        false => Split::grey(rows, width, values),
    }
}

fn wrong(i: usize, width: usize, found: f64, wanted: &str) -> String {
    let (row, column) = (i / width + 1, i % width + 1);
    format!(
        "row {row}, column {column}: found {found} where {wanted} is expected; rescale or clean the values first"
    )
}

/// The place of the named array among several arrays, or of the only array if no name is given.
pub(crate) fn pick(arrays: &[&str], wanted: Option<&str>) -> Result<usize, String> {
    let names = || arrays.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (wanted, arrays) {
        (_, []) => Err("there is no array of numbers in it; save one of shape [rows, width]".to_owned()),
        (None, [_]) => Ok(0),
        (None, _) => Err(format!("it holds the arrays {}; name one of them as in file:PATH#NAME", names())),
        (Some(wanted), _) => arrays.iter().position(|name| *name == wanted).ok_or_else(|| {
            format!(
                "there is no array `{wanted}` in it; it holds {}: name one of these as in file:PATH#NAME",
                names()
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageShape;

    fn array<'a>(axes: &[usize], order: AxisOrder, number: Number, data: &'a [u8]) -> Array<'a> {
        let integers = !matches!(number, Number::Float { .. });
        Array { axes: axes.to_vec(), order, number, big_endian: false, integers, data }
    }

    const BYTE: Number = Number::Int { bytes: 1, signed: false };

    #[test]
    fn axes_in_either_order_and_transposed_give_the_same_rows() {
        let rows = Split::grey(2, 3, vec![10, 20, 30, 40, 50, 60]);
        let limits = Limits::default();
        let (c, f) = ([10, 20, 30, 40, 50, 60], [10, 40, 20, 50, 30, 60]);
        let last = Some(RowAxis::Last);
        for (axes, order, along, data) in [
            ([2, 3], AxisOrder::RowMajor, None, c),
            ([2, 3], AxisOrder::ColumnMajor, None, f),
            ([3, 2], AxisOrder::RowMajor, last, f),
            ([3, 2], AxisOrder::ColumnMajor, last, c),
        ] {
            assert_eq!(array(&axes, order, BYTE, &data).split(along, &limits).unwrap(), rows);
        }
    }

    #[test]
    fn images_in_either_order_are_row_major_images() {
        // Value 100 n + 10 y + x of image n, row y, column x; two images of 2 x 3.
        let value = |n: usize, y: usize, x: usize| (100 * n + 10 * y + x) as u8;
        let c: Vec<u8> = (0..12).map(|i| value(i / 6, i / 3 % 2, i % 3)).collect();
        let f: Vec<u8> = (0..12).map(|i| value(i % 2, i / 2 % 2, i / 4)).collect();
        let limits = Limits::default();
        let first = Some(RowAxis::First);
        let from_c = array(&[2, 2, 3], AxisOrder::RowMajor, BYTE, &c).split(first, &limits).unwrap();
        let from_f = array(&[2, 2, 3], AxisOrder::ColumnMajor, BYTE, &f).split(first, &limits).unwrap();
        assert_eq!(from_c, from_f);
        // The images along the last axis, with and without a channel, as MATLAB users store them.
        let stacked_c: Vec<u8> = (0..12).map(|i| value(i % 2, i / 6, i / 2 % 3)).collect();
        let stacked_f: Vec<u8> = (0..12).map(|i| value(i / 6, i % 2, i / 2 % 3)).collect();
        for (order, data) in [(AxisOrder::RowMajor, &stacked_c), (AxisOrder::ColumnMajor, &stacked_f)] {
            for axes in [vec![2, 3, 2], vec![2, 3, 1, 2]] {
                let stacked = array(&axes, order, BYTE, data).split(Some(RowAxis::Last), &limits).unwrap();
                assert_eq!(stacked, from_c, "{axes:?} {order:?}");
            }
        }
        for (axes, order, data) in [
            ([2, 1, 2, 3], AxisOrder::RowMajor, &c),
            ([2, 2, 3, 1], AxisOrder::RowMajor, &c),
            ([2, 2, 3, 1], AxisOrder::ColumnMajor, &f),
        ] {
            assert_eq!(array(&axes, order, BYTE, data).split(None, &limits).unwrap(), from_c, "{axes:?}");
        }
        assert_eq!(from_c, Split::grey(2, 6, c.clone()).with_shape(ImageShape { height: 2, width: 3 }));
    }

    #[test]
    fn square_rows_are_not_mistaken_for_images_with_swapped_axes() {
        let data: Vec<u8> = (0..8).collect(); // two rows of four, column-major: 0 2 4 6 and 1 3 5 7
        let split =
            array(&[2, 4], AxisOrder::ColumnMajor, BYTE, &data).split(None, &Limits::default()).unwrap();
        assert_eq!(split, Split::grey(2, 4, vec![0, 2, 4, 6, 1, 3, 5, 7]));
        let split = array(&[4, 2], AxisOrder::RowMajor, BYTE, &data)
            .split(Some(RowAxis::Last), &Limits::default())
            .unwrap();
        assert_eq!(split, Split::grey(2, 4, vec![0, 2, 4, 6, 1, 3, 5, 7]));
    }

    #[test]
    fn numbers_of_every_type_and_byte_order_are_read() {
        fn big_and_little(number: Number, little: &[u8]) {
            let big: Vec<u8> = little.chunks(number.bytes()).flat_map(|n| n.iter().rev().copied()).collect();
            for (big_endian, data) in [(false, little), (true, &big)] {
                let array = Array { big_endian, ..array(&[1, 2], AxisOrder::RowMajor, number, data) };
                assert_eq!(array.split(None, &Limits::default()).unwrap().bits(), [0, 1], "{number:?}");
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
            (float, [0.5f32, f32::INFINITY].map(f32::to_le_bytes).concat(), "row 2, column 1: found inf"),
            (
                float,
                [1.5f32, 0.0].map(f32::to_le_bytes).concat(),
                "row 1, column 1: found 1.5 where a number in [0, 1]",
            ),
            (signed, [-1i16, 0].map(i16::to_le_bytes).concat(), "found -1 where an integer in 0..=255"),
            (signed, [0i16, 256].map(i16::to_le_bytes).concat(), "row 2, column 1: found 256"),
        ] {
            let error = array(&[2, 1], AxisOrder::RowMajor, number, &data)
                .split(None, &Limits::default())
                .unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_missing_and_bits_stay_bits() {
        for (numbers, split) in [
            ([0.0, f64::NAN, 1.0, -0.0], Split::new(2, 2, vec![0, 0, 1, 0])),
            ([0.25, -f64::NAN, 1.0, 0.0], Split::real(2, 2, vec![0.25, 0.0, 1.0, 0.0])),
        ] {
            let split = split.with_mask(Some(vec![1, 0, 1, 1]));
            let (eight, four) = (numbers.map(f64::to_le_bytes), numbers.map(|x| (x as f32).to_le_bytes()));
            for (bytes, data) in [(8, eight.as_flattened()), (4, four.as_flattened())] {
                let array = array(&[2, 2], AxisOrder::RowMajor, Number::Float { bytes }, data);
                assert_eq!(array.split(None, &Limits::default()).unwrap(), split);
            }
        }
    }

    #[test]
    fn shapes_that_are_no_rows_or_do_not_fit_the_bytes_are_refused() {
        for (axes, rows, part) in [
            (vec![6], None, "an array of shape [6] where"),
            (vec![2, 4], None, "takes 8 bytes, but 6 follow"),
            (vec![2, 2], None, "takes 4 bytes, but more follow"),
            (vec![0, 4], None, "no rows"),
            (vec![0, 2, 2], None, "no rows"),
            (vec![2, usize::MAX], None, "are more than"),
            (vec![1, usize::MAX, 2], None, "too wide"),
        ] {
            let error =
                array(&axes, AxisOrder::RowMajor, BYTE, &[0; 6]).split(rows, &Limits::default()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
