//! The HTTP client, and what servers say in headers and errors.

use std::io;

use ureq::http::{HeaderMap, Uri};
use ureq::{Agent, Error, Timeout};

use super::part::Origin;
use super::{DownloadError, MAX_REDIRECTS, Rules, redacted};

const USER_AGENT: &str = concat!("helmholtz/", env!("CARGO_PKG_VERSION"));

/// A client for an `https://` or `http://` address.
pub(super) fn agent(url: &str, rules: &Rules) -> Result<Agent, DownloadError> {
    let error = |problem: String| DownloadError::Address { url: redacted(url), problem };
    let uri: Uri = url.parse().map_err(|cause| error(format!("is not an address ({cause})")))?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if rules.https_only => return Err(DownloadError::Insecure { url: redacted(url) }),
        Some("http") => {}
        Some(scheme) => return Err(error(format!("has the unknown scheme `{scheme}`"))),
        None => return Err(error("has no scheme".to_owned())),
    }

    let mut config = Agent::config_builder()
        .https_only(rules.https_only)
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .user_agent(USER_AGENT)
        // A compressed body would have no ranges to go on from, and not the bytes of the hash.
        .accept_encoding("identity")
        // A connection that was idle may be dead; that would count as a cut transfer.
        .max_idle_connections(0)
        .timeout_resolve(Some(rules.connect))
        .timeout_connect(Some(rules.connect))
        .timeout_send_request(Some(rules.stall))
        .timeout_recv_response(Some(rules.stall))
        // For what the pace of the body does not see, such as the sizes of chunks that come byte by byte.
        .timeout_recv_body(Some(rules.longest()))
        .timeout_per_write(Some(rules.stall))
        // Restarts with each read, unlike all of ureq's other limits.
        .timeout_per_read(Some(rules.stall));
    // A proxy would look for this server on its own machine.
    if matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        config = config.proxy(None);
    }
    Ok(config.build().into())
}

/// Why there was no response.
pub(super) enum Failure {
    /// It may go better the next time.
    Cut(String),
    /// It would go the same way again.
    Final(DownloadError),
}

/// Sorts the errors of a request.
pub(super) fn failure(url: &str, error: Error, rules: &Rules) -> Failure {
    let cause = cause(&error, rules);
    let url = url.to_owned();
    Failure::Final(match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => DownloadError::Unreachable { url, cause },
        Error::Timeout(_) => return Failure::Cut(cause),
        Error::Io(error) if is_cut(error.kind()) => return Failure::Cut(cause),
        // The address itself has been looked at before.
        Error::RequireHttpsOnly(to) => DownloadError::InsecureRedirect { url, to: redacted(&to) },
        Error::BadUri(_) | Error::Http(_) => {
            DownloadError::Address { url, problem: format!("leads to what is not an address ({cause})") }
        }
        Error::TooManyRedirects => DownloadError::Redirects { url, limit: MAX_REDIRECTS },
        Error::Protocol(_) | Error::LargeResponseHeader(..) => DownloadError::Answer { url, cause },
        _ => DownloadError::Unreachable { url, cause },
    })
}

/// True for what happens to connections, as opposed to what keeps one from being made.
fn is_cut(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | Interrupted | UnexpectedEof)
}

/// An error of a request or of its body, in words.
pub(super) fn cause(error: &Error, rules: &Rules) -> String {
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            format!("no connection within {:?}", rules.connect)
        }
        Error::Timeout(Timeout::RecvBody) => format!("it took longer than {:?}", rules.longest()),
        Error::Timeout(_) => format!("nothing came for {:?}", rules.stall),
        Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection".to_owned()
        }
        Error::Io(cause) => cause.to_string(),
        error => redacted(&error.to_string()),
    }
}

/// What `If-Range` takes: a strong ETag (weak ones do not promise equal bytes), else the date.
pub(super) fn validator(headers: &HeaderMap) -> Option<String> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    header("ETag").filter(|tag| is_tag(tag)).or_else(|| header("Last-Modified")).map(str::to_owned)
}

fn is_tag(validator: &str) -> bool {
    validator.starts_with('"')
}

/// A `Content-Range` header: `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// The first and last byte that the body holds.
    pub(super) range: Option<(u64, u64)>,
    /// Bytes of the whole file.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("Content-Range")?.to_str().ok()?;
        let (unit, value) = value.trim().split_once(' ')?;
        let (range, total) = value.trim().split_once('/')?;
        let range = match range {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            }
        };
        let total = match total {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        unit.eq_ignore_ascii_case("bytes").then_some(ContentRange { range, total })
    }

    /// True if the body goes on at byte `here` of the file that `origin` is about.
    pub(super) fn continues(&self, here: u64, origin: &Origin, headers: &HeaderMap) -> bool {
        let Some((first, last)) = self.range else { return false };
        let total = origin.total.or(self.total);
        // Not all servers heed If-Range. A tag says nothing about a date.
        let other_version = match (&origin.validator, validator(headers)) {
            (Some(old), Some(new)) => is_tag(old) == is_tag(&new) && *old != new,
            _ => false,
        };
        first == here
            && first <= last
            && total.is_none_or(|total| last < total && self.total.is_none_or(|new| new == total))
            && !other_version
    }
}
