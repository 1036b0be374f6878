//! The programs of `examples/`, which `cargo test` has built.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::succeed;

/// Runs an example in `folder`.
fn run(folder: &Path, name: &str, words: &[&str]) -> Output {
    let built = Path::new(env!("CARGO_BIN_EXE_helmholtz")).parent().unwrap().join("examples");
    let program = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(&program);
    command.current_dir(folder).args(words).env_remove("HELMHOLTZ_DATA");
    command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; build it with `cargo build --examples`", program.display())
    })
}

/// Whether the program with the family of its own succeeds, its standard output, and its standard error.
fn program(folder: &Path, words: &str) -> (bool, String, String) {
    let output = run(folder, "own_family", &words.split(' ').collect::<Vec<_>>());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn json(folder: &Path, words: &str) -> Value {
    let (done, out, complaint) = program(folder, words);
    assert!(done, "{words}: {complaint}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words}: {error} in {out}"))
}

#[test]
fn a_family_of_ones_own_trains_resumes_evaluates_samples_and_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Train, and resume to the bit.
    let train = "train --model factorial --dataset lines/3x3 --lr 0.1 --batch 1000 --json";
    let whole = json(folder, &format!("{train} --epochs 20 --out whole"));
    json(folder, &format!("{train} --epochs 10 --out parts"));
    let resumed = json(folder, "train --resume --out parts --epochs 20 --json");
    assert_eq!((&whole["test"], &whole["valid"]), (&resumed["test"], &resumed["valid"]));
    // Evaluate: the NLL of a factorial distribution cannot be below the sum of the entropies of its units.
    let found = json(folder, "evaluate whole --json");
    let means = helmholtz_datasets::load("lines/3x3", None).unwrap().test.mean();
    let entropy: f64 = means.iter().map(|p| -p * p.ln() - (1.0 - p) * (1.0 - p).ln()).sum();
    let nll = found["nll"].as_f64().unwrap();
    assert!((entropy..entropy + 0.01).contains(&nll), "{nll} for {entropy}");
    assert_eq!(found["method"], "exact", "without latents the likelihood is a closed form");
    // Compare with the exact gradient.
    let plan = "schema = 1\n[[court]]\nstrategies = [\"mle\"]\nsamples = [1]\nweights = [\"fresh\"]\nrows = 4\nestimates = 100\n\
                [court.config]\ndata = { id = \"lines/3x3\" }\nmodel = { kind = \"factorial\" }\n";
    std::fs::write(folder.join("court.toml"), plan).unwrap();
    let court = json(folder, "compare court.toml --out court --json");
    assert!(court["court"].as_array().unwrap().iter().all(|found| found["verdict"] != "wrong"), "{court}");
    // Sample.
    let (done, _, complaint) = program(folder, "sample whole --n 5 --out five.npy");
    assert!(done && folder.join("five.npy").is_file(), "{complaint}");
    // List it, separately from the built-in families.
    let names = |listed: &Value| -> Vec<String> {
        let families = listed["families"].as_array().unwrap();
        families.iter().map(|family| family["name"].as_str().unwrap().to_owned()).collect()
    };
    let built_in: Value = serde_json::from_str(&succeed(folder, &["models", "--json"])).unwrap();
    let expected = [names(&built_in), vec!["factorial".to_owned()]].concat();
    assert_eq!(names(&json(folder, "models --json")), expected);
    for (words, complaint) in [
        ("train --model factorial --strategy rws", "rws needs latents"),
        ("train --strategy mle", "mle needs a model without latents"),
        ("train --model factorial --set model.layers=[3]", "model.layers belongs to sbn"),
        ("train --model factorail", "did you mean `factorial`?"),
        ("encode whole", "nothing to encode into"),
        ("inpaint whole", "has no latents"),
    ] {
        let (done, _, found) = program(folder, words);
        assert!(!done && found.contains(complaint), "{words}: {found}");
    }
}

/// It judges itself: the planted error must be found, or it panics.
#[test]
fn the_court_calls_the_planted_error_of_ones_own_strategy_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "own_strategy", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("nats per row"));
    let lines = include_str!("../../../examples/own_strategy.rs").lines().count();
    assert!(lines <= 40, "{lines} lines");
}

#[test]
fn the_training_loop_of_the_example_comes_near_the_entropy() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "train", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("reweighted wake-sleep"));
}
