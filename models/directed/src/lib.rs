//! Directed models: stacks of stochastic layers with a recognition net, known as Helmholtz machines.
//!
//! | module | contents |
//! | --- | --- |
//! | [`stack`] | [`Stack`]: any conditional layers under any prior; [`HelmholtzMachine`]: with layers of any kind |
//! | [`config`] | [`StackConfig`]: kinds, sizes and initialisation |
//!
//! ```
//! use burn::tensor::Device;
//! use helmholtz_core::{Draws, Key, LatentVariableModel};
//! use helmholtz_directed::StackConfig;
//!
//! let sbn = StackConfig::new(25, vec![15, 7]).init(None, Key::new(0), &Device::flex()).unwrap();
//! let (x, h) = sbn.dream(&Draws::new(Key::new(1), 4, 1)); // four dreams
//! assert_eq!((x.dims(), h[1].dims()), ([4, 25], [4, 7]));
//! ```

pub mod config;
mod defence;
pub mod stack;

pub use config::{LayerKind, StackConfig, StackError};
pub use stack::{HelmholtzMachine, Stack};
