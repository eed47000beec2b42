//! `field=value` on a command line: what somebody registered, or is to register.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// One field and one value for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) field: String,
    pub(super) value: String,
}

/// Takes a command line's argument apart. Which fields and values there may be, the server knows.
///
/// # Errors
/// When there is no field, or no `=`.
pub(super) fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((field, value)) if !field.is_empty() => Ok(Pair {
            field: field.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err("a field and a value, such as school_id=2, are needed".to_owned()),
    }
}

impl Pair {
    /// As a URL's query has it.
    pub(super) fn parameter(&self) -> String {
        format!("{}={}", escaped(&self.field), escaped(&self.value))
    }
}

/// All but what never needs it (RFC 3986 §2.3): the server takes ids without escapes only.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As it may stand in a URL's query, or between two slashes of its path.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// As a JSON object; a field with several values has a list of them.
pub(super) fn object(pairs: &[Pair]) -> String {
    let mut object: BTreeMap<&str, Value> = BTreeMap::new();
    for Pair { field, value } in pairs {
        let value = Value::from(value.as_str());
        match object.get_mut(field.as_str()) {
            None => {
                object.insert(field, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::from_iter(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_ends_its_field_at_the_first_equals_sign() {
        let of = |text| pair(text).map(|pair| (pair.field, pair.value));
        assert_eq!(of("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(of("a="), Ok(("a".to_owned(), String::new())));
        assert!(of("a").unwrap_err().contains("school_id=2"));
        assert!(of("=b").is_err());
    }

    #[test]
    fn in_a_url_nothing_means_anything_else() {
        let pair = pair("ü&=1+1 #%/?").unwrap();
        assert_eq!(escaped("k3f9x0ab-42"), "k3f9x0ab-42");
        assert_eq!(pair.parameter(), "%C3%BC%26=1%2B1%20%23%25%2F%3F");
    }

    #[test]
    fn a_repeated_field_has_a_list() {
        let pairs = ["a=1", "b=\"", "a=2", "a=3"].map(|text| pair(text).unwrap());
        assert_eq!(object(&pairs), r#"{"a":["1","2","3"],"b":"\""}"#);
        assert_eq!(object(&[]), "{}");
    }
}
