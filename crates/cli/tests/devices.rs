//! Several devices train what one does, backends go on with each other's runs, and a doctor who finds nothing wrong.
//!
//! What needs another backend than `flex` is here where the binary has it; `cargo xtask ci --gpu` builds it so.

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

/// The largest difference between weights of two runs that differ by their device alone.
#[cfg(any(feature = "ndarray", feature = "wgpu"))]
fn apart(folder: &std::path::Path, a: &str, b: &str) -> f32 {
    let [a, b] = [a, b].map(|run| {
        let file = format!("{run}.safetensors");
        succeed(folder, &["export", run, &file, "--force"]);
        weights(&folder.join(file))
    });
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max)
}

/// What rounding and Adam's division by small roots account for after 400 steps of 1e-3 each.
#[cfg(any(feature = "ndarray", feature = "wgpu"))]
const ROUNDING: f32 = 1e-3;

#[test]
#[cfg(feature = "ndarray")]
fn ndarray_trains_the_run_of_flex_to_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Rectified units let rounding grow: after some hundred steps two runs of a vae have parted by more than that.
    let sbn = &["--epochs", "2"][..];
    for model in [sbn, &["--model", "vae", "--layers", "3", "--strategy", "iwae", "--steps", "20"]] {
        for device in ["flex", "ndarray"] {
            let more = [&["--device", device], model].concat();
            let out = format!("{device}-{}", model.len());
            succeed(folder, &small_run(&out, &more));
        }
        let n = model.len();
        let apart = apart(folder, &format!("flex-{n}"), &format!("ndarray-{n}"));
        assert!(apart < ROUNDING, "{model:?}: {apart}");
    }
}

#[test]
#[cfg(feature = "wgpu")]
fn flex_and_wgpu_go_on_with_each_others_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("whole", &["--epochs", "2", "--device", "flex"]));
    for (out, first, second) in [("there", "flex", "wgpu"), ("back", "wgpu", "flex")] {
        succeed(folder, &small_run(out, &["--epochs", "1", "--device", first]));
        succeed(folder, &["train", "--resume", "--out", out, "--epochs", "2", "--device", second, "--quiet"]);
        let apart = apart(folder, "whole", out);
        assert!(apart < ROUNDING, "{first}, then {second}: {apart}");
        // Both epochs are recorded once, and their likelihoods are those of the whole run.
        let nll = |run: &str| -> Vec<f64> {
            let records = fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
            let records =
                records.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            records.filter_map(|record| record["nll"].as_f64()).collect()
        };
        let (whole, parts) = (nll("whole"), nll(out));
        assert!(whole.len() >= 2 && whole.len() == parts.len(), "{whole:?} and {parts:?}");
        assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-2), "{whole:?} and {parts:?}");
    }
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
