//! `report.html`: one page about a finished run, without scripts or external resources.

use helmholtz_core::Score;
use helmholtz_datasets::DataSet;
use helmholtz_eval::{NllSummary, Reading};
use helmholtz_train::{History, Record};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use crate::chart::{Chart, Line, Point, Scale};
use crate::config::Config;

/// What the page is about.
pub struct RunReport<'a> {
    /// The settings of the run.
    pub config: &'a Config,
    /// Its data.
    pub data: &'a DataSet,
    /// Its records.
    pub history: &'a History,
    /// The quantity of the results, such as `NLL`.
    pub of: &'a str,
    /// Each split with its summary and the number of samples.
    pub results: &'a [(&'static str, NllSummary, usize)],
    /// What a reader has to know about the results.
    pub remarks: &'a [String],
    /// The epoch of the weights that were scored.
    pub epoch: usize,
    /// The contents of `provenance.json`.
    pub provenance: &'a Value,
    /// Seconds of training, by `timing.jsonl`.
    pub seconds: Option<f64>,
    /// Pictures in the folder of the run, with a caption each.
    pub pictures: &'a [(&'static str, &'static str)],
}

/// The page.
///
/// # Errors
/// If a curve cannot be drawn.
pub fn render(report: &RunReport<'_>) -> anyhow::Result<String> {
    let RunReport { config, data, history, remarks, pictures, .. } = report;
    let (model, strategy) = (config.spec.model.in_words(data.train.width()), config.spec.strategy.kind());
    let title = format!("{model} trained by {strategy} on {}", data.protocol());
    let curves = [learning_curve(report).svg()?, ess(history).svg()?, gradient_norms(history).svg()?];
    let body = html! {
        (results(report))
        @for remark in *remarks {
            p { strong { "Note: " } (remark) "." }
        }
        h2 { "Training" }
        @if curves.iter().all(Option::is_none) { p { "No epoch was finished." } }
        div class="figures" {
            @for curve in curves.iter().flatten() { figure { (PreEscaped(curve)) } }
        }
        @if !pictures.is_empty() {
            h2 { "Samples" }
            div class="pictures" {
                @for (file, caption) in *pictures {
                    figure { img src=(file) alt=(caption); figcaption { (caption) } }
                }
            }
        }
        h2 { "Provenance" }
        (provenance(report))
        details { summary { "The config, with every default" } pre { (config.to_toml()) } }
    };
    Ok(page_of(&title, &body))
}

/// A page about runs, with its title above the body.
pub(crate) fn page_of(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (body)
            }
        }
    };
    page.into_string()
}

fn results(report: &RunReport<'_>) -> Markup {
    html! {
        table {
            tr {
                th { "split" } th { (report.of) ", nats per row" } th { "95 % over rows" } th { "error from K samples" }
                th { "bias from K samples" } th { "ESS" } th { "K" } th { "rows" }
            }
            @for (name, s, k) in report.results {
                tr {
                    td { (name) }
                    td { (format!("{:.3}", s.nll)) }
                    td { (s.ci95.map_or("one row: no spread".to_owned(), |[low, high]| format!("{low:.3} to {high:.3}"))) }
                    td { (format!("± {:.4}", s.se_mc)) }
                    td { (format!("about {:.4} too high", s.bias_mc)) }
                    td { (format!("{:.1} % of K", 100.0 * s.ess)) }
                    td { (k) }
                    td { (s.n) }
                }
            }
        }
        p { "Scored with the weights of epoch " (report.epoch) ", the best by validation score." }
    }
}

fn provenance(report: &RunReport<'_>) -> Markup {
    let text = |key: &str| match &report.provenance[key] {
        Value::String(text) => text.clone(),
        Value::Array(words) => {
            words.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>().join(" ")
        }
        Value::Null => "not recorded".to_owned(),
        other => other.to_string(),
    };
    html! {
        table class="provenance" {
            tr { th { "helmholtz" } td { (text("version")) ", commit " (text("commit")) } }
            tr { th { "command" } td { code { (text("command")) } } }
            tr { th { "device" } td { (text("device")) } }
            tr { th { "seed" } td { (text("seed")) } }
            tr { th { "data" } td { (report.data.protocol()) ", sha256 " code { (report.data.data_sha256) } } }
            tr { th { "time" } td { (report.seconds.map_or("not recorded".to_owned(), |s| format!("{s:.1} s of training and validation"))) } }
        }
    }
}

/// Validation score and training bound against steps.
fn learning_curve(report: &RunReport<'_>) -> Chart {
    let RunReport { config, data, history, .. } = report;
    let valid = history.validation().map(|(_, step, nll)| Point::exact(step as f64, nll)).collect();
    let score = config.spec.model.score();
    // The objective that training maximises, if its negative is the same quantity as the score.
    let is_nll = score.unit == Score::NLL.unit && score.better == Score::NLL.better;
    let train = |name: &str| if is_nll { of_training(history, name, |value| -value) } else { Vec::new() };
    let of_validation = match config.spec.model.reading() {
        Reading::Directed => format!("valid {}", score.title),
        Reading::Bidirectional => "valid, -log p̃*, a bound on the NLL of p*".to_owned(),
    };
    chart(
        format!("Learning curve on {}", data.protocol()),
        (score.axis(), Scale::Linear),
        vec![
            (of_validation, valid),
            ("train bound, negative".to_owned(), train("bound")),
            ("train log-likelihood, negative".to_owned(), train("log_likelihood")),
        ],
    )
}

/// The effective sample size of training against steps.
fn ess(history: &History) -> Chart {
    let points = of_training(history, "ess", |value| 100.0 * value);
    chart(
        "Effective sample size in training".to_owned(),
        ("per cent of K".to_owned(), Scale::Linear),
        vec![("ESS".to_owned(), points)],
    )
}

/// The norms of the gradients of each group of parameters against steps.
fn gradient_norms(history: &History) -> Chart {
    const NORM: &str = "gradient_norm_";
    let names = history.records().first().map(|record| record.values.keys().cloned().collect::<Vec<_>>());
    let groups =
        names.unwrap_or_default().into_iter().filter_map(|name| Some(name.strip_prefix(NORM)?.to_owned()));
    let lines = groups.map(|group| {
        let points = of_training(history, &format!("{NORM}{group}"), |value| value);
        (group, points)
    });
    chart(
        "Norm of the gradient".to_owned(),
        ("norm, mean of an epoch".to_owned(), Scale::Log10),
        lines.collect(),
    )
}

/// What training measured under a name, by step.
pub(crate) fn of_training(history: &History, name: &str, f: impl Fn(f64) -> f64) -> Vec<Point> {
    let records = history.records().iter().filter(|record| record.split == "train");
    let point = |record: &Record| Some(Point::exact(record.step as f64, f(*record.values.get(name)?)));
    records.filter_map(point).collect()
}

/// A chart against training steps.
fn chart(title: String, y: (String, Scale), lines: Vec<(String, Vec<Point>)>) -> Chart {
    against(("training steps".to_owned(), Scale::Linear), title, y, lines)
}

/// A chart of the lines that have points. A line's colour depends only on its place among all of them.
pub(crate) fn against(
    x: (String, Scale),
    title: String,
    y: (String, Scale),
    lines: Vec<(String, Vec<Point>)>,
) -> Chart {
    let lines = lines.into_iter().enumerate().filter(|(_, (_, points))| !points.is_empty());
    let line = |(colour, (name, points))| Line { name: Some(name), colour, points };
    Chart { title, x, y, lines: lines.map(line).collect() }
}

const STYLE: &str = "\
    body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}\
    h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}\
    table{border-collapse:collapse;display:block;overflow-x:auto;font-variant-numeric:tabular-nums}\
    td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc;white-space:nowrap}\
    td:first-child,th:first-child,.provenance td{text-align:left}.provenance td{white-space:normal;overflow-wrap:anywhere}\
    pre{background:#f5f5f5;padding:1rem;overflow:auto;font-size:.85rem}\
    .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem}\
    .pictures{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}\
    figure svg{width:100%;height:auto;max-width:35rem}figure img{image-rendering:pixelated;width:min(100%,20rem)}\
    figcaption{font-size:.9rem}";
