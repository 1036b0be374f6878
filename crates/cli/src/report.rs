//! `report.html`: one page about a finished run, without scripts or anything from elsewhere.

use helmholtz_datasets::DataSet;
use helmholtz_eval::{NllSummary, Reading};
use helmholtz_train::History;
use maud::{DOCTYPE, PreEscaped, html};

use crate::config::Config;

/// The page; `of` says what the results are of, `remarks` what has to be known of them.
pub fn render(
    config: &Config,
    data: &DataSet,
    history: &History,
    of: &str,
    results: &[(&'static str, NllSummary, usize)],
    remarks: &[String],
) -> String {
    let valid: Vec<(f64, f64)> = history.validation().map(|(_, step, nll)| (step as f64, nll)).collect();
    let bound: Vec<(f64, f64)> = history
        .records()
        .iter()
        .filter(|record| record.split == "train")
        .filter_map(|record| Some((record.step as f64, -record.values.get("bound")?)))
        .collect();
    let of_validation = match config.model.reading() {
        Reading::Directed => "valid NLL",
        Reading::Bidirectional => "valid, -log p̃*, a bound on the NLL of p*",
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (config.model.kind) " by " (config.strategy.kind) " on " (data.protocol()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (config.model.kind) " " (format!("{:?}", config.model.layers)) " by " (config.strategy.kind) " on " (data.protocol()) }
                table {
                    tr { th { "split" } th { (of) ", nats" } th { "over rows" } th { "from K samples" } th { "K" } th { "rows" } }
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
                (PreEscaped(curves(&[(of_validation, "#0b5394", &valid), ("train bound, negative", "#b45f06", &bound)])))
                h2 { "Ancestral samples of the best epoch" }
                img src="samples/samples.png" alt="a sheet of 100 samples";
                h2 { "Config" }
                pre { (config.to_toml()) }
                p { "data sha256 " code { (data.data_sha256) } }
            }
        }
    }
    .into_string()
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc}\
td:first-child,th:first-child{text-align:left}pre{background:#f5f5f5;padding:1rem;overflow:auto}\
img{image-rendering:pixelated;max-width:100%;min-width:20rem}";

/// Name, colour and points.
type Curve<'a> = (&'a str, &'a str, &'a [(f64, f64)]);

/// Curves over training steps as an SVG.
fn curves(curves: &[Curve<'_>]) -> String {
    let points = || curves.iter().flat_map(|(_, _, points)| points.iter());
    let fold =
        |f: fn(f64, f64) -> f64, start: f64, pick: fn(&(f64, f64)) -> f64| points().map(pick).fold(start, f);
    let (x_max, y_min, y_max) = (
        fold(f64::max, 1.0, |p| p.0),
        fold(f64::min, f64::INFINITY, |p| p.1),
        fold(f64::max, f64::NEG_INFINITY, |p| p.1),
    );
    if !(y_min.is_finite() && y_max.is_finite()) {
        return "<p>no epoch was finished</p>".into();
    }
    let span = (y_max - y_min).max(1e-9);
    let (x_at, y_at) = (|x: f64| 60.0 + 560.0 * x / x_max, |y: f64| 20.0 + 240.0 * (y_max - y) / span);
    let mut svg =
        String::from("<svg viewBox='0 0 640 300' width='640' height='300' font-size='12' role='img'>");
    for i in 0..=4 {
        let y = y_min + span * f64::from(i) / 4.0;
        svg += &format!("<line x1='60' x2='620' y1='{0:.1}' y2='{0:.1}' stroke='#ddd'/>", y_at(y));
        svg += &format!("<text x='54' y='{:.1}' text-anchor='end'>{y:.2}</text>", y_at(y) + 4.0);
    }
    for (i, (name, colour, points)) in curves.iter().enumerate() {
        let path: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_at(*x), y_at(*y))).collect();
        svg += &format!(
            "<polyline fill='none' stroke='{colour}' stroke-width='2' points='{}'/>",
            path.join(" ")
        );
        svg += &format!("<text x='{}' y='292' fill='{colour}'>{name}</text>", 60 + 180 * i);
    }
    svg += &format!("<text x='620' y='276' text-anchor='end'>{x_max:.0} steps</text></svg>");
    svg
}
