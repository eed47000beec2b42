//! What a visitor and a client send, over a connection of the fuzzer's: see [`crate::fuzzing`].

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::ending::Close;
use super::handshake;
use super::inbound::{Heard, Inbound};
use crate::admission::Admission;
use crate::admission::proxies::Proxies;
use crate::audience::registration::{Names, Registration};
use crate::audience::rule::Rule;
use crate::canary::Canary;
use crate::fuzzing::{Pipe, check_line, check_registration, pieces, rules};
use crate::http::Head;
use crate::mailbox::Mailbox;
use crate::mailbox::encoding::Encoding;
use crate::tally::Tally;
use crate::web::Site;

/// All that came of what a client said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    texts: Vec<String>,
    binary: Vec<usize>,
    /// Pongs, and what answers a close frame.
    replies: Vec<u8>,
    why: String,
    code: Option<u16>,
}

/// However the frames are cut, the same is heard and answered.
pub(crate) fn frames(bytes: &[u8]) {
    let whole = hear(&[], &[bytes]);
    let pieces = pieces(bytes);
    let cut = match &pieces[..] {
        [first, rest @ ..] => hear(first, rest),
        [] => hear(&[], &[]),
    };
    // Pieces count, too.
    if !whole.why.starts_with("more than ") && !cut.why.starts_with("more than ") {
        assert_eq!(cut, whole);
    }
    check_replies(&whole.replies);
    check_line(&whole.why);
    for text in &whole.texts {
        for rule in rules() {
            let read = Registration::from_frame(text, rule, &Names::default());
            if let Ok(Some(registration)) = read {
                check_registration(&registration, rule);
            }
        }
    }
}

/// `first` comes with the request, the others one after another.
fn hear(first: &[u8], pieces: &[&[u8]]) -> Outcome {
    let (pipe, mailbox) = Pipe::to_mailbox();
    let patience = Duration::from_secs(50);
    let mut inbound = Inbound::new(Encoding::Plain, first.to_vec(), patience);
    let mut outcome = Outcome::default();
    let mut is_over = !first.is_empty() && !outcome.go_on(&mut inbound, &mailbox, &pipe);
    for piece in pieces {
        if !is_over && pipe.send(piece) {
            is_over = !outcome.go_on(&mut inbound, &mailbox, &pipe);
        }
    }
    pipe.end();
    while !is_over {
        is_over = !outcome.go_on(&mut inbound, &mailbox, &pipe);
    }
    let closed_by_client = outcome.why.starts_with("closed by the client");
    let meter = inbound.into_meter();
    assert!(!closed_by_client || !meter.expects_close_frame());
    outcome
}

impl Outcome {
    /// Takes what has come; false at the end.
    fn go_on(&mut self, inbound: &mut Inbound, mailbox: &Mailbox, pipe: &Pipe) -> bool {
        loop {
            let heard = inbound.read(mailbox);
            let _ = mailbox.deliver_as_owner();
            self.replies.extend(pipe.receive());
            let (heard, end) = match heard {
                Ok(mut heard) => {
                    let end = heard.end.take();
                    (heard, end)
                }
                Err(end) => (Heard::default(), Some(end)),
            };
            self.texts
                .extend(heard.texts.iter().map(ToString::to_string));
            self.binary.extend(heard.binary);
            if let Some(end) = end {
                self.why = end.why.into_owned();
                self.code = match end.close {
                    Close::After(code, _) | Close::Now(code, _) => Some(code),
                    Close::No | Close::Queued => None,
                };
                return false;
            }
            if !heard.more {
                return true;
            }
        }
    }
}

/// Whole frames as RFC 6455 §5 has them from servers: pongs, and a close frame at the end.
fn check_replies(mut bytes: &[u8]) {
    while let [first, length, rest @ ..] = bytes {
        assert!(*length <= 125, "a mask or a long control frame");
        let (payload, behind) = rest.split_at(usize::from(*length));
        match first {
            0x8a => {}
            0x88 => {
                assert!(behind.is_empty(), "something behind a close frame");
                if let [high, low, reason @ ..] = payload {
                    let code = u16::from_be_bytes([*high, *low]);
                    assert!(
                        matches!(code, 1000..1004 | 1007..1015 | 3000..5000),
                        "{code}"
                    );
                    assert!(std::str::from_utf8(reason).is_ok());
                } else {
                    assert!(payload.is_empty());
                }
            }
            other => panic!("{other:x}"),
        }
        bytes = behind;
    }
    assert!(bytes.is_empty());
}

/// A head is found where it ends, and whoever sends one gets an answer that is one.
pub(crate) fn heads(bytes: &[u8]) {
    let whole = Head::parse(bytes);
    let cut = pieces(bytes).first().map_or(0, |piece| piece.len());
    match (Head::parse(&bytes[..cut]), &whole) {
        (Ok(None), _) => {}
        (Ok(Some(early)), Ok(Some(head))) => assert_eq!(early.length, head.length),
        (Err(early), Err(error)) => assert_eq!(early, *error),
        other => panic!("{other:?}"),
    }
    if let Ok(Some(head)) = &whole {
        let again = Head::parse(&bytes[..head.length]).expect("a head");
        assert_eq!(again.expect("a whole one").headers, head.headers);
        assert!(head.path_and_query().0.len() + head.path_and_query().1.len() < head.length);
    }
    for rule in rules() {
        shake_hands(bytes, whole.as_ref().ok().and_then(Option::as_ref), rule);
    }
}

fn shake_hands(bytes: &[u8], head: Option<&Head>, rule: &Rule) {
    static SITE: LazyLock<Site> = LazyLock::new(|| {
        // One that never flies.
        let canary = Canary::new(Pipe::address());
        canary.stop();
        Site::new(&[Pipe::address()], Arc::new(canary))
    });
    static TALLY: LazyLock<Tally> = LazyLock::new(Tally::new);
    // Who sends this is believed where its client is.
    static ADMISSION: LazyLock<Admission> = LazyLock::new(|| {
        let proxies = vec![Pipe::address().ip().into()];
        Admission::default().with_addresses(Proxies::new(proxies, false), None)
    });
    let (pipe, mailbox) = Pipe::to_mailbox();
    pipe.send(bytes);
    pipe.end();
    let asked = handshake::perform(&mailbox, Pipe::address(), &ADMISSION, rule, &SITE);
    let client = mailbox.wire().address();
    check_line(&client.with_proxy().to_string());
    match asked {
        Ok(visitor) => {
            let head = head.expect("a head");
            assert_eq!(visitor.rest, bytes[head.length..][..visitor.rest.len()]);
            let status = check_answer(&visitor.answer, head);
            let is_events = visitor.wish.encoding.is_events();
            assert_eq!(status, if is_events { 200 } else { 101 });
            check_registration(&visitor.wish.admitted.registration, rule);
        }
        Err(failure) => {
            failure.tell(client, &TALLY);
            if failure.answer.is_empty() {
                // It was not a whole head, and it left.
                assert!(head.is_none());
            } else if let Some(head) = head {
                check_answer(&failure.answer, head);
            }
        }
    }
}

/// Says the status of an answer that HTTP/1.1 allows to this request.
fn check_answer(answer: &[u8], request: &Head) -> u16 {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer);
    let Ok(httparse::Status::Complete(length)) = parsed else {
        panic!("{parsed:?}: {}", answer.escape_ascii());
    };
    let body = &answer[length..];
    let status = response.code.expect("a status");
    let all = |name: &str| -> Vec<&[u8]> {
        let headers = response.headers.iter();
        let found = headers.filter(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value).collect()
    };
    assert_eq!(all("connection").len(), 1);
    assert!(all("access-control-allow-origin").len() <= 1);
    let lengths = all("content-length");
    match lengths[..] {
        [] => {}
        [length] if request.method != "HEAD" && status != 304 => {
            assert_eq!(length, body.len().to_string().as_bytes());
        }
        [_] => assert!(body.is_empty()),
        _ => panic!("more than one length"),
    }
    status
}
