//! Why a rival could not be run.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a rival could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RivalError {
    /// The clients of the rivals are not compiled.
    #[error("this program contains no clients of rivals: cargo build --profile dist --features rivals")]
    NotBuilt,
    /// One of its programs is not installed.
    #[error("{program} is not installed, or not in {looked}: apt-get install {package}")]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// Where it was searched.
        looked: String,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// Its folder could not be created.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// One of its programs could not be run.
    #[error("{program} cannot be run in {} by the owner of that folder: {source}", folder.display())]
    Run {
        /// The program.
        program: &'static str,
        /// The folder in which it should run.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// One of its programs ended unexpectedly.
    #[error("{program} ended ({status}): {output}")]
    Ended {
        /// The program.
        program: &'static str,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its output.
        output: String,
    },
    /// It accepted no connection in time.
    #[error("{program} accepted no connection within {waited:?}: {output}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// How long the load test waited.
        waited: Duration,
        /// The end of its output.
        output: String,
    },
    /// Answers are missing.
    #[error("the rival has not answered all requests within {waited:?}")]
    Silent {
        /// How long the load test waited, from the first request on.
        waited: Duration,
    },
    /// PostgreSQL does not run as root, and there is no other user to run it.
    #[error("PostgreSQL does not run as root, and there is no user \"postgres\" here: apt-get install postgresql")]
    NoUser,
    /// A connection failed.
    #[error("the rival's connection: {0}")]
    Connection(#[from] io::Error),
    /// Redis violated its protocol.
    #[cfg(feature = "rivals")]
    #[error("the rival's connection: {0}")]
    Protocol(#[from] redis_protocol::error::RedisProtocolError),
    /// Redis refused a command, or returned an unexpected reply.
    #[error("Redis answered: {0}")]
    Reply(String),
    /// PostgreSQL refused, or its connection failed.
    #[cfg(feature = "rivals")]
    #[error("PostgreSQL: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    /// PostgreSQL returned another number of rows than there were requests.
    #[error("PostgreSQL answered {found} of {expected} requests of a call")]
    Rows {
        /// How many requests the call had.
        expected: usize,
        /// How many rows it returned.
        found: usize,
    },
    /// An unknown answer.
    #[error("the rival returned an unknown answer: {0}")]
    Meaningless(i64),
}
