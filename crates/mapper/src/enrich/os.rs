//! System and device out of the comments of a user agent.
//!
//! Owns the names, families and versions of operating systems. Must not know any client by name.
//! The subtle thing: a string often names several systems (`X11; Ubuntu; Linux x86_64`, `iPhone …
//! like Mac OS X`, `Windows Phone 10.0; Android 4.2.1`); a definite name beats a mere hint, and
//! among equals the first wins.

use std::borrow::Cow;
use std::fmt;

use super::tokens;

/// The operating system that a client says it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Os<'a> {
    /// `macOS`, `Windows`, `Ubuntu`, …
    pub name: Option<&'a str>,
    /// `10.15.7`, or `7` for Windows NT 6.1.
    pub version: Option<Cow<'a, str>>,
    /// Name and version, where both are known: `macOS 10.15.7`.
    pub full: Option<String>,
    /// The family in ECS's sense: `windows`, `macos`, `debian`, …
    pub family: Option<&'static str>,
    /// One of the six that ECS has; `None` for any other system.
    pub os_type: Option<OsType>,
}

/// ECS's `os.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OsType {
    /// Linux of any kind but Android.
    Linux,
    /// macOS.
    MacOs,
    /// A BSD or another Unix.
    Unix,
    /// Windows.
    Windows,
    /// iOS and iPadOS.
    Ios,
    /// Android.
    Android,
}

impl OsType {
    /// ECS's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::MacOs => "macos",
            Self::Unix => "unix",
            Self::Windows => "windows",
            Self::Ios => "ios",
            Self::Android => "android",
        }
    }
}

impl fmt::Display for OsType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name, family and type of every system that is recognised here.
static SYSTEMS: &[(&str, &str, Option<OsType>)] = &[
    ("Android", "android", Some(OsType::Android)),
    ("CentOS", "redhat", Some(OsType::Linux)),
    ("ChromeOS", "chromeos", Some(OsType::Linux)),
    ("Debian", "debian", Some(OsType::Linux)),
    ("Fedora", "redhat", Some(OsType::Linux)),
    ("FreeBSD", "freebsd", Some(OsType::Unix)),
    ("Linux", "linux", Some(OsType::Linux)),
    ("NetBSD", "netbsd", Some(OsType::Unix)),
    ("OpenBSD", "openbsd", Some(OsType::Unix)),
    ("Red Hat", "redhat", Some(OsType::Linux)),
    ("SunOS", "solaris", Some(OsType::Unix)),
    ("Ubuntu", "debian", Some(OsType::Linux)),
    ("Windows", "windows", Some(OsType::Windows)),
    ("Windows Phone", "windows", Some(OsType::Windows)),
    ("iOS", "ios", Some(OsType::Ios)),
    ("iPadOS", "ios", Some(OsType::Ios)),
    ("macOS", "macos", Some(OsType::MacOs)),
    ("openSUSE", "suse", Some(OsType::Linux)),
    ("tvOS", "tvos", None),
    ("visionOS", "visionos", None),
    ("watchOS", "watchos", None),
];

/// What Windows NT calls itself, and what people call it. Windows 11 says 10.0 too.
static WINDOWS: &[(&str, &str)] = &[
    ("10.0", "10"),
    ("5.0", "2000"),
    ("5.1", "XP"),
    ("5.2", "XP"),
    ("6.0", "Vista"),
    ("6.1", "7"),
    ("6.2", "8"),
    ("6.3", "8.1"),
];

impl<'a> Os<'a> {
    /// A system by name; family, type and `full` follow from it.
    pub(super) fn named(name: &'a str, version: Option<Cow<'a, str>>) -> Self {
        let known = SYSTEMS.iter().find(|system| system.0 == name);
        Self {
            name: Some(name),
            full: version.as_ref().map(|version| format!("{name} {version}")),
            version,
            family: known.map(|system| system.1),
            os_type: known.and_then(|system| system.2),
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.name.is_none()
    }
}

/// Gathers what the fields of a string's comments say.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    name: Option<&'static str>,
    definite: bool,
    version: Option<Cow<'a, str>>,
    device: Option<&'a str>,
    model_follows: bool,
}

impl<'a> Scan<'a> {
    /// The system, if any was named.
    pub(super) fn finish(self) -> (Os<'a>, Option<&'a str>) {
        let Some(name) = self.name else { return (Os::default(), self.device) };
        let name = match (name, self.device) {
            // Before version 13 an iPad ran iOS.
            ("iOS", Some("iPad"))
                if self.version.as_deref().and_then(major).is_none_or(|major| major >= 13) =>
            {
                "iPadOS"
            }
            _ => name,
        };
        let device = self.device.or((name == "macOS").then_some("Mac"));
        (Os::named(name, self.version), device)
    }

    /// Takes one system for granted unless a better one is known.
    pub(super) fn hint(&mut self, name: &'static str, version: Option<Cow<'a, str>>) {
        if self.name.is_none() {
            (self.name, self.version) = (Some(name), version);
        }
    }

    fn definite(&mut self, name: &'static str, version: Option<&'a str>) {
        if self.definite && self.name != Some(name) {
            return;
        }
        if self.name != Some(name) {
            self.version = None;
        }
        (self.name, self.definite) = (Some(name), true);
        if self.version.is_none() {
            self.version = version.map(dotted);
        }
    }

    /// A top-level product that is a system: `Linux/6.1`, `Darwin/23.6.0`, `Windows/10`.
    pub(super) fn product(&mut self, token: &str, version: Option<&'a str>) {
        let version = version.and_then(number);
        match token.to_ascii_lowercase().as_str() {
            "linux" => self.hint("Linux", None),
            "windows" => self.hint("Windows", version.map(windows)),
            "macos" => self.hint("macOS", version.map(dotted)),
            "ios" => self.definite("iOS", version),
            "ipados" => self.definite("iPadOS", version),
            "android" => self.definite("Android", version),
            "ubuntu" => self.definite("Ubuntu", version),
            "debian" => self.definite("Debian", version),
            "fedora" => self.definite("Fedora", version),
            _ => {}
        }
    }

    /// One field of a comment.
    pub(super) fn field(&mut self, field: &'a str) {
        if std::mem::take(&mut self.model_follows) {
            match model(field) {
                Model::Named(name) => self.device = Some(name),
                Model::Later => self.model_follows = true,
                Model::None => {}
            }
            return;
        }
        if let Some(rest) = field.strip_prefix("Windows Phone") {
            self.definite("Windows Phone", number(rest));
        } else if field.starts_with("Windows")
            || field.starts_with("Microsoft Windows")
            || field.starts_with("Win9")
        {
            self.windows(field);
        } else if field.contains("like Mac OS X") {
            self.definite("iOS", field.split_once("OS ").and_then(|(_, rest)| number(rest)));
        } else if let Some(device) =
            ["iPhone", "iPad", "iPod"].into_iter().find(|device| field.starts_with(device))
        {
            self.apple(device, field);
        } else if let Some((_, rest)) = field.split_once("Mac OS") {
            self.definite("macOS", number(rest.strip_prefix(" X").unwrap_or(rest)));
        } else if field.starts_with("Macintosh") {
            self.definite("macOS", None);
        } else if let Some(rest) = field.strip_prefix("Android") {
            self.definite("Android", number(rest.trim_start_matches('-')));
            self.model_follows = true;
        } else if let Some(rest) = field.strip_prefix("CrOS") {
            self.definite("ChromeOS", rest.rsplit(' ').next().and_then(number));
        } else if let Some((name, rest)) = named(field) {
            self.definite(name, number(rest.trim_start_matches('/')));
        } else if !field.contains("://") {
            self.hints(field);
        }
    }

    fn apple(&mut self, device: &'static str, field: &'a str) {
        self.device = Some(device);
        // `iPhone OS 17.4` is also a field; `iPhone14,5` and `iPod touch` are the device alone.
        let version = field.strip_prefix("iPhone OS").and_then(number);
        self.definite("iOS", version);
    }

    fn windows(&mut self, field: &'a str) {
        let version = field.find(|c: char| c.is_ascii_digit()).and_then(|at| number(&field[at..]));
        self.definite("Windows", None);
        // PowerShell gives both; the second has the build.
        let exact = field.starts_with("Microsoft Windows") && version.is_some();
        if self.name == Some("Windows") && (self.version.is_none() || exact) {
            self.version = version.map(windows);
        }
    }

    /// Words that Go, Node, Rust and others put for the system: `linux/amd64`, `darwin arm64`,
    /// `x86_64-pc-windows-msvc`.
    fn hints(&mut self, field: &str) {
        for word in field.split(|c: char| !c.is_ascii_alphanumeric()) {
            let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
            if is(&["linux"]) {
                self.hint("Linux", None);
            } else if is(&["darwin", "macos", "osx"]) {
                self.hint("macOS", None);
            } else if is(&["windows", "win32", "win64"]) {
                self.hint("Windows", None);
            }
        }
    }
}

enum Model<'a> {
    Named(&'a str),
    Later,
    None,
}

/// The field after `Android …`: a model, or something to be passed over. `K` is what Chrome says
/// for every device.
fn model(field: &str) -> Model<'_> {
    let name = field.split(" Build/").next().unwrap_or(field).trim();
    let is_language = matches!(name.as_bytes(), [a, b] | [a, b, b'-' | b'_', _, _]
        if a.is_ascii_lowercase() && b.is_ascii_lowercase());
    if is_language || matches!(name, "U" | "Microsoft" | "NOKIA") {
        Model::Later
    } else if matches!(name, "K" | "wv" | "Mobile" | "Tablet" | "TV" | "Linux")
        || name.starts_with("rv:")
        || name.starts_with("Build/")
        || name.len() > 64
        || name.chars().any(char::is_control)
        || !name.starts_with(char::is_alphanumeric)
    {
        Model::None
    } else {
        Model::Named(name)
    }
}

/// A field that begins with a system's own name, and what follows it.
fn named(field: &str) -> Option<(&'static str, &str)> {
    SYSTEMS
        .iter()
        .filter(|system| system.0 != "Linux")
        .find_map(|system| Some((system.0, field.strip_prefix(system.0)?)))
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with([' ', '/']))
}

/// The number at the start of `text`.
fn number(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    tokens::version(&text[..end])
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn dotted(version: &str) -> Cow<'_, str> {
    if version.contains('_') { version.replace('_', ".").into() } else { version.into() }
}

/// The version of Windows by the number it gives; the build tells Windows 11.
fn windows(number: &str) -> Cow<'_, str> {
    let build = number.strip_prefix("10.0.").and_then(|build| build.split('.').next()?.parse::<u32>().ok());
    if let Some(build) = build {
        return Cow::Borrowed(if build >= 22_000 { "11" } else { "10" });
    }
    let known = WINDOWS.iter().find(|(nt, _)| *nt == number);
    known.map_or(Cow::Borrowed(number), |(_, name)| Cow::Borrowed(*name))
}
