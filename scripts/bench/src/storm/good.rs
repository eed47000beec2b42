//! The good clients: they hear a steady stream, in calm, under an attack, and after it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Attack;
use super::attacked::Attacked;
use super::flood::{self, Drops};
use super::front::{Front, step_back};
use super::table::{Row, Times};
use super::{connections, stuck};
use crate::clients::{Clients, Dialect, Target};
use crate::frames::Document;
use crate::generator::Generator;
use crate::plan::{End, Mode, Plan};
use crate::progress::Progress;
use crate::publish::Route;
use crate::run::Meter;
use crate::server_stats::Resources;
use crate::tally::Tally;

/// Good clients.
const GOOD: u32 = 100;
/// Messages that they hear a second.
const RATE: u32 = 200;
/// Bytes of each.
const SIZE: usize = 128;
/// How long is pushed before anything is measured, and after the attack.
const AROUND: Duration = Duration::from_millis(500);
/// Looking at the server more often would slow it down.
const LOOK: Duration = Duration::from_millis(200);
/// After a flood all is to be as before so much later.
const RIGHT_AGAIN: Duration = Duration::from_secs(1);

/// They hear what is for everybody, and nothing that attackers are sent.
fn plan(clients: SocketAddr, route: Route, time: Duration) -> Plan {
    Plan {
        target: Target {
            address: clients,
            path: "/?storm=good".to_owned(),
            protocol: Some("udpush.v1".to_owned()),
            register: None,
            // {"type":"message",…,"data":<the document>}
            dialect: Dialect::Frames { after: 1 },
        },
        route,
        clients: GOOD,
        mode: Mode::Rate(RATE),
        size: SIZE,
        end: End::After(time),
        warm_up: AROUND,
        pid: None,
    }
}

fn connect(plan: &Plan) -> Result<Generator<'_>, String> {
    let document = Document::new(std::process::id(), plan.size, None);
    let mut tally = Tally::new();
    let mut clients = Clients::new(plan.target.clone(), document, Instant::now())?;
    clients.connect(plan.clients as usize, &mut tally, |_| {})?;
    let mut generator = Generator::new(plan, clients, tally, Progress::new())?;
    generator.first_message()?;
    generator.push(End::After(plan.warm_up), "warming up")?;
    Ok(generator)
}

/// Listens for so long in calm, and for so long under the attack.
pub(super) fn listen_under(
    attack: Attack,
    attacked: &Attacked,
    bystander: Option<&Attacked>,
    scale: usize,
    time: Duration,
) -> Result<Row, String> {
    // What the kernel drops in a flood is no fault of the server: then the good ones hear what came by TCP.
    let route = match attack {
        Attack::Flood => Route::Lines(attacked.publishers),
        _ => Route::Udp(attacked.publishers),
    };
    let plan = plan(attacked.clients, route, time);
    let mut good = connect(&plan)?;
    let beside = bystander.map(|server| beside(server, time));
    let mut others = beside.as_ref().map(connect).transpose()?;
    let mut row = Row::new(attack.name());
    let drops = Drops::now(attacked)?;
    let refused = attacked.refused()?;
    let intake = attacked.intake()?;
    let mut sent = 0;
    row.before = attacked.resources();
    row.cpu_calm = measured(attacked, || {
        both(&mut good, &mut others, &mut row, plan.end, "calm")
    })?;
    let calm_beside = others.as_ref().and_then(times);
    sent += good.tally.counts.messages;
    row.calm = times(&good);

    let front = Front::new(attacked.clients, attacked.publishers, scale);
    row.peak = row.before;
    row.cpu_under = measured(attacked, || {
        let (note, peak) = under(attack, attacked, &front, || {
            both(&mut good, &mut others, &mut row, plan.end, attack.name())
        })?;
        row.peak = row.peak.max(peak);
        match note {
            Ok(note) => row.note = note,
            Err(fault) => row.fault(fault),
        }
        Ok(())
    })?;
    row.under = times(&good);
    if let (Some(calm), Some(under)) = (calm_beside, others.as_ref().and_then(times)) {
        let (calm, under) = (calm.p99_ms, under.p99_ms);
        let ratio = under / calm;
        row.note += &format!(
            "; p99 at the server that nobody attacked {calm:.2} → {under:.2}, {ratio:.1}×"
        );
    }
    sent += good.tally.counts.messages;
    row.attempts = front.attempts();
    if attack == Attack::Flood {
        after_flood(attacked, drops, &mut row)?;
    }
    row.after = attacked.await_the_end_of_connections(row.before);
    part(&mut good, &mut row, End::After(AROUND), "after")?;
    sent += good.tally.counts.messages;
    if attack != Attack::Flood {
        forgive_the_kernel(attacked, intake, sent + front.published(), &mut row)?;
    }
    row.refused = attacked.refused()? - refused;
    judge(attack, &good, &mut row);
    Ok(row)
}

/// The same clients at another server.
fn beside(server: &Attacked, time: Duration) -> Plan {
    plan(server.clients, Route::Udp(server.publishers), time)
}

fn times(good: &Generator<'_>) -> Option<Times> {
    Times::of(&good.tally.to_delivery)
}

/// The same for those at the other server, at the same time; what they miss is nobody's fault.
fn both(
    good: &mut Generator<'_>,
    others: &mut Option<Generator<'_>>,
    row: &mut Row,
    end: End,
    what: &str,
) -> Result<(), String> {
    thread::scope(|scope| {
        let others = others.as_mut();
        let others = others.map(|others| scope.spawn(move || others.push(end, "beside")));
        let outcome = part(good, row, end, what);
        let others = others.map(|others| others.join());
        if let Some(Ok(Err(error))) = others {
            return Err(error);
        }
        outcome
    })
}

/// What the server spent meanwhile, in per cent of a core.
fn measured(
    attacked: &Attacked,
    what: impl FnOnce() -> Result<(), String>,
) -> Result<Option<f64>, String> {
    let meter = Meter::start(attacked.process.as_ref());
    what()?;
    let spent = meter.stop(attacked.process.as_ref());
    Ok(spent.server.map(|server| 100.0 * server / spent.seconds))
}

/// Pushes for so long; what does not come as it should counts.
fn part(good: &mut Generator<'_>, row: &mut Row, end: End, what: &str) -> Result<(), String> {
    good.push(end, what)?;
    let counts = good.tally.counts;
    let missing = counts.expected.saturating_sub(counts.deliveries);
    row.lost += missing + counts.out_of_order + counts.doubled;
    Ok(())
}

/// Does something while the attack goes on, and looks at the server. What the attack came to, and
/// what the server needed at most.
fn under(
    attack: Attack,
    attacked: &Attacked,
    front: &Front,
    meanwhile: impl FnOnce() -> Result<(), String>,
) -> Result<(Result<String, String>, Resources), String> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut peak = Resources::default();
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(attacked.resources());
                thread::sleep(LOOK);
            }
            peak
        });
        let attacking = scope.spawn(|| {
            step_back();
            begin(attack, attacked, front)
        });
        let outcome = meanwhile();
        front.end();
        let note = attacking.join();
        over.store(true, Ordering::Relaxed);
        let peak = looking.join();
        outcome?;
        let panicked = |_| "a thread of this program panicked".to_owned();
        Ok((note.map_err(panicked)?, peak.map_err(panicked)?))
    })
}

fn begin(attack: Attack, attacked: &Attacked, front: &Front) -> Result<String, String> {
    match attack {
        Attack::Drip => connections::drip(front),
        Attack::Silence => connections::silence(front),
        Attack::HangUps => connections::hang_ups(front),
        Attack::Pings => connections::pings(front),
        Attack::Registrations => connections::registrations(front),
        Attack::Frames => connections::ignored_frames(front),
        Attack::HalfFrames => connections::half_frames(front),
        Attack::Flood => flood::datagrams(front, attacked),
        Attack::Stuck => stuck::readers(front),
        Attack::Reconnect => Err("this is none that good clients listen under".to_owned()),
    }
}

/// A second later datagrams reach everybody again, and what was dropped is told.
fn after_flood(attacked: &Attacked, drops: Drops, row: &mut Row) -> Result<(), String> {
    thread::sleep(RIGHT_AGAIN);
    let plan = plan(attacked.clients, Route::Udp(attacked.publishers), AROUND);
    let mut again = connect(&plan)?;
    part(&mut again, row, plan.end, "after")?;
    if let Some(times) = times(&again) {
        row.note += &format!("; a second later p99 {:.2} ms", times.p99_ms);
    }
    match drops.since(attacked) {
        Ok(told) => row.note += &format!("; {told}"),
        Err(fault) => row.fault(fault),
    }
    Ok(())
}

/// What the server never had is not its loss: the kernel drops datagrams before it, when packets come
/// by the thousand. There are as many of them as it has published too few.
fn forgive_the_kernel(
    attacked: &Attacked,
    (published, dropped): (u64, u64),
    sent: u64,
    row: &mut Row,
) -> Result<(), String> {
    let (now_published, now_dropped) = attacked.intake()?;
    let missing = sent.saturating_sub(now_published - published);
    if missing == 0 {
        return Ok(());
    }
    if missing > now_dropped - dropped {
        row.fault(format!("{missing} messages were not published"));
        return Ok(());
    }
    row.lost = row.lost.saturating_sub(missing * u64::from(GOOD));
    row.note += &format!("; the kernel dropped {missing} of {sent} messages");
    Ok(())
}

fn judge(attack: Attack, good: &Generator<'_>, row: &mut Row) {
    if row.lost > 0 {
        row.fault(format!(
            "{} deliveries were lost, late or doubled",
            row.lost
        ));
    }
    for (reason, count) in &good.clients.closed {
        row.fault(format!("{count} good clients were closed: {reason}"));
    }
    if let Some(what) = row.after.has_more_connections(row.before) {
        row.fault(what);
    }
    if attack == Attack::Stuck && row.peak.rss_bytes > 0 {
        let ratio = row.peak.rss_bytes as f64 / stuck::BOUND as f64;
        row.note += &format!("; RSS was {ratio:.2} times the bound");
        if ratio > 1.5 {
            row.fault("RSS was more than 1.5 times the bound".to_owned());
        }
    }
}
