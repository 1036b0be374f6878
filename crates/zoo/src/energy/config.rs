//! The settings of energy models.

use burn::tensor::Device;
use helmholtz_core::{GENERATIVE, Key, ParameterGroup, Score};
use helmholtz_datasets::ImageShape;
use helmholtz_energy::{Block, Rbm, RbmConfig, Units};
use toml::Table;

use super::evaluator::{EnergyLikelihood, VALIDATION_UNITS};
use crate::error::ConfigError;
use crate::evaluator::BoxedEvaluator;
use crate::limits::LARGEST_MATRIX;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::{ModelSpec, Support};
use crate::training_rows::TrainingRows;

pub(super) fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        name: "rbm",
        help: "a restricted Boltzmann machine; its visible units are bits, categories or real numbers",
        paper: papers::RBM,
        latents: "hidden units that are drawn given the data, without a recognition net",
        without_latents: None,
        usual: "pcd",
        keys: RbmSettings::KEYS,
        once: |_, _| false,
        read: |kind, table| Ok(Box::new(RbmSpec::read(kind, table)?)),
    }]
}

crate::words! {
    /// The type of visible units.
    pub VisibleWord {
        /// Bits.
        Bernoulli = "bernoulli",
        /// Sites with one of K categories.
        Softmax = "softmax",
        /// Real numbers.
        Gaussian = "gaussian",
        /// Real numbers that are not negative.
        Relu = "relu",
    }
}

impl VisibleWord {
    /// Refuses `model.categories` where it is missing, out of range or for other units.
    pub(crate) fn check(self, categories: Option<usize>) -> Result<(), ConfigError> {
        let is_softmax = self == VisibleWord::Softmax;
        match categories {
            None if is_softmax => Err(ConfigError::new(
                "model.categories: softmax units need the number of their categories, as in categories = 4",
            )),
            Some(categories @ (0..=1 | LARGEST_MATRIX..)) => Err(ConfigError(format!(
                "model.categories = {categories}: must be at least 2 and below {LARGEST_MATRIX}"
            ))),
            Some(categories) if !is_softmax => Err(ConfigError(format!(
                "model.categories = {categories}: only softmax units have categories; leave it out, or set \
                 model.visible = \"softmax\""
            ))),
            _ => Ok(()),
        }
    }

    /// The units, with checked categories.
    pub(crate) fn units(self, categories: Option<usize>) -> Units {
        match self {
            VisibleWord::Bernoulli => Units::Bernoulli,
            VisibleWord::Softmax => Units::Softmax { categories: categories.unwrap_or_default() },
            VisibleWord::Gaussian => Units::Gaussian,
            VisibleWord::Relu => Units::Rectified,
        }
    }
}

/// The values that units have.
pub(crate) fn support(units: Units) -> Support {
    match units {
        Units::Bernoulli => Support::Bits,
        Units::Softmax { categories } => Support::Categories(categories),
        Units::Gaussian => Support::Real,
        Units::Rectified => Support::NotNegative,
    }
}

crate::settings! {
    /// `[model]` of a restricted Boltzmann machine.
    pub RbmSettings {
        /// Number of hidden units.
        hidden: usize = 100,
        /// Visible units: bernoulli (zeros and ones), softmax (one of several columns is 1), gaussian (real numbers) or
        /// relu (real numbers that are not negative).
        visible: VisibleWord = VisibleWord::Bernoulli,
        /// Columns of each softmax unit, one for each category.
        categories: Option<usize> = None,
        /// Number of classes of the labels, which are then one more visible unit; if not set, labels are ignored.
        classes: Option<usize> = None,
        /// Standard deviation of the initial normal connections.
        spread: f64 = 0.01,
        /// Initial odds that a hidden unit is on while the others are off; if not set, hidden biases are 0.
        odds: Option<f64> = None,
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
        if let Some(classes) = settings.classes.filter(|classes| *classes > LARGEST_MATRIX) {
            return Err(ConfigError(format!(
                "model.classes = {classes}: must not be above {LARGEST_MATRIX}"
            )));
        }
        settings.visible.check(settings.categories)?;
        let spec = RbmSpec { kind, settings };
        // Whether these settings are valid does not depend on the data.
        let columns = spec.settings.categories.unwrap_or(1);
        spec.config(columns).check().map_err(|error| ConfigError(format!("model.{error}")))?;
        Ok(spec)
    }

    fn units(&self) -> Units {
        self.settings.visible.units(self.settings.categories)
    }

    fn config(&self, columns: usize) -> RbmConfig {
        let RbmSettings { hidden, classes, spread, odds, .. } = self.settings;
        RbmConfig {
            classes,
            spread,
            odds,
            ..RbmConfig::of(vec![Block { units: self.units(), columns }], hidden)
        }
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

    fn support(&self) -> Support {
        support(self.units())
    }

    fn classes(&self) -> Option<usize> {
        self.settings.classes
    }

    fn instead_of_bits(&self) -> &'static str {
        ", or set model.visible to the type of its values (softmax, gaussian, relu)"
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    fn score(&self) -> Score {
        if self.is_annealed() { EnergyLikelihood::ANNEALED } else { Score::NLL }
    }

    /// No row is sampled: log Z is the same for all.
    fn evaluator(&self, _: usize, data: &TrainingRows) -> BoxedEvaluator {
        let likelihood = EnergyLikelihood { annealed: self.is_annealed(), data: data.clone() };
        BoxedEvaluator::new::<Rbm, _>(likelihood)
    }

    fn structure(&self) -> Table {
        let mut table = self.table();
        table.retain(|key, _| !["spread", "odds"].contains(&key));
        table.insert("kind".to_owned(), self.kind.into());
        table
    }

    fn weights(&self, observed: usize) -> u64 {
        let columns = (observed as u64).saturating_add(self.settings.classes.unwrap_or_default() as u64);
        (self.settings.hidden as u64).saturating_mul(columns)
    }

    fn sizes_in_words(&self) -> String {
        let classes = self.settings.classes.map_or(String::new(), |n| format!(" and model.classes = {n}"));
        format!("model.hidden = {}{classes}", self.settings.hidden)
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
        let hidden = self.settings.hidden;
        let visible = match self.settings.visible {
            VisibleWord::Bernoulli => String::new(),
            visible => format!(", {}", visible.word()),
        };
        let classes = self.settings.classes.map_or(String::new(), |n| format!(", {n} classes"));
        format!("{} {observed}-{hidden}{visible}{classes}", self.kind)
    }
}
