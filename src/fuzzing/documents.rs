//! Documents, in a datagram or by TCP.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::audience::registration::{Names, Registration};
use crate::audience::rule::Rule;
use crate::audience::verdict::Verdict;
use crate::hub::routes::Routes;
use crate::mailbox::encoding::Encoding;
use crate::message::id::{ClientId, Epoch, MessageId};
use crate::message::stream::{Found, Stream};
use crate::message::{self, Document};
use crate::words::{Excerpt, JsonLine, OneLine};

use super::{check_line, check_registration, pieces, rules};

pub(super) fn datagram(bytes: &[u8]) {
    check_line(&Excerpt(bytes).to_string());
    // Of others that came before it.
    let others = [2..5, 7..9];
    let mut places = others.to_vec();
    match message::split(bytes, &mut places) {
        Ok(empty) => {
            places.drain(..others.len());
            let documents: Vec<Document> = places
                .iter()
                .map(|place| {
                    let text = Bytes::copy_from_slice(&bytes[place.clone()]);
                    Document::new(text).expect("text")
                })
                .collect();
            assert!(places.is_sorted_by(|one, next| one.end <= next.start));
            assert!(empty > 0 || !documents.is_empty());
            documents.iter().for_each(check);
            check_road_by_tcp(bytes, &documents);
            check_routes(&documents);
            check_events(&documents);
        }
        Err(refusal) => {
            assert_eq!(places, others);
            assert!((1..=bytes.len() + 1).contains(&refusal.byte()));
            check_line(&refusal.to_string());
        }
    }
}

/// What holds of every document that is found.
fn check(document: &Document) {
    let text: &str = document;
    assert_eq!(text, text.trim_ascii());
    assert!(message::is_json(text) && !message::is_empty(text));
    let mut places = Vec::new();
    assert_eq!(message::split(text.as_bytes(), &mut places), Ok(0));
    assert!(places.len() == 1 && places[0] == (0..text.len()));
    // The tree lacks what has half a surrogate pair, a number that no double holds, or many levels.
    let tree = serde_json::from_str::<Value>(text).ok();
    if let Some(tree) = &tree {
        assert!(!is_empty(tree), "{text}");
    }
    for line in [OneLine(text).to_string(), JsonLine(text).to_string()] {
        assert!(!line.contains(['\n', '\r']));
        assert_eq!(serde_json::from_str(&line).ok(), tree, "{line}");
    }
    check_line(&JsonLine(text).to_string());
}

/// PHP's `empty`.
fn is_empty(tree: &Value) -> bool {
    match tree {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What a datagram may hold comes out the same by TCP.
fn check_road_by_tcp(bytes: &[u8], documents: &[Document]) {
    let mut stream = Stream::new(usize::MAX);
    stream.push(bytes);
    stream.end();
    let found: Vec<Document> = std::iter::from_fn(|| stream.next())
        .filter_map(|found| match found {
            Found::Document(document) => Some(document),
            Found::Empty => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, documents);
}

/// The index and the rule agree on who hears what. Documents are also what clients register.
fn check_routes(documents: &[Document]) {
    let documents = &documents[..documents.len().min(8)];
    for rule in rules() {
        let registrations: Vec<Registration> = documents
            .iter()
            .filter_map(|frame| {
                let read = Registration::from_frame(frame, rule, &Names::default());
                read.ok().flatten()
            })
            .chain([Registration::default()])
            .collect();
        let mut routes = Routes::new(rule.clone());
        for (client, registration) in (0..).zip(&registrations) {
            check_registration(registration, rule);
            routes.join(ClientId(client), registration, client);
        }
        for document in documents {
            let verdicts: Vec<Verdict<'_>> =
                rule.verdicts(registrations.iter(), document).collect();
            let mut hears = BTreeSet::new();
            for ((client, registration), verdict) in (0..).zip(&registrations).zip(verdicts) {
                assert_eq!(rule.verdict(registration, document), verdict);
                check_line(&verdict.to_string());
                if verdict == Verdict::Hears {
                    hears.insert(client);
                }
            }
            let audience = routes.audience(document);
            assert_eq!(audience.len(), hears.len());
            assert_eq!(audience.iter().copied().collect::<BTreeSet<_>>(), hears);
            if *rule == Rule::Open {
                // Who registered nothing hears everything.
                assert!(hears.contains(&(registrations.len() as u64 - 1)));
            }
        }
    }
}

/// As events, documents are read as what they mean; in all else they are what they were.
fn check_events(documents: &[Document]) {
    let id = MessageId {
        epoch: Epoch::random(),
        sequence: 1,
    };
    for document in documents {
        let text: &str = document;
        let mut bytes = Vec::new();
        Encoding::Events.append_message(&mut bytes, id, document);
        let event = String::from_utf8(bytes).expect("text");
        let mut lines = event.strip_suffix("\n\n").expect("one event").split('\n');
        assert_eq!(lines.next(), Some(format!("id: {id}").as_str()));
        let data: Vec<&str> = lines
            .map(|line| line.strip_prefix("data: ").expect("data"))
            .collect();
        let data = data.join("\n");
        assert_eq!(data, text.replace("\r\n", "\n").replace('\r', "\n"));
        assert!(message::is_json(&data));
        let mut bytes = Vec::new();
        Encoding::V1.append_message(&mut bytes, id, document);
        let start = match bytes[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let object = std::str::from_utf8(&bytes[start..]).expect("text");
        let data = object
            .strip_suffix('}')
            .and_then(|object| object.strip_suffix(text));
        let head = format!(r#"{{"type":"message","id":"{id}","data":"#);
        assert_eq!(data, Some(head.as_str()));
        assert!(serde_json::from_str::<&RawValue>(object).is_ok());
    }
}

/// However it is cut, the same is found, and nothing is larger than it may be.
pub(super) fn lines(bytes: &[u8]) {
    for most in [1, 60, 1 << 20] {
        let whole = found(&[bytes], most);
        assert_eq!(found(&pieces(bytes), most), whole);
        if bytes.len() < 512 {
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(found(&each, most), whole);
        }
        for found in whole {
            match found {
                Found::Document(document) => {
                    assert!(document.len() <= most);
                    check(&document);
                }
                Found::Refused(refusal) => {
                    assert!((1..=bytes.len() + 1).contains(&refusal.byte()));
                    check_line(&refusal.to_string());
                }
                Found::Empty | Found::TooLong => {}
            }
        }
    }
}

fn found(pieces: &[&[u8]], most: usize) -> Vec<Found> {
    let mut stream = Stream::new(most);
    let mut all = Vec::new();
    for piece in pieces {
        stream.push(piece);
        all.extend(std::iter::from_fn(|| stream.next()));
    }
    stream.end();
    all.extend(std::iter::from_fn(|| stream.next()));
    assert!(!stream.is_within());
    all
}
