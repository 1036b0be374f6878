//! Any strategy that a config can name.

use burn::tensor::Device;
use helmholtz_core::Key;
use helmholtz_samplers::CoupledChains;
use helmholtz_strategies::{
    Bidirectional, Coupled, Kernel, Nvil, Pathwise, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep,
    Weighting,
};
use helmholtz_zoo::BoxedStrategy;
use helmholtz_zoo::strategy::boxed;

use crate::config::Config;
use crate::error::user;

/// Refuses settings that make no estimator.
///
/// # Errors
/// With what is wrong.
pub(crate) fn check(config: &Config, samples: usize) -> anyhow::Result<()> {
    match config.strategy.kind.as_str() {
        "coupled" => chains(config, samples).checked().map(drop).map_err(wrong),
        "nvil" if samples == 0 => Err(no_samples()),
        "nvil" => Ok(()),
        _ => without_state(config, samples).map(drop),
    }
}

/// The strategy of a config, with `samples` per observation, for a model of `observed` units; `device` is that of its
/// state, if it has one.
///
/// # Errors
/// If its settings make no estimator.
pub(crate) fn strategy(
    config: &Config,
    samples: usize,
    observed: usize,
    device: &Device,
) -> anyhow::Result<BoxedStrategy> {
    match config.strategy.kind.as_str() {
        "coupled" => {}
        "nvil" => {
            check(config, samples)?;
            let sizes = [&[observed], config.model.layers.as_slice()].concat();
            return Ok(boxed(Nvil::new(samples, &sizes, Key::new(config.seed), device)));
        }
        _ => return without_state(config, samples),
    }
    let CoupledChains { lag, burn_in, cap, .. } = chains(config, samples);
    let kernel = if config.strategy.kernel.as_deref() == Some("isir") { Kernel::Isir } else { Kernel::Disir };
    let mut strategy = Coupled::new(samples, kernel, device).map_err(wrong)?;
    (strategy.lag, strategy.burn_in, strategy.cap) = (lag, burn_in, cap);
    Ok(boxed(strategy.checked().map_err(wrong)?))
}

/// The chains of `coupled`, whose keys are written out, but for what they have learnt.
fn chains(config: &Config, samples: usize) -> CoupledChains {
    let settings = &config.strategy;
    let [lag, burn_in, cap] =
        [settings.lag, settings.burn_in, settings.cap].map(|value| value.unwrap_or_default());
    CoupledChains { samples, beta: None, lag, burn_in, cap }
}

fn no_samples() -> anyhow::Error {
    user("strategy.samples = 0: at least one sample per observation (K >= 1)")
}

fn wrong(error: impl std::fmt::Display) -> anyhow::Error {
    user(format!("strategy: {error}"))
}

/// The strategy of a config that remembers nothing.
fn without_state(config: &Config, samples: usize) -> anyhow::Result<BoxedStrategy> {
    let settings = &config.strategy;
    if samples == 0 {
        return Err(no_samples());
    }
    let control_variate = settings.control_variate.unwrap_or_default();
    let pathwise = |weighting| Ok(boxed(Pathwise::new(samples, weighting)));
    match settings.kind.as_str() {
        "ws" => {
            if control_variate || settings.defence != 0.0 {
                return Err(user(
                    "strategy.control_variate and strategy.defence belong to rws; ws has no weights",
                ));
            }
            Ok(boxed(WakeSleep::new(samples)))
        }
        "bihm" => {
            if settings.phi != "wake" || settings.defence != 0.0 {
                return Err(user(
                    "strategy.phi and strategy.defence belong to rws; bihm has neither a sleep phase nor a mixture",
                ));
            }
            let strategy = Bidirectional { samples, control_variate }.checked();
            Ok(boxed(strategy.map_err(wrong)?))
        }
        "elbo" => pathwise(Weighting::Elbo { analytic_kl: settings.kl.as_deref() != Some("sampled") }),
        "stl" => pathwise(Weighting::Stl),
        "iwae" => pathwise(Weighting::Iwae),
        "dreg" => pathwise(Weighting::Dreg),
        "vimco" => Ok(boxed(Vimco::new(samples).map_err(wrong)?)),
        "reinforce" => Ok(boxed(Reinforce::new(samples).map_err(wrong)?)),
        _ => {
            let (wake_phi, sleep_phi) = match settings.phi.as_str() {
                "wake" => (1.0, 0.0),
                "sleep" => (0.0, 1.0),
                _ => (0.5, 0.5),
            };
            let strategy = ReweightedWakeSleep {
                samples,
                wake_phi,
                sleep_phi,
                control_variate,
                defence: settings.defence,
            };
            Ok(boxed(strategy.checked().map_err(wrong)?))
        }
    }
}
