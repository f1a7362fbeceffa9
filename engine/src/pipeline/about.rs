//! The subject of a change that was refused without a record, for reports.

use scrip_core::state::{Mutation, Named, Person};

use crate::attempts::About;

pub(super) fn about(request: &Mutation) -> About {
    let person = |person: Person| About { client: Some(person.client), club: person.club, code: None };
    match request.named() {
        Named::Redemption(request) => {
            About { client: Some(request.client), club: Some(request.club), code: request.code.as_ref().ok().copied() }
        }
        Named::Person(named) => person(named),
        Named::Activation(request) => {
            let found = request.found.as_ref();
            found.map_or(About::default(), |found| person(Person { client: found.client, club: Some(found.club) }))
        }
        Named::Operation { found, .. } => found.map_or(About::default(), |(_, found)| person(found)),
        Named::Nothing | Named::Hold(_) | Named::Campaign(_) | Named::Codes { .. } => About::default(),
    }
}
