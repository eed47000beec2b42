//! What a visitor may register, and until when: asked at both doors, the request and a frame that
//! registers.
//!
//! So far everybody may register what they ask for, for as long as they like.

use std::time::Instant;

use super::registration::Registration;

/// What a visitor may register.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// The fields and values that it may hear.
    pub(crate) registration: Registration,
    /// When it has to go; `None`: never.
    pub(crate) until: Option<Instant>,
}

/// Decides on what a visitor asks for.
pub(crate) fn admit(asked: Registration) -> Admitted {
    Admitted {
        registration: asked,
        until: None,
    }
}
