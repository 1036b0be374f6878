//! The cells of noise that a matrix of samples covers.

use std::sync::Arc;

use crate::{Key, Label};

/// A key together with the data rows to draw for, and the samples of each row.
///
/// A matrix of samples has `n_rows * k` rows; the `k` samples of one data row are consecutive.
/// The cell of the key's noise that a matrix row reads depends on the number of the data row and
/// the number of the sample, never on their place in a batch. So the same row gets the same
/// samples for every way to split a batch into chunks.
///
/// ```
/// use helmholtz_noise::{Draws, Key};
///
/// let all = Draws::new(Key::new(0), 4, 6); // rows 0..4, samples 0..6 of each
/// let part = all.samples(3..5); // samples 3 and 4 of the same rows
/// assert_eq!(part.cell(2), (1, 3)); // matrix row 2 is sample 3 of row 1
/// ```
#[derive(Clone, Debug)]
pub struct Draws {
    key: Key,
    rows: RowNumbers,
    first_sample: u32,
    k: usize,
}

#[derive(Clone, Debug)]
enum RowNumbers {
    /// Rows `0..n`, or `n` rows from the key's first row on.
    First(usize),
    /// Rows with given numbers.
    Numbered(Arc<[u64]>),
}

impl Draws {
    /// Samples `0..k` of rows `0..n`, or of `n` rows from the key's [first](Key::from_row) on.
    pub fn new(key: Key, n: usize, k: usize) -> Self {
        Draws { key, rows: RowNumbers::First(n), first_sample: 0, k }
    }

    /// Samples `0..k` of the rows with the given numbers.
    pub fn of_rows(key: Key, rows: impl Into<Arc<[u64]>>, k: usize) -> Self {
        Draws { key, rows: RowNumbers::Numbered(rows.into()), first_sample: 0, k }
    }

    /// The samples in `range` of the same rows.
    pub fn samples(&self, range: std::ops::Range<usize>) -> Self {
        Draws { first_sample: range.start as u32, k: range.len(), ..self.clone() }
    }

    /// The same cells under a child key.
    pub fn child(&self, label: impl Into<Label>) -> Self {
        Draws { key: self.key.child(label), ..self.clone() }
    }

    /// The key.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Number of data rows.
    pub fn n_rows(&self) -> usize {
        match &self.rows {
            RowNumbers::First(n) => *n,
            RowNumbers::Numbered(rows) => rows.len(),
        }
    }

    /// Number of samples of each data row.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of matrix rows, `n_rows * k`.
    pub fn len(&self) -> usize {
        self.n_rows() * self.k
    }

    /// True if there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the data row and the sample that a matrix row belongs to.
    pub fn cell(&self, matrix_row: usize) -> (u64, u32) {
        let (row, sample) = (matrix_row / self.k, matrix_row % self.k);
        let row = match &self.rows {
            RowNumbers::First(_) => self.key.first_row() + row as u64,
            RowNumbers::Numbered(rows) => rows[row],
        };
        (row, self.first_sample + sample as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_does_not_depend_on_the_chunk_it_is_drawn_in() {
        let key = Key::new(0);
        let whole = Draws::of_rows(key, vec![5, 9, 2], 4);
        let row = Draws::of_rows(key, vec![9], 4).samples(2..4);
        assert_eq!(row.cell(0), whole.cell(6));
        assert_eq!(row.cell(1), whole.cell(7));
        assert_eq!((whole.len(), row.len()), (12, 2));
    }

    #[test]
    fn a_part_of_a_batch_draws_what_the_whole_draws_for_its_rows() {
        let key = Key::new(0).child(3u64);
        let whole = Draws::new(key, 7, 2).child("layer");
        let part = Draws::new(key.from_row(4), 3, 2).child("layer");
        for i in 0..part.len() {
            assert_eq!(part.cell(i), whole.cell(8 + i));
        }
        assert_eq!(part.key().words(), whole.key().words());
        // Numbered rows keep their numbers.
        assert_eq!(Draws::of_rows(key.from_row(4), vec![1], 1).cell(0), (1, 0));
    }
}
