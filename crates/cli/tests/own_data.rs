//! A user's own files: what may be misread is refused or reported.

use std::fs;
use std::path::Path;

use crate::common::{fail, run, succeed};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

/// Ten rows of four bits.
const ROWS: &str =
    "0,1,0,1\n1,1,0,0\n0,0,0,1\n1,0,1,1\n0,1,1,0\n1,1,1,0\n0,0,1,1\n1,0,0,0\n0,1,1,1\n1,1,1,1\n";

fn train<'a>(dataset: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args =
        vec!["train", "--layers", "2", "--dataset", dataset, "--epochs", "2", "--batch", "4", "--quiet"];
    args.extend(["--set", "train.final_samples=2", "--set", "train.valid_samples=2", "--out", out]);
    args.extend(more);
    args
}

fn check(folder: &Path, id: &str) -> (Option<i32>, String) {
    let output = run(folder, &["data", "check", id]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_first_row_with_a_missing_value_is_refused_and_a_header_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for marker in ["?", "null", "-", "#N/A", "O"] {
        fs::write(folder.join("first.csv"), ROWS.replacen('0', marker, 1)).unwrap();
        fail(folder, &train("file:first.csv", "run", &[]), 2, &["first.csv: line 1", marker, "#header"]);
        let (code, text) = check(folder, "file:first.csv");
        assert!(code == Some(2) && text.contains("line 1"), "{text}");
    }
    // The marker of a missing value is read as missing, which most models refuse.
    fs::write(folder.join("missing.csv"), ROWS.replacen('0', "NA", 1)).unwrap();
    let words =
        ["missing.csv: row 1, column 1: the value is missing (1 in all)", "sbn takes no missing values"];
    fail(folder, &train("file:missing.csv", "run", &[]), 2, &words);
    let (code, text) = check(folder, "file:missing.csv");
    assert!(code == Some(0) && text.contains("1 value missing"), "{text}");
    assert!(!folder.join("run").exists());
    fs::write(folder.join("header.csv"), format!("a,b,c,d\n{ROWS}")).unwrap();
    let (code, text) = check(folder, "file:header.csv");
    assert!(code == Some(0) && text.contains("line 1 taken as header") && !text.contains("CHECK"), "{text}");
    let found = json(&succeed(folder, &["data", "check", "file:header.csv", "--json"]));
    assert_eq!(found["data"][0]["files"][0]["notes"], serde_json::json!(["line 1 taken as header"]));
    // In a row that is one field short, the label would be among the values.
    fs::write(folder.join("short.csv"), "1,0,1\n0,1,0\n0,1\n").unwrap();
    let (code, text) = check(folder, "file:short.csv#no-header#label=-1");
    assert!(
        code == Some(2) && text.contains("line 3: found 2 values, but the rows before it have 3"),
        "{text}"
    );
    // Two columns called 0 and 1 may be a row: a note says which reading was chosen, and how to choose the other.
    fs::write(folder.join("two.csv"), "0,1\n1,1\n0,0\n").unwrap();
    let (code, text) = check(folder, "file:two.csv");
    assert!(
        code == Some(0) && text.contains("CHECK two.csv: line 1 is `0,1` and was read as a row"),
        "{text}"
    );
    let output = run(folder, &train("file:two.csv", "two", &[]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: two.csv: line 1 is `0,1`"));
    let (code, text) = check(folder, "file:two.csv#header");
    assert!(code == Some(0) && text.contains("train      1 x 1x2") && !text.contains("CHECK"), "{text}");
}

#[test]
fn columns_in_another_order_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("train.csv"), format!("a,b,c,d\n{ROWS}")).unwrap();
    fs::write(folder.join("test.csv"), format!("a,c,b,d\n{ROWS}")).unwrap();
    let words = ["test.csv: column 2 is `c`", "in train.csv it is `b`"];
    fail(folder, &train("file:train.csv,,test.csv", "run", &[]), 2, &words);
}

#[test]
fn test_rows_that_are_no_fair_test_are_reported_in_text_in_json_and_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("one.csv"), ROWS).unwrap();
    fs::write(folder.join("other.csv"), "0,0,0,0\n0,1,0,0\n").unwrap();
    let valid = "the test rows are the validation rows";
    for (dataset, out, is_valid, in_train) in [
        ("file:one.csv", "a", true, 0),
        ("file:one.csv,one.csv,one.csv", "b", true, 10),
        ("file:one.csv,,one.csv", "c", false, 9),
        ("file:one.csv,,other.csv", "d", false, 0),
    ] {
        let keys = |json: &Value| (json["test_is_valid"].clone(), json["test_rows_in_train"].clone());
        let expected = (Value::from(is_valid), Value::from(in_train));
        let rows =
            format!("{in_train} of {} test rows also occur in training", if out == "a" { 1 } else { 10 });
        let said = |text: &str| {
            assert_eq!(text.contains(valid), is_valid, "{dataset}:\n{text}");
            assert_eq!(text.contains(&rows), in_train > 0, "{dataset}:\n{text}");
        };
        let output = run(folder, &train(dataset, out, &["--json"]));
        said(&String::from_utf8_lossy(&output.stderr));
        assert_eq!(keys(&json(&String::from_utf8(output.stdout).unwrap())), expected, "{dataset}");
        said(&fs::read_to_string(folder.join(out).join("report.html")).unwrap());
        let output = run(folder, &["evaluate", out, "--samples", "2", "--json"]);
        said(&String::from_utf8_lossy(&output.stderr));
        assert_eq!(keys(&json(&String::from_utf8(output.stdout).unwrap())), expected, "{dataset}");
        // Another split says nothing about test rows.
        let output = run(folder, &["evaluate", out, "--samples", "2", "--json", "--split", "valid"]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("test rows"));
        assert_eq!(keys(&json(&String::from_utf8(output.stdout).unwrap())), (Value::Null, Value::Null));
        let found = json(&succeed(folder, &["data", "check", dataset, "--json"]));
        assert_eq!(keys(&found["data"][0]), expected);
    }
}

#[test]
fn published_protocols_are_counted_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &train("bars/4x4", "run", &["--json", "--set", "train.batch=5000"]));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !stderr.contains("warning"), "{stderr}");
    let found = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(found["test_is_valid"], false);
    assert!(found["test_rows_in_train"].as_u64().unwrap() > 0);
}

#[test]
fn axes_and_labels_are_named_after_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Ten images of 2 x 3 pixels, as MATLAB stores them: the images along the last axis, the first axis fastest.
    let pixel = |n: usize, y: usize, x: usize| ((n >> (y + 2 * (x % 2)) & 1) ^ (x / 2)) as u8;
    let npy = |shape: &str, fortran: &str, values: Vec<u8>| {
        let header = format!("{{'descr': '|u1', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &values]
            .concat()
    };
    let rows: Vec<u8> = (0..60).map(|i| pixel(i / 6, i / 3 % 2, i % 3)).collect();
    let stack: Vec<u8> = (0..60).map(|i| pixel(i / 6, i % 2, i / 2 % 3)).collect();
    for (name, bytes) in [
        ("plain.npy", npy("(10, 2, 3)", "False", rows.clone())),
        ("first.npy", npy("(10, 1, 2, 3)", "False", rows.clone())),
        ("last.npy", npy("(10, 2, 3, 1)", "False", rows)),
        ("stack.npy", npy("(2, 3, 10)", "True", stack)),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let sha256 = |id: &str| {
        let found = json(&succeed(folder, &["data", "check", id, "--json"]));
        (found["data"][0]["data_sha256"].clone(), found["data"][0]["shape"].clone())
    };
    let plain = sha256("file:plain.npy");
    for id in ["file:first.npy", "file:last.npy", "file:stack.npy#rows=last", "file:stack.npy#.T"] {
        assert_eq!(sha256(id), plain, "{id}");
    }
    let words = ["2 rows of 3 x 10", "10 rows of 2 x 3", "add #rows=first or #rows=last"];
    fail(folder, &train("file:stack.npy", "run", &[]), 2, &words);
    assert_ne!(sha256("file:stack.npy#rows=first"), plain);

    // Grey bytes with the label first, as MNIST is often distributed.
    fs::write(folder.join("grey.csv"), "3,0,255\n1,255,0\n3,0,128\n").unwrap();
    fail(folder, &train("file:grey.csv", "run", &[]), 2, &["column 1 looks like labels", "#label=0"]);
    let (code, text) = check(folder, "file:grey.csv#label=0");
    assert!(
        code == Some(0) && text.contains("grey in [0.000, 1.000]") && text.contains(", 1 class"),
        "{text}"
    );
    fail(folder, &train("file:grey.csv#labels", "run", &[]), 2, &["selector `#labels`", "#label=COLUMN"]);
    assert!(!folder.join("run").exists());
}

/// The system allows at most 4 GB of addresses, and the program reports it.
#[cfg(target_os = "linux")]
#[test]
fn a_short_file_that_asks_for_gigabytes_ends_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (value, bytes) in [("1", "2147483648"), ("0.5", "8589934592")] {
        let text = format!("1 1048576:{value}\n{}", "1 1:1\n".repeat(2047));
        fs::write(folder.path().join("bomb.libsvm"), text).unwrap();
        let output = std::process::Command::new("sh")
            .args([
                "-c",
                "ulimit -v 4000000; exec \"$0\" data check file:bomb.libsvm",
                env!("CARGO_BIN_EXE_helmholtz"),
            ])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("2048 rows of 1048576 values") && text.contains(bytes), "{text}");
    }
}
