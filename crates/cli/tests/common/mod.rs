//! Helpers that the tests of the real binary share.

#![allow(unreachable_pub)]

pub mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use tempfile::TempDir;

/// The binary, with plain text as output and without data or cache folders from the environment.
pub fn helmholtz() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_helmholtz"));
    command.env_remove("HELMHOLTZ_DATA").env("RUST_BACKTRACE", "0").env("HELMHOLTZ_CACHE", "");
    command
}

/// `every_run`, or `nightly` where `.ci/nightly` sets `HELMHOLTZ_NIGHTLY=1`.
pub fn either<T>(every_run: T, nightly: T) -> T {
    if std::env::var_os("HELMHOLTZ_NIGHTLY").is_some_and(|value| value == "1") { nightly } else { every_run }
}

/// Runs the binary in `folder`.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    helmholtz().current_dir(folder).args(args).output().expect("the binary starts")
}

/// Runs the binary and expects it to succeed. Returns its standard output.
pub fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?} ended with {:?}:\n{stderr}", output.status.code());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs the binary and expects exit code `code` and a message, not a panic, that contains all of `words`. Returns its
/// standard error.
pub fn fail(folder: &Path, args: &[&str], code: i32, words: &[&str]) -> String {
    let output = run(folder, args);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{args:?}:\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{args:?} should say `{word}` and says:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{args:?}:\n{stderr}");
    assert!(output.stdout.is_empty(), "{args:?} printed on standard output");
    stderr
}

/// The arguments of a training run into `out` that is small enough for a test.
pub fn small_run<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--samples", "4"];
    args.extend([
        "--set",
        "train.valid_samples=5",
        "--set",
        "train.final_samples=5",
        "--quiet",
        "--out",
        out,
    ]);
    for default in [["--dataset", "lines/3x3"], ["--layers", "6,4"], ["--batch", "100"]] {
        if !more.contains(&default[0]) {
            args.extend(default);
        }
    }
    args.extend(more);
    args
}

/// Writes 2000 rows of nine bits. Returns the arguments that name them as a data set in this folder.
pub fn few_rows(folder: &Path) -> [&'static str; 2] {
    let rows = (0..2000).map(|i| format!("{0} {1} {2} {1} {0} 1 {2} 0 1\n", i % 2, i / 2 % 2, i / 4 % 2));
    fs::write(folder.join("rows.amat"), rows.collect::<String>()).unwrap();
    ["--dataset", "file:rows.amat"]
}

/// Makes `folder/name` a copy of a `small_run` of `epochs` epochs, which is trained once for all tests.
pub fn trained(folder: &Path, name: &str, epochs: usize) {
    static RUNS: Mutex<BTreeMap<usize, TempDir>> = Mutex::new(BTreeMap::new());
    let mut runs = RUNS.lock().expect("a run could be trained");
    let run = runs.entry(epochs).or_insert_with(|| {
        // It is never removed, but it is in the target folder.
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        succeed(place.path(), &small_run("run", &["--epochs", &epochs.to_string()]));
        place
    });
    copy(&run.path().join("run"), &folder.join(name));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The folder of the workspace's real data; without it, prints that the test is skipped.
pub fn real_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("HELMHOLTZ_DATA").map_or(beside, PathBuf::from);
    if folder.join("binarized-mnist").is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data at {} (set HELMHOLTZ_DATA)", folder.display());
    None
}
