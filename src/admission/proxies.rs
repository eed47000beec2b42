//! Proxies whose word is taken for where a client is: `--trusted-proxy`.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::forwarded;
use crate::address::Address;
use crate::http::Head;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    networks: Vec<IpNet>,
    /// Whether each of their connections begins with a PROXY header.
    send_header: bool,
}

impl Proxies {
    /// Those in these networks; `send_header` is `--proxy-protocol`.
    pub(crate) fn new(networks: Vec<IpNet>, send_header: bool) -> Self {
        Proxies {
            networks,
            send_header,
        }
    }

    /// Whether one of them is at this address, which is canonical.
    pub(crate) fn are_at(&self, address: IpAddr) -> bool {
        let mut networks = self.networks.iter();
        networks.any(|network| network.contains(&address))
    }

    /// Whether their connections begin with a PROXY header.
    pub(crate) fn send_header(&self) -> bool {
        self.send_header
    }

    /// Where the client is whose request came from `nearest`: each proxy is asked for the hop before
    /// it, until there is one that is none of them. When one does not tell, its own address is all
    /// that is known.
    pub(crate) fn client(&self, nearest: Address, head: &Head) -> Address {
        let mut known = nearest;
        let mut hops = forwarded::hops(head).into_iter();
        while self.are_at(known.ip) {
            match hops.next() {
                Some(Some(hop)) => known = hop,
                Some(None) | None => break,
            }
        }
        known
    }

    /// The same, told with the proxy at the other end.
    pub(crate) fn client_through(
        &self,
        peer: SocketAddr,
        nearest: Option<Address>,
        head: &Head,
    ) -> Address {
        let direct = Address::direct(peer);
        match self.client(nearest.unwrap_or(direct), head) {
            client if client == direct => direct,
            client => client.through(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Head {
        let text = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        Head::parse(text.as_bytes()).unwrap().unwrap()
    }

    fn proxies() -> Proxies {
        let networks = ["127.0.0.0/8", "10.9.0.0/16", "fd00::/8"];
        let networks = networks.map(|network| network.parse().unwrap());
        Proxies::new(networks.to_vec(), false)
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        for (peer, forwarded_for, client) in [
            ("127.0.0.1:1", "10.0.0.5", "10.0.0.5 through 127.0.0.1:1"),
            (
                "127.0.0.1:1",
                "6.6.6.6, 10.0.0.5",
                "10.0.0.5 through 127.0.0.1:1",
            ),
            (
                "127.0.0.1:1",
                "10.0.0.5, 10.9.1.1",
                "10.0.0.5 through 127.0.0.1:1",
            ),
            (
                "127.0.0.1:1",
                "6.6.6.6, 10.0.0.5, fd00::1, 10.9.1.1",
                "10.0.0.5 through 127.0.0.1:1",
            ),
            (
                "[fd00::1]:1",
                "[2001:db8::1]:4711",
                "[2001:db8::1]:4711 through [fd00::1]:1",
            ),
            // They are trusted all the way.
            (
                "127.0.0.1:1",
                "10.9.2.2, 10.9.1.1",
                "10.9.2.2 through 127.0.0.1:1",
            ),
            // The one that does not tell is what is known.
            ("127.0.0.1:1", "unknown", "127.0.0.1:1"),
            ("127.0.0.1:1", "10.0.0.5, _hidden", "127.0.0.1:1"),
            (
                "127.0.0.1:1",
                "10.0.0.5, ?, 10.9.1.1",
                "10.9.1.1 through 127.0.0.1:1",
            ),
            ("127.0.0.1:1", "", "127.0.0.1:1"),
            // Nobody asked this one.
            ("10.0.0.4:1", "10.0.0.5", "10.0.0.4:1"),
        ] {
            let head = head(&format!("X-Forwarded-For: {forwarded_for}"));
            let peer = peer.parse().unwrap();
            let found = proxies().client_through(peer, None, &head);
            assert_eq!(found.with_proxy().to_string(), client, "{forwarded_for}");
        }
    }

    #[test]
    fn a_proxy_header_comes_before_the_others_which_count_if_it_names_a_proxy() {
        let peer = "127.0.0.1:1".parse().unwrap();
        let head = head("X-Forwarded-For: 10.0.0.5");
        for (source, client) in [
            ("10.0.0.4", "10.0.0.4:7 through 127.0.0.1:1"),
            ("10.9.0.1", "10.0.0.5 through 127.0.0.1:1"),
        ] {
            let nearest = Address::new(source.parse().unwrap(), Some(7));
            let found = proxies().client_through(peer, Some(nearest), &head);
            assert_eq!(found.with_proxy().to_string(), client);
        }
    }

    /// Whatever stands in the headers, nobody but a trusted proxy has a say in its address.
    #[test]
    fn an_untrusted_peers_address_never_changes() {
        let words = [
            "10.0.0.5",
            "127.0.0.1",
            "10.9.0.1",
            "[fd00::1]:1",
            "unknown",
            "for=",
            ",",
            ";",
            "\"",
            "\\",
            " ",
            "\r\nForwarded: ",
            "\r\nX-Forwarded-For: ",
            "é",
        ];
        let mut state = 1_u64;
        let mut random = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % bound
        };
        for _ in 0..20_000 {
            let mut lines = "X-Forwarded-For: ".to_owned();
            for _ in 0..random(12) {
                lines += words[random(words.len())];
            }
            let head = head(&lines);
            let stranger = "10.0.0.4:1".parse().unwrap();
            let found = proxies().client_through(stranger, None, &head);
            assert_eq!(found, Address::direct(stranger), "{lines}");
            // From a proxy, it is the nearest stranger that tells, and never one beyond it.
            let lines = format!("{lines}\r\nX-Forwarded-For: 10.0.0.4");
            let proxy = "127.0.0.1:1".parse().unwrap();
            let found = proxies().client_through(proxy, None, &self::head(&lines));
            assert_eq!(found.to_string(), "10.0.0.4", "{lines}");
        }
    }
}
