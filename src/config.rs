//! Settings: from the command line, the environment and a file, to one checked, immutable
//! [`Config`].
//!
//! Each setting has one name everywhere: `--max-clients`, `UDPUSH_MAX_CLIENTS`, `max-clients`.
//! A flag wins over a variable, a variable over the file.

mod settings;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use log::LevelFilter;

use crate::client::mailbox::Limits;
use crate::hub::{self, history::Bounds};
use crate::logging;
use crate::registration::{MAX_FIELDS, MAX_NAME_BYTES};
use crate::rule::Rule;
pub use settings::{LogLevel, Settings, UdpReply};

/// The port for browsers.
pub const LISTEN_PORT: u16 = 6552;

/// The port for publishers.
pub const PUBLISH_PORT: u16 = 6553;

/// UDP's largest payload, and so the largest document.
const LARGEST_DOCUMENT: usize = 65_507;

/// Each client takes four memory mappings, and the kernel allows 65,530: beyond about 16,300
/// threads the process may be aborted rather than refused.
const MOST_CLIENTS: u32 = 15_000;

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
        let sentence = from_file("queue-bytes = 131013").unwrap_err();
        assert!(sentence.contains("131013 is out of range"), "{sentence}");
        assert!(from_file("queue-bytes = 131014").is_ok());
        for nothing in ["route = []", "route = ['']"] {
            let sentence = from_file(nothing).unwrap_err();
            assert!(sentence.starts_with("route "), "{nothing}: {sentence}");
        }
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
