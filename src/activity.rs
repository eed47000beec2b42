//! What clients do, for the site's own code: a line of JSON for each event, as `GET /activity` and
//! the webhook tell it.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tungstenite::Utf8Bytes;

use crate::address::Address;
use crate::clock::{Clock, Moment};
use crate::feed::{Event, Feed, Told};
use crate::message::id::ClientId;
use crate::words::OneLine;

/// One event. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Happened>);

#[derive(Debug)]
struct Happened {
    time: Moment,
    client: ClientId,
    what: What,
}

/// What a client did.
#[derive(Debug)]
pub(crate) enum What {
    /// It has joined.
    Connected {
        /// From where.
        address: Address,
        /// How it hears messages.
        mode: &'static str,
    },
    /// It has registered this.
    Registered(Box<RawValue>),
    /// It has sent JSON that says nothing to us.
    Said {
        /// Its bytes.
        data: Utf8Bytes,
        /// As many before it were too many to be told.
        left_out: u64,
    },
    /// It is gone.
    Closed {
        /// As in the log.
        why: Cow<'static, str>,
        /// As many at last were too many to be told.
        left_out: u64,
    },
}

impl Event for Activity {
    fn bytes(&self) -> usize {
        let text = match &self.0.what {
            What::Connected { .. } => 0,
            What::Registered(registration) => registration.get().len(),
            What::Said { data, .. } => data.len(),
            What::Closed { why, .. } => why.len(),
        };
        size_of::<Happened>() + text
    }
}

impl Feed<Activity> {
    /// Tells what a client did, if anybody listens.
    pub(crate) fn happened(&self, client: ClientId, what: impl FnOnce() -> What) {
        if self.is_heard() {
            self.tell(&[Activity(Arc::new(Happened {
                time: Moment::now(),
                client,
                what: what(),
            }))]);
        }
    }
}

/// All of a line but the JSON text that a client sent.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    event: &'static str,
    time: &'a str,
    client: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "is_none")]
    left_out: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Activity {
    fn append(&self, clock: &mut Clock, into: &mut Vec<u8>) {
        let Happened { time, client, what } = &*self.0;
        let time = clock.tell(*time);
        let mut line = Line {
            time: &time,
            client: client.0,
            ..Line::default()
        };
        let mut said = None;
        match what {
            What::Connected { address, mode } => {
                line.event = "connected";
                line.address = Some(*address);
                line.mode = Some(mode);
            }
            What::Registered(registration) => {
                line.event = "registered";
                line.registration = Some(registration);
            }
            What::Said { data, left_out } => {
                line.event = "said";
                line.left_out = *left_out;
                said = Some(data.as_str());
            }
            What::Closed { why, left_out } => {
                line.event = "closed";
                line.why = Some(why);
                line.left_out = *left_out;
            }
        }
        // A vector takes all, and texts and numbers always have a JSON form.
        let _ = serde_json::to_writer(&mut *into, &line);
        if let Some(data) = said {
            // In place of the brace.
            into.pop();
            let _ = write!(into, r#","data":{}}}"#, OneLine(data));
        }
        into.push(b'\n');
    }
}

/// Appends the line of one event.
pub(crate) fn append_line(told: &Told<Activity>, clock: &mut Clock, into: &mut Vec<u8>) {
    match told {
        Told::Event(activity) => activity.append(clock, into),
        Told::Lost { since, count } => append_lost(*since, *count, clock, into),
    }
}

/// Appends the line that says how many are missing.
pub(crate) fn append_lost(since: Moment, count: u64, clock: &mut Clock, into: &mut Vec<u8>) {
    let time = clock.tell(since);
    // A vector takes all.
    let _ = writeln!(
        into,
        r#"{{"event":"lost","time":"{time}","count":{count}}}"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: What) -> serde_json::Value {
        let activity = Activity(Arc::new(Happened {
            time: Moment::now(),
            client: ClientId(17),
            what,
        }));
        let mut bytes = Vec::new();
        append_line(&Told::Event(activity), &mut Clock::new(), &mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.find('\n'), Some(text.len() - 1), "{text}");
        let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert_eq!(time.as_str().unwrap().len(), 29, "{time}");
        line
    }

    #[test]
    fn what_a_client_says_stays_one_line_and_the_same_json() {
        let said = |left_out| What::Said {
            data: "{\r\n\"a\" :\n\"\\n\u{2028}\"}".into(),
            left_out,
        };
        let data = serde_json::json!({"a": "\n\u{2028}"});
        let expected = serde_json::json!({"event": "said", "client": 17, "data": data});
        assert_eq!(line(said(0)), expected);
        let expected =
            serde_json::json!({"event": "said", "client": 17, "left_out": 3, "data": data});
        assert_eq!(line(said(3)), expected);
    }

    #[test]
    fn whatever_ends_a_client_is_quoted() {
        let why = "closed by the client: 1000 \"\u{1b}\"".into();
        let closed = line(What::Closed { why, left_out: 0 });
        assert_eq!(closed["why"], "closed by the client: 1000 \"\u{1b}\"");
        assert_eq!(closed.get("left_out"), None);
    }
}
