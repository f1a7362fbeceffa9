//! Groups of clients: which there are, and who is in them (U12).

use std::collections::HashMap;

use foldhash::fast::RandomState;
use scrip_protocol::command::{GROUPS_MAX, GroupRegistered, RegisterGroup, RegisterGroupOutcome as Outcome};
use scrip_protocol::{ClientId, GroupId, Record, Stamp};

use super::{State, is_name, refused};

/// The groups, numbered from 1.
#[derive(Debug, Default, PartialEq)]
pub struct Groups {
    rows: Vec<GroupRow>,
    /// The groups of each client that is in any, ascending.
    of_client: HashMap<ClientId, Vec<GroupId>, RandomState>,
}

#[derive(Debug, PartialEq)]
struct GroupRow {
    name: String,
    clients: u64,
}

impl Groups {
    /// Whether there is a group of this number.
    pub fn contains(&self, group: GroupId) -> bool {
        group.0 >= 1 && group.0 as usize <= self.rows.len()
    }

    /// The group of this name.
    pub fn named(&self, name: &str) -> Option<GroupId> {
        self.rows.iter().position(|row| row.name == name).map(|at| GroupId(at as u32 + 1))
    }

    /// The number that the next group gets.
    pub fn next(&self) -> GroupId {
        GroupId(self.rows.len() as u32 + 1)
    }

    /// The groups after one: number, name, and how many clients are in it.
    pub fn after(&self, group: GroupId) -> impl Iterator<Item = (GroupId, &str, u64)> {
        let numbered = (1..).map(GroupId).zip(&self.rows).skip(group.0 as usize);
        numbered.map(|(group, row)| (group, row.name.as_str(), row.clients))
    }

    /// The groups that a client is in, ascending.
    pub fn of_client(&self, client: ClientId) -> &[GroupId] {
        self.of_client.get(&client).map_or(&[], Vec::as_slice)
    }

    /// Puts a client into a group; nothing where the client is in it, or there is no such group.
    pub(super) fn assign(&mut self, client: ClientId, group: GroupId) {
        let Some(row) = (group.0 as usize).checked_sub(1).and_then(|at| self.rows.get_mut(at)) else { return };
        let groups = self.of_client.entry(client).or_default();
        if let Err(at) = groups.binary_search(&group) {
            groups.insert(at, group);
            row.clients += 1;
        }
    }

    /// Takes a client out of a group; nothing where the client is not in it.
    pub(super) fn unassign(&mut self, client: ClientId, group: GroupId) {
        let Some(groups) = self.of_client.get_mut(&client) else { return };
        let Ok(at) = groups.binary_search(&group) else { return };
        groups.remove(at);
        if groups.is_empty() {
            self.of_client.remove(&client);
        }
        self.rows[group.0 as usize - 1].clients -= 1;
    }
}

pub(super) fn decide(state: &State, stamp: Stamp, asked: &RegisterGroup) -> Record {
    let refuse = |outcome| refused::<RegisterGroup>(stamp, &outcome);
    if !is_name(&asked.name) {
        return refuse(Outcome::InvalidName);
    }
    if let Some(group) = state.groups.named(&asked.name) {
        return refuse(Outcome::NameTaken(group));
    }
    if state.groups.rows.len() >= GROUPS_MAX {
        return refuse(Outcome::TooManyGroups);
    }
    GroupRegistered { stamp, group: state.groups.next(), name: asked.name.clone() }.into()
}

pub(super) fn apply(state: &mut State, record: &GroupRegistered) {
    state.groups.rows.push(GroupRow { name: record.name.clone(), clients: 0 });
}
