//! What the value of a setting may be, wherever it comes from: a flag, a variable or the file.
//!
//! White space around a value, and around each element of a list, is no part of it. Errors are
//! whole sentences without the setting's name, which whoever asked knows.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::admission::origin::Listed;
use crate::audience::registration::MAX_NAME_BYTES;
use crate::http::host::Host;

/// Whole numbers from `least` to `most`.
pub(super) fn number(
    least: u32,
    most: u32,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim().parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {least} to {most}")),
    }
}

/// Bytes from `least` to `most`: a number, or one with K, M or G behind it, for 1,024 of what comes
/// before.
pub(super) fn bytes(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| match parse_bytes(text.trim()) {
        Some(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
        _ if most == u64::MAX => Err(format!(
            "expected a number of bytes from {least} on, such as 10485760 or 10M"
        )),
        _ => Err(format!(
            "expected a number of bytes from {least} to {most}, such as 10485760 or 10M"
        )),
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Whether something is to be so.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    let wrong = "expected true or false";
    text.trim().parse().map_err(|_| wrong.to_owned())
}

/// An address with its port. Names are not looked up: which of their addresses was meant?
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "an IP address and a port, such as 127.0.0.1:6552 or [::1]:6552, are needed";
    text.trim().parse().map_err(|_| wrong.to_owned())
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let wrong = "a network such as 10.1.0.0/16, or an address such as 10.1.2.3, is needed";
    let single = |_| text.parse().map(|address: IpAddr| address.into());
    text.parse().or_else(single).map_err(|_| wrong.to_owned())
}

/// The name of a machine, without a port.
pub(super) fn host(text: &str) -> Result<Host, String> {
    let wrong = "a name such as intranet or push.example.org, without a port, is needed";
    Host::parse(text.trim()).ok_or_else(|| wrong.to_owned())
}

/// Whose pages may connect.
pub(super) fn origin(text: &str) -> Result<Listed, String> {
    let wrong = "an origin as browsers send it, such as https://erp.example.com or \
                 http://intranet:8080, without a path, or null, or *, is needed";
    Listed::parse(text.trim()).ok_or_else(|| wrong.to_owned())
}

/// Where requests go, unencrypted. No name and password: the URL stands in the log.
pub(super) fn url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let url = text.parse::<ureq::http::Uri>().ok();
    let is_http = |url: &ureq::http::Uri| {
        let authority = url.authority().map_or("", |authority| authority.as_str());
        url.scheme_str() == Some("http") && url.host() != Some("") && !authority.contains('@')
    };
    match url.filter(is_http) {
        Some(_) => Ok(text.to_owned()),
        None => Err(
            "a URL such as http://127.0.0.1/push-events.php, without a name and a password, is needed"
                .to_owned(),
        ),
    }
}

/// The name of a field in a message.
pub(super) fn field(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("a field's name is needed".to_owned());
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("a field's name has at most {MAX_NAME_BYTES} bytes"));
    }
    // A name with a quote, a bracket or white space in it is one list that was written in another way.
    let strange = |letter: char| letter.is_control() || letter.is_whitespace();
    if name.contains(strange) || name.contains(['"', '\'', '[', ']', '{', '}', ',', ';', ':']) {
        return Err("a field's name has no white space, quotes, brackets or separators".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_have_a_unit() {
        for (text, expected) in [
            ("10485760", Some(10 << 20)),
            (" 10M ", Some(10 << 20)),
            ("64MiB", Some(64 << 20)),
            ("512k", Some(512 << 10)),
            ("1 GB", Some(1 << 30)),
            ("0", Some(0)),
            ("10T", None),
            ("M", None),
            ("-1", None),
            ("1.5M", None),
            ("99999999999G", None),
        ] {
            assert_eq!(bytes(0, u64::MAX)(text).ok(), expected, "{text}");
        }
        assert!(
            bytes(4096, u64::MAX)("4095")
                .unwrap_err()
                .contains("4096 on")
        );
    }

    #[test]
    fn a_webhook_is_reached_by_http_without_secrets_in_the_host() {
        for right in [
            "http://127.0.0.1/a.php?key=x",
            " http://[::1]:81 ",
            "HTTP://intranet/",
        ] {
            assert_eq!(url(right).unwrap(), right.trim());
        }
        for wrong in [
            "",
            "https://a/",
            "a:80",
            "/a",
            "http://",
            "http://u:p@a/",
            "http://a b/",
        ] {
            assert!(url(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_fields_name_is_trimmed_and_nothing_else_is_taken_for_one() {
        assert_eq!(field(" user_id").unwrap(), "user_id");
        assert_eq!(field("\u{73ed}\u{7ea7}").unwrap(), "\u{73ed}\u{7ea7}");
        for wrong in [
            "",
            " ",
            "a b",
            "a\tb",
            "[\"a\"]",
            "'a'",
            "a;b",
            "a:b",
            "a\u{3000}b",
        ] {
            assert!(field(wrong).is_err(), "{wrong:?}");
        }
        assert!(field(&"x".repeat(65)).is_err());
    }
}
