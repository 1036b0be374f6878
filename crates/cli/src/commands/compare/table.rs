//! The tables of a comparison, which are the same in the terminal and in the report.

use helmholtz_core::{Measure, Score};
use helmholtz_court::{Finding, Reference, Verdict};

use super::court::{SETTLING, Trials, Tried};
use super::race::{Level, Run, Runner};

/// The cells of a row, under their headings.
type Row = Vec<(&'static str, String)>;

/// A table with its title.
pub(super) struct Table {
    pub(super) title: String,
    /// At least one, all under the same headings.
    pub(super) rows: Vec<Row>,
    /// Notes to show below it.
    pub(super) notes: Vec<String>,
}

/// The results of a court: a row for each strategy, K and weights.
pub(super) fn of_court(found: &Trials) -> Table {
    let row = |tried: &Tried| -> Row {
        let report = &tried.report;
        let own = || report.findings.iter().filter(|finding| finding.reference == Reference::Own);
        let worst = own().map(|finding| finding.z).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
        let of = |block: &str, reference| report.finding(block, reference);
        let tested = |block| match of(block, Reference::Own).map(Finding::resolution) {
            Some(share) if share.is_finite() => format!("{:.1} %", 100.0 * share),
            _ => "-".to_owned(),
        };
        let snr = |block| of(block, Reference::Own).map_or("-".to_owned(), |found| short(found.snr));
        let limit = |block| match of(block, Reference::Limit) {
            None => "-".to_owned(),
            // A known difference that is not seen lies below the smallest that would be seen.
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
            ("theta tested to", tested("theta")),
            ("phi tested to", tested("phi")),
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
    let estimates: Vec<u64> = found.tried.iter().map(|tried| tried.report.estimates).collect();
    let (fewest, most) = (estimates.iter().min().unwrap_or(&0), estimates.iter().max().unwrap_or(&0));
    let estimates = if fewest == most { format!("{most}") } else { format!("{fewest} to {most}") };
    let mut notes = vec![
        format!(
            "Each row compares {estimates} estimates on {} rows of data with exact sums over the latent states, in \
             double precision, along the reference and 8 random directions of every parameter block. A strategy is \
             wrong beyond |z| = {critical:.2}; if every strategy is right, one in a hundred such courts finds one \
             wrong.",
            found.rows,
        ),
        "Tested to: the smallest bias along the reference that would be seen nine times in ten, as a share of the \
         reference. Above 100 % a gradient of zero could pass, and the strategy is not tested; --precision plans more \
         estimates."
            .to_owned(),
        "Off its limit: the distance of the mean estimate from its limit, as a share of the limit. The limit is the \
         gradient of log p(x) for theta, and that of the forward KL for phi of strategies that are meant to follow it; \
         for bihm it is the gradient of log p~*(x)."
            .to_owned(),
    ];
    if let Some(Tried { strategy, .. }) = found.tried.iter().find(|tried| tried.settled) {
        notes.push(format!(
            "{strategy} is tried with baselines and running signals that were fitted on {SETTLING} batches at these \
             weights and then held fixed."
        ));
    }
    if found.tried.iter().any(|tried| tried.report.verdict() == Verdict::Unsure) {
        notes.push(
            "Unsure: the mean is off by more than that, but a single estimate makes up a good part of the variance, so \
             the standard error means little. Unbounded weights do this to coupled chains. More estimates may decide."
                .to_owned(),
        );
    }
    for weights in found.weights() {
        for strategy in found.strategies() {
            for net in ["theta", "phi"] {
                if let Some(order) = found.order(strategy, weights, net) {
                    let [low, high] = order.interval;
                    let falls = if order.holds(0.0) { "does not fall with K: it is" } else { "is" };
                    notes.push(format!(
                        "{weights} weights, {strategy}: the bias of {net} {falls} of order {:.2} [{low:.2}, {high:.2}] \
                         in 1/K.",
                        order.order
                    ));
                }
            }
        }
    }
    Table { title: format!("The court: {}", found.what), rows: found.tried.iter().map(row).collect(), notes }
}

/// The results of a race: a row for each strategy.
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
            ("95 % CI over seeds", half.map_or("-".to_owned(), |half| format!("± {half:.4}"))),
            ("each seed", seeds.join(", ")),
            ("steps", format!("{:.0}", of(&|course| course.steps as f64))),
            ("evaluations", format!("{:.2e}", of(&|course| course.evaluations as f64))),
            ("seconds", format!("{:.1}", of(&|course| course.seconds))),
        ]
    });
    let (budget, unit) = run.budget;
    let mut notes = vec![format!(
        "Every strategy has the same initial weights and order of rows, and {budget} {} of training; judging is not \
         charged. Judged by: {}, in {} per row; {} is better.",
        unit.replace('_', " "),
        run.judged_by,
        run.score.unit,
        run.score.better.word()
    )];
    notes.extend(
        run.entropy.map(|entropy| format!("No model can be below {entropy:.4}, the entropy of the data.")),
    );
    if let Some(Runner { strategy, .. }) = run.runners.iter().find(|runner| runner.is_bidirectional) {
        notes.push(format!(
            "A model trained by {strategy} is judged by its directed half p, like all others."
        ));
    }
    for runner in &run.runners {
        let broken = runner.seeds.iter().filter_map(|course| Some((course.seed, course.broken?)));
        notes.extend(broken.map(|(seed, step)| {
            format!(
                "{}, seed {seed}: not finite at step {step}: training has diverged (try a lower learning rate), or a \
                 test row has no probability.",
                runner.strategy
            )
        }));
    }
    Table { title: format!("The race: {}", run.what), rows: rows.collect(), notes }
}

/// The table of a race in the terminal: fewer columns, and the differences from the first strategy.
pub(super) fn brief_race(run: &Run) -> Table {
    let first = &run.runners[0];
    let rows = run.runners.iter().enumerate().map(|(i, runner)| {
        let (mean, half) = runner.mean();
        let interval = |half: Option<f64>| half.map_or("-".to_owned(), |half| format!("± {half:.3}"));
        let less = match (i, runner.minus(first, Level::Shown)) {
            (0, _) => String::new(),
            (_, (mean, half)) => format!("{mean:+.3} {}", interval(half)),
        };
        let n = runner.seeds.len() as f64;
        let seconds = runner.seeds.iter().map(|course| course.seconds).sum::<f64>() / n;
        let steps = runner.seeds.iter().map(|course| course.steps as f64).sum::<f64>() / n;
        vec![
            ("strategy", runner.strategy.clone()),
            ("K", runner.samples.to_string()),
            (if run.score == Score::NLL { "nats per row" } else { run.score.title }, nats(mean)),
            ("95 %", interval(half)),
            ("minus the first, 95 %", less),
            ("steps", format!("{steps:.0}")),
            ("seconds", format!("{seconds:.1}")),
        ]
    });
    Table { title: format!("The race: {}", run.what), rows: rows.collect(), notes: Vec::new() }
}

fn short(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".to_owned() }
}

fn nats(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { "NaN".to_owned() }
}

impl Table {
    /// The headings.
    pub(super) fn head(&self) -> impl Iterator<Item = &'static str> {
        self.rows[0].iter().map(|(name, _)| *name)
    }

    /// The table as text, with aligned columns, without its title.
    pub(super) fn body(&self) -> String {
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
        let mut text = line(&mut self.head());
        for row in &self.rows {
            text += &line(&mut row.iter().map(|(_, cell)| cell.as_str()));
        }
        text
    }
}
