//! Checks gradient estimators against exact gradients.
//!
//! A model small enough to enumerate (bits) or to integrate over (one or two Gaussian latents) has an exact gradient
//! for everything that a strategy may [claim](helmholtz_core::Follows) to estimate. The court makes many estimates and
//! compares their mean with it, block by block. It says whether the implementation is right, how small a bias it would
//! have detected, and what a finite number of samples costs.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`court`] | [`assert_right`], [`gradient_report`] and [`judge`] |
//! | [`report`] | [`Report`]: what they find, how sharp it is, and the verdict |
//! | [`states`] | [`States`]: [`Enumeration`] and [`Quadrature`] |
//! | [`reference`](mod@reference) | [`Exact`]: the expected update of a strategy, and [`Expected`], which sums it |
//! | [`expectation`] | expectations over K samples as integrals |
//! | [`blocks`] | the parameters of a model as one vector |
//! | [`moments`] | means, variances and critical values |
//! | [`order`] | [`BiasOrder`]: how a bias falls with K |
//!
//! # Testing a strategy of your own
//!
//! ```
//! use burn::module::Module;
//! use burn::tensor::{DType, Device, Tensor};
//! use helmholtz_core::{Batch, Claims, Direction, Estimate, Follows, Key, LatentVariableModel, Strategy};
//! use helmholtz_court::{Enumeration, Trial, assert_right};
//! use helmholtz_directed::{HelmholtzMachine, StackConfig};
//! use helmholtz_strategies::ReweightedWakeSleep;
//!
//! /// Reweighted wake-sleep with half of the samples.
//! #[derive(Module, Debug)]
//! struct Mine {
//!     samples: usize,
//! }
//!
//! impl<M: LatentVariableModel> Strategy<M> for Mine {
//!     fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
//!         ReweightedWakeSleep::new(self.samples / 2).unwrap().estimate(model, batch, key)
//!     }
//! }
//!
//! impl Claims for Mine {
//!     fn follows(&self) -> Follows {
//!         let samples = self.samples / 2;
//!         let weights = helmholtz_core::SampleWeights::of(samples);
//!         Follows::new(Direction::Bound { samples }, Direction::SelfNormalised(weights))
//!     }
//! }
//!
//! let device = Device::flex();
//! let model: HelmholtzMachine = StackConfig::new(4, vec![3]).init(None, Key::new(0), &device).unwrap();
//! let x = Tensor::from_data([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]], (&device, DType::F32));
//! assert_right(&model, &Mine { samples: 8 }, &Enumeration, x, Trial::new(500, Key::new(1)));
//! ```

pub mod blocks;
pub mod court;
pub mod expectation;
pub mod moments;
pub mod order;
pub mod reference;
pub mod report;
pub mod states;

pub use blocks::{Block, Blocks, Net};
pub use court::{CourtError, Trial, assert_right, gradient_report, judge};
pub use order::BiasOrder;
pub use reference::{Exact, Expected, ReferenceError, References};
pub use report::{Finding, Reference, Report, Verdict};
pub use states::{Enumeration, Quadrature, States, StatesError, Supported};
