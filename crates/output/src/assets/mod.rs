//! What `setup` installs: component templates, an index template and a lifecycle policy, and the data stream under them.
//!
//! Owns how the mapping tables become index mappings, and how they get into a cluster without overwriting what somebody
//! else made. Must not know how documents are sent. The one subtle thing: every name here is ours alone, and the index
//! template covers one namespace only, so that Elastic's own integration goes on undisturbed in every other.

mod api;
mod mapping;
mod server;
mod setup;
mod templates;

pub use api::Api;
pub use server::{Flavour, Server, detect};
pub use setup::{Action, Step, apply, plan, refusal};
pub use templates::{Asset, AssetKind, Assets, Lifecycle, Target};
