//! Samplers.
//!
//! | module | sampler |
//! | --- | --- |
//! | [`gibbs`] | Gibbs chains of a bidirectional Helmholtz machine, with some of the observed units known or none |
//! | [`one_shot`] | independent samples of it, by importance resampling of ancestral ones |
//! | [`hmc`] | Hamiltonian Monte Carlo of any density with a gradient |
//! | [`chains`] | the states of chains that run side by side |
//!
//! A step is a function of the model, the state and a key: chains repeat, go on exactly where they stopped,
//! and do not depend on how many of them run side by side.

pub mod chains;
mod choose;
pub mod gibbs;
pub mod hmc;
mod marginal;
pub mod one_shot;

pub use chains::Chains;
pub use choose::NoWeight;
pub use gibbs::{Gibbs, GibbsError, Known};
pub use hmc::{Adaptation, Hmc, LogDensity, Tempered};
pub use one_shot::OneShot;
