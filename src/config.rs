//! Settings: from the command line, the environment and a file, to one checked, immutable
//! [`Config`].
//!
//! Each setting has one name everywhere: `--max-clients`, `UDPUSH_MAX_CLIENTS`, `max-clients`.
//! A flag wins over a variable, a variable over the file.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use log::LevelFilter;
use serde::Deserialize;

use crate::client::mailbox::Limits;
use crate::hub::{self, history::Bounds};
use crate::logging;
use crate::registration::{MAX_FIELDS, MAX_NAME_BYTES};
use crate::rule::Rule;

/// The port for browsers.
pub const LISTEN_PORT: u16 = 6552;

/// The port for publishers.
pub const PUBLISH_PORT: u16 = 6553;

/// UDP's largest payload, and so the largest document.
const LARGEST_DOCUMENT: usize = 65_507;

/// Each client takes four memory mappings, and the kernel allows 65,530: beyond about 16,300
/// threads the process may be aborted rather than refused.
const MOST_CLIENTS: u32 = 15_000;

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

/// Where datagrams come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publish {
    /// 127.0.0.1 and, where the machine has it, ::1.
    Loopback,
    /// Where the operator says.
    At(Vec<SocketAddr>),
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where browsers connect.
    pub listen: SocketAddr,
    /// Where datagrams come in.
    pub publish: Publish,
    /// Networks besides loopback that may publish.
    pub publish_from: Vec<IpNet>,
    /// Whether senders of refused datagrams are told.
    pub udp_reply: UdpReply,
    /// Clients, routes, history.
    pub hub: hub::Settings,
    /// Threads that deliver to large audiences.
    pub workers: usize,
    /// What may wait for one client.
    pub limits: Limits,
    /// Where lines go.
    pub log: logging::Target,
    /// The least important lines that are written.
    pub log_level: LevelFilter,
}

impl Settings {
    /// Adds the file's settings to those that have a higher rank, and checks them all.
    ///
    /// # Errors
    /// One sentence that names the file or the setting, and the remedy.
    pub fn check(self) -> Result<Config, String> {
        let file = match &self.config {
            None => Settings::default(),
            Some(path) => Settings::read(path)?,
        };
        self.over(file).into_config()
    }

    fn read(path: &Path) -> Result<Settings, String> {
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

    fn over(self, lower: Settings) -> Settings {
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

    fn into_config(self) -> Result<Config, String> {
        let publish = match self.publish {
            None => Publish::Loopback,
            Some(addresses) => Publish::At(addresses),
        };
        let publish_from = self.publish_from.unwrap_or_default();
        if let Publish::At(addresses) = &publish
            && publish_from.is_empty()
            && let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback())
        {
            return Err(format!(
                "--publish {open} would let every machine publish: name the networks that may, with --publish-from, such as 10.1.0.0/16"
            ));
        }
        // The command line's parser checks its own ranges; what comes from the file is checked here.
        let max_clients = in_range("max-clients", self.max_clients, 10_000, 1, MOST_CLIENTS)?;
        let workers = in_range("workers", self.workers, default_workers(), 1, 256)?;
        let queue = in_range("queue", self.queue, 4096, 16, 1_000_000)?;
        let least_bytes = 2 * LARGEST_DOCUMENT as u32;
        let queue_bytes = in_range(
            "queue-bytes",
            self.queue_bytes,
            1 << 20,
            least_bytes,
            1 << 30,
        )?;
        let history = in_range("history", self.history, 100_000, 0, 100_000_000)?;
        let history_bytes = in_range("history-bytes", self.history_bytes, 64 << 20, 0, u64::MAX)?;
        let heartbeat = in_range("heartbeat", self.heartbeat, 25, 1, 3600)?;
        let log_max_size = in_range("log-max-size", self.log_max_size, 10 << 20, 4096, u64::MAX)?;
        let log_file = self.log_file.unwrap_or_else(|| "udpush.log".into());
        let log = if log_file.as_os_str() == "-" {
            logging::Target::Stderr
        } else {
            logging::Target::File(log_file, log_max_size)
        };
        let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Config {
            listen: self.listen.unwrap_or((any_v4, LISTEN_PORT).into()),
            publish,
            publish_from,
            udp_reply: self.udp_reply.unwrap_or_default(),
            hub: hub::Settings {
                max_clients: max_clients as usize,
                rule: rule(self.route)?,
                history: Bounds {
                    messages: history as usize,
                    bytes: history_bytes as usize,
                },
                heartbeat: Duration::from_secs(heartbeat.into()),
            },
            workers: workers as usize,
            limits: Limits {
                messages: queue as usize,
                bytes: queue_bytes as usize,
            },
            log,
            log_level: self.log_level.unwrap_or_default().into(),
        })
    }
}

impl Publish {
    /// The loopback addresses, IPv4 first.
    pub const LOOPBACK: [SocketAddr; 2] = [
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PUBLISH_PORT),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), PUBLISH_PORT),
    ];
}

fn in_range<T>(name: &str, value: Option<T>, default: T, least: T, most: T) -> Result<T, String>
where
    T: PartialOrd + std::fmt::Display,
{
    match value {
        None => Ok(default),
        Some(value) if value < least || value > most => Err(format!(
            "{name} = {value} is out of range: from {least} to {most}"
        )),
        Some(value) => Ok(value),
    }
}

/// `--route`: the fields that address, or any.
fn rule(fields: Option<Vec<String>>) -> Result<Rule, String> {
    let Some(fields) = fields else {
        return Ok(Rule::Open);
    };
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        let count = fields.len();
        return Err(format!(
            "route = {count} fields: name from 1 to {MAX_FIELDS}"
        ));
    }
    let wrong = |field: &&String| field.is_empty() || field.len() > MAX_NAME_BYTES;
    if let Some(field) = fields.iter().find(wrong) {
        return Err(format!(
            "route = {field:?}: a field's name has from 1 to {MAX_NAME_BYTES} bytes"
        ));
    }
    Ok(Rule::Closed(fields.into_iter().collect()))
}

/// One core is the publisher's; Swoole's worker_num has no such core to spare.
fn default_workers() -> u32 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores.saturating_sub(1)).clamp(1, 256) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<Config, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        settings.into_config()
    }

    #[test]
    fn without_settings_it_is_the_recipe() {
        let config = Settings::default().into_config().unwrap();
        assert_eq!(config.listen, "0.0.0.0:6552".parse().unwrap());
        assert_eq!(config.publish, Publish::Loopback);
        assert_eq!(config.hub.max_clients, 10_000);
        assert_eq!(config.hub.rule, Rule::Open);
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Settings {
            queue: Some(100),
            ..Settings::default()
        };
        let file: Settings = toml::from_str("queue = 200\nheartbeat = 5").unwrap();
        let config = flags.over(file).into_config().unwrap();
        assert_eq!(config.limits.messages, 100);
        assert_eq!(config.hub.heartbeat, Duration::from_secs(5));
    }

    #[test]
    fn the_file_has_the_same_names_ranges_and_types() {
        let config = from_file(
            "listen = '127.0.0.1:0'\npublish = ['127.0.0.1:7000']\nlog-level = 'debug'\nlog-file = '-'",
        )
        .unwrap();
        assert_eq!(config.log_level, LevelFilter::Debug);
        assert!(
            from_file("max-client = 5")
                .unwrap_err()
                .contains("max-client")
        );
        let sentence = from_file("max-clients = 0").unwrap_err();
        assert_eq!(sentence, "max-clients = 0 is out of range: from 1 to 15000");
        assert!(from_file("queue-bytes = 131013").is_err());
        assert!(from_file("queue-bytes = 131014").is_ok());
        assert!(from_file("route = []").is_err());
        assert!(from_file("route = ['']").is_err());
        let rule = from_file("route = ['b', 'a']").unwrap().hub.rule;
        assert!(rule.addresses("a") && !rule.addresses("c"));
    }

    #[test]
    fn an_open_publish_address_needs_the_networks_that_may_use_it() {
        let sentence = from_file("publish = ['0.0.0.0:6553']").unwrap_err();
        assert!(sentence.contains("--publish-from"), "{sentence}");
        let config = from_file("publish = ['0.0.0.0:6553']\npublish-from = ['10.0.0.0/8']");
        assert_eq!(config.unwrap().publish_from.len(), 1);
    }
}
