//! Keys: what they are, what they open, and how they end.
//!
//! Owns who is who. What a refused caller is told differs between the dialects and stands in
//! [`super::refusal`]. The same key is `apikey_X` where it acts and `admin_api_key_X` where it is made.

use serde::{Deserialize, Serialize};

use super::refusal::{Dialect, Refusal};
use super::row::base58;
use crate::random::Random;

/// Opens the feed.
pub const ACTIVITIES: &str = "read:compliance_activities";
/// Opens chats, sessions, files, users and members.
pub const USER_DATA: &str = "read:compliance_user_data";
/// Opens organizations, roles, groups and settings.
pub const ORG_DATA: &str = "read:compliance_org_data";
/// Opens hard deletion.
pub const DELETE: &str = "delete:compliance_user_data";
/// Opens every route that reads.
pub const ORG_AUDIT: &str = "read:org_audit";

/// What kind a key is, which its first letters say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `sk-ant-api01-`: a Compliance Access Key.
    Compliance,
    /// `sk-ant-admin01-`: an Admin key, for the feed alone.
    Admin,
    /// `sk-ant-api03-`: a Claude API key, for nothing here.
    Claude,
}

/// Whether a key still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It works.
    Active,
    /// Somebody deleted it.
    Revoked,
    /// Its time is over.
    Expired,
}

/// A key of the simulated tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What [`super::Simulation::key`] finds it by.
    pub name: String,
    /// What is sent.
    pub secret: String,
    /// What follows the prefix in its ids.
    pub tail: String,
    /// Its kind.
    pub kind: KeyKind,
    /// What it opens.
    pub scopes: Vec<String>,
    /// The organizations it reaches, by id; all when empty.
    pub organizations: Vec<String>,
    /// Whether it works.
    pub state: KeyState,
}

impl Key {
    pub(crate) fn opens(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope || (held == ORG_AUDIT && scope != DELETE))
    }
}

/// The keys every simulation starts with.
pub(crate) fn standard(seed: u64) -> Vec<Key> {
    use KeyKind::{Admin, Claude, Compliance};
    let all = [ACTIVITIES, USER_DATA, ORG_DATA].as_slice();
    let mut random = Random::new(seed ^ 0x6b65_7973);
    [
        ("full", Compliance, all, KeyState::Active),
        ("activities", Compliance, &[ACTIVITIES], KeyState::Active),
        ("audit", Compliance, &[ORG_AUDIT], KeyState::Active),
        ("user_data", Compliance, &[USER_DATA], KeyState::Active),
        ("org_data", Compliance, &[ORG_DATA], KeyState::Active),
        ("admin", Admin, &[ACTIVITIES], KeyState::Active),
        ("early_admin", Admin, &[], KeyState::Active),
        ("claude", Claude, &[], KeyState::Active),
        ("revoked", Compliance, all, KeyState::Revoked),
        ("expired", Admin, &[ACTIVITIES], KeyState::Expired),
        ("successor", Compliance, all, KeyState::Active),
        ("eraser", Compliance, &[USER_DATA, DELETE], KeyState::Active),
    ]
    .into_iter()
    .map(|(name, kind, scopes, state)| made(&mut random, name, kind, scopes, state))
    .collect()
}

pub(crate) fn made(random: &mut Random, name: &str, kind: KeyKind, scopes: &[&str], state: KeyState) -> Key {
    let mut next = || (u128::from(random.bits()) << 64) | u128::from(random.bits());
    let prefix = match kind {
        KeyKind::Compliance => "sk-ant-api01-",
        KeyKind::Admin => "sk-ant-admin01-",
        KeyKind::Claude => "sk-ant-api03-",
    };
    Key {
        name: name.to_owned(),
        secret: format!("{prefix}{}{}", base58(next()), base58(next())),
        tail: format!("01{}", base58(next())),
        kind,
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        organizations: Vec::new(),
        state,
    }
}

/// Whose key a request carries.
///
/// # Errors
///
/// What a caller without a usable key is told.
pub(crate) fn authenticate<'k>(
    keys: &'k [Key],
    secret: Option<&str>,
    dialect: Dialect,
) -> Result<&'k Key, Refusal> {
    let unauthenticated = |message: &str| match dialect {
        Dialect::August => Refusal::new(401, "authentication_error", message),
        Dialect::October => Refusal::not_found(),
    };
    let Some(secret) = secret else {
        return Err(unauthenticated("x-api-key header is required"));
    };
    let refused = |message: &str| Refusal::new(401, "authentication_error", message);
    let Some(key) = keys.iter().find(|key| key.secret == secret) else {
        return Err(refused("invalid x-api-key"));
    };
    match (key.state, dialect) {
        (KeyState::Active, _) if key.kind == KeyKind::Claude => Err(unauthenticated("invalid x-api-key")),
        (KeyState::Active, _) => Ok(key),
        (KeyState::Revoked, Dialect::August) => Err(refused("API key has been revoked")),
        (KeyState::Revoked, Dialect::October) => Err(refused("API key has been deactivated")),
        (KeyState::Expired, _) => Err(refused("API key has expired")),
    }
}

/// Whether the key opens a route.
///
/// # Errors
///
/// What a caller without the scope is told.
pub(crate) fn authorize(key: &Key, scope: &str, dialect: Dialect) -> Result<(), Refusal> {
    // An Admin key opens the feed alone, whatever else it may carry.
    if key.opens(scope) && (key.kind != KeyKind::Admin || scope == ACTIVITIES) {
        return Ok(());
    }
    let got = key.scopes.iter().map(|scope| format!("'{scope}'")).collect::<Vec<_>>().join(", ");
    let needed = match dialect {
        Dialect::August => format!("Needed: ['{scope}']"),
        // What deletes is opened by nothing that only reads.
        Dialect::October if scope == DELETE => format!("Needed one of: ['{scope}']"),
        Dialect::October => format!("Needed one of: ['{scope}', '{ORG_AUDIT}']"),
    };
    Err(Refusal::new(403, "permission_error", format!("Missing required scopes. Got: [{got}]. {needed}")))
}
