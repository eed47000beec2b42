//! One client of a soak: what it has heard, as whom. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use super::follower::Heard;
use super::ledger::{Stretch, Sum};

/// What is known of one client.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stretch: Option<Stretch>,
    /// As which user it asked to be registered last.
    pub(super) user: u32,
    /// It has asked, and was not told yet that it is.
    pub(super) is_registering: bool,
    pub(super) is_greeted: bool,
    pub(super) next: Instant,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) published: u64,
    pub(super) greetings: u64,
    pub(super) resumed: u64,
    pub(super) told: u64,
    pub(super) registrations: u64,
    pub(super) lost_links: u64,
    pub(super) judged: u64,
    pub(super) deliveries: u64,
    pub(super) faults: Vec<String>,
}

impl Member {
    /// Its link is gone: what it was told there last counts.
    pub(super) fn left(&mut self) {
        self.is_greeted = false;
        // The next link has it in its query.
        self.is_registering = false;
    }

    pub(super) fn hear(
        &mut self,
        heard: &Heard,
        counts: &mut Counts,
        over: &mut VecDeque<Stretch>,
    ) {
        match heard {
            Heard::Hello { place, resumed } => {
                self.greet(place.sequence, *resumed, counts, over);
            }
            Heard::Message { place, data } => {
                let Some(stretch) = &mut self.stretch else {
                    return counts.faults.push("a message before the hello".to_owned());
                };
                if place.sequence <= stretch.until {
                    let fault = format!("{} came after {}", place.sequence, stretch.until);
                    counts.faults.push(fault);
                }
                stretch.until = place.sequence;
                stretch.heard.add(place.sequence);
                let _ = data;
            }
            Heard::Heartbeat { place } => {
                if let Some(stretch) = &mut self.stretch {
                    stretch.until = stretch.until.max(place.sequence);
                }
            }
            Heard::Lost => {
                counts.lost_links += 1;
                self.left();
            }
        }
    }

    fn greet(
        &mut self,
        at: u64,
        resumed: Option<bool>,
        counts: &mut Counts,
        over: &mut VecDeque<Stretch>,
    ) {
        let is_first = !std::mem::replace(&mut self.is_greeted, true);
        self.is_registering = false;
        counts.greetings += u64::from(is_first);
        counts.registrations += u64::from(!is_first);
        counts.resumed += u64::from(resumed == Some(true));
        counts.told += u64::from(resumed == Some(false));
        let goes_on = !is_first || resumed == Some(true);
        if let Some(stretch) = &mut self.stretch {
            if goes_on && at < stretch.until {
                counts
                    .faults
                    .push(format!("greeted at {at} after {}", stretch.until));
            }
            if goes_on {
                // Up to here it was registered as before.
                stretch.until = stretch.until.max(at);
            }
            if goes_on && stretch.user == self.user {
                return;
            }
            over.push_back(*stretch);
        }
        self.stretch = Some(Stretch {
            user: self.user,
            after: at,
            until: at,
            heard: Sum::default(),
        });
    }
}
