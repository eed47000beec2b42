//! Who may publish, and who may look inside: this machine, and the networks that `--publish-from`
//! and `--trust-from` name.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Networks besides loopback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    publish_from: Vec<IpNet>,
    trust_from: Vec<IpNet>,
}

impl Trust {
    /// From `publish_from` one may publish, from `trust_from` and loopback do anything.
    pub(crate) fn new(publish_from: Vec<IpNet>, trust_from: Vec<IpNet>) -> Self {
        Trust {
            publish_from,
            trust_from,
        }
    }

    /// Whether somebody at this address may publish. Of an IPv4 address in IPv6's form, the IPv4
    /// address counts.
    pub(crate) fn may_publish(&self, sender: SocketAddr) -> bool {
        let sender = sender.ip().to_canonical();
        is_in(&self.publish_from, sender) || self.may_look_from(sender)
    }

    /// Whether somebody at this address may look inside, and end clients.
    pub(crate) fn may_look(&self, peer: SocketAddr) -> bool {
        self.may_look_from(peer.ip().to_canonical())
    }

    fn may_look_from(&self, address: IpAddr) -> bool {
        address.is_loopback() || is_in(&self.trust_from, address)
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_trusted_and_networks_that_were_named_however_an_address_is_written() {
        let networks = |networks: [&str; 2]| networks.map(|n| n.parse().unwrap()).to_vec();
        let trust = Trust::new(
            networks(["10.1.0.0/16", "fd00::/8"]),
            networks(["10.3.0.0/16", "fe80::/10"]),
        );
        for (address, may_publish, may_look) in [
            ("127.9.9.9:1", true, true),
            ("[::1]:1", true, true),
            ("10.1.255.1:1", true, false),
            ("10.2.0.1:1", false, false),
            ("10.3.0.1:1", true, true),
            ("[fd12::1]:1", true, false),
            ("[fe80::1]:1", true, true),
            ("[2001:db8::1]:1", false, false),
            // What a socket of IPv6 says of IPv4.
            ("[::ffff:127.0.0.1]:1", true, true),
            ("[::ffff:10.1.0.1]:1", true, false),
            ("[::ffff:10.2.0.1]:1", false, false),
            ("[::ffff:10.3.0.1]:1", true, true),
        ] {
            let peer = address.parse().unwrap();
            assert_eq!(trust.may_publish(peer), may_publish, "{address}");
            assert_eq!(trust.may_look(peer), may_look, "{address}");
        }
    }
}
