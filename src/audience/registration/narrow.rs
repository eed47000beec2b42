//! What is left of a registration for somebody who may hear a part of it only.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Registration, RegistrationError};
use crate::audience::rule::Rule;

impl Registration {
    /// This one, which says what may be heard, narrowed by what is asked for. A message is heard by
    /// that only if it may be heard, and does not contradict what is asked for.
    ///
    /// A field in both has the values that both have, perhaps none: then no message with this field
    /// is heard. What may be heard and is not asked about stays. A field that only what is asked
    /// for has narrows it, too: under the open rule to these values, since without it all of them
    /// were heard; under a closed rule none of them was, and none is.
    ///
    /// # Errors
    /// When both together have more fields or values than one may have.
    pub(crate) fn narrowed(
        &self,
        asked: &Registration,
        rule: &Rule,
    ) -> Result<Registration, RegistrationError> {
        if asked.is_empty() {
            return Ok(self.clone());
        }
        let mut values_of: BTreeMap<String, Vec<Cow<'_, str>>> = BTreeMap::new();
        for field in self.fields() {
            let asked = asked.field(field.name);
            let is_asked = |value: &&str| asked.is_none_or(|asked| asked.has(value));
            let values = field.values().filter(is_asked).map(Cow::Borrowed);
            values_of.insert(field.name.to_owned(), values.collect());
        }
        for field in asked.fields() {
            if self.field(field.name).is_none() {
                let values = match rule {
                    Rule::Open => field.values().map(Cow::Borrowed).collect(),
                    Rule::Closed(_) => Vec::new(),
                };
                values_of.insert(field.name.to_owned(), values);
            }
        }
        Self::checked(values_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::verdict::Verdict;
    use crate::message::fields::{self, Value};

    /// All objects of these values for fields `a`, `b` and `c`; the empty text is no field.
    fn objects(values: &[&str]) -> Vec<String> {
        let mut objects = Vec::new();
        for a in values {
            for b in values {
                for c in values {
                    let fields: Vec<_> = [("a", a), ("b", b), ("c", c)]
                        .into_iter()
                        .filter(|(_, value)| !value.is_empty())
                        .map(|(name, value)| format!(r#""{name}":{value}"#))
                        .collect();
                    objects.push(format!("{{{}}}", fields.join(",")));
                }
            }
        }
        objects
    }

    fn has_list(document: &str) -> bool {
        let mut found = false;
        let is_list = |(), value| found |= matches!(value, Value::Array(_));
        fields::read(document, |_| Some(()), is_list).unwrap();
        found
    }

    /// Only what may be heard is ever heard, and of that what does not contradict what is asked
    /// for: said of each of both for itself.
    #[test]
    fn what_is_heard_may_be_heard_and_was_asked_for() {
        let registered = objects(&["", "[]", "1", "2", "[1,2]"]);
        let documents = objects(&["", "null", "1", "2", "3", "[1,3]", "{}"]);
        let names = ["a", "b"].map(str::to_owned);
        for rule in [Rule::Open, Rule::Closed(names.into())] {
            let read = |object: &String| Registration::from_object(object, &rule).unwrap();
            let registrations: Vec<_> = registered.iter().map(read).collect();
            for may in registrations.iter().step_by(3) {
                for asked in registrations.iter().step_by(2) {
                    let narrowed = may.narrowed(asked, &rule).unwrap();
                    for document in documents.iter().step_by(5) {
                        let hears = |registration, rule: &Rule| {
                            rule.verdict(registration, document) == Verdict::Hears
                        };
                        let is_allowed = hears(may, &rule);
                        let is_wanted = hears(asked, &Rule::Open);
                        let is_heard = hears(&narrowed, &rule);
                        let case = || format!("{rule:?} {may} {asked} {narrowed} {document}");
                        assert!(!is_heard || is_allowed && is_wanted, "{}", case());
                        // One value of a list may be allowed, and another one asked for.
                        if !has_list(document) {
                            assert_eq!(is_heard, is_allowed && is_wanted, "{}", case());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn both_together_are_within_the_bounds() {
        let of = |name: &str| {
            let fields: Vec<_> = (0..9).map(|n| format!(r#""{name}{n}":1"#)).collect();
            let object = format!("{{{}}}", fields.join(","));
            Registration::from_object(&object, &Rule::Open).unwrap()
        };
        assert_eq!(
            of("a").narrowed(&of("b"), &Rule::Open),
            Err(RegistrationError::TooManyFields(18))
        );
        assert_eq!(of("a").narrowed(&of("a"), &Rule::Open), Ok(of("a")));
    }
}
