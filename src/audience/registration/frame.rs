//! What a client's text frame asks for: a registration, said so or not, or something else.

use std::collections::BTreeMap;

use super::{Filter, Registration};
use serde_json::value::RawValue;

use crate::audience::rule::Rule;
use crate::message::fields::{self, Value};

/// Under this name, a frame or a URL has what it registers as JSON.
pub(super) const REGISTRATION: &str = "registration";

/// Names of fields that tell what kind of frame it is.
const KINDS: [&str; 9] = [
    "type", "event", "action", "cmd", "op", "method", "msg", "message", "kind",
];

/// What such a field says in a heartbeat.
const BEATS: [&str; 8] = [
    "ping",
    "pong",
    "heartbeat",
    "heart",
    "keepalive",
    "hb",
    "beat",
    "alive",
];

/// Names of fields that only a heartbeat has.
const BEAT_FIELDS: [&str; 4] = ["ping", "pong", "heartbeat", "keepalive"];

/// The names of the fields that a client registered in its URL, as long as it is connected. The
/// registration itself would take room in the hub, even when it is replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Lines: no name has control characters.
    lines: Box<str>,
}

impl Names {
    /// Those of this registration.
    pub(crate) fn of(registration: &Registration) -> Self {
        let lines: String = registration
            .filters()
            .flat_map(Filter::fields)
            .flat_map(|field| [field.name, "\n"])
            .collect();
        Names {
            lines: lines.into(),
        }
    }
}

/// A frame's fields, as far as they matter, by name.
pub(super) type Fields<'a> = BTreeMap<String, Value<'a>>;

/// What a frame is.
pub(super) enum Frame<'a> {
    /// No registration.
    Other,
    /// A registration of these fields, or of any of these.
    Registers(Vec<Fields<'a>>),
    /// It says that it registers, but not what.
    RegistersNothing,
}

impl<'a> Frame<'a> {
    /// One pass over the frame, and one over the registration in it, if it has one.
    pub(super) fn read(text: &'a str, rule: &Rule, from_url: &Names) -> Self {
        let is_asked = |name: &str| rule.addresses(name) || matches!(name, "type" | REGISTRATION);
        let Some((count, mut fields)) = read(text, is_asked) else {
            return Frame::Other;
        };
        let says_so = matches!(fields.get("type"), Some(Value::Text(text)) if text == "register");
        if says_so && let Some(registration) = fields.get(REGISTRATION) {
            let filters = filters_in(registration, rule);
            return filters.map_or(Frame::RegistersNothing, Frame::Registers);
        }
        fields.retain(|name, _| rule.addresses(name));
        let registers = match rule {
            _ if count == 0 => true,
            Rule::Closed(_) => !fields.is_empty(),
            // Whoever registers less hears more: that must be meant.
            Rule::Open => {
                let mut asked_for = from_url.lines.lines();
                !fields.is_empty()
                    && !is_beat(&fields)
                    && asked_for.all(|field| fields.contains_key(field))
            }
        };
        match registers {
            true => Frame::Registers(vec![fields]),
            false => Frame::Other,
        }
    }
}

/// The token in `{"type":"token","token":"…"}`, empty if it is no text; `None` for any other frame.
pub(crate) fn token_in(text: &str) -> Option<String> {
    let (_, mut fields) = read(text, |name| matches!(name, "type" | "token"))?;
    let token = fields.remove("token")?;
    match (fields.get("type")?, token) {
        (Value::Text(kind), Value::Text(token)) if kind == "token" => Some(token.trim().to_owned()),
        (Value::Text(kind), _) if kind == "token" => Some(String::new()),
        _ => None,
    }
}

/// What an object, or each object of an array, registers; `None` for anything else.
pub(super) fn filters<'a>(json: &'a str, rule: &Rule) -> Option<Vec<Fields<'a>>> {
    let json: &RawValue = serde_json::from_str(json).ok()?;
    filters_in(&Value::of(json.get()), rule)
}

fn filters_in<'a>(registration: &Value<'a>, rule: &Rule) -> Option<Vec<Fields<'a>>> {
    let read = |value: Value<'a>| match value {
        Value::Object(object) => Some(read(object, |name| rule.addresses(name))?.1),
        _ => None,
    };
    match registration {
        Value::Array(array) => {
            let filters: Option<Vec<_>> = fields::elements(array).map(read).collect();
            filters.filter(|filters| !filters.is_empty())
        }
        other => Some(vec![read(other.clone())?]),
    }
}

/// How many fields an object has, and those that are asked for.
fn read(text: &str, is_asked: impl Fn(&str) -> bool) -> Option<(usize, Fields<'_>)> {
    let mut found = Fields::new();
    let key_of = |name: &str| is_asked(name).then(|| name.to_owned());
    let count = fields::read(text, key_of, |name, value| {
        found.insert(name, value);
    });
    Some((count.ok()?, found))
}

/// Whether a text frame that registers nothing is one of the well-known heartbeats.
pub(crate) fn is_heartbeat(text: &str) -> bool {
    match read(text, |_| true) {
        Some((_, fields)) => is_beat(&fields),
        None => is_word(text.trim().trim_matches('"'), &BEATS),
    }
}

/// Whether it is how pages say that they are still there.
fn is_beat(fields: &Fields<'_>) -> bool {
    fields.iter().any(|(name, value)| {
        let kind = || KINDS.iter().any(|kind| name.eq_ignore_ascii_case(kind));
        match value {
            _ if is_word(name, &BEAT_FIELDS) => true,
            Value::Text(text) => is_word(text, &BEATS) && kind(),
            _ => false,
        }
    })
}

/// Whether it is one of these, whatever its case and the hyphens in it.
fn is_word(text: &str, words: &[&str]) -> bool {
    let letters = || {
        let bytes = text.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
        bytes.map(|byte| byte.to_ascii_lowercase())
    };
    words.iter().any(|word| letters().eq(word.bytes()))
}
