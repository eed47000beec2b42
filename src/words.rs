//! How numbers, and texts that others wrote, stand in a line of the log: one line whatever they
//! hold, and nothing that steers a terminal.
//!
//! Pure; whoever logs calls it.

use std::fmt::{self, Write};
use std::net::SocketAddr;

/// Bytes that an excerpt has at most, of those that were sent.
const EXCERPT: usize = 40;

/// A number with its thousands parted: 12,345.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The end of a noun behind this number: 1 client, 2 clients.
pub(crate) fn plural(number: u64) -> &'static str {
    match number {
        1 => "",
        _ => "s",
    }
}

/// A socket of both families tells of IPv4 as `::ffff:10.0.0.5`: that is 10.0.0.5.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// JSON as one line that any parser reads as the same document: letters that would part the line,
/// turn it or steer a terminal are escaped as JSON does, and what lies between its tokens is
/// spaces.
pub(crate) struct JsonLine<'a>(pub(crate) &'a str);

impl fmt::Display for JsonLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain_from = 0;
        for (at, letter) in self.0.char_indices() {
            if is_plain(letter) {
                continue;
            }
            f.write_str(&self.0[plain_from..at])?;
            plain_from = at + letter.len_utf8();
            // Inside a string JSON allows none of these as they are.
            if matches!(letter, '\n' | '\r' | '\t') {
                f.write_char(' ')?;
                continue;
            }
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(f, "\\u{unit:04x}")?;
            }
        }
        f.write_str(&self.0[plain_from..])
    }
}

/// JSON on one line, else byte for byte: JSON allows line breaks between its tokens only, where
/// spaces mean the same.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.0.split(['\n', '\r']).enumerate() {
            if number > 0 {
                f.write_char(' ')?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// Whether a letter stays as it is; quotes and backslashes are JSON's own.
fn is_plain(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_control();
    }
    // Behind another letter std leaves accents that combine as they are.
    let mut pair = [b' '; 5];
    let length = 1 + letter.encode_utf8(&mut pair[1..]).len();
    str::from_utf8(&pair[..length]).is_ok_and(|pair| pair.escape_debug().count() == 2)
}

/// The beginning of what others sent, escaped: `{"a":1\n`.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excerpt(bytes) = self;
        for chunk in bytes[..shown(bytes)].utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '"' | '\'' => f.write_char(letter)?,
                    letter if letter != '\\' && is_plain(letter) => f.write_char(letter)?,
                    letter => write!(f, "{}", letter.escape_debug())?,
                }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        match bytes.len() > EXCERPT {
            true => f.write_str("…"),
            false => Ok(()),
        }
    }
}

/// As many bytes as an excerpt has, without cutting a letter.
fn shown(bytes: &[u8]) -> usize {
    if bytes.len() <= EXCERPT {
        return bytes.len();
    }
    let is_within_letter = |at: &usize| bytes[*at] & 0b1100_0000 == 0b1000_0000;
    // A letter has four bytes at most; what has more is none.
    let cuts = (EXCERPT - 3..=EXCERPT).rev();
    cuts.into_iter()
        .find(|at| !is_within_letter(at))
        .unwrap_or(EXCERPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(["", "s", "s"], [plural(1), plural(0), plural(2)]);
    }

    #[test]
    fn ipv4_is_told_as_ipv4() {
        for (told, canonical) in [
            ("[::ffff:10.0.0.5]:80", "10.0.0.5:80"),
            ("10.0.0.5:80", "10.0.0.5:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
        ] {
            let address: SocketAddr = told.parse().unwrap();
            assert_eq!(super::canonical(address).to_string(), canonical);
        }
    }

    #[test]
    fn json_stays_the_same_json_on_one_line() {
        for (text, line) in [
            ("{\r\n\t\"a\": 1 }", "{   \"a\": 1 }"),
            (r#"{"a":"\"\\n' é e\u0301"}"#, r#"{"a":"\"\\n' é e\u0301"}"#),
            (
                "\"e\u{301} \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}\"",
                "\"e\u{301} \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}\"",
            ),
            (
                "\"\u{7f}\u{9b}31m\u{2028}\u{202e}\"",
                r#""\u007f\u009b31m\u2028\u202e""#,
            ),
            ("\"\u{e0001}😀\"", "\"\\udb40\\udc01😀\""),
        ] {
            assert_eq!(JsonLine(text).to_string(), line);
            let parse = |json| serde_json::from_str::<serde_json::Value>(json).unwrap();
            assert_eq!(parse(text), parse(line));
        }
    }

    #[test]
    fn an_excerpt_is_escaped_and_bounded() {
        let excerpt = |bytes: &[u8]| Excerpt(bytes).to_string();
        assert_eq!(excerpt(b""), "");
        assert_eq!(excerpt(b"{\"msg\":}\n"), r#"{"msg":}\n"#);
        assert_eq!(
            excerpt("\\ \u{1b}[2J\u{9b}\u{202e}é".as_bytes()),
            r"\\ \u{1b}[2J\u{9b}\u{202e}é"
        );
        assert_eq!(excerpt(b"\"a\xff\xc3\""), r#""a\xff\xc3""#);
        let long = format!("{}é{}", "x".repeat(39), "x".repeat(9));
        let shown = format!("{}…", "x".repeat(39));
        assert_eq!(excerpt(long.as_bytes()), shown);
        let garbage = format!("{}…", r"\x80".repeat(40));
        assert_eq!(excerpt(&[0x80; 99]), garbage);
    }
}
