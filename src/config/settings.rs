//! Settings as they are given, before anything is checked: flags, variables, the file.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use log::LevelFilter;
use serde::Deserialize;

use super::{LARGEST_DOCUMENT, MOST_CLIENTS};

/// Settings as they were given: none is checked against another, none has its default yet.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Read more settings from this TOML file
    #[arg(long, env = "UDPUSH_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Where browsers connect [default: 0.0.0.0:6552]
    #[arg(long, env = "UDPUSH_LISTEN", value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// Where datagrams come in, repeatable [default: port 6553 of 127.0.0.1 and, where there is
    /// IPv6, of ::1]
    #[arg(
        long,
        env = "UDPUSH_PUBLISH",
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        value_parser = address
    )]
    pub publish: Option<Vec<SocketAddr>>,

    /// A network that may publish besides loopback, repeatable, such as 10.1.0.0/16
    #[arg(
        long,
        env = "UDPUSH_PUBLISH_FROM",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = network
    )]
    pub publish_from: Option<Vec<IpNet>>,

    /// Whether the sender of a refused datagram is told why [default: errors]
    #[arg(long, env = "UDPUSH_UDP_REPLY", value_name = "WHEN")]
    pub udp_reply: Option<UdpReply>,

    /// Clients at most, 1 to 15000 [default: 10000]
    #[arg(long, env = "UDPUSH_MAX_CLIENTS", value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CLIENTS)))]
    pub max_clients: Option<u32>,

    /// Threads that deliver to large audiences, 1 to 256 [default: one less than there are cores]
    #[arg(long, env = "UDPUSH_WORKERS", value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: Option<u32>,

    /// Messages that may wait for one client, 16 to 1000000; with more it is closed [default: 4096]
    #[arg(long, env = "UDPUSH_QUEUE", value_name = "MESSAGES",
          value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub queue: Option<u32>,

    /// Bytes that may wait for one client, 131014 to 1073741824; with more it is closed
    /// [default: 1048576]
    #[arg(long, env = "UDPUSH_QUEUE_BYTES", value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(2 * LARGEST_DOCUMENT as i64..=1 << 30))]
    pub queue_bytes: Option<u32>,

    /// Seconds between pings, 1 to 3600; a client without a sign of life for twice as long is closed
    /// [default: 25]
    #[arg(long, env = "UDPUSH_HEARTBEAT", value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub heartbeat: Option<u32>,

    /// Only these fields address messages, repeatable: a message that has one of them reaches only
    /// clients that registered it so [default: any field, unless a client registered it otherwise]
    #[arg(
        long,
        env = "UDPUSH_ROUTE",
        value_name = "FIELD",
        value_delimiter = ','
    )]
    pub route: Option<Vec<String>>,

    /// Messages kept for clients that come back [default: 100000]
    #[arg(long, env = "UDPUSH_HISTORY", value_name = "MESSAGES",
          value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    pub history: Option<u32>,

    /// Bytes of messages kept for clients that come back [default: 67108864]
    #[arg(long, env = "UDPUSH_HISTORY_BYTES", value_name = "BYTES")]
    pub history_bytes: Option<u64>,

    /// Where the log goes; - is stderr alone [default: udpush.log]
    #[arg(long, env = "UDPUSH_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// What is logged [default: info]
    #[arg(long, env = "UDPUSH_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,

    /// Bytes after which the log is rotated, at least 4096; five old ones are kept [default: 10485760]
    #[arg(long, env = "UDPUSH_LOG_MAX_SIZE", value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(4096..))]
    pub log_max_size: Option<u64>,
}

/// An address with its port. Names are not looked up: which of their addresses was meant?
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "an IP address and a port, such as 127.0.0.1:6552 or [::1]:6552, are needed";
    text.parse().map_err(|_| wrong.to_owned())
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let wrong = "a network such as 10.1.0.0/16, or an address such as 10.1.2.3, is needed";
    let single = |_| text.parse().map(|address: IpAddr| address.into());
    text.parse().or_else(single).map_err(|_| wrong.to_owned())
}

/// When a sender gets a reply datagram.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum UdpReply {
    /// One for each datagram that is refused
    #[default]
    Errors,
    /// None at all
    Never,
}

/// The least important lines that are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What ends the program
    Error,
    /// And what is refused or lost
    Warn,
    /// And each client and message
    #[default]
    Info,
    /// And each document
    Debug,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => LevelFilter::Error,
            LogLevel::Warn => LevelFilter::Warn,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Debug => LevelFilter::Debug,
        }
    }
}

impl Settings {
    /// What a file says.
    ///
    /// # Errors
    /// One sentence that names the file, the line and the fault.
    pub(super) fn read(path: &Path) -> Result<Settings, String> {
        let name = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read the config file {name}: {error}"))?;
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            let message = error.message().replace('\n', " ");
            format!("config file {name}, line {line}: {message}")
        })
    }

    /// These settings, and where they are silent, those of a lower rank.
    pub(super) fn over(self, lower: Settings) -> Settings {
        Settings {
            config: self.config,
            listen: self.listen.or(lower.listen),
            publish: self.publish.or(lower.publish),
            publish_from: self.publish_from.or(lower.publish_from),
            udp_reply: self.udp_reply.or(lower.udp_reply),
            max_clients: self.max_clients.or(lower.max_clients),
            workers: self.workers.or(lower.workers),
            queue: self.queue.or(lower.queue),
            queue_bytes: self.queue_bytes.or(lower.queue_bytes),
            heartbeat: self.heartbeat.or(lower.heartbeat),
            route: self.route.or(lower.route),
            history: self.history.or(lower.history),
            history_bytes: self.history_bytes.or(lower.history_bytes),
            log_file: self.log_file.or(lower.log_file),
            log_level: self.log_level.or(lower.log_level),
            log_max_size: self.log_max_size.or(lower.log_max_size),
        }
    }
}
