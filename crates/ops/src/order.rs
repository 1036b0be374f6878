//! The order in which an autoregressive layer visits its units.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use helmholtz_noise::{Key, Stream};

/// An order of units: the order of their indices, or a permutation.
///
/// Parameters stay indexed by unit for every order. So weights trained with two orders can be compared, and a weight
/// file can be read without knowing the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitOrder(Option<Arc<[u32]>>);

impl UnitOrder {
    /// Unit 0 first, then 1, and so on.
    pub fn index() -> Self {
        UnitOrder(None)
    }

    /// A uniform permutation of `d` units, drawn under `key`.
    pub fn random(d: usize, key: Key) -> Self {
        UnitOrder(Some(Stream::new(key).permutation(d).into_iter().map(|unit| unit as u32).collect()))
    }

    /// The units from the first to the last.
    ///
    /// # Panics
    /// If the order is a permutation of a number of units other than `d`.
    pub fn units(&self, d: usize) -> Vec<usize> {
        match &self.0 {
            None => (0..d).collect(),
            Some(order) => {
                assert_eq!(order.len(), d, "the order has {} units, the layer has {d}", order.len());
                order.iter().map(|&unit| unit as usize).collect()
            }
        }
    }

    /// The place of each unit in the order: the inverse of [`units`](Self::units).
    pub fn places(&self, d: usize) -> Vec<usize> {
        let mut places = vec![0; d];
        for (place, unit) in self.units(d).into_iter().enumerate() {
            places[unit] = place;
        }
        places
    }

    /// True if units are visited in the order of their indices.
    pub fn is_index(&self) -> bool {
        self.0.is_none()
    }

    /// The columns of `matrix` in this order.
    pub(crate) fn sort_columns(&self, matrix: Tensor<2>) -> Tensor<2> {
        self.select(matrix, 1, Self::units)
    }

    /// The rows of `matrix` in this order.
    pub(crate) fn sort_rows(&self, matrix: Tensor<2>) -> Tensor<2> {
        self.select(matrix, 0, Self::units)
    }

    /// Undoes [`sort_columns`](Self::sort_columns).
    pub(crate) fn restore_columns(&self, matrix: Tensor<2>) -> Tensor<2> {
        self.select(matrix, 1, Self::places)
    }

    /// Undoes [`sort_rows`](Self::sort_rows).
    pub(crate) fn restore_rows(&self, matrix: Tensor<2>) -> Tensor<2> {
        self.select(matrix, 0, Self::places)
    }

    fn select(&self, matrix: Tensor<2>, dim: usize, by: impl Fn(&Self, usize) -> Vec<usize>) -> Tensor<2> {
        if self.is_index() {
            return matrix;
        }
        let (d, device) = (matrix.dims()[dim], matrix.device());
        matrix.select(dim, indices(by(self, d), &device))
    }
}

/// Numbers as an integer tensor.
pub(crate) fn indices(numbers: Vec<usize>, device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i32> = numbers.into_iter().map(|n| n as i32).collect();
    let n = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_the_inverse_of_units() {
        let order = UnitOrder::random(50, Key::new(3));
        let (units, places) = (order.units(50), order.places(50));
        assert!(!units.is_sorted());
        assert!(units.iter().enumerate().all(|(place, &unit)| places[unit] == place));
        assert_eq!(UnitOrder::index().places(3), [0, 1, 2]);
    }

    #[test]
    fn sorting_is_undone() {
        let device = Device::flex();
        let values: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let matrix = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([4, 5]);
        let (rows, columns) = (UnitOrder::random(4, Key::new(1)), UnitOrder::random(5, Key::new(2)));
        let there = columns.sort_columns(rows.sort_rows(matrix.clone()));
        let back = rows.restore_rows(columns.restore_columns(there.clone()));
        assert_ne!(there.into_data(), matrix.clone().into_data());
        assert_eq!(back.into_data(), matrix.into_data());
    }
}
