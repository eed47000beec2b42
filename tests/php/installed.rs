//! What is shipped, as a project has it with Composer, and with the oldest PHP.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{MESSAGES, PRELUDE, SCRIPTS, nobody, output_of, run_php};
use crate::common::{Directory, Ending, Server, skip};
use crate::tokens;

const README: &str = include_str!("../../scripts/README.md");

/// A project that has the class by Composer, as scripts/README.md says.
fn project() -> Directory {
    let project = Directory::new();
    let composer = |arguments: &[&str]| {
        let mut command = Command::new("composer");
        command.args(arguments).arg("--no-interaction");
        command.current_dir(project.path());
        command.env("COMPOSER_HOME", project.file("home"));
        command.env("COMPOSER_ALLOW_SUPERUSER", "1");
        command.env("COMPOSER_DISABLE_NETWORK", "1");
        let output = Ending::start(&mut command).output();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    fs::write(project.file("composer.json"), "{}").unwrap();
    fs::create_dir(project.file("packages")).unwrap();
    let mut copy = Command::new("cp");
    copy.args(["-r", &format!("{SCRIPTS}/php")]);
    output_of(copy.arg(project.file("packages/udpush")));
    composer(&["validate", "--strict", "packages/udpush/composer.json"]);
    // Nothing is asked of anybody else.
    composer(&["config", "repositories.packagist", "false"]);
    composer(&["config", "repositories.udpush", "path", "packages/udpush"]);
    composer(&["require", "--quiet", "udpush/udpush:@dev"]);
    project
}

#[test]
fn a_project_with_composer_has_the_class_and_the_example_works() {
    let server = Server::start(&[]);
    let project = project();
    let (_, example) = README.split_once("<?php // orders.php").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    fs::write(project.file("orders.php"), format!("<?php{example}")).unwrap();
    let request = |publishers: SocketAddr, method: &str| {
        let code = format!(
            "$_SERVER['REQUEST_METHOD'] = '{method}'; $_POST['order'] = '订单 17'; require 'orders.php';"
        );
        run_php(&code, publishers, project.path())
    };
    let page = request(server.publishers, "GET");
    let (_, since) = page.split_once("?since=").expect("an id");
    let (since, _) = since.split_once('"').unwrap();
    // What is pushed between the page's making and its arrival in the browser.
    assert_eq!(request(server.publishers, "POST"), "0 pages were told");
    let mut client = server.connect_v1(&format!("/?since={since}"));
    let hello: serde_json::Value = serde_json::from_str(&client.text()).unwrap();
    assert_eq!(hello["resumed"], true);
    let message: serde_json::Value = serde_json::from_str(&client.text()).unwrap();
    assert_eq!(message["data"], json!({"order": "订单 17"}));

    assert!(request(nobody(), "GET").contains(r#"udpush("ws://intranet:6552/","#));
}

#[test]
fn php_7_2_runs_what_is_shipped() {
    let root = env!("CARGO_MANIFEST_DIR");
    let installed = format!("{root}/target/php-7.2");
    if !Path::new(&installed).join("node_modules").exists() {
        return skip("PHP 7.2 is not there: scripts/test installs it");
    }
    let signer = tokens::start(&[]);
    let secret = signer.directory.file("secret");
    let server = Server::start(&[]);
    let mut client = server.connect();
    let published: String = MESSAGES
        .iter()
        .map(|(message, _)| format!("$udpush->publish({message});"))
        .collect();
    let code = format!(
        r#"{PRELUDE}
        echo PHP_VERSION, "\n";
        {published}
        udpush([str_repeat('x', 65508)]);
        echo $udpush->id() === udpush_id() ? "the same id\n" : "another id\n";
        echo told(function () use ($udpush) {{ $udpush->publish('x'); }});
        echo told(function () {{ udpush(str_repeat('x', 65508)); }});
        echo told(function () {{ udpush(["\xff"]); }});
        echo told(function () use ($udpush) {{ $udpush->push(["\xff"]); }});
        echo $udpush->token(['user' => 'u7'], 60), "\n", udpush_token(['user' => 'u7'], 60), "\n";
        "#
    );
    let mut command = Command::new("node");
    command.args([&format!("{root}/tests/php/run.mjs"), &installed, &code]);
    command.args([Path::new(SCRIPTS).join("push.php"), secret.clone()]);
    let classes = fs::read_dir(format!("{SCRIPTS}/php/src")).unwrap();
    command.args(classes.map(|class| class.unwrap().path()));
    command.env("UDPUSH_PUBLISH", server.publishers.to_string());
    command.env("UDPUSH_SECRET_FILE", secret);
    let printed = output_of(command.env("SCRIPTS", SCRIPTS));
    let mut lines: Vec<_> = printed.lines().collect();
    assert!(lines[0].starts_with("7.2."), "{printed}");
    for token in lines.split_off(lines.len() - 2) {
        let mut client = signer.connect_v1(&format!("/?token={token}"));
        assert_eq!(tokens::registered(&mut client), json!({"user": "u7"}));
    }
    let not_json = "udpush: refused: not JSON at byte 1: expected value";
    let not_utf8 =
        "udpush: it has no JSON form: Malformed UTF-8 characters, possibly incorrectly encoded";
    assert_eq!(
        lines[1..],
        [
            "the same id",
            &format!("Udpush\\Refused 400: {not_json}"),
            &format!("RuntimeException 0: {not_json}"),
            &format!("InvalidArgumentException 0: {not_utf8}"),
            &format!("Udpush\\CannotEncode 5: {not_utf8}"),
        ]
    );
    for (_, document) in MESSAGES {
        assert_eq!(client.text(), document);
    }
    assert_eq!(client.text().len(), 65_512);
}
