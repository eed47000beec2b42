//! Datagrams, from the sockets to the documents in them: who may send them, and what the sender and
//! the log are told of those that are refused.
//!
//! The UDP thread runs it.

use std::net::UdpSocket;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use super::reply::Replies;
use super::rounds::Rounds;
use super::sockets::{Arrival, Sockets};
use super::trust::Trust;
use crate::canary::Canary;
use crate::logging::{Kind, logged};
use crate::message;
use crate::tally::Tally;
use crate::words::{Excerpt, canonical, plural};

/// How long a stopping intake counts what there was no time for.
const COUNT: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub(super) sockets: Sockets,
    trust: Trust,
    replies: Replies,
    canary: Arc<Canary>,
    tally: Arc<Tally>,
    /// Where the documents of the datagram at hand lie.
    places: Vec<Range<usize>>,
}

impl Datagrams {
    /// Those that come in at these sockets.
    pub(crate) fn new(
        sockets: Vec<UdpSocket>,
        trust: Trust,
        replies: Replies,
        canary: Arc<Canary>,
        tally: Arc<Tally>,
    ) -> Self {
        Datagrams {
            sockets: Sockets::new(sockets),
            trust,
            replies,
            canary,
            tally,
            places: Vec::new(),
        }
    }

    /// Takes what has arrived and puts the documents in it into `rounds`, as long as there is room
    /// for them. Says whether there was anything.
    pub(super) fn gather(&mut self, rounds: &mut Rounds) -> bool {
        let mut found_any = self.sockets.take();
        while rounds.have_room()
            && let Some(arrival) = self.sockets.next()
        {
            self.read(&arrival, rounds);
            found_any = true;
        }
        self.tell_what_was_dropped();
        found_any
    }

    /// Finds the documents in one datagram, or refuses it.
    fn read(&mut self, arrival: &Arrival, rounds: &mut Rounds) {
        if let Some(number) = self.canary.number(&arrival.bytes) {
            // Before anybody is asked whether its address may publish: it shows by itself whose it is.
            if let Some(flight) = self.canary.take(number) {
                rounds.add_canary(flight);
            }
            return;
        }
        let sender = canonical(arrival.sender);
        let excerpt = Excerpt(&arrival.bytes);
        if !self.trust.may_publish(sender) {
            self.tally.refused_datagram();
            logged!(
                Level::Warn,
                Kind::Refused,
                "refused datagram from {sender}: its network is not in --publish-from, it begins with {excerpt}"
            );
            return;
        }
        self.places.clear();
        match message::split(&arrival.bytes, &mut self.places) {
            Ok(empty) => {
                if empty > 0 {
                    self.tally.dropped_empty(empty as u64);
                    logged!(
                        Level::Debug,
                        Kind::Empty(empty as u64),
                        "dropped {empty} empty document{} from {sender}",
                        plural(empty as u64)
                    );
                }
                rounds.add(&arrival.bytes, &self.places, sender);
            }
            Err(refusal) => {
                self.tally.refused_datagram();
                logged!(
                    Level::Warn,
                    Kind::Refused,
                    "refused datagram from {sender}: {refusal}, it begins with {excerpt}"
                );
                let socket = self.sockets.socket_of(arrival);
                let (sender, receiver) = (arrival.sender, arrival.receiver);
                self.replies.refuse(socket, sender, receiver, &refusal);
            }
        }
    }

    /// Counts what the kernel is known to have dropped, and says it in the log.
    pub(super) fn tell_what_was_dropped(&mut self) {
        let lost = self.sockets.dropped();
        if lost > 0 {
            self.tally.dropped_by_kernel(lost);
            logged!(
                Level::Warn,
                Kind::Dropped(lost),
                "the kernel dropped {lost} datagram{}: its receive buffer was full",
                plural(lost)
            );
        }
    }

    /// The same, with what it dropped behind the last datagram of a burst.
    pub(super) fn ask_and_tell_what_was_dropped(&mut self) {
        self.sockets.ask_what_was_dropped();
        self.tell_what_was_dropped();
    }

    /// Counts the datagrams that nobody will read any more.
    pub(super) fn discard(&mut self) -> u64 {
        let left = self.sockets.discard(Instant::now() + COUNT) as u64;
        self.ask_and_tell_what_was_dropped();
        left
    }
}
