//! The rows of `cargo xtask reproduce` through the real program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn reproduce(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("reproduce").args(args);
    for (flag, name) in [("--results", "results"), ("--runs", "runs")] {
        command.arg(flag).arg(folder.join(name));
    }
    command.stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs rows at tier smoke and returns their results.
fn smoke(ids: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &[ids, "--tier", "smoke", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = found["rows"].as_array().unwrap().clone();
    for row in &rows {
        assert!(row["verdict"].is_null() && row["tier"] == "smoke", "{row}");
        let nll = row["ours"].as_f64().unwrap();
        assert!(nll.is_finite() && nll > 0.0, "{row}");
    }
    assert!(!folder.path().join("results").exists(), "tier smoke stores no results");
    rows
}

#[test]
fn a_row_of_each_model_strategy_and_way_of_scoring_runs_at_tier_smoke() {
    assert_eq!(smoke("each").len(), 19);
}

#[test]
#[ignore = "nightly: all rows at tier smoke"]
fn every_row_runs_at_tier_smoke() {
    let rows = smoke("all");
    let list = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["reproduce", "list"]).output().unwrap();
    let listed = String::from_utf8(list.stdout).unwrap();
    let listed: Vec<&str> = listed.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(rows.len(), listed.len());
    for (row, line) in rows.iter().zip(listed) {
        assert!(line.starts_with(row["id"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn missing_data_are_named_and_unknown_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let output = reproduce(folder.path(), &["uci-web-rws-sbn", "--data-dir", nowhere]).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["uci/web@1 needs", "web.train.data.gz", "uci-web-rws-sbn lacks its data"] {
        assert!(text.contains(part), "{text}");
    }
    let output = reproduce(folder.path(), &["uci-wep-rws-sbn"]).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("did you mean `uci-web-rws-sbn`?"), "{text}");
}

#[test]
fn a_row_that_was_killed_goes_on_where_it_stopped_and_a_finished_one_is_not_run_again() {
    // In one folder, because the draws of an evaluation depend on the id of its data, here a path.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A row of random data that takes a few seconds: two seeds of the smallest model at tier smoke.
    let args = ["mnist-rws-sbn-200-k50", "--tier", "smoke", "--seeds", "2", "--json"];
    let first = reproduce(folder, &args).output().unwrap();
    assert!(first.status.success(), "{}", stderr(&first));
    fs::remove_dir_all(folder.join("runs")).unwrap();

    let mut child = reproduce(folder, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = folder.join("runs/mnist-rws-sbn-200-k50-smoke");
    let started = Instant::now();
    while !run.join("seed-0/metrics.jsonl").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "the row makes no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Its child processes end with it: the run's lock is free again, and nothing finishes the run meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!run.join("seed-0.json").exists(), "the row was killed before a seed was done");
    let second = reproduce(folder, &args).output().unwrap();
    assert!(second.status.success(), "{}", stderr(&second));
    let ours =
        |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap()["rows"][0]["ours"].clone();
    assert_eq!(ours(&first), ours(&second));

    assert!(
        stderr(&second).contains("resuming after epoch")
            || stderr(&second).contains("starting from the beginning")
    );
}

#[test]
fn evaluations_that_were_finished_are_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let args = ["uci-web-rws-sbn", "--tier", "smoke", "--json"];
    let first = reproduce(folder, &args).output().unwrap();
    assert!(first.status.success(), "{}", stderr(&first));
    // As if the row had been killed between its evaluation and its summary.
    let run = folder.join("runs/uci-web-rws-sbn-smoke");
    let change = |key: &str, sub: &str, value: Value| {
        fs::remove_file(run.join("seed-0.json")).unwrap();
        let path = run.join("seed-0.test.json");
        let mut kept: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        *kept.get_mut(key).unwrap().pointer_mut(sub).unwrap() = value;
        fs::write(&path, kept.to_string()).unwrap();
        reproduce(folder, &args).output().unwrap()
    };
    let again = change("result", "/nll", 12.5.into());
    assert!(again.status.success(), "{}", stderr(&again));
    let ours =
        |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap()["rows"][0]["ours"].clone();
    assert_eq!(ours(&again), 12.5);
    // An evaluation with other flags is repeated ...
    let other = change("flags", "", serde_json::json!(["--split", "test"]));
    assert_eq!(ours(&other), ours(&first), "{}", stderr(&other));
    // ... and one from another config is an error.
    let refused = change("config", "", "".into());
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("seed-0.test.json: is from another config"), "{}", stderr(&refused));
}

#[test]
fn a_finished_row_is_not_run_again_and_one_of_another_config_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "helmholtz",
            "train",
            "configs/reproduce/uci-web-rws-sbn.toml",
            "--dataset",
            "uci/web",
            "--print-config",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _open = config.stdin.take(); // it ends with its standard input
    let config = String::from_utf8(config.wait_with_output().unwrap().stdout).unwrap();
    let write = |config: &str| {
        let seed = serde_json::json!({"seed": 0, "nll": 28.0, "valid_nll": 28.0, "se_rows": 0.1, "se_mc": 0.001,
            "bias_mc": 0.001, "ess": 0.5, "k": 1000, "epochs": 3, "train_seconds": 1.0});
        let row = serde_json::json!({"uci-web-rws-sbn paper": {"tier": "paper", "protocol": "uci/web@1",
            "data_sha256": "0", "config": "c", "resolved": config, "commit": "1", "device": "flex",
            "seeds": [seed], "wall_seconds": 1.0}});
        fs::create_dir_all(folder.path().join("results")).unwrap();
        fs::write(folder.path().join("results/bornschein2015.json"), row.to_string()).unwrap();
    };
    // Its data are missing, and are not needed.
    let args = ["uci-web-rws-sbn", "--seeds", "1", "--data-dir", "nowhere", "--json"];
    write(&config);
    let output = reproduce(folder.path(), &args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["rows"][0]["ours"], found["rows"][0]["verdict"].as_str()),
        (&28.0.into(), Some("PASS"))
    );
    let page = fs::read_to_string(folder.path().join("results/README.md")).unwrap();
    assert!(
        page.contains("| `uci-web-rws-sbn` | sbn 300-300-50-10 | rws, wake-phi, K = 10 | 28.00 | one seed |"),
        "{page}"
    );

    write(&config.replace("batch = 100", "batch = 99"));
    let output = reproduce(folder.path(), &args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("from another config, device or version of the data; run it with --again")
    );
}
