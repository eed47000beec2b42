//! Requests on the trusted side, over a connection of the fuzzer's: see [`crate::fuzzing`].

use std::sync::Arc;

use super::accept::{self, Caller};
use super::connection::Connection;
use super::request::{self, Fault, MAX_BODY};
use crate::fuzzing::{Pipe, pieces};

/// What the requests of one connection are, and how it ends.
#[derive(Debug, PartialEq, Eq)]
struct Requests {
    /// Method, target and body.
    all: Vec<(String, String, Vec<u8>)>,
    end: String,
}

/// However a connection's bytes are cut, its requests are the same, whatever says how long a body is.
pub(crate) fn requests(bytes: &[u8]) {
    let Some(whole) = read(&[bytes]) else {
        return;
    };
    if let Some(cut) = read(&pieces(bytes)) {
        assert_eq!(cut, whole);
    }
    for (method, target, body) in &whole.all {
        assert!(body.len() <= MAX_BODY);
        let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n");
        let length = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        let one = [length.as_bytes(), body].concat();
        let mut same = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in pieces(body) {
            same.extend(format!("{:x};a=b\r\n", chunk.len()).into_bytes());
            same.extend(chunk);
            same.extend(b"\r\n");
        }
        same.extend(b"0\r\nTrailer: x\r\n\r\n");
        let both = [one, same].concat();
        if let Some(requests) = read(&pieces(&both)) {
            let request = (method.clone(), target.clone(), body.clone());
            assert_eq!(requests.all, [request.clone(), request]);
            assert_eq!(requests.end, "the end");
        }
    }
}

/// `None` when they are too large for the connection.
fn read(pieces: &[&[u8]]) -> Option<Requests> {
    let (pipe, stream) = Pipe::of_packets();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        // As large as what is read at a time.
        if piece.len() > 64 << 10 || !pipe.send(piece) {
            return None;
        }
    }
    pipe.end();
    let caller = Arc::new(Caller {
        stream,
        peer: Pipe::address(),
    });
    let callers = accept::callers();
    let mut presence = callers.enter(&caller);
    let mut connection = Connection::new(&caller, &mut presence);
    let mut all = Vec::new();
    let end = loop {
        match request::next(&mut connection) {
            Ok(request) => all.push((request.head.method, request.head.target, request.body)),
            Err(Fault::End) => break "the end".to_owned(),
            Err(Fault::Answer(answer)) => break answer.sentence().to_owned(),
            Err(Fault::Broken(error)) => break error.kind().to_string(),
        }
    };
    Some(Requests { all, end })
}
