//! A datagram in, the same bytes out to every browser.

use std::net::UdpSocket;

use crate::common::{Server, nc, php_push, skip, udpush};

/// Whatever would be lost if anything were parsed into a tree and printed again.
fn documents() -> Vec<String> {
    [
        r#"{"b":1,"a":"\u00e9\/","b":2,"n":12345678901234567890.10e+2}"#,
        r#"{"z":1,"m":2,"a":3,"0":4,"":5}"#,
        "[18446744073709551616, -9223372036854775809, 1e400, 1E-7, 0.10, -0, 1.0]",
        r#""\"\\\/\b\f\n\r\t\u0000\u001f\ud83d\ude00\uD83D\uDE00""#,
        "{ \"white\" :\t[ 1 ,\r\n\n 2 ] }",
        "\"just a text\"",
        "true",
        "{\"größe\":\"日本語 \u{1f600} \u{2028}\u{7f}\u{feff}\"}",
        "\"</script><!-- '\"",
    ]
    .map(str::to_owned)
    .into()
}

/// A document of exactly this many bytes, no two parts of it alike.
fn document_of(length: usize) -> String {
    let mut document = String::from("{\"numbers\":[1");
    let mut number = 1_000_000;
    while document.len() + 10 < length {
        document += &format!(",{number}");
        number += 1;
    }
    document += &" ".repeat(length - document.len() - 2);
    document + "]}"
}

#[test]
fn every_client_has_the_document_byte_for_byte_in_order() {
    let server = Server::start(&[]);
    let mut clients = server.connect_many(20);
    for document in documents() {
        server.push(format!(" {document}\r\n\t"));
    }
    for client in &mut clients {
        for document in documents() {
            assert_eq!(client.text(), document);
        }
    }
}

#[test]
fn nc_pushes_byte_for_byte_to_every_client() {
    let server = Server::start(&[]);
    let mut clients = server.connect_many(20);
    let mut documents = documents();
    documents.push(document_of(16_000));
    for (number, document) in documents.iter().enumerate() {
        // -w1 as the README says; it takes its second, so -q0 for most.
        let flag = if number == 0 { "-w1" } else { "-q0" };
        let line = format!("{document}\n");
        let printed = nc(&[flag], server.publishers, line.as_bytes());
        assert_eq!(
            printed, "",
            "success is silent: cron mails what a job prints"
        );
    }
    for client in &mut clients {
        for document in &documents {
            assert_eq!(&client.text(), document);
        }
    }
}

#[test]
fn php_pushes_byte_for_byte_to_every_client() {
    let server = Server::start(&[]);
    let mut clients = server.connect_many(20);
    let mut documents = documents();
    documents.push(document_of(60_000));
    // UDP's largest.
    documents.push(document_of(65_507));
    for (number, document) in documents.iter().enumerate() {
        let open = ["stream_socket_client", "fsockopen"][number % 2];
        php_push(open, server.publishers, document.as_bytes());
    }
    for client in &mut clients {
        for document in &documents {
            assert_eq!(&client.text(), document);
        }
    }
}

#[test]
fn both_loopbacks_take_datagrams() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    let mut command = udpush();
    command.args(["--listen", "127.0.0.1:0", "--publish", "127.0.0.1:0"]);
    command.args(["--publish", "[::1]:0"]);
    let server = Server::start_command(command);
    let mut client = server.connect();
    let [v4, v6] = server.all_publishers[..] else {
        panic!("not two addresses: {:?}", server.all_publishers);
    };
    assert!(v4.is_ipv4() && v6.is_ipv6());
    for (number, address) in [v6, v4, v6].into_iter().enumerate() {
        nc(&["-q0"], address, format!("\"nc {number}\"").as_bytes());
        assert_eq!(client.text(), format!("\"nc {number}\""));
        for open in ["stream_socket_client", "fsockopen"] {
            let large = document_of(60_000);
            php_push(open, address, large.as_bytes());
            assert_eq!(client.text(), large);
        }
    }
    // The reply goes back over the same socket.
    let reply = nc(&["-w1"], v6, b"{\"a\": x}");
    assert_eq!(
        reply,
        "udpush: refused: not JSON at byte 7: expected value\n"
    );
}
