//! Where a listener connects: the URL, and what it has to say in its query. Pure, no I/O.

use crate::cli::pairs::{Pair, escaped, pair};

/// A WebSocket URL, taken apart: what registers, and where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Host and port, as the request's `Host` has them.
    pub(super) place: String,
    path: String,
    /// The query's parameters but for those of the protocol itself, still escaped.
    registration: Vec<String>,
    /// The id after which to begin, still escaped.
    pub(super) since: Option<String>,
    /// How many of the newest messages to begin with.
    pub(super) last: Option<u64>,
}

/// Takes a URL apart.
///
/// # Errors
/// One sentence: it is no URL that udpush could be at.
pub(super) fn parse(url: &str) -> Result<Address, String> {
    let rest = match url.split_once("://") {
        Some(("ws" | "http", rest)) => rest,
        Some(("wss" | "https", _)) => {
            return Err("udpush listen speaks no TLS: ws://HOST:PORT/ is needed".to_owned());
        }
        Some(_) => return Err(NEEDED.to_owned()),
        None => url,
    };
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let mut address = Address {
        place: with_port(place),
        path: path.to_owned(),
        registration: Vec::new(),
        since: None,
        last: None,
    };
    for parameter in query.split('&').filter(|text| !text.is_empty()) {
        match parameter.split_once('=') {
            // The first, as the server takes it.
            Some(("since", id)) => address.since = address.since.or(Some(id.to_owned())),
            Some(("last", count)) => {
                let count = count.parse().map_err(|_| "last= is no number".to_owned())?;
                address.last = Some(count);
            }
            _ => address.registration.push(parameter.to_owned()),
        }
    }
    match address.url().parse::<ureq::http::Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(address),
        _ => Err(NEEDED.to_owned()),
    }
}

/// Takes `FIELD=VALUE` apart, where the field can be registered in a URL.
///
/// # Errors
/// One sentence: the URL has this name for itself.
pub(super) fn registration(text: &str) -> Result<Pair, String> {
    let pair = pair(text)?;
    match RESERVED.contains(&pair.field.as_str()) {
        true => Err(format!("{:?} is no field in a URL", pair.field)),
        false => Ok(pair),
    }
}

/// As push.js has them.
const RESERVED: [&str; 5] = ["since", "token", "last", "lastEventId", "Last-Event-ID"];

const NEEDED: &str = "a URL such as ws://127.0.0.1:6552/ is needed";

/// HTTP's port where there is none: udpush is behind a proxy then.
fn with_port(place: &str) -> String {
    let after_host = place.rfind(']').map_or(place, |end| &place[end..]);
    match after_host.contains(':') {
        true => place.to_owned(),
        false => format!("{place}:80"),
    }
}

impl Address {
    /// Registers what these parameters say, too.
    pub(super) fn register(&mut self, parameters: impl Iterator<Item = String>) {
        self.registration.extend(parameters);
    }

    /// The next connection is to begin after the message with this id.
    pub(super) fn go_on_after(&mut self, id: &str) {
        self.since = Some(escaped(id));
        self.last = None;
    }

    pub(super) fn url(&self) -> String {
        let mut parameters = self.registration.clone();
        parameters.extend(self.since.as_ref().map(|id| format!("since={id}")));
        parameters.extend(self.last.map(|count| format!("last={count}")));
        let mark = if parameters.is_empty() { "" } else { "?" };
        let query = parameters.join("&");
        format!("ws://{}{}{mark}{query}", self.place, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_be_short() {
        for (given, url) in [
            ("ws://127.0.0.1:6552/", "ws://127.0.0.1:6552/"),
            ("http://push:6552", "ws://push:6552/"),
            ("push:6552", "ws://push:6552/"),
            ("ws://push/udpush/", "ws://push:80/udpush/"),
            ("ws://[::1]:6552/", "ws://[::1]:6552/"),
            ("[::1]", "ws://[::1]:80/"),
            ("ws://h:1/?a=1&b=%202#top", "ws://h:1/?a=1&b=%202"),
            ("ws://h:1?a=1", "ws://h:1/?a=1"),
        ] {
            assert_eq!(parse(given).unwrap().url(), url);
        }
        for wrong in [
            "",
            "/",
            "ftp://h:1/",
            "ws://",
            "ws://a b/",
            "ws://h:1/?last=x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("wss://h:1/").unwrap_err().contains("no TLS"));
    }

    #[test]
    fn what_the_url_has_for_itself_is_no_field() {
        assert_eq!(registration("school_id=2").unwrap().field, "school_id");
        assert!(registration("since=a-1").unwrap_err().contains("\"since\""));
        assert!(registration("school_id").is_err());
    }

    #[test]
    fn the_next_connection_begins_after_what_was_heard() {
        let mut address = parse("ws://h:1/?since=a-1&a=1&last=7").unwrap();
        address.register(["b=2".to_owned()].into_iter());
        assert_eq!(address.url(), "ws://h:1/?a=1&b=2&since=a-1&last=7");
        address.go_on_after("a-9");
        assert_eq!(address.url(), "ws://h:1/?a=1&b=2&since=a-9");
    }
}
