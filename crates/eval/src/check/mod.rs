//! Checks whether importance sampling can be trusted: what the recognition net misses.
//!
//! If q gives a mode of the posterior next to no mass, none of K draws falls there. Their weights are then equal, the
//! effective sample size is near 100 %, the stated error is tiny, and the estimate is too low by `-log(1 - m)` nats,
//! where m is the posterior mass of the mode. The draws cannot show this. Three other things can:
//!
//! **Visited states** (`visit.rs`). Short Gibbs chains at fixed x walk over latent states and score every state that
//! they look at. Let V be the states that they scored. Because V does not depend on the K draws,
//!
//! ```text
//! p̂_V(x) = Σ_{h ∈ V} p(x, h) + 1/K Σ_{k: h_k ∉ V} w_k
//! ```
//!
//! is also an unbiased estimate of p(x), and it needs no draw for the states of V. If it is above `p̂(x)` on average
//! over rows, the draws have missed what the chains have found. A posterior of a single state raises no alarm: V
//! holds it, and both estimates agree.
//!
//! **Missed mass** (`proposals.rs`). A posterior sample h*, put among the K draws, has the share
//! `s = w* / (w* + Σ w_k)` of the weight. If the draws cover the whole posterior, a draw that is chosen by weight has
//! the same share on average. If q misses the mass m, s is nearly one with probability m. The mean difference of the
//! two shares estimates m. Posterior samples come from chains that began at a draw chosen by weight (the state after
//! each sweep), and from dreams:
//!
//! **Dreams.** With `x, h* ~ p(x, h)`, h* is an exact sample of the posterior. In expectation the logarithm of the
//! mean weight bounds `log p(x)` from below with the K draws alone, and from above with h* among them. This needs no
//! chain, so it works for models of real latents as well. But it concerns the model's own data.
//!
//! If there are few latent states, some rows are also enumerated, and these decide.
//!
//! # References
//! Grosse, Ghahramani, Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo",
//! arXiv:1511.02543, 2015 (an exact posterior sample bounds from above); Owen, Zhou, "Safe and effective importance
//! sampling", JASA 95, 2000 (what defensive mixtures are for).

mod checked;
mod proposals;
mod verdict;
mod visit;

use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{Draws, Enumerable, Key, LatentVariableModel, Layerwise};
use helmholtz_ops::into_f64;

pub use checked::{Check, Checked, DreamCheck, RowCheck};
pub use verdict::{CheckVerdict, Mean, Suspicion};

use crate::exact::ExactLikelihood;
use proposals::{ByState, Proposed, share};
use visit::{Explorer, Visited, log_add, rows_of};

/// Rows of the data that are checked, or all of them if there are fewer.
pub const CHECKED_ROWS: usize = 128;
/// Dreams that are checked.
pub const CHECKED_DREAMS: usize = 64;
/// The largest number of latent bits at which rows are enumerated.
pub const ENUMERATED_BITS: usize = 14;
/// The most entries of the table of enumerated rows and states.
const ENUMERATED: usize = 1 << 17;

impl Check {
    /// The check of an evaluation with K samples a row.
    pub fn new(samples: usize) -> Self {
        Check { samples, chunk: 4000, dreams: CHECKED_DREAMS, enumerate: true, q_alone: true }
    }

    /// Checks a model of latent bits on the rows `x` of the data, whose own numbers are `rows`.
    ///
    /// `evaluation` is the key of the evaluation's draws, which are made again; `own` is the key of all other draws.
    pub fn of_bits<M: Layerwise + Enumerable>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        [evaluation, own]: [Key; 2],
    ) -> Checked {
        let exact = self.enumerated(model, &x);
        let explorer = Explorer::new(model, own.child("rows"));
        let visited = explorer.visit_rows(x.clone(), rows.clone());
        let dreams = if self.q_alone { self.of_dreamt_bits(model, own.child("dreams")) } else { Vec::new() };
        let mut checked = Checked { rows: Vec::new(), dreams };
        proposals::for_each_row_by_state(self, model, x, rows.clone(), evaluation, |i, proposed, states| {
            let found = &visited[i];
            let (log_prob, explained) = found.with_draws(&proposed, &states);
            // The evaluation itself reports a row whose weights are all zero.
            if !proposed.log_sum.is_finite() || !log_prob.is_finite() {
                return;
            }
            checked.rows.push(RowCheck {
                row: rows[i],
                log_prob,
                explained,
                visited: found.states.len() as u64,
                distinct: states.len() as u64,
                top_state: proposed.top_state(&states),
                entropy: proposed.entropy,
                missed: self.q_alone.then(|| proposed.excess(&found.log_weights)),
                exact: exact[i].filter(|exact| exact.is_finite()),
            });
        });
        checked
    }

    /// Checks any model on its dreams alone.
    pub fn of_dreams<M: LatentVariableModel>(&self, model: &M, own: Key) -> Checked {
        let key = own.child("dreams");
        let (x, h, numbers) = self.dream(model, key);
        let log_weights = log_weights_of(model, &x, &h);
        let mut dreams = Vec::new();
        proposals::for_each_row(self, model, x, numbers, key.child("draws"), |i, proposed| {
            dreams.push(dream_check(&proposed, log_weights[i], &log_weights[i..=i]));
        });
        Checked { rows: Vec::new(), dreams }
    }

    /// Checks dreams of latent bits, where chains that begin at the exact samples add more posterior samples of each.
    fn of_dreamt_bits<M: Layerwise>(&self, model: &M, key: Key) -> Vec<DreamCheck> {
        let (x, h, numbers) = self.dream(model, key);
        let log_weights = log_weights_of(model, &x, &h);
        let along = Explorer::new(model, key.child("chains")).along(x.clone(), numbers.clone(), rows_of(&h));
        let mut dreams = Vec::new();
        proposals::for_each_row(self, model, x, numbers, key.child("draws"), |i, proposed| {
            // A chain that begins at a sample of the posterior stays there.
            let all: Vec<f64> = std::iter::once(log_weights[i]).chain(along[i].iter().copied()).collect();
            dreams.push(dream_check(&proposed, log_weights[i], &all));
        });
        dreams
    }

    fn dream<M: LatentVariableModel>(&self, model: &M, key: Key) -> (Tensor<2>, M::Latents, Arc<[u64]>) {
        let numbers: Arc<[u64]> = (0..self.dreams as u64).collect();
        let (x, h) = model.dream(&Draws::of_rows(key.child("law"), numbers.clone(), 1));
        (x, h, numbers)
    }

    /// `log p(x)` of as many rows as may be enumerated, spread over all of them.
    fn enumerated<M: Enumerable>(&self, model: &M, x: &Tensor<2>) -> Vec<Option<f64>> {
        let [n, d] = x.dims();
        let mut exact = vec![None; n];
        if !self.enumerate || model.latent_bits() > ENUMERATED_BITS {
            return exact;
        }
        let some = n.min(ENUMERATED >> model.latent_bits());
        let places: Vec<usize> = (0..some).map(|i| i * n / some).collect();
        let rows = places.iter().map(|&i| x.clone().slice([i..i + 1, 0..d]));
        let rows = Tensor::cat(rows.collect(), 0);
        let log_probs = ExactLikelihood::default().log_prob(model, rows);
        for (i, log_prob) in places.into_iter().zip(log_probs.into_iter().flatten()) {
            exact[i] = Some(log_prob);
        }
        exact
    }
}

/// `log p(x, h) - log q(h | x)` of each row.
fn log_weights_of<M: LatentVariableModel>(model: &M, x: &Tensor<2>, h: &M::Latents) -> Vec<f64> {
    let log_p = model.trace_joint(x.clone(), h).log_prob;
    let log_q = model.trace_posterior(x.clone(), h).log_prob;
    into_f64(log_p - log_q)
}

fn dream_check(proposed: &Proposed, exact: f64, samples: &[f64]) -> DreamCheck {
    let k = proposed.k as f64;
    let bounds = [proposed.log_sum - k.ln(), log_add(proposed.log_sum, exact) - (k + 1.0).ln()];
    DreamCheck {
        bounds: bounds.iter().all(|bound| bound.is_finite()).then_some(bounds),
        missed: proposed.excess(samples),
    }
}

impl Visited {
    /// `log p̂_V` with the draws of the evaluation, and the share of it that visited states make up.
    fn with_draws(&self, proposed: &Proposed, states: &ByState) -> (f64, f64) {
        let log_visited = self.log_sum();
        let others = states.iter().filter(|(state, _)| !self.states.contains_key(*state));
        let log_others = others.fold(f64::NEG_INFINITY, |sum, (_, &(count, log_weight))| {
            log_add(sum, log_weight + f64::from(count).ln())
        });
        let log_prob = log_add(log_visited, log_others - (proposed.k as f64).ln());
        (log_prob, (log_visited - log_prob).exp())
    }
}

impl Proposed {
    /// The mean share of other samples among the draws less that of a draw chosen by weight.
    fn excess(&self, log_weights: &[f64]) -> f64 {
        let mean =
            log_weights.iter().map(|&w| share(w, self.log_sum)).sum::<f64>() / log_weights.len() as f64;
        mean - self.own_share
    }

    /// The largest share of the weight that a single state has.
    fn top_state(&self, states: &ByState) -> f64 {
        let weight = |&(count, log_weight): &(u32, f64)| f64::from(count) * (log_weight - self.log_sum).exp();
        states.values().map(weight).fold(0.0, f64::max)
    }
}
