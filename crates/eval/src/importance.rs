//! `log p(x)` and `log p̃*(x)` by importance sampling from the recognition net.
//!
//! With `h_k ~ q(h | x)` and weights `w_k = p(x, h_k) / q(h_k | x)`:
//!
//! - [`Reading::Directed`]: `log p̂(x) = log 1/K Σ_k w_k`;
//! - [`Reading::Bidirectional`]: `log p̃̂*(x) = 2 log 1/K Σ_k √w_k`, where `p̃*(x) = (Σ_h √(p(x, h) q(h | x)))²` is
//!   the marginal of the bidirectional machine times `Z²` ([`partition`](crate::partition)).
//!
//! Both are consistent. Let r be the relative variance of the mean of what is summed. On average they are too
//! low by about r/2 and r, and their variances are about r and 4 r. Samples are processed in chunks, so
//! memory does not grow with K.
//!
//! Draws are keyed by the row's own number and the sample's own number: the same row gets the same
//! estimate whatever the chunking, up to rounding in the matrix products.
//!
//! K is the same for all rows, or as large as a given error of the mean over all of them needs: see
//! [`allocation`](crate::allocation).
//!
//! # Reference
//! Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", ICLR 2016 (the estimate and its
//! direction); Bornschein, Bengio 2015 (its use for Helmholtz machines); Bornschein, Shabanian, Fischer, Bengio,
//! "Bidirectional Helmholtz machines", ICML 2016 (the half weights).

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use helmholtz_core::{Batch, Draws, Evaluator, Key, LatentVariableModel, Score};
use helmholtz_ops::{into_f64, on_workers};
use thiserror::Error;

use crate::allocation::{Stratum, Within, strata};
use crate::halves::{BLOCKS, Halves};
use crate::row::RowEstimate;
use crate::streaming::WeightSums;
use crate::summary::errors;

/// The distribution that a stack with its recognition net stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `p(x, h)`; the recognition net only helps to infer h.
    Directed,
    /// `p*(x, h) ∝ √(p(x, h) q(x, h))`, of which the recognition net is one half.
    Bidirectional,
}

impl Reading {
    /// The c of the score of a row, `c log 1/K Σ_k w_k^{1/c}`.
    pub(crate) fn factor(self) -> f64 {
        match self {
            Reading::Directed => 1.0,
            Reading::Bidirectional => 2.0,
        }
    }
}

/// Importance sampling with K samples for each row, or at least as many.
#[derive(Clone, Debug)]
pub struct ImportanceSampling {
    /// What is estimated: `log p(x)` or `log p̃*(x)`.
    pub reading: Reading,
    /// Samples per row, K; the number that every row begins with if rows may have more.
    pub samples: usize,
    /// Matrix rows, that is (row, sample) pairs, processed at a time. This bounds the memory.
    pub chunk: usize,
    /// The share of a distribution with heavy tails that is mixed into the proposals, in [0, 1); 0 for q alone. The
    /// estimate of `log p(x)` is consistent with any share; that of `log p̃*(x)` needs 0.
    pub defence: f64,
}

/// The weights of one row, summed for both readings.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowWeights {
    whole: WeightSums,
    root: WeightSums,
}

impl RowWeights {
    /// The weights with these logarithms.
    pub(crate) fn of(log_weights: &[f64]) -> Self {
        let mut weights = RowWeights::default();
        (0..).zip(log_weights).for_each(|(number, &log_weight)| weights.push(number, log_weight));
        weights
    }

    /// Adds the log weight of a sample, which has a number in its row.
    pub(crate) fn push(&mut self, number: u64, log_weight: f64) {
        self.whole.push_numbered(number, log_weight);
        self.root.push_numbered(number, 0.5 * log_weight);
    }

    fn sums(&self, reading: Reading) -> &WeightSums {
        match reading {
            Reading::Directed => &self.whole,
            Reading::Bidirectional => &self.root,
        }
    }

    /// Adds the weights of other samples of the same row.
    pub fn merge(&mut self, other: &RowWeights) {
        self.whole.merge(&other.whole);
        self.root.merge(&other.root);
    }

    /// The sums of weights and of their roots, as [`from_parts`](Self::from_parts) takes them.
    pub fn parts(&self) -> [[f64; 6]; 2] {
        [self.whole.parts(), self.root.parts()]
    }

    /// The weights that have these [`parts`](Self::parts); `None` if the two differ in the number of samples.
    pub fn from_parts([whole, root]: [[f64; 6]; 2]) -> Option<Self> {
        let weights =
            RowWeights { whole: WeightSums::from_parts(whole)?, root: WeightSums::from_parts(root)? };
        (weights.whole.n() == weights.root.n()).then_some(weights)
    }

    /// The blocks of weights and of their roots, as [`with_blocks`](Self::with_blocks) takes them.
    pub fn blocks(&self) -> [[f64; 2 * BLOCKS]; 2] {
        [self.whole.blocks(), self.root.blocks()]
    }

    /// The weights with these [`blocks`](Self::blocks); `None` if their counts do not add up to the samples.
    pub fn with_blocks(self, [whole, root]: [[f64; 2 * BLOCKS]; 2]) -> Option<Self> {
        Some(RowWeights { whole: self.whole.with_blocks(whole)?, root: self.root.with_blocks(root)? })
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.whole.n()
    }

    /// Returns the weights if their sum is positive and finite; `row` is the number of the row for the error.
    ///
    /// # Errors
    /// If their sum is zero or not finite.
    pub fn checked(self, row: u64) -> Result<Self, ZeroWeight> {
        // Roots do not underflow where the weights themselves do not, so one sum is enough.
        let total = self.whole.log_sum();
        if total.is_finite() {
            return Ok(self);
        }
        Err(ZeroWeight { row, samples: self.whole.n() as usize, total: total.exp() })
    }

    /// The estimate of the row under a reading.
    pub fn estimate(&self, reading: Reading) -> RowEstimate {
        let (sums, c) = (self.sums(reading), reading.factor());
        let relative_variance = sums.relative_variance();
        RowEstimate {
            log_prob: c * sums.log_mean(),
            samples: sums.n() as usize,
            ess: sums.effective_share(),
            max_weight: sums.largest_share(),
            variance: c * c * relative_variance,
            bias: 0.5 * c * relative_variance,
            halves: sums.halves().map(|halves| Halves {
                gains: halves.gains.map(|gain| c * gain),
                variance: c * c * halves.variance,
            }),
        }
    }
}

/// A row whose weights are all zero, or not finite.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "row {row}: the importance weights of all {samples} samples sum to {total}; \
     the model gives this row probability zero, or its parameters are not finite"
)]
pub struct ZeroWeight {
    /// The row's number in its split.
    pub row: u64,
    /// K.
    pub samples: usize,
    /// exp of the log sum: 0, NaN or infinity.
    pub total: f64,
}

impl ImportanceSampling {
    /// K samples for each row, in chunks of 2000 pairs, for `log p(x)`.
    ///
    /// # Panics
    /// If `samples` is zero.
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "importance sampling needs at least one sample");
        ImportanceSampling { reading: Reading::Directed, samples, chunk: 2000, defence: 0.0 }
    }

    /// The same, under another reading of the model.
    pub fn with_reading(self, reading: Reading) -> Self {
        ImportanceSampling { reading, ..self }
    }

    /// Estimates each row of `x`, whose own numbers are `rows`.
    ///
    /// # Errors
    /// If a row's weights are all zero or not finite: such a row must not vanish in a mean.
    pub fn estimate<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
    ) -> Result<Vec<RowEstimate>, ZeroWeight> {
        let weights = self.weigh(model, x, rows, key)?;
        Ok(weights.iter().map(|weights| weights.estimate(self.reading)).collect())
    }

    /// The weights behind [`estimate`](Self::estimate), which also give the estimate under the other reading.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    pub fn weigh<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
    ) -> Result<Vec<RowWeights>, ZeroWeight> {
        let weights = self.weigh_part(model, x, rows.clone(), key, 0..self.samples);
        weights.into_iter().zip(rows.iter()).map(|(weights, &row)| weights.checked(row)).collect()
    }

    /// The weights of some of the K samples alone: those in `samples`.
    ///
    /// [Merged](RowWeights::merge) with those of the other samples they are what [`weigh`](Self::weigh) gives, to
    /// rounding. A part whose weights are all zero does not make the row impossible yet, so nothing is checked here.
    pub fn weigh_part<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
        samples: Range<usize>,
    ) -> Vec<RowWeights> {
        assert!(samples.end <= self.samples, "{samples:?} are not among {} samples", self.samples);
        let mut split = Split::new(self, model, x, rows, key);
        split.draw(&split.all(), samples, |_| {});
        split.sums
    }

    /// Weighs as many samples of each row of `x` as the mean of the estimates over all rows needs to be
    /// `within` an error: K for each row, and more, up to `within.most`, for rows that cause the error.
    ///
    /// The first K samples sort the rows into strata. After every round the spread of the weights
    /// determines how many samples the rows of each stratum should have
    /// ([`allocation`](crate::allocation)). Rounds end when [`summarise`](crate::summarise) finds
    /// `se_mc` and `bias_mc` at most `within.error`, or when rows that have reached `within.most`
    /// prevent that. A row's estimate is the one that [`weigh`](Self::weigh) gives it with the same
    /// number of samples.
    ///
    /// Where halves and quarters of the samples show that the errors are larger than these variances say
    /// ([`halves`](crate::halves)), all variances are taken to be larger in that proportion.
    ///
    /// Rounding that depends on the chunking may in rare cases move a row to the next stratum.
    ///
    /// `on_pairs` is called after every batch with the number of (row, sample) pairs that are done, and the
    /// number planned.
    ///
    /// # Errors
    /// If, after a round, the weights of a row are all zero or not finite.
    ///
    /// # Panics
    /// If K is below 2, which gives no variance, or above `within.most`, or if `within.error` is not
    /// positive.
    pub fn weigh_within<M: LatentVariableModel>(
        &self,
        model: &M,
        x: Tensor<2>,
        rows: Arc<[u64]>,
        key: Key,
        within: Within,
        mut on_pairs: impl FnMut(u64, u64),
    ) -> Result<Vec<RowWeights>, ZeroWeight> {
        assert!(self.samples >= 2, "a variance needs at least two samples");
        assert!(self.samples <= within.most, "the first samples must not be more than within.most");
        assert!(within.error > 0.0, "within.error must be positive");
        let mut split = Split::new(self, model, x, rows, key);
        let mut done = 0;
        let mut draw = |split: &mut Split<'_, M>, places: &[usize], range, planned| {
            split.draw(places, range, |pairs| {
                done += pairs as u64;
                on_pairs(done, planned);
            });
        };
        let all = split.all();
        draw(&mut split, &all, 0..self.samples, (all.len() * self.samples) as u64);
        split.check()?;
        let spreads: Vec<f64> = split.sums.iter().map(|row| row.sums(self.reading).log_spread()).collect();
        let strata = strata(&spreads);
        let mut samples = vec![self.samples; strata.len()];
        loop {
            let of_row = |&i: &usize| split.sums[i].sums(self.reading).relative_variance();
            let variance = |places: &[usize]| places.iter().map(of_row).sum::<f64>();
            let estimates = split.sums.iter().map(|row| row.estimate(self.reading));
            let larger = errors(&estimates.collect::<Vec<_>>()).larger();
            let now: Vec<Stratum> = std::iter::zip(&strata, &samples)
                .map(|(places, &samples)| Stratum {
                    rows: places.len(),
                    samples,
                    relative_variance: larger * variance(places) / places.len() as f64,
                })
                .collect();
            let Some(next) = within.next(&now, self.reading.factor()) else { return Ok(split.sums) };
            let planned = strata.iter().zip(&next).map(|(places, &k)| (places.len() * k) as u64).sum();
            for (places, (&from, &to)) in strata.iter().zip(samples.iter().zip(&next)) {
                draw(&mut split, places, from..to, planned);
            }
            samples = next;
            split.check()?;
        }
    }
}

/// Rows with the weights that were drawn for them so far.
struct Split<'a, M> {
    model: &'a M,
    x: Tensor<2>,
    rows: Arc<[u64]>,
    key: Key,
    chunk: usize,
    defence: f64,
    sums: Vec<RowWeights>,
}

impl<'a, M: LatentVariableModel> Split<'a, M> {
    fn new(of: &ImportanceSampling, model: &'a M, x: Tensor<2>, rows: Arc<[u64]>, key: Key) -> Self {
        assert_eq!(x.dims()[0], rows.len(), "one number for each row");
        let sums = vec![RowWeights::default(); rows.len()];
        // p̃* is a mean of √(p / q) under q itself.
        assert!(
            of.defence == 0.0 || of.reading == Reading::Directed,
            "defence must be 0 except for log p(x)"
        );
        Split { model, x, rows, key, chunk: of.chunk.max(1), defence: of.defence, sums }
    }

    /// The places of all rows.
    fn all(&self) -> Vec<usize> {
        (0..self.rows.len()).collect()
    }

    /// Draws the samples in `range` of the rows at ascending `places`, in batches of up to `chunk` pairs;
    /// `on_pairs` is called with the number of pairs in each batch.
    fn draw(&mut self, places: &[usize], range: Range<usize>, mut on_pairs: impl FnMut(usize)) {
        if range.is_empty() {
            return;
        }
        let samples_at_once = range.len().min(self.chunk);
        let rows_at_once = self.chunk / samples_at_once;
        for part in places.chunks(rows_at_once) {
            let x = self.values(part);
            let numbers: Vec<u64> = part.iter().map(|&i| self.rows[i]).collect();
            let draws = Draws::of_rows(self.key, numbers, range.end);
            for first in range.clone().step_by(samples_at_once) {
                let samples = first..(first + samples_at_once).min(range.end);
                let (k, numbers) = (samples.len(), samples.start as u64..);
                let (model, x, draws) = (self.model.clone(), x.clone(), draws.samples(samples));
                let device = model.device();
                let defence = self.defence;
                let log_weights = on_workers(&device, move || {
                    if defence > 0.0 {
                        model.log_weights_defended(x, &draws, defence)
                    } else {
                        model.log_weights(x, &draws)
                    }
                });
                for (&i, log_weights) in part.iter().zip(into_f64(log_weights).chunks_exact(k)) {
                    for (number, &log_weight) in numbers.clone().zip(log_weights) {
                        self.sums[i].push(number, log_weight);
                    }
                }
                on_pairs(part.len() * k);
            }
        }
    }

    /// The rows of x at ascending places, at least one.
    fn values(&self, places: &[usize]) -> Tensor<2> {
        let (first, last) = (places[0], places[places.len() - 1]);
        if last - first + 1 == places.len() {
            return self.x.clone().slice(first..last + 1);
        }
        let places: Vec<i64> = places.iter().map(|&i| i as i64).collect();
        let n = places.len();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &self.x.device());
        self.x.clone().select(0, places)
    }

    /// Returns an error for a row whose weights sum to zero or are not finite.
    fn check(&self) -> Result<(), ZeroWeight> {
        self.sums.iter().zip(self.rows.iter()).try_for_each(|(sums, &row)| sums.checked(row).map(|_| ()))
    }
}

impl<M: LatentVariableModel> Evaluator<M> for ImportanceSampling {
    type Prepared = ();

    fn measures(&self) -> Score {
        Score::NLL
    }

    fn prepare(&self, _: &M, _: Key) {}

    /// The estimate under the reading; NaN for every row of the batch if the weights of one are zero or not finite.
    fn score(&self, model: &M, (): &(), batch: &Batch, key: Key) -> Tensor<1> {
        let x = batch.whole();
        let device = x.device();
        let values: Vec<f32> = match self.estimate(model, x, batch.rows.clone(), key) {
            Ok(rows) => rows.into_iter().map(|row| -row.log_prob as f32).collect(),
            Err(_) => vec![f32::NAN; batch.len()],
        };
        Tensor::from_floats(values.as_slice(), &device)
    }
}
