//! The file of `--secret-file`: what tokens are signed with.
//!
//! Read once, at the start, on the main thread; what it holds is neither logged nor told.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bytes of a secret at least: as many as HS256 makes of it (RFC 7518 §3.2).
const SHORTEST: usize = 32;

/// Bytes of the file at most.
const LARGEST: u64 = 4096;

/// The new one and the one before.
const MOST: usize = 2;

/// One or two secrets, the newest first. Its `Debug` tells none of them.
pub(crate) struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Reads the file: a secret on each line that is not blank. White space around it is no part
    /// of it.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub(crate) fn read(path: &Path) -> Result<Secrets, SecretError> {
        let wrong = |fault| SecretError {
            path: path.to_owned(),
            fault,
        };
        let unreadable = |error| wrong(Fault::Unreadable(error));
        // Opening a pipe would wait.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(wrong(Fault::NoFile));
        }
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(wrong(Fault::Open));
        }
        let mut bytes = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
        Secrets::parse(&bytes).map_err(wrong)
    }

    fn parse(bytes: &[u8]) -> Result<Secrets, Fault> {
        if bytes.len() as u64 > LARGEST {
            return Err(Fault::TooLarge);
        }
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let secrets: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        if secrets.len() > MOST {
            return Err(Fault::TooMany(secrets.len()));
        }
        match secrets.iter().map(|secret| secret.len()).min() {
            None => Err(Fault::Empty),
            Some(bytes) if bytes < SHORTEST => Err(Fault::TooShort(bytes)),
            Some(_) => Ok(Secrets(secrets.into_iter().map(<[u8]>::to_vec).collect())),
        }
    }

    /// All of them, the newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Why a file is none to have secrets from: one sentence that names it, and the remedy.
#[derive(Debug)]
pub(crate) struct SecretError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Unreadable(io::Error),
    NoFile,
    /// To others than its owner.
    Open,
    TooLarge,
    Empty,
    TooShort(usize),
    TooMany(usize),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Unreadable(error) => write!(f, "cannot read the secret file {path}: {error}"),
            Fault::NoFile => write!(f, "the secret file {path} is no file"),
            Fault::Open => write!(
                f,
                "the secret file {path} is open to others than its owner: chmod 600 {path}"
            ),
            Fault::TooLarge => write!(
                f,
                "the secret file {path} has more than {LARGEST} bytes: it holds one secret, or two, each on a line"
            ),
            Fault::Empty => write!(
                f,
                "the secret file {path} is empty: openssl rand -hex 32 makes a secret"
            ),
            Fault::TooShort(bytes) => write!(
                f,
                "the secret file {path} has a secret of {bytes} bytes, at least {SHORTEST} are needed: openssl rand -hex 32 makes one"
            ),
            Fault::TooMany(secrets) => write!(
                f,
                "the secret file {path} has {secrets} lines with a secret: at most {MOST} are used, the new one and the one before"
            ),
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_line_without_the_white_space_around_it() {
        let (new, old) = ("n".repeat(32), "o".repeat(33));
        let text = format!("\r\n {new}\t\r\n\n{old}");
        let secrets = Secrets::parse(text.as_bytes()).unwrap();
        assert_eq!(
            secrets.all().collect::<Vec<_>>(),
            [new.as_bytes(), old.as_bytes()]
        );
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    }
}
