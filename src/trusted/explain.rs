//! `POST /explain`: who would hear a document, and what speaks against it with the others; nothing
//! is published.

use serde::Serialize;

use super::Trusted;
use super::http::not_allowed;
use super::receipt::{self, Refused};
use super::request::Request;
use crate::audience::registration::Registration;
use crate::audience::verdict::Verdict;
use crate::http::Answer;
use crate::message;
use crate::message::id::ClientId;

/// Clients that are named in either list at most.
const MOST_NAMED: usize = 1000;

#[derive(Debug, Default, Serialize)]
struct Explanation<'a> {
    /// That would hear it.
    clients: usize,
    hears: Vec<u64>,
    not: Vec<NotHeard<'a>>,
    /// That are named in neither list.
    #[serde(skip_serializing_if = "is_none")]
    more: usize,
}

#[derive(Debug, Serialize)]
struct NotHeard<'a> {
    client: u64,
    field: &'a str,
    why: String,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Explains the document in the body.
pub(super) fn answer(request: &Request, trusted: &Trusted) -> Answer {
    if request.head.method != "POST" {
        return not_allowed("POST");
    }
    let refused = |status, fault: Refused| Answer::json(status, fault.json());
    let mut places = Vec::new();
    let empty = match message::split(&request.body, &mut places) {
        Ok(empty) => empty,
        Err(refusal) => return refused("400 Bad Request", refusal.into()),
    };
    if places.len() + empty > 1 {
        let sentence = "one document at a time is explained";
        return receipt::refusal("400 Bad Request", sentence);
    }
    let Some(place) = places.first().cloned() else {
        return Answer::json("200 OK", r#"{"clients":0,"empty":true}"#.to_owned());
    };
    if place.len() > trusted.max_message {
        let sentence = format!("a document has at most {} bytes", trusted.max_message);
        let fault = Refused::new(sentence, Some(place.start + 1));
        return refused("413 Content Too Large", fault);
    }
    // What was found to be JSON is text.
    let document = str::from_utf8(&request.body[place]).unwrap_or_default();
    Answer::json("200 OK", explain(document, trusted))
}

fn explain(document: &str, trusted: &Trusted) -> String {
    let everybody = trusted.hub.list(Registration::default(), 0).flatten();
    let clients: Vec<(ClientId, Registration)> = everybody
        .map(|listed| (listed.client, listed.registration))
        .collect();
    let registrations = clients.iter().map(|(_, registration)| registration);
    let verdicts = trusted.hub.rule().verdicts(registrations, document);
    let mut explanation = Explanation::default();
    for ((ClientId(client), _), verdict) in clients.iter().zip(verdicts) {
        explanation.add(*client, verdict);
    }
    // Texts and numbers always have a JSON form.
    serde_json::to_string(&explanation).unwrap_or_default()
}

impl<'a> Explanation<'a> {
    fn add(&mut self, client: u64, verdict: Verdict<'a>) {
        let field = match verdict {
            Verdict::Hears => {
                self.clients += 1;
                match self.hears.len() < MOST_NAMED {
                    true => self.hears.push(client),
                    false => self.more += 1,
                }
                return;
            }
            Verdict::Contradicts(field) | Verdict::NotRegistered(field) => field,
        };
        if self.not.len() == MOST_NAMED {
            self.more += 1;
            return;
        }
        self.not.push(NotHeard {
            client,
            field,
            why: verdict.to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_crowd_the_first_thousand_of_each_kind_are_named() {
        let mut explanation = Explanation::default();
        for client in 0..5000 {
            explanation.add(
                client,
                match client % 2 {
                    0 => Verdict::Hears,
                    _ => Verdict::Contradicts("user"),
                },
            );
        }
        let named = (explanation.hears.len(), explanation.not.len());
        assert_eq!(named, (MOST_NAMED, MOST_NAMED));
        assert_eq!((explanation.clients, explanation.more), (2500, 3000));
    }
}
