//! Any strategy that a config can name.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use helmholtz_core::{Estimate, Follows, Key, Measure, Strategy};
use helmholtz_directed::HelmholtzMachine;
use helmholtz_samplers::CoupledChains;
use helmholtz_strategies::{
    Bidirectional, Coupled, Kernel, Nvil, Pathwise, Reinforce, ReweightedWakeSleep, Vimco, WakeSleep,
    Weighting,
};
use helmholtz_vae::Vae;

use crate::config::Config;
use crate::error::user;
use crate::model::AnyModel;

/// Any strategy that a config can name.
#[derive(Module, Debug)]
pub enum AnyStrategy {
    /// `ws`
    WakeSleep(WakeSleep),
    /// `rws`
    ReweightedWakeSleep(ReweightedWakeSleep),
    /// `bihm`
    Bidirectional(Bidirectional),
    /// `vimco`
    Vimco(Vimco),
    /// `reinforce`
    Reinforce(Reinforce),
    /// `nvil`
    Nvil(Nvil),
    /// `elbo`, `iwae`, `stl` and `dreg`
    Pathwise(Pathwise),
    /// `coupled`
    Coupled(Coupled),
}

macro_rules! each {
    ($strategy:expr, $one:ident => of any model $any:expr, of layers $of_layers:expr, of noise $of_noise:expr) => {
        match $strategy {
            AnyStrategy::WakeSleep($one) => $any,
            AnyStrategy::ReweightedWakeSleep($one) => $any,
            AnyStrategy::Bidirectional($one) => $any,
            AnyStrategy::Vimco($one) => $any,
            AnyStrategy::Reinforce($one) => $any,
            AnyStrategy::Nvil($one) => $of_layers,
            AnyStrategy::Pathwise($one) => $of_noise,
            AnyStrategy::Coupled($one) => $of_noise,
        }
    };
}

impl AnyStrategy {
    /// Whether it has parameters of its own, which an optimiser fits beside the model's.
    pub(crate) fn learns(&self) -> bool {
        matches!(self, AnyStrategy::Nvil(_))
    }

    /// The same strategy, whose running state stays as it is: its estimates are of one law.
    ///
    /// `coupled` goes on adapting, which moves no expectation.
    pub(crate) fn held(self) -> Self {
        match self {
            AnyStrategy::Nvil(nvil) => AnyStrategy::Nvil(nvil.held()),
            other => other,
        }
    }
}

impl Strategy<AnyModel> for AnyStrategy {
    fn estimate(&self, model: &AnyModel, x: Tensor<2>, key: Key) -> Estimate {
        let of_noise = || match model {
            AnyModel::Vae(vae) => vae,
            AnyModel::Stack(_) => unreachable!("a config that asks for this is refused"),
        };
        let of_layers = || match model {
            AnyModel::Stack(stack) => stack,
            AnyModel::Vae(_) => unreachable!("a config that asks for this is refused"),
        };
        each!(self, strategy =>
            of any model strategy.estimate(model, x, key),
            of layers strategy.estimate(of_layers(), x, key),
            of noise strategy.estimate(of_noise(), x, key)
        )
    }

    fn follows(&self) -> Follows {
        each!(self, strategy =>
            of any model Strategy::<AnyModel>::follows(strategy),
            of layers Strategy::<HelmholtzMachine>::follows(strategy),
            of noise Strategy::<Vae>::follows(strategy)
        )
    }

    fn measures(&self) -> &[Measure] {
        each!(self, strategy =>
            of any model Strategy::<AnyModel>::measures(strategy),
            of layers Strategy::<HelmholtzMachine>::measures(strategy),
            of noise Strategy::<Vae>::measures(strategy)
        )
    }
}

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
) -> anyhow::Result<AnyStrategy> {
    match config.strategy.kind.as_str() {
        "coupled" => {}
        "nvil" => {
            check(config, samples)?;
            let sizes = [&[observed], config.model.layers.as_slice()].concat();
            return Ok(AnyStrategy::Nvil(Nvil::new(samples, &sizes, Key::new(config.seed), device)));
        }
        _ => return without_state(config, samples),
    }
    let CoupledChains { lag, burn_in, cap, .. } = chains(config, samples);
    let kernel = if config.strategy.kernel.as_deref() == Some("isir") { Kernel::Isir } else { Kernel::Disir };
    let mut strategy = Coupled::new(samples, kernel, device).map_err(wrong)?;
    (strategy.lag, strategy.burn_in, strategy.cap) = (lag, burn_in, cap);
    Ok(AnyStrategy::Coupled(strategy.checked().map_err(wrong)?))
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
fn without_state(config: &Config, samples: usize) -> anyhow::Result<AnyStrategy> {
    let settings = &config.strategy;
    if samples == 0 {
        return Err(no_samples());
    }
    let control_variate = settings.control_variate.unwrap_or_default();
    let pathwise = |weighting| Ok(AnyStrategy::Pathwise(Pathwise::new(samples, weighting)));
    match settings.kind.as_str() {
        "ws" => {
            if control_variate || settings.defence != 0.0 {
                return Err(user(
                    "strategy.control_variate and strategy.defence belong to rws; ws has no weights",
                ));
            }
            Ok(AnyStrategy::WakeSleep(WakeSleep::new(samples)))
        }
        "bihm" => {
            if settings.phi != "wake" || settings.defence != 0.0 {
                return Err(user(
                    "strategy.phi and strategy.defence belong to rws; bihm has neither a sleep phase nor a mixture",
                ));
            }
            let strategy = Bidirectional { samples, control_variate }.checked();
            Ok(AnyStrategy::Bidirectional(strategy.map_err(wrong)?))
        }
        "elbo" => pathwise(Weighting::Elbo { analytic_kl: settings.kl.as_deref() != Some("sampled") }),
        "stl" => pathwise(Weighting::Stl),
        "iwae" => pathwise(Weighting::Iwae),
        "dreg" => pathwise(Weighting::Dreg),
        "vimco" => Ok(AnyStrategy::Vimco(Vimco::new(samples).map_err(wrong)?)),
        "reinforce" => Ok(AnyStrategy::Reinforce(Reinforce::new(samples).map_err(wrong)?)),
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
            Ok(AnyStrategy::ReweightedWakeSleep(strategy.checked().map_err(wrong)?))
        }
    }
}
