//! The dashboard: what is online, what is pushed and what is lost, in a page.
//!
//! The files are part of the binary, and have no more rights than anybody else who may look inside:
//! the page asks for what the other paths tell.

use super::http::not_allowed;
use crate::http::resource::{HTML, Resource, SCRIPT, STYLE};
use crate::http::{Answer, Head};
use crate::web::shared;

/// The files.
#[derive(Debug)]
pub(crate) struct Dashboard(Vec<Resource>);

impl Dashboard {
    pub(crate) fn new() -> Dashboard {
        let script = |path, content: &'static str| Resource::new(path, SCRIPT, content);
        let own = [
            Resource::new("/", HTML, include_str!("index.html")),
            Resource::new("/dashboard.css", STYLE, include_str!("dashboard.css")),
            script("/dashboard.js", include_str!("dashboard.js")),
            script("/server.js", include_str!("server.js")),
            script("/charts.js", include_str!("charts.js")),
            script("/clients.js", include_str!("clients.js")),
            script("/messages.js", include_str!("messages.js")),
            script("/explain.js", include_str!("explain.js")),
            script("/words.js", include_str!("words.js")),
        ];
        Dashboard(own.into_iter().chain(shared::resources()).collect())
    }

    /// The answer, if one of the files has this path.
    pub(super) fn answer(&self, path: &str, head: &Head) -> Option<Answer> {
        let resource = self.0.iter().find(|resource| resource.path == path)?;
        Some(match (&*head.method, path) {
            ("GET" | "HEAD", _) => resource.answer(head),
            // Documents go there, too.
            (_, "/") => not_allowed("GET, HEAD, POST"),
            _ => not_allowed("GET, HEAD"),
        })
    }
}
