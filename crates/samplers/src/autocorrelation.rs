//! Integrated autocorrelation times: how many steps of a chain count as one independent sample.
//!
//! With ρ_k the correlation of a number with what it is k steps later,
//!
//! ```text
//! τ = 1 + 2 Σ_{k>=1} ρ_k
//! ```
//!
//! and the mean over N steps has the variance `σ² τ / N`: a chain of N steps is worth `N / τ` independent samples.
//!
//! # Window
//! The sum over all k of estimated correlations does not converge: far beyond τ there is only noise, as much in each
//! term. So it stops at the smallest even M with `M >= 5 τ(M)` and `M >= 5`, where τ(M) is the sum up to M. If
//! correlations fall as a single exponential, what is left out is `exp(-10)` of τ. (Sokal writes ½ for the 1; his window
//! then has c = 10, at the upper end of what he recommends.) M is even because correlations of a chain may alternate in
//! sign, and then only the sums of two neighbours fall (Geyer). The standard error is about `τ √(2 (2 M + 1) / N)`.
//!
//! # Several chains
//! Correlations are averaged over chains, relative to the mean and the variance of all chains together. So chains that
//! are each stuck in a place of their own do not look as if they mixed: their correlations do not fall, and no window is
//! found. τ is that of one number; another can be slower.
//!
//! # References
//! A. D. Sokal, "Monte Carlo methods in statistical mechanics: foundations and new algorithms", in Functional
//! Integration, 1997, section 3 (the window and the error).
//! C. J. Geyer, "Practical Markov chain Monte Carlo", Statistical Science 7, 1992, section 3.3 (pairs of neighbours).
//! Goodman, Weare, "Ensemble samplers with affine invariance", CAMCoS 5, 2010 (the same with the factor 5, in `acor`).

/// Steps of the window in units of τ.
const WINDOW: f64 = 5.0;

/// An integrated autocorrelation time, in steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AutocorrelationTime {
    /// τ; 1 for independent numbers.
    pub tau: f64,
    /// Its standard error.
    pub se: f64,
    /// M, the number of correlations that were summed.
    pub window: usize,
}

impl AutocorrelationTime {
    /// τ of chains that run side by side: `steps[t]` holds a number of each chain after step t.
    ///
    /// `None` if the chains are too short for their τ, which means that no window of half their length or less is large
    /// enough; if a number is not finite; and if all numbers are the same.
    ///
    /// # Panics
    /// If the steps have different numbers of chains.
    pub fn of(steps: &[Vec<f64>]) -> Option<Self> {
        let n = steps.len();
        let chains = steps.first().map_or(0, Vec::len);
        assert!(steps.iter().all(|step| step.len() == chains), "every step has a number of each chain");
        let count = (n * chains) as f64;
        let mean = steps.iter().flatten().sum::<f64>() / count;
        let off: Vec<Vec<f64>> =
            steps.iter().map(|step| step.iter().map(|number| number - mean).collect()).collect();
        let covariance = |lag: usize| {
            let products = off.iter().zip(&off[lag..]);
            let sum: f64 = products.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()).sum();
            sum / ((n - lag) * chains) as f64
        };
        let variance = if count > 0.0 { covariance(0) } else { 0.0 };
        if !(variance.is_finite() && variance > 0.0) {
            return None;
        }
        let mut tau = 1.0;
        for window in (2..=n / 2).step_by(2) {
            tau += 2.0 * (covariance(window - 1) + covariance(window)) / variance;
            if window as f64 >= WINDOW * tau.max(1.0) {
                // Noise can make an estimate negative that is nearly 0.
                let tau = tau.max(0.0);
                let se = tau * (2.0 * (2 * window + 1) as f64 / count).sqrt();
                return Some(AutocorrelationTime { tau, se, window });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_core::Key;
    use helmholtz_noise::Stream;

    use super::*;

    /// `x_{t+1} = ρ x_t + ε` for each of `chains` chains. Correlations are `ρ^k`, whatever the law of ε.
    fn autoregressive(rho: f64, (steps, chains): (usize, usize), seed: u64) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(Key::new(seed));
        let mut x = vec![0.0; chains];
        let mut next = || {
            x.iter_mut().for_each(|x| *x = rho * *x + stream.uniform_in(-1.0, 1.0));
            x.clone()
        };
        // What is left of the start is 0.95^400 = 1e-9.
        (0..400).for_each(|_| drop(next()));
        (0..steps).map(|_| next()).collect()
    }

    #[test]
    fn an_autoregressive_chain_has_the_time_of_its_formula() {
        for (seed, rho) in [0.0, 0.5, 0.9, 0.95, -0.5].into_iter().enumerate() {
            for (steps, chains) in [(80_000, 1), (8000, 10)] {
                let found =
                    AutocorrelationTime::of(&autoregressive(rho, (steps, chains), seed as u64)).unwrap();
                let exact = (1.0 + rho) / (1.0 - rho);
                // Five standard errors, that is false alarms below 1e-5 in all, and what the window leaves out where
                // signs alternate: (1/2)^6 of τ after six terms.
                let left_out = if rho < 0.0 { 0.02 } else { 0.0 };
                assert!(
                    (found.tau - exact).abs() < 5.0 * found.se + left_out,
                    "{rho}: {found:?} for {exact}"
                );
                assert!(found.se < 0.15 * exact, "{rho}: {found:?}");
            }
        }
    }

    #[test]
    fn the_stated_error_is_the_spread_over_repetitions() {
        let found: Vec<AutocorrelationTime> = (0..200)
            .map(|seed| AutocorrelationTime::of(&autoregressive(0.8, (1000, 4), 100 + seed)).unwrap())
            .collect();
        let n = found.len() as f64;
        let mean = found.iter().map(|one| one.tau).sum::<f64>() / n;
        let spread = (found.iter().map(|one| (one.tau - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let stated = found.iter().map(|one| one.se).sum::<f64>() / n;
        // The standard error of a spread over 200 is 5 per cent; the formula is of the lowest order in τ / M.
        assert!((0.75..1.33).contains(&(spread / stated)), "{spread} for {stated}");
        assert!((mean - 9.0).abs() < 5.0 * spread / n.sqrt() + 0.2, "{mean}");
    }

    #[test]
    fn chains_that_are_too_short_or_stuck_have_no_time() {
        assert_eq!(AutocorrelationTime::of(&autoregressive(0.95, (100, 3), 7)), None);
        // Each chain moves about a place of its own.
        let mut stuck = autoregressive(0.2, (2000, 4), 8);
        assert!(AutocorrelationTime::of(&stuck).is_some());
        stuck
            .iter_mut()
            .for_each(|step| step.iter_mut().zip([0.0, 9.0, 0.0, 9.0]).for_each(|(x, at)| *x += at));
        assert_eq!(AutocorrelationTime::of(&stuck), None);
        assert_eq!(AutocorrelationTime::of(&[]), None);
        assert_eq!(AutocorrelationTime::of(&vec![vec![1.5]; 100]), None);
        assert_eq!(AutocorrelationTime::of(&vec![vec![f64::NAN]; 100]), None);
    }
}
