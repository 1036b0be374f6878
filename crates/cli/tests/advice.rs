//! Notes on runs, and hints after mistakes of a newcomer.

use std::fs;
use std::path::Path;

use crate::common::{fail, run};

/// What `helmholtz train` says with these flags, on both streams.
fn said(folder: &Path, flags: &str) -> String {
    let small = ["train", "--set", "train.valid_samples=2", "--set", "train.final_samples=20"];
    let words: Vec<&str> = small.into_iter().chain(flags.split(' ')).collect();
    let output = run(folder, &words);
    assert!(output.status.success(), "{flags}: {}", String::from_utf8_lossy(&output.stderr));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_run_is_told_what_it_may_have_overlooked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nade = said(folder, "--model nade --dataset lines/3x3 --steps 1 --out nade");
    assert!(nade.contains("for NADE itself, without latents, add --layers ''"), "{nade}");
    let plain = said(folder, "--model nade --layers= --dataset lines/3x3 --steps 1 --out plain");
    assert!(!plain.contains("NADE itself"), "{plain}");
    let large = said(folder, "--layers 3 --dataset lines/3x3 --batch 20000 --steps 1 --lr 0 --out large");
    assert!(large.contains("train.batch = 20000 is larger than the 10000 rows"), "{large}");
    assert!(large.contains("independent pixels"), "{large}");
    let short = said(folder, "--layers 6 --dataset lines/3x3 --epochs 2 --lr 0.01 --out short");
    assert!(
        short.contains("still improving") && short.contains("train --resume --out short --epochs 4"),
        "{short}"
    );
    assert!(!short.contains("independent pixels"), "{short}");
}

#[test]
fn a_plan_is_not_a_config_and_the_processor_has_a_plain_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("plan.toml"), "schema = 1\n[[race]]\nstrategies = [\"ws\"]\n").unwrap();
    fs::write(folder.join("config.toml"), "schema = 1\n[model]\nlayers = [3]\n").unwrap();
    fail(folder, &["train", "plan.toml"], 2, &["plan.toml", "helmholtz compare plan.toml"]);
    fail(folder, &["compare", "config.toml"], 2, &["config.toml", "helmholtz train config.toml"]);
    said(folder, "--layers 3 --dataset lines/3x3 --device cpu --steps 1 --out cpu");
    fail(folder, &["train", "--device", "cpi"], 2, &["did you mean `cpu`?"]);
}
