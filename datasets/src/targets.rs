//! Targets: real numbers to predict for the rows of a split.

/// One or more real numbers for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    width: usize,
    values: Vec<f32>,
}

impl Targets {
    /// Rows of `width` numbers each, row-major.
    ///
    /// # Panics
    /// If `width` is 0, if the last row is incomplete, or if a number is not finite.
    pub fn new(width: usize, values: Vec<f32>) -> Self {
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "{} numbers in rows of {width}",
            values.len()
        );
        assert!(values.iter().all(|value| value.is_finite()), "a target is not finite");
        Targets { width, values }
    }

    /// Numbers per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// All numbers, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The numbers of row `i`.
    ///
    /// # Panics
    /// If `i` is not below the number of rows.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..][..self.width]
    }

    /// The rows with the given numbers, in that order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|row| self.row(*row)).copied().collect();
        Targets { width: self.width, values }
    }
}
