//! Stochastic layers `p(x | y)` and the priors on top of them.
//!
//! | module | layer |
//! | --- | --- |
//! | [`bernoulli`] | factorial Bernoulli units given a linear map of `y`: the layer of a sigmoid belief network |
//! | [`deterministic`] | the same given a deterministic hidden layer (DSBN) |
//! | [`darn`] | units whose logits depend linearly on the units before them |
//! | [`nade`] | units that depend on the units before them through hidden units |
//! | [`any`] | [`Layer`] and [`Top`]: any of these, so that one stack can mix them |
//! | [`initial`] | initial weights and biases |
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

pub mod any;
pub mod bernoulli;
pub mod darn;
pub mod deterministic;
pub mod initial;
pub mod nade;

pub use any::{Layer, Top};
pub use bernoulli::{Bernoulli, BernoulliConfig, BernoulliPrior, BernoulliPriorConfig};
pub use darn::{Darn, DarnConfig, DarnPrior, DarnPriorConfig};
pub use deterministic::{Deterministic, DeterministicConfig};
pub use helmholtz_ops::UnitOrder;
pub use initial::InitialWeights;
pub use nade::{Nade, NadeConfig, NadePrior, NadePriorConfig};
