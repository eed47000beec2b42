//! `/clients`: who is online, and sending clients away.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::http::{Reply, Stream, not_allowed};
use super::request::Request;
use super::{Trusted, receipt};
use crate::address::Address;
use crate::audience::registration::Registration;
use crate::audience::rule::Rule;
use crate::clock::Clock;
use crate::http::Answer;
use crate::hub::listing::Listed;
use crate::mailbox::Dismissal;
use crate::message::id::ClientId;

/// One client, as JSON.
#[derive(Debug, Serialize)]
struct Told<'a> {
    client: u64,
    address: Address,
    since: String,
    seconds: f64,
    mode: &'static str,
    registration: &'a Registration,
    replaying: bool,
    queued: Amount,
    sent: Amount,
    seen: f64,
}

#[derive(Debug, Serialize)]
struct Amount {
    messages: u64,
    bytes: u64,
}

/// Whom a query asks for.
#[derive(Debug)]
struct Wanted {
    registered: Registration,
    after: u64,
    limit: usize,
}

/// Answers for all clients, or those that the query asks for.
pub(super) fn answer_all(request: &Request, trusted: &Trusted) -> Reply {
    let (_, query) = request.head.path_and_query();
    let wanted = match Wanted::read(query) {
        Ok(wanted) => wanted,
        Err(sentence) => return bad_request(&sentence).into(),
    };
    match &*request.head.method {
        "GET" | "HEAD" => list(trusted, wanted),
        "DELETE" if wanted.registered.is_empty() => {
            bad_request("a client's number or a field is needed, such as /clients?user=u7").into()
        }
        "DELETE" => {
            let clients = matching(trusted, wanted);
            closed(clients.filter(dismiss).count()).into()
        }
        _ => not_allowed("GET, DELETE").into(),
    }
}

/// Answers for the client with this number.
pub(super) fn answer_one(request: &Request, number: &str, trusted: &Trusted) -> Answer {
    let client = number.parse().ok().map(ClientId);
    let Some(listed) = client.and_then(|client| trusted.hub.client(client)) else {
        let sentence = "no client that is online has this number";
        return receipt::refusal("404 Not Found", sentence);
    };
    match &*request.head.method {
        "GET" | "HEAD" => {
            let mut json = Vec::new();
            tell(&listed, &mut Clock::new(), &mut json);
            // JSON is text.
            Answer::json("200 OK", String::from_utf8(json).unwrap_or_default())
        }
        "DELETE" => closed(usize::from(dismiss(&listed))),
        _ => not_allowed("GET, DELETE"),
    }
}

fn bad_request(sentence: &str) -> Answer {
    receipt::refusal("400 Bad Request", sentence)
}

fn matching(trusted: &Trusted, wanted: Wanted) -> impl Iterator<Item = Listed> + use<> {
    let listing = trusted.hub.list(wanted.registered, wanted.after);
    listing.flatten().take(wanted.limit)
}

/// True if nobody told it to go before.
fn dismiss(listed: &Listed) -> bool {
    listed.mailbox.dismiss(Dismissal::Operator)
}

fn closed(clients: usize) -> Answer {
    Answer::json("200 OK", format!(r#"{{"closed":{clients}}}"#))
}

/// A line each, slice by slice: nothing is kept of one that is sent.
fn list(trusted: &Trusted, wanted: Wanted) -> Reply {
    let mut left = wanted.limit;
    let mut clock = Clock::new();
    let slices = trusted.hub.list(wanted.registered, wanted.after);
    let pieces = slices.map_while(move |mut slice| {
        if left == 0 {
            return None;
        }
        slice.truncate(left);
        left -= slice.len();
        let mut lines = Vec::with_capacity(slice.len() * 256);
        for listed in &slice {
            tell(listed, &mut clock, &mut lines);
            lines.push(b'\n');
        }
        Some(lines)
    });
    Reply::Stream(Stream {
        content_type: "application/x-ndjson",
        pieces: Box::new(pieces),
    })
}

fn tell(listed: &Listed, clock: &mut Clock, json: &mut Vec<u8>) {
    let (card, now) = (listed.mailbox.card(), Instant::now());
    // Whoever is listed has joined.
    let Some((joined, since)) = card.joined() else {
        return;
    };
    let online = now.saturating_duration_since(joined);
    let wire = listed.mailbox.wire();
    // The system of one that says nothing still acknowledges what it gets.
    let silence = || wire.outgoing().silence.min(online);
    let (queued, sent) = (listed.mailbox.waiting(), card.sent());
    let told = Told {
        client: listed.client.0,
        address: wire.address(),
        since: clock.tell(since),
        seconds: seconds(online),
        mode: listed.encoding.mode(),
        registration: &listed.registration,
        replaying: listed.is_replaying,
        queued: Amount {
            messages: queued.0 as u64,
            bytes: queued.1 as u64,
        },
        sent: Amount {
            messages: sent.0,
            bytes: sent.1,
        },
        seen: seconds(card.spoke(now).unwrap_or_else(silence)),
    };
    // Texts and numbers always have a JSON form, and a vector takes all.
    let _ = serde_json::to_writer(json, &told);
}

/// To a tenth.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

impl Wanted {
    /// Reads a query as a client's own is read, whatever the rule is: a field that is not known
    /// means nobody, not everybody. `limit` and `after` are no fields.
    ///
    /// # Errors
    /// One sentence.
    fn read(query: &str) -> Result<Self, String> {
        let (mut after, mut limit) = (0, usize::MAX);
        let mut fields = Vec::new();
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("after", number)) => after = count("after", number)?,
                Some(("limit", number)) => {
                    limit = usize::try_from(count("limit", number)?).unwrap_or(usize::MAX);
                }
                _ => fields.push(parameter),
            }
        }
        let registered = Registration::from_query(&fields.join("&"), &Rule::Open);
        Ok(Wanted {
            registered: registered.map_err(|error| error.to_string())?,
            after,
            limit,
        })
    }
}

fn count(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{name} is no number"))
}
