//! Local files, and a disk that does not take the bytes.

use std::io::ErrorKind;

use super::*;

/// The address of a file below the folder of `place`.
fn address(place: &Place, name: &str) -> String {
    format!("file://{}/{name}", place.folder.path().display())
}

#[test]
fn a_local_file_is_copied_and_progress_is_told() {
    let (there, place) = (Place::new(), Place::with_part(b"longer than that other file", "x", "", ""));
    fs::write(there.folder.path().join("data.amat"), BODY).unwrap();
    let mut told = Vec::new();
    let url = address(&there, "data.amat");
    // Unencrypted, but it does not leave the machine.
    download(&url, &place.part, &Rules::default(), &mut |here, total| told.push((here, total))).unwrap();
    place.holds(BODY);
    assert_eq!(told, [(0, Some(16)), (16, Some(16))]);
    place.get(&url.replace("file://", "FILE://localhost")).unwrap();
    place.holds(BODY);
}

#[test]
fn the_path_of_a_local_file_is_percent_decoded() {
    let (there, place) = (Place::new(), Place::new());
    fs::write(there.folder.path().join("räder 100%.amat"), BODY).unwrap();
    place.get(&address(&there, "r%C3%A4der%20100%25.amat")).unwrap();
    place.holds(BODY);
    for bad in
        ["file:///a%", "file:///a%2", "file:///a%+1", "file://elsewhere/a", "file://", "file://localhost"]
    {
        let error = place.get(bad).unwrap_err();
        assert!(matches!(error, DownloadError::Address { .. }), "{bad}: {error}");
    }
}

#[test]
fn a_local_file_must_be_a_regular_file_that_is_there() {
    let (there, place) = (Place::new(), Place::new());
    for (name, problem) in [("missing.amat", "cannot be read"), ("", "is not a regular file")] {
        let error = place.get(&address(&there, name)).unwrap_err();
        assert!(error.another_mirror_may_help());
        assert!(error.to_string().contains(&there.folder.path().display().to_string()), "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
    place.is_empty();
}

#[test]
fn a_local_file_is_not_copied_onto_itself() {
    let place = Place::with_part(BODY, "x", "", "");
    let error = place.get(&address(&place, "data.part")).unwrap_err();
    assert!(error.to_string().contains("onto itself"), "{error}");
    assert_eq!(fs::read(&place.part).unwrap(), BODY);
}

#[test]
fn a_local_file_over_the_cap_is_an_error() {
    let (there, place) = (Place::new(), Place::new());
    fs::write(there.folder.path().join("big"), [b'0'; 1001]).unwrap();
    let error = place.get(&address(&there, "big")).unwrap_err();
    assert!(matches!(error, DownloadError::TooLarge { limit: 1000, said: Some(1001), .. }), "{error}");
    place.is_empty();
}

/// A disk with room for `0` bytes more, and then the error `1`.
struct Filling(usize, ErrorKind);

impl Write for Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len().min(self.0) {
            0 => Err(self.1.into()),
            n => {
                self.0 -= n;
                Ok(n)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_takes_no_more_is_told_from_a_server_that_gives_no_more() {
    for (kind, advice) in [
        (ErrorKind::StorageFull, "free some space"),
        (ErrorKind::QuotaExceeded, "free some space"),
        (ErrorKind::PermissionDenied, "change the permissions"),
        (ErrorKind::ReadOnlyFilesystem, "choose another folder"),
        (ErrorKind::NotFound, "check that the folder exists"),
    ] {
        let mut here = 5;
        let stop = copy(&BODY[5..], &mut Filling(3, kind), &mut here, 1000, &mut |_| ()).unwrap_err();
        let Stop::Write(cause) = stop else { panic!("{stop:?}") };
        let error = DownloadError::disk(Path::new("/data/x.part"), here, cause);
        assert!(!error.another_mirror_may_help());
        assert!(error.to_string().starts_with("/data/x.part: "), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn a_part_that_is_not_a_file_is_refused_and_left_alone() {
    let place = Place::new();
    fs::create_dir(&place.part).unwrap();
    // Nothing is asked of the server.
    let server = Server::start([Reply::whole(BODY)]);
    let error = place.get(&server.url).unwrap_err();
    assert!(!error.another_mirror_may_help());
    assert!(
        error.to_string().contains("here is a directory where the partial download should be"),
        "{error}"
    );
    assert!(place.part.is_dir());
    assert!(server.requests().is_empty());
}

#[cfg(unix)]
#[test]
fn a_part_that_is_a_link_is_not_followed() {
    for target in ["/dev/full", "/nowhere/at/all"] {
        let place = Place::new();
        std::os::unix::fs::symlink(target, &place.part).unwrap();
        let server = Server::start([Reply::whole(BODY)]);
        let error = place.get(&server.url).unwrap_err();
        assert!(matches!(error, DownloadError::NotAFile { found: "a symbolic link", .. }), "{error}");
        assert!(place.part.is_symlink());
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error_of_the_disk() {
    let place = Place::new();
    let part = place.folder.path().join("no/data.part");
    let server = Server::start([Reply::whole(BODY)]);
    let error = download(&server.url, &part, &rules(), &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, DownloadError::Disk { .. }), "{error}");
    assert!(error.to_string().contains("check that the folder exists"), "{error}");
}

#[test]
fn a_note_that_cannot_be_written_is_an_error_of_the_disk() {
    let place = Place::new();
    fs::create_dir(place.note()).unwrap();
    let server = Server::start([Reply::whole(BODY)]);
    let error = place.get(&server.url).unwrap_err();
    assert!(!error.another_mirror_may_help());
    assert!(error.to_string().contains("data.part.from"), "{error}");
    assert_eq!(fs::read_dir(&place.folder).unwrap().count(), 1, "only what was there before is left");
}
