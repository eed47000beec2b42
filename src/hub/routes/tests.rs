use super::*;
use crate::audience::registration::Names;

fn closed(fields: &[&str]) -> Rule {
    Rule::Closed(fields.iter().map(|field| field.to_string()).collect())
}

/// Clients 1, 2, 3 … with these registrations; each one's member is its number.
fn routes(rule: Rule, registrations: &[&str]) -> Routes<u64> {
    let mut routes = Routes::new(rule);
    for (client, registration) in (1..).zip(registrations) {
        let registration = registered(&routes, registration);
        routes.join(ClientId(client), &registration, client);
    }
    routes
}

fn registered(routes: &Routes<u64>, frame: &str) -> Registration {
    Registration::from_frame(frame, &routes.rule, &Names::default())
        .unwrap()
        .unwrap()
}

fn register(routes: &mut Routes<u64>, client: u64, frame: &str) {
    let registration = registered(routes, frame);
    routes.register(ClientId(client), &registration);
}

fn hears(routes: &Routes<u64>, document: &str) -> Vec<u64> {
    let audience = routes.audience(document);
    let mut clients: Vec<u64> = audience.iter().copied().collect();
    clients.sort_unstable();
    assert_eq!(audience.len(), clients.len());
    clients
}

fn segments(routes: &Routes<u64>, document: &str) -> usize {
    routes.audience(document).segments().count()
}

const NOBODY: [u64; 0] = [];

const SCHOOLS: [&str; 5] = [
    r#"{"school_class_id":"1","school_id":"2"}"#,
    r#"{"school_class_id":"3","school_id":"2"}"#,
    r#"{"school_class_id":"1","school_id":"4"}"#,
    r#"{"school_id":"2"}"#,
    "{}",
];

#[test]
fn a_message_goes_to_every_client_that_it_does_not_contradict() {
    let routes = routes(Rule::Open, &SCHOOLS);
    assert_eq!(
        hears(&routes, r#"{"school_id":"2","school_class_id":"1"}"#),
        [1, 4, 5]
    );
    assert_eq!(hears(&routes, r#"{"school_id":2}"#), [1, 2, 4, 5]);
    assert_eq!(hears(&routes, r#"{"school_id":"9"}"#), [5]);
    assert_eq!(hears(&routes, r#"{"school_class_id":1}"#), [1, 3, 4, 5]);
    assert_eq!(hears(&routes, r#"{"notice":"x"}"#), [1, 2, 3, 4, 5]);
}

#[test]
fn with_routes_a_message_goes_only_to_those_who_registered_it() {
    let routes = routes(closed(&["school_id", "school_class_id"]), &SCHOOLS);
    assert_eq!(
        hears(&routes, r#"{"school_id":"2","school_class_id":"1"}"#),
        [1]
    );
    assert_eq!(hears(&routes, r#"{"school_id":2}"#), [1, 2, 4]);
    assert_eq!(hears(&routes, r#"{"school_id":"9"}"#), NOBODY);
    assert_eq!(hears(&routes, r#"{"school_class_id":1}"#), [1, 3]);
    assert_eq!(hears(&routes, r#"{"notice":"x"}"#), [1, 2, 3, 4, 5]);
    for nobody in ["null", "[]", "{}", r#"{"a":2}"#, "[null]", "[[2]]"] {
        assert_eq!(
            hears(&routes, &format!(r#"{{"school_id":{nobody}}}"#)),
            NOBODY
        );
    }
}

#[test]
fn with_routes_a_message_is_addressed_even_if_nobody_registered() {
    let routes = routes(closed(&["school_id"]), &["{}", "{}"]);
    assert_eq!(hears(&routes, r#"{"school_id":1}"#), NOBODY);
    assert_eq!(hears(&routes, r#"{"schoolid":1}"#), [1, 2]);
}

#[test]
fn with_routes_no_other_field_addresses_even_if_it_was_registered() {
    let mut routes = routes(closed(&["school_id"]), &["{}"]);
    let read_otherwise = Registration::from_frame(r#"{"a":1}"#, &Rule::Open, &Names::default());
    routes.join(ClientId(2), &read_otherwise.unwrap().unwrap(), 2);
    assert_eq!(hears(&routes, r#"{"a":2}"#), [1, 2]);
}

#[test]
fn scalars_compare_by_their_text() {
    let routes = routes(
        Rule::Open,
        &[
            r#"{"a":2}"#,
            r#"{"a":"2"}"#,
            r#"{"a":"02"}"#,
            r#"{"a":true}"#,
            r#"{"a":"true"}"#,
        ],
    );
    assert_eq!(hears(&routes, r#"{"a":2}"#), [1, 2]);
    assert_eq!(hears(&routes, r#"{"a":"\u0032"}"#), [1, 2]);
    assert_eq!(hears(&routes, r#"{"a":"02"}"#), [3]);
    assert_eq!(hears(&routes, r#"{"a":true}"#), [4, 5]);
    assert_eq!(hears(&routes, r#"{"a":2.0}"#), NOBODY);
}

#[test]
fn an_array_means_any_of_on_both_sides() {
    let routes = routes(
        Rule::Open,
        &[
            r#"{"a":[1,2,3]}"#,
            r#"{"a":[3,4]}"#,
            r#"{"a":[]}"#,
            r#"{"a":5}"#,
        ],
    );
    assert_eq!(hears(&routes, r#"{"a":[2,3]}"#), [1, 2]);
    assert_eq!(hears(&routes, r#"{"a":[5,5,{"b":1},[4],null,1]}"#), [1, 4]);
    assert_eq!(hears(&routes, r#"{"a":[]}"#), NOBODY);
    assert_eq!(hears(&routes, r#"{"b":1}"#), [1, 2, 3, 4]);
    let many: Vec<String> = (4..5000).map(|value| value.to_string()).collect();
    assert_eq!(
        hears(&routes, &format!(r#"{{"a":[{}]}}"#, many.join(","))),
        [2, 4]
    );
}

#[test]
fn null_is_as_if_the_field_were_absent_and_other_types_match_nobody() {
    let routes = routes(Rule::Open, &[r#"{"a":1}"#, r#"{"b":1}"#]);
    assert_eq!(hears(&routes, r#"{"a":null}"#), [1, 2]);
    assert_eq!(hears(&routes, r#"{"a":{"a":1}}"#), [2]);
    assert_eq!(hears(&routes, r#"{"a":[]}"#), [2]);
    assert_eq!(hears(&routes, r#"{"a":[null]}"#), [2]);
}

#[test]
fn of_duplicate_keys_the_last_counts_however_it_is_escaped() {
    let routes = routes(Rule::Open, &[r#"{"school_id":1}"#, r#"{"school_id":2}"#]);
    assert_eq!(hears(&routes, r#"{"school_id":1,"school\u005fid":2}"#), [2]);
    assert_eq!(
        hears(&routes, r#"{"school\u005fid":2,"school_id":null}"#),
        [1, 2]
    );
}

#[test]
fn half_a_surrogate_pair_matches_nobody_and_is_no_field() {
    let routes = routes(Rule::Open, &[r#"{"a":1}"#, "{}"]);
    assert_eq!(hears(&routes, r#"{"\ud800":1,"a":1}"#), [1, 2]);
    assert_eq!(hears(&routes, r#"{"a":"\ud800"}"#), [2]);
    assert_eq!(hears(&routes, r#"{"a":["\ud800",1]}"#), [1, 2]);
}

#[test]
fn what_is_no_object_reaches_everyone() {
    for rule in [Rule::Open, closed(&["a"])] {
        let routes = routes(rule, &[r#"{"a":1}"#, "{}"]);
        for document in ["1", r#""a""#, r#"[{"a":2}]"#, "true", "1e999"] {
            assert_eq!(hears(&routes, document), [1, 2]);
        }
    }
}

#[test]
fn a_deep_document_is_read_without_trouble() {
    let routes = routes(Rule::Open, &[r#"{"a":1}"#, r#"{"a":2}"#]);
    let deep = format!("{}{}", r#"{"a":["#.repeat(255), "]}".repeat(255));
    assert_eq!(hears(&routes, &format!(r#"{{"b":{deep},"a":2}}"#)), [2]);
    assert_eq!(hears(&routes, &format!(r#"{{"a":{deep}}}"#)), NOBODY);
    assert_eq!(hears(&routes, &format!(r#"{{"a":[2,{deep}]}}"#)), [2]);
}

#[test]
fn the_newest_registration_replaces_the_one_before() {
    let mut routes = routes(Rule::Open, &[r#"{"a":1}"#, r#"{"a":1}"#]);
    register(&mut routes, 1, r#"{"b":2}"#);
    assert_eq!(hears(&routes, r#"{"a":2,"b":2}"#), [1]);
    assert_eq!(hears(&routes, r#"{"a":1,"b":1}"#), [2]);
    assert_eq!(
        routes.registration(ClientId(1)).unwrap().to_string(),
        r#"{"b":"2"}"#
    );
    register(&mut routes, 1, "{}");
    assert_eq!(hears(&routes, r#"{"a":2,"b":1}"#), [1]);
}

#[test]
fn other_values_of_the_same_fields_leave_the_set_as_it_is() {
    let mut routes = routes(Rule::Open, &[r#"{"a":1,"b":1}"#]);
    let fields = routes.newest_field;
    for value in 2..100 {
        register(
            &mut routes,
            1,
            &format!(r#"{{"a":{value},"b":[{value},1]}}"#),
        );
        assert_eq!(hears(&routes, &format!(r#"{{"a":{value}}}"#)), [1]);
        assert_eq!(hears(&routes, &format!(r#"{{"a":{}}}"#, value - 1)), NOBODY);
    }
    assert_eq!(routes.newest_field, fields);
    assert_eq!(routes.sets.len(), 1);
}

#[test]
fn clients_that_registered_the_same_share_it() {
    let mut routes = routes(Rule::Open, &[r#"{"a":[1,2]}"#, "{}"]);
    let own = registered(&routes, r#"{"a":["2",1]}"#);
    let value = |registration: &Registration| registration.value(0).unwrap().as_ptr();
    let first = value(routes.registration(ClientId(1)).unwrap());
    let shared = routes.register(ClientId(2), &own);
    assert_eq!(shared, own);
    assert_eq!(value(&shared), first);
    routes.leave(ClientId(1));
    assert_eq!(value(routes.registration(ClientId(2)).unwrap()), first);
    let joined = routes.join(ClientId(3), &own, 3);
    assert_eq!(value(&joined), first);
}

#[test]
fn a_client_that_has_left_is_gone_and_cannot_register() {
    let mut routes = routes(Rule::Open, &[r#"{"a":1}"#, r#"{"a":1}"#]);
    routes.leave(ClientId(1));
    routes.leave(ClientId(1));
    register(&mut routes, 1, r#"{"a":2}"#);
    assert_eq!(hears(&routes, r#"{"a":1}"#), [2]);
    assert_eq!(routes.len(), 1);
    assert_eq!(routes.registration(ClientId(1)), None);
    let members: Vec<_> = routes.members().collect();
    assert_eq!(members, [(ClientId(2), &2)]);
}

#[test]
fn a_client_that_joins_twice_is_in_once() {
    let mut routes = routes(Rule::Open, &[r#"{"a":1}"#]);
    routes.join(ClientId(1), &Registration::default(), 7);
    assert_eq!(hears(&routes, r#"{"a":2}"#), [7]);
    assert_eq!(routes.len(), 1);
}

#[test]
fn an_audience_outlives_what_becomes_of_its_clients() {
    let mut routes = routes(Rule::Open, &[r#"{"a":1}"#, r#"{"a":1}"#, "{}"]);
    let before = routes.audience(r#"{"a":1}"#);
    let everyone = routes.everyone();
    routes.leave(ClientId(1));
    register(&mut routes, 2, "{}");
    routes.join(ClientId(4), &Registration::default(), 4);
    let mut heard: Vec<u64> = before.iter().copied().collect();
    heard.sort_unstable();
    assert_eq!(heard, [1, 2, 3]);
    assert_eq!(everyone.iter().count(), 3);
    assert_eq!(hears(&routes, r#"{"a":1}"#), [2, 3, 4]);
}

#[test]
fn a_message_that_addresses_nobody_costs_one_segment_however_many_groups_there_are() {
    let users: Vec<String> = (0..500)
        .map(|user| format!(r#"{{"user":{user}}}"#))
        .collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut routes = routes(Rule::Open, &users);
    assert_eq!(segments(&routes, r#"{"notice":1}"#), 1);
    assert_eq!(segments(&routes, r#"{"user":77}"#), 1);
    register(&mut routes, 1, r#"{"room":1}"#);
    assert_eq!(segments(&routes, r#"{"notice":1}"#), 1);
    // All of the other set, and one of this.
    assert_eq!(segments(&routes, r#"{"room":1}"#), 2);
    assert_eq!(segments(&routes, r#"{"user":77}"#), 2);
}

#[test]
fn hundreds_of_sets_of_fields_are_no_trouble() {
    let mut routes = routes(Rule::Open, &[]);
    for client in 0..600 {
        let frame = format!(r#"{{"field{client}":1,"all":{}}}"#, client % 2);
        let registration = registered(&routes, &frame);
        routes.join(ClientId(client), &registration, client);
    }
    assert_eq!(routes.sets.len(), 600);
    assert_eq!(hears(&routes, r#"{"field7":2}"#).len(), 599);
    assert_eq!(hears(&routes, r#"{"all":1}"#).len(), 300);
    assert_eq!(
        hears(&routes, r#"{"all":1,"field7":2,"field9":1}"#).len(),
        299
    );
    for client in 1..600 {
        routes.leave(ClientId(client));
    }
    assert_eq!(routes.sets.len(), 1);
    assert!(routes.sets.capacity() < 16, "{}", routes.sets.capacity());
    assert_eq!(hears(&routes, r#"{"all":0}"#), [0]);
}

#[test]
fn audiences_of_messages_that_address_the_same_are_the_same() {
    let mut routes = routes(Rule::Open, &SCHOOLS);
    let one = routes.audience(r#"{"school_id":2,"text":"one"}"#);
    let other = routes.audience(r#"{"text":"two","school_id":"2"}"#);
    assert!(one.same_as(&other));
    assert!(!one.same_as(&routes.audience(r#"{"school_id":4}"#)));
    assert!(!one.same_as(&routes.everyone()));
    assert!(routes.audience("{}").same_as(&routes.everyone()));
    routes.leave(ClientId(4));
    assert!(!one.same_as(&routes.audience(r#"{"school_id":2}"#)));
    assert!(Audience::<u64>::default().same_as(&Audience::default()));
}

#[test]
fn an_audience_can_be_taken_in_ranges() {
    let routes = routes(
        Rule::Open,
        &[
            r#"{"a":1}"#,
            r#"{"b":1}"#,
            r#"{"c":1}"#,
            r#"{"c":1}"#,
            "{}",
            r#"{"a":2}"#,
        ],
    );
    let audience = routes.audience(r#"{"a":1}"#);
    assert_eq!(audience.segments().count(), 4);
    let all: Vec<&u64> = audience.iter().collect();
    for first in 0..7 {
        for count in 0..7 {
            let range: Vec<&u64> = audience.range(first, count).collect();
            let rest = all.get(first..).unwrap_or_default();
            assert_eq!(range, rest[..count.min(rest.len())]);
        }
    }
}

#[test]
fn a_crowd_that_has_left_leaves_no_memory_behind() {
    let mut routes = routes(Rule::Open, &[r#"{"user":["all","stays"]}"#]);
    for client in 2..2000 {
        let frame = format!(r#"{{"user":["all",{client}]}}"#);
        let registration = registered(&routes, &frame);
        routes.join(ClientId(client), &registration, client);
    }
    for client in 2..2000 {
        routes.leave(ClientId(client));
    }
    for capacity in [
        routes.clients.capacity(),
        routes.group_of.capacity(),
        routes.everyone.capacity(),
        routes.sets.values().map(|set| set.capacity()).sum(),
    ] {
        assert!(capacity < 16, "{capacity}");
    }
}
