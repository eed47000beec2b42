//! Settings as they are given, before one is checked against another.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use log::LevelFilter;

use super::values::{address, bytes, field, host, network, number, origin, switch, url};
use super::{LARGEST_DATAGRAM, MOST_CLIENTS};
use crate::admission::origin::Listed;
use crate::http::host::Host;

/// Settings as they were given, each within its own bounds; none has its default yet.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Read more settings from this TOML file
    #[arg(long, env = "UDPUSH_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where browsers connect [default: 0.0.0.0:6552]
    #[arg(long, env = "UDPUSH_LISTEN", value_name = "ADDRESS:PORT", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,

    /// Pages that may connect though they are from another host, repeatable: their origin, such as
    /// https://erp.example.com; null for pages that are opened from files, and all others that hide
    /// their origin; * for all [default: pages from the host that they connect to]
    #[allow(rustdoc::bare_urls, reason = "--help has it as it is typed")]
    #[arg(
        long,
        env = "UDPUSH_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    pub(crate) origin: Option<Vec<Listed>>,

    /// A name of this machine by which browsers may connect, repeatable, such as push.example.org
    /// [default: those that no stranger can have: addresses, localhost, names without a dot, those
    /// in .local, .lan, .internal, .home.arpa, .test or .localhost, and the machine's own]
    #[arg(
        long,
        env = "UDPUSH_HOST",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = host
    )]
    pub(crate) host: Option<Vec<Host>>,

    /// Where datagrams come in, repeatable [default: port 6553 of 127.0.0.1 and, where there is
    /// IPv6, of ::1]
    #[arg(
        long,
        env = "UDPUSH_PUBLISH",
        value_name = "ADDRESS:PORT",
        value_delimiter = ',',
        value_parser = address
    )]
    pub(crate) publish: Option<Vec<SocketAddr>>,

    /// A network that may publish besides loopback, repeatable, such as 10.1.0.0/16
    #[arg(
        long,
        env = "UDPUSH_PUBLISH_FROM",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) publish_from: Option<Vec<IpNet>>,

    /// A network that may, besides loopback, publish, look inside and end clients, repeatable
    #[arg(
        long,
        env = "UDPUSH_TRUST_FROM",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) trust_from: Option<Vec<IpNet>>,

    /// A name by which requests to port 6553 may ask for this machine, repeatable, such as intranet
    /// [default: its addresses and localhost alone]
    #[arg(
        long,
        env = "UDPUSH_TRUSTED_HOST",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = host
    )]
    pub(crate) trusted_host: Option<Vec<Host>>,

    /// What tokens are signed with; each client needs one then. A file of one secret, or of two,
    /// each on a line; open to nobody but its owner
    #[arg(long, env = "UDPUSH_SECRET_FILE", value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// A network of proxies, repeatable: what they say in X-Forwarded-For or Forwarded is where their
    /// clients are, such as 127.0.0.1 [default: nobody is believed]
    #[arg(
        long,
        env = "UDPUSH_TRUSTED_PROXY",
        value_name = "NETWORK",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) trusted_proxy: Option<Vec<IpNet>>,

    /// Trusted proxies begin each connection with a header of HAProxy's PROXY protocol, version 1 or
    /// 2, which names the client [default: false]
    #[arg(
        long,
        env = "UDPUSH_PROXY_PROTOCOL",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = switch
    )]
    pub(crate) proxy_protocol: Option<bool>,

    /// Whether the sender of a refused datagram is told why [default: errors]
    #[arg(
        long,
        env = "UDPUSH_UDP_REPLY",
        value_name = "WHEN",
        ignore_case = true
    )]
    pub(crate) udp_reply: Option<UdpReply>,

    /// Clients at most, 1 to 15000 [default: 10000]
    #[arg(long, env = "UDPUSH_MAX_CLIENTS", value_name = "COUNT",
          value_parser = number(1, MOST_CLIENTS))]
    pub(crate) max_clients: Option<u32>,

    /// Connections of one address at most, 1 to 15000; of IPv6, all that begin with the same 64 bits are
    /// one [default: 200, but any number from loopback and trusted proxies]
    #[arg(long, env = "UDPUSH_MAX_CLIENTS_PER_IP", value_name = "COUNT",
          value_parser = number(1, MOST_CLIENTS))]
    pub(crate) max_clients_per_ip: Option<u32>,

    /// Threads that deliver to large audiences, 1 to 256 [default: one less than there are cores]
    #[arg(long, env = "UDPUSH_WORKERS", value_name = "COUNT",
          value_parser = number(1, 256))]
    pub(crate) workers: Option<u32>,

    /// Messages that may wait for one client, 16 to 1000000; with more it is closed [default: 4096]
    #[arg(long, env = "UDPUSH_QUEUE", value_name = "MESSAGES",
          value_parser = number(16, 1_000_000))]
    pub(crate) queue: Option<u32>,

    /// Bytes that may wait for one client, 131014 to 1G; with more it is closed
    /// [default: twice --max-message]
    #[arg(long, env = "UDPUSH_QUEUE_BYTES", value_name = "BYTES",
          value_parser = bytes(2 * LARGEST_DATAGRAM as u64, 1 << 30))]
    pub(crate) queue_bytes: Option<u64>,

    /// Bytes of one document at most, by TCP; by UDP 65507 are possible [default: 1M, or half of
    /// --queue-bytes]
    #[arg(long, env = "UDPUSH_MAX_MESSAGE", value_name = "BYTES",
          value_parser = bytes(LARGEST_DATAGRAM as u64, 16 << 20))]
    pub(crate) max_message: Option<u64>,

    /// Seconds between pings, 1 to 3600; a client without a sign of life for twice as long is closed
    /// [default: 25]
    #[arg(long, env = "UDPUSH_HEARTBEAT", value_name = "SECONDS",
          value_parser = number(1, 3600))]
    pub(crate) heartbeat: Option<u32>,

    /// Only these fields address messages, repeatable: a message that has one of them reaches only
    /// clients that registered it so [default: any field, unless a client registered it otherwise]
    #[arg(
        long,
        env = "UDPUSH_ROUTE",
        value_name = "FIELD",
        value_delimiter = ',',
        value_parser = field
    )]
    pub(crate) route: Option<Vec<String>>,

    /// Messages kept for clients that come back [default: 100000]
    #[arg(long, env = "UDPUSH_HISTORY", value_name = "MESSAGES",
          value_parser = number(0, 100_000_000))]
    pub(crate) history: Option<u32>,

    /// Bytes of messages kept for clients that come back [default: 64M]
    #[arg(long, env = "UDPUSH_HISTORY_BYTES", value_name = "BYTES", value_parser = bytes(0, u64::MAX))]
    pub(crate) history_bytes: Option<u64>,

    /// An http:// URL to which what clients do is POSTed, as a line of JSON for each event
    #[arg(long, env = "UDPUSH_WEBHOOK", value_name = "URL", value_parser = url)]
    pub(crate) webhook: Option<String>,

    /// Where the log goes; - is stderr alone [default: udpush.log]
    #[arg(long, env = "UDPUSH_LOG_FILE", value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    /// What is logged [default: info]
    #[arg(
        long,
        env = "UDPUSH_LOG_LEVEL",
        value_name = "LEVEL",
        ignore_case = true
    )]
    pub(crate) log_level: Option<LogLevel>,

    /// Bytes after which the log is rotated, at least 4096; five old ones are kept [default: 10M]
    #[arg(long, env = "UDPUSH_LOG_MAX_SIZE", value_name = "BYTES",
          value_parser = bytes(4096, u64::MAX))]
    pub(crate) log_max_size: Option<u64>,
}

/// When a sender gets a reply datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UdpReply {
    /// One for each datagram that is refused
    #[default]
    Errors,
    /// None at all
    Never,
}

/// The least important lines that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What ends the program
    Error,
    /// And what is refused or lost
    #[value(alias = "warning")]
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
