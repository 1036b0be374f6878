//! The figure of a command and the numbers beside it.

use std::path::Path;

use serde_json::Value;

use crate::chart::{self, Chart, Line, Point};
use crate::console::say;
use crate::error::user;
use crate::output::Output;

/// `F.svg` and `F.json`.
pub(super) struct Files {
    svg: Output,
    json: Output,
}

impl Files {
    /// Named by `--out`.
    ///
    /// # Errors
    /// If the name does not end in .svg, or one of the files could not be written.
    pub(super) fn named(path: &Path) -> anyhow::Result<Self> {
        // A pipe has no file beside it, so its name must end in .svg, too.
        if path.extension().is_none_or(|ending| ending != "svg") {
            return Err(user(format!("--out {}: the file must end in .svg", path.display())));
        }
        let json = path.with_extension("json");
        Ok(Files {
            svg: Output::named("--out", path, &["svg"])?,
            json: Output::named("--out", &json, &["json"])?,
        })
    }

    /// In a run folder.
    pub(super) fn inside(folder: &Path, name: &str) -> Self {
        let file = |ending: &str| Output::inside(folder, &format!("{name}.{ending}"));
        Files { svg: file("svg"), json: file("json") }
    }

    /// Writes both files, each whole or not at all, then prints the numbers or what they say.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(
        &self,
        charts: &[Chart],
        json: &mut Value,
        (as_json, words): (bool, &str),
    ) -> anyhow::Result<()> {
        json["figure"] = self.svg.path().display().to_string().into();
        let svg = chart::sheet(charts)?;
        let text = serde_json::to_string_pretty(json)?;
        self.json.write(|file| writeln!(file, "{text}"))?;
        self.svg.write(|file| file.write_all(svg.as_bytes()))?;
        if as_json {
            say!("{json}");
        } else {
            say!("{}\n{}\n{}", words.trim_end(), self.svg.path().display(), self.json.path().display());
        }
        Ok(())
    }
}

/// A line with a name.
pub(super) fn line(name: &str, colour: usize, points: impl IntoIterator<Item = (f64, f64)>) -> Line {
    let points = points.into_iter().map(|(x, y)| Point::exact(x, y)).collect();
    Line { name: Some(name.into()), colour, points }
}

/// A black line at the same height everywhere.
pub(super) fn level(name: &str, y: f64, [from, to]: [f64; 2]) -> Line {
    line(name, BLACK, [(from, y), (to, y)])
}

/// Adds an upright line at `x`, as high as the lines that are there.
pub(super) fn with_mark(mut lines: Vec<Line>, name: &str, x: Option<f64>, is_log: bool) -> Vec<Line> {
    let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    let shown = values.filter(|y| y.is_finite() && (!is_log || *y > 0.0));
    let [low, high] =
        shown.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], y| [low.min(y), high.max(y)]);
    if let Some(x) = x.filter(|_| low <= high) {
        lines.push(line(name, MARK, [(x, low), (x, high)]));
    }
    lines
}

/// The colour of levels.
const BLACK: usize = 6;
/// The colour of marks, a brown.
const MARK: usize = 7;
