//! The settings of conditional machines.

use burn::tensor::Device;
use helmholtz_core::{GENERATIVE, Key, ParameterGroup, Score};
use helmholtz_datasets::ImageShape;
use helmholtz_energy::{Block, ConditionalRbm, RbmConfig};
use toml::Table;

use super::evaluator::ConditionalLikelihood;
use crate::energy::config::{VisibleWord, support};
use crate::error::ConfigError;
use crate::evaluator::BoxedEvaluator;
use crate::limits::LARGEST_MATRIX;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::{ModelSpec, Support};
use crate::training_rows::TrainingRows;

/// The most hidden units. Each likelihood is a sum over their states for each class.
const MOST_HIDDEN: usize = 20;

pub(super) fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        name: "crbm",
        help: "a restricted Boltzmann machine of rows given their labels: p(x given y), not p(x)",
        paper: papers::CONDITIONAL,
        latents: "hidden units that are drawn given the data, without a recognition net",
        without_latents: None,
        usual: "cd",
        keys: ConditionalSettings::KEYS,
        once: |_, _| false,
        read: |kind, table| Ok(Box::new(ConditionalSpec::read(kind, table)?)),
    }]
}

crate::settings! {
    /// `[model]` of a conditional machine.
    pub ConditionalSettings {
        /// Number of hidden units, at most 20.
        hidden: usize = 20,
        /// Number of classes of the labels, which rows are conditioned on.
        classes: usize = 10,
        /// Visible units: bernoulli (zeros and ones), softmax (one of several columns is 1), gaussian (real numbers) or
        /// relu (real numbers that are not negative).
        visible: VisibleWord = VisibleWord::Bernoulli,
        /// Columns of each softmax unit, one for each category.
        categories: Option<usize> = None,
        /// Whether the class also scales the connections of each hidden unit, and not only shifts the biases.
        gains: bool = false,
        /// Standard deviation of the initial normal connections.
        spread: f64 = 0.01,
    }
}

#[derive(Clone, Debug)]
struct ConditionalSpec {
    kind: &'static str,
    settings: ConditionalSettings,
}

impl ConditionalSpec {
    fn read(kind: &'static str, table: Table) -> Result<Self, ConfigError> {
        let settings = ConditionalSettings::read("model", table)?;
        if settings.hidden > MOST_HIDDEN {
            return Err(ConfigError(format!(
                "model.hidden = {}: must be at most {MOST_HIDDEN}, because log p(x | y) is a sum over 2^hidden states \
                 for each class",
                settings.hidden
            )));
        }
        if !(2..=LARGEST_MATRIX).contains(&settings.classes) {
            return Err(ConfigError(format!(
                "model.classes = {}: must be from 2 to {LARGEST_MATRIX}; use rbm for rows without classes",
                settings.classes
            )));
        }
        settings.visible.check(settings.categories)?;
        let spec = ConditionalSpec { kind, settings };
        // Whether these settings are valid does not depend on the data.
        let columns = spec.settings.categories.unwrap_or(1);
        spec.config(columns).check().map_err(|error| ConfigError(format!("model.{error}")))?;
        Ok(spec)
    }

    fn config(&self, columns: usize) -> RbmConfig {
        let ConditionalSettings { hidden, visible, categories, spread, .. } = self.settings;
        let block = Block { units: visible.units(categories), columns };
        RbmConfig { spread, ..RbmConfig::of(vec![block], hidden) }
    }
}

impl ModelSpec for ConditionalSpec {
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
        &[]
    }

    fn has_bits(&self) -> bool {
        false
    }

    fn support(&self) -> Support {
        support(self.settings.visible.units(self.settings.categories))
    }

    fn classes(&self) -> Option<usize> {
        Some(self.settings.classes)
    }

    fn instead_of_bits(&self) -> &'static str {
        ", or set model.visible to the type of its values (softmax, gaussian, relu)"
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn score(&self) -> Score {
        ConditionalLikelihood::SCORE
    }

    /// No row is sampled.
    fn evaluator(&self, _: usize, _: &TrainingRows) -> BoxedEvaluator {
        BoxedEvaluator::new::<ConditionalRbm, _>(ConditionalLikelihood)
    }

    fn structure(&self) -> Table {
        let mut table = self.table();
        table.remove("spread");
        table.insert("kind".to_owned(), self.kind.into());
        table
    }

    /// Connections, and what each class adds to the biases and to the connections.
    fn weights(&self, observed: usize) -> u64 {
        let [d, m, k] = [observed, self.settings.hidden, self.settings.classes].map(|n| n as u64);
        let of_class = d.saturating_add(m.saturating_mul(1 + u64::from(self.settings.gains)));
        d.saturating_mul(m).saturating_add(k.saturating_mul(of_class))
    }

    fn sizes_in_words(&self) -> String {
        format!("model.hidden = {} and model.classes = {}", self.settings.hidden, self.settings.classes)
    }

    /// The row with its class and its sample, and the logits and the means of the hidden units for both.
    fn values_of_proposal(&self, observed: usize) -> u64 {
        let columns = (observed as u64).saturating_add(self.settings.classes as u64);
        columns.saturating_add((self.settings.hidden as u64).saturating_mul(2)).saturating_mul(2)
    }

    fn init(
        &self,
        shape: ImageShape,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError> {
        let rbm = self.config(shape.pixels()).init(mean, key, device).map_err(ConfigError::new)?;
        let ConditionalSettings { classes, gains, .. } = self.settings;
        Ok(BoxedModel::other(ConditionalRbm::new(rbm, classes, gains)))
    }

    fn smaller(&self, _: usize, units: usize) -> Table {
        Table::from_iter([("hidden".to_owned(), (self.settings.hidden.min(units) as i64).into())])
    }

    fn in_words(&self, observed: usize) -> String {
        let ConditionalSettings { hidden, classes, visible, gains, .. } = self.settings;
        let visible = match visible {
            VisibleWord::Bernoulli => String::new(),
            visible => format!(", {}", visible.word()),
        };
        let gains = if gains { ", gains" } else { "" };
        format!("{} {observed}-{hidden}{visible}, given {classes} classes{gains}", self.kind)
    }
}
