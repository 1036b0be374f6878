//! The limits of what a config may ask for.

use crate::error::ConfigError;

/// No count of rows, units, samples or epochs is larger: 2^30.
pub const LARGEST: usize = 1 << 30;
/// No layer has more weights: 2^28, one gibibyte.
pub const LARGEST_MATRIX: usize = 1 << 28;

/// Refuses sizes of latent layers that are empty or too large; `layers` go from the data up.
///
/// # Errors
/// With the layer that is wrong.
pub fn check_layers(layers: &[usize]) -> Result<(), ConfigError> {
    if let Some(layer) = layers.iter().position(|&d| d == 0) {
        return Err(ConfigError(format!(
            "model.layers: layer {layer} has no units; every size must be at least 1"
        )));
    }
    let (below, above) = (layers.iter(), layers.iter().skip(1).chain([&1]));
    match below.zip(above).find(|(a, b)| a.saturating_mul(**b) > LARGEST_MATRIX) {
        Some((a, b)) => {
            Err(ConfigError(format!("model.layers: {a} units below {b} make more than 2^28 weights")))
        }
        None => Ok(()),
    }
}
