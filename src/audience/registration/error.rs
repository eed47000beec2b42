//! Why something is no registration.

use std::fmt;

use super::{MAX_BYTES, MAX_FILTERS, MAX_NAME_BYTES, MAX_VALUE_BYTES, MAX_VALUES};

/// Why a registration is refused: one sentence, for the log and for the client.
///
/// What it cites of the client's own text is escaped and never longer than some 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationError {
    /// More than [`MAX_BYTES`].
    TooLong(usize),
    /// More than [`MAX_FILTERS`].
    TooManyFilters(usize),
    /// Fields and `registration=` in one query.
    TwoForms,
    /// More than so many: [`MAX_FIELDS`](super::MAX_FIELDS), or [`MAX_ALL_FIELDS`](super::MAX_ALL_FIELDS).
    TooManyFields(usize, usize),
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
    /// `registration` with anything but an object or an array of them.
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
    /// The [`Budget`](super::budget::Budget) is spent.
    NoRoom,
}

impl RegistrationError {
    pub(super) fn not_scalar(name: &str) -> Self {
        RegistrationError::NotScalar {
            field: excerpt(name),
        }
    }
}

/// What a message about `text` needs of it.
pub(super) fn excerpt(text: &str) -> String {
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
            RegistrationError::TooManyFilters(filters) => {
                write!(
                    f,
                    "a list of {filters} registrations, at most {MAX_FILTERS} are allowed"
                )
            }
            RegistrationError::TwoForms => {
                f.write_str("the query has fields, and a registration in JSON: one or the other")
            }
            RegistrationError::TooManyFields(fields, most) => {
                write!(
                    f,
                    "a registration of {fields} fields, at most {most} are allowed"
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
            RegistrationError::NotAnObject => {
                f.write_str("the registration is no object, and no list of objects")
            }
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
