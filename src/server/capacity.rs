//! How many clients this machine has room for: found out at start, and kept to.
//!
//! Each client takes a thread and two descriptors. When the machine allows fewer than
//! `--max-clients` needs, the server keeps to what it allows and says so: a client that is told to
//! come back later is better off than one that waits for a thread, or than all of them when the
//! process dies.

use crate::client::census::{Bounds, MAX_UNSETTLED};
use crate::os;
use crate::os::machine::{self, Limit};
use crate::trusted::accept::MAX_CONNECTIONS;
use crate::words::plural;

/// Descriptors besides the clients' sockets and wakers, with those of the trusted side.
const OTHER_DESCRIPTORS: u64 = 64 + MAX_CONNECTIONS as u64;

/// Threads besides the clients': UDP, accept, log, signals, the main one, and some more. The
/// workers come on top.
const OTHER_THREADS: usize = 16 + MAX_CONNECTIONS;

/// Client threads at least, however little the machine allows: without any it were no server.
const LEAST_THREADS: usize = 16;

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Clients.
    pub(crate) clients: usize,
    /// Client threads, and how many of them may be no clients.
    pub(crate) bounds: Bounds,
}

impl Capacity {
    /// Raises what this process may raise by itself, and finds out the rest. Warns of every limit
    /// that is too low, with the remedy.
    pub(crate) fn find_out(max_clients: usize, workers: usize) -> Self {
        let wanted = max_clients + MAX_UNSETTLED;
        let mut limits = machine::thread_limits();
        for limit in &mut limits {
            let others = (OTHER_THREADS + workers) as u64;
            limit.threads = limit.threads.saturating_sub(others);
        }
        limits.extend(descriptors(wanted));
        let mut capacity = Capacity::of(max_clients, wanted);
        for limit in limits {
            let threads = usize::try_from(limit.threads).unwrap_or(usize::MAX);
            if threads < wanted {
                let fitting = Capacity::of(max_clients, threads);
                warn(&limit, fitting, max_clients, wanted);
                if fitting.bounds.threads < capacity.bounds.threads {
                    capacity = fitting;
                }
            }
        }
        capacity
    }

    /// Divides so many client threads: where there are few, an eighth is for those who are no
    /// clients yet, or not any more.
    fn of(max_clients: usize, threads: usize) -> Self {
        let threads = threads.max(LEAST_THREADS).min(max_clients + MAX_UNSETTLED);
        let unsettled = (threads.saturating_sub(max_clients)).max(threads / 8);
        let unsettled = unsettled.min(MAX_UNSETTLED);
        Capacity {
            clients: max_clients.min(threads - unsettled),
            bounds: Bounds { threads, unsettled },
        }
    }
}

/// Each connection takes a socket and a waker.
fn descriptors(threads: usize) -> Option<Limit> {
    let wanted = 2 * threads as u64 + OTHER_DESCRIPTORS;
    match os::raise_descriptor_limit(wanted) {
        Ok(allowed) => Some(Limit {
            threads: allowed.saturating_sub(OTHER_DESCRIPTORS) / 2,
            what: format!("{allowed} open files are allowed"),
            remedy: |threads| {
                let wanted = 2 * threads + OTHER_DESCRIPTORS;
                format!("ulimit -n {wanted}, or LimitNOFILE={wanted} in the unit file")
            },
        }),
        Err(error) => {
            log::warn!("cannot read the limit of open files: {error}");
            None
        }
    }
}

fn warn(limit: &Limit, fitting: Capacity, max_clients: usize, wanted: usize) {
    let (what, clients) = (&limit.what, fitting.clients);
    let remedy = (limit.remedy)(wanted as u64);
    let only = match clients == max_clients {
        true => "enough for the clients, but for fewer handshakes than usual".to_owned(),
        false => format!(
            "enough for {clients} client{}, not for {max_clients}",
            plural(clients as u64)
        ),
    };
    log::warn!("{what}, {only}: {remedy}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(max_clients: usize, threads: usize) -> (usize, usize, usize) {
        let capacity = Capacity::of(max_clients, threads);
        let Bounds { threads, unsettled } = capacity.bounds;
        (capacity.clients, threads, unsettled)
    }

    #[test]
    fn clients_and_those_who_are_none_share_what_there_is() {
        assert_eq!(of(10_000, 50_000), (10_000, 11_000, 1000));
        assert_eq!(of(10_000, 11_000), (10_000, 11_000, 1000));
        assert_eq!(of(10_000, 9_968), (8_968, 9_968, 1000));
        assert_eq!(of(10_000, 800), (700, 800, 100));
        assert_eq!(of(10, 1_000_000), (10, 1010, 1000));
        assert_eq!(of(10, 100), (10, 100, 90));
    }

    #[test]
    fn there_is_room_for_some_however_little_the_machine_allows() {
        assert_eq!(of(10_000, 0), (14, 16, 2));
        assert_eq!(of(1, 0), (1, 16, 15));
    }
}
