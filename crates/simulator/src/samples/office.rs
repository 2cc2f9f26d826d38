//! The office of the samples: a dozen people, their machines, and somebody who does not belong.
//!
//! It owns who is who and writes down what they do; what happens is told in [`super::story`].

use std::collections::HashSet;

use model::catalog::Catalog;

use crate::cast::{Cast, CastSize, Person, named_person};
use crate::clock::{Micros, SECOND, instant};
use crate::json;
use crate::random::Random;
use crate::records::RecordGenerator;
use crate::values::{settle, tagged_id};

/// The office's address, shared by all who are in.
pub(super) const OFFICE_IP: &str = "203.0.113.10";
/// Where the thief comes from, and with what.
pub(super) const THIEF_IP: &str = "198.51.100.77";
pub(super) const THIEF_AGENT: &str = "python-requests/2.28.2";
/// The log collector and the build farm.
const COLLECTOR: (&str, &str) = ("192.0.2.25", "Elastic-filebeat/9.1.5 (linux; amd64)");
const FARM: (&str, &str) = ("2001:db8:40::c1", "Anthropic/Python 0.71.0");

/// Administrators first: the busier, the earlier.
const PEOPLE: [(&str, &str, &str); 12] = [
    ("Tomas Okafor", "192.0.2.14", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"),
    (
        "Noor Haddad",
        "2001:db8:11::4e",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    (
        "Mara Lindqvist",
        "2001:db8:12::9",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0.1 Safari/605.1.15",
    ),
    (
        "Ines Fontaine",
        "192.0.2.88",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
    ),
    ("Jonas Keller", "2001:db8:13::a1", "claude-cli/2.0.31 (external, cli)"),
    ("Priya Joshi", "192.0.2.131", "claude-cli/2.0.28 (external, claude-vscode)"),
    (
        "Wei Zhang",
        "198.51.100.203",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Claude/1.0.332 Chrome/140.0.7339.207 Electron/38.2.0 Safari/537.36",
    ),
    (
        "Lena Brandt",
        "2001:db8:14::77",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    (
        "Kofi Osei",
        "198.51.100.41",
        "Mozilla/5.0 (Linux; Android 16; Pixel 9 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.43 Mobile Safari/537.36",
    ),
    (
        "Sofia Rossi",
        "2001:db8:15::b",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Claude/1.0.332 Chrome/140.0.7339.207 Electron/38.2.0 Safari/537.36",
    ),
    ("Emeka Diallo", "192.0.2.176", "Claude/1.251020.1 CFNetwork/3860.100.1 Darwin/25.0.0"),
    (
        "Hana Sato",
        "2001:db8:16::2f",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0.1 Mobile/15E148 Safari/604.1",
    ),
];

/// A fixed field: its text, or its JSON.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'v> {
    Text(&'v str),
    Json(&'v str),
}

/// Writes down what happens, in any order.
pub(super) struct Narrator<'c> {
    pub(super) generator: RecordGenerator<'c>,
    lines: Vec<(Micros, String)>,
    told: HashSet<String>,
    people: Vec<Person>,
    fraction: Micros,
    /// Ids that occur more than once in the story.
    pub(super) ids: Ids,
}

/// The things the story is about.
pub(super) struct Ids {
    /// What follows the prefix in the ids of the stolen key.
    pub(super) stolen_key: String,
    pub(super) collector_key: String,
    pub(super) service_account: String,
    pub(super) workspace: String,
    pub(super) project: String,
    pub(super) connection: String,
    pub(super) directory: String,
    pub(super) newcomers_group: String,
    /// The keys the thief makes, with the stolen key and as Kofi.
    pub(super) thiefs_keys: [String; 2],
}

impl<'c> Narrator<'c> {
    pub(super) fn new(catalog: &'c Catalog, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6f66_6669_6365);
        let people: Vec<_> = PEOPLE
            .iter()
            .map(|(name, home, agent)| {
                let mut person = named_person(&mut random, name);
                person.email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
                person.addresses = vec![OFFICE_IP.to_owned(), (*home).to_owned()];
                person.agents = vec![(*agent).to_owned()];
                person
            })
            .collect();
        let mut id = |prefix| tagged_id(&mut random, prefix);
        let ids = Ids {
            stolen_key: id(""),
            collector_key: id(""),
            service_account: id("svac_"),
            workspace: id("wrkspc_"),
            project: id("claude_proj_"),
            connection: id("conn_"),
            directory: id("directory_"),
            newcomers_group: id("group_"),
            thiefs_keys: [id("apikey_"), id("apikey_")],
        };
        let cast =
            Cast::new(seed, CastSize { people: 1, machines: 5, addresses: 24 }).with_people(people.clone());
        let generator = RecordGenerator::with_cast(catalog, seed, cast);
        Self { generator, lines: Vec::new(), told: HashSet::new(), people, fraction: 0, ids }
    }

    /// How many records there are so far.
    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Writes down one activity at a point in time; an empty actor means one that fits.
    pub(super) fn tell(&mut self, at: Micros, actor: &str, activity_type: &str, fields: &[(&str, Given)]) {
        // The story speaks of whole seconds; what happens within one keeps the order it is told in.
        let at = if at % SECOND == 0 {
            let moment = at + self.next_fraction();
            settle(&mut self.generator.random, moment)
        } else {
            at
        };
        let mut draft = self.generator.draft(activity_type).at(at);
        if !actor.is_empty() {
            draft = draft.actor_json(actor);
        }
        for (name, given) in fields {
            draft = match given {
                Given::Text(text) => draft.set(name, text),
                Given::Json(json) => draft.set_json(name, json),
            };
        }
        self.lines.push((at, draft.finish()));
        self.told.insert(activity_type.to_owned());
    }

    /// A fraction of a second, larger than any given before until they start over.
    fn next_fraction(&mut self) -> Micros {
        self.fraction = (self.fraction + self.generator.random.range(1, 9_000) as Micros) % 900_000;
        self.fraction
    }

    /// The types that have occurred.
    pub(super) fn told(&self) -> &HashSet<String> {
        &self.told
    }

    /// All of it by time, as newline-delimited JSON.
    pub(super) fn into_text(mut self) -> String {
        self.lines.sort_by_key(|(at, _)| *at);
        self.lines.into_iter().flat_map(|(_, line)| [line, "\n".to_owned()]).collect()
    }

    /// Somebody from the office by first name; the first of the list when nobody is called that.
    pub(super) fn person(&self, first_name: &str) -> &Person {
        self.people.iter().find(|person| person.name.starts_with(first_name)).unwrap_or(&self.people[0])
    }

    /// Everybody's first name.
    pub(super) fn first_names() -> impl Iterator<Item = &'static str> {
        PEOPLE.iter().filter_map(|(name, _, _)| name.split(' ').next())
    }

    /// Somebody at work.
    pub(super) fn at_work(&self, first_name: &str) -> String {
        self.from(first_name, OFFICE_IP)
    }

    /// Somebody at home.
    pub(super) fn at_home(&self, first_name: &str) -> String {
        self.from(first_name, &self.person(first_name).addresses[1])
    }

    /// Somebody, or somebody else in their name, at an address.
    pub(super) fn from(&self, first_name: &str, address: &str) -> String {
        let person = self.person(first_name);
        user(person, address, &person.agents[0])
    }

    /// The thief in somebody's name.
    pub(super) fn thief_as(&self, first_name: &str) -> String {
        user(self.person(first_name), THIEF_IP, "curl/8.5.0")
    }

    /// Somebody not signed in yet who claims to be this person.
    pub(super) fn claims_to_be(&self, first_name: &str, address: &str) -> String {
        let person = self.person(first_name);
        object(&[
            ("type", "unauthenticated_user_actor"),
            ("ip_address", address),
            ("user_agent", &person.agents[0]),
            ("unauthenticated_email_address", &person.email),
        ])
    }

    /// The log collector's key as the Compliance API sees it.
    pub(super) fn collector(&self) -> String {
        api_key(&self.ids.collector_key, COLLECTOR.0, COLLECTOR.1)
    }

    /// The stolen key in its owner's hands.
    pub(super) fn key_at_work(&self) -> String {
        api_key(&self.ids.stolen_key, FARM.0, FARM.1)
    }

    /// The stolen key in the thief's.
    pub(super) fn key_stolen(&self) -> String {
        api_key(&self.ids.stolen_key, THIEF_IP, THIEF_AGENT)
    }

    /// The service account of the build farm.
    pub(super) fn service_account(&self) -> String {
        object(&[
            ("type", "service_account_actor"),
            ("ip_address", FARM.0),
            ("service_account_id", &self.ids.service_account),
            ("user_agent", FARM.1),
        ])
    }

    /// The identity provider's directory, at one of its events.
    pub(super) fn directory(&mut self) -> String {
        let event = tagged_id(&mut self.generator.random, "event_");
        object(&[
            ("type", "scim_directory_sync_actor"),
            ("directory_id", &self.ids.directory),
            ("workos_event_id", &event),
            ("idp_connection_type", "okta"),
        ])
    }
}

fn user(person: &Person, address: &str, agent: &str) -> String {
    object(&[
        ("type", "user_actor"),
        ("email_address", &person.email),
        ("ip_address", address),
        ("user_agent", agent),
        ("user_id", &person.user_id),
    ])
}

fn api_key(tail: &str, address: &str, agent: &str) -> String {
    let id = format!("apikey_{tail}");
    object(&[("type", "api_actor"), ("api_key_id", &id), ("ip_address", address), ("user_agent", agent)])
}

/// An object of texts.
pub(super) fn object(fields: &[(&str, &str)]) -> String {
    let mut out = String::from("{");
    for (name, text) in fields {
        json::key(&mut out, name);
        json::string(&mut out, text);
    }
    out.push('}');
    out
}

/// A point in time on the first or second day, `HH:MM:SS`; what is missing counts as zero.
pub(super) fn at(day: u32, clock: &str) -> Micros {
    let mut parts = clock.split(':').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    instant((2026, 10, 5 + day), part(), part(), part())
}
