//! `udpush history`: what was pushed.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::listed::{Listed, Out};
use super::output::{self, Look};
use super::pairs::{Pair, escaped, object, pair};
use super::table::{Side, Table};
use super::tools::{Reached, Stop};
use super::trusted::{self, Trusted};
use crate::words::{JsonLine, grouped};

const EXAMPLES: &str = "\
Examples:
  udpush history
      the newest 20 messages, oldest first
  udpush history --last 1000 --match school_id=2 --match school_id=3
      of the newest, those that a client with school 2 or 3 hears
  udpush history --since k3f9x0ab-42
      all after this one
  udpush history --json | jq .data

In a pipe, for each message: id, time, sender, clients that heard it, the document. Tabs are between
them.
Exit status: 0 there are some, 3 there are none, 1 not reached, or not held any more, 2 wrong usage.";

/// Show what was pushed, and how many heard it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct History {
    /// All after the message with this id
    #[arg(long, value_name = "ID")]
    since: Option<String>,

    /// So many at most, the newest [default: 20; with --since all]
    #[arg(long, value_name = "COUNT")]
    last: Option<u64>,

    /// Only what a client hears that registered this; repeatable, the same field again: or this value
    #[arg(long = "match", value_name = "FIELD=VALUE", value_parser = pair)]
    registered: Vec<Pair>,

    #[command(flatten)]
    trusted: Trusted,

    #[command(flatten)]
    look: Look,
}

/// One message, as the server tells of it.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    clients: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl History {
    const LAST: u64 = 20;

    pub(super) fn run(self) -> Result<Reached, Stop> {
        let answer = self.trusted.get(&self.target())?;
        let listed = Listed {
            table: table(),
            row: |line: &str| Ok(row(&trusted::understood(line)?)),
            plain: |out: &mut Out, line: &str| Ok(write_plain(out, &trusted::understood(line)?)),
            nothing: "there are no such messages",
        };
        listed.print(answer, self.look)
    }

    fn target(&self) -> String {
        let mut parameters = Vec::new();
        if let Some(id) = &self.since {
            parameters.push(format!("since={}", escaped(id)));
        }
        let default = self.since.is_none().then_some(Self::LAST);
        if let Some(last) = self.last.or(default) {
            parameters.push(format!("last={last}"));
        }
        if !self.registered.is_empty() {
            parameters.push(format!("match={}", escaped(&object(&self.registered))));
        }
        trusted::target("/history", &parameters)
    }
}

fn table() -> Table {
    Table::new(&[
        ("id", Side::Left),
        ("time", Side::Left),
        ("from", Side::Left),
        ("clients", Side::Right),
        ("document", Side::Left),
    ])
}

fn row(message: &Message<'_>) -> [String; 5] {
    [
        message.id.to_string(),
        message.time.to_string(),
        message.from.to_string(),
        grouped(message.clients),
        JsonLine(message.data.get()).to_string(),
    ]
}

fn write_plain(out: &mut impl Write, message: &Message<'_>) -> io::Result<()> {
    let Message {
        id,
        time,
        from,
        clients,
        data,
    } = message;
    write!(out, "{id}\t{time}\t{from}\t{clients}\t")?;
    // A tab outside of strings is white space, too, and inside JSON has none.
    output::write_line(out, &data.get().replace('\t', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        history: History,
    }

    fn target(arguments: &[&str]) -> String {
        let arguments = ["udpush"].iter().chain(arguments);
        Line::try_parse_from(arguments).unwrap().history.target()
    }

    #[test]
    fn what_is_asked_for_is_in_the_query() {
        assert_eq!(target(&[]), "/history?last=20");
        assert_eq!(target(&["--since", "a-1"]), "/history?since=a-1");
        assert_eq!(
            target(&["--since", "a-1", "--last", "5"]),
            "/history?since=a-1&last=5"
        );
        assert_eq!(
            target(&["--match", "a=1", "--match", "a=2"]),
            "/history?last=20&match=%7B%22a%22%3A%5B%221%22%2C%222%22%5D%7D"
        );
    }

    #[test]
    fn a_line_of_a_message_has_its_document_byte_for_byte_but_for_white_space() {
        let line = "{\"id\":\"a-1\",\"time\":\"t\",\"from\":\"127.0.0.1:40000\",\"clients\":3,\"data\":{\"b\" :\t1.0,\"a\":\"\\u00e9\\t\"}}";
        let mut out = Vec::new();
        write_plain(&mut out, &trusted::understood(line).unwrap()).unwrap();
        let expected = "a-1\tt\t127.0.0.1:40000\t3\t{\"b\" : 1.0,\"a\":\"\\u00e9\\t\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
