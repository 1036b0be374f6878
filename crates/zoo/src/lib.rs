//! The zoo: models and strategies of every family, behind one interface.
//!
//! A family is one folder and one row of [`registry()`].
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`mod@registry`] | [`Registry`]: the families that a program knows, and what a config means by their names |
//! | [`spec`] | [`Spec`]: what a config says of model and strategy, checked |
//! | [`mod@settings`] | [`settings!`](macro@settings) and [`words!`]: sections of a config file as structs |
//! | [`model`] | [`BoxedModel`]: a model of latents, whatever its family |
//! | [`can`] | [`Can`]: what a model can do that not every model can |
//! | [`strategy`] | [`BoxedStrategy`]: a strategy on such a model |
//! | [`strategies`] | the strategies that a config can name, by what they ask of a model |
//! | [`strategy_settings`] | [`StrategySettings`]: what a strategy's row of the registry is made of |
//! | [`check`] | one computation on two devices: what the doctor compares |
//! | [`directed`] | stacks of layers of bits, read as directed or as bidirectional machines |
//! | [`vae`] | variational auto-encoders |
//! | [`error`], [`limits`] | sentences on what is wrong, and the largest sizes |

pub mod can;
pub mod check;
pub mod directed;
pub mod error;
pub mod limits;
pub mod model;
pub mod registry;
pub mod settings;
pub mod spec;
pub mod strategies;
pub mod strategy;
pub mod strategy_settings;
pub mod vae;

pub use can::{Can, Chained, Smooth, Summed};
pub use error::ConfigError;
pub use model::BoxedModel;
pub use registry::{Family, ModelEntry, Registry, StrategyEntry};
pub use settings::{Key, Settings};
pub use spec::{ModelSpec, Spec, StrategySpec, Support};
pub use strategy::{BoxedStrategy, Estimates};
pub use strategy_settings::StrategySettings;

/// The families of this workspace.
pub fn registry() -> Registry {
    Registry::new(vec![directed::family(), vae::family()])
}
