//! Credentials: who may call (Z15). Revoked ones stay known, because records refer to them.

use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, CLUBS_PER_CREDENTIAL_MAX, CREDENTIALS_MAX, CredentialAdded, CredentialRevoked, Grant,
    RevokeCredential, RevokeCredentialOutcome,
};
use scrip_protocol::{CredentialId, Record, Role, Stamp};

use super::tables::behind;
use super::{State, is_name, refused};

/// One row in this many is reserved for operators.
const RESERVED_PART: usize = 10;

/// The credentials of the organisation.
#[derive(Debug, Default, PartialEq)]
pub struct Credentials {
    /// By number, from 1.
    rows: Vec<Option<Credential>>,
}

/// One credential.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Credential {
    /// What it permits.
    pub grant: Grant,
    /// When it was added, in milliseconds since 1970.
    pub added_ms: u64,
    /// When it was revoked; none while it is valid.
    pub revoked_ms: Option<u64>,
}

impl Credentials {
    /// The credentials of a snapshot.
    pub(super) fn over(rows: Vec<Option<Credential>>) -> Credentials {
        Credentials { rows }
    }

    pub(super) fn rows(&self) -> &[Option<Credential>] {
        &self.rows
    }

    /// A credential, revoked or not.
    pub fn of(&self, credential: CredentialId) -> Option<&Credential> {
        self.rows.get((credential.0 as usize).checked_sub(1)?)?.as_ref()
    }

    /// The credentials after one, with their numbers.
    pub fn after(&self, credential: CredentialId) -> impl Iterator<Item = (CredentialId, &Credential)> {
        let numbered = behind(&self.rows, credential.0 as usize);
        numbered.filter_map(|(number, row)| Some((CredentialId(number), row.as_ref()?)))
    }

    /// Whether a credential is revoked. False for an unknown one.
    #[inline]
    pub fn is_revoked(&self, credential: CredentialId) -> bool {
        self.of(credential).is_some_and(|credential| credential.revoked_ms.is_some())
    }

    /// Whether a credential's holder learns why a code is refused (Z9). True for an unknown one.
    #[inline]
    pub fn is_told_reasons(&self, credential: CredentialId) -> bool {
        self.of(credential).is_none_or(|credential| credential.grant.reasons)
    }

    /// Whether a credential has the role operator. False for an unknown one.
    pub fn is_operator(&self, credential: CredentialId) -> bool {
        self.of(credential).is_some_and(|credential| credential.grant.role == Role::Operator)
    }

    /// The limit of a table's rows for a credential. The rest of the table's limit is reserved for operators: rows are never
    /// removed, and nobody else can fill the table.
    pub(super) fn limit_of(&self, credential: CredentialId, max: usize) -> usize {
        if self.is_operator(credential) { max } else { max - max / RESERVED_PART }
    }

    /// The number that the next credential gets.
    pub fn next(&self) -> CredentialId {
        CredentialId(self.rows.len() as u32 + 1)
    }
}

pub(super) fn decide_add(state: &State, stamp: Stamp, request: &AddCredential) -> Record {
    let refuse = |outcome| refused::<AddCredential>(stamp, &outcome);
    let mut grant = request.grant.clone();
    grant.clubs.sort_unstable();
    grant.clubs.dedup();
    if !is_name(&grant.name) {
        return refuse(AddCredentialOutcome::InvalidName);
    }
    if !grant.clubs.is_empty() && grant.role != Role::Gateway {
        return refuse(AddCredentialOutcome::ClubsNotForRole);
    }
    if grant.clubs.len() > CLUBS_PER_CREDENTIAL_MAX {
        return refuse(AddCredentialOutcome::TooManyClubs);
    }
    if let Some(club) = grant.clubs.iter().find(|club| !state.clubs.contains(**club)) {
        return refuse(AddCredentialOutcome::UnknownClub(*club));
    }
    if state.credentials.after(CredentialId(0)).any(|(_, other)| other.grant.secret == grant.secret) {
        return refuse(AddCredentialOutcome::SecretTaken);
    }
    if state.credentials.rows.len() >= CREDENTIALS_MAX {
        return refuse(AddCredentialOutcome::TooManyCredentials);
    }
    CredentialAdded { stamp: Some(stamp), credential: state.credentials.next(), grant }.into()
}

pub(super) fn apply_add(state: &mut State, record: &CredentialAdded) {
    let Some(at) = (record.credential.0 as usize).checked_sub(1).filter(|at| *at < CREDENTIALS_MAX) else { return };
    let rows = &mut state.credentials.rows;
    if rows.len() <= at {
        rows.resize(at + 1, None);
    }
    // The meaning of a number never changes: records refer to it.
    rows[at].get_or_insert(Credential { grant: record.grant.clone(), added_ms: state.now_ms, revoked_ms: None });
}

pub(super) fn decide_revoke(state: &State, stamp: Stamp, request: &RevokeCredential) -> Record {
    let refuse = |outcome| refused::<RevokeCredential>(stamp, &outcome);
    let Some(credential) = state.credentials.of(request.credential) else {
        return refuse(RevokeCredentialOutcome::UnknownCredential);
    };
    if credential.revoked_ms.is_some() {
        return refuse(RevokeCredentialOutcome::AlreadyRevoked);
    }
    let operates = |credential: &Credential| credential.grant.role == Role::Operator && credential.revoked_ms.is_none();
    let others = || state.credentials.after(CredentialId(0)).filter(|(id, _)| *id != request.credential);
    if operates(credential) && !others().any(|(_, other)| operates(other)) {
        return refuse(RevokeCredentialOutcome::LastOperator);
    }
    CredentialRevoked { stamp, credential: request.credential }.into()
}

pub(super) fn apply_revoke(state: &mut State, record: &CredentialRevoked) {
    let now_ms = state.now_ms;
    let row = (record.credential.0 as usize).checked_sub(1).and_then(|at| state.credentials.rows.get_mut(at));
    if let Some(Some(credential)) = row {
        credential.revoked_ms = Some(now_ms);
        // In the earliest journals, up to their first `settings-set`, a revocation leaves the credential's holds open.
        if state.recorded_form.is_some() {
            state.holds.revoke(&mut state.campaigns, record.credential, now_ms, now_ms);
        }
    }
}
