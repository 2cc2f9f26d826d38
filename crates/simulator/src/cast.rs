//! Who acts: people and machines with their habits.
//!
//! Everybody has an id, one to three addresses and one or two user agents, and mostly uses the first
//! of each. It owns identities; which of them fits an activity is [`crate::fits`]'s business.

use crate::addresses::AddressPlan;
use crate::agents::Agents;
use crate::random::{Random, Weighted};
use crate::values::{hex, tagged_id};
use crate::vocabulary::{DOMAINS, FIRST_NAMES, LAST_NAMES};

/// How large a cast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastSize {
    /// People, up to 5,184 before names repeat with a number.
    pub people: usize,
    /// Keys, service accounts, workloads and directories.
    pub machines: usize,
    /// Distinct addresses.
    pub addresses: usize,
}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Person {
    /// First and last name.
    pub name: String,
    /// The address of the account.
    pub email: String,
    /// `user_01…`.
    pub user_id: String,
    /// Where they work, the usual place first.
    pub addresses: Vec<String>,
    /// What they work with, the usual client first.
    pub agents: Vec<String>,
}

/// A key, a service account, a workload or a directory.
#[derive(Debug, Clone)]
struct Machine {
    /// What follows the prefix in every id it goes by: one key is `apikey_X` here, `admin_api_key_X` there.
    tail: String,
    address: String,
    agent: String,
}

/// Somebody or something about to act: what the fields of an actor are filled with.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    person: Option<Person>,
    tail: String,
    address: String,
    agent: String,
}

impl Presence {
    /// The value of an actor's field, if identity decides it.
    pub(crate) fn value(&self, field: &str) -> Option<String> {
        match field {
            "ip_address" => Some(self.address.clone()),
            "user_agent" => Some(self.agent.clone()),
            "user_id" => self.person.as_ref().map(|person| person.user_id.clone()),
            "email_address" | "unauthenticated_email_address" => {
                self.person.as_ref().map(|person| person.email.clone())
            }
            "api_key_id" => Some(format!("apikey_{}", self.tail)),
            "admin_api_key_id" => Some(format!("admin_api_key_{}", self.tail)),
            "service_account_id" => Some(format!("svac_{}", self.tail)),
            "directory_id" => Some(format!("directory_{}", self.tail)),
            "external_client_id" => Some(format!("clid_{}", self.tail)),
            _ => None,
        }
    }
}

/// Everybody and everything that acts in one organization.
#[derive(Debug, Clone)]
pub struct Cast {
    people: Vec<Person>,
    machines: Vec<Machine>,
    addresses: AddressPlan,
    agents: Agents,
    /// Few people do most of the work.
    busy_people: Weighted,
    busy_machines: Weighted,
    busy_addresses: Weighted,
    /// `org_01…` and the UUID of the organization.
    pub(crate) organization: (String, String),
}

impl Cast {
    /// A cast of that size; the same seed gives the same people.
    #[must_use]
    pub fn new(seed: u64, size: CastSize) -> Self {
        // Another sequence than that of a generator with the same seed, or their ids would be alike.
        let mut random = Random::new(seed ^ 0x6361_7374);
        let agents = Agents::new();
        let addresses = AddressPlan::new(size.addresses);
        let busy_addresses = Weighted::zipf(addresses.count(), 12);
        let used_agents = Weighted::zipf(agents.people.len(), 6);
        let used_programs = Weighted::zipf(agents.programs.len(), 3);
        let people = (0..size.people.max(1)).map(|index| {
            let mut person = named_person(&mut random, &full_name(index));
            let places = [1, 1, 2, 2, 3][random.index(5)];
            // An office that many share, or a home of one's own, which half the time is among the IPv4.
            let mut place = |_| {
                let rank = match random.below(10) {
                    0..6 => busy_addresses.pick(&mut random),
                    6..8 => random.index(addresses.count().min(1_000)),
                    _ => random.index(addresses.count()),
                };
                addresses.address(rank).to_string()
            };
            person.addresses = (0..places).map(&mut place).collect();
            let clients = [1, 1, 2][random.index(3)];
            person.agents =
                (0..clients).map(|_| agents.people[used_agents.pick(&mut random)].clone()).collect();
            person
        });
        let people: Vec<_> = people.collect();
        let machines = (0..size.machines.max(1)).map(|_| Machine {
            tail: tagged_id(&mut random, ""),
            address: addresses.address(random.index(addresses.count())).to_string(),
            agent: agents.programs[used_programs.pick(&mut random)].clone(),
        });
        let machines: Vec<_> = machines.collect();
        let organization = (tagged_id(&mut random, "org_"), crate::values::uuid(&mut random));
        Self {
            busy_people: Weighted::zipf(people.len(), 20),
            busy_machines: Weighted::zipf(machines.len(), 3),
            people,
            machines,
            addresses,
            agents,
            busy_addresses,
            organization,
        }
    }

    /// The same cast with these people in place of the invented ones; an empty list changes nothing.
    #[must_use]
    pub fn with_people(mut self, people: Vec<Person>) -> Self {
        if !people.is_empty() {
            self.busy_people = Weighted::zipf(people.len(), 4);
            self.people = people;
        }
        self
    }

    /// Everybody with an account.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Somebody, the busy more often.
    pub(crate) fn any_person(&self, random: &mut Random) -> &Person {
        &self.people[self.busy_people.pick(random)]
    }

    /// An address of the plan, the busy more often.
    pub(crate) fn any_address(&self, random: &mut Random) -> std::net::IpAddr {
        self.addresses.address(self.busy_addresses.pick(random))
    }

    /// Any user agent.
    pub(crate) fn any_agent(&self, random: &mut Random) -> &str {
        let list = if random.chance(80) { &self.agents.people } else { &self.agents.programs };
        &list[random.index(list.len())]
    }

    /// Somebody or something that can act as an actor of this kind.
    pub(crate) fn presence(&self, random: &mut Random, kind: &str) -> Presence {
        let machine = &self.machines[self.busy_machines.pick(random)];
        let of_people =
            ["user_actor", "unauthenticated_user_actor", "attested_device_actor", "anthropic_actor"]
                .contains(&kind);
        if !of_people {
            let Machine { tail, address, agent } = machine.clone();
            return Presence { person: None, tail, address, agent };
        }
        let person = self.any_person(random).clone();
        // Mostly the usual place and client; now and then an address never seen with this person.
        let address = match random.below(100) {
            0..3 => self.addresses.address(random.index(self.addresses.count())).to_string(),
            3..80 => person.addresses[0].clone(),
            _ => random.pick(&person.addresses).clone(),
        };
        let agent =
            if random.chance(80) { person.agents[0].clone() } else { random.pick(&person.agents).clone() };
        let person =
            if kind == "anthropic_actor" { Person { email: staff_email(random), ..person } } else { person };
        Presence { person: Some(person), tail: machine.tail.clone(), address, agent }
    }
}

/// A person of that name, without places and clients yet.
pub(crate) fn named_person(random: &mut Random, name: &str) -> Person {
    let domain = random.pick(DOMAINS);
    let local = name.to_lowercase().replace(' ', ".").replace('ö', "o");
    let user_id = tagged_id(random, "user_");
    Person {
        name: name.to_owned(),
        email: format!("{local}@{domain}"),
        user_id,
        addresses: Vec::new(),
        agents: Vec::new(),
    }
}

/// The name of the person with that index; no two share one until all pairs are used.
fn full_name(index: usize) -> String {
    let first = FIRST_NAMES[index % FIRST_NAMES.len()];
    let round = index / FIRST_NAMES.len();
    let last = LAST_NAMES[(round + index) % LAST_NAMES.len()];
    match round / LAST_NAMES.len() {
        0 => format!("{first} {last}"),
        again => format!("{first} {last}{again}"),
    }
}

/// Anthropic's staff stay nameless; the field is nearly always null.
fn staff_email(random: &mut Random) -> String {
    format!("staff-{}@anthropic.example", hex(random, 4))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn five_thousand_people_are_distinct_and_have_places_and_clients() {
        let cast = Cast::new(3, CastSize { people: 5_000, machines: 40, addresses: 8_000 });
        let emails: HashSet<_> = cast.people().iter().map(|person| person.email.split('@').next()).collect();
        assert_eq!(emails.len(), 5_000);
        assert!(
            cast.people()
                .iter()
                .all(|person| (1..=3).contains(&person.addresses.len()) && !person.agents.is_empty())
        );
        assert!(cast.people().iter().all(|person| person.email.is_ascii()));
    }
}
