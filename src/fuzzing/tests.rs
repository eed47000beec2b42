//! What a fuzzer once found, and what has a bit of everything, whole and cut off anywhere.

use super::*;

fn try_all_of(target: fn(&[u8]), inputs: &[&[u8]]) {
    for input in inputs {
        for end in 0..=input.len() {
            target(&input[..end]);
        }
    }
}

#[test]
fn documents_hold_together() {
    let inputs: &[&[u8]] = &[
        "\u{feff}{\"a\":[1,\"2\",null],\"é\":\"\u{2028}\\ud800\"}\r\n[0.0,{\"a\":2}] \"x\"\"y\"12 null 0\0\n".as_bytes(),
        b"{\"school_id\":2,\"school_id\":\"3\"}{\"school_id\":[3]}\t{\"type\":\"ping\"}{}",
        b"{\"a\":} \xff{\"b\"\n1e400 true,",
    ];
    try_all_of(datagrams, inputs);
    try_all_of(lines, inputs);
    // One byte more than a document may have.
    lines(format!("\"{}\"", "x".repeat(59)).as_bytes());
}

#[test]
fn registrations_hold_together() {
    try_all_of(
        registrations,
        &[
            b"school_id=2&a[]=%C3%A9&a[3]=+x%&since=k-1&b[c]=1&%ff=%00",
            "{\"type\":\"register\",\"registration\":{\"é\":[\"\u{202e}\",1,null],\"\":\"\\u0000\"}}".as_bytes(),
            b"{\"a\":[],\"b\":{},\" c\":1,\"d\":\"\\udc00\"}",
        ],
    );
}

#[test]
fn frames_hold_together() {
    try_all_of(
        frames,
        &[
            // A text, a ping in a message of three fragments, binary bytes, and a close frame.
            b"\x81\x87\0\0\0\0{\"a\":1}\x01\x81\0\0\0\0[\x00\x80\0\0\0\0\x89\x82\0\0\0\0hi\x80\x81\0\0\0\0]\x82\xfe\0\x01\0\0\0\0x\x88\x84\0\0\0\0\x0f\xa0ok\x89\x80\0\0\0\0",
            b"\x81\x81\x01\x02\x03\x04\xfe\x81\x81\0\0\0\0\xff",
            b"\x8a\x80\0\0\0\0\xc1\x80\0\0\0\0",
        ],
    );
}

#[test]
fn heads_hold_together() {
    try_all_of(
        heads,
        &[
            b"\r\nGET /?school_id=2&a[b]=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: udpush.v1, \xc3\xa9\r\n\r\n\x81\x80\0\0\0\0",
            b"GET //events?lastEventId=x&a=%ff HTTP/1.0\r\nOrigin: null\r\nAccept: text/event-stream\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: x-y, \"\r\n\r\n",
            b"HEAD http://x/push.js HTTP/1.1\r\nHost: x\r\nIf-None-Match: W/\"x\", *\r\n\r\n",
        ],
    );
}

#[test]
fn tokens_hold_together() {
    for token in [
        "{\"typ\":\"JWT\",\"alg\":\"HS256\"}\n{\"reg\":{\"a\":[1,2],\"b\":3},\"exp\":4102444800,\"nbf\":0}\n{\"a\":2,\"school_id\":4}\n{\"a\":2}",
        "{\"typ\":\"JWT\",\"alg\":\"none\"}\n{\"reg\":{},\"exp\":4102444800}",
        "{\"alg\":\"HS256\",\"crit\":1}\n{\"reg\":{},\"exp\":18446744073709551615}",
        "{\"alg\":\"HS256\",\"alg\":\"HS512\"}\n{\"reg\":[],\"exp\":-1}",
    ] {
        tokens(token.as_bytes());
    }
}

#[test]
fn requests_hold_together() {
    try_all_of(
        requests,
        &[
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n\"a\"\r\nGET /status HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /explain HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n\"a\"\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nDELETE / HTTP/1.0\r\n\r\n",
            // What is no request gets its answer however it comes.
            b"HEAD /events HTTP/1.0\r\nHost: x\r\n\r\r",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n;;\r\n\r\n",
        ],
    );
    // A head of just the size that one may have, and trailers that are longer than they may be.
    let head = |filling| format!("POST / HTTP/1.1\r\nX: {}\r\n\r\nbody", "x".repeat(filling));
    let length = (32 << 10) - head(0).len() + "body".len();
    let chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    for input in [
        head(length),
        head(length + 1),
        format!("{chunks}{}\r\n\r\n", "x".repeat(33_000)),
        format!("{chunks}{}\r\n", "a: b\r\n".repeat(6000)),
    ] {
        requests(input.as_bytes());
    }
}
