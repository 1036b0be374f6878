//! `report.html`: the comparison on one page, without scripts or external files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::Figure;
use super::race::{Run, SHOWN};
use super::table::Table;
use crate::picture::write_strip;

/// One court or race.
pub(super) struct Section {
    /// What it shows, in sentences.
    pub(super) findings: Vec<String>,
    pub(super) table: Table,
    pub(super) figures: Vec<Figure>,
    /// Pictures of samples, each with a caption.
    pub(super) samples: Vec<(String, Vec<u8>)>,
}

/// How a comparison was made.
pub(super) struct Provenance {
    pub(super) plan: String,
    pub(super) data: Vec<(String, String)>,
    pub(super) device: String,
    pub(super) seconds: f64,
}

/// Sheets of samples of the first seed of each strategy, if rows are pictures.
///
/// # Errors
/// If one cannot be written.
pub(super) fn samples(run: &Run) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    if run.shape.height < 2 {
        return Ok(Vec::new());
    }
    let columns = (SHOWN as f64).sqrt() as usize;
    let sheet = |runner: &super::race::Runner| {
        let mut file = Vec::new();
        write_strip(&mut file, run.shape, &runner.seeds[0].samples, columns)?;
        Ok((format!("{}, K = {}", runner.strategy, runner.samples), file))
    };
    run.runners.iter().map(sheet).collect()
}

/// The page.
pub(super) fn render(sections: &[Section], provenance: &Provenance) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Estimators side by side" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Estimators side by side" }
                @for section in sections { (one(section)) }
                h2 { "Provenance" }
                table {
                    tr { th { "helmholtz" } td { (env!("CARGO_PKG_VERSION")) @if let Some(commit) = option_env!("HELMHOLTZ_COMMIT") { ", commit " (commit) } } }
                    tr { th { "device" } td { (provenance.device) } }
                    tr { th { "time" } td { (format!("{:.0} s", provenance.seconds)) } }
                    @for (protocol, sha256) in &provenance.data {
                        tr { th { (protocol) } td class="hash" { (sha256) } }
                    }
                }
                details { summary { "The plan" } pre { (provenance.plan) } }
            }
        }
    }
    .into_string()
}

fn one(section: &Section) -> Markup {
    let Section { findings, table, figures, samples } = section;
    html! {
        section {
            h2 { (table.title) }
            @for finding in findings { p class="finding" { (finding) } }
            div class="figures" {
                @for figure in figures { figure { (PreEscaped(&figure.svg)) } }
            }
            @if !samples.is_empty() {
                h3 { "Samples" }
                div class="samples" {
                    @for (caption, picture) in samples {
                        figure {
                            img src=(format!("data:image/png;base64,{}", STANDARD.encode(picture))) alt=(format!("a sheet of samples of the model trained by {caption}"));
                            figcaption { (caption) }
                        }
                    }
                }
            }
            details open[table.rows.len() <= FEW_ROWS] {
                summary { "All numbers" }
                div class="wide" {
                    table {
                        thead { tr { @for name in table.head() { th { (name) } } } }
                        tbody {
                            @for row in &table.rows {
                                tr { @for (_, cell) in row { td class=[(cell == "WRONG").then_some("wrong")] { (cell) } } }
                            }
                        }
                    }
                }
                @for note in &table.notes { p class="note" { (note) } }
            }
        }
    }
}

/// A table with at most so many rows is open from the start.
const FEW_ROWS: usize = 10;

// A figure takes the size of its page: the rule below overrides the width and height that the picture states.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.5rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #ccc;white-space:nowrap}\
td:first-child,th:first-child,td:nth-child(2){text-align:left}thead th{white-space:normal;vertical-align:bottom}\
.wrong{color:#b00020;font-weight:bold}.finding{font-size:1.1rem;max-width:46rem;white-space:pre-line}summary{cursor:pointer;margin:1rem 0}.note{max-width:46rem;color:#444;margin:.6rem 0}\
.hash{white-space:normal;overflow-wrap:anywhere;text-align:left}\
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem;margin-top:1rem}\
figure{margin:0;break-inside:avoid}figure svg{width:100%;height:auto;max-width:35rem}\
.samples{display:flex;flex-wrap:wrap;gap:1rem}.samples img{image-rendering:pixelated;width:10rem}\
figcaption{font-size:.9rem}pre{background:#f5f5f5;padding:1rem;overflow:auto;font-size:.85rem}\
@media print{body{margin:0;font-size:10pt}.wide{overflow:visible}td,th{padding:.1rem .3rem}}";
