//! What was measured, as a table or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// A row: the times of one thing.
pub(crate) struct Row {
    /// What was timed.
    pub(crate) name: String,
    /// The row that this one is compared with.
    pub(crate) against: &'static str,
    /// Where it ran.
    pub(crate) device: &'static str,
    /// The program that ran.
    pub(crate) version: String,
    /// One for each run, in milliseconds.
    pub(crate) ms: Vec<f64>,
    /// Other numbers about it, for the JSON and for the notes under the table.
    pub(crate) extra: Vec<(&'static str, f64)>,
}

/// All rows of a run.
pub(crate) struct Report {
    threads: usize,
    cores: usize,
    rows: Vec<Row>,
}

impl Row {
    /// A row of ours.
    pub(crate) fn ours(name: &str, against: &'static str, ms: Vec<f64>) -> Self {
        Row { name: name.to_string(), against, device: "flex", version: ours(), ms, extra: Vec::new() }
    }

    /// The `p`-quantile of the times: the smallest time that at least a share `p` of the runs does not exceed.
    pub(crate) fn quantile(&self, p: f64) -> f64 {
        quantile(&self.ms, p)
    }

    pub(crate) fn median(&self) -> f64 {
        median(&self.ms)
    }
}

/// The `p`-quantile of some times: the smallest that at least a share `p` of them does not exceed.
fn quantile(ms: &[f64], p: f64) -> f64 {
    let mut sorted = ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The median of some times.
pub(crate) fn median(ms: &[f64]) -> f64 {
    (quantile(ms, 0.5) + quantile(ms, 0.5 + 0.5 / ms.len() as f64)) / 2.0
}

fn ours() -> String {
    let burn = crate::workspace::locked_version("burn").map(|version| format!(", burn {version}"));
    format!("helmholtz {}{}", env!("CARGO_PKG_VERSION"), burn.unwrap_or_default())
}

impl Report {
    pub(crate) fn new(threads: usize, cores: usize) -> Self {
        Report { threads, cores, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    fn ratio(&self, row: &Row) -> f64 {
        let against = self.rows.iter().find(|other| other.name == row.against);
        against.map_or(f64::NAN, |against| row.median() / against.median())
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> String {
        format!("{}\n", json!({ "rows": self.values() }))
    }

    /// The rows as JSON.
    pub(crate) fn values(&self) -> Vec<Value> {
        self.rows
            .iter()
            .map(|row| {
                let mut value = json!({
                    "name": row.name, "device": row.device, "version": row.version, "median_ms": row.median(),
                    "min_ms": row.quantile(0.0), "max_ms": row.quantile(1.0), "p10_ms": row.quantile(0.1),
                    "runs": row.ms.len(), "ratio": self.ratio(row), "against": row.against,
                    "threads": self.threads, "cores": self.cores,
                });
                row.extra.iter().for_each(|(name, extra)| value[*name] = json!(extra));
                value
            })
            .collect()
    }

    /// Aligned columns, and under them what else was measured.
    pub(crate) fn table(&self) -> String {
        let name_width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let mut out = format!(
            "{:name_width$} {:>10} {:>10} {:>10} {:>10} {:>6} {:>7}  {:6}  version\n",
            "name", "median ms", "min", "max", "p10", "runs", "ratio", "device"
        );
        for row in &self.rows {
            let _ = writeln!(
                out,
                "{:name_width$} {:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>6} {:>7.2}  {:6}  {}",
                row.name,
                row.median(),
                row.quantile(0.0),
                row.quantile(1.0),
                row.quantile(0.1),
                row.ms.len(),
                self.ratio(row),
                row.device,
                row.version
            );
        }
        let _ = writeln!(out, "{} threads on {} cores", self.threads, self.cores);
        for row in &self.rows {
            for (name, value) in &row.extra {
                let decimals = if *value < 100.0 { 2 } else { 0 };
                let _ = writeln!(out, "{}: {name} {value:.decimals$}", row.name);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let row = |ms: &[f64]| Row::ours("step", "step", ms.to_vec());
        let ten = row(&[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!((ten.quantile(0.0), ten.quantile(0.1), ten.quantile(1.0)), (1.0, 1.0, 10.0));
        assert_eq!(ten.median(), 5.5);
        assert_eq!(row(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(row(&[4.0]).median(), 4.0);
    }

    #[test]
    fn json_holds_one_object_with_the_rows() {
        let mut report = Report::new(2, 2);
        report.add(Row::ours("step", "step", vec![2.0]));
        report.add(Row::ours("step/bare", "step", vec![1.0]));
        let value: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(value["rows"][1]["name"], "step/bare");
        assert_eq!(value["rows"][1]["ratio"], 0.5);
    }
}
