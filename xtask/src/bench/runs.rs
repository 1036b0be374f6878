//! Saved runs of the bench, side by side in `results/bench.md`.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::report::Report;
use crate::output::{read, write};
use crate::workspace;

/// Number of runs of each kind that are kept.
const KEPT: usize = 3;

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    commit: String,
    processor: String,
    rows: Vec<Value>,
}

impl Run {
    /// What it measured: the names before the first slash, and whether there were peers.
    fn kind(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for name in self.rows.iter().filter_map(|row| row["name"].as_str()) {
            let kind = name.split('/').next().unwrap_or(name);
            if kind != "gemm" && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let peers =
            self.rows.iter().any(|row| row["version"].as_str().is_some_and(|v| !v.starts_with("helmholtz")));
        kinds.join(", ") + if peers { ", with peers" } else { "" }
    }

    fn row(&self, name: &str) -> Option<&Value> {
        self.rows.iter().find(|row| row["name"] == name)
    }
}

/// Adds a run to `results/bench.json` and rewrites `results/bench.md`.
pub(crate) fn save(report: &Report) -> anyhow::Result<()> {
    let folder = workspace::root().join("results");
    let path = folder.join("bench.json");
    let mut runs: Vec<Run> = read(&path)?;
    runs.push(Run { commit: workspace::commit(), processor: processor(), rows: report.values() });
    let runs = latest(runs);
    write(&path, &(serde_json::to_string_pretty(&runs)? + "\n"))?;
    write(&folder.join("bench.md"), &page(&runs))
}

/// The latest runs of each kind, in the order of the file.
fn latest(runs: Vec<Run>) -> Vec<Run> {
    let later = |i: usize| runs[i + 1..].iter().filter(|run| run.kind() == runs[i].kind()).count();
    let kept: Vec<bool> = (0..runs.len()).map(|i| later(i) < KEPT).collect();
    runs.into_iter().zip(kept).filter_map(|(run, kept)| kept.then_some(run)).collect()
}

/// The name of the CPU, if the system reports it.
pub(crate) fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let name = field("model name").unwrap_or_else(|| "unknown CPU".to_string());
    if field("flags").is_some_and(|flags| flags.contains("avx512f")) { name + " with AVX-512" } else { name }
}

fn page(runs: &[Run]) -> String {
    let mut out = "# Speed\n\n\
        `cargo xtask bench NAME --peers --save` writes this page; `cargo xtask bench --help` explains each row.\n\
        Times are medians in milliseconds, with the 10th percentile in brackets; each run has a column, the latest last.\n\
        The ratio is the median divided by that of the row that `against` names, in the same run.\n\
        Rows of one column were measured in turns, with nothing else running.\n"
        .to_string();
    let mut kinds: Vec<String> = Vec::new();
    for kind in runs.iter().map(Run::kind) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    for kind in kinds {
        let of_kind: Vec<&Run> = runs.iter().filter(|run| run.kind() == kind).collect();
        let _ = write!(out, "\n## {kind}\n\n");
        for (i, run) in of_kind.iter().enumerate() {
            let count = |name: &str| run.rows.first().and_then(|row| row[name].as_u64()).unwrap_or_default();
            let (threads, cores) = (count("threads"), count("cores"));
            let _ = writeln!(
                out,
                "- Run {}: commit {}, {threads} threads on {cores} cores, {}",
                i + 1,
                run.commit,
                run.processor
            );
        }
        out += "\n| row |";
        (1..=of_kind.len()).for_each(|i| out += &format!(" run {i} | ratio |"));
        out += " against | version |\n|---|";
        of_kind.iter().for_each(|_| out += "---:|---:|");
        out += "---|---|\n";
        let last = of_kind[of_kind.len() - 1];
        for row in &last.rows {
            let name = row["name"].as_str().unwrap_or_default();
            let _ = write!(out, "| {name} |");
            for run in &of_kind {
                let number = |field: &str| run.row(name).and_then(|row| row[field].as_f64());
                let shown = |value: Option<f64>, decimals: usize| {
                    value.map_or("".to_string(), |value| format!("{value:.decimals$}"))
                };
                let (median, fast) = (shown(number("median_ms"), 2), shown(number("p10_ms"), 2));
                let _ = write!(out, " {median} ({fast}) | {} |", shown(number("ratio"), 2));
            }
            let text = |field: &str| row[field].as_str().unwrap_or_default();
            let _ = writeln!(out, " {} | {} |", text("against"), text("version"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(name: &str, ms: f64, version: &str) -> Run {
        let row = |name: &str, version: &str, ms: f64| {
            json!({
                "name": name, "version": version, "median_ms": ms, "p10_ms": ms, "ratio": 1.0, "against": "step",
                "threads": 2, "cores": 2,
            })
        };
        let rows = vec![row(name, "helmholtz 0.1.0", ms), row(&format!("{name}/jax"), version, 2.0 * ms)];
        Run { commit: "abc".into(), processor: "p".into(), rows }
    }

    #[test]
    fn the_latest_three_of_each_kind_are_kept_side_by_side() {
        let mut runs: Vec<Run> = (1..=5).map(|i| run("step", f64::from(i), "jax 1")).collect();
        runs.insert(2, run("step", 9.0, "helmholtz 0.1.0"));
        let runs = latest(runs);
        assert_eq!(runs.len(), 4, "three with peers, one without");
        let page = page(&runs);
        assert!(page.contains("## step, with peers") && page.contains("## step\n"), "{page}");
        let row =
            "| step/jax | 6.00 (6.00) | 1.00 | 8.00 (8.00) | 1.00 | 10.00 (10.00) | 1.00 | step | jax 1 |";
        assert!(page.contains(row), "{page}");
    }
}
