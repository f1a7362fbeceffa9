//! What a refused code costs a budget.

use super::fingerprint::Fingerprint;

/// The parts of one attempt that costs are counted in.
pub(super) const TENTHS: u32 = 10;

/// A code that was refused, as the guard counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedCode {
    /// The code.
    pub fingerprint: Fingerprint,
    /// What the caller learns of it.
    pub reason: Reason,
}

/// What a caller learns about why a code was refused. The guard must not go by anything that the caller may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No campaign holds the code: a guess.
    Unknown,
    /// A campaign holds the code, or did: it is used up, ended, archived or not for this client.
    Known,
    /// The caller does not learn the reason, so it may be any.
    Hidden,
}

impl Reason {
    /// For a caller with or without reasons.
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
    /// Of a client at one credential: a lockout harms that client alone, there alone.
    pub(super) const CLIENT_HERE: Costs = Costs { unknown: TENTHS, known: TENTHS, hidden: TENTHS };

    /// Of a client at all credentials. Known codes would let one credential bring clients close to a lockout without paying for it.
    pub(super) const CLIENT: Costs = Costs { known: 0, ..Costs::CLIENT_HERE };

    /// Of what stands for many players, a network or a credential. They try the codes of an ended campaign by the hundred in a second.
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
