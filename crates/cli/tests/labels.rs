//! Machines with labels as visible units: classes of rows, likelihoods of rows alone, and what is refused.

use std::fs;

use serde_json::Value;

use crate::common::{fail, succeed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The arguments that train a machine of four hidden units into a folder.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = ["train", "--model", "rbm", "--quiet", "--out", out, "--lr", "2e-2", "--set", "model.hidden=4"];
    [&own[..], more].concat()
}

const LABELLED: [&str; 4] = ["--dataset", "file:rows.csv#label=class", "--set", "model.classes=2"];

/// Rows of two kinds: in the first kind the first two columns are mostly one, in the second the last two.
fn rows() -> String {
    let row = |i: u32| {
        let label = i % 2;
        let bit = |j: u32| u32::from((j < 2) == (label == 0)) ^ u32::from((i * 7 + j * 5).is_multiple_of(11));
        format!("{},{},{},{},{}\n", bit(0), bit(1), bit(2), bit(3), 3 + 4 * label)
    };
    "a,b,c,d,class\n".to_owned() + &(0..80).map(row).collect::<String>()
}

/// All sixteen rows of four bits, with labels that a likelihood of rows alone does not see.
fn every_row() -> String {
    let row = |i: u32| format!("{},{},{},{},3\n", i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3 & 1);
    "a,b,c,d,class\n".to_owned() + &(0..16).map(row).collect::<String>()
}

#[test]
fn a_machine_learns_labels_beside_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.csv"), rows()).unwrap();
    succeed(folder, &train("run", &[&LABELLED[..], &["--epochs", "60", "--batch", "16"]].concat()));
    let found = json(&succeed(folder, &["classify", "run", "--split", "train", "--json"]));
    assert_eq!(found["classes"], serde_json::json!([3, 7]));
    assert!(found["error"].as_f64().unwrap() < 0.1, "{found}");
    // The likelihood is that of rows alone: annealing of the joint machine finds the same.
    let of = |more: &[&str]| json(&succeed(folder, &[&["evaluate", "run", "--json"], more].concat()));
    let number = |found: &Value, key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    let exact = of(&[]);
    let nll = number(&exact, "nll");
    assert!((1.0..4.0 * std::f64::consts::LN_2).contains(&nll), "{nll}");
    let both = of(&["--method", "raise", "--temperatures", "500"]);
    let off = number(&both, "log_z") - number(&exact, "log_z");
    assert!(off.abs() < 5.0 * number(&both, "log_z_se"), "{both}");
    assert!((number(&both, "nll_raise") - nll).abs() < 0.1, "{both} for {nll}");
    // What chains and means give has the columns of the rows.
    for command in ["sample", "encode", "reconstruct"] {
        succeed(folder, &[command, "run"]);
    }
    succeed(folder, &["sample", "run", "--sampler", "tempering", "--sweeps", "20"]);
    succeed(folder, &["inpaint", "run", "--n", "4", "--sweeps", "10"]);
    succeed(folder, &["sample", "run", "--n", "300", "--sweeps", "50", "--out", "drawn.npy"]);
    let drawn = fs::read(folder.join("drawn.npy")).unwrap();
    assert!(String::from_utf8_lossy(&drawn[..128]).contains("(300,4,)"), "{:?}", &drawn[..128]);
}

#[test]
fn the_probabilities_of_all_rows_sum_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.csv"), rows()).unwrap();
    fs::write(folder.join("all.csv"), every_row()).unwrap();
    let data = "file:rows.csv#label=class,,all.csv#label=class";
    let more = ["--dataset", data, "--set", "model.classes=2", "--epochs", "5"];
    succeed(folder, &train("run", &more));
    succeed(folder, &["evaluate", "run", "--per-example", "all.npy"]);
    let bytes = fs::read(folder.join("all.npy")).unwrap();
    let log_probs = bytes[128..].as_chunks::<8>().0;
    assert_eq!(log_probs.len(), 16);
    let total: f64 = log_probs.iter().map(|log_p| f64::from_le_bytes(*log_p).exp()).sum();
    assert!((total - 1.0).abs() < 1e-5, "{total}");
}

#[test]
fn what_labels_do_not_go_with_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.csv"), rows()).unwrap();
    let refuse = |args: &[&str], words: &[&str]| {
        fail(folder, &train("none", args), 2, words);
        assert!(!folder.join("none").exists());
    };
    refuse(&["--set", "model.classes=10"], &["bars/5x5", "no labels", "#label="]);
    refuse(&["--set", "model.classes=1"], &["model.classes = 1", "at least 2 classes", "leave it out"]);
    for strategy in ["independent", "energy-discrepancy"] {
        let words = [strategy, "labels are not", "leave model.classes out"];
        refuse(&[&LABELLED[..], &["--strategy", strategy]].concat(), &words);
    }
    let config = "schema = 1\ndata = { id = \"file:rows.csv#label=class\" }\n\
                  model = { kind = \"rbm\", hidden = 2, classes = 2 }\noptimizer = { kind = \"sgd\" }\n";
    fs::write(folder.join("labelled.toml"), config).unwrap();
    for regime in ["connectivity", "stages"] {
        fail(folder, &["regimes", regime, "labelled.toml", "--out", "none.svg"], 2, &["model.classes"]);
    }
    succeed(folder, &train("plain", &["--dataset", "lines/3x3", "--epochs", "1"]));
    fail(folder, &["classify", "plain"], 2, &["has no classes", "model.classes"]);
}
