//! Compares the mean of estimates with their exact expectation.

use std::time::Instant;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Claims, Estimate, Key, LatentVariableModel, Measure, Strategy, Trainable};
use helmholtz_noise::Stream;
use thiserror::Error;

use crate::blocks::{Block, Blocks, Net};
use crate::moments::{RunningMoments, VectorMoments, critical};
use crate::reference::{Exact, Expected, ReferenceError, References};
use crate::report::{Finding, POWER_90, Reference, Report, Verdict};
use crate::states::{States, nats};

/// The settings of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Number of estimates, each of the whole batch.
    pub estimates: u64,
    /// Key from which the keys of the estimates and of the random directions are derived.
    pub key: Key,
    /// The probability that a correct strategy is called wrong, over all tests of the trial together.
    pub false_alarm: f64,
}

impl Trial {
    /// A trial of `estimates` estimates, at a family-wise error rate of 1 %.
    pub fn new(estimates: u64, key: Key) -> Self {
        Trial { estimates, key, false_alarm: 0.01 }
    }

    fn check(&self) -> Result<(), CourtError> {
        if self.estimates < 2 { Err(CourtError::TooFewEstimates(self.estimates)) } else { Ok(()) }
    }
}

/// Number of fixed random directions in each block, besides that of the reference.
pub const DIRECTIONS: usize = 8;
/// The share of the variance that a single estimate may contribute: 0.05, or 20 / n if that is more for n estimates.
const TAIL: (f64, f64) = (0.05, 20.0);
/// States count as rare if they are drawn at most this often in a whole trial, all together, in expectation. If chance
/// draws them half as often, the spread of the estimates shows only half of them.
const RARE: f64 = 50.0;
/// Size of the differences due to rounding, as a share of the gradient's norm.
const ROUNDING: f64 = 1e-9;

/// Why a trial cannot be held.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum CourtError {
    /// There is no reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Too few estimates.
    #[error(
        "{0} estimates are too few: a standard error needs at least 2, and its normal approximation some hundreds"
    )]
    TooFewEstimates(u64),
    /// A gradient that is not finite.
    #[error("estimate {estimate} of the gradient is not finite in {net:?}")]
    NotFinite {
        /// Number of the estimate.
        estimate: u64,
        /// The net.
        net: Net,
    },
}

/// Checks a strategy on a latent-variable model against the exact gradient: [`judge`] by sums over states.
///
/// # Errors
/// If the states cannot be summed over, or an estimate is not finite.
pub fn gradient_report<M, S, W>(
    model: &M,
    strategy: &S,
    states: &W,
    x: Tensor<2>,
    trial: Trial,
) -> Result<Report, CourtError>
where
    M: LatentVariableModel,
    S: Strategy<M> + Claims,
    W: States<M> + Clone,
{
    // Invalid settings are reported before anything is summed.
    trial.check()?;
    let expected = Expected::new(model, states, &x, strategy.follows())?;
    judge(model, strategy, &expected, &x.into(), trial)
}

/// Checks a strategy against exact vectors.
///
/// All `trial.estimates` estimates are made for the same batch and the same weights, each under a key of its own. In
/// every block their mean is compared with the exact vectors, along the reference and along [`DIRECTIONS`] random
/// directions. The tests are corrected for their number (Bonferroni). Memory does not grow with the number of
/// estimates. The model is best in double precision.
///
/// A strategy's running state goes on from estimate to estimate; `exact` is that of the state before the first.
///
/// # Errors
/// If there are no exact vectors, or an estimate is not finite.
pub fn judge<M, S>(
    model: &M,
    strategy: &S,
    exact: &dyn Exact,
    batch: &Batch,
    trial: Trial,
) -> Result<Report, CourtError>
where
    M: Trainable,
    S: Strategy<M>,
{
    trial.check()?;
    let blocks = Blocks::of(model);
    let references = exact.references()?;
    let mut tried: Vec<Tried<'_>> =
        blocks.blocks.iter().map(|block| Tried::new(block, &references, trial.key)).collect();
    let mut measures: Vec<(Measure, RunningMoments)> =
        strategy.measures().iter().map(|measure| (*measure, RunningMoments::default())).collect();
    let mut evaluations = RunningMoments::default();
    let (mut seconds, mut bookkeeping) = (0.0, 0.0);
    let key = trial.key.child("estimate");
    for estimate in 0..trial.estimates {
        let clock = Instant::now();
        let Estimate { gradients, measured, evaluations: taken } =
            strategy.estimate(model, batch, key.child(estimate));
        // Reading a number waits for a device that works asynchronously.
        for found in measured {
            if let Some((_, moments)) = measures.iter_mut().find(|(measure, _)| *measure == found.measure) {
                moments.push(nats(found.value)[0]);
            }
        }
        let made = clock.elapsed().as_secs_f64();
        let values = blocks.flatten(model, &gradients);
        for tried in &mut tried {
            tried.take_in(&values);
        }
        evaluations.push(taken as f64);
        (seconds, bookkeeping) = (seconds + made, bookkeeping + clock.elapsed().as_secs_f64() - made);
        if let Some(net) = tried.iter().find(|tried| !tried.is_finite()).map(|tried| tried.block.net) {
            return Err(CourtError::NotFinite { estimate, net });
        }
    }
    // Both nets score each draw. A strategy that does not count these evaluations draws at least once for each row.
    let draws = trial.estimates as f64 * (evaluations.mean() / (2 * batch.len()) as f64).max(1.0);
    let rare = exact.rare(RARE / draws)?;
    tried.iter_mut().for_each(|tried| tried.expect_without(&rare));
    // Skip parameter blocks whose gradient is zero by construction.
    tried.retain(|tried| !tried.is_idle());
    // Along the reference, the line to it if it is a limit, and at random.
    let tests = tried.len() * (2 + DIRECTIONS);
    let critical = critical(trial.false_alarm, tests);
    let own = tried.iter().map(|tried| tried.finding(Reference::Own, critical));
    let limit =
        tried.iter().filter(|tried| tried.has_limit).map(|tried| tried.finding(Reference::Limit, critical));
    let n = trial.estimates as f64;
    Ok(Report {
        findings: own.chain(limit).collect(),
        estimates: trial.estimates,
        critical,
        measured: measures.into_iter().map(|(measure, moments)| (measure, moments.mean())).collect(),
        seconds_per_estimate: seconds / n,
        bookkeeping_per_estimate: bookkeeping / n,
        evaluations: evaluations.mean(),
    })
}

/// [`gradient_report`] as a test.
///
/// # Panics
/// With the table of findings if a block is wrong, or unsure because of heavy tails, or if a net is not tested, and with
/// the error if the trial cannot be held.
pub fn assert_right<M, S, W>(model: &M, strategy: &S, states: &W, x: Tensor<2>, trial: Trial) -> Report
where
    M: LatentVariableModel,
    S: Strategy<M> + Claims,
    W: States<M> + Clone,
{
    let report = gradient_report(model, strategy, states, x, trial).unwrap_or_else(|error| panic!("{error}"));
    match report.verdict() {
        Verdict::Wrong => panic!("the strategy does not estimate what it claims:\n{report}"),
        Verdict::Unsure => {
            panic!(
                "the strategy is off, but its tails are too heavy for a verdict; try more estimates:\n{report}"
            )
        }
        Verdict::Untested => {
            panic!("a gradient of zero could pass this test; try more estimates:\n{report}")
        }
        _ => report,
    }
}

/// A block and its statistics so far.
struct Tried<'a> {
    block: &'a Block,
    has_limit: bool,
    own: Vec<f64>,
    limit: Vec<f64>,
    /// Unit vectors: along the reference, the limit, the line between them (zero if they are equal), and at random.
    directions: Vec<Vec<f64>>,
    /// The same, parameter by parameter.
    by_parameter: Vec<[f64; AT_RANDOM + DIRECTIONS]>,
    along: Vec<RunningMoments>,
    all: VectorMoments,
    /// Along each direction, the reference's part from states that are too rare for the trial to have drawn.
    rare: [f64; AT_RANDOM + DIRECTIONS],
    /// Cosines with reference and limit.
    cosines: [RunningMoments; 2],
    /// The block's part of the current estimate.
    part: Vec<f64>,
}

const ALONG_OWN: usize = 0;
const ALONG_LIMIT: usize = 1;
const ALONG_GAP: usize = 2;
const AT_RANDOM: usize = 3;

impl<'a> Tried<'a> {
    fn new(block: &'a Block, references: &References, key: Key) -> Self {
        let [mut own, mut limit] = [Vec::new(), Vec::new()];
        block.select(&references.own, &mut own);
        block.select(&references.limit, &mut limit);
        let has_limit = references.has_limit[if block.net == Net::Theta { 0 } else { 1 }];
        let gap = own.iter().zip(&limit).map(|(own, limit)| own - limit).collect();
        let mut stream = Stream::new(key.child("directions").child(block.name.as_str()));
        let mut random = || unit((0..own.len()).map(|_| stream.uniform_in(-1.0, 1.0)).collect());
        let mut directions = vec![unit(own.clone()), unit(limit.clone()), unit(gap)];
        directions.extend((0..DIRECTIONS).map(|_| random()));
        let of_parameter = |i: usize| std::array::from_fn(|j| directions[j][i]);
        Tried {
            block,
            has_limit,
            by_parameter: (0..own.len()).map(of_parameter).collect(),
            along: vec![RunningMoments::default(); directions.len()],
            all: VectorMoments::new(own.len()),
            rare: [0.0; AT_RANDOM + DIRECTIONS],
            cosines: [RunningMoments::default(); 2],
            part: Vec::new(),
            own,
            limit,
            directions,
        }
    }

    fn take_in(&mut self, values: &[f64]) {
        let mut along = [0.0; AT_RANDOM + DIRECTIONS];
        let mut square = 0.0;
        self.block.select(values, &mut self.part);
        for (value, directions) in self.part.iter().zip(&self.by_parameter) {
            square += value * value;
            for (along, direction) in along.iter_mut().zip(directions) {
                *along += value * direction;
            }
        }
        self.along.iter_mut().zip(along).for_each(|(moments, along)| moments.push(along));
        self.all.push(&self.part);
        if square > 0.0 {
            let norm = square.sqrt();
            self.cosines[0].push(along[ALONG_OWN] / norm);
            self.cosines[1].push(along[ALONG_LIMIT] / norm);
        }
    }

    /// Records what the mean of a correct strategy may lack without its standard error showing it.
    fn expect_without(&mut self, rare: &[f64]) {
        self.block.select(rare, &mut self.part);
        for (value, directions) in self.part.iter().zip(&self.by_parameter) {
            for (along, direction) in self.rare.iter_mut().zip(directions) {
                *along += value * direction;
            }
        }
    }

    fn is_finite(&self) -> bool {
        self.along[AT_RANDOM].mean().is_finite()
    }

    fn is_idle(&self) -> bool {
        let is_zero = |vector: &[f64]| vector.iter().all(|value| *value == 0.0);
        is_zero(&self.own) && is_zero(self.all.mean()) && self.all.variance() == 0.0
    }

    fn finding(&self, reference: Reference, critical: f64) -> Finding {
        let (vector, ahead, cosine) = match reference {
            Reference::Own => (&self.own, ALONG_OWN, &self.cosines[0]),
            Reference::Limit => (&self.limit, ALONG_LIMIT, &self.cosines[1]),
        };
        let size = norm(self.all.mean()).max(norm(vector));
        // An estimate without noise is off by rounding, which does not count as bias.
        let measure = |i: usize| {
            let (moments, direction) = (&self.along[i], &self.directions[i]);
            let expected: f64 = vector.iter().zip(direction).map(|(a, b)| a * b).sum();
            (moments.mean() - expected, moments.se().max(ROUNDING * size).max(f64::MIN_POSITIVE))
        };
        let z = |i: usize| {
            let (bias, se) = measure(i);
            (bias.abs() - self.rare[i].abs()).max(0.0).copysign(bias) / se
        };
        let differ = norm(&self.directions[ALONG_GAP]) > 0.0;
        let gap = (reference == Reference::Limit && differ).then_some(ALONG_GAP);
        let tests = std::iter::once(ahead).chain(gap).chain(AT_RANDOM..AT_RANDOM + DIRECTIONS);
        let worst = tests.max_by(|&a, &b| z(a).abs().total_cmp(&z(b).abs())).unwrap_or(ahead);
        let (z, moments) = (z(worst), &self.along[worst]);
        let (bias, bias_se) = measure(ahead);
        let is_off = z.abs() > critical;
        let is_heavy = moments.largest_share() > TAIL.0.max(TAIL.1 / moments.n() as f64);
        let variance = self.all.variance();
        let visible = (critical + POWER_90) * bias_se;
        Finding {
            block: self.block.name.clone(),
            net: self.block.net,
            reference,
            norm: norm(vector),
            bias,
            bias_se,
            z,
            visible,
            gap: gap.map(measure),
            variance,
            snr: norm(self.all.mean()) / variance.sqrt(),
            cosine: (cosine.n() > 0 && norm(vector) > 0.0).then(|| cosine.mean()),
            verdict: match (reference, is_off) {
                (Reference::Own, true) if is_heavy => Verdict::Unsure,
                (Reference::Own, false) if visible > norm(vector) => Verdict::Untested,
                (Reference::Own, false) => Verdict::Right,
                (Reference::Own, true) => Verdict::Wrong,
                (Reference::Limit, false) => Verdict::Unbiased,
                (Reference::Limit, true) => Verdict::Biased,
            },
        }
    }
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The vector scaled to length one; a zero vector stays zero.
fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = norm(&vector);
    if length == 0.0 { vector } else { vector.into_iter().map(|value| value / length).collect() }
}
