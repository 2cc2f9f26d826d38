//! The directory: organizations, and the people in them.
//!
//! Owns paging by `page` and `next_page`, which says nothing of records and everything by position. A token is bound to its
//! route, and an altered one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::cursor::hash;
use super::filter::read_limit;
use super::keys::{ORG_DATA, USER_DATA};
use super::refusal::Refusal;
use crate::cast::Person;
use crate::clock::{Micros, Precision, SECOND, rfc3339};

/// The most entries a page may have.
const MOST: usize = 1_000;

/// A route of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/organizations`.
    Organizations,
    /// `/organizations/{uuid}/users`.
    Users,
}

impl Route {
    /// The route of a path after `/v1/compliance`, of a tenant with that organization.
    ///
    /// # Errors
    ///
    /// An organization that is none of the tenant's.
    pub(crate) fn of(path: &str, uuid: &str) -> Option<Result<Self, Refusal>> {
        if path == "/organizations" {
            return Some(Ok(Self::Organizations));
        }
        let named = path.strip_prefix("/organizations/")?.strip_suffix("/users")?;
        let gone = || Refusal::new(404, "not_found_error", format!("Organization {named} not found"));
        Some(if named == uuid { Ok(Self::Users) } else { Err(gone()) })
    }

    pub(crate) fn scope(self) -> &'static str {
        match self {
            Self::Organizations => ORG_DATA,
            Self::Users => USER_DATA,
        }
    }
}

/// Who is in the directory.
pub(crate) struct Directory<'s> {
    pub(crate) seed: u64,
    pub(crate) uuid: &'s str,
    pub(crate) people: &'s [Person],
    /// When the first of them joined.
    pub(crate) since: Micros,
}

impl Directory<'_> {
    /// The body and how many entries it has.
    pub(crate) fn answer(
        &self,
        route: Route,
        pairs: &[(String, String)],
        strict: bool,
    ) -> Result<(Vec<u8>, usize), Refusal> {
        let (total, usual) = match route {
            Route::Organizations => (1, MOST),
            Route::Users => (self.people.len(), 500),
        };
        let (mut limit, mut first) = (usual, 0);
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => limit = read_limit(value, MOST)?,
                "page" => first = self.read(route, value).ok_or_else(not_a_cursor)?,
                unknown if strict => return Err(Refusal::unknown_parameter(unknown, &["limit", "page"])),
                _ => {}
            }
        }
        let end = (first + limit).min(total);
        let data: Vec<_> = (first..end).map(|index| self.entry(route, index)).collect();
        let more = end < total;
        let next = more.then(|| self.write(route, end));
        let count = data.len();
        Ok((json!({"data": data, "has_more": more, "next_page": next}).to_string().into_bytes(), count))
    }

    fn entry(&self, route: Route, index: usize) -> Value {
        let joined = self.since + index as Micros * 86_400 * SECOND / 7;
        let created_at = rfc3339(joined, Precision::Seconds, true);
        match (route, self.people.get(index)) {
            (Route::Users, Some(person)) => json!({
                "id": person.user_id,
                "full_name": person.name,
                "email": person.email,
                // The first one administers, as in the stories.
                "organization_role": if index == 0 { "primary_owner" } else { "user" },
                "created_at": created_at,
            }),
            _ => json!({"uuid": self.uuid, "name": "Example Works", "created_at": created_at}),
        }
    }

    fn sum(&self, route: Route, first: usize) -> u64 {
        hash(&format!("{}/{route:?}/{first}", self.seed))
    }

    fn write(&self, route: Route, first: usize) -> String {
        format!("page_{}", URL_SAFE_NO_PAD.encode(format!("{first}.{}", self.sum(route, first))))
    }

    fn read(&self, route: Route, text: &str) -> Option<usize> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix("page_")?).ok()?;
        let (first, sum) = std::str::from_utf8(&bytes).ok()?.split_once('.')?;
        let first = first.parse().ok()?;
        (sum.parse() == Ok(self.sum(route, first))).then_some(first)
    }
}

fn not_a_cursor() -> Refusal {
    Refusal::invalid("page: not a valid cursor")
}
