//! Members that are live and members that are being replayed to, over real sockets.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::membership::Membership;
use super::membership::Replay;
use super::ring::Resumption;
use super::*;
use crate::admission::{Admitted, Pass};
use crate::mailbox::Progress;
use crate::mailbox::frames::append_text;
use crate::os::Waker;
use crate::sequencer;

/// Clients at most.
const MOST: usize = 600;

/// As anybody may register it.
fn admitted(asked: Registration) -> Admitted {
    Pass::default().admit(asked).unwrap()
}

fn hub(history: usize) -> Arc<Hub> {
    let settings = Settings {
        max_clients: MOST,
        rule: Rule::Open,
        registrations: usize::MAX,
        history: Bounds {
            messages: history,
            bytes: 1 << 30,
        },
        heartbeat: Duration::from_secs(25),
    };
    let (workers, _) = Workers::new(1, Arc::new(Waker::new().unwrap()));
    let newest = sequencer::Memory::default().newest();
    Arc::new(Hub::new(settings, newest, Arc::default(), workers))
}

/// The id that the next message gets.
fn next(hub: &Hub) -> MessageId {
    hub.lock().ring.newest().next()
}

fn publish_all(
    hub: &Hub,
    documents: &[Document],
    receipts: &mut Vec<Receipt>,
    breathe: &mut dyn FnMut(),
) -> Round {
    let batch = Batch {
        first: next(hub),
        documents,
        senders: &vec![Sender::from(SocketAddr::from(([127, 0, 0, 1], 1))); documents.len()],
        time: Moment::now(),
    };
    hub.publish(&batch, receipts, breathe)
}

/// Publishes so many messages, and returns their ids.
fn publish(hub: &Hub, count: usize) -> Vec<MessageId> {
    let documents: Vec<Document> = (0..count).map(|n| n.to_string().into()).collect();
    let mut receipts = Vec::new();
    publish_all(hub, &documents, &mut receipts, &mut || {});
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
        let mailbox = Mailbox::over(near);
        Client { mailbox, far }
    }

    fn join(&self, hub: &Arc<Hub>, since: Option<MessageId>) -> Result<Membership, Refusal> {
        let wish = Wish {
            encoding: Encoding::V1,
            admitted: admitted(Registration::default()),
            since: since.map(|id| id.to_string()),
            last: 0,
            watches: false,
        };
        hub.join(&self.mailbox, wish, Vec::new())
    }

    /// Joins as the recipe's pages do, and has registered what this query says.
    fn join_plain(&self, hub: &Arc<Hub>, query: &str) -> Membership {
        let wish = Wish {
            encoding: Encoding::Plain,
            admitted: admitted(Registration::from_query(query, &Rule::Open).unwrap()),
            since: None,
            last: 0,
            watches: false,
        };
        let membership = hub.join(&self.mailbox, wish, b"101".to_vec()).unwrap();
        assert!(matches!(self.mailbox.deliver_as_owner().0, Progress::Idle));
        (&self.far).read_exact(&mut [0; 3]).unwrap();
        membership
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

/// What a plain client hears of these documents.
fn frames(documents: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for document in documents {
        append_text(&mut bytes, &[document.as_bytes()]);
    }
    bytes
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
    let told = Resumption::Replayed {
        since: ids[9],
        messages: 1_491,
    };
    assert_eq!(membership.replay(), Replay::Done(Some(told)));
    assert_eq!(membership.replay(), Replay::Done(None));
    assert_eq!(hub.online(), 1);
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
    membership
        .register(admitted(Registration::default()))
        .unwrap();
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

#[test]
fn a_run_with_one_audience_is_one_delivery_a_client_and_each_message_has_its_receipt() {
    let hub = hub(10);
    let [mut everything, mut ones, mut twos] = [(); 3].map(|()| Client::new());
    let clients = [(&everything, ""), (&ones, "class=1"), (&twos, "class=2")];
    let memberships = clients.map(|(client, query)| client.join_plain(&hub, query));
    let ids = memberships
        .each_ref()
        .map(|one| (one.client().0, one.online()));
    assert_eq!(ids, [(1, 1), (2, 2), (3, 3)]);

    let documents = [
        r#"{"class":1,"n":1}"#,
        r#"{"class":1,"n":2}"#,
        r#"{"class":2,"n":3}"#,
        r#"{"n":4}"#,
        r#"{"n":5}"#,
        r#"{"class":1,"n":6}"#,
    ];
    let before = hub.lock().ring.newest();
    let mut receipts = Vec::new();
    let round = publish_all(
        &hub,
        &documents.map(|document| document.to_owned().into()),
        &mut receipts,
        &mut || {},
    );
    // Runs of 2, 1, 2 and 1 messages, for 2, 2, 3 and 2 clients.
    assert_eq!(round.len(), 2 + 2 + 3 + 2);
    let sequences = receipts.iter().map(|receipt| receipt.id.sequence);
    assert_eq!(sequences.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let next = MessageId {
        sequence: before.sequence + 6,
        ..before
    };
    assert_eq!(hub.lock().ring.newest(), next);
    let clients = receipts.iter().map(|receipt| receipt.clients);
    assert_eq!(clients.collect::<Vec<_>>(), [2, 2, 2, 3, 3, 2]);
    assert_eq!(everything.hears(), frames(&documents));
    let [a, b, c, d, e, f] = documents;
    assert_eq!(ones.hears(), frames(&[a, b, d, e, f]));
    assert_eq!(twos.hears(), frames(&[c, d, e]));
}

#[test]
fn posting_to_many_takes_a_breath_now_and_then() {
    let hub = hub(10);
    // Members may share a mailbox, as far as the hub is concerned.
    let client = Client::new();
    let join = |_| client.join(&hub, None).unwrap();
    let _memberships: Vec<_> = (0..2 * POSTS_A_BREATH + 1).map(join).collect();
    let mut breaths = 0;
    let document = ["1".to_owned().into()];
    publish_all(&hub, &document, &mut Vec::new(), &mut || breaths += 1);
    assert_eq!(breaths, 2);
}

#[test]
fn a_reach_is_told_from_the_least_on_that_is_asked_for() {
    let hub = hub(10);
    let client = Client::new();
    let queries = ["", "", "class=1", "class=2", "class=2"];
    let _memberships = queries.map(|query| client.join_plain(&hub, query));
    for (document, reach) in [("1", 5), (r#"{"class":2}"#, 4), (r#"{"class":3}"#, 2)] {
        assert_eq!(hub.reach(document, reach), Some(reach), "{document}");
        assert_eq!(hub.reach(document, 1), Some(reach), "{document}");
        assert_eq!(hub.reach(document, reach + 1), None, "{document}");
    }
}

#[test]
fn a_small_round_is_delivered_at_once_without_any_worker() {
    let hub = hub(10);
    let mut client = Client::new();
    let _memberships: Vec<_> = (0..DIRECT).map(|_| client.join_plain(&hub, "")).collect();
    let document = ["1".to_owned().into()];
    let round = publish_all(&hub, &document, &mut Vec::new(), &mut || {});
    assert_eq!(client.mailbox.waiting().0, DIRECT);
    hub.deliver(round, &mut || panic!("nobody is to help"));
    assert_eq!(client.mailbox.waiting(), (0, 0));
    let mut heard = vec![0; 3 * DIRECT];
    client.far.read_exact(&mut heard).unwrap();
    assert_eq!(heard, frames(&["1"; DIRECT]));
}

#[test]
fn there_are_as_many_clients_as_may_be_and_a_place_is_free_when_one_has_left() {
    let hub = hub(10);
    let client = Client::new();
    let mut memberships: Vec<_> = (0..MOST).map(|_| client.join(&hub, None)).collect();
    assert!(memberships.iter().all(Result::is_ok));
    assert_eq!(client.join(&hub, None).unwrap_err(), Refusal::Full);
    memberships.pop();
    // Whoever is replayed to has a place, too.
    let ids = publish(&hub, 2);
    memberships.push(client.join(&hub, Some(ids[0])));
    assert!(memberships.iter().all(Result::is_ok));
    assert_eq!(client.join(&hub, None).unwrap_err(), Refusal::Full);
}
