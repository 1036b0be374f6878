//! Weights are those of the model that the config describes, or they are refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{fail, run, small_run, succeed};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON object ({error}):\n{text}"))
}

fn evaluate<'a>(weights: &'a str, config: &'a str) -> Vec<&'a str> {
    vec!["evaluate", "--weights", weights, "--config", config, "--samples", "20", "--json"]
}

/// The arguments that train a vae for two steps.
fn small_vae(out: &str) -> Vec<&str> {
    let mut args = vec!["train", "--model", "vae", "--layers", "3", "--dataset", "lines/3x3", "--steps", "2"];
    args.extend(["--set", "model.bodies=[[5]]", "--set", "model.activation=tanh", "--quiet", "--out", out]);
    args.extend(["--set", "train.final_samples=5"]);
    args
}

/// Expects a refusal in one line.
fn refused(folder: &Path, args: &[&str], words: &[&str]) {
    let stderr = fail(folder, args, 2, words);
    assert_eq!(stderr.trim_end().lines().count(), 1, "one sentence:\n{stderr}");
}

/// The tensors of a weight file: type, shape and bytes of each.
type Tensors = BTreeMap<String, (String, Value, Vec<u8>)>;

fn read(path: &Path) -> (Value, Tensors) {
    let bytes = fs::read(path).unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..end]).unwrap();
    let metadata = header.remove("__metadata__").unwrap();
    let tensors = header.into_iter().map(|(name, entry)| {
        let at = |i: usize| end + entry["data_offsets"][i].as_u64().unwrap() as usize;
        let dtype = entry["dtype"].as_str().unwrap().to_string();
        (name, (dtype, entry["shape"].clone(), bytes[at(0)..at(1)].to_vec()))
    });
    (metadata, tensors.collect())
}

/// A weight file without metadata, as of another program.
fn write(path: &Path, tensors: &Tensors) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (dtype, shape, bytes)) in tensors {
        let begin = data.len();
        data.extend(bytes);
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    fs::write(path, [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()).unwrap();
}

#[test]
fn weights_under_a_config_that_is_not_theirs_are_refused_by_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("deep", &["--layers", "4,4", "--steps", "2"]));
    succeed(folder, &small_run("shallow", &["--layers", "4", "--steps", "2"]));
    succeed(folder, &["export", "deep", "deep.safetensors"]);
    let words = ["model.layers is [4, 4] in the weight file and [4] in the config", "trained with"];
    refused(folder, &evaluate("deep.safetensors", "shallow/run.toml"), &words);
    refused(folder, &small_run("other", &["--layers", "4", "--init-from", "deep.safetensors"]), &words);

    succeed(folder, &small_vae("vae"));
    succeed(folder, &["export", "vae", "vae.safetensors"]);
    let config = fs::read_to_string(folder.join("vae/run.toml")).unwrap();
    let whole = json(&succeed(folder, &evaluate("vae.safetensors", "vae/run.toml")));
    for (from, to, words) in [
        (
            "\"tanh\"",
            "\"relu\"",
            "model.activation is \"tanh\" in the weight file and \"relu\" in the config",
        ),
        ("\"softplus\"", "\"exp\"", "model.std is \"softplus\" in the weight file and \"exp\" in the config"),
    ] {
        fs::write(folder.join("other.toml"), config.replace(from, to)).unwrap();
        refused(folder, &evaluate("vae.safetensors", "other.toml"), &[words]);
    }
    // The settings of initialisation do not change what the weights mean, nor do those of the run.
    let other =
        config.replace("bias_from_data = true", "bias_from_data = false").replace("seed = 0", "seed = 7");
    fs::write(folder.join("other.toml"), other).unwrap();
    assert_eq!(json(&succeed(folder, &evaluate("vae.safetensors", "other.toml")))["nll"], whole["nll"]);
}

#[test]
fn tensors_that_are_missing_left_over_or_wrong_are_named_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--layers", "3", "--steps", "2"]));
    succeed(folder, &["export", "run", "w.safetensors"]);
    let (_, sound) = read(&folder.join("w.safetensors"));
    let name = "recognition.0.weight";
    let refuse = |change: &dyn Fn(&mut Tensors), words: &[&str]| {
        let mut tensors = sound.clone();
        change(&mut tensors);
        write(&folder.join("f.safetensors"), &tensors);
        refused(folder, &evaluate("f.safetensors", "run/run.toml"), &[&["f.safetensors"], words].concat());
        let begin = small_run("other", &["--layers", "3", "--init-from", "f.safetensors"]);
        refused(folder, &begin, &[&["f.safetensors"], words].concat());
        assert!(!folder.join("other").exists());
    };
    let of = |tensors: &mut Tensors, name: &str| tensors.get(name).cloned().unwrap();
    refuse(&|tensors| drop(tensors.remove(name)), &[name, "is missing"]);
    refuse(
        &|tensors| {
            let one = of(tensors, name);
            tensors.insert("recognition.1.weight".into(), one);
        },
        &["recognition.1.weight", "is not one of the model's"],
    );
    refuse(
        &|tensors| tensors.get_mut(name).unwrap().1 = serde_json::json!([3, 9]),
        &[name, "[3, 9]", "[9, 3]"],
    );
    refuse(&|tensors| tensors.get_mut(name).unwrap().0 = "I32".into(), &[name, "I32", "F32"]);
    for value in [f32::NAN, f32::INFINITY] {
        let set = |tensors: &mut Tensors| {
            tensors.get_mut(name).unwrap().2[8..12].copy_from_slice(&value.to_le_bytes());
        };
        refuse(&set, &[name, &format!("{value}"), "not finite"]);
        for command in ["sample", "encode", "reconstruct"] {
            let args = [command, "--weights", "f.safetensors", "--config", "run/run.toml"];
            refused(folder, &args, &[name, "not finite"]);
        }
    }
    // A header that states more bytes than there are; no memory is allocated for them.
    for stated in [u64::MAX, 1 << 40, 90_000_000] {
        fs::write(folder.join("f.safetensors"), [&stated.to_le_bytes()[..], b"{}"].concat()).unwrap();
        refused(folder, &evaluate("f.safetensors", "run/run.toml"), &["f.safetensors", "the file has 10"]);
    }
    // The same weights in double precision, without metadata, are accepted.
    let mut double = sound.clone();
    for (dtype, _, bytes) in double.values_mut() {
        *dtype = "F64".into();
        let values = bytes.as_chunks::<4>().0.iter().map(|value| f64::from(f32::from_le_bytes(*value)));
        *bytes = values.flat_map(f64::to_le_bytes).collect();
    }
    write(&folder.join("f.safetensors"), &double);
    let [found, whole] = ["f.safetensors", "w.safetensors"]
        .map(|file| json(&succeed(folder, &evaluate(file, "run/run.toml"))));
    assert_eq!(found["nll"], whole["nll"]);
}

#[test]
fn a_run_toml_that_was_edited_is_refused_by_all_that_read_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_vae("run"));
    let path = folder.join("run/run.toml");
    let config = fs::read_to_string(&path).unwrap();
    let exact = ["evaluate", "run", "--samples", "20", "--json"];
    let whole = json(&succeed(folder, &exact));
    fs::write(&path, config.replace("\"softplus\"", "\"exp\"")).unwrap();
    let commands = [
        &exact[..],
        &["sample", "run"],
        &["encode", "run"],
        &["export", "run", "w.safetensors"],
        &["train", "--resume", "--out", "run"],
    ];
    for command in commands {
        refused(folder, command, &["run/run.toml", "edited since the run was started"]);
    }
    // What may change on resume may be edited, and so may the layout of the file.
    fs::write(&path, format!("# Mine.\n{}", config.replace("steps = 2", "steps = 3"))).unwrap();
    assert_eq!(json(&succeed(folder, &exact)), whole);
    succeed(folder, &["train", "--resume", "--out", "run", "--quiet"]);
    succeed(folder, &exact);

    // Runs of older versions have no hash of their config.
    let path = folder.join("run/provenance.json");
    let mut provenance = json(&fs::read_to_string(&path).unwrap());
    assert!(provenance.as_object_mut().unwrap().remove("config_sha256").is_some());
    fs::write(&path, provenance.to_string()).unwrap();
    succeed(folder, &exact);
}

#[test]
fn a_run_goes_on_under_a_version_that_writes_out_more_settings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--layers", "3", "--epochs", "1"]));
    // As if an older version had left a setting to its default.
    let (config, provenance) = (folder.join("run/run.toml"), folder.join("run/provenance.json"));
    let older = fs::read_to_string(&config).unwrap().replace("clip_norm = 0.0\n", "");
    fs::write(&config, &older).unwrap();
    fail(folder, &["evaluate", "run"], 2, &["edited"]);
    let mut json = json(&fs::read_to_string(&provenance).unwrap());
    json["config_sha256"] = helmholtz_hash(&older).into();
    fs::write(&provenance, json.to_string()).unwrap();
    succeed(folder, &["evaluate", "run", "--exact"]);
    succeed(folder, &["train", "--resume", "--out", "run", "--epochs", "2", "--quiet"]);
    assert!(fs::read_to_string(&config).unwrap().contains("clip_norm"), "the new version writes it out");
    succeed(folder, &["evaluate", "run", "--exact"]);
    // As if killed between writing the two files: the provenance is new, and the config is old.
    fs::write(&config, &older).unwrap();
    succeed(folder, &["evaluate", "run", "--exact"]);
}

/// The hash as documented: of the sorted lines `key = value` of all keys that may not change on resume.
fn helmholtz_hash(run_toml: &str) -> String {
    use sha2::{Digest, Sha256};
    let table: toml::Table = run_toml.parse().unwrap();
    let mut lines = Vec::new();
    for (section, value) in &table {
        match value {
            toml::Value::Table(keys) => {
                lines.extend(keys.iter().map(|(key, value)| format!("{section}.{key} = {value}\n")));
            }
            value => lines.push(format!("{section} = {value}\n")),
        }
    }
    lines.retain(|line| !line.starts_with("run.") && !line.starts_with("train.epochs"));
    lines.sort();
    Sha256::digest(lines.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_export_is_the_same_bytes_each_time_and_leaves_its_neighbours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("run", &["--layers", "3", "--steps", "2"]));
    fs::write(folder.join("a.part.safetensors"), b"mine").unwrap();
    fs::write(folder.join("plain"), b"").unwrap();
    for name in ["a.safetensors", "b.safetensors", "c.safetensors"] {
        succeed(folder, &["export", "run", name]);
        assert!(fs::read(folder.join(name)).unwrap() == fs::read(folder.join("a.safetensors")).unwrap());
    }
    assert_eq!(fs::read(folder.join("a.part.safetensors")).unwrap(), b"mine");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode("a.safetensors"), mode("plain"), "as any new file");
    }
    let (metadata, _) = read(&folder.join("a.safetensors"));
    assert!(metadata["helmholtz.config"].as_str().unwrap().contains("kind = \"sbn\""));
    let files = || fs::read_dir(folder).unwrap().count();
    let before = files();
    assert!(!run(folder, &["export", "run", "nowhere/a.safetensors"]).status.success());
    assert_eq!(files(), before, "nothing is left behind");
}

#[test]
fn a_permutation_is_in_the_file_and_that_of_another_seed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let train = |seed: &str, out: &str| {
        let order = ["--set", "model.order=random", "--set", seed, "--quiet", "--out", out];
        let args = ["train", "--model", "nade", "--layers", "", "--dataset", "lines/3x3", "--steps", "2"];
        succeed(folder, &[&args[..], &order[..]].concat());
    };
    train("model.order_seed=3", "run");
    succeed(folder, &["export", "run", "w.safetensors"]);
    let path = folder.join("w.safetensors");
    let (_, tensors) = read(&path);
    let (dtype, shape, bytes) = &tensors["order"];
    let units: Vec<i64> = bytes.as_chunks::<8>().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    assert_eq!((dtype.as_str(), shape), ("I64", &serde_json::json!([9])));
    let mut sorted = units.clone();
    sorted.sort_unstable();
    assert!(sorted == (0..9).collect::<Vec<_>>() && units != sorted, "{units:?}");
    // The file reads back, also without metadata; with another order it is refused.
    let nll = |weights| json(&succeed(folder, &evaluate(weights, "run/run.toml")))["nll"].clone();
    write(&folder.join("bare.safetensors"), &tensors);
    assert_eq!(nll("w.safetensors"), nll("bare.safetensors"));
    train("model.order_seed=4", "other");
    refused(folder, &evaluate("bare.safetensors", "other/run.toml"), &["tensor order", "model.order_seed"]);
    let mut cut = tensors.clone();
    cut.insert("order".into(), (dtype.clone(), serde_json::json!([8]), bytes[..64].to_vec()));
    write(&folder.join("cut.safetensors"), &cut);
    refused(folder, &evaluate("cut.safetensors", "run/run.toml"), &["cut.safetensors", "tensor order"]);
    // Models without an order of units have no such tensor.
    succeed(folder, &small_vae("vae"));
    succeed(folder, &["export", "vae", "v.safetensors"]);
    assert!(!read(&folder.join("v.safetensors")).1.contains_key("order"));
}

/// Scores of `examples/load_weights.py` for every kind of layer, compared with those of the program. Skipped if there is
/// no Python with numpy and safetensors.
#[test]
fn python_scores_rows_by_exported_weights_as_the_program_does() {
    let has = |program: &str| {
        let tried =
            std::process::Command::new(program).args(["-c", "import numpy, safetensors, tomllib"]).output();
        tried.is_ok_and(|done| done.status.success())
    };
    let from_environment = std::env::var("HELMHOLTZ_PYTHON").ok();
    let Some(python) =
        from_environment.iter().map(String::as_str).chain(["python3"]).find(|python| has(python))
    else {
        println!("skipped: no python3 with numpy and safetensors; HELMHOLTZ_PYTHON may name one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/load_weights.py");
    let rows = "import numpy as np; r = np.random.default_rng(0); np.save('rows.npy', (r.random((40, 6)) < 0.4).astype(np.float32))";
    let done = std::process::Command::new(python).current_dir(folder).args(["-c", rows]).status().unwrap();
    assert!(done.success());
    let random: &[&str] = &["--set", "model.order=random", "--set", "model.order_seed=5"];
    for (name, model) in [
        ("sbn", &["--layers", "4,3"][..]),
        (
            "dsbn",
            &[
                "--model",
                "dsbn",
                "--layers",
                "4,3",
                "--set",
                "model.hidden=5",
                "--set",
                "model.activation=tanh",
            ],
        ),
        ("darn", &["--model", "darn", "--layers", "4,3"]),
        ("nade", &["--model", "nade", "--layers", "4,3", "--set", "model.hidden=5"]),
        ("fvsbn", &["--model", "darn", "--layers", ""]),
        ("plain", &["--model", "nade", "--layers", "", "--set", "model.hidden=5"]),
        ("mixed", &["--layers", "4", "--set", "model.p=[\"nade\", \"darn\"]", "--set", "model.hidden=5"]),
        ("mob", &["--model", "mob", "--set", "model.components=3"]),
        ("rbm", &["--model", "rbm", "--set", "model.hidden=5"]),
    ] {
        let ordered = ["darn", "nade", "fvsbn", "plain", "mixed"].contains(&name);
        let data = ["--dataset", "file:rows.npy,rows.npy", "--steps", "5", "--lr", "0.3", "--seed", "2"];
        let rest = ["--set", "train.final_samples=5", "--quiet", "--out", name];
        let order = if ordered { random } else { &[] };
        succeed(folder, &[&["train"], model, &data[..], order, &rest[..]].concat());
        let weights = format!("{name}.safetensors");
        succeed(folder, &["export", name, &weights]);
        let done = std::process::Command::new(python)
            .current_dir(folder)
            .arg(&script)
            .args([&weights, "rows.npy", "theirs.npy"])
            .output()
            .unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        let args = ["evaluate", name, "--exact", "--per-example", "ours.npy", "--quiet"];
        succeed(folder, &args[..]);
        let compare = "import numpy as np; a, b = np.load('ours.npy'), np.load('theirs.npy'); print(abs(a - b).max(), abs(b).max())";
        let done =
            std::process::Command::new(python).current_dir(folder).args(["-c", compare]).output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        let numbers: Vec<f64> = said.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert!(numbers[0] < 1e-5 && numbers[1] > 1.0, "{name}: {said}");
    }
}
