//! Files that both pages use, the live page and the dashboard, each with a copy under its own port:
//! neither may load anything from the other.

use crate::http::resource::{IMAGE, Resource, SCRIPT, STYLE};

/// The files.
pub(crate) fn resources() -> [Resource; 7] {
    let script = |path, content: &'static str| Resource::new(path, SCRIPT, content);
    [
        Resource::new("/icon.svg", IMAGE, include_str!("icon.svg")),
        Resource::new("/base.css", STYLE, include_str!("base.css")),
        script("/language.js", include_str!("language.js")),
        script("/text.js", include_str!("text.js")),
        script("/json.js", include_str!("json.js")),
        script("/feed.js", include_str!("feed.js")),
        script("/search.js", include_str!("search.js")),
    ]
}
