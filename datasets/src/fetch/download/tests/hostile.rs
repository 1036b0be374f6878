//! Servers that mean no good, and secrets in addresses.

use std::time::Instant;

use super::*;

/// Rules for a server that takes its time.
fn hasty() -> Rules {
    Rules { stall: Duration::from_millis(200), floor: 10_000, attempts: 1, ..rules() }
}

#[test]
fn a_server_below_the_floor_of_speed_is_cut_off() {
    let drip = || Reply::new("200 OK|Content-Length: 999", b"").and_for_ever(b"0", Duration::from_millis(5));
    let (server, place) = (Server::start([drip(), drip()]), Place::new());
    let error = download(&server.url, &place.part, &hasty(), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, DownloadError::Cut { .. }), "{error}");
    // A busy machine may send nothing at all for so long.
    let message = error.to_string();
    let ends = ["below 10000 a second", "nothing came", "took longer than"];
    assert!(ends.iter().any(|end| message.contains(end)), "{message}");
}

#[test]
fn sizes_of_chunks_that_never_end_are_cut_off() {
    // No byte of the body comes of it, and no read has to wait.
    let chunks = || {
        Reply::new("200 OK|Transfer-Encoding: chunked", b"1;").and_for_ever(b"a", Duration::from_millis(20))
    };
    let (server, place) = (Server::start([chunks(), chunks()]), Place::new());
    let started = Instant::now();
    let error = download(&server.url, &place.part, &hasty(), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, DownloadError::Cut { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn headers_that_never_end_are_cut_off() {
    let headers = || Reply::silence().and_for_ever(b"K", Duration::from_millis(5));
    let (server, place) = (Server::start([headers(), headers()]), Place::new());
    let started = Instant::now();
    let error = download(&server.url, &place.part, &hasty(), &mut |_, _| ()).unwrap_err();
    assert!(error.another_mirror_may_help(), "{error}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    place.is_empty();
}

#[test]
fn a_body_without_end_stops_at_the_cap_and_leaves_nothing() {
    let endless = Reply::new("200 OK|Connection: close", b"").and_for_ever(&[b'0'; 900], Duration::ZERO);
    let (server, place) = (Server::start([endless]), Place::new());
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::TooLarge { limit: 1000, said: None, .. }), "{error}");
    place.is_empty();
}

#[test]
fn a_password_is_sent_and_neither_shown_nor_stored() {
    let (server, place) =
        (Server::start([cut_after(5), Reply::new("403 No|Content-Length: 0", b"")]), Place::new());
    let url = server.url.replace("http://", "http://ada:l0velace@");
    let message = place.get(&url).unwrap_err().to_string();
    assert!(server.requests()[0].contains("\r\nauthorization: basic ywrhomwwdmvsywnl\r\n"));
    let note = fs::read_to_string(place.note()).unwrap();
    for text in [&message, &note] {
        assert!(text.contains("http://***@127.0.0.1:") && !text.contains("l0velace"), "{text}");
    }
    // The part is gone on from under the same address.
    let server = Server::start([rest(5, 5)]);
    let shown = server.url.replace("http://", "http://***@");
    fs::write(place.note(), format!("helmholtz download 1\nurl {shown}\nvalidator \"v1\"\nlength 16\n"))
        .unwrap();
    place.get(&server.url.replace("http://", "http://ada:l0velace@")).unwrap();
    place.holds(BODY);
}

#[test]
fn no_error_shows_a_password() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("http://ada:l0velace@127.0.0.1:{port}/x"),
        "ftp://ada:l0velace@127.0.0.1/x".to_owned(),
        "file://ada:l0velace@127.0.0.1/x".to_owned(),
        "http://ada:l0 velace@127.0.0.1/x".to_owned(),
        "http://ada:l0/velace@127.0.0.1/x".to_owned(),
        "http://ada:l0velace@/x".to_owned(),
        "ada:l0velace@127.0.0.1/x".to_owned(),
    ] {
        for https_only in [false, true] {
            let rules = Rules { https_only, attempts: 0, ..rules() };
            let error = download(&url, &place.part, &rules, &mut |_, _| ()).unwrap_err();
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("velace") && !text.contains("ada"), "{url}: {text}");
            }
        }
    }
    let to = Reply::redirect("http://ada:l0velace@127.0.0.1:1/x");
    let server = Server::start([to]);
    let error = place.get(&server.url).unwrap_err().to_string();
    assert!(!error.contains("velace"), "{error}");
    place.is_empty();
}

#[cfg(unix)]
#[test]
fn a_part_that_is_another_files_second_name_is_not_written_to() {
    let place = Place::new();
    let victim = place.folder.path().join("victim");
    fs::write(&victim, "years of work").unwrap();
    fs::hard_link(&victim, &place.part).unwrap();
    let server = Server::start([Reply::whole(BODY)]);
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::NotAFile { .. }), "{error}");
    assert!(error.to_string().contains("hard link"), "{error}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "years of work");
}
