//! `log p(x)` by annealed importance sampling in the space of the noise.
//!
//! If the latents are `h = g(ξ, x)` with `ξ ~ N(0, I)`, chains pass through the distributions
//!
//! ```text
//! f_b(ξ) = N(ξ; 0, I) w(ξ)^b,   w(ξ) = p(x, g(ξ, x)) / q(g(ξ, x) | x),   0 = b_0 < b_1 < ... < b_T = 1
//! ```
//!
//! The first is q itself, which is sampled exactly, and the last is the posterior times p(x):
//! `∫ f_1 / ∫ f_0 = p(x)`. A chain begins at `ξ_0 ~ N(0, I)` and updates its weight before each move:
//!
//! ```text
//! log W = Σ_t (b_t - b_{t-1}) log w(ξ_{t-1}),   ξ_t from ξ_{t-1} by a step of Hamiltonian Monte Carlo under f_{b_t}
//! ```
//!
//! There is no move after the last weight. `E W = p(x)` exactly, whatever the moves and however few.
//! `log 1/C Σ_c W_c` over C chains is too low on average, by about half the relative variance of the mean; both fall
//! as T grows. T = 1 is importance sampling from q with C samples, under the same noise.
//!
//! # Where it differs from the literature
//! Wu et al. begin at the prior, `f_b(h) = p(h) p(x | h)^b` over the latents of one layer. Here the chain begins at
//! q, which is nearer to the posterior. It moves in the noise, that is in coordinates in which q is the standard
//! normal distribution: if q fits the posterior, the latter is as round and wide there as the prior, and one step
//! size suits all directions. This needs a recognition net, and nothing from the model's layers, of which there may
//! be any number. It may miss a mode of the posterior that q does not reach and that chains from the prior would
//! find. A q much narrower than the posterior needs many temperatures, because the stated error is too small with
//! few, as in importance sampling.
//!
//! Step sizes are not adapted in the run whose weights count: that would leave a bias
//! ([`hmc`](helmholtz_samplers::hmc)). Each row has a preliminary run, with its own draws, over a tenth of the
//! temperatures and at least a hundred (or all, if there are fewer). It aims at an acceptance of 0.65 at each
//! temperature, averaged over the row's chains. Its step sizes, interpolated, are constants of the run whose weights
//! count.
//!
//! # Temperatures
//! They are denser at both ends, by the sigmoid of Wu et al., `b_t ∝ σ(δ (2 t / T - 1)) - σ(-δ)` with δ = 4. The
//! variance of log w is largest at b = 0 if q is wider than the posterior, and at b = 1 if it is narrower.
//!
//! # Draws
//! They are keyed by the row's own number and the chain's own number, and no chain depends on another row. That alone
//! would not make the estimate of a row independent of the rows beside it: matrix products of another size round
//! differently, and over thousands of leapfrog steps the last bit grows until a chain takes another path, as good as
//! the first. So if tensors are in host memory, rows are annealed one by one, on all threads: the estimate of a row
//! is the same to the bit whatever the other rows. On other devices rows are annealed in chunks, and are the same in
//! the same chunk.
//!
//! # References
//! R. M. Neal, "Annealed importance sampling", Statistics and Computing 11, 2001, arXiv:physics/9803008.
//! Wu, Burda, Salakhutdinov, Grosse, "On the quantitative analysis of decoder-based generative models", ICLR 2017,
//! arXiv:1611.04273.
//! Ruiz, Titsias, Cemgil, Doucet, "Unbiased gradient estimation for variational auto-encoders using coupled Markov
//! chains", UAI 2021 (16 chains, 10 000 temperatures, 10 leapfrog steps, an acceptance of 0.65).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use burn::tensor::Tensor;
use helmholtz_core::{Draws, InverseTemperature, Kernel, Key, Reparameterized, Role};
use helmholtz_ops::noise::normal;
use helmholtz_ops::rows::repeat_rows;
use helmholtz_ops::{in_host_memory, into_f64};
use helmholtz_samplers::NoiseSpace;
use helmholtz_samplers::hmc::{Adaptation, Hmc, HmcKernel, LogDensity};

use crate::annealing::log_weights;
use crate::importance::{Reading, RowWeights, ZeroWeight};
use crate::row::RowEstimate;

/// Annealed importance sampling with C chains for each row.
#[derive(Clone, Debug)]
pub struct AnnealedImportanceSampling {
    /// Chains of each row, C.
    pub chains: usize,
    /// Temperatures above the first, T; a chain makes T - 1 moves.
    pub temperatures: usize,
    /// The moves.
    pub hmc: Hmc,
    /// The acceptance that the preliminary run aims at, as a share of the moves.
    pub acceptance: f64,
    /// Matrix rows, that is chains, processed at a time, but at least those of one row. This bounds the memory.
    /// If tensors are in host memory, a thread processes those of one row.
    pub chunk: usize,
}

/// The result of annealing for a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnealedRow {
    /// The estimate, whose samples are chains.
    pub estimate: RowEstimate,
    /// Mean acceptance of the moves; not set if T = 1.
    pub acceptance: Option<f64>,
}

/// The weights of chains.
#[derive(Clone, Debug)]
pub struct AnnealedChains {
    /// `log W` of each chain, the chains of a row side by side.
    pub log_weights: Vec<f64>,
    /// Mean acceptance of each chain's moves; empty if T = 1.
    pub acceptance: Vec<f64>,
}

/// How far the schedule bends, δ; the same as in "On the quantitative analysis of decoder-based generative models".
const BEND: f64 = 4.0;
/// Change of log ε in the preliminary run for each unit of acceptance; the run forgets in about ten moves.
const GAIN: f64 = 0.2;
/// The fewest temperatures of the preliminary run, if the run has as many.
const FEWEST_PRELIMINARY: usize = 100;

/// b at a share of the way from q to the posterior; 0 at 0 and 1 at 1.
pub fn inverse_temperature(share: f64) -> f64 {
    // σ(a) = (1 + tanh(a / 2)) / 2: differences of σ are differences of tanh.
    let end = (0.5 * BEND).tanh();
    0.5 * (1.0 + (0.5 * BEND * (2.0 * share - 1.0)).tanh() / end)
}

impl AnnealedImportanceSampling {
    /// C chains over T temperatures, with 10 leapfrog steps, a target acceptance of 0.65, and chunks of 4000 chains.
    ///
    /// # Panics
    /// If there are no chains or no temperatures.
    pub fn new(chains: usize, temperatures: usize) -> Self {
        assert!(chains > 0 && temperatures > 0, "annealing needs at least one chain and one temperature");
        AnnealedImportanceSampling { chains, temperatures, hmc: Hmc::new(10), acceptance: 0.65, chunk: 4000 }
    }

    /// Estimates each row of `x`, whose own numbers are `rows`.
    ///
    /// `on_pairs` is called with the number of (row, temperature) pairs that are done, and the number planned. Those of
    /// the preliminary run are included.
    ///
    /// # Errors
    /// If the weights of all chains of a row are zero or not finite: such a row must not vanish in a mean.
    pub fn estimate<M: Reparameterized>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
        mut on_pairs: impl FnMut(u64, u64) + Send,
    ) -> Result<Vec<AnnealedRow>, ZeroWeight> {
        let [n, _] = x.dims();
        assert_eq!(n, rows.len(), "one number for each row");
        let planned = (n * (self.preliminary() + self.temperatures)) as u64;
        let mut done = 0;
        let on_rows = move |rows: usize| {
            done += rows as u64;
            on_pairs(done, planned);
        };
        if in_host_memory(&model.device()) {
            return self.row_by_row(model, x, &rows, key, on_rows);
        }
        let mut on_rows = on_rows;
        let mut found = Vec::with_capacity(n);
        for numbers in rows.chunks((self.chunk / self.chains).max(1)) {
            let part = x.clone().slice(found.len()..found.len() + numbers.len());
            found.extend(self.together(model, part, numbers, key, || on_rows(numbers.len()))?);
        }
        Ok(found)
    }

    /// Estimates rows that go through the model together.
    fn together<M: Reparameterized>(
        &self,
        model: &M,
        x: Tensor<2>,
        numbers: &[u64],
        key: Key,
        on_temperature: impl FnMut(),
    ) -> Result<Vec<AnnealedRow>, ZeroWeight> {
        let draws = Draws::of_rows(key, numbers, self.chains);
        let start = normal(&draws, model.noise_units(), model.dtype(), &model.device());
        let annealed = self.anneal(&NoiseSpace::new(model, x), start, &draws, on_temperature);
        numbers.iter().enumerate().map(|(i, &row)| annealed.row(i, row, self.chains)).collect()
    }

    /// Estimates rows one by one, on all threads.
    ///
    /// Each row has a thread to itself: its matrix products are too small to be split between threads, and so they
    /// round alike whatever the number of threads.
    fn row_by_row<M: Reparameterized>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: &[u64],
        key: Key,
        on_rows: impl FnMut(usize) + Send,
    ) -> Result<Vec<AnnealedRow>, ZeroWeight> {
        let n_threads = rayon::current_num_threads().min(rows.len());
        let (on_rows, next) = (Mutex::new(on_rows), AtomicUsize::new(0));
        let work = |model: M| -> Vec<(usize, Result<Vec<AnnealedRow>, ZeroWeight>)> {
            let mut found = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= rows.len() {
                    return found;
                }
                let heard = || on_rows.lock().expect("no thread panicked while it held the lock")(1);
                let x = x.clone().slice(i..i + 1);
                let row = self.together(&model, x, &rows[i..i + 1], key, heard);
                if row.is_err() {
                    // Begin no other row.
                    next.store(rows.len(), Ordering::Relaxed);
                }
                found.push((i, row));
            }
        };
        let mut found = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads)
                .map(|_| {
                    let (model, work) = (model.clone(), &work);
                    // A pool of one thread, so that its work does not spread over the others.
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                    let pool = pool.expect("a thread can be started");
                    scope.spawn(move || pool.install(|| work(model)))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        found.sort_unstable_by_key(|&(i, _)| i);
        let rows: Result<Vec<_>, _> = found.into_iter().map(|(_, row)| row).collect();
        Ok(rows?.concat())
    }

    /// The weights of chains that begin at `start`, with `target` as `log w`. [`estimate`](Self::estimate) does this
    /// with the `log w` of a model.
    ///
    /// `on_temperature` is called after every temperature, including those of the preliminary run.
    ///
    /// # Shapes
    /// - `start`: `[n * C, d]`, standard normals, one row for each cell of `draws`
    pub fn anneal(
        &self,
        target: &impl LogDensity,
        start: Tensor<2>,
        draws: &Draws,
        mut on_temperature: impl FnMut(),
    ) -> AnnealedChains {
        assert_eq!(start.dims()[0], draws.len(), "one start for each chain");
        assert_eq!(draws.k(), self.chains, "C chains for each row");
        let kernel = HmcKernel { hmc: self.hmc, target, normal: 1.0 };
        let sizes = self.step_sizes(&kernel, &start, draws, &mut on_temperature);
        let n_moves = self.temperatures - 1;
        let share = |t: usize| t as f64 / self.temperatures as f64;
        let mut state = kernel.at(start);
        let mut acceptance = state.at.log_density.zeros_like();
        if n_moves > 0 {
            state.step_size = sizes.at(share(1), self.chains);
        }
        let temperatures: Vec<f64> = (1..=self.temperatures).map(|t| inverse_temperature(share(t))).collect();
        let log_weights = log_weights(&kernel, state, &temperatures, draws, |t, state, moved| {
            if let Some(moved) = moved {
                acceptance = acceptance.clone() + moved.acceptance;
            }
            if t < n_moves {
                state.step_size = sizes.at(share(t + 1), self.chains);
            }
            on_temperature();
        });
        let acceptance = if n_moves == 0 { Vec::new() } else { into_f64(acceptance / n_moves as f64) };
        AnnealedChains { log_weights, acceptance }
    }

    /// Number of temperatures of the preliminary run.
    fn preliminary(&self) -> usize {
        match self.temperatures {
            1 => 0,
            t => t.div_ceil(10).max(FEWEST_PRELIMINARY).min(t),
        }
    }

    /// Step sizes from a preliminary run, for each row and along the way to the posterior.
    fn step_sizes(
        &self,
        kernel: &HmcKernel<'_, impl LogDensity>,
        start: &Tensor<2>,
        draws: &Draws,
        on_temperature: &mut impl FnMut(),
    ) -> StepSizes {
        let draws = draws.child("preliminary");
        let ([_, d], n, chains) = (start.dims(), draws.n_rows(), self.chains);
        let steps = self.preliminary();
        let mut log_sizes: Vec<Tensor<1>> = Vec::with_capacity(steps);
        if steps == 0 {
            return StepSizes { log_sizes };
        }
        let adaptation = Adaptation { target: self.acceptance, gain: GAIN };
        let (dtype, device) = (start.dtype(), start.device());
        let mut state = kernel.at(normal(&draws, d, dtype, &device));
        let mut log_size = Tensor::full([n], Adaptation::first_step_size(d).ln(), (&device, dtype));
        for t in 1..=steps {
            let b = inverse_temperature(t as f64 / steps as f64);
            state.step_size = repeated(log_size.clone().exp(), chains);
            let draws = draws.child(Role::Chain).child(t);
            let (next, moved) = kernel.step(state, &InverseTemperature::Same(b), &draws);
            state = next;
            let acceptance = moved.acceptance.reshape([n, chains]).mean_dim(1).squeeze_dim::<1>(1);
            log_sizes.push(log_size.clone());
            log_size = adaptation.next(log_size, acceptance);
            on_temperature();
        }
        StepSizes { log_sizes }
    }
}

/// log ε of each row at even shares `1/n, 2/n, ..., 1` of the way.
struct StepSizes {
    log_sizes: Vec<Tensor<1>>,
}

impl StepSizes {
    /// ε of each chain at a share of the way, by linear interpolation of the logarithms: `[n * C]`.
    fn at(&self, share: f64, chains: usize) -> Tensor<1> {
        let n = self.log_sizes.len();
        let place = (share * n as f64 - 1.0).clamp(0.0, (n - 1) as f64);
        let (low, part) = (place as usize, place.fract());
        let low_size = self.log_sizes[low].clone();
        let log_size = match self.log_sizes.get(low + 1) {
            Some(high) if part > 0.0 => low_size * (1.0 - part) + high.clone() * part,
            _ => low_size,
        };
        repeated(log_size.exp(), chains)
    }
}

impl AnnealedChains {
    /// The estimate of the i-th row from its chains.
    fn row(&self, i: usize, row: u64, chains: usize) -> Result<AnnealedRow, ZeroWeight> {
        let part = i * chains..(i + 1) * chains;
        let weights = RowWeights::of(&self.log_weights[part.clone()]);
        let estimate = weights.checked(row)?.estimate(Reading::Directed);
        let acceptance = self.acceptance.get(part).map(|part| part.iter().sum::<f64>() / chains as f64);
        Ok(AnnealedRow { estimate, acceptance })
    }
}

/// Each number k times in a row.
fn repeated(numbers: Tensor<1>, k: usize) -> Tensor<1> {
    repeat_rows(numbers.unsqueeze_dim(1), k).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_go_from_q_to_the_posterior_and_are_denser_at_both_ends() {
        let b: Vec<f64> = (0..=100).map(|t| inverse_temperature(f64::from(t) / 100.0)).collect();
        assert!(b[0] == 0.0 && b[100] == 1.0 && (b[50] - 0.5).abs() < 1e-15);
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        for t in 0..100 {
            let step = b[t + 1] - b[t];
            assert!(step > 0.0 && (step - (b[100 - t] - b[99 - t])).abs() < 1e-15, "{t}");
            assert!(t >= 50 || t == 0 || step > b[t] - b[t - 1], "{t}");
            // The formula of the paper.
            let paper =
                (sigmoid(4.0 * (0.02 * t as f64 - 1.0)) - sigmoid(-4.0)) / (sigmoid(4.0) - sigmoid(-4.0));
            assert!((b[t] - paper).abs() < 1e-14, "{t}");
        }
    }

    #[test]
    fn a_preliminary_run_is_a_tenth_or_a_hundred_and_never_more_than_the_run() {
        let of = |t| AnnealedImportanceSampling::new(1, t).preliminary();
        assert_eq!([1, 2, 50, 300, 1000, 10_000].map(of), [0, 2, 50, 100, 100, 1000]);
    }
}
