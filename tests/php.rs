//! PHP's side: the class for Composer, and push.php's functions, run by the real PHP.

mod installed;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::common::{Ending, Server, own_address};
use crate::tokens;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

/// What every test's code begins with: the class, the functions, and what tells of exceptions.
const PRELUDE: &str = r#"
spl_autoload_register(function ($class) {
    require getenv('SCRIPTS') . '/php/src/' . substr($class, strlen('Udpush\\')) . '.php';
});
require getenv('SCRIPTS') . '/push.php';
function told(callable $do) {
    try {
        $do();
        return "nothing\n";
    } catch (Throwable $e) {
        return get_class($e) . ' ' . $e->getCode() . ': ' . $e->getMessage() . "\n";
    }
}
$udpush = new Udpush\Publisher(null, 10);
"#;

/// Messages, as PHP has them, and the bytes that a client gets.
const MESSAGES: [(&str, &str); 8] = [
    (
        "['msg' => '你好，世界 / \"', 'n' => 1.5]",
        r#"{"msg":"你好，世界 / \"","n":1.5}"#,
    ),
    ("'{\"b\":1,  \"a\":1.0}'", r#"{"b":1,  "a":1.0}"#),
    (
        "['id' => 9007199254740993, 'max' => PHP_INT_MAX]",
        r#"{"id":9007199254740993,"max":9223372036854775807}"#,
    ),
    ("(object) ['a' => ['b' => null]]", r#"{"a":{"b":null}}"#),
    (
        "new class { public $seen = 1; private $hidden = 2; }",
        r#"{"seen":1}"#,
    ),
    (
        "new class implements JsonSerializable { #[ReturnTypeWillChange]\n\
         public function jsonSerialize() { return ['order' => '17']; } }",
        r#"{"order":"17"}"#,
    ),
    ("[1, [2, 3]]", "[1,[2,3]]"),
    ("42", "42"),
];

/// What this code prints; it may print no error.
fn php(publishers: impl ToString, code: &str) -> String {
    run_php(&format!("{PRELUDE}{code}"), publishers, Path::new("."))
}

fn run_php(code: &str, publishers: impl ToString, directory: &Path) -> String {
    let mut command = Command::new("php");
    command.args(["-n", "-d", "display_errors=stderr", "-d"]);
    command.args(["error_reporting=-1", "-r", code]);
    command.env("UDPUSH_PUBLISH", publishers.to_string());
    output_of(command.env("SCRIPTS", SCRIPTS).current_dir(directory))
}

fn output_of(command: &mut Command) -> String {
    let output = Ending::start(command).output();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// An address where no server runs.
fn nobody() -> SocketAddr {
    (own_address(), 1).into()
}

/// Listens, and does this with the one connection that comes.
fn somebody_else(does: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || does(listener.accept().unwrap().0));
    address
}

/// Reads a request whose body is one byte.
fn read_request(stream: &TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    stream.read_exact(&mut [0]).unwrap();
}

#[test]
fn all_ways_take_whatever_has_a_json_form() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for (message, document) in MESSAGES {
        for way in ["udpush(MESSAGE);", "$udpush->push(MESSAGE);"] {
            php(server.publishers, &way.replace("MESSAGE", message));
            assert_eq!(client.text(), document, "{way}");
        }
        let code = format!("echo json_encode($udpush->publish({message}));");
        let receipt: serde_json::Value =
            serde_json::from_str(&php(server.publishers, &code)).unwrap();
        assert_eq!(client.text(), document);
        assert_eq!(receipt["clients"], 1);
        let id = php(server.publishers, "echo $udpush->id(), udpush_id();");
        assert_eq!(id, receipt["id"].as_str().unwrap().repeat(2));
    }
}

#[test]
fn what_php_calls_empty_has_a_receipt_without_an_id_and_several_documents_have_the_last_ones() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for message in ["[]", "''", "'[] {}'"] {
        let code = format!("echo json_encode($udpush->publish({message}));");
        let receipt = php(server.publishers, &code);
        assert_eq!(receipt, r#"{"id":null,"clients":0}"#, "{message}");
    }
    let code = "echo $udpush->publish('1 2')->id, ' ', $udpush->id();";
    let ids = php(server.publishers, code);
    assert_eq!((client.text(), client.text()), ("1".into(), "2".into()));
    let (receipt, newest) = ids.split_once(' ').unwrap();
    assert_eq!(receipt, newest);
}

#[test]
fn what_has_no_json_form_is_told_before_anything_is_sent() {
    // The server does not run: it is not asked.
    for (message, code, reason) in [
        (
            r#"["\xff"]"#,
            5,
            "Malformed UTF-8 characters, possibly incorrectly encoded",
        ),
        ("[NAN]", 7, "Inf and NaN cannot be JSON encoded"),
        ("STDIN", 8, "Type is not supported"),
    ] {
        let sentence = format!("udpush: it has no JSON form: {reason}");
        let printed = php(
            nobody(),
            &format!(
                "echo told(function () use ($udpush) {{ $udpush->push({message}); }}),
                      told(function () use ($udpush) {{ $udpush->publish({message}); }}),
                      told(function () {{ udpush({message}); }});"
            ),
        );
        let thrown = format!("Udpush\\CannotEncode {code}: {sentence}\n").repeat(2);
        assert_eq!(
            printed,
            format!("{thrown}InvalidArgumentException 0: {sentence}\n")
        );
    }
}

#[test]
fn the_servers_refusals_are_exceptions_with_its_sentence() {
    let server = Server::start(&["--max-message", "100000"]);
    let mut client = server.connect();
    let not_json = "udpush: refused: not JSON at byte 8: expected value\n";
    let too_large = "udpush: refused: a document has at most 100000 bytes\n";
    let far_too_large = "udpush: refused: a body has at most 16777216 bytes\n";
    for (call, told) in [
        (
            r#"$udpush->publish('{"msg":}')"#,
            format!("Udpush\\Refused 400: {not_json}"),
        ),
        (
            r#"$udpush->publish("\"\xff\"")"#,
            "Udpush\\Refused 400: udpush: refused: not UTF-8 at byte 2\n".to_owned(),
        ),
        (
            "$udpush->publish(1, '')",
            "Udpush\\Refused 400: udpush: refused: an Idempotency-Key has 1 to 255 bytes\n"
                .to_owned(),
        ),
        (
            "$udpush->publish([str_repeat('x', 100000)])",
            format!("Udpush\\TooLarge 413: {too_large}"),
        ),
        (
            "$udpush->push([str_repeat('x', 100000)])",
            format!("Udpush\\TooLarge 413: {too_large}"),
        ),
        (
            "$udpush->publish([str_repeat('x', 20000000)])",
            format!("Udpush\\TooLarge 413: {far_too_large}"),
        ),
        (
            r#"udpush('{"msg":}', 10000)"#,
            format!("RuntimeException 0: {not_json}"),
        ),
        (
            "udpush([str_repeat('x', 100000)])",
            format!("RuntimeException 0: {too_large}"),
        ),
        (
            "udpush([str_repeat('x', 20000000)])",
            format!("RuntimeException 0: {far_too_large}"),
        ),
        // Who does not ask is not told.
        (r#"$udpush->push('{"msg":}')"#, "nothing\n".to_owned()),
    ] {
        let code = format!("echo told(function () use ($udpush) {{ {call}; }});");
        assert_eq!(php(server.publishers, &code), told, "{call}");
    }
    // All of them are of one kind, and so are those who are not refused by the server.
    let code = "try { $udpush->publish('x'); } catch (Udpush\\Exception $e) { echo 'caught'; }";
    assert_eq!(php(server.publishers, code), "caught");
    // Only what is valid got through.
    php(server.publishers, "$udpush->publish('1');");
    assert_eq!(client.text(), "1");
}

#[test]
fn more_than_a_datagram_holds_goes_by_tcp() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for way in [
        "udpush('\"' . str_repeat('x', SIZE - 2) . '\"');",
        "$udpush->push('\"' . str_repeat('x', SIZE - 2) . '\"');",
    ] {
        for size in [65_507, 65_508, 1_048_576] {
            php(server.publishers, &way.replace("SIZE", &size.to_string()));
            assert_eq!(client.text().len(), size);
        }
    }
    let nobody = nobody();
    let large = "str_repeat('1', 65508)";
    let code = format!(
        "echo told(function () use ($udpush) {{ $udpush->push(1); }}),
              told(function () {{ udpush(1); }}),
              told(function () use ($udpush) {{ $udpush->push({large}); }}),
              told(function () {{ udpush({large}); }});"
    );
    let printed = php(nobody, &code);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[..2], ["nothing", "nothing"]);
    assert_eq!(
        lines[2],
        format!("Udpush\\CannotSend 0: udpush: cannot send to {nobody}: Connection refused")
    );
    let told = format!("RuntimeException 0: udpush: cannot send to {nobody}: ");
    assert!(
        lines[3].starts_with(&told) && lines[3].ends_with("Connection refused"),
        "{printed}"
    );
}

#[test]
fn an_exception_says_whether_it_may_have_been_published() {
    let publish = |address: SocketAddr, seconds: f32, message: &str| {
        let code = format!(
            "$udpush = new Udpush\\Publisher('{address}', {seconds});
             echo told(function () use ($udpush) {{ $udpush->publish({message}); }});"
        );
        php(nobody(), &code).replace(&address.to_string(), "HERE")
    };
    // It answers all the time, but is never done.
    let endless = somebody_else(|mut stream| {
        read_request(&stream);
        while stream.write_all(b"HTTP").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(
        publish(endless, 1.0, "1"),
        "Udpush\\NoAnswer 0: udpush: no answer from HERE: it took too long\n"
    );
    let gone = somebody_else(|stream| read_request(&stream));
    assert_eq!(
        publish(gone, 10.0, "1"),
        "Udpush\\NoAnswer 0: udpush: no answer from HERE: the connection ended without an answer\n"
    );
    let half = somebody_else(|mut stream| {
        read_request(&stream);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"ok\":true}";
        stream.write_all(answer).unwrap();
    });
    assert_eq!(
        publish(half, 10.0, "1"),
        "Udpush\\NoAnswer 0: udpush: no answer from HERE: the connection ended within the answer\n"
    );
    let other = somebody_else(|mut stream| {
        read_request(&stream);
        let answer = b"HTTP/1.1 200 OK\r\n\r\n<html>";
        stream.write_all(answer).unwrap();
    });
    assert_eq!(
        publish(other, 10.0, "1"),
        "Udpush\\CannotSend 0: udpush: what listens on HERE is not udpush\n"
    );
    // Nobody reads what the kernel takes for it.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(
        publish(deaf.local_addr().unwrap(), 0.1, "str_repeat('1', 30000000)"),
        "Udpush\\CannotSend 0: udpush: cannot send to HERE: it took too long\n"
    );
    assert_eq!(
        publish(nobody(), 10.0, "1"),
        "Udpush\\CannotSend 0: udpush: cannot send to HERE: Connection refused\n"
    );
}

#[test]
fn what_is_published_again_with_its_key_is_published_once() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let code = r#"
        $first = $udpush->publish(['n' => 1], "order 17\r\n订单");
        $again = $udpush->publish(['n' => 1], "order 17\r\n订单");
        $other = $udpush->publish(['n' => 2], 'order 18');
        echo json_encode([$first == $again, $first == $other]);"#;
    assert_eq!(php(server.publishers, code), "[true,false]");
    assert_eq!(client.text(), r#"{"n":1}"#);
    assert_eq!(client.text(), r#"{"n":2}"#);
}

#[test]
fn the_class_signs_what_the_server_takes() {
    let server = tokens::start(&[]);
    let file = server.directory.file("secret");
    let sign = |arguments: &str| {
        let code = format!(
            "echo told(function () use ($udpush) {{ throw new Exception($udpush->token({arguments})); }});"
        );
        let told = php(
            server.publishers,
            &format!("putenv('UDPUSH_SECRET_FILE={}'); {code}", file.display()),
        );
        told.strip_prefix("Exception 0: ")
            .unwrap_or(&told)
            .trim_end()
            .to_owned()
    };
    let token = sign("['department' => '销售/ß?>', 'room' => [1, 2]], 60");
    let mut client = server.connect_v1(&format!("/?token={token}"));
    assert_eq!(
        tokens::registered(&mut client),
        json!({"department": "销售/ß?>", "room": ["1", "2"]})
    );
    let mut client = server.connect_v1(&format!("/?token={}", sign("[], 60")));
    assert_eq!(tokens::registered(&mut client), json!({}));
    let late = tokens::refusal(&server, &format!("/?token={}", sign("[], -1")));
    assert!(late.contains("The token has expired."), "{late}");
    assert_eq!(
        sign("[], 60, '/nowhere'"),
        "Udpush\\CannotSign 0: udpush: there is no secret in the file \"/nowhere\""
    );
    assert_eq!(
        sign(r#"["\xff" => 1], 60"#),
        "Udpush\\CannotEncode 5: udpush: it has no JSON form: Malformed UTF-8 characters, possibly incorrectly encoded"
    );
}
