//! The score of a row whose published value was estimated by annealed importance sampling.
//!
//! Where the posterior is continuous, importance samples from q miss mass that no draw has reached, and their own
//! `bias_mc` misses it too. On variational autoencoders on MNIST, the NLL comes out a nat or more too high. Annealing
//! finds this mass, at hundreds of times the cost per row. So all rows are scored by importance sampling, and some of
//! them also by annealing:
//!
//! ```text
//! log p = mean over all rows of log p_IS + mean over some rows of (log p_AIS - log p_IS)
//! ```
//!
//! The rows' own spread, which is tens of nats, drops out of the second mean. `log p_AIS` is too low on average, at any
//! number of temperatures, so this NLL is too high on average, like all others.
//!
//! The annealed rows are those of `--limit`, fixed by the protocol: a few at first, then as many as their spread
//! requires.

use anyhow::Context;
use serde_json::{Value, json};

use super::super::judge::error_asked;
use super::super::store::{Annealed, Difference};
use super::super::tier::Tier;
use super::Seeds;
use super::scores::SAMPLES;
use crate::exit::progress;

/// Chains per row, as for the published figures.
const CHAINS: u64 = 16;
/// Temperatures per chain; the published figures have 10 000.
const TEMPERATURES: u64 = 500;
/// Test rows that are annealed at first. They are enough for a row that is not judged.
const FIRST: u64 = 100;
/// Factor on the number of rows that the spread of the first ones requires, since the others may spread more.
const MARGIN: f64 = 1.1;
/// How many times more rows are added.
const ROUNDS: usize = 3;

impl Seeds<'_> {
    /// Scores the test rows of a seed, and anneals as many of them as are needed.
    pub(super) fn annealed(&self, seed: u64) -> anyhow::Result<Value> {
        if let Some(summed) = self.summed(seed)? {
            return Ok(summed["evaluate"].clone());
        }
        let (samples, chains, temperatures, first) = match self.tier {
            Tier::Smoke => (5, 2, 3, 5),
            _ => (SAMPLES, CHAINS, TEMPERATURES, FIRST),
        };
        let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let importance = format!("--split test --seed {seed} --samples {samples}");
        let all = self.scored_once(seed, "importance", words(importance.clone()))?;
        let n = all["n"].as_u64().with_context(|| format!("the evaluation has no n: {all}"))?;
        let asked = (self.tier == Tier::Paper && self.recipe.row.judged_by().is_some())
            .then(|| error_asked(self.recipe.row));
        let mut rows = first.min(n);
        let mut rounds = 0..ROUNDS;
        let (annealed, difference) = loop {
            progress(&format!("{} seed {seed}: annealing {rows} of the test rows", self.recipe.row.id));
            let by_importance = words(format!("{importance} --limit {rows}"));
            let (_, drawn) = self.per_row(seed, &format!("importance-{rows}"), by_importance, 1)?;
            let by_annealing = format!(
                "--split test --seed {seed} --method ais --chains {chains} --temperatures {temperatures} --limit {rows}"
            );
            let (annealed, log_probs) =
                self.per_row(seed, &format!("annealed-{rows}"), words(by_annealing), self.parts())?;
            let difference = Difference::of(&log_probs, &drawn);
            match asked.filter(|_| rounds.next().is_some()).and_then(|asked| more(&difference, asked, n)) {
                Some(more) => rows = more,
                None => break (annealed, difference),
            }
        };
        combined(all, &annealed, difference)
    }
}

/// How many rows are needed for an error of `asked`, if that is more than were annealed.
fn more(found: &Difference, asked: f64, all: u64) -> Option<u64> {
    let times = (found.se / asked).powi(2);
    let rows = ((found.rows as f64 * times * MARGIN).ceil() as u64).min(all);
    (times > 1.0 && rows > found.rows).then_some(rows)
}

/// The score of all rows by importance sampling, corrected by what annealing found on some.
fn combined(all: Value, annealed: &Value, lower_by: Difference) -> anyhow::Result<Value> {
    let number = |of: &Value, name: &str| {
        of[name].as_f64().with_context(|| format!("the evaluation has no {name}: {of}"))
    };
    let (importance_nll, se_mc) = (number(&all, "nll")?, number(&all, "se_mc")?);
    let [chains, temperatures] =
        [number(annealed, "k")?, number(annealed, "temperatures")?].map(|n| n as u64);
    let acceptance = annealed["acceptance"].as_f64();
    let mut score = all;
    // The interval is that of importance sampling alone.
    score.as_object_mut().context("the evaluation is not a JSON object")?.remove("ci95");
    score["nll"] = json!(importance_nll - lower_by.mean);
    score["se_mc"] = json!(se_mc.hypot(lower_by.se));
    score["bias_mc"] = json!(number(annealed, "bias_mc")?);
    score["annealed"] =
        serde_json::to_value(Annealed { importance_nll, lower_by, chains, temperatures, acceptance })?;
    Ok(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annealed_rows_put_the_score_of_all_rows_right() {
        let all = json!({"nll": 90.0, "se_mc": 0.03, "bias_mc": 0.1, "se_rows": 0.2, "k": 1000, "n": 10_000});
        let annealed = json!({"nll": 80.0, "bias_mc": 0.02, "k": 16, "temperatures": 500, "acceptance": 0.6});
        let lower_by = Difference::of(&[-80.0, -81.0], &[-81.0, -83.0]);
        assert_eq!((lower_by.rows, lower_by.mean, lower_by.se), (2, 1.5, 0.5));
        let score = combined(all, &annealed, lower_by).unwrap();
        assert_eq!((score["nll"].as_f64(), score["bias_mc"].as_f64()), (Some(88.5), Some(0.02)));
        assert_eq!(score["se_mc"].as_f64(), Some(0.03f64.hypot(0.5)));
        assert_eq!((score["se_rows"].as_f64(), score["k"].as_u64()), (Some(0.2), Some(1000)));
        assert_eq!(score["annealed"]["importance_nll"].as_f64(), Some(90.0));
    }

    #[test]
    fn more_rows_are_annealed_where_their_spread_asks_for_them() {
        let found = |rows, se| Difference { rows, mean: 1.0, se };
        assert_eq!(more(&found(100, 0.25), 0.25, 10_000), None);
        assert_eq!(more(&found(30, 0.5), 0.25, 10_000), Some(132));
        assert_eq!(more(&found(100, 0.5), 0.25, 300), Some(300)); // all there are
        assert_eq!(more(&found(300, 0.5), 0.25, 300), None);
        assert_eq!(more(&found(5, f64::NAN), 0.25, 300), None);
    }
}
