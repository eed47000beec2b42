//! Queries and text frames: whatever registers is within the bounds, and is read again from how it is
//! told.

use std::fmt::Write;

use crate::audience::registration::{
    Filter, MAX_BYTES, MAX_FIELDS, MAX_FILTERS, MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_VALUES, Names,
    Registration, RegistrationError, is_heartbeat, is_reserved,
};
use crate::audience::rule::Rule;

use super::{check_line, rules};

pub(super) fn query(text: &str) {
    for rule in rules() {
        match Registration::from_query(text, rule) {
            Ok(registration) => check(&registration, rule),
            Err(error) => check_error(&error),
        }
    }
}

pub(super) fn frame(text: &str) {
    let is_beat = is_heartbeat(text);
    for rule in rules() {
        let plain = Registration::from_frame(text, rule, &Names::default());
        let names = match &plain {
            Ok(Some(registration)) => {
                assert!(!is_beat || matches!(rule, Rule::Closed(_)) || says_so(text));
                check(registration, rule);
                Names::of(registration)
            }
            Ok(None) => Names::default(),
            Err(error) => {
                check_error(error);
                Names::default()
            }
        };
        // A client that registered as much in its URL may say so again.
        let again = Registration::from_frame(text, rule, &names);
        assert_eq!(again, plain);
    }
}

/// Whether it registers on purpose, and not only by its shape.
fn says_so(text: &str) -> bool {
    text.contains("registration") || text.contains('\\') || text.trim_ascii() == "{}"
}

/// What holds of every registration.
pub(crate) fn check(registration: &Registration, rule: &Rule) {
    check_bounds(registration, rule);
    let json = registration.to_json();
    assert_eq!(
        registration.to_string().contains('\n'),
        json.get().contains('\n')
    );
    check_line(&registration.to_string());
    for text in [json.get(), &registration.to_string()] {
        let frame = format!(r#"{{"type":"register","registration":{text}}}"#);
        let read = Registration::from_frame(&frame, rule, &Names::default());
        if frame.len() <= MAX_BYTES {
            assert_eq!(read.as_ref(), Ok(&Some(registration.clone())));
        } else {
            assert_eq!(read, Err(RegistrationError::TooLong(frame.len())));
        }
    }
    if let Some(query) = as_query(registration) {
        let read = Registration::from_query(&query, rule);
        match query.len() <= MAX_BYTES {
            true => assert_eq!(read.as_ref(), Ok(registration), "{query}"),
            false => assert!(read.as_ref() == Ok(registration) || is_too_long(&read)),
        }
    }
}

fn is_too_long(read: &Result<Registration, RegistrationError>) -> bool {
    matches!(read, Err(RegistrationError::TooLong(_)))
}

fn check_bounds(registration: &Registration, rule: &Rule) {
    let filters: Vec<_> = registration.filters().collect();
    assert!((1..=MAX_FILTERS).contains(&filters.len()));
    assert!(filters.len() == 1 || filters.iter().all(|filter| !filter.is_empty()));
    let mut count = 0;
    for filter in filters {
        check_filter(filter, registration, rule, &mut count);
    }
    assert!(count <= MAX_VALUES);
    assert_eq!(registration.value(count), None);
    assert!(registration.has_of_each(registration) || has_field_without_values(registration));
}

/// `count` is the number of the filter's first value, then of the next filter's.
fn check_filter(filter: &Filter, registration: &Registration, rule: &Rule, count: &mut usize) {
    let fields: Vec<_> = filter.fields().collect();
    assert!(fields.len() <= MAX_FIELDS);
    assert!(fields.is_sorted_by(|one, next| one.name < next.name));
    let first = *count;
    for field in fields {
        assert!(rule.addresses(field.name));
        assert!(field.name.len() <= MAX_NAME_BYTES);
        check_line(field.name);
        let values: Vec<_> = field.values().collect();
        assert!(values.is_sorted_by(|one, next| one < next));
        for value in values {
            assert!(value.len() <= MAX_VALUE_BYTES);
            assert!(field.has(value));
            assert_eq!(registration.value(*count), Some(value));
            *count += 1;
        }
        assert!(filter.field(field.name).is_some());
        assert_eq!(registration.known(field.name), Some(field.name));
    }
    assert_eq!(first + filter.value_count(), *count);
}

fn has_field_without_values(registration: &Registration) -> bool {
    let mut fields = registration.filters().flat_map(Filter::fields);
    fields.any(|field| field.values().len() == 0)
}

/// The query that means the same, if there is one.
fn as_query(registration: &Registration) -> Option<String> {
    let is_told = |name: &str| !name.is_empty() && !name.contains('[');
    let mut query = String::new();
    let Some(filter) = registration.only_filter() else {
        query.push_str("registration=");
        append_escaped(registration.to_json().get(), &mut query);
        return Some(query);
    };
    for field in filter.fields() {
        let is_json = field.name == "registration";
        if !is_told(field.name) || is_reserved(field.name) || is_json || field.values().len() == 0 {
            return None;
        }
        for value in field.values() {
            append_escaped(field.name, &mut query);
            query.push_str("[]=");
            append_escaped(value, &mut query);
            query.push('&');
        }
    }
    Some(query)
}

fn append_escaped(text: &str, query: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => query.push('+'),
            byte if byte.is_ascii_alphanumeric() => query.push(byte.into()),
            // Writing to a string cannot fail.
            byte => _ = write!(query, "%{byte:02x}"),
        }
    }
}

/// It is told in the log and to the client.
fn check_error(error: &RegistrationError) {
    let sentence = error.to_string();
    check_line(&sentence);
    assert!(sentence.len() < 1000, "{sentence}");
}
