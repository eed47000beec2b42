//! The UDP thread, the only one that publishes: datagrams in, rounds out.
//!
//! It waits for a datagram, then takes, without waiting, whatever else has arrived. A burst
//! becomes one round: given its ids, routed, posted and handed over before the next is begun. While
//! the workers have enough to do, it gathers; when it has gathered enough, the kernel's buffer fills,
//! drops and counts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use log::Level;

use super::datagrams::Datagrams;
use super::pace::{GLANCE, MANY, PAUSE, longest_wait};
use super::rounds::{Origin, Rounds};
use super::submissions::Submission;
use crate::clock::Moment;
use crate::hub::{Batch, Hub, Receipt, Sender};
use crate::logging::{Kind, logged};
use crate::message::Document;
use crate::os::Waker;
use crate::sequencer;
use crate::tally::Tally;
use crate::words::{JsonLine, grouped, plural};

/// How long a stopping intake still takes what the kernel holds.
const DRAIN: Duration = Duration::from_millis(500);

/// The UDP thread's state; [`run`](Intake::run) is the thread.
#[derive(Debug)]
pub(crate) struct Intake {
    datagrams: Datagrams,
    submissions: Receiver<Submission>,
    /// The next room is for what was handed in.
    is_submissions_turn: bool,
    rounds: Rounds,
    sequencer: sequencer::Memory,
    hub: Arc<Hub>,
    tally: Arc<Tally>,
    waker: Arc<Waker>,
    stop: Receiver<()>,
    /// The round at hand, where its documents came from, and what became of them.
    round: Vec<Document>,
    origins: Vec<(Origin, usize)>,
    senders: Vec<Sender>,
    receipts: Vec<Receipt>,
}

impl Intake {
    /// `waker` wakes the thread when the hub has room again, and after `stop` was closed.
    pub(crate) fn new(
        datagrams: Datagrams,
        submissions: Receiver<Submission>,
        sequencer: sequencer::Memory,
        hub: Arc<Hub>,
        tally: Arc<Tally>,
        waker: Arc<Waker>,
        stop: Receiver<()>,
    ) -> Self {
        Intake {
            datagrams,
            submissions,
            is_submissions_turn: false,
            rounds: Rounds::default(),
            sequencer,
            hub,
            tally,
            waker,
            stop,
            round: Vec::new(),
            origins: Vec::new(),
            senders: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// The thread: until it is told to stop, and then until it has published what the sockets
    /// hold, for at most half a second.
    ///
    /// # Errors
    /// When waiting itself fails, for want of memory.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while self.stop.try_recv() != Err(TryRecvError::Disconnected) {
            let has_work = !self.rounds.is_empty()
                || !self.datagrams.sockets.is_empty()
                || !self.submissions.is_empty();
            if !has_work || !self.hub.has_room() {
                self.datagrams.ask_and_tell_what_was_dropped();
                self.datagrams.sockets.wait(&self.waker, None)?;
            }
            self.gather();
            self.publish();
        }
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            let found_any = self.gather();
            self.publish_round();
            if !self.rounds.is_empty() && !self.hub.has_room() {
                let left = deadline.saturating_duration_since(Instant::now());
                self.datagrams.sockets.wait(&self.waker, Some(left))?;
            } else if self.rounds.is_empty() && !found_any {
                break;
            }
        }
        self.tell_what_is_left();
        Ok(())
    }

    /// What there was no time for is lost with the sockets.
    fn tell_what_is_left(&mut self) {
        let documents = self.rounds.len() as u64;
        let datagrams = self.datagrams.discard();
        if documents > 0 || datagrams > 0 {
            log::warn!(
                "stopping with {} datagram{} unread and {} document{} unpublished: there was no time left",
                grouped(datagrams),
                plural(datagrams),
                grouped(documents),
                plural(documents)
            );
        }
    }

    /// Takes what has come, by whatever way; says whether there was anything.
    fn gather(&mut self) -> bool {
        let had_room = self.rounds.have_room();
        let mut found_any = self.is_submissions_turn && self.take_submission();
        found_any |= self.datagrams.gather(&mut self.rounds);
        while self.take_submission() {
            found_any = true;
        }
        if had_room {
            // In a flood whoever comes second finds no room, again and again: so they take turns.
            self.is_submissions_turn = !self.is_submissions_turn && !self.submissions.is_empty();
        }
        found_any
    }

    /// Lets the canary through as it would a message, if it is its turn.
    fn let_canary_through(&mut self) {
        if self.hub.has_room()
            && let Some(canary) = self.rounds.take_canary()
        {
            self.hub.post_canary(canary.mailbox(), canary.parcel());
            canary.was_posted();
        }
    }

    /// Publishes one round of what is gathered, if the hub has room, and the canary behind it.
    fn publish(&mut self) {
        self.publish_round();
        self.let_canary_through();
    }

    /// Takes what one thread has handed in, if there is room for it.
    fn take_submission(&mut self) -> bool {
        if !self.rounds.have_room() {
            return false;
        }
        let Ok(submission) = self.submissions.try_recv() else {
            return false;
        };
        self.rounds.add_submission(submission);
        true
    }

    /// Publishes one round of what is gathered, if the hub has room. Meanwhile the sockets are
    /// emptied as often as posting to many clients takes long.
    fn publish_round(&mut self) {
        if self.rounds.is_empty() || !self.hub.has_room() {
            return;
        }
        self.gather_the_burst();
        self.take_round();
        let first = self.sequencer.sequence(self.round.len());
        let time = Moment::now();
        let batch = Batch {
            first,
            documents: &self.round,
            senders: &self.senders,
            time,
        };
        let sockets = &mut self.datagrams.sockets;
        let mut in_a_burst = false;
        let receipts = &mut self.receipts;
        let round = self.hub.publish(&batch, receipts, &mut || {
            in_a_burst |= sockets.take();
        });
        self.count_round();
        if in_a_burst {
            self.gather_on(round.len(), PAUSE);
        }
        // A lone message leaves time to help with it; where there are several, more are to come.
        let sockets = &mut self.datagrams.sockets;
        let is_lone = self.round.len() == 1 && self.rounds.is_empty() && sockets.is_empty();
        let mut is_wanted = || !is_lone || sockets.take();
        self.hub.deliver(round, &mut is_wanted);
        let batch = Batch {
            first,
            documents: &self.round,
            senders: &self.senders,
            time,
        };
        self.hub.tell(&batch, &self.receipts);
        self.hand_out_receipts();
    }

    /// Before anybody can have a receipt.
    fn count_round(&self) {
        let bytes = self.round.iter().map(|document| document.len()).sum();
        let deliveries = self.receipts.iter().map(|receipt| receipt.clients).sum();
        self.tally.published(self.round.len(), bytes, deliveries);
    }

    /// The next round, and where its documents came from.
    fn take_round(&mut self) {
        self.rounds.take_round(&mut self.round);
        while self.senders.len() < self.round.len()
            && let Some((origin, length)) = self
                .rounds
                .take_origin(self.round.len() - self.senders.len())
        {
            let sender = Sender::from(origin.sender());
            self.senders.extend(std::iter::repeat_n(sender, length));
            self.origins.push((origin, length));
        }
    }

    /// Tells the log what became of each message, and whoever waits for a receipt.
    fn hand_out_receipts(&mut self) {
        let mut told = 0;
        for (origin, length) in self.origins.drain(..) {
            let receipts = &self.receipts[told..told + length];
            for (receipt, document) in receipts.iter().zip(&self.round[told..]) {
                tell(receipt, document, origin.sender(), &self.hub);
            }
            if let Origin::Submission(ticket) = origin {
                // Whoever does not wait any more has no use for them.
                let _ = ticket.receipts.send(receipts.to_vec());
            }
            told += length;
        }
        self.round.clear();
        self.senders.clear();
    }

    /// Before thousands are posted to, it looks whether this is the first message of a burst, and
    /// if so, gathers the others: they share their deliveries then.
    fn gather_the_burst(&mut self) {
        let first = self.rounds.first();
        if let Some(reach) = first.and_then(|first| self.hub.reach(first, MANY)) {
            self.gather_on(reach, GLANCE);
        }
    }

    /// Gathers what comes, until nothing has come for `pause` or the time is over that so many
    /// deliveries may wait.
    fn gather_on(&mut self, deliveries: usize, mut pause: Duration) {
        let mut latest = Instant::now();
        let deadline = latest + longest_wait(deliveries);
        while latest.elapsed() < pause && Instant::now() < deadline {
            thread::sleep(GLANCE);
            if self.datagrams.sockets.take() {
                (latest, pause) = (Instant::now(), PAUSE);
            }
        }
        self.gather();
    }
}

/// The log's line for one message, and at debug the document itself.
fn tell(receipt: &Receipt, document: &Document, sender: SocketAddr, hub: &Hub) {
    let Receipt { id, clients, .. } = receipt;
    let length = document.len();
    logged!(
        Level::Info,
        Kind::Message(length as u64),
        "message {id} from {sender}, {length} byte{}, for {clients} client{}{}{}",
        plural(length as u64),
        plural(*clients as u64),
        who(receipt),
        by(&hub.addressing(document))
    );
    logged!(
        Level::Debug,
        Kind::Document,
        "document {id}: {}",
        JsonLine(document)
    );
}

/// Letters that the log shows of what a message was addressed by.
const SHOWN: usize = 120;

/// The clients, where they are few: ` (17, 18)`.
fn who(receipt: &Receipt) -> String {
    let few = receipt.few.get(..receipt.clients).unwrap_or_default();
    match few {
        [] => String::new(),
        few => {
            let few: Vec<_> = few.iter().map(ToString::to_string).collect();
            format!(" ({})", few.join(", "))
        }
    }
}

/// What a message was addressed by, if by anything: `, by user=u7`.
fn by(addressing: &str) -> String {
    match addressing {
        "" => String::new(),
        said => {
            let shown: String = said.chars().take(SHOWN).collect();
            let more = if shown.len() < said.len() { "…" } else { "" };
            format!(", by {}{more}", JsonLine(&shown))
        }
    }
}

#[cfg(test)]
mod tests;
