//! HTTP on the trusted side: from a request to its answer, until the connection ends.

use std::io;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::live::{self, Live};
use super::request::{self, Fault, Request};
use super::{Trusted, clients, explain, guard, history, manual, metrics, publish, receipt, status};
use crate::http::{Answer, Head};

/// How long a stream may say nothing before an empty word shows that it is still there.
pub(super) const QUIET: Duration = Duration::from_secs(25);

/// What a request is answered with.
pub(super) enum Reply {
    /// At once.
    Whole(Answer),
    /// Bit by bit, as long as there is something.
    Stream(Stream),
    /// Until the other side or the server ends.
    Live(Live),
}

/// An answer whose length is not known.
pub(super) struct Stream {
    /// Of what type it is.
    pub(super) content_type: &'static str,
    /// Its pieces; it ends with them. Each is sent before the next is asked for, which may wait.
    pub(super) pieces: Box<dyn Iterator<Item = Vec<u8>>>,
}

/// What ends an answer in chunks.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl From<Result<Live, Answer>> for Reply {
    fn from(live: Result<Live, Answer>) -> Self {
        live.map_or_else(Reply::Whole, Reply::Live)
    }
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
            Reply::Live(live) => return live::serve(connection, live, &request),
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
    let (path, query) = request.head.path_and_query();
    match (&*request.head.method, path) {
        ("GET" | "HEAD", "/history") => history::answer(query, trusted),
        ("GET" | "HEAD", "/activity") => live::activity(trusted).into(),
        ("GET" | "HEAD", "/messages") => live::messages(trusted).into(),
        ("GET" | "HEAD", "/log") => live::log().into(),
        (_, "/history" | "/activity" | "/messages" | "/log") => not_allowed("GET, HEAD").into(),
        ("POST", "/") => publish::answer(request, trusted, connection.peer()).into(),
        ("GET" | "HEAD", "/status") => status::answer(trusted).into(),
        ("GET" | "HEAD", "/metrics") => metrics::answer(trusted).into(),
        (_, "/status" | "/metrics") => not_allowed("GET, HEAD").into(),
        (_, "/clients") => clients::answer_all(request, trusted),
        (_, "/explain") => explain::answer(request, trusted).into(),
        (_, path) if let Some(number) = path.strip_prefix("/clients/") => {
            clients::answer_one(request, number, trusted).into()
        }
        (method, path) if let Some(id) = path.strip_prefix("/history/") => match method {
            "GET" | "HEAD" => history::one(id, trusted).into(),
            _ => not_allowed("GET, HEAD").into(),
        },
        _ => match files(path, &request.head, trusted) {
            Some(answer) => answer.into(),
            None => receipt::refusal("404 Not Found", "there is nothing here").into(),
        },
    }
}

/// The dashboard and the manual.
fn files(path: &str, head: &Head, trusted: &Trusted) -> Option<Answer> {
    let page = trusted.dashboard.answer(path, head);
    page.or_else(|| manual::answer(path, head))
}

/// The path does not answer to this method.
pub(super) fn not_allowed(methods: &str) -> Answer {
    let sentence = format!("only {methods} is answered here");
    receipt::refusal("405 Method Not Allowed", &sentence).header("Allow", methods)
}

/// Begins an answer whose length is not known: in chunks, or until the end of the connection where
/// chunks are not understood. Says which.
pub(super) fn begin(
    connection: &mut Connection<'_>,
    content_type: &str,
    request: &Request,
) -> bool {
    let in_chunks = request.head.minor_version > 0;
    let coding = match in_chunks {
        true => "Transfer-Encoding: chunked\r\n",
        false => "",
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-store\r\n{coding}Connection: close\r\n\r\n"
    );
    connection.reply(head.as_bytes());
    in_chunks
}

/// Adds a piece of such an answer.
pub(super) fn reply_piece(connection: &mut Connection<'_>, piece: &[u8], in_chunks: bool) {
    if in_chunks {
        connection.reply(format!("{:x}\r\n", piece.len()).as_bytes());
    }
    connection.reply(piece);
    if in_chunks {
        connection.reply(b"\r\n");
    }
}

/// Sends an answer whose length is not known.
fn send(connection: &mut Connection<'_>, stream: Stream, request: &Request) -> io::Result<()> {
    let in_chunks = begin(connection, stream.content_type, request);
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
        reply_piece(connection, &piece, in_chunks);
        connection.flush()?;
    }
    if in_chunks {
        connection.reply(LAST_CHUNK);
    }
    connection.flush()
}
