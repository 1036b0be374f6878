//! `helmholtz regimes`: figures with their numbers, which are held to exact sums, and what is refused.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{fail, succeed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn number(found: &Value, key: &str) -> f64 {
    found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"))
}

/// Runs a command with `--json`, and checks that it wrote a figure with the same numbers beside it.
fn figure(folder: &Path, name: &str, args: &[&str]) -> Value {
    let out = format!("{name}.svg");
    let printed = json(&succeed(folder, &[&["regimes"], args, &["--json", "--out", &out]].concat()));
    let written = json(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap());
    assert_eq!(printed, written);
    let svg = fs::read_to_string(folder.join(&out)).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{out}");
    printed
}

/// A machine that contrasts with chains of `k` sweeps from noise.
fn train(folder: &Path, data: &str, k: usize, more: &[&str]) {
    let own = ["train", "--model", "rbm", "--strategy", "rdm", "--quiet", "--out", "run"];
    let sweeps = format!("strategy.sweeps={k}");
    let small = ["--set", "model.hidden=6", "--set", &sweeps, "--dataset", data];
    succeed(folder, &[&own[..], &small, more].concat());
}

#[test]
fn chains_of_a_machine_trained_from_noise_are_closest_to_the_data_after_as_many_sweeps() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(
        folder,
        "bas/3x3",
        5,
        &["--steps", "1500", "--batch", "200", "--lr", "3e-2", "--checkpoint-every", "500"],
    );
    let args = ["equilibrium", "run", "--sweeps", "500", "--chains", "2000"];
    let found = figure(folder, "a", &args);
    assert_eq!((found["k"].as_u64(), found["split"].as_str()), (Some(5), Some("train")));
    let records = found["records"].as_array().unwrap();
    let at = |sweeps: u64| records.iter().find(|record| record["sweeps"] == sweeps).unwrap();
    // Chains are samples of the exact law: their distances of moments differ from it by no more than noise.
    for record in records {
        for key in ["first", "second"] {
            let (sampled, exact) = (number(record, key), number(&record["exact"], key));
            let noise = number(&found["noise"], key);
            assert!(
                (sampled - exact).abs() < 3.0 * noise,
                "{key} at {}: {sampled}, {exact}",
                record["sweeps"]
            );
        }
        assert!(number(&record["exact"], "kl") > 0.0 && number(record, "aats") <= 0.5);
    }
    let exact = |record: &Value, key: &str| number(&record["exact"], key);
    for key in ["second", "kl"] {
        assert!(exact(at(5), key) < exact(at(1), key), "{key}: chains of one sweep are still noise");
        assert!(exact(at(5), key) < exact(at(500), key), "{key}: later chains are farther from the data");
    }
    assert!(exact(at(5), "kl") < 0.5 * exact(at(1), "kl") && exact(at(5), "kl") < 0.5 * exact(at(500), "kl"));
    assert!(number(&found["settled"], "kl") > exact(at(500), "kl"), "{found}");
    let best = found["best"]["kl"].as_u64().unwrap();
    assert!((2..=20).contains(&best), "{best}");
    assert_eq!(figure(folder, "b", &args)["records"], found["records"], "the seed decides everything");
    // Without --out, into the run folder.
    let text = succeed(folder, &["regimes", "equilibrium", "run", "--sweeps", "20", "--chains", "50"]);
    assert!(text.contains("k of training") && text.contains("exact KL"), "{text}");
    assert!(folder.join("run/equilibrium.svg").is_file() && folder.join("run/equilibrium.json").is_file());
}

#[test]
fn a_machine_too_large_for_laws_is_measured_by_its_chains_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "bars/5x5", 2, &["--steps", "20"]);
    let found =
        figure(folder, "a", &["equilibrium", "run", "--sweeps", "10", "--chains", "40", "--split", "test"]);
    assert!(found["settled"].is_null() && found["best"]["kl"].is_null());
    let records = found["records"].as_array().unwrap();
    assert!(records.iter().all(|record| record["exact"].is_null() && number(record, "first") > 0.0));
    assert_eq!(found["neighbours"].as_u64(), Some(40));
}

#[test]
fn stages_record_exact_divergences_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let args = ["stages", "--strategy", "ml", "--hidden", "4", "--lr", "1", "--steps", "300"];
    let found = figure(folder, "a", &args);
    let records = found["records"].as_array().unwrap();
    assert!((number(&found, "entropy") - 2.5993).abs() < 1e-4);
    let [first, last] = [&records[0], records.last().unwrap()];
    assert_eq!((first["step"].as_u64(), last["step"].as_u64()), (Some(0), Some(300)));
    // At the start the units are nearly independent: 9 ln 2 less the entropy, and no correlation in time.
    assert!((number(first, "kl") - (9.0 * 2f64.ln() - 2.5993)).abs() < 0.01, "{first}");
    assert!((number(first, "tau") - 1.0).abs() < 0.01, "{first}");
    // The exact gradient lowers the divergence.
    assert!(number(last, "kl") < number(first, "kl") - 0.5 && number(last, "tau") > 1.5, "{last}");
    for record in records {
        assert!(
            number(record, "tau_slowest") >= number(record, "tau") && number(record, "tau") >= 1.0 - 1e-9
        );
    }
    // The NLL of the same machine, trained by `train`, is the entropy more than the divergence.
    let train =
        ["train", "--model", "rbm", "--strategy", "ml", "--dataset", "bas/3x3", "--quiet", "--out", "run"];
    let same =
        ["--set", "model.hidden=4", "--optimizer", "sgd", "--lr", "1", "--batch", "1600", "--steps", "300"];
    let same = [&same[..], &["--checkpoint-every", "300"]].concat();
    succeed(folder, &[&train[..], &same].concat());
    let scored = json(&succeed(folder, &["evaluate", "run", "--epoch", "300", "--json"]));
    assert!(
        (number(&scored, "nll") - number(last, "kl") - number(&found, "entropy")).abs() < 1e-4,
        "{scored}"
    );
    let text = succeed(folder, &["regimes", "stages", "--steps", "30"]);
    assert!(text.contains("lowest KL") && folder.join("stages.svg").is_file(), "{text}");
}

#[test]
fn connectivity_starts_with_its_share_of_edges_and_learns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = ["--dataset", "bas/3x3", "--hidden", "9", "--batch", "20", "--lr", "0.05"];
    let found =
        figure(folder, "a", &[&["connectivity", "--share", "0.5", "--steps", "600"], &data[..]].concat());
    let records = found["records"].as_array().unwrap();
    let [first, last] = [&records[0], records.last().unwrap()];
    // Five standard errors of 81 edges.
    assert!((number(first, "share") - 0.5).abs() < 5.0 * 0.5 / 9.0, "{first}");
    assert!(number(last, "nll") < number(first, "nll") - 1.0, "{first} {last}");
    let floor = number(&found, "floor");
    assert!((floor - 2.5993).abs() < 1e-4 && records.iter().all(|record| number(record, "nll") > floor));
    assert!(records.iter().all(|record| (0.0..=1.0).contains(&number(record, "share"))));
    assert_eq!(number(last, "epoch"), 600.0 / 80.0);
    let all = figure(folder, "b", &[&["connectivity", "--share", "1", "--steps", "1"], &data[..]].concat());
    assert_eq!(number(&all["records"][0], "share"), 1.0);
    // log Z of 25 times 24 units is annealed, and says so.
    let large = [
        "connectivity",
        "--dataset",
        "glyphs/28x28",
        "--hidden",
        "30",
        "--steps",
        "2",
        "--temperatures",
        "20",
    ];
    let large = figure(folder, "c", &large);
    let last = large["records"].as_array().unwrap().last().unwrap();
    assert!(number(last, "log_z_se") > 0.0 && last["nll"].is_f64(), "{large}");
    let text = succeed(folder, &["regimes", "connectivity", "--steps", "10"]);
    assert!(text.contains("lowest NLL") && folder.join("connectivity.svg").is_file(), "{text}");
}

#[test]
fn what_cannot_be_drawn_ends_in_a_sentence_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "bas/3x3", 2, &["--steps", "16"]);
    let no = ["--out", "no.svg"];
    for (args, words) in [
        (&["equilibrium", "run", "--out", "no.png"][..], "must end in .svg"),
        (&["equilibrium", "run", "--out", "missing/no.svg"], "is not a folder"),
        (&["equilibrium", "nowhere"], "nowhere"),
        (&["equilibrium", "run", "--chains", "1"], "--chains 1: must be at least 2"),
        (&["equilibrium", "run", "--chains", "-5"], "--chains -5"),
        (&["equilibrium", "run", "--sweeps", "0"], "--sweeps 0: must be at least 1"),
        (&["equilibrium", "run", "--split", "all"], "all"),
        (&["stages", "--hidden", "11"], "9 visible and 11 hidden units"),
        (&["stages", "--dataset", "bas/4x4"], "at most 2^12 and 2^10"),
        (&["stages", "--hidden", "0"], "hidden = 0"),
        (&["stages", "--steps", "-1"], "--steps -1"),
        (&["stages", "--set", "model.kind=\"sbn\"", "--set", "strategy.kind=\"ws\""], "model.hidden is set"),
        (&["stages", "--strategy", "rws"], "rws needs"),
        (&["stages", "missing.toml"], "missing.toml"),
        (&["connectivity", "--share", "1.5"], "--share 1.5: a probability is from 0 to 1"),
        (&["connectivity", "--share", "nan"], "--share NaN"),
        (&["connectivity", "--temperatures", "0"], "--temperatures 0"),
        (&["connectivity", "--set", "optimizer.kind=\"adam\""], "optimizer.kind = \"adam\""),
        (&["connectivity", "--set", "optimizer.momentum=0.5"], "optimizer.momentum"),
        (&["connectivity", "--dataset", "mnist/nowhere"], "mnist/nowhere"),
    ] {
        let out = if args.contains(&"--out") { &[][..] } else { &no };
        fail(folder, &[&["regimes"], args, out].concat(), 2, &[words]);
    }
    let other =
        ["train", "--layers", "3", "--dataset", "lines/3x3", "--samples", "2", "--steps", "2", "--quiet"];
    succeed(folder, &[&other[..], &["--out", "other"]].concat());
    fail(folder, &["regimes", "equilibrium", "other", "--out", "no.svg"], 2, &["given by an energy"]);
    fs::write(
        folder.join("other.toml"),
        "schema = 1\n[data]\nid = \"lines/3x3\"\n[optimizer]\nkind = \"sgd\"\n",
    )
    .unwrap();
    for command in ["stages", "connectivity"] {
        fail(folder, &["regimes", command, "other.toml", "--out", "no.svg"], 2, &["given by an energy"]);
    }
    assert!(!folder.join("no.svg").exists() && !folder.join("no.json").exists());
}
