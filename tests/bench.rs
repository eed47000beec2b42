//! `udpush bench`: a smoke run. What it measures is no test's business, that nothing is lost is.

use std::time::Duration;

use serde_json::Value;

use crate::common::{Ending, Server, udpush};

fn bench(server: &Server, arguments: &[&str]) -> Value {
    let mut command = udpush();
    command.args(["bench", "--json", "--warm-up", "0.1"]);
    command.args(["--connect", &server.clients.to_string()]);
    command.args(["--publish", &server.publishers.to_string()]);
    let bench = Ending::start(command.args(arguments));
    let output = bench.output_within(Duration::from_secs(60));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_smoke_run_loses_nothing() {
    let server = Server::start(&[]);
    for arguments in [
        &["--clients", "20", "--seconds", "1"][..],
        &["--clients", "200", "--in-flight", "64", "--seconds", "2"],
        // Posting to so many is interrupted to take more datagrams; none may be forgotten then.
        &["--clients", "1000", "--in-flight", "256", "--seconds", "1"],
        &["--clients", "100", "--register", "user", "--seconds", "1"],
        &[
            "--clients",
            "20",
            "--protocol",
            "udpush.v1",
            "--seconds",
            "1",
        ],
    ] {
        let report = bench(&server, arguments);
        for fault in ["lost", "out_of_order", "doubled", "misrouted"] {
            assert_eq!(report["pushed"][fault], 0, "{arguments:?}: {report}");
        }
        assert!(report["pushed"]["deliveries"].as_u64().unwrap() > 0);
    }
}
