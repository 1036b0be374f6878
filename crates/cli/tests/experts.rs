//! Products of experts: training, likelihoods, samples, and what is refused.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{fail, run, succeed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The arguments that train a product into a folder.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--model", "poe", "--quiet", "--out", out], more].concat()
}

const UNIGAUSS: [&str; 6] =
    ["--set", "model.experts=unigauss", "--set", "model.low=0.0", "--set", "model.high=1.0"];

/// Writes values as a column.
fn write(path: &Path, values: impl Iterator<Item = f64>) {
    fs::write(path, "a\n".to_owned() + &values.map(|x| format!("{x:?}\n")).collect::<String>()).unwrap();
}

/// Numbers around 0.3 and 0.7, with a few far from both. Values of files lie between 0 and 1.
fn write_rows(path: &Path) {
    let row = |i: u32| f64::from(i % 7) / 60.0 + if i.is_multiple_of(3) { 0.25 } else { 0.65 };
    write(path, (0..120).map(row).chain([0.02, 0.97, 0.5, 0.9]));
}

/// The numbers of an array of double precision, or of single precision.
fn numbers(path: &Path, is_single: bool) -> Vec<f64> {
    let bytes = fs::read(path).unwrap();
    let values = &bytes[128..];
    match is_single {
        true => values.as_chunks::<4>().0.iter().map(|value| f64::from(f32::from_le_bytes(*value))).collect(),
        false => values.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).collect(),
    }
}

#[test]
fn student_t_experts_learn_a_heavy_tailed_law_by_its_exact_gradient() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = ["--dataset", "laplace/2d", "--batch", "1000", "--steps", "150", "--lr", "2e-2"];
    succeed(folder, &train("run", &more));
    let found = json(&succeed(folder, &["evaluate", "run", "--json"]));
    assert_eq!(found["method"], "exact");
    let nll = found["nll"].as_f64().unwrap();
    // The entropy is 2.693 nats, and a normal law with the covariance of the data has 2.838.
    assert!((2.69..2.80).contains(&nll), "{nll}");
    succeed(folder, &["encode", "run"]);
    succeed(folder, &["sample", "run", "--n", "50", "--mean"]);
    // The mean NLL of samples is the entropy of the model, which is near that of the data.
    succeed(folder, &["sample", "run", "--n", "20000", "--out", "drawn.npy"]);
    let drawn = numbers(&folder.join("drawn.npy"), true);
    let is_inside = |x: &&[f64]| x[0].hypot(x[1]) < 1.0;
    let share = drawn.chunks(2).filter(is_inside).count() as f64 / 20_000.0;
    // Two Laplace variables, however they are rotated, are in the unit disc with the probability 0.524.
    assert!((share - 0.524).abs() < 0.04, "{share}");
}

#[test]
fn densities_are_those_of_the_samples() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(&folder.join("rows.csv"));
    let n = 2000;
    let middle = |i: usize| (i as f64 + 0.5) / n as f64;
    write(&folder.join("all.csv"), (0..n).map(middle));
    let data = ["--dataset", "file:rows.csv,,all.csv", "--batch", "31", "--epochs", "40", "--lr", "2e-2"];
    let unigauss = [&UNIGAUSS[..], &["--set", "model.number=3", "--set", "model.scale=0.2"]].concat();
    for strategy in ["student", "ml", "cd", "pcd"] {
        let is_student = strategy == "student";
        let own = if is_student { vec![] } else { [&unigauss[..], &["--strategy", strategy]].concat() };
        succeed(folder, &train(strategy, &[&data[..], &own].concat()));
        succeed(folder, &["evaluate", strategy, "--per-example", "p.npy"]);
        let p: Vec<f64> = numbers(&folder.join("p.npy"), false).into_iter().map(f64::exp).collect();
        let total = p.iter().sum::<f64>() / n as f64;
        assert!((total - 1.0).abs() < 1e-4 || is_student, "{strategy}: {total}");
        let out = format!("{strategy}.npy");
        succeed(folder, &["sample", strategy, "--n", "4000", "--out", &out]);
        let drawn = numbers(&folder.join(&out), true);
        for (low, high) in [(0.0, 0.4), (0.4, 0.6), (0.6, 1.0)] {
            let share =
                (0..n).filter(|i| (low..high).contains(&middle(*i))).map(|i| p[i]).sum::<f64>() / n as f64;
            let found = drawn.iter().filter(|x| (low..high).contains(*x)).count() as f64 / 4000.0;
            // Five standard errors: a false alarm in 100 000 for all.
            let se = (share * (1.0 - share) / 4000.0).sqrt();
            assert!((found - share).abs() < 5.0 * se + 1e-3, "{strategy}: {found} for {share}");
        }
        succeed(folder, &["encode", strategy]);
        // Unigauss experts fit better than the uniform law on the box.
        let on_train = json(&succeed(folder, &["evaluate", strategy, "--split", "train", "--json"]));
        assert!(on_train["nll"].as_f64().unwrap() < -0.1 || is_student, "{strategy}: {on_train}");
    }
}

#[test]
fn training_stops_and_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(&folder.join("rows.csv"));
    for strategy in ["ml", "cd", "pcd"] {
        let [whole, halves] = ["whole", "halves"].map(|name| format!("{strategy}-{name}"));
        let own = ["--dataset", "file:rows.csv", "--strategy", strategy, "--batch", "31", "--epochs"];
        let more = [&UNIGAUSS[..], &own].concat();
        succeed(folder, &train(&whole, &[&more[..], &["4"]].concat()));
        succeed(folder, &train(&halves, &[&more[..], &["2"]].concat()));
        succeed(folder, &["train", "--resume", "--quiet", "--out", &halves, "--epochs", "4"]);
        let [a, b] = [&whole, &halves].map(|run| fs::read(folder.join(run).join("metrics.jsonl")).unwrap());
        assert_eq!(a, b, "{strategy}");
    }
}

#[test]
fn a_law_that_training_loses_ends_the_run_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = ["--dataset", "laplace/2d", "--optimizer", "sgd", "--lr", "1000", "--steps", "20"];
    fail(folder, &train("run", &more), 1, &["log_likelihood is -inf"]);
}

#[test]
fn what_has_no_law_or_no_closed_form_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(&folder.join("rows.csv"));
    let refuse = |args: &[&str], words: &[&str]| {
        fail(folder, &train("none", args), 2, words);
        assert!(!folder.join("none").exists());
    };
    let laplace = |more: &[&'static str]| [&["--dataset", "laplace/2d"], more].concat();
    refuse(
        &laplace(&["--set", "model.number=1"]),
        &["model.number = 1", "2 columns", "cannot be normalised"],
    );
    refuse(&laplace(&["--set", "model.number=3"]), &["model.number = 3", "closed form", "model.number = 2"]);
    refuse(&laplace(&["--set", "model.number=0"]), &["model.number = 0"]);
    refuse(&laplace(&["--set", "model.scale=0"]), &["model.scale = 0.0", "positive"]);
    refuse(&laplace(&["--set", "model.low=-1.0"]), &["model.low = -1.0", "unigauss", "leave it out"]);
    refuse(&laplace(&["--set", "model.experts=gaussian"]), &["model.experts", "student-t"]);
    refuse(
        &laplace(&["--strategy", "cd"]),
        &["strategy.kind = \"cd\"", "use ml", "model.experts = \"unigauss\""],
    );
    refuse(&laplace(&["--strategy", "tempering"]), &["tempering", "use ml, cd, pcd"]);
    let unigauss = |more: &[&'static str]| laplace(&[&["--set", "model.experts=unigauss"], more].concat());
    refuse(&unigauss(&[]), &["model.low", "only between bounds", "low = -10.0"]);
    refuse(&unigauss(&["--set", "model.low=-1.0"]), &["model.high", "only between bounds"]);
    let bounds = |low: &'static str, high: &'static str| unigauss(&["--set", low, "--set", high]);
    refuse(
        &bounds("model.low=3.0", "model.high=-3.0"),
        &["model.low = 3.0, model.high = -3.0", "lower one first"],
    );
    refuse(&bounds("model.low=-3.0", "model.high=inf"), &["model.high = inf", "finite"]);
    let narrow = [&bounds("model.low=-3.0", "model.high=3.0")[..], &["--set", "model.number=21"]].concat();
    refuse(&narrow, &["model.number = 21", "at most 20", "2^number"]);
    // The first value outside of the bounds is named with its place.
    let words =
        ["laplace/2d", "of its train split has", "in column", "poe models numbers from -3 to 3", "model.low"];
    refuse(&bounds("model.low=-3.0", "model.high=3.0"), &words);
    let many = [&bounds("model.low=-30.0", "model.high=30.0")[..], &["--set", "model.number=17"]].concat();
    refuse(&many, &["strategy.kind = \"ml\"", "2^17 states"]);
    succeed(folder, &train("run", &["--dataset", "file:rows.csv", "--epochs", "1"]));
    for (args, words) in [
        (&["reconstruct", "run"][..], &["no latents that a recognition net proposes"][..]),
        (&["classify", "run"], &["has no classes"]),
        (&["sample", "run", "--sampler", "gibbs"], &["--sampler gibbs"]),
    ] {
        fail(folder, args, 2, words);
    }
}

/// The note that compares an NLL with that of independent pixels, 8.8 nats, is for probabilities of bits.
#[test]
fn a_density_is_not_compared_with_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let output = run(folder, &train("run", &["--dataset", "bars/4x4", "--steps", "20"]));
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    let results = json(&fs::read_to_string(folder.join("run/results.json")).unwrap());
    assert!(results["test"]["nll"].as_f64().unwrap() > 9.0, "{results}");
    assert!(!text.contains("independent pixels"), "{text}");
}
