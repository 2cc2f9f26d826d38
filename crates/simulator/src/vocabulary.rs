//! Words: names of people, things and places that values are made of.
//!
//! Invented for this crate. It owns the lists and nothing else; some names are not ASCII and some
//! hold quotes, on purpose.

/// Domains that belong to nobody (RFC 2606).
pub(crate) const DOMAINS: &[&str] =
    &["example.com", "example.com", "example.com", "example.org", "emea.example.com"];

/// First names; with [`LAST_NAMES`] enough for 5,184 people.
pub(crate) const FIRST_NAMES: [&str; 72] = [
    "Ada", "Aisha", "Alan", "Amara", "Ana", "Anders", "Anouk", "Arjun", "Aylin", "Beatriz", "Bela", "Bruno",
    "Carla", "Chen", "Chloe", "Daan", "Dario", "Deepa", "Diego", "Dina", "Elif", "Emeka", "Emil", "Erik",
    "Esther", "Eva", "Farid", "Fatima", "Felix", "Femi", "Freya", "Gita", "Grace", "Hana", "Henrik", "Hugo",
    "Ibrahim", "Ines", "Ivan", "Jana", "Jonas", "Jun", "Kaito", "Karin", "Kofi", "Lars", "Leila", "Lena",
    "Luca", "Lucia", "Mads", "Mai", "Marta", "Mateo", "Mina", "Nadia", "Nico", "Noor", "Olga", "Omar",
    "Paula", "Priya", "Rafael", "Rosa", "Sana", "Sofia", "Tariq", "Tomas", "Vera", "Wei", "Yara", "Zola",
];

/// Last names.
pub(crate) const LAST_NAMES: [&str; 72] = [
    "Abara",
    "Acosta",
    "Ahmed",
    "Almeida",
    "Andersen",
    "Aydin",
    "Bakker",
    "Banerjee",
    "Baptiste",
    "Berg",
    "Bianchi",
    "Blom",
    "Brandt",
    "Castillo",
    "Chowdhury",
    "Costa",
    "Dahl",
    "Delgado",
    "Diallo",
    "Dubois",
    "Ekström",
    "Eriksen",
    "Farah",
    "Ferrari",
    "Fischer",
    "Fontaine",
    "Fujita",
    "Garcia",
    "Gupta",
    "Haddad",
    "Halvorsen",
    "Hoffmann",
    "Horvat",
    "Ito",
    "Jansen",
    "Joshi",
    "Kamau",
    "Keller",
    "Khalil",
    "Kim",
    "Kowalski",
    "Kumar",
    "Larsen",
    "Laurent",
    "Lindqvist",
    "Lopez",
    "Mbeki",
    "Mendes",
    "Meyer",
    "Mishra",
    "Moreau",
    "Nakamura",
    "Ndiaye",
    "Nguyen",
    "Novak",
    "Okafor",
    "Olsen",
    "Osei",
    "Park",
    "Petrov",
    "Quispe",
    "Rahman",
    "Richter",
    "Rossi",
    "Santos",
    "Sato",
    "Schmidt",
    "Silva",
    "Tanaka",
    "Vargas",
    "Weber",
    "Zhang",
];

/// File names of every sort a mapper has to take apart.
pub(crate) const FILES: &[&str] = &[
    "quarterly-forecast.xlsx",
    "board-minutes.docx",
    "customer-list.csv",
    "architecture.drawio.png",
    "incident-4711.pdf",
    "training-data.parquet",
    "会議メモ.md",
    "Übergabe Lager.pdf",
    "backup.tar.gz",
    "Makefile",
    "contract (signed).PDF",
    "notes.txt",
    "why we said \"no\".eml",
    "sales-deck.pptx",
    "requirements.txt",
];

/// Titles and display names of things people make.
pub(crate) const LABELS: &[&str] = &[
    "Onboarding helper",
    "Invoice reader",
    "Release notes",
    "Support triage",
    "Café rota",
    "Warehouse plan",
    "Contract review",
    "Data quality",
    "Böblingen pilot",
    "Night shift",
    "Tender answers",
    "Runbook \"Blue\"",
    "Fleet report",
    "Research desk",
];

/// Machine-readable names: slugs, repositories, services.
pub(crate) const SLUGS: &[&str] = &[
    "invoice-reader",
    "release-notes",
    "support-triage",
    "warehouse-sync",
    "ledger",
    "edge-gateway",
    "fleet-report",
    "docs-site",
    "batch-scoring",
    "intake",
    "night-shift",
    "tender-bot",
    "search-index",
    "payroll-export",
];

/// Sentences, for descriptions and explanations.
pub(crate) const SENTENCES: &[&str] = &[
    "Keeps the weekly figures in one place.",
    "Answers first questions before a person looks.",
    "Used by the warehouse team; ask before changing.",
    "Temporary, until the migration is done.",
    "Reads mail, files it, \"flags\" what is odd.",
    "Created during the pilot in Malmö.",
];

/// Groups and departments.
pub(crate) const GROUPS: &[&str] =
    &["Engineering", "Finance", "People & Culture", "Legal", "Field Sales", "Contractors", "R&D Böblingen"];

/// Scopes of keys and grants.
pub(crate) const SCOPES: &[&str] = &[
    "read:compliance_activities",
    "read:compliance_user_data",
    "delete:compliance_user_data",
    "read:compliance_org_data",
    "org:manage_members",
    "workspace:developer",
];

/// Roles in an organization or a workspace.
pub(crate) const ROLES: &[&str] = &["user", "developer", "admin", "owner", "billing", "membership_admin"];

/// Model names.
pub(crate) const MODELS: &[&str] =
    &["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"];

/// Seat tiers.
pub(crate) const SEATS: &[&str] = &["standard", "premium", "chat_only", "enterprise_standard"];

/// Host patterns and hosts nobody owns.
pub(crate) const HOSTS: &[&str] = &[
    "api.example.com",
    "*.example.org",
    "git.example.com",
    "packages.example.net",
    "tracker.example.org",
    "warehouse.example.com",
];

/// Keys of settings objects whose content is not published.
pub(crate) const SETTINGS: &[&str] =
    &["enabled", "message", "level", "permissions", "default_mode", "limits", "note"];
