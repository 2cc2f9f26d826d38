//! A believable value for a field, found by the field's name.
//!
//! The catalog says `string`; this table says what such a string looks like: which prefix an id has,
//! that `previous_model` is a model. It knows names only, not which type a field belongs to. A name
//! without a rule gets a word, so a newer catalog works before anyone has added to the table.

use crate::cast::Cast;
use crate::clock::{Micros, Precision, SECOND, date, rfc3339};
use crate::random::Random;
use crate::rules::{Text, number_rule, text_rule};
use crate::vocabulary::{DOMAINS, FILES, GROUPS, HOSTS, LABELS, SCOPES, SENTENCES, SLUGS};

/// Characters of tagged ids, as base 58 has them.
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Characters of hashes and UUIDs.
const HEX: &[u8] = b"0123456789abcdef";
/// Characters of Slack ids.
const SLACK: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// A tagged id: the prefix, `01` and 22 characters.
pub(crate) fn tagged_id(random: &mut Random, prefix: &str) -> String {
    let mut id = format!("{prefix}01");
    random.letters(&mut id, BASE58, 22);
    id
}

/// Random lowercase hex digits.
pub(crate) fn hex(random: &mut Random, digits: usize) -> String {
    let mut text = String::with_capacity(digits);
    random.letters(&mut text, HEX, digits);
    text
}

/// A version 4 UUID.
pub(crate) fn uuid(random: &mut Random) -> String {
    let mut text = hex(random, 36);
    for dash in [8, 13, 18, 23] {
        text.replace_range(dash..=dash, "-");
    }
    text.replace_range(14..15, "4");
    text.replace_range(19..20, "a");
    text
}

/// A text for the field `name` of a record written at `now`.
pub(crate) fn text(random: &mut Random, cast: &Cast, now: Micros, name: &str) -> String {
    match text_rule(name) {
        Text::Id(prefix) => tagged_id(random, prefix),
        Text::OneOf(choices) => (*random.pick(choices)).to_owned(),
        Text::UserId => cast.any_person(random).user_id.clone(),
        Text::Email => cast.any_person(random).email.clone(),
        Text::PersonName => cast.any_person(random).name.clone(),
        Text::PrincipalId => {
            let prefix = random.pick(&["user_", "group_", "svac_"]);
            tagged_id(random, prefix)
        }
        Text::Address => cast.any_address(random).to_string(),
        Text::Agent => cast.any_agent(random).to_owned(),
        Text::File => (*random.pick(FILES)).to_owned(),
        Text::Label => (*random.pick(LABELS)).to_owned(),
        Text::Group => (*random.pick(GROUPS)).to_owned(),
        Text::Slug => (*random.pick(SLUGS)).to_owned(),
        Text::Sentence => (*random.pick(SENTENCES)).to_owned(),
        Text::Host => (*random.pick(HOSTS)).to_owned(),
        Text::Domain => (*random.pick(DOMAINS)).to_owned(),
        Text::Scope => (*random.pick(SCOPES)).to_owned(),
        Text::Scopes => format!("{} {}", SCOPES[random.index(3)], SCOPES[3 + random.index(3)]),
        Text::Repo => format!("example-org/{}", random.pick(SLUGS)),
        Text::Origin => format!("https://{}.example.com", random.pick(SLUGS)),
        Text::Url => format!("https://{}.example.com/{}", random.pick(SLUGS), random.pick(SLUGS)),
        Text::ApiUrl => api_url(random),
        Text::Uuid => uuid(random),
        Text::Hex(digits) => hex(random, digits),
        Text::Sha256 => format!("sha256:{}", hex(random, 64)),
        Text::Fingerprint => fingerprint(random),
        Text::Slack(letter) => {
            let mut id = format!("{letter}0");
            random.letters(&mut id, SLACK, 9);
            id
        }
        Text::SlackThread => {
            format!("{}.{:06}", now / SECOND - random.below(9_000) as i64, random.below(1_000_000))
        }
        Text::Version => version(random),
        Text::Digits(low, high) => random.range(low, high).to_string(),
        Text::Past => {
            let offset = random_offset(random);
            let at = settle(random, now - offset);
            moment(random, at)
        }
        Text::Future => {
            let offset = random_offset(random);
            let at = settle(random, now + offset);
            moment(random, at)
        }
        Text::Date => date(now - random_offset(random) * 30),
        Text::RequestBody => {
            format!("{{\"limit\":{},\"ids\":[\"{}\"]}}", random.range(1, 500), tagged_id(random, "user_"))
        }
        Text::RoleArn => format!("arn:aws:iam::{}:role/{}", aws_account(random), random.pick(SLUGS)),
        Text::AwsAccount => aws_account(random),
        Text::GoogleAccount => format!(
            "{}@ledger-{}.iam.gserviceaccount.example.com",
            random.pick(SLUGS),
            random.range(100, 999)
        ),
        Text::Subject => subject(random),
    }
}

/// A number for the field `name`, as JSON text.
pub(crate) fn number(random: &mut Random, name: &str) -> String {
    let rule = number_rule(name);
    if let Some(choices) = rule.choices {
        return random.pick(choices).to_string();
    }
    let whole = random.range(rule.low, rule.high);
    if rule.fraction && random.chance(50) {
        format!("{whole}.{}", random.range(1, 9))
    } else {
        whole.to_string()
    }
}

/// A time as the feed spells it: nothing of it is cut off, and there are two ways to say UTC.
pub(crate) fn moment(random: &mut Random, at: Micros) -> String {
    let precisions: &[Precision] = match at {
        whole if whole % SECOND == 0 => {
            &[Precision::Seconds, Precision::Seconds, Precision::Millis, Precision::Micros]
        }
        millis if millis % 1_000 == 0 => &[Precision::Millis],
        _ => &[Precision::Micros],
    };
    let precision = *random.pick(precisions);
    rfc3339(at, precision, !random.chance(20))
}

/// Moves a time up to the next whole second or millisecond, or leaves it: clocks differ in what they tell.
pub(crate) fn settle(random: &mut Random, at: Micros) -> Micros {
    let tick = [SECOND, 1_000, 1, 1][random.index(4)];
    (at + tick - 1).div_euclid(tick) * tick
}

/// Up to two days.
fn random_offset(random: &mut Random) -> Micros {
    random.range(60, 172_800) as i64 * SECOND + random.below(1_000_000) as i64
}

/// A call to the Compliance API, query string included, as its own footprint shows it.
fn api_url(random: &mut Random) -> String {
    let path = match random.below(10) {
        0 => format!("apps/chats/{}/messages", tagged_id(random, "claude_chat_")),
        1 => format!("apps/chats?user_ids[]={}&limit=100", tagged_id(random, "user_")),
        2 => format!("organizations/{}/users?limit=500", uuid(random)),
        3 => format!("groups/{}/members", tagged_id(random, "group_")),
        _ => format!(
            "activities?order=asc&limit=5000&created_at.gte=2026-10-0{}T{:02}%3A00%3A00Z",
            random.range(1, 9),
            random.below(24)
        ),
    };
    format!("https://api.anthropic.com/v1/compliance/{path}")
}

fn fingerprint(random: &mut Random) -> String {
    (0..20).map(|_| hex(random, 2).to_uppercase()).collect::<Vec<_>>().join(":")
}

fn version(random: &mut Random) -> String {
    let plain = format!("{}.{}.{}", random.below(4), random.below(20), random.below(12));
    if random.chance(15) { format!("{plain}-rc.{}", random.range(1, 4)) } else { plain }
}

fn aws_account(random: &mut Random) -> String {
    format!("{:012}", random.below(1_000_000_000_000))
}

/// What an identity provider calls a workload.
fn subject(random: &mut Random) -> String {
    match random.below(3) {
        0 => format!("repo:example-org/{}:ref:refs/heads/main", random.pick(SLUGS)),
        1 => format!("system:serviceaccount:prod:{}", random.pick(SLUGS)),
        _ => format!("spiffe://example.org/ns/batch/sa/{}", random.pick(SLUGS)),
    }
}
