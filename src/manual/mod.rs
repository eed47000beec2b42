//! The manual: what it says, topic by topic.
//!
//! Each topic is a Markdown file beside this one. It is read on the forge, in this documentation,
//! by `udpush manual`, and at `/manual/` on the trusted side. Its examples are run by a test as they
//! stand there.

pub(crate) mod html;

/// A topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    /// By which it is asked for: its file's, without `.md`.
    pub(crate) name: &'static str,
    /// What it tells, in a line.
    pub(crate) about: &'static str,
    /// Markdown.
    pub(crate) text: &'static str,
}

impl Topic {
    /// What people read, without the remarks for the test that runs the examples.
    pub(crate) fn plain(&self) -> String {
        let mut plain = String::with_capacity(self.text.len());
        let mut rest = self.text;
        while let Some((before, comment)) = rest.split_once("<!-- ") {
            plain.push_str(before);
            rest = comment.split_once("-->\n").map_or("", |(_, after)| after);
        }
        plain + rest
    }
}

/// The topic of this name.
pub(crate) fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// Makes a module of each topic, for rustdoc, and the list of them. Of two definitions of a link the
/// first holds: so in rustdoc links go to modules, and elsewhere to files.
macro_rules! topics {
    ($($module:ident $name:literal $file:literal $about:literal)+) => {
        $(
            #[doc = include_str!("rustdoc.md")]
            #[doc = include_str!($file)]
            pub mod $module {}
        )+

        /// All topics, in the order in which one would read them.
        pub(crate) const TOPICS: &[Topic] = &[$(Topic {
            name: $name,
            about: $about,
            text: include_str!($file),
        }),+];
    };
}

topics! {
    readme "readme" "../../README.md" "What it is, the quick start, and what to do if nothing arrives"
    protocol "protocol" "protocol.md" "Pushing by UDP, TCP and HTTP; who hears what; three ways to listen; close codes"
    push_js "push-js" "push-js.md" "push.js, which pages include: connecting again, missing nothing"
    trusted "trusted" "trusted.md" "Asking the server: status, clients, history, what happens; the webhook"
    commands "commands" "commands.md" "udpush send, listen, status, clients and others"
    settings "settings" "settings.md" "Flags, variables, the file; exit statuses"
    log "log" "log.md" "Every line that the log can have"
    limits "limits" "limits.md" "Every bound, and what happens there"
    security "security" "security.md" "What is protected against whom, and what is not"
    operating "operating" "operating.md" "Proxies, watching it, updating, what the system must allow"
    speed "speed" "speed.md" "How fast it is, beside other servers, and how that was measured"
    inside "inside" "inside.md" "How it works inside: threads, queues, the source tree"
    recipe "recipe" "recipe.md" "How it differs from the Swoole recipe"
    changelog "changelog" "changelog.md" "What is new, and what a version number promises"
    scripts "scripts" "../../scripts/README.md" "The scripts for shell and PHP, the tests, measuring"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_for_the_test_are_not_for_people() {
        let topic = Topic {
            name: "a",
            about: "b",
            text: "one\n\n<!-- not run: it\ntakes long -->\n```sh\ntwo\n```\n<!-- three -->\n",
        };
        assert_eq!(topic.plain(), "one\n\n```sh\ntwo\n```\n");
    }

    #[test]
    fn a_topic_fits_into_a_pipe() {
        for topic in TOPICS {
            assert!(topic.text.len() < 60_000, "{}", topic.name);
        }
    }
}
