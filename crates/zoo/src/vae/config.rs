//! The settings of variational auto-encoders.

use burn::tensor::Device;
use helmholtz_core::{GENERATIVE, Key, ParameterGroup, RECOGNITION};
use helmholtz_datasets::ImageShape;
use helmholtz_ops::hidden;
use helmholtz_vae::{self as vae, VaeConfig};
use toml::Table;

use crate::error::{ConfigError, excerpt};
use crate::limits::{LARGEST_MATRIX, check_layers};
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::{ModelSpec, Support, in_units, layers_in_words, of_layers};

/// The most components of a mixture.
const MOST_COMPONENTS: usize = 1000;

pub(super) fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        name: "vae",
        help: "a variational auto-encoder, whose latents are Gaussian",
        paper: papers::VAE,
        latents: "real numbers",
        without_latents: None,
        usual: "elbo",
        keys: VaeSettings::KEYS,
        once: |key, value| match key {
            "weights" => value.as_str() == Some("glorot"),
            "bias" => value.as_float() == Some(0.0) || value.as_integer() == Some(0),
            _ => false,
        },
        read: |kind, table| Ok(Box::new(VaeSpec::read(kind, table)?)),
    }]
}

crate::words! {
    /// The activation of hidden units.
    pub VaeActivation {
        /// max(s, 0)
        Relu = "relu",
        /// tanh
        Tanh = "tanh",
        /// σ
        Sigmoid = "sigmoid",
    }
}

crate::words! {
    /// What makes standard deviations positive.
    pub StdWord {
        /// log(1 + exp(s))
        Softplus = "softplus",
        /// exp(s)
        Exp = "exp",
    }
}

crate::words! {
    /// The distribution of the observed units.
    pub LikelihoodWord {
        /// Bits.
        Bernoulli = "bernoulli",
        /// A mixture of discretised logistic distributions, for grey values.
        Logistics = "logistics",
    }
}

crate::settings! {
    /// `[model]` of a variational auto-encoder.
    pub VaeSettings {
        /// Latent sizes, from the data up.
        layers: Vec<usize> = vec![20],
        /// Hidden widths of the net between each two layers, from the data up, one list for each net; [] is a linear
        /// map; if not set, [200, 200] for each. The generative nets mirror those of the recognition net.
        bodies: Option<Vec<Vec<usize>>> = None,
        /// Activation of the hidden units: relu, tanh or sigmoid.
        activation: VaeActivation = VaeActivation::Relu,
        /// Function that makes the standard deviations of the latents positive: softplus or exp.
        std: StdWord = StdWord::Softplus,
        /// Distribution of the observed units: bernoulli, or logistics, a mixture of discretised logistic distributions
        /// for grey values.
        likelihood: LikelihoodWord = LikelihoodWord::Bernoulli,
        /// Number of components of each mixture of logistics; if not set, 10.
        components: Option<usize> = None,
        /// Channels of the convolutions between the data and the lowest latents, from the data up; if not set, there
        /// are no convolutions.
        channels: Option<Vec<usize>> = None,
        /// Whether the lowest generative bias starts at the logit of the data mean.
        bias_from_data: bool = true,
        /// Whether the recognition net sees x minus the data mean.
        centre: bool = true,
    }
}

#[derive(Clone, Debug)]
struct VaeSpec {
    kind: &'static str,
    settings: VaeSettings,
    bodies: Vec<Vec<usize>>,
}

impl VaeSpec {
    fn read(kind: &'static str, table: Table) -> Result<Self, ConfigError> {
        let mut settings = VaeSettings::read("model", table)?;
        let depth = settings.layers.len();
        if depth == 0 {
            return Err(ConfigError(format!(
                "model.layers = []: a {kind} needs at least one layer of latents, as in `--layers 20`"
            )));
        }
        if settings.likelihood == LikelihoodWord::Logistics {
            let components = *settings.components.get_or_insert(10);
            if !(1..=MOST_COMPONENTS).contains(&components) {
                return Err(ConfigError(format!(
                    "model.components = {components}: must be from 1 to {MOST_COMPONENTS}"
                )));
            }
        } else if settings.components.is_some() {
            return Err(ConfigError::new(
                "model.components: belongs to model.likelihood = \"logistics\"; leave it out",
            ));
        }
        let bodies = settings.bodies.get_or_insert_with(|| vec![vec![200, 200]; depth]).clone();
        if bodies.len() != depth {
            return Err(ConfigError(format!(
                "model.bodies has {} lists of widths, but model.layers = {:?} asks for {depth}: one for the net \
                 below each layer of latents, from the data up, [] for a linear map",
                bodies.len(),
                settings.layers
            )));
        }
        for (l, (body, latents)) in bodies.iter().zip(&settings.layers).enumerate() {
            if body.contains(&0) {
                return Err(ConfigError(format!(
                    "model.bodies: list {l} has a width of 0; every width must be at least 1"
                )));
            }
            let widths = || body.iter().chain([latents]);
            if let Some((a, b)) =
                widths().zip(widths().skip(1)).find(|(a, b)| a.saturating_mul(**b) > LARGEST_MATRIX)
            {
                return Err(ConfigError(format!(
                    "model.bodies: {a} units beside {b} make more than 2^28 weights; use smaller widths"
                )));
            }
        }
        if let Some(channels) = settings.channels.as_ref().filter(|all| all.is_empty() || all.contains(&0)) {
            return Err(ConfigError(format!(
                "model.channels = {channels:?}: channels from the data up, each at least 1, as in [64, 128]; leave \
                 it out for nets without convolutions"
            )));
        }
        let pairs = settings.channels.iter().flat_map(|channels| kernels(channels));
        if let Some([a, b]) = pairs.into_iter().find(|pair| of_kernels(*pair) > LARGEST_MATRIX as u64) {
            return Err(ConfigError(format!(
                "model.channels: {b} channels above {a} make more than 2^28 weights; use fewer"
            )));
        }
        check_layers(&settings.layers)?;
        Ok(VaeSpec { kind, settings, bodies })
    }

    fn config(&self, shape: ImageShape) -> VaeConfig {
        let VaeSettings { layers, activation, std, likelihood, components, channels, .. } = &self.settings;
        VaeConfig {
            bodies: self.bodies.clone(),
            activation: match activation {
                VaeActivation::Relu => hidden::Activation::Relu,
                VaeActivation::Tanh => hidden::Activation::Tanh,
                VaeActivation::Sigmoid => hidden::Activation::Sigmoid,
            },
            std: match std {
                StdWord::Softplus => vae::Std::Softplus,
                StdWord::Exp => vae::Std::Exp,
            },
            likelihood: match (likelihood, *components) {
                (LikelihoodWord::Logistics, Some(components)) => vae::Likelihood::Logistics { components },
                _ => vae::Likelihood::Bernoulli,
            },
            channels: channels.clone().unwrap_or_default(),
            shape: (shape.height > 1).then_some([shape.height, shape.width]),
            bias_from_data: self.settings.bias_from_data,
            centre: self.settings.centre,
            ..VaeConfig::new(shape.pixels(), layers.clone())
        }
    }
}

/// Channels of the larger and the smaller picture of each convolution.
fn kernels(channels: &[usize]) -> Vec<[usize; 2]> {
    std::iter::once(&1).chain(channels).zip(channels).map(|(a, b)| [*a, *b]).collect()
}

/// Weights of a convolution, whose kernels are of 4 x 4.
fn of_kernels([a, b]: [usize; 2]) -> u64 {
    (a as u64).saturating_mul(b as u64).saturating_mul(16)
}

impl ModelSpec for VaeSpec {
    fn boxed(&self) -> Box<dyn ModelSpec> {
        Box::new(self.clone())
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn table(&self) -> Table {
        self.settings.table()
    }

    fn layers(&self) -> &[usize] {
        &self.settings.layers
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE, RECOGNITION]
    }

    fn has_bits(&self) -> bool {
        false
    }

    fn support(&self) -> Support {
        match self.settings.likelihood {
            LikelihoodWord::Bernoulli => Support::Bits,
            LikelihoodWord::Logistics => Support::Grey,
        }
    }

    fn instead_of_bits(&self) -> &'static str {
        ", or set model.likelihood = \"logistics\" for grey values"
    }

    fn structure(&self) -> Table {
        let mut table = Table::from_iter([("kind".to_owned(), self.kind.into())]);
        table.extend(
            self.settings
                .table()
                .into_iter()
                .filter(|(key, _)| !["bias_from_data", "centre"].contains(&key.as_str())),
        );
        table
    }

    fn weights(&self, observed: usize) -> u64 {
        let outputs = self.settings.components.map_or(1, |components| 3 * components as u64);
        let sizes = in_units(observed, &self.settings.layers);
        let of_net = |l: usize| {
            let (mut below, above, body) = (sizes[l], sizes[l + 1], &self.bodies[l]);
            let (mut convolved, mut heads) = (0u64, if l == 0 { outputs } else { 2 });
            if let Some(channels) = self.settings.channels.as_ref().filter(|_| l == 0) {
                // Each convolution halves the sides, rounded up, and another doubles them.
                convolved =
                    kernels(channels).into_iter().fold(0, |sum, pair| of_kernels(pair).saturating_add(sum));
                let places = below.checked_shr(2 * channels.len() as u32).unwrap_or(0).max(1);
                below = channels.last().map_or(below, |last| places.saturating_mul(*last as u64));
                heads = 1;
            }
            let body: Vec<u64> = body.iter().map(|&width| width as u64).collect();
            let inside =
                body.windows(2).fold(0u64, |sum, pair| sum.saturating_add(pair[0].saturating_mul(pair[1])));
            // Weights of a net between `from` and `to` units, whose last map is there `heads` times.
            let net = |from: u64, ends: Option<[u64; 2]>, to: u64, heads: u64| match ends {
                Some([first, last]) => from
                    .saturating_mul(first)
                    .saturating_add(inside)
                    .saturating_add(last.saturating_mul(to).saturating_mul(heads)),
                None => from.saturating_mul(to).saturating_mul(heads),
            };
            let ends = body.first().zip(body.last()).map(|(first, last)| [*first, *last]);
            let back = ends.map(|[first, last]| [last, first]);
            let both = net(below, ends, above, 2).saturating_add(net(above, back, below, heads));
            convolved.saturating_mul(2).saturating_add(both)
        };
        (0..self.bodies.len()).fold(0u64, |sum, l| sum.saturating_add(of_net(l)))
    }

    fn sizes_in_words(&self) -> String {
        let bodies = format!("{:?}", self.bodies);
        format!("{} and model.bodies = {}", layers_in_words(&self.settings.layers), excerpt(&bodies))
    }

    /// The row and the latents.
    fn values_of_proposal(&self, observed: usize) -> u64 {
        (observed as u64).saturating_add(of_layers(&self.settings.layers))
    }

    fn init(
        &self,
        shape: ImageShape,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError> {
        self.config(shape).init(mean, key, device).map(BoxedModel::new).map_err(ConfigError::new)
    }

    fn check_sums(&self) -> Result<(), ConfigError> {
        let has_hidden = self.bodies.iter().any(|body| !body.is_empty());
        if self.settings.activation == VaeActivation::Relu && has_hidden {
            return Err(ConfigError::new(
                "model.activation = \"relu\": expectations are integrals over a grid, which are exact for smooth nets \
                 alone; use tanh or sigmoid",
            ));
        }
        Ok(())
    }

    fn smaller(&self, layers: usize, units: usize) -> Table {
        let few = |sizes: &[usize]| sizes.iter().map(|&d| d.min(units) as i64).collect::<Vec<_>>();
        let depth = self.settings.layers.len().min(layers);
        let bodies: Vec<_> = self.bodies[..depth].iter().map(|body| few(body)).collect();
        Table::from_iter([
            ("layers".to_owned(), few(&self.settings.layers[..depth]).into()),
            ("bodies".to_owned(), bodies.into()),
        ])
    }

    fn in_words(&self, observed: usize) -> String {
        let mut words = format!("{} {observed}", self.kind);
        for (size, body) in self.settings.layers.iter().zip(&self.bodies) {
            let widths: Vec<String> = body.iter().map(usize::to_string).collect();
            words += &format!("-({})-{size}", widths.join("-"));
        }
        words + ", " + self.settings.activation.word()
    }
}
