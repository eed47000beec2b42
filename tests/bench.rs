//! The load generator, `scripts/bench`: a smoke run. What it measures is no test's business, that nothing is lost is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::{Ending, Server};

/// The binary that scripts/test built. cargo makes none of another crate for a test: without
/// scripts/test it is built here, where cargo put udpush.
pub fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("UDPUSH_BENCH_BINARY") {
        return binary.into();
    }
    let profile = Path::new(env!("CARGO_BIN_EXE_udpush")).parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "-p", "udpush-bench"]);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    build.arg("--target-dir").arg(profile.parent().unwrap());
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = Ending::start(&mut build).output_within(Duration::from_secs(600));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    profile.join("udpush-bench")
}

fn bench(binary: &Path, server: &Server, arguments: &[&str]) -> Value {
    let mut command = Command::new(binary);
    command.stdin(Stdio::null());
    command.arg("--json");
    if !arguments.contains(&"--intake") {
        command.args(["--warm-up", "0.1"]);
    }
    command.args(["--connect", &server.clients.to_string()]);
    command.args(["--publish", &server.publishers.to_string()]);
    let bench = Ending::start(command.args(arguments));
    let output = bench.output_within(Duration::from_secs(60));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn each_way_to_publish_loses_nothing() {
    let binary = binary();
    let server = Server::start(&[]);
    for way in ["udp", "lines", "http", "http-pipelined"] {
        let via = ["--publish-via", way];
        let flat_out = bench(
            &binary,
            &server,
            &[&via[..], &["--intake", "2500"]].concat(),
        );
        assert_eq!(flat_out["intake"]["messages"], 2500, "{flat_out}");
        let pushing = ["--clients", "10", "--in-flight", "64", "--seconds", "0.5"];
        let report = bench(&binary, &server, &[&via[..], &pushing].concat());
        assert_eq!(report["pushed"]["lost"], 0, "{way}: {report}");
        assert!(report["pushed"]["deliveries"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_smoke_run_loses_nothing() {
    let binary = binary();
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
        let report = bench(&binary, &server, arguments);
        for fault in ["lost", "out_of_order", "doubled", "misrouted"] {
            assert_eq!(report["pushed"][fault], 0, "{arguments:?}: {report}");
        }
        assert!(report["pushed"]["deliveries"].as_u64().unwrap() > 0);
    }
}
