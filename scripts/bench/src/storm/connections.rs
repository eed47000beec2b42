//! The attacks that are connections to the public side.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use super::crowd::{Manner, besiege};
use super::front::Front;
use crate::frames::client_frame;
use crate::os;

/// The beginning of a request that never ends.
const ENDLESS: &str = "GET / HTTP/1.1\r\nHost: storm\r\nX-Endless: ";

/// What the good clients hear is not for who has registered this.
pub(super) fn request(query: &str) -> Vec<u8> {
    format!(
        "GET /?bench=nothing{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A byte a second, of a request that never ends.
pub(super) fn drip(front: &Front) -> Result<String, String> {
    let size = front.scaled(2000);
    let manner = Manner {
        opening: Vec::new(),
        refrain: (ENDLESS.to_owned() + &"x".repeat(30_000)).into_bytes(),
        piece: 1,
        every: Duration::from_secs(1),
    };
    besiege(front, size, &[manner])?;
    Ok(format!("{size} connections; {}", told(front)))
}

/// Nothing at all.
pub(super) fn silence(front: &Front) -> Result<String, String> {
    let size = front.scaled(2000);
    besiege(front, size, &[Manner::once(Vec::new())])?;
    Ok(format!("{size} connections; {}", told(front)))
}

/// A frame that never ends.
pub(super) fn half_frames(front: &Front) -> Result<String, String> {
    let mut half = client_frame(1, &[b' '; 16_000]);
    half.truncate(1000);
    let opening = [request(""), half].concat();
    let ping = [request(""), vec![0x89]].concat();
    let size = front.scaled(200);
    besiege(front, size, &[Manner::once(opening), Manner::once(ping)])?;
    Ok(format!("{size} clients; {}", told(front)))
}

/// Pings: half of the clients as many as the server allows, the others as many as they can.
pub(super) fn pings(front: &Front) -> Result<String, String> {
    flood(front, &client_frame(9, b"storm"), 1, 80)
}

/// The same with registrations, each another one.
pub(super) fn registrations(front: &Front) -> Result<String, String> {
    const DIFFERENT: u64 = 60;
    let frames = (0..DIFFERENT).map(|number| {
        let text = format!(r#"{{"bench":"nothing","user":"{number}"}}"#);
        client_frame(1, text.as_bytes())
    });
    // All of the same length, so that a piece is a frame.
    let length = client_frame(1, br#"{"bench":"nothing","user":"10"}"#).len();
    let frames: Vec<u8> = frames
        .filter(|frame| frame.len() == length)
        .flatten()
        .collect();
    flood(front, &frames, frames.len() / length, 18)
}

/// The same with frames that say nothing to the server.
pub(super) fn ignored_frames(front: &Front) -> Result<String, String> {
    flood(front, &client_frame(1, b"hello, server"), 1, 80)
}

/// Of `frames`, which are so `many` of one length: half of the clients send `allowed` a second.
fn flood(front: &Front, frames: &[u8], many: usize, allowed: u32) -> Result<String, String> {
    let size = front.scaled(200);
    let within = Manner {
        opening: request(""),
        refrain: frames.to_vec(),
        piece: frames.len() / many,
        every: Duration::from_secs(1) / allowed,
    };
    let refrain = frames.repeat(6000 / frames.len() + 1);
    let beyond = Manner {
        opening: request(""),
        piece: refrain.len(),
        refrain,
        every: Duration::ZERO,
    };
    besiege(front, size, &[within, beyond])?;
    Ok(format!("{size} clients; {}", told(front)))
}

fn told(front: &Front) -> String {
    format!(
        "came {} times, turned away {}",
        front.attempts(),
        front.turned_away()
    )
}

/// Connections that hang up in the middle of the request, as fast as they can.
pub(super) fn hang_ups(front: &Front) -> Result<String, String> {
    /// What the kernel has not connected yet waits here, and is hung up on all the same.
    const PENDING: usize = 512;
    let mut pending: Vec<TcpStream> = Vec::new();
    let begun = Instant::now();
    while !front.is_over() {
        match os::start_connecting(front.clients) {
            Ok((stream, established)) => {
                front.attempted();
                // A reset, most of them: a place in the table of ports is free at once then.
                let number = front.attempts();
                if !number.is_multiple_of(8) {
                    let reset = linger {
                        l_onoff: 1,
                        l_linger: 0,
                    };
                    let _ = setsockopt(&stream, sockopt::Linger, &reset);
                }
                let _ = os::send_now(&stream, &ENDLESS.as_bytes()[..number as usize % 40]);
                if !established {
                    pending.push(stream);
                }
            }
            // Out of ports for a moment.
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        if pending.len() >= PENDING {
            std::thread::sleep(Duration::from_millis(1));
            pending.clear();
        }
    }
    let rate = front.attempts() as f64 / begun.elapsed().as_secs_f64();
    Ok(format!("{rate:.0} a second"))
}
