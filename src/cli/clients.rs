//! `udpush clients`: who is connected.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::amounts::{bytes, duration};
use super::listed::{Listed, Out};
use super::output::Look;
use super::pairs::{Pair, pair};
use super::table::{Side, Table};
use super::tools::{Reached, Stop};
use super::trusted::{self, Trusted};
use crate::words::{JsonLine, grouped};

const EXAMPLES: &str = "\
Examples:
  udpush clients
  udpush clients school_id=2 school_id=3 school_class_id=1
      who registered school 2 or 3, and class 1
  udpush clients user=u7 >/dev/null || echo u7 is not online
  udpush clients --json | jq .address

In a pipe, for each client: number, address, mode, seconds since it connected, its registration,
messages and bytes that wait for it, messages and bytes that it was sent, seconds since it gave a
sign of life. Tabs are between them.
Exit status: 0 there are some, 3 there are none, 1 not reached, 2 wrong usage.";

/// Show who is connected, and what they registered
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Clients {
    /// Only those that registered this; the same field again: or this value
    #[arg(value_name = "FIELD=VALUE", value_parser = pair)]
    registered: Vec<Pair>,

    #[command(flatten)]
    trusted: Trusted,

    #[command(flatten)]
    look: Look,
}

/// One client, as the server tells of it.
#[derive(Debug, Deserialize)]
struct Client<'a> {
    client: u64,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    seconds: f64,
    #[serde(borrow)]
    registration: Option<&'a RawValue>,
    #[serde(default)]
    replaying: bool,
    queued: Amount,
    sent: Amount,
    seen: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Amount {
    messages: u64,
    bytes: u64,
}

impl Clients {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let query: Vec<_> = self.registered.iter().map(Pair::parameter).collect();
        let answer = self.trusted.get(&trusted::target("/clients", &query))?;
        let listed = Listed {
            table: table(),
            row: |line: &str| Ok(row(&trusted::understood(line)?)),
            plain: |out: &mut Out, line: &str| Ok(write_plain(out, &trusted::understood(line)?)),
            nothing: self.nobody(),
        };
        listed.print(answer, self.look)
    }

    fn nobody(&self) -> &'static str {
        match self.registered.is_empty() {
            true => "nobody is connected",
            false => "nobody who is connected registered this",
        }
    }
}

fn table() -> Table {
    Table::new(&[
        ("client", Side::Right),
        ("address", Side::Left),
        ("mode", Side::Left),
        ("connected", Side::Right),
        ("seen", Side::Right),
        ("sent", Side::Right),
        ("waiting", Side::Right),
        ("registration", Side::Left),
    ])
}

fn registration<'a>(client: &Client<'a>) -> &'a str {
    client.registration.map_or("{}", RawValue::get)
}

fn row(client: &Client<'_>) -> [String; 8] {
    let waiting = match (client.replaying, client.queued.messages) {
        (true, _) => "replaying".to_owned(),
        (false, 0) => String::new(),
        (false, messages) => format!("{} ({})", grouped(messages), bytes(client.queued.bytes)),
    };
    [
        client.client.to_string(),
        client.address.to_string(),
        client.mode.to_string(),
        duration(client.seconds),
        client.seen.map_or(String::new(), duration),
        grouped(client.sent.messages),
        waiting,
        JsonLine(registration(client)).to_string(),
    ]
}

fn write_plain(out: &mut impl Write, client: &Client<'_>) -> io::Result<()> {
    let Client {
        client: number,
        address,
        mode,
        seconds,
        queued,
        sent,
        ..
    } = client;
    let registration = registration(client);
    let seen = client.seen.map_or("-".to_owned(), |seen| seen.to_string());
    writeln!(
        out,
        "{number}\t{address}\t{mode}\t{seconds}\t{registration}\t{}\t{}\t{}\t{}\t{seen}",
        queued.messages, queued.bytes, sent.messages, sent.bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Paint;

    const TWO: [&str; 2] = [
        r#"{"client":17,"address":"10.0.0.5:51234","since":"2026-11-25T10:00:00.123+01:00","seconds":12.3,"mode":"plain","registration":{"user":"u7"},"replaying":false,"queued":{"messages":0,"bytes":0},"sent":{"messages":4000,"bytes":4711},"seen":1.2}"#,
        r#"{"client":18,"address":"[::1]:51235","since":"2026-11-25T10:00:00.123+01:00","seconds":7200,"mode":"v1","registration":{},"replaying":false,"queued":{"messages":7,"bytes":2048},"sent":{"messages":1,"bytes":2},"seen":0,"new":null}"#,
    ];

    #[test]
    fn a_table_of_clients_is_for_people() {
        let mut table = table();
        for line in TWO {
            table.add(row(&trusted::understood(line).unwrap()));
        }
        let mut out = Vec::new();
        table.write(&mut out, Paint::NONE).unwrap();
        let expected = "\
client  address         mode   connected   seen   sent    waiting  registration
    17  10.0.0.5:51234  plain       12 s  1.2 s  4,000             {\"user\":\"u7\"}
    18  [::1]:51235     v1           2 h  0.0 s      1  7 (2 KiB)  {}
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_line_of_a_client_has_ten_fields() {
        let mut out = Vec::new();
        for line in TWO {
            write_plain(&mut out, &trusted::understood(line).unwrap()).unwrap();
        }
        let expected = "\
17\t10.0.0.5:51234\tplain\t12.3\t{\"user\":\"u7\"}\t0\t0\t4000\t4711\t1.2
18\t[::1]:51235\tv1\t7200\t{}\t7\t2048\t1\t2\t0
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
