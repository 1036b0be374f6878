//! A sequence of numbers, for shuffles and for data generators.

use crate::Key;
use crate::philox::philox4x32;

/// A sequence of 64-bit words under a key.
///
/// It reads the cells of row 2^61, which no matrix of samples uses.
#[derive(Clone, Debug)]
pub struct Stream {
    key: Key,
    position: u64,
}

impl Stream {
    /// The sequence of `key`, from its start.
    pub fn new(key: Key) -> Self {
        Stream { key, position: 0 }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let counter = [self.position as u32, (self.position >> 32) as u32, 0, 1 << 29];
        self.position += 1;
        let [low, high, ..] = philox4x32(counter, self.key.words());
        u64::from(high) << 32 | u64::from(low)
    }

    /// A uniform number in [0, 1), with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A uniform number in [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A uniform integer below `n`, with a bias below n / 2^64.
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "n must be positive: no natural number is below zero");
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// A uniform permutation of `0..n` (Fisher and Yates, in Durstenfeld's form).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permutation_of_three_is_equally_likely() {
        // 6 counts of 12 000 draws; each is within 5 standard deviations of 2000, with false alarms below 4e-6.
        let mut counts = std::collections::HashMap::new();
        for seed in 0..12_000 {
            *counts.entry(Stream::new(Key::new(seed)).permutation(3)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        let sd = (12_000.0f64 * (1.0 / 6.0) * (5.0 / 6.0)).sqrt();
        for (order, count) in counts {
            assert!((f64::from(count) - 2000.0).abs() < 5.0 * sd, "{order:?}: {count}");
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(Key::new(1)).permutation(1000);
        assert!(order.iter().enumerate().any(|(i, o)| i != *o));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
