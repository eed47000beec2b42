//! Clients that read nothing, and large messages for each of them, until what waits for all of
//! them together passes its bound.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::connections::request;
use super::flood::lines;
use super::front::Front;
use crate::publish::cannot_send;

/// As in the server: what may wait for all clients together.
pub(crate) const BOUND: usize = 256 << 20;
/// Clients that are to be let alone, however many others go.
const LITTLE_BEHIND: usize = 50;
/// All of them.
const CLIENTS: usize = 450;
/// Bytes of a message.
const MESSAGE: usize = 60_000;
/// Messages for one of those who are little behind.
const FEW: usize = 8;
/// Messages for one of the others: at least, and at most; below the bound of one client.
const MANY: (usize, usize) = (20, 33);
/// Pushing all of it takes no longer, nor does reading.
const PATIENCE: Duration = Duration::from_secs(30);

struct Stuck {
    stream: TcpStream,
    due: usize,
    had: usize,
}

/// Says how many had to go, or that one had to who was little behind.
pub(super) fn readers(front: &Front) -> Result<String, String> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        front.attempted();
        clients.push(connect(front, number).map_err(|error| error.to_string())?);
    }
    let mut publisher = BufReader::new(lines(front)?);
    let mut publish = |number: usize| -> std::io::Result<()> {
        let filling = "x".repeat(MESSAGE);
        let line = format!("{{\"storm\":\"{number}\",\"filling\":\"{filling}\"}}\n");
        publisher.get_mut().write_all(line.as_bytes())?;
        publisher.read_line(&mut String::new())?;
        front.has_published();
        Ok(())
    };
    let begun = Instant::now();
    // In turns, so that those who shall have most are ahead all the time.
    let (least, most) = MANY;
    for turn in 1..=most {
        for (number, client) in clients.iter_mut().enumerate() {
            if begun.elapsed() > PATIENCE {
                return Err("the server takes too long for all these messages".to_owned());
            }
            let total = match number.checked_sub(LITTLE_BEHIND) {
                None => FEW,
                Some(far) => least + (most - least) * far / (CLIENTS - LITTLE_BEHIND - 1),
            };
            if client.due < total * turn / most {
                client.due += 1;
                publish(number).map_err(|error| cannot_send(front.publishers, &error))?;
            }
        }
    }
    for client in &mut clients {
        client.read_all().map_err(|error| error.to_string())?;
    }
    let gone = |client: &&Stuck| client.had < client.due;
    let behind = clients.iter().take(LITTLE_BEHIND).filter(gone).count();
    if behind > 0 {
        return Err(format!("{behind} had to go who were only a little behind"));
    }
    let away = clients.iter().filter(gone).count();
    for _ in 0..away {
        front.was_turned_away();
    }
    // Had they gone strictly by what waited, these would be the last ones.
    let last = clients.iter().rev().take(away).filter(gone).count();
    Ok(format!(
        "{away} of {CLIENTS} clients had to go, {last} of them from among the {away} furthest behind"
    ))
}

fn connect(front: &Front, number: usize) -> std::io::Result<Stuck> {
    let mut stream = TcpStream::connect(front.clients)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request(&format!("&storm={number}")))?;
    // The answer, and nothing of what follows.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(Stuck {
        stream,
        due: 0,
        had: 0,
    })
}

impl Stuck {
    /// All that is still to come: as much as was pushed, or the end.
    fn read_all(&mut self) -> std::io::Result<()> {
        let begun = Instant::now();
        let mut bytes = [0; 64 << 10];
        let mut count = 0;
        while begun.elapsed() < PATIENCE && count < self.due * MESSAGE {
            match self.stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => count += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            }
        }
        self.had = count / MESSAGE;
        Ok(())
    }
}
