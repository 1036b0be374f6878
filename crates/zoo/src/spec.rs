//! The model and the strategy of a config, checked.

use std::fmt::Debug;

use burn::tensor::Device;
use helmholtz_core::{Key, ParameterGroup, Score, Trainable};
use helmholtz_datasets::ImageShape;
use helmholtz_eval::{ImportanceSampling, Reading};
use serde::{Serialize, Serializer};
use toml::{Table, Value};

use crate::error::{ConfigError, excerpt};
use crate::evaluator::BoxedEvaluator;
use crate::limits::LARGEST;
use crate::model::{BoxedModel, LatentModel};
use crate::strategy::BoxedStrategy;
use crate::training_rows::TrainingRows;

/// `[model]`, typed and checked, with every default written out.
pub trait ModelSpec: Debug + Send + Sync {
    /// The same in another box.
    fn boxed(&self) -> Box<dyn ModelSpec>;

    /// The name of the model.
    fn kind(&self) -> &'static str;

    /// The keys of `[model]` except its kind.
    fn table(&self) -> Table;

    /// Sizes of the layers of latents, from the data up.
    fn layers(&self) -> &[usize];

    /// Whether latents are bits.
    fn has_bits(&self) -> bool;

    /// The values of the data that it models.
    fn support(&self) -> Support {
        Support::Bits
    }

    /// Number of classes of the rows, if it models them. The labels of the data must have as many classes.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// Whether values of a row may be missing.
    fn takes_missing(&self) -> bool {
        false
    }

    /// The groups of its parameters, as [the model](helmholtz_core::Trainable::groups) has them; each has a learning rate.
    fn groups(&self) -> &'static [ParameterGroup];

    /// What [`evaluator`](Self::evaluator) measures.
    fn score(&self) -> Score {
        Score::NLL
    }

    /// What scores the validation split. If it samples, each row has `samples` samples.
    fn evaluator(&self, samples: usize, _data: &TrainingRows) -> BoxedEvaluator {
        BoxedEvaluator::new::<LatentModel, _>(ImportanceSampling::new(samples).with_reading(self.reading()))
    }

    /// What else to do with values that are not bits, as the end of a sentence.
    fn instead_of_bits(&self) -> &'static str {
        ""
    }

    /// How it is read by default.
    fn reading(&self) -> Reading {
        Reading::Directed
    }

    /// How its weights are read as a model called `kind`, which is the name of some model.
    ///
    /// # Errors
    /// If they cannot be.
    fn read_as(&self, kind: &str) -> Result<Reading, ConfigError> {
        if kind == self.kind() {
            return Ok(self.reading());
        }
        Err(ConfigError(format!(
            "--as {kind}: the model is {} and cannot be read as another; leave --as out",
            self.kind()
        )))
    }

    /// The keys that decide what weights mean: under other values, weights would mean something else or nothing.
    fn structure(&self) -> Table;

    /// Number of weights of the model, except biases and convolutions.
    fn weights(&self, observed: usize) -> u64;

    /// The settings that decide how many weights there are, in words.
    fn sizes_in_words(&self) -> String;

    /// Number of values that one proposal leaves in memory, for a row of `observed` units.
    fn values_of_proposal(&self, observed: usize) -> u64;

    /// The model, freshly initialised for rows of a shape.
    ///
    /// Without the mean of the training rows its biases are not those that training begins with. Such a model is for
    /// reading weights into.
    ///
    /// # Errors
    /// If its sizes are invalid.
    fn init(
        &self,
        shape: ImageShape,
        mean: Option<&[f64]>,
        key: Key,
        device: &Device,
    ) -> Result<BoxedModel, ConfigError>;

    /// Checks that exact expectations can be computed for the nets, apart from their size.
    ///
    /// # Errors
    /// If they cannot; the message says what to change.
    fn check_sums(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Keys of a smaller model of the same kind, with at most so many layers and units in a layer.
    fn smaller(&self, layers: usize, units: usize) -> Table;

    /// The model over `observed` units, as text for a table.
    fn in_words(&self, observed: usize) -> String;
}

/// Which values of the data a model can assign probability to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// Zeros and ones.
    Bits,
    /// The 256 levels v / 255.
    Grey,
    /// Real numbers.
    Real,
    /// Real numbers that are not negative.
    NotNegative,
    /// Real numbers from the first to the second.
    Between(f64, f64),
    /// Groups of so many columns side by side, of which one is 1 and the others are 0.
    Categories(usize),
}

/// `[strategy]`, typed and checked, with every default written out.
pub trait StrategySpec: Debug + Send + Sync {
    /// The same in another box.
    fn boxed(&self) -> Box<dyn StrategySpec>;

    /// The name of the strategy.
    fn kind(&self) -> &'static str;

    /// The keys of `[strategy]` except its kind.
    fn table(&self) -> Table;

    /// Samples per observation, K.
    fn samples(&self) -> usize;

    /// Checks that it trains the model, and the K of every stage.
    ///
    /// # Errors
    /// If it does not; the message says what would fit.
    fn check(&self, model: &dyn ModelSpec, samples: &[usize]) -> Result<(), ConfigError>;

    /// The strategy with `samples` per observation.
    ///
    /// # Errors
    /// If its settings are invalid.
    fn build(&self, samples: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError>;

    /// Whether its updates are steps to be taken as they are, and not gradients. Plain SGD takes them, and its rate is
    /// the share of the step that is taken.
    fn takes_whole_steps(&self) -> bool {
        false
    }

    /// How it reads the two nets.
    fn reading(&self) -> Reading {
        Reading::Directed
    }

    /// Number of values that it remembers, on a model with so many weights.
    fn values_remembered(&self, _weights: u64) -> u64 {
        0
    }

    /// Keys of a run that only has to finish.
    fn smaller(&self) -> Table {
        Table::new()
    }

    /// The strategy as text for a table, without K.
    fn in_words(&self) -> String {
        self.kind().to_owned()
    }
}

/// What a strategy is built on.
pub struct BuiltOn<'a> {
    /// The model.
    pub model: &'a BoxedModel,
    /// Sizes of the model's layers, the observed one first.
    pub sizes: &'a [usize],
    /// The key of its own draws.
    pub key: Key,
}

/// A model with the strategy that trains it.
#[derive(Debug)]
pub struct Spec {
    /// The model.
    pub model: Box<dyn ModelSpec>,
    /// The strategy.
    pub strategy: Box<dyn StrategySpec>,
    samples: Vec<usize>,
}

impl Clone for Spec {
    fn clone(&self) -> Self {
        let (model, strategy) = (self.model.boxed(), self.strategy.boxed());
        Spec { model, strategy, samples: self.samples.clone() }
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.tables() == other.tables() && self.samples == other.samples
    }
}

struct KindFirst(&'static str, Table);

impl Serialize for KindFirst {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = [("kind", Value::from(self.0))];
        serializer.collect_map(
            kind.into_iter().chain(self.1.iter().map(|(key, value)| (key.as_str(), value.clone()))),
        )
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sections = [
            ("model", KindFirst(self.model.kind(), self.model.table())),
            ("strategy", KindFirst(self.strategy.kind(), self.strategy.table())),
        ];
        serializer.collect_map(sections)
    }
}

impl Spec {
    /// Puts a strategy on a model. `stages` has the K of each later stage, if it differs from the one before.
    ///
    /// # Errors
    /// If they do not go together.
    pub(crate) fn new(
        model: Box<dyn ModelSpec>,
        strategy: Box<dyn StrategySpec>,
        stages: &[Option<usize>],
    ) -> Result<Self, ConfigError> {
        let mut samples = vec![strategy.samples()];
        samples.extend(stages.iter().scan(strategy.samples(), |samples, stage| {
            *samples = stage.unwrap_or(*samples);
            Some(*samples)
        }));
        let spec = Spec { model, strategy, samples };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let most = self.samples.iter().copied().max().unwrap_or_default();
        if most > 1 && self.model.layers().is_empty() {
            return Err(ConfigError(format!(
                "strategy.samples = {most} with model.layers = []: without latents there is nothing to propose, and the \
                 likelihood is exact; leave samples out"
            )));
        }
        for samples in &self.samples {
            if *samples == 0 {
                return Err(ConfigError::new(
                    "strategy.samples = 0: use at least one sample per observation (K >= 1)",
                ));
            }
            if *samples > LARGEST {
                return Err(ConfigError(format!(
                    "strategy.samples = {samples}: must not be above {LARGEST}"
                )));
            }
        }
        self.strategy.check(&*self.model, &self.samples)
    }

    /// `[model]` and `[strategy]`, with every default written out.
    pub fn tables(&self) -> [Table; 2] {
        let named = |kind: &str, keys: Table| {
            let mut table = Table::from_iter([("kind".to_owned(), kind.into())]);
            table.extend(keys);
            table
        };
        [named(self.model.kind(), self.model.table()), named(self.strategy.kind(), self.strategy.table())]
    }

    /// Whether the strategy takes samples.
    pub fn takes_samples(&self) -> bool {
        self.strategy.table().contains_key("samples")
    }

    /// Samples per observation, K, of each stage.
    pub fn samples(&self) -> &[usize] {
        &self.samples
    }

    /// The strategy of a model with the settings of each stage.
    ///
    /// # Errors
    /// If its settings are invalid.
    pub fn strategies(&self, model: &BoxedModel, seed: u64) -> Result<Vec<BoxedStrategy>, ConfigError> {
        let sizes = [&[model.observed()], self.model.layers()].concat();
        let on = BuiltOn { model, sizes: &sizes, key: Key::new(seed) };
        self.samples.iter().map(|samples| self.strategy.build(*samples, &on)).collect()
    }
}

/// Sizes of all layers, the observed one first, in a type that sums of products fit into.
pub(crate) fn in_units(observed: usize, layers: &[usize]) -> Vec<u64> {
    std::iter::once(&observed).chain(layers).map(|&d| d as u64).collect()
}

/// Number of latent units of all layers.
pub fn of_layers(layers: &[usize]) -> u64 {
    layers.iter().fold(0, |sum, &d| sum.saturating_add(d as u64))
}

/// The setting of the layers as text for a message.
pub(crate) fn layers_in_words(layers: &[usize]) -> String {
    format!("model.layers = {} (--layers)", excerpt(&format!("{layers:?}")))
}
