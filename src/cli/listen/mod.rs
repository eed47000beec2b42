//! `udpush listen`: prints what is pushed, as a client that comes back and misses nothing.
//!
//! The main thread connects, reads and prints; Ctrl-C has a thread of its own.

mod address;
mod backoff;
mod frame;
mod link;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;
use std::thread;

use super::output;
use super::pairs::Pair;
use super::tools::{Reached, Stop, remark};
use address::Address;
use backoff::Backoff;
use frame::Frame;
use link::{Link, Lost};

const EXAMPLES: &str = "\
Examples:
  udpush listen
  udpush listen ws://push.example.org:6552/ --register school_id=2 --register school_id=3
  udpush listen | jq .msg
  udpush listen --count 1 --wait
      until the first message comes
  udpush listen --ids --since k3f9x0ab-42
      id, tab, document: what came after this id, then what is new
  udpush listen --last 10
      the newest ten that are meant for it, then what is new

Each document is one line, as it came; line breaks between its values become spaces. It connects
again when the link is lost, goes on where it was, and says so on standard error.

Where the server wants a token, it is in --token-file, which is read anew for each connection, or in
the variable UDPUSH_TOKEN: on a command line all users of the machine would see it.
Exit status: 0 --count is reached, Ctrl-C, or nobody reads its output any more; 1 not reached at
first, or sent away for good; 2 wrong usage.";

/// Print what is pushed, a document a line
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Listen {
    /// Where the server is; its query may register, too
    #[arg(value_name = "URL", default_value = "ws://127.0.0.1:6552/", value_parser = address::parse)]
    url: Address,

    /// What to hear only, repeatable; the same field again: or this value
    #[arg(short, long, value_name = "FIELD=VALUE", value_parser = address::registration)]
    register: Vec<Pair>,

    /// Where the token is that the server wants
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Begin after the message with this id
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    since: Option<String>,

    /// Begin with so many of the newest messages
    #[arg(long, value_name = "COUNT")]
    last: Option<u64>,

    /// End after so many documents
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Print each document's id and a tab before it
    #[arg(long)]
    ids: bool,

    /// When nobody is there at first, wait
    #[arg(long)]
    wait: bool,
}

/// Exit status after a second signal, as a shell tells of SIGINT.
const IMPATIENT: i32 = 130;

impl Listen {
    pub(super) fn run(mut self) -> Result<Reached, Stop> {
        end_at_signals()?;
        let registered = self.register.iter().map(Pair::parameter);
        self.url.register(registered);
        if let Some(id) = &self.since {
            self.url.go_on_after(id);
        }
        self.url.last = self.last.or(self.url.last);
        let wait = self.wait;
        let mut session = Session {
            left: self.count,
            ids: self.ids,
            address: self.url,
            token_file: self.token_file,
            was_open: false,
            backoff: Backoff::default(),
        };
        loop {
            let lost = match session.listen()? {
                Over::Enough => return Ok(Reached::Somebody),
                Over::Lost(lost) => lost,
            };
            if lost.is_final || !(session.was_open || wait) {
                return Err(session.give_up(&lost).into());
            }
            session.pause(&lost);
        }
    }
}

/// What goes on from one connection to the next.
#[derive(Debug)]
struct Session {
    address: Address,
    token_file: Option<PathBuf>,
    ids: bool,
    /// Documents until the end.
    left: Option<u64>,
    /// Whether there has been a connection.
    was_open: bool,
    backoff: Backoff,
}

/// Why a connection is over.
enum Over {
    /// All that was asked for is printed.
    Enough,
    Lost(Lost),
}

impl Session {
    /// Connects, and prints what comes.
    fn listen(&mut self) -> Result<Over, Stop> {
        let token = self.token()?;
        let mut link = match Link::open(&self.address, token.as_deref()) {
            Ok(link) => link,
            Err(lost) => return Ok(Over::Lost(lost)),
        };
        loop {
            let text = match link.text() {
                Ok(text) => text,
                // The file may have the next one by now.
                Err(lost) if lost.is_end_of_token && self.token_file.is_some() => {
                    let is_final = false;
                    return Ok(Over::Lost(Lost { is_final, ..lost }));
                }
                Err(lost) => return Ok(Over::Lost(lost)),
            };
            let frame = match frame::read(&text) {
                Ok(frame) => frame,
                Err(why) => return Ok(Over::Lost(Lost::finally(why))),
            };
            match frame {
                Frame::Hello(hello) => {
                    self.greet(&hello);
                    link.expect_every(hello.heartbeat);
                }
                Frame::Message { id, data } => {
                    self.print(&id, data)?;
                    self.address.go_on_after(&id);
                    if self.left == Some(0) {
                        link.leave();
                        return Ok(Over::Enough);
                    }
                }
                Frame::Heartbeat { id } => self.address.go_on_after(&id),
                Frame::Error(sentence) => remark(&sentence),
                Frame::Unknown => {}
            }
        }
    }

    /// What lets it in, if anything was given for that.
    fn token(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.token_file else {
            return Ok(env::var("UDPUSH_TOKEN").ok());
        };
        let token = fs::read_to_string(path);
        let token = token.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(Some(token.trim().to_owned()))
    }

    /// Says on standard error what may be missing.
    fn greet(&mut self, hello: &frame::Hello) {
        match (self.was_open, hello.resumed) {
            (false, Some(false)) => {
                remark("not everything after this id is held any more: here is only what is new")
            }
            (false, _) => {
                if self.backoff.has_waited() {
                    remark("connected");
                }
            }
            (true, Some(true)) => remark("connected again, nothing was missed"),
            (true, _) => remark("connected again, but messages may have been missed"),
        }
        self.was_open = true;
        self.backoff.opened();
        self.address.go_on_after(&hello.id);
    }

    fn print(&mut self, id: &str, data: &str) -> io::Result<()> {
        let mut out = output::stdout();
        if self.ids {
            write!(out, "{id}\t")?;
        }
        output::write_line(&mut out, data)?;
        out.flush()?;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }

    /// Why it ends here, and what can be done.
    fn give_up(&self, lost: &Lost) -> String {
        let (why, place) = (&lost.why, &self.address.place);
        match lost.is_final {
            true => format!("{place}: {why}"),
            false => format!(
                "cannot connect to {place}: {why}: is udpush running? systemctl status udpush; \
                 another address: udpush listen ws://HOST:PORT/; --wait waits for it"
            ),
        }
    }

    /// Waits before the next attempt. Of attempts that fail one after another, the first is told.
    fn pause(&mut self, lost: &Lost) {
        let (why, place) = (&lost.why, &self.address.place);
        let wait = self.backoff.next();
        if self.backoff.is_first() {
            match self.was_open {
                true => remark(&format!(
                    "the link to {place} is lost ({why}); connecting again"
                )),
                false => remark(&format!("waiting for {place} ({why})")),
            }
        }
        thread::sleep(wait);
    }
}

/// A signal is how this ends: with what is printed whole, and all is well. The second ends it at
/// once, as nobody may read what is being printed.
fn end_at_signals() -> Result<(), String> {
    let mut is_first = true;
    let end = move || {
        let printed = || {
            let _line = io::stdout().lock();
            process::exit(0)
        };
        if !is_first || thread::Builder::new().spawn(printed).is_err() {
            process::exit(IMPATIENT);
        }
        is_first = false;
    };
    ctrlc::set_handler(end).map_err(|error| format!("cannot handle signals: {error}"))
}
