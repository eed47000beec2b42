//! What a client registers: the fields and values that it wants to hear.
//!
//! Pure. Handshakes read it from the URL's query, sessions from text frames, each on its client's
//! thread; the hub keeps it. Input is checked here, once, against the bounds below; a
//! [`Registration`] is always within them. What the hub's index needs of it is prepared here, too:
//! the index works under the hub's lock.

pub(crate) mod budget;
mod error;
mod filter;
mod frame;
mod narrow;
mod query;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, OnceLock};

use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::audience::rule::Rule;
use crate::message::fields::{self, Value};
use crate::words::JsonLine;
use budget::Charge;
pub(crate) use error::RegistrationError;
use error::excerpt;
pub(crate) use filter::{Field, Filter, hash};
use frame::{Fields, Frame, REGISTRATION};
pub(crate) use frame::{Names, is_heartbeat, token_in};
pub(crate) use query::parameters;

/// Bytes that a registration may have as it comes: of the frame, or of those parameters of the
/// query that are fields.
pub(crate) const MAX_BYTES: usize = 4096;
/// Filters that a registration may have: a message is looked up for each.
pub(crate) const MAX_FILTERS: usize = 16;
/// Fields that a filter may have.
pub(crate) const MAX_FIELDS: usize = 16;
/// Fields that all filters of a registration may have together.
const MAX_ALL_FIELDS: usize = 64;
/// Different values that a registration may have, those of all its fields together: the index has
/// an entry for each, made and removed under the hub's lock.
pub(crate) const MAX_VALUES: usize = 64;
/// Bytes that a field's name may have.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Bytes that a value may have.
pub(crate) const MAX_VALUE_BYTES: usize = 256;

/// What a client registered: it hears what at least one of its filters hears, usually the only one.
/// A filter is fields, each with the values of which it wants to hear any.
///
/// Registrations that mean the same are equal: order, repetition, null and the difference between
/// 2 and `"2"` are gone. Cheap to clone, to compare and to hash. The default one has one filter
/// without fields: it hears everything that the rule lets it.
#[derive(Clone, Debug)]
pub(crate) struct Registration(Arc<Registered>);

#[derive(Debug, Default)]
struct Registered {
    first: Filter,
    /// In the order of their JSON, each once, behind the first one.
    others: Box<[Filter]>,
    hash: u64,
    /// What it is counted for, from when the hub has taken it.
    charge: OnceLock<Charge>,
}

impl Registration {
    /// Reads a registration from a text frame: a JSON object of scalars and arrays of scalars
    /// (any of). Scalars count by their text, null is no value, of a name that comes twice the last
    /// counts. `{"type":"register","registration":{…}}` holds such an object, or an array of them (any
    /// of), and always registers; so does `{}`, which clears what was registered before. Any other
    /// object registers
    ///
    /// - under a closed rule if it has a field that addresses;
    /// - under the open rule unless it is a heartbeat such as `{"type":"ping"}`, or lacks a field
    ///   that the client registered in its URL, `from_url`: it would hear more then.
    ///
    /// `None` when the frame registers nothing.
    ///
    /// # Errors
    /// When it is one but past a bound, or when a field has a value that is no text; what the
    /// client registered before should stay then.
    pub(crate) fn from_frame(
        text: &str,
        rule: &Rule,
        from_url: &Names,
    ) -> Result<Option<Self>, RegistrationError> {
        let found = match Frame::read(text, rule, from_url) {
            Frame::Other => return Ok(None),
            Frame::Registers(filters) => filters,
            Frame::RegistersNothing => return Err(RegistrationError::NotAnObject),
        };
        check_length(text.len())?;
        Self::from_fields(found, rule).map(Some)
    }

    /// Reads a registration from a JSON object that is one, or an array of them, whatever they say.
    ///
    /// # Errors
    /// When it is neither, past a bound, or when a field has a value that is no text.
    pub(crate) fn from_json(json: &str, rule: &Rule) -> Result<Self, RegistrationError> {
        check_length(json.len())?;
        let filters = frame::filters(json, rule).ok_or(RegistrationError::NotAnObject)?;
        Self::from_fields(filters, rule)
    }

    fn from_fields(filters: Vec<Fields<'_>>, rule: &Rule) -> Result<Self, RegistrationError> {
        let mut wanted = Vec::with_capacity(filters.len());
        for fields in filters {
            let mut values_of = BTreeMap::new();
            for (name, value) in fields {
                let values = values(&name, value)?;
                values_of.insert(name, values);
            }
            wanted.push(values_of);
        }
        Self::checked(wanted, rule)
    }

    /// Reads a registration from the query of a URL, without its `?`, as PHP would: percent escapes
    /// and `+` are undone; a repeated key, `key[]` and `key[0]` are any-of; a key without `=` has
    /// the empty value. `registration=[{…},{…}]` is what a frame may hold under that name, and goes
    /// on its own.
    ///
    /// What is the protocol's ([`is_reserved`]) is no field, and what the rule does not know is
    /// ignored.
    ///
    /// # Errors
    /// When it is past a bound or not to be decoded, or when a key is an array of arrays.
    pub(crate) fn from_query(query: &str, rule: &Rule) -> Result<Self, RegistrationError> {
        let mut values_of: BTreeMap<String, Vec<Cow<'_, str>>> = BTreeMap::new();
        let mut json = None;
        let mut length = 0;
        for parameter in query::parameters(query) {
            let key = parameter.key()?;
            if key.name == REGISTRATION {
                let value = parameter.value()?;
                if value.starts_with(['{', '[']) {
                    length += value.len();
                    check_length(length)?;
                    json = Some(value);
                    continue;
                }
            }
            if is_reserved(&key.name) || !rule.addresses(&key.name) {
                continue;
            }
            if !key.is_list_or_scalar {
                return Err(RegistrationError::not_scalar(&key.name));
            }
            length += parameter.len();
            check_length(length)?;
            values_of
                .entry(key.name)
                .or_default()
                .push(parameter.value()?.into());
        }
        let Some(json) = json else {
            return Self::checked(vec![values_of], rule);
        };
        if !values_of.is_empty() {
            return Err(RegistrationError::TwoForms);
        }
        Self::from_json(&json, rule)
    }

    /// Applies the bounds.
    fn checked(mut filters: Vec<Wanted<'_>>, rule: &Rule) -> Result<Self, RegistrationError> {
        if filters.len() > MAX_FILTERS {
            return Err(RegistrationError::TooManyFilters(filters.len()));
        }
        let counts = filters.iter().map(BTreeMap::len);
        if let Some(fields) = counts.clone().find(|count| *count > MAX_FIELDS) {
            return Err(RegistrationError::TooManyFields(fields, MAX_FIELDS));
        }
        let fields = counts.sum();
        if fields > MAX_ALL_FIELDS {
            return Err(RegistrationError::TooManyFields(fields, MAX_ALL_FIELDS));
        }
        let mut count = 0;
        for (name, values) in filters.iter_mut().flatten() {
            check_field(name, values)?;
            count += values.len();
        }
        if count > MAX_VALUES {
            return Err(RegistrationError::TooManyValues(count));
        }
        Ok(Self::of(filters.iter().map(filter).collect(), rule))
    }

    /// Who wants to hear any of this.
    fn of(mut filters: Vec<Filter>, rule: &Rule) -> Self {
        if filters.len() > 1 {
            let is_empty = |filter: &Filter| filter.is_empty();
            match rule {
                // Such a one hears everything,
                Rule::Open if filters.iter().any(is_empty) => filters.truncate(0),
                // or nothing that the others do not hear.
                _ => filters.retain(|filter| !filter.is_empty()),
            }
            filters.sort_by_cached_key(|filter| serde_json::to_string(filter).unwrap_or_default());
            filters.dedup();
        }
        let mut filters = filters.into_iter();
        let first = filters.next().unwrap_or_default();
        let others: Box<[Filter]> = filters.collect();
        if first.is_empty() {
            return Registration::default();
        }
        Registration(Arc::new(Registered {
            hash: filter::hash_of(&(&first, &others)),
            first,
            others,
            charge: OnceLock::new(),
        }))
    }

    /// How the client is told of it; the same as `Serialize`.
    pub(crate) fn to_json(&self) -> Box<RawValue> {
        // Strings always have a JSON form.
        serde_json::value::to_raw_value(self).unwrap_or_default()
    }

    /// Whether nothing is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.first.is_empty()
    }

    /// Its filters, at least one; at most [`MAX_FILTERS`].
    pub(crate) fn filters(&self) -> impl Iterator<Item = &Filter> {
        std::iter::once(&self.0.first).chain(&self.0.others)
    }

    /// Its filter, if it has but one.
    pub(crate) fn only_filter(&self) -> Option<&Filter> {
        Some(&self.0.first).filter(|_| self.0.others.is_empty())
    }

    /// The name of a field that any of its filters has.
    pub(crate) fn known(&self, name: &str) -> Option<&str> {
        self.filters()
            .find_map(|filter| filter.field(name))
            .map(|field| field.name)
    }

    /// Whether one of its filters has each field of one of those, with at least one of its values.
    pub(crate) fn has_of_each(&self, wanted: &Registration) -> bool {
        let has = |wanted: &Filter| self.filters().any(|filter| filter.has_of_each(wanted));
        wanted.filters().any(has)
    }

    /// One of the values, counted through all filters.
    pub(crate) fn value(&self, number: usize) -> Option<&str> {
        let (filter, number) = self.filter_of(number)?;
        filter.value(number)
    }

    /// The filter that has this value, counted through all of them, and its number there.
    fn filter_of(&self, mut number: usize) -> Option<(&Filter, usize)> {
        self.filters().find_map(|filter| {
            let count = filter.value_count();
            if number < count {
                return Some((filter, number));
            }
            number -= count;
            None
        })
    }
}

impl Default for Registration {
    fn default() -> Self {
        static EMPTY: LazyLock<Registration> = LazyLock::new(|| Registration(Arc::default()));
        EMPTY.clone()
    }
}

impl PartialEq for Registration {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        Arc::ptr_eq(one, other)
            || one.hash == other.hash && one.first == other.first && one.others == other.others
    }
}

impl Eq for Registration {}

impl Hash for Registration {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// What is registered under each name.
type Wanted<'a> = BTreeMap<String, Vec<Cow<'a, str>>>;

/// Whether a name in a URL's query is the protocol's own, and no field.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "since" | "token" | "last" | "online")
}

/// Sorts the values, and applies the bounds of one field.
fn check_field(name: &str, values: &mut Vec<Cow<'_, str>>) -> Result<(), RegistrationError> {
    if name.trim() != name || name.contains(char::is_control) {
        return Err(RegistrationError::OddName {
            field: excerpt(name),
        });
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(RegistrationError::NameTooLong {
            field: excerpt(name),
            bytes: name.len(),
        });
    }
    values.sort_unstable();
    values.dedup();
    match values.iter().find(|value| value.len() > MAX_VALUE_BYTES) {
        None => Ok(()),
        Some(value) => Err(RegistrationError::ValueTooLong {
            field: name.to_owned(),
            bytes: value.len(),
        }),
    }
}

fn filter(wanted: &Wanted<'_>) -> Filter {
    let values = wanted.values().map(Vec::len).sum();
    let names = wanted.keys().map(String::len).sum::<usize>();
    let text = wanted.values().flatten().map(|value| value.len());
    let mut filter = Filter::with_capacity(wanted.len(), values, names + text.sum::<usize>());
    for (name, values) in wanted {
        filter.push(name, values);
    }
    filter
}

/// What a frame says in one field. Null is none, not the absence of the field: where a page knows no
/// value, it should not hear those of all others.
fn values<'a>(name: &str, value: Value<'a>) -> Result<Vec<Cow<'a, str>>, RegistrationError> {
    let elements = match value {
        Value::Array(array) => fields::elements(array).collect(),
        other => vec![other],
    };
    let mut values = Vec::with_capacity(elements.len());
    for element in elements {
        match element {
            // Equals nothing, as in a message's array.
            Value::Null => {}
            Value::Text(text) => values.push(text),
            Value::NotText => {
                return Err(RegistrationError::NotText {
                    field: excerpt(name),
                });
            }
            Value::Array(_) | Value::Object(_) => return Err(RegistrationError::not_scalar(name)),
        }
    }
    Ok(values)
}

fn check_length(bytes: usize) -> Result<(), RegistrationError> {
    if bytes > MAX_BYTES {
        return Err(RegistrationError::TooLong(bytes));
    }
    Ok(())
}

/// As it stands in the log, and as [`Registration::from_frame`] reads it again: an object, or an
/// array of several.
impl Serialize for Registration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.only_filter() {
            Some(filter) => filter.serialize(serializer),
            None => serializer.collect_seq(self.filters()),
        }
    }
}

/// For the log: JSON, see `Serialize`, in which whatever a terminal may take for more than a letter
/// is escaped as JSON escapes it.
impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        JsonLine(&json).fmt(f)
    }
}
