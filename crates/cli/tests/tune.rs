//! `helmholtz tune`, and runs that leave the test split alone.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{fail, succeed};

const CONFIG: &str = r#"
schema = 1
[data]
id = "lines/3x3"
[model]
layers = [4]
[strategy]
samples = 2
[train]
steps = 36
batch = 25
final_samples = 5
# What tune may change.
[tune]
"optimizer.lr" = { from = 1e-3, to = 1e-1 }
"train.batch" = [25, 50]
"#;

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The runs of a record, without the clock.
fn runs(record: &Value) -> Vec<Value> {
    let mut runs = record["runs"].as_array().unwrap().clone();
    runs.iter_mut().for_each(|run| drop(run["seconds"].take()));
    runs
}

#[test]
fn the_winner_is_a_config_that_trains_to_the_score_it_was_chosen_by() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("c.toml"), CONFIG).unwrap();
    let printed: Value =
        serde_json::from_str(&succeed(folder, &["tune", "c.toml", "--out", "first", "--json"])).unwrap();
    let record = read(&folder.join("first/tune.json"));
    for key in ["runs", "best", "gained", "configurations", "space"] {
        assert_eq!(printed[key], record[key], "{key}");
    }
    // Nine for a ninth of the steps, three of them for a third, one for all, and the config as given.
    let runs = runs(&record);
    let at = |rung: u64| runs.iter().filter(|run| run["rung"] == rung).collect::<Vec<_>>();
    assert_eq!((at(0).len(), at(1).len(), record["configurations"].as_u64()), (9, 3, Some(9)));
    assert!(at(2).iter().any(|run| run["configuration"] == 0) && at(2).len() <= 2);
    for run in &runs {
        let batch = run["values"]["train.batch"].as_u64().unwrap_or(25);
        let full = 36 / 3u64.pow(2 - run["rung"].as_u64().unwrap() as u32);
        assert_eq!(run["steps"].as_u64().unwrap() * batch, 25 * full, "{run}");
        let lr = run["values"]["optimizer.lr"].as_f64().unwrap_or(1e-2);
        assert!((1e-3..=1e-1).contains(&lr), "{run}");
    }
    let lowest =
        |runs: &[&Value]| runs.iter().map(|run| run["nll"].as_f64().unwrap()).fold(f64::MAX, f64::min);
    let best = &record["best"];
    assert_eq!((best["rung"].as_u64(), best["nll"].as_f64().unwrap()), (Some(2), lowest(&at(2))));
    assert!(record["gained"].as_f64().unwrap() >= 0.0);
    assert!(fs::read_to_string(folder.join("first/tune.svg")).unwrap().contains("validation NLL"));

    // No run has looked at the test split; the winner's config gives the same score, and says how it was chosen.
    for run in fs::read_dir(folder.join("first/runs")).unwrap() {
        assert!(read(&run.unwrap().path().join("results.json"))["test"].is_null());
    }
    let said = succeed(folder, &["train", "first/best.toml", "--quiet", "--out", "winner"]);
    assert!(said.contains("chosen by validation among 9 configurations"), "{said}");
    let results = read(&folder.join("winner/results.json"));
    assert_eq!((&results["valid"]["nll"], results["tried"].as_u64()), (&best["nll"], Some(9)));
    assert!(results["test"]["nll"].is_number());

    // A search that was stopped after five runs, one of them unfinished, ends as the whole one does.
    let mut cut = record.clone();
    cut["runs"].as_array_mut().unwrap().truncate(5);
    fs::create_dir_all(folder.join("second/runs")).unwrap();
    fs::write(folder.join("second/tune.json"), cut.to_string()).unwrap();
    succeed(folder, &["tune", "c.toml", "--out", "second", "--resume"]);
    assert_eq!(self::runs(&read(&folder.join("second/tune.json"))), runs);
    let text = |name: &str| fs::read_to_string(folder.join(name).join("best.toml")).unwrap();
    let settings =
        |text: String| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(settings(text("first")), settings(text("second")));
    fail(folder, &["tune", "c.toml", "--out", "first"], 2, &["holds a search", "--resume"]);
    fail(
        folder,
        &["tune", "c.toml", "--out", "first", "--resume", "--seed", "3"],
        2,
        &["another config", "--seed"],
    );
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let space = |space: &str| format!("{}[tune]\n{space}", CONFIG.split("# What tune").next().unwrap());
    for (config, args, words) in [
        (space("\"optimizer.lrr\" = [1.0]"), &[][..], &["optimizer.lrr", "did you mean `optimizer.lr`"][..]),
        (space("\"data.id\" = [\"bars/5x5\"]"), &[], &["data.id", "cannot be searched"]),
        (space("\"train.steps\" = [1]"), &[], &["train.steps", "cannot be searched"]),
        (space("\"optimizer.lr\" = 3"), &[], &["optimizer.lr = 3", "give a list"]),
        (space("\"optimizer.lr\" = [-1.0]"), &[], &["optimizer.lr"]),
        ("tune = 3".to_owned(), &[], &["tune"]),
        (
            format!("{}[[stage]]\nepochs = 1\n", CONFIG.replace("steps = 36", "epochs = 1")),
            &[],
            &["[[stage]]"],
        ),
        (CONFIG.to_owned(), &["--minutes", "0"], &["--minutes 0", "above zero"]),
        (CONFIG.to_owned(), &["--minutes", "0.0001"], &["too few for a round of 9"]),
        (CONFIG.to_owned(), &["--max-steps", "8"], &["--max-steps 8", "at least 9"]),
        (CONFIG.to_owned(), &["--resume", "--out", "nowhere"], &["nowhere", "leave out --resume"]),
        (CONFIG.to_owned(), &["--out", "taken"], &["taken", "mine.txt", "another folder"]),
    ] {
        fs::write(folder.join("c.toml"), config).unwrap();
        let _ = fs::create_dir(folder.join("taken"));
        fs::write(folder.join("taken/mine.txt"), "").unwrap();
        fail(folder, &[&["tune", "c.toml"], args].concat(), 2, words);
    }
    assert!(!folder.join("runs/tune").exists(), "a search that cannot begin leaves nothing");
    // The settings that are searched if a config states none need a rate.
    let mixture = "[data]\nid = \"lines/3x3\"\n[model]\nkind = \"mob\"\n[strategy]\nkind = \"em\"\n";
    fs::write(folder.join("c.toml"), mixture).unwrap();
    fail(folder, &["tune", "c.toml"], 2, &["no learning rate", "[tune]"]);
}

#[test]
fn a_run_that_leaves_the_test_split_alone_has_no_test_score_until_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let args =
        ["train", "--dataset", "lines/3x3", "--layers", "4", "--epochs", "2", "--quiet", "--out", "run"];
    let said = succeed(folder, &[&args[..], &["--no-test"]].concat());
    assert!(said.contains("valid NLL") && !said.contains("test"), "{said}");
    let run = folder.join("run");
    let results = read(&run.join("results.json"));
    for key in ["test", "test_is_valid", "test_rows_in_train"] {
        assert!(results[key].is_null(), "{key}");
    }
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Rows of the validation data") && !page.contains("test data"));
    succeed(folder, &["report", "run", "--out", "page.html"]);
    succeed(folder, &["train", "--resume", "--quiet", "--out", "run"]);
    assert!(read(&run.join("results.json"))["test"]["nll"].is_number());
}
