//! Moves of Markov chains.
//!
//! A [`Kernel`] takes the states of chains that run side by side to their next states, and says what happened:
//!
//! ```text
//! (state, β, draws) ↦ (state, info)
//! ```
//!
//! It has a density f_β for each inverse temperature β, known up to a factor, and a step at β leaves f_β invariant. At
//! β = 1 it is the density to sample. A state holds what the last step computed of the density at its point, so neither
//! a step at another temperature nor a ratio of densities evaluates the target anew.
//!
//! Chains are numbered through [`Draws`]: what a chain draws depends on the key of the step and on the chain's own
//! number, never on the chains beside it. A kernel remembers nothing. Step sizes are a part of the state, and the
//! acceptance and the errors of a step are a part of the info, so that whoever calls the kernel decides what to make of
//! them.
//!
//! | what runs on a kernel | |
//! | --- | --- |
//! | annealed importance sampling | `helmholtz-eval`, for a kernel that is an [`AnnealingPath`](crate::AnnealingPath) |
//! | parallel tempering | `helmholtz-samplers`, for any kernel |
//!
//! # Reference
//! Cabezas, Corenflos, Lao, Louf, "BlackJAX: composable Bayesian inference in JAX", 2024, arXiv:2402.10797 (state in,
//! state and info out).

use burn::tensor::{Int, Tensor};

use crate::Draws;

/// Moves of chains that leave densities f_β invariant.
pub trait Kernel {
    /// The states of n chains, with what is known of the density there.
    type State;
    /// What happened in a step, for each chain.
    type Info;

    /// Chains at `x`, `[n, d]`.
    fn at(&self, x: Tensor<2>) -> Self::State;

    /// Where the chains are: `[n, d]`.
    fn positions(&self, state: &Self::State) -> Tensor<2>;

    /// A step of each chain that leaves f_β invariant. `draws` has one cell for each chain, under a key that no other
    /// step has.
    fn step(&self, state: Self::State, beta: &InverseTemperature, draws: &Draws)
    -> (Self::State, Self::Info);

    /// `log f_β` of each chain at each of its inverse temperatures, `[n, k]` for `beta`, `[n, k]`, in nats. A summand
    /// that does not depend on β may be missing.
    fn log_densities(&self, state: &Self::State, beta: Tensor<2>) -> Tensor<2>;

    /// `log f_to - log f_from` of each chain, in nats: `[n]`.
    fn log_ratio(&self, state: &Self::State, from: f64, to: f64) -> Tensor<1>;

    /// Puts each chain at the point of another: the i-th at that of chain `from[i]`, for `from`, `[n]`. What belongs to
    /// the chain and not to its point, such as a step size, stays.
    fn select(&self, state: Self::State, from: Tensor<1, Int>) -> Self::State;
}

/// The inverse temperatures β of chains.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a step of all chains")]
pub enum InverseTemperature {
    /// That of all chains.
    Same(f64),
    /// That of each chain: `[n]`.
    Each(Tensor<1>),
}

impl InverseTemperature {
    /// β times the numbers of each chain, `[n, ...]`.
    pub fn times<const D: usize>(&self, numbers: Tensor<D>) -> Tensor<D> {
        match self {
            InverseTemperature::Same(beta) => numbers * *beta,
            InverseTemperature::Each(beta) => {
                let mut shape = [1; D];
                shape[0] = beta.dims()[0];
                numbers * beta.clone().reshape(shape)
            }
        }
    }
}
