//! A datagram in, the same bytes out to every browser.

use crate::common::Server;

#[test]
fn every_client_has_the_document_byte_for_byte_in_order() {
    let server = Server::start(&[]);
    let mut clients = server.connect_many(20);
    let documents = [
        r#"{"b":1,"a":"\u00e9\/","n":12345678901234567890.10e+2}"#,
        r#""just a text""#,
        "[1,  2]",
    ];
    for document in documents {
        server.push(format!(" {document}\n"));
    }
    for client in &mut clients {
        for document in documents {
            assert_eq!(client.text(), document);
        }
    }
}
