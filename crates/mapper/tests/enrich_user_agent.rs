//! User agents: the cases of `tests/data/user-agents.tsv`, what is beside name and version, and
//! hostile input.

use std::time::{Duration, Instant};

use mapper::enrich::OsType;
use mapper::enrich::user_agent::{LIMIT, parse};

const CASES: &str = include_str!("../../../tests/data/user-agents.tsv");

#[test]
fn every_case_is_named_as_a_person_would() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        let [_, name, version, os, text] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let agent = parse(text);
        let got = (agent.name.unwrap_or(""), agent.version.unwrap_or(""), agent.os.name.unwrap_or(""));
        if got != (name, version, os) {
            wrong.push(format!("{text}\n  expected {:?}\n  got      {got:?}", (name, version, os)));
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{} of {cases} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 141, "{cases}");
}

/// Text, os.full, os.family, os.type, device.name.
#[rustfmt::skip]
const SYSTEMS: &[(&str, &str, &str, Option<OsType>, &str)] = &[
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15", "macOS 10.15.7", "macos", Some(OsType::MacOs), "Mac"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "macOS 10.15", "macos", Some(OsType::MacOs), "Mac"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0", "Windows 10", "windows", Some(OsType::Windows), ""),
    ("Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/87.0.4280.88 Safari/537.36", "Windows 7", "windows", Some(OsType::Windows), ""),
    ("Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.2506", "Windows 10", "windows", Some(OsType::Windows), ""),
    ("Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.22631; en-US) PowerShell/7.4.1", "Windows 11", "windows", Some(OsType::Windows), ""),
    ("x/1 (Microsoft Windows 10.0.22631)", "Windows 11", "windows", Some(OsType::Windows), ""),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1.1 Mobile/15E148 Safari/604.1", "iOS 18.1.1", "ios", Some(OsType::Ios), "iPhone"),
    ("Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "iPadOS 18.5", "ios", Some(OsType::Ios), "iPad"),
    ("Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1", "iOS 12.5", "ios", Some(OsType::Ios), "iPad"),
    ("Claude/1.250718.0 CFNetwork/3826.600.41 Darwin/24.6.0", "iOS 18", "ios", Some(OsType::Ios), ""),
    ("Claude/1.260101.0 CFNetwork/3860 Darwin/25.0.0", "iOS 26", "ios", Some(OsType::Ios), ""),
    ("Claude/1.250718.0 (iPhone; iOS 18.6; Scale/3.00)", "iOS 18.6", "ios", Some(OsType::Ios), "iPhone"),
    ("Claude/1.250929.22 (Android 14; Pixel 8) okhttp/4.12.0", "Android 14", "android", Some(OsType::Android), "Pixel 8"),
    ("Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.6533.64 Mobile Safari/537.36", "Android 14", "android", Some(OsType::Android), "Pixel 8 Pro"),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", "Android 10", "android", Some(OsType::Android), ""),
    ("Mozilla/5.0 (Linux; U; Android 4.0.3; ko-kr; LG-L160L Build/IML74K) AppleWebkit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30", "Android 4.0.3", "android", Some(OsType::Android), "LG-L160L"),
    ("Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Android 14", "android", Some(OsType::Android), ""),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "ChromeOS 14541.0.0", "chromeos", Some(OsType::Linux), ""),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0", "", "debian", Some(OsType::Linux), ""),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:138.0) Gecko/20100101 Firefox/138.0", "", "linux", Some(OsType::Linux), ""),
    ("Mozilla/5.0 (X11; FreeBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0", "", "freebsd", Some(OsType::Unix), ""),
    ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254", "Windows Phone 10.0", "windows", Some(OsType::Windows), "Lumia 950"),
    ("aws-cli/2.15.30 Python/3.11.8 Linux/5.15.0 exe/x86_64.ubuntu.22", "", "linux", Some(OsType::Linux), ""),
    ("aws-cli/2.15.30 Python/3.11.8 Darwin/23.6.0 exe/x86_64", "", "macos", Some(OsType::MacOs), "Mac"),
    ("kubectl/v1.29.1 (linux/amd64) kubernetes/bc401b9", "", "linux", Some(OsType::Linux), ""),
    ("Cursor/1.0 CFNetwork/1498 Darwin/23.6.0", "", "macos", Some(OsType::MacOs), "Mac"),
    ("SomeApp/1.0 CFNetwork/1498 Darwin/23.6.0", "", "", None, ""),
];

#[test]
fn systems_and_devices() {
    for (text, full, family, kind, device) in SYSTEMS {
        let agent = parse(text);
        assert_eq!(agent.os.full.as_deref().unwrap_or(""), *full, "{text}");
        assert_eq!(agent.os.family.unwrap_or(""), *family, "{text}");
        assert_eq!(agent.os.os_type, *kind, "{text}");
        assert_eq!(agent.device_name.unwrap_or(""), *device, "{text}");
    }
    let types = [OsType::Linux, OsType::MacOs, OsType::Unix, OsType::Windows, OsType::Ios, OsType::Android];
    assert_eq!(types.map(OsType::as_str), ["linux", "macos", "unix", "windows", "ios", "android"]);
}

/// Text, name, version: clients beyond the shared list.
#[rustfmt::skip]
const CLIENTS: &[(&str, &str, &str)] = &[
    ("claude-code/2.0.14", "claude-code", "2.0.14"),
    ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Claude-User/1.0; +Claude-User@anthropic.com)", "Claude-User", "1.0"),
    ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", "ClaudeBot", "1.0"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.95.3 Chrome/128.0.6613.186 Electron/32.2.1 Safari/537.36", "VS Code", "1.95.3"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.41.97 Chrome/130.0.0.0 Electron/33.2.0 Safari/537.36", "Slack", "4.41.97"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Unheard-Of/0.3.1 Chrome/130.0.0.0 Electron/33.2.0 Safari/537.36", "Unheard-Of", "0.3.1"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Electron/33.2.0 Safari/537.36", "Electron", "33.2.0"),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Unheard-Of/1", "Chrome", "130.0.0.0"),
    ("AnthropicBedrock/Python 0.57.1", "AnthropicBedrock/Python", "0.57.1"),
    ("Anthropic/Go 1.4.0", "Anthropic/Go", "1.4.0"),
    ("Anthropic/C# 10.1.2", "Anthropic/C#", "10.1.2"),
    ("@modelcontextprotocol/sdk/1.20.0", "@modelcontextprotocol/sdk", "1.20.0"),
    ("My Own App/2.1 (build 7)", "My Own App", "2.1"),
    ("python-httpx/0.28.1 MyApp/1.0", "python-httpx", "0.28.1"),
    ("MyApp/1.0 python-httpx/0.28.1", "MyApp", "1.0"),
    ("node", "node", ""),
    ("Slackbot 1.0 (+https://api.slack.com/robots)", "Slackbot", "1.0"),
    ("Mozilla/5.0 (compatible; SomethingBot/3.2; +https://example.com/bot)", "SomethingBot", "3.2"),
    ("Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", "Nmap Scripting Engine", ""),
    ("Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", "Yahoo! Slurp", ""),
    ("Mozilla/5.0 zgrab/0.x", "zgrab", "0.x"),
    ("sqlmap/1.7.2#stable (https://sqlmap.org)", "sqlmap", "1.7.2"),
    ("Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18", "Opera", "12.18"),
    ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)", "Internet Explorer", "8.0"),
    ("Mozilla/5.0 (Linux; U; Android 4.0.3; ko-kr; LG-L160L Build/IML74K) AppleWebkit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30", "Android Browser", "4.0"),
    ("Wget/1.21.4", "Wget", "1.21.4"),
    ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A.240805.005)", "Dalvik", "2.1.0"),
];

#[test]
fn clients_beyond_the_list() {
    for (text, name, version) in CLIENTS {
        let agent = parse(text);
        assert_eq!((agent.name.unwrap_or(""), agent.version.unwrap_or("")), (*name, *version), "{text}");
    }
}

#[test]
fn nothing_sensible_gives_an_empty_answer() {
    for text in [
        "",
        " ",
        "-",
        "\0",
        "()",
        "(",
        ")",
        "((((",
        "/",
        "//",
        "1/2",
        ";",
        "Mozilla/5.0",
        "'\"><script>alert(1)</script>",
        "() { :; }; /bin/cat /etc/passwd",
        "${jndi:ldap://example.com/a}",
        "' OR 1=1 --",
        "\u{202e}",
        "💥/1",
    ] {
        let agent = parse(text);
        assert!(agent.is_empty() && agent.version.is_none(), "{text:?}: {agent:?}");
    }
}

#[test]
fn the_word_unknown_is_never_an_answer() {
    for text in [
        "Mozilla/5.0 (compatible; MSIE; Windows)",
        "Mozilla/5.0 (X11) Trident/x",
        "Mozilla/5.0 (Mobile) Safari/x",
        "Mozilla/5.0 (PlayStation 4) AppleWebKit/537 (KHTML)",
        "Mozilla/5.0 (Xbox; Xbox One) Windows",
        "DoCoMo/",
        "Mozilla/5.0 IEMobile",
        "Mozilla/5.0 (Windows ??)",
        "Mozilla/5.0 SoftBank",
        "BlackBerry",
        "Mozilla/5.0 BB10",
    ] {
        let agent = parse(text);
        assert!(!format!("{agent:?}").contains("UNKNOWN"), "{text}: {agent:?}");
    }
}

#[test]
fn hostile_input_is_fast_and_never_panics() {
    let unit = [
        "a",
        "(",
        ")",
        "/",
        ";",
        " ",
        "é",
        "💥",
        "\0",
        "Mozilla/5.0 (",
        "Android 1; ",
        "iPhone OS ",
        "Windows NT ",
        "bot/",
        "Build/",
        "@a/",
        "1.",
        "_",
        "like Mac OS X",
        "BB10 Version/1 ",
        "; CPU OS 1_1",
        "Chrome/ wv",
    ];
    let started = Instant::now();
    let mut parses = 0_u32;
    for first in unit {
        for second in unit {
            // Every length around the limit, so that the cut falls into every character.
            for fill in 0..4 {
                let text = "x".repeat(fill) + &(first.to_owned() + second).repeat(LIMIT);
                let _ = parse(&text);
                parses += 1;
            }
        }
    }
    let each = started.elapsed() / parses;
    assert!(each < Duration::from_millis(20), "{each:?} each");
    for unit in ["a", "(", "é", "a/1 ", "Mozilla/5.0 (Linux; ", "\n"] {
        let text = unit.repeat((1 << 20) / unit.len());
        let started = Instant::now();
        let _ = parse(&text);
        assert!(started.elapsed() < Duration::from_millis(200), "{unit:?}: {:?}", started.elapsed());
    }
}

#[test]
fn what_lies_beyond_the_limit_is_not_seen() {
    let text = format!("Mozilla/5.0 {}curl/8.5.0", " ".repeat(LIMIT));
    assert!(parse(&text).is_empty());
}
