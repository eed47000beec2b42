//! Why the server cannot start.

use std::net::SocketAddr;
use std::{fmt, io};

use crate::admission::secret::SecretError;

/// What cannot be had.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The file of `--secret-file`.
    Secrets(SecretError),
    /// An address.
    Bind {
        /// The address.
        address: SocketAddr,
        /// The kernel's reason.
        error: io::Error,
        /// The flag that names another.
        flag: &'static str,
    },
    /// What a socket needs after it was bound.
    Prepare {
        /// Its address.
        address: SocketAddr,
        /// The kernel's reason.
        error: io::Error,
    },
    /// The address that a socket has.
    Address(io::Error),
    /// What wakes a thread.
    Waker(io::Error),
    /// A thread.
    Thread {
        /// Its name.
        name: &'static str,
        /// The kernel's reason.
        error: io::Error,
    },
}

impl StartError {
    pub(super) fn bind(address: SocketAddr, error: io::Error, flag: &'static str) -> Self {
        StartError::Bind {
            address,
            error,
            flag,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind {
                address,
                error,
                flag,
            } => {
                write!(f, "cannot bind {address}: ")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => write!(
                        f,
                        "address in use: stop the program that has it (ss -lnup, ss -lntp) or choose another with {flag}"
                    ),
                    io::ErrorKind::AddrNotAvailable => write!(
                        f,
                        "not an address of this machine: choose another with {flag}"
                    ),
                    io::ErrorKind::PermissionDenied => write!(
                        f,
                        "permission denied: choose a port from 1024 on with {flag}"
                    ),
                    _ => error.fmt(f),
                }
            }
            StartError::Secrets(error) => error.fmt(f),
            StartError::Prepare { address, error } => {
                write!(f, "cannot prepare {address}: {error}")
            }
            StartError::Address(error) => write!(f, "cannot ask for an address: {error}"),
            StartError::Waker(error) => write!(f, "no waker: {error}"),
            StartError::Thread { name, error } => {
                write!(f, "cannot start the {name} thread: {error}")
            }
        }
    }
}

impl std::error::Error for StartError {}
