//! How many chains and temperatures the annealing of a partition function gets.
//!
//! With C chains over T temperatures, whose weights have the relative variance s², log Z has the errors
//!
//! ```text
//! se = √(s² / C)      its standard error, nats
//! bias = s² / 2C      how much it is expected to be too low, nats
//! ```
//!
//! Both are at most ε if and only if `s² / C <= min(2ε, ε²)`. If chains follow the path well, log weights are about
//! normal, with a variance v that falls as 1/T:
//!
//! ```text
//! s² = exp(v) - 1,   ESS = C exp(-v),   C T = (exp(v) - 1) / ε² · T ∝ (exp(v) - 1) / v
//! ```
//!
//! So the cost C T of an error is smallest for many temperatures and few chains, and at v = log 2, where the ESS is half
//! of the chains, it is only 1.44 times that. With an ESS below that, more temperatures are cheaper than more
//! chains, and s² is estimated badly, because a few chains dominate it. Each round therefore compares the ESS with half:
//!
//! - below it, temperatures grow towards v = 1/4, where the cost is within 14 % of the smallest;
//! - otherwise chains grow to the number that s² asks for.
//!
//! Where one of the two has reached its limit, the other grows. Chains are keyed by their number, so more chains over
//! the same temperatures keep the weights of the earlier ones; other temperatures start anew.
//!
//! # Limits of the rule
//! It stops by a variance that is estimated from the same chains, which is optimistic if their weights have heavy
//! tails. It knows nothing of mass that no chain has found.
//!
//! # References
//! R. M. Neal, "Annealed importance sampling", Statistics and Computing 11, 2001, arXiv:physics/9803008, section 4.
//! R. Grosse, C. Maddison, R. Salakhutdinov, "Annealing between distributions by averaging moments", NeurIPS 2013
//! (the variance of log weights falls as 1/T).

use std::f64::consts::LN_2;
use std::ops::Range;

use crate::annealing::{AnnealedPartition, Annealing, Schedule};

/// The error that an annealed log Z may have, and the most that may be spent on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithinPartition {
    /// Bound on the standard error and on the bias of log Z, ε, in nats.
    pub error: f64,
    /// Bound on the number of chains.
    pub most_chains: usize,
    /// Bound on the number of temperatures.
    pub most_temperatures: usize,
}

/// A number of chains and of temperatures, and what they gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// C.
    pub chains: usize,
    /// T, in equal steps.
    pub temperatures: usize,
    /// The estimate.
    pub found: AnnealedPartition,
}

/// All rounds of an estimate, at least one. The last one counts.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPartition {
    /// The rounds in order.
    pub rounds: Vec<Round>,
}

impl PlannedPartition {
    /// The last round.
    pub fn last(&self) -> &Round {
        self.rounds.last().expect("there is at least one round")
    }
}

/// The variance of log weights that more temperatures aim at.
const AIM: f64 = 0.25;
/// Nothing grows more than eightfold at once, because a variance that was estimated from heavy tails is too small ...
const MOST_GROWTH: f64 = 8.0;
/// ... chains, which are kept, grow by at least a twentieth, so that the rounds end, ...
const LEAST_GROWTH_OF_CHAINS: f64 = 1.05;
/// ... and temperatures, whose chains start anew, double at least.
const LEAST_GROWTH_OF_TEMPERATURES: f64 = 2.0;

impl WithinPartition {
    /// Anneals until the error is reached, or the limits are. The first round has so many chains and temperatures.
    ///
    /// `anneal` gets an annealing and the numbers of the chains whose log weights it returns, as
    /// [`Annealing::weigh_part`] does. Rounds also end if weights are not finite.
    ///
    /// # Panics
    /// If the error is not positive, the first round has fewer than two chains, or it is above a limit.
    pub fn estimate(
        &self,
        [chains, temperatures]: [usize; 2],
        mut anneal: impl FnMut(&Annealing, Range<usize>) -> Vec<f64>,
    ) -> PlannedPartition {
        assert!(self.error > 0.0, "the error must be positive");
        assert!(chains >= 2, "a variance needs at least two chains");
        assert!(
            chains <= self.most_chains && temperatures <= self.most_temperatures,
            "{chains} chains over {temperatures} temperatures are above the limits of {self:?}"
        );
        let mut annealing = Annealing { chains, schedule: Schedule::linear(temperatures) };
        let (mut log_weights, mut rounds) = (Vec::new(), Vec::new());
        loop {
            log_weights.extend(anneal(&annealing, log_weights.len()..annealing.chains));
            let found = AnnealedPartition::of_log_weights(&log_weights);
            let now = Round { chains: annealing.chains, temperatures: annealing.schedule.steps(), found };
            rounds.push(now);
            let Some([chains, temperatures]) = self.next(&now) else { return PlannedPartition { rounds } };
            annealing.chains = chains;
            if temperatures != now.temperatures {
                annealing.schedule = Schedule::linear(temperatures);
                log_weights.clear();
            }
        }
    }

    /// Whether both the standard error and the bias of an estimate are small enough.
    pub fn is_met(&self, found: &AnnealedPartition) -> bool {
        found.se.powi(2) <= self.variance()
    }

    /// The largest variance of log Z that keeps both errors within ε.
    fn variance(&self) -> f64 {
        (2.0 * self.error).min(self.error.powi(2))
    }

    /// Chains and temperatures of the next round; `None` if the error is reached or cannot be.
    fn next(&self, now: &Round) -> Option<[usize; 2]> {
        let (of_mean, target) = (now.found.se.powi(2), self.variance());
        if !of_mean.is_finite() || of_mean <= target {
            return None;
        }
        let (chains, temperatures) = (now.chains as f64, now.temperatures as f64);
        // v, from s² = exp(v) - 1.
        let of_log = (of_mean * chains).ln_1p();
        let more = |now: f64, wanted: f64, least: f64, most: usize| {
            (wanted.clamp(least * now, MOST_GROWTH * now).ceil() as usize).min(most)
        };
        let temperatures_for = |aim: f64| {
            let wanted = temperatures * of_log / aim;
            more(temperatures, wanted, LEAST_GROWTH_OF_TEMPERATURES, self.most_temperatures)
        };
        if of_log > LN_2 && now.temperatures < self.most_temperatures {
            return Some([now.chains, temperatures_for(AIM)]);
        }
        if now.chains < self.most_chains {
            let wanted = chains * of_mean / target;
            let chains = more(chains, wanted, LEAST_GROWTH_OF_CHAINS, self.most_chains);
            return Some([chains, now.temperatures]);
        }
        // v for which all chains together have the variance.
        let aim = (target * chains).ln_1p();
        (now.temperatures < self.most_temperatures).then(|| [now.chains, temperatures_for(aim)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: WithinPartition =
        WithinPartition { error: 0.05, most_chains: usize::MAX, most_temperatures: usize::MAX };

    /// Log weights with a normal law of variance `10 000 / T`, or as close to one as a formula of the chain's number
    /// comes: quantiles in an order that fills the law evenly from the first chains on.
    fn normal(by: &Annealing, chains: Range<usize>) -> Vec<f64> {
        let v = 10_000.0 / by.schedule.steps() as f64;
        // The golden ratio's multiples fill the unit interval evenly; two of them make a normal number (Box, Muller).
        let unit = |i: usize, step: f64| ((i as f64 + 0.5) * step).fract();
        let one = |i| {
            let radius = (-2.0 * unit(i, 0.754_877_666_246_692_8).ln()).sqrt();
            radius * (std::f64::consts::TAU * unit(i, 0.569_840_290_998_053_3)).cos()
        };
        chains.map(|i| 3.0 - v / 2.0 + v.sqrt() * one(i)).collect()
    }

    #[test]
    fn temperatures_grow_first_and_then_chains_which_are_kept() {
        let mut asked = Vec::new();
        let found = FREE.estimate([100, 1000], |by, chains| {
            asked.push((by.schedule.steps(), chains.clone()));
            normal(by, chains)
        });
        let last = found.last();
        assert!(FREE.is_met(&last.found) && last.found.se <= 0.05, "{last:?}");
        assert!((last.found.log_z - 3.0).abs() < 4.0 * last.found.se, "{last:?}");
        assert_eq!(asked[0], (1000, 0..100));
        for (pair, rounds) in asked.windows(2).zip(found.rounds.windows(2)) {
            let [(t, before), (next_t, after)] = pair else { unreachable!("windows of two") };
            if rounds[0].found.ess < 0.5 {
                assert!(next_t >= &(2 * t) && after == &(0..rounds[0].chains), "{asked:?}");
            } else {
                assert!(next_t == t && after.start == before.end && after.end <= 8 * before.end, "{asked:?}");
            }
        }
        // v = 10 at first, and a quarter needs 40 000 temperatures; then (exp(v) - 1) / 0.0025 chains do.
        assert!(
            (14_000..90_000).contains(&last.temperatures) && (60..500).contains(&last.chains),
            "{last:?}"
        );
    }

    #[test]
    fn a_limit_on_one_of_the_two_leaves_the_work_to_the_other_and_limits_on_both_end_it() {
        let of = |most_chains, most_temperatures| {
            let within = WithinPartition { most_chains, most_temperatures, ..FREE };
            *within.estimate([100, 1000], normal).last()
        };
        let few_chains = of(100, usize::MAX);
        assert!(few_chains.chains == 100 && few_chains.temperatures > 30_000 && few_chains.found.se <= 0.05);
        // v = 5: a relative variance of 147.
        let few_temperatures = of(usize::MAX, 2000);
        assert!(few_temperatures.temperatures == 2000 && few_temperatures.chains > 20_000);
        assert!(few_temperatures.found.se <= 0.05);
        let short = of(150, 2000);
        assert!(short.chains == 150 && short.temperatures == 2000 && short.found.se > 0.05, "{short:?}");
    }

    #[test]
    fn a_large_error_bounds_the_bias_and_weights_that_are_not_finite_end_the_rounds() {
        // A standard error of 2 would be allowed by ε alone, with a bias of 2; the bias asks for a variance of 4 at most.
        let wide = WithinPartition { error: 3.0, ..FREE };
        assert_eq!(wide.variance(), 6.0);
        assert_eq!(FREE.variance(), 0.05f64.powi(2));
        for bad in [f64::NAN, f64::NEG_INFINITY, f64::INFINITY] {
            let found = FREE.estimate([2, 10], |_, chains| vec![bad; chains.len()]);
            assert_eq!(found.rounds.len(), 1, "{bad}");
        }
        let exact = FREE.estimate([2, 10], |_, chains| vec![1.5; chains.len()]);
        assert_eq!((exact.rounds.len(), exact.last().found.log_z), (1, 1.5));
    }
}
