//! What is left of a registration for somebody who may hear a part of it only.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Filter, Registration, RegistrationError, Wanted};
use crate::audience::rule::Rule;

impl Registration {
    /// This one, which says what may be heard, narrowed by what is asked for. A message is heard by
    /// that only if it may be heard, and does not contradict what is asked for.
    ///
    /// A field in both has the values that both have, perhaps none: then no message with this field
    /// is heard. What may be heard and is not asked about stays. A field that only what is asked
    /// for has narrows it, too: under the open rule to these values, since without it all of them
    /// were heard; under a closed rule none of them was, and none is. Of several filters on either
    /// side, each is narrowed by each.
    ///
    /// # Errors
    /// When both together have more filters, fields or values than one may have.
    pub(crate) fn narrowed(
        &self,
        asked: &Registration,
        rule: &Rule,
    ) -> Result<Registration, RegistrationError> {
        if asked.is_empty() {
            return Ok(self.clone());
        }
        let mut left: Vec<Wanted<'_>> = Vec::new();
        for may in self.filters() {
            for asked in asked.filters() {
                let both = both(may, asked, rule);
                if !left.iter().any(|other| covers(other, &both, rule)) {
                    left.retain(|other| !covers(&both, other, rule));
                    left.push(both);
                }
            }
        }
        Self::checked(left, rule)
    }
}

fn both<'a>(may: &'a Filter, asked: &'a Filter, rule: &Rule) -> Wanted<'a> {
    let mut values_of: Wanted<'_> = BTreeMap::new();
    for field in may.fields() {
        let asked = asked.field(field.name);
        let is_asked = |value: &&str| asked.is_none_or(|asked| asked.has(value));
        let values = field.values().filter(is_asked).map(Cow::Borrowed);
        values_of.insert(field.name.to_owned(), values.collect());
    }
    for field in asked.fields() {
        if may.field(field.name).is_none() {
            let values = match rule {
                Rule::Open => field.values().map(Cow::Borrowed).collect(),
                Rule::Closed(_) => Vec::new(),
            };
            values_of.insert(field.name.to_owned(), values);
        }
    }
    values_of
}

/// Whether a filter hears all that another one hears, so that this one adds nothing to it.
fn covers(wide: &Wanted<'_>, narrow: &Wanted<'_>, rule: &Rule) -> bool {
    let within = |name: &String| match (wide.get(name), narrow.get(name), rule) {
        (Some(wide), Some(narrow), _) => narrow.iter().all(|value| wide.contains(value)),
        // Whoever does not register a field hears all of its values,
        (wide, _, Rule::Open) => wide.is_none(),
        // or none.
        (_, narrow, Rule::Closed(_)) => narrow.is_none_or(Vec::is_empty),
    };
    wide.keys().chain(narrow.keys()).all(within)
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
            let read = |object: &String| Registration::from_json(object, &rule).unwrap();
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

    /// The same for lists on both sides.
    #[test]
    fn lists_narrow_lists() {
        let one = objects(&["", "1", "2"]);
        let lists: Vec<_> = one.iter().zip(one.iter().skip(7)).step_by(2).collect();
        let documents = objects(&["", "1", "2", "3"]);
        let names = ["a", "b"].map(str::to_owned);
        for rule in [Rule::Open, Rule::Closed(names.into())] {
            let read = |(one, other): &(&String, &String)| {
                Registration::from_json(&format!("[{one},{other}]"), &rule).unwrap()
            };
            let registrations: Vec<_> = lists.iter().map(read).collect();
            for may in &registrations {
                for asked in &registrations {
                    let narrowed = may.narrowed(asked, &rule).unwrap();
                    for document in documents.iter().step_by(3) {
                        let hears = |registration, rule: &Rule| {
                            rule.verdict(registration, document) == Verdict::Hears
                        };
                        let expected = hears(may, &rule) && hears(asked, &Rule::Open);
                        let case = || format!("{rule:?} {may} {asked} {narrowed} {document}");
                        assert_eq!(hears(&narrowed, &rule), expected, "{}", case());
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_page_may_hear_it_may_ask_for_part_by_part() {
        let read = |json| Registration::from_json(json, &Rule::Open).unwrap();
        let may = read(r#"[{"user":7},{"department":"sales"},{"class":["1","2"]}]"#);
        assert_eq!(may.narrowed(&may, &Rule::Open).as_ref(), Ok(&may));
    }

    #[test]
    fn both_together_are_within_the_bounds() {
        let of = |name: &str| {
            let fields: Vec<_> = (0..9).map(|n| format!(r#""{name}{n}":1"#)).collect();
            let object = format!("{{{}}}", fields.join(","));
            Registration::from_json(&object, &Rule::Open).unwrap()
        };
        assert_eq!(
            of("a").narrowed(&of("b"), &Rule::Open),
            Err(RegistrationError::TooManyFields(18, 16))
        );
        assert_eq!(of("a").narrowed(&of("a"), &Rule::Open), Ok(of("a")));
    }
}
