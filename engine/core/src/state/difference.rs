//! The first difference between two states that should be equal.
//!
//! A state that is recomputed from the journal is compared with another that claims to be the same: that of a snapshot, or what a
//! running engine answers. All contents are compared in a fixed order, and the first difference is reported with its location and
//! both values (Z10). Two states without a difference answer every request alike.
//!
//! The memory layout of tables is not compared: of two equal states, one may be built from records and the other read in place.

use std::fmt::{Debug, Display};

use scrip_protocol::command::CodesBatch;
use scrip_protocol::{CampaignId, ClubId, CredentialId, GroupId, Position, RuleId};
use serde::Serialize;
use serde_json::Value;

use super::holds::Hold;
use super::requests::{Remembered, Requests, Unlike};
use super::{Campaign, CodeAt, State};

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs, and where.
    pub what: String,
    /// Our value.
    pub ours: String,
    /// Their value.
    pub theirs: String,
}

impl Difference {
    /// The difference as a sentence that names both sides, such as `the journal` and `the snapshot`.
    pub fn said_of(&self, ours: &str, theirs: &str) -> String {
        format!("{}: {ours} has {}, {theirs} has {}", self.what, self.ours, self.theirs)
    }

    /// The first field in which two values of one type differ, by the JSON names of the fields.
    pub fn between<T: Serialize + PartialEq + ?Sized>(what: impl Display, ours: &T, theirs: &T) -> Option<Difference> {
        if ours == theirs {
            return None;
        }
        let value = |of: &T| serde_json::to_value(of).unwrap_or(Value::Null);
        let found = unlike(what.to_string(), &value(ours), &value(theirs));
        let unseen = || Difference { what: what.to_string(), ours: "one value".to_owned(), theirs: "another".to_owned() };
        Some(found.unwrap_or_else(unseen))
    }
}

/// Compares the contents of two states. The first should be the recomputed one.
pub fn first_difference(ours: &State, theirs: &State) -> Option<Difference> {
    compare(ours, theirs).err()
}

fn compare(ours: &State, theirs: &State) -> Result<(), Difference> {
    same(|| "the position".to_owned(), &ours.position, &theirs.position)?;
    same(|| "the time of the newest record".to_owned(), &ours.now_ms, &theirs.now_ms)?;
    fields("the settings", &ours.settings, &theirs.settings)?;
    fields("the form of codes", &ours.recorded_form, &theirs.recorded_form)?;
    clubs(ours, theirs)?;
    campaigns(ours, theirs)?;
    clients(ours, theirs)?;
    groups(ours, theirs)?;
    holds(ours, theirs)?;
    rules(ours, theirs)?;
    money_given_back(ours, theirs)?;
    credentials(ours, theirs)?;
    readers(ours, theirs)?;
    requests(ours, theirs)
}

fn clubs(ours: &State, theirs: &State) -> Result<(), Difference> {
    each(
        ours.clubs.after(ClubId(0)),
        theirs.clubs.after(ClubId(0)),
        |(club, _)| format!("club {club}"),
        |ours, theirs| same(|| format!("club {}, its name", ours.0), &ours.1, &theirs.1),
    )
}

fn campaigns(ours: &State, theirs: &State) -> Result<(), Difference> {
    let all = |state: &'_ State| state.campaigns.next().0 - 1;
    same(|| "the number of campaigns".to_owned(), &all(ours), &all(theirs))?;
    let pairs = ours.campaigns.after(CampaignId(0)).zip(theirs.campaigns.after(CampaignId(0)));
    pairs.into_iter().try_for_each(|((id, ours), (_, theirs))| campaign(id, ours, theirs))
}

fn campaign(id: CampaignId, ours: &Campaign, theirs: &Campaign) -> Result<(), Difference> {
    fields(&format!("campaign {id}, its terms"), &*ours.terms, &*theirs.terms)?;
    let sums = |of: &Campaign| {
        let archived = of.archived.map(|archived| (archived.at_ms, archived.position));
        let counted = of.clients.as_ref().map(|clients| (clients.from_ms, clients.from));
        [
            ("time of creation", of.created_ms.to_string()),
            ("time and position of its archiving", optional(archived)),
            ("number of codes", of.codes.len().to_string()),
            ("number of archived codes", of.codes_archived().to_string()),
            ("activations", of.activations.to_string()),
            ("refunds", of.refunds.to_string()),
            ("bonuses issued", of.issued.to_string()),
            ("uncollected bonuses", of.uncollected.to_string()),
            ("uses held", of.held.to_string()),
            ("sum of the holds", of.held_sum.to_string()),
            ("time and position from which clients are counted", optional(counted)),
        ]
    };
    for ((name, ours), (_, theirs)) in sums(ours).into_iter().zip(sums(theirs)) {
        same_words(|| format!("campaign {id}, {name}"), ours, theirs)?;
    }
    for slot in 0..u32::try_from(ours.codes.len()).unwrap_or(u32::MAX) {
        let place = || format!("campaign {id}, code in slot {slot}");
        same(|| format!("{}, its text", place()), &ours.text_of(slot), &theirs.text_of(slot))?;
        let (ours, theirs) = (ours.activations_at(slot), theirs.activations_at(slot));
        if ours != theirs {
            return Err(Difference { what: place(), ours: activations(ours), theirs: activations(theirs) });
        }
    }
    let slot = |(slot, _): &(u32, _)| format!("campaign {id}, archived code in slot {slot}");
    each(ours.archived_slots(), theirs.archived_slots(), slot, |ours, theirs| {
        same(|| slot(ours), &(ours.1.cause, ours.1.freed), &(theirs.1.cause, theirs.1.freed))
    })?;
    // Values derived from the codes and stored beside them.
    let derived = |of: &Campaign| {
        [
            ("codes activated", of.codes_activated),
            ("codes available", of.codes_available()),
            ("codes not exhausted", of.codes_not_exhausted()),
        ]
    };
    for ((name, ours), (_, theirs)) in derived(ours).into_iter().zip(derived(theirs)) {
        same(|| format!("campaign {id}, {name}"), &ours, &theirs)?;
    }
    same(
        || format!("campaign {id}, the number of clients with activations"),
        &ours.uses_of_clients().count(),
        &theirs.uses_of_clients().count(),
    )?;
    for (client, uses) in ours.uses_of_clients() {
        let other = theirs.client_uses(client);
        if uses != other {
            let what = format!("campaign {id}, client {client}");
            return Err(Difference { what, ours: activations(uses), theirs: activations(other) });
        }
    }
    let adding = |of: &CodesBatch| format!("campaign {id}, codes added at position {}", of.position);
    each(ours.added.iter(), theirs.added.iter(), |of| adding(of), |ours, theirs| fields(&adding(ours), *ours, *theirs))
}

fn clients(ours: &State, theirs: &State) -> Result<(), Difference> {
    let mut place = 0_u64;
    each(
        ours.clients.iter(),
        theirs.clients.iter(),
        |(client, _)| format!("client {client}"),
        |our, their| {
            place += 1;
            same(|| format!("the client that was registered as number {place}"), &our.0, &their.0)?;
            fields(&format!("client {}", our.0), &our.1, &their.1)?;
            same(|| format!("client {}, the name", our.0), &ours.clients.name(our.0), &theirs.clients.name(our.0))
        },
    )
}

fn groups(ours: &State, theirs: &State) -> Result<(), Difference> {
    let all = |state: &State| state.groups.after(GroupId(0)).map(|(id, name, clients)| (id, name.to_owned(), clients)).collect();
    let (our, their): (Vec<_>, Vec<_>) = (all(ours), all(theirs));
    each(
        our.iter(),
        their.iter(),
        |(group, ..)| format!("group {group}"),
        |ours, theirs| {
            same(|| format!("group {}, its name", ours.0), &ours.1, &theirs.1)?;
            same(|| format!("group {}, the number of clients in it", ours.0), &ours.2, &theirs.2)
        },
    )?;
    let member = |(client, group): &(_, _)| format!("client {client} in group {group}");
    each(ours.groups.members(), theirs.groups.members(), member, |ours, theirs| {
        same(|| "the next client of a group".to_owned(), ours, theirs)
    })
}

fn holds(ours: &State, theirs: &State) -> Result<(), Difference> {
    let words = |hold: &Hold| {
        let Hold { at, client, club, credential, amount, expires_ms, .. } = hold;
        [
            ("its code", format!("code {} of campaign {}", at.slot, at.campaign)),
            ("its client", client.to_string()),
            ("its club", club.to_string()),
            ("its credential", credential.to_string()),
            ("its amount", amount.to_string()),
            ("its expiry", expires_ms.to_string()),
            ("its status", hold.standing()),
        ]
    };
    each(
        ours.holds.rows(),
        theirs.holds.rows(),
        |(position, _)| format!("hold {position}"),
        |ours, theirs| {
            same(|| "the next hold".to_owned(), &ours.0, &theirs.0)?;
            for ((name, our), (_, their)) in words(ours.1).into_iter().zip(words(theirs.1)) {
                same_words(|| format!("hold {}, {name}", ours.0), our, their)?;
            }
            Ok(())
        },
    )?;
    each(
        ours.holds.revoked_rows(),
        theirs.holds.revoked_rows(),
        |row| format!("the revoked holder of credential {}", row.credential),
        |ours, theirs| {
            same(|| "the next revoked holder".to_owned(), &ours.credential, &theirs.credential)?;
            same(|| format!("when credential {} was revoked", ours.credential), &ours.revoked_ms, &theirs.revoked_ms)
        },
    )?;
    // Values derived from the holds and the codes and stored beside them.
    let code = |(at, _): &(CodeAt, u64)| format!("code {} of campaign {}, with all uses held", at.slot, at.campaign);
    each(ours.holds.full_codes(), theirs.holds.full_codes(), code, |ours, theirs| {
        same(|| "the next code with all uses held".to_owned(), &ours.0, &theirs.0)?;
        same(|| format!("{}, the time at which one becomes free", code(ours)), &ours.1, &theirs.1)
    })?;
    each(
        ours.holds.sums(),
        theirs.holds.sums(),
        |(campaign, _)| format!("campaign {campaign}, its sums of holds"),
        |ours, theirs| {
            same(|| "the next campaign with sums of holds".to_owned(), &ours.0, &theirs.0)?;
            match ours.1 == theirs.1 {
                true => Ok(()),
                false => Err(unequal(format!("campaign {}, its sums of holds by time", ours.0))),
            }
        },
    )
}

fn rules(ours: &State, theirs: &State) -> Result<(), Difference> {
    each(
        ours.rules.after(RuleId(0)),
        theirs.rules.after(RuleId(0)),
        |(rule, _)| format!("rule {rule}"),
        |(id, ours), (_, theirs)| {
            fields(&format!("rule {id}, its terms"), &ours.terms, &theirs.terms)?;
            let at = |what: &'static str| move || format!("rule {id}, {what}");
            same(at("time of creation"), &ours.created_ms, &theirs.created_ms)?;
            same(at("time of the last change"), &ours.changed_ms, &theirs.changed_ms)?;
            same(at("time of archiving"), &ours.archived_ms, &theirs.archived_ms)?;
            same(at("times fired"), &ours.fired, &theirs.fired)?;
            same(at("times failed"), &ours.failed, &theirs.failed)?;
            same_words(at("total credited"), ours.credited.to_string(), theirs.credited.to_string())
        },
    )
}

fn money_given_back(ours: &State, theirs: &State) -> Result<(), Difference> {
    let refunded = |position: &Position| format!("the refund of the activation at position {position}");
    each(ours.given_back.refunded(), theirs.given_back.refunded(), refunded, |ours, theirs| {
        same(|| "the next refunded activation".to_owned(), ours, theirs)
    })?;
    let given = |(position, _): &(Position, _)| format!("the refunded amount of the operation at position {position}");
    each(ours.given_back.amounts(), theirs.given_back.amounts(), given, |ours, theirs| {
        same(|| "the next operation with a refunded amount".to_owned(), &ours.0, &theirs.0)?;
        same_words(|| given(ours), ours.1.to_string(), theirs.1.to_string())
    })
}

fn credentials(ours: &State, theirs: &State) -> Result<(), Difference> {
    let all = |state: &'_ State| state.credentials.next();
    same(|| "the number of the next credential".to_owned(), &all(ours), &all(theirs))?;
    let (our, their) = (ours.credentials.after(CredentialId(0)), theirs.credentials.after(CredentialId(0)));
    each(
        our,
        their,
        |(id, _)| format!("credential {id}"),
        |(id, ours), (other, theirs)| {
            same(|| "the next credential".to_owned(), id, other)?;
            // The grant contains what a secret is compared with, which must not be printed.
            match ours.grant == theirs.grant {
                true => Ok(()),
                false => Err(unequal(format!("credential {id}, its grant"))),
            }?;
            same(|| format!("credential {id}, time of adding"), &ours.added_ms, &theirs.added_ms)?;
            same(|| format!("credential {id}, time of revocation"), &ours.revoked_ms, &theirs.revoked_ms)
        },
    )
}

fn readers(ours: &State, theirs: &State) -> Result<(), Difference> {
    each(
        ours.readers.iter(),
        theirs.readers.iter(),
        |(name, _)| format!("reader {name}"),
        |ours, theirs| {
            same(|| "the next reader".to_owned(), &ours.0, &theirs.0)?;
            same(|| format!("reader {}, its position", ours.0), &ours.1.position, &theirs.1.position)?;
            same(|| format!("reader {}, the time of its last move", ours.0), &ours.1.moved_ms, &theirs.1.moved_ms)
        },
    )?;
    let owners = |of: &State| of.list_readers().readers.into_iter().map(|reader| (reader.name, reader.credential));
    owners(ours).zip(owners(theirs)).try_for_each(|(ours, theirs)| {
        let words = |owner: Option<CredentialId>| optional(owner);
        same_words(|| format!("reader {}, the credential that it belongs to", ours.0), words(ours.1), words(theirs.1))
    })
}

fn requests(ours: &State, theirs: &State) -> Result<(), Difference> {
    let (our, their) = (&ours.requests, &theirs.requests);
    let Some(unlike) = our.unlike(their) else { return Ok(()) };
    let alone = |id, ours: &str, theirs: &str| (format!("request {id}"), ours.to_owned(), theirs.to_owned());
    let (what, ours, theirs) = match unlike {
        Unlike::Settings => return Err(unequal("the settings of the idempotency window".to_owned())),
        Unlike::Count(ours, theirs) => ("the number of requests remembered".to_owned(), ours.to_string(), theirs.to_string()),
        Unlike::Forgotten => {
            let rows = |of: &Requests| format!("{:?}", of.forgotten().rows());
            ("the times at which requests were forgotten".to_owned(), rows(our), rows(their))
        }
        Unlike::Order(place, ours, theirs) => {
            (format!("remembered request number {place}"), ours.to_string(), theirs.to_string())
        }
        Unlike::Body(id, ours, theirs) => (format!("request {id}, the hash of its body"), ours.to_string(), theirs.to_string()),
        Unlike::Answer(id, answers) => (format!("request {id}, its answer"), answer(&answers.0), answer(&answers.1)),
        Unlike::OursAlone(id) => alone(id, "an entry", "none"),
        Unlike::TheirsAlone(id) => alone(id, "none", "an entry"),
    };
    Err(Difference { what, ours, theirs })
}

/// Compares two sequences element by element. If one ends before the other, the next element is the difference.
fn each<T>(
    ours: impl Iterator<Item = T>,
    theirs: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
    mut compare: impl FnMut(&T, &T) -> Result<(), Difference>,
) -> Result<(), Difference> {
    let (mut ours, mut theirs) = (ours, theirs);
    loop {
        let (what, ours, theirs) = match (ours.next(), theirs.next()) {
            (Some(ours), Some(theirs)) => {
                compare(&ours, &theirs)?;
                continue;
            }
            (None, None) => return Ok(()),
            (Some(ours), None) => (name(&ours), "an entry", "none"),
            (None, Some(theirs)) => (name(&theirs), "none", "an entry"),
        };
        return Err(Difference { what, ours: ours.to_owned(), theirs: theirs.to_owned() });
    }
}

fn same<T: PartialEq + Debug>(what: impl FnOnce() -> String, ours: &T, theirs: &T) -> Result<(), Difference> {
    match ours == theirs {
        true => Ok(()),
        false => Err(Difference { what: what(), ours: format!("{ours:?}"), theirs: format!("{theirs:?}") }),
    }
}

fn same_words(what: impl FnOnce() -> String, ours: String, theirs: String) -> Result<(), Difference> {
    match ours == theirs {
        true => Ok(()),
        false => Err(Difference { what: what(), ours, theirs }),
    }
}

fn fields<T: Serialize + PartialEq>(what: &str, ours: &T, theirs: &T) -> Result<(), Difference> {
    Difference::between(what, ours, theirs).map_or(Ok(()), Err)
}

fn unequal(what: String) -> Difference {
    Difference { what, ours: "one value".to_owned(), theirs: "another".to_owned() }
}

/// The first field, element or plain value in which two values differ.
fn unlike(what: String, ours: &Value, theirs: &Value) -> Option<Difference> {
    if ours == theirs {
        return None;
    }
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
            let of = |value: &serde_json::Map<String, Value>, name: &str| value.get(name).cloned().unwrap_or(Value::Null);
            names.into_iter().find_map(|name| unlike(format!("{what}, {name}"), &of(ours, name), &of(theirs, name)))
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let mut pairs = ours.iter().zip(theirs).enumerate();
            pairs.find_map(|(at, (ours, theirs))| unlike(format!("{what}, {at}"), ours, theirs))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            Some(Difference { what: format!("{what}, how many"), ours: ours.len().to_string(), theirs: theirs.len().to_string() })
        }
        (
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
        ) => Some(Difference { what, ours: ours.to_string(), theirs: theirs.to_string() }),
    }
}

fn activations(count: u32) -> String {
    format!("{count} activation{}", if count == 1 { "" } else { "s" })
}

fn optional<T: Debug>(of: Option<T>) -> String {
    of.map_or("none".to_owned(), |of| format!("{of:?}"))
}

fn answer(reply: &Remembered) -> String {
    match reply {
        Remembered::Redeem(outcome) => outcome.to_string(),
        Remembered::Other(other) => format!("an answer of kind {} with {} bytes", other.0, other.1.len()),
        Remembered::Stored { kind, position } => {
            format!("an answer of kind {kind} that is made from the record at position {position}")
        }
    }
}
