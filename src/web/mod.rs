//! What 6552 answers to plain HTTP: the live page, push.js, `/healthz`, and the right status to
//! everything else.
//!
//! Pure, but for `/healthz`: a request's head in, an answer out. The client's own thread asks when a
//! handshake turns out to be none; for `/healthz` it waits until the canary is back. The files are part
//! of the binary; all that the server adds is where it takes messages, for the commands on the live
//! page.

pub(crate) mod shared;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::canary::Canary;
use crate::http::resource::{HTML, Resource, SCRIPT, STYLE};
use crate::http::{Answer, Head, cors};

/// What is served.
#[derive(Debug)]
pub(crate) struct Site {
    resources: Vec<Resource>,
    canary: Arc<Canary>,
}

/// What page.html holds in place of the address at which messages are taken.
const PUBLISHERS: &str = "127.0.0.1:6553";

/// What page.html holds in place of the reach of that address.
const REACH: &str = "data-reach=\"machine\"";

/// The one file that is meant for others' pages too.
const PUSH_JS: &str = "/push.js";

/// Whether messages get through, for whatever watches the server.
pub(crate) const HEALTH: &str = "/healthz";

impl Site {
    /// `publishers` are the addresses at which messages are taken, `canary` knows whether they get
    /// through.
    pub(crate) fn new(publishers: &[SocketAddr], canary: Arc<Canary>) -> Site {
        let address = to_publish_at(publishers);
        let script = |path, content: &'static str| Resource::new(path, SCRIPT, content);
        // The page looks for the dashboard's icon: whether it can be reached from where it is.
        let page = Resource::new("/", HTML, page(publishers, address))
            .with_images_of(&format!("*:{}", address.port()));
        let own = [
            page,
            Resource::new("/page.css", STYLE, include_str!("page.css")),
            script("/page.js", include_str!("page.js")),
            script("/commands.js", include_str!("commands.js")),
            script("/copy.js", include_str!("copy.js")),
            script("/messages.js", include_str!("messages.js")),
            script("/notify.js", include_str!("notify.js")),
            script("/registration.js", include_str!("registration.js")),
            script("/words.js", include_str!("words.js")),
            Resource::new(PUSH_JS, SCRIPT, push_js()),
        ];
        Site {
            resources: own.into_iter().chain(shared::resources()).collect(),
            canary,
        }
    }
}

/// push.js, as it is served.
pub(crate) fn push_js() -> String {
    lean(include_str!("push.js"))
}

/// A script without what a browser does not need. The first line stays, and so does the last one, which
/// no minifier understands.
fn lean(script: &str) -> String {
    let (title, rest) = script.split_once('\n').unwrap_or((script, ""));
    let (body, last) = rest.trim_end().rsplit_once('\n').unwrap_or(("", rest));
    let body = minifier::js::minify(body).to_string();
    let body = body.replace(";}", "}").replace(",}", "}");
    format!("{title}\n{body}\n{last}\n")
}

/// The live page, which names the address, and whether others than this machine get there.
fn page(publishers: &[SocketAddr], address: SocketAddr) -> String {
    let page = include_str!("page.html").replace(PUBLISHERS, &address.to_string());
    match publishers.iter().all(|one| one.ip().is_loopback()) {
        true => page,
        false => page.replace(REACH, "data-reach=\"network\""),
    }
}

/// The address to name to somebody on this machine: an IPv4 one rather than another, as every nc
/// knows those, and loopback for one that stands for all.
pub(crate) fn to_publish_at(publishers: &[SocketAddr]) -> SocketAddr {
    let v4 = publishers.iter().find(|address| address.is_ipv4());
    let Some(address) = v4.or(publishers.first()) else {
        return (Ipv4Addr::LOCALHOST, 0).into();
    };
    match address {
        SocketAddr::V4(all) if all.ip().is_unspecified() => {
            (Ipv4Addr::LOCALHOST, all.port()).into()
        }
        SocketAddr::V6(all) if all.ip().is_unspecified() => {
            (Ipv6Addr::LOCALHOST, all.port()).into()
        }
        one => *one,
    }
}

/// One of the files.
fn file(resource: &Resource, head: &Head) -> Answer {
    let answer = resource.answer(head);
    match resource.path {
        // Pages that isolate themselves (COEP) load only what says that it is for all.
        PUSH_JS => answer
            .readers(cors::ANYONE)
            .header("Cross-Origin-Resource-Policy", "cross-origin"),
        _ => answer,
    }
}

/// The answer to a request that is for no WebSocket.
pub(crate) fn answer(site: &Site, head: &Head) -> Answer {
    if head.minor_version > 0 && head.header("host").is_none() {
        // RFC 9112 §3.2
        return sentence("400 Bad Request", "An HTTP/1.1 request names its host.");
    }
    if head.method == "OPTIONS" {
        return cors::preflight(head);
    }
    let (path, _) = head.path_and_query();
    let resource = site.resources.iter().find(|file| file.path == path);
    let is_allowed = matches!(&*head.method, "GET" | "HEAD");
    match (resource, path) {
        (Some(resource), _) if is_allowed => file(resource, head),
        (None, HEALTH) if is_allowed => health(&site.canary),
        (Some(_), _) | (None, HEALTH) => not_allowed("GET, HEAD, OPTIONS"),
        (None, cors::EVENTS) => not_allowed("GET, OPTIONS"),
        (None, _) => sentence(
            "404 Not Found",
            "There is nothing at this path: the live page is at /, the script for pages at \
             /push.js, events at /events, and a WebSocket may connect to any path.",
        ),
    }
}

fn health(canary: &Canary) -> Answer {
    let answer = match canary.sing() {
        Ok(_) => sentence("200 OK", "ok"),
        Err(why) => sentence("503 Service Unavailable", &why.to_string()),
    };
    answer.header("Cache-Control", "no-store")
}

fn not_allowed(methods: &str) -> Answer {
    let words = "This path only answers to certain methods; messages are pushed by UDP.";
    sentence("405 Method Not Allowed", words).header("Allow", methods)
}

fn sentence(status: &'static str, sentence: &str) -> Answer {
    Answer::new(status, sentence).header("X-Content-Type-Options", "nosniff")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::resource::POLICY;

    /// One whose canary does not fly: its server stops.
    fn site_at(publishers: &[SocketAddr]) -> Site {
        let canary = Canary::new(to_publish_at(publishers));
        canary.stop();
        Site::new(publishers, Arc::new(canary))
    }

    fn site() -> Site {
        site_at(&["127.0.0.1:7000".parse().unwrap()])
    }

    /// The answer's head, without its date, and body.
    fn ask(request: &str) -> (String, String) {
        let bytes = format!("{request}\r\n\r\n");
        let head = Head::parse(bytes.as_bytes()).unwrap().unwrap();
        let answer = answer(&site(), &head).bytes(head.method == "HEAD");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let lines = head.split_inclusive("\r\n");
        let head = lines.filter(|line| !line.starts_with("Date: ")).collect();
        (head, body.to_owned())
    }

    fn get(path: &str, headers: &str) -> (String, String) {
        ask(&format!("GET {path} HTTP/1.1\r\nHost: x{headers}"))
    }

    fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        Some(lines.find(|line| line.0 == name)?.1)
    }

    #[test]
    fn push_js_stays_small() {
        let size = get("/push.js", "").1.len();
        assert!(size < 8 << 10, "push.js has {size} bytes");
    }

    #[test]
    fn push_js_is_served_without_its_comments() {
        let (_, served) = get("/push.js", "");
        let lines: Vec<_> = served.lines().collect();
        assert!(lines[0].starts_with("// udpush: "), "{served}");
        assert!(lines[1].starts_with("function udpush(") && !lines[1].contains("//"));
        let source = include_str!("push.js");
        assert_eq!(lines[2..], [source.lines().next_back().unwrap()]);
        assert!(
            !source.contains(";}") && !source.contains(",}"),
            "not to be told from code"
        );
    }

    #[test]
    fn every_file_comes_whole_and_with_its_type() {
        for resource in &site().resources {
            let (head, body) = get(resource.path, "");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert_eq!(body, resource.content);
            assert_eq!(header(&head, "Content-Type"), Some(resource.content_type));
            assert_eq!(header(&head, "X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(header(&head, "Cache-Control"), Some("no-cache"));
            let length = resource.content.len().to_string();
            assert_eq!(header(&head, "Content-Length"), Some(&*length));
            for (name, value) in [
                ("Access-Control-Allow-Origin", "*"),
                ("Cross-Origin-Resource-Policy", "cross-origin"),
            ] {
                let is_public = header(&head, name) == Some(value);
                assert_eq!(is_public, resource.path == "/push.js", "{name}");
            }
        }
        let (head, _) = get("/", "");
        let policy = POLICY.replace("img-src 'self'", "img-src 'self' *:7000");
        assert_eq!(header(&head, "Content-Security-Policy"), Some(&*policy));
        assert_eq!(get("/?school_id=2", "").0, head);
        assert_eq!(get("//", "").0, head);
        assert_eq!(get("http://x:6552/", "").0, head);
        assert_eq!(get("http://x:6552?a=/b", "").0, head);
    }

    #[test]
    fn the_page_names_the_address_to_publish_at() {
        for (publishers, named, reach) in [
            (
                &["127.0.0.1:7000", "[::1]:7000"][..],
                "127.0.0.1:7000",
                "machine",
            ),
            (&["[::1]:7000", "10.1.0.5:7001"], "10.1.0.5:7001", "network"),
            (&["[::1]:7000"], "[::1]:7000", "machine"),
            (&["0.0.0.0:7000"], "127.0.0.1:7000", "network"),
            (&["[::]:7000"], "[::1]:7000", "network"),
        ] {
            let publishers: Vec<_> = publishers.iter().map(|at| at.parse().unwrap()).collect();
            let page = &site_at(&publishers).resources[0];
            let attributes = format!("data-publishers=\"{named}\" data-reach=\"{reach}\">");
            assert!(page.content.contains(&attributes), "{named}");
        }
    }

    #[test]
    fn who_has_the_file_is_not_sent_it_again() {
        let (full, _) = get("/push.js", "");
        let tag = header(&full, "ETag").unwrap();
        for known in [tag, &format!("\"other\", W/{tag}"), "*"] {
            let (head, body) = get("/push.js", &format!("\r\nIf-None-Match: {known}"));
            assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
            assert_eq!(header(&head, "ETag"), Some(tag));
            assert_eq!(
                header(&head, "Content-Length"),
                header(&full, "Content-Length")
            );
            assert_eq!(header(&head, "Access-Control-Allow-Origin"), Some("*"));
            assert_eq!(body, "");
        }
        let (head, _) = get("/push.js", "\r\nIf-None-Match: \"other\", W/\"\"");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let site = site();
        let with = site.resources.iter().filter(|r| r.entity_tag() == tag);
        assert_eq!(with.count(), 1);
    }

    #[test]
    fn head_is_get_without_the_body() {
        for path in ["/", "/push.js", "/healthz", "/nowhere"] {
            let (head, body) = ask(&format!("HEAD {path} HTTP/1.1\r\nHost: x"));
            assert_eq!(head, get(path, "").0);
            assert_eq!(body, "");
        }
    }

    #[test]
    fn all_else_gets_its_status() {
        for (request, status) in [
            ("GET /healthz HTTP/1.1\r\nHost: x", "503"),
            ("GET / HTTP/1.0", "200"),
            ("GET /push.js?v=2 HTTP/1.0", "200"),
            ("GET / HTTP/1.1", "400"),
            ("GET /push.js/ HTTP/1.0", "404"),
            ("GET /../push.js HTTP/1.0", "404"),
            ("POST /nowhere HTTP/1.0", "404"),
            ("POST / HTTP/1.0", "405"),
            ("OPTIONS / HTTP/1.0", "204"),
            ("OPTIONS * HTTP/1.0", "204"),
            ("OPTIONS /nowhere HTTP/1.0", "204"),
            ("GET //healthz HTTP/1.0", "503"),
            ("DELETE /healthz HTTP/1.0", "405"),
            ("HEAD /events HTTP/1.0", "405"),
        ] {
            let (head, _) = ask(request);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            let allowed = header(&head, "Allow");
            assert_eq!(
                allowed.is_some(),
                ["204", "405"].contains(&status),
                "{head}"
            );
            let readers = header(&head, "Access-Control-Allow-Origin");
            let is_file = status == "200";
            assert_eq!(
                readers,
                Some("*").filter(|_| !is_file || request.contains("/push.js"))
            );
        }
        assert_eq!(get("/healthz", "").1, "the server stops\n");
    }
}
