//! Where a client is: the address that the log and the trusted side tell, and that limits go by.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

/// A client's address, canonical: IPv4 as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Of whose connections there are only so many.
    pub(crate) ip: IpAddr,
    /// A proxy need not tell it.
    port: Option<u16>,
    /// The proxy that told it.
    through: Option<SocketAddr>,
}

impl Address {
    /// Of a client that is at the other end of its connection itself.
    pub(crate) fn direct(peer: SocketAddr) -> Self {
        Address::new(peer.ip(), Some(peer.port()))
    }

    /// As somebody told it.
    pub(crate) fn new(ip: IpAddr, port: Option<u16>) -> Self {
        Address {
            ip: ip.to_canonical(),
            port,
            through: None,
        }
    }

    /// The same as told by the proxy at the other end of the connection.
    pub(crate) fn through(self, proxy: SocketAddr) -> Self {
        Address {
            through: Some(proxy),
            ..self
        }
    }

    /// With the proxy that told it, for a line of the log: `10.0.0.5 through 127.0.0.1:40000`.
    pub(crate) fn with_proxy(&self) -> WithProxy<'_> {
        WithProxy(self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// See [`Address::with_proxy`].
pub(crate) struct WithProxy<'a>(&'a Address);

impl fmt::Display for WithProxy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        match self.0.through {
            Some(proxy) => write!(f, " through {proxy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_with_its_port_if_that_is_known_and_with_the_proxy_in_the_log() {
        let proxy = "127.0.0.1:40000".parse().unwrap();
        for (ip, port, told) in [
            ("10.0.0.5", Some(80), "10.0.0.5:80"),
            ("10.0.0.5", None, "10.0.0.5"),
            ("::ffff:10.0.0.5", None, "10.0.0.5"),
            ("2001:db8::1", Some(80), "[2001:db8::1]:80"),
            ("2001:db8::1", None, "2001:db8::1"),
        ] {
            let address = Address::new(ip.parse().unwrap(), port);
            assert_eq!(address.to_string(), told);
            assert_eq!(address.with_proxy().to_string(), told);
            let address = address.through(proxy);
            assert_eq!(address.to_string(), told);
            let line = format!("{told} through 127.0.0.1:40000");
            assert_eq!(address.with_proxy().to_string(), line);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(json, format!("\"{told}\""));
        }
    }
}
