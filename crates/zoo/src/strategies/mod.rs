//! The strategies that a config can name, by what they ask of a model.

pub mod bits;
pub mod latents;
pub mod smooth;

pub(crate) use bits::of_layers_of_bits;
pub use latents::of_any_latents;
pub(crate) use smooth::of_smooth_latents;
