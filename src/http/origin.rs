//! Where a page is from, as its browser says.

use std::fmt;

use super::host::Host;

/// Bytes of a scheme at most.
const MAX_SCHEME: usize = 32;

/// Where a page is from (RFC 6454 §4). Equal ones are the same, whether the scheme's own port is
/// written or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    /// Whose.
    pub(crate) host: Host,
    /// `None`: the scheme's own.
    port: Option<u16>,
}

impl Origin {
    /// As a browser sends it: without a path.
    pub(crate) fn parse(text: &str) -> Option<Origin> {
        let (scheme, host) = text.split_once("://")?;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_scheme = scheme.len() <= MAX_SCHEME
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_part);
        if !is_scheme {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = Host::parse_with_port(host)?;
        let usual = match &*scheme {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        let port = port.filter(|port| Some(*port) != usual);
        Some(Origin { scheme, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { scheme, host, port } = self;
        write!(f, "{scheme}://{host}")?;
        match port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_more() {
        for (text, expected) in [
            ("https://erp.example.com", Some("https://erp.example.com")),
            ("HTTP://ERP.example.com:80", Some("http://erp.example.com")),
            (
                "https://erp.example.com:80",
                Some("https://erp.example.com:80"),
            ),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("moz-extension://a-b", Some("moz-extension://a-b")),
            ("erp.example.com", None),
            ("https:erp.example.com", None),
            ("https://", None),
            ("https://erp.example.com/", None),
            ("https://user@erp.example.com", None),
            ("https://*.example.com", None),
            ("https://bücher.example", None),
            ("://a", None),
            ("4://a", None),
            ("", None),
        ] {
            let origin = Origin::parse(text).map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), expected, "{text}");
        }
        let long = format!("{}://{}", "s".repeat(MAX_SCHEME), "h".repeat(253));
        assert!(Origin::parse(&long).is_some());
        for long in [format!("s{long}"), format!("{long}h")] {
            assert!(Origin::parse(&long).is_none());
        }
    }
}
