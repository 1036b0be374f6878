//! Sets are fetched whole, verified and once; what goes wrong is a sentence and loses nothing.
//!
//! No network: the server is of this machine. Where only the way of the bytes matters, the files are
//! drawn here, for a set whose hash is not pinned; where the hash matters, real ones are needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::server::{Files, REAL_VALID, Reply, Server, TEST, TRAIN, VALID, at, drawn, real};
use crate::common::{fail, helmholtz, run, succeed};
use helmholtz_datasets::fetch::download::Rules;
use helmholtz_datasets::fetch::{Event, FetchError, Origin, fetch};
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

    /// Expects exit code `code`, and nothing outside `.fetch`.
    #[track_caller]
    fn fail(&self, files: &Files, from: &str, code: i32, words: &[&str]) -> String {
        let message = fail(self.path(), &args(files.id, from), code, words);
        self.is_empty();
        message
    }

    /// Nothing outside `.fetch`.
    #[track_caller]
    fn is_empty(&self) {
        let Ok(entries) = fs::read_dir(&self.data) else { return };
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == ".fetch"), "{names:?}");
    }

    /// What turned out to be the known original waits for the next call; nothing else does.
    fn keeps_only_originals(&self) {
        let waiting = self.data.join(".fetch/uci-mushrooms/uci-nade");
        assert!(!waiting.join(REAL_VALID).exists(), "the file with another value is still there");
        assert!(waiting.join("mushrooms.train.data.gz").exists() && !self.data.join("uci-nade").exists());
    }

    /// Not a byte of a file is kept in `.fetch` either.
    #[track_caller]
    fn is_empty_for_good(&self) {
        let files = files_below(&self.data);
        assert!(files.iter().all(|path| path.extension().is_some_and(|it| it == "lock")), "{files:?}");
    }

    /// The set lies in its place and nothing else does.
    #[track_caller]
    fn holds(&self, files: &Files) {
        for (name, bytes) in &files.bytes {
            assert!(fs::read(self.data.join("uci-nade").join(name)).unwrap() == *bytes, "{name}");
        }
        assert_eq!(files_below(&self.data).len(), 3);
        assert!(!self.data.join(".fetch").exists());
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
    let url = format!("{}/", server.url); // a slash more does no harm
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
fn a_cut_transfer_is_taken_up_again() {
    let cut_first = |n, whole: Reply| if n == 0 { whole.cut_after(500) } else { whole };
    let (server, place) = (drawn().serve_with(TEST, cut_first), Place::new());
    let json = succeed(place.path(), &[&args(drawn().id, &server.url)[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["pinned"], false);
    place.holds(drawn());
    let requests = server.requests();
    let firsts: Vec<_> = requests.iter().map(|request| request.first).collect();
    assert_eq!(firsts, [None, None, None, Some(500)]);
    assert!(requests[3].head.contains("\r\nif-range: \"v1\"\r\n"), "{}", requests[3].head);
}

/// Expects that a call asks for the rest of the second file and all of the third, and completes the set.
#[track_caller]
fn completes_with_the_rest(server: &Server, place: &Place, first: usize) {
    server.requests();
    place.fetch(drawn(), &server.url);
    place.holds(drawn());
    let asked: Vec<_> = server.requests().into_iter().map(|it| (it.path, it.first)).collect();
    assert_eq!(asked, [(at(VALID), Some(first)), (at(TEST), None)]);
}

#[test]
fn a_transfer_cut_each_time_is_an_error_and_a_later_call_asks_for_the_rest() {
    let cut_thrice = |n, whole: Reply| if n < 3 { whole.cut_after(100) } else { whole };
    let (server, place) = (drawn().serve_with(VALID, cut_thrice), Place::new());
    // Not by the program, whose pauses add up to half a minute.
    let pause = Duration::from_millis(1);
    let rules = Rules { https_only: false, attempts: 2, pause, ..Rules::default() };
    let entry = helmholtz_datasets::entry(drawn().id).unwrap();
    let from = Origin::From(server.url.clone());
    let mut failed = Vec::new();
    let mut note = |event: Event<'_>| {
        if let Event::Failed { error } = event {
            failed.push(error.to_string());
        }
    };
    let error = fetch(entry, &place.data, &from, &rules, &mut note).unwrap_err();
    assert!(matches!(error, FetchError::Download(_)) && !error.is_of_the_request(), "{error}");
    assert!(error.to_string().contains("the transfer was cut after 300 of "), "{error}");
    assert_eq!(failed.len(), 5, "after each of the six names but the last: {failed:?}");
    place.is_empty();
    completes_with_the_rest(&server, &place, 300);
}

#[test]
fn a_server_that_fails_on_the_way_back_is_an_error_and_a_later_call_asks_for_the_rest() {
    let place = Place::new();
    let server = drawn().serve_with(VALID, |n, whole| match n {
        0 => whole.cut_after(700),
        1 => Reply::status("503 Service Unavailable"),
        _ => whole,
    });
    let words = ["error: ", VALID, "the server answered `503 Service Unavailable`", "try again later"];
    place.fail(drawn(), &server.url, 1, &words);
    completes_with_the_rest(&server, &place, 700);
}

#[test]
fn two_fetches_of_a_set_do_not_meet() {
    let hold_first = |n, whole: Reply| if n == 0 { whole.cut_after(600).and_silence() } else { whole };
    let (server, place) = (drawn().serve_with(VALID, hold_first), Place::new());
    let mut first = helmholtz();
    first.current_dir(place.path()).args(args(drawn().id, &server.url));
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    server.wait_for(VALID);
    place.fail(drawn(), &server.url, 2, &["another process is fetching this set", ".fetch"]);
    assert!(server.requests().is_empty());

    // A call that was killed is gone on from like one whose transfer was cut.
    let part = place.data.join(format!(".fetch/uci-ocr-letters/uci-nade/{VALID}.part"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::metadata(&part).map_or(0, |part| part.len()) < 600 {
        assert!(Instant::now() < deadline, "{} does not grow", part.display());
        thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    completes_with_the_rest(&server, &place, 600);
}

/// What the user must be told of values that are not those of the real set.
const OTHER: [&str; 3] = [
    "; what was downloaded and is not the original was removed",
    "uci/mushrooms@1: the values have sha256",
    "those of the protocol 2a055d27",
];

#[test]
fn other_values_are_refused_and_removed() {
    let Some(files) = real() else { return };
    let place = Place::new();
    files.with_a_value_changed(REAL_VALID).write(&place.path().join("there"));
    place.fail(&files, "there", 1, &OTHER);
    place.keeps_only_originals();
    place.fetch(&files, &files.serve().url);
    place.holds(&files);
}

#[test]
fn a_file_that_ends_too_early_is_refused_and_removed() {
    let (place, bytes) = (Place::new(), &drawn().bytes[VALID]);
    let cut = drawn().with(VALID, bytes[..bytes.len() / 2].to_owned());
    cut.write(&place.path().join("there"));
    let words = ["what was downloaded", VALID, "the gzip data is truncated or damaged"];
    place.fail(drawn(), "there", 1, &words);
    place.is_empty_for_good();
    // Over HTTP with its right length as well.
    place.fail(drawn(), &cut.serve().url, 1, &words[1..]);
    place.is_empty_for_good();
}

#[test]
fn a_refusal_is_the_error_even_if_a_server_has_no_other_names() {
    let Some(files) = real() else { return };
    let (server, place) = (files.with_a_value_changed(REAL_VALID).serve(), Place::new());
    place.fail(&files, &server.url, 1, &OTHER);
    place.keeps_only_originals();
}

#[test]
fn a_bad_file_of_another_server_does_not_spoil_a_good_one() {
    let Some(files) = real() else { return };
    let place = Place::new();
    let mut bad = files.with_a_value_changed("mushrooms.train.data.gz");
    bad.bytes.remove(REAL_VALID);
    place.fail(&files, &bad.serve().url, 1, &["404"]); // the first file waits
    place.fetch(&files, &files.serve().url);
    place.holds(&files);
}

#[test]
fn a_file_that_was_put_there_is_not_replaced() {
    let missing_first = |n, whole| if n == 0 { Reply::status("404 Not Found") } else { whole };
    let (server, place) = (drawn().serve_with(VALID, missing_first), Place::new());
    place.fail(drawn(), &server.url, 1, &["404"]); // the first file waits
    let own = drawn().with_a_value_changed(TRAIN);
    fs::create_dir_all(place.data.join("uci-nade")).unwrap();
    fs::write(place.data.join("uci-nade").join(TRAIN), &own.bytes[TRAIN]).unwrap();
    place.fetch(drawn(), &server.url);
    place.holds(&own);
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
fn a_length_that_is_too_long_is_not_believed_for_ever() {
    let place = Place::new();
    let server = drawn().serve_with(TRAIN, |n, whole| {
        let bytes = &drawn().bytes[TRAIN];
        let lie = || Reply::new(&format!("200 OK|Content-Length: {}", bytes.len() + 5), bytes);
        if n == 0 { lie() } else { whole }
    });
    place.fetch(drawn(), &server.url);
    place.holds(drawn());
    let firsts: Vec<_> = server.requests().iter().map(|request| request.first).collect();
    let whole = Some(drawn().bytes[TRAIN].len());
    assert_eq!(firsts, [None, whole, None, None, None], "what is beyond the end is asked for once");
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
    // A port that nobody listens at, and that no other test can be given.
    place.fail(drawn(), "http://127.0.0.1:1", 1, &["the server cannot be reached"]);
    place.is_empty_for_good();
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
    place.is_empty_for_good();
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
fn a_place_that_cannot_be_written_is_named() {
    let server = drawn().serve();
    for taken in ["data", "data/.fetch", "data/.fetch/uci-ocr-letters"] {
        let place = Place::new();
        let taken = place.path().join(taken);
        fs::create_dir_all(taken.parent().unwrap()).unwrap();
        fs::write(&taken, "years of work").unwrap();
        let words = [
            taken.strip_prefix(place.path()).unwrap().to_str().unwrap(),
            "a file",
            "move it away, then run it",
        ];
        fail(place.path(), &args(drawn().id, &server.url), 2, &words);
        assert_eq!(fs::read_to_string(&taken).unwrap(), "years of work");
        assert!(server.requests().is_empty());
    }

    // What was downloaded waits until there is room.
    let place = Place::new();
    let taken = place.data.join("uci-nade");
    fs::create_dir(&place.data).unwrap();
    fs::write(&taken, "years of work").unwrap();
    fail(place.path(), &args(drawn().id, &server.url), 1, &["data/uci-nade", "run it again"]);
    assert_eq!(fs::read_to_string(&taken).unwrap(), "years of work");
    assert_eq!(server.requests().len(), 3);
    fs::remove_file(&taken).unwrap();
    place.fetch(drawn(), &server.url);
    place.holds(drawn());
    assert!(server.requests().is_empty());
}
