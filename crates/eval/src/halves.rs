//! What halves and quarters of the samples say about the error of a logarithm of a mean.
//!
//! Let `L(K)` be the expected logarithm of the mean of K weights, which rises to `log p(x)`. Half the relative variance
//! of the mean estimates what is missing if K is large. If weights have heavy tails it is far too small, because most of
//! the variance is in weights that no sample has met yet. But the samples show how fast L still rises:
//!
//! ```text
//! g_1 = L(K) - L(K/2),  g_2 = L(K/2) - L(K/4),  g_3,  g_4
//! ```
//!
//! Gains that fall by a factor ρ with every doubling leave `g_1 ρ / (1 - ρ)` to gain: g_1 itself if the bias falls as
//! 1/K (ρ = 1/2), and more if it falls slowly. ρ is estimated from the means of the gains over rows,
//! `(g_1 + g_2 + g_3) / (g_2 + g_3 + g_4)`, and kept between 1/2 and 0.95.
//!
//! The samples are dealt out to sixteen blocks in turn, so that nothing has to be known in advance and memory does not
//! grow with K. The blocks also give the variance of `L`, by leaving each of them out (the jackknife), which a formula
//! by moments underestimates, too.
//!
//! # Reference
//! M. H. Quenouille, "Notes on bias in estimation", Biometrika 43 (1956) (the jackknife, which is ρ = 1/2); S. Nowozin,
//! "Debiasing evidence approximations", ICLR 2018 (the bias of a logarithm of a mean of weights).

/// Number of blocks.
pub const BLOCKS: usize = 16;
/// Number of gains: doublings from one block to all.
pub const GAINS: usize = BLOCKS.ilog2() as usize;
/// The largest ρ: nineteen times the last gain may be missing.
const SLOWEST: f64 = 0.95;

/// What the blocks of a row's samples say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halves {
    /// Gains of the logarithm of the mean by doublings of the samples, the last doubling first, in nats.
    pub gains: [f64; GAINS],
    /// Variance of the logarithm of the mean, by leaving out each block.
    pub variance: f64,
}

/// The weights of a row in blocks, relative to its largest one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Blocks {
    pub(crate) sums: [f64; BLOCKS],
    pub(crate) counts: [u64; BLOCKS],
}

impl Blocks {
    /// Adds weight number `number` of the row.
    pub(crate) fn push(&mut self, number: u64, weight: f64) {
        let block = (number % BLOCKS as u64) as usize;
        self.sums[block] += weight;
        self.counts[block] += 1;
    }

    /// The same weights, relative to another largest one.
    pub(crate) fn scale(&mut self, by: f64) {
        self.sums.iter_mut().for_each(|sum| *sum *= by);
    }

    /// Adds other blocks, one by one.
    pub(crate) fn merge(&mut self, other: &Blocks) {
        for i in 0..BLOCKS {
            self.sums[i] += other.sums[i];
            self.counts[i] += other.counts[i];
        }
    }

    /// `None` if a block is empty or has no positive weight: too few samples to tell.
    pub(crate) fn halves(&self) -> Option<Halves> {
        let is_known = |&sum: &f64| sum.is_finite() && sum > 0.0;
        if self.counts.contains(&0) || !self.sums.iter().all(is_known) {
            return None;
        }
        let mut parts: Vec<(f64, f64)> =
            self.sums.iter().zip(self.counts).map(|(&sum, count)| (sum, count as f64)).collect();
        let mean_log = |parts: &[(f64, f64)]| {
            parts.iter().map(|(sum, count)| (sum / count).ln()).sum::<f64>() / parts.len() as f64
        };
        // From sixteenths to the whole.
        let mut levels = vec![mean_log(&parts)];
        while parts.len() > 1 {
            let half = parts.len() / 2;
            let joined = (0..half).map(|i| (parts[i].0 + parts[i + half].0, parts[i].1 + parts[i + half].1));
            parts = joined.collect();
            levels.push(mean_log(&parts));
        }
        let gain = |i: usize| levels[GAINS - i] - levels[GAINS - 1 - i];
        let (sum, count) = parts[0];
        let without = self.sums.iter().zip(self.counts).map(|(s, n)| ((sum - s) / (count - n as f64)).ln());
        let without: Vec<f64> = without.collect();
        let mean = without.iter().sum::<f64>() / BLOCKS as f64;
        let squares: f64 = without.iter().map(|log| (log - mean).powi(2)).sum();
        let variance = squares * (BLOCKS - 1) as f64 / BLOCKS as f64;
        // Rounding can leave nothing of the others beside one block.
        variance.is_finite().then(|| Halves { gains: std::array::from_fn(gain), variance })
    }
}

/// What is still to be gained, by the means of the gains over rows, in nats.
pub(crate) fn still_to_gain(gains: [f64; GAINS]) -> f64 {
    let [last, second, third, fourth] = gains.map(|gain| gain.max(0.0));
    let before = second + third + fourth;
    if last <= 0.0 || before <= 0.0 {
        return 0.0;
    }
    let ratio = ((last + second + third) / before).clamp(0.5, SLOWEST);
    last * ratio / (1.0 - ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_and_the_jackknife_are_those_of_plain_arithmetic() {
        let weights: Vec<f64> = (0..48).map(|i| 1.0 + f64::from(i * 7 % 13)).collect();
        let mut blocks = Blocks::default();
        weights.iter().enumerate().for_each(|(i, w)| blocks.push(i as u64, *w));
        let Halves { gains, variance } = blocks.halves().unwrap();
        // The mean of log means over the parts that take every m-th weight.
        let level = |m: usize| {
            let part = |of: usize| {
                let part: Vec<f64> = weights.iter().skip(of).step_by(m).copied().collect();
                (part.iter().sum::<f64>() / part.len() as f64).ln()
            };
            (0..m).map(part).sum::<f64>() / m as f64
        };
        for (i, gain) in gains.into_iter().enumerate() {
            assert!((gain - (level(1 << i) - level(2 << i))).abs() < 1e-14, "{i}");
        }
        let total: f64 = weights.iter().sum();
        let without: Vec<f64> = (0..16)
            .map(|of| {
                let part: f64 = weights.iter().skip(of).step_by(16).sum();
                ((total - part) / 45.0).ln()
            })
            .collect();
        let mean = without.iter().sum::<f64>() / 16.0;
        let expected = 15.0 / 16.0 * without.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
        assert!((variance - expected).abs() < 1e-15);
    }

    #[test]
    fn nothing_is_said_from_too_few_samples() {
        let mut blocks = Blocks::default();
        (0..15).for_each(|i| blocks.push(i, 1.0));
        assert_eq!(blocks.halves(), None);
        blocks.push(15, 0.0);
        assert_eq!(blocks.halves(), None, "a block without a positive weight has no logarithm");
        blocks.push(31, 1.0);
        assert!(blocks.halves().is_some());
    }

    #[test]
    fn what_is_left_follows_from_how_gains_fall() {
        // A bias of a K^-r is a 2^-r smaller with every doubling.
        for r in [1.0, 0.5, 0.25] {
            let bias = |doublings: f64| 3.0 * (-r * doublings).exp2();
            let gains = std::array::from_fn(|i| bias(5.0 - i as f64) - bias(6.0 - i as f64));
            assert!((still_to_gain(gains) - bias(6.0)).abs() < 1e-12, "{r}");
        }
        // Faster than 1/K is not believed, and neither is never.
        assert!((still_to_gain([1.0, 4.0, 16.0, 64.0]) - 1.0).abs() < 1e-12);
        assert!((still_to_gain([1.0; 4]) - 19.0).abs() < 1e-12);
        assert_eq!(still_to_gain([-0.1, 0.2, 0.1, 0.1]), 0.0);
    }
}
