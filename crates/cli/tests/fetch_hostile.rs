//! Hostile servers and folders: no disk is filled, no link is followed, and no password is shown.

use std::fs;
use std::path::Path;

use crate::common::server::{Reply, Server, TRAIN, at, drawn};
use crate::common::{fail, run};

fn args(from: &str) -> [&str; 8] {
    ["data", "fetch", drawn().id, "--from", from, "--data-dir", "data", "--quiet"]
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.map(|entry| entry.unwrap().path()).map(|path| match path.is_dir() {
        true => bytes_below(&path),
        false => path.metadata().map_or(0, |file| file.len()),
    });
    sizes.sum()
}

#[test]
fn a_file_larger_than_the_catalogue_allows_is_refused_before_it_fills_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = helmholtz_datasets::entry(drawn().id).unwrap().files[0].bytes;
    // One server announces the size, and one just keeps sending.
    let server = Server::start(move |request| match request.path.contains("train.data.gz") {
        true if request.before == 0 => Reply::new("200 OK|Content-Length: 8000000000", b""),
        _ => Reply::status("404 Not Found"),
    });
    let message = fail(folder.path(), &args(&server.url), 1, &["(8000000000 according to the server)"]);
    let cap = 2 * bytes + (1 << 20);
    assert!(message.contains(&format!("more than the {cap} bytes")), "{message}");
    let server = Server::start(move |request| match request.path.ends_with("train.data.gz") {
        true => Reply::new("200 OK|Connection: close", &vec![0; cap as usize + 1]),
        false => Reply::status("404 Not Found"),
    });
    fail(folder.path(), &args(&server.url), 1, &["more than the", "check the address"]);
    assert_eq!(bytes_below(folder.path()), 0, "nothing of it stays");
}

#[test]
fn a_password_in_an_address_is_used_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let server = drawn().serve_with(TRAIN, |n, whole| match n {
        0 => whole.cut_after(100),
        _ => Reply::status("403 Forbidden"),
    });
    let url = server.url.replace("http://", "http://ada:l0velace@");
    let mut said = String::new();
    for more in [&[][..], &["--json"]] {
        let output = run(folder.path(), &[&args(&url)[..7], more].concat());
        assert_eq!(output.status.code(), Some(1));
        said += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
    }
    assert!(said.contains("http://***@127.0.0.1"), "{said}");
    let request = &server.requests()[0];
    assert_eq!(request.path, at(TRAIN));
    assert!(request.head.contains("\r\nauthorization: basic "), "{}", request.head);
    let mut stored = said.into_bytes();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            stored.extend(path.as_os_str().as_encoded_bytes());
            if path.is_dir() { folders.push(path) } else { stored.extend(fs::read(path).unwrap()) }
        }
    }
    assert!(!stored.windows(8).any(|bytes| bytes == b"l0velace"));
    // It is not shown either if the source is taken for a folder.
    let message = fail(folder.path(), &args("ada:l0velace@nowhere/x"), 2, &["is not there"]);
    assert!(!message.contains("l0velace"), "{message}");
}

#[test]
#[cfg(unix)]
fn links_below_the_data_directory_are_not_followed_by_what_is_written() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    fs::create_dir_all(data.join("uci-nade")).unwrap();
    fs::create_dir_all(elsewhere.join("below")).unwrap();
    fs::write(elsewhere.join("victim"), "years of work").unwrap();
    // Killed processes leave folders with such names.
    symlink(&elsewhere, data.join(".helmholtz-fetch-link")).unwrap();
    // It counts as an existing file, so it is not overwritten.
    symlink(elsewhere.join("victim"), data.join("uci-nade").join(TRAIN)).unwrap();
    fail(folder.path(), &args(&drawn().serve().url), 1, &["ocr_letters.train", "file that was there before"]);
    assert_eq!(fs::read_to_string(elsewhere.join("victim")).unwrap(), "years of work");
    assert!(elsewhere.join("below").is_dir() && data.join(".helmholtz-fetch-link").is_symlink());
    assert_eq!(bytes_below(&data.join("uci-nade")), "years of work".len() as u64);
}
