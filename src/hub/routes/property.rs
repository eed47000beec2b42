//! The index against the rule as DESIGN.md states it, written down a second time over
//! `serde_json::Value`: random clients, registrations and messages.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::*;
use crate::audience::registration::{Names, budget::Budget};
use crate::audience::verdict::Verdict;

/// Messages, each judged for all clients of the moment.
const MESSAGES: usize = 100_000;
const MESSAGES_PER_WORLD: usize = 100;
const MAX_CLIENTS: usize = 10;
const ROUTES: [&str; 2] = ["school_id", "b"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn key(&mut self) -> &'static str {
        self.pick(&[
            r#""school_id""#,
            r#""school\u005fid""#,
            r#""a""#,
            r#""\u0061""#,
            r#""b""#,
            r#""c""#,
            r#""é""#,
            r#""\u00E9""#,
            r#""""#,
        ])
    }

    fn scalar(&mut self) -> &'static str {
        self.pick(&[
            "0",
            "1",
            r#""1""#,
            r#""\u0031""#,
            "2",
            r#""2""#,
            r#""02""#,
            "-1",
            "2.5",
            r#""2.5""#,
            "true",
            r#""true""#,
            "false",
            r#""""#,
            r#""null""#,
            r#""a\/\"\\""#,
        ])
    }

    fn value(&mut self) -> String {
        match self.below(12) {
            0 => "null".to_owned(),
            1 => self.pick(&["{}", r#"{"a":1}"#, r#"{"1":[2]}"#]).to_owned(),
            2..=5 => {
                let elements: Vec<&str> = (0..self.below(5))
                    .map(|_| match self.below(12) {
                        0 => "null",
                        1 if self.one_in(2) => self.pick(&["[1]", r#"{"a":1}"#, "[]"]),
                        _ => self.scalar(),
                    })
                    .collect();
                format!("[{}]", elements.join(self.pick(&[",", " , "])))
            }
            _ => self.scalar().to_owned(),
        }
    }

    fn object(&mut self) -> String {
        let fields: Vec<String> = (0..self.below(6))
            .map(|_| format!("{}{}{}", self.key(), self.pick(&[":", " : "]), self.value()))
            .collect();
        format!("{{{}}}", fields.join(self.pick(&[",", "\n,\t"])))
    }

    fn document(&mut self) -> String {
        match self.below(20) {
            0 => self.value(),
            1 => format!("[{}]", self.object()),
            _ => self.object(),
        }
    }

    fn frame(&mut self) -> String {
        match self.below(20) {
            0 => "not JSON".to_owned(),
            1 => "{}".to_owned(),
            2..=8 => {
                let registration = self.list();
                format!(r#"{{"type":"register","registration":{registration}}}"#)
            }
            _ => self.document(),
        }
    }

    /// Objects of which any is meant; seldom something else.
    fn list(&mut self) -> String {
        let objects: Vec<_> = (0..self.below(5))
            .map(|_| match self.below(40) {
                0 => self.value(),
                _ => self.object(),
            })
            .collect();
        format!("[{}]", objects.join(","))
    }

    /// A query, and the object that means the same.
    fn query(&mut self) -> (String, Value) {
        if self.one_in(4) {
            let list = self.list();
            if let Some(registered) = registers_any(&serde_json::from_str(&list).unwrap(), false) {
                let escaped = utf8_percent_encode(&list, NON_ALPHANUMERIC);
                return (format!("registration={escaped}"), registered);
            }
        }
        let mut object: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let parameters: Vec<String> = (0..self.below(5))
            .map(|_| {
                let (key, name) = self.pick(&[
                    ("school_id", "school_id"),
                    ("school%5fid[]", "school_id"),
                    ("a", "a"),
                    ("a[0]", "a"),
                    ("b", "b"),
                    ("b%5B12%5d", "b"),
                    ("%C3%A9", "é"),
                ]);
                let (value, text) = self.pick(&[
                    ("1", "1"),
                    ("%32", "2"),
                    ("02", "02"),
                    ("true", "true"),
                    ("", ""),
                ]);
                object.entry(name).or_default().push(text);
                format!("{key}={value}")
            })
            .collect();
        (parameters.join("&"), serde_json::to_value(object).unwrap())
    }
}

/// The texts that a value stands for: any of.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null | Value::Object(_) => vec![],
        Value::Bool(value) => vec![value.to_string()],
        Value::Number(value) => vec![value.to_string()],
        Value::String(value) => vec![value.clone()],
        Value::Array(elements) => {
            let scalars = elements.iter().filter(|element| !element.is_array());
            scalars.flat_map(texts).collect()
        }
    }
}

fn is_registrable(value: &Value) -> bool {
    let scalar = |value: &Value| !value.is_array() && !value.is_object();
    scalar(value)
        || value
            .as_array()
            .is_some_and(|elements| elements.iter().all(scalar))
}

/// What a list of objects registers.
fn registers_any(list: &Value, is_closed: bool) -> Option<Value> {
    let is_known = |name: &str| !is_closed || ROUTES.contains(&name);
    let mut objects = vec![];
    for object in list.as_array()? {
        let mut fields = object.as_object()?.clone();
        fields.retain(|name, _| is_known(name));
        objects.push(
            Some(fields)
                .filter(|fields| fields.values().all(is_registrable))?
                .into(),
        );
    }
    Some(Value::Array(objects)).filter(|list| *list != Value::Array(vec![]))
}

/// What a frame registers: `None` if nothing, be it that it says nothing or that it is refused.
fn registers(frame: &Value, is_closed: bool) -> Option<Value> {
    if frame["type"] == "register" && !frame["registration"].is_null() {
        return registers_any(&frame["registration"], is_closed);
    }
    if frame.is_array() {
        return None;
    }
    let mut fields = frame.as_object()?.clone();
    if is_closed && !fields.is_empty() {
        fields.retain(|name, _| ROUTES.contains(&name.as_str()));
        if fields.is_empty() {
            return None;
        }
    }
    fields
        .values()
        .all(is_registrable)
        .then_some(Value::Object(fields))
}

/// The rule.
fn hears(registered: &Value, message: &Value, is_closed: bool) -> bool {
    if let Some(any) = registered.as_array() {
        return any
            .iter()
            .any(|registered| hears(registered, message, is_closed));
    }
    let shares_a_value = |field: &str| {
        let wanted = texts(&registered[field]);
        texts(&message[field])
            .iter()
            .any(|text| wanted.contains(text))
    };
    let Some(message) = message.as_object() else {
        return true;
    };
    if is_closed {
        ROUTES
            .iter()
            .filter(|field| message.contains_key(**field))
            .all(|field| shares_a_value(field))
    } else {
        let registered = registered.as_object().unwrap();
        registered
            .iter()
            .filter(|(field, _)| message.get(*field).is_some_and(|value| !value.is_null()))
            .all(|(field, _)| shares_a_value(field))
    }
}

impl Routes<u64> {
    /// Whether every position says where a thing really is, and nothing is left over.
    fn assert_consistent(&self) {
        for (client, seat) in &self.clients {
            let group = &self.groups[seat.group];
            let mut places = vec![
                (&self.everyone, seat.in_everyone),
                (&group.roster, seat.in_group),
            ];
            if !group.is_union() {
                places.push((&self.sets[&group.first.fields].roster, seat.in_set));
            }
            for (roster, place) in places {
                assert_eq!(roster.iter().nth(place), Some((*client, &client.0)));
            }
            let mut slot = 0;
            let entered = std::iter::once(&group.first).chain(&group.others);
            for (index, (filter, entered)) in group.registration.filters().zip(entered).enumerate()
            {
                let set = &self.sets[&entered.fields];
                assert_eq!(entered.slot, slot);
                set.assert_entered(seat.group, filter, slot, &entered.places, &self.groups);
                if group.is_union() {
                    let union = FilterIndex {
                        group: seat.group,
                        filter: index,
                    };
                    assert_eq!(set.unions[entered.in_unions], union);
                }
                slot += filter.value_count();
            }
        }
        let clients = self.clients.len();
        assert_eq!(self.everyone.members().len(), clients);
        let in_groups = self.groups.iter().map(|group| group.roster.members().len());
        assert_eq!(in_groups.sum::<usize>(), clients);
        let in_sets = self.sets.values().map(|set| set.roster.members().len());
        let plain = |group: &&Group<u64>| !group.is_union();
        let in_plain_groups = self
            .groups
            .iter()
            .filter(plain)
            .map(|group| group.roster.members().len());
        assert_eq!(in_sets.sum::<usize>(), in_plain_groups.sum::<usize>());
        let unions = self.groups.iter().filter(|group| group.is_union());
        let filters = unions.map(|group| group.registration.filters().count());
        let in_sets = self.sets.values().map(|set| set.unions.len());
        assert_eq!(in_sets.sum::<usize>(), filters.sum::<usize>());

        let living = |group: &&Group<u64>| !group.roster.members().is_empty();
        let groups: Vec<_> = self.groups.iter().filter(living).collect();
        assert_eq!(self.group_of.len(), groups.len());
        assert_eq!(self.groups.len(), groups.len() + self.vacant.len());
        assert!(self.sets.values().all(|set| !set.is_empty()));
        let filters = groups.iter().flat_map(|group| group.registration.filters());
        let fields = filters.map(|filter| filter.fields().len());
        let pinned = match &self.rule {
            Rule::Open => 0,
            Rule::Closed(names) => names.len(),
        };
        let users = self.fields.values().map(|interest| interest.users);
        assert_eq!(users.sum::<usize>(), fields.sum::<usize>() + pinned);
        assert!(self.fields.values().all(|interest| interest.users > 0));
        let entered = groups
            .iter()
            .flat_map(|group| std::iter::once(&group.first).chain(&group.others));
        let places = entered.map(|entered| entered.places.len());
        let postings = self.sets.values().map(|set| set.postings());
        assert_eq!(postings.sum::<usize>(), places.sum::<usize>());
    }

    fn assert_vacated(&self) {
        self.assert_consistent();
        assert!(self.clients.is_empty() && self.sets.is_empty() && self.group_of.is_empty());
        assert!(self.groups.is_empty() && self.vacant.is_empty());
        assert!(self.fields.keys().all(|name| self.rule.addresses(name)));
        assert!(self.rule != Rule::Open || self.fields.is_empty());
    }
}

/// Some clients that come, go and register while messages are sent.
fn run_world(seed: u64) -> usize {
    let mut random = Random(seed);
    let is_closed = random.one_in(2);
    let rule = match is_closed {
        false => Rule::Open,
        true => Rule::Closed(ROUTES.iter().map(|field| field.to_string()).collect()),
    };
    // Some worlds have no room for all.
    let budget = Arc::new(Budget::new(random.pick(&[4_000, 8_000, usize::MAX])));
    let mut routes = Routes::new(rule.clone());
    let mut known: BTreeMap<u64, Value> = BTreeMap::new();
    let mut held: Vec<(Audience<u64>, Vec<u64>)> = Vec::new();
    let mut deliveries = 0;
    for step in 0..MESSAGES_PER_WORLD as u64 {
        let clients: Vec<u64> = known.keys().copied().collect();
        match random.below(4) {
            _ if clients.is_empty() => {}
            0 => {
                let client = random.pick(&clients);
                routes.leave(ClientId(client));
                known.remove(&client);
            }
            1..=2 => {
                let (client, frame) = (random.pick(&clients), random.frame());
                if let Ok(Some(registration)) =
                    Registration::from_frame(&frame, &rule, &Names::default())
                {
                    if budget.take(&registration).is_err() {
                        continue;
                    }
                    let shared = routes.register(ClientId(client), &registration);
                    assert_eq!(shared, registration);
                }
                let frame = serde_json::from_str(&frame).unwrap_or_default();
                if let Some(registered) = registers(&frame, is_closed) {
                    known.insert(client, registered);
                }
            }
            _ => {}
        }
        while known.len() < MAX_CLIENTS && random.one_in(2) {
            let client = step * 100 + known.len() as u64;
            let (query, object) = random.query();
            let registration = Registration::from_query(&query, &rule).unwrap();
            if budget.take(&registration).is_err() {
                break;
            }
            routes.join(ClientId(client), &registration, client);
            let object = match object.is_array() {
                true => registers_any(&object, is_closed),
                false => registers(&object, is_closed),
            };
            let object = object.unwrap_or_else(|| Value::Object(Default::default()));
            known.insert(client, object);
        }

        let document = random.document();
        let message: Value = serde_json::from_str(&document).unwrap();
        let expected: Vec<u64> = known
            .iter()
            .filter(|(_, registered)| hears(registered, &message, is_closed))
            .map(|(client, _)| *client)
            .collect();
        let sorted = |audience: &Audience<u64>| {
            let mut clients: Vec<u64> = audience.iter().copied().collect();
            clients.sort_unstable();
            clients
        };
        let audience = routes.audience(&document);
        assert_eq!(sorted(&audience), expected, "{document} for {known:?}");
        assert_eq!(audience.len(), expected.len());
        assert!(audience.same_as(&routes.audience(&document)));
        deliveries += expected.len();

        let mut explained = 0;
        let judge_one_by_one = random.one_in(4);
        let registrations: Vec<_> = known
            .keys()
            .map(|client| routes.registration(ClientId(*client)).unwrap())
            .collect();
        let verdicts = rule.verdicts(registrations.iter().copied(), &document);
        for ((client, registration), verdict) in known.keys().zip(&registrations).zip(verdicts) {
            let is_expected = expected.contains(client);
            assert_eq!(
                verdict == Verdict::Hears,
                is_expected,
                "{document} for {client}: {verdict}"
            );
            if judge_one_by_one {
                assert_eq!(rule.verdict(registration, &document), verdict);
            }
            explained += 1;
        }
        assert_eq!(explained, known.len());

        let (query, _) = random.query();
        let wanted = Registration::from_query(&query, &Rule::Open).unwrap();
        if !wanted.is_empty() {
            let has = |registration: &&Registration| registration.has_of_each(&wanted);
            let clients = known.keys().zip(&registrations);
            let expected = clients.filter(|(_, registration)| has(registration));
            let expected: Vec<_> = expected.map(|(client, _)| ClientId(*client)).collect();
            let filters = wanted.filters();
            let mut found: Vec<_> = filters
                .flat_map(|filter| routes.registered(filter))
                .collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, expected, "{wanted} of {known:?}");
        }

        if random.one_in(8) {
            held.push((audience, expected));
        }
        if random.one_in(8) {
            routes.assert_consistent();
        }
        if random.one_in(16) {
            for (audience, expected) in held.drain(..) {
                assert_eq!(sorted(&audience), expected, "a held audience has changed");
            }
        }
    }
    for client in known.into_keys() {
        routes.leave(ClientId(client));
    }
    routes.assert_vacated();
    assert_eq!(budget.used(), 0);
    deliveries
}

#[test]
fn the_index_agrees_with_the_rule_in_100_000_random_cases() {
    let start: u64 = match std::env::var("ROUTES_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => 1,
    };
    let mut deliveries = 0;
    for seed in start..start + (MESSAGES / MESSAGES_PER_WORLD) as u64 {
        match std::panic::catch_unwind(|| run_world(seed)) {
            Ok(heard) => deliveries += heard,
            Err(_) => panic!("the case above: run again with ROUTES_SEED={seed}"),
        }
    }
    // Neither everything nor nothing: the cases mean something.
    let judged = MESSAGES * MAX_CLIENTS;
    assert!(
        (judged / 10..judged * 9 / 10).contains(&deliveries),
        "{deliveries}"
    );
}
