//! Messages flat out, without clients: how fast the server takes them, whatever way they come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::clients::Connected;
use crate::frames::Document;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::publish::{Route, Stream, cannot_send, udp};
use crate::report::{Intake, Report};
use crate::run::Meter;
use crate::server_stats::{Server, udp_port};

/// What still waits at a port is waited for no longer than this.
const LAST_DATAGRAM: Duration = Duration::from_secs(15);

/// Publishes so many.
pub(crate) fn run(plan: &Plan, messages: u32, server: Option<Server>) -> Result<Report, String> {
    let to = plan.route.address();
    let connected = Connected {
        clients: 0,
        time: Duration::ZERO,
    };
    let before = server.as_ref().map(Server::memory);
    let mut report = Report::new(plan, to, connected, server.as_ref(), before);
    let mut progress = Progress::new();
    let document = Document::new(std::process::id(), plan.size, None);
    // The document is the same but for its number, and only once in a while: the sender is to be
    // fast.
    let write = |sequence: u32, text: &mut Vec<u8>| {
        if sequence.is_multiple_of(1024) {
            document.write(sequence, None, text);
            let share = f64::from(sequence) / f64::from(messages);
            progress.show("sending", share, || format!("{sequence} messages"));
        }
    };
    let drops = udp_port(to.port());
    let meter = Meter::start(server.as_ref());
    let begun = Instant::now();
    let is_udp = matches!(plan.route, Route::Udp(_));
    match is_udp {
        true => datagrams(to, messages, write)?,
        false => Stream::connect(&plan.route)?.flat_out(messages, write)?,
    }
    let seconds = begun.elapsed().as_secs_f64();
    if is_udp {
        await_last(to);
    }
    let spent = meter.stop(server.as_ref());
    let dropped = || Some(udp_port(to.port())?.drops.saturating_sub(drops?.drops));
    report.intake = Some(Intake {
        messages,
        seconds,
        messages_per_second: f64::from(messages) / seconds,
        dropped: match is_udp {
            true => server.as_ref().and_then(|_| dropped()),
            false => Some(0),
        },
    });
    report.finish(spent, u64::from(messages), server.as_ref());
    Ok(report)
}

/// Whether all were taken, the kernel tells: what it dropped at the port.
fn datagrams(
    to: SocketAddr,
    count: u32,
    mut write: impl FnMut(u32, &mut Vec<u8>),
) -> Result<(), String> {
    let socket = udp(to)?;
    let mut text = Vec::new();
    for sequence in 0..count {
        write(sequence, &mut text);
        socket
            .send(&text)
            .map_err(|error| cannot_send(to, &error))?;
    }
    Ok(())
}

/// What still waits at the port is not lost yet.
fn await_last(to: SocketAddr) {
    let draining = Instant::now();
    while udp_port(to.port()).is_some_and(|port| port.waiting > 0)
        && draining.elapsed() < LAST_DATAGRAM
    {
        std::thread::sleep(Duration::from_millis(5));
    }
}
