//! Further strategies for a `Vae`.

use helmholtz_core::Trainable;
use helmholtz_samplers::CoupledChains;
use helmholtz_strategies::{Coupled, Kernel, Pathwise, Weighting};
use helmholtz_vae::Vae;
use toml::Table;

use crate::error::ConfigError;
use crate::limits::LARGEST;
use crate::papers;
use crate::registry::StrategyEntry;
use crate::spec::BuiltOn;
use crate::strategy::{BoxedStrategy, boxed};
use crate::strategy_settings::{StrategySettings, of_samples, right, wrong};

crate::claims!(Pathwise => Vae);
crate::claims!(Coupled => Vae);

/// Further strategies for a [`Vae`].
pub(super) fn entries() -> Vec<StrategyEntry> {
    let smooth = "latents that are smooth functions of noise";
    vec![
        StrategyEntry::of::<ElboSettings>(
            "elbo",
            "the ELBO, along the path from the noise",
            papers::VAE,
            smooth,
        ),
        StrategyEntry::of::<IwaeSettings>(
            "iwae",
            "the K-sample bound, along the path from the noise",
            papers::IWAE,
            smooth,
        ),
        StrategyEntry::of::<StlSettings>("stl", "the ELBO, without the score of q", papers::STL, smooth),
        StrategyEntry::of::<DregSettings>(
            "dreg",
            "the K-sample bound, doubly reparameterised",
            papers::DREG,
            smooth,
        ),
        StrategyEntry::of::<CoupledSettings>(
            "coupled",
            "the likelihood itself, by coupled chains",
            papers::COUPLED,
            smooth,
        ),
    ]
}

of_samples!(/// `iwae`
    IwaeSettings, K = 10, |samples| right(Pathwise::new(samples, Weighting::Iwae)));
of_samples!(/// `stl`
    StlSettings, K = 1, |samples| right(Pathwise::new(samples, Weighting::Stl)));
of_samples!(/// `dreg`
    DregSettings, K = 10, |samples| right(Pathwise::new(samples, Weighting::Dreg)));

crate::words! {
    /// How the part of the gradient through the prior of the highest latents is computed.
    pub KlWord {
        /// In closed form.
        Analytic = "analytic",
        /// From the samples.
        Sampled = "sampled",
    }
}

crate::settings! {
    /// `elbo`
    pub ElboSettings {
        /// Samples per observation, K.
        samples: usize = 1,
        /// How the part of the gradient through the prior of the highest latents is computed: analytic or sampled.
        kl: KlWord = KlWord::Analytic,
    }
}

impl StrategySettings for ElboSettings {
    fn samples(&self) -> usize {
        self.samples
    }

    fn build(&self, samples: usize, _: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let weighting = Weighting::Elbo { analytic_kl: self.kl == KlWord::Analytic };
        Ok(boxed(Pathwise::new(samples, weighting)))
    }
}

crate::words! {
    /// The kernel of the chains.
    pub KernelWord {
        /// Dependent importance samples.
        Disir = "disir",
        /// Independent importance samples.
        Isir = "isir",
    }
}

crate::settings! {
    /// `coupled`
    pub CoupledSettings {
        /// Samples per observation, K.
        samples: usize = 10,
        /// Kernel of the chains: disir or isir.
        kernel: KernelWord = KernelWord::Disir,
        /// Number of steps by which one of the two chains is ahead of the other.
        lag: usize = 10,
        /// Number of steps of the chains before the first that counts.
        burn_in: usize = 1,
        /// Number of steps after which chains that have not met are stopped.
        cap: usize = 1000,
    }
}

impl StrategySettings for CoupledSettings {
    fn samples(&self) -> usize {
        self.samples
    }

    fn check_samples(&self, samples: usize) -> Result<(), ConfigError> {
        let CoupledSettings { lag, burn_in, cap, .. } = *self;
        for (key, value) in [("lag", lag), ("burn_in", burn_in), ("cap", cap)] {
            if value > LARGEST {
                return Err(ConfigError(format!("strategy.{key} = {value}: must not be above {LARGEST}")));
            }
        }
        CoupledChains { samples, beta: None, lag, burn_in, cap }.checked().map(drop).map_err(wrong)
    }

    fn build(&self, samples: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let kernel = match self.kernel {
            KernelWord::Disir => Kernel::Disir,
            KernelWord::Isir => Kernel::Isir,
        };
        let mut strategy = Coupled::new(samples, kernel, &on.model.device()).map_err(wrong)?;
        (strategy.lag, strategy.burn_in, strategy.cap) = (self.lag, self.burn_in, self.cap);
        strategy.checked().map(boxed).map_err(wrong)
    }

    /// Chains of an untrained net may take long to meet.
    fn smaller(&self) -> Table {
        Table::from_iter([("lag".to_owned(), 2.into()), ("cap".to_owned(), 8.into())])
    }

    fn variant(&self) -> Option<String> {
        Some(match self.kernel {
            KernelWord::Disir => "isir then disir".to_owned(),
            KernelWord::Isir => "isir".to_owned(),
        })
    }
}
