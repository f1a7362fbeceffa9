//! The executor of an operation (B3, A28): a gateway is the system, a cashier or an operator is a person.

use scrip_protocol::ledger::ExecutorKind;
use scrip_protocol::{Executor, Role, Stamp};

use super::State;

/// The executor of a request: the name in the request, or else that of the credential.
pub(super) fn executor(state: &State, stamp: &Stamp, by: String) -> Executor {
    let grant = state.credentials.of(stamp.credential).map(|credential| &credential.grant);
    let kind = match grant.map(|grant| grant.role) {
        Some(Role::Cashier | Role::Operator) => ExecutorKind::Administrator,
        Some(Role::Gateway | Role::Marketing | Role::Reporter) | None => ExecutorKind::System,
    };
    let name = if by.is_empty() { grant.map_or(String::new(), |grant| grant.name.clone()) } else { by };
    Executor { kind, credential: stamp.credential, name }
}
