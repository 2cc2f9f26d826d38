//! User agents: what browsers, Claude's own clients and programs call themselves.
//!
//! Built from templates and version lists. It owns the spelling and the order (most common first);
//! who uses which agent is the cast's business.

/// Chrome-like versions in use at the same time, newest first after the two current ones.
const CHROME: [u32; 15] = [141, 140, 142, 139, 138, 137, 136, 135, 134, 133, 131, 130, 128, 126, 120];

/// The platform part of a desktop browser's agent.
const DESKTOPS: [&str; 3] =
    ["Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"];

/// Versions of the Claude desktop app with the Chrome and Electron it is built on.
const DESKTOP_APP: [(&str, &str, &str); 6] = [
    ("1.0.332", "140.0.7339.207", "38.2.0"),
    ("1.0.320", "140.0.7339.80", "38.0.0"),
    ("0.14.4", "138.0.7204.235", "37.4.0"),
    ("0.13.37", "138.0.7204.190", "37.2.4"),
    ("0.12.129", "136.0.7103.168", "36.7.3"),
    ("0.12.20", "136.0.7103.115", "36.4.1"),
];

/// The agents of people and of programs, each list with the most common first and no duplicates.
#[derive(Debug, Clone)]
pub struct Agents {
    /// Browsers, desktop and mobile apps, command lines that a person sits at.
    pub people: Vec<String>,
    /// SDKs, HTTP libraries, infrastructure tools and log shippers.
    pub programs: Vec<String>,
}

impl Agents {
    /// Some 300 agents.
    #[must_use]
    pub fn new() -> Self {
        Self {
            people: interleave(vec![chromes(), apps(), safaris(), edges(), firefoxes(), mobiles()]),
            programs: programs(),
        }
    }

    /// How many distinct agents there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.people.len() + self.programs.len()
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self::new()
    }
}

/// One from each list in turn, so that every family has common members.
fn interleave(lists: Vec<Vec<String>>) -> Vec<String> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    (0..longest).flat_map(|_| lists.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>()).collect()
}

fn webkit(platform: &str, rest: &str) -> String {
    format!("Mozilla/5.0 ({platform}) AppleWebKit/537.36 (KHTML, like Gecko) {rest}")
}

fn chromes() -> Vec<String> {
    let versions = CHROME.iter().flat_map(|version| DESKTOPS.map(|platform| (version, platform)));
    versions
        .map(|(version, platform)| webkit(platform, &format!("Chrome/{version}.0.0.0 Safari/537.36")))
        .collect()
}

fn edges() -> Vec<String> {
    let agent = |(version, platform): (&u32, &str)| {
        webkit(platform, &format!("Chrome/{version}.0.0.0 Safari/537.36 Edg/{version}.0.0.0"))
    };
    CHROME
        .iter()
        .flat_map(|version| DESKTOPS[..2].iter().map(move |platform| (version, *platform)))
        .map(agent)
        .collect()
}

fn firefoxes() -> Vec<String> {
    let mut agents = Vec::new();
    for version in [144, 143, 142, 141, 140, 139, 138, 136, 134, 128, 115] {
        for platform in
            ["Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10.15", "X11; Linux x86_64"]
        {
            agents
                .push(format!("Mozilla/5.0 ({platform}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"));
        }
    }
    agents
}

fn safaris() -> Vec<String> {
    let mut agents = Vec::new();
    for version in
        ["26.0.1", "26.0", "18.6.1", "18.5.1", "18.4", "18.3", "18.2", "18.1.1", "17.5", "17.4.1", "16.5"]
    {
        agents.push(format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version} Safari/605.1.15"
        ));
        let system = version.replace('.', "_");
        for device in ["iPhone; CPU iPhone OS", "iPad; CPU OS"] {
            agents.push(format!(
                "Mozilla/5.0 ({device} {system} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version} Mobile/15E148 Safari/604.1"
            ));
        }
    }
    agents
}

/// Claude's own clients: the desktop app, the command line and the mobile apps.
fn apps() -> Vec<String> {
    let mut agents = Vec::new();
    for (app, chrome, electron) in DESKTOP_APP {
        for platform in &DESKTOPS[..2] {
            agents.push(webkit(
                platform,
                &format!("Claude/{app} Chrome/{chrome} Electron/{electron} Safari/537.36"),
            ));
        }
    }
    for version in
        ["2.0.37", "2.0.31", "2.0.28", "2.0.22", "2.0.5", "1.0.128", "1.0.120", "1.0.109", "1.0.88", "1.0.60"]
    {
        agents.push(format!("claude-cli/{version} (external, cli)"));
        agents.push(format!("claude-cli/{version} (external, claude-vscode)"));
    }
    for (version, network, darwin) in [
        ("1.251020.1", "3860.100.1", "25.0.0"),
        ("1.250922.0", "3826.600.41", "24.6.0"),
        ("1.250805.0", "3826.500.131", "24.5.0"),
    ] {
        agents.push(format!("Claude/{version} CFNetwork/{network} Darwin/{darwin}"));
    }
    for (version, android, device) in
        [("1.251013.17", 16, "Pixel 9"), ("1.250915.4", 15, "SM-S928B"), ("1.250811.9", 14, "Pixel 7a")]
    {
        agents.push(format!("Claude/{version} (Android {android}; {device}) okhttp/4.12.0"));
    }
    agents
}

fn mobiles() -> Vec<String> {
    let mut agents = Vec::new();
    for version in &CHROME[..12] {
        agents.push(webkit("Linux; Android 10; K", &format!("Chrome/{version}.0.0.0 Mobile Safari/537.36")));
        agents.push(format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/{version}.0.7390.41 Mobile/15E148 Safari/604.1"
        ));
    }
    for device in [
        "Android 16; Pixel 9 Pro",
        "Android 15; SM-A556B",
        "Android 14; moto g84 5G",
        "Android 13; 2201117TG",
    ] {
        for version in &CHROME[..11] {
            agents.push(webkit(
                &format!("Linux; {device}"),
                &format!("Chrome/{version}.0.7204.179 Mobile Safari/537.36"),
            ));
        }
    }
    for version in [28, 27, 26, 25] {
        agents.push(webkit(
            "Linux; Android 10; K",
            &format!("SamsungBrowser/{version}.0 Chrome/130.0.0.0 Mobile Safari/537.36"),
        ));
    }
    for version in [122, 121, 119] {
        agents.push(webkit(DESKTOPS[0], &format!("Chrome/137.0.0.0 Safari/537.36 OPR/{version}.0.0.0")));
    }
    agents
}

fn programs() -> Vec<String> {
    let families: [(&str, &[&str], &str); 17] = [
        ("python-requests/", &["2.32.5", "2.32.3", "2.31.0", "2.28.2"], ""),
        ("Anthropic/Python ", &["0.71.0", "0.68.1", "0.64.0", "0.52.2"], ""),
        ("Anthropic/JS ", &["0.67.0", "0.60.0", "0.54.0"], ""),
        ("Go-http-client/", &["2.0", "1.1"], ""),
        ("python-httpx/", &["0.28.1", "0.27.2"], ""),
        ("curl/", &["8.14.1", "8.7.1", "8.5.0", "7.81.0"], ""),
        ("AsyncAnthropic/Python ", &["0.71.0", "0.66.0"], ""),
        ("axios/", &["1.12.2", "1.7.9"], ""),
        ("Elastic-filebeat/", &["9.1.5", "8.19.4"], " (linux; amd64)"),
        ("Vector/", &["0.50.0", "0.49.0"], " (x86_64-unknown-linux-gnu)"),
        ("HashiCorp Terraform/", &["1.13.3", "1.12.2"], " (+https://www.terraform.io)"),
        ("Java-http-client/", &["21.0.8", "17.0.16"], ""),
        ("PostmanRuntime/", &["7.48.0", "7.45.0"], ""),
        ("aiohttp/", &["3.13.0"], " Python/3.13"),
        ("Anthropic/Java ", &["2.9.0", "2.6.0"], ""),
        ("okhttp/", &["5.1.0", "4.12.0"], ""),
        ("Wget/", &["1.25.0", "1.21.4"], ""),
    ];
    let spelled = families.into_iter().map(|(before, versions, after)| {
        versions.iter().map(|version| format!("{before}{version}{after}")).collect::<Vec<_>>()
    });
    interleave(spelled.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn about_three_hundred_distinct_agents() {
        let agents = Agents::new();
        let distinct: HashSet<_> = agents.people.iter().chain(&agents.programs).collect();
        assert_eq!(distinct.len(), agents.count());
        assert!((280..=320).contains(&agents.count()), "{}", agents.count());
    }
}
