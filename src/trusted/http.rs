//! HTTP on the trusted side: from a request to its answer, until the connection ends.

use std::io;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::request::{self, Fault, Request};
use super::{Trusted, clients, explain, guard, metrics, publish, receipt, status};
use crate::http::Answer;

/// How long a stream may say nothing before an empty word shows that it is still there.
#[expect(dead_code, reason = "for the live streams that are still to come")]
pub(super) const QUIET: Duration = Duration::from_secs(25);

/// What a request is answered with.
pub(super) enum Reply {
    /// At once.
    Whole(Answer),
    /// Bit by bit, as long as there is something.
    Stream(Stream),
}

/// An answer whose length is not known.
pub(super) struct Stream {
    /// Of what type it is.
    pub(super) content_type: &'static str,
    /// Its pieces; it ends with them. Each is sent before the next is asked for, which may wait.
    pub(super) pieces: Box<dyn Iterator<Item = Vec<u8>>>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Reply::Whole(answer)
    }
}

/// Serves requests until one of them is the last.
///
/// # Errors
/// When the other side is gone, or too slow.
pub(super) fn serve(connection: &mut Connection<'_>, trusted: &Trusted) -> io::Result<()> {
    loop {
        let request = match request::next(connection) {
            Ok(request) => request,
            Err(Fault::End) => return connection.flush(),
            Err(Fault::Broken(error)) => return Err(error),
            Err(Fault::Answer(answer)) => {
                connection.reply(&answer.readers("").bytes(false));
                return connection.flush();
            }
        };
        let is_head = request.head.method == "HEAD";
        let keeps = keeps_connection(&request);
        match answer(&request, trusted, connection) {
            Reply::Whole(answer) => {
                let answer = answer.readers("").keeping_connection(keeps);
                connection.reply(&answer.bytes(is_head));
            }
            Reply::Stream(stream) => {
                return send(connection, stream, &request);
            }
        }
        // Requests that have come already are answered together.
        if !keeps || connection.input().is_empty() {
            connection.flush()?;
        }
        if !keeps {
            return Ok(());
        }
    }
}

/// RFC 9112 §9.3.
fn keeps_connection(request: &Request) -> bool {
    let mut options = request.head.list("connection");
    match request.head.minor_version {
        0 => options.any(|option| option.eq_ignore_ascii_case("keep-alive")),
        _ => !options.any(|option| option.eq_ignore_ascii_case("close")),
    }
}

fn answer(request: &Request, trusted: &Trusted, connection: &Connection<'_>) -> Reply {
    if let Err(answer) = guard::admit(request, trusted, connection.peer()) {
        return answer.into();
    }
    let (path, _query) = request.head.path_and_query();
    match (&*request.head.method, path) {
        ("POST", "/") => publish::answer(request, trusted, connection.peer()).into(),
        ("GET" | "HEAD", "/status") => status::answer(trusted).into(),
        ("GET" | "HEAD", "/metrics") => metrics::answer(trusted).into(),
        (_, "/status" | "/metrics") => not_allowed("GET, HEAD").into(),
        (_, "/clients") => clients::answer_all(request, trusted),
        (_, "/explain") => explain::answer(request, trusted).into(),
        (_, path) if let Some(number) = path.strip_prefix("/clients/") => {
            clients::answer_one(request, number, trusted).into()
        }
        _ => match trusted.dashboard.answer(path, &request.head) {
            Some(answer) => answer.into(),
            None => receipt::refusal("404 Not Found", "there is nothing here").into(),
        },
    }
}

/// The path does not answer to this method.
pub(super) fn not_allowed(methods: &str) -> Answer {
    let sentence = format!("only {methods} is answered here");
    receipt::refusal("405 Method Not Allowed", &sentence).header("Allow", methods)
}

/// Sends an answer whose length is not known: in chunks, or until the end of the connection where
/// chunks are not understood.
fn send(connection: &mut Connection<'_>, stream: Stream, request: &Request) -> io::Result<()> {
    let in_chunks = request.head.minor_version > 0;
    let coding = match in_chunks {
        true => "Transfer-Encoding: chunked\r\n",
        false => "",
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-store\r\n{coding}Connection: close\r\n\r\n",
        stream.content_type
    );
    connection.reply(head.as_bytes());
    connection.flush()?;
    if request.head.method == "HEAD" {
        return Ok(());
    }
    let mut sent = Instant::now();
    for piece in stream.pieces {
        if piece.is_empty() {
            continue;
        }
        if sent.elapsed() > Duration::from_secs(1) {
            connection.is_busy();
        }
        sent = Instant::now();
        if in_chunks {
            connection.reply(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        connection.reply(&piece);
        if in_chunks {
            connection.reply(b"\r\n");
        }
        connection.flush()?;
    }
    if in_chunks {
        connection.reply(b"0\r\n\r\n");
    }
    connection.flush()
}
