//! The few operations that Burn lacks, each a fused forward pass with its exact gradient.
//!
//! | module | contents |
//! | --- | --- |
//! | [`bernoulli`] | log-probability, error and sample of a Bernoulli layer in one pass over the logits |
//! | [`nade`] | NADE's scan over the units: log-probability, sample, and the gradient by a backward scan |
//! | [`darn`] | DARN's masked weights, and sampling unit by unit |
//! | [`order`] | [`UnitOrder`]: the order in which an autoregressive layer visits its units |
//! | [`rows`] | row weights and weighted sums over rows, the other half of a local gradient |
//! | [`hidden`] | deterministic hidden units: bias and activation in one pass, and the backward pass |
//! | [`sigmoid()`], [`log_sigmoid`] | the logistic function of every element, and its logarithm |
//! | [`log_weights`] | `log Σ exp`, `log mean exp`, self-normalised weights, effective sample size |
//! | [`product`] | matrix products of constants |
//! | `bits` | products of bits with real numbers, by tables of sums; with the feature `flex` |
//! | [`adam`], [`rmsprop`] | a step of Adam or RMSProp in one pass over each parameter |
//! | [`noise`] | keyed uniforms and normals as a tensor |
//!
//! On a CPU device an operation takes the tensors' memory, runs one vectorised loop over the rows
//! on all threads and returns tensors; on any other device it is plain tensor operations.
//! Both are the same function to rounding, in f32 and in f64. The choice is made in `host` and
//! nowhere else. Results do not depend on the number of threads: rows are independent, and sums
//! over rows are taken in blocks of a fixed size.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use helmholtz_ops::bernoulli;
//!
//! let device = Device::flex();
//! let x = Tensor::<2>::from_floats([[1.0, 0.0]], &device);
//! let logits = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
//! let bias = Tensor::<1>::zeros([2], &device);
//! let scored = bernoulli::score(x, logits, bias);
//! let log_prob: f32 = scored.log_prob.into_scalar();
//! assert!((log_prob - 2.0 * 0.5f32.ln()).abs() < 1e-6); // two fair coins
//! ```

pub mod adam;
pub mod bernoulli;
#[cfg(feature = "flex")]
pub mod bits;
#[cfg(feature = "cube")]
mod cube;
pub mod darn;
pub mod hidden;
mod host;
pub mod log_weights;
pub mod nade;
pub mod noise;
pub mod order;
pub mod product;
mod real;
pub mod rmsprop;
pub mod rows;
mod sigmoid;
mod units;
mod unitwise;

pub use host::{in_host_memory, into_f64, on_workers, side_by_side};
pub use order::UnitOrder;
pub use sigmoid::{log_sigmoid, sigmoid};
