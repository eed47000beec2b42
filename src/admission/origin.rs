//! Which pages may connect. Every page that is open in a browser inside can have it connect here,
//! wherever the page is from; but the browser says whose it is (`Origin`), and what name it went by
//! to get here (`Host`).
//!
//! - An origin that the operator lists may, whatever the Host: nobody else can have it.
//! - Else a page may if its host is the one that it connects to. That would be no bar to a stranger
//!   who points a name of his own here (DNS rebinding), so the name must be one that no stranger
//!   can have.
//! - Without an `Origin` a WebSocket is no browser's: all of them send it. A GET for events may be
//!   one's, which leaves it out towards the page's own origin, a rebound one, too: so the name is
//!   looked at there.
//!
//! No header of a proxy's is believed (`X-Forwarded-Host`): a page's script can send it as well.

use crate::http::host::Host;
use crate::http::origin::Origin;
use crate::http::{Answer, Head};
use crate::os;
use crate::words::Excerpt;

/// Where push.js says what its browser leaves out towards the page's own origin, so that it is told
/// why a WebSocket was refused, which the browser sent it with. Nobody is let in for it.
const PAGE_ORIGIN: &str = "x-page-origin";

/// One of `--origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// `*`: whatever there is.
    All,
    /// `null`: files, sandboxed frames, and whatever else hides its origin.
    Null,
    /// Pages from there.
    Page(Origin),
}

/// Which pages may connect.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    listed: Vec<Listed>,
    /// Names of this machine, besides those that no stranger can have.
    hosts: Vec<Host>,
}

impl Listed {
    /// As the operator writes it.
    pub(crate) fn parse(text: &str) -> Option<Listed> {
        match text {
            "*" => Some(Listed::All),
            "null" => Some(Listed::Null),
            text => Origin::parse(text).map(Listed::Page),
        }
    }
}

impl Origins {
    /// What the operator says, and this machine's own name.
    pub(crate) fn new(listed: Vec<Listed>, mut hosts: Vec<Host>) -> Self {
        hosts.extend(Host::parse(&os::host_name()));
        Origins { listed, hosts }
    }

    /// Whether whoever sent this may listen, as far as its page is concerned.
    ///
    /// # Errors
    /// The answer, if that is all it gets: any page may read it, for it says nothing that the page
    /// does not know.
    pub(super) fn judge(&self, head: &Head) -> Result<(), Answer> {
        let (origin, host) = (the_only(head, "Origin")?, the_only(head, "Host")?);
        if self.listed.contains(&Listed::All) {
            return Ok(());
        }
        if let Some(origin) = origin {
            return self.judge_page(origin, host);
        }
        // No browser leaves out both.
        if let Some(host) = host.filter(|_| !head.asks_for_websocket()) {
            self.judge_name(host)?;
        }
        match head.header(PAGE_ORIGIN) {
            Some(origin) => self.judge_page(origin, host),
            None => Ok(()),
        }
    }

    fn judge_page(&self, origin: &str, host: Option<&str>) -> Result<(), Answer> {
        if origin == "null" {
            return match self.listed.contains(&Listed::Null) {
                true => Ok(()),
                false => Err(refused(
                    "Pages that were opened from a file, or that hide their origin, may not \
                     connect. If they should, start udpush with --origin null.",
                )),
            };
        }
        let Some(page) = Origin::parse(origin) else {
            let origin = Excerpt(origin.as_bytes());
            return Err(refused(&format!(
                "Pages of {origin} may not connect: that is no origin."
            )));
        };
        if self.lists(|origin| *origin == page) {
            return Ok(());
        }
        match host.and_then(Host::parse_with_port) {
            Some((asked, _)) if asked != page.host => Err(foreign(&page, host)),
            Some((asked, _)) => self.judge_own(&asked),
            None => Err(foreign(&page, host)),
        }
    }

    /// What a browser that names no origin went by to get here.
    fn judge_name(&self, host: &str) -> Result<(), Answer> {
        let Some((asked, _)) = Host::parse_with_port(host) else {
            let host = Excerpt(host.as_bytes());
            return Err(refused(&format!("The Host header names no host: {host}")));
        };
        // Nobody else can have that either. For a page of the same name, but with another scheme or
        // port, its browser would have named its origin.
        match self.lists(|origin| origin.host == asked) {
            true => Ok(()),
            false => self.judge_own(&asked),
        }
    }

    /// Whether no stranger can have this name.
    fn judge_own(&self, asked: &Host) -> Result<(), Answer> {
        match asked.is_private() || asked.is_own(&self.hosts) {
            true => Ok(()),
            false => Err(could_be_anyones(asked)),
        }
    }

    fn lists(&self, is_it: impl Fn(&Origin) -> bool) -> bool {
        let mut listed = self.listed.iter();
        listed.any(|listed| matches!(listed, Listed::Page(origin) if is_it(origin)))
    }
}

/// The only header of this name, if there is one: with several, who knows which one a proxy went
/// by?
fn the_only<'a>(head: &'a Head, name: &str) -> Result<Option<&'a str>, Answer> {
    let mut all = head.all(name);
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(answer(
            "400 Bad Request",
            &format!("A request has one {name} header at most."),
        )),
        (only, None) => Ok(only),
    }
}

fn foreign(page: &Origin, host: Option<&str>) -> Answer {
    let host = Excerpt(host.unwrap_or_default().as_bytes());
    refused(&format!(
        "Pages of {page} may not connect to {host}. If they should, start udpush with --origin \
         {page}. If a proxy has changed the Host header, let it pass it on. nginx has to be told: \
         proxy_set_header Host $host;"
    ))
}

fn could_be_anyones(host: &Host) -> Answer {
    refused(&format!(
        "The name {host} could be a stranger's, pointed here (DNS rebinding). If it is this \
         server's own, start udpush with --host {host}."
    ))
}

fn refused(sentence: &str) -> Answer {
    answer("403 Forbidden", sentence)
}

fn answer(status: &'static str, sentence: &str) -> Answer {
    Answer::new(status, sentence).header("X-Content-Type-Options", "nosniff")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentence of a refusal, in a request with these headers.
    fn refusal(origins: &Origins, headers: &[&str]) -> Option<String> {
        let lines = headers.join("\r\n");
        let text = format!("GET /events HTTP/1.1\r\n{lines}\r\n\r\n");
        let head = Head::parse(text.as_bytes()).unwrap().unwrap();
        let refusal = origins.judge(&head).err()?;
        Some(format!("{} {}", refusal.status(), refusal.sentence()))
    }

    fn origins(listed: &[&str]) -> Origins {
        let listed = listed.iter().map(|text| Listed::parse(text).unwrap());
        let hosts = ["push.example.org", "machine"].map(|name| Host::parse(name).unwrap());
        Origins {
            listed: listed.collect(),
            hosts: hosts.into(),
        }
    }

    /// Who is refused is told these words.
    fn check(listed: &[&str], headers: &[&str], words: Option<&str>) {
        let told = refusal(&origins(listed), headers);
        let is_right = match (&told, words) {
            (Some(told), Some(words)) => told.contains(words),
            (told, words) => told.is_none() && words.is_none(),
        };
        assert!(is_right, "{listed:?} {headers:?}: {told:?}");
    }

    #[test]
    fn a_page_may_connect_to_its_own_host_if_no_stranger_can_have_the_name() {
        let foreign = Some("403 Forbidden Pages of ");
        let stranger = Some("start udpush with --host ");
        for (origin, host, words) in [
            ("http://intranet", "intranet:6552", None),
            ("https://INTRANET:8443", "intranet", None),
            ("http://10.1.0.5:8080", "10.1.0.5:6552", None),
            ("http://[::1]:8080", "[0::1]:6552", None),
            ("http://localhost:3000", "localhost:6552", None),
            ("http://erp.lan", "ERP.lan.:6552", None),
            ("https://push.example.org", "push.example.org", None),
            ("capacitor://localhost", "localhost:6552", None),
            ("http://evil.example", "intranet:6552", foreign),
            ("http://intranet.evil.example", "intranet:6552", foreign),
            ("http://localhost:3000", "127.0.0.1:6552", foreign),
            ("http://intranet", "evil.example", foreign),
            ("http://evil.example", "evil.example:6552", stranger),
            (
                "http://1.2.3.4.evil.example",
                "1.2.3.4.evil.example",
                stranger,
            ),
            ("http://example.org", "example.org", stranger),
        ] {
            let headers = [&*format!("Origin: {origin}"), &format!("Host: {host}")];
            for upgrade in [None, Some("Upgrade: websocket")] {
                let headers: Vec<_> = headers.into_iter().chain(upgrade).collect();
                check(&[], &headers, words);
            }
        }
    }

    #[test]
    fn a_listed_origin_may_connect_whatever_the_host() {
        let listed = ["https://erp.example.com", "http://a:8080"];
        for (origin, is_listed) in [
            ("https://erp.example.com", true),
            ("HTTPS://ERP.example.com.:443", true),
            ("http://a:8080", true),
            ("http://erp.example.com", false),
            ("https://erp.example.com:8443", false),
            ("https://www.erp.example.com", false),
            ("https://erp.example.com.evil.example", false),
            ("http://a", false),
            ("null", false),
            ("*", false),
        ] {
            for host in ["push:6552", "evil.example", "é"] {
                let headers = [&*format!("Origin: {origin}"), &format!("Host: {host}")];
                let words = (!is_listed).then_some("403 Forbidden ");
                check(&listed, &headers, words);
            }
        }
        for origin in ["null", "http://evil.example", "what?"] {
            let headers = [&*format!("Origin: {origin}"), "Host: x"];
            check(&["*"], &headers, None);
            let words = (origin != "null").then_some("403 Forbidden ");
            check(&["null"], &headers, words);
        }
    }

    #[test]
    fn without_an_origin_the_name_is_looked_at_unless_it_is_a_websocket() {
        for (host, words) in [
            (Some("x:6552"), None),
            (Some("push.example.org"), None),
            // A listed origin's, behind a proxy.
            (Some("erp.example.com"), None),
            (None, None),
            (Some("evil.example:6552"), Some("--host evil.example.")),
            (
                Some("é"),
                Some("403 Forbidden The Host header names no host"),
            ),
            (
                Some(""),
                Some("403 Forbidden The Host header names no host"),
            ),
        ] {
            let host = host.map(|host| format!("Host: {host}"));
            let headers: Vec<_> = host.as_deref().into_iter().collect();
            check(&["https://erp.example.com"], &headers, words);
            let websocket: Vec<_> = headers.into_iter().chain(["Upgrade: websocket"]).collect();
            check(&[], &websocket, None);
        }
        check(&["*"], &["Host: evil.example"], None);
        check(&["null"], &["Host: evil.example"], Some("--host"));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let told = |headers: &[&str]| refusal(&origins(&[]), headers).unwrap();
        assert_eq!(
            told(&[
                "Origin: https://ERP.example.com:443",
                "Host: 127.0.0.1:6552"
            ]),
            "403 Forbidden Pages of https://erp.example.com may not connect to 127.0.0.1:6552. If \
             they should, start udpush with --origin https://erp.example.com. If a proxy has \
             changed the Host header, let it pass it on. nginx has to be told: proxy_set_header \
             Host $host;"
        );
        assert_eq!(
            told(&["Origin: null", "Host: x"]),
            "403 Forbidden Pages that were opened from a file, or that hide their origin, may not \
             connect. If they should, start udpush with --origin null."
        );
        assert_eq!(
            told(&[
                "Origin: http://Push.example.com:1",
                "Host: push.example.com:2"
            ]),
            "403 Forbidden The name push.example.com could be a stranger's, pointed here (DNS \
             rebinding). If it is this server's own, start udpush with --host push.example.com."
        );
    }

    #[test]
    fn what_a_page_or_a_proxy_adds_lets_nobody_in() {
        let own = "Host: intranet";
        let both = Some("400 Bad Request A request has one ");
        for (headers, words) in [
            (
                &[
                    "Origin: http://intranet",
                    "Origin: http://evil.example",
                    own,
                ][..],
                both,
            ),
            (
                &["Origin: http://intranet", "Origin: http://intranet", own],
                both,
            ),
            (
                &["Origin: http://evil.example", own, "Host: evil.example"],
                both,
            ),
            (
                &["Origin: http://intranet, http://evil.example", own],
                Some("403 "),
            ),
            (
                &[
                    "Origin: http://evil.example",
                    own,
                    "X-Forwarded-Host: evil.example",
                ],
                Some("403 "),
            ),
            (
                &[
                    "Origin: http://evil.example",
                    own,
                    "X-Page-Origin: http://intranet",
                ],
                Some("403 "),
            ),
            (
                &["X-Page-Origin: http://evil.example", own],
                Some("--origin http://evil.example."),
            ),
            (
                &["X-Page-Origin: http://evil.example", "Host: evil.example"],
                Some("--host"),
            ),
            (&["X-Page-Origin: http://intranet", own], None),
            (&["Origin:", own], Some("403 ")),
        ] {
            check(&[], headers, words);
        }
        check(&["*"], &["Origin: null", "Origin: null"], both);
        let listed = ["http://a.b", "null"];
        for page in ["X-Page-Origin: http://a.b", "X-Page-Origin: null"] {
            check(&listed, &[page, "Host: evil.example"], Some("--host"));
            check(&listed, &[page, own], None);
        }
    }

    #[test]
    fn what_is_said_of_hostile_headers_is_escaped_and_bounded() {
        let origin = format!("Origin: \u{9b}31m<b>{}", "x".repeat(9000));
        let told = refusal(&origins(&[]), &[&origin, "Host: x"]).unwrap();
        assert!(
            told.starts_with("403 Forbidden Pages of \\u{9b}31m<b>xxx"),
            "{told}"
        );
        assert!(told.len() < 200, "{told}");
        let host = format!("Host: {}", "é".repeat(9000));
        for origin in ["Origin: http://a", "Accept: */*"] {
            let told = refusal(&origins(&[]), &[origin, &host]).unwrap();
            assert!(told.contains("éé…") && told.len() < 400, "{told}");
        }
    }
}
