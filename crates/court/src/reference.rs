//! The expected update of a strategy, summed exactly.

use std::cell::RefCell;

use burn::tensor::Tensor;
use helmholtz_core::{
    Direction, Follows, Gradients, LatentVariableModel, SampleWeights, Term, enumerate_bits,
};
use thiserror::Error;

use crate::blocks::{Blocks, Net};
use crate::expectation::{OfSamples, WeightedStates};
use crate::states::{States, StatesError, Supported, nats, tensor};

/// Why a reference cannot be summed.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum ReferenceError {
    /// Too many latent states.
    #[error(transparent)]
    States(#[from] StatesError),
    /// Too many dreams.
    #[error(
        "{observed} observed bits are too many: the expected sleep update is a sum over all 2^{observed} of their \
         states, and the court enumerates up to 2^{MOST_OBSERVED}; use fewer, or a strategy without a sleep phase"
    )]
    Dreams {
        /// Observed bits.
        observed: usize,
    },
    /// A strategy that claims nothing.
    #[error("the strategy makes no claim about the expectation of its updates, so the court cannot check it")]
    NoClaim,
    /// A direction of the recognition net, claimed for the generative one.
    #[error("the strategy claims that theta follows dreams, but dreams train the recognition net alone")]
    DreamsOfTheta,
}

/// The most observed bits for which dreams are summed over all states.
pub const MOST_OBSERVED: usize = 12;

/// Gradients of losses, means over the batch. They point away from what the strategy ascends.
#[derive(Clone, Debug)]
pub struct References {
    /// What the strategy claims to estimate.
    pub own: Vec<f64>,
    /// What it is meant to follow; zero if there is no such limit.
    pub limit: Vec<f64>,
    /// Whether the generative and the recognition net have a limit.
    pub has_limit: [bool; 2],
}

/// The exact vectors that a strategy is compared with, on one model and one batch.
///
/// [`Expected`] has them for latent-variable models whose states can be summed over. Other families bring their own.
pub trait Exact {
    /// What the strategy claims to estimate, and what it is meant to follow.
    ///
    /// # Errors
    /// If they cannot be computed.
    fn references(&self) -> Result<References, ReferenceError>;

    /// The part of the strategy's own expectation that comes from the least likely states that it draws, those of a
    /// mass of at most `mass` together for each row; zero for a strategy that draws nothing.
    ///
    /// # Errors
    /// If it cannot be computed.
    fn rare(&self, mass: f64) -> Result<Vec<f64>, ReferenceError>;
}

/// The expected update of a strategy, summed over all states or over those that it hardly ever draws.
pub struct Expected<M: LatentVariableModel, W> {
    sum: Sum<M, W>,
    follows: Follows,
    blocks: Blocks,
}

impl<M: LatentVariableModel, W: States<M> + Clone> Expected<M, W> {
    /// Sums over the states of each row of `x`, `[batch, d_x]`.
    ///
    /// # Errors
    /// If there are too many states.
    pub fn new(model: &M, states: &W, x: &Tensor<2>, follows: Follows) -> Result<Self, ReferenceError> {
        let [batch, d] = x.dims();
        let rows = (0..batch).map(|row| x.clone().slice([row..row + 1, 0..d]));
        let rows =
            rows.map(|x| Ok(Row { supported: states.of(model, x.clone())?, x, known: RefCell::default() }));
        let rows = rows.collect::<Result<Vec<_>, StatesError>>()?;
        let blocks = Blocks::of(model);
        let (model, states) = (model.clone(), states.clone());
        Ok(Expected { sum: Sum { model, states, rows }, follows, blocks })
    }
}

impl<M: LatentVariableModel, W: States<M>> Exact for Expected<M, W> {
    fn references(&self) -> Result<References, ReferenceError> {
        let Expected { sum, follows, blocks } = self;
        let limit_of = |direction: Option<Direction>| {
            direction.map(|direction| Term { share: 1.0, direction }).into_iter().collect::<Vec<_>>()
        };
        let (theta, phi) = (limit_of(follows.limit_theta), limit_of(follows.limit_phi));
        let own = sum.gradients(&follows.theta, &follows.phi, f64::INFINITY)?;
        let limit = sum.gradients(&theta, &phi, f64::INFINITY)?;
        Ok(References {
            own: blocks.flatten(&sum.model, &own),
            limit: blocks.flatten(&sum.model, &limit),
            has_limit: [!theta.is_empty(), !phi.is_empty()],
        })
    }

    fn rare(&self, mass: f64) -> Result<Vec<f64>, ReferenceError> {
        let Expected { sum, follows, blocks } = self;
        Ok(blocks.flatten(&sum.model, &sum.gradients(&follows.theta, &follows.phi, mass)?))
    }
}

struct Row<H> {
    x: Tensor<2>,
    supported: Supported<H>,
    /// Integrals computed so far: both nets need the same ones, and rare states need those of all states.
    known: RefCell<Vec<(Direction, OfSamples)>>,
}

impl<H> Row<H> {
    fn of_samples(&self, direction: Direction, samples: usize, states: WeightedStates) -> OfSamples {
        let mut known = self.known.borrow_mut();
        if let Some((_, found)) = known.iter().find(|(of, _)| *of == direction) {
            return found.clone();
        }
        let found = states.of_samples(samples);
        known.push((direction, found.clone()));
        found
    }
}

struct Sum<M: LatentVariableModel, W> {
    model: M,
    states: W,
    rows: Vec<Row<M::Latents>>,
}

impl<M: LatentVariableModel, W: States<M>> Sum<M, W> {
    /// Sums over the least likely states alone, as many of them as have a mass of at most `mass` together.
    fn gradients(&self, theta: &[Term], phi: &[Term], mass: f64) -> Result<Gradients, ReferenceError> {
        let mut gradients = Gradients::new();
        for term in theta {
            if term.direction == Direction::Dreams {
                return Err(ReferenceError::DreamsOfTheta);
            }
            self.add(term, Net::Theta, mass, &mut gradients);
        }
        for term in phi {
            match term.direction {
                Direction::Dreams => self.add_dreams(term.share, mass, &mut gradients)?,
                _ => self.add(term, Net::Phi, mass, &mut gradients),
            }
        }
        Ok(gradients)
    }

    fn add(&self, term: &Term, net: Net, mass: f64, into: &mut Gradients) {
        let share = term.share / self.rows.len() as f64;
        for row in &self.rows {
            let Row { x, supported, .. } = row;
            let mut coefficients = coefficients(term.direction, net, row);
            coefficients.iter_mut().for_each(|coefficient| *coefficient *= share);
            let masses = supported.log_mass.iter().map(|log_mass| log_mass.exp()).collect();
            keep_least_likely(&mut coefficients, masses, mass);
            self.score(x, supported, net, coefficients, into);
        }
    }

    fn score(
        &self,
        x: &Tensor<2>,
        supported: &Supported<M::Latents>,
        net: Net,
        coefficients: Vec<f64>,
        into: &mut Gradients,
    ) {
        let n = coefficients.len();
        let weights = tensor(coefficients, [n], self.model.dtype(), &self.model.device());
        let (x, Supported { proposals, .. }) = (x.clone(), supported);
        match net {
            Net::Theta => {
                self.model.joint_gradient(x, &proposals.latents, &proposals.p.traces, weights, into)
            }
            Net::Phi => {
                self.model.posterior_gradient(x, &proposals.latents, &proposals.q.traces, weights, into)
            }
        }
    }

    /// `Σ_x Σ_h p(x, h) ∇ log q(h | x)` over all x.
    fn add_dreams(&self, share: f64, mass: f64, into: &mut Gradients) -> Result<(), ReferenceError> {
        let observed = self.model.observed();
        if observed > MOST_OBSERVED {
            return Err(ReferenceError::Dreams { observed });
        }
        let mut drawn = Vec::new();
        for first in 0..1u64 << observed {
            let x = enumerate_bits(observed, first, 1, self.model.dtype(), &self.model.device());
            let supported = self.states.of(&self.model, x.clone())?;
            let masses = supported.log_mass.iter().zip(log_weights(&supported));
            let masses: Vec<f64> = masses.map(|(log_mass, log_w)| (log_mass + log_w).exp()).collect();
            drawn.push((x, supported, masses));
        }
        let all: Vec<f64> = drawn.iter().flat_map(|(.., masses)| masses.clone()).collect();
        let mut coefficients: Vec<f64> = all.iter().map(|mass| share * mass).collect();
        keep_least_likely(&mut coefficients, all, mass);
        let mut rest = coefficients.as_slice();
        for (x, supported, masses) in &drawn {
            let (of_x, others) = rest.split_at(masses.len());
            rest = others;
            self.score(x, supported, Net::Phi, of_x.to_vec(), into);
        }
        Ok(())
    }
}

/// Keeps the coefficients of the least likely states, as many as have a mass of at most `most` together, and sets the
/// others to zero.
fn keep_least_likely(coefficients: &mut [f64], masses: Vec<f64>, most: f64) {
    if most == f64::INFINITY {
        return;
    }
    let mut order: Vec<usize> = (0..masses.len()).collect();
    order.sort_by(|&a, &b| masses[a].total_cmp(&masses[b]));
    let mut sum = 0.0;
    for state in order {
        sum += masses[state];
        if sum > most {
            coefficients[state] = 0.0;
        }
    }
}

/// `log p(x, h) - log q(h | x)` of each state.
fn log_weights<H>(supported: &Supported<H>) -> Vec<f64> {
    nats(supported.proposals.p.log_prob.clone() - supported.proposals.q.log_prob.clone())
}

/// A(h) of each state: see [`helmholtz_core::objective`].
fn coefficients<H>(direction: Direction, net: Net, row: &Row<H>) -> Vec<f64> {
    let log_mass = &row.supported.log_mass;
    let log_w = log_weights(&row.supported);
    match direction {
        Direction::Elbo => {
            let of_phi = |(log_mass, log_w): (&f64, &f64)| match net {
                Net::Theta => log_mass.exp(),
                Net::Phi => log_mass.exp() * log_w,
            };
            log_mass.iter().zip(&log_w).map(of_phi).collect()
        }
        Direction::Bound { samples } => {
            let states = WeightedStates { log_mass: log_mass.clone(), log_weight: log_w };
            let found = row.of_samples(direction, samples, states);
            match net {
                Net::Theta => found.share,
                Net::Phi => {
                    let of_bound = found.bound.iter().zip(log_mass);
                    let of_bound = of_bound.map(|(bound, log_mass)| samples as f64 * log_mass.exp() * bound);
                    of_bound.zip(found.share).map(|(of_bound, share)| of_bound - share).collect()
                }
            }
        }
        Direction::SelfNormalised(SampleWeights { samples, defence, power }) => {
            let uniform = defence / log_mass.len() as f64;
            let mixed = |log_mass: f64| ((1.0 - defence) * log_mass.exp() + uniform).ln();
            let proposal =
                if defence > 0.0 { log_mass.iter().map(|&m| mixed(m)).collect() } else { log_mass.clone() };
            let log_weight = log_w.iter().zip(log_mass).zip(&proposal);
            let log_weight = log_weight.map(|((w, q), proposal)| power * (w + q - proposal)).collect();
            row.of_samples(direction, samples, WeightedStates { log_mass: proposal, log_weight }).share
        }
        Direction::Posterior { power } => {
            let terms: Vec<f64> = log_mass.iter().zip(&log_w).map(|(m, w)| m + power * w).collect();
            let max = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = terms.iter().map(|term| (term - max).exp()).sum();
            terms.into_iter().map(|term| (term - max).exp() / total).collect()
        }
        Direction::Dreams => unreachable!("dreams are summed over their own data"),
    }
}
