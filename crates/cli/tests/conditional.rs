//! Machines of rows given their labels: training, likelihoods, classes, samples, and what is refused.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{fail, succeed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The arguments that train a machine of four hidden units on `data` into a folder.
fn train<'a>(out: &'a str, data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = ["train", "--model", "crbm", "--quiet", "--out", out, "--lr", "3e-2", "--dataset", data];
    [&own[..], &["--set", "model.hidden=4", "--set", "model.classes=2"], more].concat()
}

const ROWS: &str = "file:rows.csv#label=class";

/// Rows of two kinds: in the first kind the first two columns are mostly one, in the second the last two.
fn write_rows(folder: &Path) {
    let row = |i: u32| {
        let label = i % 2;
        let bit = |j: u32| u32::from((j < 2) == (label == 0)) ^ u32::from((i * 7 + j * 5).is_multiple_of(11));
        format!("{},{},{},{},{}\n", bit(0), bit(1), bit(2), bit(3), 3 + 4 * label)
    };
    let rows = "a,b,c,d,class\n".to_owned() + &(0..80).map(row).collect::<String>();
    fs::write(folder.join("rows.csv"), rows).unwrap();
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
fn a_machine_learns_rows_given_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    // The test rows are all rows of four bits, first with one label and then with the other.
    let row =
        |i: u32, label: u32| format!("{},{},{},{},{label}\n", i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3 & 1);
    let all = [3, 7].map(|label| (0..16).map(|i| row(i, label)).collect::<String>()).concat();
    fs::write(folder.join("all.csv"), "a,b,c,d,class\n".to_owned() + &all).unwrap();
    let data = "file:rows.csv#label=class,,all.csv#label=class";
    let more = ["--batch", "16", "--set", "model.gains=true", "--json"];
    let found = json(&succeed(folder, &train("run", data, &[&more[..], &["--epochs", "60"]].concat())));
    assert_eq!(found["nll_is_conditional"], true);
    // Nothing takes the score for log p(x).
    let metrics = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    let last = json(metrics.lines().last().unwrap());
    assert!(last["conditional_nll"].as_f64().is_some_and(f64::is_finite) && last.get("nll").is_none());
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    assert!(page.contains("NLL given the label"));
    let text = succeed(folder, &["evaluate", "run", "--per-example", "all.npy"]);
    assert!(text.contains("NLL given y") && text.contains("not -log p(x)"), "{text}");
    let probabilities: Vec<f64> = numbers(&folder.join("all.npy"), false).into_iter().map(f64::exp).collect();
    assert_eq!(probabilities.len(), 32);
    for given in probabilities.chunks(16) {
        let total: f64 = given.iter().sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
    }
    let of = |split: &str| json(&succeed(folder, &["evaluate", "run", "--split", split, "--json"]));
    let on_train = of("train");
    assert_eq!((&on_train["method"], &on_train["nll_is_conditional"]), (&"exact".into(), &true.into()));
    let nll = on_train["nll"].as_f64().unwrap();
    // The score that the best epoch was chosen by is the same number.
    assert_eq!(on_train["score"]["name"], "conditional_nll");
    assert!((on_train["score"]["value"].as_f64().unwrap() - nll).abs() < 1e-4, "{on_train}");
    assert!(nll < 0.9 * 4.0 * std::f64::consts::LN_2, "{nll}");
    // p(y | x) is the ratio of the probabilities above: labels are equally likely beforehand.
    let classes = json(&succeed(folder, &["classify", "run", "--json", "--out", "classes.npy"]));
    assert_eq!(classes["classes"], serde_json::json!([3, 7]));
    let ratios = numbers(&folder.join("classes.npy"), true);
    for (i, ratio) in ratios.chunks(2).take(16).enumerate() {
        let expected = probabilities[i] / (probabilities[i] + probabilities[16 + i]);
        assert!((ratio[0] - expected).abs() < 1e-5 && (ratio[0] + ratio[1] - 1.0).abs() < 1e-5);
    }
    let found = json(&succeed(folder, &["classify", "run", "--split", "train", "--json"]));
    assert!(found["error"].as_f64().unwrap() < 0.1, "{found}");
    // Row i of the samples is one of class i mod 2, with the frequencies of its law.
    succeed(folder, &["sample", "run", "--n", "6000", "--out", "drawn.npy"]);
    let drawn = numbers(&folder.join("drawn.npy"), true);
    let mut counts = [0.0; 32];
    for (i, row) in drawn.chunks(4).enumerate() {
        let number = row.iter().rev().fold(0, |sum, bit| 2 * sum + *bit as usize);
        counts[16 * (i % 2) + number] += 1.0 / 3000.0;
    }
    for (found, p) in counts.iter().zip(&probabilities) {
        // Five standard errors: a false alarm in 50 000 for all 32. The draws are those of seed 0.
        let se = (p * (1.0 - p) / 3000.0).sqrt();
        assert!((found - p).abs() < 5.0 * se + 1e-5, "{found} for {p}");
    }
    succeed(folder, &["sample", "run", "--n", "4", "--mean"]);
    succeed(folder, &["encode", "run", "--out", "codes.npy"]);
    assert_eq!(numbers(&folder.join("codes.npy"), true).len(), 32 * 4);
}

#[test]
fn training_stops_and_goes_on_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    for strategy in ["cd", "ml"] {
        let [whole, halves] = ["whole", "halves"].map(|name| format!("{strategy}-{name}"));
        let more = ["--strategy", strategy, "--batch", "16", "--epochs"];
        succeed(folder, &train(&whole, ROWS, &[&more[..], &["4"]].concat()));
        succeed(folder, &train(&halves, ROWS, &[&more[..], &["2"]].concat()));
        succeed(folder, &["train", "--resume", "--quiet", "--out", &halves, "--epochs", "4"]);
        let [a, b] = [&whole, &halves].map(|run| fs::read(folder.join(run).join("metrics.jsonl")).unwrap());
        assert_eq!(a, b, "{strategy}");
        let weights = |run: &str| {
            let file = format!("{run}.safetensors");
            succeed(folder, &["export", run, &file]);
            fs::read(folder.join(file)).unwrap()
        };
        assert_eq!(weights(&whole), weights(&halves), "{strategy}");
    }
}

#[test]
fn what_a_conditional_machine_cannot_do_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let refuse = |data: &str, args: &[&str], words: &[&str]| {
        fail(folder, &train("none", data, args), 2, words);
        assert!(!folder.join("none").exists());
    };
    refuse("bars/5x5", &[], &["bars/5x5", "no labels", "crbm", "#label="]);
    refuse(ROWS, &["--set", "model.classes=3"], &["2 classes", "set model.classes = 2"]);
    refuse(ROWS, &["--set", "model.classes=1"], &["model.classes = 1", "use rbm"]);
    refuse(ROWS, &["--set", "model.hidden=21"], &["model.hidden = 21", "at most 20", "2^hidden"]);
    refuse(ROWS, &["--set", "model.hidden=0"], &["model.hidden = 0"]);
    refuse(ROWS, &["--set", "model.visible=softmax"], &["model.categories", "categories = 4"]);
    refuse(ROWS, &["--set", "strategy.sweeps=0"], &["strategy.sweeps = 0"]);
    refuse(ROWS, &["--strategy", "pcd"], &["pcd", "use cd, ml", "rbm"]);
    fs::write(folder.join("wide.csv"), "class".to_owned() + &",x".repeat(17) + "\n" + &wide_rows()).unwrap();
    let wide = "file:wide.csv#label=class";
    let words = ["strategy.kind = \"ml\"", "2^17 states", "another strategy"];
    refuse(wide, &["--strategy", "ml", "--set", "model.hidden=17"], &words);

    succeed(folder, &train("run", ROWS, &["--epochs", "1"]));
    for (args, words) in [
        (&["reconstruct", "run"][..], &["no latents that a recognition net proposes"][..]),
        (&["inpaint", "run"], &["inpaint fixes known pixels"]),
        (&["evaluate", "run", "--method", "ais"], &["--method ais"]),
        (&["sample", "run", "--sampler", "gibbs"], &["--sampler gibbs"]),
    ] {
        fail(folder, args, 2, words);
    }
}

/// Rows of 17 bits with one of two labels in front.
fn wide_rows() -> String {
    let row = |i: usize| {
        format!("{}{}\n", i % 2, (0..17).map(|j| format!(",{}", i >> (j % 3) & 1)).collect::<String>())
    };
    (0..40).map(row).collect()
}

#[test]
fn the_court_compares_maximum_likelihood_with_sums_over_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_rows(folder);
    let plan = |strategy: &str| {
        format!(
            "schema = 1\n[[court]]\nstrategies = [\"{strategy}\"]\nsamples = [1]\nweights = [\"fresh\", \"trained\"]\n\
             rows = 5\nestimates = 100\n[court.config]\ndata = {{ id = \"{ROWS}\" }}\nmodel = {{ kind = \"crbm\", hidden \
             = 3, classes = 2, gains = true }}\ntrain = {{ epochs = 1 }}\n"
        )
    };
    fs::write(folder.join("ml.toml"), plan("ml")).unwrap();
    succeed(folder, &["compare", "ml.toml", "--out", "out"]);
    let found = json(&fs::read_to_string(folder.join("out/compare.json")).unwrap());
    let court = found["court"].as_array().unwrap();
    let is_right = |found: &Value| ["right", "unbiased"].contains(&found["verdict"].as_str().unwrap());
    assert!(!court.is_empty() && court.iter().all(is_right), "{found}");
    fs::write(folder.join("cd.toml"), plan("cd")).unwrap();
    fail(folder, &["compare", "cd.toml", "--out", "cd"], 2, &["cd: the strategy makes no claim"]);
}
