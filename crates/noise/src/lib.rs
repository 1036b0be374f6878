//! Keys, and the counter-based generator behind every random draw.
//!
//! Nothing else in the workspace draws random numbers.
//! A [`Key`] is made from the run's seed and split by role. The number at a given
//! *(row, sample, unit)* is a pure function of the key, so the same key gives the same numbers in
//! any order, on any number of threads, after any restart and in tests that run in parallel.
//!
//! | module | contents |
//! | --- | --- |
//! | [`key`] | [`Key`], [`Role`] and the splitting rule |
//! | [`philox`] | the Philox4x32-10 block function |
//! | [`uniform`] | uniforms for a cell, for any number of units |
//! | [`draws`] | [`Draws`]: a key and the cells that a matrix of samples covers |
//! | [`simd`] | loops compiled for the widest vectors of the machine |
//! | [`stream`] | [`Stream`]: a sequence of numbers, for shuffles and data generators |
//!
//! ```
//! use helmholtz_noise::{Key, Role, fill_uniform};
//!
//! let key = Key::new(0).child(Role::Wake).child(12u64); // seed 0, wake phase, step 12
//! let (mut a, mut b) = ([0.0f32; 5], [0.0f32; 3]);
//! fill_uniform(key, 7, 2, &mut a); // row 7, sample 2, units 0..5
//! fill_uniform(key, 7, 2, &mut b); // the first three units of the same cell
//! assert_eq!(a[..3], b);
//! ```

pub mod draws;
pub mod key;
pub mod philox;
pub mod simd;
pub mod stream;
pub mod uniform;

pub use draws::Draws;
pub use key::{Key, Label, Role};
pub use stream::Stream;
pub use uniform::{Uniform, fill_uniform};
