//! Downloads one file from one address, and goes on where an earlier attempt stopped.
//!
//! The bytes go to a partial file, the *part*. A note beside it, `<part>.from`, says which address
//! and which version of the file they are from, so that a cut transfer is taken up again (with
//! `Range` and `If-Range`) in this call or in a later one. Nothing here knows what the file should
//! hold: the caller verifies its hash and then gives it its name. That check is needed, because a
//! server that tells no length may close the connection early and nobody can see it.

mod client;
mod error;
mod local;
mod pace;
mod part;
mod secret;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use client::{ContentRange, Failure};
pub use error::DownloadError;
use pace::Paced;
use part::{Origin, Part};
pub use secret::redacted;

/// Redirects that are followed from one address.
const MAX_REDIRECTS: u32 = 10;
/// The pauses between attempts grow no longer than this.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Bytes asked of the connection at a time; as many as its own buffer holds.
const BUFFER: usize = 128 << 10;

/// How a download is bounded.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Refuse `http://`, in the address and in redirects. `file://` is allowed either way.
    pub https_only: bool,
    /// Bytes that a file may have.
    pub max_bytes: u64,
    /// How long finding the host may take, and again connecting to it.
    pub connect: Duration,
    /// How long a server may send nothing; after that the transfer counts as cut.
    pub stall: Duration,
    /// Bytes a second that a server has to send, on average over each `stall`; a slower transfer counts as cut.
    pub floor: u64,
    /// How many times a cut transfer is taken up again, at one address.
    pub attempts: u32,
    /// The pause before a cut transfer is taken up again; each next one is twice as long, up to 30 s.
    pub pause: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            https_only: true,
            max_bytes: 8 << 30,
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            floor: 4 << 10,
            attempts: 5,
            pause: Duration::from_secs(1),
        }
    }
}

impl Rules {
    /// How long the body of one answer may take: that of the largest file at the lowest speed.
    fn longest(&self) -> Duration {
        self.stall.saturating_add(Duration::from_secs(self.max_bytes / self.floor.max(1)))
    }

    fn pause_before(&self, retry: u32) -> Duration {
        self.pause.saturating_mul(1 << retry.min(16)).min(MAX_PAUSE)
    }
}

/// An address to ask, and what may be shown and stored of it.
struct Address<'a> {
    url: &'a str,
    shown: String,
}

/// Downloads `url` (`https://`, `http://` if allowed, `file://`) to `part`, going on where an earlier
/// attempt stopped.
///
/// `progress` is told the bytes that are here so far and the total, if the server said it. The first
/// number falls back to 0 when a server makes us start afresh. The folder of `part` must exist, and
/// nobody else may write `part` meanwhile. After `Ok` the note is gone, so that another call would
/// start afresh. A `file://` source is copied from its beginning each time.
///
/// A name and a password in the address (`https://NAME:PASSWORD@HOST/PATH`) are sent to its host. Messages, logs and
/// the note show `***` instead.
///
/// # Errors
/// The server or the disk failed, or the file breaks a rule; see [`DownloadError`]. Bytes that
/// arrived stay in `part` for a later call, except those of a file that is too large.
pub fn download(
    url: &str,
    part: &Path,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), DownloadError> {
    if let Some(source) = local::path_of(url)? {
        return local::copy(url, &source, part, rules, progress);
    }
    let agent = client::agent(url, rules)?;
    let address = Address { url, shown: redacted(url) };
    let mut part = Part::open(part, &address.shown)?;
    let result = transfer(&agent, &address, &mut part, rules, progress);
    if result.is_err() {
        part.remove_if_empty();
    }
    result
}

/// Asks until the whole file is here or the attempts are used up.
fn transfer(
    agent: &ureq::Agent,
    address: &Address<'_>,
    part: &mut Part,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), DownloadError> {
    let url = address.shown.as_str();
    let mut retries = 0;
    loop {
        let cause = match attempt(agent, address, part, rules, progress) {
            Ok(Attempt::Complete) => return part.finish(),
            // The next attempt asks for the whole file, to which this cannot be the outcome again.
            Ok(Attempt::Unfit) => {
                tracing::debug!(url, "the part does not fit what the server has; starting afresh");
                part.forget();
                continue;
            }
            Ok(Attempt::TooLarge(said)) => {
                part.remove()?;
                return Err(DownloadError::TooLarge { url: url.to_owned(), limit: rules.max_bytes, said });
            }
            Ok(Attempt::Cut(cause)) => cause,
            // A server that was there a moment ago may come back; one that never was is given up at
            // once, for the sake of the next mirror and of a user who is offline.
            Err(DownloadError::Unreachable { cause, .. }) if retries > 0 => cause,
            Err(error) => return Err(error),
        };
        let (received, promised) = (part.length, part.origin.total);
        if retries == rules.attempts {
            return Err(DownloadError::Cut { url: url.to_owned(), received, promised, retries, cause });
        }
        let pause = rules.pause_before(retries);
        tracing::warn!(url, received, promised, cause, "the transfer was cut; going on after {pause:?}");
        thread::sleep(pause);
        retries += 1;
    }
}

/// How one request ended.
enum Attempt {
    /// The whole file is here.
    Complete,
    /// The server has another file than the one the part is from, or cannot go on from its end.
    Unfit,
    /// The connection ended or stalled too early.
    Cut(String),
    /// The file is over the cap; its length, if it was told.
    TooLarge(Option<u64>),
}

fn attempt(
    agent: &ureq::Agent,
    address: &Address<'_>,
    part: &mut Part,
    rules: &Rules,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Attempt, DownloadError> {
    let url = address.shown.as_str();
    if part.length > rules.max_bytes {
        return Ok(Attempt::TooLarge(part.origin.total));
    }
    let mut request = agent.get(address.url);
    if part.length > 0 {
        request = request.header("Range", format!("bytes={}-", part.length));
        if let Some(validator) = &part.origin.validator {
            request = request.header("If-Range", validator);
        }
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(error) => match client::failure(url, error, rules) {
            Failure::Cut(cause) => return Ok(Attempt::Cut(cause)),
            Failure::Final(error) => return Err(error),
        },
    };

    let asked_range = part.length > 0;
    match response.status().as_u16() {
        200 => {
            let total = response.body().content_length();
            if total.is_some_and(|total| total > rules.max_bytes) {
                return Ok(Attempt::TooLarge(total));
            }
            let validator = client::validator(response.headers());
            part.restart(Origin { url: url.to_owned(), validator, total })?;
        }
        206 if asked_range => match ContentRange::of(response.headers()) {
            Some(range) if range.continues(part.length, &part.origin, response.headers()) => {
                part.origin.total = part.origin.total.or(range.total);
                if part.origin.total.is_some_and(|total| total > rules.max_bytes) {
                    return Ok(Attempt::TooLarge(part.origin.total));
                }
            }
            _ => return Ok(Attempt::Unfit),
        },
        416 if asked_range => {
            let said = ContentRange::of(response.headers()).and_then(|range| range.total);
            let totals = [said, part.origin.total];
            let mut totals = totals.iter().flatten().peekable();
            let whole = totals.peek().is_some() && totals.all(|total| *total == part.length);
            return Ok(if whole { Attempt::Complete } else { Attempt::Unfit });
        }
        _ => {
            return Err(DownloadError::Status { url: url.to_owned(), status: response.status().to_string() });
        }
    }

    let total = part.origin.total;
    progress(part.length, total);
    // HTTP's own framing ends a body at its Content-Length; this also ends one that came without.
    let rest = total.map_or(u64::MAX, |total| total - part.length);
    let body = Paced::new(response.into_body().into_reader().take(rest), rules.floor, rules.stall);
    let Part { file, length, .. } = part;
    match copy(body, file, length, rules.max_bytes, &mut |here| progress(here, total)) {
        Ok(()) if total.is_some_and(|total| part.length < total) => {
            Ok(Attempt::Cut("the server sent less than it had announced".to_owned()))
        }
        Ok(()) => Ok(Attempt::Complete),
        Err(Stop::Read(cause)) => Ok(Attempt::Cut(client::cause(&cause.into(), rules))),
        Err(Stop::Write(cause)) => Err(DownloadError::disk(&part.path, part.length, cause)),
        Err(Stop::TooLarge) => Ok(Attempt::TooLarge(None)),
    }
}

/// Why bytes could not be copied to the end.
#[derive(Debug)]
enum Stop {
    /// They stopped coming.
    Read(io::Error),
    /// They could not be put down.
    Write(io::Error),
    /// There are more than allowed.
    TooLarge,
}

/// Copies to the end of `from`; `here` counts the bytes of the whole file, of which there may be `cap`.
fn copy(
    mut from: impl Read,
    to: &mut impl Write,
    here: &mut u64,
    cap: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Stop> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(Stop::Read(cause)),
        };
        if *here + n as u64 > cap {
            return Err(Stop::TooLarge);
        }
        to.write_all(&buffer[..n]).map_err(Stop::Write)?;
        *here += n as u64;
        progress(*here);
    }
}
