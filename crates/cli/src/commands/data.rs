//! `helmholtz data`.

use std::path::Path;
use std::process::ExitCode;

use helmholtz_datasets::catalogue;
use serde_json::json;

use crate::error::say;

/// Lists the data sets: what is here, what is missing, where it comes from.
///
/// # Errors
/// None that a user can cause.
pub fn list(data_dir: Option<&Path>, as_json: bool) -> anyhow::Result<ExitCode> {
    let folder = helmholtz_datasets::data_dir(data_dir);
    if as_json {
        let rows: Vec<_> = catalogue()
            .iter()
            .map(|entry| {
                let missing: Vec<String> =
                    entry.missing_files(data_dir).iter().map(|path| path.display().to_string()).collect();
                json!({
                    "id": entry.id, "version": entry.version, "generated": entry.generated, "width": entry.width,
                    "splits": entry.split_sizes, "missing": missing, "source": entry.source,
                    "licence": entry.licence, "data_sha256": entry.sha256, "summary": entry.summary,
                })
            })
            .collect();
        say!("{}", json!({"data_dir": folder.display().to_string(), "data": rows}));
        return Ok(ExitCode::SUCCESS);
    }
    say!("files are looked for in {}\n", folder.display());
    say!("{:<18} {:<9} {:>6} {:>22}  what", "id", "state", "width", "train/valid/test");
    for entry in catalogue() {
        let missing = entry.missing_files(data_dir);
        let state = match (entry.generated, missing.is_empty()) {
            (true, _) => "built in",
            (false, true) => "here",
            (false, false) => "missing",
        };
        let splits = entry.split_sizes.map(|n| n.to_string()).join("/");
        say!("{:<18} {state:<9} {:>6} {splits:>22}  {}", entry.id, entry.width, entry.summary);
        if !missing.is_empty() {
            for path in &missing {
                say!("{:18} lacks {}", "", path.display());
            }
            say!("{:18} from {} (licence: {})", "", entry.source, entry.licence);
        }
    }
    say!("\nyour own files: --dataset file:TRAIN[,VALID[,TEST]] with .amat or .data files, gzipped or not");
    Ok(ExitCode::SUCCESS)
}
