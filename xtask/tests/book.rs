//! The shell blocks of README.md and of the pages in docs/ run as they are written, through the real program.

#[allow(dead_code, reason = "the words of commands are for the tests of xtask")]
#[path = "../src/book/blocks.rs"]
mod blocks;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use blocks::{Block, Page};

/// A folder with a program `helmholtz`.
fn program() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("helmholtz");
    fs::write(&file, format!("#!/bin/sh\nexec '{}' helmholtz \"$@\"\n", env!("CARGO_BIN_EXE_xtask")))
        .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Runs the blocks of a page in an empty folder, in one shell that ends at the first failure.
fn run(file: &str, blocks: &[&Block], programs: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let script: String = blocks.iter().map(|block| block.text.as_str()).collect();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path());
    shell.env("PATH", path).env_remove("HELMHOLTZ_DATA").env("HOME", folder.path());
    // The program ends when its standard input does, so the other end stays open while it runs.
    let (stdin, open) = std::io::pipe().unwrap();
    let output = shell.stdin(stdin).output().unwrap();
    drop(open);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}: {}\n{said}", output.status);
}

#[test]
fn the_blocks_of_every_page_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let programs = program();
    let of_run = |page: &Page| page.blocks.iter().any(|block| block.is_run);
    let pages: Vec<Page> = blocks::pages(root).unwrap().into_iter().filter(of_run).collect();
    assert!(pages.len() > 5, "{} pages with blocks that run", pages.len());
    // Small models do not use two cores; two pages at a time do.
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let blocks: Vec<&Block> = page.blocks.iter().filter(|block| block.is_run).collect();
                    run(&page.file, &blocks, programs.path());
                    println!("{}: {:.1} s", page.file, begun.elapsed().as_secs_f64());
                }
            });
        }
    });
}
