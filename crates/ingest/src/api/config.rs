//! `[source] type = "compliance_api"`: what can be said about it, and what follows from that.
//!
//! Owns the keys, their defaults, and what is refused or warned of. No IO: whether a key file can be read or a server answers
//! is found out when the source is opened.
//!
//! The subtle thing: filters can hide rows without anybody noticing, so each that can do so is warned of at the start.

use std::path::PathBuf;
use std::time::Duration;

use model::fault::{Fault, FaultKind};
use model::settings::{Period, Secret};
use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::query::Filters;
use super::time::Micros;

/// The most rows the API gives in a page.
pub(super) const MOST_ROWS: u32 = 5_000;

/// Types whose rows may become visible days after the event.
const SLOW_TYPES: [&str; 2] = ["anthropic_access", "cmek_preserve"];

/// The keys of `[source]` with `type = "compliance_api"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComplianceApiConfig {
    /// Where the API is, without `/v1/compliance`.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// A Compliance Access Key with the scope `read:compliance_activities`, or an Admin API key. Take it from the
    /// environment: `"${ANTHROPIC_COMPLIANCE_KEY}"`.
    pub api_key: Option<Secret>,
    /// A file with the key. It is read again when the key is refused, so that a key can be replaced while the stage runs.
    pub api_key_file: Option<PathBuf>,
    /// How the key is sent: `x-api-key` or `bearer`.
    #[serde(default)]
    pub authentication: Authentication,
    /// How often the newest rows are asked for. A timer, whatever came: each request makes a row itself.
    #[serde(default = "poll_interval")]
    pub poll_interval: Period,
    /// The most rows in a page, 1 to 5000. It is lowered for a while when pages do not come through.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// How far behind the clock a window ends. Rows are promised to be there within a minute.
    #[serde(default = "lag")]
    pub lag: Period,
    /// How much of the time before it each window reads again, for rows that came late.
    #[serde(default = "overlap")]
    pub overlap: Period,
    /// What is read again later, for rows that came later still.
    #[serde(default = "reconcile")]
    pub reconcile: Vec<ReconcileConfig>,
    /// Also ask for rows younger than `lag`, this often. What is found is given at once, and read again with its window.
    pub tail: Option<Period>,
    /// How far back the first start begins; 24h when neither this nor `since` is given. More than two days are read in the
    /// background, the newest rows first of all.
    pub initial_lookback: Option<Period>,
    /// When the first start begins, like `2026-01-31T00:00:00Z` or `2026-01-31`.
    pub since: Option<Time>,
    /// Stop when everything before this is delivered, like `2026-02-28T00:00:00Z`. Nothing is reconciled then.
    pub until: Option<Time>,
    /// Only these activity types. New types never match.
    #[serde(default)]
    pub activity_types: Vec<String>,
    /// All but these activity types. Cannot be used with `activity_types`.
    #[serde(default)]
    pub exclude_activity_types: Vec<String>,
    /// Only rows of these users (`user_…`). Hides all rows of keys, directories, services and Anthropic.
    #[serde(default)]
    pub actor_ids: Vec<String>,
    /// Only rows of these organizations, and those of none.
    #[serde(default)]
    pub organization_ids: Vec<String>,
    /// How much of the 600 requests a minute, which all keys of an organization share, may be used: more than 0, at most 1.
    #[serde(default = "budget_share")]
    pub budget_share: f64,
    /// A PEM file with authorities that sign the server's certificate, in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    /// A proxy, `http://host:port`. Without it, `HTTPS_PROXY` and `NO_PROXY` of the environment are followed.
    pub proxy: Option<Secret>,
    /// How long one page may take.
    #[serde(default = "timeout")]
    pub timeout: Period,
    /// Allow `http://` to other machines. The key is then readable for everybody on the way.
    #[serde(default)]
    pub danger_plain_http: bool,
}

/// A re-read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconcileConfig {
    /// How often.
    pub every: Period,
    /// How far back.
    pub depth: Period,
    /// Only these activity types; all if there are none.
    #[serde(default)]
    pub activity_types: Vec<String>,
}

/// How a key is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// `x-api-key: …`
    #[default]
    XApiKey,
    /// `Authorization: Bearer …`
    Bearer,
}

/// A point in time in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Micros);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Micros::parse(&text).or_else(|| Micros::parse(&format!("{text}T00:00:00Z"))).map(Self).ok_or_else(
            || format!("`{text}` is no time; write it like `2026-01-31T00:00:00Z` or `2026-01-31`"),
        )
    }
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"title": "time", "type": "string", "examples": ["2026-01-31T00:00:00Z", "2026-01-31"]})
    }
}

fn base_url() -> String {
    "https://api.anthropic.com".into()
}
const fn seconds(seconds: u64) -> Period {
    Period(Duration::from_secs(seconds))
}
fn poll_interval() -> Period {
    seconds(60)
}
fn page_size() -> u32 {
    MOST_ROWS
}
fn lag() -> Period {
    seconds(90)
}
fn overlap() -> Period {
    seconds(600)
}
fn budget_share() -> f64 {
    0.25
}
fn timeout() -> Period {
    seconds(120)
}
fn reconcile() -> Vec<ReconcileConfig> {
    let pass = |every: u64, depth: u64, types: &[&str]| ReconcileConfig {
        every: seconds(every * 3_600),
        depth: seconds(depth * 3_600),
        activity_types: types.iter().map(|name| (*name).to_owned()).collect(),
    };
    vec![pass(1, 6, &[]), pass(24, 48, &[]), pass(24, 5 * 24, &SLOW_TYPES)]
}

/// Where the first start begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// So long before now.
    Lookback(Duration),
    /// At this time.
    Since(Micros),
}

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) base_url: Url,
    pub(super) key: Key,
    pub(super) authentication: Authentication,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy: Option<Secret>,
    pub(super) timeout: Duration,
    pub(super) rules: Rules,
}

/// Where the key is.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Text(Secret),
    File(PathBuf),
}

/// The part of the settings that decides what is read when.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) filters: Filters,
    pub(super) poll_interval: Duration,
    pub(super) page_size: u32,
    pub(super) lag: Duration,
    pub(super) overlap: Duration,
    pub(super) passes: Vec<PassRule>,
    pub(super) tail: Option<Duration>,
    pub(super) beginning: Beginning,
    pub(super) until: Option<Micros>,
    pub(super) budget_share: f64,
    pub(super) warnings: Vec<String>,
}

/// A re-read, with the types that the filters leave of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PassRule {
    /// By this a pass is known in the kept position.
    pub(super) name: String,
    pub(super) every: Duration,
    pub(super) depth: Duration,
    pub(super) types: Option<Vec<String>>,
}

fn unusable(cause: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Unusable, format!("[source] {}", cause.into()), remedy)
}

impl ComplianceApiConfig {
    /// Checks what can be checked without IO.
    ///
    /// # Errors
    ///
    /// What makes no sense, and which key to change: [`FaultKind::Unusable`].
    pub fn validate(&self) -> Result<Settings, Fault> {
        let key = match (&self.api_key, &self.api_key_file) {
            (Some(key), None) if key.expose().trim().is_empty() => {
                return Err(unusable("`api_key` is empty", "set the variable it is taken from"));
            }
            (Some(key), None) => Key::Text(key.clone()),
            (None, Some(path)) => Key::File(path.clone()),
            (Some(_), Some(_)) => {
                return Err(unusable("has both `api_key` and `api_key_file`", "leave one of them out"));
            }
            (None, None) => {
                let remedy = "set `api_key = \"${ANTHROPIC_COMPLIANCE_KEY}\"` or `api_key_file`";
                return Err(unusable("has no key", remedy));
            }
        };
        Ok(Settings {
            base_url: self.url()?,
            key,
            authentication: self.authentication,
            ca_file: self.ca_file.clone(),
            proxy: self.proxy.clone(),
            timeout: self.timeout.0,
            rules: self.rules()?,
        })
    }

    fn url(&self) -> Result<Url, Fault> {
        // The address itself is not quoted: somebody may have put a password into it.
        let url = Url::parse(&self.base_url).map_err(|error| {
            unusable(format!("`base_url` is no address: {error}"), "write it like https://api.anthropic.com")
        })?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            let cause = "`base_url` has a user, a query or a fragment in it";
            return Err(unusable(cause, "leave only https://host, and put the key into `api_key`"));
        }
        let loopback = match url.host_str() {
            Some(host) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost"
                    || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            None => {
                return Err(unusable("`base_url` names no host", "write it like https://api.anthropic.com"));
            }
        };
        match url.scheme() {
            "https" => Ok(url),
            "http" if loopback || self.danger_plain_http => Ok(url),
            "http" => Err(unusable(
                "`base_url` begins with http://, and would send the key in the clear",
                "write https://, or set `danger_plain_http = true`",
            )),
            _ => Err(unusable("`base_url` is neither https:// nor http://", "write https://")),
        }
    }

    fn rules(&self) -> Result<Rules, Fault> {
        if !(1..=MOST_ROWS).contains(&self.page_size) {
            return Err(unusable(format!("`page_size` is {}", self.page_size), "set it from 1 to 5000"));
        }
        if !(self.budget_share > 0.0 && self.budget_share <= 1.0) {
            return Err(unusable(
                format!("`budget_share` is {}", self.budget_share),
                "set it above 0 and up to 1: 0.25 is 150 requests a minute",
            ));
        }
        let periods = [("poll_interval", self.poll_interval.0), ("timeout", self.timeout.0)];
        let periods = periods.into_iter().chain(self.tail.map(|tail| ("tail", tail.0)));
        if let Some((key, _)) = periods.into_iter().find(|(_, period)| *period < Duration::from_secs(1)) {
            return Err(unusable(format!("`{key}` is less than a second"), "set it to 1s or more"));
        }
        let beginning = match (self.initial_lookback, self.since) {
            (Some(_), Some(_)) => {
                return Err(unusable("has both `initial_lookback` and `since`", "leave one of them out"));
            }
            (Some(lookback), None) => Beginning::Lookback(lookback.0),
            (None, Some(since)) => Beginning::Since(since.0),
            (None, None) => Beginning::Lookback(Duration::from_secs(86_400)),
        };
        if let (Beginning::Since(since), Some(Time(until))) = (beginning, self.until)
            && until <= since
        {
            return Err(unusable(
                format!("`until`, {until}, is not after `since`, {since}"),
                "change one of them",
            ));
        }
        let filters = self.filters()?;
        let passes = self.passes(&filters)?;
        Ok(Rules {
            warnings: self.warnings(),
            filters,
            poll_interval: self.poll_interval.0,
            page_size: self.page_size,
            lag: self.lag.0,
            overlap: self.overlap.0,
            passes,
            tail: self.tail.map(|tail| tail.0),
            beginning,
            until: self.until.map(|time| time.0),
            budget_share: self.budget_share,
        })
    }

    fn filters(&self) -> Result<Filters, Fault> {
        if !self.activity_types.is_empty() && !self.exclude_activity_types.is_empty() {
            return Err(unusable(
                "has both `activity_types` and `exclude_activity_types`, which the API refuses together",
                "leave one of them out; excluding loses no new types",
            ));
        }
        if let Some(id) = self.actor_ids.iter().find(|id| !id.starts_with("user_")) {
            return Err(unusable(
                format!("`actor_ids` has `{id}`; only ids that begin with user_ can be asked for"),
                "leave it out, and filter by actor behind this stage",
            ));
        }
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list.dedup();
            list
        };
        let lists =
            [&self.activity_types, &self.exclude_activity_types, &self.actor_ids, &self.organization_ids];
        if lists.into_iter().flatten().any(|value| value.trim().is_empty()) {
            return Err(unusable("has an empty text in a filter", "leave it out"));
        }
        Ok(Filters {
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            activity_types: sorted(&self.activity_types),
            exclude_activity_types: sorted(&self.exclude_activity_types),
            actor_ids: sorted(&self.actor_ids),
            organization_ids: sorted(&self.organization_ids),
        })
    }

    fn passes(&self, filters: &Filters) -> Result<Vec<PassRule>, Fault> {
        let mut passes: Vec<PassRule> = Vec::new();
        if self.until.is_some() {
            return Ok(passes);
        }
        for pass in &self.reconcile {
            let (every, depth) = (pass.every.0, pass.depth.0);
            if every < Duration::from_secs(60) || depth <= self.lag.0 + self.overlap.0 {
                return Err(unusable(
                    format!("`reconcile` has every = {}, depth = {}", pass.every, pass.depth),
                    "let a re-read come at most every minute, and reach farther back than `lag` and `overlap`",
                ));
            }
            if depth < every {
                return Err(unusable(
                    format!(
                        "`reconcile` reads {} every {}, which leaves out what is between",
                        pass.depth, pass.every
                    ),
                    "let `depth` be at least `every`",
                ));
            }
            let types = match pass.activity_types.as_slice() {
                [] => None,
                types => match filters.narrowed(types) {
                    Some(types) => Some(types),
                    None => continue,
                },
            };
            let which = types.as_ref().map_or_else(|| "all types".to_owned(), |types| types.join("+"));
            let name = format!("{} back every {}, {which}", pass.depth, pass.every);
            if passes.iter().any(|other| other.name == name) {
                return Err(unusable(format!("`reconcile` has the same twice: {name}"), "leave one out"));
            }
            passes.push(PassRule { name, every, depth, types });
        }
        Ok(passes)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |condition: bool, words: &str| {
            if condition {
                warnings.push(words.to_owned());
            }
        };
        warn(
            !self.activity_types.is_empty(),
            "`activity_types` hides every type that is not in it, new ones included",
        );
        warn(
            !self.exclude_activity_types.is_empty(),
            "`exclude_activity_types` hides rows, and with them who read the feed if compliance_api_accessed is among them",
        );
        warn(
            !self.actor_ids.is_empty(),
            "`actor_ids` hides all rows that no user caused: keys, directories, services, Anthropic",
        );
        warn(
            !self.organization_ids.is_empty(),
            "`organization_ids` hides the rows of all other organizations",
        );
        warn(
            self.lag.0 < Duration::from_secs(60),
            "`lag` is less than the minute in which rows are promised to be there",
        );
        warn(
            self.overlap.0.is_zero(),
            "without `overlap`, rows that come late are found only when they are reconciled",
        );
        warn(
            self.reconcile.is_empty() && self.until.is_none(),
            "without `reconcile`, rows that come later than `lag` and `overlap` allow are lost",
        );
        warn(
            self.page_size < 100,
            "`page_size` is small: each request makes a row itself, so that small pages keep themselves busy",
        );
        warn(self.danger_plain_http, "`danger_plain_http` sends the key in the clear");
        warnings
    }
}

impl Settings {
    /// What should be known before this is run.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.rules.warnings
    }

    /// The host, for people.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.rules.filters.base_url
    }
}

impl Rules {
    /// Whether rows of any kind can come, so that our own footprint can be looked for.
    pub(super) fn hides_nothing(&self) -> bool {
        let filters = &self.filters;
        let hidden = &filters.exclude_activity_types;
        filters.activity_types.is_empty()
            && filters.actor_ids.is_empty()
            && !hidden.iter().any(|name| name == "compliance_api_accessed")
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
