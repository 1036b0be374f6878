//! Likelihoods of a split, for every command that reports one.

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use helmholtz_core::{Batch, Key, Role, Trainable};
use helmholtz_datasets::{DataSet, Law, SplitName};
use helmholtz_eval::summary::exact_rows;
use helmholtz_eval::{
    Activity, AnnealedImportanceSampling, AnnealedRow, ImportanceSampling, LogPartition, NllSummary,
    PartitionFunction, Reading, RowEstimate, RowWeights, Within, summarise,
};
use helmholtz_noise::Stream;
use helmholtz_ops::into_f64;
use helmholtz_zoo::can::EXACT_UNITS;
use helmholtz_zoo::{BoxedModel, LatentModel, Smooth, Unnormalised};

use super::log_z::{self, Annealed, OfEnergy};
use crate::error::{OrUser, user};

/// The scores of a split under a reading.
pub(crate) struct Scores {
    /// `log p` of each row; or `log p*`, or its lower bound `log p̃*` if 2 log Z is not known.
    pub(crate) log_probs: Vec<f64>,
    /// Their mean with its errors: those that the rows' samples add, but not that of 2 log Z.
    pub(crate) summary: NllSummary,
    /// Further results of a bidirectional machine.
    pub(crate) bidirectional: Option<OfMachine>,
    /// By enumeration, for a set that is drawn from a known distribution.
    pub(crate) law: Option<OfLaw>,
    /// By annealing: the mean acceptance rate of the moves.
    pub(crate) acceptance: Option<f64>,
    /// Of a model that is given by an energy.
    pub(crate) energy: Option<OfEnergy>,
    /// Whether they are `log p(x | y)`, given the class y of each row.
    pub(crate) is_conditional: bool,
}

/// How a model scores the distribution that a set is drawn from; no row is sampled.
pub(crate) struct OfLaw {
    /// `-Σ_x law(x) log p(x)`, or of p*: at least the entropy.
    pub(crate) cross_entropy: f64,
    /// `-Σ_x law(x) log law(x)`.
    pub(crate) entropy: f64,
}

/// Results of a bidirectional machine besides the likelihood of p*.
pub(crate) struct OfMachine {
    /// The scores of the same rows under `p`, the directed half.
    pub(crate) p: NllSummary,
    /// 2 log Z; if it [is not known](LogPartition::is_known), its lower bound `log p̃*` replaces `log p*`.
    pub(crate) log_z2: LogPartition,
}

impl Scores {
    /// Scores from estimates of each row under the directed reading and, if given, under the bidirectional one, which
    /// then counts.
    fn new(directed: Vec<RowEstimate>, bidirectional: Option<(Vec<RowEstimate>, LogPartition)>) -> Self {
        let (counting, bidirectional) = match bidirectional {
            None => (directed, None),
            Some((mut star, log_z2)) => {
                // log p* = log p̃* - 2 log Z, or the bound log p̃* where Z is not known.
                let shift = if log_z2.is_known() { log_z2.log_z2 } else { 0.0 };
                star.iter_mut().for_each(|row| row.log_prob -= shift);
                (star, Some(OfMachine { p: summarise(&directed), log_z2 }))
            }
        };
        let log_probs = counting.iter().map(|row| row.log_prob).collect();
        Scores {
            log_probs,
            summary: summarise(&counting),
            bidirectional,
            law: None,
            acceptance: None,
            energy: None,
            is_conditional: false,
        }
    }

    /// Scores by annealing.
    pub(crate) fn annealed(rows: &[AnnealedRow]) -> Self {
        let accepted: Vec<f64> = rows.iter().filter_map(|row| row.acceptance).collect();
        let mean = accepted.iter().sum::<f64>() / accepted.len() as f64;
        let scores = Scores::new(rows.iter().map(|row| row.estimate).collect(), None);
        Scores { acceptance: (!accepted.is_empty()).then_some(mean), ..scores }
    }

    /// Scores from the weights of importance samples; `log_z2` is given if the model is read as bidirectional.
    pub(crate) fn of_weights(weights: &[RowWeights], log_z2: Option<LogPartition>) -> Self {
        let read = |reading| weights.iter().map(|row| row.estimate(reading)).collect();
        Scores::new(read(Reading::Directed), log_z2.map(|z| (read(Reading::Bidirectional), z)))
    }

    /// Scores of a model that is given by an energy.
    ///
    /// # Errors
    /// If a row has no probability.
    pub(crate) fn of_energy(
        of: Sampled<'_>,
        energy: &dyn Unnormalised,
        found: OfEnergy,
    ) -> anyhow::Result<Self> {
        let energies = log_z::free_energies(energy, &of.batch()?);
        Scores::of_free_energies((&numbers(of.rows), &of.split), &energies, found)
    }

    /// Scores of a model that is given by an energy, from the free energies of rows; the rows' numbers and their split
    /// are for the error.
    ///
    /// # Errors
    /// If a row has no probability.
    pub(crate) fn of_free_energies(
        (rows, split): (&[u64], &dyn Display),
        energies: &[f64],
        found: OfEnergy,
    ) -> anyhow::Result<Self> {
        let log_probs: Vec<f64> = energies.iter().map(|energy| -energy - found.log_z).collect();
        if let Some(i) = log_probs.iter().position(|log_p| !log_p.is_finite()) {
            anyhow::bail!("row {} of the {split} split has log p = {}", rows[i], log_probs[i]);
        }
        let mut summary = summarise(&exact_rows(&log_probs));
        if let Some(Annealed { found, chains, .. }) = found.annealed() {
            // log Z is the same for all rows, so that its error does not shrink with their number.
            summary.se_mc = found.se;
            summary.bias_mc = -found.se.powi(2) / 2.0;
            summary.ess = found.ess;
            (summary.k_mean, summary.k_max) = (*chains as f64, *chains);
        }
        Ok(Scores {
            log_probs,
            summary,
            bidirectional: None,
            law: None,
            acceptance: None,
            energy: Some(found),
            is_conditional: false,
        })
    }

    /// Scores by enumeration.
    ///
    /// # Errors
    /// If there are too many states, or a row has no probability.
    pub(crate) fn exact(of: Sampled<'_>, reading: Reading) -> anyhow::Result<Self> {
        let Sampled { model, data, split, rows, .. } = of;
        if let Some(energy) = model.unnormalised() {
            let found = log_z::exact(energy)?;
            let z = found.log_z;
            let mut scores = Scores::of_energy(of, energy, found)?;
            scores.law = data.law.as_ref().map(|law| {
                let log_probs = log_z::log_probs(energy, &law.patterns().batch(&model.device()), z);
                OfLaw { cross_entropy: weighed(law, &log_probs), entropy: law.entropy() }
            });
            return Ok(scores);
        }
        let score = |reading| -> anyhow::Result<Vec<RowEstimate>> {
            let log_probs = exact_log_probs(model, &of.batch()?, reading)?;
            if let Some(i) = log_probs.iter().position(|log_p| !log_p.is_finite()) {
                anyhow::bail!("row {} of the {split} split has log p = {}", rows[i], log_probs[i]);
            }
            Ok(exact_rows(&log_probs))
        };
        let bidirectional = match reading {
            Reading::Directed => None,
            Reading::Bidirectional => {
                let log_z2 = LogPartition::exact(model.summed_for(EXACT).or_user()?.log_z2().map_err(user)?);
                Some((score(Reading::Bidirectional)?, log_z2))
            }
        };
        let log_z2 = bidirectional.as_ref().map_or(0.0, |(_, z)| z.log_z2);
        let mut scores = Scores::new(score(Reading::Directed)?, bidirectional);
        scores.is_conditional = model.is_conditional();
        // The law of a set is one of rows without labels.
        if let Some(law) = data.law.as_ref().filter(|_| !scores.is_conditional) {
            // log p* = log p̃* - 2 log Z.
            let cross_entropy = log_z2 + cross_entropy(model, law, reading)?;
            scores.law = Some(OfLaw { cross_entropy, entropy: law.entropy() });
        }
        Ok(scores)
    }
}

/// `-Σ_x law(x) log p(x)`, or with `log p̃*(x)`, by enumeration of latent states and patterns.
///
/// # Errors
/// If there are too many latent states.
pub(crate) fn cross_entropy(model: &BoxedModel, law: &Law, reading: Reading) -> anyhow::Result<f64> {
    let log_probs = exact_log_probs(model, &law.patterns().batch(&model.device()), reading)?;
    Ok(weighed(law, &log_probs))
}

/// `-Σ_x law(x) log p(x)`.
fn weighed(law: &Law, log_probs: &[f64]) -> f64 {
    -log_probs.iter().zip(law.probabilities()).map(|(log_p, p)| p * log_p).sum::<f64>()
}

/// What needs sums over states, and what to use instead.
const EXACT: &str = "--exact sums over the states of latent bits; use --method is";

/// `log p` of each row by a formula or by enumeration, or `log p̃*`.
///
/// # Errors
/// If there is no formula, and there are too many states to enumerate, or none.
pub(crate) fn exact_log_probs(
    model: &BoxedModel,
    batch: &Batch,
    reading: Reading,
) -> anyhow::Result<Vec<f64>> {
    if let Some(formula) = model.formula() {
        return Ok(parts(model, batch.len())
            .flat_map(|rows| into_f64(formula.log_probs(&batch.slice(rows))))
            .collect());
    }
    if let Some(energy) = model.unnormalised() {
        return Ok(log_z::log_probs(energy, batch, log_z::exact(energy)?.log_z));
    }
    model.summed_for(EXACT).or_user()?.log_probs(batch.whole(), reading).map_err(user)
}

/// All rows, or a random subset of `limit` rows, because files may be sorted. Which rows depends only on the protocol.
pub(crate) fn chosen_rows(data: &DataSet, split: SplitName, limit: Option<usize>) -> Vec<usize> {
    let n = data.split(split).rows();
    let Some(limit) = limit.filter(|&limit| limit < n) else { return (0..n).collect() };
    let key =
        Key::new(0).child(Role::Subset).child(data.protocol().as_str()).child(split.to_string().as_str());
    let mut rows = Stream::new(key).permutation(n);
    rows.truncate(limit);
    rows.sort_unstable();
    rows
}

/// Rows handled at a time: few enough for a smooth progress bar. The estimates do not depend on it.
pub(crate) const PART: usize = 250;

/// The parts of so many rows that are handled at a time: all at once if each part would sum over states anew.
pub(crate) fn parts(model: &BoxedModel, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let sums = model.likelihood().is_some_and(|likelihood| likelihood.summed_units() > 0);
    let part = if sums { rows.max(1) } else { PART };
    (0..rows).step_by(part).map(move |first| first..(first + part).min(rows))
}

/// Rows of a split, without their targets; for a conditional model with their classes.
///
/// # Errors
/// If a row has a label that no training row has.
pub(crate) fn batch_for(
    model: &BoxedModel,
    data: &DataSet,
    split: SplitName,
    rows: &[usize],
) -> anyhow::Result<Batch> {
    if model.is_conditional() {
        return Ok(data.fixed_batch(split, &model.device()).or_user()?.select(rows));
    }
    let batch = data.fixed(split).select(rows).batch(&model.device());
    Ok(Batch { target: None, ..batch })
}

/// Rows of a split to score; draws for them are keyed by protocol, row, sample and seed.
#[derive(Clone, Copy)]
pub(crate) struct Sampled<'a> {
    pub(crate) model: &'a BoxedModel,
    pub(crate) data: &'a DataSet,
    pub(crate) split: SplitName,
    pub(crate) rows: &'a [usize],
    pub(crate) seed: u64,
}

impl Sampled<'_> {
    pub(crate) fn key(&self) -> Key {
        Key::new(self.seed).child(Role::Evaluate).child(self.data.protocol().as_str())
    }

    /// The rows, with what the model is conditioned on.
    ///
    /// # Errors
    /// If a row has a label that no training row has.
    pub(crate) fn batch(&self) -> anyhow::Result<Batch> {
        Ok(batch_for(self.model, self.data, self.split, self.rows)?.numbered(numbers(self.rows)))
    }

    fn x(&self) -> Tensor<2> {
        self.data.fixed(self.split).select(self.rows).batch(&self.model.device()).whole()
    }

    fn latent(&self) -> anyhow::Result<&LatentModel> {
        self.model.latent_for("importance sampling draws such latents; use --exact").or_user()
    }

    /// Weights with K samples for each row; `on_rows` gets the number of newly finished rows.
    pub(crate) fn weigh(
        &self,
        evaluator: &ImportanceSampling,
        mut on_rows: impl FnMut(usize),
    ) -> anyhow::Result<Vec<RowWeights>> {
        let mut weights = Vec::with_capacity(self.rows.len());
        let all = self.data.fixed(self.split);
        for part in self.rows.chunks(PART) {
            let x = all.select(part).batch(&self.model.device()).whole();
            weights.extend(evaluator.weigh(self.latent()?, x, numbers(part), self.key())?);
            on_rows(part.len());
        }
        Ok(weights)
    }

    /// Weights of some of the K samples of each row; `on_rows` gets the number of newly finished rows.
    pub(crate) fn weigh_part(
        &self,
        evaluator: &ImportanceSampling,
        samples: Range<usize>,
        mut on_rows: impl FnMut(usize),
    ) -> anyhow::Result<Vec<RowWeights>> {
        let (all, model) = (self.data.fixed(self.split), self.latent()?);
        let weigh = |part: &[usize]| {
            let x = all.select(part).batch(&self.model.device()).whole();
            let weights = evaluator.weigh_part(model, x, numbers(part), self.key(), samples.clone());
            on_rows(part.len());
            weights
        };
        Ok(self.rows.chunks(PART).flat_map(weigh).collect())
    }

    /// Weights of as many samples as the error bound takes; `on_pairs` gets the numbers done and planned.
    pub(crate) fn weigh_within(
        &self,
        evaluator: &ImportanceSampling,
        within: Within,
        on_pairs: impl FnMut(u64, u64),
    ) -> anyhow::Result<Vec<RowWeights>> {
        // All rows together: the error is that of the mean over them.
        Ok(evaluator.weigh_within(
            self.latent()?,
            self.x(),
            numbers(self.rows),
            self.key(),
            within,
            on_pairs,
        )?)
    }

    /// Anneals the rows; `on_pairs` gets the numbers of (row, temperature) pairs done and planned.
    pub(crate) fn anneal(
        &self,
        model: &dyn Smooth,
        evaluator: &AnnealedImportanceSampling,
        mut on_pairs: impl FnMut(u64, u64) + Send,
    ) -> anyhow::Result<Vec<AnnealedRow>> {
        Ok(model.anneal(evaluator, self.x(), numbers(self.rows), self.key(), &mut on_pairs)?)
    }

    /// How many units of each layer of latents have means that vary over the rows; `None` if the latents are bits.
    pub(crate) fn active_units(&self) -> Option<Vec<usize>> {
        let (smooth, device) = (self.model.smooth()?, self.model.device());
        let mut activity = Activity::default();
        let all = self.data.fixed(self.split);
        let add = |part| smooth.add_activity(all.select(part).batch(&device).whole(), &mut activity);
        self.rows.chunks(1000).for_each(add);
        Some(activity.active())
    }
}

/// The numbers of rows.
pub(crate) fn numbers(rows: &[usize]) -> Arc<[u64]> {
    rows.iter().map(|&row| row as u64).collect()
}

/// Estimates 2 log Z with draws of the seed, and warns if the target error is not reached; `hint` says what to change.
pub(crate) fn partition(
    model: &BoxedModel,
    asked: &PartitionFunction,
    (seed, hint): (u64, &str),
    on_draws: impl FnMut(u64, u64),
) -> anyhow::Result<LogPartition> {
    let model = model.latent_for("2 log Z belongs to a bidirectional machine").or_user()?;
    let found = asked.estimate(model, Key::new(seed).child(Role::Partition), on_draws);
    if !found.is_known() {
        tracing::warn!(
            "2 log Z could not be estimated from {} draws: p and q barely overlap; the NLL of p* is replaced by its \
             upper bound, with Z = 1{hint}",
            found.samples
        );
    } else if found.se_formula > asked.error {
        tracing::warn!(
            "2 log Z = {:.3}: its error is ±{:.3} with {} draws; the target was {}{hint}",
            found.log_z2,
            found.se(),
            found.samples,
            asked.error
        );
    }
    Ok(found)
}

/// Whether the likelihood of a row is a formula, or there are no latents to enumerate, or log Z is a sum over few
/// states.
pub(crate) fn is_closed_form(model: &BoxedModel) -> bool {
    let is_small = |energy: &dyn Unnormalised| energy.enumerated_units() <= EXACT_UNITS;
    model.formula().is_some() || model.latent_bits() == Some(0) || model.unnormalised().is_some_and(is_small)
}
