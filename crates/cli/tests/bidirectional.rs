//! Bidirectional machines on the command line.

use std::fs;
use std::path::Path;

use crate::common::{fail, succeed};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", value[key]))
}

fn train(folder: &Path, out: &str, steps: &str, flags: &[&str]) -> Value {
    let words = ["train", "--dataset", "lines/3x3", "--layers", "5,3", "--batch", "250", "--steps", steps];
    let few = ["--set", "train.valid_samples=20", "--set", "train.final_samples=20", "--out", out, "--json"];
    json(&succeed(folder, &[&words[..], &few, flags].concat()))
}

fn refuse(folder: &Path, words: &[&str], parts: &[&str]) {
    fail(folder, words, 2, parts);
}

#[test]
fn a_machine_is_trained_and_scored_by_both_readings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = train(folder, "run", "80", &["--model", "bihm", "--lr", "5e-3"]);
    let config = fs::read_to_string(folder.join("run/run.toml")).unwrap();
    assert!(config.contains("kind = \"bihm\"\ncontrol_variate = true\nsamples = 10"), "{config}");

    let evaluate = |flags: &[&str]| {
        json(&succeed(folder, &[&["evaluate", "run", "--json", "--limit", "500"], flags].concat()))
    };
    let exact = evaluate(&["--exact"]);
    let sampled = evaluate(&["--samples", "1000"]);
    assert!(number(&exact, "log_z2") < 0.0 && exact["nll_is_bound"] == false);
    // The cross-entropy on the distribution of the data is above its entropy, and near the NLL of the test rows.
    let (entropy, cross) = (number(&exact, "entropy"), number(&exact, "cross_entropy"));
    assert!((entropy - 2.428).abs() < 1e-3 && cross > entropy && (cross - number(&exact, "nll")).abs() < 0.2);
    // p* and p by sampling agree with enumeration.
    let errors = ["se_mc", "bias_mc", "log_z2_se", "log_z2_bias"].map(|key| number(&sampled, key));
    let error = errors.iter().sum::<f64>();
    for key in ["nll", "log_z2", "nll_p"] {
        let (e, s) = (number(&exact, key), number(&sampled, key));
        assert!((e - s).abs() < 5.0 * error, "{key}: {e} exactly, {s} by sampling, error {error}");
    }
    assert!(number(&sampled, "log_z2_se") <= 0.01 && (number(&sampled, "log_z2_check") - 1.0).abs() < 0.3);
    assert!(number(&sampled, "ess") > number(&sampled, "ess_p"));
    // Training reports the NLL of p*, for its best epoch.
    let test = number(&trained["test"], "nll");
    assert!((test - number(&exact, "nll")).abs() < 0.3, "{test}");

    // The same weights and the same samples as a directed model.
    let directed = evaluate(&["--samples", "1000", "--as", "sbn", "--check", "off"]);
    assert_eq!(directed["nll"], sampled["nll_p"]);
    assert_eq!((&directed["ess"], &directed["log_z2"]), (&sampled["ess_p"], &Value::Null));
    // And the other way round.
    train(folder, "sbn", "80", &["--lr", "5e-3"]);
    let read =
        json(&succeed(folder, &["evaluate", "sbn", "--exact", "--as", "bihm", "--json", "--limit", "500"]));
    let own = json(&succeed(folder, &["evaluate", "sbn", "--exact", "--json", "--limit", "500"]));
    assert_eq!(read["nll_p"], own["nll"]);
    assert!(number(&read, "log_z2") < 0.0);

    // As text, and row by row.
    let words = ["evaluate", "run", "--per-example", "rows.npy", "--limit", "500", "--samples", "1000"];
    let words = succeed(folder, &words);
    for part in ["NLL of p*", "NLL of p ", "2 log Z", "exp(2 s)", "ESS"] {
        assert!(words.contains(part), "`{part}` is not in:\n{words}");
    }
    let bytes = fs::read(folder.join("rows.npy")).unwrap();
    let rows = bytes[128..].as_chunks::<8>().0;
    let mean = rows.iter().map(|row| f64::from_le_bytes(*row)).sum::<f64>() / rows.len() as f64;
    assert!((mean + number(&sampled, "nll")).abs() < 1e-9);
    // The samples of p* keep to a bound on the error.
    let within = evaluate(&["--samples", "20", "--error", "0.02"]);
    assert!(number(&within, "se_mc") <= 0.02 && number(&within, "bias_mc") <= 0.02);
}

#[test]
fn chains_stop_and_go_on_and_fill_in_what_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "run", "40", &["--model", "bihm"]);
    let sample = |out: &str, flags: &[&str]| {
        let words = [
            "sample",
            "run",
            "--n",
            "7",
            "--proposals",
            "6",
            "--inner",
            "3",
            "--oversample",
            "4",
            "--out",
            out,
        ];
        succeed(folder, &[&words[..], flags].concat());
        fs::read(folder.join(out)).unwrap()
    };
    let whole = sample("whole.npy", &["--sweeps", "6"]);
    assert_eq!(whole.len(), 128 + 7 * 9 * 4);
    sample("part.npy", &["--sweeps", "2", "--keep-chains", "c.safetensors"]);
    let rest = sample("rest.npy", &["--sweeps", "6", "--keep-chains", "c.safetensors"]);
    assert!(rest == whole, "chains that were stopped go on as if they had not been");
    assert!(sample("mean.npy", &["--sweeps", "6", "--mean"]) != whole);
    let others: [&[&str]; 2] = [&["--sampler", "one-shot", "--oversample", "4"], &["--sampler", "ancestral"]];
    for flags in others {
        succeed(folder, &[&["sample", "run", "--n", "7", "--out", "other.npy"], flags].concat());
        assert!(fs::read(folder.join("other.npy")).unwrap() != whole, "{flags:?}");
    }

    succeed(folder, &["inpaint", "run", "--n", "4", "--sweeps", "9", "--mask", "right", "--frames", "3"]);
    let png = fs::read(folder.join("run/samples/inpaint.png")).unwrap();
    let info = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap().info().size();
    // Four rows: the original, the masked picture, the start and three states; 3 x 3 pixels enlarged to 27 x 27.
    assert_eq!(info, (2 + 6 * 29, 2 + 4 * 29));
    assert!(fs::read(folder.join("run/samples/inpaint.gif")).unwrap().starts_with(b"GIF89a"));
    // If the output is a .gif, no .png is written.
    succeed(folder, &["inpaint", "run", "--n", "2", "--sweeps", "2", "--out", "two.gif", "--bits"]);
    assert!(!folder.join("two.png").exists());

    let gibbs = ["sample", "run", "--n", "7", "--proposals", "6", "--inner", "3", "--oversample", "4"];
    let with = |flags: &[&'static str]| [&gibbs[..], &["--out", "x.npy", "--keep-chains"], flags].concat();
    refuse(folder, &with(&["c.safetensors", "--seed", "3"]), &["c.safetensors", "seed = 0", "now it is 3"]);
    refuse(folder, &with(&["c.safetensors", "--sweeps", "3"]), &["--sweeps 3", "had 6 already"]);
    fs::write(folder.join("broken.safetensors"), &fs::read(folder.join("c.safetensors")).unwrap()[..90])
        .unwrap();
    refuse(folder, &with(&["broken.safetensors"]), &["broken.safetensors", "not a file of chains"]);
    refuse(folder, &with(&["there/c.safetensors"]), &["--keep-chains", "there is not a folder"]);
    refuse(folder, &["inpaint", "run", "--mask", "run/samples/inpaint.png"], &["176 x 118 pixels", "3 x 3"]);
    refuse(folder, &["inpaint", "run", "--mask", "topp"], &["did you mean `top`?"]);
    refuse(folder, &["inpaint", "run", "--frames", "1000000000"], &["--frames 1000000000", "from 1 to 100"]);
    refuse(
        folder,
        &["inpaint", "run", "--inner", "1000000000"],
        &["--inner 1000000000", "not be above 65536"],
    );
    // With other weights under the same path, the chains are other chains.
    let longer = ["train", "--resume", "--out", "run", "--steps", "41", "--quiet"];
    succeed(folder, &longer);
    refuse(folder, &with(&["c.safetensors", "--sweeps", "8"]), &["c.safetensors", "weights ="]);
    refuse(
        folder,
        &["sample", "run", "--n", "2", "--out", "there/x.png"],
        &["--out", "there is not a folder"],
    );
    refuse(
        folder,
        &["sample", "run", "--sampler", "one-shot", "--sweeps", "3"],
        &["--sweeps", "--sampler gibbs"],
    );
    refuse(folder, &["inpaint", "run", "--out", "x.jpg"], &["x.jpg", ".png or .gif"]);
    refuse(folder, &["sample", "run", "--proposals", "1"], &["--proposals", "at least 2"]);
    refuse(folder, &["sample", "run", "--out", "x.jpg"], &["x.jpg", ".png or .npy"]);
    assert!(!folder.join("x.npy").exists());
}

#[test]
fn what_is_not_bidirectional_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "sbn", "2", &[]);
    refuse(folder, &["sample", "sbn", "--sampler", "gibbs"], &["--sampler gibbs", "sbn", "--as bihm"]);
    refuse(folder, &["sample", "sbn", "--keep-chains", "c"], &["--keep-chains", "ancestral"]);
    refuse(folder, &["sample", "sbn", "--sampler", "gibs"], &["did you mean `gibbs`?"]);
    refuse(folder, &["inpaint", "sbn"], &["read as sbn", "--as bihm"]);
    refuse(folder, &["evaluate", "sbn", "--as", "nade"], &["--as nade", "sbn"]);
    refuse(folder, &["evaluate", "sbn", "--as", "bimh"], &["did you mean `bihm`?"]);
    refuse(folder, &["evaluate", "sbn", "--as", "bihm", "--z-error", "0"], &["--z-error 0"]);
    refuse(
        folder,
        &["evaluate", "sbn", "--as", "bihm", "--z-samples", "1"],
        &["--z-samples 1", "at least 2000"],
    );
    refuse(folder, &["evaluate", "sbn", "--z-error", "0.1"], &["read as sbn", "--as bihm"]);
    refuse(folder, &["evaluate", "sbn", "--as", "bihm", "--exact", "--z-error", "0.1"], &["enumeration"]);
    refuse(folder, &["sample", "sbn", "--sweeps", "3"], &["--sweeps", "ancestral"]);
    refuse(folder, &["train", "--model", "bihm", "--layers", ""], &["model.layers = []", "latents"]);
    refuse(folder, &["train", "--model", "bihm", "--samples", "1"], &["control_variate with samples = 1"]);
    refuse(folder, &["train", "--model", "bihm", "--set", "strategy.phi=sleep"], &["strategy.phi", "bihm"]);
    refuse(folder, &["train", "--set", "model.p=[\"sbn\",\"bihm\"]"], &["bihm", "unknown layer"]);
    // An autoregressive lowest layer can be trained and sampled, but a part of it cannot be fixed.
    let mixed = ["--model", "bihm", "--set", "model.p=[\"nade\",\"sbn\",\"sbn\"]"];
    train(folder, "mixed", "2", &mixed);
    succeed(folder, &["sample", "mixed", "--n", "2", "--sweeps", "1", "--oversample", "2"]);
    refuse(folder, &["inpaint", "mixed", "--n", "2"], &["autoregressive", "sbn or dsbn"]);
    succeed(folder, &["evaluate", "mixed", "--as", "nade", "--limit", "20", "--samples", "5"]);
    refuse(folder, &["evaluate", "mixed", "--as", "sbn"], &["--as sbn", "nade for the directed model"]);
    // Another strategy for the machine, and its strategy for another model.
    train(folder, "rws", "2", &["--model", "bihm", "--strategy", "rws"]);
    train(folder, "by-bihm", "2", &["--strategy", "bihm"]);
}
