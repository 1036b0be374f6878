//! Settings of a strategy, and the row of the registry that they define.

use std::fmt::Debug;

use helmholtz_eval::Reading;
use toml::Table;

use crate::error::ConfigError;
use crate::registry::{Paper, StrategyEntry};
use crate::settings::Settings;
use crate::spec::{BuiltOn, ModelSpec, StrategySpec};
use crate::strategy::BoxedStrategy;

/// Settings of a strategy, and what is built from them. [`StrategyEntry::of`] makes a row of the registry of them.
pub trait StrategySettings: Settings + Clone + Debug + Send + Sync + 'static {
    /// Samples per observation, K; 1 for a strategy that takes none.
    fn samples(&self) -> usize {
        1
    }

    /// [`StrategySpec::build`]
    ///
    /// # Errors
    /// If the settings are invalid.
    fn build(&self, samples: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError>;

    /// Checks that it trains the model, and the K of every stage, except for what [`build`](Self::build) finds.
    ///
    /// # Errors
    /// If it does not; the message says what would fit.
    fn check(&self, _kind: &str, _model: &dyn ModelSpec, _samples: &[usize]) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Checks that the settings are valid with so many samples.
    ///
    /// # Errors
    /// If they are not; the message says what is wrong.
    fn check_samples(&self, _samples: usize) -> Result<(), ConfigError> {
        Ok(())
    }

    /// [`StrategySpec::reading`]
    fn reading(&self) -> Reading {
        Reading::Directed
    }

    /// [`StrategySpec::takes_whole_steps`]
    fn takes_whole_steps(&self) -> bool {
        false
    }

    /// [`StrategySpec::values_remembered`]
    fn values_remembered(&self, _weights: u64) -> u64 {
        0
    }

    /// [`StrategySpec::smaller`]
    fn smaller(&self) -> Table {
        Table::new()
    }

    /// What a table shows after its name.
    fn variant(&self) -> Option<String> {
        None
    }
}

impl StrategyEntry {
    /// The row of a strategy with settings of type `S`.
    pub fn of<S: StrategySettings>(
        name: &'static str,
        help: &'static str,
        paper: Paper,
        needs: &'static str,
    ) -> Self {
        let read = |kind, table| -> Result<Box<dyn StrategySpec>, ConfigError> {
            Ok(Box::new(Named { kind, settings: S::read("strategy", table)? }))
        };
        StrategyEntry { name, help, paper, needs, keys: S::KEYS, once: |_, _| false, read }
    }
}

#[derive(Clone, Debug)]
struct Named<S> {
    kind: &'static str,
    settings: S,
}

impl<S: StrategySettings> StrategySpec for Named<S> {
    fn boxed(&self) -> Box<dyn StrategySpec> {
        Box::new(self.clone())
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn table(&self) -> Table {
        self.settings.table()
    }

    fn samples(&self) -> usize {
        self.settings.samples()
    }

    fn check(&self, model: &dyn ModelSpec, samples: &[usize]) -> Result<(), ConfigError> {
        self.settings.check(self.kind, model, samples)?;
        samples.iter().try_for_each(|samples| self.settings.check_samples(*samples))
    }

    fn build(&self, samples: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        self.settings.build(samples, on)
    }

    fn takes_whole_steps(&self) -> bool {
        self.settings.takes_whole_steps()
    }

    fn reading(&self) -> Reading {
        self.settings.reading()
    }

    fn values_remembered(&self, weights: u64) -> u64 {
        self.settings.values_remembered(weights)
    }

    fn smaller(&self) -> Table {
        self.settings.smaller()
    }

    fn in_words(&self) -> String {
        match self.settings.variant() {
            Some(variant) => format!("{}, {variant}", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

pub(crate) fn wrong(error: impl std::fmt::Display) -> ConfigError {
    let error = error.to_string();
    // Most errors begin with the key.
    let has_key =
        ["samples", "defence", "control_variate", "lag", "cap"].iter().any(|key| error.starts_with(key));
    ConfigError(if has_key { format!("strategy.{error}") } else { format!("strategy: {error}") })
}

/// Refuses a model without latents.
pub(crate) fn needs_latents(kind: &str, model: &dyn ModelSpec) -> Result<(), ConfigError> {
    if model.layers().is_empty() {
        return Err(ConfigError(format!(
            "strategy.kind = \"{kind}\" with model.layers = []: it trains the recognition net, which a model without \
             latents does not have; use rws"
        )));
    }
    Ok(())
}

/// For estimators that accept every K.
pub(crate) fn right<S>(strategy: S) -> Result<S, ConfigError> {
    Ok(strategy)
}

/// Settings with K alone: its default, and how the estimator is made from K.
macro_rules! of_samples {
    ($(#[doc = $doc:literal])+ $name:ident, K = $usual:literal, $make:expr $(, $more:item)*) => {
        $crate::settings! {
            $(#[doc = $doc])+
            pub $name {
                /// Samples per observation, K.
                samples: usize = $usual,
            }
        }

        impl $crate::strategy_settings::StrategySettings for $name {
            fn samples(&self) -> usize {
                self.samples
            }

            fn check_samples(&self, samples: usize) -> Result<(), $crate::ConfigError> {
                $make(samples).map(drop).map_err($crate::strategy_settings::wrong)
            }

            fn build(&self, samples: usize, _: &$crate::BuiltOn<'_>) -> Result<$crate::BoxedStrategy, $crate::ConfigError> {
                $make(samples).map($crate::strategy::boxed).map_err($crate::strategy_settings::wrong)
            }

            $($more)*
        }
    };
}

pub(crate) use of_samples;
