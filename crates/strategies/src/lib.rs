//! Training strategies.
//!
//! | module | strategy | theta follows | phi follows |
//! | --- | --- | --- | --- |
//! | [`wake_sleep`] | [`WakeSleep`] | the ELBO | `E_p log q(h \| x)` on dreams |
//! | [`rws`] | [`ReweightedWakeSleep`] | the K-sample bound | `E_{p(h \| x)} log q(h \| x)` on the data, on dreams, or both |
//! | [`bihm`] | [`Bidirectional`] | the K-sample bound on `log p̃*(x)` | `log p̃*(x)`, with a bias of order 1/K |
//! | [`coupled`] | [`Coupled`] | `log p(x)` itself, by coupled chains | the K-sample bound |
//! | [`elbo`] | [`Elbo`] | the ELBO | the ELBO, along the path from the noise |
//! | [`stl`] | [`Stl`] | the ELBO | the ELBO, without the score of q |
//! | [`iwae`] | [`Iwae`] | the K-sample bound | the K-sample bound, along the path |
//! | [`dreg`] | [`Dreg`] | the K-sample bound | the K-sample bound, doubly reparameterised |
//!
//! Each is a pure function of model, batch and key; each has an inner function that takes its
//! proposals as an argument, so that exact tests can feed all of them. [`Coupled`] besides remembers from one call to
//! the next how its chains fared.

pub mod bihm;
pub mod coupled;
pub mod dreg;
pub mod elbo;
pub mod iwae;
mod path;
pub mod rws;
pub mod stl;
mod wake;
pub mod wake_sleep;

pub use bihm::{Bidirectional, BidirectionalError};
pub use coupled::{Coupled, Kernel};
pub use dreg::Dreg;
pub use elbo::Elbo;
pub use iwae::Iwae;
pub use rws::{ReweightedWakeSleep, RwsError};
pub use stl::Stl;
pub use wake_sleep::WakeSleep;
