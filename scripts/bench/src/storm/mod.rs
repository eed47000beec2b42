//! `udpush-bench storm`: what the open network does to a server, while good clients listen.
//!
//! Each attack runs on a thread of its own ([`connections`], [`flood`], [`stuck`]) beside the good
//! clients, who are the ones that this program measures with otherwise, too: first in calm, then
//! under attack, then it is waited for that the server needs no more than before. Two are different:
//! [`reconnect`] kills the server, and [`soak`] takes its time.

mod attacked;
mod connections;
mod crowd;
mod fleet;
mod flood;
mod follower;
mod front;
mod good;
mod ledger;
mod member;
mod random;
mod reconnect;
mod soak;
mod stuck;
mod table;
mod tokens;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::arguments::seconds;
use crate::os;
use crate::progress::Progress;
use attacked::Attacked;
use table::{Row, heading};

/// Descriptors: those of 4,000 pages, and some more.
const FILES: u64 = 5000;

/// Attack a server of this machine, while good clients listen, and print what they notice
#[derive(Debug, clap::Args)]
pub(crate) struct Storm {
    /// The udpush to start and attack
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/udpush")]
    server: PathBuf,

    /// Attack one that runs already: where clients connect
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "publish",
        conflicts_with = "server"
    )]
    connect: Option<SocketAddr>,

    /// Where its messages go in
    #[arg(long, value_name = "ADDRESS", requires = "connect")]
    publish: Option<SocketAddr>,

    /// These attacks alone, in this order
    #[arg(long, value_name = "ATTACK", value_enum, value_delimiter = ',', num_args = 1..)]
    only: Vec<Attack>,

    /// How long good clients listen in calm, and again under each attack
    #[arg(long, value_parser = seconds, default_value = "10")]
    seconds: f64,

    /// How many attackers, in per cent
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    scale: u8,

    /// Have as many good clients at a second server that nobody attacks: what they notice is the
    /// machine's doing
    #[arg(long, conflicts_with_all = ["soak", "connect"])]
    bystander: bool,

    /// Instead, clients that come, go, stall, resume and register anew, for so long
    #[arg(long, value_name = "MINUTES", value_parser = minutes, conflicts_with_all = ["only", "seconds", "scale"])]
    soak: Option<f64>,

    /// Print a JSON object for each attack
    #[arg(long)]
    json: bool,
}

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Attack {
    /// 2,000 connections that send a byte of their request a second
    Drip,
    /// 2,000 that connect and say nothing
    Silence,
    /// Connections that hang up in the middle of the request, as fast as one thread can
    HangUps,
    /// 200 clients that send pings: half as many as they may, half as many as they can
    Pings,
    /// The same with registrations
    Registrations,
    /// The same with frames that say nothing to udpush
    Frames,
    /// 200 clients whose frame never ends
    HalfFrames,
    /// Ten times the datagrams that it takes
    Flood,
    /// 450 clients that read nothing, until what waits for all of them passes its bound
    Stuck,
    /// The server is killed with 4,000 pages connected, and started again
    Reconnect,
}

impl Attack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Attack::Drip => "drip",
            Attack::Silence => "silence",
            Attack::HangUps => "hang-ups",
            Attack::Pings => "pings",
            Attack::Registrations => "registrations",
            Attack::Frames => "frames",
            Attack::HalfFrames => "half-frames",
            Attack::Flood => "flood",
            Attack::Stuck => "stuck",
            Attack::Reconnect => "reconnect",
        }
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.01..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("not a number of minutes from 0.01 to 10000".to_owned()),
    }
}

impl Storm {
    /// Prints a line for each attack as it is over.
    ///
    /// # Errors
    /// One sentence: what failed, or what was not as it should be.
    pub(crate) fn run(self) -> Result<(), String> {
        let allowed = os::raise_descriptor_limit(FILES);
        let allowed = allowed.map_err(|error| format!("cannot ask for {FILES} files: {error}"))?;
        if allowed < FILES {
            return Err(format!(
                "a storm needs {FILES} open files, {allowed} are allowed here: raise ulimit -n, \
                 or run as root"
            ));
        }
        let mut progress = Progress::new();
        let mut faults = 0;
        self.say(&heading());
        if let Some(minutes) = self.soak {
            let attacked = self.attacked(&soak::FLAGS)?;
            let time = Duration::from_secs_f64(60.0 * minutes);
            let row = soak::run(&attacked, time, &mut progress, |line| self.say(line))?;
            drop(progress);
            faults += self.tell(&row);
        } else {
            let mut attacked = self.attacked(&[])?;
            let bystander = self.bystander.then(|| self.attacked(&[])).transpose()?;
            let before = attacked.resources();
            for attack in self.attacks() {
                let bystander = bystander.as_ref();
                let row = self.attack(attack, &mut attacked, bystander, &mut progress)?;
                progress.clear();
                faults += self.tell(&row);
            }
            if self.only.is_empty() {
                self.say("waiting a minute, until no thread waits for a client any more");
                let mut row = Row::new("nothing");
                row.before = before;
                row.after = attacked.await_the_end_of_threads(before);
                row.peak = row.after;
                row.faults.extend(row.after.exceeds(before));
                faults += self.tell(&row);
            }
        }
        match faults {
            0 => Ok(()),
            faults => Err(format!("{faults} of the above are not as they should be")),
        }
    }

    fn attacked(&self, flags: &[&str]) -> Result<Attacked, String> {
        match (self.connect, self.publish) {
            (Some(clients), Some(publishers)) => Ok(Attacked::given(clients, publishers)),
            _ => {
                let binary = std::path::absolute(&self.server);
                let binary = binary.map_err(|error| format!("cannot find a server: {error}"))?;
                Attacked::start(&binary, flags)
            }
        }
    }

    /// Those that were asked for: all that can be done to this server, else.
    fn attacks(&self) -> Vec<Attack> {
        if !self.only.is_empty() {
            return self.only.clone();
        }
        let all = <Attack as clap::ValueEnum>::value_variants()
            .iter()
            .copied();
        let is_own = self.connect.is_none();
        all.filter(|&attack| is_own || attack != Attack::Reconnect)
            .collect()
    }

    fn attack(
        &self,
        attack: Attack,
        attacked: &mut Attacked,
        bystander: Option<&Attacked>,
        progress: &mut Progress,
    ) -> Result<Row, String> {
        let scale = usize::from(self.scale);
        let outcome = match attack {
            Attack::Reconnect => reconnect::run(attacked, scale, progress),
            _ => {
                let time = Duration::from_secs_f64(self.seconds);
                good::listen_under(attack, attacked, bystander, scale, time)
            }
        };
        outcome.map_err(|error| match attacked.has_ended() {
            true => format!("{}: the server is dead: {error}", attack.name()),
            false => format!("{}: {error}", attack.name()),
        })
    }

    /// Says what came of an attack, and how many faults there were.
    fn tell(&self, row: &Row) -> usize {
        match self.json {
            // Numbers, texts and lists of them always have a JSON form.
            true => say(&serde_json::to_string(row).unwrap_or_default()),
            false => say(&row.text()),
        }
        row.faults.len()
    }

    /// For people.
    fn say(&self, line: &str) {
        if !self.json {
            say(line);
        }
    }
}

/// Whoever reads it may be gone: the exit status tells as well.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
