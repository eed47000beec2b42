//! Settings: from the command line, the environment and a file, to one checked, immutable
//! [`Config`].
//!
//! Each setting has one name everywhere: `--max-clients`, `UDPUSH_MAX_CLIENTS`, `max-clients`.
//! A flag wins over a variable, a variable over the file, and a value means the same in all three:
//! the [command line](crate::cli) has all of them read by one parser.

pub(crate) mod file;
mod settings;
mod values;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use log::LevelFilter;

use crate::admission::origin::Listed;
use crate::audience::registration::{MAX_FIELDS, budget};
use crate::audience::rule::Rule;
use crate::http::host::Host;
use crate::hub::{self, ring::Bounds};
use crate::logging;
use crate::mailbox::Limits;
pub(crate) use settings::{Settings, UdpReply};

/// The port for browsers.
pub(crate) const LISTEN_PORT: u16 = 6552;

/// The port for publishers.
pub(crate) const PUBLISH_PORT: u16 = 6553;

/// UDP's largest payload, and so the largest document by UDP.
const LARGEST_DATAGRAM: usize = 65_507;

/// Bytes of one document, unless something else is said.
const MAX_MESSAGE: u64 = 1 << 20;

/// Each client takes four memory mappings, and the kernel allows 65,530: beyond about 16,300
/// threads the process may be aborted rather than refused.
const MOST_CLIENTS: u32 = 15_000;

/// Where datagrams come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// 127.0.0.1 and, where the machine has it, ::1.
    Loopback,
    /// Where the operator says.
    At(Vec<SocketAddr>),
}

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where browsers connect.
    pub(crate) listen: SocketAddr,
    /// Pages that may connect besides those of this machine's own.
    pub(crate) origins: Vec<Listed>,
    /// Names of this machine by which browsers may connect, besides those that nobody else can have.
    pub(crate) hosts: Vec<Host>,
    /// Where datagrams come in.
    pub(crate) publish: Publish,
    /// Networks besides loopback that may publish.
    pub(crate) publish_from: Vec<IpNet>,
    /// Networks besides loopback that may also look inside, and end clients.
    pub(crate) trust_from: Vec<IpNet>,
    /// Names by which the trusted side may be asked.
    pub(crate) trusted_hosts: Vec<Host>,
    /// Where what tokens are signed with is; without it, nobody needs any.
    pub(crate) secret_file: Option<PathBuf>,
    /// Networks of proxies that say where clients are.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whether each of their connections begins with a PROXY header.
    pub(crate) proxy_protocol: bool,
    /// Connections of one address at most; `None`: as [`admission`](crate::admission) has it.
    pub(crate) max_clients_per_ip: Option<u32>,
    /// Whether senders of refused datagrams are told.
    pub(crate) udp_reply: UdpReply,
    /// Clients, routes, history.
    pub(crate) hub: hub::Settings,
    /// Threads that deliver to large audiences.
    pub(crate) workers: usize,
    /// What may wait for one client.
    pub(crate) limits: Limits,
    /// Bytes of one document at most.
    pub(crate) max_message: usize,
    /// Where what clients do is POSTed.
    pub(crate) webhook: Option<String>,
    /// Where lines go.
    pub(crate) log: logging::Target,
    /// The least important lines that are written.
    pub(crate) log_level: LevelFilter,
}

impl Settings {
    /// Checks the settings against each other, and gives those that are not set their defaults.
    ///
    /// # Errors
    /// What does not go together; its sentence names the setting, and the remedy.
    pub(crate) fn check(self) -> Result<Config, Conflict> {
        let publish = match self.publish {
            None => Publish::Loopback,
            Some(addresses) => Publish::At(addresses),
        };
        let publish_from = self.publish_from.unwrap_or_default();
        let trust_from = self.trust_from.unwrap_or_default();
        if let Publish::At(addresses) = &publish
            && publish_from.is_empty()
            && trust_from.is_empty()
            && let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback())
        {
            return Err(Conflict::OpenToAll(*open));
        }
        let trusted_proxies = self.trusted_proxy.unwrap_or_default();
        let proxy_protocol = self.proxy_protocol.unwrap_or_default();
        if proxy_protocol && trusted_proxies.is_empty() {
            return Err(Conflict::NoProxies);
        }
        let (queue_bytes, max_message) = sizes(self.queue_bytes, self.max_message)?;
        let log_max_size = self.log_max_size.unwrap_or(10 << 20);
        let log_file = self.log_file.unwrap_or_else(|| "udpush.log".into());
        let log = if log_file.as_os_str() == "-" {
            logging::Target::Stderr
        } else {
            logging::Target::File(log_file, log_max_size)
        };
        let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Config {
            listen: self.listen.unwrap_or((any_v4, LISTEN_PORT).into()),
            origins: self.origin.unwrap_or_default(),
            hosts: self.host.unwrap_or_default(),
            publish,
            publish_from,
            trust_from,
            trusted_hosts: self.trusted_host.unwrap_or_default(),
            secret_file: self.secret_file,
            trusted_proxies,
            proxy_protocol,
            max_clients_per_ip: self.max_clients_per_ip,
            udp_reply: self.udp_reply.unwrap_or_default(),
            hub: hub::Settings {
                max_clients: self.max_clients.unwrap_or(10_000) as usize,
                rule: rule(self.route)?,
                registrations: budget::MAX_BYTES,
                history: Bounds {
                    messages: self.history.unwrap_or(100_000) as usize,
                    bytes: self.history_bytes.unwrap_or(64 << 20) as usize,
                },
                heartbeat: Duration::from_secs(self.heartbeat.unwrap_or(25).into()),
            },
            workers: self.workers.unwrap_or_else(default_workers) as usize,
            limits: Limits {
                messages: self.queue.unwrap_or(4096) as usize,
                bytes: queue_bytes as usize,
            },
            max_message: max_message as usize,
            webhook: self.webhook,
            log,
            log_level: self.log_level.unwrap_or_default().into(),
        })
    }
}

/// Settings that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// An address that every machine can reach, and neither `--publish-from` nor `--trust-from`.
    OpenToAll(SocketAddr),
    /// `--proxy-protocol` without `--trusted-proxy`.
    NoProxies,
    /// A queue that has no room for two documents.
    QueueTooShort {
        /// `--queue-bytes`.
        queue: u64,
        /// `--max-message`.
        message: u64,
    },
    /// More fields in `--route` than a registration may have.
    TooManyRoutes(usize),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::OpenToAll(address) => write!(
                f,
                "--publish {address} would let every machine publish: name the networks that may, with --publish-from, such as 10.1.0.0/16"
            ),
            Conflict::NoProxies => f.write_str(
                "--proxy-protocol needs to know whose PROXY headers count: name the proxies with --trusted-proxy, such as 10.1.0.7",
            ),
            Conflict::QueueTooShort { queue, message } => write!(
                f,
                "--queue-bytes {queue} has no room for two messages of --max-message {message}: at least {} are needed",
                2 * message
            ),
            Conflict::TooManyRoutes(fields) => write!(
                f,
                "--route names {fields} fields: at most {MAX_FIELDS} are allowed"
            ),
        }
    }
}

impl std::error::Error for Conflict {}

impl Publish {
    /// The loopback addresses, IPv4 first.
    pub(crate) const LOOPBACK: [SocketAddr; 2] = [
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PUBLISH_PORT),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), PUBLISH_PORT),
    ];
}

/// `--queue-bytes` and `--max-message`: the queue of a client that takes one large document is to
/// have room for the next.
fn sizes(queue: Option<u64>, message: Option<u64>) -> Result<(u64, u64), Conflict> {
    match (queue, message) {
        (None, message) => {
            let message = message.unwrap_or(MAX_MESSAGE);
            Ok((2 * message, message))
        }
        (Some(queue), None) => Ok((queue, MAX_MESSAGE.min(queue / 2))),
        (Some(queue), Some(message)) if queue < 2 * message => {
            Err(Conflict::QueueTooShort { queue, message })
        }
        (Some(queue), Some(message)) => Ok((queue, message)),
    }
}

/// `--route`: the fields that address, or any.
fn rule(fields: Option<Vec<String>>) -> Result<Rule, Conflict> {
    let Some(fields) = fields else {
        return Ok(Rule::Open);
    };
    if fields.len() > MAX_FIELDS {
        return Err(Conflict::TooManyRoutes(fields.len()));
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

    #[test]
    fn without_settings_it_is_the_recipe() {
        let config = Settings::default().check().unwrap();
        assert_eq!(config.listen, "0.0.0.0:6552".parse().unwrap());
        assert_eq!(config.publish, Publish::Loopback);
        assert_eq!(config.hub.max_clients, 10_000);
        assert_eq!(config.hub.rule, Rule::Open);
    }

    #[test]
    fn routes_are_as_many_as_a_registration_has_fields() {
        let route = |count: usize| Settings {
            route: Some((0..count).map(|field| field.to_string()).collect()),
            ..Settings::default()
        };
        assert!(route(16).check().unwrap().hub.rule.addresses("15"));
        assert_eq!(
            route(17).check().unwrap_err().to_string(),
            "--route names 17 fields: at most 16 are allowed"
        );
    }

    #[test]
    fn a_queue_has_room_for_two_messages() {
        assert_eq!(sizes(None, None), Ok((2 << 20, 1 << 20)));
        assert_eq!(sizes(Some(200_000), None), Ok((200_000, 100_000)));
        assert_eq!(sizes(None, Some(4 << 20)), Ok((8 << 20, 4 << 20)));
        assert_eq!(sizes(Some(300_000), Some(150_000)), Ok((300_000, 150_000)));
        assert!(sizes(Some(299_999), Some(150_000)).is_err());
    }

    #[test]
    fn the_proxy_protocol_needs_proxies_that_are_trusted() {
        let settings = Settings {
            proxy_protocol: Some(true),
            ..Settings::default()
        };
        let sentence = settings.clone().check().unwrap_err().to_string();
        assert!(sentence.contains("--trusted-proxy"), "{sentence}");
        let settings = Settings {
            trusted_proxy: Some(vec!["10.1.0.7/32".parse().unwrap()]),
            ..settings
        };
        assert!(settings.check().unwrap().proxy_protocol);
    }

    #[test]
    fn an_open_publish_address_needs_the_networks_that_may_use_it() {
        let open = Settings {
            publish: Some(vec!["0.0.0.0:6553".parse().unwrap()]),
            ..Settings::default()
        };
        let sentence = open.clone().check().unwrap_err().to_string();
        assert!(sentence.contains("--publish-from"), "{sentence}");
        let networks = Some(vec!["10.0.0.0/8".parse().unwrap()]);
        let config = Settings {
            publish_from: networks.clone(),
            ..open.clone()
        };
        assert_eq!(config.check().unwrap().publish_from.len(), 1);
        let config = Settings {
            trust_from: networks,
            ..open
        };
        assert_eq!(config.check().unwrap().trust_from.len(), 1);
    }
}
