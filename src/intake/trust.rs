//! Who may publish: this machine, and the networks that `--publish-from` names.

use std::net::SocketAddr;

use ipnet::IpNet;

/// Networks besides loopback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Vec<IpNet>);

impl Trust {
    /// These, and loopback.
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Trust(networks)
    }

    /// Whether somebody at this address may publish. Of an IPv4 address in IPv6's form, the IPv4
    /// address counts.
    pub(crate) fn may_publish(&self, sender: SocketAddr) -> bool {
        let address = sender.ip().to_canonical();
        address.is_loopback() || self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_trusted_and_networks_that_were_named_however_an_address_is_written() {
        let networks = ["10.1.0.0/16", "fd00::/8"];
        let networks = networks.map(|network| network.parse().unwrap());
        let trust = Trust::new(networks.to_vec());
        for (address, is_trusted) in [
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("10.1.255.1:1", true),
            ("10.2.0.1:1", false),
            ("[fd12::1]:1", true),
            ("[fe80::1]:1", false),
            // What a socket of IPv6 says of IPv4.
            ("[::ffff:127.0.0.1]:1", true),
            ("[::ffff:10.1.0.1]:1", true),
            ("[::ffff:10.2.0.1]:1", false),
        ] {
            let sender = address.parse().unwrap();
            assert_eq!(trust.may_publish(sender), is_trusted, "{address}");
        }
    }
}
