//! Browsers must not get here by accident: a page of any origin can have its browser send requests
//! to this machine.
//!
//! - A request with an `Origin` is a page's, and only the dashboard's own may ask.
//! - A `Host` that is no address, no name of loopback and none of `--trusted-host` is one that
//!   somebody may have pointed here (DNS rebinding).

use std::net::SocketAddr;

use super::request::Request;
use super::{Trusted, receipt};
use crate::http::Answer;
use crate::http::host::Host;

/// Whether a request may be answered at all, and whether it may look inside.
///
/// # Errors
/// The answer, if that is all it gets.
pub(super) fn admit(request: &Request, trusted: &Trusted, peer: SocketAddr) -> Result<(), Answer> {
    let refuse = |sentence| Err(receipt::refusal("403 Forbidden", sentence));
    let host = request.head.header("host").unwrap_or_default();
    if !host.is_empty() && !is_own_name(host, &trusted.hosts) {
        return refuse(
            "this host name is none of this machine's own: ask by its address, or see --trusted-host",
        );
    }
    let mut origins = request.head.all("origin");
    if origins.any(|origin| origin != format!("http://{host}")) {
        return refuse("pages of other origins may not ask here");
    }
    let publishes = request.head.method == "POST" && request.head.path_and_query().0 == "/";
    if !publishes && !trusted.may_look(peer) {
        return refuse(
            "from this address one may publish, but not look inside: its network is not in --trust-from",
        );
    }
    Ok(())
}

/// An address, localhost, or one of `--trusted-host`. What browsers connect to on the other port
/// may have more names; this side is asked from this machine.
fn is_own_name(host: &str, own: &[Host]) -> bool {
    Host::parse_with_port(host).is_some_and(|(host, _)| host.is_own(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_names_of_the_operators_are_own_names() {
        for (host, is_own) in [
            ("127.0.0.1:6553", true),
            ("127.0.0.1", true),
            ("[::1]:6553", true),
            ("[::1]", true),
            ("localhost:6553", true),
            ("LOCALHOST", true),
            ("10.1.0.5:6553", true),
            ("evil.example:6553", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:6553", false),
            (":6553", false),
            ("intranet:6553", true),
            ("Intranet", true),
            ("intranet.evil.example:6553", false),
            // Names without a dot, or in the intranet, are not enough here.
            ("server", false),
            ("server.local", false),
        ] {
            let own = [Host::parse("intranet").unwrap()];
            assert_eq!(is_own_name(host, &own), is_own, "{host}");
        }
    }
}
