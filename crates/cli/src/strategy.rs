//! Any strategy that a config can name.

use burn::module::Module;
use burn::tensor::Tensor;
use helmholtz_core::{Estimate, Key, LatentVariableModel, Strategy};
use helmholtz_strategies::{Bidirectional, ReweightedWakeSleep, WakeSleep};

use crate::config::Config;
use crate::error::user;

/// Any strategy that a config can name.
#[derive(Module, Debug)]
pub enum AnyStrategy {
    /// `ws`
    WakeSleep(WakeSleep),
    /// `rws`
    ReweightedWakeSleep(ReweightedWakeSleep),
    /// `bihm`
    Bidirectional(Bidirectional),
}

impl<M: LatentVariableModel> Strategy<M> for AnyStrategy {
    fn estimate(&self, model: &M, x: Tensor<2>, key: Key) -> Estimate {
        match self {
            AnyStrategy::WakeSleep(strategy) => strategy.estimate(model, x, key),
            AnyStrategy::ReweightedWakeSleep(strategy) => strategy.estimate(model, x, key),
            AnyStrategy::Bidirectional(strategy) => strategy.estimate(model, x, key),
        }
    }
}

/// The strategy of a config, with `samples` per observation.
pub(crate) fn strategy(config: &Config, samples: usize) -> anyhow::Result<AnyStrategy> {
    let settings = &config.strategy;
    if samples == 0 {
        return Err(user("strategy.samples = 0: at least one sample per observation (K >= 1)"));
    }
    let control_variate = settings.control_variate.unwrap_or_default();
    if settings.kind == "ws" {
        if control_variate || settings.defence != 0.0 {
            return Err(user(
                "strategy.control_variate and strategy.defence belong to rws; ws has no weights",
            ));
        }
        return Ok(AnyStrategy::WakeSleep(WakeSleep::new(samples)));
    }
    if settings.kind == "bihm" {
        if settings.phi != "wake" || settings.defence != 0.0 {
            return Err(user(
                "strategy.phi and strategy.defence belong to rws; bihm has neither a sleep phase nor a mixture",
            ));
        }
        let strategy = Bidirectional { samples, control_variate }.checked();
        return Ok(AnyStrategy::Bidirectional(strategy.map_err(|error| user(format!("strategy: {error}")))?));
    }
    let (wake_phi, sleep_phi) = match settings.phi.as_str() {
        "wake" => (1.0, 0.0),
        "sleep" => (0.0, 1.0),
        _ => (0.5, 0.5),
    };
    let strategy =
        ReweightedWakeSleep { samples, wake_phi, sleep_phi, control_variate, defence: settings.defence };
    Ok(AnyStrategy::ReweightedWakeSleep(
        strategy.checked().map_err(|error| user(format!("strategy: {error}")))?,
    ))
}
