//! Every rule of the mailbox without a socket, and then a race over a real one.

mod waking;

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::outlet::BATCH;
use super::*;
use crate::mailbox::frames;
use crate::os;

/// A socket that takes what the test says, when it says.
#[derive(Debug, Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    taken: Mutex<Vec<u8>>,
    /// Parts of each send.
    sends: Mutex<Vec<usize>>,
}

#[derive(Debug)]
enum Step {
    Take(usize),
    Full,
    Fail,
}

impl Outflow for Script {
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.sends.lock().unwrap().push(parts.len());
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        let count = match self.steps.lock().unwrap().pop_front() {
            None => bytes.len(),
            Some(Step::Take(count)) => count,
            Some(Step::Full) => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Step::Fail) => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        assert!(count <= bytes.len(), "the script takes more than there is");
        self.taken
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

const LIMITS: Limits = Limits {
    messages: 100,
    bytes: 10_000,
};

fn mailbox(steps: impl IntoIterator<Item = Step>) -> Mailbox<Script> {
    let script = Script {
        steps: Mutex::new(steps.into_iter().collect()),
        ..Script::default()
    };
    Mailbox::new(script, Waker::new().unwrap(), LIMITS, Arc::default())
}

fn text(text: &str) -> Arc<Parcel> {
    let mut bytes = Vec::new();
    frames::append_text(&mut bytes, &[text.as_bytes()]);
    Arc::new(Parcel::frames(bytes))
}

fn frames_of(texts: &[&str]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|t| text(t).bytes().to_vec())
        .collect()
}

impl Mailbox<Script> {
    fn taken(&self) -> Vec<u8> {
        self.wire.taken.lock().unwrap().clone()
    }

    fn sends(&self) -> Vec<usize> {
        self.wire.sends.lock().unwrap().clone()
    }

    fn post_text(&self, words: &str) {
        assert!(self.post(text(words)));
    }
}

#[test]
fn whoever_posts_can_deliver_in_one_send_without_waking_the_owner() {
    let mailbox = mailbox([]);
    mailbox.post_text("a");
    mailbox.post_text("b");
    mailbox.deliver();
    assert_eq!(mailbox.taken(), frames_of(&["a", "b"]));
    assert_eq!(mailbox.sends(), [2]);
    assert_eq!(mailbox.waker.clear(), 0);
    assert_eq!(mailbox.waiting(), (0, 0));
    mailbox.deliver();
    assert_eq!(mailbox.sends(), [2], "an empty mailbox costs no send");
}

#[test]
fn the_unsent_rest_of_a_parcel_goes_on_where_it_stopped() {
    let mailbox = mailbox([Step::Take(3), Step::Take(1)]);
    mailbox.post_text("hello");
    mailbox.post_text("world");
    mailbox.deliver();
    assert_eq!(
        mailbox.waker.clear(),
        1,
        "anything left over wakes the owner"
    );
    assert_eq!(mailbox.waiting(), (2, 11));
    let (progress, _) = mailbox.deliver_as_owner();
    assert!(matches!(progress, Progress::Idle));
    assert_eq!(mailbox.taken(), frames_of(&["hello", "world"]));
    assert_eq!(mailbox.waiting(), (0, 0));
}

#[test]
fn a_busy_mailbox_wakes_its_owner_instead_of_waiting() {
    let mailbox = mailbox([]);
    mailbox.post_text("a");
    let busy = mailbox.outlet.lock().unwrap();
    mailbox.deliver();
    assert_eq!(mailbox.waker.clear(), 1);
    drop(busy);
    assert_eq!(mailbox.sends(), [0usize; 0]);
}

#[test]
fn a_full_socket_wakes_the_owner_once_and_then_nobody_else_sends() {
    let mailbox = mailbox([Step::Full, Step::Full]);
    for word in ["a", "b", "c"] {
        mailbox.post_text(word);
        mailbox.deliver();
    }
    assert_eq!(mailbox.waker.clear(), 1);
    assert_eq!(mailbox.sends().len(), 1);
    // Still full: the owner, and only the owner, tries again.
    assert!(matches!(
        mailbox.deliver_as_owner(),
        (Progress::Stalled, false)
    ));
    mailbox.post_text("d");
    mailbox.deliver();
    assert_eq!(mailbox.sends().len(), 2);
    assert_eq!(mailbox.waker.clear(), 0);
    // Writable again: bytes that leave now are a sign of life.
    assert!(matches!(mailbox.deliver_as_owner(), (Progress::Idle, true)));
    assert_eq!(mailbox.taken(), frames_of(&["a", "b", "c", "d"]));
    // From now on others send again.
    mailbox.post_text("e");
    mailbox.deliver();
    assert_eq!(mailbox.sends().len(), 4);
}

#[test]
fn others_send_at_most_64_parcels_and_leave_the_rest_to_the_owner() {
    let mailbox = mailbox([]);
    for _ in 0..BATCH + 6 {
        mailbox.post_text("x");
    }
    mailbox.deliver();
    assert_eq!(mailbox.sends(), [BATCH]);
    assert_eq!(mailbox.waker.clear(), 1);
    assert_eq!(mailbox.waiting().0, 6);
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Idle));
    assert_eq!(mailbox.sends(), [BATCH, 6]);
}

#[test]
fn the_owner_looks_at_other_things_after_a_while() {
    let mailbox = mailbox((0..OWNER_SENDS + 1).map(|_| Step::Take(1)));
    mailbox.post_text("a long text that leaves byte by byte");
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::More));
    assert_eq!(mailbox.sends().len(), OWNER_SENDS);
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Idle));
}

#[test]
fn the_bound_is_judged_on_what_is_left_after_the_attempt() {
    let mailbox = mailbox([]);
    for _ in 0..LIMITS.messages + 1 {
        mailbox.post_text("x");
    }
    // Beyond the bound while nobody has tried to deliver: no verdict.
    assert_eq!(mailbox.dismissal(), None);
    mailbox.deliver();
    assert_eq!(mailbox.dismissal(), None, "enough went out");

    let stalled = self::mailbox([Step::Full]);
    for count in 0..=LIMITS.messages {
        assert_eq!(stalled.dismissal(), None, "{count}");
        stalled.post_text("x");
        stalled.deliver();
    }
    assert_eq!(stalled.dismissal(), Some(Dismissal::TooSlow));
    assert_eq!(stalled.waker.clear(), 2, "once stalled, once dismissed");
}

#[test]
fn bytes_count_until_the_socket_has_them() {
    let mailbox = mailbox([Step::Take(4_000), Step::Full]);
    let long = "x".repeat(4_996);
    mailbox.post_text(&long);
    mailbox.post_text(&long);
    mailbox.deliver();
    assert_eq!(mailbox.waiting(), (2, 6_000));
    assert_eq!(mailbox.dismissal(), None);
    mailbox.deliver();
    mailbox.post_text(&long);
    mailbox.deliver();
    assert_eq!(mailbox.waiting(), (3, 11_000));
    assert_eq!(mailbox.dismissal(), Some(Dismissal::TooSlow));
}

#[test]
fn closing_at_once_drops_the_queue_but_ends_the_frame_that_is_half_out() {
    let mut joined = frames_of(&["one", "two"]);
    let end_of_first = joined.len() / 2;
    joined.extend(frames_of(&["three"]));
    let steps = [Step::Take(2), Step::Take(1), Step::Full];
    let mailbox = mailbox(steps);
    assert!(mailbox.post(Arc::new(Parcel::frames(joined.clone()))));
    mailbox.post_text("never sent");
    mailbox.deliver();
    mailbox.close_at_once(Parcel::frames(frames::close(1013, "too slow")));
    assert!(!mailbox.post(text("refused")));
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Stalled));
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Finished));
    let mut expected = joined[..end_of_first].to_vec();
    expected.extend(frames::close(1013, "too slow"));
    assert_eq!(mailbox.taken(), expected);
    assert_eq!(mailbox.waiting(), (0, 0));
}

#[test]
fn a_post_that_races_with_closing_at_once_never_follows_the_gap() {
    let mailbox = mailbox([]);
    mailbox.post_text("dropped");
    mailbox.close_at_once(Parcel::frames(frames::close(1013, "")));
    // As if it had passed the check just before.
    mailbox.posts.send(text("late")).unwrap();
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Finished));
    assert_eq!(mailbox.taken(), frames::close(1013, ""));
}

#[test]
fn nothing_is_taken_after_the_last_parcel_and_nothing_accepted() {
    let mailbox = mailbox([]);
    mailbox.post_text("before");
    let close = Parcel::frames(frames::close(1001, "")).and_no_more();
    assert!(mailbox.post(Arc::new(close)));
    assert!(!mailbox.post(text("after")));
    mailbox.posts.send(text("late")).unwrap();
    mailbox.deliver();
    assert_eq!(mailbox.waker.clear(), 1, "the owner is to close the socket");
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Finished));
    let expected = [frames_of(&["before"]), frames::close(1001, "")].concat();
    assert_eq!(mailbox.taken(), expected);
}

#[test]
fn closing_at_once_changes_nothing_behind_the_last_parcel() {
    let mailbox = mailbox([Step::Take(1), Step::Full]);
    mailbox.post_text("before");
    let close = Parcel::frames(frames::close(1001, "")).and_no_more();
    assert!(mailbox.post(Arc::new(close)));
    mailbox.deliver();
    mailbox.close_at_once(Parcel::frames(frames::close(1013, "too slow")));
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Stalled));
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Finished));
    let expected = [frames_of(&["before"]), frames::close(1001, "")].concat();
    assert_eq!(mailbox.taken(), expected);
    assert_eq!(mailbox.waiting(), (0, 0));
}

#[test]
fn a_broken_socket_is_told_to_the_owner_alone() {
    let mailbox = mailbox([Step::Fail]);
    mailbox.post_text("a");
    mailbox.deliver();
    mailbox.deliver();
    assert_eq!(mailbox.sends().len(), 1);
    assert_eq!(mailbox.waker.clear(), 1);
    let (Progress::Broken(error), _) = mailbox.deliver_as_owner() else {
        panic!("the error is the owner's");
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_poisoned_mailbox_is_a_closed_one() {
    let mailbox = Arc::new(mailbox([]));
    let poisoner = Arc::clone(&mailbox);
    let panicked = thread::spawn(move || {
        let _outlet = poisoner.outlet.lock().unwrap();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    mailbox.post_text("a");
    mailbox.deliver();
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Broken(_)));
    assert_eq!(mailbox.sends(), [0usize; 0]);
}

#[test]
fn only_a_more_urgent_dismissal_takes_the_place_of_another() {
    let mailbox = mailbox([]);
    mailbox.dismiss(Dismissal::Stop);
    mailbox.dismiss(Dismissal::TooSlow);
    assert_eq!(mailbox.dismissal(), Some(Dismissal::Stop));
    assert_eq!(mailbox.waker.clear(), 1);
    for why in [Dismissal::Operator, Dismissal::Crowded] {
        assert!(mailbox.dismiss(why));
        assert!(!mailbox.dismiss(why));
        assert_eq!(mailbox.dismissal(), Some(why));
        assert_eq!(mailbox.waker.clear(), 1);
    }
}

#[test]
fn slots_of_those_who_are_behind_count_as_memory_until_they_are_gone() {
    let memory = Arc::new(Memory::default());
    let script = Script {
        steps: Mutex::new([Step::Full].into()),
        ..Script::default()
    };
    let mailbox = Mailbox::new(script, Waker::new().unwrap(), LIMITS, Arc::clone(&memory));
    for _ in 0..3 {
        mailbox.post_text("x");
        mailbox.deliver();
    }
    assert_eq!(memory.in_use(), 3 * SLOT);
    assert!(matches!(mailbox.deliver_as_owner().0, Progress::Idle));
    assert_eq!(memory.in_use(), 0);
}

impl Outflow for UnixStream {
    fn send_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        os::send_now(self, parts)
    }
}

/// Publishers, workers and the owner race for one mailbox over a real socket; the reader is slow
/// at times. Each publisher's messages arrive whole, in order, once, and the end comes last.
#[test]
fn racing_publishers_workers_and_owner_keep_order_and_framing() {
    const PUBLISHERS: u64 = 3;
    const MESSAGES: u64 = 20_000;

    let (near, mut far) = UnixStream::pair().unwrap();
    // Should another thread fail, the reader does not wait for ever.
    far.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let limits = Limits {
        messages: usize::MAX,
        bytes: usize::MAX,
    };
    let memory = Arc::new(Memory::default());
    let mailbox = Mailbox::new(near, Waker::new().unwrap(), limits, Arc::clone(&memory));
    let (jobs, worker) = crossbeam_channel::unbounded::<()>();
    let give_up = Instant::now() + Duration::from_secs(60);

    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut bytes = Vec::new();
            let mut chunk = [0; 1777];
            loop {
                match far.read(&mut chunk).unwrap() {
                    0 => return bytes,
                    count => bytes.extend_from_slice(&chunk[..count]),
                }
                if bytes.len() % 97 == 0 {
                    thread::yield_now();
                }
            }
        });
        for _ in 0..2 {
            let worker = worker.clone();
            let mailbox = &mailbox;
            scope.spawn(move || worker.iter().for_each(|()| mailbox.deliver()));
        }
        let owner = scope.spawn(|| {
            loop {
                assert!(Instant::now() < give_up, "the end never came");
                let interest = match mailbox.deliver_as_owner().0 {
                    Progress::Finished => break,
                    Progress::More => continue,
                    Progress::Idle => PollFlags::empty(),
                    Progress::Stalled => PollFlags::POLLOUT,
                    Progress::Broken(error) => panic!("{error}"),
                };
                let mut interests = [
                    PollFd::new(mailbox.waker.as_fd(), PollFlags::POLLIN),
                    PollFd::new(mailbox.wire.as_fd(), interest),
                ];
                os::wait(&mut interests, Some(Duration::from_secs(10))).unwrap();
            }
            mailbox.wire.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let (mailbox, jobs, memory) = (&mailbox, jobs.clone(), &memory);
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let mut bytes = Vec::new();
                        let filler = "x".repeat((number % 300) as usize);
                        let words = format!("{publisher} {number} {filler}");
                        frames::append_text(&mut bytes, &[words.as_bytes()]);
                        let parcel = Parcel::frames(bytes).counted_in(memory);
                        assert!(mailbox.post(Arc::new(parcel)));
                        match number % 3 {
                            0 => mailbox.deliver(),
                            _ => jobs.send(()).unwrap(),
                        }
                    }
                })
            })
            .collect();
        drop(jobs);
        for publisher in publishers {
            publisher.join().unwrap();
        }
        let close = Parcel::frames(frames::close(1001, "")).and_no_more();
        assert!(mailbox.post(Arc::new(close)));
        mailbox.waker.wake();
        owner.join().unwrap();

        let bytes = reader.join().unwrap();
        let mut next = [0; PUBLISHERS as usize];
        let mut at = 0;
        while bytes[at] == 0x81 {
            let end = frames::boundary_after(&bytes[at..], 1) + at;
            let header = end - at - text_length(&bytes[at..end]);
            let words = std::str::from_utf8(&bytes[at + header..end]).unwrap();
            let mut parts = words.split(' ');
            let publisher: usize = parts.next().unwrap().parse().unwrap();
            let number: u64 = parts.next().unwrap().parse().unwrap();
            assert_eq!(number, next[publisher]);
            assert_eq!(parts.next().unwrap().len() as u64, number % 300);
            next[publisher] += 1;
            at = end;
        }
        assert_eq!(next, [MESSAGES; PUBLISHERS as usize]);
        assert_eq!(&bytes[at..], frames::close(1001, ""));
    });
    drop(mailbox);
    assert_eq!(memory.in_use(), 0, "nothing is left behind");
}

/// Payload length of a frame of at most 65,535 bytes.
fn text_length(frame: &[u8]) -> usize {
    match frame[1] {
        126 => frame.len() - 4,
        _ => frame.len() - 2,
    }
}
