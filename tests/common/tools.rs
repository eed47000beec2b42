//! The tools that publishers and clients use: nc, PHP and curl, the real ones; and how any command
//! is run to its end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use super::{Directory, PATIENCE, within};

/// A process that is to end by itself. Should it not, the test fails and the process is killed.
pub struct Ending {
    child: Child,
    what: String,
    /// What it prints: a pipe would have to be emptied meanwhile.
    files: Directory,
}

impl Ending {
    pub fn start(command: &mut Command) -> Ending {
        let files = Directory::new();
        let file = |name| File::create(files.file(name)).unwrap();
        let child = command.stdout(file("stdout")).stderr(file("stderr"));
        Ending {
            child: child.spawn().unwrap(),
            what: format!("the end of {command:?}"),
            files,
        }
    }

    /// With this standard input: a file, so that no pipe can cut it.
    pub fn start_with_input(command: &mut Command, input: &[u8]) -> Ending {
        let directory = Directory::new();
        let file = directory.file("input");
        fs::write(&file, input).unwrap();
        Ending::start(command.stdin(File::open(file).unwrap()))
    }

    /// The pipe that the command was given as its standard input.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    /// What it has come to, once it has.
    pub fn output(self) -> Output {
        self.output_within(PATIENCE)
    }

    /// The same for a process that takes its time.
    pub fn output_within(mut self, patience: Duration) -> Output {
        let status = within(patience, &self.what, || self.child.try_wait().unwrap());
        Output {
            status,
            stdout: fs::read(self.files.file("stdout")).unwrap(),
            stderr: fs::read(self.files.file("stderr")).unwrap(),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What OpenBSD's nc, which Debian calls so, prints when it pushes this.
pub fn nc(flags: &[&str], publishers: SocketAddr, input: &[u8]) -> String {
    let mut command = Command::new("nc.openbsd");
    command.arg("-u").args(flags);
    command.arg(publishers.ip().to_string());
    command.arg(publishers.port().to_string());
    output_of(&mut command, input)
}

/// What this PHP code prints; it reads the input from STDIN.
pub fn php(code: &str, arguments: &[&str], input: &[u8]) -> String {
    // Errors are to be seen, and nothing else may add to the output.
    let mut command = Command::new("php");
    command.args(["-n", "-d", "display_errors=stderr", "-r", code, "--"]);
    command.args(arguments);
    output_of(&mut command, input)
}

/// Pushes as a PHP script does, with `open`: stream_socket_client or fsockopen.
pub fn php_push(open: &str, publishers: SocketAddr, document: &[u8]) {
    let code = match open {
        "stream_socket_client" => "$s = stream_socket_client('udp://'.$argv[1].':'.$argv[2]);",
        "fsockopen" => "$s = fsockopen('udp://'.$argv[1], (int) $argv[2]);",
        _ => panic!("no way to open a socket: {open}"),
    };
    let code = format!("{code} echo fwrite($s, stream_get_contents(STDIN));");
    let host = match publishers {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let port = publishers.port().to_string();
    let written = php(&code, &[&host, &port], document);
    assert_eq!(written, document.len().to_string());
}

/// A running curl, and its lines.
pub struct Curl(Child, Lines<BufReader<ChildStdout>>);

impl Curl {
    pub fn start(arguments: &[&str]) -> Curl {
        let mut child = Command::new("curl")
            .args(["-sN", "--max-time", "60"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Curl(child, lines)
    }

    /// The next line; none at the end.
    pub fn line(&mut self) -> Option<String> {
        self.1.next().map(Result::unwrap)
    }

    /// The next event's lines, without the blank one; none at the end.
    pub fn event(&mut self) -> Vec<String> {
        let lines = self.1.by_ref().map(Result::unwrap);
        lines.take_while(|line| !line.is_empty()).collect()
    }
}

impl Curl {
    /// Whether it has ended well, once it has ended.
    pub fn succeeded(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn output_of(command: &mut Command, input: &[u8]) -> String {
    let output = Ending::start_with_input(command, input).output();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{command:?}: {}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}
