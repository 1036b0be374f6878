//! Unbiased gradients of `log p(x)`, by coupled Markov chains.
//!
//! Theta follows `∇ log p(x) = E_{p(h | x)} ∇ log p(x, h)`. Two coupled chains estimate the expectation without bias.
//! They take ISIR steps (C-ISIR), or ISIR and DISIR steps in turn (C-ISIR-DISIR), in the space of the noise, with q as
//! the proposal: see [`helmholtz_samplers::coupled`]. The estimate is a signed sum of scores,
//! `Σ c_i ∇ log p(x, h_i)` with `c_i = ± w̃_i / L`, over a random number of states.
//!
//! Phi ascends the K-sample bound, by its doubly reparameterised gradient ([`Weighting::Dreg`]) from K samples of its own.
//!
//! β, the correlation of DISIR's points, is fixed within a call and adapted after it, so an estimate is unbiased
//! whatever its β:
//!
//! ```text
//! β ← clip(β - 0.01 (ESS - 0.3 K), 1e-6, 1 - 1e-6)
//! ```
//!
//! ESS is the effective sample size of the leading chains after their DISIR steps, averaged over the iterations of
//! each row and then over the rows. The paper says "after each step", which may mean within a call.
//!
//! Chains that have not met after `cap` iterations are stopped, which adds a bias; the measure `capped` is their share.
//! If no point of a row has any weight, the bound is reported as NaN, which stops a training run.
//!
//! # Reference
//! Ruiz, Titsias, Cemgil, Doucet, "Unbiased gradient estimation for variational auto-encoders using coupled Markov
//! chains", UAI 2021, arXiv:2010.01845.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use helmholtz_core::{
    Batch, Claims, Direction, Estimate, Follows, Gradients, Key, Measure, Measured, Memory, Over, PathParts,
    Reparameterized, Role, Scope, Strategy,
};
use helmholtz_samplers::{CoupledChains, CoupledError, Meetings, NoiseSpace, Placed};

use crate::pathwise::{Pathwise, Weighting, propose_on_path};
use crate::wake::scored;

/// The steps of a chain's iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// ISIR: independent points beside the current one, which is kept among them.
    Isir,
    /// ISIR, and then DISIR with a correlation β that adapts.
    Disir,
}

/// Ascent of `log p(x)` along unbiased gradients.
#[derive(Module, Debug)]
pub struct Coupled {
    /// Points of a chain's state, and samples of the bound that phi ascends, K in the paper; 10 there.
    pub samples: usize,
    /// The steps of an iteration.
    #[module(skip)]
    pub kernel: Kernel,
    /// How far one chain is ahead of the other, L in the paper; 10 there.
    pub lag: usize,
    /// The first iteration that counts, t₀ in the paper; 1 there.
    pub burn_in: usize,
    /// Iterations after which chains are stopped; about 1000 in the paper.
    pub cap: usize,
    /// β of DISIR, in single precision whatever the model's type, so that a checkpoint holds what is used.
    beta: Memory<Tensor<1>>,
}

/// Bounds of β.
const BETA: (f64, f64) = (1e-6, 1.0 - 1e-6);
/// The β that a run starts with; the paper does not give one.
const FIRST_BETA: f64 = 0.5;
/// Step size of β.
const RATE: f64 = 0.01;
/// The effective sample size that the adaptation of β aims at, as a share of K.
const TARGET: f64 = 0.3;

/// Mean meeting time τ, in iterations; chains that were stopped count with the cap.
pub const MEETING_TIME: Measure = Measure::new("meeting_time", Over::Mean);
/// The meeting time that one row in twenty exceeds.
pub const MEETING_TIME_95: Measure = Measure::new("meeting_time_95", Over::Mean);
/// The largest meeting time.
pub const MEETING_TIME_MAX: Measure = Measure::new("meeting_time_max", Over::Maximum);
/// Share of the rows whose chains were stopped at the cap.
pub const CAPPED: Measure = Measure::new("capped", Over::Mean);
/// Effective sample size of the chains' states, as a share of K.
pub const CHAIN_ESS: Measure = Measure::new("chain_ess", Over::Mean);
/// The correlation β of the estimate.
pub const CORRELATION: Measure = Measure::new("beta", Over::Mean);

const MEASURES: [Measure; 8] = [
    Measure::BOUND,
    Measure::ESS,
    MEETING_TIME,
    MEETING_TIME_95,
    MEETING_TIME_MAX,
    CAPPED,
    CHAIN_ESS,
    CORRELATION,
];

impl Coupled {
    /// The paper's settings: a lag of 10, a burn-in of 1 and a cap of 1000.
    ///
    /// # Errors
    /// If `samples` is below 2.
    pub fn new(samples: usize, kernel: Kernel, device: &Device) -> Result<Self, CoupledError> {
        let beta = Memory::new(Tensor::from_data([FIRST_BETA as f32], (device, DType::F32)));
        Coupled { samples, kernel, lag: 10, burn_in: 1, cap: 1000, beta }.checked()
    }

    /// Returns the same settings if they are valid.
    ///
    /// # Errors
    /// If there are fewer than two points, the lag is zero, or the cap is below lag plus burn-in.
    pub fn checked(self) -> Result<Self, CoupledError> {
        self.chains().checked().map(|_| self)
    }

    /// The chains, with the current β.
    pub fn chains(&self) -> CoupledChains {
        let beta = match self.kernel {
            Kernel::Isir => None,
            Kernel::Disir => Some(self.beta()),
        };
        CoupledChains { samples: self.samples, beta, lag: self.lag, burn_in: self.burn_in, cap: self.cap }
    }

    /// β after the calls so far.
    pub fn beta(&self) -> f64 {
        self.beta.numbers()[0].clamp(BETA.0, BETA.1)
    }

    /// The same strategy with another β, between 0 and 1.
    pub fn with_beta(self, beta: f64) -> Self {
        self.set_beta(beta);
        self
    }

    fn set_beta(&self, beta: f64) {
        self.beta.set_numbers(&[beta.clamp(BETA.0, BETA.1)]);
    }

    /// The update of theta by `chains`: adds the gradient of `-1/B Σ_b log p(x_b)`, without bias.
    ///
    /// # Errors
    /// If no point of a row has any weight. What was added to `into` before the error stays there.
    pub fn theta<M: Reparameterized>(
        model: &M,
        x: Tensor<2>,
        chains: &CoupledChains,
        key: Key,
        into: &mut Gradients,
    ) -> Result<Meetings, CoupledError> {
        let [batch, _] = x.dims();
        let mut few = Few::default();
        let meetings = chains.run(&NoiseSpace::new(model, x), batch, key, |part| {
            let [n, k] = part.coefficients.dims();
            let coefficients = part.coefficients / batch as f64;
            let Placed { x, mut points, proposals } = part.kept;
            if n * k < FEW {
                few.keep(model, [x, points.remove(0), coefficients], into);
            } else {
                let weights = coefficients.reshape([n * k]);
                model.joint_gradient(x, &proposals.latents, &proposals.p.traces, weights, into);
            }
        })?;
        few.add(model, into);
        Ok(meetings)
    }

    /// β after a call whose chains had the effective sample sizes `ess`, as shares of K.
    fn adapt(&self, ess: &[f64]) {
        let mean = ess.iter().sum::<f64>() / ess.len() as f64;
        if mean.is_finite() {
            self.set_beta(self.beta() - RATE * self.samples as f64 * (mean - TARGET));
        }
    }
}

impl<M: Reparameterized> Strategy<M> for Coupled {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let (x, batch) = (batch.whole(), batch.len());
        let mut gradients = Gradients::new();
        let mut evaluations = scored(batch * self.samples);
        let bound = Pathwise::new(self.samples, Weighting::Dreg);
        let (noise, proposals) = propose_on_path(model, x.clone(), self.samples, key);
        let mut measured =
            bound.update(model, x.clone(), noise, proposals, PathParts::Recognition, &mut gradients);
        let chains = self.chains();
        match Coupled::theta(model, x, &chains, key.child(Role::Chain), &mut gradients) {
            Ok(meetings) => {
                evaluations += scored(meetings.points);
                let place = (&model.device(), model.dtype());
                let value = |value: f64| Tensor::from_data([value], place);
                let found = measures(&chains, &meetings).into_iter();
                measured.extend(found.map(|(measure, found): (Measure, f64)| measure.is(value(found))));
                if self.kernel == Kernel::Disir {
                    self.adapt(&meetings.ess);
                }
            }
            Err(CoupledError::NoWeight(_)) => {
                let no_number = |found: Measured| found.measure.is(found.value * f64::NAN);
                measured = measured.into_iter().map(no_number).collect();
            }
            Err(error) => panic!("{error}"),
        }
        Estimate { gradients, measured, evaluations }
    }

    fn measures(&self) -> &[Measure] {
        match self.kernel {
            Kernel::Isir => &MEASURES[..7],
            Kernel::Disir => &MEASURES,
        }
    }

    fn scope(&self) -> Scope {
        Scope::AcrossBatches
    }

    fn continuing(&self, other: &Self) -> Self {
        Coupled { beta: other.beta.clone(), ..self.clone() }
    }
}

impl Claims for Coupled {
    fn follows(&self) -> Follows {
        Follows::new(Direction::Posterior { power: 1.0 }, Direction::Bound { samples: self.samples })
    }
}

/// States of fewer points than this are collected first: a gradient is as large as the nets, however few the points.
const FEW: usize = 512;
/// The most points that are collected.
const MANY: usize = 2048;

/// States that are collected to be added together.
#[derive(Default)]
struct Few {
    /// Rows, `[n, d_x]`; noise, `[n * k, units]`; and coefficients, `[n, k]`, all of the same k.
    waiting: Vec<[Tensor<2>; 3]>,
    points: usize,
}

impl Few {
    fn keep<M: Reparameterized>(&mut self, model: &M, state: [Tensor<2>; 3], into: &mut Gradients) {
        let [n, k] = state[2].dims();
        let other_k = self.waiting.first().is_some_and(|[.., first]| first.dims()[1] != k);
        if other_k || self.points + n * k > MANY {
            self.add(model, into);
        }
        self.points += n * k;
        self.waiting.push(state);
    }

    /// Adds the gradients of all collected states, from a forward pass of their own.
    fn add<M: Reparameterized>(&mut self, model: &M, into: &mut Gradients) {
        self.points = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        let all = |i: usize| Tensor::cat(waiting.iter().map(|state| state[i].clone()).collect(), 0);
        let [x, noise, coefficients] = [0, 1, 2].map(all);
        let [n, k] = coefficients.dims();
        let proposals = model.propose_at(x.clone(), noise);
        let weights = coefficients.reshape([n * k]);
        model.joint_gradient(x, &proposals.latents, &proposals.p.traces, weights, into);
    }
}

/// The measures of the chains of one call.
fn measures(chains: &CoupledChains, meetings: &Meetings) -> Vec<(Measure, f64)> {
    let n = meetings.times.len() as f64;
    let mut times: Vec<usize> = meetings.times.iter().map(|time| time.unwrap_or(chains.cap)).collect();
    times.sort_unstable();
    let Some(&longest) = times.last() else { return Vec::new() };
    let at_95 = times[(times.len() * 95).div_ceil(100) - 1];
    let capped = meetings.times.iter().filter(|time| time.is_none()).count();
    let found = [
        (MEETING_TIME, times.iter().sum::<usize>() as f64 / n),
        (MEETING_TIME_95, at_95 as f64),
        (MEETING_TIME_MAX, longest as f64),
        (CAPPED, capped as f64 / n),
        (CHAIN_ESS, meetings.ess.iter().sum::<f64>() / n),
    ];
    found.into_iter().chain(chains.beta.map(|beta| (CORRELATION, beta))).collect()
}
