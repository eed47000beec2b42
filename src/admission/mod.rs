//! Who may listen, to what, and until when: asked at both doors, the request and a frame that
//! registers.
//!
//! Whoever may connect may, without `--secret-file`, register what they ask for, for as long as they
//! like.

mod crowd;
mod forwarded;
mod hs256;
pub(crate) mod origin;
pub(crate) mod proxies;
pub(crate) mod secret;
pub(crate) mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::audience::registration::{Registration, RegistrationError};
use crate::audience::rule::Rule;
use crate::http::{Answer, Head};
use crowd::Crowd;
pub(crate) use crowd::Place;
use origin::Origins;
use proxies::Proxies;
use secret::Secrets;
use token::{Grant, TokenError, Tokens};

/// What visitors are judged by.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Which pages may connect.
    origins: Origins,
    /// With `--secret-file`.
    tokens: Option<Arc<Tokens>>,
    /// Who may say for whom it asks.
    pub(crate) proxies: Proxies,
    /// Connections of an address at most, if that was set.
    max_per_address: Option<u32>,
    crowd: Arc<Crowd>,
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

/// As many connections of one address as there may be are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// So many.
    pub(crate) most: u32,
}

impl Admission {
    /// With secrets, each visitor needs a token; `rule` says which fields register something.
    pub(crate) fn new(origins: Origins, secrets: Option<&Secrets>, rule: &Rule) -> Self {
        let tokens = secrets.map(|secrets| Arc::new(Tokens::new(secrets, rule.clone())));
        Admission {
            origins,
            tokens,
            ..Admission::default()
        }
    }

    /// The same, taking the word of these proxies; without `max_per_address` the number of
    /// connections from loopback and from the proxies themselves has no bound of its own.
    pub(crate) fn with_addresses(self, proxies: Proxies, max_per_address: Option<u32>) -> Self {
        Admission {
            proxies,
            max_per_address,
            ..self
        }
    }

    /// Before either door: a place for one more connection of this address, which is canonical.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Place, Crowded> {
        let is_exempt = || address.is_loopback() || self.proxies.are_at(address);
        let most = match self.max_per_address {
            None if is_exempt() => return Ok(Place::uncounted()),
            most => most.unwrap_or(crowd::MOST),
        };
        self.crowd.enter(address, most).ok_or(Crowded { most })
    }

    /// The first door: a request for a WebSocket or for events.
    ///
    /// # Errors
    /// The answer, if that is all it gets.
    pub(crate) fn judge(&self, head: &Head) -> Result<Pass, Answer> {
        self.origins.judge(head)?;
        let tokens = self.tokens.as_ref();
        let grant = tokens.map(|tokens| tokens.judge(head)).transpose()?;
        Ok(Pass { grant })
    }

    /// Whether the page behind a request may read what events tell, also with credentials.
    pub(crate) fn lets_read(&self, head: &Head) -> bool {
        self.origins.judge(head).is_ok()
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
