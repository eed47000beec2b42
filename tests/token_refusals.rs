//! Tokens that are not good: what their visitors are told, and the log.

use serde_json::json;

use crate::common::tokens::{HEADER, SECRET, base64url, end, signed};
use crate::tokens::{OTHER, refusal, start, status};

#[test]
fn a_token_that_is_not_as_it_should_be_lets_nobody_in() {
    let mut server = start(&[]);
    let claims = json!({"reg": {}, "exp": end(60)}).to_string();
    let good = signed(HEADER, &claims, SECRET);
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let of = |claims: String| signed(HEADER, &claims, SECRET);
    let with = |header: &str| signed(header, &claims, SECRET);
    let (soon, late) = (end(60), end(-1));
    let no_jwt = "The token is no JWT that is signed with HS256.";
    let forged = "The token's signature is wrong: it was made with another secret.";
    let claims_are_wrong =
        "The token's claims are not exp, its end in seconds since 1970, and reg, an object.";
    let no_object =
        "The token's reg registers nothing: the registration is no object, and no list of objects.";
    let needed = "A token is needed, as ?token= in the URL, or as \"Authorization: Bearer\".";
    let nested = format!("{}1{}", r#"{"a":["#.repeat(100), "]}".repeat(100));
    let values: Vec<_> = (0..65).collect();
    let table = [
        (String::new(), needed),
        ("x".to_owned(), no_jwt),
        ("a.b.c".to_owned(), no_jwt),
        ("%ff".to_owned(), needed),
        (format!("{good}."), no_jwt),
        (format!("{unsigned}."), forged),
        (unsigned.to_owned(), no_jwt),
        (format!("{unsigned}.{}", &signature[4..]), forged),
        (format!("{unsigned}.{signature}="), no_jwt),
        (signed(HEADER, &claims, OTHER), forged),
        (
            format!(
                "{}.{}.{signature}",
                base64url(HEADER),
                base64url(r#"{"reg":{},"exp":1}"#)
            ),
            forged,
        ),
        (with(r#"{"typ":"JWT","alg":"none"}"#), no_jwt),
        (with(r#"{"typ":"JWT","alg":"nOnE"}"#), no_jwt),
        (
            format!("{}.{}.", base64url(r#"{"alg":"none"}"#), base64url(&claims)),
            no_jwt,
        ),
        (with(r#"{"typ":"JWT","alg":"HS384"}"#), no_jwt),
        (with(r#"{"typ":"JWT","alg":"RS256"}"#), no_jwt),
        (with(r#"{"typ":"JWT"}"#), no_jwt),
        (
            with(&format!(r#"{{"alg":"HS256","\ud800":{nested}}}"#)),
            no_jwt,
        ),
        (with(&format!(r#"{{"alg":"HS256","x":{nested}}}"#)), no_jwt),
        (
            with(r#"{"typ":"at+jwt","alg":"HS256"}"#),
            "The token's typ is another than JWT.",
        ),
        (
            with(r#"{"alg":"HS256","crit":["b64"],"b64":true}"#),
            "The token has a crit header, which asks for what is not known here.",
        ),
        (
            of(json!({"reg": {}, "exp": late}).to_string()),
            "The token has expired.",
        ),
        (
            of(json!({"reg": {}, "exp": end(0)}).to_string()),
            "The token has expired.",
        ),
        (
            of(json!({"reg": {}, "exp": soon, "nbf": end(30)}).to_string()),
            "The token is not valid yet.",
        ),
        (of(json!({"reg": {}}).to_string()), claims_are_wrong),
        (of(json!({"exp": soon}).to_string()), claims_are_wrong),
        (
            of(json!({"reg": {}, "exp": soon.to_string()}).to_string()),
            claims_are_wrong,
        ),
        (
            of(format!(r#"{{"reg":{{}},"exp":{soon}.5}}"#)),
            claims_are_wrong,
        ),
        (of(r#"{"reg":{},"exp":1e400}"#.to_owned()), claims_are_wrong),
        (of(r#"{"reg":{},"exp":-1}"#.to_owned()), claims_are_wrong),
        (
            of(format!(r#"{{"reg":{{}},"exp":1,"exp":{soon}}}"#)),
            claims_are_wrong,
        ),
        (
            of(format!(r#"{{"reg":{{"a":1}},"exp":{soon},"reg":{{}}}}"#)),
            claims_are_wrong,
        ),
        (
            of(json!({"reg": {}, "exp": soon, "nbf": "x"}).to_string()),
            claims_are_wrong,
        ),
        (of("[]".to_owned()), claims_are_wrong),
        (
            of(json!({"reg": "a=1", "exp": soon}).to_string()),
            no_object,
        ),
        (of(json!({"reg": null, "exp": soon}).to_string()), no_object),
        (of(json!({"reg": [[]], "exp": soon}).to_string()), no_object),
        (
            of(json!({"reg": {"a": {}}, "exp": soon}).to_string()),
            "The token's reg registers nothing: \"a\" is neither a scalar nor an array of scalars.",
        ),
        (
            of(json!({"reg": {"a": values}, "exp": soon}).to_string()),
            "The token's reg registers nothing: a registration of 65 values, at most 64 are allowed.",
        ),
    ];
    for (token, sentence) in &table {
        for path in ["/", "/events"] {
            let answer = refusal(&server, &format!("{path}?token={token}"));
            let (head, body) = answer.split_once("\r\n\r\n").expect(token);
            assert!(
                head.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
                "{token}: {answer}"
            );
            assert!(head.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{head}");
            assert_eq!(body, format!("{sentence}\n"), "{token}");
        }
    }
    let refused = format!(r#""401 Unauthorized":{}"#, 2 * table.len());
    let told = status(&server);
    assert!(told.contains(&refused), "{told}");
    let log = server.stop();
    for (token, sentence) in &table {
        let line = format!(
            "401 Unauthorized: {} (GET /)",
            sentence.trim_end_matches('.')
        );
        assert!(log.contains(&line), "{line}");
        for part in token.split('.').filter(|part| part.len() > 10) {
            assert!(!log.contains(part), "{part}");
        }
    }
    assert!(!log.contains(" connected from "));
}
