//! The storm of the load generator, in short: good clients hear all, whatever others do, and the server needs no
//! more afterwards than before. How long it takes is no test's business.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::bench;
use crate::common::{Ending, udpush};

/// The storm itself tells what is not as it should be; what it had to say of each attack.
fn storm(arguments: &[&str]) -> Vec<Value> {
    let server = udpush();
    let mut storm = Command::new(bench::binary());
    storm.args(["storm", "--json", "--server"]);
    storm.arg(Path::new(server.get_program())).args(arguments);
    let storm = Ending::start(storm.stdin(Stdio::null()));
    let output = storm.output_within(Duration::from_secs(300));
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    let rows = told.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

#[test]
fn no_connection_that_behaves_badly_costs_a_good_client_a_message() {
    let attacks = "drip,silence,hang-ups,pings,registrations,frames,half-frames";
    let rows = storm(&["--only", attacks, "--scale", "25", "--seconds", "0.7"]);
    let names: Vec<_> = rows
        .iter()
        .filter_map(|row| row["attack"].as_str())
        .collect();
    assert_eq!(names.join(","), attacks);
    for row in rows {
        assert_eq!(row["lost"], 0, "{row}");
        assert!(row["attempts"].as_u64().unwrap() > 0, "{row}");
    }
}

#[test]
fn a_flood_of_datagrams_keeps_out_nothing_that_comes_by_tcp_and_is_told() {
    let rows = storm(&["--only", "flood", "--seconds", "1.5"]);
    assert_eq!(rows[0]["lost"], 0, "{}", rows[0]);
    let note = rows[0]["note"].as_str().unwrap();
    assert!(note.contains(" datagrams, all of them told"), "{note}");
}

#[test]
fn when_too_much_waits_for_all_together_those_go_who_are_far_behind() {
    let rows = storm(&["--only", "stuck", "--seconds", "3"]);
    assert_eq!(rows[0]["lost"], 0, "{}", rows[0]);
    let note = rows[0]["note"].as_str().unwrap();
    assert!(!note.starts_with("0 of "), "{note}");
}

#[test]
fn pages_come_back_after_a_kill_and_miss_nothing_or_are_told() {
    let rows = storm(&["--only", "reconnect", "--scale", "10"]);
    assert_eq!(rows[0]["lost"], 0, "{}", rows[0]);
    let note = rows[0]["note"].as_str().unwrap();
    assert!(note.contains("400 told"), "{note}");
}

/// `udpush-bench storm --soak` does so for as long as one likes.
#[test]
fn clients_that_stall_leave_resume_and_register_anew_hear_what_is_for_them_once_and_in_order() {
    let rows = storm(&["--soak", "0.1"]);
    assert_eq!(rows[0]["lost"], 0, "{}", rows[0]);
}
