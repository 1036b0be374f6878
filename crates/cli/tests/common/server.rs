//! A local server whose answers a test chooses, and data sets for it to serve.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::common::real_data;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// How many times the path had been requested before.
    pub before: usize,
    /// The whole text of the request, in lower case.
    pub head: String,
}

/// A reply, after which the connection is closed.
pub struct Reply {
    head: String,
    body: Vec<u8>,
    /// Leave the connection open until the client closes it.
    hold: bool,
}

impl Reply {
    /// `head` is a status and headers, separated by `|`.
    pub fn new(head: &str, body: &[u8]) -> Self {
        Reply { head: head.to_owned(), body: body.to_owned(), hold: false }
    }

    pub fn status(status: &str) -> Self {
        Reply::new(&format!("{status}|Content-Length: 0"), b"")
    }

    /// A whole file.
    pub fn file(body: &[u8]) -> Self {
        Reply::new(&format!("200 OK|Content-Length: {}", body.len()), body)
    }

    /// The connection ends after `n` bytes of the body.
    pub fn cut_after(mut self, n: usize) -> Self {
        self.body.truncate(n);
        self
    }

    pub fn and_silence(mut self) -> Self {
        self.hold = true;
        self
    }
}

pub struct Server {
    pub url: String,
    requests: Receiver<Request>,
}

impl Server {
    /// Answers one connection after the other, until the test ends.
    pub fn start(mut answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        let mut asked = HashMap::new();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&mut stream, &mut asked) else { continue };
                let Reply { head, body, hold } = answer(&request);
                // Sent before the answer, so that all of them are there when the client has its file.
                if sender.send(request).is_err() {
                    return;
                }
                let head = format!("HTTP/1.1 {}\r\n\r\n", head.replace('|', "\r\n"));
                // The client may have left; then its own error is what the test looks at.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
                if hold {
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        Server { url, requests }
    }

    /// The requests since the last look.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }

    /// The paths of [`Server::requests`].
    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// Waits for a request of a path that holds `part`.
    pub fn wait_for(&self, part: &str) {
        let next = || self.requests.recv_timeout(Duration::from_secs(20)).expect("a request");
        while !next().path.contains(part) {}
    }
}

/// Reads a request; `None` if the client left in between.
fn read(stream: &mut TcpStream, asked: &mut HashMap<String, usize>) -> Option<Request> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).unwrap();
    let path = text.split(' ').nth(1).unwrap().to_owned();
    let head = text.to_lowercase();
    let count = asked.entry(path.clone()).or_default();
    *count += 1;
    Some(Request { path, before: *count - 1, head })
}

/// The files of a set, by their names without folder.
#[derive(Clone)]
pub struct Files {
    pub id: &'static str,
    pub bytes: BTreeMap<&'static str, Vec<u8>>,
}

pub const TRAIN: &str = "ocr_letters.train.data.gz";
pub const VALID: &str = "ocr_letters.valid.data.gz";
pub const TEST: &str = "ocr_letters.test.data.gz";

/// Rows of the right number and width, for a set of which nothing else is known.
pub fn drawn() -> &'static Files {
    static DRAWN: OnceLock<Files> = OnceLock::new();
    DRAWN.get_or_init(|| {
        let file = |rows: u32| {
            let mut text = Vec::new();
            for i in 0..rows {
                let bits = i.wrapping_mul(0x9e37_79b9);
                text.extend((0..128).flat_map(|j| [b'0' + (bits >> (j % 32) & 1) as u8, b',']));
                *text.last_mut().unwrap() = b'\n';
            }
            gzip(&text)
        };
        let id = "uci/ocr-letters";
        assert!(helmholtz_datasets::entry(id).unwrap().sha256.is_none(), "choose a set without a hash");
        let bytes = BTreeMap::from([(TRAIN, file(32_152)), (VALID, file(10_000)), (TEST, file(10_000))]);
        Files { id, bytes }
    })
}

pub const REAL_VALID: &str = "mushrooms.valid.data.gz";

/// A small set with a pinned hash; without its files, prints that the test is skipped.
pub fn real() -> Option<Files> {
    let folder = real_data()?.join("uci-nade");
    let mut bytes = BTreeMap::new();
    for name in ["mushrooms.train.data.gz", REAL_VALID, "mushrooms.test.data.gz"] {
        let Ok(file) = fs::read(folder.join(name)) else {
            println!("skipped: no {}", folder.join(name).display());
            return None;
        };
        bytes.insert(name, file);
    }
    Some(Files { id: "uci/mushrooms", bytes })
}

impl Files {
    /// The answer of a server that has the files in `folder`.
    pub fn answer(&self, folder: &str, request: &Request) -> Reply {
        let file = request.path.strip_prefix(folder).and_then(|name| self.bytes.get(name));
        file.map_or_else(|| Reply::status("404 Not Found"), |bytes| Reply::file(bytes))
    }

    /// A server that has the files and their folder.
    pub fn serve(&self) -> Server {
        let files = self.clone();
        Server::start(move |request| files.answer("/uci-nade/", request))
    }

    /// Such a server, but for one of the files its answer is what `odd` makes of the number of earlier requests for
    /// that file and of the right answer.
    pub fn serve_with(
        &self,
        name: &'static str,
        odd: impl Fn(usize, Reply) -> Reply + Send + 'static,
    ) -> Server {
        let files = self.clone();
        Server::start(move |request| match files.answer("/uci-nade/", request) {
            reply if request.path == at(name) => odd(request.before, reply),
            reply => reply,
        })
    }

    /// A server that has the files without their folder.
    pub fn serve_flat(&self) -> Server {
        let files = self.clone();
        Server::start(move |request| files.answer("/", request))
    }

    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (name, bytes) in &self.bytes {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    /// The same files with one value changed in one of them.
    pub fn with_a_value_changed(&self, name: &'static str) -> Self {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&self.bytes[name][..]).read_to_end(&mut text).unwrap();
        text[0] ^= 1;
        self.with(name, gzip(&text))
    }

    pub fn with(&self, name: &'static str, bytes: Vec<u8>) -> Self {
        let mut files = self.clone();
        files.bytes.insert(name, bytes);
        files
    }
}

/// Where a server with folders has a file.
pub fn at(name: &str) -> String {
    format!("/uci-nade/{name}")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}
