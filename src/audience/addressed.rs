//! What a message says in the fields that address it.
//!
//! Pure. Read on the publisher's thread, under the hub's lock: nothing is read that nobody asks for.

use std::borrow::Cow;

use super::registration::Field;
use super::rule::Rule;
use crate::message::fields::{self, Value};

/// What a message says in one field: any of these texts.
#[derive(Debug)]
pub(crate) enum Values<'a> {
    /// The usual case.
    One(Cow<'a, str>),
    /// None or several; sorted, each once. None match nobody.
    AnyOf(Vec<Cow<'a, str>>),
}

impl<'a> Values<'a> {
    /// `None` for null.
    fn of(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Text(text) => Some(Values::One(text)),
            Value::NotText | Value::Object(_) => Some(Values::AnyOf(Vec::new())),
            Value::Array(array) => {
                let mut texts: Vec<_> = fields::elements(array)
                    .filter_map(|element| match element {
                        Value::Text(text) => Some(text),
                        _ => None,
                    })
                    .collect();
                texts.sort_unstable();
                texts.dedup();
                Some(match <[_; 1]>::try_from(texts) {
                    Ok([text]) => Values::One(text),
                    Err(texts) => Values::AnyOf(texts),
                })
            }
        }
    }

    /// Whether one of them is among the registered ones.
    pub(crate) fn meet(&self, registered: Field<'_>) -> bool {
        match self {
            Values::One(text) => registered.has(text),
            // There are at most 64 of the registered ones, but of these as many as a message holds.
            Values::AnyOf(_) => registered.values().any(|value| self.contain(value)),
        }
    }

    /// Whether `value` is one of them.
    pub(crate) fn contain(&self, value: &str) -> bool {
        match self {
            Values::One(text) => text == value,
            Values::AnyOf(texts) => texts.binary_search_by(|text| (**text).cmp(value)).is_ok(),
        }
    }
}

/// The fields of one message that address it, each once, by a key of the caller's choice.
#[derive(Debug)]
pub(crate) struct Addressed<'a, K> {
    /// The first few, so that the usual message needs no allocation.
    few: [Option<Entry<'a, K>>; 4],
    /// The others, sorted by key.
    many: Vec<Entry<'a, K>>,
}

/// `None` is null under the open rule: as if the field were absent.
type Entry<'a, K> = (K, Option<Values<'a>>);

impl<K> Default for Addressed<'_, K> {
    fn default() -> Self {
        Addressed {
            few: [const { None }; 4],
            many: Vec::new(),
        }
    }
}

impl<'a, K: Copy + Ord> Addressed<'a, K> {
    /// Reads what `document`, one whole JSON document of any kind, says in the fields to which
    /// `key_of` gives a key. What is no object addresses nobody in particular.
    pub(crate) fn read(
        document: &'a str,
        rule: &Rule,
        key_of: impl FnMut(&str) -> Option<K>,
    ) -> Self {
        let mut addressed = Addressed::default();
        let found = |key, value| {
            let mut values = Values::of(value);
            if values.is_none() && matches!(rule, Rule::Closed(_)) {
                // A field that says nothing still addresses; nobody, then.
                values = Some(Values::AnyOf(Vec::new()));
            }
            addressed.put(key, values);
        };
        // An error means that it is no object: the intake has checked that it is JSON.
        let _ = fields::read(document, key_of, found);
        addressed.settle();
        addressed
    }

    fn put(&mut self, key: K, values: Option<Values<'a>>) {
        for place in &mut self.few {
            match place {
                Some((taken, _)) if *taken != key => {}
                // Free, or the same field again: the last counts.
                _ => {
                    *place = Some((key, values));
                    return;
                }
            }
        }
        self.many.push((key, values));
    }

    /// Sorts, and leaves the last of each field only.
    fn settle(&mut self) {
        self.many.reverse();
        self.many.sort_by_key(|(key, _)| *key);
        self.many.dedup_by_key(|(key, _)| *key);
    }

    /// What the message says in this field, if it has it.
    pub(crate) fn get(&self, key: K) -> Option<&Values<'a>> {
        let few = self.few.iter().flatten().find(|(other, _)| *other == key);
        let (_, values) = few.or_else(|| {
            let place = self.many.binary_search_by_key(&key, |(other, _)| *other);
            place.ok().map(|place| &self.many[place])
        })?;
        values.as_ref()
    }

    /// The fields that the message has.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        let all = self.few.iter().flatten().chain(&self.many);
        all.filter(|(_, values)| values.is_some())
            .map(|(key, _)| *key)
    }

    /// Whether the message has none of the fields: everyone hears it.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_fields_the_last_of_each_name_counts() {
        let mut document = String::from("{");
        for value in 0..3 {
            for field in 0..12 {
                document.push_str(&format!(r#""f{field}":{value},"#));
            }
        }
        document.push_str(r#""f3":null,"f11":null,"f5":[7]}"#);
        let known = |name: &str| name[1..].parse::<u32>().ok();
        let addressed = Addressed::read(&document, &Rule::Open, known);
        for field in 0..12 {
            let values = addressed.get(field);
            match field {
                3 | 11 => assert!(values.is_none()),
                5 => assert!(values.unwrap().contain("7") && !values.unwrap().contain("2")),
                _ => assert!(values.unwrap().contain("2")),
            }
        }
        assert!(addressed.get(12).is_none());
        assert_eq!(addressed.keys().count(), 10);
    }
}
