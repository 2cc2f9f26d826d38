//! Every route but the feed's: which there are, what opens them, and who answers.
//!
//! Owns the map from a path to an answer. What things are is [`super::library`]'s business. The subtle thing: a key that does
//! not reach the organization finds everything empty and nothing by its id, as if there were no such tenant.

mod asked;
mod chats;
mod directory;
mod files;
mod groups;
mod local;
mod mark;
mod paging;
mod projects;
mod remote;

use serde_json::Value;

use self::asked::{Asked, Spec};
use self::mark::Marks;
use super::faults::{Fault, FaultKind};
use super::keys::{DELETE, Key, ORG_DATA, USER_DATA};
use super::library::{Kind, Library, Thing};
use super::refusal::{Dialect, Refusal};
use super::settings::Settings;
use super::tenant::Office;
use crate::cast::Person;
use crate::clock::Micros;

/// What a request asks for, by its path after `/v1/compliance`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Chats,
    ChatMessages(String),
    LocalSessions,
    LocalSession(String),
    LocalMessages(String),
    RemoteSessions,
    RemoteMessages(String),
    Organizations,
    Users(String),
    Roles(String),
    OrganizationSettings(String),
    Groups,
    Members(String),
    Projects,
    Attachments(String),
    CodeArtifacts,
    File {
        id: String,
        generated: bool,
        content: bool,
    },
    Artifact {
        version: String,
        content: bool,
    },
    Document(String),
    /// A hard deletion.
    Erase(Kind, String),
}

impl Route {
    /// The route of a method and a path; nothing when there is none.
    pub(crate) fn of(method: &str, path: &str) -> Option<Self> {
        let parts: Vec<String> = path.strip_prefix('/')?.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let own = |id: &str| id.to_owned();
        if method == "DELETE" {
            return Some(match parts[..] {
                ["apps", "chats", "files", id] => Self::Erase(Kind::File, own(id)),
                ["apps", "chats", id] => Self::Erase(Kind::Chat, own(id)),
                ["apps", "projects", "documents", id] => Self::Erase(Kind::Document, own(id)),
                ["apps", "projects", id] => Self::Erase(Kind::Project, own(id)),
                _ => return None,
            });
        }
        if method != "GET" {
            return None;
        }
        let content = parts.last() == Some(&"content");
        Some(match parts[..] {
            ["apps", "chats"] => Self::Chats,
            ["apps", "chats", id, "messages"] => Self::ChatMessages(own(id)),
            ["apps", "chats", "files", id] | ["apps", "chats", "files", id, "content"] => {
                Self::File { id: own(id), generated: false, content }
            }
            ["apps", "chats", "generated-files", id]
            | ["apps", "chats", "generated-files", id, "content"] => {
                Self::File { id: own(id), generated: true, content }
            }
            ["apps", "artifacts", version] | ["apps", "artifacts", version, "content"] => {
                Self::Artifact { version: own(version), content }
            }
            ["apps", "code", "artifacts"] => Self::CodeArtifacts,
            ["apps", "projects"] => Self::Projects,
            ["apps", "projects", "documents", id, "metadata"] => Self::Document(own(id)),
            ["apps", "projects", id, "attachments"] => Self::Attachments(own(id)),
            ["apps", "sessions", "local"] => Self::LocalSessions,
            ["apps", "sessions", "local", id] => Self::LocalSession(own(id)),
            ["apps", "sessions", "local", id, "messages"] => Self::LocalMessages(own(id)),
            ["apps", "sessions", "remote"] => Self::RemoteSessions,
            ["apps", "sessions", "remote", id, "messages"] => Self::RemoteMessages(own(id)),
            ["organizations"] => Self::Organizations,
            ["organizations", uuid, "users"] => Self::Users(own(uuid)),
            ["organizations", uuid, "roles"] => Self::Roles(own(uuid)),
            ["organizations", uuid, "settings"] => Self::OrganizationSettings(own(uuid)),
            ["groups"] => Self::Groups,
            ["groups", id, "members"] => Self::Members(own(id)),
            _ => return None,
        })
    }

    /// The scope that opens it.
    pub(crate) fn scope(&self) -> &'static str {
        match self {
            Self::Organizations | Self::Roles(_) | Self::Groups | Self::OrganizationSettings(_) => ORG_DATA,
            Self::Erase(..) => DELETE,
            _ => USER_DATA,
        }
    }

    /// Whether it draws on the second budget too.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::RemoteSessions | Self::RemoteMessages(_))
    }
}

/// A part of a path, percent-decoded; a plus is one.
fn decoded(part: &str) -> String {
    let field = format!("part={}", part.replace('+', "%2B"));
    form_urlencoded::parse(field.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What is answered.
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    /// How many entries it has.
    pub(crate) rows: usize,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether it is streamed, without an announced length.
    pub(crate) streamed: bool,
}

impl Reply {
    /// A body of JSON.
    pub(crate) fn of(body: Vec<u8>, rows: usize) -> Self {
        Self { body, rows, headers: Vec::new(), streamed: false }
    }

    fn json(value: &Value, rows: usize) -> Self {
        Self::of(value.to_string().into_bytes(), rows)
    }
}

/// All that an answer may depend on.
pub(crate) struct World<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) library: &'s Library,
    pub(crate) office: &'s Office,
    pub(crate) keys: &'s [Key],
    pub(crate) key: &'s Key,
    /// Since when things and sessions are that were deleted for good.
    pub(crate) erased: &'s std::collections::BTreeMap<String, Micros>,
    /// The request's query, decoded.
    pub(crate) pairs: &'s [(String, String)],
    pub(crate) now: Micros,
    pub(crate) fault: Option<&'s Fault>,
}

impl World<'_> {
    /// The answer of a route; one that erases is not answered here.
    ///
    /// # Errors
    ///
    /// What the API says instead.
    pub(crate) fn answer(&self, route: &Route) -> Result<Reply, Refusal> {
        match route {
            Route::Chats => self.chats(),
            Route::ChatMessages(id) => self.chat_messages(id),
            Route::LocalSessions => self.local_sessions(),
            Route::LocalSession(id) => self.local_session(id),
            Route::LocalMessages(id) => self.local_messages(id),
            Route::RemoteSessions => self.remote_sessions(),
            Route::RemoteMessages(id) => self.remote_messages(id),
            Route::Organizations => self.organizations(),
            Route::Users(uuid) => self.users(uuid),
            Route::Roles(uuid) => self.roles(uuid),
            Route::OrganizationSettings(uuid) => self.organization_settings(uuid),
            Route::Groups => self.groups(),
            Route::Members(id) => self.members(id),
            Route::Projects => self.projects(),
            Route::Attachments(id) => self.attachments(id),
            Route::CodeArtifacts => self.code_artifacts(),
            Route::File { id, generated, content } => self.file(id, *generated, *content),
            Route::Artifact { version, content } => self.artifact(version, *content),
            Route::Document(id) => self.document(id),
            Route::Erase(kind, id) => self.erasable(*kind, id),
        }
    }

    fn is(&self, kind: FaultKind) -> bool {
        self.fault.is_some_and(|fault| fault.kind == kind)
    }

    fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    fn seed(&self) -> u64 {
        self.settings.seed
    }

    /// The time of which chats, files, projects and groups are shown.
    fn seen(&self) -> Micros {
        self.now - self.settings.content_lag
    }

    /// Since when the tenant has things that no record tells of.
    fn since(&self) -> Micros {
        self.settings.start - self.settings.tenant.history
    }

    fn asked(&self, spec: &Spec) -> Result<Asked, Refusal> {
        let asked = Asked::read(self.pairs, spec, self.dialect() == Dialect::October)?;
        let (id, uuid) = self.office.organization();
        let foreign = |name: &&String| !(*name == id || *name == uuid) || !self.reaches();
        match asked.list("organization_ids[]").iter().find(foreign) {
            Some(name) => Err(Refusal::outside(name)),
            None => Ok(asked),
        }
    }

    /// The marks of a listing; `route` says its object and its order too.
    fn marks(&self, route: String, asked: &Asked) -> Marks {
        let Settings { seed, cursors: style, strict_cursors: strict, .. } = *self.settings;
        Marks { seed, style, strict, route, question: asked.question() }
    }

    /// Whether the key reaches the organization.
    fn reaches(&self) -> bool {
        let (id, uuid) = self.office.organization();
        let named = &self.key.organizations;
        named.is_empty() || named.contains(id) || named.contains(uuid)
    }

    /// The UUID of the organization.
    fn uuid(&self) -> &str {
        &self.office.organization().1
    }

    /// Everybody with an account, whom the key can see.
    fn people(&self) -> &[Person] {
        if self.reaches() { self.office.people() } else { &[] }
    }

    fn is_erased(&self, id: &str) -> bool {
        self.erased.get(id).is_some_and(|since| *since <= self.now)
    }

    /// The things of a kind that the key can see.
    fn things(&self, kind: Kind) -> impl Iterator<Item = (&str, &Thing)> {
        let reached = self.reaches();
        self.library.all(kind).filter(move |(id, _)| reached && !self.is_erased(id))
    }

    /// A thing by its id.
    ///
    /// # Errors
    ///
    /// 404 with its name, when it is not there, was erased or is out of reach.
    fn thing(&self, kind: Kind, name: &str, id: &str) -> Result<&Thing, Refusal> {
        let thing = self.library.get(kind, id).filter(|_| self.reaches() && !self.is_erased(id));
        thing.ok_or_else(|| Refusal::gone(name, id))
    }

    /// Who made something: the person a record names, or one by chance.
    fn owner(&self, who: Option<&(String, String)>, id: &str) -> Value {
        let by_chance = || {
            let people = self.office.people();
            let index = super::library::words::chance_of(self.seed(), "owner", id).index(people.len());
            people.get(index).map(|person| (person.user_id.clone(), person.email.clone()))
        };
        match who.cloned().or_else(by_chance) {
            Some((id, address)) => serde_json::json!({"id": id, "email_address": address}),
            None => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_part_by_part() {
        let id = |text: &str| Route::of("GET", text);
        assert_eq!(id("/apps/chats/a%2Fb%2B+c/messages"), Some(Route::ChatMessages("a/b++c".into())));
        assert_eq!(id("/apps/sessions/local/clls_01"), Some(Route::LocalSession("clls_01".into())));
        assert_eq!(id("/apps/sessions/remote/cse_01"), None, "there is no such route");
        assert_eq!(
            (Route::of("POST", "/organizations"), Route::of("DELETE", "/organizations")),
            (None, None)
        );
    }

    #[test]
    fn scopes_are_those_of_the_reference() {
        let scope = |text: &str| Route::of("GET", text).unwrap().scope();
        assert_eq!(scope("/organizations/u/users"), USER_DATA);
        assert_eq!(scope("/groups/g/members"), USER_DATA);
        assert_eq!(
            [scope("/groups"), scope("/organizations/u/roles"), scope("/organizations")],
            [ORG_DATA; 3]
        );
        assert_eq!(Route::of("DELETE", "/apps/chats/c").unwrap().scope(), DELETE);
    }
}
