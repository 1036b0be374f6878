//! Unbiased expectations by two coupled chains.
//!
//! A chain u runs ahead of another, ū, by a lag of L steps. From then on both take their steps together: they share
//! the slot and the fresh draws of [ISIR](crate::isir), and their indices are drawn from the [maximal
//! coupling](crate::coupling). Once they have met they stay together. With `τ = min{t : u_t = ū_{t-L}}` and a
//! burn-in t₀ the estimate of `E_π h` is
//!
//! ```text
//! H = 1/L [ Σ_{t = t₀}^{t₀ + L - 1} h(u_t)  +  Σ_{t = t₀ + L}^{τ - 1} ( h(u_t) - h(ū_{t-L}) ) ]
//! ```
//!
//! with `h(u) = Σ_k w̃_k f(ξ_k)` over all points of a state. Both chains have the same distribution at equal times,
//! so the expectation of the sum telescopes to the limit: H is unbiased at any L, t₀ and number of points, if the
//! weights are bounded. (A chain rarely leaves a state whose weight is far above all others, and then the variance of
//! the estimate may be infinite.)
//!
//! An iteration is one step of ISIR, followed by one of DISIR if β is set. If the two indices are equal and are not
//! the slot of the kept points, the chains continue from one point. With DISIR after ISIR, both have the same state
//! in that very iteration. Without it they do in the next one, because in the first the kept points in the slot still
//! differ. The indices decide this; no points are compared.
//!
//! # Reference
//! Ruiz, Titsias, Cemgil, Doucet, "Unbiased gradient estimation for variational auto-encoders using coupled Markov
//! chains", UAI 2021, arXiv:2010.01845. β is fixed throughout: if it were adapted within a call, ū would take its
//! steps under another β than u did, and the two would not have the same distribution.

use burn::tensor::{Tensor, TensorData};
use helmholtz_core::{Draws, Key, Role};
use helmholtz_noise::fill_uniform;
use helmholtz_ops::into_f64;
use thiserror::Error;

use crate::chains::select;
use crate::choose::{NoWeight, weights};
use crate::coupling::couple;
use crate::isir::Mixing;
use crate::target::Target;

/// Two coupled chains for each row of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoupledChains {
    /// Points of a state, K.
    pub samples: usize,
    /// The correlation β of the DISIR step of an iteration; `None` for ISIR alone.
    pub beta: Option<f64>,
    /// How far one chain is ahead of the other, L.
    pub lag: usize,
    /// The first iteration that counts, t₀; 0 is the state that a chain starts in.
    pub burn_in: usize,
    /// Iterations after which chains that have not met are stopped, which biases the estimate.
    pub cap: usize,
}

/// Invalid settings and targets.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum CoupledError {
    /// A single point.
    #[error("samples = {0}: a chain of a single point never moves; use at least 2 (K >= 2)")]
    TooFewSamples(usize),
    /// No lag.
    #[error("lag = 0: the estimate is a sum over `lag` iterations; use at least 1")]
    NoLag,
    /// A cap before the chains could meet.
    #[error(
        "cap = {cap}: with lag = {lag} and burn_in = {burn_in} the estimate needs at least {} iterations, \
         lag + burn_in; raise cap", lag + burn_in
    )]
    Cap {
        /// The cap.
        cap: usize,
        /// L.
        lag: usize,
        /// t₀.
        burn_in: usize,
    },
    /// A correlation outside of (0, 1).
    #[error("beta = {0}: the correlation of DISIR must lie in (0, 1)")]
    Beta(f64),
    /// Points that cannot be correlated.
    #[error(
        "DISIR needs proposals that are standard normal, and those of this model are not; use ISIR alone"
    )]
    NotGaussian,
    /// No point has any weight.
    #[error(transparent)]
    NoWeight(#[from] NoWeight),
}

/// What one iteration adds to the estimates of some rows.
#[derive(Debug)]
pub struct Contribution<'a, K> {
    /// The iteration t of the leading chain.
    pub t: usize,
    /// The rows of the batch.
    pub rows: &'a [usize],
    /// The factor of `f` at each point, `±w̃_k / L` or zero: `[rows, K]`, or `[rows, 2 K]` where the points of the
    /// leading chain are followed by those of the other.
    pub coefficients: Tensor<2>,
    /// What the target has kept of the points.
    pub kept: K,
}

/// When the chains met, and their statistics; one entry for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Meetings {
    /// The iteration τ of the meeting; `None` for chains that were stopped at the cap.
    pub times: Vec<Option<usize>>,
    /// Mean over the iterations of the effective sample size `1 / Σ w̃²` of the leading chain, after its last step, as
    /// a share of K.
    pub ess: Vec<f64>,
    /// Number of points that were weighed, over all rows and both chains.
    pub points: usize,
}

impl CoupledChains {
    /// Returns the same settings if they are valid.
    ///
    /// # Errors
    /// If there are fewer than two points, the lag is 0, the cap is below lag plus burn-in, or β is outside of (0, 1).
    pub fn checked(self) -> Result<Self, CoupledError> {
        let CoupledChains { samples, beta, lag, burn_in, cap } = self;
        if samples < 2 {
            return Err(CoupledError::TooFewSamples(samples));
        }
        if lag == 0 {
            return Err(CoupledError::NoLag);
        }
        if cap < lag + burn_in {
            return Err(CoupledError::Cap { cap, lag, burn_in });
        }
        match beta {
            Some(beta) if !(beta > 0.0 && beta < 1.0) => Err(CoupledError::Beta(beta)),
            _ => Ok(self),
        }
    }

    /// Runs the chains of `batch` rows until the last pair has met, and passes what each iteration adds to `add`.
    ///
    /// The draws are keyed by iteration and row, so the result of a row does not depend on the others. Rows leave when
    /// they are done. Of a state, only the point that a chain is at outlives its iteration.
    ///
    /// # Errors
    /// If the settings are invalid, β is set and the target's proposals are not standard normal, or no point of a row
    /// has any weight.
    pub fn run<T: Target>(
        &self,
        target: &T,
        batch: usize,
        key: Key,
        mut add: impl FnMut(Contribution<'_, T::Kept>),
    ) -> Result<Meetings, CoupledError> {
        self.checked()?;
        if self.beta.is_some() && !target.is_gaussian() {
            return Err(CoupledError::NotGaussian);
        }
        let mut pairs = self.start(target, batch, key, &mut add)?;
        let mut weighed = if self.burn_in == 0 { 2 * self.samples * batch } else { 0 };
        let mut ess = vec![(0.0, 0usize); batch];
        let mut times = vec![None; batch];
        let betas: Vec<f64> = std::iter::once(0.0).chain(self.beta).collect();
        for t in 1..=self.cap {
            for (step, &beta) in betas.iter().enumerate() {
                if pairs.rows.is_empty() {
                    break;
                }
                let step = Step {
                    t,
                    beta,
                    is_last: step + 1 == betas.len(),
                    key: key.child(Role::Chain).child(t).child(step),
                };
                let moved = self.step(target, &pairs, step, &mut add)?;
                weighed += moved.weighed;
                for (i, place) in moved.places.iter().enumerate() {
                    if beta == 0.0 && t > self.lag && pairs.meetings[i].is_none() && place.joins {
                        // After ISIR alone the kept points in the slot still differ.
                        pairs.meetings[i] = Some(if step.is_last { t + 1 } else { t });
                        times[pairs.rows[i]] = pairs.meetings[i];
                    }
                    if step.is_last {
                        let (sum, steps) = &mut ess[pairs.rows[i]];
                        (*sum, *steps) = (*sum + place.ess, *steps + 1);
                    }
                }
                pairs = pairs.moved(moved, self.samples, t > self.lag, |meeting| {
                    // The rest of this iteration, or the next one on, adds nothing.
                    meeting.is_some() && t + usize::from(step.is_last) >= self.burn_in + self.lag
                });
            }
        }
        let ess = ess.into_iter().map(|(sum, steps)| sum / (steps * self.samples) as f64).collect();
        Ok(Meetings { times, ess, points: weighed })
    }

    /// The chains before their first step. Their start counts if there is no burn-in.
    fn start<T: Target>(
        &self,
        target: &T,
        batch: usize,
        key: Key,
        add: &mut impl FnMut(Contribution<'_, T::Kept>),
    ) -> Result<Pairs, CoupledError> {
        let (k, key) = (self.samples, key.child(Role::Start));
        let rows: Vec<usize> = (0..batch).collect();
        let numbers: Vec<u64> = (0..batch as u64).collect();
        let [lead, lag] = [0usize, 1]
            .map(|chain| target.fresh(&rows, &Draws::of_rows(key.child(chain), numbers.clone(), k)));
        if self.burn_in == 0 && batch > 0 {
            let both = lead.iter().zip(&lag).map(|(lead, lag)| side_by_side(lead.clone(), lag.clone(), k));
            let (log_weights, kept) = target.weigh(&rows, both.collect());
            let laws = laws(into_f64(log_weights), &rows, k, 2 * k)?;
            // The start of the second chain is subtracted at t = L, which is before any meeting.
            let signs = rows.iter().map(|_| [1.0, -1.0]);
            add(self.contribution(target, (0, &rows), &laws, signs, kept));
        }
        let choice = key.child(Role::Choice);
        let uniforms: Vec<[f64; 2]> = numbers.iter().map(|&row| cell(choice, row)).collect();
        let chosen = |chain: usize| -> Vec<usize> {
            uniforms.iter().enumerate().map(|(row, u)| row * k + below(k, u[chain])).collect()
        };
        let (lead, lag) = (pick(&lead, &chosen(0)), pick(&lag, &chosen(1)));
        Ok(Pairs { meetings: vec![None; batch], rows, lead, lag })
    }

    /// One step of all running chains: of the leading ones alone up to the lag, and then of both.
    fn step<T: Target>(
        &self,
        target: &T,
        pairs: &Pairs,
        Step { t, beta, is_last, key }: Step,
        add: &mut impl FnMut(Contribution<'_, T::Kept>),
    ) -> Result<Moved, CoupledError> {
        let (k, rows) = (self.samples, &pairs.rows);
        let numbers: Vec<u64> = rows.iter().map(|&row| row as u64).collect();
        let uniforms: Vec<[f64; 4]> = numbers.iter().map(|&row| cell(key.child(Role::Choice), row)).collect();
        let slots: Vec<usize> = uniforms.iter().map(|u| below(k, u[0])).collect();
        let (dtype, device) = target.place();
        let mixing = Mixing::new(&slots, k, beta, dtype, &device);
        let fresh = target.fresh(rows, &Draws::of_rows(key, numbers, k));
        let both = t > self.lag;
        let points = fresh.into_iter().zip(pairs.lead.iter().zip(&pairs.lag)).map(|(fresh, (lead, lag))| {
            if both {
                mixing.apply(&[lead.clone(), lag.clone()], fresh)
            } else {
                mixing.apply(std::slice::from_ref(lead), fresh)
            }
        });
        let points: Vec<Tensor<2>> = points.collect();
        let mut weighed = rows.len() * points_of_row(both, k);
        let laws = if is_last && t >= self.burn_in {
            let (log_weights, kept) = target.weigh(rows, points.clone());
            let laws = laws(into_f64(log_weights), rows, k, points_of_row(both, k))?;
            let signs = pairs.meetings.iter().map(|&meeting| self.signs(t, meeting));
            add(self.contribution(target, (t, rows), &laws, signs, kept));
            laws
        } else if both && beta == 0.0 {
            let apart = points.iter().zip(&pairs.lag).map(|(points, lag)| without_copies(points, lag, k));
            let log_weights = into_f64(target.log_weights(rows, apart.collect()));
            weighed = rows.len() * (k + 1);
            laws(with_copies(&log_weights, &slots, k), rows, k, 2 * k)?
        } else {
            laws(into_f64(target.log_weights(rows, points.clone())), rows, k, points_of_row(both, k))?
        };
        let places = laws.iter().enumerate().map(|(i, laws)| {
            let lead = &laws[0];
            // A chain that is alone, or has met the other, draws one index from one distribution.
            let lag = if pairs.meetings[i].is_some() { lead } else { &laws[laws.len() - 1] };
            let [_, u @ ..] = uniforms[i];
            let (lead_at, lag_at) = couple(lead, lag, u);
            let ess = 1.0 / lead.iter().map(|w| w * w).sum::<f64>();
            Place { lead: lead_at, lag: lag_at, joins: lead_at == lag_at && lead_at != slots[i], ess }
        });
        Ok(Moved { places: places.collect(), points, weighed })
    }

    /// The signs with which the states of the two chains at t count.
    fn signs(&self, t: usize, meeting: Option<usize>) -> [f64; 2] {
        let before_meeting = meeting.is_none_or(|meeting| t < meeting);
        let is_late = t >= self.burn_in + self.lag;
        let one_if = |counts: bool| f64::from(u8::from(counts));
        [one_if(t >= self.burn_in && (!is_late || before_meeting)), -one_if(is_late && before_meeting)]
    }

    fn contribution<'a, T: Target>(
        &self,
        target: &T,
        (t, rows): (usize, &'a [usize]),
        laws: &[Laws],
        signs: impl Iterator<Item = [f64; 2]>,
        kept: T::Kept,
    ) -> Contribution<'a, T::Kept> {
        let of_chain = |(law, sign): (&Vec<f64>, f64)| {
            law.iter().map(|w| sign * w / self.lag as f64).collect::<Vec<_>>()
        };
        let of_row =
            |(laws, signs): (&Laws, [f64; 2])| laws.iter().zip(signs).flat_map(of_chain).collect::<Vec<_>>();
        let values: Vec<f64> = laws.iter().zip(signs).flat_map(of_row).collect();
        let (dtype, device) = target.place();
        let data = TensorData::new(values, [rows.len(), laws[0].len() * self.samples]).convert_dtype(dtype);
        Contribution { t, rows, coefficients: Tensor::from_data(data, (&device, dtype)), kept }
    }
}

/// The running pairs of chains, one for each row of the batch.
struct Pairs {
    rows: Vec<usize>,
    /// When they met, if they have.
    meetings: Vec<Option<usize>>,
    /// The points that the leading chains are at.
    lead: Vec<Tensor<2>>,
    /// Those of the others.
    lag: Vec<Tensor<2>>,
}

#[derive(Clone, Copy)]
struct Step {
    t: usize,
    beta: f64,
    is_last: bool,
    key: Key,
}

/// The result of a step.
struct Moved {
    places: Vec<Place>,
    points: Vec<Tensor<2>>,
    /// Number of points, over all rows, whose weights were computed.
    weighed: usize,
}

/// The points of a row that its chains are at next.
struct Place {
    lead: usize,
    lag: usize,
    /// Whether both are at one point that is not the kept point of either.
    joins: bool,
    ess: f64,
}

/// The normalised weights of each chain of a row.
type Laws = Vec<Vec<f64>>;

impl Pairs {
    /// The pairs at their new points, without those that are done.
    fn moved(self, moved: Moved, k: usize, both: bool, is_done: impl Fn(Option<usize>) -> bool) -> Pairs {
        let stay: Vec<usize> = (0..self.rows.len()).filter(|&i| !is_done(self.meetings[i])).collect();
        let points_of_row = points_of_row(both, k);
        let lead_at = |i: usize| i * points_of_row + moved.places[i].lead;
        let lag_at = |i: usize| match self.meetings[i] {
            Some(_) => lead_at(i),
            None => i * points_of_row + k + moved.places[i].lag,
        };
        let at = |place: &dyn Fn(usize) -> usize| stay.iter().map(|&i| place(i)).collect::<Vec<_>>();
        Pairs {
            rows: at(&|i| self.rows[i]),
            meetings: stay.iter().map(|&i| self.meetings[i]).collect(),
            lead: pick(&moved.points, &at(&lead_at)),
            // No row leaves before the second chain has taken a step.
            lag: if both { pick(&moved.points, &at(&lag_at)) } else { self.lag },
        }
    }
}

/// Number of points of a row: those of the leading chain, or of both.
fn points_of_row(both: bool, k: usize) -> usize {
    if both { 2 * k } else { k }
}

/// The normalised weights of each row, which has `points` points in `log_weights`: K, or those of two chains.
fn laws(log_weights: Vec<f64>, rows: &[usize], k: usize, points: usize) -> Result<Vec<Laws>, NoWeight> {
    let of_row = |(&chain, log_weights): (&usize, &[f64])| {
        let of_chain = |log_weights: &[f64]| {
            let (mut law, total) = weights(log_weights).ok_or(NoWeight { chain, proposals: k })?;
            law.iter_mut().for_each(|weight| *weight /= total);
            Ok(law)
        };
        log_weights.chunks_exact(k).map(of_chain).collect()
    };
    rows.iter().zip(log_weights.chunks_exact(points)).map(of_row).collect()
}

/// The first chain's K points and the second's kept one, from the points of both: `[n * 2 K, d]` to
/// `[n * (K + 1), d]`. After a step of ISIR, the points of the two differ only in the slot of the kept ones.
fn without_copies(points: &Tensor<2>, kept: &Tensor<2>, k: usize) -> Tensor<2> {
    let [n, d] = kept.dims();
    let first = points.clone().reshape([n, 2 * k, d]).slice([0..n, 0..k]);
    Tensor::cat(vec![first, kept.clone().unsqueeze_dim(1)], 1).reshape([n * (k + 1), d])
}

/// The log weights of both chains' points from those of the points that [`without_copies`] keeps.
fn with_copies(log_weights: &[f64], slots: &[usize], k: usize) -> Vec<f64> {
    let of_row = |(log_weights, &slot): (&[f64], &usize)| {
        let mut both = [&log_weights[..k], &log_weights[..k]].concat();
        both[k + slot] = log_weights[k];
        both
    };
    log_weights.chunks_exact(k + 1).zip(slots).flat_map(of_row).collect()
}

fn pick(points: &[Tensor<2>], at: &[usize]) -> Vec<Tensor<2>> {
    points.iter().map(|points| select(points.clone(), at)).collect()
}

/// The first chain's K points of each row, followed by the second's.
fn side_by_side(a: Tensor<2>, b: Tensor<2>, k: usize) -> Tensor<2> {
    let [n, d] = a.dims();
    let [a, b] = [a, b].map(|points| points.reshape([n / k, k * d]));
    Tensor::cat(vec![a, b], 1).reshape([2 * n, d])
}

/// The first uniforms of a row's cell.
fn cell<const N: usize>(key: Key, row: u64) -> [f64; N] {
    let mut u = [0.0; N];
    fill_uniform(key, row, 0, &mut u);
    u
}

/// A uniform integer below `n`, from a uniform number.
fn below(n: usize, u: f64) -> usize {
    ((n as f64 * u) as usize).min(n - 1)
}
