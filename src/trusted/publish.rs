//! `POST /`: documents in a body, all of them published or none, and an answer that says for how
//! many.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use log::Level;

use super::Trusted;
use super::receipt::{self, Refused};
use super::request::Request;
use crate::http::Answer;
use crate::logging::{Kind, logged};
use crate::message::{self, Document};

/// How long an answer is kept for whoever asks again with the same key.
const KEPT: Duration = Duration::from_secs(600);

/// Answers that are kept at most; the oldest go.
const MOST_KEPT: usize = 10_000;

/// Bytes of a key at most.
const MAX_KEY: usize = 255;

/// Publishes a body.
pub(super) fn answer(request: &Request, trusted: &Trusted, peer: SocketAddr) -> Answer {
    match request.head.header("idempotency-key") {
        None => publish(&request.body, trusted, peer),
        Some(key) if key.is_empty() || key.len() > MAX_KEY => Answer::json(
            "400 Bad Request",
            receipt::refused(&format!("an Idempotency-Key has 1 to {MAX_KEY} bytes")),
        ),
        Some(key) => {
            let answered = &trusted.answered;
            answered.once(key, || publish(&request.body, trusted, peer))
        }
    }
}

fn publish(body: &[u8], trusted: &Trusted, peer: SocketAddr) -> Answer {
    let mut places = Vec::new();
    let refused = |status, refused: Refused| {
        trusted.tally.refused_document();
        logged!(
            Level::Warn,
            Kind::Refused,
            "refused document from {peer}: {}",
            refused.sentence
        );
        Answer::json(status, refused.json())
    };
    let empty = match message::split(body, &mut places) {
        Ok(empty) => empty,
        Err(refusal) => return refused("400 Bad Request", refusal.into()),
    };
    if let Some(place) = places
        .iter()
        .find(|place| place.len() > trusted.max_message)
    {
        let sentence = format!("a document has at most {} bytes", trusted.max_message);
        let fault = Refused::new(sentence, Some(place.start + 1));
        return refused("413 Content Too Large", fault);
    }
    trusted.tally.dropped_empty(empty as u64);
    if places.is_empty() {
        return Answer::json("200 OK", receipt::EMPTY.to_owned());
    }
    let documents = places.into_iter().filter_map(|place| {
        // What was found to be JSON is text.
        Document::new(Bytes::copy_from_slice(&body[place]))
    });
    let Ok(receipts) = trusted.desk.submit(documents.collect(), peer) else {
        let reply = receipt::refused("the server stops");
        return Answer::json("503 Service Unavailable", reply).header("Retry-After", "5");
    };
    let mut json = String::with_capacity(64 * receipts.len());
    for receipt in &receipts {
        json.push(if json.is_empty() { '[' } else { ',' });
        receipt::published(receipt, &mut json);
    }
    json.push(']');
    match receipts.len() {
        1 => Answer::json("200 OK", json[1..json.len() - 1].to_owned()),
        _ => Answer::json("200 OK", json),
    }
}

/// What was answered to requests with a key.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    state: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    /// `None` while the first request with this key is under way.
    answers: HashMap<Arc<str>, Option<Answer>>,
    /// Keys by age.
    order: VecDeque<(Instant, Arc<str>)>,
}

impl Answered {
    /// What was answered to the first request with this key, or `work`'s answer. Who asks while the
    /// first is under way waits for it. A failure of ours is not kept: it may be tried again.
    fn once(&self, key: &str, work: impl FnOnce() -> Answer) -> Answer {
        let mut kept = self.kept();
        kept.forget_old(Instant::now());
        loop {
            match kept.answers.get(key) {
                None => break,
                Some(Some(answer)) => return answer.clone(),
                Some(None) => {
                    let waited = self.changed.wait(kept);
                    kept = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        let key: Arc<str> = key.into();
        kept.answers.insert(Arc::clone(&key), None);
        drop(kept);
        let answer = work();
        let mut kept = self.kept();
        if answer.status().starts_with('5') {
            kept.answers.remove(&key);
        } else {
            kept.answers.insert(Arc::clone(&key), Some(answer.clone()));
            kept.order.push_back((Instant::now(), key));
        }
        drop(kept);
        self.changed.notify_all();
        answer
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_old(&mut self, now: Instant) {
        while let Some((answered, key)) = self.order.front()
            && (self.order.len() >= MOST_KEPT || now.duration_since(*answered) >= KEPT)
        {
            self.answers.remove(key);
            self.order.pop_front();
        }
    }
}
