//! The data that a strategy or an evaluator receives.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor};

/// Rows of a data set, with everything that is known about each row.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The observed values: `[n, d]`; 0 where a value is missing.
    pub x: Tensor<2>,
    /// What the rows are conditioned on: `[n, d_side]`.
    pub side: Option<Tensor<2>>,
    /// What is to be predicted for each row.
    pub target: Option<Target>,
    /// 1 where a value of `x` was observed and 0 where it is missing: `[n, d]`; not set if nothing is missing.
    pub mask: Option<Tensor<2>>,
    /// The n row numbers within the split; they key draws and caches.
    pub rows: Arc<[u64]>,
    /// The number of the training step, from zero; zero outside training.
    pub step: u64,
}

/// What is to be predicted for the rows of a [`Batch`].
#[derive(Clone, Debug)]
pub enum Target {
    /// The class of each row, numbered from zero: `[n]`.
    Classes(Tensor<1, Int>),
    /// Real numbers: `[n, d_target]`.
    Values(Tensor<2>),
}

impl Batch {
    /// Rows with values and nothing else, numbered from zero.
    pub fn of(x: Tensor<2>) -> Self {
        let rows = (0..x.dims()[0] as u64).collect();
        Batch { x, side: None, target: None, mask: None, rows, step: 0 }
    }

    /// The same rows with their targets.
    pub fn with_target(self, target: Target) -> Self {
        Batch { target: Some(target), ..self }
    }

    /// The same rows with a mask of what was observed, `[n, d]`; all other values become 0.
    pub fn with_mask(self, mask: Tensor<2>) -> Self {
        Batch { x: self.x * mask.clone(), mask: Some(mask), ..self }
    }

    /// The same rows in another floating-point type.
    pub fn cast(&self, dtype: DType) -> Self {
        self.each(|matrix| matrix.cast(dtype), |vector| vector, self.rows.clone())
    }

    /// The same rows with other row numbers.
    ///
    /// # Panics
    /// If there are more or fewer numbers than rows.
    pub fn numbered(self, rows: Arc<[u64]>) -> Self {
        assert_eq!(rows.len(), self.len(), "a batch needs one number for each row");
        Batch { rows, ..self }
    }

    /// The values of a batch without missing values: `[n, d]`.
    ///
    /// # Panics
    /// If there is a mask: the zeros of missing values would be taken for observed ones.
    pub fn whole(&self) -> Tensor<2> {
        assert!(
            self.mask.is_none(),
            "the batch has missing values, and this model or strategy does not support them"
        );
        self.x.clone()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.x.dims()[0]
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of each row, if the targets are classes: `[n]`.
    pub fn classes(&self) -> Option<Tensor<1, Int>> {
        match &self.target {
            Some(Target::Classes(classes)) => Some(classes.clone()),
            _ => None,
        }
    }

    /// The class of each row as a unit vector, if the targets are classes: `[n, k]` with k at least the number of classes.
    pub fn unit_vectors(&self, k: usize) -> Option<Tensor<2>> {
        let classes = self.classes()?.unsqueeze_dim::<2>(1);
        let numbers = Tensor::<1, Int>::arange(0..k as i64, &classes.device()).unsqueeze::<2>();
        Some(numbers.equal(classes).float().cast(self.x.dtype()))
    }

    /// The rows at `places` of this batch, in that order.
    pub fn select(&self, places: &[usize]) -> Self {
        let indices: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &self.x.device());
        self.each(
            |matrix| matrix.select(0, indices.clone()),
            |vector| vector.select(0, indices.clone()),
            places.iter().map(|&place| self.rows[place]).collect(),
        )
    }

    /// A range of the rows of this batch.
    pub fn slice(&self, range: Range<usize>) -> Self {
        self.each(
            |matrix| {
                let d = matrix.dims()[1];
                matrix.slice([range.clone(), 0..d])
            },
            |vector| vector.slice([range.clone()]),
            self.rows[range.clone()].into(),
        )
    }

    /// The same rows on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        self.each(|matrix| matrix.to_device(device), |vector| vector.to_device(device), self.rows.clone())
    }

    /// The same step, with a function applied to each tensor.
    fn each(
        &self,
        matrix: impl Fn(Tensor<2>) -> Tensor<2>,
        vector: impl Fn(Tensor<1, Int>) -> Tensor<1, Int>,
        rows: Arc<[u64]>,
    ) -> Self {
        Batch {
            x: matrix(self.x.clone()),
            side: self.side.clone().map(&matrix),
            target: self.target.clone().map(|target| match target {
                Target::Classes(classes) => Target::Classes(vector(classes)),
                Target::Values(values) => Target::Values(matrix(values)),
            }),
            mask: self.mask.clone().map(&matrix),
            rows,
            step: self.step,
        }
    }
}

impl From<Tensor<2>> for Batch {
    fn from(x: Tensor<2>) -> Self {
        Batch::of(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row i holds i, 10 + i, ..., so that no two parts of it are alike.
    fn whole() -> Batch {
        let column = |from: f32| {
            let values: Vec<f32> = (0..5).map(|i| from + i as f32).collect();
            Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).unsqueeze_dim::<2>(1)
        };
        let classes = Tensor::from_ints([0, 1, 2, 3, 4], &Device::flex());
        let batch = Batch::of(column(0.0)).with_target(Target::Classes(classes));
        Batch { side: Some(column(10.0)), mask: Some(column(20.0)), step: 3, ..batch }
            .numbered((30..35).collect())
    }

    fn parts(batch: &Batch) -> Vec<Vec<f32>> {
        let numbers = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
        let classes = batch.classes().unwrap().float().unsqueeze_dim(1);
        let matrices = [batch.x.clone(), batch.side.clone().unwrap(), classes, batch.mask.clone().unwrap()];
        let rows = batch.rows.iter().map(|&row| row as f32).collect();
        matrices.into_iter().map(numbers).chain([rows]).collect()
    }

    #[test]
    fn what_is_missing_is_zero() {
        let mask = Tensor::from_floats([[1.0], [0.0], [1.0], [0.0], [0.0]], &Device::flex());
        let x = Batch::of(whole().x).with_mask(mask).x;
        assert_eq!(x.into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 2.0, 0.0, 0.0]);
    }

    #[test]
    fn every_part_of_a_row_stays_with_it() {
        let expected = |places: &[usize]| -> Vec<Vec<f32>> {
            [0, 10, 0, 20, 30].map(|from| places.iter().map(|i| (from + i) as f32).collect()).to_vec()
        };
        assert_eq!(parts(&whole().select(&[3, 1])), expected(&[3, 1]));
        assert_eq!(parts(&whole().slice(1..4)), expected(&[1, 2, 3]));
        assert_eq!(whole().select(&[0]).step, 3);
    }
}
