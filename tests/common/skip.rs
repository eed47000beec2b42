//! Tests that cannot run on this machine.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::thread;

/// Says that the test that calls this cannot run here, and why; it is to return then. cargo takes
/// it for passed, scripts/test counts it as skipped. In CI nothing is skipped: there it fails.
pub fn skip(why: &str) {
    let in_ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    assert!(!in_ci, "nothing is skipped in CI: {why}");
    // A test's thread has its name.
    let test = thread::current();
    let line = format!("{}: {why}\n", test.name().unwrap_or("a test"));
    // Not by eprintln!, which is silent when the test passes.
    let told = format!("skipped {line}");
    io::stderr().write_all(told.as_bytes()).unwrap();
    if let Some(list) = env::var_os("UDPUSH_SKIPPED") {
        let mut list = File::options().append(true).open(list).unwrap();
        list.write_all(line.as_bytes()).unwrap();
    }
}
