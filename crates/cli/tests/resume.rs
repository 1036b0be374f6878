//! A run that is killed and resumed is the run that was never stopped, to the bit.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{either, fail, few_rows, helmholtz, run, small_run, succeed, trained};

/// Enough epochs for a run to be killed before its end.
const EPOCHS: &str = "8";

/// What must agree: the records, the end of the run, and every file of the last and best checkpoints.
fn fingerprint(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![("metrics.jsonl".to_string(), fs::read(run.join("metrics.jsonl")).unwrap())];
    let mut names: Vec<String> = fs::read_dir(run.join("checkpoint"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".bpk"))
        .collect();
    names.sort();
    for name in names {
        let bytes = fs::read(run.join("checkpoint").join(&name)).unwrap();
        files.push((name, bytes));
    }
    files
}

/// The weights of the best epoch by name, which do not depend on the ids of parameters.
fn weights(folder: &Path, run: &str) -> Vec<u8> {
    let file = format!("{run}.safetensors");
    succeed(folder, &["export", run, &file, "--force"]);
    fs::read(folder.join(file)).unwrap()
}

fn same_run(folder: &Path, a: &str, b: &str) {
    let (left, right) = (fingerprint(&folder.join(a)), fingerprint(&folder.join(b)));
    assert_eq!(
        left.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        right.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "the same checkpoints are kept"
    );
    let lines = |run: &[(String, Vec<u8>)]| String::from_utf8(run[0].1.clone()).unwrap();
    for (i, (a, b)) in lines(&left).lines().zip(lines(&right).lines()).enumerate() {
        assert_eq!(a, b, "metrics.jsonl, line {}", i + 1);
    }
    assert_eq!(left[0].1.len(), right[0].1.len(), "metrics.jsonl ends at the same epoch");
    assert_eq!(tensors(&weights(folder, a)), tensors(&weights(folder, b)), "weights of the best epoch");
    assert_eq!(last_weights(folder, a), last_weights(folder, b), "weights of the last epoch");
}

/// The tensors of a safetensors file without its metadata, which holds the config.
fn tensors(file: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let names = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    (names.map(|(name, entry)| (name.clone(), entry.to_string())).collect(), &file[8 + length..])
}

/// The numbers of the newest model file. Burn gives parameters random ids in every run, which are in the file's header,
/// so only the bytes of the tensors are compared.
fn last_weights(folder: &Path, run: &str) -> Vec<u8> {
    let checkpoint = folder.join(run).join("checkpoint");
    let newest = fs::read_dir(&checkpoint)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("model-")?.strip_suffix(".bpk")?.parse::<usize>().ok())
        .max()
        .unwrap();
    let bytes = fs::read(checkpoint.join(format!("model-{newest}.bpk"))).unwrap();
    bytes[bytes.len() - TENSOR_BYTES..].to_vec()
}

/// 9-6-4: p has 6*9 + 9 + 4*6 + 6 + 4 numbers, q has 9*6 + 6 + 6*4 + 4, the centre 9; the file ends
/// with them.
const TENSOR_BYTES: usize = 4 * (97 + 88 + 9);

/// Starts a run, and kills it as soon as its second epoch is on record: in the middle of the third, or
/// later, but before the last.
fn start_and_kill(folder: &Path, out: &str, args: &[&str], last_epoch: &str) {
    let mut child = helmholtz()
        .current_dir(folder)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = folder.join(out).join("metrics.jsonl");
    let started = Instant::now();
    while !can_go_on(&journal) {
        assert!(started.elapsed() < Duration::from_secs(60), "the run makes no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    let records = fs::read_to_string(&journal).unwrap();
    let last = format!("\"epoch\":{last_epoch},\"split\":\"valid\"");
    assert!(!records.contains(&last), "killed too late to show anything");
}

/// Whether two epochs are on record and there is a checkpoint to resume from, whose writer may lag behind.
fn can_go_on(journal: &Path) -> bool {
    let files = fs::read_dir(journal.with_file_name("checkpoint")).into_iter().flatten().flatten();
    let sealed = files.filter(|file| file.path().extension().is_some_and(|end| end == "sha256")).count();
    fs::read_to_string(journal).unwrap_or_default().lines().count() >= 4 && sealed >= 3
}

#[test]
fn a_killed_run_goes_on_to_the_bit_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // On as many threads as there are cores.
    trained(folder, "whole", EPOCHS.parse().unwrap());
    let cuts = [("cut-1", "1", "4"), ("cut-4", "4", "1"), ("cut-2", "2", "3"), ("cut-3", "3", "2")];
    for (cut, threads, then) in &cuts[..either(2, 4)] {
        let more = ["--epochs", EPOCHS, "--threads", threads, "--set", "train.patience=5"];
        start_and_kill(folder, cut, &small_run(cut, &more), EPOCHS);
        assert!(!folder.join(cut).join("report.html").exists());

        succeed(folder, &["train", "--resume", "--out", cut, "--threads", then, "--quiet"]);
        same_run(folder, "whole", cut);
    }
}

#[test]
fn stages_schedules_penalties_clipping_and_averages_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "[train]\nepochs = 4\n\
                  [optimizer]\nschedule = \"linear\"\nlr_end = 0.5\nloss = \"sum\"\nweight_decay = 1e-3\n\
                  l1 = 1e-4\nclip_norm = 5.0\naverage = 0.99\n\
                  [[stage]]\nepochs = 4\nsamples = 8\nlr = 5e-4\nschedule = \"cosine\"\n";
    fs::write(folder.join("staged.toml"), config).unwrap();
    let args = |out| [&small_run(out, &["--batch", "200"])[..], &["staged.toml"]].concat();
    succeed(folder, &args("whole"));
    start_and_kill(folder, "cut", &args("cut"), "8");
    succeed(folder, &["train", "--resume", "--out", "cut", "--quiet"]);
    let metrics = |run: &str| fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
    assert_eq!(metrics("whole"), metrics("cut"));
    assert_eq!(metrics("whole").lines().count(), 16, "both stages were run");
    // The exported weights are the averages of the best epoch.
    assert_eq!(tensors(&weights(folder, "whole")), tensors(&weights(folder, "cut")));

    // Each of the settings matters, within an epoch of each stage.
    fs::write(folder.join("staged.toml"), config.replace("epochs = 4", "epochs = 1")).unwrap();
    let data = few_rows(folder);
    let args = |out| [&small_run(out, &data)[..], &["staged.toml"]].concat();
    succeed(folder, &args("short"));
    for other in ["loss=mean", "weight_decay=0", "l1=0", "clip_norm=0", "average=0", "schedule=cosine"] {
        let key = format!("optimizer.{other}");
        succeed(folder, &[&args(other)[..], &["--set", &key]].concat());
        assert_ne!(metrics("short"), metrics(other), "without optimizer.{other}");
    }
}

#[test]
fn a_killed_vae_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let metrics = |run: &str| fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
    let data = few_rows(folder);
    // The chains of coupled adapt their kernel as they go: what they have learnt survives too.
    for strategy in ["iwae", "coupled"] {
        let (whole, cut) = (format!("{strategy}-whole"), format!("{strategy}-cut"));
        let vae = ["--model", "vae", "--strategy", strategy, "--layers", "3", "--set", "model.bodies=[[8]]"];
        let more = [&vae[..], &data, &["--epochs", EPOCHS, "--optimizer", "rmsprop"]].concat();
        let more = match strategy {
            // Its steps are slow.
            "coupled" => [&more[..], &["--set", "strategy.lag=2", "--batch", "200"]].concat(),
            _ => [&more[..], &["--batch", "20"]].concat(),
        };
        succeed(folder, &small_run(&whole, &more));
        start_and_kill(folder, &cut, &small_run(&cut, &more), EPOCHS);
        succeed(folder, &["train", "--resume", "--out", &cut, "--quiet"]);
        assert_eq!(metrics(&whole), metrics(&cut), "{strategy}");
        assert_eq!(tensors(&weights(folder, &whole)), tensors(&weights(folder, &cut)), "{strategy}");
    }
}

#[test]
fn what_nvil_has_learnt_of_its_signals_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // With a penalty, so that the baselines' own gradients pass a rule that is meant for the model.
    let more = ["--strategy", "nvil", "--epochs", "5", "--batch", "250", "--set", "optimizer.l1=1e-5"];
    succeed(folder, &small_run("whole", &more));
    start_and_kill(folder, "cut", &small_run("cut", &more), "5");
    succeed(folder, &["train", "--resume", "--out", "cut", "--quiet"]);
    let metrics = |run: &str| fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
    assert_eq!(metrics("whole"), metrics("cut"));
    assert_eq!(tensors(&weights(folder, "whole")), tensors(&weights(folder, "cut")));
}

#[test]
fn chains_and_moving_offsets_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let metrics = |run: &str| fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
    let data = few_rows(folder);
    for strategy in ["pcd", "tempering", "rdm"] {
        let (whole, cut) = (format!("{strategy}-whole"), format!("{strategy}-cut"));
        let rbm = ["--model", "rbm", "--strategy", strategy, "--set", "model.hidden=12"];
        let more = [&rbm[..], &data, &["--epochs", EPOCHS, "--batch", "20"]].concat();
        let args = |out: &str| -> Vec<String> {
            let own = ["train", "--quiet", "--out", out].into_iter().chain(more.iter().copied());
            own.map(String::from).collect()
        };
        let run = |args: Vec<String>| {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            succeed(folder, &args);
        };
        run(args(&whole));
        let cut_args = args(&cut);
        let cut_args: Vec<&str> = cut_args.iter().map(String::as_str).collect();
        start_and_kill(folder, &cut, &cut_args, EPOCHS);
        // The chains do not belong to rows, so that another batch is no trouble, but here the bits are compared.
        succeed(folder, &["train", "--resume", "--out", &cut, "--quiet"]);
        assert_eq!(metrics(&whole), metrics(&cut), "{strategy}");
        assert_eq!(tensors(&weights(folder, &whole)), tensors(&weights(folder, &cut)), "{strategy}");
    }
}

#[test]
fn the_early_stopping_decision_survives_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A recognition net and a model that hardly move: the validation likelihood soon stops improving.
    let more = ["--epochs", "40", "--lr", "0.3", "--set", "train.patience=2"];
    let whole = succeed(folder, &small_run("whole", &[&more[..], &["--json"]].concat()));
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let stopped_at = whole["epochs"].as_u64().unwrap();
    assert!((3..40).contains(&stopped_at), "patience ended the run at epoch {stopped_at}");

    // The same run in two sessions: two epochs, then the rest.
    let first = ["--epochs", "2", "--lr", "0.3", "--set", "train.patience=2"];
    succeed(folder, &small_run("parts", &first));
    let parts =
        succeed(folder, &["train", "--resume", "--out", "parts", "--epochs", "40", "--quiet", "--json"]);
    let parts: serde_json::Value = serde_json::from_str(&parts).unwrap();
    assert_eq!((parts["epochs"].as_u64(), &parts["best_epoch"]), (Some(stopped_at), &whole["best_epoch"]));
    assert_eq!(parts["test"]["nll"], whole["test"]["nll"]);
    same_run(folder, "whole", "parts");
}

#[test]
fn steps_may_end_in_mid_epoch_and_be_extended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("whole", &["--steps", "250"]));
    succeed(folder, &small_run("parts", &["--steps", "130"]));
    succeed(folder, &["train", "--resume", "--out", "parts", "--steps", "250", "--quiet"]);
    // The extension validates once more, at step 130; what it trained is the same.
    let last = |run: &str| {
        let records = fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
        let record: serde_json::Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
        (record["step"].as_u64().unwrap(), record["nll"].to_string())
    };
    assert_eq!(last("whole"), last("parts"));
    assert_eq!(last("whole").0, 250);
    assert_eq!(last_weights(folder, "whole"), last_weights(folder, "parts"));
}

#[test]
fn a_checkpoint_cut_short_is_passed_over_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "whole", 4);
    trained(folder, "cut", 3);
    let file = folder.join("cut/checkpoint/optim-3.bpk");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(folder, &["train", "--resume", "--out", "cut", "--epochs", "4", "--quiet"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("optim-3.bpk is damaged") && stderr.contains("checkpoint of epoch 2 instead"),
        "{stderr}"
    );
    same_run(folder, "whole", "cut");

    // With every checkpoint damaged there is nothing to fall back to, and nothing is thrown away.
    for entry in fs::read_dir(folder.join("cut/checkpoint")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "bpk") {
            fs::write(path, b"").unwrap();
        }
    }
    fail(folder, &["train", "--resume", "--out", "cut", "--epochs", "6"], 2, &["no checkpoint is whole"]);
    fail(folder, &["evaluate", "cut"], 2, &["no whole checkpoint"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_run_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "whole", EPOCHS.parse().unwrap());
    let child = helmholtz()
        .current_dir(folder)
        .args(small_run("cut", &["--epochs", EPOCHS]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = folder.join("cut/metrics.jsonl");
    while !can_go_on(&journal) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("go on with `helmholtz train --resume --out cut`"), "{stderr}");
    succeed(folder, &["train", "--resume", "--out", "cut", "--quiet"]);
    same_run(folder, "whole", "cut");
}
