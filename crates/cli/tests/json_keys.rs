//! `--json`: every key that is printed is documented, and no key is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::{small_run, succeed};
use serde_json::Value;

/// The keys of an object and of everything in it. The keys of `check` are compared with their own page instead.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(key.clone());
                if key == "check" {
                    check_of_check(value);
                } else {
                    keys(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// Checks that every key of the check of an evaluation is in docs/explanation/check.md, as in `rows.n`.
fn check_of_check(check: &Value) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/explanation/check.md");
    let page = fs::read_to_string(page).unwrap();
    for (group, figures) in check.as_object().into_iter().flatten() {
        for key in figures.as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(page.contains(&format!("`{group}.{key}`")), "check: {group}.{key} is not documented");
        }
    }
}

/// The section of docs/reference/json.md under a heading.
fn section(heading: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/json.md");
    let page = fs::read_to_string(page).unwrap();
    let start = page.find(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    page[start + 3..].split("\n## ").next().unwrap().to_owned()
}

/// Compares the printed keys with the page, and with the keys that other programs rely on.
fn check(heading: &str, output: &str, kept: &str) {
    let mut found = BTreeSet::new();
    keys(&serde_json::from_str(output).unwrap(), &mut found);
    let page = section(heading);
    for key in &found {
        assert!(page.contains(&format!("`{key}`")), "{heading}: {key} is printed and not documented");
    }
    for key in kept.split_whitespace() {
        assert!(found.contains(key), "{heading}: {key} is gone");
    }
}

const SUMMARY: &str = "nll se_rows se_mc bias_mc";
const EVALUATION: &str = "protocol split n k k_max method nll se_rows se_mc bias_mc ci95 ess max_weight exact_nll log_z2 \
                          data_sha256 active_units";

#[test]
fn every_key_is_documented_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let json = |args: &[&str]| succeed(folder, &[args, &["--json"]].concat());
    let train = |out, more: &[&str]| json(&[&small_run(out, &["--epochs", "1"])[..], more].concat());
    let of_train =
        format!("{SUMMARY} run steps epochs best_epoch train_seconds examples_per_second valid test k n");
    check("train", &train("sbn", &[]), &of_train);
    let of_machine = format!("{of_train} log_z2 log_z2_se nll_is_bound");
    check("train", &train("bihm", &["--model", "bihm"]), &of_machine);
    succeed(folder, &small_run("vae", &["--model", "vae", "--layers", "2", "--steps", "2"]));

    let evaluate = |run, more: &[&str]| json(&[&["evaluate", run, "--limit", "5"], more].concat());
    check("evaluate and merge", &evaluate("sbn", &["--samples", "3"]), EVALUATION);
    check(
        "evaluate and merge",
        &evaluate("sbn", &["--exact"]),
        &format!("{EVALUATION} cross_entropy entropy"),
    );
    let of_z = "nll_p ess_p nll_is_bound log_z2_se log_z2_se_formula log_z2_se_batches log_z2_bias log_z2_check log_z2_n";
    check("evaluate and merge", &evaluate("bihm", &["--samples", "3"]), &format!("{EVALUATION} {of_z}"));
    let annealed = evaluate("vae", &["--method", "ais", "--temperatures", "2", "--chains", "2"]);
    check("evaluate and merge", &annealed, &format!("{EVALUATION} temperatures leapfrog acceptance"));
    let part = evaluate("sbn", &["--samples", "3", "--shard", "1/1", "--out", "s.safetensors"]);
    check("evaluate and merge", &part, "shard file n seconds");
    check("evaluate and merge", &json(&["merge", "s.safetensors"]), EVALUATION);

    let of_sample =
        "file sampler n seed sweeps temperatures swap_acceptance swap_acceptances tau tau_se recorded_sweeps";
    check("sample", &json(&["sample", "sbn", "--n", "2"]), of_sample);

    let other = "data, devices and doctor";
    let of_set = "data_dir data id data_sha256 files shape splits state";
    check(
        other,
        &json(&["data", "check", "lines/3x3"]),
        &format!("{of_set} protocol pinned test_rows_in_train"),
    );
    check(other, &json(&["data", "list"]), &format!("{of_set} missing names mirrors licence"));
    let of_model = "latents usual_strategy evaluators commands commands_as_bidirectional court";
    check(
        "models",
        &json(&["models"]),
        &format!("families name models strategies keys help default needs {of_model}"),
    );
    check(other, &json(&["devices"]), "built_with threads devices backend name");

    let energy = ["train", "--model", "rbm", "--set", "model.hidden=3", "--dataset", "lines/3x3", "--quiet"];
    succeed(folder, &[&energy[..], &["--steps", "2", "--out", "rbm"]].concat());
    let planned = evaluate("rbm", &["--method", "raise", "--error", "1", "--chains", "2"]);
    let of_energy =
        "log_z log_z_se chains temperatures base rounds nll_raise nll_raise_se nll_raise_bias nll_raise_k";
    check("evaluate and merge", &planned, &format!("{EVALUATION} {of_energy} nll_apart"));
    check("filters", &json(&["filters", "rbm"]), "file order units unit norm largest");
    let of_figure = "protocol figure seed records best";
    let chains = json(&["regimes", "equilibrium", "rbm", "--sweeps", "3", "--chains", "5"]);
    let distances = "first second aa_truth aa_syn aats free_energy exact kl noise settled data_free_energy";
    check("regimes", &chains, &format!("{of_figure} {distances} split epoch k sweeps chains neighbours"));
    let trained = format!("{of_figure} model strategy steps step");
    let stages = json(&["regimes", "stages", "--steps", "2"]);
    check("regimes", &stages, &format!("{trained} kl tau tau_slowest entropy"));
    let edges = json(&["regimes", "connectivity", "--steps", "2"]);
    check("regimes", &edges, &format!("{trained} split epoch nll log_z_se share floor"));

    let plan = "schema = 1\n[[court]]\nstrategies = [\"ws\"]\nsamples = [2]\nweights = [\"fresh\"]\nrows = 1\n\
                estimates = 200\nconfig = { data = { id = \"lines/3x3\" }, model = { layers = [2] } }\n\
                [[race]]\nstrategies = [\"ws\"]\nseeds = 1\nbudget = { model_evaluations = 1e3 }\n\
                config = { data = { id = \"lines/3x3\" }, model = { layers = [2] } }\n";
    fs::write(folder.join("plan.toml"), plan).unwrap();
    let of_court = "court strategy k weights seed block reference n bias bias_se z variance snr cosine ess verdict \
                    seconds_per_estimate model_evaluations";
    check(
        "compare",
        &json(&["compare", "plan.toml", "--out", "c"]),
        &format!("{of_court} race budget nll se curve"),
    );
}
