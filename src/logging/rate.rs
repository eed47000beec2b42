//! How often each kind of line may be written, and the sums of those that were not.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::lines::Lines;
use crate::words::{grouped, plural};

/// Lines of one kind in one second; what comes on top is summed up.
const LINES_A_SECOND: u64 = 100;

/// A kind of line, with what its sum adds up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A client has joined.
    Connected,
    /// A client is gone.
    Closed,
    /// A client was told all of this many messages that it had missed.
    Resumed(u64),
    /// A client could not go on where it was.
    NotResumed,
    /// A client registered something.
    Registered,
    /// A client's registration was refused.
    NotRegistered,
    /// A message of this many bytes was published.
    Message(u64),
    /// A datagram was refused.
    Refused,
    /// The kernel dropped this many datagrams.
    Dropped(u64),
    /// This many empty documents were dropped.
    Empty(u64),
    /// A connection became no session, which is no refusal.
    Handshake,
    /// A visitor was refused.
    Visitor,
    /// A client offered no subprotocol that is spoken here.
    Subprotocol,
    /// A client said something that says nothing to us.
    ClientFrame,
    /// A document's text.
    Document,
}

/// Each kind once, to ask for its sum.
pub(super) const KINDS: [Kind; 15] = [
    Kind::Connected,
    Kind::Closed,
    Kind::Resumed(0),
    Kind::NotResumed,
    Kind::Registered,
    Kind::NotRegistered,
    Kind::Message(0),
    Kind::Refused,
    Kind::Dropped(0),
    Kind::Empty(0),
    Kind::Handshake,
    Kind::Visitor,
    Kind::Subprotocol,
    Kind::ClientFrame,
    Kind::Document,
];

#[derive(Debug, Default)]
struct Rate {
    /// The second that `lines` counts, since the start.
    second: AtomicU64,
    lines: AtomicU64,
    /// Lines not written since the last sum.
    more: AtomicU64,
    /// What they would have told of: bytes, datagrams, documents.
    amount: AtomicU64,
}

static RATES: [Rate; KINDS.len()] = [const {
    Rate {
        second: AtomicU64::new(0),
        lines: AtomicU64::new(0),
        more: AtomicU64::new(0),
        amount: AtomicU64::new(0),
    }
}; KINDS.len()];

/// The log's start, and who writes the sums.
static START: OnceLock<(Instant, Lines)> = OnceLock::new();

/// Sums go through `lines` from now on.
pub(super) fn start(lines: Lines) {
    // Logging is set up once.
    let _ = START.set((Instant::now(), lines));
}

/// Whether a line of this kind may be written now. If it may not, it was counted for the next sum
/// before this returns. So each line is either written or counted, however many threads ask at
/// once.
pub(crate) fn admit(kind: Kind) -> bool {
    let Some((start, lines)) = START.get() else {
        return true;
    };
    let rate = kind.rate();
    let second = start.elapsed().as_secs();
    if rate.second.load(Ordering::Relaxed) != second
        && rate.second.swap(second, Ordering::Relaxed) != second
    {
        rate.lines.store(0, Ordering::Relaxed);
    }
    if rate.lines.fetch_add(1, Ordering::Relaxed) < LINES_A_SECOND {
        return true;
    }
    rate.amount.fetch_add(kind.amount(), Ordering::Relaxed);
    if rate.more.fetch_add(1, Ordering::Relaxed) == 0 {
        lines.remind_of_sums();
    }
    false
}

impl Kind {
    fn rate(self) -> &'static Rate {
        &RATES[match self {
            Kind::Connected => 0,
            Kind::Closed => 1,
            Kind::Resumed(_) => 13,
            Kind::NotResumed => 14,
            Kind::Registered => 2,
            Kind::NotRegistered => 3,
            Kind::Message(_) => 4,
            Kind::Refused => 5,
            Kind::Dropped(_) => 6,
            Kind::Empty(_) => 7,
            Kind::Handshake => 8,
            Kind::ClientFrame => 9,
            Kind::Document => 10,
            Kind::Visitor => 11,
            Kind::Subprotocol => 12,
        }]
    }

    fn amount(self) -> u64 {
        match self {
            Kind::Message(amount)
            | Kind::Dropped(amount)
            | Kind::Empty(amount)
            | Kind::Resumed(amount) => amount,
            _ => 0,
        }
    }

    /// Whether there is something to sum up.
    pub(super) fn has_sum(self) -> bool {
        self.rate().more.load(Ordering::Relaxed) > 0
    }

    /// The sum of what was not written since it was last asked for, as a line.
    pub(super) fn sum(self) -> Option<String> {
        let count = self.rate().more.swap(0, Ordering::Relaxed);
        if count == 0 {
            return None;
        }
        let total = self.rate().amount.swap(0, Ordering::Relaxed);
        let (more, amount) = (grouped(count), grouped(total));
        let (s, amounts) = (plural(count), plural(total));
        Some(match self {
            Kind::Connected => format!("{more} more client{s} connected"),
            Kind::Closed => format!("{more} more client{s} closed"),
            Kind::Registered => format!("{more} more registration{s}"),
            Kind::NotRegistered => format!("{more} more registration{s} refused"),
            Kind::Message(_) => format!("{more} more message{s}, {amount} byte{amounts}"),
            Kind::Refused => format!("{more} more publication{s} refused"),
            Kind::Dropped(_) => format!("the kernel dropped {amount} more datagram{amounts}"),
            Kind::Empty(_) => format!("dropped {amount} more empty document{amounts}"),
            Kind::Handshake => format!("{more} more connection{s} without a session"),
            Kind::Visitor => format!("{more} more visitor{s} refused"),
            Kind::Subprotocol => format!("{more} more foreign subprotocol{s}"),
            Kind::ClientFrame => format!("{more} more frame{s} ignored"),
            Kind::Resumed(_) => {
                format!("{more} more client{s} resumed, {amount} message{amounts} replayed")
            }
            Kind::NotResumed => format!("{more} more client{s} could not resume"),
            Kind::Document => format!("{more} more document{s}"),
        })
    }
}
