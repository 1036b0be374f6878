//! How the samples of a split are allocated to its rows.
//!
//! If row r of n rows has K_r samples, the errors of the mean over the rows depend on them only through the sum V:
//!
//! ```text
//! V = Σ_r s_r² / K_r      s_r²: relative variance of one weight of row r
//! bias = V / 2n           how much the mean NLL is expected to be too high, nats
//! se = √V / n             its Monte Carlo standard error, nats
//! ```
//!
//! Both are at most ε if and only if `V <= min(2nε, (nε)²)`. If a row is scored by `c` times the
//! logarithm of a mean, bias and error are c times as large, and ε is divided by c. For a given V, the
//! total number of samples is smallest with `K_r ∝ s_r`: Neyman's allocation, `K_r = s_r Σ_j s_j / V`.
//!
//! # Strata
//! K_r must not follow the s_r that is estimated from the row's own samples. If weights have heavy
//! tails, most of s_r² is in a few states that most rows have not met yet. Rows that have met one
//! would then get more samples, and rows whose estimate is too low because they have met none would
//! get no more. The mean would be further off than with equal K at the same cost, and its stated
//! error would be smaller. So the rows are ranked by the standard deviation of the *logarithms* of
//! their first weights, which the bulk of the weights determines. They are cut into up to eight
//! strata of a hundred rows or more. A stratum g has one K_g for all its rows, and S_g² is the mean
//! of their estimates of s_r²:
//!
//! ```text
//! K_g = clip(λ S_g, now, bound)      with the smallest λ that reaches V
//! ```
//!
//! # Reference
//! J. Neyman, "On the two different aspects of the representative method: the method of stratified
//! sampling and the method of purposive selection", J. R. Stat. Soc. 97 (1934).

/// The error that the samples may add to the mean of a split, and the most samples that a row may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Within {
    /// Bound on the Monte Carlo standard error and on the bias of the mean, ε, in nats.
    pub error: f64,
    /// Bound on the samples of a row.
    pub most: usize,
}

/// Rows that have the same number of samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stratum {
    /// How many rows.
    pub(crate) rows: usize,
    /// Samples of each, K_g.
    pub(crate) samples: usize,
    /// Relative variance of a row's mean weight, `S_g² / K_g`: the mean over the rows.
    pub(crate) relative_variance: f64,
}

/// Indices of rows, cut into strata by the spread of the logarithms of their weights.
pub(crate) fn strata(spreads: &[f64]) -> Vec<Vec<usize>> {
    const MOST: usize = 8;
    const FEWEST_ROWS: usize = 100;
    let mut order: Vec<usize> = (0..spreads.len()).collect();
    order.sort_by(|&a, &b| spreads[a].total_cmp(&spreads[b]));
    let strata = (spreads.len() / FEWEST_ROWS).clamp(1, MOST);
    let mut strata: Vec<Vec<usize>> =
        order.chunks(spreads.len().div_ceil(strata).max(1)).map(<[usize]>::to_vec).collect();
    strata.iter_mut().for_each(|places| places.sort_unstable());
    strata
}

impl Within {
    /// The number of samples that the rows of each stratum should have next; `None` if V is small enough
    /// or no further sample is to be drawn.
    ///
    /// No row grows more than eightfold at once, because a variance estimated from few samples of a heavy
    /// tail is too small. A row that grows does so by at least a twentieth, so that the rounds end.
    pub(crate) fn next(&self, strata: &[Stratum], c: f64) -> Option<Vec<usize>> {
        let n: f64 = strata.iter().map(|stratum| stratum.rows as f64).sum();
        let error = self.error / c;
        let target = (2.0 * n * error).min((n * error).powi(2));
        let now: f64 = strata.iter().map(|stratum| stratum.rows as f64 * stratum.relative_variance).sum();
        if now <= target {
            return None;
        }
        let scale = self.scale(strata, target);
        let next: Vec<usize> = strata
            .iter()
            .map(|stratum| {
                let now = stratum.samples as f64;
                let wanted = scale * stratum.spread();
                let wanted = if wanted > now { wanted.clamp(1.05 * now, 8.0 * now).ceil() } else { now };
                (wanted as usize).min(self.most)
            })
            .collect();
        next.iter().zip(strata).any(|(&next, stratum)| next > stratum.samples).then_some(next)
    }

    /// λ.
    ///
    /// If the bound on the samples keeps V above the target whatever the other strata have, it is λ without
    /// that bound: more samples for the others than that could not reach the target.
    fn scale(&self, strata: &[Stratum], target: f64) -> f64 {
        let sum = |samples: &dyn Fn(&Stratum) -> f64| -> f64 {
            strata.iter().map(|g| g.rows as f64 * g.spread().powi(2) / samples(g)).sum()
        };
        let most = self.most as f64;
        let reachable = sum(&|_| most) <= target;
        let most = if reachable { most } else { f64::INFINITY };
        let spreads = strata.iter().filter(|g| g.relative_variance > 0.0);
        // λ at which all strata have their bound, or which is enough for rows without samples so far.
        let mut high = if reachable {
            spreads.map(|g| most / g.spread()).fold(0.0, f64::max)
        } else {
            spreads.map(|g| g.rows as f64 * g.spread()).sum::<f64>() / target
        };
        let mut low = 0.0;
        // V falls as λ grows; a hundred halvings end at neighbouring numbers.
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            let samples = |g: &Stratum| (middle * g.spread()).min(most).max(g.samples as f64);
            if sum(&samples) > target { low = middle } else { high = middle }
        }
        high
    }
}

impl Stratum {
    /// S_g.
    fn spread(&self) -> f64 {
        (self.relative_variance * self.samples as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = 1 << 30;

    /// Rounds until nothing more is to be drawn, as if the true `S_g` were known, for strata of one row.
    fn settled(within: Within, spreads: &[f64], first: usize) -> Vec<usize> {
        let mut samples = vec![first; spreads.len()];
        loop {
            let strata: Vec<Stratum> = samples
                .iter()
                .zip(spreads)
                .map(|(&samples, s)| Stratum { rows: 1, samples, relative_variance: s * s / samples as f64 })
                .collect();
            let Some(next) = within.next(&strata, 1.0) else { return samples };
            assert!(next.iter().zip(&samples).all(|(next, now)| next >= now && *next <= 8 * now));
            samples = next;
        }
    }

    fn errors(spreads: &[f64], samples: &[usize]) -> (f64, f64) {
        let n = spreads.len() as f64;
        let sum: f64 = spreads.iter().zip(samples).map(|(s, &k)| s * s / k as f64).sum();
        (sum / 2.0 / n, sum.sqrt() / n)
    }

    #[test]
    fn rows_get_samples_in_proportion_to_their_spread() {
        // Many rows: the bias decides. Few: the standard error does.
        for (n, error) in [(400, 0.01), (3, 0.02)] {
            let spreads: Vec<f64> = (0..n).map(|r| 3.0 + (r % 7) as f64).collect();
            let samples = settled(Within { error, most: FREE }, &spreads, 10);
            let (bias, se) = errors(&spreads, &samples);
            assert!(bias.max(se) <= error && bias.max(se) > 0.95 * error, "{bias}, {se}");
            let (n, total) = (n as f64, spreads.iter().sum::<f64>());
            let neyman = total / (2.0 * n * error).min((n * error).powi(2));
            for (s, k) in spreads.iter().zip(samples) {
                // Off by at most the last round's twentieth.
                let ratio = k as f64 / (s * neyman);
                assert!((0.95..1.06).contains(&ratio), "{k} for {s}: {ratio}");
            }
        }
    }

    #[test]
    fn what_other_rows_have_too_much_of_is_taken_into_account() {
        // Rows for which the first samples are more than enough leave more of the error to the hard row.
        let mut spreads = vec![0.5; 99];
        spreads.push(200.0);
        let within = Within { error: 0.2, most: FREE };
        let samples = settled(within, &spreads, 100);
        assert!(samples[..99].iter().all(|&k| k == 100));
        let (bias, se) = errors(&spreads, &samples);
        assert!(bias.max(se) <= 0.2 && bias.max(se) > 0.19, "{bias}, {se}");
    }

    #[test]
    fn a_bound_on_the_samples_moves_them_to_other_rows_or_ends_the_work() {
        let spreads = [1.0, 2.0, 40.0];
        let free = settled(Within { error: 0.1, most: FREE }, &spreads, 10);
        // The others make up for what the hard row may not have ...
        let bounded = settled(Within { error: 0.1, most: 18_000 }, &spreads, 10);
        assert!(errors(&spreads, &bounded).1 <= 0.1 && bounded[2] == 18_000 && bounded[1] > 2 * free[1]);
        // ... unless they cannot: then they have what they would without the bound.
        let short = settled(Within { error: 0.1, most: 10_000 }, &spreads, 10);
        assert!(errors(&spreads, &short).1 > 0.1 && short[2] == 10_000);
        assert!(short[..2].iter().zip(&free).all(|(short, free)| short <= free), "{short:?}, {free:?}");
    }

    #[test]
    fn strata_are_rows_of_like_spread_and_hold_every_row_once() {
        assert!(strata(&[]).is_empty());
        assert_eq!(strata(&[3.0, 1.0, 2.0]), [[0, 1, 2]]);
        for (n, expected) in [(199, 1), (200, 2), (899, 8), (5000, 8)] {
            // A row with a zero among its first weights has an infinite spread and is the hardest.
            let spreads: Vec<f64> =
                (0..n).map(|i| if i == 7 { f64::INFINITY } else { (i * 37 % n) as f64 }).collect();
            let strata = strata(&spreads);
            assert_eq!(strata.len(), expected);
            assert!(strata[expected - 1].contains(&7));
            let range = |g: &Vec<usize>| {
                let of = || g.iter().map(|&i| spreads[i]);
                (of().fold(f64::INFINITY, f64::min), of().fold(0.0, f64::max))
            };
            assert!(strata.windows(2).all(|pair| range(&pair[0]).1 <= range(&pair[1]).0));
            let mut all = strata.concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..n));
        }
    }
}
