//! Strategies for energy models.

use helmholtz_core::{Batch, EnergyModel, Key, Role};
use helmholtz_court::{Exact, ReferenceError};
use helmholtz_energy::Rbm;
use helmholtz_ops::into_f64;
use helmholtz_strategies::{
    Centring, ContrastiveDivergence, EnergyDiscrepancy, IndependentSamples, Offsets, PersistentChains, Start,
    Tempering,
};

use super::court::{Law, OfContrast, TemperedReplicas};
use crate::error::ConfigError;
use crate::limits::LARGEST;
use crate::model::BoxedModel;
use crate::papers;
use crate::registry::{Paper, StrategyEntry};
use crate::spec::{BuiltOn, ModelSpec, Support};
use crate::strategies::MaximumLikelihoodSettings;
use crate::strategy::{BoxedStrategy, boxed};
use crate::strategy_settings::StrategySettings;

/// Updates for which the court's replica of a persistent chain has run.
const REPLICA_UPDATES: usize = 100;

/// Strategies for an [`Rbm`].
pub(super) fn entries() -> Vec<StrategyEntry> {
    let needs = "an energy with hidden units";
    fn of<S: StrategySettings>(
        name: &'static str,
        help: &'static str,
        paper: Paper,
        needs: &'static str,
    ) -> StrategyEntry {
        StrategyEntry::of::<S>(name, help, paper, needs)
    }
    vec![
        of::<PcdSettings>("pcd", "contrast with chains that persist", papers::PCD, needs),
        of::<CdSettings>("cd", "contrastive divergence: chains from the batch", papers::CD, needs),
        of::<RdmSettings>("rdm", "contrast with chains from noise, begun anew", papers::RDM, needs),
        of::<TemperingSettings>(
            "tempering",
            "contrast with chains that persist and swap temperatures",
            papers::TEMPERING,
            needs,
        ),
        of::<IndependentSettings>(
            "independent",
            "contrast with weighted samples, without chains: k = 0",
            papers::SELF_NORMALISED,
            "an energy with hidden units over bits",
        ),
        of::<EnergyDiscrepancySettings>(
            "energy-discrepancy",
            "energies of rows below those of perturbed rows",
            papers::ENERGY_DISCREPANCY,
            "an energy over bits",
        ),
        of::<MaximumLikelihoodSettings>(
            "ml",
            "maximum likelihood, by its gradient",
            papers::LIKELIHOOD,
            "a likelihood that can be computed",
        ),
    ]
}

fn rbm(model: &BoxedModel) -> &Rbm {
    model.downcast_ref().expect("a family's strategies are for its own models")
}

crate::estimates! {
    ContrastiveDivergence => Rbm,
    fn exact(
        &self,
        model: &BoxedModel,
        batch: &Batch,
    ) -> Result<Option<Box<dyn Exact>>, ReferenceError> {
        let law = match self.start {
            Start::Data => Law::OfRows(into_f64(rbm(model).rows(batch))),
            Start::Noise { .. } => Law::Noise,
        };
        Ok(OfContrast::new(rbm(model), batch, (law, self.sweeps), self.centring.offsets())?.boxed())
    },
    fn claims(&self) -> bool {
        self.centring.offsets() != Offsets::Enhanced
    },
    fn held(&self) -> Option<BoxedStrategy> {
        Some(boxed(ContrastiveDivergence::held(self)))
    }
}

crate::estimates! {
    PersistentChains => Rbm,
    fn exact(
        &self,
        model: &BoxedModel,
        batch: &Batch,
    ) -> Result<Option<Box<dyn Exact>>, ReferenceError> {
        let law = (Law::OfRows(into_f64(self.states())), self.sweeps);
        Ok(OfContrast::new(rbm(model), batch, law, self.centring.offsets())?.boxed())
    },
    fn claims(&self) -> bool {
        self.centring.offsets() != Offsets::Enhanced
    },
    /// An independent replica for each estimate: states of one chain are correlated.
    fn held(&self) -> Option<BoxedStrategy> {
        let start = Start::Noise { chains: self.states().dims()[0] };
        let sweeps = self.sweeps * REPLICA_UPDATES;
        Some(boxed(ContrastiveDivergence { sweeps, start, centring: self.centring.held() }))
    }
}

crate::estimates! {
    Tempering => Rbm,
    /// The gradient of the likelihood, which the updates of settled chains follow.
    fn exact(
        &self,
        model: &BoxedModel,
        batch: &Batch,
    ) -> Result<Option<Box<dyn Exact>>, ReferenceError> {
        Ok(OfContrast::new(rbm(model), batch, (Law::Model, 0), self.centring.offsets())?.boxed())
    },
    fn claims(&self) -> bool {
        self.centring.offsets() != Offsets::Enhanced
    },
    /// An independent replica for each estimate.
    fn held(&self) -> Option<BoxedStrategy> {
        Some(boxed(TemperedReplicas::new(self, REPLICA_UPDATES)))
    }
}

// The expectation of a self-normalised estimate has no closed form, and that of a logarithm of sums has none either.
crate::estimates! {
    IndependentSamples => Rbm,
    fn held(&self) -> Option<BoxedStrategy> {
        Some(boxed(IndependentSamples { centring: self.centring.held(), ..self.clone() }))
    }
}

crate::estimates! { EnergyDiscrepancy => Rbm }

crate::estimates! {
    TemperedReplicas => Rbm,
    fn exact(
        &self,
        model: &BoxedModel,
        batch: &Batch,
    ) -> Result<Option<Box<dyn Exact>>, ReferenceError> {
        self.tempering.exact(model, batch)
    },
    fn claims(&self) -> bool {
        self.tempering.claims()
    }
}

crate::words! {
    /// The offsets of units in the gradient.
    pub CentringWord {
        /// Moving averages of the means of the data.
        Ema = "ema",
        /// The means of the batch.
        Data = "data",
        /// Half the means of the batch, half those of the chains.
        Enhanced = "enhanced",
        /// None.
        None = "none",
    }
}

impl CentringWord {
    /// For the tables.
    pub(crate) fn words(self) -> &'static str {
        match self {
            CentringWord::Ema => "centred",
            CentringWord::Data => "centred by batches",
            CentringWord::Enhanced => "enhanced",
            CentringWord::None => "not centred",
        }
    }

    /// The offsets, whose moving averages take this share of a new batch.
    pub(crate) fn offsets(self, rate: f64) -> Offsets {
        match self {
            CentringWord::Ema => Offsets::Moving { rate },
            CentringWord::Data => Offsets::Data,
            CentringWord::Enhanced => Offsets::Enhanced,
            CentringWord::None => Offsets::Zero,
        }
    }
}

crate::settings! {
    /// `cd`
    pub CdSettings {
        /// Number of sweeps of each chain, k.
        sweeps: usize = 1,
        /// Offsets of the units: ema (moving means of the data), data (means of the batch), enhanced (half of the
        /// batch, half of the chains) or none.
        centring: CentringWord = CentringWord::Ema,
        /// Share of a new batch in the moving means.
        centring_rate: f64 = 0.01,
    }
}

crate::settings! {
    /// `rdm`
    pub RdmSettings {
        /// Number of sweeps of each chain, k.
        sweeps: usize = 10,
        /// Number of chains.
        chains: usize = 100,
        /// Offsets of the units: ema (moving means of the data), data (means of the batch), enhanced (half of the
        /// batch, half of the chains) or none.
        centring: CentringWord = CentringWord::Ema,
        /// Share of a new batch in the moving means.
        centring_rate: f64 = 0.01,
    }
}

crate::settings! {
    /// `pcd`
    pub PcdSettings {
        /// Number of sweeps of each chain in an update, k.
        sweeps: usize = 1,
        /// Number of chains.
        chains: usize = 100,
        /// Offsets of the units: ema (moving means of the data), data (means of the batch), enhanced (half of the
        /// batch, half of the chains) or none.
        centring: CentringWord = CentringWord::Ema,
        /// Share of a new batch in the moving means.
        centring_rate: f64 = 0.01,
    }
}

crate::settings! {
    /// `tempering`
    pub TemperingSettings {
        /// Number of sweeps of each chain in an update, k.
        sweeps: usize = 1,
        /// Number of inverse temperatures from 1 to 0, equally spaced.
        temperatures: usize = 10,
        /// Number of chains at each of them.
        chains: usize = 100,
        /// Offsets of the units: ema (moving means of the data), data (means of the batch), enhanced (half of the
        /// batch, half of the chains) or none.
        centring: CentringWord = CentringWord::Ema,
        /// Share of a new batch in the moving means.
        centring_rate: f64 = 0.01,
    }
}

crate::settings! {
    /// `independent`
    pub IndependentSettings {
        /// Number of samples with the means of the batch, which are weighted to stand for the model.
        proposals: usize = 1000,
        /// Offsets of the units: ema (moving means of the data), data (means of the batch), enhanced (half of the
        /// batch, half of the samples) or none.
        centring: CentringWord = CentringWord::Ema,
        /// Share of a new batch in the moving means.
        centring_rate: f64 = 0.01,
    }
}

crate::settings! {
    /// `energy-discrepancy`
    pub EnergyDiscrepancySettings {
        /// Number of perturbed rows that each row is compared with, M.
        perturbed: usize = 32,
        /// Probability that a bit is flipped, in each of two perturbations.
        flip: f64 = 0.1,
    }
}

/// Refuses counts out of range, and a rate that is not a share.
pub(crate) fn check(counts: &[(&str, usize)], rate: f64) -> Result<(), ConfigError> {
    for (key, value) in counts {
        if *value == 0 || *value > LARGEST {
            return Err(ConfigError(format!("strategy.{key} = {value}: must be from 1 to {LARGEST}")));
        }
    }
    if rate > 0.0 && rate <= 1.0 {
        return Ok(());
    }
    Err(ConfigError(format!("strategy.centring_rate = {rate:?}: must be above 0 and at most 1")))
}

/// The key of what chains begin with.
fn start(on: &BuiltOn<'_>) -> Key {
    on.key.child(Role::Start)
}

impl StrategySettings for CdSettings {
    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("sweeps", self.sweeps)], self.centring_rate)
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let centring = Centring::new(rbm(on.model), self.centring.offsets(self.centring_rate));
        Ok(boxed(ContrastiveDivergence { sweeps: self.sweeps, start: Start::Data, centring }))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("k = {}, {}", self.sweeps, self.centring.words()))
    }
}

impl StrategySettings for RdmSettings {
    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("sweeps", self.sweeps), ("chains", self.chains)], self.centring_rate)
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let centring = Centring::new(rbm(on.model), self.centring.offsets(self.centring_rate));
        let start = Start::Noise { chains: self.chains };
        Ok(boxed(ContrastiveDivergence { sweeps: self.sweeps, start, centring }))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("k = {}, {}", self.sweeps, self.centring.words()))
    }
}

impl StrategySettings for PcdSettings {
    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("sweeps", self.sweeps), ("chains", self.chains)], self.centring_rate)
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let offsets = self.centring.offsets(self.centring_rate);
        Ok(boxed(PersistentChains::new(rbm(on.model), (self.chains, self.sweeps), offsets, start(on))))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("k = {}, {}", self.sweeps, self.centring.words()))
    }
}

/// Refuses units that are not bits, and labels.
fn needs_bits(kind: &str, model: &dyn ModelSpec) -> Result<(), ConfigError> {
    if model.classes().is_some() {
        return Err(ConfigError(format!(
            "strategy.kind = \"{kind}\": it is for visible units that are bits, and labels are not; use another strategy, \
             or leave model.classes out"
        )));
    }
    if model.support() == Support::Bits {
        return Ok(());
    }
    Err(ConfigError(format!(
        "strategy.kind = \"{kind}\": it is for visible units that are bits; use another strategy, or \
         model.visible = \"bernoulli\""
    )))
}

impl StrategySettings for IndependentSettings {
    fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        needs_bits(kind, model)
    }

    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        check(&[("proposals", self.proposals)], self.centring_rate)
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let centring = Centring::new(rbm(on.model), self.centring.offsets(self.centring_rate));
        Ok(boxed(IndependentSamples { samples: self.proposals, centring }))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("{} samples, {}", self.proposals, self.centring.words()))
    }
}

impl StrategySettings for EnergyDiscrepancySettings {
    fn check(&self, kind: &str, model: &dyn ModelSpec, _: &[usize]) -> Result<(), ConfigError> {
        needs_bits(kind, model)
    }

    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        if !(self.flip > 0.0 && self.flip <= 0.5) {
            return Err(ConfigError(format!(
                "strategy.flip = {:?}: must be above 0 and at most 0.5",
                self.flip
            )));
        }
        check(&[("perturbed", self.perturbed)], 1.0)
    }

    fn build(&self, _: usize, _: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        Ok(boxed(EnergyDiscrepancy { perturbed: self.perturbed, flip: self.flip }))
    }

    fn variant(&self) -> Option<String> {
        Some(format!("M = {}, flips {}", self.perturbed, self.flip))
    }
}

impl StrategySettings for TemperingSettings {
    fn check_samples(&self, _: usize) -> Result<(), ConfigError> {
        if self.temperatures < 2 {
            return Err(ConfigError(format!(
                "strategy.temperatures = {}: tempering needs at least 2, from 1 to 0; use pcd for one",
                self.temperatures
            )));
        }
        let counts = [("sweeps", self.sweeps), ("temperatures", self.temperatures), ("chains", self.chains)];
        check(&counts, self.centring_rate)?;
        if self.temperatures.saturating_mul(self.chains) > LARGEST {
            return Err(ConfigError(format!(
                "strategy.temperatures = {} with strategy.chains = {}: there must be at most {LARGEST} chains in all",
                self.temperatures, self.chains
            )));
        }
        Ok(())
    }

    fn build(&self, _: usize, on: &BuiltOn<'_>) -> Result<BoxedStrategy, ConfigError> {
        let offsets = self.centring.offsets(self.centring_rate);
        let counts = (self.temperatures, self.chains, self.sweeps);
        Ok(boxed(Tempering::new(rbm(on.model), counts, offsets, start(on))))
    }

    fn variant(&self) -> Option<String> {
        let own = format!("k = {}, {} temperatures", self.sweeps, self.temperatures);
        Some(format!("{own}, {}", self.centring.words()))
    }
}
