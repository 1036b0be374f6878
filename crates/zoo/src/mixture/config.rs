//! The settings of mixtures.

use burn::tensor::Device;
use helmholtz_core::{Evaluator, GENERATIVE, Key, ParameterGroup, Score};
use helmholtz_datasets::ImageShape;
use helmholtz_eval::LikelihoodFormula;
use helmholtz_mixture::{BernoulliMixture, BernoulliMixtureConfig};
use toml::Table;

use crate::error::ConfigError;
use crate::evaluator::BoxedEvaluator;
use crate::limits::LARGEST_MATRIX;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::ModelSpec;
use crate::training_rows::TrainingRows;

pub(super) fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        name: "mob",
        help: "a mixture of Bernoulli units, with classes if rows have labels; values may be missing",
        paper: papers::MIXTURES,
        latents: "the component that a row belongs to",
        without_latents: None,
        usual: "ml",
        keys: MixtureSettings::KEYS,
        once: |_, _| false,
        read: |kind, table| Ok(Box::new(MixtureSpec::read(kind, table)?)),
    }]
}

crate::settings! {
    /// `[model]` of a mixture.
    pub MixtureSettings {
        /// Number of components; of each class, if there are classes.
        components: usize = 100,
        /// Number of classes of the labels, which the mixture then learns; if not set, labels are ignored.
        classes: Option<usize> = None,
        /// Pseudo-rows that em adds to the data, as a share of the rows.
        smoothing: f64 = 0.01,
        /// Standard deviation of the initial normal noise of the logits.
        spread: f64 = 0.5,
    }
}

#[derive(Clone, Debug)]
struct MixtureSpec {
    kind: &'static str,
    settings: MixtureSettings,
}

impl MixtureSpec {
    fn read(kind: &'static str, table: Table) -> Result<Self, ConfigError> {
        let settings = MixtureSettings::read("model", table)?;
        for (key, value) in [("components", Some(settings.components)), ("classes", settings.classes)] {
            if let Some(value) = value.filter(|value| *value > LARGEST_MATRIX) {
                return Err(ConfigError(format!(
                    "model.{key} = {value}: must not be above {LARGEST_MATRIX}"
                )));
            }
        }
        if let Some(classes @ 0..=1) = settings.classes {
            return Err(ConfigError(format!(
                "model.classes = {classes}: a mixture needs at least 2 classes; leave it out for rows without classes"
            )));
        }
        let spec = MixtureSpec { kind, settings };
        // Whether these settings are valid does not depend on the data.
        spec.config(1).check().map_err(|error| ConfigError(format!("model.{error}")))?;
        Ok(spec)
    }

    fn config(&self, observed: usize) -> BernoulliMixtureConfig {
        let MixtureSettings { components, classes, smoothing, spread } = self.settings;
        let classes = classes.unwrap_or(1);
        BernoulliMixtureConfig { observed, classes, components, smoothing, spread }
    }

    fn likelihood(&self) -> LikelihoodFormula {
        LikelihoodFormula { with_target: self.settings.classes.is_some() }
    }

    /// Number of components of all classes.
    fn all(&self) -> u64 {
        (self.settings.components as u64).saturating_mul(self.settings.classes.unwrap_or(1) as u64)
    }
}

impl ModelSpec for MixtureSpec {
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

    fn classes(&self) -> Option<usize> {
        self.settings.classes
    }

    fn takes_missing(&self) -> bool {
        true
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    /// Nothing is sampled: the likelihood has a closed form.
    fn evaluator(&self, _: usize, _: &TrainingRows) -> BoxedEvaluator {
        BoxedEvaluator::new::<BernoulliMixture, _>(self.likelihood())
    }

    fn score(&self) -> Score {
        Evaluator::<BernoulliMixture>::measures(&self.likelihood())
    }

    fn structure(&self) -> Table {
        let mut table = Table::from_iter([("kind".to_owned(), self.kind.into())]);
        let own = self.settings.table().into_iter();
        table.extend(own.filter(|(key, _)| ["components", "classes"].contains(&key.as_str())));
        table
    }

    fn weights(&self, observed: usize) -> u64 {
        self.all().saturating_mul(observed as u64)
    }

    fn sizes_in_words(&self) -> String {
        let classes = self.settings.classes.map_or(String::new(), |n| format!(" and model.classes = {n}"));
        format!("model.components = {}{classes}", self.settings.components)
    }

    /// The row, and for all components the log joint, the responsibilities and their shares.
    fn values_of_proposal(&self, observed: usize) -> u64 {
        (observed as u64).saturating_add(self.all().saturating_mul(3))
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
        Table::from_iter([("components".to_owned(), (self.settings.components.min(units) as i64).into())])
    }

    fn in_words(&self, observed: usize) -> String {
        let classes = self.settings.classes.map_or(String::new(), |n| format!(" for each of {n} classes"));
        format!("{} {observed}, {} components{classes}", self.kind, self.settings.components)
    }
}
