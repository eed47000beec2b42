//! `udpush serve`: from the settings to the end of the server.

use crossbeam_channel::{Sender, bounded};

use crate::config::Settings;
use crate::logging;
use crate::os;
use crate::server::{Event, Server};

/// Exit status after a second signal, as a shell tells of SIGINT.
const IMPATIENT: i32 = 130;

/// Serves until a signal comes or something ends that must not.
///
/// # Errors
/// One sentence that names the setting, address or path, and where it can, the remedy.
pub(super) fn run(settings: Settings) -> Result<(), String> {
    let config = settings.check()?;
    // Before the first thread: they inherit it.
    os::block_hangup().map_err(|error| format!("cannot block SIGHUP: {error}"))?;
    let logging = logging::start(&config.log, config.log_level)?;
    let outcome = serve(&config);
    if let Err(reason) = &outcome {
        log::error!("{reason}");
    }
    logging.finish();
    outcome
}

fn serve(config: &crate::config::Config) -> Result<(), String> {
    let (events, happened) = bounded(16);
    handle_signals(events.clone())?;
    let server = Server::start(config, events)?;
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
    let mut signals = 0;
    ctrlc::set_handler(move || {
        signals += 1;
        if signals > 1 {
            std::process::exit(IMPATIENT);
        }
        let _ = events.try_send(Event::Signal);
    })
    .map_err(|error| format!("cannot handle signals: {error}"))
}
