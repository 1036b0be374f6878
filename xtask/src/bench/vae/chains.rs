//! The time of a step of `coupled`, ours and the peers'.
//!
//! Our step is timed as it is: the chains of each row run until they have met, and then the row leaves the batch. A
//! loop of random length over a shrinking batch is not what PyTorch's compiler and JAX are made for. So the time of
//! their step is calculated from parts of fixed shape, each compiled and timed separately, without reading what it
//! computes:
//!
//! ```text
//! coupled = phi + L alone + (τ̄ - L - 1) pair + meet
//! ```
//!
//! - phi: the encoder's doubly reparameterised gradient from K samples of each row, and RMSProp of all parameters;
//! - alone: an iteration of the chain ahead, for all rows of the batch: K points by ISIR (the kept one and fresh
//!   noise), their log weights, a choice; K points by DISIR, the same, and their part in the decoder's gradient;
//! - pair: an iteration of both chains, which share slot and noise: log weights of 2 K points of each row, twice;
//!   indices from the maximal coupling; and the signed parts of both in the decoder's gradient;
//! - meet: the same without a gradient, because the two parts are equal at the meeting;
//! - L: the lag; τ̄: the mean meeting time of our own steps in this run, over rows and steps.
//!
//! This favours the peers. Their rows all meet at the mean time, while in a batch of fixed shape all continue until the
//! last has met. And they spend no time on checking whether rows have met.

use anyhow::Context;
use burn::tensor::Tensor;
use helmholtz_core::{Gradients, Key, Measured};
use helmholtz_samplers::CoupledChains;
use helmholtz_strategies::coupled::{CAPPED, CORRELATION, Coupled, MEETING_TIME, MEETING_TIME_MAX};
use helmholtz_vae::Vae;

use crate::bench::peers::Peer;
use crate::bench::report::{Row, median};

/// Bisection steps in the search for the correlation; the strategy itself moves it by a few hundredths a step.
const HALVINGS: usize = 7;

/// The effective sample size that the strategy adapts the correlation to, as a share of K.
const ESS: f64 = 0.3;

/// The strategy with the correlation that training would have led to. At this correlation, the effective sample size of
/// the chains' states, which grows with it, equals its target.
pub(crate) fn settled(coupled: Coupled, model: &Vae, x: &Tensor<2>) -> anyhow::Result<Coupled> {
    let (mut low, mut high) = (0.0, 1.0);
    let key = Key::new(0).child("bench correlation");
    for _ in 0..HALVINGS {
        let beta = 0.5 * (low + high);
        // The first iterations are enough, whether chains have met or not.
        let cap = coupled.lag + coupled.burn_in;
        let chains = CoupledChains { beta: Some(beta), cap, ..coupled.chains() };
        let found = Coupled::theta(model, x.clone(), &chains, key, &mut Gradients::new())?;
        let ess = found.ess.iter().sum::<f64>() / found.ess.len() as f64;
        if ess < ESS { low = beta } else { high = beta }
    }
    Ok(coupled.with_beta(0.5 * (low + high)))
}

/// The meeting times of our steps.
#[derive(Default)]
pub(crate) struct Meetings {
    /// Mean over the rows, for each step.
    means: Vec<f64>,
    longest: f64,
    capped: f64,
    beta: f64,
}

impl Meetings {
    /// Adds those of a step.
    pub(crate) fn add(&mut self, measured: &[Measured]) -> anyhow::Result<()> {
        let found = |measure| -> anyhow::Result<f64> {
            let measured = measured.iter().find(|measured| measured.measure == measure);
            let measured = measured.context("a step of `coupled` has not measured when its chains met")?;
            Ok(measured.value.clone().into_data_as::<f64>().try_into_vec::<f64>()?[0])
        };
        self.means.push(found(MEETING_TIME)?);
        self.longest = self.longest.max(found(MEETING_TIME_MAX)?);
        self.capped += found(CAPPED)?;
        self.beta = found(CORRELATION)?;
        Ok(())
    }

    /// Mean iteration of the meeting.
    fn mean(&self) -> f64 {
        self.means.iter().sum::<f64>() / self.means.len() as f64
    }

    /// The row of our steps.
    pub(crate) fn row(&self, ms: Vec<f64>) -> Row {
        let mut row = Row::ours("coupled", "iwae/bare", ms);
        row.extra.extend([
            ("iterations", self.mean()),
            ("ms_per_iteration", row.median() / self.mean()),
            ("longest", self.longest),
            ("capped", self.capped / self.means.len() as f64),
            ("beta", self.beta),
        ]);
        row
    }
}

/// The parts of a peer's step.
const PARTS: [&str; 4] = ["phi", "alone", "pair", "meet"];

/// The medians of the parts in milliseconds, for each round.
#[derive(Default)]
pub(crate) struct Reckoning(Vec<[f64; PARTS.len()]>);

impl Reckoning {
    /// Makes the peer run each part `n` times.
    pub(crate) fn measure(&mut self, peer: &mut Peer, n: usize) -> anyhow::Result<()> {
        let mut medians = [0.0; PARTS.len()];
        for (ms, part) in medians.iter_mut().zip(PARTS) {
            *ms = median(&peer.times(&format!("{part} {n}"))?);
        }
        self.0.push(medians);
        Ok(())
    }

    /// The row of the calculated steps, one for each round.
    pub(crate) fn row(&self, peer: &Peer, lag: usize, meetings: &Meetings) -> Row {
        let part = |i: usize| median(&self.0.iter().map(|medians| medians[i]).collect::<Vec<_>>());
        let mut row = peer.row("coupled", "coupled", self.steps(lag, meetings.mean()));
        row.extra.push(("iterations", meetings.mean()));
        row.extra.extend([
            ("phi_ms", part(0)),
            ("alone_ms", part(1)),
            ("pair_ms", part(2)),
            ("meet_ms", part(3)),
        ]);
        row
    }

    fn steps(&self, lag: usize, meeting: f64) -> Vec<f64> {
        let lag = lag as f64;
        let step = |[phi, alone, pair, meet]: &[f64; PARTS.len()]| {
            phi + lag * alone + (meeting - lag - 1.0) * pair + meet
        };
        self.0.iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_each_part_as_often_as_a_chain_of_mean_length() {
        let reckoning = Reckoning(vec![[10.0, 1.0, 2.0, 1.5], [20.0, 1.0, 2.0, 1.5]]);
        // Ten iterations of one chain, and 4.5 of two, of which the last leaves no gradient.
        assert_eq!(reckoning.steps(10, 14.5), [10.0 + 10.0 + 7.0 + 1.5, 20.0 + 10.0 + 7.0 + 1.5]);
    }
}
