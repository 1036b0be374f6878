//! What a run's folder contains, and what must not be overwritten.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{fail, helmholtz, run, small_run, succeed, trained};

fn metrics(folder: &Path, run: &str) -> String {
    fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap()
}

/// Resumes a run and returns its standard error.
fn resume(folder: &Path, out: &str, more: &[&str]) -> String {
    let output = run(folder, &[&["train", "--resume", "--quiet", "--out", out], more].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[test]
fn a_run_that_died_before_it_had_begun_begins_anew_by_the_same_command_and_by_resume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fn args(out: &str) -> Vec<&str> {
        small_run(out, &["--epochs", "2"])
    }
    succeed(folder, &args("whole"));
    for (i, names) in [&[][..], &[".lock"], &[".lock", "run.toml"]].into_iter().enumerate() {
        for again in [false, true] {
            let out = format!("cut-{i}-{again}");
            let cut = folder.join(&out);
            fs::create_dir_all(cut.join("checkpoint")).unwrap();
            for name in names {
                fs::copy(folder.join("whole").join(name), cut.join(name)).unwrap();
            }
            fs::write(cut.join("provenance.json.part"), "{").unwrap();
            if again {
                succeed(folder, &args(&out));
            } else if names.contains(&"run.toml") {
                assert!(resume(folder, &out, &[]).contains("before it had begun"));
            } else {
                // Without run.toml, the settings of the run are not known.
                fail(folder, &["train", "--resume", "--out", &out], 2, &["no run.toml"]);
                continue;
            }
            assert_eq!(metrics(folder, &out), metrics(folder, "whole"));
            assert!(!cut.join("provenance.json.part").exists());
        }
    }
    // A folder that is not the beginning of a run is not touched.
    fs::create_dir(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/thesis.tex"), "text").unwrap();
    fail(folder, &args("mine"), 2, &["mine", "thesis.tex", "choose another --out"]);
    fail(folder, &args("whole"), 2, &["holds another run"]);
    // Nor is a config that was written by hand.
    for (i, text) in ["# my notes\n[model]\nlayers = [5]\n", "not toml at all"].into_iter().enumerate() {
        let out = format!("config-{i}");
        fs::create_dir(folder.join(&out)).unwrap();
        fs::write(folder.join(&out).join("run.toml"), text).unwrap();
        fail(folder, &small_run(&out, &["--epochs", "2"]), 2, &["contains run.toml"]);
        assert_eq!(fs::read_to_string(folder.join(&out).join("run.toml")).unwrap(), text);
    }
    // A run that has lost its provenance is not a beginning either.
    fs::remove_file(folder.join("whole/provenance.json")).unwrap();
    fail(
        folder,
        &["train", "--resume", "--out", "whole", "--epochs", "3"],
        2,
        &["provenance.json: no such file"],
    );
}

#[test]
fn a_run_that_died_within_its_first_checkpoint_starts_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "whole", 2);
    trained(folder, "cut", 1);
    let checkpoint = folder.join("cut/checkpoint");
    fs::remove_file(checkpoint.join("model-1.bpk.sha256")).unwrap();
    for name in ["scheduler-1.bpk", "scheduler-1.bpk.sha256"] {
        fs::remove_file(checkpoint.join(name)).unwrap();
    }
    // A program that copies folders may leave out an empty one.
    fs::remove_dir_all(folder.join("cut/samples")).unwrap();
    for left in ["scheduler-1.bpk.1435-1.tmp", ".helmholtz-Ab3dEf.part"] {
        fs::write(checkpoint.join(left), "half").unwrap();
    }
    let said = resume(folder, "cut", &["--epochs", "2"]);
    assert!(said.contains("starting from the beginning"), "{said}");
    assert_eq!(metrics(folder, "cut"), metrics(folder, "whole"));
    // A checkpoint that was finished and damaged afterwards is not a beginning, and is kept.
    trained(folder, "one", 1);
    let model = folder.join("one/checkpoint/model-1.bpk");
    fs::write(&model, "damaged").unwrap();
    fail(
        folder,
        &["train", "--resume", "--quiet", "--out", "one"],
        2,
        &["no checkpoint is whole", "model-1.bpk"],
    );
    assert_eq!(fs::read_to_string(&model).unwrap(), "damaged");
    assert!(folder.join("one/checkpoint/optim-1.bpk").exists());
    // The parts are saved in parallel: one may be behind when another has begun on the next epoch.
    trained(folder, "behind", 2);
    for left in ["optim-1.bpk.sha256", "optim-2.bpk", "optim-2.bpk.sha256", "model-2.bpk.sha256"] {
        fs::remove_file(folder.join("behind/checkpoint").join(left)).unwrap();
    }
    assert!(resume(folder, "behind", &[]).contains("starting from the beginning"));
    assert_eq!(metrics(folder, "behind"), metrics(folder, "whole"));
    let left =
        fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.ends_with(".tmp") && !name.ends_with(".part")));
}

#[test]
fn a_record_that_was_cut_is_passed_over_and_one_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "whole", 5);
    trained(folder, "cut", 4);
    let path = folder.join("cut/metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();

    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let said = resume(folder, "cut", &["--epochs", "5"]);
    assert!(said.contains("record of epoch 4") && said.contains("checkpoint of epoch 3 instead"), "{said}");
    assert_eq!(metrics(folder, "cut"), metrics(folder, "whole"));

    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let again = ["train", "--resume", "--quiet", "--out", "cut", "--epochs", "6"];
    let digit = text.find("\"nll\":").unwrap() + 8;
    let other = if &text[digit..=digit] == "1" { "2" } else { "1" };
    let edited = format!("{}{other}{}", &text[..digit], &text[digit + 1..]);
    let line = text[..digit].lines().count();
    let gap = [&lines[..2], &lines[3..]].concat().concat();
    for (text, word) in [(edited, format!("line {line}")), (gap, "line 3".to_owned())] {
        fs::write(&path, text).unwrap();
        fail(folder, &again, 2, &["metrics.jsonl", &word, "as it was written"]);
        fail(folder, &["evaluate", "cut"], 2, &["metrics.jsonl", &word]);
    }

    fs::remove_file(&path).unwrap();
    let said = fail(folder, &again, 2, &["metrics.jsonl"]);
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn a_run_of_a_version_without_seals_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "whole", 4);
    trained(folder, "old", 3);
    let path = folder.join("old/metrics.jsonl");
    let unsealed = |line: &str| format!("{}}}\n", line.split(",\"chain\":").next().unwrap());
    let old: String = fs::read_to_string(&path).unwrap().lines().map(unsealed).collect();
    fs::write(&path, old).unwrap();
    succeed(folder, &["evaluate", "old", "--samples", "2"]);
    resume(folder, "old", &["--epochs", "4"]);
    assert_eq!(metrics(folder, "old"), metrics(folder, "whole"));
}

#[test]
fn a_run_whose_lock_or_records_are_removed_while_it_goes_on_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (out, removed) in [("a", "metrics.jsonl"), ("b", ".lock")] {
        let child = helmholtz()
            .current_dir(folder)
            .args(small_run(out, &["--epochs", "100000"]))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let records = folder.join(out).join("metrics.jsonl");
        let started = Instant::now();
        while fs::read_to_string(&records).unwrap_or_default().lines().count() < 2 {
            assert!(started.elapsed() < Duration::from_secs(60), "the run makes no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        fs::remove_file(folder.join(out).join(removed)).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(removed) && !stderr.contains("panicked"), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn links_in_a_run_folder_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let link = |at: &str| std::os::unix::fs::symlink(folder.join("victim"), folder.join(at)).unwrap();
    fs::write(folder.join("victim"), "precious").unwrap();
    trained(folder, "r", 1);
    for name in ["timing.jsonl", "experiment.log", "report.html", "samples/samples.png"] {
        fs::remove_file(folder.join("r").join(name)).unwrap();
        link(&format!("r/{name}"));
    }
    link("r/metrics.jsonl.part");
    resume(folder, "r", &["--epochs", "2"]);
    succeed(folder, &["sample", "r", "--n", "4"]);
    assert_eq!(fs::read_to_string(folder.join("victim")).unwrap(), "precious");

    fs::remove_file(folder.join("r/.lock")).unwrap();
    link("r/.lock");
    fail(
        folder,
        &["train", "--resume", "--quiet", "--out", "r", "--epochs", "3"],
        2,
        &[".lock", "symbolic link"],
    );
    assert_eq!(fs::read_to_string(folder.join("victim")).unwrap(), "precious");
    std::os::unix::fs::symlink(folder.join("nowhere"), folder.join("dangling")).unwrap();
    fail(folder, &small_run("dangling", &["--epochs", "1"]), 2, &["dangling", "which does not exist"]);
}

#[cfg(unix)]
#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work_and_no_neighbour_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "r", 1);
    // So many samples that the work would not end in time.
    let long = ["evaluate", "r", "--samples", "100000", "--per-example"];
    let evaluate = |out| [&long[..], &[out]].concat();
    fail(folder, &evaluate("r"), 2, &["--per-example r", "must end in .npy"]);
    fs::create_dir(folder.join("dir.npy")).unwrap();
    fail(folder, &evaluate("dir.npy"), 2, &["dir.npy", "is a folder"]);
    fail(folder, &evaluate("x.csv"), 2, &["x.csv", "must end in .npy"]);
    fail(folder, &evaluate("no/x.npy"), 2, &["no/x.npy", "is not a folder"]);
    fail(folder, &["export", "r", "no/x.safetensors"], 2, &["no/x.safetensors", "is not a folder"]);
    assert!(!folder.join("x.csv").exists());

    fs::write(folder.join("m.part.safetensors"), "a neighbour's").unwrap();
    succeed(folder, &["export", "r", "m.safetensors"]);
    assert_eq!(fs::read_to_string(folder.join("m.part.safetensors")).unwrap(), "a neighbour's");

    // A pipe is written to and stays a pipe.
    let pipe = folder.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    succeed(folder, &["evaluate", "r", "--samples", "2", "--quiet", "--per-example", "pipe"]);
    assert!(reader.join().unwrap().starts_with(b"\x93NUMPY"));
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());

    fs::create_dir(folder.join("thesis")).unwrap();
    fs::write(folder.join("thesis/report.html"), "mine").unwrap();
    fail(folder, &["compare", "--out", "thesis"], 2, &["thesis", "report.html", "no comparison"]);
    assert_eq!(fs::read_to_string(folder.join("thesis/report.html")).unwrap(), "mine");
}

#[cfg(unix)]
#[test]
fn a_folder_whose_name_is_not_utf8_is_trained_into_and_such_a_data_folder_is_refused() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let name = |bytes| Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned();
    let train = |more: &[&std::ffi::OsStr]| {
        let args = ["train", "--dataset", "lines/3x3", "--layers", "3", "--steps", "2", "--quiet"];
        helmholtz().current_dir(&folder).args(args).args(more).output().unwrap()
    };
    let out = name(b"r\xff");
    let trained = train(&["--out".as_ref(), out.as_os_str()]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    assert!(folder.path().join(&out).join("report.html").exists());
    for flag in ["--data-dir", "--init-from"] {
        let refused = train(&["--out".as_ref(), "ok".as_ref(), flag.as_ref(), name(b"d\xff").as_os_str()]);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(flag) && stderr.contains("not UTF-8"), "{stderr}");
    }
    assert!(!folder.path().join("ok").exists());
}
