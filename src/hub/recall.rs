//! Where a client begins that asks for the newest messages that are meant for it.

use std::collections::VecDeque;

use super::Hub;
use crate::audience::registration::Registration;
use crate::audience::verdict::Verdict;
use crate::message::id::MessageId;

/// Messages that are looked through, from the newest on.
const MOST_MESSAGES: usize = 4096;

/// Bytes of them: each is read for whoever asks.
const MOST_BYTES: usize = 4 << 20;

impl Hub {
    /// The id after which the newest `count` messages come that this registration hears, of those
    /// that are looked through: all of them where it hears fewer.
    ///
    /// The hub's lock is held for a slice at a time; messages that come meanwhile are none of
    /// these.
    pub(super) fn recall(&self, registration: &Registration, count: usize) -> MessageId {
        let (mut known, newest) = {
            let ring = &self.lock().ring;
            (ring.before_newest(MOST_MESSAGES, MOST_BYTES), ring.newest())
        };
        let mut heard = VecDeque::with_capacity(count);
        while known.sequence < newest.sequence {
            let Some(slice) = self.messages_after(known) else {
                // So much has come meanwhile that this is not held any more.
                known = self.held().0;
                heard.clear();
                continue;
            };
            for (id, posted) in slice {
                if id.sequence > newest.sequence {
                    break;
                }
                if self.rule().verdict(registration, &posted.document) == Verdict::Hears {
                    if heard.len() == count {
                        heard.pop_front();
                    }
                    heard.push_back(known);
                }
                known = id;
            }
        }
        heard.front().copied().unwrap_or(newest)
    }
}
