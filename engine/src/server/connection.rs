//! One connection: its hello, then its lanes.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quinn::{Connection, Incoming, RecvStream, SendStream, VarInt};
use rustls::pki_types::{CertificateDer, UnixTime};
use scrip_protocol::codes::RecordedForm;
use scrip_protocol::frame::{FrameBuffer, HELLO, HELLO_BYTES_MAX, push_value};
use scrip_protocol::hello::{CloseCode, Hello, Welcome};
use scrip_protocol::{unix_time_ms, wire};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};

use super::closing::Closing;
use super::door::{Unwelcome, Visit};
use super::{Shared, lane};
use crate::counters::One;
use crate::credentials::{secret_of_certificate, secret_of_token};
use scrip_core::index::Holder;

/// Maximum length of a caller's program name in the log, in bytes.
const PROGRAM_BYTES_MAX: usize = 100;

/// How often a connection is checked for received data. Keep-alives count: a caller that only waits is not silent.
const HEARD_EVERY: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve(incoming: Incoming, mut visit: Visit, shared: Arc<Shared>) {
    let from = incoming.remote_address();
    let _one = One::of(&shared.counters.server.connections);
    // The handshake counts: a caller that keeps resending its packets gets no more time.
    let until = Instant::now() + shared.limits.hello;
    let handshake = tokio::select! {
        handshake = timeout_at(until, incoming.into_future()) => handshake,
        // Dropping a handshake ends it.
        () = visit.turned_away() => return tracing::debug!(%from, "turned away during its handshake"),
    };
    let connection = match handshake {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%from, %error, "no connection"),
        Err(_) => return tracing::debug!(%from, "the handshake took too long"),
    };
    let mut is_welcomed = false;
    match serve_lanes(&connection, &shared, &mut visit, until, &mut is_welcomed).await {
        None => tracing::debug!(%from, "connection ended"),
        Some(closing) => {
            // Log lines about unknown callers are limited: each costs them a connection, and us disk space.
            let suppressed = if is_welcomed { Some(0) } else { shared.strangers.admit(std::time::Instant::now()) };
            match suppressed {
                Some(suppressed) if closing.code != CloseCode::ShuttingDown => {
                    tracing::warn!(%from, code = closing.code.word(), reason = closing.reason, suppressed, "connection closed");
                }
                Some(_) | None => {
                    tracing::debug!(%from, code = closing.code.word(), reason = closing.reason, "connection closed")
                }
            }
            closing.close(&connection);
        }
    }
}

/// Returns why to close the connection, or `None` if the caller has closed it.
async fn serve_lanes(
    connection: &Connection,
    shared: &Arc<Shared>,
    visit: &mut Visit,
    until: Instant,
    is_welcomed: &mut bool,
) -> Option<Closing> {
    let mut stopping = shared.stopping.clone();
    let hello = tokio::select! {
        hello = timeout_at(until, say_hello(connection, shared)) => hello,
        () = visit.turned_away() => return Some(no_hello("turned away to make room for other connections")),
        _ = stopping.wait_for(|stopping| *stopping) => return Some(shutting_down()),
    };
    let (caller, welcome, mut first) = match hello {
        Ok(Ok(Some(welcomed))) => welcomed,
        Ok(Ok(None)) => return None,
        Ok(Err(closing)) => return Some(closing),
        Err(_) => return Some(no_hello("no hello arrived in time")),
    };
    let no_room = match visit.welcome(std::time::Instant::now(), caller.credential, caller.role) {
        Ok(()) => None,
        Err(Unwelcome::TurnedAway) => return Some(no_hello("turned away to make room for other connections")),
        Err(Unwelcome::Full) => Some("the connection limit is reached".to_owned()),
        Err(Unwelcome::FullOfCredential(count)) => Some(format!("credential {} has {count} connections", caller.credential)),
    };
    if let Some(reason) = no_room {
        shared.counters.server.connections_refused.fetch_add(1, Ordering::Relaxed);
        return Some(Closing { code: CloseCode::TooManyConnections, reason });
    }
    *is_welcomed = true;
    if timeout_at(until, answer_hello(&mut first.send, &welcome)).await.is_ok_and(|answered| answered.is_err()) {
        return None;
    }
    connection.set_receive_window(VarInt::from_u32(shared.limits.connection_window_bytes));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(shared.limits.lanes_max));
    let share = shared.totals.share_of(caller.credential);
    let mut lanes = JoinSet::new();
    lanes.spawn(lane::serve(first, caller.clone(), share.clone(), shared.clone()));
    let revoked = revoked(&caller, shared.revocations.subscribe());
    tokio::pin!(revoked);
    let mut looks = tokio::time::interval(HEARD_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut received = 0;
    loop {
        tokio::select! {
            // Everything handed over before will be executed; the answers may not leave.
            () = &mut revoked => return Some(closing_revoked(&caller)),
            () = visit.turned_away() => {
                let reason = format!("nothing has arrived for {:?}, and its credential has another connection", shared.limits.silent);
                return Some(Closing { code: CloseCode::Silent, reason });
            }
            _ = looks.tick() => {
                let datagrams = connection.stats().udp_rx.datagrams;
                if std::mem::replace(&mut received, datagrams) != datagrams {
                    visit.hear(std::time::Instant::now());
                }
            }
            opened = connection.accept_bi() => match opened {
                Ok((send, receive)) => {
                    let lane = lane::Lane { connection: connection.clone(), send, receive, frames: FrameBuffer::default() };
                    lanes.spawn(lane::serve(lane, caller.clone(), share.clone(), shared.clone()));
                }
                Err(_) => return None,
            },
            Some(ended) = lanes.join_next() => {
                if let Ok(Err(closing)) = ended {
                    return Some(closing);
                }
            }
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    // Lanes drain by themselves; their errors no longer matter.
    while lanes.join_next().await.is_some() {}
    Some(shutting_down())
}

fn no_hello(reason: &str) -> Closing {
    Closing { code: CloseCode::HelloTimeout, reason: reason.to_owned() }
}

fn shutting_down() -> Closing {
    Closing { code: CloseCode::ShuttingDown, reason: "the engine stops".into() }
}

/// Waits until a caller's credential is revoked. `revocations` was subscribed to before, so that no revocation is missed.
async fn revoked(caller: &Holder, mut revocations: watch::Receiver<u64>) {
    while !caller.is_revoked() {
        if revocations.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn closing_revoked(holder: &Holder) -> Closing {
    Closing { code: CloseCode::Revoked, reason: format!("credential {} was revoked", holder.credential) }
}

/// Reads the hello from the first lane. Returns the caller, and the answer.
async fn say_hello(connection: &Connection, shared: &Shared) -> Result<Option<(Arc<Holder>, Welcome, lane::Lane)>, Closing> {
    let Ok((send, mut receive)) = connection.accept_bi().await else { return Ok(None) };
    let mut frames = FrameBuffer::default();
    let Some(hello) = read_hello(&mut receive, &mut frames).await? else { return Ok(None) };
    let holder = holder_of(&hello, connection, shared)?;
    if holder.is_revoked() {
        return Err(closing_revoked(&holder));
    }
    // Nearly always it is: only a new credential is not durable yet, and a crash would undo the record that admits its holder
    // (Z4).
    let mut durable = shared.durable.clone();
    if durable.wait_for(|durable| *durable >= holder.since).await.is_err() {
        return Err(shutting_down());
    }
    let program: String = hello.program.chars().filter(|c| !c.is_control()).take(PROGRAM_BYTES_MAX).collect();
    tracing::debug!(from = %connection.remote_address(), credential = %holder.credential, role = %holder.role, program, "welcome");
    let welcome = Welcome {
        credential: holder.credential,
        role: holder.role,
        now_ms: unix_time_ms(),
        durable: *shared.durable.borrow(),
        lane_requests_max: shared.limits.lane_requests_max,
        codes: RecordedForm::of(shared.index.form()),
    };
    Ok(Some((holder, welcome, lane::Lane { connection: connection.clone(), send, receive, frames })))
}

/// The holder in a hello: by the token, or if that is empty by the certificate.
fn holder_of(hello: &Hello, connection: &Connection, shared: &Shared) -> Result<Arc<Holder>, Closing> {
    let certificate = match hello.token.is_empty() {
        true => certificate_of(connection, shared)?,
        false => None,
    };
    let (secret, what) = match certificate {
        Some(certificate) => (secret_of_certificate(&certificate), "certificate"),
        None => (secret_of_token(&hello.token), "token"),
    };
    shared.index.holders().of_secret(&secret).ok_or_else(|| {
        let reason = format!("the {what} does not belong to this organisation");
        Closing { code: CloseCode::Unauthenticated, reason }
    })
}

/// The certificate that the caller presented; none if there is none. The handshake checked it; but a resumed connection does not
/// present it again, and it may have expired since.
fn certificate_of(connection: &Connection, shared: &Shared) -> Result<Option<CertificateDer<'static>>, Closing> {
    let shown = connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let Some(chain) = shown else { return Ok(None) };
    shared.callers.check(&chain, UnixTime::now()).map_err(|cause| {
        let reason = format!("the certificate is invalid: {cause}");
        Closing { code: CloseCode::Unauthenticated, reason }
    })?;
    Ok(chain.into_iter().next())
}

async fn read_hello(receive: &mut RecvStream, frames: &mut FrameBuffer) -> Result<Option<Hello>, Closing> {
    let mut piece = [0; HELLO_BYTES_MAX];
    loop {
        if let Some(frame) = frames.next(HELLO_BYTES_MAX)? {
            if frame.kind != HELLO {
                let reason = format!("the first frame has kind {}, and a hello has kind {HELLO}", frame.kind);
                return Err(Closing { code: CloseCode::HelloExpected, reason });
            }
            return Ok(Some(wire::decode("hello", frame.body)?));
        }
        match receive.read(&mut piece).await {
            Ok(Some(length)) => frames.extend(&piece[..length]),
            Ok(None) => {
                frames.end()?;
                return Err(Closing { code: CloseCode::HelloExpected, reason: "the first lane ended without a hello".into() });
            }
            Err(_) => return Ok(None),
        }
    }
}

async fn answer_hello(send: &mut SendStream, welcome: &Welcome) -> Result<(), quinn::WriteError> {
    let mut bytes = Vec::new();
    push_value(&mut bytes, HELLO, 0, welcome);
    send.write_all(&bytes).await
}
