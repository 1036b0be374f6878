//! Mixtures of Bernoulli units, with missing values and classes.
//!
//! | module | contents |
//! | --- | --- |
//! | [`config`] | [`BernoulliMixtureConfig`]: sizes, smoothing and initialisation |
//! | [`mixture`] | [`BernoulliMixture`]: its distribution, its gradient, and its dreams (samples) |
//! | [`posterior`] | class probabilities, responsibilities, and imputation of missing values |
//! | [`em`] | expected statistics, and the parameters that maximise the likelihood given them |
//!
//! ```
//! use burn::tensor::Device;
//! use helmholtz_core::{Batch, Draws, Key, Tractable};
//! use helmholtz_mixture::BernoulliMixtureConfig;
//!
//! let mixture = BernoulliMixtureConfig::new(25, 10).init(None, Key::new(0), &Device::flex()).unwrap();
//! let (x, components) = mixture.dream(&Draws::new(Key::new(1), 4, 1)); // four dreams
//! assert_eq!((x.dims(), components.dims()), ([4, 25], [4]));
//! assert_eq!(mixture.log_prob(&Batch::of(x)).dims(), [4]);
//! ```

pub mod config;
pub mod em;
pub mod mixture;
pub mod posterior;

pub use config::{BernoulliMixtureConfig, MixtureError};
pub use mixture::BernoulliMixture;

#[cfg(test)]
mod tests;
