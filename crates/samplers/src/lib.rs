//! Samplers.
//!
//! | module | sampler |
//! | --- | --- |
//! | [`gibbs`] | Gibbs chains of a bidirectional Helmholtz machine, optionally with some observed units known |
//! | [`one_shot`] | independent samples of it, by importance resampling of ancestral samples |
//! | [`hmc`] | Hamiltonian Monte Carlo of any density with a gradient |
//! | [`block_gibbs`] | block Gibbs sampling of energy models of two layers |
//! | [`tempering`] | parallel tempering: chains of a ladder of laws that swap states, over any [`Kernel`](helmholtz_core::Kernel) |
//! | [`trajectory`] | parallel tempering between the models of one training |
//! | [`autocorrelation`] | integrated autocorrelation times: how many steps of a chain count as one independent sample |
//! | [`isir`] | steps of iterated sampling importance resampling (ISIR) of a [`target`], and its dependent form (DISIR) |
//! | [`coupling`] | the maximal coupling of two categorical distributions |
//! | [`coupled`] | two chains of such steps that meet: unbiased expectations |
//! | [`target`] | what they sample: a distribution given by proposals and weights, such as a posterior |
//! | [`chains`] | the states of chains that run side by side |
//!
//! A step is a function of the model, the state and a key, so chains can be repeated, go on exactly where they
//! stopped, and do not depend on how many of them run side by side.

pub mod autocorrelation;
pub mod block_gibbs;
pub mod chains;
mod choose;
pub mod coupled;
pub mod coupling;
pub mod gibbs;
pub mod hmc;
pub mod isir;
mod marginal;
pub mod one_shot;
pub mod target;
pub mod tempering;
pub mod trajectory;

pub use autocorrelation::AutocorrelationTime;
pub use block_gibbs::BlockGibbs;
pub use chains::Chains;
pub use choose::NoWeight;
pub use coupled::{Contribution, CoupledChains, CoupledError, Meetings};
pub use coupling::couple;
pub use gibbs::{Gibbs, GibbsError, Known};
pub use hmc::{Adaptation, Hmc, HmcKernel, HmcState, LogDensity, Tempered};
pub use isir::Mixing;
pub use one_shot::OneShot;
pub use target::{NoiseSpace, Placed, Posterior, Target};
pub use tempering::{Ladder, Swaps, Temperatures};
pub use trajectory::{Rung, Trajectory};
