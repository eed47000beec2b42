//! Visitors that become no clients: what they are answered, and what the log says of them.

use std::borrow::Cow;
use std::fmt::Display;

use log::Level;

use super::stream;
use crate::address::Address;
use crate::admission::Crowded;
use crate::http::cors;
use crate::http::{Answer, Head};
use crate::hub::Refusal;
use crate::logging::{Kind, logged};
use crate::mailbox::Dismissal;
use crate::tally::Tally;
use crate::web::HEALTH;
use crate::words::plural;

/// Letters of a visitor's own text that a line of the log has at most.
const EXCERPT: usize = 100;

/// Instead of a status, for whoever is refused without a word.
const NO_ANSWER: &str = "no answer";

/// What the oldest connection is told that is no client when there are too many.
const OLDEST: &str =
    "Too many connections are no clients, and this was the oldest of them: try again later.";

/// The end of a handshake that leads to no session.
#[derive(Debug)]
pub(crate) struct Failure {
    /// With this the connection is to be closed; nothing where there is nobody to talk to.
    pub(crate) answer: Vec<u8>,
    /// The answer is a WebSocket that is closed at once: the client closes it, too.
    pub(crate) ends_with_close_frame: bool,
    why: String,
    /// The status of a refusal.
    refused: Option<&'static str>,
}

/// What there is to know of a visitor that turns out to have no place.
#[derive(Debug)]
pub(crate) struct Caller {
    request: String,
    readers: Cow<'static, str>,
    is_event_source: bool,
}

impl Failure {
    /// Nobody is there to be told anything.
    pub(super) fn silent(why: impl Display) -> Self {
        Failure {
            answer: Vec::new(),
            ends_with_close_frame: false,
            why: why.to_string(),
            refused: None,
        }
    }

    /// It was told to go.
    pub(super) fn dismissed(why: Dismissal) -> Self {
        match why {
            Dismissal::Crowded => Failure::malformed(&unavailable(OLDEST)),
            why => Failure::silent(format_args!("dismissed: {why:?}")),
        }
    }

    /// It is refused without a word.
    pub(super) fn unanswered(why: &str) -> Self {
        Failure::refused(Vec::new(), NO_ANSWER, format!("{NO_ANSWER}: {why}"))
    }

    /// It got an answer, which is no refusal.
    pub(super) fn served(answer: &Answer, why: &str) -> Self {
        Failure {
            answer: answer.bytes(false),
            ends_with_close_frame: false,
            why: why.to_owned(),
            refused: None,
        }
    }

    /// It did not get what it asked for, but an answer with this status.
    fn refused(answer: Vec<u8>, status: &'static str, why: String) -> Self {
        Failure {
            answer,
            ends_with_close_frame: false,
            why,
            refused: Some(status),
        }
    }

    /// The same over a WebSocket: the last of the answer is a close frame.
    pub(super) fn closed(answer: Vec<u8>, code: &'static str, why: &str) -> Self {
        Failure {
            ends_with_close_frame: true,
            ..Failure::refused(answer, code, format!("{code}: {why}"))
        }
    }

    /// An answer in HTTP to what was no request.
    pub(super) fn malformed(answer: &Answer) -> Self {
        Failure::refused(answer.bytes(false), answer.status(), reason(answer, None))
    }

    /// An answer in HTTP to a request. `readers` say who may read it, if it is about events.
    pub(super) fn of(head: &Head, mut answer: Answer, readers: &str) -> Self {
        if head.path_and_query().0 == cors::EVENTS {
            answer = answer.readers(readers.to_owned());
        }
        let bytes = answer.bytes(head.method == "HEAD");
        let request = request(head);
        let status = answer.status();
        // Browsers and watchers ask for files that are not there.
        let is_idle = status.starts_with("404") && matches!(&*head.method, "GET" | "HEAD");
        // Whoever asks whether messages get through is told.
        let is_told = status.starts_with("503") && head.path_and_query().0 == HEALTH;
        if status.starts_with(['2', '3']) || is_idle || is_told {
            return Failure {
                answer: bytes,
                ends_with_close_frame: false,
                why: format!("{request}: {status}"),
                refused: None,
            };
        }
        Failure::refused(bytes, status, reason(&answer, Some(&request)))
    }

    /// Says it in the log, and counts it if it is a refusal: these are warnings.
    pub(crate) fn tell(&self, client: Address, tally: &Tally) {
        let (why, client) = (&self.why, client.with_proxy());
        match self.refused {
            Some(status) => {
                tally.refused_visitor(status);
                logged!(
                    Level::Warn,
                    Kind::Visitor,
                    "refused visitor {client}: {why}"
                );
            }
            None => logged!(
                Level::Debug,
                Kind::Handshake,
                "no session with {client}: {why}"
            ),
        }
    }
}

impl Caller {
    pub(super) fn new(head: &Head, readers: Cow<'static, str>) -> Self {
        Caller {
            request: request(head),
            readers,
            is_event_source: stream::is_event_source(head),
        }
    }

    /// There is no place.
    pub(crate) fn turn_away(&self, refusal: Refusal) -> Failure {
        let sentence = match refusal {
            Refusal::Full => "As many clients as are allowed are connected: try again later.",
            Refusal::Stopping => "The server stops: try again later.",
            Refusal::NoRoom => "There is no room for more registrations: try again later.",
        };
        self.come_later(sentence)
    }

    /// There are as many connections from its address as there may be.
    pub(super) fn is_one_too_many(&self, crowded: Crowded) -> Failure {
        self.come_later(&sentence(crowded))
    }

    /// Others have its place, as it took too long to become a client.
    pub(crate) fn is_the_oldest(&self) -> Failure {
        self.come_later(OLDEST)
    }

    fn come_later(&self, sentence: &str) -> Failure {
        let answer = unavailable(sentence);
        let (status, why) = (answer.status(), reason(&answer, Some(&self.request)));
        let answer = match self.is_event_source {
            true => stream::come_back(&answer),
            false => answer,
        };
        let bytes = answer.readers(self.readers.clone()).bytes(false);
        Failure::refused(bytes, status, why)
    }
}

impl Failure {
    /// The same for one that has not said what it asks for.
    pub(super) fn one_too_many(crowded: Crowded) -> Self {
        Failure::malformed(&unavailable(&sentence(crowded)))
    }

    /// With a hint for whoever reads the log.
    pub(super) fn hinting(mut self, hint: impl Display) -> Self {
        self.why = format!("{}; {hint}", self.why);
        self
    }
}

fn unavailable(sentence: &str) -> Answer {
    Answer::new("503 Service Unavailable", sentence)
        .header("Retry-After", "5")
        .header("Access-Control-Expose-Headers", "Retry-After")
}

fn sentence(crowded: Crowded) -> String {
    let most = crowded.most;
    let many = plural(most.into());
    format!("{most} connection{many} from one address are as many as are allowed: try again later.")
}

/// A refusal in the words that the visitor gets, and what it had asked for.
fn reason(answer: &Answer, request: Option<&str>) -> String {
    let (status, sentence) = (answer.status(), answer.sentence().trim_end_matches('.'));
    match request {
        Some(request) => format!("{status}: {sentence} ({request})"),
        None => format!("{status}: {sentence}"),
    }
}

/// What was asked for, as the log may show it: a query may hold what is nobody's business.
fn request(head: &Head) -> String {
    let (path, _) = head.path_and_query();
    format!("{} {}", excerpt(&head.method), excerpt(path))
}

/// The beginning of a visitor's own text, with whatever a terminal may take for more than a letter
/// escaped.
pub(super) fn excerpt(text: &str) -> String {
    let mut excerpt = String::new();
    let mut letters = text.chars();
    for letter in letters.by_ref().take(EXCERPT) {
        excerpt.extend(letter.escape_debug());
    }
    if letters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}
