//! Kinds, sizes and initialisation of the layers of a stack.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Key, Role};
use helmholtz_layers::{
    BernoulliConfig, BernoulliPriorConfig, DarnConfig, DarnPriorConfig, DeterministicConfig, InitialWeights,
    Layer, NadeConfig, NadePriorConfig, Top, UnitOrder,
};
use thiserror::Error;

use crate::HelmholtzMachine;

/// The kind of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Independent units given a linear map: the layer of a sigmoid belief network.
    Sbn,
    /// Independent units given a deterministic hidden layer; as a prior the same as [`Sbn`](Self::Sbn).
    Dsbn,
    /// Units whose logits depend linearly on the units before them.
    Darn,
    /// Units that depend on the units before them through hidden units.
    Nade,
}

impl LayerKind {
    /// All kinds with their names.
    pub const ALL: [(&'static str, LayerKind); 4] = [
        ("sbn", LayerKind::Sbn),
        ("dsbn", LayerKind::Dsbn),
        ("darn", LayerKind::Darn),
        ("nade", LayerKind::Nade),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

/// Kinds, sizes and initialisation of the layers of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackConfig {
    /// Number of observed units.
    pub observed: usize,
    /// Latent sizes, from the data up; empty for a model without latents.
    pub latents: Vec<usize>,
    /// Kind of each generative layer from the data up, and of the prior, which comes last.
    pub generative: Vec<LayerKind>,
    /// Kind of each recognition layer, from the data up.
    pub recognition: Vec<LayerKind>,
    /// Number of hidden units of NADE and DSBN layers. If not set, it is the smaller of a NADE layer's two sizes, the
    /// size of a NADE prior, and the mean of a DSBN layer's two sizes.
    pub hidden: Option<usize>,
    /// Whether the hidden units of DSBN layers are tanh instead of logistic.
    pub tanh: bool,
    /// The order in which an autoregressive layer over the data visits the observed units; latents are visited in the
    /// order of their indices.
    pub order: UnitOrder,
    /// The distribution of the initial weights.
    pub weights: InitialWeights,
    /// Initial bias of every unit whose bias the data do not set; the RWS and BiHM papers use -1.
    pub bias: f64,
    /// Whether the biases of the observed units start at the logit of the data mean, clipped to
    /// [0.001, 0.999].
    pub bias_from_data: bool,
    /// Whether the recognition net sees `x` minus the data mean.
    pub centre: bool,
}

/// Why a stack cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StackError {
    /// No latent layers, with a prior whose units are independent.
    #[error(
        "a {0} model needs at least one latent layer, because its units are independent without one; give sizes \
         from the data up, as in `layers = [200, 200]`, or use `darn` or `nade`, which need no latents"
    )]
    NoLatents(&'static str),
    /// A layer without units.
    #[error("layer {0} has no units; every size in `layers` must be at least 1")]
    EmptyLayer(usize),
    /// No hidden units.
    #[error("hidden = 0: NADE and DSBN layers need at least one hidden unit")]
    NoHidden,
    /// The number of kinds is not the number of layers.
    #[error("{found} kinds are given for {expected} {net} layers; give one kind for each layer")]
    Kinds {
        /// The net: generative or recognition.
        net: &'static str,
        /// Number of kinds.
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
}

impl StackConfig {
    /// A sigmoid belief network with the defaults: Glorot weights, zero biases, and the output bias and the
    /// centring from the data.
    pub fn new(observed: usize, latents: Vec<usize>) -> Self {
        Self::of(LayerKind::Sbn, observed, latents)
    }

    /// [`new`](Self::new) with every layer of one kind.
    pub fn of(kind: LayerKind, observed: usize, latents: Vec<usize>) -> Self {
        StackConfig {
            observed,
            generative: vec![kind; latents.len() + 1],
            recognition: vec![kind; latents.len()],
            latents,
            hidden: None,
            tanh: false,
            order: UnitOrder::index(),
            weights: InitialWeights::Glorot,
            bias: 0.0,
            bias_from_data: true,
            centre: true,
        }
    }

    fn check(&self) -> Result<(), StackError> {
        if self.observed == 0 {
            return Err(StackError::NoObserved);
        }
        if let Some(layer) = self.latents.iter().position(|&d| d == 0) {
            return Err(StackError::EmptyLayer(layer));
        }
        if self.hidden == Some(0) {
            return Err(StackError::NoHidden);
        }
        for (net, kinds, expected) in [
            ("generative", &self.generative, self.latents.len() + 1),
            ("recognition", &self.recognition, self.latents.len()),
        ] {
            if kinds.len() != expected {
                return Err(StackError::Kinds { net, found: kinds.len(), expected });
            }
        }
        match (self.latents.is_empty(), self.generative[self.latents.len()]) {
            (true, LayerKind::Sbn) => Err(StackError::NoLatents("sbn")),
            (true, LayerKind::Dsbn) => Err(StackError::NoLatents("dsbn")),
            _ => Ok(()),
        }
    }

    /// A stack with weights drawn under `key`.
    ///
    /// `mean` has one number per observed unit, in [0, 1]. If it is not set, one half is used for every unit: `x` is
    /// centred by one half, and the output bias is zero.
    ///
    /// # Errors
    /// If a size is zero, the number of kinds is wrong or the mean has the wrong length.
    pub fn init(
        &self,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<HelmholtzMachine, StackError> {
        self.check()?;
        let half = vec![0.5; self.observed];
        let mean = mean.unwrap_or(&half);
        if mean.len() != self.observed {
            return Err(StackError::MeanSize { found: mean.len(), expected: self.observed });
        }
        let key = key.child(Role::Init);
        let sizes: Vec<usize> = std::iter::once(self.observed).chain(self.latents.iter().copied()).collect();
        let depth = self.latents.len();
        let mut generative: Vec<Layer> = (0..depth)
            .map(|l| {
                let order = if l == 0 { self.order.clone() } else { UnitOrder::index() };
                let key = key.child("p").child(l);
                self.layer(self.generative[l], [sizes[l + 1], sizes[l]], order, key, device)
            })
            .collect();
        let recognition = (0..depth)
            .map(|l| {
                let key = key.child("q").child(l);
                self.layer(self.recognition[l], [sizes[l], sizes[l + 1]], UnitOrder::index(), key, device)
            })
            .collect();
        let order = if depth == 0 { self.order.clone() } else { UnitOrder::index() };
        let mut prior =
            self.prior(self.generative[depth], sizes[depth], order, key.child("p").child(depth), device);
        if self.bias_from_data {
            let logits: Vec<f32> = mean.iter().map(|&m| logit(m.clamp(0.001, 0.999)) as f32).collect();
            let logits = Tensor::from_floats(logits.as_slice(), device);
            if generative.is_empty() {
                prior = prior.with_bias(logits);
            } else {
                let bottom = generative.remove(0).with_bias(logits);
                generative.insert(0, bottom);
            }
        }
        let centre: Vec<f32> = mean.iter().map(|&m| if self.centre { m as f32 } else { 0.0 }).collect();
        Ok(HelmholtzMachine {
            generative,
            prior,
            recognition,
            centre: Param::from_tensor(Tensor::from_floats(centre.as_slice(), device))
                .set_require_grad(false),
        })
    }

    fn layer(
        &self,
        kind: LayerKind,
        [d_y, d_x]: [usize; 2],
        order: UnitOrder,
        key: Key,
        device: &Device,
    ) -> Layer {
        let (weights, bias, hidden) = (self.weights, self.bias, self.hidden);
        match kind {
            LayerKind::Sbn => {
                Layer::Bernoulli(BernoulliConfig::new(d_y, d_x).with_bias(bias).init(weights, key, device))
            }
            LayerKind::Dsbn => {
                let config = DeterministicConfig::new(d_y, d_x).with_hidden(hidden).with_tanh(self.tanh);
                Layer::Deterministic(config.with_bias(bias).init(weights, key, device))
            }
            LayerKind::Darn => {
                Layer::Darn(DarnConfig::new(d_y, d_x).with_bias(bias).init(weights, order, key, device))
            }
            LayerKind::Nade => {
                let config = NadeConfig::new(d_y, d_x).with_hidden(hidden).with_bias(bias);
                Layer::Nade(config.init(weights, order, key, device))
            }
        }
    }

    fn prior(&self, kind: LayerKind, d_x: usize, order: UnitOrder, key: Key, device: &Device) -> Top {
        let (weights, bias) = (self.weights, self.bias);
        match kind {
            LayerKind::Sbn | LayerKind::Dsbn => {
                Top::Bernoulli(BernoulliPriorConfig::new(d_x).with_bias(bias).init(device))
            }
            LayerKind::Darn => {
                Top::Darn(DarnPriorConfig::new(d_x).with_bias(bias).init(weights, order, key, device))
            }
            LayerKind::Nade => {
                let config = NadePriorConfig::new(d_x).with_hidden(self.hidden).with_bias(bias);
                Top::Nade(config.init(weights, order, key, device))
            }
        }
    }
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}
