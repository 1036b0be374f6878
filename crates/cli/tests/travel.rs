//! A run is read from other folders, and on machines that do not have its data.

use std::fs;

use crate::common::{fail, run, succeed, trained};

/// Twenty rows of four bits.
fn rows() -> String {
    (0..20).map(|i| format!("{} {} {} {}\n", i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3 & 1)).collect()
}

fn provenance(run: &std::path::Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(run.join("provenance.json")).unwrap()).unwrap()
}

#[test]
fn a_run_on_relative_paths_is_read_from_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (home, away) = (folder.path().join("home"), folder.path().join("away"));
    fs::create_dir_all(home.join("data")).unwrap();
    fs::create_dir_all(&away).unwrap();
    fs::write(home.join("data/a.amat"), rows()).unwrap();
    let train = |out, id, dir| {
        let all = ["train", "--dataset", id, "--layers", "2", "--epochs", "1", "--quiet", "--out", out];
        succeed(&home, &[&all[..], dir].concat());
    };
    train("by-path", "file:data/a.amat", &[][..]);
    train("by-folder", "file:a.amat", &["--data-dir", "data"]);
    let nll = |place: &std::path::Path, run: &str| {
        let out = succeed(place, &["evaluate", run, "--samples", "5", "--json"]);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["nll"].clone()
    };
    for run in ["by-path", "by-folder"] {
        let there = format!("../home/{run}");
        assert_eq!(nll(&home, run), nll(&away, &there));
        succeed(&away, &["train", "--resume", "--out", &there, "--epochs", "2", "--quiet"]);
    }
    // The id, which keys the draws of an evaluation, is the one that the user gave.
    assert_eq!(provenance(&home.join("by-path"))["data"], "file:data/a.amat@1");

    // A folder that has moved with its data and its runs still works from within.
    let moved = folder.path().join("home-2");
    fs::rename(&home, &moved).unwrap();
    assert_eq!(nll(&moved, "by-path"), nll(&moved, "by-path"));
    fs::rename(&moved, &home).unwrap();

    // Data that have moved are found by --data-dir.
    fs::rename(home.join("data"), folder.path().join("moved")).unwrap();
    fail(&away, &["evaluate", "../home/by-folder"], 2, &["a.amat"]);
    succeed(&away, &["evaluate", "../home/by-folder", "--samples", "5", "--data-dir", "../moved"]);
}

#[test]
fn weights_and_samples_need_no_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a.amat"), rows()).unwrap();
    let vae = ["--model", "vae", "--layers", "2", "--set", "model.bodies=[[3]]"];
    for (out, model) in [("stack", &["--layers", "2"][..]), ("vae", &vae)] {
        let all = ["train", "--dataset", "file:a.amat", "--epochs", "1", "--quiet", "--out", out];
        succeed(folder, &[&all[..], model].concat());
    }
    let read = |out: &str| fs::read(folder.join(out)).unwrap();
    let draw = |run: &str, tag: &str| {
        let (weights, rows) = (format!("{run}-{tag}.safetensors"), format!("{run}-{tag}.npy"));
        succeed(folder, &["export", run, &weights]);
        succeed(folder, &["sample", run, "--n", "3", "--out", &rows]);
        succeed(folder, &["sample", run, "--n", "3", "--out", &format!("{run}-{tag}.png")]);
        (read(&weights), read(&rows))
    };
    let with_data = ["stack", "vae"].map(|run| draw(run, "with"));
    fs::remove_file(folder.join("a.amat")).unwrap();
    assert_eq!(["stack", "vae"].map(|run| draw(run, "without")), with_data);
    let of_file = ["sample", "--weights", "vae-with.safetensors", "--config", "vae/run.toml", "--n", "3"];
    succeed(folder, &[&of_file[..], &["--out", "file.npy"]].concat());
    assert_eq!(read("file.npy"), read("vae-with.npy"));
    // What needs the rows says so.
    fail(folder, &["evaluate", "stack"], 2, &["a.amat"]);
}

#[test]
fn a_run_of_a_version_that_did_not_say_how_wide_a_row_is_takes_it_from_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "old", 1);
    succeed(folder, &["export", "old", "new.safetensors"]);
    let path = folder.join("old/provenance.json");
    let mut all = provenance(&folder.join("old"));
    assert_eq!(all["data_shape"], serde_json::json!([3, 3]));
    all.as_object_mut().unwrap().remove("data_shape");
    fs::write(&path, all.to_string()).unwrap();
    succeed(folder, &["export", "old", "old.safetensors"]);
    assert_eq!(
        fs::read(folder.join("old.safetensors")).unwrap(),
        fs::read(folder.join("new.safetensors")).unwrap()
    );
    // A shape of more pixels than any row has is refused before memory is allocated for them.
    all["data_shape"] = serde_json::json!([1u64 << 40, 1u64 << 40]);
    fs::write(&path, all.to_string()).unwrap();
    let output = run(folder, &["export", "old", "x.safetensors"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
