//! `helmholtz data list`.

use std::path::Path;
use std::process::ExitCode;

use helmholtz_datasets::{Entry, catalogue};
use serde_json::{Value, json};

use crate::console::say;

/// Lists the data sets: what is here, what is missing, where it comes from.
pub(super) fn run(data_dir: Option<&Path>, as_json: bool) -> anyhow::Result<ExitCode> {
    let folder = helmholtz_datasets::data_dir(data_dir);
    if as_json {
        let rows: Vec<Value> = catalogue().iter().map(|entry| to_json(entry, data_dir)).collect();
        say!("{}", json!({"data_dir": folder.display().to_string(), "data": rows}));
        return Ok(ExitCode::SUCCESS);
    }
    say!("files are looked for in {}\n", folder.display());
    say!("{:<20} {:<9} {:>6} {:>22} {:>9}  what", "id", "state", "width", "train/valid/test", "size");
    for entry in catalogue() {
        let missing = entry.missing_files(data_dir);
        let state = state(entry, missing.is_empty());
        let (splits, size) = (entry.split_sizes.map(|n| n.to_string()).join("/"), size(entry));
        say!("{:<20} {state:<9} {:>6} {splits:>22} {size:>9}  {}", entry.id, entry.width(), entry.summary);
        if entry.generated {
            continue;
        }
        if !missing.is_empty() {
            for path in &missing {
                say!("{:20} missing {}", "", path.display());
            }
            let how = match entry.can_be_fetched() {
                true => format!("`helmholtz data fetch {}` downloads it", entry.id),
                false => "no address is known; see its source".to_owned(),
            };
            say!("{:20} {how}", "");
        }
        say!("{:20} from {} (licence: {})", "", entry.source, entry.licence);
    }
    say!("\nyour own files: --dataset file:TRAIN[,VALID[,TEST]] with .amat, .data, .csv, .libsvm, .idx,");
    say!(".npy, .npz or .mat files, gzipped or not. Add after the path what the file does not say itself:");
    say!("#NAME picks one of several arrays; #rows=last (or #NAME.T) if its last axis is examples; for .csv");
    say!("#label=COLUMN (from 0, or its name) or #label=none, #header or #no-header, #bytes for v / 255");
    Ok(ExitCode::SUCCESS)
}

fn state(entry: &Entry, complete: bool) -> &'static str {
    match (entry.generated, complete) {
        (true, _) => "built in",
        (false, true) => "here",
        (false, false) => "missing",
    }
}

/// Bytes of all files, in decimal units.
fn size(entry: &Entry) -> String {
    match entry.files.iter().map(|file| file.bytes).sum::<u64>() {
        0 => "-".to_owned(),
        bytes if bytes < 1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn to_json(entry: &Entry, data_dir: Option<&Path>) -> Value {
    let missing: Vec<String> =
        entry.missing_files(data_dir).iter().map(|path| path.display().to_string()).collect();
    let files: Vec<Value> = entry
        .files
        .iter()
        .map(|file| {
            let mirrors: Vec<&str> = file.mirrors.iter().map(|mirror| mirror.url).collect();
            json!({"names": file.names, "bytes": file.bytes, "sha256": file.sha256, "labels": file.labels, "mirrors": mirrors})
        })
        .collect();
    json!({
        "id": entry.id, "version": entry.version, "state": state(entry, missing.is_empty()),
        "generated": entry.generated, "width": entry.width(), "shape": [entry.shape.height, entry.shape.width],
        "splits": entry.split_sizes, "missing": missing, "files": files, "source": entry.source,
        "licence": entry.licence, "data_sha256": entry.sha256, "summary": entry.summary,
    })
}
