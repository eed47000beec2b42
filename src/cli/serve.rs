//! `udpush serve`: from the settings to the end of the server.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::Failure;
use crate::config::{Config, Settings};
use crate::logging;
use crate::os;
use crate::server::{Event, Server};

/// Exit status after a second signal, as a shell tells of SIGINT.
const IMPATIENT: i32 = 130;

/// Signals this close to each other are one: timeout(1) and shells signal a process and its group.
const ONE_SIGNAL: Duration = Duration::from_millis(100);

/// Serves until a signal comes or something ends that must not. The log is to say what was `told`.
///
/// # Errors
/// One sentence that names the setting, address or path, and where it can, the remedy.
pub(super) fn run(
    settings: Settings,
    told: &[String],
    known_variables: &[OsString],
) -> Result<(), Failure> {
    let config = settings.check().map_err(untold)?;
    // Before the first thread: they inherit it.
    os::block_hangup().map_err(|error| Failure::Untold(format!("cannot block SIGHUP: {error}")))?;
    let logging = logging::start(&config.log, config.log_level).map_err(untold)?;
    introduce(told, &logging);
    warn_of_unknown_variables(known_variables);
    let outcome = serve(&config, logging.finished()).map_err(|reason| {
        log::error!("{reason}");
        match logging.is_on_stderr() && !logging.has_ended() {
            true => Failure::Told,
            false => Failure::Untold(reason),
        }
    });
    logging.finish();
    outcome
}

/// The first lines of each start: which program this is, what it was told, where its log is.
fn introduce(told: &[String], logging: &logging::Logging) {
    let told = match told {
        [] => "all settings are the defaults".to_owned(),
        told => format!("with {}", told.join(" ")),
    };
    log::info!("udpush {}, {told}", env!("CARGO_PKG_VERSION"));
    if let Some(path) = logging.path() {
        log::info!("log: {}", path.display());
    }
}

fn untold(error: impl Display) -> Failure {
    Failure::Untold(error.to_string())
}

/// A spelling mistake in a unit file should not go unnoticed.
fn warn_of_unknown_variables(known: &[OsString]) {
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"UDPUSH_") && !known.contains(&name) {
            let name = name.to_string_lossy();
            log::warn!(
                "{} is no setting: udpush --help lists them",
                name.escape_debug()
            );
        }
    }
}

fn serve(config: &Config, log_ended: &Receiver<()>) -> Result<(), String> {
    let (events, happened) = bounded(16);
    handle_signals(events.clone())?;
    let server = Server::start(config, events).map_err(|error| error.to_string())?;
    let mut hourly = server.hourly();
    let event = wait(&happened, log_ended, |is_due| {
        if is_due {
            server.tell_hour(&mut hourly);
        }
        hourly.wait()
    });
    server.stop();
    judge(event)
}

/// Until something happens that ends the server. `log_ended` is closed when the log's thread ends,
/// which comes before the others and has nobody else to tell. Meanwhile there is a line an
/// hour: `hour` writes it where it is due, and says when the next one is.
fn wait(
    happened: &Receiver<Event>,
    log_ended: &Receiver<()>,
    mut hour: impl FnMut(bool) -> Duration,
) -> Event {
    let mut left = hour(false);
    loop {
        select! {
            // The server holds a sender.
            recv(happened) -> event => return event.unwrap_or(Event::Ended("main")),
            recv(log_ended) -> _ => return Event::Ended("log"),
            default(left) => left = hour(true),
        }
    }
}

/// Whether a server that ended so did what it was told. One that lost a thread is better restarted
/// than deaf: its exit status says so.
fn judge(event: Event) -> Result<(), String> {
    match event {
        Event::Signal => {
            log::info!("stopped");
            Ok(())
        }
        Event::Ended(thread) => Err(format!("the {thread} thread ended by itself")),
    }
}

/// The first signal stops the server, the second ends the process at once.
fn handle_signals(events: Sender<Event>) -> Result<(), String> {
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || match first {
        None => {
            first = Some(Instant::now());
            let _ = events.try_send(Event::Signal);
        }
        Some(first) if first.elapsed() < ONE_SIGNAL => {}
        Some(_) => {
            log::warn!("a second signal: stopped at once");
            log::logger().flush();
            std::process::exit(IMPATIENT);
        }
    })
    .map_err(|error| format!("cannot handle signals: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_thread_that_ends_by_itself_ends_the_server_with_an_error_and_a_signal_does_not() {
        let (events, happened) = bounded(16);
        let (log, log_ended) = bounded(0);
        for (event, expected) in [
            (Event::Signal, Ok(())),
            (
                Event::Ended("udp"),
                Err("the udp thread ended by itself".to_owned()),
            ),
        ] {
            events.send(event).unwrap();
            assert_eq!(judge(wait(&happened, &log_ended, |_| HOUR)), expected);
        }
        // As its thread drops it, in a panic too.
        drop(log);
        let expected = Err("the log thread ended by itself".to_owned());
        assert_eq!(judge(wait(&happened, &log_ended, |_| HOUR)), expected);
    }
}
