//! `report.html`: one page about a finished run, without scripts or external resources.

use helmholtz_core::{Evaluator, Score};
use helmholtz_datasets::DataSet;
use helmholtz_eval::{NllSummary, Reading};
use helmholtz_train::History;
use maud::{DOCTYPE, PreEscaped, html};

use crate::chart::{Chart, Line, Point, Scale};
use crate::config::Config;

/// The page. `of` names the quantity of the results, and `remarks` are what a reader has to know about them.
///
/// # Errors
/// If the learning curve cannot be drawn.
pub fn render(
    config: &Config,
    data: &DataSet,
    history: &History,
    of: &str,
    results: &[(&'static str, NllSummary, usize)],
    remarks: &[String],
) -> anyhow::Result<String> {
    let point = |step: u64, nll: f64| Point::exact(step as f64, nll);
    let valid = history.validation().map(|(_, step, nll)| point(step, nll)).collect();
    let score = config.spec.model.evaluator(1).measures();
    // The objective that training maximises, if its negative is the same quantity as the score.
    let is_nll = score.unit == Score::NLL.unit && score.better == Score::NLL.better;
    let train = |name: &str| -> Vec<Point> {
        let records = history.records().iter().filter(|record| is_nll && record.split == "train");
        records.filter_map(|record| Some(point(record.step, -*record.values.get(name)?))).collect()
    };
    let of_validation = match config.spec.model.reading() {
        Reading::Directed => &format!("valid {}", score.title),
        Reading::Bidirectional => "valid, -log p̃*, a bound on the NLL of p*",
    };
    let line = |(colour, (name, points)): (usize, (&str, Vec<Point>))| Line {
        name: Some(name.to_owned()),
        colour,
        points,
    };
    let curves = Chart {
        title: data.protocol(),
        x: ("training steps".to_owned(), Scale::Linear),
        y: (score.axis(), Scale::Linear),
        lines: [
            (of_validation, valid),
            ("negative train bound", train("bound")),
            ("negative train log-likelihood", train("log_likelihood")),
        ]
        .into_iter()
        .filter(|(_, points)| !points.is_empty())
        .enumerate()
        .map(line)
        .collect(),
    };
    let curves = curves.svg()?.unwrap_or_else(|| "<p>no epoch was finished</p>".to_owned());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (config.spec.model.kind()) " by " (config.spec.strategy.kind()) " on " (data.protocol()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 {
                    (config.spec.model.in_words(data.train.width())) " by " (config.spec.strategy.kind()) " on "
                    (data.protocol())
                }
                table {
                    tr {
                        th { "split" } th { (of) ", nats" } th { "error over rows" } th { "error from K samples" }
                        th { "K" } th { "rows" }
                    }
                    @for (name, s, k) in results {
                        tr {
                            td { (name) }
                            td { (format!("{:.3}", s.nll)) }
                            td { (s.se_rows.map_or_else(|| "one row: no spread".into(), |se| format!("± {se:.3}"))) }
                            td { (format!("± {:.4}, {:.4} too high", s.se_mc, s.bias_mc)) }
                            td { (k) }
                            td { (s.n) }
                        }
                    }
                }
                @for remark in remarks {
                    p { strong { "Note: " } (remark) "." }
                }
                h2 { "Learning curve" }
                (PreEscaped(curves))
                h2 { "Ancestral samples of the best epoch" }
                img src="samples/samples.png" alt="a sheet of 100 samples";
                h2 { "Config" }
                pre { (config.to_toml()) }
                p { "data sha256 " code { (data.data_sha256) } }
            }
        }
    };
    Ok(page.into_string())
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;\
    color:#222}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc}\
td:first-child,th:first-child{text-align:left}pre{background:#f5f5f5;padding:1rem;overflow:auto}\
img{image-rendering:pixelated;max-width:100%;min-width:20rem}";
