//! Where the samples of a split go.
//!
//! The mean over n rows, of which row r has K_r samples, depends on its samples through one sum alone:
//!
//! ```text
//! V = Σ_r s_r² / K_r      s_r²: relative variance of one weight of row r
//! bias = V / 2n           how much the mean NLL is expected to be too high, nats
//! se = √V / n             its Monte Carlo standard error, nats
//! ```
//!
//! so both are at most ε if and only if `V <= min(2nε, (nε)²)`. Of all K with a given V the fewest
//! samples in all have `K_r ∝ s_r`: Neyman's allocation, `K_r = s_r Σ_j s_j / V`. Here every row has
//! samples already and none may have more than a bound, which leaves `K_r = clip(λ s_r, now, bound)`
//! with the smallest λ that reaches V.
//!
//! # Reference
//! J. Neyman, "On the two different aspects of the representative method: the method of stratified
//! sampling and the method of purposive selection", J. R. Stat. Soc. 97 (1934).

/// How far the samples may put the mean of a split off, and how many samples a row may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Within {
    /// Bound on the Monte Carlo standard error and on the bias of the mean, ε, in nats.
    pub error: f64,
    /// Bound on the samples of a row.
    pub most: usize,
}

/// Numbers of samples that rows may have: from the first to the most in steps of about 9 %, so that
/// rows meet in the same ones and are drawn together.
pub(crate) fn grid(first: usize, most: usize) -> Vec<usize> {
    const STEP: f64 = 1.090_507_732_665_257_7; // 2^(1/8)
    let mut grid = vec![first];
    let mut last = first;
    while last < most {
        last = ((last as f64 * STEP).ceil() as usize).min(most);
        grid.push(last);
    }
    grid
}

impl Within {
    /// The numbers of samples that rows should have next, of `grid`; none if V is small enough or no
    /// further sample is to be drawn.
    ///
    /// `rows` has for each row the samples that it has, an element of `grid`, and the relative variance
    /// of its mean weight. No row grows more than eightfold at once: a variance that few samples of a
    /// heavy tail give is too small, and says so only when there are more of them.
    pub(crate) fn next(&self, rows: &[(usize, f64)], grid: &[usize]) -> Option<Vec<usize>> {
        let n = rows.len() as f64;
        let target = (2.0 * n * self.error).min((n * self.error).powi(2));
        if rows.iter().map(|(_, relative_variance)| relative_variance).sum::<f64>() <= target {
            return None;
        }
        let rows: Vec<(f64, f64)> = rows.iter().map(|&(k, v)| (k as f64, (v * k as f64).sqrt())).collect();
        let scale = self.scale(&rows, target);
        let next: Vec<usize> = rows
            .iter()
            .map(|&(k, s)| {
                let wanted = (scale * s).min(self.most as f64).max(k);
                let enough = grid.partition_point(|&g| (g as f64) < wanted);
                let allowed = grid.partition_point(|&g| g as f64 <= 8.0 * k) - 1;
                grid[enough.min(allowed)]
            })
            .collect();
        next.iter().zip(&rows).any(|(&next, &(k, _))| next as f64 > k).then_some(next)
    }

    /// λ for rows of `(K_r, s_r)`.
    ///
    /// Where the bound on the samples keeps V above the target whatever the others have, it is λ without
    /// that bound: samples of the others beyond that would not bring the target nearer.
    fn scale(&self, rows: &[(f64, f64)], target: f64) -> f64 {
        let sum = |scale: f64, most: f64| -> f64 {
            rows.iter().map(|&(k, s)| s * s / (scale * s).min(most).max(k)).sum()
        };
        let most = self.most as f64;
        let reachable = rows.iter().map(|(_, s)| s * s / most).sum::<f64>() <= target;
        let most = if reachable { most } else { f64::INFINITY };
        let spreads = rows.iter().map(|&(_, s)| s).filter(|s| *s > 0.0);
        // Where all rows have their bound, or what is enough when none has samples yet.
        let mut high = if reachable {
            spreads.map(|s| most / s).fold(0.0, f64::max)
        } else {
            spreads.sum::<f64>() / target
        };
        let mut low = 0.0;
        // V falls as λ grows; a hundred halvings end at neighbouring numbers.
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if sum(middle, most) > target { low = middle } else { high = middle }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = 1 << 30;

    /// Rounds until nothing more is to be drawn, as if the true `s_r` were known.
    fn settled(within: Within, spreads: &[f64], first: usize) -> Vec<usize> {
        let grid = grid(first, within.most);
        let mut samples = vec![first; spreads.len()];
        loop {
            let rows: Vec<(usize, f64)> =
                samples.iter().zip(spreads).map(|(&k, s)| (k, s * s / k as f64)).collect();
            let Some(next) = within.next(&rows, &grid) else { return samples };
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
            assert!(bias.max(se) <= error && bias.max(se) > 0.8 * error, "{bias}, {se}");
            let (n, total) = (n as f64, spreads.iter().sum::<f64>());
            let neyman = total / (2.0 * n * error).min((n * error).powi(2));
            for (s, k) in spreads.iter().zip(samples) {
                // Rounded up by less than a step of the grid, or less where that of others is enough.
                let ratio = k as f64 / (s * neyman);
                assert!((0.9..1.1).contains(&ratio), "{k} for {s}: {ratio}");
            }
        }
    }

    #[test]
    fn what_other_rows_have_too_much_of_is_taken_into_account() {
        // Rows that the first samples are more than enough for leave the hard row more of the error.
        let mut spreads = vec![0.5; 99];
        spreads.push(200.0);
        let within = Within { error: 0.2, most: FREE };
        let samples = settled(within, &spreads, 100);
        assert!(samples[..99].iter().all(|&k| k == 100));
        let (bias, se) = errors(&spreads, &samples);
        assert!(bias.max(se) <= 0.2 && bias.max(se) > 0.17, "{bias}, {se}");
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
    fn the_grid_begins_and_ends_where_it_should() {
        assert_eq!(grid(5, 5), [5]);
        assert_eq!(grid(2, 6), [2, 3, 4, 5, 6]);
        let grid = grid(1000, 100_000);
        assert_eq!((grid[0], grid[1], *grid.last().unwrap(), grid.len()), (1000, 1091, 100_000, 55));
    }
}
