//! The parameters of a request: read and described by the same lines.
//!
//! The parameters of a route are a type that implements [`FromParameters`]. Its `read` takes each parameter by name, with its
//! bounds. For a request, this returns the values, or a problem that names the parameter; for the OpenAPI document, each call
//! describes the parameter instead and returns nothing. So the document cannot promise what is not accepted. An unknown or
//! repeated parameter is a problem.

use std::str::FromStr;
use std::sync::LazyLock;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use scrip_protocol::{CampaignId, InvalidId, Money, RequestId, Role};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Required};

use crate::caller::{Authority, Token};
use crate::listener::RequestConnection;
use crate::problem::{Kind, Problem};

/// The largest integer that any parameter accepts: that of a signed 64-bit integer, as in databases.
pub const WHOLE_MAX: u64 = i64::MAX as u64;

/// The parameters of a route.
pub trait FromParameters: Sized + Send {
    /// Reads them.
    ///
    /// # Errors
    /// If one is missing or invalid.
    fn read(from: &mut Parameters) -> Result<Self, Problem>;
}

/// What every route of an interface reads in addition to its own parameters.
pub trait FromArrival: Sized + Send {
    /// Reads it.
    ///
    /// # Errors
    /// If a parameter is missing or invalid.
    fn read(from: &mut Parameters, headers: &HeaderMap, connection: &RequestConnection) -> Result<Self, Problem>;
}

/// The parameters of a route, and what all routes of the interface read: an extractor that also describes its parameters.
pub struct Query<T, A> {
    /// The parameters of the route.
    pub parameters: T,
    /// What all routes read.
    pub arrival: A,
}

/// The built-in time zones: the same on every machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The parameters of a request, or their descriptions. Each method takes one parameter, and fails with a problem that names it if
/// its value is invalid.
pub struct Parameters(Source);

enum Source {
    /// The parameters of a request that were not taken yet.
    Sent { path: Vec<(String, String)>, query: Vec<(String, String)> },
    /// The parameters described so far.
    Described(Vec<Parameter>),
}

impl<S: Authority, T: FromParameters, A: FromArrival> FromRequestParts<S> for Query<T, A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Query<T, A>, Problem> {
        match Query::read(parts).await {
            Ok(query) => Ok(query),
            Err(problem) => {
                // A stranger learns only that a token is missing, nothing about the parameters.
                state.authenticate(Token::of(&parts.headers), &Role::ALL).await?;
                Err(problem)
            }
        }
    }
}

impl<T: FromParameters, A: FromArrival> Query<T, A> {
    async fn read(parts: &mut Parts) -> Result<Query<T, A>, Problem> {
        let path = match RawPathParams::from_request_parts(parts, &()).await {
            Ok(named) => named.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            Err(RawPathParamsRejection::MissingPathParams(_)) => Vec::new(),
            Err(_) => return Err(Problem::new(Kind::BAD_PARAMETER, "the path is not UTF-8")),
        };
        let mut from = Parameters(Source::Sent { path, query: pairs(parts.uri.query().unwrap_or_default())? });
        let parameters = T::read(&mut from)?;
        // None if no listener serves it.
        let connection = parts.extensions.get().cloned().unwrap_or_default();
        let arrival = A::read(&mut from, &parts.headers, &connection)?;
        from.end()?;
        Ok(Query { parameters, arrival })
    }
}

impl<T: FromParameters, A: FromArrival> IntoParams for Query<T, A> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Parameters(Source::Described(Vec::new()));
        let none = (HeaderMap::new(), RequestConnection::default());
        let described = T::read(&mut parameters).and_then(|_| A::read(&mut parameters, &none.0, &none.1));
        debug_assert!(described.is_ok(), "a described parameter is refused: {:?}", described.err());
        match parameters.0 {
            Source::Described(described) => described,
            Source::Sent { .. } => Vec::new(),
        }
    }
}

/// The decoded pairs of a query, in order.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Decodes a part of a query.
fn decoded(text: &str) -> Result<String, Problem> {
    let not_utf8 = || Problem::new(Kind::BAD_PARAMETER, "the query is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(not_utf8);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).map_err(|_| not_utf8())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| not_utf8())
}

impl Parameters {
    /// An integer in the path.
    pub fn number_in_path(&mut self, name: &str, max: u64, description: &str) -> Result<u64, Problem> {
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0u64)).maximum(Some(max));
        let text = self.in_path(name, schema, description);
        text.map_or(Ok(0), |text| whole(name, &text, 0, max))
    }

    /// The number of the campaign in the path.
    pub fn campaign(&mut self) -> Result<CampaignId, Problem> {
        let number = self.number_in_path("campaign", u64::from(u32::MAX), "The number of the campaign.")?;
        u32::try_from(number).map(CampaignId).map_err(|_| Problem::no_such("campaign"))
    }

    /// An id in the path. If the text is not a valid id, nothing has that id; the problem explains why it is invalid.
    pub fn name_in_path<T: FromStr<Err = InvalidId>>(&mut self, name: &str, description: &str) -> Result<Option<T>, Problem> {
        self.text_in_path(name, description)?.as_deref().map(named).transpose()
    }

    /// An id in the query, like [`Parameters::name_in_path`].
    pub fn name<T: FromStr<Err = InvalidId>>(&mut self, name: &str, description: &str) -> Result<Option<T>, Problem> {
        self.text(name, description)?.as_deref().map(named).transpose()
    }

    /// The id of a request in the path. A malformed id is a bad parameter, never `not-found`: that would be the final answer
    /// about a request that may have been executed.
    pub fn request_in_path(&mut self, name: &str, description: &str) -> Result<RequestId, Problem> {
        let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned())));
        let Some(text) = self.in_path(name, schema, description) else { return Ok(RequestId(0)) };
        let unreadable =
            |_: InvalidId| Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is not a request id, which is a UUID"));
        text.parse().map_err(unreadable)
    }

    /// A text in the path.
    pub fn text_in_path(&mut self, name: &str, description: &str) -> Result<Option<String>, Problem> {
        let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(TEXT_CHARS_MAX));
        match self.in_path(name, schema, description) {
            Some(text) if text.chars().count() > TEXT_CHARS_MAX => Err(too_long(name, TEXT_CHARS_MAX)),
            text => Ok(text),
        }
    }

    /// An integer in the query, within bounds.
    pub fn number(&mut self, name: &str, min: u64, max: u64, description: &str) -> Result<Option<u64>, Problem> {
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(min)).maximum(Some(max));
        self.in_query(name, schema, description)?.map(|text| whole(name, &text, min, max)).transpose()
    }

    /// The maximum number of rows of a page.
    pub fn limit(&mut self, default: u64, max: u64) -> Result<usize, Problem> {
        let limit = self.number("limit", 1, max, &format!("The maximum number of rows. Default: {default}."))?;
        Ok(usize::try_from(limit.unwrap_or(default)).unwrap_or(usize::MAX))
    }

    /// A text in the query.
    pub fn text(&mut self, name: &str, description: &str) -> Result<Option<String>, Problem> {
        let schema = ObjectBuilder::new().schema_type(Type::String).max_length(Some(TEXT_CHARS_MAX));
        match self.in_query(name, schema, description)? {
            Some(text) if text.chars().count() > TEXT_CHARS_MAX => Err(too_long(name, TEXT_CHARS_MAX)),
            text => Ok(text),
        }
    }

    /// One of several words in the query.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)], description: &str) -> Result<Option<T>, Problem> {
        let enumerated: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(enumerated.clone()));
        let Some(text) = self.in_query(name, schema, description)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meant)) => Ok(Some(*meant)),
            None => Err(Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is not one of: {}", enumerated.join(", ")))),
        }
    }

    /// A boolean in the query.
    pub fn whether(&mut self, name: &str, description: &str) -> Result<Option<bool>, Problem> {
        let schema = ObjectBuilder::new().schema_type(Type::Boolean);
        match self.in_query(name, schema, description)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is neither true nor false"))),
        }
    }

    /// A day in the query.
    pub fn date(&mut self, name: &str, description: &str) -> Result<Option<Date>, Problem> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Date);
        let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(format));
        let Some(text) = self.in_query(name, schema, description)? else { return Ok(None) };
        let no_date = || Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is not a day, such as 2026-02-28"));
        let is_strict = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_strict {
            return Err(no_date());
        }
        text.parse().map(Some).map_err(|_| no_date())
    }

    /// The name of a time zone in the query; UTC by default.
    pub fn zone(&mut self) -> Result<TimeZone, Problem> {
        let described: Vec<String> = match self.0 {
            Source::Sent { .. } => Vec::new(),
            Source::Described(_) => ZONES.available().map(|zone| zone.to_string()).collect(),
        };
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(described));
        let Some(name) = self.in_query("zone", schema, "The time zone in which days begin and end. Default: UTC.")? else {
            return Ok(TimeZone::UTC);
        };
        // The database ignores letter case; one spelling is enough here.
        match ZONES.get(&name) {
            Ok(zone) if zone.iana_name() == Some(&name) => Ok(zone),
            Ok(_) | Err(_) => {
                Err(Problem::new(Kind::BAD_PARAMETER, "`zone` is not the name of a time zone, such as Europe/Berlin"))
            }
        }
    }

    /// A non-negative amount in the query, in minor units.
    pub fn amount(&mut self, name: &str, description: &str) -> Result<Option<i64>, Problem> {
        let pattern = r"^[0-9]{1,15}(\.[0-9]{1,2})?$";
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let Some(text) = self.in_query(name, schema, description)? else { return Ok(None) };
        let digits = text.split_once('.').map_or(text.as_str(), |(major, _)| major).len();
        match text.parse::<Money>() {
            Ok(amount) if amount.0 >= 0 && digits <= 15 && !text.starts_with('-') => Ok(Some(amount.0)),
            Ok(_) | Err(_) => Err(Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is not an amount, such as 12.50"))),
        }
    }

    /// A required text in the query.
    pub fn text_needed(&mut self, name: &str, description: &str) -> Result<String, Problem> {
        let text = self.text(name, description)?;
        if let Source::Described(described) = &mut self.0
            && let Some(parameter) = described.last_mut()
        {
            parameter.required = Required::True;
            return Ok(String::new());
        }
        text.ok_or_else(|| Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is missing")))
    }

    fn in_path(&mut self, name: &str, schema: ObjectBuilder, description: &str) -> Option<String> {
        match &mut self.0 {
            Source::Sent { path, .. } => path.iter().position(|(of, _)| of == name).map(|at| path.swap_remove(at).1),
            Source::Described(described) => {
                described.push(parameter(name, ParameterIn::Path, schema, description));
                None
            }
        }
    }

    fn in_query(&mut self, name: &str, schema: ObjectBuilder, description: &str) -> Result<Option<String>, Problem> {
        match &mut self.0 {
            Source::Sent { query, .. } => {
                let Some(at) = query.iter().position(|(of, _)| of == name) else { return Ok(None) };
                let (_, value) = query.remove(at);
                if query.iter().any(|(of, _)| of == name) {
                    return Err(Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is repeated")));
                }
                Ok(Some(value))
            }
            Source::Described(described) => {
                described.push(parameter(name, ParameterIn::Query, schema, description));
                Ok(None)
            }
        }
    }

    /// A parameter that was not taken is unknown.
    fn end(self) -> Result<(), Problem> {
        match self.0 {
            Source::Described(_) => Ok(()),
            Source::Sent { query, .. } => match query.first() {
                None => Ok(()),
                Some((name, _)) => {
                    let name: String = name.chars().take(40).collect();
                    Err(Problem::new(Kind::BAD_PARAMETER, format!("unknown parameter {name:?}")))
                }
            },
        }
    }
}

/// The maximum length of a text parameter, in characters.
const TEXT_CHARS_MAX: usize = 200;

fn too_long(name: &str, max: usize) -> Problem {
    Problem::new(Kind::BAD_PARAMETER, format!("`{name}` has more than {max} characters"))
}

fn parameter(name: &str, place: ParameterIn, schema: ObjectBuilder, description: &str) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema.build()))
        .build()
}

/// Parses an id.
fn named<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|why: InvalidId| Problem::new(Kind::NOT_FOUND, why.to_string()))
}

fn whole(name: &str, text: &str, min: u64, max: u64) -> Result<u64, Problem> {
    let of = || Problem::new(Kind::BAD_PARAMETER, format!("`{name}` is not an integer from {min} to {max}"));
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(of());
    }
    text.parse().ok().filter(|number| (min..=max).contains(number)).ok_or_else(of)
}
