//! Contrastive divergence and its kin.
//!
//! The gradient of the log-likelihood of an energy model is a contrast,
//!
//! ```text
//! -∇ log p(x) = ∇F(x) - E_p ∇F
//! ```
//!
//! whose second term is taken over samples of the model. What the samples are makes the strategy:
//!
//! | strategy | its chains begin each update | and make |
//! | --- | --- | --- |
//! | `cd`, [`ContrastiveDivergence`] from [`Start::Data`] | at the rows of the batch | k sweeps |
//! | `rdm`, [`ContrastiveDivergence`] from [`Start::Noise`] | at noise | k sweeps |
//! | `pcd`, [`PersistentChains`] | where the last update left them | k sweeps |
//! | `tempering`, [`Tempering`] | where the last update left them, at T temperatures | k sweeps with swaps |
//! | `independent`, [`IndependentSamples`] | at independent bits with the means of the batch | no sweep: k = 0 |
//!
//! With k sweeps the samples have the law `π Tᵏ`, where π is the law of the starts and T the transitions of a sweep. The
//! update of `cd` and of `rdm` is exactly the contrast with that law in expectation. It differs from the gradient of the
//! likelihood as long as the chains have not forgotten their start. Training by `rdm` ends where the data have the
//! moments of `π Tᵏ`, not those of the machine's own law.
//!
//! # Centring
//! Offsets of the units make the gradient one of `E = -(x - μ)·a' - (h - ν)·b' - (x - μ)ᵀ W (h - ν)`: training no longer
//! depends on whether a pixel is stored as it is or inverted. [`Offsets`] says what μ and ν are.
//!
//! # References
//! Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14, 2002.
//! Tieleman, "Training restricted Boltzmann machines using approximations to the likelihood gradient", ICML 2008.
//! Desjardins, Courville, Bengio, Vincent, Delalleau, "Tempered Markov chain Monte Carlo for training of restricted
//! Boltzmann machines", AISTATS 2010.
//! Decelle, Furtlehner, Seoane, "Equilibrium and non-equilibrium regimes in the learning of restricted Boltzmann
//! machines", NeurIPS 2021, arXiv:2105.13889.
//! Melchior, Fischer, Wiskott, "How to center deep Boltzmann machines", JMLR 17, 2016.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use helmholtz_core::{
    Batch, Better, Draws, Estimate, Harmonium, Key, LayerMeans, Measure, Memory, Over, Role, Scope, Strategy,
    Weighed,
};
use helmholtz_ops::noise;
use helmholtz_samplers::tempering::advance;
use helmholtz_samplers::{BlockGibbs, Swaps, Temperatures};

/// The mean of F over the samples of the model, less that over the batch. It is about zero where chains have the law of
/// the machine and the machine that of the data; a large value says that the chains are not where the data are. It is no
/// likelihood.
pub const FREE_ENERGY_GAP: Measure =
    Measure { name: "free_energy_gap", unit: Some("nats"), better: None, over: Over::Mean };
/// The share of swaps between neighbouring temperatures that were accepted.
pub const SWAP_ACCEPTANCE: Measure =
    Measure { name: "swap_acceptance", unit: None, better: Some(Better::Higher), over: Over::Mean };

/// The effective sample size of weighted samples that stand for the model, as a share of their number.
pub const PROPOSAL_ESS: Measure =
    Measure { name: "proposal_ess", unit: None, better: Some(Better::Higher), over: Over::Mean };

/// The offsets of units in a centred gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offsets {
    /// None: the plain gradient.
    Zero,
    /// The means over the batch, with the hidden units given the rows.
    Data,
    /// Exponential moving averages of the means over batches, which begin at those of the first.
    Moving {
        /// The share of a new batch.
        rate: f64,
    },
    /// Half of the means over the batch and half of those over the samples of the model: the enhanced gradient.
    ///
    /// # Reference
    /// Cho, Raiko, Ilin, "Enhanced gradient for training restricted Boltzmann machines", Neural Computation 25, 2013.
    Enhanced,
}

/// Offsets with what they remember.
#[derive(Module, Debug)]
pub struct Centring {
    #[module(skip)]
    offsets: Offsets,
    moving: Option<Moving>,
}

/// Moving averages of both layers.
#[derive(Module, Debug)]
struct Moving {
    visible: Memory<Tensor<1>>,
    hidden: Memory<Tensor<1>>,
}

impl Centring {
    /// Offsets for machines such as `model`.
    pub fn new<M: Harmonium>(model: &M, offsets: Offsets) -> Self {
        let moving = matches!(offsets, Offsets::Moving { .. }).then(|| {
            let row = model.noise(&Draws::new(Key::new(0), 1, 1)).zeros_like();
            let hidden = model.hidden_means(row.clone()).zeros_like();
            let memory = |row: Tensor<2>| Memory::new(row.squeeze_dim::<1>(0));
            Moving { visible: memory(row), hidden: memory(hidden) }
        });
        Centring { offsets, moving }
    }

    /// What the offsets are.
    pub fn offsets(&self) -> Offsets {
        self.offsets
    }

    /// These offsets with the moving averages of others, where both have them.
    fn continuing(&self, other: &Self) -> Self {
        Centring {
            offsets: self.offsets,
            moving: self.moving.as_ref().map(|own| other.moving.as_ref().unwrap_or(own).clone()),
        }
    }

    /// The same with what it remembers in a memory of its own.
    pub fn held(&self) -> Self {
        let apart = |memory: &Memory<Tensor<1>>| Memory::new(memory.get());
        let moving = self.moving.as_ref();
        Centring {
            offsets: self.offsets,
            moving: moving.map(|own| Moving { visible: apart(&own.visible), hidden: apart(&own.hidden) }),
        }
    }

    /// The offsets of an update, from the means over the batch and over the samples.
    fn of(&self, data: LayerMeans, model: &LayerMeans, step: u64) -> Option<LayerMeans> {
        match (self.offsets, &self.moving) {
            (Offsets::Zero, _) => None,
            (Offsets::Data, _) => Some(data),
            (Offsets::Enhanced, _) => Some(data.towards(model, 0.5)),
            (Offsets::Moving { rate }, moving) => {
                let moving = moving.as_ref().expect("moving offsets are made with their memory");
                if step == 0 {
                    moving.set(&data);
                    return Some(data);
                }
                let dtype = data.visible.dtype();
                let held = LayerMeans {
                    visible: moving.visible.get().cast(dtype),
                    hidden: moving.hidden.get().cast(dtype),
                };
                let moved = held.towards(&data, rate);
                moving.set(&moved);
                Some(moved)
            }
        }
    }
}

impl Moving {
    fn set(&self, means: &LayerMeans) {
        self.visible.set(means.visible.clone());
        self.hidden.set(means.hidden.clone());
    }
}

/// The update from a batch and samples of the model.
fn contrast<M: Harmonium>(
    model: &M,
    batch: &Batch,
    samples: Weighed,
    (centring, measured): (&Centring, Vec<helmholtz_core::Measured>),
) -> Estimate {
    let weights = samples.weights.clone();
    let found = model.contrast(Weighed::equally(model.rows(batch)), samples, &mut |of_data, of_samples| {
        centring.of(of_data, &of_samples, batch.step)
    });
    let gap = FREE_ENERGY_GAP.is((found.at_samples * weights).sum() - found.at_data.mean());
    let measured = [vec![gap], measured].concat();
    Estimate { gradients: found.gradients, measured, evaluations: 0 }
}

/// `k` sweeps of chains from `x`.
fn sweeps<M: Harmonium>(model: &M, x: Tensor<2>, k: usize, key: Key) -> Tensor<2> {
    let n = x.dims()[0];
    (0..k).fold(x, |x, sweep| model.sweep(x, None, &Draws::new(key.child(Role::Chain).child(sweep), n, 1)))
}

/// Where chains begin that are begun anew at each update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the rows of the batch, one chain each.
    Data,
    /// At noise.
    Noise {
        /// The number of chains.
        chains: usize,
    },
}

/// Chains that are begun anew at each update: `cd` from the data and `rdm` from noise.
#[derive(Module, Debug)]
pub struct ContrastiveDivergence {
    /// k, the number of sweeps.
    pub sweeps: usize,
    /// Where chains begin.
    #[module(skip)]
    pub start: Start,
    /// The offsets of the gradient.
    pub centring: Centring,
}

impl ContrastiveDivergence {
    /// The same with its moving offsets in a memory of their own.
    pub fn held(&self) -> Self {
        ContrastiveDivergence { centring: self.centring.held(), ..self.clone() }
    }
}

impl<M: Harmonium> Strategy<M> for ContrastiveDivergence {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let start = match self.start {
            Start::Data => model.rows(batch),
            Start::Noise { chains } => model.noise(&Draws::new(key.child(Role::Start), chains, 1)),
        };
        let chains = start.dims()[0] as u64;
        let samples = sweeps(model, start, self.sweeps, key);
        let estimate = contrast(model, batch, Weighed::equally(samples), (&self.centring, Vec::new()));
        Estimate { evaluations: batch.len() as u64 + chains * (self.sweeps as u64 + 1), ..estimate }
    }

    fn measures(&self) -> &[Measure] {
        &[FREE_ENERGY_GAP]
    }

    fn scope(&self) -> Scope {
        if self.centring.moving.is_some() { Scope::AcrossBatches } else { Scope::Batch }
    }

    fn continuing(&self, other: &Self) -> Self {
        ContrastiveDivergence { centring: self.centring.continuing(&other.centring), ..self.clone() }
    }
}

/// Independent samples, weighted so that they stand for the model: contrast without a Markov chain, k = 0.
///
/// The samples `x_s` are bits with the means of the batch, smoothed to `(n mean + 1) / (n + 2)`, whose law is q. In the
/// contrast they have the weights
///
/// ```text
/// w_s = (exp(-F(x_s)) / q(x_s)) / Σ_r exp(-F(x_r)) / q(x_r)
/// ```
///
/// The update tends to the gradient of the likelihood as the number of samples grows, with a bias of the order of its
/// inverse. [`PROPOSAL_ESS`] says how many of the samples count: where it is near `1 / samples`, one of them has all the
/// weight, and the update means little. This is the case for most machines with many units that have learnt something.
///
/// This estimator is our own. It is not the sampler of Fisher, "Training restricted Boltzmann machines with zero step
/// contrastive divergence", arXiv:2211.02174, which is not published.
#[derive(Module, Debug)]
pub struct IndependentSamples {
    /// The number of samples.
    pub samples: usize,
    /// The offsets of the gradient.
    pub centring: Centring,
}

impl<M: Harmonium> Strategy<M> for IndependentSamples {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let rows = model.rows(batch);
        let (n, [_, d]) = (rows.dims()[0] as f64, rows.dims());
        let means = (rows.sum_dim(0) + 1.0) / (n + 2.0);
        let draws = Draws::new(key.child(Role::Start), self.samples, 1);
        let uniform = noise::uniform(&draws, d, means.dtype(), &means.device());
        let x = uniform.lower(means.clone().repeat_dim(0, self.samples)).float().cast(means.dtype());
        let logits = means.clone().log() - (-means.clone() + 1.0).log();
        let all_off = (-means + 1.0).log().sum_dim(1);
        let log_q = (x.clone() * logits).sum_dim(1) + all_off;
        let log_weights = -model.free_energy(x.clone()) - log_q.squeeze_dim::<1>(1);
        let weights = softmax(log_weights, 0);
        let ess = (weights.clone().square().sum() * self.samples as f64).recip();
        let samples = Weighed { x, weights };
        let measured = vec![PROPOSAL_ESS.is(ess)];
        let estimate = contrast(model, batch, samples, (&self.centring, measured));
        Estimate { evaluations: (batch.len() + 2 * self.samples) as u64, ..estimate }
    }

    fn measures(&self) -> &[Measure] {
        &[FREE_ENERGY_GAP, PROPOSAL_ESS]
    }

    fn scope(&self) -> Scope {
        if self.centring.moving.is_some() { Scope::AcrossBatches } else { Scope::Batch }
    }

    fn continuing(&self, other: &Self) -> Self {
        IndependentSamples { samples: self.samples, centring: self.centring.continuing(&other.centring) }
    }
}

/// Chains that go on from one update to the next: `pcd`, also called stochastic maximum likelihood.
#[derive(Module, Debug)]
pub struct PersistentChains {
    /// k, the number of sweeps of each update.
    pub sweeps: usize,
    /// The offsets of the gradient.
    pub centring: Centring,
    /// The states: `[chains, d]`.
    chains: Memory<Tensor<2>>,
}

impl PersistentChains {
    /// Chains that begin at noise, which is drawn under `key`.
    pub fn new<M: Harmonium>(
        model: &M,
        (chains, sweeps): (usize, usize),
        offsets: Offsets,
        key: Key,
    ) -> Self {
        let chains = Memory::new(model.noise(&Draws::new(key.child(Role::Start), chains, 1)));
        PersistentChains { sweeps, centring: Centring::new(model, offsets), chains }
    }

    /// The states of the chains: `[chains, d]`.
    pub fn states(&self) -> Tensor<2> {
        self.chains.get()
    }

    /// Puts the chains at states, `[chains, d]`.
    pub fn put(&self, states: Tensor<2>) {
        self.chains.set(states);
    }

    /// The same with its chains and moving offsets in memories of their own.
    pub fn held(&self) -> Self {
        let chains = Memory::new(self.chains.get());
        PersistentChains { centring: self.centring.held(), chains, ..self.clone() }
    }
}

impl<M: Harmonium> Strategy<M> for PersistentChains {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let start = self.chains.get().cast(model.dtype());
        let chains = start.dims()[0] as u64;
        let samples = sweeps(model, start, self.sweeps, key);
        self.chains.set(samples.clone());
        let estimate = contrast(model, batch, Weighed::equally(samples), (&self.centring, Vec::new()));
        Estimate { evaluations: batch.len() as u64 + chains * (self.sweeps as u64 + 1), ..estimate }
    }

    fn measures(&self) -> &[Measure] {
        &[FREE_ENERGY_GAP]
    }

    fn scope(&self) -> Scope {
        Scope::AcrossBatches
    }

    fn continuing(&self, other: &Self) -> Self {
        let centring = self.centring.continuing(&other.centring);
        PersistentChains { sweeps: self.sweeps, centring, chains: other.chains.clone() }
    }
}

/// Persistent chains at T inverse temperatures `1 = β_0 > ... > β_{T-1} = 0`, equally spaced, by
/// [parallel tempering](helmholtz_samplers::tempering).
///
/// Swaps are judged by `f_β(x) = Σ_h exp(-β E(x, h))`: h is summed out, where the paper compares energies of x and h, so
/// that more swaps are accepted. Chains at β = 1 give the samples.
#[derive(Module, Debug)]
pub struct Tempering {
    /// k, the number of sweeps of each update.
    pub sweeps: usize,
    /// T, the number of temperatures.
    pub temperatures: usize,
    /// The offsets of the gradient.
    pub centring: Centring,
    /// The states, temperature by temperature from β = 1 on: `[temperatures * chains, d]`.
    chains: Memory<Tensor<2>>,
}

impl Tempering {
    /// `chains` chains at each of `temperatures` temperatures, which begin at noise that is drawn under `key`.
    ///
    /// # Panics
    /// If there are fewer than two temperatures.
    pub fn new<M: Harmonium>(
        model: &M,
        (temperatures, chains, sweeps): (usize, usize, usize),
        offsets: Offsets,
        key: Key,
    ) -> Self {
        assert!(temperatures >= 2, "tempering needs at least two temperatures");
        let noise = model.noise(&Draws::new(key.child(Role::Start), temperatures * chains, 1));
        let chains = Memory::new(noise);
        Tempering { sweeps, temperatures, centring: Centring::new(model, offsets), chains }
    }

    /// The states of all chains, temperature by temperature: `[temperatures * chains, d]`.
    pub fn states(&self) -> Tensor<2> {
        self.chains.get()
    }

    /// Puts the chains at states, `[temperatures * chains, d]`.
    pub fn put(&self, states: Tensor<2>) {
        self.chains.set(states);
    }

    /// The same with its chains and moving offsets in memories of their own.
    pub fn held(&self) -> Self {
        let chains = Memory::new(self.chains.get());
        Tempering { centring: self.centring.held(), chains, ..self.clone() }
    }

    /// Sweeps and swaps all chains once, with the even pairs of neighbours or the odd ones.
    ///
    /// # Shapes
    /// - `x`: `[temperatures * chains, d]`
    pub fn advance<M: Harmonium>(
        &self,
        model: &M,
        x: Tensor<2>,
        is_odd: bool,
        key: Key,
    ) -> (Tensor<2>, Swaps) {
        let chains = x.dims()[0] / self.temperatures;
        advance(&Temperatures::even(BlockGibbs { model }, self.temperatures), x, chains, is_odd, key)
    }
}

impl<M: Harmonium> Strategy<M> for Tempering {
    fn estimate(&self, model: &M, batch: &Batch, key: Key) -> Estimate {
        let mut x = self.chains.get().cast(model.dtype());
        let all = x.dims()[0];
        let mut swaps = Swaps::default();
        for sweep in 0..self.sweeps as u64 {
            let turn = batch.step.wrapping_mul(self.sweeps as u64).wrapping_add(sweep);
            let (next, swapped) = self.advance(model, x, turn % 2 == 1, key.child(Role::Chain).child(sweep));
            x = next;
            swaps.add(&swapped);
        }
        self.chains.set(x.clone());
        let cold = x.narrow(0, 0, all / self.temperatures);
        // Two temperatures have no odd pair, and so no swaps in every other update.
        let acceptance = swaps
            .acceptance()
            .map(|share| SWAP_ACCEPTANCE.is(Tensor::full([1], share, (&model.device(), model.dtype()))));
        let estimate = contrast(
            model,
            batch,
            Weighed::equally(cold),
            (&self.centring, acceptance.into_iter().collect()),
        );
        let evaluations = batch.len() + all * self.sweeps + all / self.temperatures;
        Estimate { evaluations: evaluations as u64, ..estimate }
    }

    fn measures(&self) -> &[Measure] {
        &[FREE_ENERGY_GAP, SWAP_ACCEPTANCE]
    }

    fn scope(&self) -> Scope {
        Scope::AcrossBatches
    }

    fn continuing(&self, other: &Self) -> Self {
        let centring = self.centring.continuing(&other.centring);
        let Tempering { sweeps, temperatures, .. } = *self;
        Tempering { sweeps, temperatures, centring, chains: other.chains.clone() }
    }
}
