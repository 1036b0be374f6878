//! Several devices train what one does, and a doctor who finds nothing wrong.

mod common;

use std::fs;

use common::{fail, small_run, succeed};

/// Parameters of a weight file, after its header.
fn weights(path: &std::path::Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

#[test]
fn two_devices_train_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (out, device) in [("one", "flex"), ("two", "flex,flex"), ("three", "flex, flex, flex")] {
        // Both phases, so that dreams are shared out as well; an epoch's last batch is smaller.
        let more = ["--epochs", "2", "--set", "strategy.phi=both", "--device", device];
        // 10 000 rows in batches of 300: the last has 100.
        let words = small_run(out, &more);
        let words: Vec<&str> =
            words.into_iter().map(|word| if word == "50" { "300" } else { word }).collect();
        succeed(folder, &words);
        succeed(folder, &["export", out, &format!("{out}.safetensors")]);
    }
    let one = weights(&folder.join("one.safetensors"));
    for other in ["two", "three"] {
        let other = weights(&folder.join(format!("{other}.safetensors")));
        assert_eq!(one.len(), other.len());
        // Adam divides by the root of small squares, which magnifies rounding; a step moves a weight by 1e-3.
        let apart = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(apart < 1e-4, "{apart}");
    }
    let records = |run: &str| fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
    assert_eq!(records("one").lines().count(), records("three").lines().count());

    // The run on two devices is gone on with on one.
    let more = ["train", "--resume", "--out", "two", "--epochs", "3", "--device", "flex", "--quiet"];
    succeed(folder, &more);
    assert!(records("two").contains("\"epoch\":3"));
}

#[test]
fn what_devices_cannot_share_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |more: &[&str], words: &[&str]| {
        let two = ["--device", "flex,flex", "--steps", "3"];
        fail(folder.path(), &small_run("run", &[&two[..], more].concat()), 2, words);
        assert!(!folder.path().join("run").exists());
    };
    refuse(&["--strategy", "nvil"], &["nvil learns from batch to batch", "one device"]);
    refuse(&["--set", "optimizer.average=0.9"], &["several devices", "average of the weights"]);
    refuse(&["--set", "optimizer.clip_norm=1"], &["several devices", "clipping"]);
    let small = ["train", "--batch", "3333", "--device", "flex,flex", "--out", "run"];
    fail(folder.path(), &small, 2, &["several devices", "1 rows for 2", "another batch"]);
    fail(folder.path(), &small_run("run", &["--device", "flex,flx"]), 2, &["did you mean `flex`?"]);
    let one = small_run("run", &["--steps", "3"]);
    succeed(folder.path(), &one);
    fail(folder.path(), &["evaluate", "run", "--device", "flex,flex"], 2, &["only training takes several"]);
}

#[test]
fn the_doctor_finds_nothing_wrong_with_the_processor() {
    let folder = tempfile::tempdir().unwrap();
    let found = succeed(folder.path(), &["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(found["missed"], 0);
    // Rounding is seen: single precision against double.
    assert!(rows.len() > 40 && rows.iter().any(|row| row["deviation"].as_f64().unwrap() > 1e-9));
    for name in ["product", "bernoulli", "nade", "coupled, disir", "gibbs", "annealed importance sampling"] {
        assert!(rows.iter().any(|row| row["name"] == name), "{name} is not among the rows");
    }
    fail(folder.path(), &["doctor", "--device", "cdua"], 2, &["did you mean `cuda`?"]);
}
