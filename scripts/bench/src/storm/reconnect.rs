//! The server dies with thousands of pages connected, and is started again.

use std::time::{Duration, Instant};

use super::attacked::Attacked;
use super::fleet::Fleet;
use super::follower::{Follower, Heard, Place};
use super::table::Row;
use crate::progress::Progress;
use crate::publish::udp;
use crate::run::Meter;

/// Pages.
const PAGES: usize = 4000;
/// How long there is no server.
const DOWN: Duration = Duration::from_secs(1);
/// All are to be back by then.
pub(crate) const BACK_WITHIN: Duration = Duration::from_secs(35);
/// How long is pushed before, and after.
const AROUND: Duration = Duration::from_secs(2);
/// Between two messages.
const EVERY: Duration = Duration::from_millis(200);
/// Connecting for the first time takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one page knows: each message is the one after the last, or it was told.
#[derive(Clone, Debug, Default)]
struct Page {
    place: Option<Place>,
    greeted: Option<Instant>,
    told: bool,
    missed: u64,
}

impl Page {
    fn hear(&mut self, heard: &Heard) {
        match heard {
            Heard::Hello { place, resumed } => {
                let as_before = self.place.as_ref() == Some(place);
                match (&self.place, resumed) {
                    (None, _) => {}
                    (Some(_), Some(true)) if as_before => {}
                    (Some(_), Some(false)) => self.told = true,
                    // It may have missed something, and nobody says so.
                    _ => self.missed += 1,
                }
                self.greeted = Some(Instant::now());
                self.place = Some(place.clone());
            }
            Heard::Message { place, .. } => self.advance(place, 1),
            Heard::Heartbeat { place } => self.advance(place, 0),
            Heard::Lost => self.greeted = None,
        }
    }

    fn advance(&mut self, to: &Place, by: u64) {
        let follows = self
            .place
            .as_ref()
            .is_some_and(|place| place.epoch == to.epoch && place.sequence + by == to.sequence);
        self.missed += u64::from(!follows);
        self.place = Some(to.clone());
    }
}

/// Kills the server, starts it again, and waits until all pages are back.
pub(crate) fn run(
    attacked: &mut Attacked,
    scale: usize,
    progress: &mut Progress,
) -> Result<Row, String> {
    let count = (PAGES * scale / 100).max(1);
    let mut pages = vec![Page::default(); count];
    let now = Instant::now();
    let first = |number: usize| now + Duration::from_secs(1) * number as u32 / count as u32;
    let followers = (0..count).map(|number| Follower::new("page=1".to_owned(), first(number)));
    let mut fleet = Fleet::new(attacked.clients, followers.collect())?;
    let mut row = Row::new("reconnect");
    await_all(&mut fleet, &mut pages, "connecting", PATIENCE, progress)?;
    row.before = attacked.resources();
    push(&mut fleet, &mut pages, attacked)?;

    attacked.kill()?;
    turn_until(&mut fleet, &mut pages, Instant::now() + DOWN)?;
    fleet.attempts = 0;
    attacked.start_again()?;
    let (begun, meter) = (Instant::now(), Meter::start(attacked.process.as_ref()));
    await_all(
        &mut fleet,
        &mut pages,
        "coming back",
        2 * BACK_WITHIN,
        progress,
    )?;
    let spent = meter.stop(attacked.process.as_ref());
    let mut back: Vec<Duration> = pages
        .iter()
        .filter_map(|page| Some(page.greeted?.saturating_duration_since(begun)))
        .collect();
    back.sort_unstable();
    let at = |share: usize| back.get(back.len() * share / 100).or(back.last()).copied();
    let (half, most, last) = (at(50), at(99), at(100).unwrap_or_default());
    push(&mut fleet, &mut pages, attacked)?;

    row.after = attacked.resources();
    row.peak = row.after;
    row.cpu_under = spent.server.map(|server| 100.0 * server / spent.seconds);
    row.attempts = fleet.attempts;
    row.lost = pages.iter().map(|page| page.missed).sum();
    let told = pages.iter().filter(|page| page.told).count();
    row.note = format!(
        "{count} pages, down for {:.1} s; half of them back after {:.1} s, 99 % {:.1} s, all {:.1} s, \
         in {} attempts; {told} told that they missed something",
        DOWN.as_secs_f64(),
        half.unwrap_or_default().as_secs_f64(),
        most.unwrap_or_default().as_secs_f64(),
        last.as_secs_f64(),
        fleet.attempts
    );
    if last > BACK_WITHIN {
        row.fault(format!(
            "the last was back only after {:.1} s",
            last.as_secs_f64()
        ));
    }
    Ok(row)
}

fn await_all(
    fleet: &mut Fleet,
    pages: &mut [Page],
    what: &str,
    patience: Duration,
    progress: &mut Progress,
) -> Result<(), String> {
    let begun = Instant::now();
    while pages.iter().any(|page| page.greeted.is_none()) {
        fleet.turn(|number, heard| pages[number].hear(heard))?;
        let (open, all) = (fleet.open(), pages.len());
        progress.show(what, open as f64 / all as f64, || format!("{open} pages"));
        if begun.elapsed() > patience {
            return Err(format!(
                "only {open} of {all} pages are there: see the server's log"
            ));
        }
    }
    Ok(())
}

fn turn_until(fleet: &mut Fleet, pages: &mut [Page], end: Instant) -> Result<(), String> {
    while Instant::now() < end {
        fleet.turn(|number, heard| pages[number].hear(heard))?;
    }
    Ok(())
}

/// Pushes to all for a while, and lets the last of it arrive.
fn push(fleet: &mut Fleet, pages: &mut [Page], attacked: &Attacked) -> Result<(), String> {
    let socket = udp(attacked.publishers)?;
    let begun = Instant::now();
    while begun.elapsed() < AROUND {
        socket
            .send(br#"{"to":"all pages"}"#)
            .map_err(|error| format!("cannot publish: {error}"))?;
        turn_until(fleet, pages, Instant::now() + EVERY)?;
    }
    let place = |page: &Page| page.place.clone();
    let deadline = Instant::now() + PATIENCE;
    while pages.iter().any(|page| place(page) != place(&pages[0])) {
        turn_until(fleet, pages, Instant::now() + EVERY)?;
        if Instant::now() > deadline {
            return Err("not all pages have the last message".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_missed_unless_it_is_told() {
        let place = |sequence| Place {
            epoch: "a".into(),
            sequence,
        };
        let hello = |sequence, resumed| Heard::Hello {
            place: place(sequence),
            resumed,
        };
        let message = |sequence| Heard::Message {
            place: place(sequence),
            data: Default::default(),
        };
        for (heard, missed) in [
            (vec![hello(5, None), message(6), message(7)], 0),
            (vec![hello(5, None), message(7)], 1),
            (
                vec![
                    hello(5, None),
                    Heard::Lost,
                    hello(5, Some(true)),
                    message(6),
                ],
                0,
            ),
            (
                vec![
                    hello(5, None),
                    Heard::Lost,
                    hello(9, Some(false)),
                    message(10),
                ],
                0,
            ),
            (vec![hello(5, None), Heard::Lost, hello(6, Some(true))], 1),
            (vec![hello(5, None), Heard::Lost, hello(5, None)], 1),
            (
                vec![hello(5, None), Heard::Heartbeat { place: place(6) }],
                1,
            ),
        ] {
            let mut page = Page::default();
            heard.iter().for_each(|heard| page.hear(heard));
            assert_eq!(page.missed, missed, "{heard:?}");
        }
    }
}
