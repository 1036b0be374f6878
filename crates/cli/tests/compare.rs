//! `helmholtz compare` as a user runs it.

use std::fs;

use crate::common::{either, fail, run, succeed};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

/// A court and a race that take seconds.
const PLAN: &str = r#"
schema = 1

[[court]]
strategies = ["ws", "rws", "vimco", "nvil"]
samples = [2, 4]
weights = ["fresh", "half-trained", "trained"]
rows = 2
estimates = 100
[court.config]
data = { id = "lines/3x3" }
model = { layers = [3] }
strategy = { kind = "rws", samples = 5 }
train = { epochs = 2 }

[[race]]
strategies = ["ws", "rws", "vimco", "reinforce", "nvil"]
seeds = 2
budget = { model_evaluations = 60000 }
judged = 4
[race.config]
data = { id = "bars/4x4" }
model = { layers = [6] }
optimizer = { lr = 3e-2 }
[race.with.rws]
strategy = { samples = 4 }
[race.with.vimco]
strategy = { samples = 4 }
[race.with.reinforce]
strategy = { samples = 4 }
"#;

#[test]
fn a_plan_ends_in_a_report_figures_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let budget = either(60_000.0, 200_000.0);
    fs::write(folder.join("plan.toml"), PLAN.replace("60000", &budget.to_string())).unwrap();
    let run = |out: &str| json(&succeed(folder, &["compare", "plan.toml", "--out", out, "--json"]));
    let found = run("first");
    let court = found["court"].as_array().unwrap();
    // Weights, strategies and K, each with both nets and their layers.
    for weights in ["fresh", "half-trained", "trained"] {
        for strategy in ["ws", "rws", "vimco", "nvil"] {
            for k in [2, 4] {
                let of =
                    |row: &&Value| row["weights"] == weights && row["strategy"] == strategy && row["k"] == k;
                let rows: Vec<_> = court.iter().filter(of).collect();
                for block in ["theta", "phi", "generative.0", "prior", "recognition.0"] {
                    let own = rows.iter().find(|row| row["block"] == block && row["reference"] == "own");
                    let own = own.unwrap_or_else(|| panic!("{weights} {strategy} {k} {block}"));
                    let is_seen = own["bias_visible"].as_f64() <= own["reference_norm"].as_f64();
                    let verdict = if is_seen { "right" } else { "not tested" };
                    assert_eq!((own["verdict"].as_str(), own["n"].as_u64()), (Some(verdict), Some(100)));
                    for key in
                        ["bias", "bias_se", "z", "variance", "snr", "cosine", "ess", "seconds_per_estimate"]
                    {
                        assert!(own[key].as_f64().is_some_and(f64::is_finite), "{key} of {own}");
                    }
                    let per_row = if strategy == "ws" { 2 * k + 1 } else { 2 * k };
                    assert_eq!(own["model_evaluations"].as_f64(), Some(2.0 * f64::from(per_row)));
                }
            }
        }
    }
    let race = found["race"].as_array().unwrap();
    assert_eq!(race.len(), 10);
    for row in race {
        assert_eq!(row["budget"]["model_evaluations"], budget);
        let curve = row["curve"].as_array().unwrap();
        assert_eq!(curve.len(), 5, "once before the first step, and four times on the way");
        assert_eq!(curve.last().unwrap()[1], row["nll"]);
        let (begin, end) = (curve[0][1].as_f64().unwrap(), row["nll"].as_f64().unwrap());
        assert!(end < begin - 1.0, "{} learns: {begin} {end}", row["strategy"]);
        let spent = row["model_evaluations"].as_f64().unwrap();
        assert!((budget..1.01 * budget).contains(&spent), "{spent}");
    }
    let begin = |i: usize| race[i]["curve"][0][1].as_f64().unwrap();
    assert_eq!((begin(0), begin(1)), (begin(2), begin(3)), "both begin with the same weights");

    let page = fs::read_to_string(folder.join("first/report.html")).unwrap();
    for word in ["half-trained", "vimco", "The race", "<svg", "data:image/png;base64,", "schema = 1"] {
        assert!(page.contains(word), "{word}");
    }
    for word in ["http-equiv", "<script", "src=\"http", "href=\"http"] {
        assert!(!page.contains(word), "{word}: the page must need nothing from elsewhere");
    }
    assert!(fs::read_dir(folder.join("first/figures")).unwrap().count() >= 13);

    // Everything but the clock comes out the same.
    let again = run("again");
    let without_clock = |found: &Value| {
        let mut found = found.clone();
        for row in found["court"].as_array_mut().unwrap() {
            for key in ["seconds_per_estimate", "bookkeeping_seconds"] {
                row[key].take();
            }
        }
        found["race"].as_array_mut().unwrap().iter_mut().for_each(|row| drop(row["seconds"].take()));
        found
    };
    assert_eq!(without_clock(&found), without_clock(&again));
}

#[test]
fn a_precision_plans_estimates_up_to_a_limit_and_the_sentence_counts_what_was_tested() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let court =
        PLAN.split("[[race]]").next().unwrap().replace("\"ws\", \"rws\", \"vimco\", \"nvil\"", "\"rws\"");
    fs::write(folder.join("plan.toml"), court.replace("\"half-trained\", ", "")).unwrap();
    let said = succeed(folder, &["compare", "plan.toml"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in
        ["1 of 4 estimators agree", "0 of them tested to 10 %", "Not tested", "trained weights, K = 2, 4."]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let args = ["compare", "plan.toml", "--precision", "0.4", "--max-estimates", "1500", "--json"];
    let found = json(&succeed(folder, &args));
    let (mut reached, mut capped) = (0, 0);
    for row in found["court"].as_array().unwrap() {
        let (n, resolution) = (row["n"].as_u64().unwrap(), row["resolution"].as_f64().unwrap());
        // A first trial of a hundred knows the spread to about ten per cent.
        if n < 1500 {
            assert!(resolution < 0.48, "{row}");
            reached += 1;
        } else {
            assert_eq!(n, 1500);
            capped += 1;
        }
    }
    assert!(reached > 0 && capped > 0, "{reached} {capped}");
    for (precision, words) in [("0", "above 0"), ("1.5", "at most 1"), ("nan", "above 0")] {
        fail(folder, &["compare", "plan.toml", "--precision", precision], 2, &["--precision", words]);
    }
}

#[test]
fn what_makes_no_comparison_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refuse = |plan: &str, words: &[&str]| {
        fs::write(folder.join("plan.toml"), plan).unwrap();
        fail(folder, &["compare", "plan.toml"], 2, words);
    };
    fail(folder, &["compare", "nowhere.toml"], 2, &["nowhere.toml", "the path of a plan"]);
    fail(folder, &["compare", "--seeds", "0"], 2, &["--seeds 0"]);
    refuse("schema = 1", &["plan.toml", "[[court]]", "[[race]]"]);
    refuse(&PLAN.replacen("\"vimco\"", "\"vinco\"", 1), &["vinco", "did you mean `vimco`?"]);
    refuse(&PLAN.replace("estimates = 100", "estimates = 2"), &["estimates = 2", "100"]);
    refuse(&PLAN.replacen("\"vimco\"", "\"iwae\"", 1), &["iwae", "bits"]);
    refuse(&PLAN.replace("samples = [2, 4]", "samples = []"), &["samples = []"]);
    refuse(&PLAN.replace("layers = [3]", "layers = [30]"), &["30 latent bits", "smaller model"]);
    refuse(&PLAN.replace("lines/3x3", "lines/9x9"), &["lines/9x9"]);
    refuse(&PLAN.replace("model_evaluations = 60000", "steps = 3"), &["steps"]);
    refuse(&PLAN.replace("samples = [2, 4]", "samples = [2, 2]"), &["2 is listed twice"]);
    refuse(&PLAN.replace("strategy = { samples = 4 }", "model = { layers = [5] }"), &["[model] of rws"]);
    refuse(&PLAN.replace("train = { epochs = 2 }", "train = { init_from = \"a\" }"), &["train.init_from"]);
    // Errors in a race are reported before the court starts.
    refuse(&PLAN.replace("bars/4x4", "bars/9x9"), &["bars/9x9"]);
    fail(folder, &["compare", "--seeds", "18446744073709551615"], 2, &["--seeds", "1000"]);
    fail(folder, &["compare", "--seed", "18446744073709551615"], 2, &["--seed", "2^63"]);
    assert!(!folder.join("runs").exists(), "nothing is written");
}

/// A race that takes a second.
const RACE: &str = r#"
schema = 1
[[race]]
strategies = ["ws", "rws"]
seeds = 2
budget = { model_evaluations = 20000 }
judged = 2
[race.config]
data = { id = "lines/3x3" }
model = { layers = [3] }
optimizer = { lr = 3e-2 }
[race.with.rws]
strategy = { samples = 4 }
"#;

#[test]
fn an_interrupted_comparison_goes_on_and_no_comparison_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("race.toml"), RACE).unwrap();
    let results = || {
        let mut found = json(&fs::read_to_string(folder.join("out/compare.json")).unwrap());
        found["race"].as_array_mut().unwrap().iter_mut().for_each(|row| drop(row["seconds"].take()));
        found
    };
    succeed(folder, &["compare", "race.toml", "--out", "out"]);
    let whole = results();
    fail(folder, &["compare", "race.toml", "--out", "out"], 2, &["out: holds a comparison", "--resume"]);
    assert_eq!(results(), whole);
    // As after an interruption in the last seed but one, whose file was cut short.
    fs::remove_file(folder.join("out/compare.json")).unwrap();
    fs::remove_file(folder.join("out/seeds/race-1-rws-1.json")).unwrap();
    fs::write(folder.join("out/seeds/race-1-rws-0.json"), "{\"key\":\"").unwrap();
    let resume = ["compare", "race.toml", "--out", "out", "--resume"];
    let kept = |args: &[&str]| {
        let output = run(folder, args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).matches("kept from before").count()
    };
    assert_eq!(kept(&resume), 2);
    assert_eq!(results(), whole);
    assert_eq!(kept(&resume), 4);
    // Seeds of another plan are not these.
    fs::write(folder.join("race.toml"), RACE.replace("3e-2", "2e-2")).unwrap();
    assert_eq!(kept(&resume), 0);
    assert_ne!(results(), whole);
    fail(folder, &["compare", "race.toml", "--out", "nowhere", "--resume"], 2, &["nowhere"]);
    for _ in 0..2 {
        succeed(folder, &["compare", "race.toml"]);
    }
    assert!(
        folder.join("runs/compare/report.html").exists()
            && folder.join("runs/compare-2/report.html").exists()
    );
}

#[test]
fn the_terminal_shows_chart_table_and_findings_in_80_columns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = RACE.replace("seeds = 2", "seeds = 3").replace("20000", "200000");
    let court = PLAN.split("[[race]]").next().unwrap();
    fs::write(folder.join("plan.toml"), format!("{court}{}", plan.replace("schema = 1", ""))).unwrap();
    let said = succeed(folder, &["compare", "plan.toml"]);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in
        ["The race: ", "o ws", "x rws", "minus the first", "of 24 estimators agree", "next: helmholtz train"]
    {
        assert!(words.contains(word), "{word}: {said}");
    }
    // The first table comes before the court, and the sentence on the difference claims an interval.
    assert!(said.find("The race").unwrap() < said.find("The court").unwrap());
    assert!(words.contains("paired over 3 seeds") || words.contains("Not told apart"), "{said}");
    for line in said.lines().filter(|line| !line.contains("report.html") && !line.starts_with("next:")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// Sizes of such a model have no flags, so no command is proposed that would train another one, or none.
#[test]
fn the_command_that_is_proposed_has_layers_only_where_the_model_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = |model: &str, strategy: &str| {
        format!(
            "schema = 1\n[[race]]\nstrategies = [\"{strategy}\"]\nseeds = 1\nbudget = {{ model_evaluations = 2000 }}\n\
             judged = 2\n[race.config]\ndata = {{ id = \"lines/3x3\" }}\nmodel = {{ {model} }}\n"
        )
    };
    for (model, strategy, proposed) in
        [("layers = [3]", "ws", "--layers 3"), ("kind = \"rbm\", hidden = 3", "cd", "")]
    {
        fs::write(folder.join("race.toml"), plan(model, strategy)).unwrap();
        let said = succeed(folder, &["compare", "race.toml", "--out", strategy]);
        let lines: String = said.lines().filter(|line| line.contains("helmholtz train")).collect();
        assert_eq!(lines.contains("--layers"), !proposed.is_empty(), "{said}");
        assert!(lines.contains(proposed), "{said}");
    }
}
