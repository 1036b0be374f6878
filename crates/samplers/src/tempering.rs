//! Parallel tempering: chains of a ladder of laws that exchange states.
//!
//! A [`Ladder`] has T laws with densities f_0, ..., f_{T-1} on the same states. f_0 is the law to sample. Each law has
//! chains of its own. After every chain has moved by a kernel of its law, the states of neighbours are swapped with
//! probability
//!
//! ```text
//! min(1, f_i(x') f_{i+1}(x) / (f_i(x) f_{i+1}(x'))),    x at level i, x' at level i + 1
//! ```
//!
//! which leaves the product of all laws invariant, whatever they are. The even pairs (0, 1), (2, 3), ... and the odd
//! pairs take turns: so a state can go the whole way down, and does so faster than if pairs were chosen at random.
//! Chain c of a level swaps with chain c of the next.
//!
//! | ladder | levels |
//! | --- | --- |
//! | [`Temperatures`] | one kernel at inverse temperatures `1 = β_0 > ... > β_{T-1} = 0` |
//! | [`Trajectory`](crate::Trajectory) | models of one training, the last one first |
//!
//! A ladder helps if its last law mixes fast and if swaps are accepted all the way. [`Swaps`] counts them for each pair
//! of neighbours, because the rarest decides.
//!
//! # References
//! Geyer, "Markov chain Monte Carlo maximum likelihood", Computing Science and Statistics 23, 1991.
//! Desjardins, Courville, Bengio, Vincent, Delalleau, "Tempered Markov chain Monte Carlo for training of restricted
//! Boltzmann machines", AISTATS 2010.
//! Syed, Bouchard-Côté, Deligiannidis, Doucet, "Non-reversible parallel tempering: a scalable highly parallel MCMC
//! scheme", JRSS B 84, 2022, arXiv:1905.02939 (even and odd pairs in turn).

use burn::tensor::{Int, Tensor, TensorData};
use helmholtz_core::{Draws, InverseTemperature, Kernel, Key, Role};
use helmholtz_noise::fill_uniform;
use helmholtz_ops::into_f64;

/// Laws on the same states, neighbours of which overlap. Chains are in the order of the levels: those of f_0 first.
pub trait Ladder {
    /// The states of the chains of all levels.
    type State;

    /// T, the number of levels.
    fn levels(&self) -> usize;

    /// A move of each chain that leaves the law of its level invariant.
    fn step(&self, state: Self::State, draws: &Draws) -> Self::State;

    /// `log f` of each chain under the level before its own, its own and the level after, in nats: `[n, 3]`. Where there is
    /// no level before or after, its own takes that place. A summand that is the same for all levels may be missing.
    fn log_densities(&self, state: &Self::State) -> Tensor<2>;

    /// Puts each chain at the point of another: the i-th at that of chain `from[i]`.
    fn select(&self, state: Self::State, from: Tensor<1, Int>) -> Self::State;
}

/// Swaps between neighbouring levels, for each pair of neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swaps {
    /// The number accepted.
    pub accepted: Vec<u64>,
    /// The number tried.
    pub tried: Vec<u64>,
}

impl Swaps {
    /// Adds those of another step.
    pub fn add(&mut self, other: &Swaps) {
        for (own, other) in [(&mut self.accepted, &other.accepted), (&mut self.tried, &other.tried)] {
            own.resize(own.len().max(other.len()), 0);
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
    }

    /// The share accepted of all that were tried; `None` if there were none.
    pub fn acceptance(&self) -> Option<f64> {
        share(self.accepted.iter().sum(), self.tried.iter().sum())
    }

    /// The share accepted of each pair of neighbours; `None` for a pair that had no turn.
    pub fn of_pairs(&self) -> Vec<Option<f64>> {
        self.accepted.iter().zip(&self.tried).map(|(accepted, tried)| share(*accepted, *tried)).collect()
    }
}

fn share(accepted: u64, tried: u64) -> Option<f64> {
    (tried > 0).then(|| accepted as f64 / tried as f64)
}

/// Moves all chains, and swaps the even pairs of neighbours or the odd ones.
///
/// `state` holds `chains` chains for each level. `key` is one that no other step has.
pub fn advance<L: Ladder>(
    ladder: &L,
    state: L::State,
    chains: usize,
    is_odd: bool,
    key: Key,
) -> (L::State, Swaps) {
    let (levels, n) = (ladder.levels(), ladder.levels() * chains);
    let state = ladder.step(state, &Draws::new(key, n, 1));
    let log_f = ladder.log_densities(&state);
    let device = log_f.device();
    // Differences of log-densities in double precision: the densities of a machine in single precision have few digits
    // after the point.
    let log_f = into_f64(log_f);
    let mut uniforms = vec![0.0f64; n];
    fill_uniform(key.child(Role::Accept), 0, 0, &mut uniforms);
    let mut from: Vec<i64> = (0..n as i64).collect();
    let mut swaps = Swaps { accepted: vec![0; levels - 1], tried: vec![0; levels - 1] };
    for level in (usize::from(is_odd)..levels - 1).step_by(2) {
        for chain in 0..chains {
            let (own, next) = (level * chains + chain, (level + 1) * chains + chain);
            let gain = log_f[3 * own + 2] - log_f[3 * own + 1] + log_f[3 * next] - log_f[3 * next + 1];
            if uniforms[own].ln() < gain {
                from.swap(own, next);
                swaps.accepted[level] += 1;
            }
        }
        swaps.tried[level] = chains as u64;
    }
    (ladder.select(state, Tensor::from_data(from.as_slice(), &device)), swaps)
}

/// A kernel at inverse temperatures.
#[derive(Clone, Debug)]
pub struct Temperatures<K> {
    kernel: K,
    betas: Vec<f64>,
}

impl<K: Kernel> Temperatures<K> {
    /// A kernel at the given inverse temperatures, that of the law to sample first.
    ///
    /// # Panics
    /// If there are fewer than two.
    pub fn new(kernel: K, betas: Vec<f64>) -> Self {
        assert!(betas.len() >= 2, "tempering needs at least two temperatures");
        Temperatures { kernel, betas }
    }

    /// A kernel at `levels` inverse temperatures, equally spaced from 1 to 0.
    ///
    /// # Panics
    /// If there are fewer than two.
    pub fn even(kernel: K, levels: usize) -> Self {
        let beta = |level: usize| 1.0 - level as f64 / (levels - 1) as f64;
        Temperatures::new(kernel, (0..levels).map(beta).collect())
    }

    /// The inverse temperatures, that of the law to sample first.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// A row for each chain, with the inverse temperatures of the levels at these distances from its own: `[n, k]`.
    fn rows(&self, state: &K::State, distances: &[isize]) -> Tensor<2> {
        let like = self.kernel.positions(state);
        let (n, last) = (like.dims()[0], self.betas.len() - 1);
        let of = |level: usize| {
            distances.iter().map(move |&by| self.betas[level.saturating_add_signed(by).min(last)])
        };
        let values: Vec<f64> = (0..n).flat_map(|row| of(row * self.betas.len() / n)).collect();
        Tensor::from_data(TensorData::new(values, [n, distances.len()]), (&like.device(), like.dtype()))
    }
}

impl<K: Kernel> Ladder for Temperatures<K> {
    type State = K::State;

    fn levels(&self) -> usize {
        self.betas.len()
    }

    fn step(&self, state: K::State, draws: &Draws) -> K::State {
        let beta = InverseTemperature::Each(self.rows(&state, &[0]).squeeze_dim(1));
        self.kernel.step(state, &beta, draws).0
    }

    fn log_densities(&self, state: &K::State) -> Tensor<2> {
        self.kernel.log_densities(state, self.rows(state, &[-1, 0, 1]))
    }

    fn select(&self, state: K::State, from: Tensor<1, Int>) -> K::State {
        self.kernel.select(state, from)
    }
}
