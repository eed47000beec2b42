//! The way to the trusted side: HTTP at the address where messages come in.

use std::error::Error as _;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::tools::Stop;

/// Where the server is asked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Trusted {
    /// Where the server takes messages; of several addresses, the first
    #[arg(
        long,
        env = "UDPUSH_PUBLISH",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:6553",
        value_parser = place
    )]
    pub(super) publish: String,
}

/// The host and the port of the first address.
fn place(text: &str) -> Result<String, String> {
    let first = text.split(',').next().unwrap_or(text).trim();
    if let Ok(address) = first.parse::<SocketAddr>() {
        return Ok(reachable(address).to_string());
    }
    let is_host = |host: &str| {
        let mut bytes = host.bytes();
        !host.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    match first.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok() => Ok(first.to_owned()),
        _ => Err(
            "an address and a port, such as 127.0.0.1:6553 or [::1]:6553, are needed".to_owned(),
        ),
    }
}

/// A server that listens on all addresses is on this machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// What the server answered, and who that was.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    place: String,
}

/// Why there is no answer, in one sentence.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nobody is there, or somebody else.
    Unreachable(String),
    /// The server's own.
    Refused(String),
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        let (Failed::Unreachable(sentence) | Failed::Refused(sentence)) = failed;
        Stop::Failed(sentence)
    }
}

/// How a refusal is told.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Trusted {
    /// To connect, and to hear nothing of an answer that has begun.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Until an answer begins.
    const UNTIL_ANSWER: Duration = Duration::from_secs(30);
    /// Of a refusal nobody reads more.
    const REFUSAL: u64 = 64 << 10;

    fn agent(&self) -> Agent {
        let config = Agent::config_builder()
            // The server is here or in the intranet, whatever HTTP_PROXY says.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Self::PATIENCE))
            .timeout_per_write(Some(Self::PATIENCE))
            .timeout_recv_response(Some(Self::UNTIL_ANSWER))
            .timeout_per_read(Some(Self::UNTIL_ANSWER))
            .user_agent(concat!("udpush/", env!("CARGO_PKG_VERSION")));
        Agent::new_with_config(config.build())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.publish)
    }

    /// # Errors
    /// When nobody is there, or the server refuses it.
    pub(super) fn get(&self, path: &str) -> Result<Answer, Failed> {
        self.outcome(self.agent().get(self.url(path)).call())
    }

    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn delete(&self, path: &str) -> Result<Answer, Failed> {
        self.outcome(self.agent().delete(self.url(path)).call())
    }

    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn post(&self, path: &str, json: &[u8]) -> Result<Answer, Failed> {
        let request = self.agent().post(self.url(path));
        self.outcome(request.content_type("application/json").send(json))
    }

    fn outcome(&self, outcome: Result<Response<Body>, ureq::Error>) -> Result<Answer, Failed> {
        let unreachable = |error| Failed::Unreachable(self.unreachable(&error));
        let response = outcome.map_err(unreachable)?;
        let status = response.status();
        let mut body = response.into_body();
        if status.is_success() {
            return Ok(Answer {
                body,
                place: self.publish.clone(),
            });
        }
        let text = body.with_config().limit(Self::REFUSAL).read_to_vec();
        let text = text.unwrap_or_default();
        Err(match serde_json::from_slice::<Refusal>(&text) {
            Ok(refusal) => Failed::Refused(refusal.error),
            // Whoever that is.
            Err(_) => Failed::Unreachable(format!(
                "{} answered {status}: is that udpush? another address: --publish",
                self.publish
            )),
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> String {
        let place = &self.publish;
        let hint =
            "is udpush running? systemctl status udpush; another address: --publish".to_owned();
        let why = match error {
            ureq::Error::ConnectionFailed => return format!("nothing answers on {place}: {hint}"),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return format!("nothing answers on {place}: {hint}");
            }
            ureq::Error::HostNotFound => return format!("there is no host of that name: {place}"),
            ureq::Error::Io(error) => error.to_string(),
            error => match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        format!("no answer from {place} ({why}): {hint}")
    }
}

impl Answer {
    /// All of it.
    ///
    /// # Errors
    /// One sentence: the connection was cut, or it is not UTF-8.
    pub(super) fn text(self) -> Result<String, String> {
        let place = self.place;
        let mut text = String::new();
        let mut reader = self.body.into_reader();
        match reader.read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(cut(&place, &error)),
        }
    }

    /// Its lines as they come.
    pub(super) fn lines(self) -> impl Iterator<Item = Result<String, String>> {
        let place = self.place;
        let lines = BufReader::new(self.body.into_reader()).lines();
        let lines = lines.map(move |line| line.map_err(|error| cut(&place, &error)));
        // Such a line keeps a connection open.
        lines.filter(|line| !matches!(line, Ok(line) if line.is_empty() || line == "{}"))
    }
}

fn cut(place: &str, error: &io::Error) -> String {
    format!("the answer of {place} is cut off: {error}")
}

/// What the server said, as what it should be.
///
/// # Errors
/// One sentence, when it is something else.
pub(super) fn understood<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    serde_json::from_str(json)
        .map_err(|error| format!("not an answer that this udpush understands: {error}"))
}

/// A path and a query, of which the empty parameters are left out.
pub(super) fn target(path: &str, parameters: &[String]) -> String {
    let given: Vec<_> = parameters.iter().filter(|text| !text.is_empty()).collect();
    let mut target = path.to_owned();
    for (index, parameter) in given.into_iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(parameter);
    }
    debug_assert!(target.parse::<Uri>().is_ok(), "{target}");
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_is_asked_and_all_addresses_are_this_machine() {
        for (given, asked) in [
            ("10.0.0.5:7000", "10.0.0.5:7000"),
            ("[::1]:6553,10.0.0.5:6553", "[::1]:6553"),
            ("0.0.0.0:6553", "127.0.0.1:6553"),
            ("[::]:6553", "[::1]:6553"),
            ("localhost:6553", "localhost:6553"),
            ("push.example.org:80", "push.example.org:80"),
        ] {
            assert_eq!(place(given).as_deref(), Ok(asked));
        }
        for wrong in [
            "6553",
            "localhost",
            ":6553",
            "::1:6553",
            "a b:1",
            "a:99999",
            "u@h:1",
            "",
        ] {
            assert!(
                place(wrong).unwrap_err().contains("127.0.0.1:6553"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_query_has_what_was_given() {
        let parameters = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let query = |texts: &[&str]| {
            target("/history", &{
                let v: Vec<String> = parameters(texts);
                v
            })
        };
        assert_eq!(query(&[]), "/history");
        assert_eq!(query(&["", "last=20", "a=1"]), "/history?last=20&a=1");
    }
}
