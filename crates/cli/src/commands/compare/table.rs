//! The tables of a comparison: in the terminal and in the report they are the same.

use helmholtz_core::{Measure, Score};
use helmholtz_court::{Reference, Verdict};

use super::court::{SETTLING, Trials, Tried};
use super::race::{Run, Runner};

/// The cells of a row, under their headings.
type Row = Vec<(&'static str, String)>;

/// A table with its title.
pub(super) struct Table {
    pub(super) title: String,
    /// At least one, all under the same headings.
    pub(super) rows: Vec<Row>,
    /// What there is to say below it.
    pub(super) notes: Vec<String>,
}

/// What a court found, a row for each strategy, K and weights.
pub(super) fn of_court(found: &Trials) -> Table {
    let row = |tried: &Tried| -> Row {
        let report = &tried.report;
        let own = || report.findings.iter().filter(|finding| finding.reference == Reference::Own);
        let worst = own().map(|finding| finding.z).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
        let of = |block: &str, reference| report.finding(block, reference);
        let snr = |block| of(block, Reference::Own).map_or("-".to_owned(), |found| short(found.snr));
        let limit = |block| match of(block, Reference::Limit) {
            None => "-".to_owned(),
            // What is known to differ, and is not seen to, lies below what would be seen.
            Some(found) => match (found.gap, found.verdict) {
                (Some((bias, _)), Verdict::Biased) => format!("{:.1} %", 100.0 * bias.abs() / found.norm),
                (Some((_, se)), Verdict::Unbiased) => {
                    format!("< {:.1} %", 100.0 * report.visible(se) / found.norm)
                }
                (_, verdict) => verdict.to_string(),
            },
        };
        let verdict = match report.verdict() {
            Verdict::Wrong => "WRONG".to_owned(),
            verdict => verdict.to_string(),
        };
        vec![
            ("weights", tried.weights.to_owned()),
            ("strategy", tried.strategy.clone()),
            ("K", tried.k.to_string()),
            ("verdict", verdict),
            ("worst z", format!("{worst:.2}")),
            ("theta off its limit", limit("theta")),
            ("phi off its limit", limit("phi")),
            ("SNR theta", snr("theta")),
            ("SNR phi", snr("phi")),
            (
                "ESS",
                report.mean(Measure::ESS).map_or_else(String::new, |ess| format!("{:.0} %", 100.0 * ess)),
            ),
            ("evaluations", format!("{:.0}", report.evaluations)),
            ("ms", format!("{:.2}", 1e3 * report.seconds_per_estimate)),
        ]
    };
    let critical = found.tried.iter().map(|tried| tried.report.critical).fold(0.0, f64::max);
    let estimates = found.tried.iter().map(|tried| tried.report.estimates).max().unwrap_or(0);
    let visible = found.tried.iter().filter_map(|tried| {
        let theta = tried.report.finding("theta", Reference::Own)?;
        (theta.norm > 0.0).then(|| theta.visible / theta.norm)
    });
    let visible = visible.fold(0.0, f64::max);
    let mut notes = vec![
        format!(
            "Each row: {estimates} estimates for {} rows of data against exact sums over the latent states, in double \
             precision, along the reference and 8 random directions of every parameter block. Wrong beyond |z| = \
             {critical:.2}, which happens in one of a hundred such courts if every strategy is right. The smallest \
             bias along theta's reference that would be seen nine times in ten is at most {:.1} % of the reference.",
            found.rows,
            100.0 * visible
        ),
        "Off its limit: the distance of the mean from the gradient of log p(x) (theta), and from that of the forward KL \
         (phi, of strategies that mean to follow it), of bihm from that of log p~*(x), as a share of it."
            .to_owned(),
    ];
    if let Some(Tried { strategy, .. }) = found.tried.iter().find(|tried| tried.settled) {
        notes.push(format!(
            "{strategy} is tried with baselines and running signals that {SETTLING} batches have fitted at these weights, and \
             that are then held."
        ));
    }
    if found.tried.iter().any(|tried| tried.report.verdict() == Verdict::Unsure) {
        notes.push(
            "Unsure: off by more than that, but a single estimate makes up a good part of the variance, so that a standard \
             error means little; weights that are not bounded do so to coupled chains. More estimates may tell."
                .to_owned(),
        );
    }
    for weights in found.weights() {
        for strategy in found.strategies() {
            for net in ["theta", "phi"] {
                if let Some(order) = found.order(strategy, weights, net) {
                    let [low, high] = order.interval;
                    let falls = if order.holds(0.0) { "does not fall with K:" } else { "is" };
                    notes.push(format!(
                        "{weights} weights, {strategy}: the bias of {net} {falls} of order {:.2} [{low:.2}, {high:.2}] in \
                         1/K.",
                        order.order
                    ));
                }
            }
        }
    }
    Table { title: format!("The court: {}", found.what), rows: found.tried.iter().map(row).collect(), notes }
}

/// What a race came to, a row for each strategy.
pub(super) fn of_race(run: &Run) -> Table {
    let rows = run.runners.iter().map(|runner| {
        let (mean, half) = runner.mean();
        let seeds: Vec<String> = runner.seeds.iter().map(|course| nats(course.nll())).collect();
        let n = runner.seeds.len() as f64;
        let of = |f: &dyn Fn(&super::race::Course) -> f64| runner.seeds.iter().map(f).sum::<f64>() / n;
        vec![
            ("strategy", runner.strategy.clone()),
            ("K", runner.samples.to_string()),
            (if run.score == Score::NLL { "nats per row" } else { run.score.title }, nats(mean)),
            ("95 % over seeds", half.map_or("-".to_owned(), |half| format!("± {half:.4}"))),
            ("each seed", seeds.join(", ")),
            ("steps", format!("{:.0}", of(&|course| course.steps as f64))),
            ("evaluations", format!("{:.2e}", of(&|course| course.evaluations as f64))),
            ("seconds", format!("{:.1}", of(&|course| course.seconds))),
        ]
    });
    let (budget, unit) = run.budget;
    let mut notes = vec![format!(
        "The same initial weights and order of rows for every strategy; {budget} {} of training each, judging not charged. \
         Judged by: {}, in {} per row, of which the {} is better.",
        unit.replace('_', " "),
        run.judged_by,
        run.score.unit,
        run.score.better.word()
    )];
    notes.extend(
        run.entropy.map(|entropy| format!("No model can be below {entropy:.4}, the entropy of the data.")),
    );
    if let Some(Runner { strategy, .. }) = run.runners.iter().find(|runner| runner.is_bidirectional) {
        notes.push(format!("A model trained by {strategy} is judged as its directed half p, as all others."));
    }
    for runner in &run.runners {
        let broken = runner.seeds.iter().filter_map(|course| Some((course.seed, course.broken?)));
        notes.extend(broken.map(|(seed, step)| {
            format!(
                "{}, seed {seed}: no number at step {step}: it has diverged, which a lower rate may help, or gives a test row \
                 no probability.",
                runner.strategy
            )
        }));
    }
    Table { title: format!("The race: {}", run.what), rows: rows.collect(), notes }
}

fn short(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".to_owned() }
}

fn nats(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { "none".to_owned() }
}

impl Table {
    /// The headings.
    pub(super) fn head(&self) -> impl Iterator<Item = &'static str> {
        self.rows[0].iter().map(|(name, _)| *name)
    }

    /// The table as text, columns flush.
    pub(super) fn text(&self) -> String {
        let width = |(i, name): (usize, &str)| {
            let cells = self.rows.iter().map(|row| row[i].1.chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = self.head().enumerate().map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).enumerate().map(|(i, (cell, &width))| {
                if i < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        let mut text = format!("{}\n", self.title);
        text += &line(&mut self.head());
        for row in &self.rows {
            text += &line(&mut row.iter().map(|(_, cell)| cell.as_str()));
        }
        text
    }
}
