//! An evaluation in parts gives the same result as the whole evaluation.

use std::fs;
use std::path::Path;

use crate::common::{fail, small_run, succeed};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

/// Scores the parts 1/N to N/N, each in its own process. Returns their files.
fn in_parts(folder: &Path, evaluate: &[&str], of: usize) -> Vec<String> {
    let file = |i: usize| format!("part-{i}-of-{of}.safetensors");
    let parts = (1..=of).map(|i| {
        let shard = format!("{i}/{of}");
        succeed(folder, &[evaluate, &["--shard", &shard, "--out", &file(i)]].concat());
        file(i)
    });
    parts.collect()
}

fn merge<'a>(files: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let files = files.iter().map(String::as_str);
    std::iter::once("merge").chain(files).chain(more.iter().copied()).collect()
}

/// Checks that counts and words agree exactly, and numbers within the relative `tolerance`. Commands in words are not
/// compared, because a merge does not know the run.
fn assert_same(merged: &Value, whole: &Value, tolerance: f64) {
    let (merged, whole) = (merged.as_object().unwrap(), whole.as_object().unwrap());
    assert!(merged.keys().eq(whole.keys()), "{merged:?}\n{whole:?}");
    for (key, value) in whole {
        let numbers = |value: &Value| -> Option<Vec<f64>> {
            match value {
                Value::Array(of) => of.iter().map(Value::as_f64).collect(),
                other => other.as_f64().map(|x| vec![x]),
            }
        };
        let exact =
            ["n", "k", "k_max", "log_z2_n", "active_units", "chains", "temperatures"].contains(&key.as_str());
        match (numbers(&merged[key]), numbers(value)) {
            (Some(found), Some(expected)) if !exact => {
                for (a, b) in found.iter().zip(&expected) {
                    assert!((a - b).abs() <= tolerance * b.abs().max(1e-3), "{key}: {a} for {b}");
                }
            }
            // The figures of the check are differences of the numbers that agree.
            _ if value.is_object() => assert_same(&merged[key], value, 1e3 * tolerance),
            _ if key == "suspect" => {
                let said =
                    |value: &Value| value.as_str().and_then(|text| text.split(';').next()).map(str::to_owned);
                assert_eq!(said(&merged[key]), said(value), "{key}");
            }
            _ => assert_eq!(&merged[key], value, "{key}"),
        }
    }
}

#[test]
fn the_parts_of_a_sampled_evaluation_make_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--steps", "60"]));
    // More samples than parts, a number that they do not divide, and another chunking.
    for (flags, of) in [(["--samples", "402"], 4), (["--samples", "7"], 3)] {
        let evaluate = [&["evaluate", "run", "--limit", "40", "--json"], &flags[..]].concat();
        let whole = json(&succeed(folder, &[&evaluate[..], &["--per-example", "whole.npy"]].concat()));
        let mut files = in_parts(folder, &[&evaluate[..], &["--batch-rows", "64"]].concat(), of);
        files.reverse();
        let merged = json(&succeed(folder, &merge(&files, &["--json", "--per-example", "merged.npy"])));
        assert_same(&merged, &whole, 1e-6);
        let rows = |name: &str| fs::read(folder.join(name)).unwrap()[128..].as_chunks::<8>().0.to_vec();
        let (a, b) = (rows("merged.npy"), rows("whole.npy"));
        assert_eq!((a.len(), b.len()), (40, 40));
        for (a, b) in a.into_iter().zip(b) {
            let (a, b) = (f64::from_le_bytes(a), f64::from_le_bytes(b));
            assert!((a - b).abs() < 1e-5, "{a} for {b}");
        }
    }
    // As text too, and for a model read as bidirectional, whose Z is estimated with the first part.
    let evaluate = ["evaluate", "run", "--limit", "40", "--samples", "50", "--as", "bihm", "--json"];
    let whole = json(&succeed(folder, &evaluate));
    let files = in_parts(folder, &evaluate, 2);
    assert_same(&json(&succeed(folder, &merge(&files, &["--json"]))), &whole, 1e-6);
    let words = succeed(folder, &merge(&files, &[]));
    assert!(
        words.contains("lines/3x3@1 test: 40 rows")
            && words.contains("weights of epoch 1")
            && words.contains("2 log Z"),
        "{words}"
    );
}

#[test]
fn the_parts_of_an_annealed_evaluation_are_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vae = ["--model", "vae", "--dataset", "bars/4x4", "--layers", "3", "--set", "model.bodies=[[8]]"];
    let train = [&["train", "--steps", "30", "--quiet", "--out", "run"], &vae[..]].concat();
    succeed(folder, &train);
    let ais = ["--method", "ais", "--chains", "3", "--temperatures", "20", "--leapfrog", "2"];
    let evaluate = [&["evaluate", "run", "--limit", "7", "--json"], &ais[..]].concat();
    let whole = json(&succeed(folder, &evaluate));
    let files = in_parts(folder, &evaluate, 3);
    // Rows are annealed one by one, so the other rows make no difference at all.
    assert_same(&json(&succeed(folder, &merge(&files, &["--json"]))), &whole, 1e-14);
}

#[test]
fn the_parts_of_an_annealed_energy_are_chains_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = ["train", "--model", "rbm", "--set", "model.hidden=6", "--dataset", "bas/3x3", "--quiet"];
    succeed(folder, &[&train[..], &["--lr", "1e-2", "--steps", "600", "--out", "run"]].concat());
    // Numbers that three does not divide.
    let counts = ["--chains", "20", "--temperatures", "200", "--limit", "10", "--json"];
    for method in ["ais", "raise"] {
        let evaluate = [&["evaluate", "run", "--method", method], &counts[..]].concat();
        let whole = json(&succeed(folder, &[&evaluate[..], &["--per-example", "whole.npy"]].concat()));
        for of in [1, 3] {
            let mut files = in_parts(folder, &evaluate, of);
            files.reverse();
            let merged = json(&succeed(folder, &merge(&files, &["--json", "--per-example", "merged.npy"])));
            assert_same(&merged, &whole, 1e-6);
            assert_eq!((merged["chains"].as_u64(), merged["method"].as_str()), (Some(20), Some(method)));
            assert_eq!(merged.get("nll_raise").is_some(), method == "raise");
            let length = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
            assert_eq!(length("merged.npy"), length("whole.npy"));
        }
    }
    // The published temperatures are those of parts too, and as text a merge says how log Z was found.
    let evaluate = ["evaluate", "run", "--method", "ais", "--chains", "4", "--limit", "4"];
    let whole = succeed(folder, &evaluate);
    let files = in_parts(folder, &evaluate, 2);
    let words = succeed(folder, &merge(&files, &[]));
    assert!(words.contains("annealed     4 chains over 14500 temperatures"), "{words}");
    let log_z = |text: &str| text.lines().find(|line| line.contains("log Z")).unwrap().to_owned();
    assert_eq!(log_z(&words), log_z(&whole));
    // Other temperatures, another start, another method, and a damaged file.
    let refuse = |file: &str, more: &[&str], words: &[&str]| {
        succeed(folder, &[&evaluate[..], more, &["--shard", "2/2", "--out", file]].concat());
        fail(folder, &["merge", &files[0], file], 2, words);
    };
    refuse("equal.safetensors", &["--temperatures", "145"], &["energy is", "equal.safetensors"]);
    refuse("coins.safetensors", &["--temperatures", "145", "--base", "uniform"], &["coins.safetensors"]);
    refuse("seed.safetensors", &["--seed", "5"], &["seed is 0", "5 in seed.safetensors"]);
    fail(folder, &["merge", &files[0]], 2, &["parts are missing: 2/2"]);
    fail(folder, &["merge", &files[0], &files[1], &files[1]], 2, &["part 2/2 is given twice"]);
    let mut damaged = fs::read(folder.join(&files[1])).unwrap();
    let at = damaged.len() - 5;
    damaged[at] ^= 1;
    fs::write(folder.join("damaged.safetensors"), &damaged).unwrap();
    fail(
        folder,
        &["merge", &files[0], "damaged.safetensors"],
        2,
        &["damaged.safetensors", "differ from the hash"],
    );
}

#[test]
fn parts_that_do_not_belong_together_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--steps", "20"]));
    succeed(folder, &small_run("other", &["--steps", "20", "--seed", "1"]));
    let evaluate = |run: &'static str, more: &[&'static str]| {
        [&["evaluate", run, "--limit", "10", "--samples", "8"], more].concat()
    };
    let files = in_parts(folder, &evaluate("run", &[]), 3);
    let refuse = |files: &[&str], words: &[&str]| {
        fail(folder, &[&["merge"], files].concat(), 2, words);
    };
    let [a, b, c] = [0, 1, 2].map(|i| files[i].as_str());
    refuse(&[a, c], &["parts are missing: 2/3"]);
    refuse(&[a, b, c, b], &["part 2/3 is given twice"]);
    let part = |name: &str, run, more: &[&'static str], shard| {
        succeed(folder, &[&evaluate(run, more)[..], &["--shard", shard, "--out", name]].concat());
    };
    part("weights.safetensors", "other", &[], "2/3");
    refuse(&[a, "weights.safetensors", c], &["weights_sha256", "weights.safetensors"]);
    part("seed.safetensors", "run", &["--seed", "4"], "2/3");
    refuse(&[a, "seed.safetensors", c], &["seed is 0", "4 in seed.safetensors"]);
    part("half.safetensors", "run", &[], "1/2");
    refuse(&[a, "half.safetensors", c], &["part 1/2"]);

    // Other files are not parts.
    refuse(&["nowhere.safetensors"], &["nowhere.safetensors"]);
    succeed(folder, &["export", "run", "w.safetensors"]);
    refuse(&["w.safetensors"], &["w.safetensors", "not a part of an evaluation"]);
    let whole = fs::read(folder.join(a)).unwrap();
    for length in [0, 7, 8, 60] {
        fs::write(folder.join("short.safetensors"), &whole[..length]).unwrap();
        refuse(&["short.safetensors", b, c], &["short.safetensors", "not a part of an evaluation"]);
    }
    fs::write(folder.join("short.safetensors"), &whole[..whole.len() - 1]).unwrap();
    refuse(&["short.safetensors", b, c], &["short.safetensors", "differ from the hash"]);
    // One bit of a number, of the setting, of the hash itself.
    for at in [whole.len() - 5, 40, 200] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(folder.join("damaged.safetensors"), &damaged).unwrap();
        refuse(&["damaged.safetensors", b, c], &["damaged.safetensors"]);
    }

    // What cannot be split is refused before any work is done.
    let out = ["--out", "p.safetensors"];
    let refuse = |flags: &[&str], words: &[&str]| {
        fail(folder, &[&evaluate("run", &[])[..], flags].concat(), 2, words);
    };
    refuse(&["--shard", "1/2"], &["--out"]);
    refuse(&[&out[..], &["--shard", "3/2"]].concat(), &["1/4"]);
    refuse(&[&out[..], &["--shard", "1/9"]].concat(), &["only 8 samples"]);
    refuse(&[&out[..], &["--shard", "1/2", "--method", "exact"]].concat(), &["no samples to split"]);
    refuse(&["--shard", "1/2", "--out", "p.npy"], &["must end in .safetensors"]);
    refuse(&["--shard", "1/2", "--out", "no/p.safetensors"], &["--out", "is not a folder"]);
    assert!(!folder.join("p.safetensors").exists());
}
