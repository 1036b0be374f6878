//! Energy-based models.
//!
//! | module | contents |
//! | --- | --- |
//! | [`config`] | [`RbmConfig`]: sizes and initialisation |
//! | [`units`] | [`Units`] and [`Layer`]: bits, categories and real numbers as visible units |
//! | [`rbm`] | [`Rbm`]: a restricted Boltzmann machine, its free energy and block Gibbs sampling |
//! | [`partition`] | its partition function, likelihood and their gradients by enumeration |
//! | [`transitions`] | [`Transitions`]: laws of chains of block Gibbs sampling, by enumeration |
//! | [`autocorrelation`] | [`Fundamental`]: exact autocorrelation times of these chains |
//! | [`student`] | [`StudentT`]: a product of Student-t experts, with its partition function and exact samples |
//! | [`unigauss`] | [`Unigauss`]: a product of experts that are each uniform or normal |
//! | [`conditional`] | [`ConditionalRbm`]: a machine whose biases and connections depend on a side input |
//! | [`labels`] | labels as visible units of a machine: classes given rows, and chains over rows alone |
//! | [`gauge`] | other parameters for the same law: spins, and the zero-sum gauge of categories |
//! | [`annealing`] | [`FromIndependent`]: the path from independent units to a machine |
//!
//! ```
//! use burn::tensor::Device;
//! use helmholtz_core::{Batch, Draws, Harmonium, Key, Tractable};
//! use helmholtz_energy::RbmConfig;
//!
//! let rbm = RbmConfig::new(25, 10).init(None, Key::new(0), &Device::flex()).unwrap();
//! let start = rbm.noise(&Draws::new(Key::new(1), 4, 1));
//! let x = rbm.sweep(start, None, &Draws::new(Key::new(2), 4, 1)); // four chains after a sweep
//! assert_eq!(x.dims(), [4, 25]);
//! assert_eq!(rbm.log_prob(&Batch::of(x)).dims(), [4]); // by a sum over 2^10 states
//! ```

pub mod annealing;
pub mod autocorrelation;
pub mod conditional;
pub mod config;
mod digamma;
pub mod gauge;
pub mod labels;
pub mod partition;
pub mod rbm;
mod rectified;
pub mod student;
pub mod transitions;
mod truncated;
pub mod unigauss;
pub mod units;

pub use annealing::{FromIndependent, RowMoments};
pub use autocorrelation::Fundamental;
pub use conditional::ConditionalRbm;
pub use config::{RbmConfig, RbmError};
pub use gauge::Spins;
pub use partition::{MAX_ENUMERATED_BITS, TooManyUnits};
pub use rbm::Rbm;
pub use student::{StudentT, StudentTError};
pub use transitions::{MOST_UNITS, NoTransitions, Transitions, divergence};
pub use unigauss::{Unigauss, UnigaussError};
pub use units::{Block, Layer, LayerError, Units};

#[cfg(test)]
mod tests;
