//! Members that are live and members that are being replayed to, over real sockets.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use super::membership::Replay;
use super::*;
use crate::client::mailbox::{Limits, Progress};
use crate::os::Waker;

fn hub(history: usize) -> Arc<Hub> {
    let settings = Settings {
        max_clients: 10,
        rule: Rule::Open,
        history: Bounds {
            messages: history,
            bytes: 1 << 30,
        },
        heartbeat: Duration::from_secs(25),
    };
    let (workers, _) = Workers::new(1, Arc::new(Waker::new().unwrap()));
    Arc::new(Hub::new(settings, Arc::default(), workers))
}

/// Publishes so many messages, and returns their ids.
fn publish(hub: &Hub, count: usize) -> Vec<MessageId> {
    let documents: Vec<Document> = (0..count).map(|n| n.to_string().into()).collect();
    let mut receipts = Vec::new();
    hub.publish(&documents, &mut receipts, &mut || {});
    receipts.iter().map(|receipt| receipt.id).collect()
}

struct Client {
    mailbox: Arc<Mailbox>,
    far: TcpStream,
}

impl Client {
    fn new() -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (near, _) = listener.accept().unwrap();
        let limits = Limits {
            messages: 10_000,
            bytes: 1 << 30,
        };
        let mailbox = Mailbox::new(near, Waker::new().unwrap(), limits, Arc::default());
        Client {
            mailbox: Arc::new(mailbox),
            far,
        }
    }

    fn join(&self, hub: &Arc<Hub>, since: Option<MessageId>) -> Result<Membership, Refusal> {
        let wish = Wish {
            encoding: Encoding::V1,
            registration: Registration::default(),
            since: since.map(|id| id.to_string()),
        };
        hub.join(&self.mailbox, wish, Vec::new())
    }

    /// What has been posted for it since it was last asked.
    fn hears(&mut self) -> Vec<u8> {
        let (_, bytes) = self.mailbox.waiting();
        let (progress, _) = self.mailbox.deliver_as_owner();
        assert!(matches!(progress, Progress::Idle), "{progress:?}");
        let mut heard = vec![0; bytes];
        self.far.read_exact(&mut heard).unwrap();
        heard
    }
}

/// A heartbeat that tells this id.
fn heartbeat(id: MessageId) -> Vec<u8> {
    Encoding::V1.heartbeat(id).bytes().to_vec()
}

#[test]
fn a_heartbeat_tells_how_far_its_client_has_been_told_not_how_far_all_have() {
    let hub = hub(10_000);
    // More than a slice holds.
    let ids = publish(&hub, 1_500);
    let mut client = Client::new();
    let mut membership = client.join(&hub, Some(ids[9])).unwrap();
    client.hears();
    membership.beat();
    assert_eq!(client.hears(), heartbeat(ids[9]));

    assert_eq!(membership.replay(), Replay::More);
    client.hears();
    membership.beat();
    assert_eq!(client.hears(), heartbeat(ids[9 + 1024]));

    assert_eq!(membership.replay(), Replay::More);
    let newest = *publish(&hub, 1).last().unwrap();
    client.hears();
    membership.beat();
    assert_eq!(client.hears(), heartbeat(ids[1_499]));

    // Live at last: whatever is new was posted to it.
    assert_eq!(membership.replay(), Replay::More);
    assert_eq!(membership.replay(), Replay::Done);
    client.hears();
    membership.beat();
    assert_eq!(client.hears(), heartbeat(newest));
}

#[test]
fn a_registration_in_the_midst_of_a_replay_tells_where_the_replay_is() {
    let hub = hub(10_000);
    let ids = publish(&hub, 3);
    let mut client = Client::new();
    let mut membership = client.join(&hub, Some(ids[0])).unwrap();
    client.hears();
    membership.register(Registration::default());
    let heard = String::from_utf8_lossy(&client.hears()).into_owned();
    assert!(heard.contains(&format!(r#""{}""#, ids[0])), "{heard}");
}

#[test]
fn whoever_left_while_it_was_replayed_to_is_not_online_any_more() {
    let hub = hub(10_000);
    let ids = publish(&hub, 3);
    let client = Client::new();
    let membership = client.join(&hub, Some(ids[0])).unwrap();
    assert_eq!((membership.online(), hub.online()), (1, 1));
    drop(membership);
    assert_eq!(hub.online(), 0);
}

#[test]
fn what_a_replay_needs_and_is_not_held_any_more_is_told_to_the_session() {
    let hub = hub(10);
    let ids = publish(&hub, 5);
    let client = Client::new();
    let mut membership = client.join(&hub, Some(ids[0])).unwrap();
    publish(&hub, 10);
    assert_eq!(membership.replay(), Replay::Outrun);
}

#[test]
fn a_stop_reaches_those_who_are_replayed_to_and_nobody_joins_after_it() {
    let hub = hub(10);
    let ids = publish(&hub, 2);
    let (live, replaying) = (Client::new(), Client::new());
    let _memberships = [
        live.join(&hub, None).unwrap(),
        replaying.join(&hub, Some(ids[0])).unwrap(),
    ];
    hub.stop();
    for client in [&live, &replaying] {
        assert_eq!(client.mailbox.dismissal(), Some(Dismissal::Stop));
    }
    let late = Client::new().join(&hub, None);
    assert_eq!(late.unwrap_err(), Refusal::Stopping);
}
