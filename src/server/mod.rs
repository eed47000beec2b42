//! Binds everything, owns the threads, starts and stops them in order.

mod bind;
mod capacity;
mod error;
mod hourly;
mod online;
mod threads;
mod trusted_side;
mod webhook;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::admission::Admission;
use crate::admission::origin::Origins;
use crate::admission::proxies::Proxies;
use crate::admission::secret::Secrets;
use crate::canary::Canary;
use crate::client::accept::Clients;
use crate::config::{Config, PUBLISH_PORT, UdpReply};
use crate::hub::workers::Workers;
use crate::hub::{self, Hub};
use crate::intake::Trust;
use crate::intake::datagrams::Datagrams;
use crate::intake::reply::Replies;
use crate::intake::submissions::desk;
use crate::intake::udp::Intake;
use crate::mailbox::parcel::Memory;
use crate::os::{self, Waker};
use crate::sequencer;
use crate::tally::Tally;
use crate::trusted::Trusted;
use crate::trusted::dashboard::Dashboard;
use crate::trusted::publish::Answered;
use crate::trusted::status::Facts;
use crate::web::{self, Site};
use crate::words::plural;
use capacity::Capacity;
pub(crate) use error::StartError;
pub(crate) use hourly::Hourly;
use online::OnlineThread;
pub(crate) use threads::Event;
use trusted_side::TrustedSide;
use webhook::WebhookThread;

/// How long clients may take to leave when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running server. [`stop`](Server::stop) ends it in order.
#[derive(Debug)]
pub(crate) struct Server {
    listener: Arc<TcpListener>,
    clients: Arc<Clients>,
    hub: Arc<Hub>,
    canary: Arc<Canary>,
    /// Wakes the intake.
    waker: Arc<Waker>,
    /// Closing these is the order to stop.
    stop_accepting: Sender<()>,
    stop_intake: Sender<()>,
    accepting: JoinHandle<()>,
    trusted: TrustedSide,
    webhook: Option<WebhookThread>,
    online: OnlineThread,
    intake: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    tally: Arc<Tally>,
}

impl Server {
    /// Binds all sockets, says so in the log, and starts the threads. `events` hears when one of
    /// them ends by itself.
    ///
    /// # Errors
    /// What cannot be had; its sentence names the address and the remedy.
    pub(crate) fn start(config: &Config, events: Sender<Event>) -> Result<Server, StartError> {
        let secrets = config.secret_file.as_deref().map(Secrets::read);
        let secrets = secrets.transpose().map_err(StartError::Secrets)?;
        let listener = bind::listener(config)?;
        let publishers = bind::publishers(&config.publish)?;
        let capacity = Capacity::find_out(config.hub.max_clients, config.workers);
        bind::announce(&listener, &publishers).map_err(StartError::Address)?;

        let tally = Arc::new(Tally::new());
        let memory = Arc::new(Memory::default());
        let waker = Arc::new(Waker::new().map_err(StartError::Waker)?);
        let (workers, worker_ends) = Workers::new(config.workers, Arc::clone(&waker));
        let settings = hub::Settings {
            max_clients: capacity.clients,
            ..config.hub.clone()
        };
        let sequencer = sequencer::Memory::default();
        let newest = sequencer.newest();
        let hub = Arc::new(Hub::new(settings, newest, Arc::clone(&memory), workers));
        let bound = publishers.iter().filter_map(|p| p.socket.local_addr().ok());
        let bound: Vec<_> = bound.collect();
        let facts = Facts::now(listener.local_addr().ok(), bound.clone(), &config.log);
        let (sockets, listeners): (Vec<_>, Vec<_>) = publishers
            .into_iter()
            .map(|publisher| (publisher.socket, Arc::new(publisher.listener)))
            .unzip();
        let canary = Arc::new(Canary::new(web::to_publish_at(&bound)));
        let limits = config.limits;
        let site = Site::new(&bound, Arc::clone(&canary));
        let origins = Origins::new(config.origins.clone(), config.hosts.clone());
        let proxies = Proxies::new(config.trusted_proxies.clone(), config.proxy_protocol);
        let admission = Admission::new(origins, secrets.as_ref(), &config.hub.rule)
            .with_addresses(proxies, config.max_clients_per_ip);
        let clients = Arc::new(Clients::new(
            Arc::clone(&hub),
            admission,
            site,
            limits,
            memory,
            Arc::clone(&tally),
            capacity.bounds,
        ));
        let ports = bound.iter().map(SocketAddr::port).chain([PUBLISH_PORT]);
        let replies = Replies::new(config.udp_reply == UdpReply::Errors, ports.collect());
        let (stop_intake, intake_stopped) = bounded(0);
        let trust = Trust::new(config.publish_from.clone(), config.trust_from.clone());
        let (desk, submissions) = desk(Arc::clone(&waker));
        let intake = Intake::new(
            Datagrams::new(
                sockets,
                trust.clone(),
                replies,
                Arc::clone(&canary),
                Arc::clone(&tally),
            ),
            submissions,
            sequencer,
            Arc::clone(&hub),
            Arc::clone(&tally),
            Arc::clone(&waker),
            intake_stopped,
        );
        let (stop_accepting, accepting_stopped) = bounded(0);

        let workers = worker_ends.into_iter().map(|worker| {
            threads::start("worker", &events, move || {
                worker.run();
                Ok(())
            })
        });
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        let intake = threads::start("udp", &events, move || intake.run())?;
        let webhook = config.webhook.as_deref();
        let webhook = webhook.map(|url| WebhookThread::start(url, &hub, &events));
        let webhook = webhook.transpose()?;
        let trusted = Arc::new(Trusted {
            desk,
            hub: Arc::clone(&hub),
            canary: Arc::clone(&canary),
            tally: Arc::clone(&tally),
            facts,
            webhook: webhook.as_ref().map(|thread| Arc::clone(&thread.webhook)),
            trust,
            hosts: config.trusted_hosts.clone(),
            max_message: config.max_message,
            answered: Answered::default(),
            dashboard: Dashboard::new(),
        });
        let trusted = TrustedSide::start(trusted, listeners, &events)?;
        let online = OnlineThread::start(&hub, &events)?;
        let listener = Arc::new(listener);
        let accepting = {
            let (clients, listener) = (Arc::clone(&clients), Arc::clone(&listener));
            threads::start("accept", &events, move || {
                clients.accept(&listener, &accepting_stopped);
                Ok(())
            })?
        };
        Ok(Server {
            listener,
            clients,
            hub,
            canary,
            waker,
            stop_accepting,
            stop_intake,
            accepting,
            trusted,
            webhook,
            online,
            intake,
            workers,
            tally,
        })
    }

    /// What a line an hour tells of, from now on.
    pub(crate) fn hourly(&self) -> Hourly {
        Hourly::new(self.tally.counted())
    }

    /// The line.
    pub(crate) fn tell_hour(&self, hourly: &mut Hourly) {
        hourly.tell(self.hub.online(), self.tally.counted());
    }

    /// Stops: no new clients and publishers; what the UDP sockets hold and publishers handed in, for at
    /// most half a second; close 1001 to everyone; at most five seconds for them to leave.
    pub(crate) fn stop(mut self) {
        let online = self.hub.online();
        log::info!("stopping: {online} client{} online", plural(online as u64));
        // Whoever waits for the canary has an answer before nobody lets it through any more.
        self.canary.stop();
        drop(self.stop_accepting);
        os::shut_listener(&self.listener);
        // A thread that panicked has said so already.
        let _ = self.accepting.join();
        self.trusted.stop_accepting();
        drop(self.stop_intake);
        self.waker.wake();
        let _ = self.intake.join();
        let publishers = self.trusted.stop();
        self.online.stop();
        self.clients.census().stop();
        self.hub.stop();
        let left = self.clients.census().wait_until_empty(FAREWELL);
        if left > 0 {
            log::warn!("{left} client{} did not leave in time", plural(left as u64));
        }
        // It has heard that the clients are gone.
        if let Some(webhook) = self.webhook {
            webhook.stop();
        }
        if left > 0 {
            return;
        }
        if publishers > 0 {
            // They know the hub, too: the workers would be waited for in vain.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::activity::append_line;
    use crate::clock::Clock;
    use crate::config::Settings;
    use crate::feed::Bounds;

    fn settings() -> Settings {
        Settings {
            listen: Some(([127, 0, 0, 1], 0).into()),
            publish: Some(vec![([127, 0, 0, 1], 0).into()]),
            workers: Some(2),
            ..Settings::default()
        }
    }

    /// A client that has joined.
    fn connect(server: &Server) -> TcpStream {
        let mut client = TcpStream::connect(server.listener.local_addr().unwrap()).unwrap();
        let patience = Some(Duration::from_secs(20));
        client.set_read_timeout(patience).unwrap();
        let request =
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.write_all(request).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }

    #[test]
    fn a_panic_in_a_session_ends_that_one_client() {
        let (events, happened) = bounded(10);
        let server = Server::start(&settings().check().unwrap(), events).unwrap();
        let bounds = Bounds {
            events: 100,
            bytes: 1 << 20,
        };
        let activity = server.hub.activity.listen(bounds).unwrap();
        let (mut panics, mut other) = (connect(&server), connect(&server));
        // A mask of zeros leaves the text as it is.
        panics.write_all(b"\x81\x85\0\0\0\0panic").unwrap();
        let mut rest = Vec::new();
        panics.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
        assert_eq!(server.hub.online(), 1);
        let mut lines = Vec::new();
        for told in activity.take(1 << 16) {
            append_line(&told, &mut Clock::new(), &mut lines);
        }
        let lines = String::from_utf8(lines).unwrap();
        let why = r#""why":"its thread panicked: a bug in udpush""#;
        assert_eq!(lines.matches(why).count(), 1, "{lines}");
        // The others go on, new ones come, and nobody is waited for who is gone.
        let mut newer = connect(&server);
        for client in [&mut other, &mut newer] {
            client.write_all(b"\x89\x80\0\0\0\0").unwrap();
            let mut pong = [0; 2];
            client.read_exact(&mut pong).unwrap();
            assert_eq!(&pong, b"\x8a\0");
        }
        assert!(happened.is_empty());
        drop((other, newer));
        assert_eq!(server.clients.census().wait_until_empty(FAREWELL), 0);
        server.stop();
    }

    #[test]
    fn each_thread_that_must_not_end_tells_when_it_does() {
        let (events, happened) = bounded(10);
        let server = Server::start(&settings().check().unwrap(), events).unwrap();
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
            ["accept", "online", "trusted", "udp", "worker", "worker"]
        );
    }
}
