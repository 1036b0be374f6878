//! Models that are given by an energy: likelihoods from both sides, chains that survive a kill, and what is refused.

use std::fs;

use serde_json::Value;

use crate::common::{fail, succeed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The arguments that train a machine of six hidden units into a folder.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = ["train", "--model", "rbm", "--dataset", "bas/3x3", "--quiet", "--out", out, "--lr", "1e-2"];
    [&own[..], &["--set", "model.hidden=6"], more].concat()
}

#[test]
fn the_likelihood_is_exact_annealed_or_bounded_from_the_other_side() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = json(&succeed(folder, &train("run", &["--steps", "1500", "--json"])));
    let of = |more: &[&str]| json(&succeed(folder, &[&["evaluate", "run", "--json"], more].concat()));
    let number = |found: &Value, key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    let exact = of(&[]);
    assert_eq!((exact["method"].as_str(), number(&exact, "log_z_se")), (Some("exact"), 0.0));
    // It has learnt something: independent pixels have an NLL of 9 ln 2 = 6.24, and no model is below the entropy.
    let nll = number(&exact, "nll");
    assert!((2.599..5.0).contains(&nll), "{nll}");
    // The test split is the distribution itself.
    assert!((number(&exact, "cross_entropy") - nll).abs() < 1e-4, "{exact}");
    assert!((trained["test"]["nll"].as_f64().unwrap() - nll).abs() < 1e-9);
    assert!((number(&trained, "log_z") - number(&exact, "log_z")).abs() < 1e-9);
    let annealed = of(&["--method", "ais", "--temperatures", "500"]);
    let (off, se) = (number(&annealed, "log_z") - number(&exact, "log_z"), number(&annealed, "log_z_se"));
    assert!(se > 0.0 && off.abs() < 5.0 * se, "{off} ± {se}");
    assert_eq!((annealed["base"].as_str(), annealed["temperatures"].as_u64()), (Some("data"), Some(500)));
    assert_eq!((annealed["k"].as_u64(), annealed["exact_nll"].is_null()), (Some(100), true));
    let both = of(&["--method", "raise", "--temperatures", "200", "--chains", "20"]);
    assert!((number(&both, "nll_raise") - nll).abs() < 0.2, "{both}");
    assert!((number(&both, "nll_raise") - number(&both, "nll") - number(&both, "nll_apart")).abs() < 1e-9);
    let text = succeed(folder, &["evaluate", "run", "--method", "raise", "--temperatures", "50"]);
    for words in ["log Z", "annealed     100 chains over 50", "reversed", "apart"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    for command in ["sample", "encode", "reconstruct"] {
        succeed(folder, &[command, "run"]);
    }
    let strip = ["inpaint", "run", "--n", "4", "--sweeps", "10", "--out"];
    let inpainted = |name: &str, more: &[&str]| -> Vec<u8> {
        succeed(folder, &[&strip[..], &[name], more].concat());
        fs::read(folder.join(name)).unwrap()
    };
    assert_eq!(inpainted("a.png", &[]), inpainted("b.png", &[]));
    assert_ne!(inpainted("a.png", &[]), inpainted("c.png", &["--bits"]));
    let npy = |name: &str, more: &[&str]| -> Vec<u8> {
        succeed(folder, &[&["sample", "run", "--n", "5", "--out", name], more].concat());
        fs::read(folder.join(name)).unwrap()
    };
    let chains = npy("a.npy", &["--sweeps", "20"]);
    assert_eq!(chains, npy("b.npy", &["--sweeps", "20", "--sampler", "gibbs"]));
    assert_ne!(chains, npy("c.npy", &["--sweeps", "21"]));
    assert_ne!(chains, npy("d.npy", &["--sweeps", "20", "--mean"]));
    let tempered = ["--sweeps", "20", "--sampler", "tempering"];
    let tempered = |name: &str, more: &[&str]| npy(name, &[&tempered[..], more].concat());
    let chains = tempered("e.npy", &[]);
    assert_eq!(chains, tempered("f.npy", &["--temperatures", "10"]));
    assert_ne!(chains, tempered("g.npy", &["--temperatures", "9"]));
}

#[test]
fn an_error_of_log_z_plans_temperatures_and_chains_and_says_where_it_was_missed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A high learning rate makes a machine whose weights spread over few temperatures.
    let more = ["--strategy", "ml", "--lr", "5e-2", "--steps", "1000", "--set", "model.hidden=9"];
    let own = ["train", "--model", "rbm", "--dataset", "bas/3x3", "--quiet", "--out", "run"];
    succeed(folder, &[&own[..], &more].concat());
    let exact = json(&succeed(folder, &["evaluate", "run", "--json"]));
    let own =
        ["evaluate", "run", "--method", "ais", "--limit", "10", "--chains", "20", "--temperatures", "5"];
    let planned = |more: &[&'static str]| [&own[..], &["--json", "--error"], more].concat();
    let found = json(&succeed(folder, &planned(&["0.02"])));
    let number = |found: &Value, key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
    let se = number(&found, "log_z_se");
    assert!(se > 0.0 && se <= 0.02 && number(&found, "bias_mc").abs() <= 0.02, "{found}");
    // Four standard errors: a false alarm below 1e-4, and the draws are fixed.
    assert!((number(&found, "log_z") - number(&exact, "log_z")).abs() < 4.0 * se, "{found} for {exact}");
    let rounds = found["rounds"].as_array().unwrap();
    let of = |round: &Value| ["chains", "temperatures"].map(|key| round[key].as_u64().unwrap());
    assert_eq!(of(&rounds[0]), [20, 5]);
    let last = of(rounds.last().unwrap());
    assert_eq!(last, of(&found));
    assert!(last[0] > 20 && last[1] > 5 && found["k"].as_u64() == Some(last[0]), "{found}");
    // The plan in numbers gives the estimate again, up to the rounding of products of other shapes.
    let [chains, temperatures] = last.map(|n| n.to_string());
    let numbers = ["--chains", &chains, "--temperatures", &temperatures, "--limit", "10", "--json"];
    let again = json(&succeed(folder, &[&["evaluate", "run", "--method", "ais"], &numbers[..]].concat()));
    for key in ["log_z", "log_z_se", "nll"] {
        assert!((number(&again, key) - number(&found, key)).abs() < 1e-9, "{key}: {again} for {found}");
    }
    assert!(again.get("rounds").is_none());
    // With raise, rows are annealed back over the temperatures that were planned.
    let raise =
        ["evaluate", "run", "--method", "raise", "--limit", "5", "--temperatures", "5", "--error", "0.05"];
    let both = json(&succeed(folder, &[&raise[..], &["--json"]].concat()));
    assert!(number(&both, "log_z_se") <= 0.05 && both["nll_raise_k"] == 10, "{both}");
    let text = succeed(folder, &[&own[..], &["--error", "0.02"]].concat());
    for words in
        [&format!("annealed     {chains} chains over {temperatures}"), "before that  20 chains over 5"]
    {
        assert!(text.contains(words), "{words} in {text}");
    }
    // Limits that are too low end the work with a warning.
    let short = planned(&["0.001", "--max-chains", "30", "--max-temperatures", "10"]);
    let output = crate::common::run(folder, &short);
    let (found, warned) =
        (json(&String::from_utf8_lossy(&output.stdout)), String::from_utf8_lossy(&output.stderr));
    assert_eq!(of(&found), [30, 10]);
    assert!(warned.contains("--error 0.001: not reached with 30 chains over 10 temperatures"), "{warned}");
    // Where log Z is a sum, nothing is planned.
    let summed = json(&succeed(folder, &["evaluate", "run", "--error", "0.02", "--json"]));
    assert_eq!((summed["method"].as_str(), number(&summed, "log_z_se")), (Some("exact"), 0.0));
}

#[test]
fn chains_report_how_fast_they_mix() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &train("run", &["--steps", "64"]));
    let sample = |more: &[&str]| json(&succeed(folder, &[&["sample", "run", "--json"], more].concat()));
    // After 64 updates the units of a machine are nearly independent: a few sweeps are a sample, and most swaps are
    // accepted.
    let single = sample(&["--n", "20"]);
    let (tau, se) = (single["tau"].as_f64().unwrap(), single["tau_se"].as_f64().unwrap());
    assert!((0.8..4.0).contains(&tau) && se < 0.1 * tau, "{single}");
    assert_eq!((single["sweeps"].as_u64(), single["recorded_sweeps"].as_u64()), (Some(1000), Some(500)));
    assert_eq!((single["sampler"].as_str(), single["swap_acceptance"].is_null()), (Some("gibbs"), true));
    let tempered = sample(&["--n", "20", "--sampler", "tempering", "--temperatures", "4", "--sweeps", "200"]);
    assert_eq!((tempered["temperatures"].as_u64(), tempered["n"].as_u64()), (Some(4), Some(20)));
    let pairs = tempered["swap_acceptances"].as_array().unwrap();
    assert!(pairs.len() == 3 && pairs.iter().all(|share| share.as_f64().unwrap() > 0.5), "{tempered}");
    // Chains that are too short for their time, here of no sweep at all, have none.
    assert!(sample(&["--sweeps", "0"])["tau"].is_null());
}

#[test]
fn beyond_enumeration_validation_is_annealed_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Thirty columns: more than are enumerated, and few enough for thousands of temperatures in a moment.
    let bit = |row: u32, column: u32| u32::from((row * 7 + column * column).is_multiple_of(3)).to_string();
    let row = |row| (0..30).map(|column| bit(row, column)).collect::<Vec<_>>().join(",") + "\n";
    fs::write(folder.join("wide.csv"), (0..40).map(row).collect::<String>()).unwrap();
    let wide = ["--dataset", "file:wide.csv", "--set", "model.hidden=30", "--steps", "8", "--out", "big"];
    succeed(folder, &[&["train", "--model", "rbm", "--quiet"], &wide[..]].concat());
    let metrics = fs::read_to_string(folder.join("big/metrics.jsonl")).unwrap();
    let last = json(metrics.lines().last().unwrap());
    assert!(last["nll_ais"].as_f64().is_some_and(f64::is_finite) && last.get("nll").is_none(), "{last}");
    fail(folder, &["evaluate", "big", "--method", "exact"], 2, &["2^30 states", "at most 2^25", "annealing"]);
}

#[test]
fn the_court_finds_every_strategy_to_estimate_what_it_claims() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let court = |strategies: &str, strategy: &str, epochs: usize| {
        format!(
            "[[court]]\nstrategies = {strategies}\nsamples = [1]\nweights = [\"fresh\", \"trained\"]\nrows = 4\n\
             estimates = 200\n[court.config]\ndata = {{ id = \"bas/3x3\" }}\nmodel = {{ kind = \"rbm\", hidden = 4 }}\n\
             strategy = {{ {strategy} }}\noptimizer = {{ lr = 1e-2 }}\ntrain = {{ epochs = {epochs} }}\n"
        )
    };
    let plan = [
        court("[\"cd\", \"rdm\", \"ml\"]", "kind = \"cd\", centring = \"none\"", 60),
        court("[\"pcd\"]", "kind = \"pcd\", chains = 10", 2),
        court("[\"tempering\"]", "kind = \"tempering\", chains = 3, temperatures = 3", 2),
    ];
    fs::write(folder.join("plan.toml"), "schema = 1\n".to_owned() + &plan.concat()).unwrap();
    let found = json(&succeed(folder, &["compare", "plan.toml", "--json"]));
    let rows = found["court"].as_array().unwrap();
    let of = |strategy: &str, reference: &str| {
        let of = |row: &&Value| row["strategy"] == strategy && row["reference"] == reference;
        rows.iter().filter(of).map(|row| row["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for strategy in ["cd", "rdm", "ml", "pcd", "tempering"] {
        let verdicts = of(strategy, "own");
        assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict == "right"), "{verdicts:?}");
    }
    // One sweep from the data is far from the law of the machine, and a replica's hundred are not.
    assert!(of("cd", "limit").contains(&"biased".to_owned()));
    assert!(of("pcd", "limit").iter().all(|verdict| verdict == "unbiased"));
}

#[test]
fn what_an_energy_cannot_do_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (setting, words) in [
        ("model.hidden=0", "hidden = 0"),
        ("model.spread=-1", "spread = -1"),
        ("strategy.chains=0", "strategy.chains = 0: must be from 1"),
        ("strategy.sweeps=0", "strategy.sweeps = 0: must be from 1"),
        ("strategy.centring=\"both\"", "strategy.centring"),
        ("strategy.centring_rate=0.0", "strategy.centring_rate = 0.0: must be above 0"),
        ("strategy.samples=3", "strategy.samples belongs to"),
    ] {
        fail(folder, &train("no", &["--set", setting]), 2, &[words]);
    }
    let one = ["--strategy", "tempering", "--set", "strategy.temperatures=1"];
    fail(folder, &train("no", &one), 2, &["strategy.temperatures = 1", "use pcd"]);
    let large = ["--strategy", "ml", "--set", "model.hidden=40", "--dataset", "bars/5x5"];
    let large = ["train", "--model", "rbm", "--quiet", "--out", "no"].iter().chain(&large).copied();
    fail(folder, &large.collect::<Vec<_>>(), 2, &["2^25 states", "2^16", "another strategy"]);
    fs::write(folder.join("grey.csv"), "a,b\n0.5,1\n0,1\n").unwrap();
    let grey = ["train", "--model", "rbm", "--dataset", "file:grey.csv", "--quiet", "--out", "no"];
    fail(folder, &grey, 2, &["grey.csv"]);
    assert!(!folder.join("no").exists(), "nothing is left behind");

    succeed(folder, &train("run", &["--steps", "32"]));
    for (more, words) in [
        (
            &["--method", "ais", "--samples", "10"][..],
            "--samples: the samples of --method ais are its chains",
        ),
        (&["--method", "exact", "--error", "0.1"], "--error: enumeration has no error from chains"),
        (&["--method", "ais", "--error", "0"], "--error 0: must be finite and above 0"),
        (
            &["--method", "ais", "--error", "0.1", "--max-chains", "9"],
            "--max-chains 9: must be at least the 100",
        ),
        (
            &["--method", "ais", "--error", "0.1", "--max-temperatures", "999"],
            "--max-temperatures 999: must be at least the 1000",
        ),
        (&["--method", "ais", "--error", "0.1", "--max-samples", "9"], "use --max-chains"),
        (&["--method", "ais", "--max-chains", "9"], "--error"),
        (&["--method", "ais", "--chains", "1"], "--chains 1: one chain has no error"),
        (&["--method", "ais", "--leapfrog", "3"], "--leapfrog does not apply"),
        (&["--method", "exact", "--base", "data"], "--base applies to --method ais"),
        (&["--base", "zero"], "expected data or uniform"),
        (&["--shard", "1/2", "--out", "a.safetensors"], "without chains to split"),
        (
            &["--method", "ais", "--shard", "1/2", "--out", "a.safetensors", "--error", "0.1"],
            "cannot be used with",
        ),
        (&["--method", "ais", "--shard", "1/101", "--out", "a.safetensors"], "only 100 chains to split"),
        (
            &["--method", "ais", "--shard", "1/9", "--out", "a.safetensors", "--limit", "8"],
            "only 8 rows to split",
        ),
    ] {
        fail(folder, &[&["evaluate", "run"], more].concat(), 2, &[words]);
    }
    fail(
        folder,
        &["sample", "run", "--sampler", "ancestral"],
        2,
        &["is sampled by chains", "use gibbs or tempering"],
    );
    for (more, words) in [
        (&["--temperatures", "5"][..], "--temperatures does not apply to gibbs samples"),
        (&["--sampler", "tempering", "--temperatures", "1"], "--temperatures 1: must be from 2 to 1000"),
        (&["--sampler", "tempering", "--temperatures", "-3"], "--temperatures"),
        (&["--sampler", "tempering", "--temperatures", "1001"], "must be from 2 to 1000"),
        (
            &["--sampler", "tempering", "--keep-chains", "c"],
            "--keep-chains does not apply to tempering samples",
        ),
        (&["--sampler", "temperign"], "did you mean `tempering`?"),
        (
            &["--sampler", "tempering", "--n", "10000000", "--temperatures", "1000", "--out", "a.npy"],
            "--temperatures 1000 with --n 10000000",
        ),
    ] {
        fail(folder, &[&["sample", "run"], more].concat(), 2, &[words]);
    }
    fail(folder, &["sample", "run", "--keep-chains", "c"], 2, &["--keep-chains is for chains of"]);
    fail(folder, &["inpaint", "run", "--inner", "3"], 2, &["--proposals, --inner: they are for chains"]);
    fail(folder, &["classify", "run"], 2, &["classes"]);
    succeed(
        folder,
        &["train", "--dataset", "bas/3x3", "--layers", "3", "--steps", "32", "--quiet", "--out", "sbn"],
    );
    fail(folder, &["evaluate", "sbn", "--method", "raise"], 2, &["given by an energy", "use --method is"]);
    fail(folder, &["evaluate", "sbn", "--base", "data"], 2, &["given by an energy"]);
    let limit = ["evaluate", "sbn", "--error", "0.1", "--max-chains", "200"];
    fail(folder, &limit, 2, &["--max-chains is for models that are given by an energy"]);
    fail(
        folder,
        &["sample", "sbn", "--sampler", "tempering"],
        2,
        &["is for a model that is given by an energy"],
    );
    fail(
        folder,
        &["sample", "sbn", "--temperatures", "3"],
        2,
        &["--temperatures does not apply to ancestral"],
    );
}

#[test]
fn a_pixel_that_never_changes_is_learnt_without_a_number_that_is_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // The first column is always off and the last always on.
    let rows: String = (0..64u32).map(|i| format!("0,{},{},1\n", i % 2, i / 2 % 2)).collect();
    fs::write(folder.join("rows.csv"), "a,b,c,d\n".to_owned() + &rows).unwrap();
    for strategy in ["cd", "pcd", "rdm", "tempering"] {
        let more = ["--strategy", strategy, "--epochs", "20"];
        let run =
            ["train", "--model", "rbm", "--dataset", "file:rows.csv", "--quiet", "--json", "--out", strategy];
        let found = json(&succeed(folder, &[&run[..], &more].concat()));
        let nll = found["test"]["nll"].as_f64().unwrap();
        assert!((1.3..2.0).contains(&nll), "{strategy}: {nll}, where fair coins in the middle give 2 ln 2");
    }
}

/// Rows of two sites with three categories each, and rows of numbers in [0, 1] whose last one never changes.
fn other_rows(folder: &std::path::Path) {
    let one = |k: usize| (0..3).map(|i| if i == k % 3 { "1" } else { "0" }).collect::<Vec<_>>().join(",");
    let categories: String =
        (0..120).map(|i| format!("{},{}\n", one(i), one(i + usize::from(i % 4 == 0)))).collect();
    let numbers: String = (0..120)
        .map(|i| f64::from(i * 37 % 120) / 120.0)
        .map(|u| format!("{u:.4},{:.4},0.5\n", u * u))
        .collect();
    fs::write(folder.join("bad.csv"), format!("{categories}1,1,0,0,0,1\n")).unwrap();
    fs::write(folder.join("categories.csv"), categories).unwrap();
    fs::write(folder.join("numbers.csv"), numbers).unwrap();
}

#[test]
fn other_visible_units_are_trained_scored_from_both_sides_drawn_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    other_rows(folder);
    let softmax = ["--set", "model.visible=softmax", "--set", "model.categories=3"];
    let cases: [(&str, &str, &[&str], &str); 4] = [
        ("softmax", "file:categories.csv", &softmax, "pcd"),
        ("gaussian", "file:numbers.csv", &["--set", "model.visible=gaussian"], "tempering"),
        ("relu", "file:numbers.csv", &["--set", "model.visible=relu"], "rdm"),
        (
            "mixture",
            "file:numbers.csv",
            &["--set", "model.visible=gaussian", "--set", "model.odds=0.1"],
            "cd",
        ),
    ];
    for (name, data, units, strategy) in cases {
        let own = ["train", "--model", "rbm", "--set", "model.hidden=4", "--dataset", data, "--quiet"];
        let own = [&own[..], units, &["--strategy", strategy, "--batch", "50"]].concat();
        succeed(folder, &[&own[..], &["--steps", "42", "--out", name]].concat());
        let of = |more: &[&str]| json(&succeed(folder, &[&["evaluate", name, "--json"], more].concat()));
        let exact = of(&[]);
        assert_eq!(exact["method"], "exact", "{name}");
        let both = of(&["--method", "raise", "--temperatures", "200", "--limit", "10"]);
        let number =
            |found: &Value, key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {found}"));
        let off = number(&both, "log_z") - number(&exact, "log_z");
        assert!(off.abs() < 5.0 * number(&both, "log_z_se") + 1e-4, "{name}: {off}, {both}");
        assert!(number(&both, "nll_apart").abs() < 0.3, "{name}: {both}");
        for command in ["sample", "encode", "reconstruct"] {
            succeed(folder, &[command, name]);
        }
        let figure = ["--sweeps", "5", "--chains", "20", "--out", "figure.svg"];
        succeed(folder, &[&["regimes", "equilibrium", name], &figure[..]].concat());
        let learnt = [&["regimes", "connectivity", "--dataset", data], units, &["--epochs", "1"]].concat();
        succeed(folder, &[&learnt[..], &["--hidden", "4", "--batch", "50", "--out", "edges.svg"]].concat());
        // Half of the epochs and then the rest make the weights that all of them make, to the bit.
        succeed(folder, &[&own[..], &["--steps", "21", "--out", "halves"]].concat());
        succeed(folder, &["train", "--resume", "--out", "halves", "--steps", "42", "--quiet"]);
        let metrics = fs::read_to_string(folder.join(name).join("metrics.jsonl")).unwrap();
        let last = json(metrics.lines().last().unwrap())["epoch"].to_string();
        let scored = |run: &str| {
            let found = json(&succeed(folder, &["evaluate", run, "--epoch", &last, "--json"]));
            [number(&found, "nll"), number(&found, "log_z")]
        };
        assert_eq!(scored("halves"), scored(name), "{name}");
        fs::remove_dir_all(folder.join("halves")).unwrap();
    }
}

#[test]
fn values_that_visible_units_cannot_take_are_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    other_rows(folder);
    let softmax = "model.visible=softmax";
    for (data, keys, words) in [
        (
            "file:bad.csv",
            &[softmax, "model.categories=3"][..],
            "has 1 in column 1, where one unit of rbm begins",
        ),
        ("file:categories.csv", &[softmax], "model.categories: softmax units need the number"),
        (
            "file:categories.csv",
            &[softmax, "model.categories=4"],
            "its 6 columns are not a whole number of units",
        ),
        ("file:categories.csv", &[softmax, "model.categories=1"], "model.categories = 1: must be at least 2"),
        ("file:categories.csv", &["model.categories=3"], "only softmax units have categories"),
        ("laplace/2d", &["model.visible=relu"], "in column 1, but rbm models numbers that are not negative"),
        ("laplace/2d", &[], "or set model.visible to the type of its values"),
        (
            "laplace/2d",
            &["model.visible=gaussian", "strategy.kind=independent"],
            "visible units that are bits",
        ),
        ("laplace/2d", &["model.visible=gaussian", "model.odds=0"], "model.odds = 0.0: the odds"),
        (
            "bas/3x3",
            &["strategy.kind=energy-discrepancy", "strategy.flip=0.7"],
            "strategy.flip = 0.7: must be",
        ),
        ("bas/3x3", &["model.visible=spins"], "spins"),
    ] {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
        let args = [&["train", "--model", "rbm", "--dataset", data, "--out", "no"], &keys[..]].concat();
        fail(folder, &args, 2, &[words]);
        assert!(!folder.join("no").exists());
    }
}
