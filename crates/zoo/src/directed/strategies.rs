//! Further strategies for stacks of layers of bits.

use helmholtz_core::Trainable;
use helmholtz_directed::HelmholtzMachine;
use helmholtz_eval::Reading;
use helmholtz_strategies::{Bidirectional, Nvil};

use crate::error::ConfigError;
use crate::papers;
use crate::registry::StrategyEntry;
use crate::spec::BuiltOn;
use crate::spec::ModelSpec;
use crate::strategy::{BoxedStrategy, boxed};
use crate::strategy_settings::{StrategySettings, needs_latents, wrong};

/// Further strategies for a [`HelmholtzMachine`].
pub(super) fn entries() -> Vec<StrategyEntry> {
    let bits = "layers of bits";
    vec![
        StrategyEntry::of::<NvilSettings>(
            "nvil",
            "the ELBO, with baselines that are learnt",
            papers::NVIL,
            bits,
        ),
        StrategyEntry::of::<BihmSettings>(
            "bihm",
            "the likelihood of a bidirectional Helmholtz machine",
            papers::BIDIRECTIONAL,
            bits,
        ),
    ]
}

crate::claims! {
    Nvil => HelmholtzMachine,
    fn learns(&self) -> bool {
        true
    },
    fn held(&self) -> Option<BoxedStrategy> {
        Some(boxed(self.clone().held()))
    }
}

crate::settings! {
    /// `bihm`
    pub BihmSettings {
        /// Samples per observation, K.
        samples: usize = 10,
        /// Whether the update of the recognition net uses w - 1/K.
        control_variate: bool = true,
    }
}

impl BihmSettings {
    fn estimator(&self, samples: usize) -> Result<Bidirectional, ConfigError> {
        Bidirectional { samples, control_variate: self.control_variate }.checked().map_err(wrong)
    }
}

impl StrategySettings for BihmSettings {
    fn samples(&self) -> usize {
        self.samples
    }

    fn check(&self, _: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        bidirectional_has_latents(model.layers())
    }

    fn check_samples(&self, samples: usize) -> Result<(), ConfigError> {
        self.estimator(samples).map(drop)
    }

    fn build(&self, samples: usize, _: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        self.estimator(samples).map(boxed)
    }

    fn reading(&self) -> Reading {
        Reading::Bidirectional
    }
}

/// Refuses a bidirectional machine without latents.
pub(super) fn bidirectional_has_latents(layers: &[usize]) -> Result<(), ConfigError> {
    if layers.is_empty() {
        return Err(ConfigError::new(
            "model.layers = []: a bidirectional machine is made of p(x, h) and q(h | x); give it latents, or choose \
             another model and strategy rws",
        ));
    }
    Ok(())
}

crate::settings! {
    /// `nvil`
    pub NvilSettings {
        /// Samples per observation, K.
        samples: usize = 1,
    }
}

impl StrategySettings for NvilSettings {
    fn samples(&self) -> usize {
        self.samples
    }

    fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        needs_latents(kind, model)
    }

    fn build(&self, samples: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        Ok(boxed(Nvil::new(samples, on.sizes, on.key, &on.model.device())))
    }
}
