//! Documents that have come in and are not published: all sources put theirs in here, in one
//! order, and the UDP thread takes rounds out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::submissions::{Submission, Ticket};
use crate::canary::Flight;
use crate::message::Document;

/// Messages in a round at most.
const ROUND_MESSAGES: usize = 1024;

/// Bytes of documents in a round at most; a larger document is a round of its own.
const ROUND_BYTES: usize = 256 << 10;

/// Bytes of documents gathered at most; as many may wait as datagrams.
pub(super) const MAX_GATHERED: usize = 4 << 20;

/// What a gathered document costs beside its bytes.
pub(super) const OVERHEAD: usize = 128;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    documents: VecDeque<Document>,
    /// Where they came from, in the same order.
    origins: VecDeque<Run>,
    bytes: usize,
    /// The canary, and how many of the documents came before it.
    canary: Option<(Arc<Flight>, usize)>,
}

/// Documents that came together.
#[derive(Debug)]
struct Run {
    origin: Origin,
    length: usize,
}

/// Where documents came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A datagram.
    Datagram(SocketAddr),
    /// Another thread, which waits for receipts.
    Submission(Ticket),
}

impl Origin {
    /// Who sent them.
    pub(super) fn sender(&self) -> SocketAddr {
        match self {
            Origin::Datagram(sender) => *sender,
            Origin::Submission(ticket) => ticket.sender,
        }
    }
}

impl Rounds {
    /// Whether nothing is gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Documents that are gathered.
    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether more may be gathered.
    pub(super) fn have_room(&self) -> bool {
        self.bytes < MAX_GATHERED
    }

    /// The document that is published next.
    pub(super) fn first(&self) -> Option<&Document> {
        self.documents.front()
    }

    /// Adds the documents that lie at `places` in one datagram. They share its bytes, unless most
    /// of them were dropped: a document may be held for long, and should not hold much else.
    pub(super) fn add(&mut self, datagram: &Bytes, places: &[Range<usize>], sender: SocketAddr) {
        let share = 2 * places.iter().map(Range::len).sum::<usize>() > datagram.len();
        let mut length = 0;
        for place in places {
            let bytes = match share {
                true => datagram.slice(place.clone()),
                false => Bytes::copy_from_slice(&datagram[place.clone()]),
            };
            let Some(document) = Document::new(bytes) else {
                // Documents in a text are text.
                continue;
            };
            self.push(document);
            length += 1;
        }
        self.note(Origin::Datagram(sender), length);
    }

    /// Adds what another thread has handed in.
    pub(super) fn add_submission(&mut self, submission: Submission) {
        let length = submission.documents.len();
        for document in submission.documents {
            self.push(document);
        }
        self.note(Origin::Submission(submission.ticket), length);
    }

    /// Adds the canary behind what is gathered. One that is still there is late: nobody waits for it
    /// any more.
    pub(super) fn add_canary(&mut self, flight: Arc<Flight>) {
        self.canary = Some((flight, self.documents.len()));
    }

    /// The canary, if all that came before it is taken.
    pub(super) fn take_canary(&mut self) -> Option<Arc<Flight>> {
        let (flight, _) = self.canary.take_if(|(_, before)| *before == 0)?;
        Some(flight)
    }

    fn push(&mut self, document: Document) {
        self.bytes += document.len() + OVERHEAD;
        self.documents.push_back(document);
    }

    fn note(&mut self, origin: Origin, length: usize) {
        if length > 0 {
            self.origins.push_back(Run { origin, length });
        }
    }

    /// Moves the documents that make the next round, at least one, into `round`. Where they came
    /// from stays until [`take_origin`](Self::take_origin) tells.
    pub(super) fn take_round(&mut self, round: &mut Vec<Document>) {
        let mut bytes = 0;
        let fitting = self.documents.iter().take(ROUND_MESSAGES).take_while(|d| {
            bytes += d.len();
            bytes <= ROUND_BYTES
        });
        let count = fitting.count().max(1);
        round.extend(self.documents.drain(..count));
        self.bytes -= round.iter().map(|d| d.len() + OVERHEAD).sum::<usize>();
        if let Some((_, before)) = &mut self.canary {
            *before = before.saturating_sub(count);
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the documents of the round that was taken last came from, of so many that are left of
    /// it; and how many of them came from there.
    pub(super) fn take_origin(&mut self, left: usize) -> Option<(Origin, usize)> {
        let run = self.origins.front_mut()?;
        let length = run.length.min(left);
        run.length -= length;
        if run.length > 0 {
            return Some((run.origin.clone(), length));
        }
        let run = self.origins.pop_front()?;
        Some((run.origin, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;
    use crate::message;

    fn gather(datagram: &Bytes) -> Rounds {
        let mut places = Vec::new();
        message::split(datagram, &mut places).unwrap();
        let mut gathered = Rounds::default();
        gathered.add(datagram, &places, ([127, 0, 0, 1], 1).into());
        gathered
    }

    /// The lengths of the rounds that documents make.
    fn rounds(documents: String) -> Vec<usize> {
        let mut gathered = gather(&documents.into());
        let mut lengths = Vec::new();
        while !gathered.is_empty() {
            let mut round = Vec::new();
            gathered.take_round(&mut round);
            lengths.push(round.len());
        }
        assert_eq!(gathered.bytes, 0);
        lengths
    }

    #[test]
    fn a_round_has_its_most_messages_or_its_most_bytes_or_one_that_is_larger() {
        assert_eq!(rounds("1\n".repeat(2_500)), [1024, 1024, 452]);
        let quarter = format!("\"{}\"", "x".repeat(ROUND_BYTES / 4 - 2));
        assert_eq!(rounds(quarter.repeat(9)), [4, 4, 1]);
        let larger = format!("\"{}\"", "x".repeat(ROUND_BYTES));
        assert_eq!(rounds(format!("1 {larger} 2 3")), [1, 1, 2]);
    }

    #[test]
    fn the_canary_keeps_its_place_among_the_documents() {
        let canary = Canary::flying();
        let mut gathered = gather(&"1\n".repeat(ROUND_MESSAGES + 1).into());
        gathered.add_canary(canary);
        let mut round = Vec::new();
        assert!(gathered.take_canary().is_none());
        gathered.take_round(&mut round);
        assert!(gathered.take_canary().is_none());
        // One document more, behind it.
        let place = std::slice::from_ref(&(0..1));
        gathered.add(&"2".into(), place, ([127, 0, 0, 1], 1).into());
        round.clear();
        gathered.take_round(&mut round);
        assert!(gathered.take_canary().is_some());
        assert!(gathered.take_canary().is_none());
    }

    #[test]
    fn a_document_holds_the_bytes_of_others_only_where_they_are_its_neighbours() {
        let filling = "0 ".repeat(50);
        for (text, is_shared) in [
            ("{\"a\":1} {\"b\":2}".to_owned(), true),
            (format!("{{\"a\":1}} {filling}"), false),
        ] {
            let datagram = Bytes::from(text);
            let gathered = gather(&datagram);
            let document = &*gathered.documents[0];
            assert_eq!(document, "{\"a\":1}");
            let is_within = datagram.as_ptr_range().contains(&document.as_ptr());
            assert_eq!(is_within, is_shared);
        }
    }
}
