//! The limits of what a config may ask for.

use crate::error::ConfigError;

/// The largest number of rows, units, samples or epochs: 2^30.
pub const LARGEST: usize = 1 << 30;
/// The largest number of weights of a layer: 2^28, one gibibyte.
pub const LARGEST_MATRIX: usize = 1 << 28;

/// Checks the sizes of latent layers; `layers` go from the data up.
///
/// # Errors
/// If a layer is empty or too large; the message names it.
pub fn check_layers(layers: &[usize]) -> Result<(), ConfigError> {
    if let Some(layer) = layers.iter().position(|&d| d == 0) {
        return Err(ConfigError(format!(
            "model.layers: layer {layer} has no units; every size must be at least 1"
        )));
    }
    let (below, above) = (layers.iter(), layers.iter().skip(1).chain([&1]));
    match below.zip(above).find(|(a, b)| a.saturating_mul(**b) > LARGEST_MATRIX) {
        Some((a, b)) => Err(ConfigError(format!(
            "model.layers: {a} units below {b} make more than 2^28 weights; use smaller layers"
        ))),
        None => Ok(()),
    }
}
