//! HAProxy's PROXY protocol: the header before everything else in which a trusted proxy names the
//! client (`--proxy-protocol`). Its specification is HAProxy's `doc/proxy-protocol.txt`.
//!
//! Pure. Where a header ends is found out here, within bounds; what it says, the crate reads.

use proxy_header::{ParseConfig, ProxyHeader};

use super::refusal::Failure;
use crate::address::Address;

/// Version 1 is a line that begins so (§2.1).
const V1: &[u8] = b"PROXY ";

/// Its bytes at most, with its end.
const MAX_V1: usize = 107;

/// Version 2 is binary and begins so (§2.2).
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Then come version and command, family, and the length of the rest.
const V2_FIXED: usize = 16;

/// Bytes of a header of version 2 at most, with whatever a proxy adds to the addresses: what fits into
/// the smallest segment that every network carries.
const MAX_V2: usize = 536;

/// A header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whom it names; `None` when the proxy speaks for itself (`LOCAL`, as its health checks do), or
    /// knows no address (`UNKNOWN`).
    pub(super) source: Option<Address>,
    /// Its bytes: the request follows.
    pub(super) length: usize,
}

/// The header that these bytes begin with; `None` when it has not ended yet.
pub(super) fn parse(received: &[u8]) -> Result<Option<Header>, Failure> {
    let Some(length) = length(received).map_err(malformed)? else {
        return Ok(None);
    };
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    match ProxyHeader::parse(&received[..length], config) {
        Ok((header, read)) if read == length => {
            let source = header.proxied_address().map(|address| address.source);
            let source = source.map(|source| Address::new(source.ip(), Some(source.port())));
            Ok(Some(Header { source, length }))
        }
        _ => Err(malformed("its PROXY header is malformed")),
    }
}

/// Where it ends.
fn length(received: &[u8]) -> Result<Option<usize>, &'static str> {
    if begins(received, V1) {
        let line = &received[..received.len().min(MAX_V1)];
        return match line.iter().position(|byte| *byte == b'\n') {
            Some(end) => Ok(Some(end + 1)),
            None if line.len() == MAX_V1 => Err("its PROXY header is longer than 107 bytes"),
            None => Ok(None),
        };
    }
    if !begins(received, V2) {
        return Err("it sent no PROXY header, which --proxy-protocol asks of trusted proxies");
    }
    let Some(fixed) = received.get(..V2_FIXED) else {
        return Ok(None);
    };
    let length = V2_FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    match length {
        length if length > MAX_V2 => Err("its PROXY header is longer than 536 bytes"),
        length => Ok((received.len() >= length).then_some(length)),
    }
}

/// Whether this is the beginning, as far as it has come.
fn begins(received: &[u8], with: &[u8]) -> bool {
    let both = received.iter().zip(with);
    both.fold(true, |same, (a, b)| same && a == b)
}

/// Whoever cannot write a header would not understand an answer in HTTP.
fn malformed(why: &str) -> Failure {
    Failure::unanswered(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    const TCP4: &[u8] = &[10, 0, 0, 5, 10, 9, 9, 9, 0x12, 0x34, 0, 80];

    fn tcp6(source: &str) -> Vec<u8> {
        let source: std::net::Ipv6Addr = source.parse().unwrap();
        [&source.octets()[..], &[0; 16], &[0x12, 0x34, 0, 80]].concat()
    }

    #[test]
    fn a_header_names_the_client_and_is_found_however_it_is_cut() {
        let tlvs = [TCP4, &[0x04, 0x01, 0x00][..], &[0; 256]].concat();
        let full = [TCP4, &[0; 536 - 16 - 12]].concat();
        let line_of_107 = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
        for (header, source) in [
            (
                b"PROXY TCP4 10.0.0.5 10.9.9.9 4660 80\r\n".to_vec(),
                Some("10.0.0.5:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n".to_vec(),
                Some("[2001:db8::1]:4660"),
            ),
            (
                b"PROXY TCP6 ::ffff:10.0.0.5 ::1 4660 80\r\n".to_vec(),
                Some("10.0.0.5:4660"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:f...f 10.0.0.5 1 2\r\n".to_vec(), None),
            (line_of_107.into_bytes(), None),
            (v2(0x21, 0x11, TCP4), Some("10.0.0.5:4660")),
            // QUIC's clients, over TCP all the same.
            (v2(0x21, 0x12, TCP4), Some("10.0.0.5:4660")),
            (v2(0x21, 0x11, &tlvs), Some("10.0.0.5:4660")),
            (v2(0x21, 0x11, &full), Some("10.0.0.5:4660")),
            (
                v2(0x21, 0x21, &tcp6("2001:db8::1")),
                Some("[2001:db8::1]:4660"),
            ),
            (
                v2(0x21, 0x21, &tcp6("::ffff:10.0.0.5")),
                Some("10.0.0.5:4660"),
            ),
            // LOCAL, with or without addresses; UNSPEC; AF_UNIX.
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, TCP4), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ] {
            let told = header.escape_ascii().to_string();
            for cut in 0..header.len() {
                assert!(parse(&header[..cut]).unwrap().is_none(), "{told} {cut}");
            }
            for rest in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"\r\n\n\0"] {
                let bytes = [&header[..], rest].concat();
                let found = parse(&bytes).unwrap().unwrap();
                let named = found.source.map(|source| source.to_string());
                assert_eq!(named.as_deref(), source, "{told}");
                assert_eq!(found.length, header.len(), "{told}");
            }
        }
    }

    #[test]
    fn whatever_else_comes_first_is_no_header() {
        let too_long = [TCP4, &[0; 536 - 16 - 12 + 1]].concat();
        let line_of_108 = format!("PROXY UNKNOWN {}\r\n", "x".repeat(108 - 16));
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXYTCP4",
            b"PROXY TCP5 10.0.0.5 10.9.9.9 1 2\r\n",
            b"PROXY TCP4 10.0.0.5 10.9.9.9 1\r\n",
            b"PROXY TCP4 10.0.0.5 10.9.9.9 1 2 3\r\n",
            b"PROXY TCP4 10.0.0.5 10.9.9.9 1 99999\r\n",
            b"PROXY TCP4 10.0.0.256 10.9.9.9 1 2\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            b"PROXY TCP6 10.0.0.5 10.9.9.9 1 2\r\n",
            b"PROXY TCP4 10.0.0.5  10.9.9.9 1 2\r\n",
            b"PROXY TCP4 10.0.0.5 10.9.9.9 1 2\n",
            b"PROXY \n",
            b"PROXY \r\n",
            line_of_108.as_bytes(),
            b"\r\n\r\n\0\r\nQUIX",
            &v2(0x11, 0x11, TCP4),
            &v2(0x22, 0x11, TCP4),
            &v2(0x21, 0x13, TCP4),
            &v2(0x21, 0x41, TCP4),
            &v2(0x21, 0x11, &TCP4[1..]),
            &v2(0x21, 0x11, &[]),
            &v2(0x21, 0x21, TCP4),
            &v2(0x21, 0x31, TCP4),
            &v2(0x21, 0x11, &too_long),
        ] {
            assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn garbage_is_never_read_beyond_its_end() {
        // The crate indexes what it was given: nothing may make it panic.
        let mut state = 1_u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8
        };
        for _ in 0..100_000 {
            let noise: Vec<_> = (0..random() % 60).map(|_| random()).collect();
            let mut bytes = match random() % 3 {
                0 => v2(
                    0x20 | (random() % 2),
                    [0, 0x11, 0x21, 0x31][random() as usize % 4],
                    &noise,
                ),
                1 => [&b"PROXY TCP4 "[..], &noise, b"\r\n"].concat(),
                _ => b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n".to_vec(),
            };
            let at = random() as usize % bytes.len();
            bytes[at] = random();
            bytes.truncate(random() as usize % 64);
            let _ = parse(&bytes);
        }
    }
}
