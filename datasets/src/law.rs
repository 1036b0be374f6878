//! The exact distribution of a generated data set.

use std::collections::BTreeMap;

use crate::Split;

/// The exact distribution of a generated data set: its distinct patterns and their probabilities.
#[derive(Clone, Debug)]
pub struct Law {
    patterns: Split,
    probabilities: Vec<f64>,
}

impl Law {
    /// The distribution of a finite list of outcomes; outcomes with the same pattern are merged.
    ///
    /// The patterns are in lexicographic order.
    ///
    /// # Panics
    /// If an outcome is not `width` values in {0, 1}, or if the probabilities do not sum to one.
    pub fn of_outcomes(width: usize, outcomes: impl IntoIterator<Item = (Vec<u8>, f64)>) -> Self {
        let mut merged = BTreeMap::new();
        for (pattern, probability) in outcomes {
            *merged.entry(pattern).or_insert(0.0) += probability;
        }
        let (patterns, probabilities): (Vec<_>, Vec<_>) = merged.into_iter().unzip();
        let total: f64 = probabilities.iter().sum();
        assert!((total - 1.0).abs() < 1e-9, "the probabilities sum to {total} and not to 1");
        Law { patterns: Split::new(patterns.len(), width, patterns.concat()), probabilities }
    }

    /// The distinct patterns, one per row.
    pub fn patterns(&self) -> &Split {
        &self.patterns
    }

    /// The probability of each pattern.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// The entropy −Σ p log p in nats: no model has a lower expected NLL.
    pub fn entropy(&self) -> f64 {
        self.probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum()
    }
}

/// Compares the frequencies of a sample with a distribution.
#[cfg(test)]
pub(crate) fn assert_drawn_from(law: &Law, sample: &Split) {
    let patterns = law.patterns();
    let index: BTreeMap<&[u8], usize> = (0..patterns.rows()).map(|i| (patterns.bits_of(i), i)).collect();
    let mut counts = vec![0.0; patterns.rows()];
    for i in 0..sample.rows() {
        let row = sample.bits_of(i);
        counts[*index.get(row).unwrap_or_else(|| panic!("row {i} is {row:?}, not a pattern"))] += 1.0;
    }
    // Pearson's statistic. A pattern has its own cell if at least 5 rows are expected; the others share a cell.
    let (mut statistic, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
    let mut add = |observed: f64, expected: f64| {
        statistic += (observed - expected) * (observed - expected) / expected;
        cells += 1.0;
    };
    for (observed, p) in counts.iter().zip(law.probabilities()) {
        let expected = p * sample.rows() as f64;
        if expected >= 5.0 { add(*observed, expected) } else { rest = (rest.0 + observed, rest.1 + expected) }
    }
    if rest.1 > 0.0 {
        add(rest.0, rest.1);
    }
    // Wilson and Hilferty: (chi²/k)^(1/3) is nearly normal with mean 1 - 2/(9k) and variance 2/(9k).
    // Five standard deviations: a correct sampler fails for fewer than 1 key in 1 000 000.
    let k: f64 = cells - 1.0;
    let z = ((statistic / k).cbrt() - (1.0 - 2.0 / (9.0 * k))) / (2.0 / (9.0 * k)).sqrt();
    assert!(z.abs() < 5.0, "chi² is {statistic} with {k} degrees of freedom, z = {z}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_outcomes_are_merged() {
        let law = Law::of_outcomes(2, [(vec![1, 0], 0.25), (vec![0, 1], 0.5), (vec![1, 0], 0.25)]);
        assert_eq!(law.patterns().bits(), [0, 1, 1, 0]);
        assert_eq!(law.probabilities(), [0.5, 0.5]);
        assert!((law.entropy() - 2f64.ln()).abs() < 1e-15);
    }

    #[test]
    #[should_panic(expected = "sum to 0.5")]
    fn a_law_sums_to_one() {
        Law::of_outcomes(1, [(vec![1], 0.5)]);
    }
}
