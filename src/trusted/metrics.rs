//! `GET /metrics`: the same numbers for Prometheus, in its text format 0.0.4.

use std::fmt::{Display, Write};

use super::Trusted;
use crate::http::Answer;

/// What a metric is: a number that only grows, or one that goes up and down.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}
use Kind::{Counter, Gauge};

/// The answer.
pub(super) fn answer(trusted: &Trusted) -> Answer {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Answer::file(content_type, text(trusted)).header("Cache-Control", "no-store")
}

fn text(trusted: &Trusted) -> String {
    let counted = trusted.tally.counted();
    let standing = trusted.hub.standing();
    let online = standing.online;
    let mut text = Text(String::with_capacity(8 << 10));

    let version = env!("CARGO_PKG_VERSION");
    text.metric(
        Gauge,
        "build_info",
        "Always 1; the label says which version runs.",
    )
    .labelled("version", version, 1);
    let start = trusted.facts.start.unix_timestamp_nanos() as f64 / 1e9;
    text.metric(
        Gauge,
        "start_time_seconds",
        "When it started, in seconds since 1970.",
    )
    .value(start);

    text.metric(
        Gauge,
        "clients",
        "Clients online, by how they hear messages.",
    )
    .labelled("mode", "plain", online.plain())
    .labelled("mode", "v1", online.v1())
    .labelled("mode", "events", online.events());
    text.metric(
        Gauge,
        "clients_replaying",
        "Clients that are still told what they missed.",
    )
    .value(online.replaying);
    text.metric(Gauge, "clients_max", "Clients that may be online at once.")
        .value(standing.most_clients);
    text.metric(
        Counter,
        "clients_connected_total",
        "Clients that have joined.",
    )
    .value(standing.joined);
    text.metric(
        Counter,
        "clients_closed_total",
        "Clients that are gone, for whatever reason.",
    )
    .value(standing.left());
    text.metric(
        Counter,
        "clients_too_slow_total",
        "Clients that were closed as too slow.",
    )
    .value(counted.too_slow);
    let refused = "Visitors that became no clients, by the status that they were answered with.";
    let mut visitors = text.metric(Counter, "refused_visitors_total", refused);
    for (status, count) in &counted.refused_visitors {
        visitors = visitors.labelled("status", status, count);
    }

    text.metric(Counter, "messages_total", "Messages that were published.")
        .value(counted.messages);
    text.metric(
        Counter,
        "message_bytes_total",
        "Bytes of the documents that were published.",
    )
    .value(counted.bytes);
    text.metric(
        Counter,
        "empty_documents_total",
        "Documents dropped because they are empty.",
    )
    .value(counted.empty);
    text.metric(
        Counter,
        "deliveries_total",
        "Messages times the clients that each was for.",
    )
    .value(counted.deliveries);
    text.metric(
        Counter,
        "refused_datagrams_total",
        "Datagrams that were refused.",
    )
    .value(counted.refused_datagrams);
    text.metric(
        Counter,
        "refused_documents_total",
        "Documents by TCP that were refused.",
    )
    .value(counted.refused_documents);
    let dropped = "Datagrams that the kernel dropped because the receive buffer was full.";
    text.metric(Counter, "dropped_datagrams_total", dropped)
        .value(counted.dropped_by_kernel);

    text.metric(
        Gauge,
        "queue_bytes",
        "Bytes that wait for clients, all together.",
    )
    .value(standing.waiting);
    text.metric(
        Gauge,
        "queue_max_bytes",
        "Bytes that may wait before clients are closed.",
    )
    .value(standing.most_waiting);
    text.metric(
        Gauge,
        "history_messages",
        "Messages held for clients that come back.",
    )
    .value(standing.held.messages);
    text.metric(
        Gauge,
        "history_bytes",
        "Bytes of the documents that are held.",
    )
    .value(standing.held.bytes);
    if let Some(report) = trusted.canary.report() {
        let well = "Whether the last canary came back: 1, or 0. /healthz sends it.";
        text.metric(Gauge, "canary_success", well)
            .value(u8::from(report.result.is_ok()));
        if let Ok(took) = report.result {
            let help = "How long the last canary took, through 6553 and out of a mailbox.";
            text.metric(Gauge, "canary_seconds", help)
                .value(took.as_secs_f64());
        }
    }
    text.0
}

/// Metrics, one behind the other.
struct Text(String);

/// One metric, to which samples are added.
struct Metric<'a> {
    name: &'static str,
    text: &'a mut String,
}

// Writing to a string cannot fail. Neither texts nor labels have anything that is to be escaped:
// all of them are ours, without quotes, backslashes and line breaks.
impl Text {
    fn metric(&mut self, kind: Kind, name: &'static str, help: &str) -> Metric<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let text = &mut self.0;
        let _ = writeln!(text, "# HELP udpush_{name} {help}");
        let _ = writeln!(text, "# TYPE udpush_{name} {kind}");
        Metric { name, text }
    }
}

impl Metric<'_> {
    fn value(self, value: impl Display) {
        let _ = writeln!(self.text, "udpush_{} {value}", self.name);
    }

    fn labelled(self, label: &str, text: &str, value: impl Display) -> Self {
        let name = self.name;
        let _ = writeln!(self.text, "udpush_{name}{{{label}=\"{text}\"}} {value}");
        self
    }
}
