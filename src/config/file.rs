//! The file of `--config`: TOML with a key for each setting.
//!
//! What a value means is not said here: it goes through the same parser as a flag's.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// One setting as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The setting's name, such as `max-clients`.
    pub(crate) key: String,
    /// Its value, or the elements of its array: as many texts as flags would have.
    pub(crate) values: Vec<String>,
    /// Where it stands, counted from 1.
    pub(crate) line: usize,
}

/// Reads the file.
///
/// # Errors
/// One sentence that names the file, and the line where there is one.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the config file {name}: {error}"))?;
    parse(&text).map_err(|(line, fault)| at(path, line, &fault))
}

/// A sentence about one line of the file.
pub(crate) fn at(path: &Path, line: usize, fault: &str) -> String {
    format!("config file {}, line {line}: {fault}", path.display())
}

fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        (line, error.message().replace('\n', " "))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.into_inner() {
        let line = line_at(key.span().start);
        let key = key.into_inner().into_owned();
        let values = match value.get_ref() {
            DeValue::Array(elements) => elements
                .iter()
                .map(|element| scalar(element.get_ref()))
                .collect(),
            value => scalar(value).map(|value| vec![value]),
        };
        match values {
            // As if it were not there, it would let everybody hear what some should.
            Some(values) if values.is_empty() => {
                return Err((line, format!("{key} = []: the list is empty")));
            }
            Some(values) => entries.push(Entry { key, values, line }),
            None => {
                return Err((
                    line,
                    format!("{key} is no text, no number and no list of them"),
                ));
            }
        }
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_as_many_texts_as_flags_would_have() {
        let text = "a = 5\n\nb = 'x'\nc = ['y', 6]\n";
        let entry = |key: &str, values: &[&str], line| Entry {
            key: key.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            line,
        };
        assert_eq!(
            parse(text).unwrap(),
            [
                entry("a", &["5"], 1),
                entry("b", &["x"], 3),
                entry("c", &["y", "6"], 4)
            ]
        );
    }

    #[test]
    fn what_is_no_setting_is_named_with_its_line() {
        for (text, line, words) in [
            ("a = 1\n[section]\n", 2, "section is no text"),
            ("a = []", 1, "the list is empty"),
            ("a = [[1]]", 1, "a is no text"),
            ("a = 1\na = 2", 2, "duplicate key"),
        ] {
            let (found, fault) = parse(text).unwrap_err();
            assert_eq!(found, line, "{text}: {fault}");
            assert!(fault.contains(words), "{text}: {fault}");
        }
    }
}
