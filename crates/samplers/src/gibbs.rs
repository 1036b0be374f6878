//! Gibbs sampling of a bidirectional Helmholtz machine.
//!
//! With `h₀ = x`, a layer of latents has the following distribution given its neighbours:
//!
//! ```text
//! p*(hₗ | hₗ₋₁, hₗ₊₁) ∝ √(p(hₗ₋₁ | hₗ) p(hₗ | hₗ₊₁) q(hₗ | hₗ₋₁) q(hₗ₊₁ | hₗ))
//! ```
//!
//! It is sampled by importance resampling: N proposals, half of them from `p(hₗ | hₗ₊₁)` and half from
//! `q(hₗ | hₗ₋₁)`, are weighed by that root over the density of the mixture. The observed units have the distribution
//!
//! ```text
//! p*(x | h₁) ∝ √(p(x | h₁) q(h₁ | x) p̃*(x))
//! ```
//!
//! Their proposals come from `p(x | h₁)`, with the weights `√(p̃*(x) q(h₁ | x) / p(x | h₁))`. For these, every
//! proposal has an unbiased estimate of `√p̃*(x)` from samples of its own. Without that factor, which the
//! paper's text does not mention, the chain would leave another distribution invariant. A sweep updates the odd
//! layers and then the even ones, including x: layers of one parity do not depend on each other.
//!
//! p* is invariant in the limit of many proposals; with N proposals the error is of order 1/N.
//!
//! # Inpainting
//! If some observed units are [`Known`], the others follow `p*(x_unknown | x_known, h)`: the known ones are put
//! into every proposal, whose density is that of the others alone. This needs a lowest layer whose units are
//! independent given h₁.
//!
//! # Reference
//! Bornschein, Shabanian, Fischer, Bengio, "Bidirectional Helmholtz machines", ICML 2016, arXiv:1506.03877.

use std::ops::Range;

use burn::tensor::Tensor;
use helmholtz_core::{Key, Layerwise, Role};
use helmholtz_ops::log_weights::log_sum_exp;
use helmholtz_ops::rows::repeat_rows;
use thiserror::Error;

use crate::chains::{Chains, blocks, draws, pick, select};
use crate::choose::{NoWeight, choose};
use crate::marginal::log_root_marginal;

/// Gibbs sampling by importance resampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gibbs {
    /// Proposals for a layer, N; half of them from each side.
    pub proposals: usize,
    /// Samples of q for the marginal of each proposal for x.
    pub inner: usize,
}

/// Invalid settings or models, and chains that cannot go on.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum GibbsError {
    /// Fewer than two proposals, or no inner sample.
    #[error(
        "{proposals} proposals and {inner} inner samples: use at least 2 proposals, one from each side, and 1 \
         inner sample"
    )]
    TooFew {
        /// N.
        proposals: usize,
        /// Inner samples.
        inner: usize,
    },
    /// Known units below an autoregressive layer.
    #[error(
        "the lowest layer is autoregressive: known units change the distribution of the units after them, so \
         proposals for the rest cannot be weighed; inpaint with a model whose lowest layer is sbn or dsbn"
    )]
    Autoregressive,
    /// A model without latents.
    #[error("the model has no latents, so there is no recognition net and nothing to sample layer by layer")]
    NoLatents,
    /// No proposal has any weight.
    #[error(transparent)]
    NoWeight(#[from] NoWeight),
}

/// Observed units that are known.
#[derive(Clone, Debug)]
pub struct Known {
    /// 1 where a unit is known, 0 elsewhere: `[n, d_x]`, or `[1, d_x]` for all chains.
    pub mask: Tensor<2>,
    /// The values; those of unknown units do not matter: `[n, d_x]`, or `[1, d_x]` for all chains.
    pub values: Tensor<2>,
}

impl Known {
    /// What is known of the chains in `range`.
    fn part(&self, range: Range<usize>) -> Self {
        let part = |t: &Tensor<2>| match t.dims() {
            [1, _] => t.clone(),
            _ => t.clone().slice(range.clone()),
        };
        Known { mask: part(&self.mask), values: part(&self.values) }
    }

    /// `x` with the known values in place of its own.
    pub fn put_into(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, _] = x.dims();
        let repeat = |t: Tensor<2>| match t.dims() {
            [1, _] => t,
            // The rows of x are k proposals for each chain.
            [rows, _] => repeat_rows(t, n / rows),
        };
        let (mask, values) = (repeat(self.mask.clone()), repeat(self.values.clone()));
        x * (mask.clone().neg() + 1.0) + values * mask
    }
}

impl Gibbs {
    /// Returns the same settings if they are valid.
    ///
    /// # Errors
    /// If there are fewer than two proposals, or no inner samples.
    pub fn checked(self) -> Result<Self, GibbsError> {
        match self {
            Gibbs { proposals: ..2, .. } | Gibbs { inner: 0, .. } => {
                Err(GibbsError::TooFew { proposals: self.proposals, inner: self.inner })
            }
            _ => Ok(self),
        }
    }

    /// One sweep over all layers. Give every sweep a key of its own: `key.child(t)` for the t-th.
    ///
    /// # Errors
    /// If the settings are invalid, the model has no latents, units are known below an autoregressive
    /// layer, or a chain has no proposal with any weight.
    pub fn sweep<M: Layerwise>(
        &self,
        model: &M,
        chains: &Chains,
        known: Option<&Known>,
        key: Key,
    ) -> Result<Chains, GibbsError> {
        self.checked()?;
        if chains.h().is_empty() {
            return Err(GibbsError::NoLatents);
        }
        let mut layers = chains.layers.clone();
        for parity in [1, 0] {
            let below = Chains { layers: layers.clone() };
            for l in (parity..layers.len()).step_by(2) {
                layers[l] = match l {
                    0 => self.observed(model, &below, known, key)?,
                    _ => self.latents(model, &below, l, key)?,
                };
            }
        }
        Ok(Chains { layers })
    }

    /// New latents of layer `l` >= 1, given its neighbours: `[n, d_l]`.
    ///
    /// # Errors
    /// If a chain has no proposal with any weight.
    pub fn latents<M: Layerwise>(
        &self,
        model: &M,
        chains: &Chains,
        l: usize,
        key: Key,
    ) -> Result<Tensor<2>, GibbsError> {
        let parts = blocks(chains.n(), self.proposals)
            .map(|range| self.latents_of(model, &chains.part(range.clone()), l, (range, key)));
        Ok(Tensor::cat(parts.collect::<Result<_, _>>()?, 0))
    }

    /// New latents of the chains with the numbers in `range`.
    fn latents_of<M: Layerwise>(
        &self,
        model: &M,
        chains: &Chains,
        l: usize,
        (range, key): (Range<usize>, Key),
    ) -> Result<Tensor<2>, NoWeight> {
        let (n, key) = (chains.n(), key.child(Role::Layer).child(l));
        let (below, above) = (&chains.layers[l - 1], chains.layers.get(l + 1));
        let from_q = self.proposals / 2;
        let from_p = self.proposals - from_q;
        let share = |k: usize| (k as f64 / self.proposals as f64).ln();
        let p = model.generate(l, above.cloned(), &draws(key.child(Role::Sleep), &range, from_p));
        let q = model.recognise(l, below.clone(), &draws(key.child(Role::Wake), &range, from_q));
        let weigh = |h: &Tensor<2>, k: usize| {
            let of_p = model.log_generative(l, h.clone(), above.cloned());
            let of_q = model.log_recognition(l, h.clone(), below.clone());
            let mut root = of_p.clone() + of_q.clone();
            root = root + model.log_generative(l - 1, below.clone(), Some(h.clone()));
            if let Some(above) = above {
                root = root + model.log_recognition(l + 1, above.clone(), h.clone());
            }
            let mixture = Tensor::stack::<2>(vec![of_p + share(from_p), of_q + share(from_q)], 1);
            (root * 0.5 - log_sum_exp(mixture)).reshape([n, k])
        };
        let log_weights = Tensor::cat(vec![weigh(&p, from_p), weigh(&q, from_q)], 1);
        let chosen = choose(log_weights, range.start, key.child(Role::Choice))?;
        let place = |(chain, &place): (usize, &usize)| match place.checked_sub(from_p) {
            None => chain * from_p + place,
            Some(place) => n * from_p + chain * from_q + place,
        };
        let places: Vec<usize> = chosen.iter().enumerate().map(place).collect();
        Ok(select(Tensor::cat(vec![p, q], 0), &places))
    }

    /// New observed units, given the lowest latents: `[n, d_x]`.
    ///
    /// # Errors
    /// If units are known below an autoregressive layer, or a chain has no proposal with any weight.
    pub fn observed<M: Layerwise>(
        &self,
        model: &M,
        chains: &Chains,
        known: Option<&Known>,
        key: Key,
    ) -> Result<Tensor<2>, GibbsError> {
        if known.is_some() && !model.observed_are_independent() {
            return Err(GibbsError::Autoregressive);
        }
        let parts = blocks(chains.n(), self.proposals).map(|range| {
            let known = known.map(|known| known.part(range.clone()));
            self.observed_of(model, chains.h()[0].clone().slice(range.clone()), known, (range, key))
        });
        Ok(Tensor::cat(parts.collect::<Result<_, _>>()?, 0))
    }

    /// New observed units of the chains with the numbers in `range`, given their lowest latents.
    fn observed_of<M: Layerwise>(
        &self,
        model: &M,
        h: Tensor<2>,
        known: Option<Known>,
        (range, key): (Range<usize>, Key),
    ) -> Result<Tensor<2>, NoWeight> {
        let (n, k, key) = (range.len(), self.proposals, key.child(Role::Layer).child(0usize));
        let mut x = model.generate(0, Some(h.clone()), &draws(key.child(Role::Sleep), &range, k));
        if let Some(known) = known {
            x = known.put_into(x);
        }
        // The known units' factor in p(x | h₁) is a constant of the chain: whether it is included does not matter.
        let of_p = model.log_generative(0, x.clone(), Some(h.clone()));
        let of_q = model.log_recognition(1, h, x.clone());
        let log_root =
            log_root_marginal(model, x.clone(), self.inner, range.start * k, key.child(Role::Wake));
        let log_weights: Tensor<1> = log_root + (of_q - of_p) * 0.5;
        let chosen = choose(log_weights.reshape([n, k]), range.start, key.child(Role::Choice))?;
        Ok(pick(x, k, &chosen))
    }
}
