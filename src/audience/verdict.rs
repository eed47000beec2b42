//! Who hears what: the routing rule, stated plainly for one client and one message.
//!
//! Pure. [`Routes`](crate::hub::routes::Routes) is the index that answers the same question for all
//! clients at once; this is what it must agree with. Replaying from the ring and `/explain` use it as
//! it stands.

use std::collections::BTreeSet;
use std::fmt;

use super::addressed::{Addressed, Values};
use super::registration::{Filter, Registration};
use super::rule::Rule;

/// What becomes of one message at one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It is delivered.
    Hears,
    /// The client registered this field with other values.
    Contradicts(&'a str),
    /// The rule is closed, and the client did not register this field.
    NotRegistered(&'a str),
}

impl Rule {
    /// Judges one message, a whole JSON document, for one client.
    ///
    /// Of several fields that forbid it, the first in alphabetical order is named.
    pub(crate) fn verdict<'a>(
        &'a self,
        registration: &'a Registration,
        document: &str,
    ) -> Verdict<'a> {
        match self {
            Rule::Open if registration.is_empty() => Verdict::Hears,
            Rule::Open => {
                let known = |name: &str| registration.known(name);
                let addressed = Addressed::read(document, self, known);
                self.judge(registration, |name| addressed.get(name))
            }
            Rule::Closed(fields) => {
                let known = |name: &str| fields.get(name).map(String::as_str);
                let addressed = Addressed::read(document, self, known);
                self.judge(registration, |name| addressed.get(name))
            }
        }
    }

    /// Judges one message for many clients, and reads it once; the same as [`verdict`](Self::verdict)
    /// for each.
    pub(crate) fn verdicts<'a>(
        &'a self,
        registrations: impl Iterator<Item = &'a Registration> + Clone,
        document: &str,
    ) -> impl Iterator<Item = Verdict<'a>> {
        let names: BTreeSet<&str> = match self {
            Rule::Open => {
                let filters = registrations.clone().flat_map(Registration::filters);
                let fields = filters.flat_map(Filter::fields);
                fields.map(|field| field.name).collect()
            }
            Rule::Closed(fields) => fields.iter().map(String::as_str).collect(),
        };
        let addressed = Addressed::read(document, self, |name| names.get(name).copied());
        registrations.map(move |registration| self.judge(registration, |name| addressed.get(name)))
    }

    /// The rule itself; `values_of` tells what a message says in a field that addresses it. Where no
    /// filter hears it, the first one's reason is told.
    pub(crate) fn judge<'a, 'm, 'd: 'm>(
        &'a self,
        registration: &'a Registration,
        values_of: impl Fn(&'a str) -> Option<&'m Values<'d>>,
    ) -> Verdict<'a> {
        let mut filters = registration.filters();
        let mut judge = || Some(self.judge_filter(filters.next()?, &values_of));
        let first = judge().unwrap_or(Verdict::Hears);
        let mut verdict = first;
        while verdict != Verdict::Hears {
            match judge() {
                Some(next) => verdict = next,
                None => return first,
            }
        }
        verdict
    }

    fn judge_filter<'a, 'm, 'd: 'm>(
        &'a self,
        filter: &'a Filter,
        values_of: impl Fn(&'a str) -> Option<&'m Values<'d>>,
    ) -> Verdict<'a> {
        match self {
            Rule::Open => {
                for field in filter.fields() {
                    if let Some(values) = values_of(field.name)
                        && !values.meet(field)
                    {
                        return Verdict::Contradicts(field.name);
                    }
                }
            }
            Rule::Closed(names) => {
                for name in names {
                    let Some(values) = values_of(name) else {
                        continue;
                    };
                    match filter.field(name) {
                        None => return Verdict::NotRegistered(name),
                        Some(field) if !values.meet(field) => {
                            return Verdict::Contradicts(name);
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        Verdict::Hears
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Hears => f.write_str("hears it"),
            Verdict::Contradicts(field) => write!(f, "registered {field:?} with other values"),
            Verdict::NotRegistered(field) => write!(f, "did not register {field:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::registration::Names;

    fn closed(fields: &[&str]) -> Rule {
        Rule::Closed(fields.iter().map(|field| field.to_string()).collect())
    }

    fn verdict(rule: &Rule, registration: &str, document: &str) -> String {
        let registration = Registration::from_frame(registration, rule, &Names::default())
            .unwrap()
            .unwrap();
        rule.verdict(&registration, document).to_string()
    }

    #[test]
    fn a_client_hears_what_does_not_contradict_it() {
        let hears = |registration, document| verdict(&Rule::Open, registration, document);
        let pupil = r#"{"school_class_id":"1","school_id":"2"}"#;
        assert_eq!(hears(pupil, r#"{"notice":1}"#), "hears it");
        assert_eq!(hears(pupil, r#"{"school_id":2,"notice":1}"#), "hears it");
        assert_eq!(
            hears(pupil, r#"{"school_id":2,"school_class_id":3}"#),
            r#"registered "school_class_id" with other values"#
        );
        assert_eq!(hears("{}", r#"{"school_id":2}"#), "hears it");
    }

    #[test]
    fn with_routes_a_client_hears_only_what_it_registered() {
        let rule = closed(&["school_id", "user_id"]);
        let hears = |registration, document| verdict(&rule, registration, document);
        let pupil = r#"{"school_id":"2"}"#;
        assert_eq!(hears(pupil, r#"{"school_id":2}"#), "hears it");
        assert_eq!(hears(pupil, r#"{"schoolid":3}"#), "hears it");
        assert_eq!(
            hears(pupil, r#"{"school_id":null}"#),
            r#"registered "school_id" with other values"#
        );
        assert_eq!(
            hears(pupil, r#"{"school_id":2,"user_id":7}"#),
            r#"did not register "user_id""#
        );
        assert_eq!(
            hears("{}", r#"{"school_id":2}"#),
            r#"did not register "school_id""#
        );
    }
}
