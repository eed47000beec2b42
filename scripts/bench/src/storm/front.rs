//! What an attack and the rest of the storm know of each other.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::unistd::gettid;

/// Shared by the attack's thread and the one that measures.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) clients: SocketAddr,
    pub(crate) publishers: SocketAddr,
    /// Percent of the full size.
    scale: usize,
    over: AtomicBool,
    attempts: AtomicU64,
    turned_away: AtomicU64,
    published: AtomicU64,
}

impl Front {
    pub(crate) fn new(clients: SocketAddr, publishers: SocketAddr, scale: usize) -> Self {
        Front {
            clients,
            publishers,
            scale,
            over: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            published: AtomicU64::new(0),
        }
    }

    /// How many of `full` there are at this size.
    pub(crate) fn scaled(&self, full: usize) -> usize {
        (full * self.scale / 100).max(1)
    }

    /// The attack is to end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// One more connection, or datagram.
    pub(crate) fn attempted(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// The server has ended a connection.
    pub(crate) fn was_turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// The attacker has published a message, and the server has said so.
    pub(crate) fn has_published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// This thread gets a processor when nobody else wants one: attackers stand for other machines, which
/// would take none of this one's time. What the kernel does for them it does all the same. Where
/// there is no `renice`, nothing changes.
pub(crate) fn step_back() {
    let thread = gettid().to_string();
    let mut renice = Command::new("renice");
    renice.args(["-n", "19", "-p", &thread]);
    renice.stdout(Stdio::null()).stderr(Stdio::null());
    let _ = renice.status();
}
