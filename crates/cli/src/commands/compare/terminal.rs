//! A comparison in the terminal, in at most 80 columns: the race with a chart, the court in a line, and what follows.

use helmholtz_court::{Reference, Verdict};

use super::court::{Trials, Tried};
use super::race::{Level, Run, Runner};
use super::table::{Table, brief_race};
use crate::chart::Scale;
use crate::chart::ticks::{label, ticks};

/// Columns of the terminal.
const WIDTH: usize = 80;
/// Rows of the chart.
const HEIGHT: usize = 12;
/// Columns left of the chart, for labels.
const LEFT: usize = 9;
/// What stands for a strategy in the chart.
const MARKS: [char; 8] = ['o', 'x', '+', '*', '#', '%', '@', '='];
/// A bias of this share of the gradient that a trial would have found counts as a sharp one.
const SHARP: f64 = 0.1;

/// A race: title, chart, table.
pub(super) fn race(run: &Run) -> String {
    let Table { title, .. } = brief_race(run);
    let budget = format!("{} {}", label(run.budget.0), run.budget.1.replace('_', " "));
    let head = wrap(&format!("{title}; {budget} for each strategy and seed"));
    format!("{head}\n{}\n{}", chart(run).unwrap_or_default(), brief_race(run).body())
}

/// What the court found, in a sentence, and a line for each estimator that it found fault with.
pub(super) fn court(found: &Trials) -> Vec<String> {
    let all = found.tried.len();
    let right = found.tried.iter().filter(|tried| tried.report.verdict() == Verdict::Right).count();
    let own = found
        .tried
        .iter()
        .flat_map(|tried| tried.report.findings.iter().filter(|finding| finding.reference == Reference::Own));
    let worst = own.map(|finding| finding.z.abs()).fold(0.0, f64::max);
    let critical = found.tried.iter().map(|tried| tried.report.critical).fold(0.0, f64::max);
    let is_sharp = |tried: &&Tried| tried.report.is_right() && tried.report.resolution() <= SHARP;
    let sharp = found.tried.iter().filter(is_sharp).count();
    let sign = if worst < critical { '<' } else { '>' };
    let mut lines = vec![format!(
        "The court ({}): {right} of {all} estimators agree with the exact gradient, {sharp} of them tested to {:.0} %; \
         worst |z| {worst:.1} {sign} {critical:.1}.",
        found.what,
        100.0 * SHARP
    )];
    lines.extend(untested(found));
    for tried in [Verdict::Wrong, Verdict::Unsure].into_iter().flat_map(|verdict| found.of_verdict(verdict)) {
        lines.push(format!("{}: {}", tried.report.verdict().to_string().to_uppercase(), tried.name()));
    }
    lines
}

/// Which estimators were not tested, and how much could have been missed.
fn untested(found: &Trials) -> Option<String> {
    let resolutions = found.of_verdict(Verdict::Untested).map(|tried| tried.report.resolution());
    let coarsest = resolutions.max_by(f64::total_cmp)?;
    let mut named = Vec::new();
    for weights in found.weights() {
        for strategy in found.strategies() {
            let of = |tried: &&Tried| tried.report.verdict() == Verdict::Untested;
            let ks: Vec<String> =
                found.of(strategy, weights).filter(of).map(|tried| tried.k.to_string()).collect();
            if !ks.is_empty() {
                named.push(format!("{strategy} with {weights} weights, K = {}", ks.join(", ")));
            }
        }
    }
    let missed = if coarsest.is_finite() {
        format!("a bias of up to {:.0} % of the gradient could be missed", 100.0 * coarsest)
    } else {
        "an exact gradient is zero".to_owned()
    };
    Some(format!("Not tested, because {missed} (see --precision): {}.", named.join("; ")))
}

/// What a race shows, strategy by strategy against the first: only differences whose interval excludes zero are claimed.
pub(super) fn findings(run: &Run) -> Vec<String> {
    let Some((first, others)) = run.runners.split_first() else { return Vec::new() };
    let seeds = first.seeds.len();
    if others.is_empty() || seeds < 2 {
        return Vec::new();
    }
    let name = |runner: &Runner| runner.strategy.clone();
    let (mut apart, mut alike) = (Vec::new(), Vec::new());
    for other in others {
        match other.minus(first, Level::Claimed) {
            (mean, Some(half)) if mean.abs() > half => {
                let side = if mean < 0.0 { "below" } else { "above" };
                apart.push(format!(
                    "{} ends {:.2} ± {half:.2} {} {side} {}",
                    name(other),
                    mean.abs(),
                    run.score.unit,
                    name(first)
                ));
            }
            (mean, Some(half)) => alike.push(format!("{} ({mean:+.2} ± {half:.2})", name(other))),
            (_, None) => {}
        }
    }
    let mut found = Vec::new();
    if !apart.is_empty() {
        found.push(format!("{} at the same cost (99 %, paired over {seeds} seeds).", apart.join("; ")));
    }
    if !alike.is_empty() {
        found.push(format!(
            "Not told apart from {} (99 %) by {seeds} seeds: {}.",
            name(first),
            alike.join(", ")
        ));
    }
    found
}

/// The strategy with the best mean, to go on with.
pub(super) fn best(run: &Run) -> Option<&Runner> {
    let sign = if run.score.better == helmholtz_core::Score::NLL.better { 1.0 } else { -1.0 };
    let finite = run.runners.iter().filter(|runner| runner.mean().0.is_finite());
    finite.min_by(|a, b| (sign * a.mean().0).total_cmp(&(sign * b.mean().0)))
}

/// The mean curves of a race; `None` if there is nothing to draw.
fn chart(run: &Run) -> Option<String> {
    let curves: Vec<Vec<(f64, f64)>> = run.runners.iter().map(|runner| runner.mean_curve()).collect();
    let points = || curves.iter().flatten().filter(|(x, y)| x.is_finite() && y.is_finite());
    let span = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (low, high)) = (span(|p| p.0), span(|p| p.1));
    if !(left < right && low < high) {
        return None;
    }
    let columns = WIDTH - LEFT - 2;
    let row_of = |y: f64| ((high - y) / (high - low) * (HEIGHT - 1) as f64).round() as usize;
    let column_of = |x: f64| ((x - left) / (right - left) * (columns - 1) as f64).round() as usize;
    let mut cells = vec![vec![' '; columns]; HEIGHT];
    for (i, curve) in curves.iter().enumerate() {
        for pair in curve.windows(2) {
            let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
            if ![x0, y0, x1, y1].into_iter().all(f64::is_finite) {
                continue;
            }
            let (from, to) = (column_of(x0), column_of(x1));
            for (step, column) in (from..=to).enumerate() {
                let share = step as f64 / (to - from).max(1) as f64;
                cells[row_of(y0 + share * (y1 - y0))][column] = MARKS[i % MARKS.len()];
            }
        }
    }
    let mut labels = vec![String::new(); HEIGHT];
    for tick in ticks(Scale::Linear, low, high) {
        labels[row_of(tick)] = label(tick);
    }
    let mut text = format!("{}\n", run.score.axis());
    for (name, row) in labels.iter().zip(cells) {
        let line: String = row.into_iter().collect();
        text += &format!("{name:>width$} |{}\n", line.trim_end(), width = LEFT - 2);
    }
    // Labels of the horizontal axis, each centred below its column.
    let mut below = vec![' '; WIDTH];
    for tick in ticks(Scale::Linear, left, right) {
        let name = label(tick);
        let start = (LEFT + column_of(tick)).saturating_sub(name.len() / 2).min(WIDTH - name.len());
        let is_free = below[start.saturating_sub(1)..start + name.len()].iter().all(|c| *c == ' ');
        if is_free {
            name.chars().enumerate().for_each(|(i, c)| below[start + i] = c);
        }
    }
    let legend: Vec<String> = run
        .runners
        .iter()
        .enumerate()
        .map(|(i, runner)| format!("{} {}", MARKS[i % MARKS.len()], runner.strategy))
        .collect();
    text += &format!("{:>width$} +{}\n", "", "-".repeat(columns), width = LEFT - 2);
    text += &format!("{}\n", below.into_iter().collect::<String>().trim_end());
    text += &format!("{:LEFT$}{}    {}\n", "", run.budget.1.replace('_', " "), legend.join("   "));
    Some(text)
}

/// Lines of at most 80 characters.
pub(super) fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= WIDTH {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}
