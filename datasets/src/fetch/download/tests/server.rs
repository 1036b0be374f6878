//! A server that answers each connection from a script.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// What is sent on one connection before it is closed.
pub(super) struct Reply {
    text: Vec<u8>,
    /// Leave the connection open until the client closes it.
    hold: bool,
    /// Send these bytes over and over, with pauses, until the client closes the connection.
    then: Option<(Vec<u8>, Duration)>,
}

impl Reply {
    /// `head` is a status and headers, separated by `|`.
    pub(super) fn new(head: &str, body: &[u8]) -> Self {
        let mut text = format!("HTTP/1.1 {}\r\n\r\n", head.replace('|', "\r\n")).into_bytes();
        text.extend_from_slice(body);
        Reply { text, hold: false, then: None }
    }

    /// A 200 with the correct length.
    pub(super) fn whole(body: &[u8]) -> Self {
        Reply::new(&format!("200 OK|Content-Length: {}|ETag: \"v1\"", body.len()), body)
    }

    pub(super) fn redirect(to: &str) -> Self {
        Reply::new(&format!("302 Found|Content-Length: 0|Location: {to}"), b"")
    }

    /// An incomplete header and then silence.
    pub(super) fn silence() -> Self {
        Reply { text: b"HTTP/1.1 200 O".to_vec(), hold: true, then: None }
    }

    /// After that, `bytes` over and over.
    pub(super) fn and_for_ever(mut self, bytes: &[u8], pause: Duration) -> Self {
        self.then = Some((bytes.to_owned(), pause));
        self
    }

    pub(super) fn and_silence(mut self) -> Self {
        self.hold = true;
        self
    }
}

pub(super) struct Server {
    pub(super) url: String,
    requests: Receiver<String>,
}

impl Server {
    /// Answers as many connections as there are replies, and then refuses them.
    pub(super) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/data.amat", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        let replies: Vec<_> = replies.into_iter().collect();
        thread::spawn(move || {
            let mut listener = Some(listener);
            let n = replies.len();
            for (i, reply) in replies.into_iter().enumerate() {
                let (mut stream, _) = listener.as_ref().unwrap().accept().unwrap();
                if i + 1 == n {
                    // Stop listening before the client can know that it has to connect again.
                    listener = None;
                }
                // Sent before the answer, so that all requests are recorded when the client has its file.
                sender.send(request(&mut stream)).unwrap();
                // The client may have disconnected; then the test checks the client's own error.
                let _ = stream.write_all(&reply.text);
                if let Some((bytes, pause)) = reply.then {
                    while stream.write_all(&bytes).is_ok() {
                        thread::sleep(pause);
                    }
                }
                if reply.hold {
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        Server { url, requests }
    }

    /// The requests so far, each with its headers.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap().to_lowercase()
}
