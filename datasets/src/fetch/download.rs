//! Downloads one file from one place, always from its beginning.
//!
//! This module does not know what the file should hold. The caller has to check it: if a server sends no length and
//! closes the connection early, the loss cannot be seen here.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{StatusCode, Uri};
use ureq::{Agent, Error, Timeout};

use crate::fetch::error::DownloadError;
use crate::fetch::origin::Place;
use crate::fetch::secret::redacted;

const USER_AGENT: &str = concat!("helmholtz/", env!("CARGO_PKG_VERSION"));
/// Limit for resolving the host name, and for connecting to it.
const CONNECT: Duration = Duration::from_secs(30);
/// Limit of redirects.
const REDIRECTS: u32 = 10;
/// Bytes requested from the connection at a time; the size of its own buffer.
const BUFFER: usize = 128 << 10;

/// Limits of a download, besides the size of each file.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Refuse `http://`, in the address and in redirects. `file://` is allowed either way.
    pub https_only: bool,
    /// How long a server may send nothing; after that the transfer counts as interrupted.
    pub silence: Duration,
    /// Bytes a second that a server has to send, in each span of `silence`; a slower transfer counts as interrupted.
    pub floor: u64,
    /// How many times an interrupted transfer is started again, per address.
    pub retries: u32,
    /// The pause before an interrupted transfer is started again; each further pause is twice as long.
    pub pause: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            https_only: true,
            silence: Duration::from_secs(60),
            floor: 4 << 10,
            retries: 3,
            pause: Duration::from_secs(1),
        }
    }
}

/// Why a file was not downloaded.
pub(super) enum Failure {
    /// The place failed; another one may work.
    Place(DownloadError),
    /// The local disk failed.
    Disk(io::Error),
}

/// Downloads a file of at most `cap` bytes to `to`, in a folder that no other process writes to.
///
/// `progress` gets the number of bytes received so far and the total, if it is known. After an error a part of the file
/// may be there.
pub(super) fn download(
    place: &Place,
    to: &Path,
    cap: u64,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Failure> {
    let mut retry = 0;
    loop {
        let error = match attempt(place, to, cap, rules, progress) {
            Err(Failure::Place(error)) => error,
            done => return done,
        };
        let may_go_better = match error {
            DownloadError::Cut(_) => true,
            // A server that answered before may come back. If it never answered, give up at once: the next address is
            // tried sooner, and a user who is offline need not wait.
            DownloadError::Unreachable(_) => retry > 0,
            _ => false,
        };
        if !may_go_better || retry == rules.retries {
            let again = |cut| format!("{cut}; tried {} times; try again later", retry + 1);
            return Err(Failure::Place(match error {
                DownloadError::Cut(cut) => DownloadError::Cut(again(cut)),
                error => error,
            }));
        }
        let pause = rules.pause.saturating_mul(1 << retry.min(16));
        tracing::warn!("{error}; starting again after {pause:?}");
        thread::sleep(pause);
        retry += 1;
    }
}

fn attempt(
    place: &Place,
    to: &Path,
    cap: u64,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Failure> {
    let url = place.shown();
    let longest = rules.silence.saturating_add(Duration::from_secs(cap / rules.floor.max(1)));
    let (mut from, promised) = match place {
        Place::Url(asked) => ask(asked, longest, rules).map_err(|error| in_words(error, &url, longest)),
        Place::File(path) => open(path),
    }
    .map_err(Failure::Place)?;
    let too_large = |said: &str| {
        Failure::Place(DownloadError::Answer(format!(
            "{url}: the file has more than the {cap} bytes that are allowed{said}; no file of this data set is that \
             large, so check the address"
        )))
    };
    if let Some(said) = promised.filter(|promised| *promised > cap) {
        return Err(too_large(&format!(" ({said} according to the server)")));
    }
    let mut file = File::create(to).map_err(Failure::Disk)?;
    let (mut received, mut buffer) = (0, vec![0; BUFFER]);
    let mut window = (Instant::now(), 0);
    let cause = loop {
        progress(received, promised);
        match from.read(&mut buffer) {
            Ok(0) if promised.is_some_and(|promised| received < promised) => {
                break "fewer bytes came than announced".to_owned();
            }
            // Some file systems report only now that the disk is full.
            Ok(0) => return file.sync_all().map_err(Failure::Disk),
            Ok(n) => {
                received += n as u64;
                if received > cap {
                    return Err(too_large(""));
                }
                let (since, before) = window;
                let (elapsed, came) = (since.elapsed(), received - before);
                if elapsed >= rules.silence {
                    if (came as f64) < rules.floor as f64 * elapsed.as_secs_f64() {
                        break format!("too slow, {came} bytes in {elapsed:.1?}");
                    }
                    window = (Instant::now(), received);
                }
                file.write_all(&buffer[..n]).map_err(Failure::Disk)?;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => match cause.into() {
                slow @ Error::Timeout(Timeout::Global) => {
                    return Err(Failure::Place(in_words(slow, &url, longest)));
                }
                cause => break words(&cause),
            },
        }
    };
    if let Place::File(path) = place {
        return Err(Failure::Place(unreadable(path, &format!("cannot be read ({cause})"))));
    }
    let of = promised.map_or(String::new(), |promised| format!(" of {promised}"));
    let cut = format!("{url}: the transfer was interrupted after {received}{of} bytes ({cause})");
    Err(Failure::Place(DownloadError::Cut(cut)))
}

/// The bytes of a file, and their number if it is known.
type Incoming = (Box<dyn Read>, Option<u64>);

fn unreadable(path: &Path, problem: &str) -> DownloadError {
    DownloadError::Request(format!("{}: {problem}; check the path and its permissions", path.display()))
}

/// Opens a local file.
fn open(path: &Path) -> Result<Incoming, DownloadError> {
    let failed = |cause| unreadable(path, &format!("cannot be read ({cause})"));
    // Check before opening, because opening a pipe waits for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(unreadable(path, "is not a regular file"));
    }
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok((Box::new(file), Some(length)))
}

/// Requests a file from a server.
fn ask(url: &str, longest: Duration, rules: &Rules) -> Result<Incoming, Error> {
    let mut config = Agent::config_builder()
        .https_only(rules.https_only)
        .max_redirects(REDIRECTS)
        .user_agent(USER_AGENT)
        // A compressed body would not match the hash.
        .accept_encoding("identity")
        // An idle connection may be dead; that would count as an interrupted transfer.
        .max_idle_connections(0)
        // For delays outside the body, such as chunk sizes that arrive byte by byte.
        .timeout_global(Some(longest))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(rules.silence))
        .timeout_per_read(Some(rules.silence));
    // A proxy would look for a local server on its own machine.
    let uri: Uri = url.parse().map_err(|cause| Error::Http(ureq::http::Error::from(cause)))?;
    if matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        config = config.proxy(None);
    }
    let response = Agent::from(config.build()).get(uri).call()?;
    match response.status().as_u16() {
        200 => {}
        other => return Err(Error::StatusCode(other)),
    }
    let promised = response.body().content_length();
    Ok((Box::new(response.into_body().into_reader()), promised))
}

/// The error to report for a server that did not give a file.
fn in_words(error: Error, url: &str, waited: Duration) -> DownloadError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    const CHECK: &str = "check the address and your proxy settings, or try again later";
    let cause = words(&error);
    let is_cut = match &error {
        Error::Timeout(limit) => !matches!(limit, Timeout::Resolve | Timeout::Connect),
        Error::Io(io) => {
            matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        _ => false,
    };
    match error {
        Error::BadUri(_) | Error::Http(_) => DownloadError::Request(format!(
            "{url}: is not a valid address, or redirects to an invalid one ({cause}); write https://HOST/PATH or \
             file:///PATH"
        )),
        Error::StatusCode(_) => DownloadError::Answer(format!(
            "{url}: the server answered `{cause}` instead of the file; {CHECK}"
        )),
        Error::Timeout(Timeout::Global) => DownloadError::Answer(format!(
            "{url}: too slow: the file was not complete after {waited:.1?}; {CHECK}"
        )),
        _ if is_cut => {
            DownloadError::Cut(format!("{url}: the transfer was interrupted before it began ({cause})"))
        }
        Error::RequireHttpsOnly(_) if !url.get(..6).is_some_and(|it| it.eq_ignore_ascii_case("https:")) => {
            DownloadError::Request(format!(
                "{url}: http:// is not encrypted and therefore not allowed; use an https:// address"
            ))
        }
        Error::RequireHttpsOnly(to) => DownloadError::Answer(format!(
            "{url}: redirected to {}, which is not encrypted and therefore not allowed; use another https:// address",
            redacted(&to)
        )),
        Error::TooManyRedirects => DownloadError::Answer(format!(
            "{url}: redirected more than {REDIRECTS} times, probably in a loop; use another address"
        )),
        Error::Protocol(_) | Error::LargeResponseHeader(..) => DownloadError::Answer(format!(
            "{url}: the server sent an invalid response or redirect ({cause}); {CHECK}"
        )),
        _ => DownloadError::Unreachable(format!(
            "{url}: the server cannot be reached ({cause}); check the network, or try again later"
        )),
    }
}

/// An error of ureq in plain words and without passwords.
fn words(error: &Error) -> String {
    match error {
        Error::StatusCode(code) => StatusCode::from_u16(*code).map_or(code.to_string(), |it| it.to_string()),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => format!("no connection within {CONNECT:?}"),
        Error::Timeout(_) => "nothing came in time".to_owned(),
        Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        Error::Io(cause) => cause.to_string(),
        error => redacted(&error.to_string()),
    }
}

#[cfg(test)]
mod tests;
