//! Publishing and receiving, on one thread: messages in flight, or at a rate, until the end.

use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::plan::{End, Mode, Plan};
use crate::progress::Progress;
use crate::publish::Publisher;
use crate::tally::Tally;

/// All clients must have had a first message after so long.
const FIRST_MESSAGE: Duration = Duration::from_secs(15);
/// The next one is tried when the one before has not moved for so long.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);
/// Nothing has arrived for so long, or still not all after the last message: that is the end.
const LAST_MESSAGE: Duration = Duration::from_secs(15);
/// How often the progress, and whether there is any, is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(100);

/// Clients and publisher together.
#[derive(Debug)]
pub(crate) struct Generator<'a> {
    plan: &'a Plan,
    pub(crate) clients: Clients,
    pub(crate) tally: Tally,
    publisher: Publisher,
    /// The document that goes out next.
    text: Vec<u8>,
    progress: Progress,
}

/// How a part of the run went, beside what the tally has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// From the first message to the last.
    pub(crate) sending: Duration,
    /// From the first message to the last delivery.
    pub(crate) whole: Duration,
}

impl<'a> Generator<'a> {
    /// With clients that are connected.
    pub(crate) fn new(
        plan: &'a Plan,
        clients: Clients,
        tally: Tally,
        progress: Progress,
    ) -> Result<Self, String> {
        Ok(Generator {
            publisher: Publisher::connect(&plan.route, &clients.readable)?,
            plan,
            clients,
            tally,
            text: Vec::new(),
            progress,
        })
    }

    /// Publishes until one message has reached every client: some servers let clients in a little
    /// before they listen for them. What is lost here does not count.
    pub(crate) fn first_message(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let mut attempts = 0;
        while begun.elapsed() < FIRST_MESSAGE {
            self.begin(1);
            self.send(true)?;
            attempts += 1;
            while self.clients.now() < self.tally.moved_at + FIRST_ATTEMPT.as_nanos() as u64 {
                self.turn(GLANCE, 0, 0)?;
                let counts = self.tally.counts;
                let share = counts.deliveries as f64 / counts.expected as f64;
                self.progress.show("first message", share, String::new);
                if counts.deliveries == counts.expected {
                    return Ok(());
                }
            }
        }
        let counts = self.tally.counts;
        Err(format!(
            "{} of {} clients had the last of {attempts} first messages: is the publishing address \
             right (--publish)?",
            counts.deliveries, counts.expected
        ))
    }

    /// What comes now counts, what came before doesn't. Returns the time.
    fn begin(&mut self, step: u32) -> u64 {
        let now = self.clients.now();
        self.tally.begin(step, now);
        self.clients.expect_next(&self.tally);
        now
    }

    /// Sends the next message: to one client in turn when clients are registered, else to all.
    fn send(&mut self, to_all: bool) -> Result<(), String> {
        let Some(sequence) = self.tally.next() else {
            return Ok(());
        };
        let one = self.plan.target.register.is_some() && !to_all;
        let client = one.then(|| sequence % self.plan.clients);
        self.clients
            .document()
            .write(sequence, client, &mut self.text);
        let audience = if one { 1 } else { self.clients.open() as u32 };
        let now = self.clients.now();
        self.tally.sent(audience, now);
        self.publisher.publish(&self.text)
    }

    /// Waits for what comes, and reads it. In between, refills: up to `window` messages on their
    /// way, as long as fewer than `limit` were sent.
    fn turn(&mut self, timeout: Duration, window: u32, limit: u64) -> Result<(), String> {
        let found = self
            .clients
            .readable
            .wait(timeout)
            .map_err(|error| format!("cannot wait: {error}"))?;
        for index in 0..found {
            let ready = self.clients.readable.get(index);
            if ready.token == Publisher::TOKEN {
                self.publisher.ready()?;
            } else {
                self.clients.read(ready, &mut self.tally)?;
            }
            self.refill(window, limit)?;
        }
        Ok(())
    }

    fn refill(&mut self, window: u32, limit: u64) -> Result<(), String> {
        while self.tally.in_flight() < window && self.tally.counts.messages < limit {
            self.send(false)?;
        }
        Ok(())
    }

    /// Publishes until the end, then waits for what is missing.
    pub(crate) fn push(&mut self, end: End, what: &str) -> Result<Part, String> {
        let first = self.begin(match self.plan.target.register {
            Some(_) => self.plan.clients,
            None => 1,
        });
        let begun = Instant::now();
        let mut glanced = begun;
        let mut last_delivery = (0, begun);
        while let Some((limit, share)) = self.left(end, begun.elapsed()) {
            if self.clients.open() == 0 {
                let address = self.plan.target.address;
                return Err(format!("{address} closed all connections: see its log"));
            }
            let timeout = match self.plan.mode {
                Mode::Rate(rate) => self.send_due(rate, begun.elapsed(), limit)?,
                _ => {
                    self.refill(self.window(), limit)?;
                    GLANCE
                }
            };
            self.turn(timeout, self.window(), limit)?;
            if glanced.elapsed() > GLANCE {
                glanced = Instant::now();
                self.tally.give_up_stuck(self.clients.now());
                let deliveries = self.tally.counts.deliveries;
                if deliveries != last_delivery.0 {
                    last_delivery = (deliveries, glanced);
                } else if last_delivery.1.elapsed() > LAST_MESSAGE {
                    let address = self.plan.target.address;
                    return Err(format!(
                        "{address} has delivered nothing for {} s: see its log",
                        LAST_MESSAGE.as_secs()
                    ));
                }
                let rate = deliveries as f64 / begun.elapsed().as_secs_f64();
                self.progress
                    .show(what, share, || format!("{rate:.0} deliveries a second"));
            }
        }
        let sending = begun.elapsed();
        self.drain()?;
        Ok(Part {
            sending,
            whole: Duration::from_nanos(self.tally.moved_at.saturating_sub(first)),
        })
    }

    /// How many messages there may be in all as things stand, and what share of the run is over;
    /// `None` when all of it is.
    fn left(&self, end: End, elapsed: Duration) -> Option<(u64, f64)> {
        self.tally.next()?;
        let sent = self.tally.counts.messages;
        match end {
            End::Messages(messages) => {
                let share = sent as f64 / f64::from(messages);
                (sent < u64::from(messages)).then_some((u64::from(messages), share))
            }
            End::After(time) => {
                let share = elapsed.as_secs_f64() / time.as_secs_f64();
                (elapsed < time).then_some((u64::MAX, share))
            }
        }
    }

    fn window(&self) -> u32 {
        match self.plan.mode {
            Mode::InFlight(messages) => messages,
            _ => 0,
        }
    }

    /// Sends what is due at this rate, a little at a time, and says how long nothing more is.
    fn send_due(&mut self, rate: u32, elapsed: Duration, limit: u64) -> Result<Duration, String> {
        let rate = f64::from(rate);
        let due = (elapsed.as_secs_f64() * rate) as u64 + 1;
        for _ in 0..64 {
            if self.tally.counts.messages >= due.min(limit) {
                let next = self.tally.counts.messages as f64 / rate - elapsed.as_secs_f64();
                return Ok(Duration::from_secs_f64(next.max(0.0)).min(GLANCE));
            }
            self.send(false)?;
        }
        Ok(Duration::ZERO)
    }

    /// Waits for what is on its way, until nothing moves any more.
    fn drain(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while self.tally.in_flight() > 0 && begun.elapsed() < LAST_MESSAGE {
            self.turn(GLANCE, 0, 0)?;
            self.tally.give_up_stuck(self.clients.now());
            self.progress.show("waiting for the last", 1.0, String::new);
        }
        Ok(())
    }
}
