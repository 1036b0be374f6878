//! What a trial found.

use std::fmt;

use helmholtz_core::Measure;

use crate::blocks::{NETS, Net};

/// A bias this many standard errors beyond the critical value is detected with probability 90 %.
pub(crate) const POWER_90: f64 = 1.2816;

/// What an estimate is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The expectation that the strategy claims: is the implementation right?
    Own,
    /// What it is meant to follow: what does a finite number of samples cost?
    Limit,
}

/// The result of comparing a block with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// No direction is off by more than chance allows.
    Right,
    /// No direction is off, but a bias as large as the whole reference could have been missed.
    #[strum(serialize = "not tested")]
    Untested,
    /// A direction is off: the implementation does not estimate what it claims.
    Wrong,
    /// No direction is off from the limit by more than chance allows.
    Unbiased,
    /// A direction is off from the limit.
    Biased,
    /// A direction is off by more than chance allows for a mean that is about normal, but a single estimate makes up a
    /// large part of the variance: the tails are too heavy for a standard error. More estimates may decide.
    Unsure,
}

/// One block compared with one reference. Gradients are those of losses, means over the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The block.
    pub block: String,
    /// The net that it belongs to.
    pub net: Net,
    /// What it is compared with.
    pub reference: Reference,
    /// Norm of the reference.
    pub norm: f64,
    /// Mean of the estimates less the reference, along the reference.
    pub bias: f64,
    /// Its standard error.
    pub bias_se: f64,
    /// Bias over standard error, in the tried direction in which it is the largest. The part of the reference
    /// that comes from states expected at most fifty times in the whole trial does not count as bias: by chance it may
    /// be missing from the estimates and from their spread alike.
    pub z: f64,
    /// The smallest bias along the reference that would be detected with probability 90 %.
    pub visible: f64,
    /// How far the mean lies from the limit, along the line from the limit to the strategy's own expectation, and its
    /// standard error. Set only in a comparison with the limit, and only if the two differ.
    pub gap: Option<(f64, f64)>,
    /// Trace of the covariance of the estimates.
    pub variance: f64,
    /// Norm of their mean over the root of that trace.
    pub snr: f64,
    /// Mean cosine between an estimate and the reference; not set if the reference is zero.
    pub cosine: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
}

/// The findings of a trial of a strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Block by block, those on the strategy's own objective first.
    pub findings: Vec<Finding>,
    /// Number of estimates.
    pub estimates: u64,
    /// The z beyond which a direction is off.
    pub critical: f64,
    /// Means over the estimates of what the strategy measures on a batch.
    pub measured: Vec<(Measure, f64)>,
    /// Seconds per estimate.
    pub seconds_per_estimate: f64,
    /// Seconds per estimate to record it in the statistics.
    pub bookkeeping_per_estimate: f64,
    /// Mean number of model evaluations per estimate.
    pub evaluations: f64,
}

impl Finding {
    /// The smallest bias along the reference that would be detected with probability 90 %, as a share of the reference:
    /// above 1, a gradient of zero could pass. Infinite if the reference is zero.
    pub fn resolution(&self) -> f64 {
        if self.norm > 0.0 { self.visible / self.norm } else { f64::INFINITY }
    }
}

impl Report {
    /// Whether the strategy's own objective was tested, and no block is off from it.
    pub fn is_right(&self) -> bool {
        self.verdict() == Verdict::Right
    }

    /// The verdict on the strategy's own objective over all blocks: wrong if one of them is, else unsure if one is, else
    /// untested if a whole net is.
    pub fn verdict(&self) -> Verdict {
        let own = self.findings.iter().filter(|finding| finding.reference == Reference::Own);
        let verdicts: Vec<Verdict> = own.map(|finding| finding.verdict).collect();
        let first = [Verdict::Wrong, Verdict::Unsure].into_iter().find(|verdict| verdicts.contains(verdict));
        let is_untested = self.nets().any(|net| net.verdict == Verdict::Untested);
        first.unwrap_or(if is_untested { Verdict::Untested } else { Verdict::Right })
    }

    /// The findings on whole nets, on the strategy's own objective.
    fn nets(&self) -> impl Iterator<Item = &Finding> {
        let is_net = |found: &&Finding| NETS.iter().any(|(_, name)| *name == found.block);
        self.findings.iter().filter(|found| found.reference == Reference::Own).filter(is_net)
    }

    /// The coarser [`Finding::resolution`] of the two nets, on the strategy's own objective.
    pub fn resolution(&self) -> f64 {
        self.nets().map(Finding::resolution).fold(0.0, f64::max)
    }

    /// Number of estimates by which [`Report::resolution`] would be `asked`, since standard errors fall with the root of
    /// their number. At least the number that there were; `None` if a reference is zero.
    ///
    /// # Panics
    /// If `asked` is not above zero.
    pub fn estimates_for(&self, asked: f64) -> Option<u64> {
        assert!(asked > 0.0, "a resolution of {asked}");
        let times = (self.resolution() / asked).powi(2).max(1.0);
        times.is_finite().then(|| (self.estimates as f64 * times).ceil() as u64)
    }

    /// The mean of a measure, if the strategy has it.
    pub fn mean(&self, measure: Measure) -> Option<f64> {
        self.measured.iter().find(|(found, _)| *found == measure).map(|(_, mean)| *mean)
    }

    /// The smallest bias that would be detected with probability 90 % if its standard error is `se`.
    pub fn visible(&self, se: f64) -> f64 {
        (self.critical + POWER_90) * se
    }

    /// The finding on a block.
    pub fn finding(&self, block: &str, reference: Reference) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.block == block && finding.reference == reference)
    }
}

impl fmt::Display for Report {
    /// A table of the findings on the strategy's own objective, with the critical value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>11} {:>11} {:>9} {:>8} {:>8}", "block", "reference", "bias", "± se", "z", "")?;
        for found in self.findings.iter().filter(|found| found.reference == Reference::Own) {
            let Finding { block, norm, bias, bias_se, z, verdict, .. } = found;
            writeln!(f, "{block:<16} {norm:>11.3e} {bias:>11.2e} {bias_se:>9.1e} {z:>8.2} {verdict:>8}")?;
        }
        write!(f, "{} estimates; wrong beyond |z| = {:.2}", self.estimates, self.critical)
    }
}
