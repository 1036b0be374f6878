//! Bad input ends with a message and exit code 2, and loses nothing.

use std::fs;
use std::io::Write;

use crate::common::{fail, small_run, succeed, trained};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn unknown_names_come_with_the_nearest_known_one() {
    let folder = folder();
    let refuse = |args: &[&str], words: &[&str]| fail(folder.path(), args, 2, words);
    refuse(&["train", "--model", "sbnn"], &["model.kind", "sbnn", "did you mean `sbn`?"]);
    refuse(&["train", "--strategy", "rsw"], &["strategy.kind", "did you mean `rws`?"]);
    refuse(&["train", "--dataset", "bars/5x6"], &["bars/5x6", "bars/5x5"]);
    refuse(&["train", "--device", "flx"], &["flx", "did you mean `flex`?"]);
    refuse(&["train", "--optimizer", "adan"], &["optimizer.kind", "did you mean `adam`?"]);
    refuse(&["train", "--set", "train.epcohs=3"], &["train.epcohs", "did you mean `train.epochs`?"]);
    refuse(&["train", "--set", "nonsense"], &["there is no `=`"]);
    refuse(&["train", "--epochz", "3"], &["--epochz", "--epochs"]);
    refuse(&["trian"], &["trian", "train"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn a_backend_that_was_not_built_in_is_named() {
    let folder = folder();
    let missing = ["wgpu", "vulkan", "cuda", "ndarray"];
    let built = succeed(folder.path(), &["devices", "--json"]);
    let built: serde_json::Value = serde_json::from_str(&built).unwrap();
    let Some(missing) =
        missing.iter().find(|name| !built["built_with"].as_array().unwrap().contains(&(**name).into()))
    else {
        println!("skipped: this binary has every backend");
        return;
    };
    fail(folder.path(), &["train", "--device", missing], 2, &[missing, "built without", "--features"]);
    // A run that was trained on a missing backend can be read on a device that the binary has.
    succeed(folder.path(), &small_run("run", &["--steps", "3"]));
    let config = fs::read_to_string(folder.path().join("run/run.toml")).unwrap();
    let config = config.replace("device = \"flex\"", &format!("device = \"{missing}\""));
    fs::write(folder.path().join("run/run.toml"), config).unwrap();
    fail(folder.path(), &["evaluate", "run"], 2, &[missing, "built without", "--features"]);
    succeed(
        folder.path(),
        &["evaluate", "run", "--samples", "2", "--limit", "5", "--device", "flex", "--quiet"],
    );
    fail(folder.path(), &["train", "--device", "flex:1"], 2, &["flex:1", "no numbered devices"]);
    fail(folder.path(), &["train", "--device", "cuda:x"], 2, &["cuda:x", "not the number of a device"]);
    fail(folder.path(), &["train", "--device", "remote"], 2, &["name the server", "helmholtz serve"]);
}

#[test]
fn configs_that_make_no_run_are_refused() {
    let folder = folder();
    let refuse = |args: &[&str], words: &[&str]| fail(folder.path(), args, 2, words);
    refuse(&["train", "--samples", "0"], &["strategy.samples = 0"]);
    refuse(&["train", "--samples=-3"], &["--samples -3", "must not be negative"]);
    refuse(&["train", "--set", "optimizer.momentum=0.9"], &["optimizer.momentum belongs to sgd and rmsprop"]);
    refuse(&["train", "--lr", "NaN"], &["optimizer.lr = NaN", "finite"]);
    refuse(&["train", "--lr=-1"], &["--lr -1", "not below zero"]);
    refuse(&["train", "--batch", "0"], &["train.batch = 0"]);
    refuse(&["train", "--epochs", "0"], &["at least 1"]);
    refuse(&["train", "--threads", "0"], &["run.threads = 0"]);
    refuse(&["train", "--layers", "20,0"], &["layer 1 has no units"]);
    refuse(&["train", "--layers", "20,x"], &["`x` is not a size"]);
    refuse(&["train", "--layers", "9223372036854775807"], &["--layers", "must not be above"]);
    refuse(&["train", "--layers", "500000,500000"], &["more than 2^28 weights"]);
    refuse(&["train", "--epochs", "9223372036854775807"], &["--epochs", "must not be above"]);
    refuse(&["train", "--samples", "1", "--set", "strategy.control_variate=true"], &["samples >= 2"]);
    refuse(&["train", "--layers=-5"], &["--layers -5", "must not be negative"]);
    refuse(&["train", "--set", "model.layers=[]"], &["at least one latent layer", "nade"]);
    let plain = ["train", "--model", "nade", "--set", "model.layers=[]"];
    refuse(&[&plain[..], &["--samples", "5"]].concat(), &["samples = 5", "nothing to propose"]);
    refuse(&["train", "--model", "nade", "--set", "model.hidden=0"], &["model.hidden = 0"]);
    refuse(&[&plain[..], &["--set", "model.order=\"raster\""]].concat(), &["model.order", "index", "random"]);
    refuse(&[&plain[..], &["--set", "model.order_seed=3"]].concat(), &["order_seed", "no random order"]);
    refuse(&["train", "--set", "model.order=\"random\""], &["model.order", "no darn or nade layer"]);
    refuse(&["train", "--set", "model.hidden=20"], &["model.hidden", "no nade or dsbn layer"]);
    refuse(&["train", "--model", "dsbn", "--set", "model.activation=\"relu\""], &["activation", "tanh"]);
    refuse(
        &["train", "--set", "strategy.control_variate=true", "--set", "strategy.defence=0.2"],
        &["do not go together"],
    );
    refuse(&["train", "--set", "train.batch=fast"], &["invalid type", "string \"fast\""]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn layers_that_do_not_match_are_refused() {
    let folder = folder();
    let config = folder.path().join("config.toml");
    fs::write(&config, "schema = 1\n[model]\nlayers = [20, 10]\np = [\"sbn\", \"sbn\"]\n").unwrap();
    fail(folder.path(), &["train", "config.toml"], 2, &["model.p names 2 layers", "one for the prior"]);
    fs::write(&config, "schema = 1\n[model]\nlayers = [20, 10]\nq = [\"sbn\", \"sbx\"]\n").unwrap();
    fail(folder.path(), &["train", "config.toml"], 2, &["model.q", "sbx", "did you mean `sbn`?"]);
    fs::write(&config, "schema = 2\n").unwrap();
    fail(folder.path(), &["train", "config.toml"], 2, &["schema = 2"]);
    fs::write(&config, "[model\n").unwrap();
    fail(folder.path(), &["train", "config.toml"], 2, &["config.toml", "line 1"]);
    fail(folder.path(), &["train", "absent.toml"], 2, &["absent.toml"]);
}

#[test]
fn damaged_data_files_are_named_with_the_place() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let refuse = |id: &str, words: &[&str]| {
        fail(folder.path(), &["train", "--dataset", id, "--out", "run"], 2, words);
        assert!(!at("run").exists(), "{id}: nothing is written");
    };
    refuse("file:absent.amat", &["absent.amat"]);
    refuse("mnist/binarized", &["binarized_mnist_train.amat.gz"]);

    fs::write(at("grey.amat"), "0 1 0\n0 0.5 1\n").unwrap();
    refuse("file:grey.amat", &["grey.amat", "row 2, column 2", "0.5"]);
    fs::create_dir(at("folder.npy")).unwrap();
    refuse("file:folder.npy", &["folder.npy", "is a directory"]);
    let npy = |descr: &str, value: [u8; 4]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 1), }}");
        [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &value]
            .concat()
    };
    let infinite = npy("<f4", f32::INFINITY.to_le_bytes());
    fs::write(at("infinite.npy"), infinite).unwrap();
    refuse("file:infinite.npy", &["infinite.npy", "row 1, column 1", "found inf"]);
    fs::write(at("nan.csv"), "0,1\n1,NaN\n0,0\n").unwrap();
    refuse("file:nan.csv", &["nan.csv", "row 2, column 2", "is missing", "takes no missing values"]);
    fs::write(at("half.npy"), npy("<f2", [0; 4])).unwrap();
    refuse("file:half.npy", &["half.npy", "'<f2' are not supported"]);
    fs::write(at("other-idx3-ubyte"), [0, 0, 13, 3, 0, 0, 0, 1]).unwrap();
    refuse("file:other-idx3-ubyte", &["other-idx3-ubyte", "0x0d"]);
    fs::write(at("cut.mat"), [0; 100]).unwrap();
    refuse("file:cut.mat", &["cut.mat", "no MATLAB header"]);
    fs::write(at("cut.npz"), b"PK\x03\x04").unwrap();
    refuse("file:cut.npz", &["cut.npz", "zip archive is damaged"]);
    fs::write(at("ragged.data"), "0,1,0\n0,1\n").unwrap();
    refuse("file:ragged.data", &["ragged.data", "line 2"]);
    fs::write(at("empty.data"), "").unwrap();
    refuse("file:empty.data", &["empty.data"]);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for i in 0..4000u32 {
        writeln!(gzip, "{} {} {}", i & 1, i >> 1 & 1, (i * i) >> 3 & 1).unwrap();
    }
    let whole = gzip.finish().unwrap();
    fs::write(at("cut.amat.gz"), &whole[..whole.len() / 2]).unwrap();
    refuse("file:cut.amat.gz", &["cut.amat.gz", "gzip"]);
    let mut corrupt = whole.clone();
    corrupt[whole.len() / 2] ^= 0xff;
    fs::write(at("corrupt.amat.gz"), corrupt).unwrap();
    refuse("file:corrupt.amat.gz", &["corrupt.amat.gz"]);
    fs::write(at("other.xyz"), "0 1\n").unwrap();
    refuse("file:other.xyz", &["other.xyz"]);
}

#[test]
fn a_folder_that_holds_another_run_is_left_alone() {
    let folder = folder();
    trained(folder.path(), "run", 1);
    let before = fs::read(folder.path().join("run/run.toml")).unwrap();
    fail(folder.path(), &small_run("run", &["--epochs", "2"]), 2, &["run", "holds another run", "--resume"]);
    assert_eq!(fs::read(folder.path().join("run/run.toml")).unwrap(), before);
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/thesis.tex"), "years of work").unwrap();
    fail(folder.path(), &small_run("mine", &[]), 2, &["mine", "not empty"]);
    fail(folder.path(), &["train", "--resume", "--out", "mine"], 2, &["mine", "not a run folder"]);
    fail(folder.path(), &["train", "--resume"], 2, &["--out"]);
    assert_eq!(fs::read_to_string(folder.path().join("mine/thesis.tex")).unwrap(), "years of work");
}

#[test]
fn a_resumed_run_names_the_keys_that_differ() {
    let folder = folder();
    trained(folder.path(), "run", 1);
    let words = ["seed (0 in the run, 3 now)", "strategy.samples (4 in the run, 7 now)"];
    fail(folder.path(), &["train", "--resume", "--out", "run", "--seed", "3", "--samples", "7"], 2, &words);
    // Epochs, threads and the like may change.
    succeed(
        folder.path(),
        &["train", "--resume", "--out", "run", "--epochs", "2", "--threads", "1", "--quiet"],
    );
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_with_step_and_seed() {
    let folder = folder();
    let wild = ["--epochs", "3", "--optimizer", "sgd", "--lr", "1e38", "--seed", "7"];
    let message = fail(folder.path(), &small_run("wild", &wild), 1, &["at step", "seed 7", "--lr"]);
    assert!(message.contains("bound is") || message.contains("gradient_norm"), "{message}");
    let checkpoints = fs::read_dir(folder.path().join("wild/checkpoint")).unwrap().count();
    assert_eq!(checkpoints, 0, "no checkpoint of a broken model");

    // After a good epoch, its checkpoint is kept and the run can be evaluated and resumed.
    succeed(folder.path(), &small_run("run", &["--epochs", "1", "--optimizer", "sgd", "--lr", "0.5"]));
    let config = folder.path().join("run/run.toml");
    let good = fs::read_to_string(&config).unwrap();
    // As from an older version, which has no hash of its config: otherwise an edited config would be refused.
    let provenance = folder.path().join("run/provenance.json");
    let text = fs::read_to_string(&provenance).unwrap().replace("config_sha256", "nothing");
    fs::write(&provenance, text).unwrap();
    fs::write(&config, good.replace("lr = 0.5", "lr = 1e38").replace("lr_q = 0.5", "lr_q = 1e38")).unwrap();
    let resume = ["train", "--resume", "--out", "run", "--epochs", "3", "--quiet"];
    let message = fail(folder.path(), &resume, 1, &["at step 10", "seed 0"]); // 100 steps make an epoch
    assert!(message.contains("the last good checkpoint, of epoch 1, is kept"), "{message}");
    fs::write(&config, good).unwrap();
    succeed(folder.path(), &["evaluate", "run", "--limit", "20", "--samples", "5", "--json"]);
    succeed(folder.path(), &resume);
}

#[test]
fn evaluation_refuses_what_it_cannot_do() {
    let folder = folder();
    trained(folder.path(), "run", 1);
    let refuse = |args: &[&str], words: &[&str]| fail(folder.path(), args, 2, words);
    refuse(&["evaluate", "nowhere"], &["nowhere", "not a run folder"]);
    refuse(&["evaluate", "run", "--samples", "0"], &["--samples 0"]);
    refuse(&["evaluate", "run", "--split", "tets"], &["tets"]);
    refuse(&["evaluate", "run", "--method", "iss"], &["did you mean `is`?"]);
    refuse(&["evaluate", "run", "--method", "ais"], &["latents of the model are bits", "--method is"]);
    refuse(&["evaluate", "run", "--chains", "4"], &["--chains", "--method ais"]);
    refuse(&["evaluate", "run", "--method", "ais", "--temperatures", "0"], &["--temperatures 0"]);
    refuse(&["evaluate", "run", "--method", "ais", "--samples", "5"], &["--samples", "--chains"]);
    refuse(&["evaluate", "run", "--method", "ais", "--error", "0.1"], &["--error", "--temperatures"]);
    refuse(&["evaluate", "run", "--as", "bihn"], &["bihn"]);
    refuse(&["evaluate"], &["RUN"]);
    refuse(&["evaluate", "--weights", "w.safetensors", "--config", "run/run.toml"], &["w.safetensors"]);
    fs::write(folder.path().join("w.safetensors"), b"not weights").unwrap();
    refuse(&["evaluate", "--weights", "w.safetensors", "--config", "run/run.toml"], &["w.safetensors"]);
    refuse(&["sample", "run", "--out", "picture.bmp"], &["picture.bmp", ".png or .npy"]);
    refuse(&["sample", "run", "--out", "no/such/folder/a.png"], &["no/such/folder"]);
    refuse(&["export", "run", "weights.bin"], &[".safetensors"]);

    succeed(folder.path(), &small_run("large", &["--epochs", "1", "--layers", "30"]));
    refuse(&["evaluate", "large", "--exact"], &["30 latent bits", "--method is"]);
}

#[test]
fn a_run_whose_data_or_layers_have_changed_is_refused() {
    let folder = folder();
    let data = folder.path().join("mine.data");
    let rows =
        |swap: u32| (0..200).map(|i| format!("{},{},1\n", i % 2, (i / 2 + swap) % 2)).collect::<String>();
    fs::write(&data, rows(0)).unwrap();
    let args =
        ["train", "--dataset", "file:mine.data", "--layers", "3", "--epochs", "1", "--quiet", "--out", "run"];
    succeed(folder.path(), &args);
    fs::write(&data, rows(1)).unwrap();
    let resume = ["train", "--resume", "--out", "run", "--epochs", "2", "--quiet"];
    fail(folder.path(), &resume, 2, &["run", "the data have changed"]);
    fail(folder.path(), &["evaluate", "run"], 2, &["the data have changed"]);
    fs::write(&data, rows(0)).unwrap();

    // Layers edited behind the run's back: refused, not a panic.
    let config = folder.path().join("run/run.toml");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("layers = [3]", "layers = [4]")).unwrap();
    fail(folder.path(), &["evaluate", "run"], 2, &["run.toml", "edited"]);
    fail(folder.path(), &resume, 2, &["run.toml", "edited"]);
    // A run of an older version has no hash of its config, but its layers do not fit.
    let provenance = folder.path().join("run/provenance.json");
    let text = fs::read_to_string(&provenance).unwrap().replace("config_sha256", "nothing");
    fs::write(&provenance, text).unwrap();
    fail(folder.path(), &["evaluate", "run"], 2, &["model-1.bpk", "does not fit"]);
    fail(folder.path(), &resume, 2, &["model-1.bpk", "does not fit"]);
    fs::write(&config, good).unwrap();
    succeed(folder.path(), &resume);
}

#[test]
fn weights_of_another_shape_are_refused() {
    let folder = folder();
    trained(folder.path(), "a", 1);
    succeed(folder.path(), &small_run("b", &["--epochs", "1", "--layers", "7,4"]));
    succeed(folder.path(), &["export", "a", "a.safetensors"]);
    fail(folder.path(), &["export", "a", "a.safetensors"], 2, &["already exists", "--force"]);
    fail(
        folder.path(),
        &["evaluate", "--weights", "a.safetensors", "--config", "b/run.toml"],
        2,
        &["a.safetensors"],
    );
}

#[test]
fn unknown_keys_of_stages_and_rates_that_are_not_numbers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (line, words) in [
        ("sample = 5", &["stage 1: unknown key `sample`", "did you mean `samples`?"][..]),
        ("schedul = \"cosine\"", &["stage 1: unknown key `schedul`", "did you mean `schedule`?"]),
        ("lr_q = \"x\"", &["stage 1, lr_q = \"x\": a learning rate must be a number"]),
        ("lr_x = 0.1", &["stage 1, lr_x", "sbn has no group of parameters", "lr, lr_q"]),
    ] {
        fs::write(folder.path().join("stages.toml"), format!("[[stage]]\nepochs = 1\n{line}\n")).unwrap();
        fail(folder.path(), &["train", "stages.toml", "--out", "run"], 2, words);
    }
}
