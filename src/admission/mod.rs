//! Who may listen, to what, and until when: asked at both doors, the request and a frame that
//! registers.
//!
//! So far everybody may register what they ask for, for as long as they like.

use std::time::Instant;

use crate::audience::registration::Registration;
use crate::http::{Answer, Head};

/// What visitors are judged by.
#[derive(Debug, Default)]
pub(crate) struct Admission;

/// What one visitor may, found out from its request; its session keeps it for the second door.
#[derive(Debug, Default)]
pub(crate) struct Pass;

/// What a visitor may register.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// The fields and values that it may hear.
    pub(crate) registration: Registration,
    /// When it has to go; `None`: never.
    pub(crate) until: Option<Instant>,
}

impl Admission {
    /// The first door: a request for a WebSocket or for events.
    ///
    /// # Errors
    /// The answer, if that is all it gets.
    pub(crate) fn judge(&self, _head: &Head) -> Result<Pass, Answer> {
        Ok(Pass)
    }
}

impl Pass {
    /// Decides on what the visitor asks for, at either door.
    pub(crate) fn admit(&self, asked: Registration) -> Admitted {
        Admitted {
            registration: asked,
            until: None,
        }
    }
}
