mod disk;
mod hostile;
mod resume;
mod server;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use tempfile::TempDir;

use self::server::{Reply, Server};
use super::*;

const BODY: &[u8] = b"0 1 1 0 1 0 0 1\n";

/// Rules for a server without encryption, in a hurry.
fn rules() -> Rules {
    Rules {
        https_only: false,
        max_bytes: 1000,
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        floor: 1,
        attempts: 2,
        pause: Duration::from_millis(1),
    }
}

/// A folder with the place for a part.
struct Place {
    folder: TempDir,
    part: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("data.part");
        Place { folder, part }
    }

    /// With a part of `bytes`, and what `from` says of them.
    fn with_part(bytes: &[u8], url: &str, validator: &str, length: &str) -> Self {
        let place = Place::new();
        fs::write(&place.part, bytes).unwrap();
        let note = format!("helmholtz download 1\nurl {url}\nvalidator {validator}\nlength {length}\n");
        fs::write(place.note(), note).unwrap();
        place
    }

    fn note(&self) -> PathBuf {
        self.folder.path().join("data.part.from")
    }

    fn get(&self, url: &str) -> Result<(), DownloadError> {
        download(url, &self.part, &rules(), &mut |_, _| ())
    }

    #[track_caller]
    fn holds(&self, bytes: &[u8]) {
        assert_eq!(fs::read(&self.part).unwrap(), bytes);
        assert_eq!(fs::read_dir(&self.folder).unwrap().count(), 1, "only the part is left");
    }

    #[track_caller]
    fn is_empty(&self) {
        assert_eq!(fs::read_dir(&self.folder).unwrap().count(), 0);
    }
}

/// A 200 that promises all of `BODY` and is cut after `n` bytes.
fn cut_after(n: usize) -> Reply {
    Reply::new("200 OK|Content-Length: 16|ETag: \"v1\"", &BODY[..n])
}

/// A 206 from byte `first` on, claiming to start at `claimed`.
fn rest(first: usize, claimed: usize) -> Reply {
    let length = BODY.len() - first;
    let head = format!(
        "206 Partial Content|Content-Length: {length}|Content-Range: bytes {claimed}-15/16|ETag: \"v1\""
    );
    Reply::new(&head, &BODY[first..])
}

#[test]
fn a_whole_file_arrives_and_progress_is_told() {
    let (server, place) = (Server::start([Reply::whole(BODY)]), Place::new());
    let mut told = Vec::new();
    download(&server.url, &place.part, &rules(), &mut |here, total| told.push((here, total))).unwrap();
    place.holds(BODY);
    assert_eq!(told.first(), Some(&(0, Some(16))));
    assert_eq!(told.last(), Some(&(16, Some(16))));
    let request = server.requests().remove(0);
    assert!(request.starts_with("get /data.amat http/1.1\r\n"), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
    assert!(
        request.contains(&format!("user-agent: helmholtz/{}\r\n", env!("CARGO_PKG_VERSION"))),
        "{request}"
    );
    assert!(!request.contains("range"), "{request}");
}

#[test]
fn an_empty_file_is_a_file() {
    let (server, place) = (Server::start([Reply::whole(b"")]), Place::new());
    place.get(&server.url).unwrap();
    place.holds(b"");
}

#[test]
fn an_unreachable_server_leaves_nothing_behind() {
    let place = Place::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = place.get(&format!("http://{address}/data.amat")).unwrap_err();
    assert!(matches!(error, DownloadError::Unreachable { .. }), "{error}");
    place.is_empty();
}

#[test]
fn bytes_beyond_the_promised_length_are_not_taken() {
    let (server, place) = (Server::start([Reply::new("200 OK|Content-Length: 3", BODY)]), Place::new());
    place.get(&server.url).unwrap();
    place.holds(&BODY[..3]);
    // A 206 whose body has no length of its own.
    let long = Reply::new("206 Partial|Content-Range: bytes 5-15/16", &[&BODY[5..], b"more"].concat());
    let (server, place) = (Server::start([cut_after(5), long]), Place::new());
    place.get(&server.url).unwrap();
    place.holds(BODY);
}

#[test]
fn bodies_without_a_length_are_read_to_their_end() {
    let chunked = "200 OK|Transfer-Encoding: chunked";
    let close = Reply::new("200 OK|Connection: close", BODY);
    let chunks = Reply::new(chunked, b"9\r\n0 1 1 0 1\r\n7\r\n 0 0 1\n\r\n0\r\n\r\n");
    for reply in [close, chunks] {
        let (server, place) = (Server::start([reply]), Place::new());
        place.get(&server.url).unwrap();
        place.holds(BODY);
    }
    // Chunks without their end are a cut; the server may then tell the length.
    let cut = Reply::new(chunked, b"9\r\n0 1 1 0 1\r\n");
    let (server, place) = (Server::start([cut, rest(9, 9)]), Place::new());
    place.get(&server.url).unwrap();
    place.holds(BODY);
}

#[test]
fn a_file_over_the_cap_is_an_error_and_its_part_is_removed() {
    let body = vec![b'0'; 1001];
    let server = Server::start([Reply::whole(&body), Reply::new("200 OK|Connection: close", &body)]);
    let place = Place::new();
    let message = place.get(&server.url).unwrap_err().to_string();
    assert!(
        message.contains("more than the 1000 bytes that are allowed (1001, says the server)"),
        "{message}"
    );
    place.is_empty();
    let message = place.get(&server.url).unwrap_err().to_string();
    assert!(message.contains("more than the 1000 bytes that are allowed;"), "{message}");
    place.is_empty();

    let server = Server::start([Reply::whole(&body[1..])]);
    place.get(&server.url).unwrap();
    place.holds(&body[1..]);

    let server = Server::start([]);
    let place = Place::with_part(&body, &server.url, "", "");
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::TooLarge { .. }), "{error}");
    place.is_empty();
}

#[test]
fn ten_redirects_are_followed_and_a_circle_is_an_error() {
    let circle = |n| (0..n).map(|_| Reply::redirect("/data.amat"));
    let (server, place) = (Server::start(circle(10).chain([Reply::whole(BODY)])), Place::new());
    place.get(&server.url).unwrap();
    place.holds(BODY);

    let (server, place) = (Server::start(circle(11)), Place::new());
    let message = place.get(&server.url).unwrap_err().to_string();
    assert!(message.contains("redirected more than 10 times, so probably in a circle"), "{message}");
    place.is_empty();
}

#[test]
fn a_redirect_to_nowhere_is_an_error() {
    for (to, means) in [("ftp://127.0.0.1/x", "is not an address"), ("../..", "makes no sense")] {
        let (server, place) = (Server::start([Reply::redirect(to)]), Place::new());
        let error = place.get(&server.url).unwrap_err();
        assert!(error.another_mirror_may_help());
        assert!(error.to_string().contains(means), "{to}: {error}");
        place.is_empty();
    }
}

#[test]
fn only_https_means_no_http_even_by_redirect() {
    let place = Place::new();
    let url = "http://127.0.0.1:9/data.amat";
    let error = download(url, &place.part, &Rules::default(), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, DownloadError::Insecure { .. }), "{error}");
    assert!(error.to_string().contains(url), "{error}");

    // No certificate is to be had here; what ureq says of such a redirect is.
    let redirected = ureq::Error::RequireHttpsOnly("http://elsewhere/".to_owned());
    let Failure::Final(error) = client::failure("https://here/", redirected, &rules()) else {
        panic!("final")
    };
    assert!(error.to_string().contains("https://here/: redirected to http://elsewhere/"), "{error}");
    place.is_empty();
}

#[test]
fn other_statuses_are_errors_that_name_them() {
    for (status, named) in [
        ("404 Not Found", "`404 Not Found`"),
        ("500 Oops", "`500 Internal Server Error`"),
        ("204 No Content", "`204 No Content`"),
    ] {
        let server = Server::start([Reply::new(&format!("{status}|Content-Length: 0"), b"")]);
        let place = Place::new();
        let error = place.get(&server.url).unwrap_err();
        assert!(error.another_mirror_may_help());
        assert!(
            error.to_string().starts_with(&format!("{}: the server answered {named}", server.url)),
            "{error}"
        );
        place.is_empty();
    }
    // On the way back to a cut transfer as well; the part stays.
    let (server, place) =
        (Server::start([cut_after(5), Reply::new("403 No|Content-Length: 0", b"")]), Place::new());
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::Status { .. }), "{error}");
    assert_eq!(fs::read(&place.part).unwrap(), &BODY[..5]);
}

#[test]
fn an_answer_that_is_not_http_is_an_error() {
    let reply = Reply::new("200 OK|Content-Length: many", BODY);
    let (server, place) = (Server::start([reply]), Place::new());
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::Answer { .. }), "{error}");
    place.is_empty();
}

#[test]
fn a_server_that_falls_silent_is_cut_off() {
    let (server, place) = (Server::start([cut_after(5).and_silence(), rest(5, 5)]), Place::new());
    let hasty = Rules { stall: Duration::from_millis(200), ..rules() };
    download(&server.url, &place.part, &hasty, &mut |_, _| ()).unwrap();
    place.holds(BODY);
    assert!(server.requests()[1].contains("range: bytes=5-"));

    // Before the end of the headers as well.
    let (server, place) = (Server::start([Reply::silence()]), Place::new());
    let hasty = Rules { attempts: 0, ..hasty };
    let error = download(&server.url, &place.part, &hasty, &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("cut after 0 bytes (nothing came for 200ms)"), "{error}");
    place.is_empty();
}

#[test]
fn pauses_grow_to_half_a_minute() {
    let pauses: Vec<_> = [0, 1, 4, 5, 60].map(|retry| Rules::default().pause_before(retry).as_secs()).into();
    assert_eq!(pauses, [1, 2, 16, 30, 30]);
}

#[test]
fn what_is_not_an_address_is_an_error() {
    let place = Place::new();
    for url in [
        "",
        "data.amat",
        "ftp://127.0.0.1/x",
        "http://",
        "http:///x",
        "http://127.0.0.1/a b",
        "https://a\nb/",
    ] {
        let error = place.get(url).unwrap_err();
        assert!(matches!(error, DownloadError::Address { .. }), "{url}: {error}");
    }
    place.is_empty();
}
