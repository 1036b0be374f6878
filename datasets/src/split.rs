//! A split: rows of values, how they are laid out, and their labels.

use std::fmt;

use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Device, Tensor, TensorData};

use crate::{ImageShape, ValueKind, Values};

/// Rows of values of one kind, with the shape of a row and, where there are any, labels.
#[derive(Clone, PartialEq)]
pub struct Split {
    rows: usize,
    values: Values,
    shape: ImageShape,
    labels: Option<Vec<i32>>,
}

/// One row of a [`Split`], as Burn's data sets hand it out.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The values of the row, in [0, 1].
    pub values: Vec<f32>,
    /// How they are laid out.
    pub shape: ImageShape,
    /// The class of the row, where the data set has classes.
    pub label: Option<i32>,
}

impl Split {
    /// `rows` rows of `width` binary values each, one after the other.
    ///
    /// # Panics
    /// If there are not `rows * width` values, or one of them is neither 0 nor 1.
    pub fn new(rows: usize, width: usize, values: Vec<u8>) -> Self {
        // A fold without an early exit, so that the check of a large split is one vectorised pass.
        let union = values.iter().fold(0, |union, value| union | value);
        assert!(union <= 1, "a value of a binary split is neither 0 nor 1");
        Split::of_values(rows, width, Values::Binary(values))
    }

    /// `rows` rows of `width` grey bytes each; v stands for the intensity v / 255.
    ///
    /// # Panics
    /// If there are not `rows * width` values.
    pub fn grey(rows: usize, width: usize, values: Vec<u8>) -> Self {
        Split::of_values(rows, width, Values::Grey(values))
    }

    /// `rows` rows of `width` intensities each.
    ///
    /// # Panics
    /// If there are not `rows * width` values, or one of them is not in [0, 1].
    pub fn real(rows: usize, width: usize, values: Vec<f32>) -> Self {
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "an intensity is not in [0, 1]");
        Split::of_values(rows, width, Values::Real(values))
    }

    fn of_values(rows: usize, width: usize, values: Values) -> Self {
        assert_eq!(Some(values.len()), rows.checked_mul(width), "{rows} rows of {width} values");
        Split { rows, values, shape: ImageShape::of_width(width), labels: None }
    }

    /// The same rows, laid out as images of `shape`.
    ///
    /// # Panics
    /// If the shape has not as many pixels as a row has values.
    pub fn with_shape(self, shape: ImageShape) -> Self {
        assert_eq!(shape.pixels(), self.width(), "pixels of {shape:?}");
        Split { shape, ..self }
    }

    /// The same rows with their classes.
    ///
    /// # Panics
    /// If there are not as many labels as rows.
    pub fn with_labels(self, labels: Option<Vec<i32>>) -> Self {
        assert!(labels.as_ref().is_none_or(|labels| labels.len() == self.rows), "a label a row");
        Split { labels, ..self }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    pub fn width(&self) -> usize {
        self.shape.pixels()
    }

    /// How a row is laid out.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The class of each row, where there are classes.
    pub fn labels(&self) -> Option<&[i32]> {
        self.labels.as_deref()
    }

    /// All values, row-major.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What the values are.
    pub fn kind(&self) -> ValueKind {
        self.values.kind()
    }

    /// All values of a binary split, a byte each, row-major.
    ///
    /// # Panics
    /// If the split is not binary.
    pub fn bits(&self) -> &[u8] {
        match &self.values {
            Values::Binary(bits) => bits,
            other => panic!("a split of {other:?} has no bits"),
        }
    }

    /// The values of row `i` of a binary split, a byte each.
    ///
    /// # Panics
    /// If the split is not binary, or `i` is not below the number of rows.
    pub fn bits_of(&self, i: usize) -> &[u8] {
        &self.bits()[i * self.width()..][..self.width()]
    }

    /// The values of row `i`, in [0, 1].
    ///
    /// # Panics
    /// If `i` is not below the number of rows.
    pub fn row(&self, i: usize) -> Vec<f32> {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        self.values.numbers(i * self.width(), self.width())
    }

    /// Row, column (both from 0) and value of the first value that is neither 0 nor 1.
    pub fn first_not_binary(&self) -> Option<(usize, usize, f32)> {
        let (place, value) = match &self.values {
            Values::Binary(_) => None,
            Values::Grey(values) => {
                let place = values.iter().position(|value| !matches!(value, 0 | 255))?;
                Some((place, crate::values::intensity(values[place])))
            }
            Values::Real(values) => {
                let place = values.iter().position(|value| *value != 0.0 && *value != 1.0)?;
                Some((place, values[place]))
            }
        }?;
        Some((place / self.width(), place % self.width(), value))
    }

    /// The rows with the given numbers, in that order.
    pub fn select(&self, rows: &[usize]) -> Split {
        Split {
            rows: rows.len(),
            values: self.values.select(self.width(), rows),
            shape: self.shape,
            labels: self.labels.as_ref().map(|labels| rows.iter().map(|row| labels[*row]).collect()),
        }
    }

    /// The same rows with zeros after each, up to `width` values.
    ///
    /// # Panics
    /// If the rows are wider.
    pub(crate) fn widened(self, width: usize) -> Split {
        fn pad<T: Copy + Default>(values: &[T], from: usize, to: usize) -> Vec<T> {
            let rows = values.chunks_exact(from);
            rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(T::default(), to - from)))
                .collect()
        }
        let from = self.width();
        if from == width {
            return self;
        }
        let values = match &self.values {
            Values::Binary(values) => Values::Binary(pad(values, from, width)),
            Values::Grey(values) => Values::Grey(pad(values, from, width)),
            Values::Real(values) => Values::Real(pad(values, from, width)),
        };
        Split::of_values(self.rows, width, values).with_labels(self.labels)
    }

    /// The same intensities as real numbers.
    pub(crate) fn to_real(&self) -> Split {
        let values = Values::Real(self.values.numbers(0, self.values.len()));
        Split { values, ..self.clone() }
    }

    /// The whole split on a device.
    ///
    /// # Shapes
    /// - output: `[rows, width]` in [0, 1]
    pub fn tensor(&self, device: &Device) -> Tensor<2> {
        let values = self.values.numbers(0, self.values.len());
        Tensor::from_data(TensorData::new(values, [self.rows, self.width()]), device)
    }

    /// The mean of each column; zeros if there are no rows.
    pub fn mean(&self) -> Vec<f64> {
        let sums = self.values.column_sums(self.width());
        sums.into_iter().map(|sum| sum / self.rows.max(1) as f64).collect()
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Split { rows, shape, .. } = self;
        write!(f, "Split {{ rows: {rows}, width: {}, {} }}", shape.pixels(), self.kind())
    }
}

impl Dataset<Item> for Split {
    fn get(&self, index: usize) -> Result<Item, DatasetError> {
        let label = self.labels.as_ref().map(|labels| labels[index]);
        Ok(Item { values: self.row(index), shape: self.shape, label })
    }

    fn len(&self) -> usize {
        self.rows
    }
}

/// Which of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownSplit, parse_err_fn = unknown)]
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

fn unknown(name: &str) -> UnknownSplit {
    UnknownSplit(name.to_owned())
}

/// The name of no split.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a split; use train, valid or test")]
pub struct UnknownSplit(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> Split {
        Split::new(2, 3, vec![0, 1, 1, 0, 0, 1])
    }

    /// The same two rows of every kind, with labels.
    fn every_kind() -> [Split; 3] {
        let real = Split::real(2, 3, vec![0.0, 1.0, 0.2, 0.0, 0.4, 1.0]);
        let grey = Split::grey(2, 3, vec![0, 255, 51, 0, 102, 255]);
        [split(), grey, real].map(|split| split.with_labels(Some(vec![7, -1])))
    }

    #[test]
    fn a_tensor_holds_the_rows_as_numbers_in_the_unit_interval() {
        let [binary, grey, real] = every_kind().map(|split| split.tensor(&Device::flex()));
        assert_eq!(binary.dims(), [2, 3]);
        assert_eq!(binary.into_data().try_to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        assert_eq!(grey.into_data(), real.into_data());
    }

    #[test]
    fn a_split_is_a_burn_dataset() {
        for split in every_kind() {
            assert_eq!((split.len(), split.is_empty()), (2, false));
            let item = split.get(1).unwrap();
            assert_eq!((item.values, item.shape, item.label), (split.row(1), split.shape(), Some(-1)));
        }
    }

    #[test]
    fn the_mean_is_per_column() {
        let [binary, grey, real] = every_kind().map(|split| split.mean());
        assert_eq!(binary, [0.0, 0.5, 1.0]);
        assert_eq!(grey, [0.0, (1.0 + 102.0 / 255.0) / 2.0, (51.0 / 255.0 + 1.0) / 2.0]);
        assert!(grey.iter().zip(real).all(|(a, b)| (a - b).abs() < 1e-7));
        assert_eq!(Split::new(0, 2, vec![]).mean(), [0.0, 0.0]);
        assert!(Split::new(3, 0, vec![]).mean().is_empty());
    }

    #[test]
    fn selected_rows_come_in_the_order_asked_for_with_their_labels() {
        for split in every_kind() {
            let chosen = split.select(&[1, 0, 1]);
            assert_eq!([0, 1, 2].map(|i| chosen.row(i)), [1, 0, 1].map(|i| split.row(i)));
            assert_eq!(chosen.labels(), Some([-1, 7, -1].as_slice()));
        }
    }

    #[test]
    fn the_first_value_between_zero_and_one_is_named() {
        let [binary, grey, real] = every_kind().map(|split| split.first_not_binary());
        assert_eq!((binary, grey, real), (None, Some((0, 2, 0.2)), Some((0, 2, 0.2))));
    }

    #[test]
    #[should_panic(expected = "neither 0 nor 1")]
    fn a_binary_split_holds_only_zeros_and_ones() {
        Split::new(1, 2, vec![1, 2]);
    }

    #[test]
    #[should_panic(expected = "not in [0, 1]")]
    fn an_intensity_is_not_nan() {
        Split::real(1, 2, vec![1.0, f32::NAN]);
    }

    #[test]
    fn split_names_are_read_as_they_are_written() {
        for name in SplitName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let error = "tests".parse::<SplitName>().unwrap_err();
        assert_eq!(error.to_string(), "`tests` is not the name of a split; use train, valid or test");
    }
}
