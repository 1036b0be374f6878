//! `helmholtz data check`.

use std::path::Path;
use std::process::ExitCode;

use helmholtz_datasets::facts::{self, SplitFacts};
use helmholtz_datasets::{Cache, DataError, DataSet, Entry, Places, catalogue, load_from};
use serde_json::{Map, Value, json};

use crate::console::say;
use crate::error::{OrUser, user};

/// The result for one data set.
enum Outcome {
    Ok { set: Box<DataSet>, pinned: bool, shared: Option<usize> },
    Missing(String),
    Wrong(String),
}

/// Reads every data set from its files, never from a parsed copy, and checks it against its protocol.
pub(super) fn run(ids: &[String], data_dir: Option<&Path>, as_json: bool) -> anyhow::Result<ExitCode> {
    let places = Places { data_dir: data_dir.map(Path::to_owned), cache: Cache::off() };
    let entries: Vec<&str> = match ids {
        [] => catalogue().iter().map(|entry| entry.id).collect(),
        ids => ids.iter().map(String::as_str).collect(),
    };
    let (mut rows, mut missing, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for id in entries {
        let outcome = check(id, &places)?;
        match &outcome {
            Outcome::Missing(_) => missing.push(id),
            Outcome::Wrong(_) => wrong.push(id),
            Outcome::Ok { .. } => {}
        }
        if as_json {
            rows.push(to_json(id, &outcome));
        } else {
            print(id, &outcome);
        }
    }
    if as_json {
        let folder = helmholtz_datasets::data_dir(data_dir).display().to_string();
        say!("{}", json!({"data_dir": folder, "data": rows}));
    } else if ids.is_empty() && !missing.is_empty() {
        say!("missing: {} (see `helmholtz data list`)", missing.join(", "));
    }
    if !wrong.is_empty() {
        return Err(user(format!("{} failed the check: see above", wrong.join(", "))));
    }
    // Data sets named on the command line must be there; of the whole catalogue, some may be missing.
    if !ids.is_empty() && !missing.is_empty() {
        return Err(user(format!("missing: {}; see above", missing.join(", "))));
    }
    Ok(ExitCode::SUCCESS)
}

fn check(id: &str, places: &Places) -> anyhow::Result<Outcome> {
    let pinned =
        catalogue().iter().find(|entry: &&Entry| entry.id == id).is_some_and(|entry| entry.sha256.is_some());
    Ok(match load_from(id, places) {
        Ok(set) => Outcome::Ok { pinned, shared: facts::test_rows_in_train(&set), set: Box::new(set) },
        Err(error @ (DataError::UnknownId { .. } | DataError::FileId { .. })) => return Err(error).or_user(),
        Err(error @ DataError::Missing { .. }) => Outcome::Missing(error.to_string()),
        Err(error) => Outcome::Wrong(error.to_string()),
    })
}

fn print(id: &str, outcome: &Outcome) {
    let (set, pinned, shared) = match outcome {
        Outcome::Ok { set, pinned, shared } => (set, pinned, shared),
        Outcome::Missing(why) => return say!("{id}: missing\n  {why}\n"),
        Outcome::Wrong(why) => return say!("{id}: WRONG\n  {why}\n"),
    };
    say!("{}: ok", set.protocol());
    for (file, note) in set.files.iter().flat_map(|file| file.notes.iter().map(move |note| (file, note))) {
        if note.doubtful {
            say!("  CHECK {}: {}", file.path.display(), note.text);
        }
    }
    let (height, width) = (set.shape.height, set.shape.width);
    for SplitFacts { name, rows, kind, range, mean, classes, missing, targets } in facts::splits(set) {
        let [low, high] = range.unwrap_or_default();
        let classes =
            classes.map(|n| format!(", {n} class{}", if n == 1 { "" } else { "es" })).unwrap_or_default();
        let targets = targets.map(|n| format!(", {n} targets a row")).unwrap_or_default();
        let missing = match missing {
            0 => String::new(),
            1 => ", 1 value missing".to_owned(),
            n => format!(", {n} values missing"),
        };
        say!(
            "  {name:<5} {rows:>6} x {height}x{width} {kind} in [{low:.3}, {high:.3}], mean {mean:.4}{classes}{targets}{missing}"
        );
    }
    let against = match *pinned {
        true => "the protocol's",
        false if set.id.starts_with("file:") => "of your files; results carry it",
        false => "not pinned: no copy was available",
    };
    say!("  data_sha256 {} ({against})", set.data_sha256);
    if facts::test_is_valid(set) {
        say!("  the test rows are the validation rows");
    }
    if let Some(shared) = shared {
        say!("  {shared} test rows also occur in training");
    }
    for file in &set.files {
        let note = match file.original {
            Some(true) => " original",
            Some(false) => " NOT the original file (repacked, or damaged outside its values)",
            None => "",
        };
        say!("  {} {}{note}", file.sha256, file.path.display());
        for note in file.notes.iter().filter(|note| !note.doubtful) {
            say!("    {}", note.text);
        }
    }
    say!("");
}

fn to_json(id: &str, outcome: &Outcome) -> Value {
    let (set, pinned, shared) = match outcome {
        Outcome::Ok { set, pinned, shared } => (set, pinned, shared),
        Outcome::Missing(why) => return json!({"id": id, "state": "missing", "error": why}),
        Outcome::Wrong(why) => return json!({"id": id, "state": "wrong", "error": why}),
    };
    let splits: Map<String, Value> = facts::splits(set)
        .into_iter()
        .map(|facts| {
            let SplitFacts { name, rows, kind, range, mean, classes, missing, targets } = facts;
            let facts = json!({
                "rows": rows, "kind": kind.to_string(), "range": range, "mean": mean, "classes": classes,
                "missing": missing, "targets": targets,
            });
            (name.to_string(), facts)
        })
        .collect();
    let files: Vec<Value> = set
        .files
        .iter()
        .map(|file| {
            let notes: Vec<&str> = file.notes.iter().map(|note| note.text.as_str()).collect();
            json!({
                "path": file.path.display().to_string(), "sha256": file.sha256, "original": file.original,
                "notes": notes,
            })
        })
        .collect();
    json!({
        "id": id, "state": "ok", "protocol": set.protocol(), "shape": [set.shape.height, set.shape.width],
        "splits": splits, "data_sha256": set.data_sha256, "pinned": pinned, "labels_sha256": set.labels_sha256,
        "test_is_valid": facts::test_is_valid(set), "test_rows_in_train": shared, "files": files,
    })
}
