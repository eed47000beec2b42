//! The hub: keeps each message in the ring, finds its audience, posts it into
//! the audience's mailboxes.
//!
//! One lock, never held across anything that may wait. Messages have one order, and because they
//! are posted under the lock, every client sees that order. Publishers call [`Hub::publish`],
//! clients' threads [`Hub::join`]; a client's [`Membership`](membership::Membership) is its place in here.

mod join;
pub(crate) mod listing;
pub(crate) mod membership;
pub(crate) mod posted;
mod recall;
mod relief;
pub(crate) mod ring;
pub(crate) mod routes;
pub(crate) mod standing;
mod watchers;
pub(crate) mod workers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::activity::Activity;
use crate::audience::registration::Registration;
use crate::audience::registration::budget::Budget;
use crate::audience::rule::Rule;
use crate::clock::Moment;
use crate::feed::Feed;
use crate::mailbox::encoding::Encoding;
use crate::mailbox::parcel::{Layout, Memory, Parcel};
use crate::mailbox::{Dismissal, Mailbox};
use crate::message::Document;
use crate::message::id::{ClientId, MessageId};
pub(crate) use join::{Refusal, Wish};
pub(crate) use posted::{News, Posted, Sender};
use relief::Relief;
use ring::{Bounds, Ring};
use routes::{Audience, Routes};
use standing::Online;
use watchers::Watchers;
pub(crate) use workers::Round;
use workers::Workers;

/// Deliveries of one round that the publisher makes itself; more are the workers' job.
pub(crate) const DIRECT: usize = 64;

/// Posts after which the publisher gets a breath.
const POSTS_A_BREATH: usize = 256;

/// Clients whose numbers a receipt tells.
pub(crate) const FEW: usize = 5;

/// What becomes of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    /// Its id.
    pub(crate) id: MessageId,
    /// Clients into whose mailboxes it was posted.
    pub(crate) clients: usize,
    /// Which ones, where they are no more than these.
    pub(crate) few: [ClientId; FEW],
}

/// Messages that are published together, in their order: the first has the id `first`, which is
/// the next one, and each that follows has the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    /// The first one's id.
    pub(crate) first: MessageId,
    /// What they say.
    pub(crate) documents: &'a [Document],
    /// Who sent each of them.
    pub(crate) senders: &'a [Sender],
    /// When they are published.
    pub(crate) time: Moment,
}

/// What the hub is to keep to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Clients at most.
    pub(crate) max_clients: usize,
    /// Who hears what.
    pub(crate) rule: Rule,
    /// Bytes that all registrations together may take.
    pub(crate) registrations: usize,
    /// What is kept for clients that come back.
    pub(crate) history: Bounds,
    /// Seconds between heartbeats, which a client is told.
    pub(crate) heartbeat: Duration,
}

/// What the routes keep for each client.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    mailbox: Arc<Mailbox>,
    encoding: Encoding,
}

impl Member {
    /// Empties its mailbox into its socket, as far as that is possible now.
    pub(crate) fn deliver(&self) {
        self.mailbox.deliver();
    }
}

/// A client in no route.
#[derive(Debug)]
struct Replaying {
    member: Member,
    registration: Registration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    settings: Settings,
    memory: Arc<Memory>,
    registrations: Arc<Budget>,
    workers: Workers,
    /// Each message that was published.
    pub(crate) news: Feed<News>,
    /// What clients do.
    pub(crate) activity: Feed<Activity>,
    online_changes: Receiver<()>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    routes: Routes<Member>,
    /// Clients that are still being told what they missed: in no route until they have heard it.
    replaying: HashMap<ClientId, Replaying>,
    online: Online,
    watchers: Watchers,
    relief: Relief,
    newest_client: u64,
    stopping: bool,
}

impl Hub {
    /// An empty hub; the first message that is published follows `newest`.
    pub(crate) fn new(
        settings: Settings,
        newest: MessageId,
        memory: Arc<Memory>,
        workers: Workers,
    ) -> Self {
        let (watchers, online_changes) = Watchers::new();
        Hub {
            state: Mutex::new(State {
                ring: Ring::new(settings.history, newest),
                routes: Routes::new(settings.rule.clone()),
                replaying: HashMap::new(),
                online: Online::default(),
                watchers,
                relief: Relief::default(),
                newest_client: 0,
                stopping: false,
            }),
            registrations: Arc::new(Budget::new(settings.registrations)),
            settings,
            memory,
            workers,
            news: Feed::new(),
            activity: Feed::new(),
            online_changes,
        }
    }

    /// Who hears what.
    pub(crate) fn rule(&self) -> &Rule {
        &self.settings.rule
    }

    /// Between heartbeats.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.settings.heartbeat
    }

    /// Whether a round may be published now; the publisher's waker tells when it is so again.
    pub(crate) fn has_room(&self) -> bool {
        self.workers.have_room()
    }

    /// How many clients would hear a document now; `None` when they are fewer than `least`. When
    /// fewer than `least` are connected at all, the document is not even read.
    pub(crate) fn reach(&self, document: &str, least: usize) -> Option<usize> {
        let state = self.lock();
        if state.routes.len() < least {
            return None;
        }
        let reach = state.routes.audience(document).len();
        (reach >= least).then_some(reach)
    }

    /// What a document says in the fields that address it, for people: `school_id=2, user=u7`.
    pub(crate) fn addressing(&self, document: &str) -> String {
        self.lock().routes.addressing(document)
    }

    /// Publishes messages, and says what became of each in `receipts`. They are in the mailboxes
    /// then; [`deliver`](Hub::deliver) is to follow, and [`tell`](Hub::tell).
    ///
    /// A run of messages with the same audience is one parcel: one post and one send for each
    /// client, however long the run. Posting to thousands of clients takes milliseconds: every
    /// now and then `breathe` is called, under the lock, for what cannot be left for so long.
    pub(crate) fn publish(
        &self,
        batch: &Batch<'_>,
        receipts: &mut Vec<Receipt>,
        breathe: &mut dyn FnMut(),
    ) -> Round {
        receipts.clear();
        let mut round = Round::default();
        let mut state = self.lock();
        // Before posting: nothing waits then for those who keep up.
        state.relieve(&self.memory);
        state.ring.append(batch);
        let mut id = batch.first;
        let mut rest = batch.documents;
        let mut next = rest.first().map(|first| state.routes.audience(first));
        while let Some(audience) = next.take() {
            let mut length = 1;
            while let Some(document) = rest.get(length) {
                let other = state.routes.audience(document);
                if !other.same_as(&audience) {
                    next = Some(other);
                    break;
                }
                length += 1;
            }
            let (run, after) = rest.split_at(length);
            rest = after;
            let first = id;
            let (clients, few) = (audience.len(), few(&audience));
            for _ in run {
                receipts.push(Receipt { id, clients, few });
                id = id.next();
            }
            self.post(first, run, &audience, breathe);
            round.add(audience);
        }
        state.ring.note(receipts);
        round
    }

    /// Tells whoever listens of messages that were published.
    pub(crate) fn tell(&self, batch: &Batch<'_>, receipts: &[Receipt]) {
        if !self.news.is_heard() {
            return;
        }
        let said = batch.documents.iter().zip(batch.senders);
        let news = receipts.iter().zip(said).map(|(receipt, (text, sender))| {
            let posted = Posted {
                document: text.clone(),
                time: batch.time,
                sender: *sender,
                clients: u32::try_from(receipt.clients).unwrap_or(u32::MAX),
            };
            News::new(receipt.id, posted)
        });
        self.news.tell(&news.collect::<Vec<_>>());
    }

    /// The held messages: from the one after the first of these ids to the second.
    pub(crate) fn held(&self) -> (MessageId, MessageId) {
        let ring = &self.lock().ring;
        (ring.beginning(), ring.newest())
    }

    /// The message of this id, if everything after it is still held, or why not.
    pub(crate) fn find(&self, id: &str) -> Result<MessageId, &'static str> {
        self.lock().ring.find(id)
    }

    /// The message of this id, if it is held.
    pub(crate) fn message(&self, id: MessageId) -> Option<Posted> {
        self.lock().ring.get(id)
    }

    /// The first messages after this one, oldest first; none at the head, `None` when they are not
    /// all held any more.
    pub(crate) fn messages_after(&self, id: MessageId) -> Option<Vec<(MessageId, Posted)>> {
        self.lock().ring.after(id)
    }

    /// Has a round that was published delivered: a small one at once; a larger one by the workers,
    /// with the caller's help until `is_wanted` says that it has something else to do.
    pub(crate) fn deliver(&self, round: Round, is_wanted: &mut dyn FnMut() -> bool) {
        if round.len() <= DIRECT {
            round.deliver(0, DIRECT);
        } else {
            self.workers.deliver(round, is_wanted);
        }
    }

    /// Posts what is no message into a mailbox that is no client's, under the lock, as a message
    /// would be, and delivers it.
    pub(crate) fn post_canary(&self, mailbox: &Mailbox, parcel: Parcel) {
        let state = self.lock();
        mailbox.post_alone(parcel);
        drop(state);
        mailbox.deliver();
    }

    /// Posts a run of messages to its audience; each encoding is made once, if anybody needs it.
    fn post(
        &self,
        first: MessageId,
        run: &[Document],
        audience: &Audience<Member>,
        breathe: &mut dyn FnMut(),
    ) {
        let mut parcels = [const { None::<Arc<Parcel>> }; Encoding::COUNT];
        for (count, member) in audience.iter().enumerate() {
            if count % POSTS_A_BREATH == POSTS_A_BREATH - 1 {
                breathe();
            }
            let parcel = parcels[member.encoding as usize].get_or_insert_with(|| {
                let mut bytes = Vec::new();
                member.encoding.append_run(&mut bytes, first, run);
                self.parcel(bytes, run.len(), member.encoding.layout())
            });
            member.mailbox.post(Arc::clone(parcel));
        }
    }

    fn parcel(&self, bytes: Vec<u8>, messages: usize, layout: Layout) -> Arc<Parcel> {
        // A round and a slice have at most some thousand messages.
        let messages = messages as u32;
        let parcel = Parcel::messages(bytes, messages, layout);
        Arc::new(parcel.counted_in(&self.memory))
    }

    /// Lets nobody join any more, and asks every client's owner to close.
    pub(crate) fn stop(&self) {
        let (live, replaying) = {
            let mut state = self.lock();
            state.stopping = true;
            let replaying = state.replaying.values();
            let replaying: Vec<_> = replaying.map(|client| client.member.clone()).collect();
            (state.routes.everyone(), replaying)
        };
        for member in live.iter().chain(&replaying) {
            member.mailbox.dismiss(Dismissal::Stop);
        }
    }

    /// Clients that have joined.
    pub(crate) fn online(&self) -> usize {
        self.lock().online()
    }

    /// A thread that panicked while it held the lock has poisoned it. The others go on all the same:
    /// each step under the lock leaves the state whole, and no client is to suffer from another's
    /// panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of a small audience, from the first one on.
fn few(audience: &Audience<Member>) -> [ClientId; FEW] {
    let mut few = [ClientId(0); FEW];
    if audience.len() <= FEW {
        for (place, member) in few.iter_mut().zip(audience.iter()) {
            *place = member.mailbox.card().client();
        }
        few[..audience.len()].sort_unstable();
    }
    few
}

impl State {
    fn online(&self) -> usize {
        self.routes.len() + self.replaying.len()
    }

    /// Has clients go if too much waits in all mailboxes together.
    fn relieve(&mut self, memory: &Memory) {
        let live = self.routes.members().map(|(_, member)| member);
        let replaying = self.replaying.values().map(|client| &client.member);
        let clients = live.chain(replaying).map(|member| &member.mailbox);
        self.relief.relieve(memory.in_use(), clients);
    }
}

#[cfg(test)]
mod tests;
