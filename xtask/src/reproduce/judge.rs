//! Verdicts, and when no further sample can change one.
//!
//! An NLL that is estimated by importance sampling is too high on average. If it is at or below the published
//! value, or within the tolerance, then the true NLL is so all the more. SHORT needs more: either the errors of
//! the samples are as small as the row requires, or even the most favourable reading of the estimate is beyond
//! the tolerance:
//!
//! ```text
//! mean - 10 bias_mc - 4 se_mc > published + tolerance
//! ```
//!
//! `bias_mc` alone is not a bound. In results of earlier versions it is half the relative variance of the weights, which
//! misses the mass of states that were never drawn; today halves and quarters of the samples make it larger. With
//! log-normal weights and K = 1000 or 4000, the bias is 3 to 7 times
//! the earlier `bias_mc` if ten or more of the K samples are effective, and 12 to 20 times if three or four are. So ten
//! times `bias_mc` is subtracted, and rows with fewer than ten effective samples on average settle nothing.

use std::fmt;

use anyhow::Context;
use serde_json::Value;

use super::row::Row;
use super::store::{Finished, Seed};

/// Share of the tolerance that `se_mc` and `bias_mc` may take.
const SHARE: f64 = 0.1;
/// How many times `bias_mc` the estimate may be too high.
const BIASES: f64 = 10.0;
/// How many Monte Carlo errors it may be too high in addition: more than 4 occur once in 30 000 looks.
const ERRORS: f64 = 4.0;
/// Mean number of effective samples per row below which `bias_mc` is not trusted.
const FEWEST_EFFECTIVE: f64 = 10.0;

/// The verdict on a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// At or below the published value plus twice our Monte Carlo error.
    Pass,
    /// Within the tolerance above the published value.
    Near,
    /// Beyond the tolerance, this many nats above the published value.
    Short(f64),
    /// Not judged: the Monte Carlo error is more than a tenth of the tolerance, or the estimate is beyond the
    /// tolerance and may be too high by more than that.
    Unsure,
    /// Not judged: the published value is missing or only shown.
    Shown,
    /// Not judged: the row was not run as published.
    Plumbing,
}

impl Verdict {
    /// The verdict in a word, if the row is judged.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Verdict::Pass => Some("PASS"),
            Verdict::Near => Some("NEAR"),
            Verdict::Short(_) => Some("SHORT"),
            Verdict::Unsure => Some("UNSURE"),
            Verdict::Shown | Verdict::Plumbing => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Short(by) => write!(f, "SHORT by {by:.2}"),
            Verdict::Plumbing => f.write_str("ran"),
            verdict => f.write_str(verdict.word().unwrap_or("-")),
        }
    }
}

/// The score of one seed's test split, as far as a verdict depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    nll: f64,
    se_mc: f64,
    bias_mc: f64,
    /// Mean number of effective samples per row; infinite for an exact likelihood.
    effective: f64,
    /// Whether `nll` is an upper bound, because Z is not known.
    is_bound: bool,
}

impl Score {
    /// Reads what `helmholtz evaluate` prints.
    pub(crate) fn of(evaluated: &Value) -> anyhow::Result<Self> {
        let number = |name: &str| {
            evaluated[name].as_f64().with_context(|| format!("the evaluation has no {name}: {evaluated}"))
        };
        let is_bound = evaluated["nll_is_bound"].as_bool().unwrap_or(false);
        let of_z = evaluated["log_z2_se"].as_f64().filter(|_| !is_bound).unwrap_or_default();
        let (nll, se_mc, bias_mc) = (number("nll")?, number("se_mc")?.hypot(of_z), number("bias_mc")?);
        Ok(Score { nll, se_mc, bias_mc, effective: effective(number("ess")?, number("k")?), is_bound })
    }

    /// Whether both errors of the samples are as small as the row requires.
    fn is_within(&self, row: &Row) -> bool {
        self.se_mc.max(self.bias_mc) <= error_asked(row)
    }
}

impl From<&Seed> for Score {
    fn from(seed: &Seed) -> Self {
        Score {
            nll: seed.nll,
            se_mc: seed.se_mc,
            bias_mc: seed.bias_mc,
            effective: effective(seed.ess, seed.k as f64),
            is_bound: seed.bidirectional.as_ref().is_some_and(|found| found.log_z2.is_none()),
        }
    }
}

fn effective(share: f64, k: f64) -> f64 {
    if k == 0.0 { f64::INFINITY } else { share * k }
}

/// The largest `se_mc` and `bias_mc` that a row allows, in nats.
pub(crate) fn error_asked(row: &Row) -> f64 {
    SHARE * row.tolerance
}

/// Whether the errors of an evaluation are small enough: run again, it would draw no more samples.
pub(crate) fn is_reached(row: &Row, evaluated: &Value) -> bool {
    let at_most = |name: &str| evaluated[name].as_f64().is_some_and(|error| error <= error_asked(row));
    at_most("se_mc") && at_most("bias_mc")
}

/// Evaluates all seeds with more and more samples per row, as long as the verdict may depend on them.
pub(crate) fn settle(
    row: &Row,
    stages: &[u64],
    mut evaluate: impl FnMut(u64) -> anyhow::Result<Vec<Value>>,
) -> anyhow::Result<Vec<Value>> {
    let mut seeds = Vec::new();
    for &most in stages {
        seeds = evaluate(most)?;
        let scores = seeds.iter().map(Score::of).collect::<anyhow::Result<Vec<_>>>()?;
        if is_settled(row, &scores) || seeds.iter().all(|seed| is_reached(row, seed)) {
            break;
        }
    }
    Ok(seeds)
}

/// Whether no further sample can change the verdict on the mean of these seeds.
fn is_settled(row: &Row, seeds: &[Score]) -> bool {
    match row.judged_by() {
        Some(published) => {
            seeds.iter().all(|seed| seed.is_within(row))
                || lowest(seeds).is_some_and(|lowest| lowest > published + row.tolerance)
        }
        None => true,
    }
}

/// The most favourable reading of the mean over the seeds; `None` if their errors cannot be trusted.
fn lowest(seeds: &[Score]) -> Option<f64> {
    if seeds.iter().any(|seed| seed.is_bound || seed.effective < FEWEST_EFFECTIVE) {
        return None;
    }
    let n = seeds.len() as f64;
    let se_mc = seeds.iter().map(|seed| seed.se_mc.powi(2)).sum::<f64>().sqrt() / n;
    let mean = seeds.iter().map(|seed| seed.nll - BIASES * seed.bias_mc).sum::<f64>() / n;
    Some(mean - ERRORS * se_mc)
}

/// Judges the mean over the seeds. Spreads over seeds and rows are printed, but no verdict depends on them.
pub(crate) fn judge(row: &Row, finished: &Finished) -> Verdict {
    if finished.tier != "paper" {
        return Verdict::Plumbing;
    }
    let Some(published) = row.judged_by() else { return Verdict::Shown };
    let seeds: Vec<Score> = finished.seeds.iter().map(Score::from).collect();
    let verdict = compare(finished.mean(), finished.se_mc(), published, row.tolerance);
    match verdict {
        Verdict::Short(_) if is_settled(row, &seeds) && !seeds.iter().any(|seed| seed.is_bound) => verdict,
        Verdict::Short(_) => Verdict::Unsure,
        _ if seeds.iter().any(|seed| seed.se_mc > error_asked(row)) => Verdict::Unsure,
        _ => verdict,
    }
}

/// The most favourable reading of a row's NLL, if the row is SHORT although its errors are larger than required.
pub(crate) fn settled_early(row: &Row, finished: &Finished) -> Option<f64> {
    let seeds: Vec<Score> = finished.seeds.iter().map(Score::from).collect();
    let early = matches!(judge(row, finished), Verdict::Short(_)) && !seeds.iter().all(|s| s.is_within(row));
    lowest(&seeds).filter(|_| early)
}

/// The most favourable reading in words.
pub(crate) fn favourable() -> String {
    format!("{BIASES} times the expected bias and {ERRORS} Monte Carlo errors lower")
}

fn compare(ours: f64, se_mc: f64, published: f64, tolerance: f64) -> Verdict {
    let above = ours - published;
    if above <= 2.0 * se_mc {
        Verdict::Pass
    } else if above <= tolerance {
        Verdict::Near
    } else {
        Verdict::Short(above)
    }
}

#[cfg(test)]
mod tests {
    use helmholtz_noise::{Key, Stream};

    use super::super::catalogue::catalogue;
    use super::super::store::tests::finished;
    use super::*;

    fn row(id: &str) -> &'static Row {
        catalogue().unwrap().row(id).unwrap()
    }

    #[test]
    fn a_mean_is_held_against_the_published_value_its_error_and_the_tolerance() {
        assert_eq!(compare(9.8, 0.0, 9.9, 0.3), Verdict::Pass);
        assert_eq!(compare(9.92, 0.01, 9.9, 0.3), Verdict::Pass);
        assert_eq!(compare(9.93, 0.01, 9.9, 0.3), Verdict::Near);
        assert_eq!(compare(10.2, 0.01, 9.9, 0.3), Verdict::Near);
        assert!(matches!(compare(10.21, 0.01, 9.9, 0.3), Verdict::Short(by) if (by - 0.31).abs() < 1e-9));
        // NaN passes nothing.
        assert!(matches!(compare(f64::NAN, 0.0, 9.9, 0.3), Verdict::Short(_)));
    }

    #[test]
    fn a_large_error_of_ours_earns_no_verdict() {
        let row = row("uci-dna-rws-sbn");
        let mut found = finished(&[90.0, 90.1]);
        assert_eq!(judge(row, &found), Verdict::Pass);
        found.seeds[1].se_mc = 0.031; // a tenth of 0.3 is 0.03
        assert_eq!(judge(row, &found), Verdict::Unsure);
        found.tier = "small".to_owned();
        assert_eq!(judge(row, &found), Verdict::Plumbing);
    }

    #[test]
    fn a_row_is_short_before_its_errors_are_small_only_if_its_most_favourable_reading_is() {
        let row = row("uci-dna-rws-sbn"); // 90.63, tolerance 0.3
        let mut found = finished(&[93.0, 93.0]);
        for seed in &mut found.seeds {
            (seed.se_mc, seed.bias_mc) = (0.05, 0.1);
        }
        let settled = |found: &Finished| {
            let seeds: Vec<Score> = found.seeds.iter().map(Score::from).collect();
            is_settled(row, &seeds)
        };
        // 93 - 1 - 4 * 0.05 / sqrt 2 = 91.86, beyond 90.93.
        assert!(settled(&found) && matches!(judge(row, &found), Verdict::Short(_)));
        let lowest = settled_early(row, &found).unwrap();
        assert!((lowest - (92.0 - 0.2 / 2f64.sqrt())).abs() < 1e-12);
        // UNSURE: a seed that could be far lower, ...
        found.seeds[0].bias_mc = 0.3;
        assert!(!settled(&found));
        assert_eq!(judge(row, &found), Verdict::Unsure);
        // ... one with too few effective samples, ...
        found.seeds[0].bias_mc = 0.1;
        found.seeds[0].ess = 0.009;
        assert!(!settled(&found));
        assert_eq!(judge(row, &found), Verdict::Unsure);
        // ... and a machine without Z.
        let mut found = finished(&[93.0]);
        found.seeds[0].bidirectional =
            Some(super::super::store::StoredMachine { nll_p: 93.0, ess_p: 0.1, log_z2: None });
        assert_eq!(judge(row, &found), Verdict::Unsure);
    }

    #[test]
    fn what_is_asked_for_settles_and_so_does_a_row_that_nobody_judges() {
        let judged = row("uci-dna-rws-sbn");
        // Any mean is settled if both errors are at most 0.03; se_mc is 0.03 and bias_mc 0.01.
        for nll in [85.0, 90.7, 99.0] {
            let found = finished(&[nll]);
            assert!(is_settled(judged, &[Score::from(&found.seeds[0])]));
            assert_eq!(settled_early(judged, &found), None);
        }
        let mut found = finished(&[90.7]);
        found.seeds[0].bias_mc = 0.031;
        let score = Score::from(&found.seeds[0]);
        assert!(!is_settled(judged, &[score]) && is_settled(row("caltech-rws-sbn"), &[score]));
        // NEAR already: more samples can only improve it.
        assert_eq!(judge(judged, &found), Verdict::Near);
    }

    #[test]
    fn samples_rise_until_the_verdict_is_settled_or_the_errors_are_what_is_asked_for() {
        const STAGES: [u64; 4] = [1_000, 4_000, 16_000, 100_000];
        let row = row("uci-dna-rws-sbn"); // 90.63, tolerance 0.3
        // Two seeds at these means, whose bias falls as 1 / K.
        let asked = |nlls: [f64; 2], bias: f64| {
            let mut asked = Vec::new();
            let found = settle(row, &STAGES, |most| {
                asked.push(most);
                let bias = bias * 1000.0 / most as f64;
                Ok(nlls
                    .iter()
                    .map(|nll| {
                        serde_json::json!({"nll": nll + bias, "se_mc": 0.001, "bias_mc": bias, "ess": 0.05,
                            "k": most, "k_max": most})
                    })
                    .collect())
            });
            assert_eq!(found.unwrap()[0]["k"], *asked.last().unwrap());
            asked
        };
        assert_eq!(asked([90.0, 90.0], 0.02), STAGES[..1]); // small enough at once
        assert_eq!(asked([90.0, 90.0], 0.1), STAGES[..2]); // 0.025 with 4000
        assert_eq!(asked([99.0, 99.0], 0.5), STAGES[..1]); // 99.5 - 5 is far beyond
        assert_eq!(asked([92.5, 92.5], 0.5), STAGES[..2]); // 93 - 5 is not, 92.625 - 1.25 is
        assert_eq!(asked([90.0, 90.0], 100.0), STAGES); // never small enough
        // One seed alone settles nothing: the mean does.
        assert_eq!(asked([95.0, 90.0], 0.2), STAGES[..2]); // 92.7 - 2 is not beyond 90.93, 92.55 - 0.5 is
    }

    #[test]
    fn an_evaluation_is_read_as_it_is_printed() {
        let printed = serde_json::json!({"nll": 90.0, "se_mc": 0.03, "bias_mc": 0.01, "ess": 0.5, "k": 1000,
            "nll_is_bound": false, "log_z2_se": 0.04});
        let score = Score::of(&printed).unwrap();
        assert!((score.se_mc - 0.05).abs() < 1e-12 && score.effective == 500.0 && !score.is_bound);
        let exact = serde_json::json!({"nll": 90.0, "se_mc": 0.0, "bias_mc": 0.0, "ess": 1.0, "k": 0});
        assert_eq!(Score::of(&exact).unwrap().effective, f64::INFINITY);
        assert!(
            Score::of(&serde_json::json!({"nll": 90.0})).unwrap_err().to_string().contains("has no se_mc")
        );
    }

    #[test]
    fn of_log_normal_weights_the_bias_is_at_most_so_many_times_what_the_weights_say() {
        // log w ~ N(0, s²): log E w = s² / 2. The draws are fixed, so the test has no false alarms; the largest
        // ratio among rows with ten effective samples is near 7, that of the widest weights above 15.
        let mut normals = {
            let mut uniforms = Stream::new(Key::new(0).child("log-normal"));
            move || {
                (-2.0 * (1.0 - uniforms.uniform()).ln()).sqrt()
                    * (std::f64::consts::TAU * uniforms.uniform()).cos()
            }
        };
        let (k, repeats) = (1000, 300);
        let mut ratio = |s: f64| {
            let (mut bias, mut bias_mc, mut effective) = (0.0, 0.0, 0.0);
            for _ in 0..repeats {
                let (mut sum, mut squares) = (0.0, 0.0);
                for _ in 0..k {
                    let w = (s * normals()).exp();
                    (sum, squares) = (sum + w, squares + w * w);
                }
                let (k, mean) = (f64::from(k), sum / f64::from(k));
                bias += s * s / 2.0 - mean.ln();
                bias_mc += 0.5 * (squares / k - mean * mean) / (k - 1.0) / (mean * mean);
                effective += sum * sum / squares;
            }
            (bias / bias_mc, effective / f64::from(repeats))
        };
        for s in [2.0, 2.5, 3.0, 3.5, 4.0] {
            let (ratio, effective) = ratio(s);
            assert!(
                effective < FEWEST_EFFECTIVE || ratio < BIASES,
                "s = {s}: {ratio}, {effective} effective"
            );
        }
        let (ratio, effective) = ratio(6.0);
        assert!(effective < FEWEST_EFFECTIVE && ratio > BIASES, "{ratio}, {effective} effective");
    }
}
