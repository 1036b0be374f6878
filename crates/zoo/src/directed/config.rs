//! The settings of stacks of layers of bits.

use burn::tensor::Device;
use helmholtz_core::{GENERATIVE, Key, ParameterGroup, RECOGNITION, Role};
use helmholtz_datasets::ImageShape;
use helmholtz_directed::{LayerKind, StackConfig};
use helmholtz_eval::Reading;
use helmholtz_layers::{InitialWeights, UnitOrder};
use toml::Table;

use super::strategies::bidirectional_has_latents;
use crate::error::{ConfigError, excerpt, known};
use crate::limits::{LARGEST_MATRIX, check_layers};
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::{ModelSpec, in_units, layers_in_words, of_layers};

/// The name of the machine whose halves are a stack and its recognition net.
const BIDIRECTIONAL: &str = "bihm";

pub(super) fn models() -> Vec<ModelEntry> {
    let entry = |name, help, paper, without_latents, usual| ModelEntry {
        name,
        help,
        paper,
        latents: "bits",
        without_latents,
        usual,
        keys: StackSettings::KEYS,
        once: |_, _| false,
        read: |kind, table| Ok(Box::new(StackSpec::read(kind, table)?)),
    };
    vec![
        entry("sbn", "a sigmoid belief network", papers::NEAL, None, "rws"),
        entry(
            "dsbn",
            "a sigmoid belief network with deterministic hidden units inside its layers",
            papers::REWEIGHTED,
            None,
            "rws",
        ),
        entry(
            "darn",
            "a deep autoregressive network; without latents a fully visible belief network",
            papers::DARN,
            Some("a fully visible belief network"),
            "rws",
        ),
        entry(
            "nade",
            "neural autoregressive layers; without latents NADE itself",
            papers::NADE,
            Some("NADE itself"),
            "rws",
        ),
        entry(
            BIDIRECTIONAL,
            "a bidirectional Helmholtz machine of sigmoid belief layers",
            papers::BIDIRECTIONAL,
            None,
            "bihm",
        ),
    ]
}

crate::words! {
    /// The activation of the hidden units of dsbn layers.
    pub DsbnActivation {
        /// σ
        Sigmoid = "sigmoid",
        /// tanh
        Tanh = "tanh",
    }
}

crate::words! {
    /// The order in which an autoregressive layer over the data visits the units.
    pub VisitsWord {
        /// By their index.
        Index = "index",
        /// In a random order.
        Random = "random",
    }
}

crate::words! {
    /// The distribution of the initial weights.
    pub WeightsWord {
        /// Glorot uniform.
        Glorot = "glorot",
        /// As in the code of reweighted wake-sleep and of bidirectional Helmholtz machines.
        GlorotOverFanIn = "glorot-over-fan-in",
    }
}

crate::settings! {
    /// `[model]` of a stack.
    pub StackSettings {
        /// Latent sizes, from the data up.
        layers: Vec<usize> = vec![200],
        /// Kind of each generative layer and, last, of the prior; if not set, the kind of the model.
        p: Option<Vec<String>> = None,
        /// Kind of each recognition layer; if not set, the kind of the model.
        q: Option<Vec<String>> = None,
        /// Number of hidden units of nade and dsbn layers; if not set, the smaller of a nade layer's two sizes and the
        /// mean of a dsbn layer's two sizes.
        hidden: Option<usize> = None,
        /// Activation of the hidden units of dsbn layers: sigmoid or tanh.
        activation: Option<DsbnActivation> = None,
        /// Order in which a darn or nade layer over the data visits the units: index, or random by order_seed.
        order: Option<VisitsWord> = None,
        /// Seed of a random order; it is not the run's seed, so that runs of several seeds can share the order.
        order_seed: Option<u64> = None,
        /// Distribution of the initial weights: glorot, or glorot-over-fan-in as in the RWS and BiHM code.
        weights: WeightsWord = WeightsWord::Glorot,
        /// Initial bias of the units whose bias is not set from the data.
        bias: f64 = 0.0,
        /// Whether the lowest generative bias starts at the logit of the data mean.
        bias_from_data: bool = true,
        /// Whether the recognition net sees x minus the data mean.
        centre: bool = true,
    }
}

#[derive(Clone, Debug)]
struct StackSpec {
    kind: &'static str,
    settings: StackSettings,
    /// The kind of each generative layer and, last, of the prior.
    generative: Vec<LayerKind>,
    recognition: Vec<LayerKind>,
}

impl StackSpec {
    fn read(kind: &'static str, table: Table) -> Result<Self, ConfigError> {
        let settings = StackSettings::read("model", table)?;
        check_layers(&settings.layers)?;
        let depth = settings.layers.len();
        let of_all = if kind == BIDIRECTIONAL { "sbn" } else { kind };
        let kinds = |key: &str, given: &Option<Vec<String>>, expected: usize, what: &str| {
            let names = given.clone().unwrap_or_else(|| vec![of_all.to_owned(); expected]);
            if names.len() != expected {
                return Err(ConfigError(format!(
                    "model.{key} names {} layers, but model.layers = {:?} needs {expected}: {what}",
                    names.len(),
                    settings.layers
                )));
            }
            names.iter().map(|name| layer(key, name)).collect::<Result<Vec<LayerKind>, _>>()
        };
        let what = "one for each generative layer and one for the prior";
        let generative = kinds("p", &settings.p, depth + 1, what)?;
        let recognition = kinds("q", &settings.q, depth, "one for each recognition layer")?;
        let mut spec = StackSpec { kind, settings, generative, recognition };
        spec.settle()?;
        Ok(spec)
    }

    /// Fills in or refuses the keys that only some kinds of layers have.
    fn settle(&mut self) -> Result<(), ConfigError> {
        let StackSpec { kind, settings, generative, recognition } = self;
        let depth = settings.layers.len();
        if *kind == BIDIRECTIONAL {
            bidirectional_has_latents(&settings.layers)?;
        }
        let conditional = || generative[..depth].iter().chain(&*recognition);
        let has_dsbn = conditional().any(|kind| *kind == LayerKind::Dsbn);
        let has_hidden = has_dsbn
            || generative[depth] == LayerKind::Nade
            || conditional().any(|kind| *kind == LayerKind::Nade);
        let is_ordered = [LayerKind::Darn, LayerKind::Nade].contains(&generative[0]);
        let in_vain = |key: &str, kinds: &str| {
            Err(ConfigError(format!("model.{key} is set, but there is no {kinds} for it; leave it out")))
        };
        match settings.hidden {
            Some(_) if !has_hidden => return in_vain("hidden", "nade or dsbn layer"),
            Some(hidden) if !(1..=LARGEST_MATRIX >> 10).contains(&hidden) => {
                return Err(ConfigError(format!(
                    "model.hidden = {hidden}: must be from 1 to {}",
                    LARGEST_MATRIX >> 10
                )));
            }
            _ => {}
        }
        if has_dsbn {
            settings.activation.get_or_insert_default();
        } else if settings.activation.is_some() {
            return in_vain("activation", "dsbn layer");
        }
        if is_ordered {
            if *settings.order.get_or_insert_default() == VisitsWord::Random {
                settings.order_seed.get_or_insert(0);
            } else if settings.order_seed.is_some() {
                return in_vain("order_seed", "random order");
            }
        } else if settings.order.is_some() {
            return in_vain("order", "darn or nade layer over the data");
        } else if settings.order_seed.is_some() {
            return in_vain("order_seed", "darn or nade layer over the data");
        }
        if !(settings.bias as f32).is_finite() {
            return Err(ConfigError(format!(
                "model.bias = {}: must be finite in single precision",
                settings.bias
            )));
        }
        Ok(())
    }

    fn config(&self, observed: usize) -> StackConfig {
        let StackSettings { layers, hidden, activation, weights, bias, bias_from_data, centre, .. } =
            &self.settings;
        StackConfig {
            generative: self.generative.clone(),
            recognition: self.recognition.clone(),
            hidden: *hidden,
            tanh: *activation == Some(DsbnActivation::Tanh),
            order: match (self.settings.order, self.settings.order_seed) {
                (Some(VisitsWord::Random), Some(seed)) => {
                    UnitOrder::random(observed, Key::new(seed).child(Role::Units))
                }
                _ => UnitOrder::index(),
            },
            weights: match weights {
                WeightsWord::Glorot => InitialWeights::Glorot,
                WeightsWord::GlorotOverFanIn => InitialWeights::GlorotOverFanIn,
            },
            bias: *bias,
            bias_from_data: *bias_from_data,
            centre: *centre,
            ..StackConfig::new(observed, layers.clone())
        }
    }
}

fn layer(key: &str, name: &str) -> Result<LayerKind, ConfigError> {
    LayerKind::named(name).ok_or_else(|| {
        let names = LayerKind::ALL.map(|(name, _)| name);
        ConfigError(format!(
            "model.{key} = [.. \"{}\" ..]: unknown layer; {}",
            excerpt(name),
            known(name, &names)
        ))
    })
}

impl ModelSpec for StackSpec {
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
        true
    }

    fn reading(&self) -> Reading {
        if self.kind == BIDIRECTIONAL { Reading::Bidirectional } else { Reading::Directed }
    }

    fn read_as(&self, kind: &str) -> Result<Reading, ConfigError> {
        let lowest = self.generative[0].name();
        if kind == BIDIRECTIONAL {
            return if self.settings.layers.is_empty() {
                Err(ConfigError(format!(
                    "--as {kind}: the model has no latents, so there is no recognition net and no bidirectional machine"
                )))
            } else {
                Ok(Reading::Bidirectional)
            };
        }
        if kind == self.kind || kind == lowest {
            return Ok(Reading::Directed);
        }
        if LayerKind::named(kind).is_none() {
            return Err(ConfigError(format!(
                "--as {kind}: the model is {}, whose latents are not like those of a {kind}; leave --as out",
                self.kind
            )));
        }
        let names = |kinds: &[LayerKind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>();
        Err(ConfigError(format!(
            "--as {kind}: the layers are {:?} in p and {:?} in q, and cannot be read as others; use {BIDIRECTIONAL}, \
             or {lowest} for the directed model",
            names(&self.generative),
            names(&self.recognition)
        )))
    }

    fn structure(&self) -> Table {
        let mut table = self.settings.table();
        for start in ["weights", "bias", "bias_from_data", "centre"] {
            table.remove(start);
        }
        // A bidirectional machine is the stack that it is made of.
        for (key, kinds) in [("p", &self.generative), ("q", &self.recognition)] {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            table.insert(key.to_owned(), names.into());
        }
        table
    }

    fn weights(&self, observed: usize) -> u64 {
        let hidden = self.settings.hidden.map(|hidden| hidden as u64);
        // Weights of a layer of `x` units given `y` units.
        let of_layer = |kind: LayerKind, y: u64, x: u64| match kind {
            LayerKind::Sbn => y.saturating_mul(x),
            LayerKind::Dsbn => {
                let both = x.saturating_add(y);
                hidden.unwrap_or(both.div_ceil(2)).saturating_mul(both)
            }
            LayerKind::Darn => y.saturating_mul(x).saturating_add(x.saturating_mul(x)),
            LayerKind::Nade => {
                let of_hidden = y.saturating_add(x).saturating_add(x);
                y.saturating_mul(x).saturating_add(hidden.unwrap_or(x.min(y)).saturating_mul(of_hidden))
            }
        };
        let of_prior = |kind: LayerKind, x: u64| match kind {
            LayerKind::Sbn | LayerKind::Dsbn => 0,
            LayerKind::Darn => x.saturating_mul(x),
            LayerKind::Nade => hidden.unwrap_or(x).saturating_mul(2).saturating_mul(x),
        };
        let sizes = in_units(observed, &self.settings.layers);
        let mut all = of_prior(self.generative[sizes.len() - 1], sizes[sizes.len() - 1]);
        for (l, pair) in sizes.windows(2).enumerate() {
            all = all
                .saturating_add(of_layer(self.generative[l], pair[1], pair[0]))
                .saturating_add(of_layer(self.recognition[l], pair[0], pair[1]));
        }
        all
    }

    fn sizes_in_words(&self) -> String {
        let hidden =
            self.settings.hidden.map_or(String::new(), |hidden| format!(" and model.hidden = {hidden}"));
        format!("{}{hidden}", layers_in_words(&self.settings.layers))
    }

    /// The row, and for each latent unit its bit and the traces of both nets.
    fn values_of_proposal(&self, observed: usize) -> u64 {
        (observed as u64).saturating_add(of_layers(&self.settings.layers).saturating_mul(3))
    }

    fn init(
        &self,
        shape: ImageShape,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError> {
        self.config(shape.pixels()).init(mean, key, device).map(BoxedModel::new).map_err(ConfigError::new)
    }

    fn smaller(&self, layers: usize, units: usize) -> Table {
        let few = self.settings.layers.iter().take(layers).map(|&d| d.min(units) as i64).collect::<Vec<_>>();
        let depth = few.len();
        let mut table = Table::from_iter([("layers".to_owned(), few.into())]);
        let names = |kinds: &[LayerKind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>();
        if self.settings.p.is_some() {
            let prior = &self.generative[self.settings.layers.len()..];
            table.insert("p".to_owned(), names(&[&self.generative[..depth], prior].concat()).into());
        }
        if self.settings.q.is_some() {
            table.insert("q".to_owned(), names(&self.recognition[..depth]).into());
        }
        if let Some(hidden) = self.settings.hidden {
            table.insert("hidden".to_owned(), (hidden.min(units) as i64).into());
        }
        table
    }

    fn in_words(&self, observed: usize) -> String {
        let mut words = format!("{} {observed}", self.kind);
        self.settings.layers.iter().for_each(|size| words += &format!("-{size}"));
        words += &self.settings.hidden.map_or(String::new(), |hidden| format!(", {hidden} hidden"));
        words +=
            &self.settings.activation.map_or(String::new(), |activation| format!(", {}", activation.word()));
        words + if self.settings.order == Some(VisitsWord::Random) { ", pixels permuted" } else { "" }
    }
}
