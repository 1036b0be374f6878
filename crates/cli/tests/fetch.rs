//! Data sets are fetched whole, verified, and only once. Errors end with a message and lose nothing.
//!
//! No network is needed: the server is local. If only the transfer matters, the files are generated here, for a set
//! whose hash is not pinned. If the hash matters, real files are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::common::server::{Files, REAL_VALID, Reply, Server, TEST, TRAIN, VALID, at, drawn, real};
use crate::common::{fail, helmholtz, run, succeed};
use helmholtz_datasets::fetch::{Event, FetchError, Origin, Rules, fetch};
use serde_json::Value;

/// A folder in which the data directory is `data`.
struct Place {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Place { folder, data }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    #[track_caller]
    fn fetch(&self, files: &Files, from: &str) -> String {
        succeed(self.path(), &args(files.id, from))
    }

    /// Expects exit code `code`, and no byte of a file left.
    #[track_caller]
    fn fail(&self, files: &Files, from: &str, code: i32, words: &[&str]) -> String {
        let message = fail(self.path(), &args(files.id, from), code, words);
        self.is_empty();
        message
    }

    /// Checks that nothing at all is left.
    #[track_caller]
    fn is_empty(&self) {
        let entries = fs::read_dir(&self.data).into_iter().flatten();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.is_empty(), "{names:?}");
    }

    /// Checks that the set is in its place and nothing else is.
    #[track_caller]
    fn holds(&self, files: &Files) {
        for (name, bytes) in &files.bytes {
            assert!(fs::read(self.data.join("uci-nade").join(name)).unwrap() == *bytes, "{name}");
        }
        assert_eq!(files_below(&self.data).len(), 3);
        assert_eq!(fs::read_dir(&self.data).unwrap().count(), 1);
    }
}

fn args<'a>(id: &'a str, from: &'a str) -> [&'a str; 7] {
    ["data", "fetch", id, "--from", from, "--data-dir", "data"]
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_set_is_fetched_and_verified_once() {
    let Some(files) = real() else { return };
    let (server, place) = (files.serve(), Place::new());
    let said = place.fetch(&files, &server.url);
    assert!(said.contains("uci/mushrooms@1 is there; data_sha256 2a055d27"), "{said}");
    assert!(said.contains("(the protocol's)"), "{said}");
    place.holds(&files);
    let folder = "/uci-nade/mushrooms";
    assert_eq!(server.paths(), ["train", "valid", "test"].map(|split| format!("{folder}.{split}.data.gz")));

    let said = place.fetch(&files, &server.url);
    assert!(said.starts_with("uci/mushrooms@1 was there already; data_sha256 2a055d27"), "{said}");
    place.holds(&files);
    assert!(server.requests().is_empty());
}

#[test]
fn json_is_one_object_on_standard_output_and_nothing_else() {
    let Some(files) = real() else { return };
    let place = Place::new();
    let server = files.serve_flat();
    let url = format!("{}/", server.url); // an additional slash does no harm
    for n in [3, 0] {
        let output = run(place.path(), &[&args(files.id, &url)[..], &["--json"]].concat());
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let keys: Vec<_> = said.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["data_sha256", "files", "pinned", "protocol"]);
        assert_eq!((&said["protocol"], &said["pinned"]), (&"uci/mushrooms@1".into(), &true.into()));
        assert!(said["data_sha256"].as_str().unwrap().starts_with("2a055d27"));
        let files = said["files"].as_array().unwrap();
        assert_eq!(files.len(), n);
        assert!(files.iter().all(|file| place.path().join(file.as_str().unwrap()).is_file()));
    }
    place.holds(&files);
}

#[test]
fn a_set_without_a_pinned_hash_says_so() {
    let (server, place) = (drawn().serve(), Place::new());
    let said = place.fetch(drawn(), &server.url);
    assert!(said.contains("not pinned: only the sizes could be checked"), "{said}");
    place.holds(drawn());
}

#[test]
fn a_download_that_is_cut_off_begins_again() {
    let cut_first = |n, whole: Reply| if n == 0 { whole.cut_after(500) } else { whole };
    let (server, place) = (drawn().serve_with(TEST, cut_first), Place::new());
    let json = succeed(place.path(), &[&args(drawn().id, &server.url)[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["pinned"], false);
    place.holds(drawn());
    assert_eq!(server.paths(), [TRAIN, VALID, TEST, TEST].map(at));
}

#[test]
fn a_transfer_cut_each_time_is_an_error_and_leaves_nothing() {
    let (server, place) = (drawn().serve_with(VALID, |_, whole| whole.cut_after(100)), Place::new());
    let rules = Rules { https_only: false, retries: 2, pause: Duration::from_millis(1), ..Rules::default() };
    let entry = helmholtz_datasets::entry(drawn().id).unwrap();
    let from = Origin::From(server.url.clone());
    let mut failed = Vec::new();
    let mut note = |event: Event<'_>| {
        if let Event::Failed(error) = event {
            failed.push(error.to_string());
        }
    };
    let error = fetch(entry, &place.data, &from, &rules, &mut note).unwrap_err();
    assert!(matches!(error, FetchError::Download(_)) && !error.is_of_the_request(), "{error}");
    assert!(error.to_string().contains("the transfer was interrupted after 100 of "), "{error}");
    assert_eq!(failed.len(), 5, "after each of the six names but the last: {failed:?}");
    place.is_empty();
}

#[test]
fn a_server_that_fails_on_the_way_back_is_an_error() {
    let server = drawn().serve_with(VALID, |n, whole| match n {
        0 => whole.cut_after(700),
        _ => Reply::status("503 Service Unavailable"),
    });
    let words = ["error: ", VALID, "the server answered `503 Service Unavailable`", "try again later"];
    Place::new().fail(drawn(), &server.url, 1, &words);
}

#[test]
fn two_fetches_of_a_set_do_not_interfere_and_what_a_killed_one_leaves_is_swept() {
    let hold_first = |n, whole: Reply| if n == 0 { whole.cut_after(600).and_silence() } else { whole };
    let (server, place) = (drawn().serve_with(VALID, hold_first), Place::new());
    let mut first = helmholtz();
    first.current_dir(place.path()).args(args(drawn().id, &server.url));
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    server.wait_for(VALID);
    place.fetch(drawn(), &drawn().serve().url);
    let left: Vec<_> = fs::read_dir(&place.data).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [left] = &left.into_iter().filter(|path| !path.ends_with("uci-nade")).collect::<Vec<_>>()[..] else {
        panic!("one folder is left")
    };
    assert!(files_below(left).iter().any(|file| file.ends_with(TRAIN)));
    place.fetch(drawn(), &server.url);
    assert!(left.exists(), "its process is at work");
    first.kill().unwrap();
    first.wait().unwrap();
    place.fetch(drawn(), &server.url);
    place.holds(drawn());
}

#[test]
fn old_folders_without_a_lock_are_swept_and_nothing_else_is() {
    let place = Place::new();
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    let [old, new, mail, notes] =
        [".helmholtz-fetch-old", ".helmholtz-fetch-new", ".fetchmail", ".fetch-notes"]
            .map(|name| place.data.join(name));
    for folder in [&old, &new, &mail, &notes] {
        fs::create_dir_all(folder).unwrap();
        if folder != &new {
            fs::File::open(folder).unwrap().set_modified(two_days_ago).unwrap();
        }
    }
    // A mistake of the user removes nothing.
    fail(place.path(), &args(drawn().id, "nowhere"), 2, &["is not there"]);
    assert!(old.is_dir());
    place.fetch(drawn(), &drawn().serve().url);
    assert!(!old.exists() && new.is_dir() && mail.is_dir() && notes.is_dir());
}

#[test]
fn a_file_that_another_process_puts_there_meanwhile_is_not_replaced() {
    for name in [VALID, "ocr_letters.valid.libsvm"] {
        let place = Place::new();
        let theirs = place.data.join("uci-nade").join(name);
        let put = theirs.clone();
        let server = drawn().serve_with(VALID, move |_, whole| {
            fs::create_dir_all(put.parent().unwrap()).unwrap();
            fs::write(&put, "theirs").unwrap();
            whole
        });
        let words = [name, "another process put it there in the meantime; run the command again"];
        fail(place.path(), &args(drawn().id, &server.url), 2, &words);
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(files_below(&place.data), [theirs]);
    }
}

/// What the message must say about values that are not those of the real set.
const OTHER: [&str; 3] = [
    "; the downloaded files were removed",
    "uci/mushrooms@1: the values have sha256",
    "those of the protocol have 2a055d27",
];

#[test]
fn other_values_are_refused_and_removed() {
    let Some(files) = real() else { return };
    let place = Place::new();
    files.with_a_value_changed(REAL_VALID).write(&place.path().join("there"));
    place.fail(&files, "there", 1, &OTHER);
    place.fetch(&files, &files.serve().url);
    place.holds(&files);
}

#[test]
fn a_file_that_ends_too_early_is_refused_and_removed() {
    let (place, bytes) = (Place::new(), &drawn().bytes[VALID]);
    let cut = drawn().with(VALID, bytes[..bytes.len() / 2].to_owned());
    cut.write(&place.path().join("there"));
    let words = ["the downloaded files", VALID, "the gzip data is truncated or damaged"];
    place.fail(drawn(), "there", 1, &words);
    place.is_empty();
    // Over HTTP with its right length as well.
    place.fail(drawn(), &cut.serve().url, 1, &words[1..]);
    place.is_empty();
}

#[test]
fn a_refusal_is_the_error_even_if_a_server_has_no_other_names() {
    let Some(files) = real() else { return };
    let (server, place) = (files.with_a_value_changed(REAL_VALID).serve(), Place::new());
    place.fail(&files, &server.url, 1, &OTHER);
}

#[test]
fn a_damaged_file_that_was_there_is_named_and_left() {
    let Some(files) = real() else { return };
    let other = files.with_a_value_changed(REAL_VALID);
    let (server, place) = (files.serve(), Place::new());
    let folder = place.data.join("uci-nade");
    other.write(&folder);
    let words = [&OTHER[1..], &["data/uci-nade/mushrooms.valid.data.gz, which is not the original"]].concat();
    fail(place.path(), &args(files.id, &server.url), 2, &words);
    assert!(server.requests().is_empty());
    place.holds(&other);

    fs::remove_file(folder.join("mushrooms.test.data.gz")).unwrap();
    fail(place.path(), &args(files.id, &files.serve().url), 1, &words);
    assert!(fs::read(folder.join(REAL_VALID)).unwrap() == other.bytes[REAL_VALID]);
    assert_eq!(files_below(&folder).len(), 2);
}

#[test]
fn where_nothing_was_downloaded_nothing_is_said_of_it() {
    let Some(files) = real() else { return };
    let place = Place::new();
    files.with_a_value_changed(REAL_VALID).write(&place.data.join("uci-nade"));
    let message = fail(place.path(), &args(files.id, "nowhere"), 2, &OTHER[1..]);
    assert!(message.contains("nothing was downloaded") && !message.contains("removed"), "{message}");
}

#[test]
fn other_values_of_one_address_are_looked_for_at_the_next() {
    let Some(files) = real() else { return };
    let (bad, good, place) = (files.with_a_value_changed(REAL_VALID), files.clone(), Place::new());
    // The first name of each file includes its folder, and the second does not.
    let server = Server::start(move |request| match request.path.starts_with("/uci-nade/") {
        true => bad.answer("/uci-nade/", request),
        false => good.answer("/", request),
    });
    place.fetch(&files, &server.url);
    place.holds(&files);
    let again = format!("/{REAL_VALID}");
    assert_eq!(server.paths().into_iter().skip(3).collect::<Vec<_>>(), [again]);
}

#[test]
fn servers_without_the_files_are_named() {
    let place = Place::new();
    let server = Server::start(|_| Reply::status("404 Not Found"));
    let message = place.fail(drawn(), &server.url, 1, &["`404 Not Found` instead of the file"]);
    for name in ["uci-nade/ocr_letters.train.data.gz", "ocr_letters.train.data", "ocr_letters.train.libsvm"] {
        assert!(message.contains(&format!("{}/{name}: ", server.url)), "{name}: {message}");
    }
    assert_eq!(server.requests().len(), 6, "the other files are not asked for");

    let circle = Server::start(|_| Reply::new("302 Found|Content-Length: 0|Location: /a", b""));
    place.fail(drawn(), &circle.url, 1, &[&circle.url, "redirected more than 10 times"]);
    // A port that nobody listens on, and that no other test can get.
    place.fail(drawn(), "http://127.0.0.1:1", 1, &["the server cannot be reached"]);
    place.is_empty();
}

#[test]
fn a_folder_is_copied_from_and_left_as_it_is() {
    let there = tempfile::tempdir().unwrap();
    let odd = there.path().join("100% räder & more");
    drawn().write(&odd.join("uci-nade"));
    drawn().write(&there.path().join("flat"));
    let odd = odd.to_str().unwrap();
    let folder = there.path().to_str().unwrap();
    let url = format!("file://{}", odd.replace('%', "%25").replace(' ', "%20"));
    for from in [odd, &format!("{odd}/uci-nade/"), &format!("{folder}/flat"), &url] {
        let place = Place::new();
        place.fetch(drawn(), from);
        place.holds(drawn());
    }
    assert_eq!(files_below(there.path()).len(), 6);
}

#[test]
fn a_folder_without_the_files_is_the_users_mistake() {
    let place = Place::new();
    fs::create_dir(place.path().join("there")).unwrap();
    let names = ["data.gz", "data", "libsvm"].map(|ending| format!("uci-nade/ocr_letters.train.{ending}"));
    for from in ["there", "nowhere"] {
        let words = [from, "is not there", &names[0], &names[1], &names[2]];
        place.fail(drawn(), from, 2, &words);
    }
    place.is_empty();
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let (server, place) = (drawn().serve(), Place::new());
    drawn().write(&place.data.join("uci-nade"));
    fs::remove_file(place.data.join("uci-nade").join(VALID)).unwrap();
    let said = place.fetch(drawn(), &server.url);
    assert_eq!(server.paths(), [at(VALID)]);
    assert!(said.starts_with(&format!("data/uci-nade/{VALID}\n")), "{said}");
    assert!(!said.contains(TRAIN), "{said}");
    place.holds(drawn());
}

#[test]
fn ids_that_cannot_be_fetched_are_refused() {
    let place = Place::new();
    for (id, words) in [
        ("bars/5x5", ["bars/5x5", "is built in; there is nothing to fetch"]),
        ("uci/mushroms", ["uci/mushroms", "did you mean `uci/mushrooms`?"]),
        ("file:mine.data", ["file:mine.data", "there is nothing to fetch"]),
    ] {
        fail(place.path(), &args(id, "http://127.0.0.1:9"), 2, &words);
    }
    assert!(!place.data.exists(), "nothing is written");
}

#[test]
fn a_place_that_cannot_be_written_is_named_before_anything_is_asked() {
    let server = drawn().serve();
    for taken in ["data", "data/uci-nade"] {
        let place = Place::new();
        let path = place.path().join(taken);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "years of work").unwrap();
        fail(
            place.path(),
            &args(drawn().id, &server.url),
            2,
            &[taken, "a file", "move it away, then run the command"],
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "years of work");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new();
        fs::create_dir(&place.data).unwrap();
        fs::set_permissions(&place.data, fs::Permissions::from_mode(0o555)).unwrap();
        // Root may write anywhere.
        if fs::write(place.data.join("probe"), "").is_err() {
            place.fail(drawn(), &server.url, 2, &["data: no permission", "choose another folder"]);
        }
    }
    assert!(server.requests().is_empty());
}
