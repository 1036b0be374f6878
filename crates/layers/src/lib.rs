//! Stochastic layers `p(x | y)` and the priors on top of them.
//!
//! | module | layer |
//! | --- | --- |
//! | [`bernoulli`] | factorial Bernoulli units given a linear map of `y`: the layer of a sigmoid belief network |
//! | [`initial`] | how weights and biases start |
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use helmholtz_core::{Conditional, Draws, Key};
//! use helmholtz_layers::{BernoulliConfig, InitialWeights};
//!
//! let device = Device::flex();
//! let layer = BernoulliConfig::new(3, 2).init(InitialWeights::Glorot, Key::new(0), &device);
//! let y = Tensor::<2>::from_floats([[1.0, 0.0, 1.0]], &device);
//! let drawn = layer.draw(y, &Draws::new(Key::new(1), 1, 5), None); // five samples of x given y
//! assert_eq!(drawn.x.dims(), [5, 2]);
//! ```

pub mod bernoulli;
pub mod initial;

pub use bernoulli::{Bernoulli, BernoulliConfig, BernoulliPrior, BernoulliPriorConfig};
pub use initial::InitialWeights;
