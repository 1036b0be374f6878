//! Sizes, distributions and initialisation of a variational autoencoder.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Key, Role};
use helmholtz_layers::InitialWeights;
use helmholtz_ops::hidden::Activation;
use thiserror::Error;

use crate::body::Body;
use crate::conv::{Convolutions, Extent};
use crate::gaussian::{Gaussian, Std};
use crate::likelihood::Likelihood;
use crate::net::Perceptron;
use crate::observed::Observed;
use crate::vae::Vae;

/// Sizes, distributions and initialisation.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeConfig {
    /// Number of observed units.
    pub observed: usize,
    /// Latent sizes, from the data up.
    pub latents: Vec<usize>,
    /// Hidden widths of the recognition net below each layer of latents, in the order of its forward pass. The
    /// generative net below the layer has the same widths in reverse order. An empty list makes both maps linear.
    pub bodies: Vec<Vec<usize>>,
    /// Channels of the convolutions between the data and the lowest body; each convolution halves the sides. Empty for
    /// a perceptron alone.
    pub channels: Vec<usize>,
    /// Height and width of the data, for convolutions.
    pub shape: Option<[usize; 2]>,
    /// The activation of hidden units.
    pub activation: Activation,
    /// How standard deviations are computed from the outputs of the nets.
    pub std: Std,
    /// `p(x | h₁)`.
    pub likelihood: Likelihood,
    /// Whether Bernoulli biases start at the logit of the data mean, clipped to [0.001, 0.999], and Gaussian biases at
    /// the data mean.
    pub bias_from_data: bool,
    /// Whether the recognition net sees `x` minus the data mean.
    pub centre: bool,
}

/// Why a variational autoencoder cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum VaeError {
    /// No latents.
    #[error("a vae needs at least one layer of latents; give sizes from the data up, as in `layers = [20]`")]
    NoLatents,
    /// A layer without units.
    #[error("{0} has no units; every size must be at least 1")]
    Empty(String),
    /// The number of bodies is not the number of layers of latents.
    #[error(
        "{found} bodies are given for {expected} layers of latents; give one list of hidden widths for each layer"
    )]
    Bodies {
        /// Number of bodies.
        found: usize,
        /// Number of layers.
        expected: usize,
    },
    /// No observed units.
    #[error("the data have no columns; a model needs at least one observed unit")]
    NoObserved,
    /// A data mean of the wrong size.
    #[error("the data mean has {found} values for {expected} observed units; give one value for each unit")]
    MeanSize {
        /// Size of the mean.
        found: usize,
        /// Number of observed units.
        expected: usize,
    },
    /// Convolutions over data that are not images, or whose sides cannot be halved that often.
    #[error(
        "{layers} convolutions halve the sides of an image {layers} times, but the shape of the data is {shape}; give \
         fewer channels, or leave `channels` out"
    )]
    Shape {
        /// Number of convolutions.
        layers: usize,
        /// The shape of the data, as text.
        shape: String,
    },
}

impl VaeConfig {
    /// Perceptrons with two layers of 200 ReLU units, softplus standard deviations, Bernoulli units, Glorot weights.
    /// Biases are zero, except those of the observed units; these and the centring come from the data.
    pub fn new(observed: usize, latents: Vec<usize>) -> Self {
        VaeConfig {
            observed,
            bodies: vec![vec![200, 200]; latents.len()],
            latents,
            channels: Vec::new(),
            shape: None,
            activation: Activation::Relu,
            std: Std::Softplus,
            likelihood: Likelihood::Bernoulli,
            bias_from_data: true,
            centre: true,
        }
    }

    fn check(&self) -> Result<(), VaeError> {
        if self.observed == 0 {
            return Err(VaeError::NoObserved);
        }
        if self.latents.is_empty() {
            return Err(VaeError::NoLatents);
        }
        if self.bodies.len() != self.latents.len() {
            return Err(VaeError::Bodies { found: self.bodies.len(), expected: self.latents.len() });
        }
        if let Some(l) = self.latents.iter().position(|&d| d == 0) {
            return Err(VaeError::Empty(format!("layer {l} of latents")));
        }
        if let Some(l) = self.bodies.iter().position(|widths| widths.contains(&0)) {
            return Err(VaeError::Empty(format!("a hidden layer of body {l}")));
        }
        if self.channels.contains(&0) {
            return Err(VaeError::Empty("a convolution".into()));
        }
        if matches!(self.likelihood, Likelihood::Logistics { components: 0 }) {
            return Err(VaeError::Empty("the mixture of logistics".into()));
        }
        let layers = self.channels.len();
        if layers > 0 {
            let halves = |side: usize| layers < 32 && side > 0 && side.is_multiple_of(1 << layers);
            let fits = |shape: &[usize; 2]| {
                shape[0] * shape[1] == self.observed && shape.iter().all(|&side| halves(side))
            };
            if !self.shape.as_ref().is_some_and(fits) {
                let shape = match self.shape {
                    Some([height, width]) => format!("{height} x {width}"),
                    None => "not set".into(),
                };
                return Err(VaeError::Shape { layers, shape });
            }
        }
        Ok(())
    }

    /// A variational autoencoder with weights drawn under `key`.
    ///
    /// `mean` has one number per observed unit. If it is not set, one half is used for every unit.
    ///
    /// # Errors
    /// If a size is zero, a body is missing, the mean has the wrong length, or convolutions do not fit the data.
    pub fn init(&self, mean: Option<&[f64]>, key: Key, device: &Device) -> Result<Vae, VaeError> {
        self.check()?;
        let half = vec![0.5; self.observed];
        let mean = mean.unwrap_or(&half);
        if mean.len() != self.observed {
            return Err(VaeError::MeanSize { found: mean.len(), expected: self.observed });
        }
        let key = key.child(Role::Init);
        let depth = self.latents.len();
        let generative = (1..depth).map(|l| {
            let widths: Vec<usize> = self.bodies[l].iter().copied().rev().collect();
            self.gaussian(
                [self.latents[l], self.latents[l - 1]],
                &widths,
                None,
                key.child("p").child(l),
                device,
            )
        });
        let recognition = (0..depth).map(|l| {
            let key = key.child("q").child(l);
            let d_in = if l == 0 { self.observed } else { self.latents[l - 1] };
            let convolutions = (l == 0 && !self.channels.is_empty()).then(|| {
                let key = key.child("convolutions");
                Convolutions::init(self.picture(), &self.channels, false, self.activation, key, device)
            });
            self.gaussian([d_in, self.latents[l]], &self.bodies[l], convolutions, key, device)
        });
        let centre: Vec<f32> = mean.iter().map(|&m| if self.centre { m as f32 } else { 0.0 }).collect();
        Ok(Vae {
            generative: generative.collect(),
            recognition: recognition.collect(),
            observed: self.observed_layer(mean, key.child("p").child(0usize), device),
            centre: Param::from_tensor(Tensor::from_floats(centre.as_slice(), device))
                .set_require_grad(false),
        })
    }

    fn picture(&self) -> Extent {
        Extent { shape: self.shape.expect("checked"), channels: 1 }
    }

    fn gaussian(
        &self,
        [d_in, d_out]: [usize; 2],
        widths: &[usize],
        convolutions: Option<Convolutions>,
        key: Key,
        device: &Device,
    ) -> Gaussian {
        let features = convolutions.as_ref().map_or(d_in, Convolutions::width);
        let perceptron = Perceptron::init(features, widths, self.activation, key.child("body"), device);
        Gaussian::init(Body { convolutions, perceptron, d_in }, d_out, self.std, key, device)
    }

    fn observed_layer(&self, mean: &[f64], key: Key, device: &Device) -> Observed {
        let outputs = self.likelihood.outputs();
        let mut widths: Vec<usize> = self.bodies[0].iter().copied().rev().collect();
        let smallest = self
            .channels
            .last()
            .map(|&c| (0..self.channels.len()).fold(self.picture(), |extent, _| extent.halved(c)));
        widths.extend(smallest.map(Extent::units));
        let perceptron =
            Perceptron::init(self.latents[0], &widths, self.activation, key.child("body"), device);
        let d_in = widths.last().copied().unwrap_or(self.latents[0]);
        let d_out = outputs * self.observed;
        let convolutions = smallest.map(|extent| {
            let below = self.channels.iter().rev().skip(1).copied().chain([outputs]);
            let (channels, key): (Vec<usize>, _) = (below.collect(), key.child("convolutions"));
            Convolutions::init(extent, &channels, true, self.activation, key, device)
        });
        let weight = convolutions.is_none().then(|| {
            let weight = InitialWeights::Glorot.draw(d_in, d_out, key.child("output"), device);
            Param::from_tensor(weight)
        });
        let bias = Param::from_tensor(Tensor::from_floats(self.biases(mean).as_slice(), device));
        Observed { perceptron, weight, convolutions, bias, likelihood: self.likelihood }
    }

    /// Initial biases of the outputs; all units of one output are adjacent.
    fn biases(&self, mean: &[f64]) -> Vec<f32> {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        match self.likelihood {
            Likelihood::Bernoulli if self.bias_from_data => {
                mean.iter().map(|&m| logit(m.clamp(0.001, 0.999)) as f32).collect()
            }
            Likelihood::Gaussian { .. } if self.bias_from_data => mean.iter().map(|&m| m as f32).collect(),
            Likelihood::Bernoulli | Likelihood::Gaussian { .. } => vec![0.0; self.observed],
            Likelihood::Logistics { components } => {
                // The components are spaced evenly, with a scale that covers the grey values between them.
                let part = |values: Vec<f64>| values.into_iter().flat_map(|v| vec![v as f32; self.observed]);
                let k = components as f64;
                let means = (0..components).map(|i| (i as f64 + 0.5) / k - 0.5).collect();
                let scales = vec![-(2.0 * k).ln(); components];
                part(vec![0.0; components]).chain(part(means)).chain(part(scales)).collect()
            }
        }
    }
}
