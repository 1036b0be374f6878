//! What an evaluation reports if importance sampling cannot be trusted, or if there is only one row.

use std::fs;
use std::path::Path;

use crate::common::{fail, succeed, trained};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

fn evaluated(folder: &Path, more: &[&str]) -> Value {
    json(&succeed(folder, &[&["evaluate", "run", "--json"], more].concat()))
}

fn nll(found: &Value) -> f64 {
    found["nll"].as_f64().unwrap()
}

/// A run whose recognition net is saturated because the learning rate was huge.
fn saturated(folder: &Path) {
    let train = ["train", "--layers", "8", "--dataset", "bars/4x4", "--epochs", "4", "--lr", "3"];
    let rest = ["--set", "train.final_samples=5", "--quiet", "--out", "run"];
    succeed(folder, &[&train[..], &rest[..]].concat());
}

#[test]
fn a_saturated_recognition_net_is_suspect_and_the_suggested_command_shows_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    saturated(folder);
    let some = ["--limit", "300"];
    let plain = evaluated(folder, &[&some[..], &["--check", "off"]].concat());
    let exact = evaluated(folder, &[&some[..], &["--exact"]].concat());
    let off = nll(&plain) - nll(&exact);
    assert!(off > 0.1 && plain["se_mc"].as_f64().unwrap() < 0.03, "{off}: {plain}");
    assert!(plain["suspect"].is_null() && plain["check"].is_null(), "switched off: {plain}");
    assert!(exact["suspect"].is_null() && exact["check"].is_null(), "nothing to check: {exact}");
    for (how, enumerated) in [("auto", true), ("sampling", false)] {
        let found = evaluated(folder, &[&some[..], &["--check", how]].concat());
        for key in ["nll", "se_mc", "bias_mc", "ess", "ci95"] {
            assert_eq!(found[key], plain[key], "{how}: the check changes no {key}");
        }
        let suspect = found["suspect"].as_str().unwrap_or_else(|| panic!("{how}: {found}"));
        assert!(suspect.contains("`helmholtz evaluate run --exact"), "{suspect}");
        assert_eq!(found["check"]["exact"].is_object(), enumerated, "{found}");
        // The check finds the missing amount on some of the rows, to within its error.
        let rows = &found["check"]["rows"];
        let shortfall = rows["shortfall"].as_f64().unwrap();
        assert!((shortfall - off).abs() < 0.1 * off + 0.05, "{shortfall} for {off}");
        assert!(rows["distinct_states"].as_f64().unwrap() < 20.0, "{rows}");
    }
    let text = succeed(folder, &[&["evaluate", "run", "--quiet"], &some[..]].concat());
    assert!(text.contains("  suspect") && text.contains("check it with `helmholtz evaluate run"), "{text}");

    // A defensive mixture finds the weights that are missing.
    let defended = evaluated(folder, &[&some[..], &["--defence", "0.5", "--check", "sampling"]].concat());
    let error = 5.0 * defended["se_mc"].as_f64().unwrap() + 2.0 * defended["bias_mc"].as_f64().unwrap();
    assert!((nll(&defended) - nll(&exact)).abs() < error, "{defended}");
    assert!(defended["suspect"].is_null() && defended["check"]["dreams"].is_null(), "{defended}");

    // The same in parts: the first part has the check.
    let part = |i: &str| {
        let shard = format!("{i}/2");
        let file = format!("{i}.safetensors");
        let evaluate = ["evaluate", "run", "--limit", "300", "--shard", &shard, "--out", &file, "--quiet"];
        succeed(folder, &evaluate);
        file
    };
    let [one, two] = ["1", "2"].map(part);
    let merged = json(&succeed(folder, &["merge", &one, &two, "--json"]));
    assert!(merged["suspect"].as_str().is_some_and(|text| text.contains("--exact")), "{merged}");
    let defended = ["--defence", "0.5", "--shard", "2/2", "--out", "d.safetensors"];
    succeed(folder, &[&["evaluate", "run", "--limit", "300"], &defended[..]].concat());
    fail(folder, &["merge", &one, "d.safetensors"], 2, &["defence"]);
}

#[test]
fn a_sound_net_is_not_suspect_and_its_check_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    trained(folder, "run", 2);
    let found = evaluated(folder, &["--limit", "200"]);
    assert!(found["suspect"].is_null(), "{found}");
    let check = &found["check"];
    assert!(check["rows"]["shortfall"].as_f64().unwrap().abs() < 0.03, "{check}");
    assert!(check["rows"]["explained"].as_f64().unwrap() > 0.2, "{check}");
    let dreams = &check["dreams"];
    assert!(dreams["lower"].as_f64().unwrap() <= dreams["upper"].as_f64().unwrap(), "{check}");
    assert_eq!(check["exact"]["n"], 128, "ten bits make few states: {check}");
    // The rows that are checked do not depend on how many are scored.
    let more = evaluated(folder, &["--limit", "400"]);
    assert_eq!(more["check"]["rows"]["visited_states"], check["rows"]["visited_states"]);
    // p* is not checked.
    assert!(evaluated(folder, &["--limit", "20", "--as", "bihm"])["check"].is_null());
    let refuse = |more: &[&str], words: &[&str]| {
        fail(folder, &[&["evaluate", "run", "--limit", "5"], more].concat(), 2, words);
    };
    refuse(&["--check", "never"], &["sampling"]);
    for share in ["0", "1", "-0.5", "NaN"] {
        refuse(&[&format!("--defence={share}")], &["--defence", "above 0 and below 1"]);
    }
    refuse(&["--defence", "0.1", "--exact"], &["--defence", "importance sampling"]);
    refuse(&["--defence", "0.1", "--as", "bihm"], &["--defence", "bihm"]);
}

#[test]
fn a_vae_is_checked_on_its_dreams() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vae = ["--model", "vae", "--dataset", "bars/4x4", "--layers", "3", "--set", "model.bodies=[[8]]"];
    let few = ["--set", "train.valid_samples=5", "--set", "train.final_samples=5"];
    succeed(folder, &[&["train", "--steps", "300", "--quiet", "--out", "run"], &vae[..], &few].concat());
    let found = evaluated(folder, &["--limit", "30"]);
    let check = &found["check"];
    assert!(found["suspect"].is_null() && check["rows"].is_null() && check["exact"].is_null(), "{found}");
    let [lower, upper] = ["lower", "upper"].map(|key| check["dreams"][key].as_f64().unwrap());
    assert!(lower <= upper + 0.05 && upper - lower < 1.0, "{check}");
    let defended = evaluated(folder, &["--limit", "30", "--defence", "0.2"]);
    assert!((nll(&defended) - nll(&found)).abs() < 0.3, "{defended}");
}

#[test]
fn one_row_has_no_spread() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (file, rows) in [("train", 40), ("valid", 1), ("test", 1)] {
        let text: String = (0..rows).map(|i| format!("{} 1 0 1\n", i % 2)).collect();
        fs::write(folder.join(format!("{file}.amat")), text).unwrap();
    }
    let data = ["--dataset", "file:train.amat,valid.amat,test.amat", "--layers", "3", "--steps", "4"];
    let trained = succeed(folder, &[&["train", "--quiet", "--out", "run"], &data[..]].concat());
    assert_eq!(trained.matches("one row: no spread").count(), 2, "{trained}");
    let again = [&["train", "--quiet", "--json", "--out", "again"], &data[..]].concat();
    let again = json(&succeed(folder, &again));
    assert!(again["test"]["se_rows"].is_null() && again["valid"]["se_rows"].is_null(), "{again}");
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    assert!(page.contains("one row: no spread"));
    let found = evaluated(folder, &["--samples", "10"]);
    assert!(found["se_rows"].is_null() && found["ci95"].is_null(), "{found}");
    assert!(found.as_object().unwrap().contains_key("se_rows"));
    let text = succeed(folder, &["evaluate", "run", "--samples", "10", "--quiet"]);
    assert!(text.contains("nats, one row: no spread"), "{text}");
    let text = succeed(folder, &["evaluate", "run", "--exact", "--quiet"]);
    assert!(text.contains("one row: no spread") && !text.contains("±"), "{text}");
    let shard = ["evaluate", "run", "--samples", "10", "--shard", "1/1", "--out", "p.safetensors"];
    succeed(folder, &shard);
    let merged = json(&succeed(folder, &["merge", "p.safetensors", "--json"]));
    assert!(merged["se_rows"].is_null() && merged["ci95"].is_null(), "{merged}");
}
