//! Whole lists of clubs, groups and credentials, which the engine returns a page at a time.

use scrip_protocol::command::{
    CLUBS_PER_PAGE, CREDENTIALS_PER_PAGE, Club, CredentialCard, GROUPS_PER_PAGE, Group, ListCredentials,
};
use scrip_protocol::{ClubId, CredentialId, GroupId, RequestId};

use super::{Client, ClientError};

impl Client {
    /// All clubs, by number.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn all_clubs(&self) -> Result<Vec<Club>, ClientError> {
        let page = |after| async move { Ok(self.list_clubs(after).await?.clubs) };
        all(CLUBS_PER_PAGE, ClubId(0), |club: &Club| club.club, page).await
    }

    /// All groups, by number.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn all_groups(&self) -> Result<Vec<Group>, ClientError> {
        let page = |after| async move { Ok(self.list_groups(after).await?.groups) };
        all(GROUPS_PER_PAGE, GroupId(0), |group: &Group| group.group, page).await
    }

    /// All credentials, by number, including revoked ones.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn all_credentials(&self) -> Result<Vec<CredentialCard>, ClientError> {
        let page = |after| async move { Ok(self.call(RequestId(0), &ListCredentials { after }).await?.credentials) };
        all(CREDENTIALS_PER_PAGE, CredentialId(0), |card: &CredentialCard| card.credential, page).await
    }
}

/// All rows of a list: requests page after page, each from the last row of the page before, until a page is not full.
async fn all<Row, Id: Copy, Page: Future<Output = Result<Vec<Row>, ClientError>>>(
    per_page: usize,
    first: Id,
    id: impl Fn(&Row) -> Id,
    page: impl Fn(Id) -> Page,
) -> Result<Vec<Row>, ClientError> {
    let (mut rows, mut after) = (Vec::new(), first);
    loop {
        let page = page(after).await?;
        after = page.last().map_or(after, &id);
        let is_last = page.len() < per_page;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    /// Every row of a list is read once, also if the last page is full or there is none.
    #[tokio::test]
    async fn a_list_of_pages_is_read_to_its_end() {
        for count in 0..=7_u32 {
            let list: Vec<u32> = (1..=count).map(|n| n * 10).collect();
            let page = |after| ready(Ok(list.iter().copied().filter(|id| *id > after).take(3).collect()));
            assert_eq!(all(3, 0, |id| *id, page).await.expect("pages"), list);
        }
    }
}
