//! A file that is part of the binary and has a path of its own, with its entity tag: the same for
//! the live page and for the dashboard.

use std::borrow::Cow;

use super::{Answer, Head};

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const STYLE: &str = "text/css; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(crate) const IMAGE: &str = "image/svg+xml";

/// What a page of ours may do: load its own files and connect to its own host ('self' is that
/// host's WebSocket as well, CSP Level 3). Messages come from anywhere, so text that becomes markup
/// is refused by the browser itself, where it can.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// See the module.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) content: Cow<'static, str>,
    /// What it may do, if it is a page.
    policy: Cow<'static, str>,
    /// Of the content, for the entity tag.
    hash: u64,
}

impl Resource {
    pub(crate) fn new(
        path: &'static str,
        content_type: &'static str,
        content: impl Into<Cow<'static, str>>,
    ) -> Self {
        let content = content.into();
        Resource {
            path,
            content_type,
            policy: POLICY.into(),
            hash: fnv1a(content.as_bytes()),
            content,
        }
    }

    /// The same page, which may show images of this source (CSP), too.
    pub(crate) fn with_images_of(mut self, source: &str) -> Self {
        let images = "img-src 'self'";
        self.policy = POLICY.replace(images, &format!("{images} {source}")).into();
        self
    }

    /// A strong one: it changes with any byte of the content.
    pub(crate) fn entity_tag(&self) -> String {
        format!("\"{:016x}\"", self.hash)
    }

    /// The file, or 304 to who has it.
    pub(crate) fn answer(&self, head: &Head) -> Answer {
        let tag = self.entity_tag();
        let mut answer = Answer::file(self.content_type, self.content.clone())
            .header("ETag", &tag)
            // Kept, but asked for each time: after an update nobody runs yesterday's script.
            .header("Cache-Control", "no-cache")
            .header("X-Content-Type-Options", "nosniff")
            .header("Referrer-Policy", "no-referrer");
        if self.content_type == HTML {
            answer = answer.header("Content-Security-Policy", &self.policy);
        }
        match has(head, &tag) {
            true => answer.not_modified(),
            false => answer,
        }
    }
}

/// Whether the client has what has this entity tag (RFC 9110 §13.1.2: compared weakly).
fn has(head: &Head, tag: &str) -> bool {
    head.all("if-none-match")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// FNV-1a, 64 bits: the same in every build and at every start.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
