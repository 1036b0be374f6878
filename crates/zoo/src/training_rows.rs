//! What an evaluator may know of the training rows.

use helmholtz_datasets::Split;

/// Moments of the training rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingRows {
    /// The mean of the observed values of each column.
    pub mean: Vec<f64>,
    /// Their variance.
    pub variance: Vec<f64>,
    /// The number of rows.
    pub n: usize,
}

impl TrainingRows {
    /// Those of a split. Both moments of a column without observed values are zero.
    pub fn of(split: &Split) -> Self {
        let (mean, n) = (split.mean(), split.rows());
        let (mut sums, mut observed) = (vec![0.0; mean.len()], vec![0usize; mean.len()]);
        for row in 0..n {
            for (column, value) in split.row(row).into_iter().enumerate() {
                if split.is_observed(row, column) {
                    sums[column] += (f64::from(value) - mean[column]).powi(2);
                    observed[column] += 1;
                }
            }
        }
        let variance = sums.into_iter().zip(observed).map(|(sum, n)| sum / n.max(1) as f64).collect();
        TrainingRows { mean, variance, n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_observed_values() {
        let split =
            Split::new(4, 2, vec![1, 0, 0, 1, 1, 1, 1, 0]).with_mask(Some(vec![1, 0, 1, 0, 1, 0, 1, 0]));
        let found = TrainingRows::of(&split);
        assert_eq!(found, TrainingRows { mean: vec![0.75, 0.0], variance: vec![0.1875, 0.0], n: 4 });
    }
}
