//! Sizes and initialisation of a stack.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Key, Role};
use helmholtz_layers::{BernoulliConfig, BernoulliPriorConfig, InitialWeights};
use thiserror::Error;

use crate::Sbn;

/// Sizes and initialisation of a stack of Bernoulli layers.
#[derive(Clone, Debug, PartialEq)]
pub struct StackConfig {
    /// Number of observed units.
    pub observed: usize,
    /// Latent sizes, from the data up.
    pub latents: Vec<usize>,
    /// The law of the initial weights.
    pub weights: InitialWeights,
    /// Initial bias of every unit that the data do not set; the RWS and BiHM papers use -1.
    pub bias: f64,
    /// Whether the lowest generative bias starts at the logit of the data mean, clipped to
    /// [0.001, 0.999].
    pub bias_from_data: bool,
    /// Whether the recognition net sees `x` less the data mean.
    pub centre: bool,
}

/// A stack that cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// No latent layer.
    #[error(
        "a sigmoid belief network needs at least one latent layer; give its sizes from the data up, as in `layers = [200, 200]`"
    )]
    NoLatents,
    /// A layer without units.
    #[error("layer {0} has no units; every size in `layers` must be at least 1")]
    EmptyLayer(usize),
    /// No observed units.
    #[error("the data have no columns")]
    NoObserved,
    /// A data mean of the wrong size.
    #[error("the data mean has {found} values for {expected} observed units")]
    MeanSize {
        /// Size of the mean.
        found: usize,
        /// Number of observed units.
        expected: usize,
    },
}

impl StackConfig {
    /// The defaults: Glorot weights, zero biases, output bias and centring from the data.
    pub fn new(observed: usize, latents: Vec<usize>) -> Self {
        StackConfig {
            observed,
            latents,
            weights: InitialWeights::Glorot,
            bias: 0.0,
            bias_from_data: true,
            centre: true,
        }
    }

    /// A stack with weights drawn under `key`.
    ///
    /// Without a `mean` (one number per observed unit, in [0, 1]) the data are taken to have mean
    /// one half: no centring but by a half, an output bias of zero.
    ///
    /// # Errors
    /// If a size is zero or the mean has the wrong length.
    pub fn init(&self, mean: Option<&[f64]>, key: Key, device: &Device) -> Result<Sbn, ConfigError> {
        if self.observed == 0 {
            return Err(ConfigError::NoObserved);
        }
        if self.latents.is_empty() {
            return Err(ConfigError::NoLatents);
        }
        if let Some(layer) = self.latents.iter().position(|&d| d == 0) {
            return Err(ConfigError::EmptyLayer(layer));
        }
        let half = vec![0.5; self.observed];
        let mean = mean.unwrap_or(&half);
        if mean.len() != self.observed {
            return Err(ConfigError::MeanSize { found: mean.len(), expected: self.observed });
        }
        let key = key.child(Role::Init);
        let sizes: Vec<usize> = std::iter::once(self.observed).chain(self.latents.iter().copied()).collect();
        let layer = |d_y: usize, d_x: usize, key: Key| {
            BernoulliConfig::new(d_y, d_x).with_bias(self.bias).init(self.weights, key, device)
        };
        let mut generative: Vec<_> =
            sizes.windows(2).enumerate().map(|(l, d)| layer(d[1], d[0], key.child("p").child(l))).collect();
        let recognition =
            sizes.windows(2).enumerate().map(|(l, d)| layer(d[0], d[1], key.child("q").child(l))).collect();
        if self.bias_from_data {
            let logits: Vec<f32> = mean.iter().map(|&m| logit(m.clamp(0.001, 0.999)) as f32).collect();
            let bottom = generative.remove(0).with_bias(Tensor::from_floats(logits.as_slice(), device));
            generative.insert(0, bottom);
        }
        let centre: Vec<f32> = mean.iter().map(|&m| if self.centre { m as f32 } else { 0.0 }).collect();
        let prior = BernoulliPriorConfig::new(sizes[sizes.len() - 1]).with_bias(self.bias).init(device);
        Ok(Sbn {
            generative,
            prior,
            recognition,
            centre: Param::from_tensor(Tensor::from_floats(centre.as_slice(), device))
                .set_require_grad(false),
        })
    }
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}
