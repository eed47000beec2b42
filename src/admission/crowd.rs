//! How many connections each address has, and may have: `--max-clients-per-ip`.
//!
//! Each client's thread counts itself in and out, so there are never more entries than connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of an address that is neither loopback nor a trusted proxy's, unless something else
/// is said: more than any browser opens, and an office behind one address may need.
pub(super) const MOST: u32 = 200;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    connections: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection's place among those of its address; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place(Option<(Arc<Crowd>, IpAddr)>);

impl Place {
    /// Of an address that may have any number.
    pub(super) fn uncounted() -> Self {
        Place(None)
    }
}

impl Crowd {
    /// Counts a connection in; `None` when its address has `most` already.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Place> {
        let network = network(address);
        let mut connections = self.connections();
        let count = connections.entry(network).or_default();
        // It is never 0 but for one that is new, and `most` is at least 1.
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place(Some((Arc::clone(self), network))))
    }

    /// Each step under this lock leaves what it guards whole.
    fn connections(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((crowd, network)) = self.0.take() else {
            return;
        };
        if let Entry::Occupied(mut entry) = crowd.connections().entry(network) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Whose address it is: of IPv6 whoever has one has all that begin with the same 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(bits).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_places_and_ipv6_counts_by_its_first_64_bits() {
        for (address, same, other) in [
            ("10.0.0.5", "::ffff:10.0.0.5", "10.0.0.6"),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
        ] {
            let crowd = Arc::new(Crowd::default());
            let first = crowd.enter(ip(address), 2).unwrap();
            let _second = crowd.enter(ip(same), 2).unwrap();
            assert!(crowd.enter(ip(address), 2).is_none());
            assert!(crowd.enter(ip(same), 2).is_none());
            assert!(crowd.enter(ip(other), 2).is_some());
            drop(first);
            assert!(crowd.enter(ip(same), 2).is_some());
        }
    }

    #[test]
    fn who_is_gone_leaves_nothing_behind() {
        let crowd = Arc::new(Crowd::default());
        let places: Vec<_> = (0..1000_u32)
            .map(|number| crowd.enter(IpAddr::from(number.to_be_bytes()), 1).unwrap())
            .collect();
        assert_eq!(crowd.connections().len(), 1000);
        drop(places);
        assert!(crowd.connections().is_empty());
    }
}
