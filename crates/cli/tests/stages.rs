//! Stages: what a strategy remembers is kept from stage to stage, also if a run is killed, and from checkpoints of
//! earlier versions.

use std::fs;
use std::path::Path;

use crate::common::succeed;

/// The bytes of a run's exported weights, behind a header that names the run.
fn weights(folder: &Path, run: &str) -> Vec<u8> {
    let file = format!("{run}.safetensors");
    succeed(folder, &["export", run, &file, "--force"]);
    let bytes = fs::read(folder.join(file)).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

fn metrics(folder: &Path, run: &str) -> String {
    fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap()
}

/// Leaves a run as if it had been killed after an epoch.
fn cut(folder: &Path, run: &str, epoch: usize) {
    for entry in fs::read_dir(folder.join(run).join("checkpoint")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let of = name.rsplit_once('-').unwrap().1.split('.').next().unwrap().to_owned();
        if of.parse::<usize>().unwrap() > epoch {
            fs::remove_file(path).unwrap();
        }
    }
    let kept: Vec<String> = metrics(folder, run).lines().take(2 * epoch).map(str::to_owned).collect();
    fs::write(folder.join(run).join("metrics.jsonl"), kept.join("\n") + "\n").unwrap();
}

const NVIL: &str = "[model]\nlayers = [3]\n[strategy]\nkind = \"nvil\"\nsamples = 2\n";
const COUPLED: &str = "[model]\nkind = \"vae\"\nlayers = [2]\nbodies = [[4]]\n[strategy]\nkind = \"coupled\"\nsamples = 3\n\
                       lag = 2\ncap = 8\n";
const EM: &str = "[model]\nkind = \"mob\"\ncomponents = 5\n[strategy]\nkind = \"em\"\n";

/// A config of two stages with these numbers of epochs; the second has its own learning rate if `other_rate` is true.
fn config(kind: &str, [first, second]: [usize; 2], other_rate: bool) -> String {
    let rate = if other_rate { "lr = 0.0005\n" } else { "" };
    format!(
        "[data]\nid = \"lines/3x3\"\n{kind}[train]\nepochs = {first}\nbatch = 2500\nvalid_samples = 2\nfinal_samples = 2\n\
         [[stage]]\nepochs = {second}\n{rate}"
    )
}

#[test]
fn what_is_remembered_goes_on_through_a_stage_and_a_run_killed_there_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for kind in [NVIL, COUPLED, EM] {
        // Killed where the second stage begins, and in the middle of it.
        for (epochs, at) in [([1, 1], 1), ([1, 2], 2)] {
            fs::write(folder.join("two.toml"), config(kind, epochs, true)).unwrap();
            for run in ["whole", "cut"] {
                let _ = fs::remove_dir_all(folder.join(run));
                succeed(folder, &["train", "two.toml", "--quiet", "--out", run]);
            }
            cut(folder, "cut", at);
            succeed(folder, &["train", "--resume", "--out", "cut", "--quiet"]);
            assert_eq!(metrics(folder, "cut"), metrics(folder, "whole"), "{kind}");
            assert_eq!(weights(folder, "cut"), weights(folder, "whole"), "{kind}");
        }
        // Two stages with the same settings are like one: nothing starts again.
        let same = config(kind, [1, 2], false);
        let one = same.split("[[stage]]").next().unwrap().replace("epochs = 1", "epochs = 3");
        for (name, text) in [("same", &same), ("one", &one)] {
            let _ = fs::remove_dir_all(folder.join(name));
            fs::write(folder.join("config.toml"), text).unwrap();
            succeed(folder, &["train", "config.toml", "--quiet", "--out", name]);
        }
        assert_eq!(metrics(folder, "same"), metrics(folder, "one"), "{kind}");
    }
}

/// A run of an earlier version was saved to its end; here it is resumed from an epoch before that.
#[test]
fn checkpoints_of_earlier_versions_go_on_with_what_was_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let earlier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier");
    let values = |text: &str| -> Vec<(String, f64)> {
        let last: serde_json::Value = serde_json::from_str(text.lines().nth_back(1).unwrap()).unwrap();
        let last =
            last.as_object().unwrap().iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
        last.collect()
    };
    // Baselines, the correlation of chains in the second of two stages, and averaged weights.
    for run in ["nvil", "coupled-in-stages", "average"] {
        copy(&earlier.join(run), &folder.join(run));
        let expected = values(&metrics(folder, run));
        cut(folder, run, 2);
        succeed(folder, &["train", "--resume", "--out", run, "--quiet"]);
        for ((key, found), (other, expected)) in values(&metrics(folder, run)).into_iter().zip(expected) {
            // On another kind of CPU rounding differs.
            assert!(
                key == other && (found - expected).abs() <= 1e-3 * expected.abs(),
                "{run}: {key} {found} {expected}"
            );
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(path, to.join(name)).unwrap();
        }
    }
}
