//! Trained runs side by side.

use std::fs;

use serde_json::Value;

use crate::common::{fail, small_run, succeed};

#[test]
fn runs_stand_side_by_side_with_results_curves_samples_and_settings_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, strategy) in [("a/first", "rws"), ("second", "ws")] {
        succeed(folder, &small_run(name, &["--strategy", strategy, "--seed", "3", "--epochs", "2"]));
    }
    let said = succeed(folder, &["report", "a/first", "second", "--out", "both.html"]);
    assert_eq!(said, "both.html\n");
    let page = fs::read_to_string(folder.join("both.html")).unwrap();
    assert!(page.contains("2 runs side by side") && page.contains("strategy.kind"), "{page}");
    assert!(!page.contains("Note:") && !page.contains("a/first"), "{page}");
    assert_eq!(page.matches("data:image/png;base64,").count(), 2);
    assert_eq!(
        page.matches("<svg").count(),
        3,
        "against steps, against seconds, and the effective sample size"
    );
    // The same seed is no difference.
    assert!(!page.contains("seed</code>"), "{page}");
    for name in ["a/first", "second"] {
        let text = fs::read_to_string(folder.join(name).join("results.json")).unwrap();
        let results: Value = serde_json::from_str(&text).unwrap();
        let nll = results["test"]["nll"].as_f64().unwrap();
        assert!(page.contains(&format!("<td>{nll:.3}</td>")), "{name}: {nll}");
    }

    // A run that has gone on, and one that was never scored.
    let results = folder.join("second/results.json");
    let older = fs::read_to_string(&results).unwrap().replacen("\"epochs\": ", "\"epochs\": 9", 1);
    fs::write(&results, older).unwrap();
    fs::remove_file(folder.join("a/first/results.json")).unwrap();
    succeed(folder, &["report", "a/first", "second", "--out", "both.html"]);
    let page = fs::read_to_string(folder.join("both.html")).unwrap();
    assert!(
        page.contains("first has no results") && page.contains("second was scored after epoch 9"),
        "{page}"
    );

    fail(folder, &["report"], 2, &["RUN"]);
    fail(folder, &["report", "second", "second"], 2, &["second: is given twice"]);
    fail(folder, &["report", "third"], 2, &["third: not a run folder"]);
    fail(
        folder,
        &["report", "second", "--out", "second/report.html"],
        2,
        &["report of the run second itself"],
    );
    fail(folder, &["report", "second", "--out", "page.png"], 2, &["--out page.png", ".html"]);
    for damaged in ["{", "{}", "[]"] {
        fs::write(&results, damaged).unwrap();
        fail(folder, &["report", "second"], 2, &["second/results.json", "remove the file"]);
    }
    assert!(!folder.join("report.html").exists());
}

#[test]
fn a_chart_of_one_of_several_runs_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("directed", &["--epochs", "2"]));
    succeed(folder, &small_run("machine", &["--model", "bihm", "--epochs", "2"]));
    succeed(folder, &["report", "directed", "machine"]);
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    for name in ["directed", "machine"] {
        // Scores that are not of the same kind are in charts of their own: against steps and against seconds.
        let title = format!("Validation score on lines/3x3: {name}");
        assert_eq!(page.matches(&title).count(), 2, "{name}");
    }
}

#[test]
fn samples_and_data_are_drawn_at_the_scale_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--epochs", "1"]));
    let width = |name: &str| {
        let bytes = fs::read(folder.join(name)).unwrap();
        u32::from_be_bytes(bytes[16..20].try_into().unwrap())
    };
    succeed(folder, &["sample", "run", "--n", "4", "--scale", "7", "--out", "samples.png"]);
    succeed(folder, &["data", "show", "lines/3x3", "--n", "4", "--scale", "7", "--out", "data.png"]);
    assert_eq!((width("samples.png"), width("data.png")), (2 + 2 * 23, 2 + 2 * 23));
    fail(folder, &["sample", "run", "--scale", "7", "--out", "samples.npy"], 2, &["--scale 7", "an array"]);
    fail(folder, &["sample", "run", "--scale", "0", "--out", "samples.png"], 2, &["--scale 0"]);
    fail(folder, &["sample", "run", "--scale", "65", "--out", "samples.png"], 2, &["--scale 65"]);
}
