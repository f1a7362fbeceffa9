//! Groups of clients and their members (U12).

use std::borrow::Cow;
use std::collections::BTreeMap;

use scrip_protocol::command::{GROUPS_MAX, GroupRegistered, RegisterGroup, RegisterGroupOutcome as Outcome};
use scrip_protocol::{ClientId, GroupId, Record, Stamp};

use super::by_client::ByClient;
use super::by_name::ByName;
use super::frozen::MemberRow;
use super::given_back::merged;
use super::tables::behind;
use super::{State, is_name, refused};
use crate::rows::Rows;

/// The groups, numbered from 1.
#[derive(Debug, Default)]
pub struct Groups {
    rows: Vec<GroupRow>,
    by_name: ByName<GroupId>,
    /// The members of groups in the snapshot, in the order of clients and groups.
    members: Rows<MemberRow>,
    /// The groups, ascending, of each client whose groups have changed since the snapshot.
    of_client: ByClient<Vec<GroupId>>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct GroupRow {
    name: String,
    clients: u64,
}

impl Groups {
    /// Whether a group with this number exists.
    pub fn contains(&self, group: GroupId) -> bool {
        group.0 >= 1 && group.0 as usize <= self.rows.len()
    }

    /// The group with this name.
    pub fn named(&self, name: &str) -> Option<GroupId> {
        self.by_name.of(name)
    }

    /// The number that the next group gets.
    pub fn next(&self) -> GroupId {
        GroupId(self.rows.len() as u32 + 1)
    }

    /// The groups after one: number, name and member count.
    pub fn after(&self, group: GroupId) -> impl Iterator<Item = (GroupId, &str, u64)> {
        behind(&self.rows, group.0 as usize).map(|(number, row)| (GroupId(number), row.name.as_str(), row.clients))
    }

    /// The groups of a client, ascending.
    pub fn of_client(&self, client: ClientId) -> Cow<'_, [GroupId]> {
        match self.of_client.get(&client) {
            Some(groups) => Cow::Borrowed(groups),
            None if self.members.is_empty() => Cow::Borrowed(&[]),
            None => Cow::Owned(self.in_base(client)),
        }
    }

    fn in_base(&self, client: ClientId) -> Vec<GroupId> {
        let first = self.members.partition_point(|row| row.client < client.0);
        let rows = self.members[first..].iter().take_while(|row| row.client == client.0);
        rows.map(|row| GroupId(row.group as u32)).collect()
    }

    pub(super) fn over(rows: Vec<GroupRow>, members: Rows<MemberRow>) -> Groups {
        let by_name = ByName::from_rows(behind(&rows, 0).map(|(number, row)| (GroupId(number), row.name.as_str())));
        Groups { rows, by_name, members, of_client: ByClient::default() }
    }

    pub(super) fn rows(&self) -> &[GroupRow] {
        &self.rows
    }

    /// The members of groups, in the order of clients and groups.
    pub fn members(&self) -> impl Iterator<Item = (ClientId, GroupId)> {
        let base = self.members.iter().map(|row| (ClientId(row.client), GroupId(row.group as u32)));
        let unchanged = base.filter(|(client, _)| !self.of_client.contains_key(client));
        let changed: BTreeMap<_, _> = self.of_client.iter().collect();
        let changed = changed.into_iter().flat_map(|(client, groups)| groups.iter().map(|group| (*client, *group)));
        merged(unchanged, changed, |member| *member)
    }

    /// Adds a client to a group. Does nothing if the client is in it or the group does not exist.
    pub(super) fn assign(&mut self, client: ClientId, group: GroupId) {
        if !self.contains(group) {
            return;
        }
        let mut groups = self.of_client(client).into_owned();
        if let Err(at) = groups.binary_search(&group) {
            groups.insert(at, group);
            self.of_client.insert(client, groups);
            self.rows[group.0 as usize - 1].clients += 1;
        }
    }

    /// Removes a client from a group. Does nothing if the client is not in it.
    pub(super) fn unassign(&mut self, client: ClientId, group: GroupId) {
        let mut groups = self.of_client(client).into_owned();
        let Ok(at) = groups.binary_search(&group) else { return };
        groups.remove(at);
        match groups.is_empty() && self.members.is_empty() {
            true => self.of_client.remove(&client),
            false => self.of_client.insert(client, groups),
        };
        // A damaged snapshot that is not verified yet may list members of groups that do not exist or have no members.
        if let Some(row) = (group.0 as usize).checked_sub(1).and_then(|at| self.rows.get_mut(at)) {
            row.clients = row.clients.saturating_sub(1);
        }
    }
}

impl PartialEq for Groups {
    fn eq(&self, other: &Groups) -> bool {
        self.rows == other.rows && self.by_name == other.by_name && self.members().eq(other.members())
    }
}

pub(super) fn decide(state: &State, stamp: Stamp, request: &RegisterGroup) -> Record {
    let refuse = |outcome| refused::<RegisterGroup>(stamp, &outcome);
    if !is_name(&request.name) {
        return refuse(Outcome::InvalidName);
    }
    if let Some(group) = state.groups.named(&request.name) {
        return refuse(Outcome::NameTaken(group));
    }
    if state.groups.rows.len() >= state.credentials.limit_of(stamp.credential, GROUPS_MAX) {
        return refuse(Outcome::TooManyGroups);
    }
    GroupRegistered { stamp, group: state.groups.next(), name: request.name.clone() }.into()
}

pub(super) fn apply(state: &mut State, record: &GroupRegistered) {
    state.groups.by_name.add(&record.name, state.groups.next());
    state.groups.rows.push(GroupRow { name: record.name.clone(), clients: 0 });
}
