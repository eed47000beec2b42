//! Who may listen, to what, and until when: asked at both doors, the request and a frame that
//! registers.
//!
//! Without `--secret-file` everybody may register what they ask for, for as long as they like.

mod hs256;
pub(crate) mod secret;
pub(crate) mod token;

use std::sync::Arc;
use std::time::Instant;

use crate::audience::registration::{Registration, RegistrationError};
use crate::audience::rule::Rule;
use crate::http::{Answer, Head};
use secret::Secrets;
use token::{Grant, TokenError, Tokens};

/// What visitors are judged by.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// With `--secret-file`.
    tokens: Option<Arc<Tokens>>,
}

/// What one visitor may, found out from its request; its session keeps it for the second door.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    grant: Option<Grant>,
}

/// What a visitor may register.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// The fields and values that it may hear.
    pub(crate) registration: Registration,
    /// What it asked for; `None`: the same.
    pub(crate) asked: Option<Registration>,
    /// When it has to go; `None`: never.
    pub(crate) until: Option<Instant>,
}

impl Admitted {
    /// What the visitor asked for.
    pub(crate) fn asked(&self) -> &Registration {
        self.asked.as_ref().unwrap_or(&self.registration)
    }
}

impl Admission {
    /// With secrets, each visitor needs a token; `rule` says which fields register something.
    pub(crate) fn new(secrets: Option<&Secrets>, rule: &Rule) -> Self {
        let tokens = secrets.map(|secrets| Arc::new(Tokens::new(secrets, rule.clone())));
        Admission { tokens }
    }

    /// The first door: a request for a WebSocket or for events.
    ///
    /// # Errors
    /// The answer, if that is all it gets.
    pub(crate) fn judge(&self, head: &Head) -> Result<Pass, Answer> {
        let tokens = self.tokens.as_ref();
        let grant = tokens.map(|tokens| tokens.judge(head)).transpose()?;
        Ok(Pass { grant })
    }
}

impl Pass {
    /// Decides on what the visitor asks for, at either door.
    ///
    /// # Errors
    /// When what it asks for and what it may make no registration together.
    pub(crate) fn admit(&self, asked: Registration) -> Result<Admitted, RegistrationError> {
        match &self.grant {
            Some(grant) => grant.admit(asked),
            None => Ok(Admitted {
                registration: asked,
                asked: None,
                until: None,
            }),
        }
    }

    /// The pass that a new token makes of this one; `None` where no tokens are asked for.
    pub(crate) fn renewed(&self, token: &str) -> Option<Result<Pass, TokenError>> {
        let renewed = self.grant.as_ref()?.renewed(token);
        Some(renewed.map(|grant| Pass { grant: Some(grant) }))
    }
}
