//! Mixtures: stages, classes, missing values, and what they refuse.

use std::fs;

use serde_json::Value;

use crate::common::{fail, succeed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The arguments that train a mixture into a folder.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--model", "mob", "--set", "model.components=5", "--quiet", "--out", out], more].concat()
}

/// Rows of two kinds: in the first kind the first two columns are mostly one, in the second the last two.
fn labelled(missing: bool) -> String {
    let row = |i: u32| {
        let label = i % 2;
        let bit = |j: u32| u32::from((j < 2) == (label == 0)) ^ u32::from((i * 7 + j * 5).is_multiple_of(11));
        let value = |j: u32| if missing && (i + j) % 4 == 1 { "NaN".to_owned() } else { bit(j).to_string() };
        format!("{},{}\n", (0..4).map(value).collect::<Vec<_>>().join(","), 3 + 4 * label)
    };
    "a,b,c,d,class\n".to_owned() + &(0..80).map(row).collect::<String>()
}

#[test]
fn a_mixture_learns_classes_from_rows_with_missing_values_and_predicts_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.csv"), labelled(true)).unwrap();
    let data = "file:rows.csv#label=class";
    let of_classes = ["--dataset", data, "--epochs", "20", "--lr", "0.1", "--set", "model.classes=2"];
    succeed(folder, &train("run", &of_classes));
    // It is judged by the likelihood of rows with their labels, and the metrics say so.
    let metrics = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
    let last = json(metrics.lines().last().unwrap());
    assert_eq!((last["unit"].as_str(), last["better"].as_str()), (Some("nats"), Some("lower")));
    assert!(last["joint_nll"].as_f64().is_some_and(f64::is_finite) && last.get("nll").is_none());
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    assert!(page.contains("valid NLL with the label"), "the report names what is drawn");
    let found = json(&succeed(folder, &["classify", "run", "--split", "train", "--json"]));
    assert_eq!(found["classes"], serde_json::json!([3, 7]));
    assert!(found["error"].as_f64().unwrap() < 0.1, "{found}");
    // The likelihood of the observed values alone is that of the exported weights.
    let nll = json(&succeed(folder, &["evaluate", "run", "--json"]));
    assert_eq!(nll["method"], "exact");
    assert_eq!(
        (nll["score"]["name"].as_str(), nll["score"]["unit"].as_str()),
        (Some("joint_nll"), Some("nats"))
    );
    assert!(nll["score"]["value"].as_f64() > nll["nll"].as_f64(), "the label takes nats, too");
    // A user's own rows need no labels.
    let bare: String =
        labelled(false).lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n").collect();
    fs::write(folder.join("bare.csv"), bare).unwrap();
    let own = ["classify", "run", "--data", "bare.csv", "--out", "own.npy", "--json"];
    let own = json(&succeed(folder, &own));
    assert_eq!(
        (own["n"].as_u64(), own["error"].is_null(), own["labels"][0].as_i64()),
        (Some(80), true, Some(3))
    );
    assert_eq!(own["labels"].as_array().unwrap().len(), 80);
    assert!(folder.join("own.npy").is_file());
    // Columns in another order, and labels that changed since, are refused.
    let swapped = labelled(false).replace("a,b,c,d,class", "b,a,c,d,class");
    fs::write(folder.join("swapped.csv"), swapped).unwrap();
    fail(folder, &["classify", "run", "--data", "swapped.csv#label=class"], 2, &["column 1 is `b`", "`a`"]);
    fs::write(folder.join("rows.csv"), labelled(true).replace(",7\n", ",1\n")).unwrap();
    for command in [&["classify", "run"][..], &["train", "--resume", "--out", "run", "--epochs", "21"]] {
        fail(folder, command, 2, &["the labels of the data have changed"]);
    }
}

#[test]
fn what_a_mixture_cannot_do_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("rows.csv"), labelled(false)).unwrap();
    let refuse = |args: &[&str], words: &[&str]| {
        fail(folder, &train("none", args), 2, words);
        assert!(!folder.join("none").exists());
    };
    refuse(&["--set", "model.classes=10"], &["bars/5x5", "no labels", "#label="]);
    refuse(
        &["--dataset", "file:rows.csv#label=class", "--set", "model.classes=3"],
        &["2 classes", "set model.classes = 2"],
    );
    refuse(&["--set", "model.classes=1"], &["model.classes = 1", "at least 2 classes", "leave it out"]);
    refuse(&["--set", "model.smoothing=-1"], &["model.smoothing = -1"]);
    refuse(&["--set", "model.spread=1e39"], &["model.spread = 1e39", "single precision"]);
    refuse(&["--samples", "3"], &["strategy.samples", "ml, which has no keys"]);
    refuse(&["--set", "optimizer.lr_p=x"], &["optimizer.lr_p = \"x\"", "must be a number"]);
    refuse(
        &["--strategy", "em", "--optimizer", "adam"],
        &["optimizer.kind = \"adam\"", "em computes whole updates"],
    );
    refuse(
        &["--strategy", "em", "--set", "strategy.step_exponent=2"],
        &["strategy.step_exponent = 2", "[0, 1]"],
    );
    refuse(&["--set", "optimizer.lr_q=0.1"], &["optimizer.lr_q", "mob", "mob has no group of parameters"]);
    refuse(&["--strategy", "rws"], &["rws needs latents"]);
    fs::write(folder.join("test.csv"), labelled(false).replace(",7\n", ",8\n")).unwrap();
    let other = "file:rows.csv#label=class,,test.csv#label=class";
    refuse(&["--dataset", other, "--set", "model.classes=2"], &["label 8", "test"]);
    fs::write(folder.join("bare.csv"), "a,b,c,d\n1,0,1,0\n0,1,0,1\n").unwrap();
    let bare = "file:rows.csv#label=class,bare.csv";
    refuse(&["--dataset", bare, "--set", "model.classes=2"], &["valid split have no labels"]);
    // If there are targets as well, the labels are learnt.
    let both = "file:rows.csv#label=class#target=a";
    succeed(folder, &train("both", &["--dataset", both, "--epochs", "1", "--set", "model.classes=2"]));

    succeed(folder, &train("plain", &["--dataset", "lines/3x3", "--epochs", "1"]));
    for (args, words) in [
        (&["classify", "plain"][..], &["has no classes", "model.classes"][..]),
        (&["reconstruct", "plain"], &["no latents that a recognition net proposes"]),
        (&["inpaint", "plain"], &["inpaint fixes known pixels"]),
        (&["evaluate", "plain", "--method", "ais"], &["--method ais"]),
        (&["sample", "plain", "--sampler", "gibbs"], &["--sampler gibbs"]),
    ] {
        fail(folder, args, 2, words);
    }
    succeed(folder, &["encode", "plain"]);
    succeed(folder, &["sample", "plain", "--mean"]);
}

#[test]
fn the_court_compares_maximum_likelihood_with_autodiff_and_refuses_a_strategy_without_a_claim() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = |strategy: &str| {
        format!(
            "schema = 1\n[[court]]\nstrategies = [\"{strategy}\"]\nsamples = [1, 4]\nweights = [\"fresh\", \
             \"trained\"]\nrows = 5\nestimates = 100\n[court.config]\ndata = {{ id = \"lines/3x3\" }}\n\
             model = {{ kind = \"mob\", components = 4 }}\ntrain = {{ epochs = 1 }}\n"
        )
    };
    fs::write(folder.join("ml.toml"), plan("ml")).unwrap();
    succeed(folder, &["compare", "ml.toml", "--out", "out"]);
    let found = json(&fs::read_to_string(folder.join("out/compare.json")).unwrap());
    let court = found["court"].as_array().unwrap();
    assert!(
        !court.is_empty()
            && court.iter().all(|found| ["right", "unbiased"].contains(&found["verdict"].as_str().unwrap())),
        "{found}"
    );
    // It takes no samples, and is tried once.
    assert!(court.iter().all(|found| found["k"] == 1 && found["ess"].is_null()));
    fs::write(folder.join("em.toml"), plan("em")).unwrap();
    fail(folder, &["compare", "em.toml", "--out", "em"], 2, &["em: the strategy makes no claim"]);
}
