//! More datagrams than the server takes, and more to read than clients take.

use std::net::{TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::attacked::Attacked;
use super::front::Front;
use crate::publish::{cannot_send, udp};
use crate::server_stats::udp_port;

/// Documents in a datagram: one costs the server much more than the sender.
const DOCUMENTS: usize = 400;
/// How long is found out what the server takes.
const TRIAL: Duration = Duration::from_secs(1);
/// How many times as much is sent then.
const TIMES: f64 = 10.0;
/// Datagrams sent at one look at the clock.
const BATCH: u64 = 16;
/// What was dropped is told in the log a little later.
const TOLD: Duration = Duration::from_secs(5);

/// What was counted before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drops {
    kernel: u64,
    status: u64,
    log: u64,
}

impl Drops {
    pub(crate) fn now(attacked: &Attacked) -> Result<Self, String> {
        let status = attacked.status()?;
        Ok(Drops {
            kernel: udp_port(attacked.publishers.port()).map_or(0, |port| port.drops),
            status: status["dropped_by_kernel"].as_u64().unwrap_or(0),
            log: attacked.log().map_or(0, |log| told(&log)),
        })
    }

    /// What was dropped since, or that the three do not agree.
    pub(crate) fn since(self, attacked: &Attacked) -> Result<String, String> {
        let begun = Instant::now();
        loop {
            let now = Drops::now(attacked)?;
            let kernel = now.kernel - self.kernel;
            let (status, log) = (now.status - self.status, now.log.saturating_sub(self.log));
            let all_told = status == kernel && (log == kernel || attacked.log().is_none());
            if all_told {
                return Ok(format!(
                    "the kernel dropped {kernel} datagrams, all of them told"
                ));
            }
            if begun.elapsed() > TOLD {
                return Err(format!(
                    "the kernel dropped {kernel} datagrams, /status tells {status}, the log {log}"
                ));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What the log tells of drops, in all.
fn told(log: &str) -> u64 {
    let counts = log.lines().filter_map(|line| {
        let (_, count) = line.split_once("the kernel dropped ")?;
        count
            .split(' ')
            .next()?
            .replace(',', "")
            .parse::<u64>()
            .ok()
    });
    counts.sum()
}

/// Datagrams that are for nobody: first as many as the server takes, then ten times as many.
pub(super) fn datagrams(front: &Front, attacked: &Attacked) -> Result<String, String> {
    let socket = udp(front.publishers)?;
    let document = "{\"storm\":\"flood\"}\n";
    let datagram = document.repeat(DOCUMENTS);
    let messages = || -> Result<u64, String> {
        let status = attacked.status()?;
        Ok(status["messages"]["since_start"].as_u64().unwrap_or(0))
    };
    let before = messages()?;
    let trial = Instant::now();
    let tried = send(front, &socket, datagram.as_bytes(), f64::INFINITY, TRIAL)?;
    let taken = (messages()? - before) as f64 / DOCUMENTS as f64 / trial.elapsed().as_secs_f64();
    let flood = Instant::now();
    let forever = Duration::from_secs(86_400);
    let sent = send(front, &socket, datagram.as_bytes(), TIMES * taken, forever)?;
    let rate = sent as f64 / flood.elapsed().as_secs_f64();
    Ok(format!(
        "takes {taken:.0} datagrams of {DOCUMENTS} documents a second (of {:.0}), got {:.1} times as many",
        tried as f64 / TRIAL.as_secs_f64(),
        rate / taken
    ))
}

/// At this rate, for so long; says how many.
fn send(
    front: &Front,
    socket: &UdpSocket,
    datagram: &[u8],
    rate: f64,
    time: Duration,
) -> Result<u64, String> {
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < time && !front.is_over() {
        for _ in 0..BATCH {
            socket
                .send(datagram)
                .map_err(|error| cannot_send(front.publishers, &error))?;
            front.attempted();
        }
        sent += BATCH;
        let due = Duration::from_secs_f64(sent as f64 / rate);
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(sent)
}

/// A stream to publish by lines, each after the answer to the one before.
pub(super) fn lines(front: &Front) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(front.publishers).and_then(|stream| {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    });
    stream.map_err(|error| cannot_send(front.publishers, &error))
}
