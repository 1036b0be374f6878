//! Training strategies.
//!
//! | module | strategy | theta follows | phi follows |
//! | --- | --- | --- | --- |
//! | [`wake_sleep`] | [`WakeSleep`] | the ELBO | `E_p log q(h \| x)` on dreams |
//! | [`rws`] | [`ReweightedWakeSleep`] | the K-sample bound | `E_{p(h \| x)} log q(h \| x)` on the data, on dreams, or both |
//! | [`bihm`] | [`Bidirectional`] | the K-sample bound on `log p̃*(x)` | `log p̃*(x)`, with a bias of order 1/K |
//! | [`coupled`] | [`Coupled`] | `log p(x)` itself, by coupled chains | the K-sample bound |
//!
//! Each is a pure function of model, batch and key; each has an inner function that takes its
//! proposals as an argument, so that exact tests can feed all of them. [`Coupled`] besides remembers from one call to
//! the next how its chains fared.

pub mod bihm;
pub mod coupled;
pub mod rws;
mod wake;
pub mod wake_sleep;

pub use bihm::{Bidirectional, BidirectionalError};
pub use coupled::{Coupled, Kernel};
pub use rws::{ReweightedWakeSleep, RwsError};
pub use wake_sleep::WakeSleep;
