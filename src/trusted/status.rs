//! `GET /status`: how the server is, in one JSON object.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;
use time::OffsetDateTime;

use super::Trusted;
use crate::canary::Report;
use crate::http::Answer;
use crate::hub::standing::Standing;
use crate::logging::{self, Target};
use crate::tally::{Counted, PerSecond};
use crate::webhook;

/// What never changes as long as the process runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    version: &'static str,
    pid: u32,
    started: String,
    #[serde(skip)]
    pub(super) start: OffsetDateTime,
    /// Where clients connect.
    listen: Option<SocketAddr>,
    /// Where documents come in.
    publish: Vec<SocketAddr>,
    /// The log's file.
    log: Option<String>,
}

impl Facts {
    /// Of a server that starts now, at these addresses.
    pub(crate) fn now(listen: Option<SocketAddr>, publish: Vec<SocketAddr>, log: &Target) -> Self {
        let start = OffsetDateTime::now_utc();
        Facts {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            started: logging::local_time(start),
            start,
            listen,
            publish,
            log: match log {
                Target::Stderr => None,
                // As when it was opened.
                Target::File(path, _) => std::path::absolute(path)
                    .ok()
                    .map(|path| path.to_string_lossy().into_owned()),
            },
        }
    }
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    /// Seconds.
    uptime: f64,
    newest: String,
    clients: Clients,
    messages: Messages,
    deliveries: u64,
    refused: Refused,
    dropped_by_kernel: u64,
    closed: Closed,
    refused_visitors: &'a BTreeMap<&'static str, u64>,
    queues: Queues,
    rates: Rates,
    history: History,
    canary: Option<Canary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<Webhook>,
}

/// How the last one fared; times in seconds.
#[derive(Serialize)]
struct Canary {
    sent: u64,
    ago: f64,
    took: Option<f64>,
    failure: Option<String>,
}

#[derive(Serialize)]
struct Webhook {
    url: String,
    waiting: usize,
    lost: u64,
    failing_since: Option<String>,
}

#[derive(Serialize)]
struct Clients {
    online: usize,
    most: usize,
    plain: usize,
    v1: usize,
    events: usize,
    replaying: usize,
    since_start: u64,
}

#[derive(Serialize)]
struct Messages {
    since_start: u64,
    bytes: u64,
    empty: u64,
}

#[derive(Serialize)]
struct Refused {
    datagrams: u64,
    documents: u64,
}

#[derive(Serialize)]
struct Closed {
    since_start: u64,
    too_slow: u64,
}

#[derive(Serialize)]
struct Queues {
    bytes: usize,
    most: usize,
}

/// Each of the last whole second, or of the last minute.
#[derive(Serialize)]
struct Rates {
    #[serde(rename = "1s")]
    second: PerSecond,
    #[serde(rename = "60s")]
    minute: PerSecond,
}

#[derive(Serialize)]
struct History {
    home: &'static str,
    messages: usize,
    bytes: usize,
    oldest: Option<String>,
}

/// The answer.
pub(super) fn answer(trusted: &Trusted) -> Answer {
    let counted = trusted.tally.counted();
    let standing = trusted.hub.standing();
    let [second, minute] = trusted.tally.per_second([1, 60]);
    let status = Status {
        facts: &trusted.facts,
        uptime: trusted.tally.uptime().as_millis() as f64 / 1000.0,
        newest: standing.newest.to_string(),
        clients: Clients::of(&standing),
        messages: Messages {
            since_start: counted.messages,
            bytes: counted.bytes,
            empty: counted.empty,
        },
        deliveries: counted.deliveries,
        refused: Refused {
            datagrams: counted.refused_datagrams,
            documents: counted.refused_documents,
        },
        dropped_by_kernel: counted.dropped_by_kernel,
        closed: Closed::of(&standing, &counted),
        refused_visitors: &counted.refused_visitors,
        queues: Queues {
            bytes: standing.waiting,
            most: standing.most_waiting,
        },
        rates: Rates { second, minute },
        history: History::of(&standing),
        canary: trusted.canary.report().map(Canary::of),
        webhook: trusted.webhook.as_deref().map(Webhook::of),
    };
    // Texts, numbers and lists of them always have a JSON form.
    let json = serde_json::to_string(&status).unwrap_or_default();
    Answer::json("200 OK", json).header("Cache-Control", "no-store")
}

impl Clients {
    fn of(standing: &Standing) -> Self {
        Clients {
            online: standing.online.all(),
            most: standing.most_clients,
            plain: standing.online.plain(),
            v1: standing.online.v1(),
            events: standing.online.events(),
            replaying: standing.online.replaying,
            since_start: standing.joined,
        }
    }
}

impl Closed {
    fn of(standing: &Standing, counted: &Counted) -> Self {
        Closed {
            since_start: standing.left(),
            too_slow: counted.too_slow,
        }
    }
}

impl Canary {
    fn of(report: Report) -> Self {
        let (took, failure) = match report.result {
            Ok(took) => (Some(took.as_micros() as f64 / 1e6), None),
            Err(why) => (None, Some(why.to_string())),
        };
        Canary {
            sent: report.sent,
            ago: report.ago.as_millis() as f64 / 1e3,
            took,
            failure,
        }
    }
}

impl Webhook {
    fn of(webhook: &webhook::Webhook) -> Self {
        let status = webhook.status();
        Webhook {
            url: status.url,
            waiting: status.waiting,
            lost: status.lost,
            failing_since: status.failing_since.map(logging::local_time),
        }
    }
}

impl History {
    fn of(standing: &Standing) -> Self {
        History {
            home: "memory",
            messages: standing.held.messages,
            bytes: standing.held.bytes,
            oldest: standing.held.oldest.map(|id| id.to_string()),
        }
    }
}
