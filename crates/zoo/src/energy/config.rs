//! The settings of energy models.

use burn::tensor::Device;
use helmholtz_core::{GENERATIVE, Key, ParameterGroup, Score};
use helmholtz_datasets::ImageShape;
use helmholtz_energy::{Rbm, RbmConfig};
use toml::Table;

use super::evaluator::{EnergyLikelihood, VALIDATION_UNITS};
use crate::error::ConfigError;
use crate::evaluator::BoxedEvaluator;
use crate::limits::LARGEST_MATRIX;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::{ModelSpec, TrainingRows};

pub(super) fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        name: "rbm",
        help: "a restricted Boltzmann machine of bits",
        paper: papers::RBM,
        latents: "hidden units that are drawn given the data, without a recognition net",
        without_latents: None,
        usual: "pcd",
        keys: RbmSettings::KEYS,
        once: |_, _| false,
        read: |kind, table| Ok(Box::new(RbmSpec::read(kind, table)?)),
    }]
}

crate::settings! {
    /// `[model]` of a restricted Boltzmann machine.
    pub RbmSettings {
        /// Number of hidden units.
        hidden: usize = 100,
        /// Standard deviation of the initial normal connections.
        spread: f64 = 0.01,
    }
}

#[derive(Clone, Debug)]
struct RbmSpec {
    kind: &'static str,
    settings: RbmSettings,
}

impl RbmSpec {
    fn read(kind: &'static str, table: Table) -> Result<Self, ConfigError> {
        let settings = RbmSettings::read("model", table)?;
        if settings.hidden > LARGEST_MATRIX {
            return Err(ConfigError(format!(
                "model.hidden = {}: must not be above {LARGEST_MATRIX}",
                settings.hidden
            )));
        }
        let spec = RbmSpec { kind, settings };
        // Whether these settings are valid does not depend on the data.
        spec.config(1).check().map_err(|error| ConfigError(format!("model.{error}")))?;
        Ok(spec)
    }

    fn config(&self, observed: usize) -> RbmConfig {
        let RbmSettings { hidden, spread } = self.settings;
        RbmConfig { observed, hidden, spread }
    }

    fn is_annealed(&self) -> bool {
        self.settings.hidden > VALIDATION_UNITS
    }
}

impl ModelSpec for RbmSpec {
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

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn score(&self) -> Score {
        if self.is_annealed() { EnergyLikelihood::ANNEALED } else { Score::NLL }
    }

    /// No row is sampled: log Z is the same for all.
    fn evaluator(&self, _: usize, data: TrainingRows<'_>) -> BoxedEvaluator {
        let data = (data.mean.to_vec(), data.n);
        BoxedEvaluator::new::<Rbm, _>(EnergyLikelihood { annealed: self.is_annealed(), data })
    }

    fn structure(&self) -> Table {
        Table::from_iter([
            ("kind".to_owned(), self.kind.into()),
            ("hidden".to_owned(), (self.settings.hidden as i64).into()),
        ])
    }

    fn weights(&self, observed: usize) -> u64 {
        (self.settings.hidden as u64).saturating_mul(observed as u64)
    }

    fn sizes_in_words(&self) -> String {
        format!("model.hidden = {}", self.settings.hidden)
    }

    /// The row and its sample, and the logits and the means of the hidden units for both.
    fn values_of_proposal(&self, observed: usize) -> u64 {
        (observed as u64).saturating_add((self.settings.hidden as u64).saturating_mul(2)).saturating_mul(2)
    }

    fn init(
        &self,
        shape: ImageShape,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError> {
        self.config(shape.pixels()).init(mean, key, device).map(BoxedModel::other).map_err(ConfigError::new)
    }

    fn smaller(&self, _: usize, units: usize) -> Table {
        Table::from_iter([("hidden".to_owned(), (self.settings.hidden.min(units) as i64).into())])
    }

    fn in_words(&self, observed: usize) -> String {
        format!("{} {observed}-{}", self.kind, self.settings.hidden)
    }
}
