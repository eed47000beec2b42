//! What a client registers: the fields and values that it wants to hear.
//!
//! Pure. Handshakes read it from the URL's query, sessions from text frames, each on its client's
//! thread; the hub keeps it. Input is checked here, once, against the bounds below; a
//! [`Registration`] is always within them. What the hub's index needs of it is prepared here, too:
//! the index works under the hub's lock.

pub(crate) mod budget;
mod compact;
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

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::audience::rule::Rule;
use crate::message::fields::{self, Value};
use crate::words::JsonLine;
use budget::Charge;
use compact::Compact;
pub(crate) use compact::{Field, hash};
use frame::{Fields, Frame};
pub(crate) use frame::{Names, is_heartbeat, token_in};
pub(crate) use query::parameters;

/// Bytes that a registration may have as it comes: of the frame, or of those parameters of the
/// query that are fields.
pub(crate) const MAX_BYTES: usize = 4096;
/// Fields that a registration may have.
pub(crate) const MAX_FIELDS: usize = 16;
/// Different values that a registration may have, those of all its fields together: the index has
/// an entry for each, made and removed under the hub's lock.
pub(crate) const MAX_VALUES: usize = 64;
/// Bytes that a field's name may have.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Bytes that a value may have.
pub(crate) const MAX_VALUE_BYTES: usize = 256;

/// The fields that a client registered, each with the values of which it wants to hear any.
///
/// Registrations that mean the same are equal: order, repetition, null and the difference between
/// 2 and `"2"` are gone. Cheap to clone, to compare and to hash. The default one is empty: it hears
/// everything that the rule lets it.
#[derive(Clone, Debug)]
pub(crate) struct Registration(Arc<Registered>);

#[derive(Debug, Default)]
struct Registered {
    fields: Compact,
    hash: u64,
    /// What it is counted for, from when the hub has taken it.
    charge: OnceLock<Charge>,
}

impl Registration {
    /// Reads a registration from a text frame: a JSON object of scalars and arrays of scalars
    /// (any of). Scalars count by their text, null is no value, of a name that comes twice the last
    /// counts. `{"type":"register","registration":{…}}` holds such an object, and always registers;
    /// so does `{}`, which clears what was registered before. Any other object registers
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
            Frame::Registers(fields) => fields,
            Frame::RegistersNothing => return Err(RegistrationError::NotAnObject),
        };
        check_length(text.len())?;
        Self::from_fields(found).map(Some)
    }

    /// Reads a registration from a JSON object that is one, whatever it says.
    ///
    /// # Errors
    /// When it is no object, past a bound, or when a field has a value that is no text.
    pub(crate) fn from_object(object: &str, rule: &Rule) -> Result<Self, RegistrationError> {
        check_length(object.len())?;
        let fields = frame::fields_of(object, rule).ok_or(RegistrationError::NotAnObject)?;
        Self::from_fields(fields)
    }

    fn from_fields(fields: Fields<'_>) -> Result<Self, RegistrationError> {
        let mut values_of = BTreeMap::new();
        for (name, value) in fields {
            let values = values(&name, value)?;
            values_of.insert(name, values);
        }
        Self::checked(values_of)
    }

    /// Reads a registration from the query of a URL, without its `?`, as PHP would: percent escapes
    /// and `+` are undone; a repeated key, `key[]` and `key[0]` are any-of; a key without `=` has
    /// the empty value.
    ///
    /// `since` and `token` are no fields, and what the rule does not know is ignored.
    ///
    /// # Errors
    /// When it is past a bound or not to be decoded, or when a key is an array of arrays.
    pub(crate) fn from_query(query: &str, rule: &Rule) -> Result<Self, RegistrationError> {
        let mut values_of: BTreeMap<String, Vec<Cow<'_, str>>> = BTreeMap::new();
        let mut length = 0;
        for parameter in query::parameters(query) {
            let key = parameter.key()?;
            if matches!(&*key.name, "since" | "token") || !rule.addresses(&key.name) {
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
        Self::checked(values_of)
    }

    /// Applies the bounds.
    fn checked(
        mut values_of: BTreeMap<String, Vec<Cow<'_, str>>>,
    ) -> Result<Self, RegistrationError> {
        if values_of.len() > MAX_FIELDS {
            return Err(RegistrationError::TooManyFields(values_of.len()));
        }
        let (mut count, mut text) = (0, 0);
        for (name, values) in &mut values_of {
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
            if let Some(value) = values.iter().find(|value| value.len() > MAX_VALUE_BYTES) {
                return Err(RegistrationError::ValueTooLong {
                    field: name.clone(),
                    bytes: value.len(),
                });
            }
            count += values.len();
            text += name.len() + values.iter().map(|value| value.len()).sum::<usize>();
        }
        if count > MAX_VALUES {
            return Err(RegistrationError::TooManyValues(count));
        }
        if values_of.is_empty() {
            return Ok(Registration::default());
        }
        let mut fields = Compact::with_capacity(values_of.len(), count, text);
        for (name, values) in &values_of {
            fields.push(name, values);
        }
        Ok(Registration(Arc::new(Registered {
            hash: fields.hash(),
            fields,
            charge: OnceLock::new(),
        })))
    }

    /// How the client is told of it; the same as `Serialize`.
    pub(crate) fn to_json(&self) -> Box<RawValue> {
        // Strings always have a JSON form.
        serde_json::value::to_raw_value(self).unwrap_or_default()
    }

    /// Whether nothing is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.fields.len() == 0
    }

    /// The fields, sorted by name; at most [`MAX_FIELDS`].
    pub(crate) fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.0.fields.fields()
    }

    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<Field<'_>> {
        self.0.fields.find(name)
    }

    /// Whether it has each field of the other one, with at least one of its values.
    pub(crate) fn has_of_each(&self, wanted: &Registration) -> bool {
        wanted.fields().all(|wanted| {
            let field = self.field(wanted.name);
            field.is_some_and(|field| wanted.values().any(|value| field.has(value)))
        })
    }

    /// How many values all fields have together; at most [`MAX_VALUES`].
    pub(crate) fn value_count(&self) -> usize {
        self.0.fields.value_count()
    }

    /// One of the values, counted through all fields.
    pub(crate) fn value(&self, number: usize) -> Option<&str> {
        self.0.fields.value(number)
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
        Arc::ptr_eq(one, other) || one.hash == other.hash && one.fields == other.fields
    }
}

impl Eq for Registration {}

impl Hash for Registration {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
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

/// As it stands in the log, and as [`Registration::from_frame`] reads it again: a single value is a
/// string, none or several are an array of strings.
impl Serialize for Registration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.fields().len()))?;
        for field in self.fields() {
            let values: Vec<&str> = field.values().collect();
            match values[..] {
                [value] => object.serialize_entry(field.name, value)?,
                _ => object.serialize_entry(field.name, &values)?,
            }
        }
        object.end()
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

/// Why a registration is refused: one sentence, for the log and for the client.
///
/// What it cites of the client's own text is escaped and never longer than some 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationError {
    /// More than [`MAX_BYTES`].
    TooLong(usize),
    /// More than [`MAX_FIELDS`].
    TooManyFields(usize),
    /// More than [`MAX_VALUES`].
    TooManyValues(usize),
    /// More than [`MAX_NAME_BYTES`].
    NameTooLong {
        /// How the name begins.
        field: String,
        /// The name's length.
        bytes: usize,
    },
    /// More than [`MAX_VALUE_BYTES`].
    ValueTooLong {
        /// The field's name.
        field: String,
        /// The value's length.
        bytes: usize,
    },
    /// A name that nobody means: with white space around it, or control characters in it.
    OddName {
        /// How the name begins.
        field: String,
    },
    /// `{"type":"register","registration":…}` with anything but an object.
    NotAnObject,
    /// An object, or an array with an array or object in it.
    NotScalar {
        /// The field's name.
        field: String,
    },
    /// A string with half a surrogate pair, such as `"\ud800"`.
    NotText {
        /// The field's name.
        field: String,
    },
    /// A key or a value in the query that is not UTF-8 when its escapes are undone.
    NotUtf8 {
        /// As it stands in the query.
        text: String,
    },
    /// The [`Budget`](budget::Budget) is spent.
    NoRoom,
}

impl RegistrationError {
    fn not_scalar(name: &str) -> Self {
        RegistrationError::NotScalar {
            field: excerpt(name),
        }
    }
}

/// What a message about `text` needs of it.
fn excerpt(text: &str) -> String {
    if text.len() <= MAX_NAME_BYTES {
        return text.to_owned();
    }
    let fits = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=MAX_NAME_BYTES).rev().find(fits).unwrap_or(0);
    format!("{}…", &text[..end])
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistrationError::TooLong(bytes) => {
                write!(
                    f,
                    "a registration of {bytes} bytes, at most {MAX_BYTES} are allowed"
                )
            }
            RegistrationError::TooManyFields(fields) => {
                write!(
                    f,
                    "a registration of {fields} fields, at most {MAX_FIELDS} are allowed"
                )
            }
            RegistrationError::TooManyValues(values) => {
                write!(
                    f,
                    "a registration of {values} values, at most {MAX_VALUES} are allowed"
                )
            }
            RegistrationError::NameTooLong { field, bytes } => write!(
                f,
                "the name {field:?} has {bytes} bytes, at most {MAX_NAME_BYTES} are allowed"
            ),
            RegistrationError::ValueTooLong { field, bytes } => write!(
                f,
                "{field:?} has a value of {bytes} bytes, at most {MAX_VALUE_BYTES} are allowed"
            ),
            RegistrationError::OddName { field } => write!(
                f,
                "the name {field:?} has white space around it or control characters in it"
            ),
            RegistrationError::NotAnObject => f.write_str("the registration is no object"),
            RegistrationError::NotScalar { field } => {
                write!(f, "{field:?} is neither a scalar nor an array of scalars")
            }
            RegistrationError::NotText { field } => {
                write!(f, "{field:?} has a value with half a surrogate pair")
            }
            RegistrationError::NotUtf8 { text } => {
                write!(f, "{text:?} in the query is not UTF-8")
            }
            RegistrationError::NoRoom => {
                f.write_str("there is no room for more registrations: try again later")
            }
        }
    }
}

impl std::error::Error for RegistrationError {}
