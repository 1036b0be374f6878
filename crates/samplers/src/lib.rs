//! Samplers.
//!
//! | module | sampler |
//! | --- | --- |
//! | [`gibbs`] | Gibbs chains of a bidirectional Helmholtz machine, optionally with some observed units known |
//! | [`one_shot`] | independent samples of it, by importance resampling of ancestral samples |
//! | [`hmc`] | Hamiltonian Monte Carlo of any density with a gradient |
//! | [`isir`] | steps of iterated sampling importance resampling (ISIR) of a [`target`], and its dependent form (DISIR) |
//! | [`coupling`] | the maximal coupling of two categorical distributions |
//! | [`coupled`] | two chains of such steps that meet: unbiased expectations |
//! | [`target`] | what they sample: a distribution given by proposals and weights, such as a posterior |
//! | [`chains`] | the states of chains that run side by side |
//!
//! A step is a function of the model, the state and a key, so chains can be repeated, go on exactly where they
//! stopped, and do not depend on how many of them run side by side.

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

pub use chains::Chains;
pub use choose::NoWeight;
pub use coupled::{Contribution, CoupledChains, CoupledError, Meetings};
pub use coupling::couple;
pub use gibbs::{Gibbs, GibbsError, Known};
pub use hmc::{Adaptation, Hmc, LogDensity, Tempered};
pub use isir::Mixing;
pub use one_shot::OneShot;
pub use target::{NoiseSpace, Placed, Posterior, Target};
