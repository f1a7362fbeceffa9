//! Problem details (RFC 9457): the only form of an error response.
//!
//! The type of a problem is a name that stays the same over releases; its status and title follow from it. The detail is for
//! people. It never contains an error of the store: that is logged.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// How long to wait before a retry, in seconds.
const RETRY_AFTER_S: &str = "1";

/// A kind of problem: the word that ends its type, and what follows from that. A surface declares the kinds that only it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    word: &'static str,
    title: &'static str,
    status: StatusCode,
    is_temporary: bool,
}

impl Kind {
    /// A parameter is missing, unknown, repeated or invalid.
    pub const BAD_PARAMETER: Kind = Kind::new("bad-parameter", "Invalid parameter", StatusCode::BAD_REQUEST);
    /// The request has no token, or one that is not valid.
    pub const UNAUTHORISED: Kind = Kind::new("unauthorised", "A valid token is required", StatusCode::UNAUTHORIZED);
    /// The role of the token does not permit the request.
    pub const FORBIDDEN: Kind = Kind::new("forbidden", "The role of the token does not permit this", StatusCode::FORBIDDEN);
    /// The resource does not exist.
    pub const NOT_FOUND: Kind = Kind::new("not-found", "Not found", StatusCode::NOT_FOUND);
    /// No route has this path. Unlike [`Kind::NOT_FOUND`], this implies nothing about a request id.
    pub const NO_SUCH_ROUTE: Kind = Kind::new("no-such-route", "No route has this path", StatusCode::NOT_FOUND);
    /// The route exists, but not with this method.
    pub const METHOD_NOT_ALLOWED: Kind =
        Kind::new("method-not-allowed", "The route does not support this method", StatusCode::METHOD_NOT_ALLOWED);
    /// An internal error.
    pub const INTERNAL: Kind = Kind::new("internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR);
    /// A limit on concurrent requests is reached.
    pub const BUSY: Kind = Kind::new("busy", "Too many requests at once", StatusCode::SERVICE_UNAVAILABLE).temporary();
    /// The request took too long.
    pub const TOO_SLOW: Kind = Kind::new("too-slow", "The request took too long", StatusCode::GATEWAY_TIMEOUT).temporary();

    /// A kind with its word (lower case with hyphens, the same over releases), its title, and the status of the response.
    pub const fn new(word: &'static str, title: &'static str, status: StatusCode) -> Kind {
        Kind { word, title, status, is_temporary: false }
    }

    /// Marks the kind as temporary: a retry may succeed, so the response has `Retry-After`.
    #[must_use]
    pub const fn temporary(self) -> Kind {
        Kind { is_temporary: true, ..self }
    }

    /// The word that ends the type.
    pub const fn word(self) -> &'static str {
        self.word
    }

    /// The title.
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// The status of the response.
    pub const fn status(self) -> StatusCode {
        self.status
    }
}

/// A member that the problems of a surface have in addition to those of RFC 9457: an integer, such as a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The name.
    pub name: &'static str,
    /// The description for the OpenAPI document.
    pub description: &'static str,
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub kind: Kind,
    /// What went wrong in this case.
    pub detail: String,
    /// Further members, each name once.
    members: Vec<(&'static str, u64)>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), members: Vec::new() }
    }

    /// Sets a member, replacing one of the same name.
    #[must_use]
    pub fn with(mut self, member: Member, value: u64) -> Problem {
        self.members.retain(|(name, _)| *name != member.name);
        self.members.push((member.name, value));
        self
    }

    /// `what`, such as `campaign`, does not exist.
    pub fn no_such(what: &str) -> Problem {
        Problem::new(Kind::NOT_FOUND, format!("there is no such {what}"))
    }
}

/// A problem as it is sent (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details<'a> {
    /// The kind of problem. The name stays the same over releases.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:scrip:problem:[a-z-]+$")]
    kind: String,
    /// The kind in words.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong in this case.
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
