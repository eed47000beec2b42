//! A long time with clients that come, go, stall, resume and register anew, and a steady stream to
//! them: nothing is lost, and at the end the server needs what it needed at first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::attacked::Attacked;
use super::fleet::Fleet;
use super::follower::{Follower, Heard};
use super::ledger::{Ledger, Stretch};
use super::member::{Counts, Member};
use super::random::Random;
use super::table::Row;
use super::tokens::Tokens;
use crate::progress::Progress;
use crate::publish::{Publisher, Route};
use crate::run::Meter;

/// Clients, and one more who hears everything.
const CLIENTS: usize = 500;
/// Each is registered as one of so many users.
const USERS: u64 = 100;
/// Messages a second: half of them by UDP, half by TCP.
const RATE: u64 = 1000;
/// One of so many messages is for everybody.
const TO_ALL: u64 = 100;
/// Bytes of a document, at most.
const LARGEST: u64 = 1200;
/// A client does something at random times, this far apart at most.
const CALM: Duration = Duration::from_secs(8);
/// All are to be there again by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// The server's flags: small bounds are reached within minutes.
pub(crate) const FLAGS: [&str; 6] = [
    "--history",
    "15000",
    "--queue",
    "256",
    "--secret-file",
    "secret",
];

struct Soak<'a> {
    attacked: &'a Attacked,
    tokens: Tokens<'a>,
    fleet: Fleet,
    by_udp: Publisher,
    by_lines: Publisher,
    members: Vec<Member>,
    ledger: Ledger,
    /// Stretches that are over, and not judged yet.
    over: VecDeque<Stretch>,
    counts: Counts,
    /// Of the publisher.
    random: Random,
}

/// Runs so long; `tell` gets a line of text now and then.
pub(crate) fn run(
    attacked: &Attacked,
    time: Duration,
    progress: &mut Progress,
    mut tell: impl FnMut(&str),
) -> Result<Row, String> {
    let mut soak = Soak::new(attacked, Tokens::new(attacked, time, USERS as u32)?)?;
    let mut row = Row::new("soak");
    soak.gather(progress)?;
    row.before = attacked.resources();
    row.peak = row.before;
    let meter = Meter::start(attacked.process.as_ref());
    let begun = Instant::now();
    let (mut looked, mut told) = (begun, begun);
    let mut early = None;
    while begun.elapsed() < time {
        soak.publish(begun)?;
        soak.turn()?;
        soak.act()?;
        if looked.elapsed() > Duration::from_millis(500) {
            looked = Instant::now();
            soak.judge();
            row.peak = row.peak.max(attacked.resources());
            let share = begun.elapsed().as_secs_f64() / time.as_secs_f64();
            if share > 0.1 {
                early.get_or_insert_with(|| attacked.resources());
            }
            progress.show("soak", share, || soak.standing());
        }
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            let resources = attacked.resources();
            tell(&format!(
                "after {:.0} min: {}; RSS {} MiB, {} threads, {} descriptors",
                begun.elapsed().as_secs_f64() / 60.0,
                soak.standing(),
                resources.rss_bytes >> 20,
                resources.threads,
                resources.descriptors
            ));
        }
    }
    let spent = meter.stop(attacked.process.as_ref());
    soak.gather(progress)?;
    soak.finish()?;
    row.cpu_under = spent.server.map(|server| 100.0 * server / spent.seconds);
    row.after = attacked.await_the_end_of_connections(row.before);
    let counts = soak.counts;
    row.note = format!(
        "{} messages, {} deliveries in {} stretches; {} connections, {} resumed, {} told that they missed something, \
         {} registrations and new tokens, {} cut off by the server",
        counts.published,
        counts.deliveries,
        counts.judged,
        counts.greetings,
        counts.resumed,
        counts.told,
        counts.registrations,
        counts.lost_links
    );
    if let Some(early) = early {
        let (then, now) = (early.rss_bytes >> 20, row.after.rss_bytes >> 20);
        row.note += &format!("; RSS {then} MiB after a tenth of the time, {now} MiB at the end");
    }
    row.lost = counts.faults.len() as u64;
    row.faults = counts.faults;
    row.faults.truncate(10);
    if let Some(what) = row.after.has_more_connections(row.before) {
        row.fault(what);
    }
    Ok(row)
}

impl<'a> Soak<'a> {
    fn new(attacked: &'a Attacked, tokens: Tokens<'a>) -> Result<Self, String> {
        let now = Instant::now();
        let witness = Follower::new(tokens.witness(), now);
        let mut random = Random(1);
        let mut followers = vec![witness];
        let mut members = Vec::new();
        for _ in 0..=CLIENTS {
            let user = random.below(USERS) as u32;
            members.push(Member {
                stretch: None,
                user,
                is_registering: false,
                is_greeted: false,
                next: now + random.up_to(CALM),
            });
        }
        for (number, member) in members.iter().enumerate().skip(1) {
            let first = now + random.up_to(Duration::from_millis(500));
            followers.push(Follower::new(tokens.query(number, member.user), first));
        }
        let fleet = Fleet::new(attacked.clients, followers)?;
        let to = attacked.publishers;
        Ok(Soak {
            by_udp: Publisher::connect(&Route::Udp(to), &fleet.readable)?,
            by_lines: Publisher::connect(&Route::Lines(to), &fleet.readable)?,
            attacked,
            tokens,
            fleet,
            members,
            ledger: Ledger::default(),
            over: VecDeque::new(),
            counts: Counts::default(),
            random,
        })
    }

    fn standing(&self) -> String {
        format!(
            "{} messages, {} clients there, {} resumed, {} told, {} faults",
            self.counts.published,
            self.fleet.open(),
            self.counts.resumed,
            self.counts.told,
            self.counts.faults.len()
        )
    }

    /// Waits until everybody is there and has been greeted, and all registrations are answered.
    fn gather(&mut self, progress: &mut Progress) -> Result<(), String> {
        let begun = Instant::now();
        for follower in &mut self.fleet.followers {
            if follower.is_away() {
                follower.stay_away(Duration::ZERO);
            }
        }
        loop {
            self.turn()?;
            let settled = |member: &&Member| member.is_greeted && !member.is_registering;
            let there = self.members.iter().filter(settled).count();
            let stalls = |follower: &Follower| follower.stalls_until.is_some();
            if there == self.members.len() && !self.fleet.followers.iter().any(stalls) {
                return Ok(());
            }
            let share = there as f64 / self.members.len() as f64;
            progress.show("gathering", share, || format!("{there} clients"));
            if begun.elapsed() > PATIENCE {
                return Err(format!("only {there} clients came: see the server's log"));
            }
        }
    }

    fn turn(&mut self) -> Result<(), String> {
        let Soak {
            fleet,
            members,
            ledger,
            over,
            counts,
            ..
        } = self;
        let ready = fleet.turn(|number, heard| {
            let faults = counts.faults.len();
            members[number].hear(heard, counts, over);
            if let (0, Heard::Message { place, data }) = (number, heard) {
                ledger.record(place.sequence, data.user);
            }
            if let Some(fault) = counts.faults.get_mut(faults) {
                *fault = format!("client {number}: {fault}");
            }
        })?;
        if ready {
            self.by_udp.ready()?;
            self.by_lines.ready()?;
        }
        Ok(())
    }

    /// What is due by now.
    fn publish(&mut self, begun: Instant) -> Result<(), String> {
        let due = (begun.elapsed().as_secs_f64() * RATE as f64) as u64;
        for _ in 0..due.saturating_sub(self.counts.published).min(RATE) {
            let user = match self.random.below(TO_ALL) {
                0 => None,
                _ => Some(self.random.below(USERS) as u32),
            };
            self.publish_one(user)?;
        }
        Ok(())
    }

    fn publish_one(&mut self, user: Option<u32>) -> Result<(), String> {
        let filling = "x".repeat(self.random.below(LARGEST) as usize);
        let document = match user {
            None => format!(r#"{{"filling":"{filling}"}}"#),
            Some(user) => format!(r#"{{"user":{user},"filling":"{filling}"}}"#),
        };
        self.counts.published += 1;
        match self.counts.published % 2 {
            0 => self.by_udp.publish(document.as_bytes()),
            _ => self.by_lines.publish(document.as_bytes()),
        }
    }

    /// Clients do what comes to their minds; not the first, who is the witness.
    fn act(&mut self) -> Result<(), String> {
        let now = Instant::now();
        let Fleet {
            followers, random, ..
        } = &mut self.fleet;
        let everybody = followers.iter_mut().zip(&mut self.members).enumerate();
        for (number, (follower, member)) in everybody.skip(1) {
            if now < member.next || !member.is_greeted || follower.stalls_until.is_some() {
                continue;
            }
            member.next = now + random.up_to(CALM);
            match random.below(8) {
                // Away for a moment, or for so long that the history has gone on.
                0..=2 => {
                    follower.stay_away(random.up_to(Duration::from_secs(2)));
                    member.left();
                }
                3 => {
                    follower.stay_away(random.up_to(Duration::from_secs(25)));
                    member.left();
                }
                // Another page, which knows nothing.
                4 => {
                    follower.place = None;
                    follower.stay_away(random.up_to(Duration::from_secs(1)));
                    member.left();
                }
                5 => follower.stalls_until = Some(now + random.up_to(Duration::from_secs(20))),
                _ if !member.is_registering => {
                    member.user = random.below(USERS) as u32;
                    member.is_registering = true;
                    follower.query = self.tokens.query(number, member.user);
                    self.tokens.change(number, member.user, follower, random)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn judge(&mut self) {
        let (ledger, counts) = (&self.ledger, &mut self.counts);
        self.over.retain(|stretch| match ledger.judge(stretch) {
            None => true,
            Some(right) => {
                counts.judged += 1;
                counts.deliveries += stretch.heard.count;
                if !right {
                    counts
                        .faults
                        .push(format!("not what was for it: {stretch:?}"));
                }
                false
            }
        });
    }

    /// One last message reaches everybody; then all is judged.
    fn finish(&mut self) -> Result<(), String> {
        self.publish_one(None)?;
        let begun = Instant::now();
        let dropped = self.attacked.status()?["dropped_by_kernel"].as_u64();
        let dropped = dropped.unwrap_or(0);
        let all_came = |soak: &Soak<'_>| {
            let newest = soak.ledger.newest;
            let has = |member: &Member| member.stretch.is_some_and(|own| own.until >= newest);
            soak.ledger.count + dropped == soak.counts.published && soak.members.iter().all(has)
        };
        while !all_came(self) && begun.elapsed() < Duration::from_secs(20) {
            self.turn()?;
        }
        let lost = self.counts.published - dropped - self.ledger.count.min(self.counts.published);
        if lost > 0 {
            let fault =
                format!("{lost} messages reached nobody, {dropped} were dropped by the kernel");
            self.counts.faults.push(fault);
        }
        let stretches = self.members[1..].iter().filter_map(|member| member.stretch);
        self.over.extend(stretches);
        self.judge();
        for _ in self.over.drain(..) {
            self.counts
                .faults
                .push("nobody knows whether it heard all".to_owned());
        }
        Ok(())
    }
}
