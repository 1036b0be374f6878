//! Notes on a run: what its user should know, and what to do about it.

use helmholtz_core::Score;
use helmholtz_datasets::{DataSet, SplitName, ValueKind};
use helmholtz_eval::Reading;
use helmholtz_train::{End, History, Outcome};
use helmholtz_zoo::Support;

use super::finished::Results;
use crate::args::TrainArgs;
use crate::config::Config;
use crate::registry::registry;
use crate::run_folder::RunFolder;
use crate::shell::quoted;

/// Bounds of the probabilities of independent pixels, so that one that is always off in training costs finite nats.
const CLIP: [f64; 2] = [0.001, 0.999];

/// Notes on what is about to be trained.
pub(crate) fn before(args: &TrainArgs, config: &Config, data: &DataSet) -> Vec<String> {
    let mut notes = Vec::new();
    let (batch, rows) = (config.train.batch, data.train.rows());
    if batch > rows {
        notes.push(format!(
            "train.batch = {batch} is larger than the {rows} rows of training data; every step takes all of them"
        ));
    }
    let without = args.model.as_deref().and_then(|kind| registry().without_latents(kind));
    let is_set = args.set.iter().any(|pair| pair.starts_with("model.layers"));
    let asked = args.layers.is_some() || args.config.is_some() || is_set;
    if let (Some(what), false) = (without, asked) {
        notes.push(format!(
            "--model {} trains {} with latents; for {what}, without latents, add --layers ''",
            config.spec.model.kind(),
            config.spec.model.in_words(data.train.width())
        ));
    }
    notes
}

/// Notes on a finished run.
pub(super) fn after(
    config: &Config,
    data: &DataSet,
    folder: &RunFolder,
    outcome: &Outcome,
    results: &Results,
) -> Vec<String> {
    let mut notes = Vec::new();
    let is_nll = config.spec.model.score() == Score::NLL;
    let is_directed = config.spec.model.reading() == Reading::Directed;
    // A density is no probability, even at bits.
    let is_of_bits = config.spec.model.support() == Support::Bits;
    let (name, split, found) = match &results.test {
        Some(test) => ("test", SplitName::Test, test),
        None => ("validation", SplitName::Valid, &results.valid),
    };
    if let Some(independent) = independent_pixels(data, split).filter(|_| is_nll && is_directed && is_of_bits)
        && found.nll > independent
    {
        notes.push(format!(
            "the {name} NLL is above {independent:.3}, that of independent pixels with the means of the training rows: \
             the model has learnt less than these means; train longer, or try another learning rate (--lr)"
        ));
    }
    notes.extend(low_ess(found.ess, found.k_mean));
    let (last, best) = (outcome.history.last(), outcome.history.best());
    if let (Some((last, _)), Some((best, _)), End::Finished) = (last, best, &outcome.end)
        && best == last
        && last > 1
    {
        notes.extend(still_improving(config, folder, &outcome.history, last));
    }
    notes
}

/// What a run whose best epoch is its last one may lack. A rate that falls to its end makes the last epoch the best of
/// most runs, so a run with such a rate is too short only if its last tenth still gained much.
fn still_improving(config: &Config, folder: &RunFolder, history: &History, last: usize) -> Option<String> {
    if config.stage.is_empty() && config.optimizer.schedule == "constant" && config.train.epochs.is_some() {
        return Some(format!(
            "the validation score was still improving at the last epoch; go on with `helmholtz train --resume --out {} \
             --epochs {}`",
            quoted(folder.path()),
            2 * last
        ));
    }
    let scores: Vec<f64> = history.validation().map(|(_, _, score)| score).collect();
    let tenth = scores.len().div_ceil(10);
    let (now, before) = (*scores.last()?, *scores.iter().rev().nth(tenth)?);
    let is_much = (now - before).abs() > MUCH * now.abs();
    is_much.then(|| {
        "the validation score was still improving at the end; a new run that is longer may be better (--epochs, \
         --steps)"
            .to_owned()
    })
}

/// A gain in the last tenth of a run, as a share of the score, after which a longer run may be better.
const MUCH: f64 = 1e-3;

/// A note on an effective sample size below one per cent of K, or of fewer than two samples.
pub(crate) fn low_ess(ess: f64, k: f64) -> Option<String> {
    let is_low = k > 1.0 && ess < (2.0 / k).clamp(0.01, 0.5);
    is_low.then(|| {
        format!(
            "only {:.1} of {k:.0} importance samples per row are effective: by how much the NLL is too high is \
             extrapolated from halves and quarters of the samples; compare it with more samples, or with an exact or \
             annealed estimate",
            ess * k
        )
    })
}

/// The NLL of the rows of a split under independent pixels with the means of the training rows; `None` if values are not bits
/// or are missing.
fn independent_pixels(data: &DataSet, split: SplitName) -> Option<f64> {
    let test = data.fixed(split);
    let is_known =
        |split: &helmholtz_datasets::Split| split.missing() == 0 && split.first_not_binary().is_none();
    if !is_known(&test) || data.train.kind() == ValueKind::Real || data.train.missing() > 0 {
        return None;
    }
    let nats = data.train.mean().into_iter().zip(test.mean()).map(|(p, x)| {
        let p = p.clamp(CLIP[0], CLIP[1]);
        -x * p.ln() - (1.0 - x) * (1.0 - p).ln()
    });
    Some(nats.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_pixels_of_bars_cost_what_their_means_say() {
        let bars = helmholtz_datasets::load("bars/5x5", None).unwrap();
        let half = 25.0 * std::f64::consts::LN_2;
        let found = independent_pixels(&bars, SplitName::Test).unwrap();
        assert!(found < half && found > 3.2508, "{found}");
    }

    #[test]
    fn the_effective_sample_size_is_noted_below_one_per_cent_and_below_two_samples() {
        for (ess, k, is_noted) in [
            (0.009, 1000.0, true),
            (0.011, 1000.0, false),
            (0.015, 100.0, true),
            (0.03, 100.0, false),
            (1.0, 1.0, false),
        ] {
            assert_eq!(low_ess(ess, k).is_some(), is_noted, "{ess} of {k}");
        }
    }
}
