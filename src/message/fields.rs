//! The top-level fields of a JSON object, read in one pass without building a tree.
//!
//! Pure. The rule reads messages with it on the publisher's thread, under the hub's lock, so it
//! skips whatever nobody asked for; registrations are read with it on their client's thread. It
//! never recurses: nesting costs no stack.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The text is not JSON, or JSON but no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// One JSON value, as far as the rule looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// `null`.
    Null,
    /// A scalar, by its text: what a string means, or how a number or boolean is spelt.
    Text(Cow<'a, str>),
    /// A string with half a surrogate pair, such as `"\ud800"`: its syntax is right, but there is
    /// no text that it could equal.
    NotText,
    /// An array, for [`elements`].
    Array(&'a str),
    /// An object, for [`read`].
    Object(&'a str),
}

/// Reads an object's fields in their order and returns how many there are.
///
/// `key_of` is asked about each name, with its escapes undone, and `found` is told the value of
/// those that it wants. Of a name that comes twice the last value counts, as in PHP: that is for
/// `found` to see to. A name with half a surrogate pair is nobody's field.
///
/// # Errors
/// When `text` is not an object; what stands before a fault has been told by then.
pub(crate) fn read<'a, K>(
    text: &'a str,
    key_of: impl FnMut(&str) -> Option<K>,
    found: impl FnMut(K, Value<'a>),
) -> Result<usize, NotAnObject> {
    // serde_json would take pains to say what it is instead.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(NotAnObject);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let count = json
        .deserialize_map(Fields { key_of, found })
        .map_err(|_| NotAnObject)?;
    json.end().map_err(|_| NotAnObject)?;
    Ok(count)
}

/// The elements of a [`Value::Array`].
pub(crate) fn elements(array: &str) -> impl Iterator<Item = Value<'_>> {
    // It was read as an array, so it is one.
    let elements: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
    elements.into_iter().map(|element| Value::of(element.get()))
}

impl<'a> Value<'a> {
    /// `text` is one JSON value without white space around it.
    pub(crate) fn of(text: &'a str) -> Self {
        match text.as_bytes() {
            b"null" => Value::Null,
            [b'{', ..] => Value::Object(text),
            [b'[', ..] => Value::Array(text),
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
                Value::Text(Cow::Borrowed(&text[1..text.len() - 1]))
            }
            [b'"', ..] => serde_json::from_str(text)
                .map_or(Value::NotText, |string| Value::Text(Cow::Owned(string))),
            _ => Value::Text(Cow::Borrowed(text)),
        }
    }
}

/// A string by its text, all else as it is spelt.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Null => "null",
            Value::Text(text) => text,
            Value::NotText => "?",
            Value::Array(json) | Value::Object(json) => json,
        })
    }
}

struct Fields<KeyOf, Found> {
    key_of: KeyOf,
    found: Found,
}

impl<'a, K, KeyOf, Found> Visitor<'a> for Fields<KeyOf, Found>
where
    KeyOf: FnMut(&str) -> Option<K>,
    Found: FnMut(K, Value<'a>),
{
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(key) = object.next_key_seed(Name(&mut self.key_of))? {
            count += 1;
            match key {
                Some(key) => {
                    let value: &RawValue = object.next_value()?;
                    (self.found)(key, Value::of(value.get()));
                }
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(count)
    }
}

/// Asks `key_of` about a name while it is read, so that no name is ever copied.
struct Name<'f, KeyOf>(&'f mut KeyOf);

impl<'a, K, KeyOf: FnMut(&str) -> Option<K>> DeserializeSeed<'a> for Name<'_, KeyOf> {
    type Value = Option<K>;

    fn deserialize<D: serde::Deserializer<'a>>(self, name: D) -> Result<Option<K>, D::Error> {
        // As bytes: of a str, serde_json would refuse half a surrogate pair.
        name.deserialize_bytes(self)
    }
}

impl<K, KeyOf: FnMut(&str) -> Option<K>> Visitor<'_> for Name<'_, KeyOf> {
    type Value = Option<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Option<K>, E> {
        Ok(std::str::from_utf8(name).ok().and_then(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text))
    }

    fn read_all(object: &str) -> Result<Vec<(String, Value<'_>)>, NotAnObject> {
        let mut all = Vec::new();
        read(
            object,
            |name| Some(name.to_owned()),
            |name, value| all.push((name, value)),
        )?;
        Ok(all)
    }

    #[test]
    fn fields_come_in_their_order_with_escapes_undone_and_scalars_as_text() {
        let object = r#" { "school\u005fid" : 2 , "a":"x\/\u00e9", "a":null,"b":[1,{}], "c":{"a":1},
            "d":1e400,"e":-0.0,"f":true,"g":"" } "#;
        let all = read_all(object).unwrap();
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["school_id", "a", "a", "b", "c", "d", "e", "f", "g"]);
        let values: Vec<Value> = all.into_iter().map(|(_, value)| value).collect();
        assert_eq!(
            values,
            [
                text("2"),
                text("x/é"),
                Value::Null,
                Value::Array("[1,{}]"),
                Value::Object(r#"{"a":1}"#),
                text("1e400"),
                text("-0.0"),
                text("true"),
                text(""),
            ]
        );
    }

    #[test]
    fn only_the_fields_that_are_wanted_are_told_but_all_are_counted() {
        let mut told = Vec::new();
        let object = r#"{"a":1,"b":[[{"c":0}]],"c":3}"#;
        let count = read(
            object,
            |name| (name == "c").then_some(7),
            |key, value| {
                told.push((key, value));
            },
        );
        assert_eq!(count, Ok(3));
        assert_eq!(told, [(7, text("3"))]);
    }

    #[test]
    fn half_a_surrogate_pair_is_no_name_and_no_text_and_no_fault() {
        let object = r#"{"\ud800":1,"a":"\ud800","b":"\udc00x","c":"\ud83d\ude00","\ud83d\ude00":"\\ud800"}"#;
        assert_eq!(
            read_all(object).unwrap(),
            [
                ("a".to_owned(), Value::NotText),
                ("b".to_owned(), Value::NotText),
                ("c".to_owned(), text("😀")),
                ("😀".to_owned(), text("\\ud800")),
            ]
        );
    }

    #[test]
    fn the_elements_of_an_array_are_values_too() {
        let all: Vec<Value> = elements(r#"[ 1 , "1", null,[2],{"a":3}, "\udfff" ]"#).collect();
        assert_eq!(
            all,
            [
                text("1"),
                text("1"),
                Value::Null,
                Value::Array("[2]"),
                Value::Object(r#"{"a":3}"#),
                Value::NotText,
            ]
        );
        assert_eq!(elements("[]").count(), 0);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let object = format!(r#"{{"skipped":{deep},"a":{deep}}}"#);
        let mut told = None;
        let count = read(
            &object,
            |name| (name == "a").then_some(()),
            |(), value| {
                told = Some(value);
            },
        );
        assert_eq!(count, Ok(2));
        assert_eq!(told, Some(Value::Array(&deep)));
        assert_eq!(elements(&deep).count(), 1);
    }

    #[test]
    fn what_is_no_object_is_not_read() {
        for other in [
            "",
            "[]",
            r#"[{"a":1}]"#,
            "1",
            r#""{}""#,
            "null",
            "hello",
            "{",
            r#"{"a"}"#,
            "{} {}",
        ] {
            assert_eq!(read_all(other), Err(NotAnObject), "{other}");
        }
        assert_eq!(read_all("\n{}\t"), Ok(vec![]));
    }
}
