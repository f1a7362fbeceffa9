//! Rivals: what else codes could be kept in, installed on this machine and given the same work as an engine.
//!
//! For each request, in one atomic and durable step: is its id answered already, is there such a code, has it a use left; then the
//! use, the client's bonus, and a row under the request's id. Rivals do less than an engine where the two differ: they remember
//! request ids for ever instead of for a window, compare no bodies, and have one campaign without clubs or dates.
//!
//! - [`Rival`]: starts one in a folder of its own, imports codes, runs offers, keeps books, and ends it.
//! - [`books`]: the rows recounted, and compared with what callers were answered.
//!
//! A rival listens on a socket in a private folder, is ended when it is dropped, and ends by itself where the thread that started it
//! is no more. The times are those of a closed loop.

pub mod books;
mod postgres;
mod process;
mod redis;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use scrip_protocol::RequestId;

use crate::plan::Planned;
use books::Books;

/// How long after the last request was sent its answer may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a rival's campaign is good for.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How often each code may be used.
    pub cap: u32,
    /// The bonus, in minor units.
    pub amount: i64,
}

/// Which rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Redis, with a Lua script for each request and an append-only file that is flushed before it answers.
    Redis,
    /// PostgreSQL, with a function for each request and a transaction for each call.
    Postgres,
}

/// How requests are offered: a closed loop over so many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// How many connections there are.
    pub connections: usize,
    /// How many requests each of them has in flight, or calls where a call has more than one request.
    pub window: usize,
    /// How many requests stand in one call and its one transaction. More than one is for PostgreSQL only.
    pub per_call: usize,
    /// After how long no more requests are sent.
    pub time_max: Duration,
}

/// What a rival answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Redeemed, with the client's balance after it, in minor units.
    Redeemed(i64),
    /// The code has no use left.
    CodeExhausted,
    /// There is no such code.
    UnknownCode,
}

impl Answer {
    /// Of the number that a rival's script or function returns.
    fn of(number: i64) -> Result<Answer, RivalError> {
        match number {
            0.. => Ok(Answer::Redeemed(number)),
            -1 => Ok(Answer::CodeExhausted),
            -2 => Ok(Answer::UnknownCode),
            _ => Err(RivalError::Meaningless(number)),
        }
    }

    /// Its word, the same as that of an engine's outcome.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Redeemed(_) => "redeemed",
            Answer::CodeExhausted => "code_exhausted",
            Answer::UnknownCode => "unknown_code",
        }
    }
}

/// What one connection was answered: ids, the numbers returned, and the times from sending to answer, in nanoseconds.
struct Answered {
    answers: Vec<(RequestId, i64)>,
    latency: Histogram<u64>,
}

impl Answered {
    fn none() -> Answered {
        let latency = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order");
        Answered { answers: Vec::new(), latency }
    }

    fn note(&mut self, request: RequestId, answer: i64, took: Duration) {
        self.answers.push((request, answer));
        self.latency.saturating_record(took.as_nanos() as u64);
    }
}

/// What an offer was answered.
pub struct Answers {
    /// The answer of each request id.
    pub outcomes: HashMap<RequestId, Answer>,
    /// How many further answers under the same ids were the very same.
    pub repeats_alike: usize,
    /// How many were not: there must be none.
    pub repeats_unlike: usize,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Times from sending to answer, in nanoseconds, of a closed loop.
    pub latency: Histogram<u64>,
}

impl Answers {
    /// Puts together what the connections were answered.
    fn of(lists: Vec<Answered>, elapsed: Duration) -> Result<Answers, RivalError> {
        let latency = Answered::none().latency;
        let mut all = Answers { outcomes: HashMap::new(), repeats_alike: 0, repeats_unlike: 0, elapsed, latency };
        for list in lists {
            all.latency.add(&list.latency).expect("all histograms have the same bounds");
            for (request, number) in list.answers {
                let answer = Answer::of(number)?;
                match all.outcomes.get(&request) {
                    Some(before) if *before == answer => all.repeats_alike += 1,
                    Some(_) => all.repeats_unlike += 1,
                    None => drop(all.outcomes.insert(request, answer)),
                }
            }
        }
        Ok(all)
    }

    /// How many answers there were, repeats included.
    pub fn answered(&self) -> usize {
        self.outcomes.len() + self.repeats_alike + self.repeats_unlike
    }

    /// How many request ids were answered so.
    pub fn with_word(&self, word: &str) -> usize {
        self.outcomes.values().filter(|answer| answer.word() == word).count()
    }
}

/// Why a rival could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RivalError {
    /// A program of it is not here.
    #[error("{program} is not installed, or not in {looked}: apt-get install {package}")]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// Where it was looked for.
        looked: String,
        /// The package of Debian that has it.
        package: &'static str,
    },
    /// Its folder could not be made.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of it could not be run.
    #[error("{program} cannot be run in {}, by the user whose folder that is: {source}", folder.display())]
    Run {
        /// The program.
        program: &'static str,
        /// Where it was to run.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of it ended when it should not have.
    #[error("{program} ended ({status}): {said}")]
    Ended {
        /// The program.
        program: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of what it wrote.
        said: String,
    },
    /// It did not take a connection in time.
    #[error("{program} took no connection within {waited:?}: {said}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// How long was waited.
        waited: Duration,
        /// The end of what it wrote.
        said: String,
    },
    /// Answers did not come.
    #[error("the rival has not answered all requests within {waited:?}")]
    Silent {
        /// How long was waited, from the first request on.
        waited: Duration,
    },
    /// PostgreSQL does not run as root, and there is no other user for it.
    #[error("PostgreSQL does not run as root, and there is no user \"postgres\" here: apt-get install postgresql")]
    NoUser,
    /// A connection failed.
    #[error("the rival's connection: {0}")]
    Connection(#[from] io::Error),
    /// Redis said what is not of its protocol.
    #[error("the rival's connection: {0}")]
    Protocol(#[from] redis_protocol::error::RedisProtocolError),
    /// Redis refused a command, or answered something else than it should.
    #[error("Redis answered: {0}")]
    Reply(String),
    /// PostgreSQL refused, or its connection failed.
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    /// PostgreSQL answered another number of requests than it was asked.
    #[error("PostgreSQL answered {found} of {expected} requests of a call")]
    Rows {
        /// How many requests the call had.
        expected: usize,
        /// How many rows came.
        found: usize,
    },
    /// An answer without a meaning.
    #[error("the rival answered {0}, which has no meaning")]
    Meaningless(i64),
}

/// A rival that runs.
pub enum Rival {
    /// Redis.
    Redis(redis::Redis),
    /// PostgreSQL.
    Postgres(postgres::Postgres),
}

impl Rival {
    /// Starts one on an empty temporary folder in `dir`. Its programs are looked for in `programs`, or else where systems have them.
    ///
    /// To be awaited by the main thread, or another that lasts: where the thread that started it is no more, the rival ends.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub async fn start(kind: Kind, dir: &Path, programs: Option<&Path>, terms: Terms) -> Result<Rival, RivalError> {
        Ok(match kind {
            Kind::Redis => Rival::Redis(redis::Redis::start(dir, programs, terms).await?),
            Kind::Postgres => Rival::Postgres(postgres::Postgres::start(dir, programs, terms).await?),
        })
    }

    /// What its program says of its version.
    pub fn version(&self) -> &str {
        match self {
            Rival::Redis(redis) => redis.version(),
            Rival::Postgres(postgres) => postgres.version(),
        }
    }

    /// The settings that it was started with.
    pub fn settings(&self) -> &'static [&'static str] {
        match self {
            Rival::Redis(_) => redis::SETTINGS,
            Rival::Postgres(_) => postgres::SETTINGS,
        }
    }

    /// Imports codes that it has not yet.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn import(&mut self, codes: &[String]) -> Result<(), RivalError> {
        match self {
            Rival::Redis(redis) => redis.import(codes).await,
            Rival::Postgres(postgres) => postgres.import(codes).await,
        }
    }

    /// Sends each list over a connection of its own. There are as many lists as the offer has connections.
    ///
    /// # Errors
    /// When it refuses a call, a connection is lost, or an answer does not come.
    pub async fn run(&self, offer: Offer, lists: Vec<Vec<Planned>>) -> Result<Answers, RivalError> {
        let answers = async {
            match self {
                Rival::Redis(redis) => redis.run(offer, lists).await,
                Rival::Postgres(postgres) => postgres.run(offer, lists).await,
            }
        };
        let waited = offer.time_max + PATIENCE;
        tokio::time::timeout(waited, answers).await.unwrap_or(Err(RivalError::Silent { waited }))
    }

    /// Recounts its rows.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn books(&mut self) -> Result<Books, RivalError> {
        match self {
            Rival::Redis(redis) => redis.books().await,
            Rival::Postgres(postgres) => postgres.books().await,
        }
    }
}

/// Waits for all connections, and puts their answers together.
async fn gather(mut tasks: tokio::task::JoinSet<Result<Answered, RivalError>>, started: Instant) -> Result<Answers, RivalError> {
    let mut lists = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        lists.push(ended.expect("a sender does not panic")?);
    }
    let elapsed = started.elapsed();
    Answers::of(lists, elapsed)
}
