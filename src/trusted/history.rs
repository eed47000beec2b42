//! `GET /history`: what was pushed, as far as it is held.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use super::http::{Reply, Stream};
use super::{Trusted, receipt};
use crate::activity::append_lost;
use crate::audience::registration::{Names, Registration, parameters};
use crate::audience::verdict::Verdict;
use crate::clock::{Clock, Moment};
use crate::http::Answer;
use crate::hub::{Hub, Posted};
use crate::message::id::MessageId;
use crate::words::OneLine;

/// Messages that are told where nobody says how many.
const LAST: u64 = 20;

/// What is asked for.
#[derive(Debug, Default)]
struct Query {
    /// The message after which it begins.
    since: Option<String>,
    /// The last one.
    until: Option<String>,
    /// So many at most, the newest.
    last: Option<u64>,
    /// Only those that a client hears which registered this.
    matching: Option<Registration>,
}

impl Query {
    fn read(query: &str, hub: &Hub) -> Result<Self, Answer> {
        let mut found = Query::default();
        for parameter in parameters(query) {
            let key = parameter.key().map_err(wrong)?;
            let value = parameter.value().map_err(wrong)?;
            match key.name.as_str() {
                "since" => found.since = Some(value),
                "until" => found.until = Some(value),
                "last" => {
                    let no_number = |_| wrong("`last` is no number");
                    found.last = Some(value.parse().map_err(no_number)?);
                }
                "match" => found.matching = Some(registration(&value, hub)?),
                name => {
                    let sentence = format!(
                        "`{}` means nothing here: there are since, until, last and match",
                        name.escape_debug()
                    );
                    return Err(wrong(sentence));
                }
            }
        }
        Ok(found)
    }
}

fn wrong(sentence: impl ToString) -> Answer {
    receipt::refusal("400 Bad Request", &sentence.to_string())
}

/// What `match` says, as a page would register it.
fn registration(json: &str, hub: &Hub) -> Result<Registration, Answer> {
    let frame = format!(r#"{{"type":"register","registration":{json}}}"#);
    let registration = Registration::from_frame(&frame, hub.rule(), &Names::default());
    let sentence = match registration {
        Ok(Some(registration)) => return Ok(registration),
        Ok(None) => "it is not JSON".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(wrong(format!("`match` is no registration: {sentence}")))
}

/// `GET /history?…`
pub(super) fn answer(query: &str, trusted: &Trusted) -> Reply {
    match messages(query, &trusted.hub) {
        Ok(messages) => Reply::Stream(Stream {
            content_type: "application/x-ndjson",
            pieces: Box::new(messages),
        }),
        Err(answer) => answer.into(),
    }
}

/// `GET /history/ID`
pub(super) fn one(id: &str, trusted: &Trusted) -> Answer {
    let Ok(id) = id.parse() else {
        return receipt::refusal("404 Not Found", "this is not an id");
    };
    let Some(posted) = trusted.hub.message(id) else {
        let sentence = "there is no such message, or it is not held any more";
        return receipt::refusal("404 Not Found", sentence);
    };
    let mut line = Vec::new();
    append_message(id, &posted, &mut Clock::new(), &mut line);
    line.pop();
    // It was made of texts.
    Answer::json("200 OK", String::from_utf8(line).unwrap_or_default())
}

fn messages(query: &str, hub: &Arc<Hub>) -> Result<Messages, Answer> {
    let query = Query::read(query, hub)?;
    let (beginning, newest) = hub.held();
    let find = |name: &str, id: &str| {
        if id.parse::<MessageId>().is_err() {
            return Err(wrong(format!("`{name}` is not an id")));
        }
        let gone = |why: &str| {
            let sentence = format!("cannot tell what was pushed {name} {id}: {why}");
            receipt::refusal("409 Conflict", &sentence)
        };
        hub.find(id).map_err(gone)
    };
    let since = query.since.as_deref().map(|id| find("since", id));
    let until = query.until.as_deref().map(|id| find("until", id));
    let since = since.transpose()?;
    let until = until.transpose()?.unwrap_or(newest).sequence;
    let last = query.last.or(since.is_none().then_some(LAST));
    let mut messages = Messages {
        hub: Arc::clone(hub),
        position: since.unwrap_or(beginning),
        until,
        matching: query.matching,
        clock: Clock::new(),
    };
    if let Some(last) = last {
        messages.skip_to(last);
    }
    Ok(messages)
}

/// Messages by slices of the ring, each copied under the hub's lock and written without it.
struct Messages {
    hub: Arc<Hub>,
    /// The message that was told last.
    position: MessageId,
    /// The sequence of the last one that is wanted.
    until: u64,
    matching: Option<Registration>,
    clock: Clock,
}

impl Messages {
    /// Leaves out all but the newest ones.
    fn skip_to(&mut self, last: u64) {
        let start = match &self.matching {
            None => self.until.saturating_sub(last),
            Some(_) => self.start_of(last),
        };
        self.position.sequence = self.position.sequence.max(start);
    }

    /// The sequence after which so many match, or all that do.
    fn start_of(&self, last: u64) -> u64 {
        let mut newest = VecDeque::new();
        let mut position = self.position;
        while position.sequence < self.until
            && let Some(slice) = self.hub.messages_after(position)
            && let Some((end, _)) = slice.last()
        {
            position = *end;
            for (id, posted) in &slice {
                if id.sequence <= self.until && self.is_wanted(posted) {
                    newest.push_back(id.sequence);
                }
                if newest.len() as u64 > last {
                    newest.pop_front();
                }
            }
        }
        newest.front().map_or(self.until, |first| first - 1)
    }

    fn is_wanted(&self, posted: &Posted) -> bool {
        let hears = |registration| {
            self.hub.rule().verdict(registration, &posted.document) == Verdict::Hears
        };
        self.matching.as_ref().is_none_or(hears)
    }
}

impl Iterator for Messages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.position.sequence >= self.until {
            return None;
        }
        let mut lines = Vec::new();
        let Some(slice) = self.hub.messages_after(self.position) else {
            // Whoever reads slowly is outrun, and told.
            let beginning = self.hub.held().0;
            let end = beginning.sequence.min(self.until);
            let count = end - self.position.sequence;
            append_lost(Moment::now(), count, &mut self.clock, &mut lines);
            self.position.sequence = end;
            return Some(lines);
        };
        for (id, posted) in &slice {
            if id.sequence <= self.until && self.is_wanted(posted) {
                append_message(*id, posted, &mut self.clock, &mut lines);
            }
        }
        // There is one: the newest is at least as new as the last one that is wanted.
        self.position = slice.last()?.0;
        Some(lines)
    }
}

/// Appends the line of one message.
pub(super) fn append_message(
    id: MessageId,
    posted: &Posted,
    clock: &mut Clock,
    lines: &mut Vec<u8>,
) {
    let Posted {
        document,
        time,
        sender,
        clients,
    } = posted;
    let time = clock.tell(*time);
    let from = SocketAddr::from(*sender);
    let data = OneLine(document);
    // A vector takes all.
    let _ = writeln!(
        lines,
        r#"{{"id":"{id}","time":"{time}","from":"{from}","clients":{clients},"data":{data}}}"#
    );
}
