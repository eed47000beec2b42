//! How a client becomes a member.

use std::sync::Arc;

use super::membership::{Membership, Position};
use super::ring::Resumption;
use super::{Hub, Member, Replaying};
use crate::admission::Admitted;
use crate::audience::registration::{Registration, RegistrationError};
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::{Encoding, Hello};
use crate::mailbox::parcel::{Layout, Parcel};
use crate::message::id::ClientId;

/// What a client wants when it joins.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// How it hears messages.
    pub(crate) encoding: Encoding,
    /// What it registers, and until when it may stay.
    pub(crate) admitted: Admitted,
    /// The last id that it knows, as it says; `None` when it does not ask to go on from there.
    pub(crate) since: Option<String>,
    /// Otherwise, as many of the newest messages it wants to hear first, as far as they are for it.
    pub(crate) last: usize,
    /// Whether it wants to be told how many are online.
    pub(crate) watches: bool,
}

/// Why a client cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many as `--max-clients` allows.
    Full,
    /// The server stops.
    Stopping,
    /// There is no room for what it registers.
    NoRoom,
}

impl Hub {
    /// What is to be registered, counted; where it has no room, what others have registered who
    /// registered the same.
    pub(super) fn find_room(
        &self,
        registration: Registration,
    ) -> Result<Registration, RegistrationError> {
        let counted = self.registrations.take(&registration);
        counted
            .map(|()| registration.clone())
            .or_else(|full| self.lock().routes.shared(&registration).ok_or(full))
    }

    /// Makes a client a member: what it is told first, `answer` and hello, and its place in the
    /// routes or in the history are one step.
    ///
    /// # Errors
    /// When there are too many, when there is no room for what it registers, or when the server
    /// stops.
    pub(crate) fn join(
        self: &Arc<Self>,
        mailbox: &Arc<Mailbox>,
        mut wish: Wish,
        mut answer: Vec<u8>,
    ) -> Result<Membership, Refusal> {
        let registration = self.find_room(wish.admitted.registration);
        let registration = registration.map_err(|_| Refusal::NoRoom)?;
        let told = registration.to_json();
        let recalled =
            (wish.since.is_none() && wish.last > 0).then(|| self.recall(&registration, wish.last));
        mailbox.card().join();
        let mut state = self.lock();
        if state.stopping {
            return Err(Refusal::Stopping);
        }
        if state.online() >= self.settings.max_clients {
            return Err(Refusal::Full);
        }
        state.newest_client += 1;
        let client = ClientId(state.newest_client);
        mailbox.card().number(client);
        let resumption = wish.since.take().map(|since| state.ring.resume(since));
        let newest = state.ring.newest();
        let start = resumption.as_ref().and_then(Resumption::start);
        let asked = resumption.as_ref().map(|_| start.is_some());
        let recalled = recalled.map(|id| match state.ring.reaches_back_to(id) {
            true => id,
            false => state.ring.beginning(),
        });
        let start = start.or(recalled).unwrap_or(newest);
        let heartbeat = self.settings.heartbeat;
        let hello = Hello {
            route: self.rule().names(),
            online: wish.watches.then(|| state.online() + 1),
            ..Hello::new(client, start, asked, heartbeat, &told).until(wish.admitted.until)
        };
        wish.encoding.append_hello(&mut answer, &hello);
        mailbox.post_alone(Parcel::alone(answer, Layout::Whole));
        let position;
        let member = Member {
            mailbox: Arc::clone(mailbox),
            encoding: wish.encoding,
        };
        if wish.watches {
            state.watchers.add(client, member.clone());
        }
        (wish.admitted.registration, position) = if start == newest {
            let shared = state.routes.join(client, &registration, member);
            (shared, Position::Live)
        } else {
            let replaying = Replaying {
                member,
                registration: registration.clone(),
            };
            state.replaying.insert(client, replaying);
            (registration, Position::After(start))
        };
        state.online.add(wish.encoding);
        state.watchers.note();
        let online = state.online();
        drop(state);
        Ok(Membership::new(
            Arc::clone(self),
            Arc::clone(mailbox),
            client,
            online,
            wish,
            position,
            resumption,
        ))
    }
}
