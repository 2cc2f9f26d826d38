//! The stage on a simulated Compliance API: polled, mapped, written, shown and verified, by the real program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use simulator::api::{Pace, Server, Settings, Simulation};

const KEY: &str = "ANTHROPIC_COMPLIANCE_KEY";

fn program(folder: &Path, key: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"))
        .args(args)
        .env(KEY, key)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_is_delivered_attested_and_verified() {
    let mut settings = Settings::default();
    settings.tenant.late_per_mille = 0;
    let simulation = Simulation::new(settings);
    let (key, start) = (simulation.key("activities").to_owned(), simulation.start());
    let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let time =
        |before: i64| simulator::rfc3339(start - before * 60_000_000, simulator::Precision::Seconds, true);
    let (since, until) = (time(12 * 60), time(60));
    let config = format!(
        "[source]\ntype = \"compliance_api\"\nbase_url = \"{}\"\napi_key = \"${{{KEY}}}\"\nsince = \"{since}\"\nuntil = \"{until}\"\npage_size = 500\n\
         [sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n",
        server.url()
    );
    std::fs::write(folder.path().join("c.toml"), config).unwrap();
    let (folder, wanted) = (
        folder.path().to_owned(),
        server.control().with(|simulation, _| {
            let bounds = start - 12 * 3_600_000_000..start - 3_600_000_000;
            simulation
                .truth()
                .filter(|truth| bounds.contains(&truth.created))
                .map(|truth| truth.id)
                .collect::<Vec<_>>()
        }),
    );
    let done = tokio::task::spawn_blocking(move || {
        let checked = program(&folder, &key, &["check", "--config", "c.toml", "--connect"]);
        assert!(text(&checked.stdout).contains("lets us read activities"), "{}", text(&checked.stdout));
        let nobody = program(&folder, "sk-ant-api01-nobody", &["check", "--config", "c.toml", "--connect"]);
        assert_eq!(nobody.status.code(), Some(2), "{}", text(&nobody.stdout));
        let run = program(&folder, &key, &["run", "--config", "c.toml"]);
        assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
        assert!(!text(&run.stderr).contains(&key), "the key is in the log");
        let written = std::fs::read_to_string(folder.join("out.ndjson")).unwrap();
        let mut found: Vec<String> = written
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["event"]["id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let mut wanted = wanted;
        found.sort();
        wanted.sort();
        assert!(wanted.len() > 500, "{} records", wanted.len());
        assert_eq!(found, wanted);
        let verified = program(&folder, &key, &["verify", "out.ndjson"]);
        assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
        assert!(
            text(&verified.stdout).contains(" exact, 0 with more than was read then, 0 short"),
            "{}",
            text(&verified.stdout)
        );
        let all_but_one: String = written.lines().skip(1).map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.join("less.ndjson"), all_but_one).unwrap();
        assert_eq!(program(&folder, &key, &["verify", "less.ndjson"]).status.code(), Some(1));
        let shown = program(&folder, &key, &["state", "show", "--config", "c.toml"]);
        assert!(text(&shown.stdout).contains(&format!("read up to     {until}")), "{}", text(&shown.stdout));
        assert!(program(&folder, &key, &["state", "reset", "--config", "c.toml"]).status.success());
        assert!(folder.join("state/compliance_api.state").exists(), "nothing is removed without --yes");
        assert!(program(&folder, &key, &["state", "reset", "--config", "c.toml", "--yes"]).status.success());
        assert!(!folder.join("state/compliance_api.state").exists());
        assert!(folder.join("state/attestations.ndjson").exists());
    });
    done.await.unwrap();
}
