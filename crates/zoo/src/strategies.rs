//! Strategies for every model of latents, and for every model with a likelihood that can be computed.

use helmholtz_core::{Batch, Estimate, Key, Measure, Scope};
use helmholtz_court::{Exact, ReferenceError};
use helmholtz_strategies::maximum_likelihood::LOG_LIKELIHOOD;
use helmholtz_strategies::{self as strategies, MaximumLikelihood, ReweightedWakeSleep, WakeSleep};
use toml::Value;

use crate::can::Likelihood;
use crate::error::ConfigError;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::StrategyEntry;
use crate::spec::BuiltOn;
use crate::spec::ModelSpec;
use crate::strategy::{BoxedStrategy, Estimates, boxed};
use crate::strategy_settings::{StrategySettings, needs_latents, of_samples, right, wrong};

/// Ignores the keys that earlier versions wrote out for every strategy. ws took any `phi` and ignored it.
pub(crate) fn of_every_strategy(entry: StrategyEntry) -> StrategyEntry {
    fn once(key: &str, value: &Value) -> bool {
        match key {
            "defence" => value.as_float() == Some(0.0) || value.as_integer() == Some(0),
            "phi" => value.as_str() == Some(PhiWord::Wake.word()),
            "control_variate" => value.as_bool() == Some(false),
            _ => false,
        }
    }
    fn once_of_ws(key: &str, value: &Value) -> bool {
        let any_phi = key == "phi" && PhiWord::ALL.iter().any(|(word, _)| value.as_str() == Some(word));
        any_phi || once(key, value)
    }
    StrategyEntry { once: if entry.name == "ws" { once_of_ws } else { once }, ..entry }
}

/// Strategies for every model of latents.
pub fn of_any_latents() -> Vec<StrategyEntry> {
    let latents = "latents that a recognition net proposes";
    vec![
        StrategyEntry::of::<WsSettings>("ws", "wake-sleep", papers::WAKE_SLEEP, latents),
        StrategyEntry::of::<RwsSettings>("rws", "reweighted wake-sleep", papers::REWEIGHTED, latents),
        StrategyEntry::of::<VimcoSettings>(
            "vimco",
            "the K-sample bound, with signals centred on the other samples",
            papers::VIMCO,
            latents,
        ),
        StrategyEntry::of::<ReinforceSettings>(
            "reinforce",
            "the ELBO, with signals centred on the other samples",
            papers::LEAVE_ONE_OUT,
            latents,
        ),
    ]
}

of_samples!(/// `ws`
    WsSettings, K = 1, |samples| right(WakeSleep::new(samples)));
of_samples!(/// `vimco`
VimcoSettings, K = 10, strategies::Vimco::new,
fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
    needs_latents(kind, model)
});
of_samples!(/// `reinforce`
ReinforceSettings, K = 10, strategies::Reinforce::new,
fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
    needs_latents(kind, model)
});

/// On every model that has a [`Likelihood`].
impl Estimates for MaximumLikelihood {
    fn estimate(&self, model: &BoxedModel, batch: &Batch, key: Key) -> Estimate {
        likelihood(model).ascend(batch, key)
    }

    fn measures(&self) -> &[Measure] {
        &[LOG_LIKELIHOOD]
    }

    fn scope(&self) -> Scope {
        Scope::Batch
    }

    fn continuing(&self, _: &BoxedStrategy) -> BoxedStrategy {
        boxed(self.clone())
    }

    fn exact(&self, model: &BoxedModel, batch: &Batch) -> Result<Option<Box<dyn Exact>>, ReferenceError> {
        likelihood(model).gradient(batch).map(Some)
    }

    fn claims(&self) -> bool {
        true
    }
}

fn likelihood(model: &BoxedModel) -> &dyn Likelihood {
    model.likelihood().expect("ml is built on models that have a likelihood")
}

crate::settings! {
    /// `ml`
    pub MaximumLikelihoodSettings {}
}

/// The most units over whose states a likelihood is summed at each step.
const MOST_UNITS: usize = 16;

impl StrategySettings for MaximumLikelihoodSettings {
    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        match likelihood(on.model).summed_units() {
            units if units > MOST_UNITS => Err(ConfigError(format!(
                "strategy.kind = \"ml\": each step sums over 2^{units} states, and at most 2^{MOST_UNITS} are summed; \
                 use a smaller model, or another strategy"
            ))),
            _ => Ok(boxed(MaximumLikelihood {})),
        }
    }
}

crate::words! {
    /// What updates the recognition net.
    pub PhiWord {
        /// Weighted samples of the posterior.
        Wake = "wake",
        /// Dreams.
        Sleep = "sleep",
        /// Half of each.
        Both = "both",
    }
}

crate::settings! {
    /// `rws`
    pub RwsSettings {
        /// Samples per observation, K.
        samples: usize = 10,
        /// What updates the recognition net: wake, sleep, or both (half of each).
        phi: PhiWord = PhiWord::Wake,
        /// Whether the wake update of the recognition net uses w - 1/K.
        control_variate: bool = false,
        /// Share of the uniform distribution in the proposals, if latents are bits.
        defence: f64 = 0.0,
    }
}

impl RwsSettings {
    fn estimator(&self, samples: usize) -> Result<ReweightedWakeSleep, ConfigError> {
        let (wake_phi, sleep_phi) = match self.phi {
            PhiWord::Wake => (1.0, 0.0),
            PhiWord::Sleep => (0.0, 1.0),
            PhiWord::Both => (0.5, 0.5),
        };
        let RwsSettings { control_variate, defence, .. } = *self;
        ReweightedWakeSleep { samples, wake_phi, sleep_phi, control_variate, defence }
            .checked()
            .map_err(wrong)
    }
}

impl StrategySettings for RwsSettings {
    fn samples(&self) -> usize {
        self.samples
    }

    fn check(&self, _: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        if self.defence != 0.0 && !model.has_bits() {
            return Err(ConfigError::new(
                "strategy.defence: there is a uniform distribution over states of bits, but not over the latents of \
                 the model, which are real numbers; leave it out",
            ));
        }
        Ok(())
    }

    fn check_samples(&self, samples: usize) -> Result<(), ConfigError> {
        self.estimator(samples).map(drop)
    }

    fn build(&self, samples: usize, _: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        self.estimator(samples).map(boxed)
    }

    fn variant(&self) -> Option<String> {
        Some(format!("{}-phi", self.phi.word()))
    }
}
