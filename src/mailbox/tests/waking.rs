//! Nothing is posted that the owner sleeps over: every interleaving, by hand.

use std::sync::{OnceLock, Weak};

use super::*;

/// A socket whose mailbox somebody else acts upon while its owner sends for the first time.
#[derive(Debug, Default)]
struct Interrupted {
    mailbox: OnceLock<Weak<Mailbox<Interrupted>>>,
    during: Vec<Act>,
    script: Script,
}

/// What somebody else does for a message, in this order.
#[derive(Clone, Copy, Debug)]
enum Act {
    Post,
    Deliver,
}

impl Act {
    fn perform(self, mailbox: &Mailbox<Interrupted>) {
        match self {
            Act::Post => assert!(mailbox.post(text("late"))),
            Act::Deliver => mailbox.deliver(),
        }
    }
}

impl Outflow for Interrupted {
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let is_first = self.script.sends.lock().unwrap().is_empty();
        let sent = self.script.send_now(parts);
        if is_first {
            let mailbox = self.mailbox.get().unwrap().upgrade().unwrap();
            self.during.iter().for_each(|act| act.perform(&mailbox));
        }
        sent
    }
}

#[test]
fn whenever_somebody_posts_it_is_out_or_the_owner_is_awake() {
    // Each of both acts may come before the owner's delivery, in its midst, or after it.
    for (before, during) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)] {
        let acts = [Act::Post, Act::Deliver];
        let (before, rest) = acts.split_at(before);
        let (during, after) = rest.split_at(during);
        let waker = Waker::new().unwrap();
        let socket = Interrupted {
            during: during.to_vec(),
            ..Interrupted::default()
        };
        let mailbox = Mailbox::new(socket, waker, LIMITS, Arc::default());
        let mailbox = Arc::new(mailbox);
        let this = Arc::downgrade(&mailbox);
        mailbox.wire.mailbox.set(this).unwrap();
        // The owner has been woken for this one.
        assert!(mailbox.post(text("early")));
        mailbox.waker.wake();

        before.iter().for_each(|act| act.perform(&mailbox));
        let (progress, _) = mailbox.deliver_as_owner();
        assert!(matches!(progress, Progress::Idle), "{progress:?}");
        after.iter().for_each(|act| act.perform(&mailbox));
        let taken = || mailbox.wire.script.taken.lock().unwrap().clone();
        if taken() != frames_of(&["early", "late"]) {
            let case = format!("{before:?}, {during:?}, {after:?}");
            assert_ne!(mailbox.waker.clear(), 0, "the owner sleeps: {case}");
            mailbox.deliver_as_owner();
            assert_eq!(taken(), frames_of(&["early", "late"]), "{case}");
        }
    }
}

#[test]
fn a_delivery_puts_the_waker_to_rest() {
    let mailbox = mailbox([]);
    mailbox.waker.wake();
    mailbox.deliver_as_owner();
    assert_eq!(mailbox.waker.clear(), 0, "the owner would not sleep");
}
