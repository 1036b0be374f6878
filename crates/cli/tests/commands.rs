//! The commands as a user runs them.

use std::fs;

use crate::common::{either, fail, real_data, small_run, succeed, trained};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

#[test]
fn a_run_is_trained_evaluated_sampled_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = json(&succeed(folder, &small_run("run", &["--epochs", "3", "--json"])));
    assert_eq!(
        (trained["run"].as_str(), trained["epochs"].as_u64(), trained["steps"].as_u64()),
        (Some("run"), Some(3), Some(300))
    );
    for key in ["train_seconds", "examples_per_second"] {
        assert!(trained[key].as_f64().unwrap() > 0.0, "{key}");
    }
    for file in
        ["run.toml", "provenance.json", "metrics.jsonl", "timing.jsonl", "report.html", "experiment.log"]
    {
        assert!(folder.join("run").join(file).is_file(), "{file}");
    }

    // Importance sampling agrees with enumeration within its own error, and with itself.
    let exact = json(&succeed(folder, &["evaluate", "run", "--exact", "--limit", "500", "--json"]));
    let sampled =
        json(&succeed(folder, &["evaluate", "run", "--samples", "2000", "--limit", "500", "--json"]));
    let (e, s) = (exact["nll"].as_f64().unwrap(), sampled["nll"].as_f64().unwrap());
    let error = sampled["se_mc"].as_f64().unwrap() + sampled["bias_mc"].as_f64().unwrap();
    assert!((e - s).abs() < 6.0 * error.max(1e-4), "{e} exactly, {s} by sampling, error {error}");
    for key in [
        "protocol",
        "split",
        "n",
        "k",
        "k_max",
        "method",
        "se_rows",
        "ci95",
        "ess",
        "max_weight",
        "log_z2",
        "data_sha256",
        "suspect",
        "check",
    ] {
        assert!(sampled.get(key).is_some(), "{key} is missing");
    }
    assert_eq!(exact["exact_nll"], exact["nll"]);

    // The weights survive an export to a file.
    succeed(folder, &["export", "run", "w.safetensors"]);
    let weights = [
        "evaluate",
        "--weights",
        "w.safetensors",
        "--config",
        "run/run.toml",
        "--exact",
        "--limit",
        "500",
        "--json",
    ];
    assert_eq!(json(&succeed(folder, &weights))["nll"], exact["nll"]);

    // Means of ten bits for each test row, each inside the unit interval.
    succeed(folder, &["encode", "run", "--out", "means.npy"]);
    let bytes = fs::read(folder.join("means.npy")).unwrap();
    assert_eq!(bytes.len(), 128 + 10_000 * 10 * 4);
    let mut means = bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    assert!(means.all(|mean| mean > 0.0 && mean < 1.0));

    succeed(folder, &["sample", "run", "--n", "9", "--out", "s.png"]);
    assert!(fs::read(folder.join("s.png")).unwrap().starts_with(b"\x89PNG"));
    succeed(folder, &["sample", "run", "--n", "9", "--out", "s.npy"]);
    let npy = fs::read(folder.join("s.npy")).unwrap();
    assert!(npy.starts_with(b"\x93NUMPY") && npy.len() == 128 + 4 * 9 * 9);
}

#[test]
fn an_estimate_does_not_depend_on_the_chunk_or_on_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 1);
    let log_probs = |more: &[&str]| -> Vec<f64> {
        let mut args = vec!["evaluate", "run", "--samples", "50", "--quiet", "--per-example", "p.npy"];
        args.extend(more);
        succeed(folder, &args);
        let bytes = fs::read(folder.join("p.npy")).unwrap();
        bytes[128..].chunks_exact(8).map(|value| f64::from_le_bytes(value.try_into().unwrap())).collect()
    };
    let whole = log_probs(&[]);
    assert_eq!(whole.len(), 10_000);
    let limit = either("1000", "10000");
    let some = log_probs(&["--limit", limit]);
    let in_parts = log_probs(&["--limit", limit, "--batch-rows", "33"]);
    let one_thread = log_probs(&["--limit", limit, "--threads", "1"]);
    // The same draws; sums of products in single precision may round differently.
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(close(&some, &in_parts) && close(&some, &one_thread));
    // A limit picks rows spread over the split, the same ones every time.
    let few = log_probs(&["--limit", "40"]);
    assert_eq!(few, log_probs(&["--limit", "40"]));
    let mut rest = whole.iter();
    assert!(few.iter().all(|a| rest.any(|b| (a - b).abs() < 1e-4)), "a subsequence of the whole");
    assert!(!close(&few, &whole[..40]), "not the first rows");
}

#[test]
fn flags_override_the_file_and_the_resolved_config_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.toml"), "schema = 1\nseed = 3\n[train]\nepochs = 9\nbatch = 25\n").unwrap();
    let printed = succeed(
        folder,
        &["train", "c.toml", "--batch", "50", "--set", "strategy.phi=both", "--print-config"],
    );
    let config: toml::Table = printed.parse().unwrap();
    assert_eq!(config["seed"].as_integer(), Some(3));
    assert_eq!(
        (config["train"]["epochs"].as_integer(), config["train"]["batch"].as_integer()),
        (Some(9), Some(50))
    );
    assert_eq!(
        (config["strategy"]["phi"].as_str(), config["strategy"]["samples"].as_integer()),
        (Some("both"), Some(10))
    );
    assert!(!folder.join("runs").exists(), "printing a config starts no run");
}

#[test]
fn runs_without_a_name_get_the_next_free_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut args = small_run("", &["--steps", "3", "--strategy", "ws", "--json"]);
    let out = args.iter().position(|arg| *arg == "--out").unwrap();
    args.drain(out..out + 2);
    for n in 1..3 {
        assert_eq!(json(&succeed(folder, &args))["run"], format!("runs/sbn-ws-lines-3x3-{n}"));
    }
}

#[test]
fn an_evaluation_stops_at_the_error_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 1);
    let evaluate = ["evaluate", "run", "--limit", "300", "--samples", "20"];
    let found = |more: &[&str]| json(&succeed(folder, &[&evaluate[..], more, &["--json"]].concat()));
    let number = |found: &Value, key: &str| found[key].as_f64().unwrap();

    let plain = found(&[]);
    assert_eq!((&plain["k"], &plain["k_max"]), (&20.into(), &20.into()));
    let error = 0.2 * number(&plain, "bias_mc").max(number(&plain, "se_mc"));
    let asked = error.to_string();
    let within = found(&["--error", &asked]);
    assert!(number(&within, "bias_mc") <= error && number(&within, "se_mc") <= error, "{within}");
    assert!(number(&within, "k") > 20.0 && number(&within, "k_max") > number(&within, "k"), "{within}");
    assert!(plain.as_object().unwrap().keys().eq(within.as_object().unwrap().keys()));
    let text = succeed(folder, &[&evaluate[..], &["--error", &asked, "--quiet"]].concat());
    assert!(text.contains(&format!("on average, {} at most", within["k_max"])), "{text}");

    // If the maximum number of samples is too small, a warning says so, and the result is printed all the same.
    let output = crate::common::run(
        folder,
        &[&evaluate[..], &["--error", "1e-9", "--max-samples", "30", "--json"]].concat(),
    );
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("not reached"));
    assert_eq!(json(&String::from_utf8(output.stdout).unwrap())["k_max"], 30);

    let refuse = |more: &[&str], words: &[&str]| fail(folder, &[&evaluate[..], more].concat(), 2, words);
    for error in ["0", "-1", "NaN", "inf"] {
        refuse(&[&format!("--error={error}")], &["--error", error, "finite and above 0"]);
    }
    refuse(&["--error", "0.1", "--max-samples", "19"], &["--max-samples 19", "the 20"]);
    refuse(&["--error", "0.1", "--max-samples=-1"], &["--max-samples -1", "must not be negative"]);
    refuse(&["--max-samples", "100"], &["--error"]);
    refuse(&["--error", "0.1", "--exact"], &["enumeration has no error"]);
    refuse(&["--error", "0.1", "--method", "exact"], &["enumeration has no error"]);
    let one = ["evaluate", "run", "--samples", "1", "--error", "0.1"];
    fail(folder, &one, 2, &["--samples 1", "at least 2"]);
}

#[test]
fn without_latents_the_exact_likelihood_meets_any_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut train = small_run("run", &["--model", "nade", "--layers", "", "--epochs", "1"]);
    let samples = train.iter().position(|arg| *arg == "--samples").unwrap();
    train.drain(samples..samples + 2);
    succeed(folder, &train);
    let exact = json(&succeed(folder, &["evaluate", "run", "--error", "0.01", "--limit", "50", "--json"]));
    assert_eq!(
        (exact["method"].as_str(), &exact["k_max"], &exact["se_mc"]),
        (Some("exact"), &0.into(), &0.0.into())
    );
}

#[test]
fn data_and_devices_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let list = json(&succeed(folder.path(), &["data", "list", "--json"]));
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().filter_map(|row| row["id"].as_str()).collect();
    for id in ["bars/5x5", "bars/4x4", "lines/3x3", "glyphs/28x28", "mnist/binarized", "uci/adult"] {
        assert!(ids.contains(&id), "{id}");
    }
    assert!(succeed(folder.path(), &["data", "list"]).contains("bars/5x5"));
    assert!(succeed(folder.path(), &["devices"]).contains("flex"));
}

#[test]
fn real_data_train_and_evaluate() {
    let Some(data) = real_data() else { return };
    let data = data.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for id in ["mnist/binarized", "uci/adult"] {
        let out = id.replace('/', "-");
        let train =
            ["train", "--dataset", id, "--data-dir", data, "--steps", "30", "--layers", "20", "--out", &out];
        succeed(
            folder,
            &[&train[..], &["--quiet", "--set", "train.valid_samples=1", "--set", "train.final_samples=1"]]
                .concat(),
        );
        let evaluate = ["evaluate", &out, "--data-dir", data, "--limit", "200", "--samples", "10", "--json"];
        let nll = json(&succeed(folder, &evaluate))["nll"].as_f64().unwrap();
        assert!(nll.is_finite() && nll > 1.0, "{id}: {nll}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_does_not_end_a_run() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    let mut args = small_run("run", &["--epochs", "4", "--no-tui"]);
    args.retain(|arg| *arg != "--quiet");
    let mut child = crate::common::helmholtz()
        .current_dir(folder.path())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap(); // and the pipe is closed
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let records = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 8, "all four epochs are on record");
}
