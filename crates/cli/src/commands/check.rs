//! How an evaluation checks itself: what it examines, and what it reports.

use std::collections::HashMap;
use std::path::PathBuf;

use helmholtz_core::{Key, Role, Trainable};
use helmholtz_datasets::SplitName;
use helmholtz_eval::check::CHECKED_ROWS;
use helmholtz_eval::{Check, CheckVerdict, Checked, ImportanceSampling, Reading};
use serde_json::{Value, json};

use super::score::{Sampled, Scores, chosen_rows, numbers};
use super::shard::Setting;
use crate::args::{Checking, ModelArgs};
use crate::console::say;
use crate::shell::quoted;

/// Maximum number of samples of a row that are checked: all weights of a row are in memory at once.
const MOST_SAMPLES: usize = 100_000;

impl Sampled<'_> {
    /// Checks up to 128 of the rows, and 64 dreams. Returns `None` if p* is scored or the check is off.
    ///
    /// If more than 128 rows are scored, which of them are checked does not depend on how many are scored. `samples` is
    /// K, or the mean of K if rows have `different` numbers of samples.
    pub(crate) fn check(
        &self,
        evaluator: &ImportanceSampling,
        (samples, different): (usize, bool),
        checking: Checking,
    ) -> Option<Checked> {
        if checking == Checking::Off || evaluator.reading == Reading::Bidirectional {
            return None;
        }
        let rows = if self.rows.len() > CHECKED_ROWS {
            chosen_rows(self.data, self.split, Some(CHECKED_ROWS))
        } else {
            self.rows.to_vec()
        };
        let enumerate = checking == Checking::Auto;
        // The mass that q misses depends on the number of samples, so every row must have had the same.
        let q_alone = evaluator.defence == 0.0 && samples <= MOST_SAMPLES && !different;
        let samples = samples.min(MOST_SAMPLES);
        let check = Check { chunk: evaluator.chunk, enumerate, q_alone, ..Check::new(samples) };
        let own = Key::new(self.seed).child(Role::Check);
        if let Some(chained) = self.model.chained() {
            let x = || self.data.fixed(self.split).select(&rows).tensor(&self.model.device());
            return (self.model.latent_bits() != Some(0))
                .then(|| chained.check(&check, x(), numbers(&rows), [self.key(), own]));
        }
        self.model.smooth().filter(|_| q_alone).map(|smooth| smooth.check(&check, own))
    }
}

/// The verdict of the check of an evaluation.
pub(crate) struct Judged {
    verdict: CheckVerdict,
    /// The command that settles whether it is right.
    command: String,
}

/// The arguments that name a model in a command, with the split and the epoch if they are not the defaults.
pub(crate) fn named(model: Option<&ModelArgs>, split: SplitName, epoch: Option<usize>) -> String {
    let word = |path: &Option<PathBuf>| path.as_deref().map_or_else(|| "RUN".to_owned(), quoted);
    let mut command = match model {
        Some(ModelArgs { weights: Some(weights), config, .. }) => {
            format!("--weights {} --config {}", quoted(weights), word(config))
        }
        model => word(&model.and_then(|model| model.run.clone())),
    };
    if split != SplitName::Test {
        command += &format!(" --split {split}");
    }
    if let Some(epoch) = epoch {
        command += &format!(" --epoch {epoch}");
    }
    command
}

impl Judged {
    /// The verdict on the scores of an evaluation; `model` holds the arguments that name the model in a command.
    pub(crate) fn new(checked: &Checked, setting: &Setting, scores: &Scores, model: &str) -> Self {
        let estimates: HashMap<u64, f64> =
            setting.rows.iter().copied().zip(scores.log_probs.iter().copied()).collect();
        let verdict = checked.verdict(&scores.summary, |row| estimates.get(&row).copied());
        // Rows of the data are checked only if the latents are bits.
        let how = if checked.rows.is_empty() {
            "--method ais --limit 100".to_string()
        } else if setting.layers.iter().sum::<usize>() <= helmholtz_eval::MAX_LATENT_BITS {
            "--exact --limit 500".to_string()
        } else {
            let samples = (10.0 * scores.summary.k_mean).max(10_000.0);
            format!("--defence 0.1 --samples {samples:.0} --limit 500")
        };
        Judged { verdict, command: format!("helmholtz evaluate {model} {how}") }
    }

    /// Why the evaluation is suspect, if it is.
    pub(crate) fn suspect(&self) -> Option<String> {
        Some(format!("{}; check it with `{}`", self.verdict.suspicion?, self.command))
    }

    /// The figures that `--json` prints.
    pub(crate) fn json(&self) -> Value {
        let v = &self.verdict;
        let rows = (v.rows > 0).then(|| {
            json!({
                "n": v.rows, "visited_states": v.visited, "explained": v.explained,
                "shortfall": v.shortfall.map(|of| of.mean), "shortfall_se": v.shortfall.and_then(|of| of.se),
                "missed": v.missed.map(|of| of.mean), "missed_se": v.missed.and_then(|of| of.se),
                "distinct_states": v.distinct, "top_state": v.top_state, "q_entropy": v.entropy,
            })
        });
        let dreams = v.bounds.map(|[lower, upper]| {
            json!({
                "n": v.dreams, "lower": lower, "upper": upper,
                "missed": v.missed_of_dreams.map(|of| of.mean),
                "missed_se": v.missed_of_dreams.and_then(|of| of.se),
            })
        });
        let exact = v.exact.map(|(n, of)| json!({"n": n, "shortfall": of.mean, "shortfall_se": of.se}));
        json!({"rows": rows, "dreams": dreams, "exact": exact})
    }

    /// Prints what the check found, unless the evaluation is suspect.
    pub(crate) fn print_figures(&self) {
        let v = &self.verdict;
        if v.suspicion.is_some() {
            return;
        }
        if let (Some(shortfall), Some(visited), Some(explained)) = (v.shortfall, v.visited, v.explained) {
            say!(
                "  checked      {} rows: the {visited:.0} latent states visited per row make up {:.1} % of p(x); the \
                 estimate with them differs by {:.4} nats",
                v.rows,
                100.0 * explained,
                shortfall.mean.abs()
            );
        } else if let Some([lower, upper]) = v.bounds {
            say!(
                "  checked      {} samples of the model: their log p is between {lower:.3} and {upper:.3} nats on average",
                v.dreams
            );
        }
    }
}
