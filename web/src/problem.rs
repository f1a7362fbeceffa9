//! Problem details (RFC 9457): the one form in which anything but an answer leaves.
//!
//! The type of a problem is a name that stays the same over releases; its status and title follow from it. What it says in detail is for
//! people, and never holds what a store said: that is logged.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// How long to wait before another try, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What kind of problem it is: a word, which ends its type, and what follows from it. A surface declares the kinds that only it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    word: &'static str,
    title: &'static str,
    status: StatusCode,
    is_temporary: bool,
}

impl Kind {
    /// A parameter is missing, unknown, given twice, or is no such value.
    pub const BAD_PARAMETER: Kind = Kind::new("bad-parameter", "A parameter is not as it must be", StatusCode::BAD_REQUEST);
    /// No token was sent, or not one that is in force.
    pub const UNAUTHORISED: Kind = Kind::new("unauthorised", "A token that is in force is needed", StatusCode::UNAUTHORIZED);
    /// The role of the token does not permit it.
    pub const FORBIDDEN: Kind = Kind::new("forbidden", "The role of the token does not permit this", StatusCode::FORBIDDEN);
    /// There is no such thing.
    pub const NOT_FOUND: Kind = Kind::new("not-found", "There is no such thing", StatusCode::NOT_FOUND);
    /// No route has this path. Unlike [`Kind::NOT_FOUND`], this says nothing about a request.
    pub const NO_SUCH_ROUTE: Kind = Kind::new("no-such-route", "No route has this path", StatusCode::NOT_FOUND);
    /// It is there, and is not asked for by this method.
    pub const METHOD_NOT_ALLOWED: Kind =
        Kind::new("method-not-allowed", "This is not asked for by this method", StatusCode::METHOD_NOT_ALLOWED);
    /// Something went wrong here.
    pub const INTERNAL: Kind = Kind::new("internal", "Something went wrong here", StatusCode::INTERNAL_SERVER_ERROR);
    /// Too much is asked at once.
    pub const BUSY: Kind = Kind::new("busy", "Too much is asked at once", StatusCode::SERVICE_UNAVAILABLE).temporary();
    /// It took too long.
    pub const TOO_SLOW: Kind = Kind::new("too-slow", "It took too long", StatusCode::GATEWAY_TIMEOUT).temporary();

    /// A kind by its word, which stays the same over releases and is lower case with hyphens, its title, and the status of the response.
    pub const fn new(word: &'static str, title: &'static str, status: StatusCode) -> Kind {
        Kind { word, title, status, is_temporary: false }
    }

    /// The same, where another try may succeed: the response has `Retry-After`.
    #[must_use]
    pub const fn temporary(self) -> Kind {
        Kind { is_temporary: true, ..self }
    }

    /// Its word, which ends its type.
    pub const fn word(self) -> &'static str {
        self.word
    }

    /// Its title.
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// The status that it is answered with.
    pub const fn status(self) -> StatusCode {
        self.status
    }
}

/// A member that problems of a surface have beside those of RFC 9457: a whole number, such as a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// What it is, for the OpenAPI document.
    pub description: &'static str,
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// What it is here.
    pub detail: String,
    /// What it has beside that, each name once.
    members: Vec<(&'static str, u64)>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), members: Vec::new() }
    }

    /// The same with a member, in place of one of that name.
    #[must_use]
    pub fn with(mut self, member: Member, value: u64) -> Problem {
        self.members.retain(|(name, _)| *name != member.name);
        self.members.push((member.name, value));
        self
    }

    /// There is nothing of this name, as in `campaign`.
    pub fn no_such(what: &str) -> Problem {
        Problem::new(Kind::NOT_FOUND, format!("there is no such {what}"))
    }
}

/// What leaves of a problem (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details<'a> {
    /// What kind of problem it is: a name that stays the same.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:scrip:problem:[a-z-]+$")]
    kind: String,
    /// The same in words.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What it is here.
    detail: &'a str,
    /// The members of a surface: [`Interface`](crate::interface::Interface) describes them.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Members<'a>,
}

#[derive(Debug)]
struct Members<'a>(&'a [(&'static str, u64)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { kind, detail, members } = &self;
        let details = Details {
            kind: format!("urn:scrip:problem:{}", kind.word()),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail,
            members: Members(members),
        };
        let body = serde_json::to_vec(&details).expect("texts and numbers are JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if *kind == Kind::UNAUTHORISED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scrip\""));
        }
        if kind.is_temporary {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response.extensions_mut().insert(*kind);
        response
    }
}
