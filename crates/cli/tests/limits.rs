//! Numbers from flags and files that ask for too much, or for something impossible: they end with a message and exit
//! code 2, and leave nothing behind.

use std::fs;
use std::path::Path;

use crate::common::{fail, helmholtz, small_run, succeed};

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_training_run_that_cannot_fit_into_memory_is_refused_before_its_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |flags: &[&str], words: &[&str]| {
        let words = [words, &["of memory is needed", "use smaller values"]].concat();
        fail(folder.path(), &[&["train", "--quiet", "--out", "run"], flags].concat(), 2, &words);
        assert!(names(folder.path()).is_empty(), "{flags:?} left something behind");
    };
    refuse(&["--samples", "1000000000"], &["strategy.samples = 1000000000 (--samples)"]);
    refuse(&["--layers", "134217728,1"], &["model.layers = [134217728, 1] (--layers)"]);
    refuse(
        &["--model", "nade", "--layers", "10000000", "--set", "model.hidden=262144"],
        &["model.hidden = 262144"],
    );
    refuse(&["--model", "darn", "--layers", "10000000"], &["model.layers = [10000000]"]);
    let bodies = format!("model.bodies=[[{}]]", vec!["16384"; 200].join(","));
    refuse(&["--model", "vae", "--layers", "9", "--set", &bodies], &["model.bodies = [[16384"]);
    refuse(
        &["--set", "train.epochs=1", "--set", "stage=[{epochs=1,samples=1000000000}]"],
        &["strategy.samples = 1000000000"],
    );
}

#[test]
fn what_does_not_fit_into_memory_is_not_asked_of_a_trained_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("sbn", &["--steps", "2"]));
    succeed(folder, &small_run("bihm", &["--model", "bihm", "--steps", "2"]));
    let vae = ["--model", "vae", "--layers", "2", "--strategy", "iwae", "--steps", "2"];
    succeed(folder, &small_run("vae", &vae));
    let many = "1073741824";
    for (args, flag) in [
        (&["sample", "sbn", "--n", many, "--out", "a.npy"][..], "--n 1073741824"),
        (&["sample", "bihm", "--n", many, "--out", "a.png"], "--n 1073741824"),
        (&["evaluate", "sbn", "--samples", many, "--batch-rows", many], "--batch-rows 1073741824"),
        (&["evaluate", "vae", "--method", "ais", "--chains", many], "--chains 1073741824"),
    ] {
        let message = fail(folder, args, 2, &[flag, "of memory is needed"]);
        assert!(message.contains(" GiB") || message.contains(" TiB"), "{message}");
    }
    // Chunks that are never filled need no memory.
    succeed(folder, &["evaluate", "sbn", "--samples", "3", "--batch-rows", many, "--limit", "5", "--quiet"]);
    assert_eq!(names(folder), ["bihm", "sbn", "vae"]);
}

#[test]
fn a_plan_that_cannot_fit_into_memory_is_refused_before_its_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |plan: &str, words: &[&str]| {
        fs::write(folder.path().join("plan.toml"), format!("schema = 1\n{plan}")).unwrap();
        fail(folder.path(), &["compare", "plan.toml", "--out", "out"], 2, words);
        assert_eq!(names(folder.path()), ["plan.toml"]);
    };
    let race = "[[race]]\nstrategies = [\"rws\"]\nseeds = 1\nbudget = {model_evaluations = 1000}\n";
    let config = "[race.config]\nstrategy = {samples = 1000000000}\n";
    refuse(&format!("{race}{config}"), &["strategy.samples = 1000000000", "of memory is needed"]);
    let court =
        "[[court]]\nstrategies = [\"rws\"]\nsamples = [1000000000]\nweights = [\"fresh\"]\nestimates = 100\n";
    let config = "[court.config]\nmodel = {layers = [3]}\ndata = {id = \"lines/3x3\"}\n";
    refuse(&format!("{court}{config}"), &["[[court]] samples = 1000000000", "of memory is needed"]);
}

/// An address space of 4 GB, as of `ulimit -v 4000000`.
#[cfg(target_os = "linux")]
fn within_4_gb(folder: &Path, args: &str) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_helmholtz");
    let script = format!("ulimit -v 4000000; exec '{binary}' {args}");
    let output = std::process::Command::new("sh")
        .current_dir(folder)
        .env_remove("HELMHOLTZ_DATA")
        .args(["-c", &script])
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_of_the_address_space_counts_as_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = within_4_gb(folder.path(), "train --samples 100000 --quiet --out run --threads 2");
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("(ulimit -v) is 3.8 GiB"), "{message}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for threads in ["1000000", "0", "4097"] {
        for args in
            [&["train", "--quiet", "--out", "run"][..], &["compare"], &["doctor"], &["evaluate", "run"]]
        {
            let words = [threads, "threads", "must be from 1 to 4096"];
            fail(folder.path(), &[args, &["--threads", threads]].concat(), 2, &words);
        }
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn threads_that_the_system_does_not_give_end_with_a_message() {
    let folder = tempfile::tempdir().unwrap();
    // Two mebibytes of stack each: 7.8 GiB.
    let (code, message) = within_4_gb(folder.path(), "train --quiet --out run --threads 4000");
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("--threads 4000: at least 7.8 GiB") && message.contains("ulimit -v"),
        "{message}"
    );
    assert!(!message.contains("panicked") && names(folder.path()).is_empty(), "{message}");
}

#[test]
fn negative_numbers_are_refused_by_the_name_of_their_flag() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |args: &[&str], words: &[&str]| {
        let message = fail(folder.path(), args, 2, words);
        assert!(!message.contains("unexpected argument"), "{message}");
        assert!(names(folder.path()).is_empty());
    };
    refuse(&["train", "--lr", "-1"], &["--lr -1", "not below zero"]);
    refuse(&["train", "--lr", "-1e-3", "--print-config"], &["--lr -0.001", "not below zero"]);
    for flag in ["--samples", "--epochs", "--steps", "--batch", "--seed", "--threads", "--checkpoint-every"] {
        refuse(&["train", flag, "-1"], &[&format!("{flag} -1: must not be negative")]);
    }
    refuse(&["train", "--layers", "-5"], &["--layers -5: must not be negative"]);
    refuse(&["train", "--layers", "200,-5"], &["--layers -5: must not be negative"]);
    refuse(&["train", "--layers", "-5,200"], &["--layers -5: must not be negative"]);
    refuse(&["train", "--layers", "--quiet"], &["--layers", "`--quiet` is not a size"]);
    for flag in ["--error", "--z-error"] {
        refuse(&["evaluate", "run", flag, "-1"], &[&format!("{flag} -1: must be finite and above 0")]);
    }
    for flag in ["--samples", "--limit", "--batch-rows", "--z-samples"] {
        refuse(&["evaluate", "run", flag, "-1"], &[&format!("{flag} -1: must not be negative")]);
    }
    for flag in ["--chains", "--temperatures", "--leapfrog"] {
        let args = ["evaluate", "run", "--method", "ais", flag, "-1"];
        refuse(&args, &[&format!("{flag} -1: must not be negative")]);
    }
    for args in [&["evaluate", "run"][..], &["sample", "run"], &["inpaint", "run"], &["compare"]] {
        refuse(&[args, &["--seed", "-1"]].concat(), &["'-1'", "--seed", "must not be negative"]);
    }
    refuse(&["compare", "--seeds", "-1"], &["--seeds", "must not be negative"]);
    for (args, flag) in [
        (&["sample", "run"][..], "--n"),
        (&["sample", "run"], "--sweeps"),
        (&["inpaint", "run"], "--frames"),
        (&["reconstruct", "run"], "--n"),
        (&["data", "show", "bars/5x5", "--out", "a.png"], "--n"),
    ] {
        refuse(&[args, &[flag, "-1"]].concat(), &[&format!("{flag} -1: must not be negative")]);
    }
}

#[test]
fn a_line_of_a_megabyte_is_not_echoed() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(1 << 20);
    for (i, text) in [
        format!("seed = {long}"),
        format!("{long} = 1"),
        format!("[run]\ndevice = \"{long}\""),
        format!("[run]\ndevice = \"remote:{long}\""),
        format!("[model]\nkind = \"{long}\""),
        format!("[train]\nbatch = \"{long}\""),
        format!("[data]\nid = \"{long}\""),
        format!("[[stage]]\nepochs = 1\nschedule = \"{long}\""),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(folder.path().join("c.toml"), text).unwrap();
        let message = fail(folder.path(), &["train", "c.toml", "--out", "run"], 2, &[]);
        assert!(message.len() < 9000, "{i}: {} bytes", message.len());
        let message = fail(folder.path(), &["compare", "c.toml", "--out", "run"], 2, &[]);
        assert!(message.len() < 9000, "{i}: {} bytes", message.len());
    }
    assert_eq!(names(folder.path()), ["c.toml"]);
    if cfg!(unix) {
        fail(folder.path(), &["train", "/dev/zero", "--out", "run"], 2, &["has more than 4194304 bytes"]);
    }
}

/// A run folder that came from elsewhere, whose device belongs to another machine.
#[test]
fn a_device_of_another_machine_in_a_file_is_not_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--steps", "2"]));
    // Any attempt to connect would be noticed here.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let device = format!("remote:{}", listener.local_addr().unwrap());
    let path = folder.join("run/run.toml");
    let config = fs::read_to_string(&path).unwrap();
    let foreign = config.replace("device = \"flex\"", &format!("device = \"{device}\""));
    assert_ne!(config, foreign);
    let own = folder.join("own.toml");
    fs::write(&own, &foreign).unwrap();
    fs::write(folder.join("plan.toml"), plan(&device)).unwrap();
    fs::write(&path, &foreign).unwrap();
    let refuse = |args: &[&str]| {
        let mut command = helmholtz();
        let output =
            command.current_dir(folder).env("HELMHOLTZ_TOKEN", "secret").args(args).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        for word in
            [&device, "only if the command line asks for it", &format!("--device {device}"), "--device flex"]
        {
            assert!(message.contains(word), "{args:?} should say `{word}`: {message}");
        }
    };
    refuse(&["evaluate", "run"]);
    refuse(&["sample", "run", "--out", "a.png"]);
    refuse(&["encode", "run", "--out", "a.npy"]);
    refuse(&["reconstruct", "run", "--out", "a.png"]);
    refuse(&["filters", "run", "--out", "a.png"]);
    refuse(&["inpaint", "run", "--out", "a.png"]);
    refuse(&["export", "run", "a.safetensors"]);
    refuse(&["train", "--resume", "--out", "run", "--epochs", "2"]);
    refuse(&["train", "own.toml", "--out", "other"]);
    refuse(&["compare", "plan.toml", "--out", "compared"]);
    assert!(listener.accept().is_err(), "something connected");
    assert_eq!(names(folder), ["own.toml", "plan.toml", "run"]);
    // On another device the run is what it was.
    succeed(folder, &["evaluate", "run", "--device", "flex", "--samples", "2", "--limit", "3"]);
}

fn plan(device: &str) -> String {
    format!(
        "schema = 1\n[[race]]\nstrategies = [\"rws\"]\nseeds = 1\nbudget = {{model_evaluations = 1000}}\n\
         [race.config]\nrun = {{device = \"{device}\"}}\n"
    )
}
