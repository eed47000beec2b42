use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::admission::{Admitted, Pass};
use crate::audience::rule::Rule;
use crate::clock::Moment;
use crate::hub::ring::Bounds;
use crate::hub::workers::Workers;
use crate::hub::{Batch, Refusal, Sender, Settings, Wish};
use crate::os::Waker;
use crate::sequencer;

/// Room for one registration of one short value, not for two.
const ROOM_FOR_ONE: usize = 2000;

/// As anybody may register it.
fn admitted(asked: Registration) -> Admitted {
    Pass::default().admit(asked).unwrap()
}

fn hub(registrations: usize) -> Arc<Hub> {
    let settings = Settings {
        max_clients: 10,
        rule: Rule::Open,
        registrations,
        history: Bounds {
            messages: 10,
            bytes: 1000,
        },
        heartbeat: Duration::from_secs(25),
    };
    let (workers, _) = Workers::new(1, Arc::new(Waker::new().unwrap()));
    let newest = sequencer::Memory::default().newest();
    Arc::new(Hub::new(settings, newest, Arc::default(), workers))
}

fn mailbox() -> Arc<Mailbox> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    Mailbox::over(stream)
}

fn join(hub: &Arc<Hub>, query: &str, since: Option<String>) -> Result<Membership, Refusal> {
    let wish = Wish {
        encoding: Encoding::V1,
        admitted: admitted(Registration::from_query(query, &Rule::Open).unwrap()),
        since,
        last: 0,
        watches: false,
    };
    hub.join(&mailbox(), wish, Vec::new())
}

fn register(membership: &mut Membership, frame: &str) -> Result<(), RegistrationError> {
    let registration = membership.read(frame);
    membership.register(admitted(registration.unwrap().unwrap()))
}

fn reach(hub: &Hub, document: &str) -> usize {
    hub.reach(document, 0).unwrap()
}

#[test]
fn a_registration_without_room_is_refused_and_the_former_one_stays() {
    let hub = hub(ROOM_FOR_ONE);
    let mut first = join(&hub, "a=1", None).unwrap();
    let mut silent = join(&hub, "", None).unwrap();
    for membership in [&mut first, &mut silent] {
        let refused = register(membership, r#"{"a":2}"#);
        assert_eq!(refused, Err(RegistrationError::NoRoom));
    }
    assert_eq!(first.registration().to_string(), r#"{"a":"1"}"#);
    assert_eq!(reach(&hub, r#"{"a":1}"#), 2);
    assert_eq!(reach(&hub, r#"{"a":2}"#), 1);
    assert_eq!(join(&hub, "a=2", None).err(), Some(Refusal::NoRoom));
    assert_eq!(hub.online(), 2);
}

#[test]
fn what_others_registered_too_takes_no_room_of_its_own() {
    let hub = hub(ROOM_FOR_ONE);
    let first = join(&hub, "a=1", None).unwrap();
    let mut second = join(&hub, "a=1", None).unwrap();
    let mut third = join(&hub, "", None).unwrap();
    assert_eq!(register(&mut third, r#"{"a":[1,"1"]}"#), Ok(()));
    // Whoever registered it first is not needed for it.
    drop(first);
    assert_eq!(register(&mut third, "{}"), Ok(()));
    assert_eq!(register(&mut third, r#"{"a":1}"#), Ok(()));
    assert_eq!(reach(&hub, r#"{"a":2}"#), 0);
    // It is free when the last has given it up.
    drop(third);
    assert_eq!(register(&mut second, "{}"), Ok(()));
    assert_eq!(register(&mut second, r#"{"a":2}"#), Ok(()));
}

#[test]
fn a_client_that_is_still_told_what_it_missed_is_counted() {
    let hub = hub(ROOM_FOR_ONE);
    let newest = hub.lock().ring.newest();
    let batch = Batch {
        first: newest.next(),
        documents: &["1".into()],
        senders: &[Sender::from(SocketAddr::from(([127, 0, 0, 1], 1)))],
        time: Moment::now(),
    };
    hub.publish(&batch, &mut Vec::new(), &mut || {});
    let since = newest.to_string();
    let mut late = join(&hub, "a=1", Some(since)).unwrap();
    assert_eq!(join(&hub, "a=2", None).err(), Some(Refusal::NoRoom));
    let refused = register(&mut late, r#"{"a":2}"#);
    assert_eq!(refused, Err(RegistrationError::NoRoom));
    while late.replay() == Replay::More {}
    assert_eq!(reach(&hub, r#"{"a":1}"#), 1);
    drop(late);
    assert!(join(&hub, "a=2", None).is_ok());
}
