//! Means and variances of a stream, and their critical values.

/// Mean and variance of numbers that come one by one (Welford, Technometrics 4, 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningMoments {
    n: u64,
    mean: f64,
    squares: f64,
    /// The most that one number has added to the squares.
    largest: f64,
}

impl RunningMoments {
    /// Adds a number.
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        let before = value - self.mean;
        self.mean += before / self.n as f64;
        let square = before * (value - self.mean);
        self.squares += square;
        self.largest = self.largest.max(square);
    }

    /// The largest share of the variance that a single number makes up: about `2 log(n) / n` for normal numbers. For a
    /// distribution without a variance it does not fall with n.
    pub fn largest_share(&self) -> f64 {
        if self.squares > 0.0 { (self.largest / self.squares).min(1.0) } else { 0.0 }
    }

    /// How many numbers there were.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Their variance, NaN for fewer than two.
    pub fn variance(&self) -> f64 {
        if self.n < 2 { f64::NAN } else { self.squares / (self.n - 1) as f64 }
    }

    /// The standard error of their mean, NaN for fewer than two.
    pub fn se(&self) -> f64 {
        (self.variance() / self.n as f64).sqrt()
    }
}

/// Mean and total variance of vectors that come one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorMoments {
    n: u64,
    mean: Vec<f64>,
    squares: f64,
}

impl VectorMoments {
    /// For vectors of length `len`.
    pub fn new(len: usize) -> Self {
        VectorMoments { n: 0, mean: vec![0.0; len], squares: 0.0 }
    }

    /// Adds a vector, value by value.
    pub fn push(&mut self, values: &[f64]) {
        self.n += 1;
        let share = 1.0 / self.n as f64;
        let mut squares = 0.0;
        for (mean, value) in self.mean.iter_mut().zip(values) {
            let before = value - *mean;
            *mean += before * share;
            squares += before * (value - *mean);
        }
        self.squares += squares;
    }

    /// Their mean.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The trace of their covariance, NaN for fewer than two.
    pub fn variance(&self) -> f64 {
        if self.n < 2 { f64::NAN } else { self.squares / (self.n - 1) as f64 }
    }
}

/// The z that any of `tests` standard normal numbers exceeds in absolute value with probability at most `false_alarm`
/// (Bonferroni).
pub fn critical(false_alarm: f64, tests: usize) -> f64 {
    let asked = false_alarm / tests.max(1) as f64;
    let (mut low, mut high) = (0.0f64, 40.0f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        // Both tails.
        if libm::erfc(middle / std::f64::consts::SQRT_2) > asked { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_two_passes() {
        let values = [1e9 + 1.0, 1e9 + 2.0, 1e9 + 4.0, 1e9 + 9.0];
        let (mut moments, mut vectors) = (RunningMoments::default(), VectorMoments::new(2));
        for value in values {
            moments.push(value);
            vectors.push(&[value, -2.0 * value]);
        }
        let variance = 38.0 / 3.0;
        assert_eq!((moments.n(), moments.mean()), (4, 1e9 + 4.0));
        // The last lies 20/3 above the mean before it and 5 above the one with it: 100/3 of 38.
        assert!((moments.largest_share() - 100.0 / 3.0 / 38.0).abs() < 1e-6);
        assert!((moments.variance() - variance).abs() < 1e-6);
        assert!((moments.se() - (variance / 4.0).sqrt()).abs() < 1e-6);
        assert!((vectors.variance() - 5.0 * variance).abs() < 1e-5);
        assert_eq!(vectors.mean()[1], -2e9 - 8.0);
        assert!(RunningMoments::default().variance().is_nan());
    }

    #[test]
    fn critical_values_are_those_of_tables() {
        for (false_alarm, tests, expected) in
            [(0.05, 1, 1.959964), (0.01, 1, 2.575829), (0.01, 100, 3.890592)]
        {
            assert!((critical(false_alarm, tests) - expected).abs() < 1e-5);
        }
    }
}
