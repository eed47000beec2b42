//! The checked, immutable plan of a run, made once from the raw arguments.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use crate::arguments::{self, Arguments, Via};
use crate::clients::{Dialect, Target};
use crate::frames::Document;
use crate::publish::Route;

/// The NATS subject that is published to and subscribed to.
const SUBJECT: &str = "udpush.bench";
/// A UDP datagram over IPv4 holds no more.
const LARGEST: usize = 65_507;

/// When the measured part ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Messages(u32),
    After(Duration),
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// So many messages on their way at a time.
    InFlight(u32),
    /// So many messages a second.
    Rate(u32),
    /// None at all.
    Idle(Duration),
    /// Messages flat out, no clients.
    Intake(u32),
}

/// What is going to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) route: Route,
    pub(crate) clients: u32,
    pub(crate) mode: Mode,
    pub(crate) size: usize,
    pub(crate) end: End,
    pub(crate) warm_up: Duration,
    pub(crate) pid: Option<u32>,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// The arguments don't go together.
    Arguments(String),
    /// A name can't be resolved.
    Address(String),
}

impl Plan {
    pub(crate) fn check(raw: Arguments) -> Result<Self, Unusable> {
        let smallest = Document::smallest(raw.register.as_deref());
        if !(smallest..=LARGEST).contains(&raw.size) {
            let wrong = format!(
                "--size is from {smallest} to {LARGEST} bytes, not {}",
                raw.size
            );
            return Err(Unusable::Arguments(wrong));
        }
        let mode = match (raw.intake, raw.idle, raw.rate) {
            (Some(messages), ..) => Mode::Intake(messages),
            (_, Some(seconds), _) => Mode::Idle(Duration::from_secs_f64(seconds)),
            (_, _, Some(rate)) => Mode::Rate(rate),
            _ => Mode::InFlight(raw.in_flight),
        };
        let route = match raw.publish_via {
            Via::Udp => Route::Udp(resolve(&raw.publish)?),
            Via::Lines => Route::Lines(resolve(&raw.publish)?),
            Via::Nats => Route::Nats {
                address: resolve(&raw.publish)?,
                subject: SUBJECT.to_owned(),
            },
            Via::Http | Via::HttpPipelined => {
                let rest = raw.publish.strip_prefix("http://");
                let rest = rest.unwrap_or(&raw.publish);
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                Route::Http {
                    address: resolve(host)?,
                    path: arguments::path(if path.is_empty() { "/" } else { path })
                        .map_err(Unusable::Arguments)?,
                    is_pipelined: raw.publish_via == Via::HttpPipelined,
                }
            }
        };
        let dialect = match raw.publish_via {
            Via::Nats => Dialect::Nats {
                subject: SUBJECT.to_owned(),
                line: format!("MSG {SUBJECT} 1 {}\r\n", raw.size).into_bytes(),
            },
            _ => Dialect::Frames {
                // {"type":"message",…,"data":<the document>}
                after: usize::from(raw.protocol.as_deref() == Some("udpush.v1")),
            },
        };
        Ok(Plan {
            target: Target {
                address: resolve(&raw.connect)?,
                path: raw.path,
                protocol: raw.protocol,
                register: raw.register,
                dialect,
            },
            route,
            clients: raw.clients,
            mode,
            size: raw.size,
            end: match raw.messages {
                Some(messages) => End::Messages(messages),
                None => End::After(Duration::from_secs_f64(raw.seconds)),
            },
            warm_up: Duration::from_secs_f64(raw.warm_up),
            pid: raw.pid,
        })
    }
}

fn resolve(address: &str) -> Result<SocketAddr, Unusable> {
    let found = address.to_socket_addrs().map_err(|error| {
        Unusable::Address(format!("{address} is no address: {error}; write HOST:PORT"))
    })?;
    // localhost is ::1 first, and servers listen on 0.0.0.0.
    found
        .min_by_key(SocketAddr::is_ipv6)
        .ok_or_else(|| Unusable::Address(format!("{address} has no address")))
}
