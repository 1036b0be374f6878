//! The settings of products of experts.

use burn::tensor::Device;
use helmholtz_core::{GENERATIVE, Key, ParameterGroup};
use helmholtz_datasets::ImageShape;
use helmholtz_energy::{StudentT, Unigauss};
use helmholtz_eval::LikelihoodFormula;
use toml::Table;

use super::initial;
use crate::error::ConfigError;
use crate::evaluator::BoxedEvaluator;
use crate::limits::LARGEST_MATRIX;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::ModelEntry;
use crate::settings::Settings;
use crate::spec::{ModelSpec, Support};
use crate::training_rows::TrainingRows;

/// The most unigauss experts. Each likelihood is a sum over their choices.
const MOST_EXPERTS: usize = 20;

/// Unigauss experts if their number is not set.
const USUAL_EXPERTS: usize = 10;

/// The most columns of Student-t experts. Each step inverts a matrix of this size.
const MOST_COLUMNS: usize = 1000;

pub(super) fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        name: "poe",
        help: "a product of experts over real numbers: student-t, or unigauss (each uniform or normal)",
        paper: papers::CD,
        latents: "none of student-t experts, and the parts that unigauss experts choose",
        without_latents: None,
        usual: "ml",
        keys: ExpertsSettings::KEYS,
        once: |_, _| false,
        read: |kind, table| Ok(Box::new(ExpertsSpec::read(kind, table)?)),
    }]
}

crate::words! {
    /// The type of experts.
    pub ExpertsWord {
        /// Student-t laws along a filter each.
        StudentT = "student-t",
        /// Mixtures of a uniform and a normal law each.
        Unigauss = "unigauss",
    }
}

crate::settings! {
    /// `[model]` of a product of experts.
    pub ExpertsSettings {
        /// Experts: student-t (heavy tails along a filter each, as many as columns) or unigauss (uniform or normal, on a
        /// box).
        experts: ExpertsWord = ExpertsWord::StudentT,
        /// Number of experts; if not set, one for each column for student-t, and 10 for unigauss.
        number: Option<usize> = None,
        /// Standard deviation that experts begin with, about that of the data.
        scale: f64 = 1.0,
        /// Lower bound of all values, for unigauss.
        low: Option<f64> = None,
        /// Upper bound of all values, for unigauss.
        high: Option<f64> = None,
    }
}

#[derive(Clone, Debug)]
struct ExpertsSpec {
    kind: &'static str,
    settings: ExpertsSettings,
    /// The bounds of unigauss experts.
    bounds: Option<(f64, f64)>,
}

impl ExpertsSpec {
    fn read(kind: &'static str, table: Table) -> Result<Self, ConfigError> {
        let settings = ExpertsSettings::read("model", table)?;
        let scale = settings.scale;
        // Finite and positive as f32, because the parameters are f32.
        let is_positive = |value: f64| value as f32 > 0.0 && (value as f32).is_finite();
        if !(is_positive(scale) && is_positive(scale.recip())) {
            return Err(ConfigError(format!(
                "model.scale = {scale:?}: must be positive, and finite in single precision, as in scale = 1.0"
            )));
        }
        if settings.number == Some(0) {
            return Err(ConfigError::new("model.number = 0: a product has at least one expert"));
        }
        let bounds = match settings.experts {
            ExpertsWord::StudentT => {
                for (key, value) in [("low", settings.low), ("high", settings.high)] {
                    if let Some(value) = value {
                        return Err(ConfigError(format!(
                            "model.{key} = {value:?}: only unigauss experts have bounds; leave it out, or set \
                             model.experts = \"unigauss\""
                        )));
                    }
                }
                None
            }
            ExpertsWord::Unigauss => Some(bounds(&settings)?),
        };
        match settings.number {
            Some(number) if bounds.is_some() && number > MOST_EXPERTS => Err(ConfigError(format!(
                "model.number = {number}: must be at most {MOST_EXPERTS} for unigauss experts, because log p(x) is a sum \
                 over their 2^number choices"
            ))),
            Some(number) if number > LARGEST_MATRIX => {
                Err(ConfigError(format!("model.number = {number}: must not be above {LARGEST_MATRIX}")))
            }
            _ => Ok(ExpertsSpec { kind, settings, bounds }),
        }
    }

    /// The number of experts for so many columns.
    fn number(&self, columns: usize) -> usize {
        self.settings.number.unwrap_or(match self.settings.experts {
            ExpertsWord::StudentT => columns,
            ExpertsWord::Unigauss => USUAL_EXPERTS,
        })
    }

    /// Refuses Student-t experts that cannot be normalised, or have no closed form.
    fn check_columns(&self, columns: usize) -> Result<(), ConfigError> {
        let number = self.number(columns);
        let instead = format!("set model.number = {columns}, or leave it out");
        if number < columns {
            return Err(ConfigError(format!(
                "model.number = {number}: with fewer student-t experts than the {columns} columns of the data there is a \
                 direction in which the density does not fall, so that it cannot be normalised; {instead}"
            )));
        }
        if number > columns {
            return Err(ConfigError(format!(
                "model.number = {number}: log Z has a closed form only for as many student-t experts as columns of the \
                 data, which are {columns}; {instead}"
            )));
        }
        if columns > MOST_COLUMNS {
            return Err(ConfigError(format!(
                "model.experts = \"student-t\": the data have {columns} columns, and each step inverts a matrix with as \
                 many rows; use at most {MOST_COLUMNS} columns"
            )));
        }
        Ok(())
    }
}

/// The bounds of unigauss experts.
fn bounds(settings: &ExpertsSettings) -> Result<(f64, f64), ConfigError> {
    let (Some(low), Some(high)) = (settings.low, settings.high) else {
        let key = if settings.low.is_none() { "low" } else { "high" };
        return Err(ConfigError(format!(
            "model.{key}: all unigauss experts may be uniform at once, so that the product can be normalised only between \
             bounds; set both, as in low = -10.0 and high = 10.0"
        )));
    };
    // As f32, because the data are f32.
    let is_finite = |value: f64| (value as f32).is_finite();
    if is_finite(low) && is_finite(high) && low < high {
        return Ok((low, high));
    }
    Err(ConfigError(format!(
        "model.low = {low:?}, model.high = {high:?}: the bounds must be finite in single precision, the lower one first"
    )))
}

impl ModelSpec for ExpertsSpec {
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
        self.bounds.map_or(Support::Real, |(low, high)| Support::Between(low, high))
    }

    fn groups(&self) -> &'static [ParameterGroup] {
        &[GENERATIVE]
    }

    /// Nothing is sampled.
    fn evaluator(&self, _: usize, _: &TrainingRows) -> BoxedEvaluator {
        match self.settings.experts {
            ExpertsWord::StudentT => BoxedEvaluator::new::<StudentT, _>(LikelihoodFormula::default()),
            ExpertsWord::Unigauss => BoxedEvaluator::new::<Unigauss, _>(LikelihoodFormula::default()),
        }
    }

    fn structure(&self) -> Table {
        let mut table = self.table();
        table.remove("scale");
        table.insert("kind".to_owned(), self.kind.into());
        table
    }

    fn weights(&self, observed: usize) -> u64 {
        let one = (observed as u64).saturating_mul(self.number(observed) as u64);
        match self.settings.experts {
            ExpertsWord::StudentT => one,
            // Centres and scales.
            ExpertsWord::Unigauss => one.saturating_mul(2),
        }
    }

    fn sizes_in_words(&self) -> String {
        match self.settings.number {
            Some(number) => format!("model.number = {number}"),
            None => format!("model.experts = \"{}\"", self.settings.experts.word()),
        }
    }

    /// The row, and what each expert makes of it; for unigauss of each of its values.
    fn values_of_proposal(&self, observed: usize) -> u64 {
        let (columns, number) = (observed as u64, self.number(observed) as u64);
        match self.settings.experts {
            ExpertsWord::StudentT => columns.saturating_add(number.saturating_mul(2)),
            ExpertsWord::Unigauss => columns.saturating_mul(number).saturating_mul(2),
        }
    }

    fn init(
        &self,
        shape: ImageShape,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError> {
        let (columns, scale) = (shape.pixels(), self.settings.scale);
        let Some(bounds) = self.bounds else {
            self.check_columns(columns)?;
            let model = initial::student_t(columns, scale, key, device);
            return model
                .map(BoxedModel::other)
                .map_err(|error| ConfigError(format!("model.scale = {scale:?}: {error}")));
        };
        let zeros = vec![0.0; columns];
        let mean = mean.unwrap_or(&zeros);
        let counts = (self.number(columns), scale);
        initial::unigauss(mean, counts, bounds, (key, device))
            .map(BoxedModel::other)
            .map_err(ConfigError::new)
    }

    fn smaller(&self, _: usize, units: usize) -> Table {
        let mut table = self.table();
        if self.bounds.is_some() {
            table.insert("number".to_owned(), (self.number(0).min(units) as i64).into());
        }
        table
    }

    fn in_words(&self, observed: usize) -> String {
        format!(
            "{} {observed}, {} {} experts",
            self.kind,
            self.number(observed),
            self.settings.experts.word()
        )
    }
}
