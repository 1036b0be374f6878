//! Several devices train the same model as one, backends resume each other's runs, and the doctor finds nothing wrong.
//!
//! Tests of other backends than `flex` run if the binary has them; `cargo xtask ci --gpu` builds it with them.

use std::fs;

use crate::common::{fail, small_run, succeed};

/// Parameters of a weight file, after its header.
fn weights(path: &std::path::Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

#[test]
fn two_devices_train_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (out, device) in [("one", "flex"), ("two", "flex,flex"), ("three", "flex, flex, flex")] {
        // Both phases, so that dreams are split as well; an epoch's last batch is smaller.
        let more = ["--epochs", "2", "--set", "strategy.phi=both", "--device", device];
        // 10 000 rows in batches of 300: the last has 100.
        let words = small_run(out, &more);
        let words: Vec<&str> =
            words.into_iter().map(|word| if word == "50" { "300" } else { word }).collect();
        succeed(folder, &words);
        succeed(folder, &["export", out, &format!("{out}.safetensors")]);
    }
    let one = weights(&folder.join("one.safetensors"));
    for other in ["two", "three"] {
        let other = weights(&folder.join(format!("{other}.safetensors")));
        assert_eq!(one.len(), other.len());
        // Adam divides by the root of small squares, which magnifies rounding; a step moves a weight by 1e-3.
        let apart = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(apart < 1e-4, "{apart}");
    }
    let records = |run: &str| fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
    assert_eq!(records("one").lines().count(), records("three").lines().count());

    // The run on two devices is resumed on one.
    let more = ["train", "--resume", "--out", "two", "--epochs", "3", "--device", "flex", "--quiet"];
    succeed(folder, &more);
    assert!(records("two").contains("\"epoch\":3"));
}

/// The largest difference between the weights of two runs that differ only in their device.
#[cfg(any(feature = "ndarray", feature = "wgpu", feature = "remote"))]
fn apart(folder: &std::path::Path, a: &str, b: &str) -> f32 {
    let [a, b] = [a, b].map(|run| {
        let file = format!("{run}.safetensors");
        succeed(folder, &["export", run, &file, "--force"]);
        weights(&folder.join(file))
    });
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max)
}

/// The difference that rounding and Adam's division by small roots can make after 400 steps of 1e-3 each.
#[cfg(any(feature = "ndarray", feature = "wgpu", feature = "remote"))]
const ROUNDING: f32 = 1e-3;

#[test]
#[cfg(feature = "ndarray")]
fn ndarray_trains_the_run_of_flex_to_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Rectified units let rounding grow: after some hundred steps two runs of a vae have parted by more than that.
    let sbn = &["--epochs", "2"][..];
    for model in [sbn, &["--model", "vae", "--layers", "3", "--strategy", "iwae", "--steps", "20"]] {
        for device in ["flex", "ndarray"] {
            let more = [&["--device", device], model].concat();
            let out = format!("{device}-{}", model.len());
            succeed(folder, &small_run(&out, &more));
        }
        let n = model.len();
        let apart = apart(folder, &format!("flex-{n}"), &format!("ndarray-{n}"));
        assert!(apart < ROUNDING, "{model:?}: {apart}");
    }
}

#[test]
#[cfg(feature = "wgpu")]
fn flex_and_wgpu_go_on_with_each_others_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(folder, &small_run("whole", &["--epochs", "2", "--device", "flex"]));
    for (out, first, second) in [("there", "flex", "wgpu"), ("back", "wgpu", "flex")] {
        succeed(folder, &small_run(out, &["--epochs", "1", "--device", first]));
        succeed(folder, &["train", "--resume", "--out", out, "--epochs", "2", "--device", second, "--quiet"]);
        let apart = apart(folder, "whole", out);
        assert!(apart < ROUNDING, "{first}, then {second}: {apart}");
        // Both epochs are recorded once, and their likelihoods are those of the whole run.
        let nll = |run: &str| -> Vec<f64> {
            let records = fs::read_to_string(folder.join(run).join("metrics.jsonl")).unwrap();
            let records =
                records.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            records.filter_map(|record| record["nll"].as_f64()).collect()
        };
        let (whole, parts) = (nll("whole"), nll(out));
        assert!(whole.len() >= 2 && whole.len() == parts.len(), "{whole:?} and {parts:?}");
        assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-2), "{whole:?} and {parts:?}");
    }
}

#[test]
fn what_devices_cannot_share_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |more: &[&str], words: &[&str]| {
        let two = ["--device", "flex,flex", "--steps", "3"];
        fail(folder.path(), &small_run("run", &[&two[..], more].concat()), 2, words);
        assert!(!folder.path().join("run").exists());
    };
    for words in [&["--strategy", "nvil"][..], &["--model", "vae", "--layers", "2", "--strategy", "coupled"]]
    {
        refuse(words, &["several devices", "remembers from batch to batch", "train on one"]);
    }
    let em = ["train", "--model", "mob", "--strategy", "em", "--device", "flex,flex", "--out", "run"];
    fail(folder.path(), &em, 2, &["several devices", "remembers from batch to batch"]);
    refuse(&["--set", "optimizer.average=0.9"], &["several devices", "average of the weights"]);
    refuse(&["--set", "optimizer.clip_norm=1"], &["several devices", "clipping"]);
    let small = ["train", "--batch", "3333", "--device", "flex,flex", "--out", "run"];
    fail(folder.path(), &small, 2, &["several devices", "1 rows for 2", "another batch"]);
    fail(folder.path(), &small_run("run", &["--device", "flex,flx"]), 2, &["did you mean `flex`?"]);
    let one = small_run("run", &["--steps", "3"]);
    succeed(folder.path(), &one);
    fail(folder.path(), &["evaluate", "run", "--device", "flex,flex"], 2, &["only training takes several"]);
}

#[test]
fn the_doctor_finds_nothing_wrong_with_the_processor() {
    let folder = tempfile::tempdir().unwrap();
    let found = succeed(folder.path(), &["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(found["missed"], 0);
    // Rounding is seen: single precision against double.
    assert!(rows.len() > 40 && rows.iter().any(|row| row["deviation"].as_f64().unwrap() > 1e-9));
    for name in ["product", "bernoulli", "nade", "coupled, disir", "gibbs", "annealed importance sampling"] {
        assert!(rows.iter().any(|row| row["name"] == name), "{name} is not among the rows");
    }
    fail(folder.path(), &["doctor", "--device", "cdua"], 2, &["did you mean `cuda`?"]);
}

/// Devices that another process lends.
#[cfg(feature = "remote")]
mod lent {
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Child, Stdio};

    use super::{apart, fs};
    use crate::common::{fail, helmholtz, small_run, succeed};

    /// A server and its address; it ends with the test.
    struct Server(Child, String);

    impl Server {
        fn start(token: Option<&str>) -> Server {
            let mut command = helmholtz();
            command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
            command.envs(token.map(|token| ("HELMHOLTZ_TOKEN", token)));
            let mut server = command.spawn().unwrap();
            let mut line = String::new();
            BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let device = line.split(' ').find(|word| word.starts_with("remote:")).expect(&line);
            Server(server, device.trim_end_matches(';').to_string())
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_lent_device_trains_the_run_of_flex_to_rounding() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let Server(_, device) = &Server::start(None);
        for (out, device) in [("here", "flex"), ("there", device)] {
            succeed(folder, &small_run(out, &["--steps", "60", "--device", device]));
        }
        let apart = apart(folder, "here", "there");
        assert!(apart < super::ROUNDING, "{apart}");
        // Its likelihood as well, by the same samples.
        let nll = |run: &str, device: &str| {
            let words = ["evaluate", run, "--samples", "20", "--limit", "50", "--json", "--quiet"];
            let found = succeed(folder, &[&words[..], &["--device", device]].concat());
            serde_json::from_str::<serde_json::Value>(&found).unwrap()["nll"].as_f64().unwrap()
        };
        assert!((nll("there", device) - nll("there", "flex")).abs() < 1e-4);
    }

    #[test]
    fn a_client_without_the_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let Server(_, device) = &Server::start(Some("of the server"));
        let words = small_run("run", &["--steps", "3", "--device", device]);
        fail(folder, &words, 2, &[device, "HELMHOLTZ_TOKEN"]);
        let other =
            helmholtz().current_dir(folder).args(&words).env("HELMHOLTZ_TOKEN", "another").output().unwrap();
        assert_eq!(other.status.code(), Some(2));
        assert!(!folder.join("run").exists());
        let right = helmholtz()
            .current_dir(folder)
            .args(&words)
            .env("HELMHOLTZ_TOKEN", "of the server")
            .output()
            .unwrap();
        assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    }

    #[test]
    fn a_server_says_whom_it_refuses_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut command = helmholtz();
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("HELMHOLTZ_TOKEN", "of the server");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let device = line.split(' ').find(|word| word.starts_with("remote:")).unwrap().trim_end_matches(';');
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let server = Server(child, device.to_owned());
        let ask = |device: &str, token: &str| {
            let words = small_run("run", &["--steps", "3", "--device", device]);
            let output = helmholtz().current_dir(folder).args(&words).env("HELMHOLTZ_TOKEN", token).output();
            assert_eq!(output.unwrap().status.code(), Some(2));
        };
        let mut next = || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            line
        };
        ask(&server.1, "another");
        let line = next();
        let words = ["refused ", "127.0.0.1:", "does not know the token of HELMHOLTZ_TOKEN"];
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
        assert!(!line.contains("another"), "the token that was tried is not shown: {line}");
        ask(&format!("{}/7", server.1), "of the server");
        let line = next();
        assert!(line.contains("it asked for device 7 of 1"), "{line}");
    }

    #[test]
    fn a_server_that_ends_ends_the_run_with_a_sentence_and_flex_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let server = Server::start(None);
        let device = server.1.clone();
        let words = small_run("run", &["--epochs", "500", "--device", &device]);
        let training = helmholtz()
            .current_dir(folder)
            .args(&words)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&folder.join("run/checkpoint"));
        drop(server);
        let output = training.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(&device) && stderr.contains("--resume") && !stderr.contains("panicked"),
            "{stderr}"
        );
        let epoch = || {
            let records = fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap();
            let last =
                serde_json::from_str::<serde_json::Value>(records.lines().next_back().unwrap()).unwrap();
            last["epoch"].as_u64().unwrap()
        };
        let (before, epochs) = (epoch(), (epoch() + 1).to_string());
        succeed(
            folder,
            &["train", "--resume", "--out", "run", "--epochs", &epochs, "--device", "flex", "--quiet"],
        );
        assert_eq!(epoch(), before + 1);
    }

    fn wait_for(path: &Path) {
        let started = std::time::Instant::now();
        let is_there = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        while !is_there() {
            assert!(started.elapsed().as_secs() < 120, "{} did not come", path.display());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    #[test]
    fn addresses_that_lead_to_no_device_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let refuse = |device: &str, words: &[&str]| {
            fail(folder, &small_run("run", &["--steps", "3", "--device", device]), 2, words);
            assert!(!folder.join("run").exists());
        };
        refuse("remote", &["name the server", "helmholtz serve"]);
        refuse("remote:here", &["`here` is not the address"]);
        refuse("remote::3000", &["is not the address"]);
        refuse("remote:127.0.0.1:1", &["remote:127.0.0.1:1", "`helmholtz serve`"]);
        let Server(_, device) = &Server::start(None);
        refuse(&format!("{device}/7"), &["/7"]);
        refuse(&format!("{device}/x"), &["`x` is not the number"]);
        fail(folder, &["serve", "--listen", "0.0.0.0:0"], 2, &["HELMHOLTZ_TOKEN", "127.0.0.1"]);
        fail(folder, &["serve", "--listen", "nowhere"], 2, &["--listen nowhere"]);
        fail(folder, &["serve", "--device", device], 2, &[device, "cannot be lent on"]);
    }
}
