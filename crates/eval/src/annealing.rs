//! The partition function of a density by annealed importance sampling along a path.
//!
//! Chains pass through the densities f_b of an [`AnnealingPath`], `0 = b_0 < b_1 < ... < b_T = 1`. A chain begins at an
//! exact sample of f_0 and updates its weight before each move:
//!
//! ```text
//! log W = Σ_t (log f_{b_t} - log f_{b_{t-1}})(x_{t-1}),   x_t from x_{t-1} by a move that leaves f_{b_t} invariant
//! ```
//!
//! There is no move after the last weight. `E W = Z_1 / Z_0` exactly, whatever the moves and however few, so that
//! `log Z_0 + log 1/C Σ_c W_c` over C chains estimates `log Z_1`. It is too low on average, by about half the relative
//! variance of the mean weight. Its error says nothing of mass that no chain has found.
//!
//! [`log_weights`] does this with any [`Kernel`]: here along a path to a density whose log Z is asked for, and in
//! [`ais`](crate::ais) by Hamiltonian Monte Carlo from a recognition net to the posterior of each row.
//!
//! # The other side
//! The chains of annealing end with a law of their own, the annealed law p_ann, which is that of the model only if they
//! mix. [`Annealing::reverse`] runs the moves backwards from a row x, `x_T = x`, with `x_{t-1}` from `x_t` by the move of
//! f_{b_t}, which must be reversible:
//!
//! ```text
//! log R = log f_1(x) - log Z_0 - Σ_t (log f_{b_t} - log f_{b_{t-1}})(x_{t-1}),   E R = p_ann(x)
//! ```
//!
//! so that the mean of `log 1/C Σ_c R_c` is a lower bound on `log p_ann(x)`. Annealing makes log Z too low and so the
//! likelihood too high; this makes that of the annealed law too low. Where both are close, the chains mix and both can
//! be believed. It is no bound on the likelihood of the model itself: p_ann may fit the row better.
//!
//! # References
//! R. M. Neal, "Annealed importance sampling", Statistics and Computing 11, 2001, arXiv:physics/9803008.
//! R. Salakhutdinov, I. Murray, "On the quantitative analysis of deep belief networks", ICML 2008.
//! Y. Burda, R. Grosse, R. Salakhutdinov, "Accurate and conservative estimates of MRF log-likelihood using reverse
//! annealing", AISTATS 2015 (RAISE).

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{AnnealingPath, Draws, InverseTemperature, Kernel, Key, ReversiblePath, Role};
use helmholtz_ops::into_f64;
use helmholtz_ops::rows::repeat_rows;

use crate::importance::{Reading, RowWeights};
use crate::row::RowEstimate;
use crate::streaming::WeightSums;

/// Inverse temperatures from 0 to 1: pieces of equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The number of steps of each piece, and where it ends. The last ends at 1.
    pieces: Vec<(usize, f64)>,
}

impl Schedule {
    /// Equal steps.
    ///
    /// # Panics
    /// If `steps` is 0.
    pub fn linear(steps: usize) -> Self {
        assert!(steps > 0, "annealing needs at least one step");
        Schedule { pieces: vec![(steps, 1.0)] }
    }

    /// The 14 500 steps of Salakhutdinov and Murray (2008): 500 up to 0.5, 4000 up to 0.9, 10 000 up to 1.
    pub fn salakhutdinov_murray() -> Self {
        Schedule { pieces: vec![(500, 0.5), (4000, 0.9), (10_000, 1.0)] }
    }

    /// T, the number of steps.
    pub fn steps(&self) -> usize {
        self.pieces.iter().map(|(steps, _)| steps).sum()
    }

    /// Each inverse temperature but the first, in order.
    pub fn after_zero(&self) -> impl Iterator<Item = f64> {
        let starts = std::iter::once(0.0).chain(self.pieces.iter().map(|(_, end)| *end));
        self.pieces.iter().zip(starts).flat_map(|(&(steps, end), start)| {
            (1..=steps)
                .map(move |i| if i == steps { end } else { start + (end - start) * i as f64 / steps as f64 })
        })
    }
}

/// Annealing with C independent chains.
#[derive(Clone, Debug)]
pub struct Annealing {
    /// C, the number of chains.
    pub chains: usize,
    /// The inverse temperatures.
    pub schedule: Schedule,
}

/// The estimate of a partition function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnealedPartition {
    /// `log Z`, in nats.
    pub log_z: f64,
    /// The standard error of the mean weight, relative to it: that of `log_z` if it is small. NaN for one chain.
    pub se: f64,
    /// The effective sample size of the weights of the chains, as a share of their number.
    pub ess: f64,
}

impl AnnealedPartition {
    /// The estimate from the log weights of all chains, as [`Annealing::weigh_part`] gives them.
    ///
    /// # Panics
    /// If there are no chains.
    pub fn of_log_weights(log_weights: &[f64]) -> Self {
        assert!(!log_weights.is_empty(), "annealing needs at least one chain");
        let mut sums = WeightSums::default();
        log_weights.iter().for_each(|log_weight| sums.push(*log_weight));
        AnnealedPartition {
            log_z: sums.log_mean(),
            se: sums.relative_variance().sqrt(),
            ess: sums.effective_share(),
        }
    }

    /// Three standard errors of the mean weight to both sides, in nats. The lower end is minus infinity if the error
    /// is a third of the mean or more, and both ends are infinite if the error is unknown.
    pub fn interval(&self) -> [f64; 2] {
        if self.se.is_nan() {
            return [f64::NEG_INFINITY, f64::INFINITY];
        }
        let at = |share: f64| self.log_z + share.max(0.0).ln();
        [at(1.0 - 3.0 * self.se), at(1.0 + 3.0 * self.se)]
    }
}

/// Annealed importance sampling by any kernel: `log W` of each chain, in nats.
///
/// The chains of `state` are exact samples of f_0. `after_zero` holds the inverse temperatures above 0, in order. The
/// chains move under all of them but the last. The draws of the t-th move are those of `draws`, one cell for each chain,
/// under the child of [`Role::Chain`] and of t.
///
/// `on_step` is called after each temperature with its number, from 1, with the chains, and with the info of the move if
/// there was one. It may change settings such as step sizes, by a rule that does not look at these chains: otherwise
/// weights are biased.
pub fn log_weights<K: Kernel>(
    kernel: &K,
    mut state: K::State,
    after_zero: &[f64],
    draws: &Draws,
    mut on_step: impl FnMut(usize, &mut K::State, Option<K::Info>),
) -> Vec<f64> {
    let mut sums = Sums::new(vec![0.0; draws.len()], 1.0);
    let mut from = 0.0;
    for (t, &to) in (1..).zip(after_zero) {
        sums.add(kernel.log_ratio(&state, from, to));
        let mut info = None;
        if t < after_zero.len() {
            let draws = draws.child(Role::Chain).child(t);
            let (next, moved) = kernel.step(state, &InverseTemperature::Same(to), &draws);
            (state, info) = (next, Some(moved));
        }
        from = to;
        on_step(t, &mut state, info);
    }
    sums.totals()
}

/// Sums of log-ratios, one for each chain.
struct Sums {
    /// In double precision.
    totals: Vec<f64>,
    /// The sign of a log-ratio.
    sign: f64,
    /// What the totals lack, in the precision of the device, and its number of summands.
    recent: Option<(Tensor<1>, usize)>,
}

/// Log-ratios that are summed on the device before they go into sums in double precision.
const AT_ONCE: usize = 50;

impl Sums {
    fn new(totals: Vec<f64>, sign: f64) -> Self {
        Sums { totals, sign, recent: None }
    }

    fn add(&mut self, log_ratio: Tensor<1>) {
        self.recent = Some(match self.recent.take() {
            None => (log_ratio, 1),
            Some((sum, n)) => (sum + log_ratio, n + 1),
        });
        if self.recent.as_ref().is_some_and(|(_, n)| *n == AT_ONCE) {
            self.read();
        }
    }

    fn read(&mut self) {
        if let Some((sum, _)) = self.recent.take() {
            self.totals.iter_mut().zip(into_f64(sum)).for_each(|(total, sum)| *total += self.sign * sum);
        }
    }

    fn totals(mut self) -> Vec<f64> {
        self.read();
        self.totals
    }
}

impl Annealing {
    /// Estimates log Z at the end of a path. `on_step` is called with the number of steps that are done.
    ///
    /// The memory does not depend on the number of steps.
    ///
    /// # Panics
    /// If there are no chains.
    pub fn estimate<P: AnnealingPath>(
        &self,
        path: &P,
        key: Key,
        on_step: impl FnMut(usize),
    ) -> AnnealedPartition {
        AnnealedPartition::of_log_weights(&self.weigh_part(path, 0..self.chains, key, on_step))
    }

    /// `log Z_0 + log W` of some of the chains alone, in nats; the mean of its exponential is Z. `on_step` as for
    /// [`estimate`](Self::estimate).
    ///
    /// A chain's draws are keyed by its number. So the weights of all parts, in order, are those of all chains
    /// together, up to rounding in the matrix products.
    ///
    /// # Panics
    /// If some of these are not among the chains, or the range is empty.
    pub fn weigh_part<P: AnnealingPath>(
        &self,
        path: &P,
        chains: Range<usize>,
        key: Key,
        mut on_step: impl FnMut(usize),
    ) -> Vec<f64> {
        assert!(!chains.is_empty(), "annealing needs at least one chain");
        assert!(chains.end <= self.chains, "{chains:?} are not among {} chains", self.chains);
        let key = key.from_row(key.first_row() + chains.start as u64);
        let draws = |key: Key| Draws::new(key, chains.len(), 1);
        let state = path.begin(&draws(key.child(Role::Start)));
        let temperatures: Vec<f64> = self.schedule.after_zero().collect();
        let log_weights = log_weights(path, state, &temperatures, &draws(key), |step, _, _| on_step(step));
        let log_base = path.log_base();
        log_weights.into_iter().map(|log_weight| log_base + log_weight).collect()
    }

    /// Estimates `log p_ann` of each row of `x`, `[n, d]`, with C reverse chains each, whose draws are keyed by the row
    /// numbers. `on_step` is called with the number of steps that are done.
    ///
    /// # Panics
    /// If there are no chains, or not one number for each row.
    pub fn reverse<P: ReversiblePath>(
        &self,
        path: &P,
        (x, rows): (Tensor<2>, Arc<[u64]>),
        key: Key,
        mut on_step: impl FnMut(usize),
    ) -> Vec<RowEstimate> {
        assert!(self.chains > 0, "annealing needs at least one chain");
        assert_eq!(x.dims()[0], rows.len(), "reverse annealing needs one number for each row");
        let draws = |key: Key| Draws::of_rows(key, rows.clone(), self.chains);
        let mut state = path.at(repeat_rows(x, self.chains));
        let mut sums = Sums::new(into_f64(path.log_end(&state) - path.log_base()), -1.0);
        let temperatures: Vec<f64> = std::iter::once(0.0).chain(self.schedule.after_zero()).collect();
        let last = self.schedule.steps();
        for (done, pair) in (1..).zip(temperatures.windows(2).rev()) {
            let key = key.child(Role::Chain).child(last - done + 1);
            state = path.step(state, &InverseTemperature::Same(pair[1]), &draws(key)).0;
            sums.add(path.log_ratio(&state, pair[0], pair[1]));
            on_step(done);
        }
        let of_row = |log_weights: &[f64]| RowWeights::of(log_weights).estimate(Reading::Directed);
        sums.totals().chunks(self.chains).map(of_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schedule_has_its_pieces() {
        let schedule = Schedule::salakhutdinov_murray();
        let all: Vec<f64> = schedule.after_zero().collect();
        assert_eq!((all.len(), schedule.steps()), (14_500, 14_500));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        for (at, value) in
            [(0, 0.001), (499, 0.5), (500, 0.5001), (4499, 0.9), (4500, 0.90001), (14_499, 1.0)]
        {
            assert!((all[at] - value).abs() < 1e-12, "{at}: {}", all[at]);
        }
        assert_eq!(Schedule::linear(4).after_zero().collect::<Vec<_>>(), [0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn the_interval_is_that_of_the_mean_weight() {
        let [low, high] = AnnealedPartition { log_z: 2.0, se: 0.1, ess: 1.0 }.interval();
        assert!((low - (2.0 + 0.7f64.ln())).abs() < 1e-15 && (high - (2.0 + 1.3f64.ln())).abs() < 1e-15);
        assert_eq!(AnnealedPartition { log_z: 2.0, se: 0.4, ess: 1.0 }.interval()[0], f64::NEG_INFINITY);
        let unknown = AnnealedPartition { log_z: 2.0, se: f64::NAN, ess: 1.0 }.interval();
        assert_eq!(unknown, [f64::NEG_INFINITY, f64::INFINITY]);
    }
}
