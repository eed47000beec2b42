//! The life of one client's thread: handshake, then deliver, wait, read, until the end.
//!
//! It waits nowhere but in one poll(2), for its waker, its socket, and the next ping.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use nix::poll::{PollFd, PollFlags};
use tungstenite::Utf8Bytes;

use super::accept::Clients;
use super::beat::Beat;
use super::census::Presence;
use super::ending::{Close, Ending};
use super::handshake;
use super::inbound::Inbound;
use super::linger;
use super::meter::Meter;
use super::said::Said;
use crate::activity::{Activity, What};
use crate::address::Address;
use crate::admission::token::TokenError;
use crate::admission::{Pass, Place};
use crate::audience::registration::token_in;
use crate::feed::Feed;
use crate::hub::membership::{Membership, Replay};
use crate::hub::ring::Resumption;
use crate::logging::{Kind, logged};
use crate::mailbox::parcel::Parcel;
use crate::mailbox::{Dismissal, Mailbox, Progress};
use crate::os;
use crate::tally::Tally;
use crate::words::{Excerpt, plural};

/// Registrations that a client may send in a second.
const MAX_REGISTRATIONS: u32 = 20;

/// The client's thread.
pub(super) fn run(
    mailbox: &Arc<Mailbox>,
    peer: SocketAddr,
    clients: &Clients,
    presence: &mut Presence,
) {
    let Clients { hub, tally, .. } = clients;
    let asked = handshake::perform(mailbox, peer, &clients.admission, hub.rule(), &clients.site);
    let client = mailbox.wire().address();
    let failure = match asked {
        Ok(visitor) if !presence.settle() => visitor.caller.is_the_oldest(),
        Ok(visitor) => match hub.join(mailbox, visitor.wish, visitor.answer) {
            Ok(membership) => {
                drop(visitor.caller);
                let beat = Beat::new(membership.client(), hub.heartbeat());
                let (encoding, patience) = (membership.encoding(), beat.patience());
                let mut inbound = Inbound::new(encoding, visitor.rest, patience);
                let session = Session::new(
                    mailbox,
                    visitor.pass,
                    visitor.place,
                    membership,
                    &mut inbound,
                    beat,
                    clients,
                );
                if session.run(client) {
                    presence.unsettle(mailbox);
                    // Whether all leaves in time or not, this is the end.
                    let _ = linger::finish(mailbox, inbound.into_meter());
                }
                return;
            }
            Err(refusal) => {
                presence.unsettle(mailbox);
                visitor.caller.turn_away(refusal)
            }
        },
        Err(failure) => failure,
    };
    failure.tell(client, tally);
    if !failure.answer.is_empty() {
        let meter = match failure.ends_with_close_frame {
            true => Meter::of_frames(),
            false => Meter::of_bytes(),
        };
        mailbox.post_alone(Parcel::answer(failure.answer).and_no_more());
        // A client that does not wait for the answer is gone either way.
        let _ = linger::finish(mailbox, meter);
    }
}

struct Session<'a> {
    mailbox: &'a Arc<Mailbox>,
    pass: Pass,
    /// Until the session ends: whoever reads of its end finds it free.
    place: Option<Place>,
    membership: Membership,
    inbound: &'a mut Inbound,
    beat: Beat,
    tally: &'a Tally,
    /// There may be frames in the buffer that were received but not read yet. poll(2) only knows of
    /// bytes in the socket, so it would wait although there is something to do. At first these are
    /// the bytes that came behind the request.
    more_to_read: bool,
    /// The second in which registrations are counted, and how many there were.
    registrations: (Instant, u32),
    /// What it does is told here.
    activity: &'a Feed<Activity>,
    said: Said,
    /// Why the session ended, for the log. It is preset to a panic: when the thread panics, nothing
    /// runs any more that could set it.
    why: Cow<'static, str>,
}

impl<'a> Session<'a> {
    fn new(
        mailbox: &'a Arc<Mailbox>,
        pass: Pass,
        place: Place,
        membership: Membership,
        inbound: &'a mut Inbound,
        mut beat: Beat,
        clients: &'a Clients,
    ) -> Self {
        let now = Instant::now();
        let has_spoken = inbound.has_begun();
        if has_spoken {
            beat.heard(now);
            mailbox.card().speaks(now);
        }
        Session {
            mailbox,
            more_to_read: has_spoken,
            inbound,
            beat,
            tally: &clients.tally,
            pass,
            place: Some(place),
            membership,
            registrations: (now, 0),
            activity: &clients.hub.activity,
            said: Said::new(now),
            why: "its thread panicked: a bug in udpush".into(),
        }
    }

    /// From the first line in the log to the last; true when the last bytes are still to be sent.
    fn run(mut self, address: Address) -> bool {
        let (client, online) = (self.membership.client(), self.membership.online());
        logged!(
            Level::Info,
            Kind::Connected,
            "client {client} connected from {} ({online} online)",
            address.with_proxy()
        );
        let mode = self.membership.encoding().mode();
        self.activity
            .happened(client, || What::Connected { address, mode });
        if !self.membership.registration().is_empty() {
            self.tell_registration();
        }
        let (Ok(ending) | Err(ending)) = self.serve();
        self.why = ending.why;
        let encoding = self.membership.encoding();
        match ending.close {
            Close::No => return false,
            Close::Queued => {}
            Close::After(code, reason) => {
                let close = encoding.close(code, reason).and_no_more();
                self.mailbox.post_alone(close);
            }
            Close::Now(code, reason) => {
                self.mailbox.close_at_once(encoding.close(code, reason));
            }
        }
        true
    }

    /// Deliver, wait, read; until the end. Both sides of the result are one, for the `?`.
    fn serve(&mut self) -> Result<Ending, Ending> {
        loop {
            let deadline = self.keep_alive()?;
            let (progress, relieved) = self.mailbox.deliver_as_owner();
            let now = Instant::now();
            let is_full = matches!(progress, Progress::Stalled);
            self.beat.sent(is_full, relieved, now);
            if relieved {
                self.mailbox.card().speaks(now);
            }
            self.heed_dismissal()?;
            let more_to_send = match progress {
                Progress::Idle => self.replay()?,
                Progress::Stalled => false,
                Progress::More => true,
                Progress::Finished => return Ok(Ending::new(Close::Queued, "closed")),
                Progress::Broken(error) => return Ok(Ending::lost(&error, self.beat.patience())),
            };
            let interest = match is_full {
                false => PollFlags::POLLIN,
                true => PollFlags::POLLIN | PollFlags::POLLOUT,
            };
            let timeout = match more_to_send || self.more_to_read {
                true => Duration::ZERO,
                false => deadline.saturating_duration_since(now),
            };
            let mut interests = [
                PollFd::new(self.mailbox.waker().as_fd(), PollFlags::POLLIN),
                PollFd::new(self.mailbox.wire().as_fd(), interest),
            ];
            os::wait(&mut interests, Some(timeout))
                .map_err(|error| Ending::lost(&error, self.beat.patience()))?;
            if self.more_to_read || os::is_readable(&interests[1]) {
                self.more_to_read = self.read()?;
            }
        }
    }

    fn heed_dismissal(&self) -> Result<(), Ending> {
        match self.mailbox.dismissal() {
            None => Ok(()),
            Some(Dismissal::TooSlow) => {
                let (messages, bytes) = self.mailbox.waiting();
                let (many, of) = (plural(messages as u64), plural(bytes as u64));
                let why = format!("too slow: {messages} message{many}, {bytes} byte{of} waited");
                Err(self.too_slow(why))
            }
            Some(Dismissal::Stop) => {
                let close = Close::After(1001, "the server stops");
                Err(Ending::new(close, "the server stops"))
            }
            Some(Dismissal::Operator) => {
                let why = "disconnected by the operator";
                Err(Ending::new(Close::Now(4403, why), why))
            }
            Some(Dismissal::Crowded) => {
                let why = "dismissed: too many were connected without being clients";
                Err(Ending::new(Close::No, why))
            }
        }
    }

    fn too_slow(&self, why: impl Into<Cow<'static, str>>) -> Ending {
        self.tally.closed_as_too_slow();
        Ending::new(Close::Now(1013, "too slow"), why)
    }

    /// Gives a sign of life when it is time, and says until when there is nothing to do, unless the
    /// client is gone.
    fn keep_alive(&mut self) -> Result<Instant, Ending> {
        let now = Instant::now();
        // When the socket is full, the ping would wait behind what is unsent. No answer to it would
        // prove nothing then, so none is sent.
        if self.beat.is_due(now) && !self.beat.is_full() {
            self.membership.beat();
        }
        let deadline = self
            .beat
            .deadline(now)
            .map_err(|death| Ending::new(Close::No, death.why(self.beat.patience())))?;
        match self.membership.until() {
            None => Ok(deadline),
            Some(until) if now < until => Ok(deadline.min(until)),
            Some(_) => Err(Ending::new(
                Close::After(4401, "its time is over"),
                "its time is over",
            )),
        }
    }

    /// Posts more of what the client missed, now that its mailbox is empty; true when it did.
    fn replay(&mut self) -> Result<bool, Ending> {
        match self.membership.replay() {
            Replay::Done(None) => Ok(false),
            Replay::Done(Some(resumption)) => {
                self.tell_resumption(&resumption);
                Ok(false)
            }
            Replay::More => Ok(true),
            Replay::Outrun => Err(self.too_slow("too slow: the history went on without it")),
        }
    }

    /// Reads what has come; true when there may be more in the buffer.
    fn read(&mut self) -> Result<bool, Ending> {
        let heard = self.inbound.read(self.mailbox)?;
        if heard.anything {
            let now = Instant::now();
            self.beat.heard(now);
            self.mailbox.card().speaks(now);
        }
        for length in heard.binary {
            self.ignore(format_args!(
                "{length} binary byte{}",
                plural(length as u64)
            ));
        }
        for text in heard.texts {
            self.hear(text)?;
        }
        heard.end.map_or(Ok(heard.more), Err)
    }

    /// A text frame: a registration, a token, or something for the site's own code at most.
    fn hear(&mut self, text: Utf8Bytes) -> Result<(), Ending> {
        #[cfg(test)]
        assert_ne!(&*text, "panic", "on purpose");
        if let Some(token) = token_in(&text) {
            return self.renew(&token);
        }
        let client = self.membership.client();
        let Some(asked) = self.membership.read(&text).transpose() else {
            self.ignore(format_args!("{}", text.escape_debug()));
            if self.activity.is_heard()
                && let Some(left_out) = self.said.admit(&text, Instant::now())
            {
                let said = || What::Said {
                    data: text,
                    left_out,
                };
                self.activity.happened(client, said);
            }
            return Ok(());
        };
        self.count_registration()?;
        let admitted = asked.and_then(|asked| self.pass.admit(asked));
        match admitted.and_then(|admitted| self.membership.register(admitted)) {
            Ok(()) => self.tell_registration(),
            Err(error) => self.refuse("registration", &error),
        }
        Ok(())
    }

    /// A new token: what the client asked for is judged anew by it. A bad one changes nothing.
    fn renew(&mut self, token: &str) -> Result<(), Ending> {
        let Some(renewed) = self.pass.renewed(token) else {
            // A page that has one everywhere is as good as any, where none is asked for.
            self.ignore(format_args!("a token, and none is asked for"));
            return Ok(());
        };
        self.count_registration()?;
        let before = self.membership.registration().clone();
        let renewed = renewed.and_then(|pass| {
            let admitted = pass.admit(self.membership.asked().clone());
            let registered = admitted.and_then(|admitted| self.membership.register(admitted));
            registered.map_err(TokenError::Registration)?;
            Ok(pass)
        });
        match renewed {
            Ok(pass) => {
                self.pass = pass;
                if *self.membership.registration() != before {
                    self.tell_registration();
                }
            }
            Err(error) => self.refuse("token", &error),
        }
        Ok(())
    }

    /// Says so in the log, and to the client, if it knows of errors.
    fn refuse(&self, what: &str, error: &dyn Display) {
        let client = self.membership.client();
        logged!(
            Level::Warn,
            Kind::NotRegistered,
            "client {client}: {what} refused: {error}"
        );
        if let Some(parcel) = self.membership.encoding().error(&error) {
            self.mailbox.post_alone(parcel);
        }
    }

    fn count_registration(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let (second, count) = &mut self.registrations;
        if now - *second >= Duration::from_secs(1) {
            (*second, *count) = (now, 0);
        }
        *count += 1;
        if *count > MAX_REGISTRATIONS {
            let why = format!("more than {MAX_REGISTRATIONS} registrations in a second");
            return Err(Ending::new(
                Close::After(1008, "too many registrations"),
                why,
            ));
        }
        Ok(())
    }

    fn tell_registration(&self) {
        let client = self.membership.client();
        let registration = self.membership.registration();
        logged!(
            Level::Info,
            Kind::Registered,
            "client {client} registered {registration}"
        );
        let registered = || What::Registered(registration.to_json());
        self.activity.happened(client, registered);
    }

    /// That it was told what it had missed, or why not.
    fn tell_resumption(&self, resumption: &Resumption) {
        let client = self.membership.client();
        match resumption {
            Resumption::Replayed { since, messages } => logged!(
                Level::Info,
                Kind::Resumed(*messages),
                "client {client} resumed after {since}: {messages} message{} replayed",
                plural(*messages)
            ),
            Resumption::Refused { since, why } => logged!(
                Level::Info,
                Kind::NotResumed,
                "client {client} could not resume after {}: {why}",
                Excerpt(since.as_bytes())
            ),
        }
    }

    fn ignore(&self, what: std::fmt::Arguments<'_>) {
        let client = self.membership.client();
        logged!(
            Level::Debug,
            Kind::ClientFrame,
            "ignored frame from client {client}: {what}"
        );
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let client = self.membership.client();
        self.place = None;
        let online = self.membership.leave();
        let why = &self.why;
        logged!(
            Level::Info,
            Kind::Closed,
            "client {client} closed: {why} ({online} online)"
        );
        let left_out = self.said.take_left_out();
        let why = std::mem::take(&mut self.why);
        let closed = || What::Closed { why, left_out };
        self.activity.happened(client, closed);
    }
}
