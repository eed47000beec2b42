//! The command line, as it was written: [`Plan`](crate::plan::Plan) is what it comes to.

use crate::floor::Floor;
use crate::storm::Storm;

const EXAMPLES: &str = "\
Examples:
  udpush-bench                                    100 clients, one message at a time, for 5 s
  udpush-bench --clients 1000 --in-flight 256     how much a loaded server delivers
  udpush-bench --clients 500 --rate 200 --size 2000 --seconds 30
                                                  200 messages a second, come what may
  udpush-bench --clients 5000 --register user     each message to one of 5,000 registered users
  udpush-bench --clients 4000 --idle 60           what clients cost that only listen
  udpush-bench --intake 1000000                   datagrams flat out: does the server lose any?
  udpush-bench --intake 1000000 --publish-via lines
                                                  documents a line by TCP, flat out
  udpush-bench --connect 10.0.0.5:6552 --publish 10.0.0.5:6553
                                                  a server elsewhere (its CPU and memory stay unknown)

Other servers:
  udpush-bench --connect 127.0.0.1:8080 --path /sub/x --publish-via http --publish http://127.0.0.1:8080/pub/x
  udpush-bench --connect 127.0.0.1:8090 --publish-via nats --publish 127.0.0.1:4222
  udpush-bench storm                              what the open network does, while good clients listen
  udpush-bench floor --listen 127.0.0.1:7552 --publish 127.0.0.1:7553

Everyone who listens to the server sees the documents. CPU is the server's own, as the kernel accounts it.
Exit status: 0 all was delivered, 1 failed or something was lost, 2 wrong usage.";

/// Arguments that only mean something when messages go to clients.
const PUBLISHING: [&str; 5] = ["in_flight", "rate", "messages", "seconds", "warm_up"];

/// Measure a push server: connect clients, publish, time the deliveries
#[derive(Debug, clap::Parser)]
#[command(name = "udpush-bench", args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) instead: Option<Instead>,

    /// Where clients connect
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6552")]
    pub(crate) connect: String,

    /// Path and query that clients ask for
    #[arg(long, default_value = "/", value_parser = path)]
    pub(crate) path: String,

    /// Sub-protocol that clients ask for, such as udpush.v1
    #[arg(long, value_name = "NAME", value_parser = header_value)]
    pub(crate) protocol: Option<String>,

    /// Where messages go in: HOST:PORT; with http and http-pipelined also a URL
    #[arg(long, value_name = "WHERE", default_value = "127.0.0.1:6553")]
    pub(crate) publish: String,

    /// How messages go in: a datagram each; a line each, by TCP; a POST each, after the answer to the
    /// one before, or pipelined; or NATS (then clients speak NATS, too)
    #[arg(long, value_enum, value_name = "WAY", default_value_t = Via::Udp)]
    pub(crate) publish_via: Via,

    /// How many clients
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = up_to(60_000))]
    pub(crate) clients: u32,

    /// Messages on their way at a time: the next goes out when one has reached all clients
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = up_to(10_000))]
    pub(crate) in_flight: u32,

    /// Instead, so many messages a second, whatever has arrived
    #[arg(long, value_name = "R", conflicts_with = "in_flight", value_parser = up_to(1_000_000))]
    pub(crate) rate: Option<u32>,

    /// Instead, publish nothing: hold the clients for so long and look at what they cost
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with_all = PUBLISHING)]
    pub(crate) idle: Option<f64>,

    /// Instead, without clients: so many messages, as fast as one sender can
    #[arg(long, value_name = "N", value_parser = up_to(99_000_000), conflicts_with_all = PUBLISHING)]
    #[arg(conflicts_with_all = ["idle", "clients", "register"])]
    pub(crate) intake: Option<u32>,

    /// Bytes of each document
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    pub(crate) size: usize,

    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = up_to(90_000_000))]
    pub(crate) messages: Option<u32>,

    /// End after so long
    #[arg(long, value_parser = seconds, default_value = "5", conflicts_with = "messages")]
    pub(crate) seconds: f64,

    /// Run so long before measuring
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0.5")]
    pub(crate) warm_up: f64,

    /// Each client registers its number under this field; each message is for one of them, in turn
    #[arg(long, value_name = "FIELD", value_parser = field)]
    pub(crate) register: Option<String>,

    /// The server's process; without it, whoever listens on the port, if that is on this machine
    #[arg(long)]
    pub(crate) pid: Option<u32>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Instead {
    Floor(Floor),
    Storm(Storm),
}

/// How messages go in.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(crate) enum Via {
    Udp,
    Lines,
    Http,
    HttpPipelined,
    Nats,
}

fn up_to(most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=most)
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds from 0 to 86400".to_owned()),
    }
}

pub(crate) fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("a path begins with / and has no spaces".to_owned()),
    }
}

fn header_value(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("a sub-protocol's name has no spaces".to_owned()),
    }
}

fn field(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and _ only, at most 64".to_owned()),
    }
}
