//! Binds everything, owns the threads, starts and stops them in order.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::capacity::Capacity;
use crate::client::accept::Clients;
use crate::config::{Config, PUBLISH_PORT, Publish, UdpReply};
use crate::hub::workers::Workers;
use crate::hub::{self, Hub};
use crate::intake::reply::Replies;
use crate::intake::udp::Intake;
use crate::mailbox::parcel::Memory;
use crate::os::{self, Waker};
use crate::sequencer;
use crate::web::Site;
use crate::words::plural;

/// A client's bytes in the kernel at most: a stuck one must not hold 4 MB there.
const SEND_BUFFER: usize = 256 << 10;

/// What the receive buffer should hold; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long clients may take to leave when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// Something that the process must know of.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// It is asked to stop.
    Signal,
    /// A thread has ended that must not.
    Ended(&'static str),
}

/// A running server. [`stop`](Server::stop) ends it in order.
#[derive(Debug)]
pub struct Server {
    listener: Arc<TcpListener>,
    clients: Arc<Clients>,
    hub: Arc<Hub>,
    /// Wakes the intake.
    waker: Arc<Waker>,
    /// Closing these is the order to stop.
    stop_accepting: Sender<()>,
    stop_intake: Sender<()>,
    accepting: JoinHandle<()>,
    intake: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Binds all sockets, says so in the log, and starts the threads. `events` hears when one of
    /// them ends by itself.
    ///
    /// # Errors
    /// One sentence that names the address and the remedy.
    pub fn start(config: &Config, events: Sender<Event>) -> Result<Server, String> {
        let listener = bind_listener(config)?;
        let sockets = bind_publishers(&config.publish)?;
        let capacity = Capacity::find_out(config.hub.max_clients, config.workers);
        announce(&listener, &sockets).map_err(|error| error.to_string())?;

        let memory = Arc::new(Memory::default());
        let waker = Arc::new(Waker::new().map_err(|error| format!("no waker: {error}"))?);
        let (workers, worker_ends) = Workers::new(config.workers, Arc::clone(&waker));
        let settings = hub::Settings {
            max_clients: capacity.clients,
            ..config.hub.clone()
        };
        let sequencer = sequencer::Memory::default();
        let newest = sequencer.newest();
        let hub = Arc::new(Hub::new(settings, newest, Arc::clone(&memory), workers));
        let bound = sockets.iter().filter_map(|s| s.local_addr().ok());
        let bound: Vec<_> = bound.collect();
        let (limits, site) = (config.limits, Site::new(&bound));
        let clients = Clients::new(Arc::clone(&hub), site, limits, memory, capacity.bounds);
        let clients = Arc::new(clients);
        let ports = bound.iter().map(SocketAddr::port).chain([PUBLISH_PORT]);
        let replies = Replies::new(config.udp_reply == UdpReply::Errors, ports.collect());
        let (stop_intake, intake_stopped) = bounded(0);
        let intake = Intake::new(
            sockets,
            config.publish_from.clone(),
            replies,
            sequencer,
            Arc::clone(&hub),
            Arc::clone(&waker),
            intake_stopped,
        );
        let (stop_accepting, accepting_stopped) = bounded(0);

        let workers = worker_ends.into_iter().map(|worker| {
            start("worker", &events, move || {
                worker.run();
                Ok(())
            })
        });
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        let intake = start("udp", &events, move || intake.run())?;
        let listener = Arc::new(listener);
        let accepting = {
            let (clients, listener) = (Arc::clone(&clients), Arc::clone(&listener));
            start("accept", &events, move || {
                clients.accept(&listener, &accepting_stopped);
                Ok(())
            })?
        };
        Ok(Server {
            listener,
            clients,
            hub,
            waker,
            stop_accepting,
            stop_intake,
            accepting,
            intake,
            workers,
        })
    }

    /// Stops: no new clients; what the UDP sockets hold, for at most half a second; close 1001 to
    /// everyone; at most five seconds for them to leave.
    pub fn stop(self) {
        let online = self.hub.online();
        log::info!("stopping: {online} client{} online", plural(online as u64));
        drop(self.stop_accepting);
        os::shut_listener(&self.listener);
        // A thread that panicked has said so already.
        let _ = self.accepting.join();
        drop(self.stop_intake);
        self.waker.wake();
        let _ = self.intake.join();
        self.clients.census().stop();
        self.hub.stop();
        let left = self.clients.census().wait_until_empty(FAREWELL);
        if left > 0 {
            log::warn!("{left} client{} did not leave in time", plural(left as u64));
            return;
        }
        // The last ones to know the hub; without it, the workers' channels are closed.
        drop(self.clients);
        drop(self.hub);
        for worker in self.workers {
            let _ = worker.join();
        }
    }
}

/// Starts a thread whose end, by a panic too, is an event.
fn start(
    name: &'static str,
    events: &Sender<Event>,
    body: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, String> {
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
        .map_err(|error| format!("cannot start the {name} thread: {error}"))
}

fn bind_listener(config: &Config) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(config.listen)
        .map_err(|error| cannot_bind(config.listen, &error, "--listen"))?;
    os::prepare_listener(&listener, SEND_BUFFER, 2 * config.hub.heartbeat)
        .map_err(|error| cannot_bind(config.listen, &error, "--listen"))?;
    Ok(listener)
}

fn bind_publishers(publish: &Publish) -> Result<Vec<UdpSocket>, String> {
    let (addresses, may_lack) = match publish {
        Publish::Loopback => (&Publish::LOOPBACK[..], true),
        Publish::At(addresses) => (&addresses[..], false),
    };
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        match UdpSocket::bind(address) {
            Ok(socket) => {
                prepare_publisher(&socket, address)?;
                sockets.push(socket);
            }
            // A machine without IPv6.
            Err(error) if may_lack && address.is_ipv6() && is_unavailable(&error) => {}
            Err(error) => return Err(cannot_bind(*address, &error, "--publish")),
        }
    }
    Ok(sockets)
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

fn cannot_bind(address: SocketAddr, error: &io::Error, flag: &str) -> String {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "address in use: stop the program that has it (ss -lnup, ss -lntp) or choose another with {flag}"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("not an address of this machine: choose another with {flag}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("permission denied: choose a port from 1024 on with {flag}")
        }
        _ => error.to_string(),
    };
    format!("cannot bind {address}: {reason}")
}

fn prepare_publisher(socket: &UdpSocket, address: &SocketAddr) -> Result<(), String> {
    let granted = os::enlarge_receive_buffer(socket, RECEIVE_BUFFER)
        .map_err(|error| format!("cannot prepare {address}: {error}"))?;
    os::tell_addresses(socket).map_err(|error| format!("cannot prepare {address}: {error}"))?;
    if granted < RECEIVE_BUFFER {
        log::warn!(
            "the receive buffer of {address} is {granted} bytes, a burst may overflow it: sysctl -w net.core.rmem_max={RECEIVE_BUFFER}"
        );
    }
    Ok(())
}

/// The one line that says that all is bound, and one for whoever wants to see something.
fn announce(listener: &TcpListener, sockets: &[UdpSocket]) -> io::Result<()> {
    let clients = listener.local_addr()?;
    let publishers = sockets
        .iter()
        .map(|socket| Ok(socket.local_addr()?.to_string()))
        .collect::<io::Result<Vec<_>>>()?
        .join(" and ");
    log::info!("listening: clients on {clients} (tcp), publishers on {publishers} (udp)");
    let host = match clients.ip() {
        address if address.is_unspecified() => os::host_name(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    log::info!("live page: http://{host}:{}/", clients.port());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

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

    #[test]
    fn each_thread_that_must_not_end_tells_when_it_does() {
        let settings = Settings {
            listen: Some(([127, 0, 0, 1], 0).into()),
            publish: Some(vec![([127, 0, 0, 1], 0).into()]),
            workers: Some(2),
            ..Settings::default()
        };
        let (events, happened) = bounded(10);
        let server = Server::start(&settings.check().unwrap(), events).unwrap();
        assert!(happened.is_empty());
        // Each ends in its turn.
        server.stop();
        let mut ended: Vec<_> = happened.try_iter().collect();
        ended.sort_by_key(|event| format!("{event:?}"));
        let names = ended.iter().map(|event| match event {
            Event::Ended(thread) => *thread,
            Event::Signal => "signal",
        });
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["accept", "udp", "worker", "worker"]
        );
    }
}
