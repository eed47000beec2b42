//! Fields with values, as a client registers them. They are kept in three pieces of memory, however
//! many values there are, and with a hash of each: they come and go quickly, a thousand times a second
//! where visitors will have it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Sorted fields with sorted values: what a message has to meet, in each of them that it has.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    /// All names and values, one after another.
    text: String,
    fields: Vec<Names>,
    values: Vec<Value>,
}

/// One field: where its name and its values are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Names {
    name: Range<u16>,
    values: Range<u16>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Value {
    hash: u64,
    text: Range<u16>,
}

/// One field of a [`Filter`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    text: &'a str,
    values: &'a [Value],
}

/// A value's hash, which nobody outside can foresee.
pub(crate) fn hash(value: &str) -> u64 {
    KEYS.hash_one(value)
}

/// The same of anything else.
pub(super) fn hash_of(value: &impl Hash) -> u64 {
    KEYS.hash_one(value)
}

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Filter {
    /// With room for so many fields, values and bytes of their names and texts.
    pub(super) fn with_capacity(fields: usize, values: usize, text: usize) -> Self {
        Filter {
            text: String::with_capacity(text),
            fields: Vec::with_capacity(fields),
            values: Vec::with_capacity(values),
        }
    }

    /// Adds a field, the next in the order of names, with its values in theirs. What a registration
    /// may have as it comes is far less than 64 KiB.
    pub(super) fn push(&mut self, name: &str, values: &[impl AsRef<str>]) {
        let first = self.values.len() as u16;
        let name = self.append(name);
        for value in values {
            let hash = hash(value.as_ref());
            let text = self.append(value.as_ref());
            self.values.push(Value { hash, text });
        }
        let values = first..self.values.len() as u16;
        self.fields.push(Names { name, values });
    }

    fn append(&mut self, text: &str) -> Range<u16> {
        let start = self.text.len() as u16;
        self.text.push_str(text);
        start..self.text.len() as u16
    }

    /// Whether it has no fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// How many values all fields have.
    pub(crate) fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Whether it has each field of the other one, with at least one of its values.
    pub(crate) fn has_of_each(&self, wanted: &Filter) -> bool {
        wanted.fields().all(|wanted| {
            let field = self.field(wanted.name);
            field.is_some_and(|field| wanted.values().any(|value| field.has(value)))
        })
    }

    /// Bytes of all names and values.
    pub(super) fn text_length(&self) -> usize {
        self.text.len()
    }

    /// The fields, sorted by name.
    pub(crate) fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.fields.iter().map(|field| self.field_of(field))
    }

    /// The field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<Field<'_>> {
        let name_of = |field: &Names| slice(&self.text, &field.name);
        let place = self
            .fields
            .binary_search_by(|field| name_of(field).cmp(name));
        place.ok().map(|place| self.field_of(&self.fields[place]))
    }

    /// One of the values, counted through all fields.
    pub(crate) fn value(&self, number: usize) -> Option<&str> {
        let value = self.values.get(number)?;
        Some(slice(&self.text, &value.text))
    }

    fn field_of<'a>(&'a self, field: &Names) -> Field<'a> {
        Field {
            name: slice(&self.text, &field.name),
            text: &self.text,
            values: &self.values[field.values.start.into()..field.values.end.into()],
        }
    }
}

impl<'a> Field<'a> {
    /// The texts of its values, sorted, each once. Where there are none, every message with this
    /// field contradicts the client.
    pub(crate) fn values(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.values
            .iter()
            .map(move |value| slice(self.text, &value.text))
    }

    /// The [hashes](hash) of its values, in the same order.
    pub(crate) fn hashes(self) -> impl ExactSizeIterator<Item = u64> {
        self.values.iter().map(|value| value.hash)
    }

    /// Whether it has this value.
    pub(crate) fn has(self, value: &str) -> bool {
        let text_of = |value: &Value| slice(self.text, &value.text);
        let place = self
            .values
            .binary_search_by(|other| text_of(other).cmp(value));
        place.is_ok()
    }
}

/// An object that is read as the same fields again: a single value is a string, none or several are
/// an array of strings.
impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.fields.len()))?;
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

fn slice<'a>(text: &'a str, range: &Range<u16>) -> &'a str {
    &text[range.start.into()..range.end.into()]
}
