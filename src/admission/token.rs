//! Tokens: what a visitor may register and until when, as the site's own code has signed it.
//!
//! A token is a JWT (RFC 7519), signed with HS256, with the claims `reg`, the registration, and
//! `exp`, its end. A client's own thread checks it: at the request, and whenever it sends a new one.
//! Nothing here repeats any of it, neither to the visitor nor to the log, but for names of fields
//! that were signed.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Admitted;
use super::hs256;
use super::secret::Secrets;
use crate::audience::registration::{Registration, RegistrationError, parameters};
use crate::audience::rule::Rule;
use crate::http::{Answer, Head};
use crate::message::fields::{self, Value};

/// What tokens are checked by.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// The newest first. Their `Debug` does not tell them.
    keys: Vec<DecodingKey>,
    rule: Rule,
}

/// What a token grants.
#[derive(Debug)]
pub(super) struct Grant {
    /// For the next token.
    tokens: Arc<Tokens>,
    may: Registration,
    /// `None`: beyond what the clock can tell.
    until: Option<Instant>,
}

/// The claims that matter; jsonwebtoken looks at `nbf` by itself.
#[derive(Deserialize, Serialize)]
struct Claims {
    reg: Box<RawValue>,
    /// In seconds since 1970.
    exp: u64,
}

impl Tokens {
    /// A token may be signed with any of the secrets; `rule` says which fields of `reg` register
    /// something.
    pub(super) fn new(secrets: &Secrets, rule: Rule) -> Self {
        hs256::install();
        Tokens {
            keys: secrets.all().map(DecodingKey::from_secret).collect(),
            rule,
        }
    }

    /// Judges a request by its token: the one in the URL, else the one in its header.
    pub(super) fn judge(self: &Arc<Self>, head: &Head) -> Result<Grant, Answer> {
        let grant = match presented(head) {
            Some(token) => self.check(&token),
            None => Err(TokenError::Missing),
        };
        grant.map_err(|error| {
            Answer::new("401 Unauthorized", &error.sentence()).header("WWW-Authenticate", "Bearer")
        })
    }

    fn check(self: &Arc<Self>, token: &str) -> Result<Grant, TokenError> {
        check_header(token)?;
        // That of the claims has the same error.
        jsonwebtoken::decode_header(token).map_err(|_| TokenError::NoJwt)?;
        let Claims { reg, exp } = self.claims(token)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let left = Duration::from_secs(exp).saturating_sub(now.unwrap_or_default());
        if left.is_zero() {
            return Err(TokenError::Expired);
        }
        let may = Registration::from_json(reg.get(), &self.rule);
        Ok(Grant {
            tokens: Arc::clone(self),
            may: may.map_err(TokenError::Registration)?,
            until: Instant::now().checked_add(left),
        })
    }

    /// The claims, if one of the secrets has signed them.
    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        // Whom else the token may be for is the site's own matter.
        validation.validate_aud = false;
        for key in &self.keys {
            match jsonwebtoken::decode(token, key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature => {}
                    kind => return Err(TokenError::of(kind)),
                },
            }
        }
        Err(TokenError::Forged)
    }
}

impl Grant {
    /// The part of what is asked for that the token lets be heard.
    ///
    /// # Errors
    /// When both together are too much for a registration.
    pub(super) fn admit(&self, asked: Registration) -> Result<Admitted, RegistrationError> {
        let registration = self.may.narrowed(&asked, &self.tokens.rule)?;
        Ok(Admitted {
            asked: (registration != asked).then_some(asked),
            registration,
            until: self.until,
        })
    }

    /// What another token of the same client grants.
    pub(super) fn renewed(&self, token: &str) -> Result<Grant, TokenError> {
        self.tokens.check(token)
    }
}

/// Signs a token with the newest secret.
///
/// # Errors
/// When `reg` is no registration.
pub(crate) fn sign(
    secrets: &Secrets,
    reg: &str,
    lifetime: Duration,
) -> Result<String, RegistrationError> {
    hs256::install();
    Registration::from_json(reg, &Rule::Open)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let claims = Claims {
        // It was read as an object.
        reg: RawValue::from_string(reg.to_owned()).unwrap_or_default(),
        exp: (now.unwrap_or_default() + lifetime).as_secs(),
    };
    let key = EncodingKey::from_secret(secrets.all().next().unwrap_or_default());
    // Numbers and JSON have a JSON form, and HS256 signs whatever there is.
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap_or_default())
}

/// Looks at a token's header before jsonwebtoken does. That makes a tree of whatever stands in it,
/// and a deep one would take more stack than a client's thread has: here nothing recurses, and only
/// scalars pass.
fn check_header(token: &str) -> Result<(), TokenError> {
    let (header, _) = token.split_once('.').ok_or(TokenError::NoJwt)?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(header);
    let header = String::from_utf8(header.map_err(|_| TokenError::NoJwt)?);
    let header = header.map_err(|_| TokenError::NoJwt)?;
    let mut fault = None;
    let found = |name: String, value: Value<'_>| match (&*name, value) {
        // RFC 7515 §4.1.11: whoever does not know what is critical must refuse it.
        ("crit", _) => fault = Some(TokenError::Critical),
        (_, Value::Array(_) | Value::Object(_)) => fault = Some(TokenError::NoJwt),
        ("typ", Value::Text(typ)) if typ.eq_ignore_ascii_case("JWT") => {}
        ("typ", _) => fault = Some(TokenError::Type),
        _ => {}
    };
    fields::read(&header, |name| Some(name.to_owned()), found).map_err(|_| TokenError::NoJwt)?;
    fault.map_or(Ok(()), Err)
}

fn presented(head: &Head) -> Option<String> {
    let (_, query) = head.path_and_query();
    let in_url = parameters(query)
        .filter(|parameter| parameter.key().is_ok_and(|key| key.name == "token"))
        .map(|parameter| parameter.value().unwrap_or_default().trim().to_owned());
    let in_header = head.all("authorization").filter_map(|credentials| {
        let (scheme, token) = credentials.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| token.trim().to_owned())
    });
    in_url.chain(in_header).find(|token| !token.is_empty())
}

/// Why a token grants nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// There is none.
    Missing,
    /// No JWT, or not signed with HS256.
    NoJwt,
    /// It says that it is something else than a JWT.
    Type,
    /// It asks for what nobody here knows.
    Critical,
    /// Signed with another secret, or changed since.
    Forged,
    /// A claim is missing or of another type.
    Claims,
    /// Its end has passed.
    Expired,
    /// Its beginning is still to come.
    Early,
    /// `reg`, or what it leaves of what was asked for, is no registration.
    Registration(RegistrationError),
}

impl TokenError {
    fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            ErrorKind::ImmatureSignature => TokenError::Early,
            // The header has been read before.
            ErrorKind::Json(_)
            | ErrorKind::Utf8(_)
            | ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_) => TokenError::Claims,
            _ => TokenError::NoJwt,
        }
    }

    /// With a capital and a full stop.
    fn sentence(&self) -> String {
        let sentence = self.to_string();
        let mut letters = sentence.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).chain(['.']).collect()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Missing => f.write_str(
                "a token is needed, as ?token= in the URL, or as \"Authorization: Bearer\"",
            ),
            TokenError::NoJwt => f.write_str("the token is no JWT that is signed with HS256"),
            TokenError::Type => f.write_str("the token's typ is another than JWT"),
            TokenError::Critical => {
                f.write_str("the token has a crit header, which asks for what is not known here")
            }
            TokenError::Forged => {
                f.write_str("the token's signature is wrong: it was made with another secret")
            }
            TokenError::Claims => f.write_str(
                "the token's claims are not exp, its end in seconds since 1970, and reg, an object",
            ),
            TokenError::Expired => f.write_str("the token has expired"),
            TokenError::Early => f.write_str("the token is not valid yet"),
            TokenError::Registration(error) => {
                write!(f, "the token's reg registers nothing: {error}")
            }
        }
    }
}

impl std::error::Error for TokenError {}
