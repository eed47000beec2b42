//! The UDP thread: datagrams in, rounds out.
//!
//! It waits for a datagram, then takes, without waiting, whatever else has arrived. A burst
//! becomes one round: routed, posted and handed over before the next is begun. While the workers
//! have enough to do, it gathers; when it has gathered enough, the kernel's buffer fills, drops
//! and counts.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, TryRecvError};
use ipnet::IpNet;
use log::Level;

use super::reply::Replies;
use super::sockets::{Arrival, Sockets};
use crate::hub::{Hub, Receipt};
use crate::logging::{Kind, logged};
use crate::message::{self, Document};
use crate::os::Waker;
use crate::sequencer;
use crate::words::{Excerpt, JsonLine, canonical, grouped, plural};

/// Messages in a round at most.
const ROUND_MESSAGES: usize = 1024;

/// Bytes of documents in a round at most; a larger document is a round of its own.
const ROUND_BYTES: usize = 256 << 10;

/// Bytes of documents gathered at most; as many may wait as datagrams.
const MAX_GATHERED: usize = 4 << 20;

/// What a gathered document costs beside its bytes.
const OVERHEAD: usize = 128;

/// Clients from whom on a message waits for the rest of its burst: those that are told last hear of
/// a lone one a hundredth later.
const MANY: usize = 2000;

/// How long it may wait, for each of its deliveries: about a third of what a delivery takes.
const HOLD_BACK: Duration = Duration::from_micros(2);

/// How often the sockets are looked at meanwhile.
const GLANCE: Duration = Duration::from_micros(100);

/// Without a datagram for so long, a burst is over.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a stopping intake still takes what the kernel holds.
const DRAIN: Duration = Duration::from_millis(500);

/// How long it counts then what there was no time for.
const COUNT: Duration = Duration::from_millis(100);

/// The UDP thread's state; [`run`](Intake::run) is the thread.
#[derive(Debug)]
pub struct Intake {
    sockets: Sockets,
    /// Networks besides loopback that may publish.
    trusted: Vec<IpNet>,
    sequencer: sequencer::Memory,
    hub: Arc<Hub>,
    waker: Arc<Waker>,
    stop: Receiver<()>,
    replies: Replies,
    gathered: Gathered,
    /// Where the documents of the datagram at hand lie.
    places: Vec<Range<usize>>,
    round: Vec<Document>,
    receipts: Vec<Receipt>,
}

/// Documents that have come in and are not published, in order.
#[derive(Debug, Default)]
struct Gathered {
    documents: VecDeque<Document>,
    senders: VecDeque<SocketAddr>,
    bytes: usize,
}

impl Intake {
    /// `waker` wakes the thread when the hub has room again, and after `stop` was closed.
    pub fn new(
        sockets: Vec<std::net::UdpSocket>,
        trusted: Vec<IpNet>,
        replies: Replies,
        sequencer: sequencer::Memory,
        hub: Arc<Hub>,
        waker: Arc<Waker>,
        stop: Receiver<()>,
    ) -> Self {
        Intake {
            sockets: Sockets::new(sockets),
            trusted,
            sequencer,
            hub,
            waker,
            stop,
            replies,
            gathered: Gathered::default(),
            places: Vec::new(),
            round: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// The thread: until it is told to stop, and then until it has published what the sockets
    /// hold, for at most half a second.
    ///
    /// # Errors
    /// When waiting itself fails, for want of memory.
    pub fn run(mut self) -> io::Result<()> {
        while self.stop.try_recv() != Err(TryRecvError::Disconnected) {
            let has_work = !self.gathered.is_empty() || !self.sockets.is_empty();
            if !has_work || !self.hub.has_room() {
                self.sockets.ask_what_was_dropped();
                self.tell_what_was_dropped();
                self.sockets.wait(&self.waker, None)?;
            }
            self.gather();
            self.publish_round();
        }
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            let found_any = self.gather();
            self.publish_round();
            if !self.gathered.is_empty() && !self.hub.has_room() {
                let left = deadline.saturating_duration_since(Instant::now());
                self.sockets.wait(&self.waker, Some(left))?;
            } else if self.gathered.is_empty() && !found_any {
                break;
            }
        }
        self.tell_what_is_left();
        Ok(())
    }

    /// What there was no time for is lost with the sockets.
    fn tell_what_is_left(&mut self) {
        let documents = self.gathered.documents.len() as u64;
        let datagrams = self.sockets.discard(Instant::now() + COUNT) as u64;
        self.sockets.ask_what_was_dropped();
        self.tell_what_was_dropped();
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

    /// Takes what has arrived and finds the documents in it, as long as there is room for them.
    /// Says whether there was anything.
    fn gather(&mut self) -> bool {
        let mut found_any = self.sockets.take();
        while self.gathered.bytes < MAX_GATHERED
            && let Some(arrival) = self.sockets.next()
        {
            self.read(&arrival);
            found_any = true;
        }
        self.tell_what_was_dropped();
        found_any
    }

    fn tell_what_was_dropped(&mut self) {
        let lost = self.sockets.dropped();
        if lost > 0 {
            logged!(
                Level::Warn,
                Kind::Dropped(lost),
                "the kernel dropped {lost} datagram{}: its receive buffer was full",
                plural(lost)
            );
        }
    }

    /// Finds the documents in one datagram, or refuses it.
    fn read(&mut self, arrival: &Arrival) {
        let sender = canonical(arrival.sender);
        let excerpt = Excerpt(&arrival.bytes);
        if !is_trusted(&self.trusted, sender) {
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
                    logged!(
                        Level::Debug,
                        Kind::Empty(empty as u64),
                        "dropped {empty} empty document{} from {sender}",
                        plural(empty as u64)
                    );
                }
                self.gathered.add(&arrival.bytes, &self.places, sender);
            }
            Err(refusal) => {
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

    /// Publishes one round of what is gathered, if the hub has room. Meanwhile the sockets are
    /// emptied as often as posting to many clients takes long.
    fn publish_round(&mut self) {
        if self.gathered.is_empty() || !self.hub.has_room() {
            return;
        }
        self.gather_the_burst();
        self.gathered.take_round(&mut self.round);
        let sockets = &mut self.sockets;
        let mut in_a_burst = false;
        let first = self.sequencer.sequence(self.round.len());
        let receipts = &mut self.receipts;
        let round = self.hub.publish(first, &self.round, receipts, &mut || {
            in_a_burst |= sockets.take();
        });
        if in_a_burst {
            self.gather_on(round.len(), PAUSE);
        }
        // A lone message leaves time to help with it; where there are several, more are to come.
        let is_lone = self.round.len() == 1 && self.gathered.is_empty() && self.sockets.is_empty();
        let sockets = &mut self.sockets;
        let mut is_wanted = || !is_lone || sockets.take();
        self.hub.deliver(round, &mut is_wanted);
        let senders = self.gathered.senders.drain(..self.round.len());
        let receipts = self.receipts.iter().zip(self.round.drain(..));
        for ((receipt, document), sender) in receipts.zip(senders) {
            tell(receipt, &document, sender);
        }
    }

    /// Before thousands are posted to, it looks whether this is the first message of a burst, and
    /// if so, gathers the others: they share their deliveries then.
    ///
    /// It sleeps in between, so that it comes first whenever it wakes. Busy with posting, on few
    /// cores, it would be put behind the sender for a tick of the scheduler, which Debian's receive
    /// buffer does not hold; a loop that does nothing but receive is put there by each datagram.
    fn gather_the_burst(&mut self) {
        let first = self.gathered.documents.front();
        if let Some(reach) = first.and_then(|first| self.hub.reach(first, MANY)) {
            self.gather_on(reach, GLANCE);
        }
    }

    /// Gathers what comes, until nothing has come for `pause` or the time is over that so many
    /// deliveries may wait.
    fn gather_on(&mut self, deliveries: usize, mut pause: Duration) {
        let mut latest = Instant::now();
        // At most some tens of thousands.
        let deadline = latest + HOLD_BACK * deliveries as u32;
        while latest.elapsed() < pause && Instant::now() < deadline {
            thread::sleep(GLANCE);
            if self.sockets.take() {
                (latest, pause) = (Instant::now(), PAUSE);
            }
        }
        self.gather();
    }
}

/// The log's line for one message, and at debug the document itself.
fn tell(receipt: &Receipt, document: &Document, sender: SocketAddr) {
    let Receipt { id, clients } = receipt;
    let length = document.len();
    logged!(
        Level::Info,
        Kind::Message(length as u64),
        "message {id} from {sender}, {length} byte{}, for {clients} client{}",
        plural(length as u64),
        plural(*clients as u64)
    );
    logged!(
        Level::Debug,
        Kind::Document,
        "document {id}: {}",
        JsonLine(document)
    );
}

fn is_trusted(trusted: &[IpNet], sender: SocketAddr) -> bool {
    let address = sender.ip().to_canonical();
    address.is_loopback() || trusted.iter().any(|network| network.contains(&address))
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Adds the documents that lie at `places` in one datagram. They share its bytes, unless most
    /// of them were dropped: a document may be held for long, and should not hold much else.
    fn add(&mut self, datagram: &Bytes, places: &[Range<usize>], sender: SocketAddr) {
        let share = 2 * places.iter().map(Range::len).sum::<usize>() > datagram.len();
        for place in places {
            let bytes = match share {
                true => datagram.slice(place.clone()),
                false => Bytes::copy_from_slice(&datagram[place.clone()]),
            };
            let Some(document) = Document::new(bytes) else {
                // Documents in a text are text.
                continue;
            };
            self.bytes += document.len() + OVERHEAD;
            self.documents.push_back(document);
            self.senders.push_back(sender);
        }
    }

    /// Moves the documents that make the next round, at least one, into `round`.
    fn take_round(&mut self, round: &mut Vec<Document>) {
        let mut bytes = 0;
        let fitting = self.documents.iter().take(ROUND_MESSAGES).take_while(|d| {
            bytes += d.len();
            bytes <= ROUND_BYTES
        });
        let count = fitting.count().max(1);
        round.extend(self.documents.drain(..count));
        self.bytes -= round.iter().map(|d| d.len() + OVERHEAD).sum::<usize>();
    }
}

#[cfg(test)]
mod tests;
