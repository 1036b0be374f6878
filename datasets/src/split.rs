//! A split: rows of values, their layout, and the mask, labels and targets of the rows.

use std::fmt;

use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Device, Tensor, TensorData};
use helmholtz_core::{Batch, Target};

use crate::values::gather;
use crate::{ImageShape, Targets, ValueKind, Values};

/// Rows of values of one kind, with the shape of a row and, if there are any, missing values, labels and targets.
#[derive(Clone, PartialEq)]
pub struct Split {
    rows: usize,
    /// 0 where a value is missing.
    values: Values,
    shape: ImageShape,
    /// One byte per value, 1 where it was observed; `None` if no value is missing.
    mask: Option<Vec<u8>>,
    labels: Option<Vec<i32>>,
    targets: Option<Targets>,
}

/// One row of a [`Split`], as Burn's `Dataset` returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The values of the row, in [0, 1]; 0 where a value is missing.
    pub values: Vec<f32>,
    /// 1 where a value was observed and 0 where it is missing; `None` if no value of the split is missing.
    pub mask: Option<Vec<u8>>,
    /// How they are laid out.
    pub shape: ImageShape,
    /// The class of the row, if the split has labels.
    pub label: Option<i32>,
    /// The real targets of the row, if the split has targets.
    pub targets: Option<Vec<f32>>,
}

impl Split {
    /// `rows` rows of `width` binary values each, row-major.
    ///
    /// # Panics
    /// If the number of values is not `rows * width`, or if a value is neither 0 nor 1.
    pub fn new(rows: usize, width: usize, values: Vec<u8>) -> Self {
        // A fold without an early exit, so that the check of a large split is one vectorised pass.
        let union = values.iter().fold(0, |union, value| union | value);
        assert!(union <= 1, "a value of a binary split is neither 0 nor 1");
        Split::of_values(rows, width, Values::Binary(values))
    }

    /// `rows` rows of `width` grey bytes each; v stands for the intensity v / 255.
    ///
    /// # Panics
    /// If the number of values is not `rows * width`.
    pub fn grey(rows: usize, width: usize, values: Vec<u8>) -> Self {
        Split::of_values(rows, width, Values::Grey(values))
    }

    /// `rows` rows of `width` intensities each.
    ///
    /// # Panics
    /// If the number of values is not `rows * width`, or if a value is not in [0, 1].
    pub fn real(rows: usize, width: usize, values: Vec<f32>) -> Self {
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "an intensity is not in [0, 1]");
        Split::of_values(rows, width, Values::Real(values))
    }

    /// `rows` rows of `width` real numbers each, which are no intensities: they may lie outside [0, 1].
    ///
    /// # Panics
    /// If the number of values is not `rows * width`, or if a value is not finite.
    pub(crate) fn numbers(rows: usize, width: usize, values: Vec<f32>) -> Self {
        assert!(values.iter().all(|value| value.is_finite()), "a number is not finite");
        Split::of_values(rows, width, Values::Real(values))
    }

    fn of_values(rows: usize, width: usize, values: Values) -> Self {
        assert_eq!(Some(values.len()), rows.checked_mul(width), "{rows} rows of {width} values");
        let shape = ImageShape::of_width(width);
        Split { rows, values, shape, mask: None, labels: None, targets: None }
    }

    /// The same rows, laid out as images of `shape`.
    ///
    /// # Panics
    /// If the number of pixels of the shape is not the number of values in a row.
    pub fn with_shape(self, shape: ImageShape) -> Self {
        assert_eq!(shape.pixels(), self.width(), "pixels of {shape:?}");
        Split { shape, ..self }
    }

    /// The same rows with their classes.
    ///
    /// # Panics
    /// If the number of labels is not the number of rows.
    pub fn with_labels(self, labels: Option<Vec<i32>>) -> Self {
        assert!(labels.as_ref().is_none_or(|labels| labels.len() == self.rows), "one label for each row");
        Split { labels, ..self }
    }

    /// The same rows with real targets.
    ///
    /// # Panics
    /// If the number of rows of the targets differs.
    pub fn with_targets(self, targets: Option<Targets>) -> Self {
        assert!(targets.as_ref().is_none_or(|targets| targets.rows() == self.rows), "targets for each row");
        Split { targets, ..self }
    }

    /// The same rows with some values missing. The mask has one byte per value, 1 where it was observed and 0 where it
    /// is missing. A missing value becomes 0. A mask without missing values is dropped.
    ///
    /// # Panics
    /// If the number of bytes is not the number of values, or if a byte is neither 0 nor 1.
    pub fn with_mask(mut self, mask: Option<Vec<u8>>) -> Self {
        if let Some(mask) = &mask {
            assert_eq!(mask.len(), self.values.len(), "a byte of the mask for each value");
            assert!(mask.iter().all(|observed| *observed <= 1), "a byte of a mask is neither 0 nor 1");
            self.values.clear(mask);
        }
        Split { mask: mask.filter(|mask| mask.contains(&0)), ..self }
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

    /// The class of each row, if there are labels.
    pub fn labels(&self) -> Option<&[i32]> {
        self.labels.as_deref()
    }

    /// The real targets of each row, if there are any.
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// One byte per value, row-major: 1 where it was observed and 0 where it is missing. `None` if no value is missing.
    pub fn mask(&self) -> Option<&[u8]> {
        self.mask.as_deref()
    }

    /// Whether the value in a row and a column was observed.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn is_observed(&self, row: usize, column: usize) -> bool {
        assert!(row < self.rows && column < self.width(), "row {row}, column {column} of {self:?}");
        self.mask.as_ref().is_none_or(|mask| mask[row * self.width() + column] == 1)
    }

    /// Number of missing values.
    pub fn missing(&self) -> usize {
        self.mask.as_ref().map_or(0, |mask| mask.iter().filter(|observed| **observed == 0).count())
    }

    /// Row and column (both from 0) of the first missing value.
    pub fn first_missing(&self) -> Option<(usize, usize)> {
        let place = self.mask.as_ref()?.iter().position(|observed| *observed == 0)?;
        Some((place / self.width(), place % self.width()))
    }

    /// All values, row-major; 0 where a value is missing.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The kind of the values.
    pub fn kind(&self) -> ValueKind {
        self.values.kind()
    }

    /// All values of a binary split, one byte each, row-major.
    ///
    /// # Panics
    /// If the split is not binary.
    pub fn bits(&self) -> &[u8] {
        match &self.values {
            Values::Binary(bits) => bits,
            other => panic!("a split of {other:?} has no bits"),
        }
    }

    /// The values of row `i` of a binary split, one byte each.
    ///
    /// # Panics
    /// If the split is not binary, or `i` is not below the number of rows.
    pub fn bits_of(&self, i: usize) -> &[u8] {
        &self.bits()[i * self.width()..][..self.width()]
    }

    /// The values of row `i`, in [0, 1]; 0 where a value is missing.
    ///
    /// # Panics
    /// If `i` is not below the number of rows.
    pub fn row(&self, i: usize) -> Vec<f32> {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        self.values.numbers(i * self.width(), self.width())
    }

    /// Row, column (both from 0) and value of the first observed value that is neither 0 nor 1.
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
            mask: None,
            labels: self.labels.as_ref().map(|labels| rows.iter().map(|row| labels[*row]).collect()),
            targets: self.targets.as_ref().map(|targets| targets.select(rows)),
        }
        .with_mask(self.mask.as_ref().map(|mask| gather(mask, self.width(), rows)))
    }

    /// The same rows, each extended to `width` values with zeros that count as observed.
    ///
    /// # Panics
    /// If the rows are wider than `width`.
    pub(crate) fn widened(self, width: usize) -> Split {
        fn pad<T: Copy>(values: &[T], by: T, from: usize, to: usize) -> Vec<T> {
            let rows = values.chunks_exact(from);
            rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(by, to - from))).collect()
        }
        let from = self.width();
        if from == width {
            return self;
        }
        let values = match &self.values {
            Values::Binary(values) => Values::Binary(pad(values, 0, from, width)),
            Values::Grey(values) => Values::Grey(pad(values, 0, from, width)),
            Values::Real(values) => Values::Real(pad(values, 0.0, from, width)),
        };
        let mask = self.mask.as_ref().map(|mask| pad(mask, 1, from, width));
        Split::of_values(self.rows, width, values).knowing(&self).with_mask(mask)
    }

    /// These values with the labels and targets of another split.
    fn knowing(self, other: &Split) -> Split {
        self.with_labels(other.labels.clone()).with_targets(other.targets.clone())
    }

    /// The same rows with bits as values.
    pub(crate) fn with_bits(&self, bits: Vec<u8>) -> Split {
        let split = Split::new(self.rows, self.width(), bits).with_shape(self.shape);
        split.knowing(self).with_mask(self.mask.clone())
    }

    /// The same intensities as real numbers.
    pub(crate) fn to_real(&self) -> Split {
        let values = self.values.numbers(0, self.values.len());
        let split = Split::real(self.rows, self.width(), values).with_shape(self.shape);
        split.knowing(self).with_mask(self.mask.clone())
    }

    /// The whole split on a device.
    ///
    /// # Shapes
    /// - output: `[rows, width]` in [0, 1], and 0 where a value is missing
    pub fn tensor(&self, device: &Device) -> Tensor<2> {
        let values = self.values.numbers(0, self.values.len());
        Tensor::from_data(TensorData::new(values, [self.rows, self.width()]), device)
    }

    /// The whole split on a device, with its mask and its targets. The data set numbers the classes, so only
    /// [`DataSet::batch`](crate::DataSet::batch) has them.
    pub fn batch(&self, device: &Device) -> Batch {
        let matrix = |values, width| Tensor::from_data(TensorData::new(values, [self.rows, width]), device);
        let target = self.targets.as_ref().map(|targets| matrix(targets.values().to_vec(), targets.width()));
        let mask = self.mask.as_ref().map(|mask| mask.iter().map(|observed| f32::from(*observed)).collect());
        Batch {
            target: target.map(Target::Values),
            mask: mask.map(|mask: Vec<f32>| matrix(mask, self.width())),
            ..Batch::of(self.tensor(device))
        }
    }

    /// The mean of the observed values of each column; zero for a column without observed values.
    pub fn mean(&self) -> Vec<f64> {
        let sums = self.values.column_sums(self.width()).into_iter();
        sums.zip(self.observed()).map(|(sum, n)| sum / n.max(1) as f64).collect()
    }

    /// Number of observed values in each column.
    pub(crate) fn observed(&self) -> Vec<usize> {
        let mut observed = vec![self.rows; self.width()];
        for row in self.mask.iter().flat_map(|mask| mask.chunks_exact(self.width().max(1))) {
            observed.iter_mut().zip(row).for_each(|(n, observed)| *n -= usize::from(1 - observed));
        }
        observed
    }

    /// The least and the greatest observed value, intensities as numbers in [0, 1]; `None` if no value is observed.
    pub fn range(&self) -> Option<[f32; 2]> {
        let Some(mask) = &self.mask else { return self.values.range() };
        let numbers = self.values.numbers(0, self.values.len()).into_iter().zip(mask);
        let observed = numbers.filter(|(_, observed)| **observed == 1).map(|(number, _)| [number; 2]);
        observed.reduce(|[low, high], [number, _]| [low.min(number), high.max(number)])
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Split { rows, shape, .. } = self;
        write!(f, "Split {{ rows: {rows}, width: {}, {}", shape.pixels(), self.kind())?;
        if self.mask.is_some() {
            write!(f, ", missing: {}", self.missing())?;
        }
        if let Some(targets) = &self.targets {
            write!(f, ", targets: {}", targets.width())?;
        }
        f.write_str(" }")
    }
}

impl Dataset<Item> for Split {
    fn get(&self, index: usize) -> Result<Item, DatasetError> {
        let row = index * self.width()..(index + 1) * self.width();
        Ok(Item {
            values: self.row(index),
            mask: self.mask.as_ref().map(|mask| mask[row].to_vec()),
            shape: self.shape,
            label: self.labels.as_ref().map(|labels| labels[index]),
            targets: self.targets.as_ref().map(|targets| targets.row(index).to_vec()),
        })
    }

    fn len(&self) -> usize {
        self.rows
    }
}

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

    /// Two rows of every kind, in which the second value of the first row and the last of the second are missing.
    fn with_gaps() -> [Split; 3] {
        let targets = Targets::new(2, vec![-1.5, 2.0, 0.0, 1e9]);
        let mask = vec![1, 0, 1, 1, 1, 0];
        every_kind().map(|split| split.with_mask(Some(mask.clone())).with_targets(Some(targets.clone())))
    }

    #[test]
    fn missing_values_and_targets_stay_with_their_rows() {
        for split in with_gaps() {
            assert_eq!((split.missing(), split.first_missing()), (2, Some((0, 1))));
            assert!(split.is_observed(0, 0) && !split.is_observed(1, 2));
            assert_eq!((split.row(0)[1], split.row(1)[2]), (0.0, 0.0), "a missing value is stored as 0");
            let chosen = split.select(&[1, 1]);
            assert_eq!(chosen.mask(), Some([1, 1, 0, 1, 1, 0].as_slice()));
            assert_eq!(chosen.targets().unwrap().values(), [0.0, 1e9, 0.0, 1e9]);
            for same in [split.to_real(), split.with_bits(vec![1, 1, 0, 0, 0, 1])] {
                assert_eq!((same.mask(), same.targets()), (split.mask(), split.targets()));
                assert_eq!((same.labels(), same.row(0)[1]), (split.labels(), 0.0));
            }
            let wide = split.clone().widened(4);
            assert_eq!(wide.mask(), Some([1, 0, 1, 1, 1, 1, 0, 1].as_slice()));
            assert_eq!((wide.targets(), wide.labels()), (split.targets(), split.labels()));
            let item = split.get(1).unwrap();
            assert_eq!((item.mask, item.targets), (Some(vec![1, 1, 0]), Some(vec![0.0, 1e9])));
            assert!(format!("{split:?}").ends_with(", missing: 2, targets: 2 }"), "{split:?}");
        }
        let whole = split().with_mask(Some(vec![1; 6]));
        assert_eq!((whole.mask(), whole.missing(), whole.first_missing()), (None, 0, None));
        assert!(with_gaps()[0].select(&[]).mask().is_none());
    }

    #[test]
    fn means_and_ranges_are_those_of_observed_values() {
        let split = Split::real(2, 3, vec![0.5, 0.25, 1.0, 0.75, 0.5, 0.25]);
        let gaps = split.with_mask(Some(vec![1, 0, 0, 1, 1, 0]));
        assert_eq!((gaps.mean(), gaps.range()), (vec![0.625, 0.5, 0.0], Some([0.5, 0.75])));
        let [_, grey, real] = with_gaps();
        assert_eq!(
            (grey.first_not_binary(), real.first_not_binary()),
            (Some((0, 2, 0.2)), Some((0, 2, 0.2)))
        );
        let grey = Split::grey(1, 2, vec![7, 255]).with_mask(Some(vec![0, 1]));
        assert_eq!((grey.first_not_binary(), grey.range()), (None, Some([1.0, 1.0])));
    }

    #[test]
    fn a_batch_has_the_mask_and_the_targets_of_the_split() {
        let numbers = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
        for split in with_gaps() {
            let batch = split.batch(&Device::flex());
            assert_eq!(numbers(batch.x.clone()), [split.row(0), split.row(1)].concat());
            assert_eq!(numbers(batch.mask.clone().unwrap()), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
            let Some(Target::Values(targets)) = batch.target else { panic!("no targets") };
            assert_eq!(numbers(targets), [-1.5, 2.0, 0.0, 1e9]);
        }
        let bare = split().batch(&Device::flex());
        assert!(bare.mask.is_none() && bare.target.is_none());
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
}
