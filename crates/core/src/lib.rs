//! The contracts between layers, models, strategies and evaluators.
//!
//! | module | contents |
//! | --- | --- |
//! | [`batch`] | [`Batch`]: rows with their side inputs, targets and masks |
//! | [`layer`] | [`Conditional`] and [`Prior`]: one stochastic layer |
//! | [`trainable`] | [`Trainable`]: what training needs from a model, and [`ParameterGroup`] |
//! | [`model`] | [`LatentVariableModel`], [`Layerwise`] and [`Enumerable`] |
//! | [`tractable`] | [`Tractable`] and [`Expectation`]: likelihoods in closed form |
//! | [`energy`] | [`EnergyModel`]: densities up to a factor |
//! | [`kernel`] | [`Kernel`]: moves of Markov chains |
//! | [`annealing`] | [`AnnealingPath`]: from a density that is easy to sample to another |
//! | [`pathwise`] | [`Reparameterized`]: latents as functions of noise, and the weights of their gradients |
//! | [`strategy`] | [`Strategy`], its [`Estimate`] and its [`Scope`] |
//! | [`memory`] | [`Memory`]: what a strategy remembers |
//! | [`score`] | [`Score`] and [`Measure`]: what is measured, and which way is better |
//! | [`objective`] | [`Claims`], [`Follows`] and [`Direction`]: what a strategy claims to estimate |
//! | [`erased`] | [`Boxed`](erased::Boxed): a module whose type is erased |
//! | [`evaluator`] | [`Evaluator`]: one number per observation |
//! | [`gradients`] | [`Gradients`]: what a strategy passes to an optimiser |
//! | [`module`] | [`Model`], a Burn module; [`visit_params`] and [`map_params`]: closures over its parameters; [`add_gradients`] |
//! | [`one_of`](mod@one_of) | [`one_of!`]: an enum of modules that is the module it holds |
//! | [`bits`] | all states of a few bits, for exact sums |
//!
//! # How gradients travel
//!
//! In a model with discrete latents every estimator of this field is a sum of *scores*: constants
//! times `∇ log p(x, h)` and `∇ log q(h | x)` at sampled `h`. A strategy therefore decides which
//! samples get which weight, and the layers, whose scores are local and known in closed form, add
//! the weighted scores to a [`Gradients`]. No autodiff tape is recorded.
//! With continuous latents there is also the path from the noise to the latents. A model adds its
//! derivative in the same way, with two more constants for each sample ([`pathwise`]).
//! [`LatentVariableModel::log_joint`] and [`LatentVariableModel::log_posterior`] remain
//! differentiable by Burn's autodiff; the tests compare the two computations.

pub mod annealing;
pub mod batch;
pub mod bits;
pub mod energy;
pub mod erased;
pub mod evaluator;
pub mod gradients;
pub mod kernel;
pub mod layer;
pub mod memory;
pub mod model;
pub mod module;
pub mod objective;
pub mod one_of;
pub mod pathwise;
pub mod score;
pub mod strategy;
pub mod tractable;
pub mod trainable;

pub use annealing::{AnnealingPath, ReversiblePath};
pub use batch::{Batch, Target};
pub use bits::enumerate_bits;
pub use energy::{Contrast, EnergyModel, Harmonium, LayerMeans, Weighed};
pub use evaluator::Evaluator;
pub use gradients::Gradients;
pub use helmholtz_noise::{Draws, Key, Role};
pub use kernel::{InverseTemperature, Kernel};
pub use layer::{Conditional, Defence, Drawn, Prior, Scored};
pub use memory::Memory;
pub use model::{Enumerable, LatentVariableModel, Layerwise, Proposals, Traced};
pub use module::{AnyParam, Model, add_gradients, map_params, visit_params};
pub use objective::{Claims, Direction, Follows, SampleWeights, Term};
pub use pathwise::{PathParts, PathWeights, Reparameterized};
pub use score::{Better, Measure, Measured, Over, Score};
pub use strategy::{Estimate, Scope, Strategy};
pub use tractable::{Expectation, Tractable};
pub use trainable::{GENERATIVE, ParameterGroup, RECOGNITION, Trainable};
