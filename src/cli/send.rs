//! `udpush send`: publishes, and tells how many hear it.

use std::io::{self, IsTerminal, Read, Write};
use std::net::{ToSocketAddrs, UdpSocket};

use nix::errno::Errno;
use serde::Deserialize;

use super::amounts::counted;
use super::output::{self, Form, Look, Paint};
use super::tools::{Reached, Stop, remark};
use super::trusted::{self, Failed, Trusted};

const EXAMPLES: &str = "\
Examples:
  udpush send '{\"msg\":\"Lunch!\"}'
  jq -c '.[]' orders.json | udpush send
      several documents: a message each; all of them are published, or none
  udpush send --quiet '{\"school_id\":2}' || echo nobody of school 2 is there
  udpush send --udp '{\"msg\":\"hi\"}'
      a datagram, as nc sends it: nobody tells what came of it

On a terminal: 42 clients hear it (k3f9x0ab-42). In a pipe, for each document: id, tab, clients.
Of several documents, those that are empty are left out: they are no messages.
Exit status: 0 somebody hears it, 3 nobody does, 1 refused or not reached, 2 wrong usage.";

/// Push JSON, and say how many hear it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Send {
    /// What to push: one document or several; - or nothing: standard input
    #[arg(value_name = "JSON")]
    documents: Option<String>,

    /// In a datagram, without an answer; the exit status is 0 then
    #[arg(long)]
    udp: bool,

    /// Print nothing when it was published
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    #[command(flatten)]
    trusted: Trusted,

    #[command(flatten)]
    look: Look,
}

/// What became of the documents.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Published {
    One(Receipt),
    Several(Vec<Receipt>),
}

/// What became of one of them.
#[derive(Debug, Deserialize)]
struct Receipt {
    /// An empty document is no message and has none.
    id: Option<String>,
    clients: u64,
}

impl Send {
    pub(super) fn run(self) -> Result<Reached, Stop> {
        let documents = given(self.documents.as_deref())?;
        if self.udp {
            send_datagram(&self.trusted.publish, &documents)?;
            return Ok(Reached::Somebody);
        }
        let answer = match self.trusted.post("/", &documents) {
            // As the reply to a datagram says it.
            Err(Failed::Refused(sentence)) => return Err(format!("refused: {sentence}").into()),
            outcome => outcome?.text()?,
        };
        let receipts = match trusted::understood(&answer)? {
            Published::One(receipt) => vec![receipt],
            Published::Several(receipts) => receipts,
        };
        if !self.quiet {
            let mut out = output::stdout();
            match self.look.form() {
                Form::Json => output::write_line(&mut out, answer.trim_end())?,
                form => write(&mut out, &receipts, form, self.look.paint())?,
            }
            out.flush()?;
        }
        Ok(Reached::of(
            receipts.iter().map(|receipt| receipt.clients).sum(),
        ))
    }
}

/// What was given as an argument or, without one, as standard input.
///
/// # Errors
/// One sentence, when that cannot be read.
pub(super) fn given(argument: Option<&str>) -> Result<Vec<u8>, String> {
    if let Some(documents) = argument
        && documents != "-"
    {
        return Ok(documents.as_bytes().to_vec());
    }
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        remark("type JSON, then Enter and Ctrl-D");
    }
    let mut documents = Vec::new();
    stdin
        .read_to_end(&mut documents)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(documents)
}

fn send_datagram(place: &str, documents: &[u8]) -> Result<(), String> {
    let cannot = |error: io::Error| match error.raw_os_error() {
        Some(number) if number == Errno::EMSGSIZE as i32 => format!(
            "a datagram has at most 65507 bytes, these are {}; without --udp any size goes",
            documents.len()
        ),
        _ => format!("cannot send to {place}: {error}"),
    };
    let address = place.to_socket_addrs().map_err(cannot)?.next();
    let address = address.ok_or_else(|| format!("{place} has no address"))?;
    let own = match address.is_ipv4() {
        true => "0.0.0.0:0",
        false => "[::]:0",
    };
    let socket = UdpSocket::bind(own).map_err(cannot)?;
    socket.send_to(documents, address).map_err(cannot)?;
    Ok(())
}

fn write(out: &mut impl Write, receipts: &[Receipt], form: Form, paint: Paint) -> io::Result<()> {
    for Receipt { id, clients } in receipts {
        match (id, form) {
            (Some(id), Form::Table) => {
                let heard = match clients {
                    0 => paint.warning("nobody hears it"),
                    1 => "1 client hears it".to_owned(),
                    _ => format!("{} hear it", counted(*clients, "client", "clients")),
                };
                writeln!(out, "{heard} ({id})")?;
            }
            (None, Form::Table) => {
                let empty = paint.warning("nobody hears it");
                writeln!(out, "{empty}: it is empty")?;
            }
            (id, _) => writeln!(out, "{}\t{clients}", id.as_deref().unwrap_or("-"))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(answer: &str, form: Form) -> String {
        let receipts = match trusted::understood(answer).unwrap() {
            Published::One(receipt) => vec![receipt],
            Published::Several(receipts) => receipts,
        };
        let mut out = Vec::new();
        write(&mut out, &receipts, form, Paint::NONE).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_read_how_many_hear_it() {
        for (answer, line) in [
            (
                r#"{"ok":true,"id":"k3f9x0ab-42","clients":1234}"#,
                "1,234 clients hear it (k3f9x0ab-42)\n",
            ),
            (
                r#"{"ok":true,"id":"k3f9x0ab-42","clients":1}"#,
                "1 client hears it (k3f9x0ab-42)\n",
            ),
            (
                r#"{"ok":true,"id":"k3f9x0ab-42","clients":0}"#,
                "nobody hears it (k3f9x0ab-42)\n",
            ),
            (
                r#"{"ok":true,"clients":0,"empty":true}"#,
                "nobody hears it: it is empty\n",
            ),
        ] {
            assert_eq!(printed(answer, Form::Table), line);
        }
    }

    #[test]
    fn programs_read_a_line_a_document() {
        let answer =
            r#"[{"ok":true,"id":"a-1","clients":1234},{"ok":true,"clients":0,"empty":true}]"#;
        assert_eq!(printed(answer, Form::Lines), "a-1\t1234\n-\t0\n");
    }
}
