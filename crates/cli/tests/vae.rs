//! Variational autoencoders on the command line.

use std::fs;
use std::path::Path;

use crate::common::{fail, succeed};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

/// The arguments of a training run into `out` that is small enough for a test.
fn small_vae<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--model", "vae", "--batch", "50", "--quiet", "--out", out];
    for pair in ["model.bodies=[[16]]", "train.valid_samples=5", "train.final_samples=10"] {
        args.extend(["--set", pair]);
    }
    if !more.contains(&"--dataset") {
        args.extend(["--dataset", "bars/4x4"]);
    }
    if !more.contains(&"--layers") {
        args.extend(["--layers", "4"]);
    }
    args.extend(more);
    args
}

fn test_nll(folder: &Path, args: &[&str]) -> f64 {
    json(&succeed(folder, &[args, &["--json"]].concat()))["test"]["nll"].as_f64().unwrap()
}

#[test]
fn every_strategy_of_a_vae_lowers_the_test_nll() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Nothing is learnt at a rate of zero, so these are the weights that all of them start from.
    let start = test_nll(folder, &small_vae("start", &["--steps", "1", "--lr", "0"]));
    for (i, (strategy, more)) in [
        ("elbo", &[][..]),
        ("elbo", &["--set", "strategy.kl=sampled", "--samples", "3"]),
        ("iwae", &[]),
        ("stl", &[]),
        ("dreg", &[]),
        ("ws", &[]),
        ("rws", &[]),
        ("rws", &["--set", "strategy.phi=both", "--set", "strategy.control_variate=true"]),
        ("coupled", &["--set", "strategy.lag=3"]),
        ("coupled", &["--kernel", "isir", "--set", "strategy.lag=3", "--set", "strategy.cap=50"]),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("{strategy}-{i}");
        let args =
            [&["--steps", "60", "--lr", "0.02", "--optimizer", "rmsprop", "--strategy", strategy], more]
                .concat();
        let trained = test_nll(folder, &small_vae(&out, &args));
        // The start has 9.22. If single latents are not used yet, the NLL falls to about 8.75; if they are, far below.
        // With a wrong update it rises. Both NLLs have the same rows and draws.
        assert!(trained < start - 0.4, "{strategy} {more:?}: from {start} to {trained}");
    }
}

#[test]
fn a_vae_is_evaluated_sampled_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Two layers, and the defaults: the ELBO with one sample.
    let more = ["--layers", "4,2", "--set", "model.bodies=[[16],[]]", "--steps", "150"];
    succeed(folder, &small_vae("run", &more));
    let config = fs::read_to_string(folder.join("run/run.toml")).unwrap();
    for line in ["kind = \"elbo\"", "samples = 1", "kl = \"analytic\"", "activation = \"relu\""] {
        assert!(config.contains(line), "{line} is not in\n{config}");
    }
    assert!(fs::read_to_string(folder.join("run/report.html")).unwrap().contains("vae"));

    // Estimates with few and with many samples agree within their stated errors.
    let evaluate = |more: &[&str]| {
        json(&succeed(folder, &[&["evaluate", "run", "--json", "--limit", "20"], more].concat()))
    };
    let (few, many) = (evaluate(&["--samples", "500"]), evaluate(&["--samples", "20000"]));
    let number = |json: &Value, key: &str| json[key].as_f64().unwrap();
    let difference = number(&few, "nll") - number(&many, "nll") - number(&few, "bias_mc");
    let se = number(&few, "se_mc").hypot(number(&many, "se_mc"));
    // Five standard errors: one in two million.
    assert!(difference.abs() < 5.0 * se, "{few} {many}");
    // Chunks bound the memory and change nothing but rounding.
    let chunked = evaluate(&["--samples", "500", "--batch-rows", "70"]);
    assert!((number(&chunked, "nll") - number(&few, "nll")).abs() < 1e-4, "{chunked} {few}");

    succeed(folder, &["export", "run", "w.safetensors"]);
    let by_weights = ["evaluate", "--weights", "w.safetensors", "--config", "run/run.toml"];
    let more = ["--json", "--limit", "20", "--samples", "500"];
    let from_file = json(&succeed(folder, &[&by_weights[..], &more].concat()));
    assert_eq!(from_file["nll"], few["nll"]);

    let values = |more: &[&str]| {
        succeed(folder, &[&["sample", "run", "--n", "30", "--out", "s.npy"], more].concat());
        let bytes = fs::read(folder.join("s.npy")).unwrap();
        let numbers = bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        numbers.collect::<Vec<f32>>()
    };
    let (bits, means) = (values(&[]), values(&["--mean"]));
    assert_eq!((bits.len(), means.len()), (30 * 16, 30 * 16));
    assert!(bits.iter().all(|bit| [0.0, 1.0].contains(bit)));
    assert!(means.iter().all(|mean| (0.0..=1.0).contains(mean)) && means.iter().any(|m| m.fract() != 0.0));
    succeed(folder, &["sample", "run"]);

    // Encode and decode: a row of six means for each test row, and a strip of two rows of pictures.
    succeed(folder, &["encode", "run", "--out", "means.npy"]);
    let bytes = fs::read(folder.join("means.npy")).unwrap();
    assert_eq!(bytes.len(), 128 + 5000 * 6 * 4);
    let means: Vec<f32> =
        bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let spread = |j: usize| {
        let column = means.iter().skip(j).step_by(6);
        column.clone().fold(f32::MIN, |a, &b| a.max(b)) - column.fold(f32::MAX, |a, &b| a.min(b))
    };
    assert!((0..6).all(|j| spread(j).is_finite()) && (0..4).any(|j| spread(j) > 0.1), "codes differ");
    succeed(folder, &["reconstruct", "run", "--n", "5"]);
    assert!(folder.join("run/samples/reconstruct.png").is_file());
    fail(folder, &["encode", "run", "--out", "means.txt"], 2, &["means.txt", ".npy"]);

    // What only a stack of bits can do is refused.
    let refuse = |args: &[&str], words: &[&str]| fail(folder, args, 2, words);
    refuse(&["evaluate", "run", "--exact"], &["real numbers", "--method is"]);
    refuse(&["evaluate", "run", "--as", "bihm"], &["--as bihm", "vae"]);
    refuse(&["sample", "run", "--sampler", "gibbs"], &["--sampler gibbs", "vae", "ancestral"]);
    refuse(&["inpaint", "run"], &["real numbers", "--model bihm"]);
}

#[test]
fn strategies_and_keys_that_do_not_fit_the_model_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refuse = |args: &[&str], words: &[&str]| fail(folder, &[&["train"], args].concat(), 2, words);
    for strategy in ["elbo", "iwae", "stl", "dreg", "coupled"] {
        refuse(
            &["--strategy", strategy],
            &[strategy, "sbn", "bits", "ws, rws, vimco, reinforce, nvil, bihm", "another model (vae)"],
        );
    }
    let vae = |more: &[&str], words: &[&str]| {
        fail(folder, &[&["train", "--model", "vae"], more].concat(), 2, words);
    };
    let set = |pair, words: &[&str]| vae(&["--set", pair], words);
    vae(&["--strategy", "bihm"], &["bihm", "vae", "elbo", "iwae", "rws"]);
    vae(&["--strategy", "rws", "--set", "strategy.defence=0.2"], &["strategy.defence", "real numbers"]);
    vae(&["--strategy", "iwae", "--set", "strategy.phi=sleep"], &["strategy.phi", "iwae"]);
    vae(&["--strategy", "iwae", "--kernel", "isir"], &["strategy.kernel", "coupled", "iwae"]);
    vae(&["--strategy", "coupled", "--kernel", "idsir"], &["idsir", "did you mean `disir`?"]);
    vae(&["--strategy", "coupled", "--samples", "1"], &["samples", "2"]);
    set("strategy.kl=exact", &["strategy.kl", "analytic, sampled"]);
    vae(&["--layers", ""], &["model.layers = []", "vae"]);
    vae(&["--layers", "20,0"], &["layer 1 has no units"]);
    set("model.p=[\"sbn\",\"sbn\"]", &["model.p", "vae"]);
    set("model.q=[\"sbn\"]", &["model.q", "vae"]);
    set("model.hidden=20", &["model.hidden belongs to sbn", "the model is vae", "bodies"]);
    set("model.order=random", &["model.order", "vae"]);
    set("model.bodies=[[20],[20]]", &["model.bodies has 2 lists", "[20]", "asks for 1"]);
    set("model.bodies=[[20,0]]", &["model.bodies", "width of 0"]);
    set("model.activation=gelu", &["model.activation", "relu, tanh, sigmoid"]);
    set("model.std=square", &["model.std", "softplus, exp"]);
    set("model.likelihood=gauss", &["model.likelihood", "bernoulli, logistics"]);
    set("model.components=5", &["model.components", "logistics"]);
    set("model.channels=[8,0]", &["model.channels"]);
    set("model.channels=[8,8,8,8]", &["convolutions", "5 x 5"]);
    refuse(
        &["--set", "model.likelihood=logistics"],
        &["model.likelihood belongs to vae", "the model is sbn"],
    );
    refuse(&["--set", "model.bodies=[[20]]"], &["model.bodies belongs to vae", "the model is sbn"]);
    refuse(&["--set", "optimizer.decay=0.9"], &["optimizer.decay", "rmsprop", "adam"]);
    refuse(&["--optimizer", "sgd", "--set", "optimizer.epsilon=1e-4"], &["optimizer.epsilon", "sgd"]);
    refuse(&["--set", "optimizer.beta1=1.0"], &["optimizer.beta1 = 1"]);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is written");
}

#[test]
fn a_run_begins_with_the_weights_of_another_and_goes_on_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_vae("first", &["--strategy", "iwae", "--steps", "60", "--lr", "0.01"]));
    succeed(folder, &["export", "first", "first.safetensors"]);
    let tensors = |run: &str| {
        let file = format!("{run}.again.safetensors");
        succeed(folder, &["export", run, &file, "--force"]);
        let bytes = fs::read(folder.join(file)).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    let hash = |run: &str| {
        let text = fs::read_to_string(folder.join(run).join("provenance.json")).unwrap();
        json(&text)["init_from"]["weights_sha256"].as_str().unwrap().to_owned()
    };
    // At a rate of zero a run keeps the weights that it began with, from a folder as from a file.
    let still = ["--strategy", "dreg", "--steps", "1", "--lr", "0"];
    for (out, source) in [("from-run", "first"), ("from-file", "first.safetensors")] {
        succeed(folder, &small_vae(out, &[&still[..], &["--init-from", source]].concat()));
        assert_eq!(tensors(out), tensors("first"), "{out}");
    }
    assert_eq!(hash("from-run"), hash("from-file"));
    assert_eq!(hash("from-run").len(), 64);

    // They are trained further, and the run can be resumed after the run that they come from is gone.
    let on = ["--strategy", "dreg", "--lr", "0.01", "--init-from", "first"];
    let whole = test_nll(folder, &small_vae("whole", &[&on[..], &["--steps", "60"]].concat()));
    assert_ne!(tensors("whole"), tensors("first"));
    succeed(folder, &small_vae("parts", &[&on[..], &["--steps", "30"]].concat()));
    fs::rename(folder.join("first"), folder.join("gone")).unwrap();
    let resume = ["train", "--resume", "--out", "parts", "--steps", "60", "--quiet"];
    assert_eq!(test_nll(folder, &resume), whole);
    // Even from before the first checkpoint.
    fs::remove_dir_all(folder.join("parts/checkpoint")).unwrap();
    fs::create_dir(folder.join("parts/checkpoint")).unwrap();
    assert_eq!(test_nll(folder, &resume), whole);

    let refuse = |more: &[&str], words: &[&str]| {
        fail(folder, &small_vae("other", more), 2, &[&["train.init_from"], words].concat());
        assert!(!folder.join("other").exists(), "nothing is written");
    };
    refuse(&["--init-from", "nowhere"], &["nowhere"]);
    refuse(&["--init-from", "gone", "--layers", "3"], &["model.layers", "[4] there, [3] here"]);
    refuse(&["--init-from", "gone", "--set", "model.std=exp"], &["model.std", "softplus", "exp"]);
    refuse(&["--init-from", "first.safetensors", "--layers", "3"], &["first.safetensors", "model.layers"]);
}

#[test]
fn grey_values_are_modelled_by_logistics_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let npy = |name: &str, value: &dyn Fn(usize) -> f32| {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (200, 6), }";
        let mut bytes = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes()].concat();
        bytes.extend(header.as_bytes());
        bytes.extend((0..1200).flat_map(|i| value(i).to_le_bytes()));
        fs::write(folder.join(name), bytes).unwrap();
    };
    // Smooth pictures of six pixels.
    npy("grey.npy", &|i| ((i / 6 * 37 % 200 + i % 6 * 9) as f32) / 255.0);
    npy("between.npy", &|i| if i == 8 { 0.3 } else { (i % 256) as f32 / 255.0 });
    let logistics = |out: &'static str, more: &[&'static str]| {
        let more = [more, &["--set", "model.likelihood=logistics", "--set", "model.components=3"]].concat();
        small_vae(out, &more)
    };
    let grey = ["--dataset", "file:grey.npy"];
    let start = test_nll(folder, &logistics("start", &[&grey[..], &["--lr", "0", "--steps", "1"]].concat()));
    // The initial mixture is so wide that a pixel costs about log 256 nats.
    assert!(start > 0.0 && start < 6.0 * 256f64.ln() + 6.0, "{start}");
    let more = [&grey[..], &["--strategy", "iwae", "--lr", "0.01", "--steps", "60"]].concat();
    let trained = test_nll(folder, &logistics("run", &more));
    assert!(trained < start - 1.0, "from {start} to {trained}");
    succeed(folder, &["sample", "run", "--n", "3", "--out", "s.npy"]);
    let bytes = fs::read(folder.join("s.npy")).unwrap();
    let levels = bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()) * 255.0);
    assert!(
        levels.clone().all(|level| (level - level.round()).abs() < 1e-3 && (0.0..=255.0).contains(&level))
    );

    let refuse = |args: &[&str], words: &[&str]| fail(folder, args, 2, words);
    refuse(&small_vae("no", &grey), &["grey.npy", "zeros and ones", "model.likelihood = \"logistics\""]);
    refuse(
        &logistics("no", &["--dataset", "file:between.npy"]),
        &["row 2", "column 3", "0.3", "not a multiple of 1/255"],
    );
}

#[test]
fn annealing_agrees_with_importance_sampling_and_units_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_vae("run", &["--strategy", "iwae", "--steps", "200", "--lr", "0.01"]));
    let evaluate = |more: &[&str]| json(&succeed(folder, &[&["evaluate", "run", "--json"], more].concat()));
    let annealing = ["--method", "ais", "--chains", "8", "--temperatures", "40", "--leapfrog", "5"];
    let annealed = evaluate(&[&annealing[..], &["--limit", "24", "--per-example", "few.npy"]].concat());
    let number = |json: &Value, key: &str| json[key].as_f64().unwrap();
    for (key, value) in [("k", 8), ("temperatures", 40), ("leapfrog", 5), ("n", 24)] {
        assert_eq!(annealed[key], value, "{key}");
    }
    assert!(annealed["method"] == "ais" && annealed["exact_nll"].is_null());
    assert!((0.3..0.95).contains(&number(&annealed, "acceptance")));
    let sampled = evaluate(&["--samples", "3000", "--limit", "24"]);
    let se = number(&annealed, "se_mc").hypot(number(&sampled, "se_mc"));
    let bias = number(&annealed, "bias_mc") + number(&sampled, "bias_mc");
    // 5 standard errors: false alarms below 6e-7.
    let off = number(&annealed, "nll") - number(&sampled, "nll");
    assert!(off.abs() < 5.0 * se + bias, "{annealed}, {sampled}");

    // A latent layer of 4: some of its units carry the bars, whatever the method.
    let active = annealed["active_units"].as_array().unwrap();
    assert_eq!(annealed["active_units"], sampled["active_units"]);
    assert!(active.len() == 1 && (1..=4).contains(&active[0].as_u64().unwrap()), "{annealed}");

    // A row has the same estimate whatever the limit, and the rows of a smaller limit are among those of a larger one.
    evaluate(&[&annealing[..], &["--limit", "6", "--per-example", "fewer.npy", "--threads", "1"]].concat());
    let values = |name: &str| -> Vec<[u8; 8]> {
        fs::read(folder.join(name)).unwrap()[128..].chunks_exact(8).map(|b| b.try_into().unwrap()).collect()
    };
    let few = values("few.npy");
    assert!(values("fewer.npy").iter().all(|value| few.contains(value)));

    let text = succeed(folder, &[&["evaluate", "run", "--limit", "6"], &annealing[..]].concat());
    assert!(text.contains("40 temperatures") && text.contains("of 4 units"), "{text}");
}
