//! A client's place in the hub, held by its thread: live, or still being told what it missed.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use super::ring::Resumption;
use super::{Hub, Member, Posted, Wish};
use crate::admission::Admitted;
use crate::audience::registration::{Names, Registration, RegistrationError};
use crate::audience::verdict::Verdict;
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::{Encoding, Hello};
use crate::message::id::{ClientId, MessageId};

/// Dropping it, in a panic too, is leaving.
#[derive(Debug)]
pub(crate) struct Membership {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    client: ClientId,
    online: usize,
    encoding: Encoding,
    registration: Registration,
    /// What it asked for last; `None`: what it registered. With a token it may be more than that.
    asked: Option<Registration>,
    until: Option<Instant>,
    /// What its URL registered: a frame that does not ask for it never widens that.
    from_url: Names,
    position: Position,
    /// Not yet told to the log.
    resumption: Option<Resumption>,
    has_left: bool,
}

/// From where a client hears messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// From the routes.
    Live,
    /// From the ring: those after this one are still to be told.
    After(MessageId),
}

/// How far a replay has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// The client is in the routes; what became of its wish to go on where it was, the first time.
    Done(Option<Resumption>),
    /// More is to come: when the mailbox is empty again.
    More,
    /// What is to come next is not held any more.
    Outrun,
}

impl Membership {
    pub(super) fn new(
        hub: Arc<Hub>,
        mailbox: Arc<Mailbox>,
        client: ClientId,
        online: usize,
        wish: Wish,
        position: Position,
        resumption: Option<Resumption>,
    ) -> Self {
        Membership {
            hub,
            mailbox,
            client,
            online,
            encoding: wish.encoding,
            from_url: Names::of(wish.admitted.asked()),
            registration: wish.admitted.registration,
            asked: wish.admitted.asked,
            until: wish.admitted.until,
            position,
            resumption,
            has_left: false,
        }
    }

    /// The client's id.
    pub(crate) fn client(&self) -> ClientId {
        self.client
    }

    /// Clients online when this one joined, itself included.
    pub(crate) fn online(&self) -> usize {
        self.online
    }

    /// How the client hears messages.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What the client has registered.
    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// What the client asked for: it has registered so much of it as it may hear.
    pub(crate) fn asked(&self) -> &Registration {
        self.asked.as_ref().unwrap_or(&self.registration)
    }

    /// What a text frame of the client asks for; see [`Registration::from_frame`].
    ///
    /// # Errors
    /// When that is not to be had.
    pub(crate) fn read(&self, frame: &str) -> Result<Option<Registration>, RegistrationError> {
        Registration::from_frame(frame, self.hub.rule(), &self.from_url)
    }

    /// When the client has to go; `None`: never.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Replaces what the client registered. From now on it hears by that, and it is told so in the
    /// same step.
    ///
    /// # Errors
    /// When there is no room for it; what was registered before stays.
    pub(crate) fn register(&mut self, admitted: Admitted) -> Result<(), RegistrationError> {
        let registration = self.hub.find_room(admitted.registration)?;
        let told = registration.to_json();
        let mut shared = registration.clone();
        let mut state = self.hub.lock();
        let id = match self.position {
            Position::Live => {
                shared = state.routes.register(self.client, &registration);
                state.ring.newest()
            }
            Position::After(id) => {
                if let Some(replaying) = state.replaying.get_mut(&self.client) {
                    replaying.registration = registration;
                }
                id
            }
        };
        let heartbeat = self.hub.settings.heartbeat;
        let hello = Hello {
            route: self.hub.rule().names(),
            ..Hello::new(self.client, id, None, heartbeat, &told).until(admitted.until)
        };
        self.encoding.post_hello(&self.mailbox, &hello);
        drop(state);
        // What it was before is given up only here, and so is a double of what others share.
        self.registration = shared;
        self.asked = admitted.asked;
        self.until = admitted.until;
        Ok(())
    }

    /// Posts a sign of life. The id that it tells is the newest that the client knows by then: all
    /// messages up to there were posted before, or are not for it.
    pub(crate) fn beat(&self) {
        let mut state = self.hub.lock();
        let id = match self.position {
            Position::Live => state.ring.newest(),
            Position::After(id) => id,
        };
        self.mailbox.post_alone(self.encoding.heartbeat(id));
        // What clients make us say to them grows without a message, too.
        state.relieve(&self.hub.memory);
    }

    /// Posts the next slice of what the client missed, as far as it may hear it; at the head, it
    /// joins the routes: in one step, so that there is neither a gap nor a double.
    pub(crate) fn replay(&mut self) -> Replay {
        let Position::After(id) = self.position else {
            return Replay::Done(self.resumption.take());
        };
        let mut state = self.hub.lock();
        let Some(slice) = state.ring.after(id) else {
            return Replay::Outrun;
        };
        let Some((last, _)) = slice.last() else {
            let member = Member {
                mailbox: Arc::clone(&self.mailbox),
                encoding: self.encoding,
            };
            state.replaying.remove(&self.client);
            let shared = state.routes.join(self.client, &self.registration, member);
            drop(state);
            self.registration = shared;
            self.position = Position::Live;
            return Replay::Done(self.resumption.take());
        };
        drop(state);
        self.position = Position::After(*last);
        let mut bytes = Vec::new();
        let mut messages = 0;
        for (id, Posted { document, .. }) in &slice {
            if self.hub.rule().verdict(&self.registration, document) == Verdict::Hears {
                self.encoding.append_message(&mut bytes, *id, document);
                messages += 1;
            }
        }
        if let Some(Resumption::Replayed { messages: sum, .. }) = &mut self.resumption {
            *sum += messages as u64;
        }
        if messages > 0 {
            let parcel = self.hub.parcel(bytes, messages, self.encoding.layout());
            self.mailbox.post(parcel);
        }
        Replay::More
    }

    /// Leaves, and says how many are online now. Nothing is posted into its mailbox any more.
    pub(crate) fn leave(&mut self) -> usize {
        let mut state = self.hub.lock();
        state.replaying.remove(&self.client);
        state.routes.leave(self.client);
        if !std::mem::replace(&mut self.has_left, true) {
            state.online.subtract(self.encoding);
            state.watchers.remove(self.client);
            state.watchers.note();
        }
        state.online()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.leave();
    }
}
