//! Live streams: what clients do, each message, the lines of the log; until the listener is gone or
//! the server stops.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::history::append_message;
use super::http::{self, QUIET};
use super::request::Request;
use super::{Trusted, receipt};
use crate::activity::{self, append_lost};
use crate::clock::Clock;
use crate::feed::{Bounds, Deaf, Event, Listener, MAX_LISTENERS, Told};
use crate::http::Answer;
use crate::hub::News;
use crate::logging;
use crate::os::Waker;
use crate::words::{grouped, plural};

/// What may wait for one listener.
const WAITING: Bounds = Bounds {
    events: 4096,
    bytes: 4 << 20,
};

/// Bytes of events that are taken at a time, about.
const PIECE: usize = 64 << 10;

/// What a live stream tells.
pub(super) struct Live {
    content_type: &'static str,
    /// What was before.
    beginning: Vec<u8>,
    /// What says nothing, but shows that the stream is still there.
    nothing: &'static [u8],
    source: Box<dyn Source>,
}

/// Where lines come from.
trait Source {
    /// Is woken when there are new ones.
    fn waker(&self) -> &Waker;
    /// Appends those that come first; none when it is time to wait for the waker.
    fn append(&mut self, lines: &mut Vec<u8>);
}

/// A listener, and how what it hears is written.
struct Writer<E> {
    listener: Listener<E>,
    clock: Clock,
    append: fn(&Told<E>, &mut Clock, &mut Vec<u8>),
}

impl<E: Event> Source for Writer<E> {
    fn waker(&self) -> &Waker {
        self.listener.waker()
    }

    fn append(&mut self, lines: &mut Vec<u8>) {
        for told in self.listener.take(PIECE) {
            (self.append)(&told, &mut self.clock, lines);
        }
    }
}

impl Live {
    fn new<E: Event + 'static>(
        listener: Listener<E>,
        append: fn(&Told<E>, &mut Clock, &mut Vec<u8>),
    ) -> Self {
        Live {
            content_type: "application/x-ndjson",
            beginning: Vec::new(),
            nothing: b"{}\n",
            source: Box::new(Writer {
                listener,
                clock: Clock::new(),
                append,
            }),
        }
    }
}

/// `GET /activity`.
///
/// # Errors
/// The answer when there are too many listeners; so below.
pub(super) fn activity(trusted: &Trusted) -> Result<Live, Answer> {
    let listener = trusted.hub.activity.listen(WAITING).map_err(turn_away)?;
    Ok(Live::new(listener, activity::append_line))
}

/// `GET /messages`.
pub(super) fn messages(trusted: &Trusted) -> Result<Live, Answer> {
    let listener = trusted.hub.news.listen(WAITING).map_err(turn_away)?;
    Ok(Live::new(listener, append_news))
}

/// `GET /log`.
pub(super) fn log() -> Result<Live, Answer> {
    let (beginning, listener) = logging::tail::follow().map_err(turn_away)?;
    Ok(Live {
        content_type: "text/plain; charset=utf-8",
        beginning,
        nothing: b"\n",
        ..Live::new(listener, append_log_line)
    })
}

fn turn_away(why: Deaf) -> Answer {
    let sentence = match why {
        Deaf::Full => format!("{MAX_LISTENERS} listen already: no more can"),
        Deaf::Waker(error) => format!("there is no room for a listener: {error}"),
    };
    receipt::refusal("503 Service Unavailable", &sentence).header("Retry-After", "5")
}

fn append_news(told: &Told<News>, clock: &mut Clock, lines: &mut Vec<u8>) {
    match told {
        Told::Event(news) => {
            let (id, posted) = news.message();
            append_message(*id, posted, clock, lines);
        }
        Told::Lost { since, count } => append_lost(*since, *count, clock, lines),
    }
}

fn append_log_line(told: &Told<logging::tail::Line>, clock: &mut Clock, lines: &mut Vec<u8>) {
    match told {
        Told::Event(line) => lines.extend_from_slice(line.bytes()),
        Told::Lost { since, count } => {
            clock.stamp(*since, lines);
            // A vector takes all.
            let _ = writeln!(
                lines,
                " [WARN] {} line{} left out here: they were not read as fast",
                grouped(*count),
                plural(*count)
            );
        }
    }
}

/// Sends what is told until the listener or the server ends.
///
/// # Errors
/// When the listener is gone, or takes nothing for too long.
pub(super) fn serve(
    connection: &mut Connection<'_>,
    mut live: Live,
    request: &Request,
) -> io::Result<()> {
    let in_chunks = http::begin(connection, live.content_type, request);
    if request.head.method == "HEAD" {
        return connection.flush();
    }
    let mut lines = live.beginning;
    let mut sent = Instant::now();
    while !connection.has_ended() {
        live.source.append(&mut lines);
        let now = Instant::now();
        let is_news = !lines.is_empty();
        if lines.is_empty() && now - sent >= QUIET {
            lines.extend_from_slice(live.nothing);
        }
        if !lines.is_empty() {
            if now - sent > Duration::from_secs(1) {
                connection.is_busy();
            }
            sent = now;
            http::reply_piece(connection, &lines, in_chunks);
            lines.clear();
        }
        // After news there may be more at once.
        let until = if is_news { now } else { sent + QUIET };
        connection.attend(live.source.waker(), until)?;
    }
    if connection.is_out() && in_chunks {
        connection.reply(http::LAST_CHUNK);
        return connection.flush();
    }
    Ok(())
}
