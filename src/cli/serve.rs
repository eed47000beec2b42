//! `udpush serve`: from the settings to the end of the server.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

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
    let outcome = serve(&config).map_err(|reason| {
        log::error!("{reason}");
        match logging.is_on_stderr() {
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

fn serve(config: &Config) -> Result<(), String> {
    let (events, happened) = bounded(16);
    handle_signals(events.clone())?;
    let server = Server::start(config, events).map_err(|error| error.to_string())?;
    let event = happened.recv();
    server.stop();
    match event {
        Ok(Event::Signal) => {
            log::info!("stopped");
            Ok(())
        }
        Ok(Event::Ended(thread)) => Err(format!("the {thread} thread ended by itself")),
        // The server holds a sender.
        Err(_) => Err("nobody is left to tell what happens".to_owned()),
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
