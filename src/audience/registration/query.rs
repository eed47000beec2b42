//! The query of a URL, taken apart as PHP takes it apart.

use super::{RegistrationError, excerpt};

/// One `key=value`, still escaped.
pub(crate) struct Parameter<'a> {
    key: &'a str,
    value: &'a str,
}

/// A decoded key.
pub(crate) struct Key {
    /// Without brackets.
    pub(crate) name: String,
    /// Whether there were no brackets, or one pair with nothing or an index in it. All else, such
    /// as `key[name]` or `key[0][1]`, would be an object or an array of arrays.
    pub(crate) is_list_or_scalar: bool,
}

/// The parameters of a query in their order. Those without a name are none, as in PHP.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query
        .split('&')
        .map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            Parameter { key, value }
        })
        .filter(|parameter| !parameter.key.is_empty())
}

impl Parameter<'_> {
    /// Its bytes as they came.
    pub(crate) fn len(&self) -> usize {
        self.key.len() + self.value.len()
    }

    /// The key, decoded.
    pub(crate) fn key(&self) -> Result<Key, RegistrationError> {
        let mut name = decode(self.key)?;
        let mut is_list_or_scalar = true;
        // A bracket at the start, or one that is never closed, is a letter like any other.
        if let Some(bracket) = name.find('[')
            && bracket > 0
            && name.ends_with(']')
        {
            let index = &name[bracket + 1..name.len() - 1];
            is_list_or_scalar = index.bytes().all(|byte| byte.is_ascii_digit());
            name.truncate(bracket);
        }
        Ok(Key {
            name,
            is_list_or_scalar,
        })
    }

    /// The value, decoded.
    pub(crate) fn value(&self) -> Result<String, RegistrationError> {
        decode(self.value)
    }
}

/// Undoes percent escapes and `+`. A `%` without two hexadecimal digits behind it is itself.
fn decode(text: &str) -> Result<String, RegistrationError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let (byte, after) = match byte {
            b'+' => (b' ', after),
            b'%' => escaped(after).unwrap_or((b'%', after)),
            byte => (*byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).map_err(|_| RegistrationError::NotUtf8 {
        text: excerpt(text),
    })
}

/// The byte that two hexadecimal digits stand for, and what follows them.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(*high)? * 16 + digit(*low)?;
    // Two digits make a byte, so that this never fails.
    Some((u8::try_from(byte).ok()?, rest))
}
