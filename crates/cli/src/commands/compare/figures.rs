//! The figures of a comparison.

use helmholtz_court::Reference;

use super::court::{Trials, Tried};
use super::race::Run;
use crate::chart::{Chart, Line, Point, Scale};

/// A figure and the name of its file.
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) svg: String,
}

/// The point that a figure shows for a trial.
type PointOf<'a> = &'a dyn Fn(&Tried) -> Option<Point>;

/// Bias from the limit, and variance, against K: a figure for each net and each of the weights.
///
/// # Errors
/// If one cannot be drawn.
pub(super) fn of_court(number: usize, found: &Trials) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for weights in found.weights() {
        for (net, parameters) in [("theta", "θ"), ("phi", "φ")] {
            let bias = |tried: &Tried| {
                let found = tried.report.finding(net, Reference::Limit)?;
                // A strategy that claims to follow the limit itself has no gap between its claim and the limit.
                let (bias, se) = found.gap.unwrap_or((found.bias, found.bias_se));
                let size = bias.abs();
                Some(Point { x: tried.k as f64, y: size, low: size - 2.0 * se, high: size + 2.0 * se })
            };
            let variance = |tried: &Tried| {
                let found = tried.report.finding(net, Reference::Own)?;
                Some(Point::exact(tried.k as f64, found.variance))
            };
            let charts: [(&str, &str, &str, PointOf<'_>); 2] = [
                ("bias", "Bias", "distance of the mean from the limit", &bias),
                ("variance", "Variance", "trace of the covariance", &variance),
            ];
            for (what, title, label, point) in charts {
                let line = |(colour, strategy): (usize, &str)| Line {
                    name: Some(strategy.to_owned()),
                    colour,
                    points: found.of(strategy, weights).filter_map(point).collect(),
                };
                let lines = found.strategies().into_iter().enumerate().map(line);
                let chart = Chart {
                    title: format!("{title} of the estimates of {parameters}, {weights} weights"),
                    x: ("samples per observation, K".into(), Scale::Log2),
                    y: (label.to_owned(), Scale::Log10),
                    lines: lines.filter(|line| !line.points.is_empty()).collect(),
                };
                let name = format!("court-{number}-{what}-{net}-{weights}");
                figures.extend(chart.svg()?.map(|svg| Figure { name, svg }));
            }
        }
    }
    Ok(figures)
}

/// The score against cost: a line for each seed, and one for their mean.
///
/// # Errors
/// If it cannot be drawn.
pub(super) fn of_race(number: usize, run: &Run) -> anyhow::Result<Vec<Figure>> {
    let mut lines = Vec::new();
    for (colour, runner) in run.runners.iter().enumerate() {
        let points = |curve: &[(f64, f64)]| {
            // The score before the first step is left out, because it would squeeze the rest of the chart.
            curve.iter().skip(1).map(|&(cost, nll)| Point::exact(cost, nll)).collect::<Vec<_>>()
        };
        let seeds: Vec<Vec<Point>> = runner.seeds.iter().map(|course| points(&course.curve)).collect();
        lines.push(Line {
            name: Some(format!("{}, K = {}", runner.strategy, runner.samples)),
            colour,
            points: runner.mean_curve().into_iter().map(|(cost, nll)| Point::exact(cost, nll)).collect(),
        });
        if seeds.len() > 1 {
            lines.extend(seeds.into_iter().map(|points| Line { name: None, colour, points }));
        }
    }
    let unit = run.budget.1.replace('_', " ");
    let chart = Chart {
        title: format!("{}: {} against cost", run.protocol, run.score.title),
        x: (format!("{unit} of training"), Scale::Linear),
        y: (run.score.axis(), Scale::Linear),
        lines,
    };
    Ok(chart.svg()?.map(|svg| Figure { name: format!("race-{number}"), svg }).into_iter().collect())
}
