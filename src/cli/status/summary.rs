//! The status for people: what matters, in words.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Deserialize;

use crate::cli::amounts::{bytes, counted, duration};
use crate::cli::output::Paint;
use crate::cli::table::harmless;
use crate::words::grouped;

/// What of `GET /status` is shown. A figure that another version of the server does not have is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Summary {
    version: String,
    pid: u64,
    started: String,
    uptime: f64,
    listen: String,
    publish: Vec<String>,
    log: Option<String>,
    newest: Option<String>,
    clients: Clients,
    messages: Messages,
    deliveries: u64,
    refused: Refused,
    dropped_by_kernel: u64,
    closed: Closed,
    refused_visitors: BTreeMap<String, u64>,
    queues: Queues,
    rates: BTreeMap<String, Rate>,
    history: History,
    canary: Option<Canary>,
    webhook: Option<Webhook>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Clients {
    online: u64,
    most: u64,
    plain: u64,
    v1: u64,
    events: u64,
    replaying: u64,
    since_start: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Messages {
    since_start: u64,
    bytes: u64,
    empty: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refused {
    datagrams: u64,
    documents: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Closed {
    since_start: u64,
    too_slow: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Queues {
    bytes: u64,
    most: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rate {
    messages: f64,
    deliveries: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct History {
    home: String,
    messages: u64,
    bytes: u64,
    oldest: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Canary {
    sent: u64,
    ago: f64,
    took: Option<f64>,
    failure: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Webhook {
    url: String,
    waiting: u64,
    lost: u64,
    failing_since: Option<String>,
}

/// A line: what it is about, what is to be said, and whether somebody should look at it.
type Row = (&'static str, String, bool);

/// The words on the left are at most as wide.
const WIDTH: usize = 12;

impl Summary {
    pub(super) fn write(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        let up = duration(self.uptime);
        let (version, pid, started) = (&self.version, self.pid, &self.started);
        let heading = format!("udpush {version}, process {pid}, up {up}, since {started}");
        writeln!(out, "{}", paint.strong(&harmless(&heading)))?;
        let rows = self.places().into_iter().chain(self.figures());
        for (about, words, matters) in rows {
            let words = harmless(&words);
            let words = match matters {
                true => paint.warning(&words),
                false => words,
            };
            writeln!(out, "{about:<WIDTH$}  {words}")?;
        }
        Ok(())
    }

    fn places(&self) -> Vec<Row> {
        let mut rows = vec![
            ("listens on", self.listen.clone(), false),
            ("takes on", self.publish.join(", "), false),
        ];
        if let Some(log) = &self.log {
            rows.push(("log", log.clone(), false));
        }
        rows
    }

    fn figures(&self) -> Vec<Row> {
        let mut rows = vec![self.clients(), self.closed(), self.messages()];
        rows.extend(self.rate());
        rows.extend([
            self.refused(),
            self.visitors(),
            self.queues(),
            self.history(),
        ]);
        rows.extend(self.canary());
        rows.extend(self.webhook());
        rows
    }

    fn clients(&self) -> Row {
        let Clients {
            online,
            most,
            plain,
            v1,
            events,
            replaying,
            since_start,
        } = self.clients;
        let mut words = format!(
            "{} of at most {} ({plain} plain, {v1} v1, {events} events)",
            grouped(online),
            grouped(most)
        );
        if replaying > 0 {
            words.push_str(&format!(", {replaying} catching up"));
        }
        words.push_str(&format!("; {} since the start", grouped(since_start)));
        ("clients", words, most > 0 && online >= most)
    }

    fn closed(&self) -> Row {
        let Closed {
            since_start,
            too_slow,
        } = self.closed;
        let words = format!("{}, {} too slow", grouped(since_start), grouped(too_slow));
        ("closed", words, too_slow > 0)
    }

    fn messages(&self) -> Row {
        let Messages {
            since_start,
            bytes: size,
            empty,
        } = self.messages;
        let mut words = format!("{}, {}", grouped(since_start), bytes(size));
        if let Some(newest) = &self.newest {
            words.push_str(&format!(", the newest {newest}"));
        }
        words.push_str(&format!(
            "; {}",
            counted(self.deliveries, "delivery", "deliveries")
        ));
        if empty > 0 {
            words.push_str(&format!("; {} empty", grouped(empty)));
        }
        ("messages", words, false)
    }

    fn rate(&self) -> Option<Row> {
        let Rate {
            messages,
            deliveries,
        } = self.rates.get("60s")?;
        let words =
            format!("{messages:.1} messages, {deliveries:.1} deliveries, over the last minute");
        Some(("a second", words, false))
    }

    fn refused(&self) -> Row {
        let Refused {
            datagrams,
            documents,
        } = self.refused;
        let words = format!(
            "{}, {}; {} dropped by the kernel",
            counted(datagrams, "datagram", "datagrams"),
            counted(documents, "document", "documents"),
            grouped(self.dropped_by_kernel)
        );
        let matters = datagrams + documents + self.dropped_by_kernel > 0;
        ("refused", words, matters)
    }

    fn visitors(&self) -> Row {
        let mut told = self.refused_visitors.iter();
        let told = told
            .by_ref()
            .map(|(status, count)| format!("{} × {status}", grouped(*count)));
        let words = told.collect::<Vec<_>>().join(", ");
        let matters = !words.is_empty();
        match matters {
            true => ("turned away", words, true),
            false => ("turned away", "no visitor".to_owned(), false),
        }
    }

    fn queues(&self) -> Row {
        let Queues { bytes: size, most } = self.queues;
        let words = format!("{} of at most {}", bytes(size), bytes(most));
        ("waiting", words, most > 0 && size >= most / 2)
    }

    fn history(&self) -> Row {
        let History {
            home,
            messages,
            bytes: size,
            oldest,
        } = &self.history;
        let held = counted(*messages, "message", "messages");
        let mut words = format!("{held}, {}, in {home}", bytes(*size));
        if let Some(oldest) = oldest {
            words.push_str(&format!(", from {oldest} on"));
        }
        ("history", words, false)
    }

    fn canary(&self) -> Option<Row> {
        let Canary {
            sent,
            ago,
            took,
            failure,
        } = self.canary.as_ref()?;
        let fared = match (failure, took) {
            (Some(why), _) => why.clone(),
            (None, took) => format!("back in {:.1} ms", took.unwrap_or_default() * 1e3),
        };
        let words = format!("{fared}; {} ago, {} sent", duration(*ago), grouped(*sent));
        Some(("canary", words, failure.is_some()))
    }

    fn webhook(&self) -> Option<Row> {
        let Webhook {
            url,
            waiting,
            lost,
            failing_since,
        } = self.webhook.as_ref()?;
        let mut words = format!(
            "{url}: {} waiting, {} lost",
            grouped(*waiting),
            grouped(*lost)
        );
        if let Some(since) = failing_since {
            words.push_str(&format!(", failing since {since}"));
        }
        Some(("webhook", words, *lost > 0 || failing_since.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"version":"0.1.0","pid":123,"started":"2026-11-25T10:00:00+01:00","uptime":12.3,
        "listen":"0.0.0.0:6552","publish":["127.0.0.1:6553","[::1]:6553"],"log":"/var/log/udpush/udpush.log",
        "newest":"k3f9x0ab-42",
        "clients":{"online":3,"most":10000,"plain":1,"v1":1,"events":1,"replaying":0,"since_start":17},
        "messages":{"since_start":42,"bytes":4711,"empty":0},"deliveries":126,
        "refused":{"datagrams":1,"documents":0},"dropped_by_kernel":0,
        "closed":{"since_start":14,"too_slow":0},
        "refused_visitors":{"400 Bad Request":1,"503 Service Unavailable":2},
        "queues":{"bytes":0,"most":268435456},
        "rates":{"1s":{"messages":0,"deliveries":0,"refused":0},"60s":{"messages":0.7,"deliveries":2.1,"refused":0}},
        "history":{"home":"memory","messages":42,"bytes":4711,"oldest":"k3f9x0ab-1"},
        "canary":{"sent":1200,"ago":1.5,"took":0.000312,"failure":null},
        "webhook":{"url":"http://127.0.0.1:8080/","waiting":0,"lost":0,"failing_since":null}}"#;

    fn printed(json: &str, paint: Paint) -> String {
        let summary: Summary = serde_json::from_str(json).unwrap();
        let mut out = Vec::new();
        summary.write(&mut out, paint).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_read_all_of_it() {
        let expected = "\
udpush 0.1.0, process 123, up 12 s, since 2026-11-25T10:00:00+01:00
listens on    0.0.0.0:6552
takes on      127.0.0.1:6553, [::1]:6553
log           /var/log/udpush/udpush.log
clients       3 of at most 10,000 (1 plain, 1 v1, 1 events); 17 since the start
closed        14, 0 too slow
messages      42, 4.6 KiB, the newest k3f9x0ab-42; 126 deliveries
a second      0.7 messages, 2.1 deliveries, over the last minute
refused       1 datagram, 0 documents; 0 dropped by the kernel
turned away   1 × 400 Bad Request, 2 × 503 Service Unavailable
waiting       0 bytes of at most 256 MiB
history       42 messages, 4.6 KiB, in memory, from k3f9x0ab-1 on
canary        back in 0.3 ms; 1.5 s ago, 1,200 sent
webhook       http://127.0.0.1:8080/: 0 waiting, 0 lost
";
        assert_eq!(printed(STATUS, Paint::NONE), expected);
    }

    #[test]
    fn what_is_wrong_has_a_colour_and_what_is_well_has_none() {
        let text = printed(STATUS, Paint::ALWAYS);
        let coloured: Vec<_> = text
            .lines()
            .filter(|line| line.contains("\x1b[33m"))
            .collect();
        assert_eq!(coloured.len(), 2, "{text}");
        assert!(coloured[0].starts_with("refused"));
        assert!(coloured[1].starts_with("turned away"));
    }

    #[test]
    fn that_messages_do_not_get_through_has_a_colour() {
        let text = printed(
            r#"{"canary":{"sent":1,"ago":0.5,"took":null,"failure":"the server stops"}}"#,
            Paint::ALWAYS,
        );
        let line = text.lines().find(|line| line.starts_with("canary"));
        let expected = "canary        \x1b[33mthe server stops; 0.5 s ago, 1 sent\x1b[0m";
        assert_eq!(line, Some(expected));
    }

    #[test]
    fn another_version_of_the_server_is_shown_as_far_as_it_goes() {
        let text = printed(r#"{"version":"0.2.0","log":null,"more":1}"#, Paint::NONE);
        assert!(text.starts_with("udpush 0.2.0, "), "{text}");
        assert!(!text.contains("\nlog"), "{text}");
    }
}
