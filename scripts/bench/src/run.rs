//! The modes: what is sent when, until when, and what is looked at before and after.

use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::frames::Document;
use crate::generator::{GLANCE, Generator};
use crate::intake;
use crate::os;
use crate::plan::{End, Mode, Plan};
use crate::progress::Progress;
use crate::publish::Route;
use crate::report::{Idle, Pushed, Report, Spent};
use crate::server_stats::{Server, Table};
use crate::tally::Tally;

/// Descriptors beside the clients' own.
const OTHER_FILES: u64 = 64;

/// Does what the plan says.
pub(crate) fn run(plan: &Plan) -> Result<Report, String> {
    let publish = plan.route.address();
    let (address, table) = match plan.mode {
        Mode::Intake(_) => match plan.route {
            Route::Udp(_) => (publish, Table::Udp),
            _ => (publish, Table::Tcp),
        },
        _ => (plan.target.address, Table::Tcp),
    };
    let server = match plan.pid {
        Some(pid) => Some(Server::with_pid(pid)?),
        None => Server::find(address, table),
    };
    if let Mode::Intake(messages) = plan.mode {
        return intake::run(plan, messages, server);
    }
    let wanted = u64::from(plan.clients) + OTHER_FILES;
    let allowed = os::raise_descriptor_limit(wanted)
        .map_err(|error| format!("cannot ask for {wanted} open files: {error}"))?;
    if allowed < wanted {
        return Err(format!(
            "{} clients need {wanted} open files, {allowed} are allowed here: raise \
             ulimit -n, or run as root",
            plan.clients
        ));
    }

    let before = server.as_ref().map(Server::memory);
    let mut progress = Progress::new();
    // Uniqueness on one machine is enough: nobody else's run may be mistaken for this one.
    let tag = std::process::id()
        ^ (std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .subsec_nanos()
            << 8);
    let document = Document::new(tag, plan.size, plan.target.register.clone());
    let mut tally = Tally::new();
    let mut clients = Clients::new(plan.target.clone(), document, Instant::now())?;
    let connected = clients.connect(plan.clients as usize, &mut tally, |open| {
        progress.show("connecting", open as f64 / f64::from(plan.clients), || {
            format!("{open} clients")
        });
    })?;
    let mut report = Report::new(plan, publish, connected, server.as_ref(), before);

    if let Mode::Idle(time) = plan.mode {
        let (spent, seconds) = idle(
            &mut clients,
            &mut tally,
            server.as_ref(),
            time,
            &mut progress,
        )?;
        report.idle = Some(Idle {
            seconds,
            closed: clients.closed.clone(),
        });
        report.finish(spent, 0, server.as_ref());
        return Ok(report);
    }

    let mut generator = Generator::new(plan, clients, tally, progress)?;
    generator.first_message()?;
    if !plan.warm_up.is_zero() {
        generator.push(End::After(plan.warm_up), "warming up")?;
    }
    let meter = Meter::start(server.as_ref());
    let part = generator.push(plan.end, "measuring")?;
    let spent = meter.stop(server.as_ref());
    let closed = &generator.clients.closed;
    report.pushed = Some(Pushed::new(plan, &generator.tally, part, closed));
    report.finish(spent, generator.tally.counts.deliveries, server.as_ref());
    Ok(report)
}

/// Processor time and time, from `start` to `stop`.
pub(crate) struct Meter {
    begun: Instant,
    own: Option<Duration>,
    server: Option<Duration>,
}

impl Meter {
    pub(crate) fn start(server: Option<&Server>) -> Self {
        Meter {
            own: os::own_processor_time().ok(),
            server: server.and_then(Server::processor_time),
            begun: Instant::now(),
        }
    }

    pub(crate) fn stop(self, server: Option<&Server>) -> Spent {
        let seconds = self.begun.elapsed().as_secs_f64();
        let difference = |after: Option<Duration>, before: Option<Duration>| {
            Some(after?.saturating_sub(before?).as_secs_f64())
        };
        Spent {
            seconds,
            server: difference(server.and_then(Server::processor_time), self.server),
            own: difference(os::own_processor_time().ok(), self.own),
        }
    }
}

/// Holds the clients, answers pings, and measures what the server spends on them.
fn idle(
    clients: &mut Clients,
    tally: &mut Tally,
    server: Option<&Server>,
    time: Duration,
    progress: &mut Progress,
) -> Result<(Spent, f64), String> {
    let mut hold = |time: Duration, what: &str| -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            let timeout = time.saturating_sub(begun.elapsed()).min(GLANCE);
            let found = clients
                .readable
                .wait(timeout)
                .map_err(|error| format!("cannot wait: {error}"))?;
            for index in 0..found {
                let ready = clients.readable.get(index);
                clients.read(ready, tally)?;
            }
            let share = begun.elapsed().as_secs_f64() / time.as_secs_f64();
            progress.show(what, share, || format!("{} clients", clients.open()));
        }
        Ok(())
    };
    // What connecting has stirred up is not idleness.
    hold(Duration::from_secs(1), "settling")?;
    let meter = Meter::start(server);
    hold(time, "idle")?;
    let spent = meter.stop(server);
    let seconds = spent.seconds;
    Ok((spent, seconds))
}
