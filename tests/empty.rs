//! What PHP calls empty is dropped without a word, as the recipe's `if (!empty($data))` does.
//!
//! PHP itself tells what that is.

use std::io;

use crate::common::{Server, php, publisher};

/// Every way to write a number that is 0 or nearly so, and whatever else looks empty.
fn candidates() -> Vec<String> {
    let mut documents = Vec::new();
    for sign in ["", "-"] {
        for integer in ["0", "1", "10", "9223372036854775808"] {
            for fraction in ["", ".0", ".000", ".01", ".0000001"] {
                for exponent in [
                    "", "e0", "E5", "e-3", "e+0", "e-330", "e-323", "E-324", "e-400", "e400",
                ] {
                    documents.push(format!("{sign}{integer}{fraction}{exponent}"));
                }
            }
        }
    }
    // Around half of the smallest double, where rounding decides; more digits than any integer.
    documents.extend(
        [
            "4.9e-324",
            "2.5e-324",
            "2.48e-324",
            "2.47e-324",
            "2.4703282292062327e-324",
        ]
        .map(str::to_owned),
    );
    documents.push("0".to_owned() + "." + &"0".repeat(400) + "1");
    documents.push("0".to_owned() + "." + &"0".repeat(300) + "1e300");
    documents.push("1".repeat(400));
    for text in [
        "",
        "0",
        "00",
        "0.0",
        "-0",
        "+0",
        " ",
        "0 ",
        "\\n",
        "false",
        "null",
        "[]",
        "{}",
        "\\u0030",
        "\\u0030\\u0030",
        "\\u0000",
        "\\u00300",
        "\\u0031",
        "\u{660}",
        "\\\\",
        "\\\"",
    ] {
        documents.push(format!("\"{text}\""));
    }
    documents.extend(
        [
            "null",
            "true",
            "false",
            "[]",
            "{}",
            "[ ]",
            "[\n\t]",
            "{ }",
            "{\r\n}",
            "[[]]",
            "[{}]",
            "[0]",
            "[null]",
            "[\"\"]",
            "{\"\":0}",
            "{\"a\":null}",
            "{\"0\":{}}",
            "{\"\\u0000\":1}",
        ]
        .map(str::to_owned),
    );
    documents
}

/// Whether PHP's recipe would push each of these; NULs part them, as none holds one.
fn php_pushes(documents: &[String]) -> Vec<bool> {
    let code = r#"
        foreach (explode("\0", stream_get_contents(STDIN)) as $document) {
            $data = json_decode($document, true);
            if (json_last_error() !== JSON_ERROR_NONE) die("not JSON: $document");
            echo empty($data) ? 'n' : 'y';
        }"#;
    let verdicts = php(code, &[], documents.join("\0").as_bytes());
    assert_eq!(verdicts.len(), documents.len(), "{verdicts}");
    verdicts.chars().map(|verdict| verdict == 'y').collect()
}

#[test]
fn what_php_calls_empty_is_dropped_without_a_word_and_nothing_else() {
    let documents = candidates();
    let pushed = php_pushes(&documents);
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let socket = publisher();
    for (document, pushed) in documents.iter().zip(pushed) {
        socket
            .send_to(document.as_bytes(), server.publishers)
            .unwrap();
        // Whatever became of it has happened when this is heard.
        socket.send_to(b"\"next\"", server.publishers).unwrap();
        if pushed {
            assert_eq!(&client.text(), document, "PHP's recipe would push it");
        }
        assert_eq!(client.text(), "\"next\"", "{document} is empty in PHP");
    }
    drop(client);
    socket.set_nonblocking(true).unwrap();
    let reply = socket.recv(&mut [0; 100]).unwrap_err();
    assert_eq!(reply.kind(), io::ErrorKind::WouldBlock);
    // What the machine lacks may be said before.
    let log = server.stop();
    eprintln!("{log}");
    let (_, log) = log.split_once("listening").unwrap();
    for word in ["WARN", "ERROR", "refused", "empty"] {
        assert!(!log.contains(word), "{log}");
    }
}

#[test]
fn nothing_at_all_is_empty_too() {
    let mut server = Server::start(&["--log-level", "debug"]);
    let mut client = server.connect();
    for nothing in ["", " ", "\n", "\r\n\t "] {
        server.push(nothing);
    }
    server.push("0 1 null 2 {}");
    assert_eq!(client.text(), "1");
    assert_eq!(client.text(), "2");
    drop(client);
    let log = server.stop();
    assert_eq!(
        log.matches("dropped 1 empty document from 127.0.0.1:")
            .count(),
        4
    );
    assert!(
        log.contains("dropped 3 empty documents from 127.0.0.1:"),
        "{log}"
    );
}
