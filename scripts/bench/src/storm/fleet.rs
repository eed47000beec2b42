//! Many followers on one thread, and one wait for all of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::follower::{Follower, Heard};
use super::random::Random;
use crate::os::Readable;
use crate::publish::Publisher;

/// How often all clocks are looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) readable: Readable,
    pub(crate) followers: Vec<Follower>,
    pub(crate) random: Random,
    /// Connections that were begun.
    pub(crate) attempts: u64,
    server: SocketAddr,
    glanced: Instant,
    heard: Vec<Heard>,
}

impl Fleet {
    pub(crate) fn new(server: SocketAddr, followers: Vec<Follower>) -> Result<Self, String> {
        Ok(Fleet {
            readable: Readable::new().map_err(|error| format!("cannot use epoll: {error}"))?,
            followers,
            random: Random(u64::from(std::process::id())),
            attempts: 0,
            server,
            glanced: Instant::now(),
            heard: Vec::new(),
        })
    }

    pub(crate) fn open(&self) -> usize {
        let open = |follower: &&Follower| follower.is_open();
        self.followers.iter().filter(open).count()
    }

    /// Waits a little for what comes, and hands it out with the follower's number. True when a
    /// publisher that is watched, too, is ready.
    pub(crate) fn turn(&mut self, mut hear: impl FnMut(usize, &Heard)) -> Result<bool, String> {
        let found = self.readable.wait(GLANCE);
        let found = found.map_err(|error| format!("cannot wait: {error}"))?;
        let mut is_publisher_ready = false;
        for index in 0..found {
            match self.readable.get(index).token {
                Publisher::TOKEN => is_publisher_ready = true,
                token => self.read(token as usize, &mut hear)?,
            }
        }
        let now = Instant::now();
        if now - self.glanced >= GLANCE {
            self.glanced = now;
            self.look_at_the_clock(now, &mut hear)?;
        }
        Ok(is_publisher_ready)
    }

    fn look_at_the_clock(
        &mut self,
        now: Instant,
        hear: &mut impl FnMut(usize, &Heard),
    ) -> Result<(), String> {
        for number in 0..self.followers.len() {
            let follower = &mut self.followers[number];
            if follower.stalls_until.is_some_and(|until| now >= until) {
                follower.stalls_until = None;
                self.read(number, hear)?;
                continue;
            }
            let (token, readable) = (number as u64, &self.readable);
            let tried =
                follower.look_at_the_clock(now, self.server, token, readable, &mut self.random);
            self.attempts += u64::from(tried);
        }
        Ok(())
    }

    fn read(&mut self, number: usize, hear: &mut impl FnMut(usize, &Heard)) -> Result<(), String> {
        self.heard.clear();
        self.followers[number].hear(&mut self.random, &mut self.heard)?;
        for heard in &self.heard {
            hear(number, heard);
        }
        Ok(())
    }
}
