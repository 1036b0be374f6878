//! `helmholtz classify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use helmholtz_core::Trainable;
use helmholtz_datasets::{DataSet, Split, SplitName};
use helmholtz_ops::into_f64;
use helmholtz_zoo::{BoxedModel, Classified};
use serde_json::{Value, json};

use super::score::parts;
use super::trained::Trained;
use crate::args::ClassifyArgs;
use crate::console::say;
use crate::error::{OrUser, user};
use crate::output::Output;
use crate::{assemble, npy};

/// Writes the class probabilities of rows, and reports how many labels they miss.
///
/// # Errors
/// If the model has no classes, the rows cannot be read, or the file cannot be written.
pub fn run(args: &ClassifyArgs) -> anyhow::Result<ExitCode> {
    let split: SplitName = args.split.parse().or_user()?;
    let named = args.out.as_ref().map(|out| Output::named("--out", out, &["npy"])).transpose()?;
    let trained = Trained::load(&args.model)?;
    let kind = trained.config.spec.model.kind();
    let classified = trained.model.classified().ok_or_else(|| {
        user(format!(
            "the model ({kind}) has no classes; train one with classes, as in --model mob or --model rbm with --set model.classes=10"
        ))
    })?;
    let labels = trained.data.classes().context("a set whose classes were learnt has labels")?;
    let own = args.data.as_deref().map(|file| own_rows(file, &trained)).transpose()?;
    let data = own.as_ref().unwrap_or(&trained.data);
    let asked = if own.is_some() { SplitName::Test } else { split };
    let found = Found::new(classified, &data.fixed(asked), &labels, &trained.model)?;
    let out = named.unwrap_or_else(|| {
        let folder = trained.folder.as_ref().map_or_else(PathBuf::new, |folder| folder.join("samples"));
        let name = if own.is_some() { "data".to_owned() } else { split.to_string() };
        Output::inside(&folder, &format!("classify-{name}.npy"))
    });
    let probabilities: Vec<f32> = found.probabilities.iter().map(|p| *p as f32).collect();
    let shape = [found.chosen.len(), labels.len()];
    out.write(|file| npy::write_f32(file, &shape, &probabilities))?;
    let what = match &args.data {
        Some(file) => file.clone(),
        None => format!("{} {split}", data.protocol()),
    };
    if args.json {
        say!("{}", found.json(data, (args.data.is_none()).then_some(split), trained.epoch, &out));
    } else {
        found.print(&what, trained.epoch);
        say!("  {}", out.path().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the file that `--data` names as the test split of a `file:` data set. Its training split is the file that the
/// model was trained on, so that the columns are compared. If the model was trained on a data set of the catalogue, it
/// is the named file itself.
fn own_rows(file: &str, trained: &Trained) -> anyhow::Result<DataSet> {
    if file.contains(',') {
        return Err(user(format!(
            "--data {file}: name one file, without a comma, such as rows.csv or rows.csv#label=0"
        )));
    }
    let file = file.strip_prefix("file:").unwrap_or(file);
    let (path, how) =
        file.split_once('#').map_or((file, String::new()), |(path, how)| (path, format!("#{how}")));
    let path = std::path::absolute(path).map_err(|error| user(format!("--data {file}: {error}")))?;
    let path = path.to_str().filter(|path| !path.contains(',')).ok_or_else(|| {
        user(format!("--data {file}: the path is not UTF-8 or contains a comma; rename it"))
    })?;
    let own = format!("{path}{how}");
    let of_run = trained.config.data.id.strip_prefix("file:").and_then(|files| files.split(',').next());
    let train = of_run.unwrap_or(&own);
    let data = assemble::rows(&trained.config, &format!("file:{train},{own},{own}"))?;
    let (found, expected) = (data.train.width(), trained.model.observed());
    if found != expected {
        return Err(user(format!(
            "--data {file}: its rows have {found} values, but the model needs {expected}"
        )));
    }
    Ok(data)
}

/// How the model classifies rows.
struct Found {
    /// `p(y | x)`, row after row.
    probabilities: Vec<f64>,
    /// The label of the most probable class of each row.
    chosen: Vec<i32>,
    /// Compared with the rows' own labels, if they have any.
    judged: Option<Judged>,
    labels: Vec<i32>,
}

struct Judged {
    wrong: usize,
    /// Mean of `-log p(y | x)` of the label's class, in nats.
    nll: f64,
}

impl Found {
    fn new(model: &dyn Classified, rows: &Split, labels: &[i32], of: &BoxedModel) -> anyhow::Result<Self> {
        let batch = rows.batch(&of.device());
        let parts = parts(of, batch.len());
        let log_probabilities: Vec<f64> =
            parts.flat_map(|rows| into_f64(model.log_class_probabilities(&batch.slice(rows)))).collect();
        let of_rows = || log_probabilities.chunks_exact(labels.len());
        if let Some(row) = of_rows().position(|row| row.iter().any(|p| p.is_nan())) {
            anyhow::bail!("row {}: the probabilities of its classes are NaN", row + 1);
        }
        let best = |row: &[f64]| {
            (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
        };
        let chosen: Vec<i32> = of_rows().map(|row| labels[best(row)]).collect();
        let judged = rows.labels().map(|own| -> anyhow::Result<Judged> {
            let mut nll = 0.0;
            for (i, (row, label)) in of_rows().zip(own).enumerate() {
                let class = labels.binary_search(label).map_err(|_| {
                    user(format!(
                        "row {}: its label is {label}, but the model knows the classes {labels:?}; correct it, or \
                         leave the column of labels out with #label=none",
                        i + 1
                    ))
                })?;
                nll -= row[class];
            }
            let wrong = own.iter().zip(&chosen).filter(|(own, chosen)| own != chosen).count();
            Ok(Judged { wrong, nll: nll / own.len() as f64 })
        });
        let judged = judged.transpose()?;
        let probabilities = log_probabilities.iter().map(|p| p.exp()).collect();
        Ok(Found { probabilities, chosen, judged, labels: labels.to_vec() })
    }

    fn print(&self, what: &str, epoch: Option<usize>) {
        let epoch = epoch.map(|epoch| format!(", weights of epoch {epoch}")).unwrap_or_default();
        let n = self.chosen.len();
        say!("{what}: {n} rows{epoch}");
        if let Some(judged) = &self.judged {
            let [low, high] = interval(judged.wrong, n);
            let percent = |share: f64| 100.0 * share;
            say!(
                "  error        {:.2} %, 95 % confidence interval over rows [{:.2}, {:.2}] ({} wrong)",
                percent(judged.wrong as f64 / n as f64),
                percent(low),
                percent(high),
                judged.wrong
            );
            say!("  -log p(y|x)  {:.4} nats", judged.nll);
        }
        let counts = self.labels.iter().map(|label| {
            format!("{label}: {}", self.chosen.iter().filter(|chosen| *chosen == label).count())
        });
        say!("  chosen       {}", counts.collect::<Vec<_>>().join(", "));
    }

    fn json(&self, data: &DataSet, split: Option<SplitName>, epoch: Option<usize>, out: &Output) -> Value {
        let n = self.chosen.len();
        json!({
            "protocol": split.map(|_| data.protocol()), "split": split.map(|split| split.to_string()), "n": n,
            "data_sha256": split.map(|_| &data.data_sha256), "epoch": epoch, "classes": self.labels, "labels": self.chosen,
            "error": self.judged.as_ref().map(|judged| judged.wrong as f64 / n as f64),
            "ci95": self.judged.as_ref().map(|judged| interval(judged.wrong, n)),
            "nll_label": self.judged.as_ref().map(|judged| judged.nll),
            "file": out.path().display().to_string(),
        })
    }
}

/// Wilson's 95 % confidence interval for a share.
///
/// # Reference
/// Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
fn interval(wrong: usize, n: usize) -> [f64; 2] {
    const Z: f64 = 1.96;
    let (n, p) = (n as f64, wrong as f64 / n as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_score_test() {
        // At its ends the share lies 1.96 standard errors away.
        for (wrong, n) in [(3, 40), (20, 1000), (0, 30), (30, 30)] {
            let p = wrong as f64 / n as f64;
            for end in interval(wrong, n) {
                if (0.001..0.999).contains(&end) {
                    let z = (p - end).abs() / (end * (1.0 - end) / n as f64).sqrt();
                    assert!((z - 1.96).abs() < 1e-9, "{wrong} of {n}: {end}, {z}");
                }
            }
        }
        assert_eq!(interval(0, 30)[0], 0.0);
    }
}
