//! Where the manual is read: `udpush manual`, and at `/manual/` on the trusted side.

use std::process::Command;

use serde_json::json;

use super::pages;
use crate::browser::webdriver::Browser;
use crate::common::{Ending, Server, conversation, udpush};

fn printed(arguments: &[&str]) -> (i32, String, String) {
    let output = Ending::start(udpush().arg("manual").args(arguments)).output();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|t| String::from_utf8(t).unwrap());
    (output.status.code().unwrap(), stdout, stderr)
}

/// The topics' names.
fn topics() -> Vec<String> {
    let (status, list, _) = printed(&[]);
    assert_eq!(status, 0);
    let names = list.lines().map(|line| line.split_once("  ").unwrap().0);
    names.map(|name| name.trim_end().to_owned()).collect()
}

#[test]
fn every_file_of_the_manual_is_a_topic_and_is_printed_as_it_is() {
    let topics = topics();
    for page in pages() {
        let Some(file) = page.path.strip_prefix("src/manual/") else {
            continue;
        };
        let name = file.strip_suffix(".md").unwrap();
        assert!(topics.iter().any(|topic| topic == name), "{name}");
        let (status, text, stderr) = printed(&[name]);
        assert_eq!((status, &*stderr), (0, ""));
        // But for the remarks that are meant for the test of the examples.
        assert!(!text.contains("<!--"), "{name}");
        let mut lines = page.text.lines();
        for line in text.lines() {
            assert!(lines.any(|original| original == line), "{name}: {line}");
        }
    }
}

#[test]
fn a_topic_that_is_not_there_is_told_with_one_that_is() {
    let (status, stdout, stderr) = printed(&["insid"]);
    assert_eq!((status, &*stdout), (2, ""));
    assert!(stderr.contains("'inside'"), "{stderr}");
}

#[test]
fn on_a_terminal_the_pager_shows_a_topic() {
    let binary = udpush().get_program().to_str().unwrap().to_owned();
    let on_terminal = |pager: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{binary} manual inside"), "/dev/null"]);
        script.env_remove("LESS").env_remove("PAGER");
        script.envs(pager.map(|pager| ("PAGER", pager)));
        // Without a pager of the user's, and without less.
        let output = Ending::start_with_input(&mut script, b"").output();
        String::from_utf8(output.stdout).unwrap().replace('\r', "")
    };
    let (_, text, _) = printed(&["inside"]);
    assert_eq!(on_terminal(Some("cat")), text);
    let paged: String = text.lines().map(|line| format!("> {line}\n")).collect();
    assert_eq!(on_terminal(Some("sed 's/^/> /'")), paged);
}

/// The body of a page of the trusted side.
fn body(server: &Server, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    let answer = conversation(server.publishers, request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
    body.to_owned()
}

#[test]
fn the_trusted_side_has_a_page_for_each_topic_whose_links_lead_somewhere() {
    let server = Server::start(&[]);
    assert!(body(&server, "/").contains("href=\"manual/\""));
    let mut seen = vec!["/manual/".to_owned()];
    let mut next = 0;
    while next < seen.len() {
        let path = seen[next].clone();
        next += 1;
        let page = body(&server, &path);
        for link in page.split(" href=\"").skip(1) {
            let target = link.split('"').next().unwrap();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let target = match file {
                "" => path.clone(),
                "./" => "/manual/".to_owned(),
                _ if file.contains("://") => continue,
                _ => match file.strip_prefix("../") {
                    Some(file) => format!("/{file}"),
                    None => format!("/manual/{file}"),
                },
            };
            let found = body(&server, &target);
            let heading = format!(" id=\"{anchor}\"");
            assert!(
                anchor.is_empty() || found.contains(&heading),
                "{path}: {link:.60}"
            );
            if found.starts_with("<!doctype") && target != "/" && !seen.contains(&target) {
                seen.push(target);
            }
        }
    }
    for topic in topics() {
        assert!(
            seen.contains(&format!("/manual/{topic}")),
            "{topic}: {seen:?}"
        );
    }
    let request = "GET /manual HTTP/1.0\r\n\r\n";
    let answer = conversation(server.publishers, request);
    assert!(answer.contains("\r\nLocation: /manual/\r\n"), "{answer}");
    let request = "POST /manual/inside HTTP/1.0\r\n\r\n";
    let answer = conversation(server.publishers, request);
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn on_a_phone_the_manual_is_as_wide_as_the_screen() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let server = Server::start(&[]);
    browser.resize(390, 800);
    for topic in topics() {
        browser.open(&format!("http://{}/manual/{topic}", server.publishers));
        let beyond = "const page = document.documentElement; \
                      return page.scrollWidth - page.clientWidth";
        assert_eq!(browser.run(beyond, &[]), json!(0), "{topic}");
        // The page passes its own policy, and all its files are there.
        assert_eq!(browser.console(), Vec::<String>::new(), "{topic}");
    }
}
