//! Which epoch the weights of a run come from: the best one on record or the requested one, and never silently another.

use std::fs;
use std::path::Path;

use crate::common::{fail, run, small_run, succeed, trained};
use serde_json::Value;
use sha2::{Digest, Sha256};

const PARTS: [&str; 3] = ["model", "optim", "scheduler"];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

fn evaluate<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["evaluate", run, "--exact", "--json", "--limit", "100"], more].concat()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a part of a checkpoint with a matching seal.
fn put(run: &Path, name: &str, bytes: &[u8]) {
    let checkpoint = run.join("checkpoint");
    fs::write(checkpoint.join(name), bytes).unwrap();
    fs::write(checkpoint.join(format!("{name}.sha256")), format!("{}  {name}\n", sha256(bytes))).unwrap();
}

fn get(run: &Path, name: &str) -> Vec<u8> {
    fs::read(run.join("checkpoint").join(name)).unwrap()
}

/// Removes an epoch's files as if they had never existed.
fn remove(run: &Path, epoch: u64) {
    for part in PARTS {
        for end in ["", ".sha256"] {
            fs::remove_file(run.join(format!("checkpoint/{part}-{epoch}.bpk{end}"))).unwrap();
        }
    }
}

#[test]
fn a_damaged_best_checkpoint_is_refused_by_name_and_another_one_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = json(&succeed(folder, &small_run("run", &["--epochs", "3", "--json"])));
    assert_eq!((&trained["best_epoch"], &trained["epoch"]), (&3.into(), &3.into()), "the newest is the best");
    let whole = json(&succeed(folder, &evaluate("run", &[])));
    assert_eq!(whole["epoch"], 3);
    let words = succeed(folder, &["evaluate", "run", "--exact", "--limit", "9", "--quiet"]);
    assert!(words.contains("weights of epoch 3"), "{words}");
    let before = json(&succeed(folder, &evaluate("run", &["--epoch", "2"])));
    assert_eq!(before["epoch"], 2);
    assert_ne!(before["nll"], whole["nll"]);

    let path = |name: &str| folder.join("run/checkpoint").join(name);
    let model = fs::read(path("model-3.bpk")).unwrap();
    let mut flipped = model.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damage in [&model[..100], &flipped, b""] {
        fs::write(path("model-3.bpk"), damage).unwrap();
        fail(folder, &evaluate("run", &[]), 2, &["model-3.bpk is damaged", "--epoch 2", "--resume"]);
    }
    let commands = [
        vec!["export", "run", "w.safetensors"],
        vec!["sample", "run", "--out", "s.npy"],
        vec!["encode", "run", "--out", "e.npy"],
        vec!["reconstruct", "run", "--out", "r.png"],
        vec!["filters", "run", "--out", "f.png"],
        vec!["train", "--init-from", "run", "--layers", "6,4", "--dataset", "lines/3x3", "--out", "other"],
        vec!["evaluate", "run", "--epoch", "3"],
    ];
    for command in commands {
        fail(folder, &command, 2, &["model-3.bpk is damaged", "--epoch 2"]);
    }
    assert!(!folder.join("w.safetensors").exists() && !folder.join("other").exists());

    // Any part of it, missing or without its hash.
    fs::remove_file(path("model-3.bpk")).unwrap();
    fail(folder, &evaluate("run", &[]), 2, &["model-3.bpk is missing"]);
    fs::write(path("model-3.bpk"), &model).unwrap();
    let seal = fs::read(path("optim-3.bpk.sha256")).unwrap();
    fs::remove_file(path("optim-3.bpk.sha256")).unwrap();
    // A hash is not there yet if the run was cut off, or is saving right now.
    let output = run(folder, &evaluate("run", &[]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("taking epoch 2"), "{output:?}");
    assert_eq!(json(&String::from_utf8(output.stdout).unwrap())["epoch"], 2);
    fs::write(path("optim-3.bpk.sha256"), [0xff; 70]).unwrap();
    fail(folder, &evaluate("run", &[]), 2, &["optim-3.bpk is damaged"]);

    // The other checkpoint is whole, and is used on request.
    assert_eq!(json(&succeed(folder, &evaluate("run", &["--epoch", "2"])))["nll"], before["nll"]);
    let output = run(folder, &["export", "run", "w.safetensors", "--epoch", "2"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("weights of epoch 2"));
    let weights = ["evaluate", "--weights", "w.safetensors", "--config", "run/run.toml"];
    let same = ["--exact", "--json", "--limit", "100"];
    let from_file = json(&succeed(folder, &[&weights[..], &same].concat()));
    assert_eq!((&from_file["nll"], &from_file["epoch"]), (&before["nll"], &Value::Null));
    fail(folder, &evaluate("run", &["--epoch", "1"]), 2, &["--epoch 1", "it has no checkpoint", "--epoch 2"]);
    fail(folder, &evaluate("run", &["--epoch=-1"]), 2, &["--epoch -1"]);

    // A repeated epoch is the same epoch.
    succeed(folder, &["train", "--resume", "--out", "run", "--quiet"]);
    assert_eq!(json(&succeed(folder, &evaluate("run", &[]))), whole);
    fs::write(path("optim-3.bpk.sha256"), seal).unwrap();
}

#[test]
fn a_best_epoch_that_was_never_saved_is_named_and_the_best_that_was_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 3);
    let second = json(&succeed(folder, &evaluate("run", &["--epoch", "2"])));
    // As if the process had been killed between the record and the checkpoint.
    remove(&folder.join("run"), 3);
    let output = run(folder, &evaluate("run", &[]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("best epoch on record is 3") && stderr.contains("taking epoch 2"), "{stderr}");
    assert_eq!(json(&String::from_utf8(output.stdout).unwrap()), second);
    // If the best one that was saved is damaged, no third one is used instead.
    fs::write(folder.join("run/checkpoint/scheduler-2.bpk"), b"").unwrap();
    fail(folder, &evaluate("run", &[]), 2, &["no whole checkpoint", "scheduler-2.bpk is damaged"]);
}

#[test]
fn a_run_whose_best_checkpoint_is_lost_goes_on_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Nothing is learnt at a rate of zero: of equal epochs the first is the best.
    succeed(folder, &small_run("run", &["--epochs", "4", "--lr", "0"]));
    assert_eq!(json(&succeed(folder, &evaluate("run", &[])))["epoch"], 1);
    remove(&folder.join("run"), 1);
    let stderr = fail(folder, &evaluate("run", &[]), 2, &["model-1.bpk is missing", "3, 4"]);
    assert!(!stderr.contains("--resume"), "going on would not repeat it: {stderr}");
    let output = run(folder, &["train", "--resume", "--out", "run", "--epochs", "5", "--quiet", "--json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("goes on without the best epoch so far"), "{stderr}");
    assert!(stderr.contains("the results below are of epoch"), "{stderr}");
    let json = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(json["best_epoch"], 1);
    assert_ne!(json["epoch"], 1);
}

#[test]
fn a_checkpoint_under_the_name_of_another_epoch_is_refused_and_old_seals_still_open() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 3);
    let run = folder.join("run");
    let whole = json(&succeed(folder, &evaluate("run", &[])));
    for part in PARTS {
        let name = format!("{part}-3.bpk");
        let seal = String::from_utf8(get(&run, &format!("{name}.sha256"))).unwrap();
        assert_eq!(seal, format!("{}  {name}\n", sha256(&get(&run, &name))), "as sha256sum writes it");
        fs::write(run.join(format!("checkpoint/{name}.sha256")), &seal[..64]).unwrap();
    }
    assert_eq!(json(&succeed(folder, &evaluate("run", &[]))), whole, "a seal of older versions");
    for part in PARTS {
        for end in ["", ".sha256"] {
            let file = |epoch: usize| run.join(format!("checkpoint/{part}-{epoch}.bpk{end}"));
            fs::copy(file(2), file(3)).unwrap();
        }
    }
    fail(folder, &evaluate("run", &[]), 2, &["model-3.bpk is model-2.bpk under another name"]);
}

#[test]
fn what_cannot_be_read_is_named_and_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 3);
    // A folder in its place: reading it fails for any user, as does a file without permission.
    let file = folder.join("run/checkpoint/model-3.bpk");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("inside"), b"").unwrap();
    fail(folder, &evaluate("run", &[]), 2, &["model-3.bpk", "it was left as it is"]);
    fail(folder, &["train", "--resume", "--out", "run"], 2, &["model-3.bpk", "it was left as it is"]);
    assert!(file.join("inside").exists() && folder.join("run/checkpoint/optim-3.bpk").exists());
}

#[test]
fn parts_that_are_wrong_under_a_right_seal_are_passed_over_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 3);
    let path = folder.join("run");
    let whole = json(&succeed(folder, &evaluate("run", &[])));
    let replaced = |bytes: &[u8], from: &[u8], to: &[u8]| -> Vec<u8> {
        let at = bytes.windows(from.len()).position(|part| part == from).expect("it is there");
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    let [model, optim, scheduler] = PARTS.map(|part| get(&path, &format!("{part}-3.bpk")));
    let huge = |bytes: &[u8]| [&bytes[..6], &[0xff; 4], &bytes[10..]].concat();
    let mut nan = model.clone();
    let n = nan.len();
    nan[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    // More faults are in `helmholtz_train::examine`; here are those that made Burn panic or went unnoticed.
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("optim-3.bpk", huge(&optim), "is shorter than its header says"),
        ("scheduler-3.bpk", huge(&scheduler), "is shorter than its header says"),
        ("model-3.bpk", replaced(&model, b"cF32", b"cI32"), "values of type I32"),
        ("model-3.bpk", nan, "NaN, which is not finite"),
    ];
    for (name, bytes, words) in &cases {
        put(&path, name, bytes);
        if name.starts_with("model") {
            for command in [["evaluate", "run"], ["encode", "run"], ["sample", "run"], ["reconstruct", "run"]]
            {
                fail(folder, &command, 2, &[name, words, "--epoch 2"]);
            }
        }
        let output = run(folder, &["train", "--resume", "--out", "run", "--quiet"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}, {words}: {stderr}");
        let named = stderr.contains(name) && stderr.contains(words);
        assert!(named && stderr.contains("checkpoint of epoch 2 instead"), "{name}, {words}: {stderr}");
        assert_eq!(json(&succeed(folder, &evaluate("run", &[]))), whole, "{name}, {words}");
    }
    // If there is no other, nothing is thrown away.
    for epoch in [1, 2, 3] {
        if path.join(format!("checkpoint/optim-{epoch}.bpk")).exists() {
            put(&path, &format!("optim-{epoch}.bpk"), &cases[0].1);
        }
    }
    fail(folder, &["train", "--resume", "--out", "run"], 2, &["no checkpoint is whole", "optim-3.bpk"]);
    assert!(path.join("checkpoint/model-3.bpk").exists());
}
