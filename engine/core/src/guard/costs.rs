//! What a refused code costs a budget.

use super::fingerprint::Fingerprint;

/// The parts of an attempt in which costs are counted.
pub(super) const TENTHS: u32 = 10;

/// A code that was refused, as the guard counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedCode {
    /// The code.
    pub fingerprint: Fingerprint,
    /// What the caller learns about it.
    pub reason: Reason,
}

/// What a caller learns about why a code was refused. The guard must not use anything that the caller may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No campaign holds the code: a guess.
    Unknown,
    /// A campaign holds the code, or did: it is used up, ended, archived or not for this client.
    Known,
    /// The caller does not learn the reason, which may be any.
    Hidden,
}

impl Reason {
    /// For a caller that learns reasons, or not.
    pub const fn new(is_unknown: bool, with_reasons: bool) -> Reason {
        match (with_reasons, is_unknown) {
            (false, _) => Reason::Hidden,
            (true, true) => Reason::Unknown,
            (true, false) => Reason::Known,
        }
    }
}

/// What each refused code costs a budget, in tenths of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    unknown: u32,
    known: u32,
    hidden: u32,
}

impl Costs {
    /// For a client at one credential: a lockout harms only that client, and only there.
    pub(super) const CLIENT_HERE: Costs = Costs { unknown: TENTHS, known: TENTHS, hidden: TENTHS };

    /// For a client across all credentials. If known codes counted, one credential could bring clients close to a lockout at no
    /// cost.
    pub(super) const CLIENT: Costs = Costs { known: 0, ..Costs::CLIENT_HERE };

    /// For a network or a credential, which many players share. They try the codes of an ended campaign by the hundred per
    /// second.
    pub(super) const MANY: Costs = Costs { hidden: 1, ..Costs::CLIENT };

    /// In tenths of an attempt.
    pub(super) const fn of(self, reason: Reason) -> u32 {
        match reason {
            Reason::Unknown => self.unknown,
            Reason::Known => self.known,
            Reason::Hidden => self.hidden,
        }
    }
}
