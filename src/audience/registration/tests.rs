use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::*;

fn closed(fields: &[&str]) -> Rule {
    Rule::Closed(fields.iter().map(|field| field.to_string()).collect())
}

/// A frame's registration as JSON; `-` for a frame that is none.
fn frame_with(text: &str, rule: &Rule) -> Result<String, String> {
    frame_after("", text, rule)
}

/// The same for a client whose URL has this query.
fn frame_after(url: &str, text: &str, rule: &Rule) -> Result<String, String> {
    let from_url = Names::of(&Registration::from_query(url, rule).unwrap());
    let read = Registration::from_frame(text, rule, &from_url);
    read.map(|read| read.map_or("-".to_owned(), |registration| registration.to_string()))
        .map_err(|error| error.to_string())
}

fn frame(text: &str) -> Result<String, String> {
    frame_with(text, &Rule::Open)
}

fn query_with(text: &str, rule: &Rule) -> Result<String, String> {
    let read = Registration::from_query(text, rule);
    read.map(|registration| registration.to_string())
        .map_err(|error| error.to_string())
}

fn query(text: &str) -> Result<String, String> {
    query_with(text, &Rule::Open)
}

fn ok(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn refused(text: &str) -> Result<String, String> {
    Err(text.to_owned())
}

#[test]
fn the_recipes_object_is_a_registration() {
    assert_eq!(
        frame(r#"{"school_class_id":"1","school_id":"2"}"#),
        ok(r#"{"school_class_id":"1","school_id":"2"}"#)
    );
}

#[test]
fn registrations_that_mean_the_same_are_equal() {
    fn read(text: &str) -> Registration {
        let read = Registration::from_frame(text, &Rule::Open, &Names::default());
        read.unwrap().unwrap()
    }
    let plain = read(r#"{"a":["1","true"],"b":"2"}"#);
    for other in [
        r#"{"b":2,"a":[1,true]}"#,
        r#" { "b" : [2,"2"] , "a" : [true,"1",1,null] } "#,
        r#"{"a":{"b":1},"\u0061":["\u0031","true"],"b":3,"b":"2"}"#,
    ] {
        assert_eq!(read(other), plain, "{other}");
    }
    assert_eq!(read(&plain.to_string()), plain);
    assert_ne!(read(r#"{"a":["1","true"],"b":"02"}"#), plain);
}

#[test]
fn a_field_without_a_value_hears_nothing_of_it_not_everything() {
    assert_eq!(
        frame(r#"{"a":[],"b":null,"c":[null],"d":""}"#),
        ok(r#"{"a":[],"b":[],"c":[],"d":""}"#)
    );
    for query_of_nothing in ["a", "a=", "a[]", "a[]=", "a[0]="] {
        assert_eq!(
            query(query_of_nothing),
            ok(r#"{"a":""}"#),
            "{query_of_nothing}"
        );
    }
}

#[test]
fn an_empty_object_clears() {
    assert_eq!(frame("{}"), ok("{}"));
    assert_eq!(frame_after("a=1", " { } ", &Rule::Open), ok("{}"));
    assert_eq!(frame_with("{}", &closed(&["a"])), ok("{}"));
    assert!(Registration::default().is_empty());
}

#[test]
fn a_frame_that_is_no_object_says_nothing() {
    for text in [
        "",
        "hello",
        "[1]",
        "1",
        "null",
        r#""{}""#,
        "{",
        r#"{"a":1"#,
        r#"{"a":1} x"#,
    ] {
        assert_eq!(frame(text), ok("-"), "{text}");
    }
    assert_eq!(frame(&"x".repeat(5000)), ok("-"));
}

#[test]
fn with_routes_only_the_fields_that_they_name_are_registered() {
    let rule = closed(&["school_id", "user_id"]);
    assert_eq!(
        frame_with(r#"{"school_id":2,"note":{"any":"thing"}}"#, &rule),
        ok(r#"{"school_id":"2"}"#)
    );
    assert_eq!(frame_with(r#"{"note":1}"#, &rule), ok("-"));
    let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(5000));
    assert_eq!(frame_with(&long, &rule), ok("-"));
    assert_eq!(
        query_with("school_id=2&note=%ff&note[a]=1", &rule),
        ok(r#"{"school_id":"2"}"#)
    );
    assert_eq!(query_with("note=1", &rule), ok("{}"));
}

#[test]
fn what_is_no_scalar_is_refused() {
    let sentence = refused(r#""a" is neither a scalar nor an array of scalars"#);
    assert_eq!(frame(r#"{"b":1,"a":{"c":1}}"#), sentence);
    assert_eq!(frame(r#"{"a":{}}"#), sentence);
    assert_eq!(frame(r#"{"a":[1,[2]]}"#), sentence);
    assert_eq!(query("a[b]=1"), sentence);
    assert_eq!(query("a[0][1]=1"), sentence);
    assert_eq!(
        frame(r#"{"a":"\ud800"}"#),
        refused(r#""a" has a value with half a surrogate pair"#)
    );
}

#[test]
fn a_registration_is_bounded() {
    let frame_of = |bytes: usize| format!(r#"{{"a":1{}}}"#, " ".repeat(bytes - 7));
    assert_eq!(frame(&frame_of(4096)), ok(r#"{"a":"1"}"#));
    assert_eq!(
        frame(&frame_of(4097)),
        refused("a registration of 4097 bytes, at most 4096 are allowed")
    );

    let fields = |count| {
        let fields: Vec<_> = (0..count).map(|field| format!(r#""{field}":1"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(frame(&fields(16)).is_ok());
    assert_eq!(
        frame(&fields(17)),
        refused("a registration of 17 fields, at most 16 are allowed")
    );

    let values = |count| {
        let values: Vec<_> = (0..count).map(|value| value.to_string()).collect();
        format!(r#"{{"a":[0,0,{}]}}"#, values.join(","))
    };
    assert!(frame(&values(64)).is_ok());
    assert_eq!(
        frame(&values(65)),
        refused("a registration of 65 values, at most 64 are allowed")
    );
    let values = |count: usize| {
        let values: Vec<_> = (0..count)
            .map(|value| format!("{}={value}", value % 16))
            .collect();
        values.join("&")
    };
    assert!(query(&values(64)).is_ok());
    assert_eq!(
        query(&values(65)),
        refused("a registration of 65 values, at most 64 are allowed")
    );

    let name = |bytes| format!(r#"{{"{}":1}}"#, "n".repeat(bytes));
    assert!(frame(&name(64)).is_ok());
    assert_eq!(
        frame(&name(65)),
        refused(&format!(
            "the name \"{}…\" has 65 bytes, at most 64 are allowed",
            "n".repeat(64)
        ))
    );

    let value = |bytes| format!(r#"{{"a":"{}"}}"#, "v".repeat(bytes));
    assert!(frame(&value(256)).is_ok());
    assert_eq!(
        frame(&value(257)),
        refused(r#""a" has a value of 257 bytes, at most 256 are allowed"#)
    );
}

#[test]
fn a_query_is_read_as_php_reads_it() {
    assert_eq!(
        query("school_id=2&school_class_id=1"),
        ok(r#"{"school_class_id":"1","school_id":"2"}"#)
    );
    assert_eq!(
        query("a=1&a=2&b[]=3&b%5B1%5D=4&b[]=3"),
        ok(r#"{"a":["1","2"],"b":["3","4"]}"#)
    );
    assert_eq!(
        query("n%61me=a+b%20c%2B%C3%A9é"),
        ok(r#"{"name":"a b c+éé"}"#)
    );
    assert_eq!(
        query("flag&empty=&&=x&a=b=c"),
        ok(r#"{"a":"b=c","empty":"","flag":""}"#)
    );
    assert_eq!(query("[a]=1&b[=2"), ok(r#"{"[a]":"1","b[":"2"}"#));
    assert_eq!(query(""), ok("{}"));
}

#[test]
fn since_and_token_are_no_fields() {
    let token = "x".repeat(5000);
    assert_eq!(
        query(&format!("since=k3f9-42&a=1&token={token}&token[]=%ff")),
        ok(r#"{"a":"1"}"#)
    );
}

#[test]
fn a_percent_sign_that_begins_no_escape_is_itself() {
    for (text, value) in [
        ("100%", "100%"),
        ("%", "%"),
        ("%4", "%4"),
        ("%zz1", "%zz1"),
        ("%é1", "%é1"),
        ("%%41", "%A"),
        ("%+1", "% 1"),
        ("%2541", "%41"),
    ] {
        let registered = format!(r#"{{"a":"{value}"}}"#);
        assert_eq!(query(&format!("a={text}")), Ok(registered), "{text}");
    }
    assert_eq!(query("a%zz=1"), ok(r#"{"a%zz":"1"}"#));
}

#[test]
fn a_query_that_is_not_utf8_is_refused() {
    assert_eq!(
        query("a=x%ffy"),
        refused(r#""x%ffy" in the query is not UTF-8"#)
    );
    assert_eq!(
        query("%e9=1%"),
        refused(r#""%e9" in the query is not UTF-8"#)
    );
}

#[test]
fn a_name_that_nobody_means_is_refused() {
    for name in [" ", "a ", "\ta", "a\u{a0}", "a\u{7f}b"] {
        let sentence =
            format!("the name {name:?} has white space around it or control characters in it");
        let object = serde_json::json!({ name: 1 }).to_string();
        assert_eq!(frame(&object), refused(&sentence));
        // With routes it is not one of them.
        assert_eq!(frame_with(&object, &closed(&["a"])), ok("-"));
    }
    assert!(query("a%20=1").is_err() && query("+a=1").is_err() && query("a%00=1").is_err());
    assert_eq!(frame(r#"{"a b":1}"#), ok(r#"{"a b":"1"}"#));
}

#[test]
fn a_heartbeat_registers_nothing() {
    for beat in [
        r#"{"type":"ping"}"#,
        r#"{"Type":"PING","time":1700000000}"#,
        r#"{"event":"heartbeat","school_id":"2"}"#,
        r#"{"action":"heart-beat"}"#,
        r#"{"cmd":"keep_alive"}"#,
        r#"{"op":"Keep-Alive"}"#,
        r#"{"method":"hb","id":1}"#,
        r#"{"msg":"heart"}"#,
        r#"{"message":"beat"}"#,
        r#"{"KIND":"p\u006fng"}"#,
        r#"{"id":3,"op":"alive"}"#,
        r#"{"ping":1}"#,
        r#"{"Ping":{"at":[1]}}"#,
        r#"{"pong":null}"#,
        r#"{"Keep-Alive":true}"#,
        r#"{"heart_beat":1,"school_id":"2"}"#,
    ] {
        assert_eq!(frame(beat), ok("-"), "{beat}");
        assert_eq!(frame_after("school_id=2", beat, &Rule::Open), ok("-"));
    }
    for (other, registered) in [
        (r#"{"type":"news"}"#, r#"{"type":"news"}"#),
        (r#"{"type":"pingpong"}"#, r#"{"type":"pingpong"}"#),
        (r#"{"team":"ping"}"#, r#"{"team":"ping"}"#),
        (r#"{"type":["ping"]}"#, r#"{"type":"ping"}"#),
        (r#"{"hb":1}"#, r#"{"hb":"1"}"#),
    ] {
        assert_eq!(frame(other), ok(registered), "{other}");
    }
}

#[test]
fn with_routes_a_heartbeat_registers_only_the_fields_that_they_name() {
    let rule = closed(&["school_id", "type"]);
    for nothing in [r#"{"ping":1}"#, r#"{"event":"ping","registration":{}}"#] {
        assert_eq!(frame_after("school_id=2", nothing, &rule), ok("-"));
    }
    assert_eq!(
        frame_with(r#"{"type":"ping"}"#, &rule),
        ok(r#"{"type":"ping"}"#)
    );
    assert_eq!(
        frame_after("school_id=2", r#"{"type":"news"}"#, &rule),
        ok(r#"{"type":"news"}"#)
    );
}

#[test]
fn a_frame_widens_what_the_url_registered_only_when_it_says_so() {
    let said = |text| frame_after("school_id=2&class=1", text, &Rule::Open);
    for narrower in [
        r#"{"school_id":"2"}"#,
        r#"{"class":9,"other":1}"#,
        r#"{"mood":"fine"}"#,
        r#"{"\ud800":1}"#,
    ] {
        assert_eq!(said(narrower), ok("-"), "{narrower}");
    }
    assert_eq!(
        said(r#"{"school_id":["3",4],"class":null,"more":1}"#),
        ok(r#"{"class":[],"more":"1","school_id":["3","4"]}"#)
    );
    for (explicit, registered) in [
        (
            r#"{"type":"register","registration":{"class":9}}"#,
            r#"{"class":"9"}"#,
        ),
        (
            r#"{"registration":{"type":"ping"},"note":{},"type":"register"}"#,
            r#"{"type":"ping"}"#,
        ),
        (r#"{"type":"register","registration":{}}"#, "{}"),
    ] {
        assert_eq!(said(explicit), ok(registered), "{explicit}");
    }
}

#[test]
fn a_frame_that_says_that_it_registers_is_read_in_both_rules() {
    let rule = closed(&["school_id"]);
    let explicit = r#"{"type":"register","registration":{"school_id":7,"note":1}}"#;
    assert_eq!(frame_with(explicit, &rule), ok(r#"{"school_id":"7"}"#));
    assert_eq!(frame(explicit), ok(r#"{"note":"1","school_id":"7"}"#));
    for wrong in ["null", "[]", "[{},1]", "[[{}]]", r#""school_id""#, "1"] {
        let wrong = format!(r#"{{"type":"register","registration":{wrong}}}"#);
        for rule in [&rule, &Rule::Open] {
            let sentence = refused("the registration is no object, and no list of objects");
            assert_eq!(frame_with(&wrong, rule), sentence, "{wrong}");
        }
    }
    assert_eq!(
        frame(r#"{"type":"register","registration":{"a":{}}}"#),
        refused(r#""a" is neither a scalar nor an array of scalars"#)
    );
    // Without a registration it is as any other object.
    assert_eq!(
        frame(r#"{"type":"register","school_id":2}"#),
        ok(r#"{"school_id":"2","type":"register"}"#)
    );
}

#[test]
fn a_list_registers_what_any_of_its_objects_registers() {
    let list = |list: &str| format!(r#"{{"type":"register","registration":{list}}}"#);
    for (said, registered) in [
        // In one order, each once.
        (
            r#"[{"user":7},{"class":["1","2"]},{"user":"7"}]"#,
            r#"[{"class":["1","2"]},{"user":"7"}]"#,
        ),
        (
            r#"[{"a":1},{"a":1,"b":2}]"#,
            r#"[{"a":"1","b":"2"},{"a":"1"}]"#,
        ),
        // One is no list; one that hears everything leaves nothing to the others.
        (r#"[{"a":1}]"#, r#"{"a":"1"}"#),
        (r#"[{"a":1},{}]"#, "{}"),
        (r#"[{"a":null},{"b":1}]"#, r#"[{"a":[]},{"b":"1"}]"#),
    ] {
        assert_eq!(frame(&list(said)), ok(registered), "{said}");
        let escaped = utf8_percent_encode(said, NON_ALPHANUMERIC);
        let url = query(&format!("since=x&registration={escaped}"));
        assert_eq!(url, ok(registered), "{said}");
        // What is told can be registered again.
        assert_eq!(frame(&list(registered)), ok(registered), "{said}");
    }
    // Under a closed rule, who registers nothing hears nothing that the others do not hear.
    let rule = closed(&["a"]);
    for (said, registered) in [
        (r#"[{"a":1},{"b":1},{}]"#, r#"{"a":"1"}"#),
        (r#"[{"b":1},{}]"#, "{}"),
    ] {
        assert_eq!(frame_with(&list(said), &rule), ok(registered), "{said}");
    }
}

#[test]
fn a_list_is_bounded() {
    let list = |count: usize, object: &dyn Fn(usize) -> String| {
        let objects: Vec<_> = (0..count).map(object).collect();
        let list = objects.join(",");
        frame(&format!(r#"{{"type":"register","registration":[{list}]}}"#))
    };
    let one = |value: usize| format!(r#"{{"a":{value}}}"#);
    assert!(list(16, &one).is_ok());
    assert_eq!(
        list(17, &one),
        refused("a list of 17 registrations, at most 16 are allowed")
    );
    let fields = |first: usize| {
        let fields = (0..13).map(|field| format!(r#""{first}.{field}":null"#));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    };
    assert!(list(4, &fields).is_ok());
    assert_eq!(
        list(5, &fields),
        refused("a registration of 65 fields, at most 64 are allowed")
    );
    let values = |first: usize| format!(r#"{{"a":[{first},1,2,3,4,5,6,7,8,9,10,11,12]}}"#);
    assert!(list(1, &values).is_ok());
    let thirteen = |first: usize| values(first + 20);
    assert_eq!(
        list(5, &thirteen),
        refused("a registration of 65 values, at most 64 are allowed")
    );
}

#[test]
fn a_url_has_fields_or_a_list() {
    assert_eq!(
        query("a=1&registration=%5B%7B%7D%5D"),
        refused("the query has fields, and a registration in JSON: one or the other")
    );
    assert_eq!(
        query("registration=%5B1"),
        refused("the registration is no object, and no list of objects")
    );
    // A field of this name is one like any other.
    assert_eq!(
        query("registration=5&a=1"),
        ok(r#"{"a":"1","registration":"5"}"#)
    );
}

#[test]
fn a_query_is_bounded_without_what_is_no_field() {
    let fields = |bytes: usize| format!("a=1{}", "&a=1".repeat(bytes / 2 - 1));
    assert_eq!(query(&fields(4096)), ok(r#"{"a":"1"}"#));
    assert_eq!(
        query(&fields(4098)),
        refused("a registration of 4098 bytes, at most 4096 are allowed")
    );
}
