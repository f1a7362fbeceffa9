//! Finds the holder of a credential for a hello, by the hash of its token or certificate.
//!
//! Revoked credentials stay known, so that their holders learn why they are refused. Only hashes are compared, so that the time
//! taken reveals nothing about a secret.
//!
//! A revocation is visible as soon as it is applied, before it is durable, because shutting somebody out too early does no harm.
//! Admitting somebody too early does: a new caller waits until [`Holder::since`] is durable.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use scrip_protocol::command::{Grant, Secret};
use scrip_protocol::{ClubId, CredentialId, Position, Role};

use crate::state::{Credential, State};

/// The holder of a credential: what a lane knows of its caller.
#[derive(Debug)]
pub struct Holder {
    /// The credential.
    pub credential: CredentialId,
    /// What its holder may do.
    pub role: Role,
    /// The clubs that its holder may act for, ascending; empty for all.
    pub clubs: Box<[ClubId]>,
    /// Whether its holder learns why a code is refused (Z9).
    pub reasons: bool,
    /// The position that must be durable before its holder is admitted (Z4).
    pub since: Position,
    revoked: AtomicBool,
}

impl Holder {
    fn of(credential: CredentialId, of: &Credential, since: Position) -> Holder {
        let Grant { role, clubs, reasons, .. } = &of.grant;
        let revoked = AtomicBool::new(of.revoked_ms.is_some());
        Holder { credential, role: *role, clubs: clubs.as_slice().into(), reasons: *reasons, since, revoked }
    }

    /// Whether the credential is revoked.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Whether its holder may act for a club. Club 0 means any club, and needs a credential that is not bound to clubs.
    pub fn may_ask_for(&self, club: ClubId) -> bool {
        self.clubs.is_empty() || self.clubs.binary_search(&club).is_ok()
    }
}

/// The holders of all credentials. The engine thread writes it; hellos read it.
#[derive(Debug)]
pub struct Holders {
    by_secret: RwLock<HashMap<Secret, Arc<Holder>, RandomState>>,
    /// Called after each revocation.
    on_revocation: OnceLock<Hook>,
}

struct Hook(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Holders {
    pub(super) fn of(state: &State) -> Holders {
        let holders = Holders { by_secret: RwLock::default(), on_revocation: OnceLock::new() };
        // Everything in a replayed journal is durable.
        state.credentials.after(CredentialId(0)).for_each(|(id, of)| holders.insert(id, of, Position(0)));
        holders
    }

    /// Adds a credential that the newest record added.
    pub(super) fn add(&self, state: &State, credential: CredentialId) {
        if let Some(of) = state.credentials.of(credential) {
            self.insert(credential, of, state.position());
        }
    }

    /// The first credential with a secret counts.
    fn insert(&self, credential: CredentialId, of: &Credential, since: Position) {
        let holder = || Arc::new(Holder::of(credential, of, since));
        self.by_secret.write().entry(of.grant.secret).or_insert_with(holder);
    }

    /// Marks a credential as revoked.
    pub(super) fn revoke(&self, state: &State, credential: CredentialId) {
        let secret = state.credentials.of(credential).map(|of| of.grant.secret);
        let Some(holder) = secret.and_then(|secret| self.of_secret(&secret)) else { return };
        if holder.credential == credential {
            holder.revoked.store(true, Ordering::Release);
            if let Some(Hook(notify)) = self.on_revocation.get() {
                notify();
            }
        }
    }

    /// The holder of a secret, revoked or not.
    pub fn of_secret(&self, secret: &Secret) -> Option<Arc<Holder>> {
        self.by_secret.read().get(secret).cloned()
    }

    /// Calls `notify` on the engine thread after each revocation, once [`Holder::is_revoked`] is true.
    ///
    /// # Panics
    /// If called twice.
    pub fn on_revocation(&self, notify: impl Fn() + Send + Sync + 'static) {
        assert!(self.on_revocation.set(Hook(Box::new(notify))).is_ok(), "one server shows an index");
    }

    pub(super) fn agrees_with(&self, other: &Holders) -> bool {
        let (ours, theirs) = (self.by_secret.read(), other.by_secret.read());
        let says = |holder: &Holder| (holder.credential, holder.role, holder.clubs.clone(), holder.reasons, holder.is_revoked());
        let alike =
            |(secret, holder): (&Secret, &Arc<Holder>)| theirs.get(secret).is_some_and(|there| says(there) == says(holder));
        ours.len() == theirs.len() && ours.iter().all(alike)
    }
}
