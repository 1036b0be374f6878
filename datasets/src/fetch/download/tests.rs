mod server;

use std::path::PathBuf;

use tempfile::TempDir;

use self::server::{Reply, Server};
use super::*;

const BODY: &[u8] = b"0 1 1 0 1 0 0 1\n";

/// Rules for a server without encryption, with short pauses.
fn rules() -> Rules {
    Rules {
        https_only: false,
        silence: Duration::from_secs(5),
        floor: 1000,
        retries: 2,
        pause: Duration::from_millis(1),
    }
}

/// Rules with short limits, for a slow server.
fn hasty() -> Rules {
    Rules { silence: Duration::from_millis(200), floor: 10_000, retries: 1, ..rules() }
}

/// A path for a file of at most 1000 bytes.
struct There {
    _folder: TempDir,
    file: PathBuf,
}

impl There {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.amat");
        There { _folder: folder, file }
    }

    fn get(&self, place: &Place, rules: &Rules) -> Result<(), DownloadError> {
        match download(place, &self.file, 1000, rules, &mut |_, _| ()) {
            Ok(()) => Ok(()),
            Err(Failure::Place(error)) => Err(error),
            Err(Failure::Disk(cause)) => panic!("{cause}"),
        }
    }

    #[track_caller]
    fn holds(&self, bytes: &[u8]) {
        assert_eq!(fs::read(&self.file).unwrap(), bytes);
    }
}

fn get(server: &Server) -> Result<Vec<u8>, DownloadError> {
    get_by(server, &rules())
}

fn get_by(server: &Server, rules: &Rules) -> Result<Vec<u8>, DownloadError> {
    let there = There::new();
    there.get(&Place::Url(server.url.clone()), rules).map(|()| fs::read(&there.file).unwrap())
}

/// A 200 that announces all of `BODY` and stops after `n` bytes.
fn cut_after(n: usize) -> Reply {
    Reply::new("200 OK|Content-Length: 16", &BODY[..n])
}

#[test]
fn a_whole_file_arrives_and_progress_is_told() {
    let (server, there) = (Server::start([Reply::whole(BODY)]), There::new());
    let mut told = Vec::new();
    let place = Place::Url(server.url.clone());
    let done = download(&place, &there.file, 16, &rules(), &mut |here, total| told.push((here, total)));
    assert!(done.is_ok());
    there.holds(BODY);
    assert_eq!((told[0], told[told.len() - 1]), ((0, Some(16)), (16, Some(16))));
    let request = server.requests().remove(0);
    assert!(request.starts_with("get /data.amat http/1.1\r\n"), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n") && !request.contains("range"), "{request}");
    assert!(
        request.contains(&format!("user-agent: helmholtz/{}\r\n", env!("CARGO_PKG_VERSION"))),
        "{request}"
    );
}

#[test]
fn a_cut_transfer_begins_again() {
    let chunked = "200 OK|Transfer-Encoding: chunked";
    let cut_chunks = Reply::new(chunked, b"9\r\n0 1 1 0 1\r\n");
    for cut in
        [cut_after(5), cut_chunks, Reply::new("200 OK|Content-Length: 16|Connection: close", &BODY[..15])]
    {
        let server = Server::start([cut, Reply::whole(BODY)]);
        assert_eq!(get(&server).unwrap(), BODY);
        assert!(server.requests().iter().all(|request| !request.contains("range")));
    }
    // No byte of a longer first transfer may remain after a shorter second one.
    let server = Server::start([cut_after(9), Reply::whole(b"0 1\n")]);
    assert_eq!(get(&server).unwrap(), b"0 1\n");
}

#[test]
fn a_transfer_cut_each_time_is_an_error_that_says_so() {
    let server = Server::start([cut_after(2), cut_after(9), cut_after(2)]);
    let error = get(&server).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, DownloadError::Cut(_)) && message.starts_with(&server.url), "{message}");
    assert!(message.contains("interrupted after 2 of 16 bytes ("), "{message}");
    assert!(message.contains("tried 3 times; try again later"), "{message}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_is_not_there_is_asked_once_and_one_that_goes_away_more_often() {
    let server = Server::start([Reply::whole(BODY)]);
    get(&server).unwrap();
    let error = get(&server).unwrap_err();
    assert!(matches!(error, DownloadError::Unreachable(_)), "{error}");
    let server = Server::start([cut_after(2)]);
    let error = get(&server).unwrap_err().to_string();
    assert!(error.contains("the server cannot be reached"), "{error}");
}

#[test]
fn bodies_end_where_their_length_says_or_where_they_end() {
    let long = Reply::new("200 OK|Content-Length: 3", BODY);
    assert_eq!(get(&Server::start([long])).unwrap(), BODY[..3]);
    let chunks =
        Reply::new("200 OK|Transfer-Encoding: chunked", b"9\r\n0 1 1 0 1\r\n7\r\n 0 0 1\n\r\n0\r\n\r\n");
    for reply in [Reply::new("200 OK|Connection: close", BODY), chunks] {
        assert_eq!(get(&Server::start([reply])).unwrap(), BODY);
    }
    assert_eq!(get(&Server::start([Reply::whole(b"")])).unwrap(), b"");
}

#[test]
fn a_file_over_the_cap_is_an_error_announced_or_not_and_even_without_end() {
    let body = vec![b'0'; 1001];
    let message = get(&Server::start([Reply::whole(&body)])).unwrap_err().to_string();
    assert!(message.contains("the 1000 bytes that are allowed (1001 according to the server)"), "{message}");
    let close = || Reply::new("200 OK|Connection: close", &body);
    for reply in [close(), close().and_for_ever(&[b'0'; 900], Duration::ZERO)] {
        let message = get(&Server::start([reply])).unwrap_err().to_string();
        assert!(message.contains("the 1000 bytes that are allowed;"), "{message}");
    }
    assert_eq!(get(&Server::start([Reply::whole(&body[1..])])).unwrap(), body[1..]);
}

#[test]
fn ten_redirects_are_followed_and_a_circle_or_a_way_to_nowhere_is_an_error() {
    let circle = |n| (0..n).map(|_| Reply::redirect("/data.amat"));
    assert_eq!(get(&Server::start(circle(10).chain([Reply::whole(BODY)]))).unwrap(), BODY);
    let message = get(&Server::start(circle(11))).unwrap_err().to_string();
    assert!(message.contains("redirected more than 10 times, probably in a loop"), "{message}");
    for to in ["ftp://127.0.0.1/x", "../.."] {
        let error = get(&Server::start([Reply::redirect(to)])).unwrap_err();
        assert!(matches!(error, DownloadError::Request(_) | DownloadError::Answer(_)), "{to}: {error}");
    }
}

#[test]
fn only_https_means_no_http_even_by_redirect() {
    let url = "http://127.0.0.1:9/data.amat";
    let error = There::new().get(&Place::Url(url.to_owned()), &Rules::default()).unwrap_err().to_string();
    assert!(
        error.starts_with(url) && error.contains("not encrypted and therefore not allowed; use an"),
        "{error}"
    );
    // A test server has no certificate, so the error of ureq for such a redirect is made by hand.
    let redirected = Error::RequireHttpsOnly("http://elsewhere/".to_owned());
    let error = in_words(redirected, "https://here/", CONNECT).to_string();
    assert!(
        error.contains("https://here/: ") && error.contains("redirected to http://elsewhere/, which is not"),
        "{error}"
    );
}

#[test]
fn other_answers_than_the_file_are_errors_that_name_them() {
    for (status, named) in [
        ("404 Not Found", "`404 Not Found`"),
        ("500 Oops", "`500 Internal Server Error`"),
        ("204 No Content", "`204 No Content`"),
        ("206 Partial Content", "`206 Partial Content`"),
    ] {
        let server = Server::start([Reply::new(&format!("{status}|Content-Length: 0"), b"")]);
        let error = get(&server).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: the server answered {named}", server.url)), "{error}");
    }
    let error = get(&Server::start([Reply::new("200 OK|Content-Length: many", BODY)])).unwrap_err();
    assert!(matches!(error, DownloadError::Answer(_)), "{error}");
}

#[test]
fn a_server_that_falls_silent_is_cut_off() {
    let server = Server::start([cut_after(5).and_silence(), Reply::whole(BODY)]);
    // The limit for the whole file would not be reached.
    assert_eq!(get_by(&server, &Rules { floor: 100, ..hasty() }).unwrap(), BODY);
    let server = Server::start([Reply::silence(), Reply::silence()]);
    let error = get_by(&server, &Rules { floor: 100, ..hasty() }).unwrap_err();
    assert!(error.to_string().contains("(nothing came in time); tried 2 times"), "{error}");
}

#[test]
fn what_comes_drop_by_drop_is_cut_off_wherever_it_drips() {
    let pause = Duration::from_millis(20);
    for drip in [
        Reply::new("200 OK|Content-Length: 999", b"").and_for_ever(b"0", pause),
        // A chunk size that never ends: no byte of the body arrives, and no single read times out.
        Reply::new("200 OK|Transfer-Encoding: chunked", b"1;").and_for_ever(b"a", pause),
        Reply::silence().and_for_ever(b"K", pause),
    ] {
        let (server, started) = (Server::start([drip]), Instant::now());
        let error = get_by(&server, &Rules { retries: 0, ..hasty() }).unwrap_err();
        let message = error.to_string();
        // A busy machine may send nothing at all for that long.
        assert!(["too slow", "nothing came in time"].iter().any(|end| message.contains(end)), "{message}");
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    }
}

#[test]
fn a_server_below_the_floor_of_speed_is_given_up_long_before_its_largest_file_would_be_there() {
    let drip = Reply::new("200 OK|Content-Length: 999", b"").and_for_ever(b"0", Duration::from_millis(20));
    let (server, started) = (Server::start([drip]), Instant::now());
    // The limit for the largest file is ten seconds; at fifty bytes a second the floor must act within one.
    let rules = Rules { silence: Duration::from_millis(500), floor: 100, retries: 0, ..rules() };
    let error = get_by(&server, &rules).unwrap_err().to_string();
    assert!(error.contains("too slow") && started.elapsed() < Duration::from_secs(8), "{error}");
}

#[test]
fn a_fast_start_does_not_make_up_for_a_drip() {
    let start = Reply::new("200 OK|Content-Length: 999", &[b'0'; 900]);
    let drip = start.and_for_ever(b"0", Duration::from_millis(50));
    let server = Server::start([drip, Reply::whole(BODY)]);
    // The mean speed stays far above the floor until the end, five seconds later.
    let rules = Rules { silence: Duration::from_millis(500), floor: 100, ..rules() };
    assert_eq!(get_by(&server, &rules).unwrap(), BODY);
}

#[test]
fn a_password_is_sent_and_in_no_message() {
    let server = Server::start([Reply::new("403 Forbidden|Content-Length: 0", b"")]);
    let secret = |url: &str| url.replace("://", "://ada:l0velace@");
    let place = Place::Url(secret(&server.url));
    let error = There::new().get(&place, &rules()).unwrap_err().to_string();
    assert!(error.starts_with("http://***@127.0.0.1") && !error.contains("velace"), "{error}");
    assert!(server.requests()[0].contains("\r\nauthorization: basic "));
    for url in ["http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "http://127.0.0.1/a b", "http:///x", "http://"] {
        for https_only in [false, true] {
            let (url, rules) = (secret(url), Rules { https_only, retries: 0, ..rules() });
            let error = There::new().get(&Place::Url(url.clone()), &rules).unwrap_err();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("velace") && !text.contains("ada:"), "{url}: {text}");
            }
        }
    }
    let server = Server::start([Reply::redirect("http://ada:l0velace@127.0.0.1:1/x")]);
    let error = get(&server).unwrap_err().to_string();
    assert!(!error.contains("velace"), "{error}");
}

#[test]
fn what_is_not_an_address_is_an_error_of_the_request() {
    for url in ["ftp://127.0.0.1/x", "http://", "http:///x", "http://127.0.0.1/a b", "https://a\nb/"] {
        let error = There::new().get(&Place::Url(url.to_owned()), &rules()).unwrap_err();
        assert!(matches!(error, DownloadError::Request(_)), "{url}: {error}");
    }
}

#[test]
fn a_file_of_this_machine_is_copied_if_it_is_one_and_within_the_cap() {
    let (from, there) = (tempfile::tempdir().unwrap(), There::new());
    let get = |name: &str| there.get(&Place::File(from.path().join(name)), &Rules::default());
    fs::write(from.path().join("a.amat"), BODY).unwrap();
    get("a.amat").unwrap();
    there.holds(BODY);
    fs::write(from.path().join("big"), [b'0'; 1001]).unwrap();
    for (name, problem) in
        [("", "is not a regular file"), ("b", "cannot be read"), ("big", "more than the 1000")]
    {
        let error = get(name).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains(&from.path().display().to_string()), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_this_machine_that_cannot_be_read_is_an_error_of_the_request_at_once() {
    let (there, place) = (There::new(), Place::File("/proc/self/mem".into()));
    let error = there.get(&place, &Rules { pause: Duration::MAX, ..rules() }).unwrap_err();
    assert!(matches!(error, DownloadError::Request(_)), "{error}");
    assert!(error.to_string().starts_with("/proc/self/mem: cannot be read ("), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_from_a_server_that_gives_no_more() {
    let server = Server::start([Reply::whole(BODY)]);
    let place = Place::Url(server.url.clone());
    match download(&place, Path::new("/dev/full"), 1000, &rules(), &mut |_, _| ()) {
        Err(Failure::Disk(cause)) => assert_eq!(cause.kind(), io::ErrorKind::StorageFull),
        Err(Failure::Place(error)) => panic!("{error}"),
        Ok(()) => panic!("/dev/full took it"),
    }
}
