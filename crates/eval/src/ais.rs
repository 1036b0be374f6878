//! `log p(x)` by annealed importance sampling in the space of the noise.
//!
//! Where latents are `h = g(ξ, x)` with `ξ ~ N(0, I)`, chains pass through the laws
//!
//! ```text
//! f_b(ξ) = N(ξ; 0, I) w(ξ)^b,   w(ξ) = p(x, g(ξ, x)) / q(g(ξ, x) | x),   0 = b_0 < b_1 < ... < b_T = 1
//! ```
//!
//! of which the first is q itself, drawn from exactly, and the last is the posterior with the factor p(x):
//! `∫ f_1 / ∫ f_0 = p(x)`. A chain begins at `ξ_0 ~ N(0, I)` and collects its weight before each move,
//!
//! ```text
//! log W = Σ_t (b_t - b_{t-1}) log w(ξ_{t-1}),   ξ_t from ξ_{t-1} by a step of Hamiltonian Monte Carlo under f_{b_t}
//! ```
//!
//! (none after the last weight). `E W = p(x)` exactly, whatever the steps and however few; `log 1/C Σ_c W_c` over C
//! chains is low on average, by about half the relative variance of the mean, and both fall as T grows. T = 1 is
//! importance sampling from q with C samples, under the same noise.
//!
//! # Where it differs from the literature
//! Wu et al. begin at the prior, `f_b(h) = p(h) p(x | h)^b` over the latents of one layer. Here the chain begins at
//! q, which is nearer to the posterior, and moves in noise, that is in coordinates in which q is the standard normal
//! law: a posterior that q fits is round and wide as the prior is, and one step size serves all directions. It
//! asks for a recognition net, and nothing of the model's layers, of which there may be any number. A mode of the
//! posterior that q does not reach may be missed, where chains from the prior would find it; and a q much narrower
//! than the posterior asks for many temperatures, for the stated error is then too small, as in importance sampling.
//!
//! Step sizes are not adapted in the run that counts: that would leave a bias ([`hmc`](helmholtz_samplers::hmc)).
//! A preliminary run of the row's own, over a tenth of the temperatures and at least a hundred (or all, where there
//! are fewer), with draws of its own, seeks an acceptance of 0.65 at each temperature by the mean over the row's
//! chains; its sizes, interpolated, are constants of the run that counts.
//!
//! # Temperatures
//! They are denser at both ends by the sigmoid of Wu et al., `b_t ∝ σ(δ (2 t / T - 1)) - σ(-δ)` with δ = 4. A q wider
//! than the posterior has the variance of log w largest at b = 0, a narrower one at b = 1.
//!
//! # Draws
//! They are keyed by the row's own number and the chain's own number, and no chain depends on another row. That alone
//! would not give a row the same estimate in any company: matrix products of another size round otherwise, and
//! over thousands of leapfrog steps the last bit grows until a chain goes another way, as good as the first. So
//! where tensors lie in host memory rows are annealed one by one, on all threads: the estimate of a row is the same to
//! the bit whatever the other rows. On other devices they pass in chunks, and are the same in the same chunk.
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
use helmholtz_core::{Draws, Key, Reparameterized, Role};
use helmholtz_ops::noise::normal;
use helmholtz_ops::rows::repeat_rows;
use helmholtz_ops::{in_host_memory, into_f64};
use helmholtz_samplers::NoiseSpace;
use helmholtz_samplers::hmc::{Adaptation, Hmc, LogDensity, Position, Tempered};

use crate::importance::{Reading, RowEstimate, RowWeights, ZeroWeight};

/// Annealed importance sampling with C chains for each row.
#[derive(Clone, Debug)]
pub struct AnnealedImportanceSampling {
    /// Chains of each row, C.
    pub chains: usize,
    /// Temperatures above the first, T; a chain makes T - 1 moves.
    pub temperatures: usize,
    /// The moves.
    pub hmc: Hmc,
    /// The share of moves that the preliminary run seeks to accept.
    pub acceptance: f64,
    /// Matrix rows, that is chains, in flight at a time, but at least those of one row: what bounds the memory. Where
    /// tensors lie in host memory a thread has those of one row.
    pub chunk: usize,
}

/// What annealing found of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnealedRow {
    /// The estimate, whose samples are chains.
    pub estimate: RowEstimate,
    /// Mean acceptance of the moves; none where T = 1.
    pub acceptance: Option<f64>,
}

/// The weights of chains.
#[derive(Clone, Debug)]
pub struct AnnealedChains {
    /// `log W` of each chain, the chains of a row side by side.
    pub log_weights: Vec<f64>,
    /// Mean acceptance of each chain's moves; empty where T = 1.
    pub acceptance: Vec<f64>,
}

/// How far the schedule bends, δ; "On the quantitative analysis of decoder-based generative models" has the same.
const BEND: f64 = 4.0;
/// Change of log ε in the preliminary run for each unit of acceptance: it forgets in about ten moves.
const GAIN: f64 = 0.2;
/// Temperatures of the preliminary run, at least, if there are as many.
const FEWEST_PRELIMINARY: usize = 100;
/// Weights are added up on the device for so many temperatures before they are added to sums in double precision.
const AT_ONCE: usize = 50;

/// b at a share of the way from q to the posterior, from 0 at 0 to 1 at 1.
pub fn inverse_temperature(share: f64) -> f64 {
    // σ(a) = (1 + tanh(a / 2)) / 2: differences of σ are differences of tanh.
    let end = (0.5 * BEND).tanh();
    0.5 * (1.0 + (0.5 * BEND * (2.0 * share - 1.0)).tanh() / end)
}

impl AnnealedImportanceSampling {
    /// C chains over T temperatures, by 10 leapfrog steps at an acceptance of 0.65, in chunks of 4000 chains.
    ///
    /// # Panics
    /// If there are no chains or no temperatures.
    pub fn new(chains: usize, temperatures: usize) -> Self {
        assert!(chains > 0 && temperatures > 0, "annealing needs a chain and a temperature");
        AnnealedImportanceSampling { chains, temperatures, hmc: Hmc::new(10), acceptance: 0.65, chunk: 4000 }
    }

    /// Estimates each row of `x`, whose own numbers are `rows`.
    ///
    /// `on_pairs` hears how many (row, temperature) pairs are done, and how many are planned; those of the
    /// preliminary run count as the others.
    ///
    /// # Errors
    /// If the weights of all chains of a row are zero or not numbers: such a row must not vanish in a mean.
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

    /// Rows that pass through the model together.
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

    /// Rows one by one, on all threads.
    ///
    /// Each has a thread to itself: its matrix products are too small to be shared, and then they round alike
    /// whatever the number of threads.
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
                let heard = || on_rows.lock().expect("nobody panicked with the lock")(1);
                let x = x.clone().slice(i..i + 1);
                let row = self.together(&model, x, &rows[i..i + 1], key, heard);
                if row.is_err() {
                    // No other row is begun.
                    next.store(rows.len(), Ordering::Relaxed);
                }
                found.push((i, row));
            }
        };
        let mut found = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads)
                .map(|_| {
                    let (model, work) = (model.clone(), &work);
                    // A pool of one thread, so that what runs in it does not spread over the others.
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

    /// The weights of chains that begin at `start`, whose weights have the logarithm `target`: what
    /// [`estimate`](Self::estimate) does with `log w` of a model.
    ///
    /// `on_temperature` is called after every temperature, those of the preliminary run included.
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
        let sizes = self.step_sizes(target, &start, draws, &mut on_temperature);
        let n_moves = self.temperatures - 1;
        let mut at = Position::of(target, start);
        let zeros = at.log_density.zeros_like();
        let (mut weights, mut acceptance) = (zeros.clone(), zeros.clone());
        let mut log_weights = vec![0.0; draws.len()];
        let share = |t: usize| t as f64 / self.temperatures as f64;
        for t in 1..=self.temperatures {
            let b = inverse_temperature(share(t));
            weights = weights + at.log_density.clone() * (b - inverse_temperature(share(t - 1)));
            if t % AT_ONCE == 0 || t == self.temperatures {
                let part = into_f64(std::mem::replace(&mut weights, zeros.clone()));
                log_weights.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            if t <= n_moves {
                let size = sizes.at(share(t), self.chains);
                let law = Tempered { power: b, normal: 1.0 };
                let (next, moved) = self.hmc.step(target, law, at, size, &draws.child(Role::Chain).child(t));
                at = next;
                acceptance = acceptance + moved.acceptance;
            }
            on_temperature();
        }
        let acceptance = if n_moves == 0 { Vec::new() } else { into_f64(acceptance / n_moves as f64) };
        AnnealedChains { log_weights, acceptance }
    }

    /// Temperatures of the preliminary run.
    fn preliminary(&self) -> usize {
        match self.temperatures {
            1 => 0,
            t => t.div_ceil(10).max(FEWEST_PRELIMINARY).min(t),
        }
    }

    /// Step sizes by a preliminary run, for each row and along the way to the posterior.
    fn step_sizes(
        &self,
        target: &impl LogDensity,
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
        let mut at = Position::of(target, normal(&draws, d, dtype, &device));
        let mut log_size = Tensor::full([n], Adaptation::first_step_size(d).ln(), (&device, dtype));
        for t in 1..=steps {
            let b = inverse_temperature(t as f64 / steps as f64);
            let size = repeated(log_size.clone().exp(), chains);
            let law = Tempered { power: b, normal: 1.0 };
            let (next, moved) = self.hmc.step(target, law, at, size, &draws.child(Role::Chain).child(t));
            at = next;
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
    /// What the chains of the i-th row say of it.
    fn row(&self, i: usize, row: u64, chains: usize) -> Result<AnnealedRow, ZeroWeight> {
        let part = i * chains..(i + 1) * chains;
        let mut weights = RowWeights::default();
        self.log_weights[part.clone()].iter().for_each(|&log_weight| weights.push(log_weight));
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
