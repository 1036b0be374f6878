//! Sums of weights that arrive chunk by chunk, in log space.

use crate::halves::{BLOCKS, Blocks, Halves};

/// `log Σ w`, `log Σ w²`, the largest weight and the spread of `log w` of one row, over any number of
/// chunks.
///
/// Sums are kept relative to the largest weight seen so far, in double precision.
#[derive(Clone, Copy, Debug)]
pub struct WeightSums {
    max: f64,
    sum: f64,
    sum_of_squares: f64,
    mean_log: f64,
    squares_log: f64,
    n: u64,
    blocks: Blocks,
}

/// 2^53, up to which counts are exact as floating-point numbers.
const MOST_COUNTED: f64 = (1u64 << 53) as f64;

impl Default for WeightSums {
    fn default() -> Self {
        WeightSums {
            max: f64::NEG_INFINITY,
            sum: 0.0,
            sum_of_squares: 0.0,
            mean_log: 0.0,
            squares_log: 0.0,
            n: 0,
            blocks: Blocks::default(),
        }
    }
}

impl WeightSums {
    /// Adds one log weight. NaN and +∞ make the sums not finite, as they should.
    pub fn push(&mut self, log_weight: f64) {
        self.push_numbered(self.n, log_weight);
    }

    /// Adds the log weight of sample `number` of the row, which decides its block.
    pub fn push_numbered(&mut self, number: u64, log_weight: f64) {
        self.n += 1;
        // Welford's update: plain sums of squares far from zero would lose their digits.
        let from_old = log_weight - self.mean_log;
        self.mean_log += from_old / self.n as f64;
        self.squares_log += from_old * (log_weight - self.mean_log);
        if log_weight == f64::NEG_INFINITY {
            self.blocks.push(number, 0.0);
            return;
        }
        let w = if log_weight > self.max {
            let scale = (self.max - log_weight).exp();
            self.sum = self.sum * scale + 1.0;
            self.sum_of_squares = self.sum_of_squares * scale * scale + 1.0;
            self.blocks.scale(scale);
            self.max = log_weight;
            1.0
        } else {
            let w = (log_weight - self.max).exp();
            self.sum += w;
            self.sum_of_squares += w * w;
            w
        };
        self.blocks.push(number, w);
    }

    /// Adds the weights of `other`, as if they had come after its own.
    ///
    /// `log Σ w` is `log(exp a + exp b)`, and the spread follows from the distance of the two means of `log w`. Counts
    /// are exact; sums equal those of one pass to rounding.
    pub fn merge(&mut self, other: &WeightSums) {
        if other.n == 0 {
            return;
        }
        let max = self.max.max(other.max);
        // Equal maxima have a ratio of one, even if both are minus infinity.
        let scale = |of: f64| if of == max { 1.0 } else { (of - max).exp() };
        let (mine, its) = (scale(self.max), scale(other.max));
        self.sum = self.sum * mine + other.sum * its;
        self.sum_of_squares = self.sum_of_squares * mine * mine + other.sum_of_squares * its * its;
        self.blocks.scale(mine);
        let mut blocks = other.blocks;
        blocks.scale(its);
        self.blocks.merge(&blocks);
        self.max = max;
        let (n_mine, n_its) = (self.n as f64, other.n as f64);
        let apart = other.mean_log - self.mean_log;
        self.n += other.n;
        self.mean_log += apart * (n_its / self.n as f64);
        self.squares_log += other.squares_log + apart * apart * (n_mine * n_its / self.n as f64);
    }

    /// The sums as numbers that [`from_parts`](Self::from_parts) takes: n, the logarithm of the largest weight, sum
    /// and sum of squares relative to it, mean and summed squared deviations of `log w`.
    pub fn parts(&self) -> [f64; 6] {
        [self.n as f64, self.max, self.sum, self.sum_of_squares, self.mean_log, self.squares_log]
    }

    /// The sums that have these [`parts`](Self::parts); `None` if the first is not a count.
    pub fn from_parts([n, max, sum, sum_of_squares, mean_log, squares_log]: [f64; 6]) -> Option<Self> {
        let counts = n >= 0.0 && n.fract() == 0.0 && n <= MOST_COUNTED;
        let blocks = Blocks::default();
        counts.then_some(WeightSums { max, sum, sum_of_squares, mean_log, squares_log, n: n as u64, blocks })
    }

    /// The sums of the weights of each block, relative to the largest, and then their numbers.
    pub fn blocks(&self) -> [f64; 2 * BLOCKS] {
        let Blocks { sums, counts } = self.blocks;
        std::array::from_fn(|i| if i < BLOCKS { sums[i] } else { counts[i - BLOCKS] as f64 })
    }

    /// The sums with these [`blocks`](Self::blocks); `None` if their numbers are not counts that add up to
    /// n, or to zero if the blocks are not known.
    pub fn with_blocks(self, parts: [f64; 2 * BLOCKS]) -> Option<Self> {
        let (sums, counts) = parts.split_at(BLOCKS);
        let are_counts = counts.iter().all(|n| *n >= 0.0 && n.fract() == 0.0 && *n <= MOST_COUNTED);
        let blocks = Blocks {
            sums: std::array::from_fn(|i| sums[i]),
            counts: std::array::from_fn(|i| counts[i] as u64),
        };
        let counted: f64 = counts.iter().sum();
        let is_whole = are_counts && (counted == self.n as f64 || counted == 0.0);
        is_whole.then_some(WeightSums { blocks, ..self })
    }

    /// What halves and quarters of the weights say about the error of `log 1/n Σ w`; `None` for too few weights.
    pub fn halves(&self) -> Option<Halves> {
        self.blocks.halves()
    }

    /// Number of weights added.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// `log Σ w`; minus infinity if every weight is zero.
    pub fn log_sum(&self) -> f64 {
        self.max + self.sum.ln()
    }

    /// `log 1/n Σ w`.
    pub fn log_mean(&self) -> f64 {
        self.log_sum() - (self.n as f64).ln()
    }

    /// The effective sample size `(Σ w)² / Σ w²`, as a share of `n`.
    pub fn effective_share(&self) -> f64 {
        self.sum * self.sum / self.sum_of_squares / self.n as f64
    }

    /// Standard deviation of `log w`; infinite if a weight is zero.
    pub fn log_spread(&self) -> f64 {
        let variance = self.squares_log / self.n as f64;
        if variance.is_finite() { variance.max(0.0).sqrt() } else { f64::INFINITY }
    }

    /// The largest weight's share of the sum.
    pub fn largest_share(&self) -> f64 {
        1.0 / self.sum
    }

    /// Estimated variance of the mean weight, relative to its square: `s² / (n w̄²)` with the
    /// unbiased sample variance `s²`. NaN for a single weight, whose variance is unknown.
    pub fn relative_variance(&self) -> f64 {
        let n = self.n as f64;
        if self.n < 2 {
            return f64::NAN;
        }
        ((n * self.sum_of_squares / (self.sum * self.sum) - 1.0) / (n - 1.0)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_plain_arithmetic() {
        let weights = [0.5f64, 2.0, 0.25, 4.0, 1.0];
        let mut sums = WeightSums::default();
        weights.iter().for_each(|w| sums.push(w.ln()));
        let (n, s1) = (5.0, weights.iter().sum::<f64>());
        let s2 = weights.iter().map(|w| w * w).sum::<f64>();
        let variance = weights.iter().map(|w| (w - s1 / n).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((sums.log_sum() - s1.ln()).abs() < 1e-14);
        assert!((sums.effective_share() - s1 * s1 / s2 / n).abs() < 1e-14);
        assert!((sums.largest_share() - 4.0 / s1).abs() < 1e-14);
        assert!((sums.relative_variance() - variance / n / (s1 / n).powi(2)).abs() < 1e-14);
        let mean_log = weights.iter().map(|w| w.ln()).sum::<f64>() / n;
        let variance_log = weights.iter().map(|w| (w.ln() - mean_log).powi(2)).sum::<f64>() / n;
        assert!((sums.log_spread() - variance_log.sqrt()).abs() < 1e-14);
        sums.push(f64::NEG_INFINITY);
        sums.push(0.0);
        assert_eq!(sums.log_spread(), f64::INFINITY);
    }

    #[test]
    fn weights_far_below_the_numbers_keep_their_ratio() {
        let mut sums = WeightSums::default();
        [-5000.0, -5001.0].into_iter().for_each(|log_w| sums.push(log_w));
        assert!((sums.log_sum() - (-5000.0 + (1.0 + (-1f64).exp()).ln())).abs() < 1e-12);
    }

    #[test]
    fn merged_sums_are_those_of_one_pass_wherever_the_cut_is() {
        let log_weights = [-3.0, -1.5, f64::NEG_INFINITY, 2.0, -4000.0, 0.5, 2.0];
        let of = |part: &[f64]| {
            let mut sums = WeightSums::default();
            part.iter().for_each(|&log_w| sums.push(log_w));
            sums
        };
        let whole = of(&log_weights);
        for cut in 0..=log_weights.len() {
            let mut merged = of(&log_weights[..cut]);
            merged.merge(&of(&log_weights[cut..]));
            assert_eq!(merged.n(), whole.n());
            assert!((merged.log_sum() - whole.log_sum()).abs() < 1e-14, "cut at {cut}");
            assert!((merged.relative_variance() - whole.relative_variance()).abs() < 1e-14);
            assert!((merged.largest_share() - whole.largest_share()).abs() < 1e-14);
            let counts = |sums: &WeightSums| sums.blocks()[BLOCKS..].iter().sum::<f64>();
            assert_eq!(counts(&merged), counts(&whole));
        }
        let finite = [-3.0, -1.5, 2.0, -40.0, 0.5];
        let mut merged = of(&finite[..2]);
        merged.merge(&of(&finite[2..]));
        assert!((merged.log_spread() - of(&finite).log_spread()).abs() < 1e-13);
    }

    #[test]
    fn halves_of_parts_of_like_size_are_those_of_one_pass() {
        let log_weights: Vec<f64> = (0..96).map(|i| f64::from(i * 29 % 31) / 7.0 - 3000.0).collect();
        let of = |part: &[f64]| {
            let mut sums = WeightSums::default();
            part.iter().for_each(|&log_w| sums.push(log_w));
            sums
        };
        let mut merged = of(&log_weights[..32]);
        merged.merge(&of(&log_weights[32..]));
        let (found, expected) = (merged.halves().unwrap(), of(&log_weights).halves().unwrap());
        for (a, b) in found.gains.iter().zip(expected.gains) {
            assert!((a - b).abs() < 1e-14);
        }
        assert!((found.variance - expected.variance).abs() < 1e-15);
    }

    #[test]
    fn an_undefined_weight_poisons_what_it_is_merged_into() {
        let (mut sums, mut undefined) = (WeightSums::default(), WeightSums::default());
        sums.push(1.0);
        undefined.push(f64::NAN);
        let mut after = undefined;
        after.merge(&sums);
        sums.merge(&undefined);
        assert!(sums.log_sum().is_nan() && after.log_sum().is_nan());
    }

    #[test]
    fn parts_are_the_sums_to_the_bit_and_half_a_count_is_none() {
        let mut sums = WeightSums::default();
        [-5000.0, 0.1, f64::NEG_INFINITY].into_iter().for_each(|log_w| sums.push(log_w));
        let back = WeightSums::from_parts(sums.parts()).unwrap();
        assert_eq!(back.parts().map(f64::to_bits), sums.parts().map(f64::to_bits));
        assert_eq!(back.with_blocks(sums.blocks()).unwrap().blocks(), sums.blocks());
        let mut blocks = sums.blocks();
        blocks[BLOCKS] += 1.0;
        assert!(back.with_blocks(blocks).is_none(), "the counts no longer add up");
        for n in [0.5, -1.0, f64::NAN, f64::INFINITY] {
            let [_, rest @ ..] = sums.parts();
            assert!(WeightSums::from_parts([n, rest[0], rest[1], rest[2], rest[3], rest[4]]).is_none());
        }
    }

    #[test]
    fn zero_and_undefined_weights_stay_visible() {
        let mut zero = WeightSums::default();
        zero.push(f64::NEG_INFINITY);
        assert_eq!(zero.log_sum(), f64::NEG_INFINITY);
        let mut undefined = WeightSums::default();
        undefined.push(f64::NAN);
        assert!(undefined.log_sum().is_nan() || undefined.log_sum() == f64::NEG_INFINITY);
    }
}
