//! A split: rows of binary values.

use std::fmt;
use std::str::FromStr;

use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Device, Tensor, TensorData};

/// Binary data: one byte per value, 0 or 1, row-major.
#[derive(Clone, PartialEq, Eq)]
pub struct Split {
    rows: usize,
    width: usize,
    values: Vec<u8>,
}

impl Split {
    /// `rows` rows of `width` values each, one after the other.
    ///
    /// # Panics
    /// If there are not `rows * width` values, or one of them is neither 0 nor 1.
    pub fn new(rows: usize, width: usize, values: Vec<u8>) -> Self {
        assert_eq!(Some(values.len()), rows.checked_mul(width), "{rows} rows of {width} values");
        // A fold without an early exit, so that the check of a large split is one vectorised pass.
        let union = values.iter().fold(0, |union, value| union | value);
        assert!(union <= 1, "a value of a binary split is neither 0 nor 1");
        Split { rows, width, values }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i` is not below the number of rows.
    pub fn row(&self, i: usize) -> &[u8] {
        &self.values[i * self.width..][..self.width]
    }

    /// All values, row-major.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The rows with the given numbers, in that order.
    pub fn select(&self, rows: &[usize]) -> Split {
        let values = rows.iter().flat_map(|i| self.row(*i)).copied().collect();
        Split { rows: rows.len(), width: self.width, values }
    }

    /// The whole split on a device.
    ///
    /// # Shapes
    /// - output: `[rows, width]` in {0, 1}
    pub fn tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|value| f32::from(*value)).collect();
        Tensor::from_data(TensorData::new(values, [self.rows, self.width]), device)
    }

    /// The share of ones in each column; zeros if there are no rows.
    pub fn mean(&self) -> Vec<f64> {
        let mut ones = vec![0u64; self.width];
        if self.width > 0 {
            for row in self.values.chunks_exact(self.width) {
                for (ones, value) in ones.iter_mut().zip(row) {
                    *ones += u64::from(*value);
                }
            }
        }
        ones.into_iter().map(|ones| ones as f64 / self.rows.max(1) as f64).collect()
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Split {{ rows: {}, width: {} }}", self.rows, self.width)
    }
}

impl Dataset<Vec<f32>> for Split {
    fn get(&self, index: usize) -> Result<Vec<f32>, DatasetError> {
        Ok(self.row(index).iter().map(|value| f32::from(*value)).collect())
    }

    fn len(&self) -> usize {
        self.rows
    }
}

/// Which of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SplitName {
    /// What models are fitted to.
    Train,
    /// What choices are made on.
    Valid,
    /// What results are reported on.
    Test,
}

impl SplitName {
    /// The three splits in the order in which they are listed and hashed.
    pub const ALL: [SplitName; 3] = [SplitName::Train, SplitName::Valid, SplitName::Test];
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SplitName::Train => "train",
            SplitName::Valid => "valid",
            SplitName::Test => "test",
        })
    }
}

impl FromStr for SplitName {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        let known = SplitName::ALL.into_iter().find(|split| split.to_string() == name);
        known.ok_or_else(|| UnknownSplit(name.to_owned()))
    }
}

/// The name of no split.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a split; use train, valid or test")]
pub struct UnknownSplit(String);

/// How a row is laid out as an image, row-major from the top left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl ImageShape {
    /// A square if `width` values fill one, else a single row of pixels.
    pub const fn of_width(width: usize) -> Self {
        let side = width.isqrt();
        if side * side == width {
            ImageShape { height: side, width: side }
        } else {
            ImageShape { height: 1, width }
        }
    }

    /// Number of pixels.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> Split {
        Split::new(2, 3, vec![0, 1, 1, 0, 0, 1])
    }

    #[test]
    fn a_tensor_holds_the_rows_as_floats() {
        let x = split().tensor(&Device::flex());
        assert_eq!(x.dims(), [2, 3]);
        assert_eq!(x.into_data().try_to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_split_is_a_burn_dataset() {
        let split = split();
        assert_eq!((split.len(), split.is_empty()), (2, false));
        assert_eq!(split.get(1).unwrap(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_mean_is_per_column() {
        assert_eq!(split().mean(), [0.0, 0.5, 1.0]);
        assert_eq!(Split::new(0, 2, vec![]).mean(), [0.0, 0.0]);
        assert!(Split::new(3, 0, vec![]).mean().is_empty());
    }

    #[test]
    fn selected_rows_come_in_the_order_asked_for() {
        assert_eq!(split().select(&[1, 0, 1]).values(), [0, 0, 1, 0, 1, 1, 0, 0, 1]);
    }

    #[test]
    #[should_panic(expected = "neither 0 nor 1")]
    fn a_split_holds_only_zeros_and_ones() {
        Split::new(1, 2, vec![1, 2]);
    }

    #[test]
    fn split_names_are_read_as_they_are_written() {
        for name in SplitName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let error = "tests".parse::<SplitName>().unwrap_err();
        assert_eq!(error.to_string(), "`tests` is not the name of a split; use train, valid or test");
    }

    #[test]
    fn only_square_widths_become_squares() {
        assert_eq!(ImageShape::of_width(784), ImageShape { height: 28, width: 28 });
        assert_eq!(ImageShape::of_width(123), ImageShape { height: 1, width: 123 });
    }
}
