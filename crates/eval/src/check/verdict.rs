//! The verdict of a check on an evaluation.

use std::fmt;

use super::checked::{Checked, RowCheck};
use crate::summary::NllSummary;

// The thresholds were chosen on some 500 trained and damaged nets of `tests/suspect.rs` (seeds 0 to 9). The sound
// ones, off by less than 0.02 nats, had a shortfall of at most 0.053 and a missed mass of at most 0.016. The bad
// ones, off by more than 0.1 nats, all had a shortfall of at least 0.06 or a missed mass of at least 0.05. The bias
// and error that a result states are also allowed for, at the price of a few bad nets whose error is mostly stated.

/// How far the mean of the checked rows may be off before it is suspect, nats.
const SHORTFALL: f64 = 0.06;
/// If visited states make up this share of p(x), dreams do not count.
const EXPLAINED: f64 = 0.9;
/// Posterior mass that q may miss on the data.
const MISSED: f64 = 0.05;
/// The same on dreams, if no row of the data could be checked ...
const MISSED_OF_DREAMS: f64 = 0.1;
/// ... and if rows were checked: the data need not look like dreams, and q was trained on the data.
const MISSED_OF_DREAMS_ALONE: f64 = 0.3;
/// Standard errors that a finding must be above zero: its own for a missed mass, that of the samples for a shortfall.
const ERRORS: f64 = 3.0;

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error; not set for a single number.
    pub se: Option<f64>,
}

impl Mean {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let se = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        (!values.is_empty()).then_some(Mean { mean, se })
    }

    /// Whether the mean is above a threshold, and above zero by more than chance.
    fn is_above(&self, threshold: f64) -> bool {
        self.mean > threshold && self.se.is_some_and(|se| self.mean > ERRORS * se)
    }
}

/// Why an evaluation is suspect. Its text is a sentence without the full stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Suspicion {
    /// Shown by the enumeration of some rows.
    Enumerated {
        /// How much the estimates are too low, nats.
        shortfall: f64,
        /// Rows that were enumerated.
        rows: usize,
    },
    /// Shown by states that were visited.
    Visited {
        /// How much the estimates are too low, at least, nats.
        shortfall: f64,
        /// Rows that were checked.
        rows: usize,
    },
    /// Shown by Markov chains on the data.
    Missed {
        /// The posterior mass that q misses.
        mass: f64,
        /// Rows that were checked.
        rows: usize,
    },
    /// Shown by dreams.
    Dreams {
        /// The posterior mass that q misses.
        mass: f64,
        /// Dreams that were checked.
        dreams: usize,
        /// Distance between the bounds, nats.
        gap: f64,
    },
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Suspicion::Enumerated { shortfall, rows } => write!(
                f,
                "the NLL is about {shortfall:.2} nats too high on the {rows} rows whose latent states were \
                 enumerated: the recognition net misses part of the posterior"
            ),
            Suspicion::Visited { shortfall, rows } => write!(
                f,
                "the NLL is about {shortfall:.2} nats too high on {rows} checked rows, because Markov chains found latent \
                 states that the recognition net misses there"
            ),
            Suspicion::Missed { mass, rows } => write!(
                f,
                "the NLL may be too high: on {rows} checked rows the recognition net misses about {:.0} % of the \
                 posterior that Markov chains reach",
                100.0 * mass
            ),
            Suspicion::Dreams { mass, dreams, gap } => write!(
                f,
                "the NLL may be too high: on {dreams} samples of the model itself the recognition net misses about \
                 {:.0} % of the posterior, and the bounds on log p are {gap:.2} nats apart",
                100.0 * mass
            ),
        }
    }
}

/// The figures of a check, compared with the estimates that were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckVerdict {
    /// Rows of the data that were checked.
    pub rows: usize,
    /// How much the estimates are below `log p̂_V`, nats.
    pub shortfall: Option<Mean>,
    /// Share of `p̂_V` that visited states make up, on average.
    pub explained: Option<f64>,
    /// States visited for a row, on average.
    pub visited: Option<f64>,
    /// Different states among the K draws of a row, on average.
    pub distinct: Option<f64>,
    /// The largest share of the weight that a single state has, on average.
    pub top_state: Option<f64>,
    /// Entropy of q, nats, on average.
    pub entropy: Option<f64>,
    /// Posterior mass that q misses on the data, by Markov chains.
    pub missed: Option<Mean>,
    /// Rows enumerated, and how much the estimates are below the exact values, nats.
    pub exact: Option<(usize, Mean)>,
    /// Dreams that were checked.
    pub dreams: usize,
    /// Mean bounds on log p of dreams, from below and from above, nats.
    pub bounds: Option<[f64; 2]>,
    /// Posterior mass that q misses on dreams.
    pub missed_of_dreams: Option<Mean>,
    /// Why the evaluation is suspect, if it is.
    pub suspicion: Option<Suspicion>,
}

impl Checked {
    /// The verdict on an evaluation whose result is `summary`. `estimate` returns the estimate of a row, or `None` if
    /// the row was not evaluated.
    pub fn verdict(&self, summary: &NllSummary, estimate: impl Fn(u64) -> Option<f64>) -> CheckVerdict {
        let rows: Vec<(&RowCheck, f64)> =
            self.rows.iter().filter_map(|row| Some((row, estimate(row.row)?))).collect();
        let mean = |of: &dyn Fn(&RowCheck) -> f64| Mean::of(rows.iter().map(|(row, _)| of(row)));
        let bound = |i: usize| Mean::of(self.dreams.iter().filter_map(|dream| Some(dream.bounds?[i])));
        let exact: Vec<f64> = rows.iter().filter_map(|(row, estimate)| Some(row.exact? - estimate)).collect();
        let mut verdict = CheckVerdict {
            rows: rows.len(),
            shortfall: Mean::of(rows.iter().map(|(row, estimate)| row.log_prob - estimate)),
            explained: mean(&|row| row.explained).map(|of| of.mean),
            visited: mean(&|row| row.visited as f64).map(|of| of.mean),
            distinct: mean(&|row| row.distinct as f64).map(|of| of.mean),
            top_state: mean(&|row| row.top_state).map(|of| of.mean),
            entropy: mean(&|row| row.entropy).map(|of| of.mean),
            missed: Mean::of(rows.iter().filter_map(|(row, _)| row.missed)),
            exact: Mean::of(exact.iter().copied()).map(|of| (exact.len(), of)),
            dreams: self.dreams.len(),
            bounds: bound(0).zip(bound(1)).map(|(lower, upper)| [lower.mean, upper.mean]),
            missed_of_dreams: Mean::of(self.dreams.iter().map(|dream| dream.missed)),
            suspicion: None,
        };
        verdict.suspicion = verdict.suspect(summary);
        verdict
    }
}

impl CheckVerdict {
    fn suspect(&self, summary: &NllSummary) -> Option<Suspicion> {
        // The bias of one sample per row is unknown, so there is nothing to compare with.
        if !summary.bias_mc.is_finite() {
            return None;
        }
        // The bias that the result states itself is not hidden, nor is the error that it states for the samples of as
        // many rows. The spread over rows is no measure: the posterior may be missed on a few of them only.
        let is_hidden = |of: &Mean, rows: usize| {
            let se_mc = summary.se_mc * (summary.n as f64 / rows as f64).sqrt();
            of.mean - summary.bias_mc > SHORTFALL && of.mean > ERRORS * se_mc
        };
        if let Some((rows, of)) = self.exact {
            if is_hidden(&of, rows) {
                return Some(Suspicion::Enumerated { shortfall: of.mean, rows });
            }
            // If every checked row was enumerated, this decides.
            if rows == self.rows {
                return None;
            }
        }
        if let Some(of) = self.shortfall.filter(|of| is_hidden(of, self.rows)) {
            return Some(Suspicion::Visited { shortfall: of.mean, rows: self.rows });
        }
        // A missed mass m makes an estimate too low by -log(1 - m), of which the samples may state a part.
        let is_hidden = |mass: f64| -(1.0 - mass).ln() - summary.bias_mc > SHORTFALL;
        if let Some(missed) = self.missed
            && missed.is_above(MISSED)
            && is_hidden(missed.mean)
        {
            return Some(Suspicion::Missed { mass: missed.mean, rows: self.rows });
        }
        if self.explained.is_some_and(|share| share >= EXPLAINED) {
            return None;
        }
        let missed = self.missed_of_dreams?;
        let threshold = if self.rows == 0 { MISSED_OF_DREAMS } else { MISSED_OF_DREAMS_ALONE };
        (missed.is_above(threshold) && is_hidden(missed.mean)).then_some(Suspicion::Dreams {
            mass: missed.mean,
            dreams: self.dreams,
            gap: self.bounds.map_or(f64::INFINITY, |[lower, upper]| upper - lower),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suspicion about rows with these shortfalls, if the result states this bias and error.
    fn suspicion(shortfalls: &[f64], [bias_mc, se_mc]: [f64; 2]) -> Option<Suspicion> {
        let row = |(row, &log_prob): (usize, &f64)| RowCheck {
            row: row as u64,
            log_prob,
            explained: 1.0,
            visited: 1,
            distinct: 1,
            top_state: 1.0,
            entropy: 0.0,
            missed: None,
            exact: None,
        };
        let checked = Checked { rows: shortfalls.iter().enumerate().map(row).collect(), dreams: Vec::new() };
        let summary = NllSummary {
            n: shortfalls.len(),
            nll: 0.0,
            se_rows: None,
            se_mc,
            bias_mc,
            ci95: None,
            k_mean: 10.0,
            k_max: 10,
            ess: 1.0,
            max_weight: 1.0,
        };
        checked.verdict(&summary, |_| Some(0.0)).suspicion
    }

    #[test]
    fn a_shortfall_is_suspect_beyond_what_is_stated_and_beyond_chance() {
        let steady = |nats: f64| vec![nats - 0.01, nats + 0.01, nats, nats - 0.005, nats + 0.005];
        assert!(matches!(suspicion(&steady(0.2), [0.01, 0.01]), Some(Suspicion::Visited { rows: 5, .. })));
        assert_eq!(suspicion(&steady(0.05), [0.0, 0.0]), None);
        // The result states itself how much it is off.
        assert_eq!(suspicion(&steady(0.09), [0.09, 0.01]), None);
        assert!(suspicion(&steady(0.2), [0.1, 0.01]).is_some());
        // Noise that it states itself, for a few rows and for a single one.
        assert_eq!(suspicion(&[1.0, -0.8, 0.9, -0.6, 0.2], [0.02, 0.3]), None);
        assert_eq!(suspicion(&[0.5], [0.02, 0.4]), None);
        // One row of five is missed, and the result states almost no error.
        assert!(suspicion(&[0.0, 0.0, 1.0, 0.0, 0.0], [0.001, 0.002]).is_some());
        // With one sample a row no error is stated.
        assert_eq!(suspicion(&steady(2.0), [f64::NAN, f64::NAN]), None);
    }
}
