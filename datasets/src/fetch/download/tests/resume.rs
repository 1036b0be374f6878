//! Transfers that are cut and taken up again.

use super::*;

#[test]
fn a_cut_transfer_goes_on_where_it_stopped() {
    let (server, place) = (Server::start([cut_after(5), rest(5, 5)]), Place::new());
    place.get(&server.url).unwrap();
    place.holds(BODY);
    let request = &server.requests()[1];
    assert!(request.contains("\r\nrange: bytes=5-\r\n"), "{request}");
    assert!(request.contains("\r\nif-range: \"v1\"\r\n"), "{request}");
}

#[test]
fn a_weak_tag_gives_way_to_the_date() {
    let date = "Tue, 01 Jul 2025 10:00:00 GMT";
    let first = format!("200 OK|Content-Length: 16|ETag: W/\"v1\"|Last-Modified: {date}");
    let server = Server::start([Reply::new(&first, &BODY[..5]), rest(5, 5)]);
    let place = Place::new();
    place.get(&server.url).unwrap();
    place.holds(BODY);
    let request = &server.requests()[1];
    assert!(request.contains(&format!("\r\nif-range: {}\r\n", date.to_lowercase())), "{request}");
}

#[test]
fn a_transfer_cut_each_time_is_an_error_and_a_later_call_goes_on() {
    let replies = |n: &[usize]| n.iter().map(|&n| rest(n, n)).collect::<Vec<_>>();
    // Two bytes, then nothing: a 206 that is cut at once, as often as we ask.
    let cut = || Reply::new("206 Partial|Content-Length: 14|Content-Range: bytes 2-15/16", b"");
    let mut script = vec![cut_after(2), cut(), cut()];
    script.extend(replies(&[2]));
    let (server, place) = (Server::start(script), Place::new());
    let error = place.get(&server.url).unwrap_err();
    assert!(error.another_mirror_may_help());
    let message = error.to_string();
    assert!(message.starts_with(&server.url), "{message}");
    assert!(message.contains("cut after 2 of 16 bytes (the server closed the connection)"), "{message}");
    assert!(message.contains("taken up again 2 times"), "{message}");
    assert_eq!(server.requests().len(), 3);
    assert_eq!(fs::read(&place.part).unwrap(), &BODY[..2]);

    place.get(&server.url).unwrap();
    place.holds(BODY);
    assert!(server.requests()[0].contains("\r\nrange: bytes=2-\r\n"));
}

#[test]
fn a_server_that_goes_away_in_between_counts_as_cut() {
    let (server, place) = (Server::start([cut_after(2)]), Place::new());
    let error = place.get(&server.url).unwrap_err();
    assert!(
        matches!(error, DownloadError::Cut { received: 2, promised: Some(16), retries: 2, .. }),
        "{error}"
    );
    // A later call that cannot begin says so at once, and keeps the part.
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::Unreachable { .. }), "{error}");
    assert_eq!(fs::read(&place.part).unwrap(), &BODY[..2]);
    assert!(place.note().exists());
}

#[test]
fn a_file_that_changed_is_taken_from_its_beginning() {
    let new = Reply::new("200 OK|Content-Length: 3|ETag: \"v2\"", b"new");
    let (server, place) = (Server::start([cut_after(5), new]), Place::new());
    place.get(&server.url).unwrap();
    place.holds(b"new");
}

#[test]
fn a_wrong_start_begins_afresh() {
    for unfit in [
        rest(5, 4),
        Reply::new("206 Partial|Content-Length: 11", &BODY[5..]),
        Reply::new("206 Partial|Content-Length: 11|Content-Range: bytes 5-15/17", &BODY[5..]),
        Reply::new("206 Partial|Content-Length: 12|Content-Range: bytes 5-16/*", &BODY[5..]),
        Reply::new("206 Partial|Content-Length: 11|Content-Range: bytes 5-15/16|ETag: \"v2\"", &BODY[5..]),
        Reply::new("416 No|Content-Length: 0|Content-Range: bytes */3", b""),
        Reply::new("416 No|Content-Length: 0|Content-Range: bytes */5", b""),
        Reply::new("416 No|Content-Length: 0", b""),
    ] {
        let (server, place) = (Server::start([cut_after(5), unfit, Reply::whole(BODY)]), Place::new());
        place.get(&server.url).unwrap();
        place.holds(BODY);
        assert!(!server.requests()[2].contains("range"));
    }
}

#[test]
fn a_server_that_never_fits_is_not_asked_for_ever() {
    let no = || Reply::new("416 No|Content-Length: 0", b"");
    let script = [cut_after(5), no(), cut_after(5), no(), cut_after(5)];
    let (server, place) = (Server::start(script), Place::new());
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(error, DownloadError::Cut { received: 5, .. }), "{error}");
    // Nor is a range taken that was not asked for.
    let (server, place) = (Server::start([cut_after(5), no(), rest(5, 5)]), place);
    let error = place.get(&server.url).unwrap_err();
    assert!(matches!(&error, DownloadError::Status { status, .. } if status.starts_with("206")), "{error}");
}

#[test]
fn a_part_that_is_already_whole_is_done() {
    for length in ["", "16"] {
        let server = Server::start([Reply::new("416 No|Content-Length: 0|Content-Range: bytes */16", b"")]);
        let place = Place::with_part(BODY, &server.url, "\"v1\"", length);
        place.get(&server.url).unwrap();
        place.holds(BODY);
    }
}

#[test]
fn a_part_that_is_not_known_to_be_of_this_address_is_not_continued() {
    for note in [
        "helmholtz download 1\nurl http://127.0.0.1/other\nvalidator \"v1\"\nlength 16\n",
        "helmholtz download 2\nurl URL\nvalidator \"v1\"\nlength 16\n",
        "helmholtz download 1\nurl URL\nvalidator \"v1\"\nlength 16",
        "helmholtz download 1\nurl URL\nvalidator \"v1\"\nlength many\n",
        "helmholtz download 1\nurl URL\nvalidator \"v1\"\nlength 2\n",
        "helmholtz download 1\nurl URL\nvalidator \"v1\"\r\nlength 16\n",
        "helmholtz download 1\nurl URL\nvalidator \"v1\"\nlength 16\nmore\n",
        "",
    ] {
        let (server, place) = (Server::start([Reply::whole(BODY)]), Place::new());
        fs::write(&place.part, b"xxxxx").unwrap();
        fs::write(place.note(), note.replace("URL", &server.url)).unwrap();
        place.get(&server.url).unwrap();
        place.holds(BODY);
        assert!(!server.requests()[0].contains("range"), "{note}");
    }
    let (server, place) = (Server::start([Reply::whole(BODY)]), Place::new());
    fs::write(&place.part, b"xxxxx").unwrap();
    place.get(&server.url).unwrap();
    place.holds(BODY);
    assert!(!server.requests()[0].contains("range"));
}

#[test]
fn a_part_of_another_address_stays_until_there_is_something_better() {
    let server = Server::start([Reply::new("404 Not Found|Content-Length: 0", b"")]);
    let place = Place::with_part(b"xxxxx", "https://example.org/other", "\"v1\"", "16");
    place.get(&server.url).unwrap_err();
    assert_eq!(fs::read(&place.part).unwrap(), b"xxxxx");
    assert!(fs::read_to_string(place.note()).unwrap().contains("example.org"));
}

#[test]
fn a_redirect_is_followed_and_the_part_belongs_to_the_first_address() {
    let script = [Reply::redirect("/b"), cut_after(5), Reply::redirect("/b"), rest(5, 5)];
    let (server, place) = (Server::start(script), Place::new());
    place.get(&server.url).unwrap();
    place.holds(BODY);
    let requests = server.requests();
    assert!(requests[1].starts_with("get /b "), "{}", requests[1]);
    assert!(requests[2].starts_with("get /data.amat "), "{}", requests[2]);
    assert!(requests[3].contains("\r\nrange: bytes=5-\r\n"), "{}", requests[3]);
    assert!(requests[3].contains("\r\nif-range: \"v1\"\r\n"), "{}", requests[3]);
}
