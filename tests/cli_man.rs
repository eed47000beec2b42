//! `udpush completions` and `udpush man`: made from the same definitions as `--help`.

use std::fs;
use std::process::Command;

use crate::common::{Directory, Ending, udpush};

/// What it prints; it is to end well.
fn printed(command: &mut Command) -> String {
    let output = Ending::start(command).output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout).unwrap()
}

const COMMANDS: [&str; 11] = [
    "serve",
    "send",
    "listen",
    "status",
    "clients",
    "disconnect",
    "explain",
    "history",
    "completions",
    "man",
    "manual",
];

#[test]
fn bash_completes_commands_and_flags() {
    let complete = |words: &str| {
        let script = format!(
            "source <(\"$0\" completions bash); COMP_WORDS=({words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _udpush udpush \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        printed(
            Command::new("bash")
                .args(["-c", &script])
                .arg(udpush().get_program()),
        )
    };
    assert_eq!(complete("udpush lis"), "listen\n");
    assert_eq!(complete("udpush listen --reg"), "--register\n");
    assert_eq!(complete("udpush --max-m"), "--max-message\n");
    assert_eq!(complete("udpush completions f"), "fish\n");
}

#[test]
fn other_shells_have_their_scripts() {
    for (shell, words) in [("zsh", "#compdef udpush"), ("fish", "complete -c udpush")] {
        let script = printed(udpush().args(["completions", shell]));
        assert!(script.contains(words), "{script}");
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn each_command_has_a_manual_page_with_its_examples() {
    let page = printed(udpush().arg("man"));
    assert!(page.contains(".TH udpush 1"), "{page}");
    let listen = printed(udpush().args(["man", "listen"]));
    assert!(listen.contains(".TH udpush-listen 1"), "{listen}");
    assert!(listen.contains("udpush listen | jq .msg"), "{listen}");

    let directory = Directory::new();
    let all = udpush()
        .args(["man", "--all"])
        .arg(directory.path())
        .output();
    assert!(all.unwrap().status.success());
    assert_eq!(
        fs::read_to_string(directory.file("udpush.1")).unwrap(),
        page
    );
    assert_eq!(
        fs::read_to_string(directory.file("udpush-listen.1")).unwrap(),
        listen
    );
    for command in COMMANDS {
        assert!(directory.file(&format!("udpush-{command}.1")).exists());
    }
}

#[test]
fn a_page_that_is_not_there_is_told() {
    let output = Ending::start(udpush().args(["man", "lisen"])).output();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("lisen is no command; there are serve, send"),
        "{stderr}"
    );
    let output = Ending::start(udpush().args(["man", "--all", "/nowhere"])).output();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("cannot write /nowhere/udpush.1: No such"),
        "{stderr}"
    );
}
