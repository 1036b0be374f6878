//! The zoo: models and strategies of every family, behind one interface.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`model`] | [`BoxedModel`]: a model of latents, whatever its family |
//! | [`can`] | [`Can`]: what a model can do that not every model can |
//! | [`strategy`] | [`BoxedStrategy`]: a strategy on such a model |
//! | [`directed`] | stacks of layers of bits, read as directed or as bidirectional machines |
//! | [`vae`] | variational auto-encoders |

pub mod can;
pub mod directed;
pub mod model;
pub mod strategy;
pub mod vae;

pub use can::{Can, Chained, Refusal, Smooth, Summed};
pub use model::BoxedModel;
pub use strategy::{BoxedStrategy, Estimates};
