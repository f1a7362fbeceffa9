//! Problem details (RFC 9457): the one form in which anything but an answer leaves.
//!
//! The type of a problem is a name that stays the same over releases; its status and title follow from it. What it says in detail is for
//! people, and never holds what SQLite said: that is logged.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use scrip_protocol::Position;
use serde::Serialize;
use utoipa::ToSchema;

use crate::read_model::AsOf;

/// How long to wait before another try, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parameter is missing, unknown, given twice, or is no such value.
    BadParameter,
    /// No token was sent, or not one that is in force.
    Unauthorised,
    /// The role of the token does not permit it.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// No route has this path. Unlike [`Kind::NotFound`], this says nothing about a request.
    NoSuchRoute,
    /// There may be such a thing, before the history in here begins or after its newest record.
    NotKnownHere,
    /// It is there, and is not asked for by this method.
    MethodNotAllowed,
    /// Something went wrong here.
    Internal,
    /// The read model is empty: nothing has come from the journal yet.
    Empty,
    /// The read model has not come as far as was waited for.
    Behind,
    /// Too much is asked at once.
    Busy,
    /// It took too long.
    TooSlow,
    /// There is no room on disk to make it.
    NoRoom,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 13] = [
        Kind::BadParameter,
        Kind::Unauthorised,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::NoSuchRoute,
        Kind::NotKnownHere,
        Kind::MethodNotAllowed,
        Kind::Internal,
        Kind::Empty,
        Kind::Behind,
        Kind::Busy,
        Kind::TooSlow,
        Kind::NoRoom,
    ];

    /// Its word, which ends its type.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::BadParameter => "bad-parameter",
            Kind::Unauthorised => "unauthorised",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not-found",
            Kind::NoSuchRoute => "no-such-route",
            Kind::NotKnownHere => "not-known-here",
            Kind::MethodNotAllowed => "method-not-allowed",
            Kind::Internal => "internal",
            Kind::Empty => "empty",
            Kind::Behind => "behind",
            Kind::Busy => "busy",
            Kind::TooSlow => "too-slow",
            Kind::NoRoom => "no-room",
        }
    }

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Kind::BadParameter => "A parameter is not as it must be",
            Kind::Unauthorised => "A token that is in force is needed",
            Kind::Forbidden => "The role of the token does not permit this",
            Kind::NotFound => "There is no such thing",
            Kind::NoSuchRoute => "No route has this path",
            Kind::NotKnownHere => "The history in here does not say whether there is such a thing",
            Kind::MethodNotAllowed => "This is not asked for by this method",
            Kind::Internal => "Something went wrong here",
            Kind::Empty => "Nothing has come from the journal yet",
            Kind::Behind => "The read model has not come that far",
            Kind::Busy => "Too much is asked at once",
            Kind::TooSlow => "It took too long",
            Kind::NoRoom => "There is no room on disk to make it",
        }
    }

    /// The status that it is answered with.
    pub const fn status(self) -> StatusCode {
        match self {
            Kind::BadParameter => StatusCode::BAD_REQUEST,
            Kind::Unauthorised => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound | Kind::NoSuchRoute => StatusCode::NOT_FOUND,
            Kind::NotKnownHere => StatusCode::CONFLICT,
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::Empty | Kind::Behind | Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Kind::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Kind::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// What it is here.
    pub detail: String,
    /// The position of the read model, where it is known.
    pub position: Option<Position>,
    /// After which position its history begins, where that is known.
    pub history_after: Option<Position>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), position: None, history_after: None }
    }

    /// The same, with the position of the read model.
    pub fn at(self, position: Position) -> Problem {
        Problem { position: Some(position), ..self }
    }

    /// The same, with what the view is as of.
    pub fn as_of(self, as_of: AsOf) -> Problem {
        Problem { position: Some(as_of.position), history_after: Some(as_of.history_after), ..self }
    }

    /// There is nothing of this name, as in `campaign`.
    pub fn no_such(what: &str) -> Problem {
        Problem::new(Kind::NotFound, format!("there is no such {what}"))
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
    /// The position of the read model, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    position: Option<u64>,
    /// History in the read model begins after this position, where it is known; 0 where all of it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    history_after: Option<u64>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Problem { kind, detail, position, history_after } = &self;
        let details = Details {
            kind: format!("urn:scrip:problem:{}", kind.word()),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail,
            position: position.map(|position| position.0),
            history_after: history_after.map(|position| position.0),
        };
        let body = serde_json::to_vec(&details).expect("texts and numbers are JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match kind {
            Kind::Unauthorised => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scrip\""));
            }
            Kind::Empty | Kind::Behind | Kind::Busy | Kind::TooSlow | Kind::NoRoom => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            Kind::BadParameter
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::NoSuchRoute
            | Kind::NotKnownHere
            | Kind::MethodNotAllowed
            | Kind::Internal => {}
        }
        response
    }
}
