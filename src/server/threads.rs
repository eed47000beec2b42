//! Threads that must not end: when one does, by a panic too, the process is to know.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::Sender;

use super::error::StartError;

/// Something that the process must know of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// It is asked to stop.
    Signal,
    /// A thread has ended that must not.
    Ended(&'static str),
}

/// Starts a thread whose end, by a panic too, is an event.
pub(super) fn start(
    name: &'static str,
    events: &Sender<Event>,
    body: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    struct Tell(&'static str, Sender<Event>);
    impl Drop for Tell {
        fn drop(&mut self) {
            // Nobody listens when the server stops already.
            let _ = self.1.try_send(Event::Ended(self.0));
        }
    }
    let tell = Tell(name, events.clone());
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _tell = tell;
            if let Err(error) = body() {
                log::error!("{name}: {error}");
            }
        })
        .map_err(|error| StartError::Thread { name, error })
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    #[test]
    fn however_a_thread_ends_that_is_told() {
        type Body = fn() -> io::Result<()>;
        let (events, happened) = bounded(10);
        let bodies: [(_, Body); 3] = [
            ("returns", || Ok(())),
            ("fails", || Err(io::ErrorKind::OutOfMemory.into())),
            ("panics", || panic!("on purpose")),
        ];
        for (name, body) in bodies {
            let _ = start(name, &events, body).unwrap().join();
            let event = happened.try_recv();
            assert!(
                matches!(event, Ok(Event::Ended(thread)) if thread == name),
                "{name}: {event:?}"
            );
        }
    }
}
