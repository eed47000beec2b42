//! A host as a `Host` header, an origin or a setting names it, and whether a stranger could have
//! that name.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bytes of a name at most (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// Nobody can have a name below these looked up as he likes: RFC 6762 §3, RFC 8375, RFC 6761 §6,
/// ICANN's resolution 2024.07.29.06; `.lan` is what routers use, and no top-level domain.
const PRIVATE: [&str; 6] = [
    ".local",
    ".lan",
    ".internal",
    ".home.arpa",
    ".test",
    ".localhost",
];

/// A host, without its port. Equal ones are the same host: case and the dot behind a name say
/// nothing, nor does how an address is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In brackets where it is of IPv6.
    Address(IpAddr),
    /// Letters, digits, hyphens and underscores, in labels: what is not ASCII goes by its `xn--`.
    Name(String),
}

impl Host {
    /// What stands there without a port.
    pub(crate) fn parse(text: &str) -> Option<Host> {
        if let Some(address) = text.strip_prefix('[') {
            let address = address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
            return Some(Host::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse() {
            return Some(Host::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_part);
        let is_name = name.len() <= MAX_NAME && name.split('.').all(is_label);
        is_name.then(|| Host::Name(name.to_ascii_lowercase()))
    }

    /// What stands there with or without a port (RFC 9110 §7.2).
    pub(crate) fn parse_with_port(text: &str) -> Option<(Host, Option<u16>)> {
        // Not within the brackets of an IPv6 address.
        let address = text.find(']').map_or(0, |end| end + 1);
        let Some(colon) = text[address..].find(':') else {
            return Some((Host::parse(text)?, None));
        };
        let (host, port) = text.split_at(address + colon);
        let port = match &port[1..] {
            "" => None,
            // std's parser would take a sign, too.
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some((Host::parse(host)?, port))
    }

    /// An address, localhost, or one of the operator's names: no other machine is meant.
    pub(crate) fn is_own(&self, names: &[Host]) -> bool {
        match self {
            Host::Address(_) => true,
            Host::Name(name) => name == "localhost" || names.contains(self),
        }
    }

    /// A name that only an intranet can give: whoever wants to point one of his own here (DNS
    /// rebinding) has a domain.
    pub(crate) fn is_private(&self) -> bool {
        match self {
            Host::Address(_) => true,
            Host::Name(name) => {
                !name.contains('.') || PRIVATE.iter().any(|end| name.ends_with(end))
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<String> {
        Host::parse_with_port(text).map(|(host, _)| host.to_string())
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        for (text, expected) in [
            ("intranet", Some("intranet")),
            ("Intranet:6552", Some("intranet")),
            ("push.Example.org.:80", Some("push.example.org")),
            ("push.example.org:", Some("push.example.org")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("my_host", Some("my_host")),
            ("127.0.0.1:6552", Some("127.0.0.1")),
            ("[::1]", Some("[::1]")),
            ("[0:0:0:0:0:0:0:1]:80", Some("[::1]")),
            ("[::ffff:10.0.0.5]", Some("10.0.0.5")),
            ("", None),
            (".", None),
            (":80", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[10.0.0.5]", None),
            ("[fe80::1%2]", None),
            ("]:80", None),
            ("a..b", None),
            (".local", None),
            ("a..", None),
            ("a:b", None),
            ("a:+80", None),
            ("a:80:80", None),
            ("a:65536", None),
            ("a b", None),
            ("user@a", None),
            ("a/.local", None),
            ("bücher.example", None),
            ("]é:", None),
        ] {
            assert_eq!(host(text).as_deref(), expected, "{text}");
        }
        assert!(Host::parse(&"a".repeat(MAX_NAME)).is_some());
        assert!(Host::parse(&"a".repeat(MAX_NAME + 1)).is_none());
        let port = |text| Host::parse_with_port(text).unwrap().1;
        assert_eq!(port("a:8080"), Some(8080));
        assert_eq!(port("[::1]:8080"), Some(8080));
        assert_eq!([port("a"), port("a:")], [None, None]);
    }

    #[test]
    fn no_stranger_has_a_private_name() {
        for (name, is_private) in [
            ("10.1.0.5", true),
            ("[fd00::1]", true),
            ("intranet", true),
            ("printer.local", true),
            ("a.b.lan", true),
            ("db.internal", true),
            ("nas.home.arpa.", true),
            ("erp.test", true),
            ("erp.localhost", true),
            ("home.arpa", false),
            ("evil.example", false),
            ("local.evil.example", false),
            ("evil-local", true),
            ("evil.notlocal", false),
            ("127.0.0.1.evil.example", false),
            ("1.2.3", false),
        ] {
            let host = Host::parse(name).unwrap();
            assert_eq!(host.is_private(), is_private, "{name}");
        }
    }
}
