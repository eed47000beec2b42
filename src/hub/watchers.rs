//! How many are online, told to the clients that ask for it: at most once a second, when it changed.

use std::collections::HashMap;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Hub, Member, State};
use crate::message::id::ClientId;

/// Clients that want to know. Kept with the hub's state, under its lock.
#[derive(Debug)]
pub(super) struct Watchers {
    clients: HashMap<ClientId, Member>,
    /// What all of them were told last.
    told: Option<usize>,
    change: Sender<()>,
}

impl Watchers {
    /// Nobody yet; and what hears that something may be to tell.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (change, changed) = bounded(1);
        let watchers = Watchers {
            clients: HashMap::new(),
            told: None,
            change,
        };
        (watchers, changed)
    }

    pub(super) fn add(&mut self, client: ClientId, member: Member) {
        self.clients.insert(client, member);
        // Its hello told it, but what was told the others last may be another number.
        self.told = None;
    }

    pub(super) fn remove(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    /// Somebody came or went.
    pub(super) fn note(&self) {
        if !self.clients.is_empty() {
            // Full: it has been noted already.
            let _ = self.change.try_send(());
        }
    }
}

impl Hub {
    /// Hears that [`tell_online`](Self::tell_online) may have something to tell.
    pub(crate) fn online_changes(&self) -> Receiver<()> {
        self.online_changes.clone()
    }

    /// Tells those who want to know how many clients are online, if they were told otherwise.
    pub(crate) fn tell_online(&self) {
        let told = self.lock().post_online();
        for member in told {
            member.deliver();
        }
    }
}

impl State {
    fn post_online(&mut self) -> Vec<Member> {
        let online = self.online();
        if self.watchers.told == Some(online) {
            return Vec::new();
        }
        self.watchers.told = Some(online);
        let newest = self.ring.newest();
        // An event names the newest id, which one that replays does not know yet.
        let knows_it = |client: &ClientId, member: &Member| {
            !member.encoding.is_events() || !self.replaying.contains_key(client)
        };
        let clients = self.watchers.clients.iter();
        let clients = clients.filter(|(client, member)| knows_it(client, member));
        clients
            .map(|(_, member)| {
                member
                    .mailbox
                    .post_alone(member.encoding.online(online, newest));
                member.clone()
            })
            .collect()
    }
}
