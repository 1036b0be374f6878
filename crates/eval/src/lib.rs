//! Likelihood evaluation.
//!
//! | module | evaluator |
//! | --- | --- |
//! | [`exact`] | `log p(x)` by enumeration of all latent states |
//! | [`importance`] | `log p(x)` by importance sampling from the recognition net, in bounded memory |
//! | [`allocation`] | how many samples each row gets for an error of their mean |
//! | [`summary`] | means over rows with their errors |
//!
//! An importance-sampled row is an estimate that is low on average; [`importance::RowEstimate`]
//! carries what is known of its error, and [`exact`] is there to hold it against.

pub mod allocation;
pub mod exact;
pub mod importance;
pub mod streaming;
pub mod summary;

pub use allocation::Within;
pub use exact::{ExactError, ExactLikelihood, MAX_LATENT_BITS};
pub use importance::{ImportanceSampling, RowEstimate, ZeroWeight};
pub use summary::{NllSummary, summarise};
