//! Which clients hear a message, and which registered something.

use std::collections::BTreeMap;

use super::audience::{Audience, Roster};
use super::set::{Found, GroupIndex, Set};
use super::{FieldId, Routes};
use crate::audience::addressed::{Addressed, Values};
use crate::audience::registration::Filter;
use crate::audience::rule::Rule;
use crate::message::fields::{self, Value};
use crate::message::id::ClientId;

impl<M: Clone> Routes<M> {
    /// The clients that hear a message, each once, in no order.
    ///
    /// `document` is one whole JSON document of any kind; what is no object addresses nobody in
    /// particular and reaches everyone.
    pub(crate) fn audience(&self, document: &str) -> Audience<M> {
        let addressed = self.addressed(document);
        if addressed.is_empty() {
            return self.everyone();
        }
        let mut audience = Audience::default();
        let mut unions = Vec::new();
        for (fields, set) in &self.sets {
            let all_registered = || addressed.keys().all(|field| fields.contains(&field));
            if matches!(self.rule, Rule::Open) || all_registered() {
                let found = |roster: &Roster<M>| audience.push(roster);
                self.search(fields, set, &addressed, found, &mut unions);
            }
        }
        self.told_once(unions, |roster| audience.push(roster));
        audience
    }

    /// The clients that have a filter with each field of `wanted`, with one of its values there; in
    /// no order.
    pub(crate) fn registered(&self, wanted: &Filter) -> Vec<ClientId> {
        // Texts always have a JSON form.
        let told = serde_json::to_string(wanted).unwrap_or_default();
        let addressed = self.addressed(&told);
        let mut clients = Vec::new();
        if addressed.keys().count() < wanted.fields().len() {
            // Nobody registered one of them.
            return clients;
        }
        let mut unions = Vec::new();
        for (fields, set) in &self.sets {
            if addressed.keys().all(|field| fields.contains(&field)) {
                let found = |roster: &Roster<M>| clients.extend_from_slice(roster.clients());
                self.search(fields, set, &addressed, found, &mut unions);
            }
        }
        self.told_once(unions, |roster| clients.extend_from_slice(roster.clients()));
        clients
    }

    /// The lists of groups that may have been found by several of their filters.
    fn told_once(&self, mut found: Vec<GroupIndex>, mut found_list: impl FnMut(&Roster<M>)) {
        found.sort_unstable();
        found.dedup();
        for group in found {
            found_list(&self.groups[group].roster);
        }
    }

    /// Finds the lists of those clients of one set that hear a message, and the groups that hear it
    /// by this filter among others.
    fn search(
        &self,
        fields: &[FieldId],
        set: &Set<M>,
        addressed: &Addressed<'_, FieldId>,
        mut found_list: impl FnMut(&Roster<M>),
        found_unions: &mut Vec<GroupIndex>,
    ) {
        let mut shortest: Option<(usize, &Values<'_>, Found<'_>)> = None;
        for (position, field) in fields.iter().enumerate() {
            if let Some(values) = addressed.get(*field) {
                let found = set.find(position, values, &self.groups);
                if found.len() == 0 {
                    return;
                }
                if shortest.is_none_or(|(_, _, least)| found.len() < least.len()) {
                    shortest = Some((position, values, found));
                }
            }
        }
        let Some((looked_up, values, found)) = shortest else {
            found_list(&set.roster);
            found_unions.extend(set.unions.iter().map(|union| union.group));
            return;
        };
        set.candidates(looked_up, values, found, &self.groups, |candidate| {
            let group = &self.groups[candidate.group];
            let Some(filter) = group.registration.filters().nth(candidate.filter) else {
                return;
            };
            let registered = filter.fields();
            let mut others = fields.iter().zip(registered).enumerate();
            let hears = others.all(|(position, (field, registered))| {
                position == looked_up
                    || addressed
                        .get(*field)
                        .is_none_or(|values| values.meet(registered))
            });
            match hears {
                true if group.is_union() => found_unions.push(candidate.group),
                true => found_list(&group.roster),
                false => {}
            }
        });
    }

    /// What a document says in the fields that address it, as it is spelt: `name=value`, a comma and a
    /// space in between, and the last of each name. Nothing where everyone hears it.
    pub(crate) fn addressing(&self, document: &str) -> String {
        let mut said = BTreeMap::new();
        let key = |name: &str| self.fields.contains_key(name).then(|| name.to_owned());
        // What is no object has no fields.
        let _ = fields::read(document, key, |name, value| {
            said.insert(name, value);
        });
        let told = said.iter().filter_map(|(name, value)| match value {
            Value::Null if self.rule == Rule::Open => None,
            value => Some(format!("{name}={value}")),
        });
        told.collect::<Vec<_>>().join(", ")
    }

    fn addressed<'a>(&self, document: &'a str) -> Addressed<'a, FieldId> {
        if self.fields.is_empty() {
            return Addressed::default();
        }
        Addressed::read(document, &self.rule, |name| {
            let interest = self.fields.get(name)?;
            self.rule.addresses(name).then_some(interest.field)
        })
    }
}
