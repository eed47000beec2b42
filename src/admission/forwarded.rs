//! The headers in which proxies tell whom they ask for: `X-Forwarded-For`, and `Forwarded` (RFC
//! 7239).
//!
//! Pure. Each proxy appends to what it was sent, which anybody may have made up: so both are read
//! from the right, and nothing further left has a say in how the right end is read.

use std::iter;
use std::net::IpAddr;

use crate::address::Address;
use crate::http::Head;

/// What one proxy says of where its request came from; `None` when it does not tell, or when it is
/// no address: `unknown`, `_hidden`, garbage.
pub(super) type Hop = Option<Address>;

/// The hops that the request tells of, the nearest one first; several lines are one list.
///
/// With both headers, `X-Forwarded-For` counts: it is what proxies write unless they are told
/// otherwise, and one that does not write the other passes on whatever a client made up there.
pub(super) fn hops(head: &Head) -> Vec<Hop> {
    let addresses: Vec<_> = head.list("x-forwarded-for").collect();
    if !addresses.is_empty() {
        return addresses.into_iter().rev().map(node).collect();
    }
    let lines: Vec<_> = head.all("forwarded").collect();
    let list = lines.join(",");
    let elements = rsplit(&list, b',').map(str::trim);
    let elements = elements.filter(|element| !element.is_empty());
    elements.map(forwarded_for).collect()
}

/// The address in an element such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Hop {
    let parameters = rsplit(element, b';').filter_map(|parameter| parameter.split_once('='));
    let mut nodes = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    match (nodes.next(), nodes.next()) {
        (Some((_, node_of)), None) => node(unquoted(node_of.trim())?),
        // RFC 7239 §4: at most once.
        _ => None,
    }
}

/// What is in quotes, or what has none. No address needs an escape.
fn unquoted(text: &str) -> Option<&str> {
    match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(text),
    }
}

/// An address with or without its port; IPv6 may stand in brackets, and has to with a port.
fn node(text: &str) -> Hop {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Address::new(ip, None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let ip = match host.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(host.parse().ok()?),
    };
    // A port may be hidden, too (RFC 7239 §6.3).
    Some(Address::new(ip, port.and_then(|port| port.parse().ok())))
}

/// Parts a text outside of its quoted strings (RFC 9110 §5.6.4), from the right. What comes first
/// is read rightly if whoever wrote the right end did so: a quote that somebody left open before it
/// changes nothing.
fn rsplit(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        for (at, byte) in text.bytes().enumerate().rev() {
            if byte == b'"' {
                is_quoted = !is_quoted || is_escaped(text, at);
            } else if byte == separator && !is_quoted {
                rest = Some(&text[..at]);
                return Some(&text[at + 1..]);
            }
        }
        rest = None;
        Some(text)
    })
}

/// Whether an odd number of backslashes precedes.
fn is_escaped(text: &str, at: usize) -> bool {
    let before = text.as_bytes()[..at].iter().rev();
    before.take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Vec<String> {
        let text = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        let head = Head::parse(text.as_bytes()).unwrap().unwrap();
        let hops = hops(&head).into_iter();
        hops.map(|hop| hop.map_or("-".to_owned(), |address| address.to_string()))
            .collect()
    }

    #[test]
    fn x_forwarded_for_is_a_list_of_addresses_as_proxies_spell_them() {
        for (value, hops) in [
            ("", &[][..]),
            (" , ,", &[]),
            ("10.0.0.5", &["10.0.0.5"]),
            (
                "10.0.0.5, 10.0.0.6 ,,10.0.0.7",
                &["10.0.0.7", "10.0.0.6", "10.0.0.5"],
            ),
            ("10.0.0.5:4711", &["10.0.0.5:4711"]),
            ("2001:db8::1", &["2001:db8::1"]),
            ("[2001:db8::1]", &["2001:db8::1"]),
            ("[2001:db8::1]:4711", &["[2001:db8::1]:4711"]),
            ("::ffff:10.0.0.5", &["10.0.0.5"]),
            ("[::ffff:10.0.0.5]:80", &["10.0.0.5:80"]),
            ("::1", &["::1"]),
            ("unknown, 10.0.0.5", &["10.0.0.5", "-"]),
            ("_hidden", &["-"]),
            ("intranet", &["-"]),
            ("10.0.0.256", &["-"]),
            ("010.0.0.5", &["-"]),
            ("10.0.0", &["-"]),
            ("10.0.0.5:99999", &["10.0.0.5"]),
            ("[10.0.0.5]", &["-"]),
            ("[2001:db8::1", &["-"]),
            ("[2001:db8::1]4711", &["-"]),
            ("2001:db8::1%eth0", &["-"]),
            (":80", &["-"]),
            (":", &["-"]),
            ("[]", &["-"]),
            ("\"10.0.0.5\"", &["-"]),
            ("10.0.0.5 10.0.0.6", &["-"]),
            ("\u{fffd}, 10.0.0.5", &["10.0.0.5", "-"]),
        ] {
            assert_eq!(told(&format!("X-Forwarded-For: {value}")), hops, "{value}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        for (value, hops) in [
            ("", &[][..]),
            ("for=10.0.0.5", &["10.0.0.5"]),
            ("For=10.0.0.5;proto=http;by=10.9.9.9", &["10.0.0.5"]),
            ("proto=http ; for=10.0.0.5 ; host=a", &["10.0.0.5"]),
            ("for=10.0.0.5, for=10.0.0.6", &["10.0.0.6", "10.0.0.5"]),
            ("for=\"[2001:db8::1]:4711\"", &["[2001:db8::1]:4711"]),
            ("for=\"[2001:db8::1]\"", &["2001:db8::1"]),
            ("for=\"10.0.0.5:4711\"", &["10.0.0.5:4711"]),
            ("for=\"10.0.0.5:_port\"", &["10.0.0.5"]),
            // Not as it is meant, but as some write it.
            ("for=10.0.0.5:4711", &["10.0.0.5:4711"]),
            ("for=unknown", &["-"]),
            ("for=_hidden, for=_SEVKISEK", &["-", "-"]),
            ("for=\"_gazonk\";proto=http", &["-"]),
            ("proto=http", &["-"]),
            ("10.0.0.5", &["-"]),
            ("for=10.0.0.5;for=10.0.0.6", &["-"]),
            ("for=\"10.0.0.5", &["-"]),
            ("for=\"", &["-"]),
            ("for=", &["-"]),
            // What is in quotes parts nothing.
            (
                "for=10.0.0.5;host=\"a,for=10.0.0.6;for=10.0.0.7\"",
                &["10.0.0.5"],
            ),
            ("host=\"a\\\",for=10.0.0.6\";for=10.0.0.5", &["10.0.0.5"]),
            ("host=\"\\\\\", for=10.0.0.5", &["10.0.0.5", "-"]),
            // A quote that a client left open does not reach what its proxy appended.
            ("for=\"10.0.0.6, for=10.0.0.5", &["10.0.0.5", "-"]),
            ("for=\"10.0.0.6\\, for=10.0.0.5", &["10.0.0.5", "-"]),
        ] {
            assert_eq!(told(&format!("Forwarded: {value}")), hops, "{value}");
        }
    }

    #[test]
    fn several_lines_are_one_list_and_x_forwarded_for_counts_if_it_says_anything() {
        for (lines, hops) in [
            (
                "X-Forwarded-For: 10.0.0.5\r\nx-forwarded-for: 10.0.0.6, 10.0.0.7",
                &["10.0.0.7", "10.0.0.6", "10.0.0.5"][..],
            ),
            (
                "Forwarded: for=10.0.0.5\r\nForwarded: for=10.0.0.6",
                &["10.0.0.6", "10.0.0.5"],
            ),
            (
                "X-Forwarded-For: 10.0.0.5\r\nForwarded: for=10.0.0.6",
                &["10.0.0.5"],
            ),
            (
                "X-Forwarded-For: unknown\r\nForwarded: for=10.0.0.6",
                &["-"],
            ),
            ("X-Forwarded-For:\r\nForwarded: for=10.0.0.6", &["10.0.0.6"]),
        ] {
            assert_eq!(told(lines), hops, "{lines}");
        }
    }
}
