//! Verdicts.

use std::fmt;

use super::row::Row;
use super::seeds::SHARE;
use super::store::Finished;

/// What is said of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// At or below the published value plus twice our Monte Carlo error.
    Pass,
    /// Within the tolerance above the published value.
    Near,
    /// Beyond it, by so many nats above the published value.
    Short(f64),
    /// Not judged: the Monte Carlo error is more than a tenth of the tolerance.
    Unsure,
    /// Not judged: the published value, where there is one, is only shown.
    Shown,
    /// Not judged: the row was not run as published.
    Plumbing,
}

impl Verdict {
    /// The verdict in a word; none where there is none.
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
            Verdict::Pass => f.write_str("PASS"),
            Verdict::Near => f.write_str("NEAR"),
            Verdict::Short(by) => write!(f, "SHORT by {by:.2}"),
            Verdict::Unsure => f.write_str("UNSURE"),
            Verdict::Shown => f.write_str("-"),
            Verdict::Plumbing => f.write_str("ran"),
        }
    }
}

/// Judges the mean over the seeds. Spreads over seeds and rows are printed and never judged by.
pub(crate) fn judge(row: &Row, finished: &Finished) -> Verdict {
    if finished.tier != "paper" {
        return Verdict::Plumbing;
    }
    match row.reported.nll.filter(|_| row.reported.source.is_judged()) {
        Some(_) if finished.seeds.iter().any(|seed| seed.se_mc > SHARE * row.tolerance) => Verdict::Unsure,
        Some(published) => compare(finished.mean(), finished.se_mc(), published, row.tolerance),
        None => Verdict::Shown,
    }
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
    use super::super::rows::ROWS;
    use super::super::store::tests::finished;
    use super::*;

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
        let row = ROWS.iter().find(|row| row.id == "uci-dna-rws-sbn").unwrap();
        let mut found = finished(&[90.0, 90.1]);
        assert_eq!(judge(row, &found), Verdict::Pass);
        found.seeds[1].se_mc = 0.031; // a tenth of 0.3 is 0.03
        assert_eq!(judge(row, &found), Verdict::Unsure);
        found.tier = "small".to_owned();
        assert_eq!(judge(row, &found), Verdict::Plumbing);
    }
}
