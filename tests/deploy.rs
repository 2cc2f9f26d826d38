//! What the program is installed with: examples, image, stack, service, cluster, manual. No test starts any of it, so it would
//! rot in silence; here every name in it is held against what it names.
//!
//! Schemas are not read here. What a file means to Docker, systemd or Kubernetes is checked with their own tools by
//! `deploy/check.sh`.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use simulator::api::{Settings, Simulation};

use crate::world::root;

const STACK: &str = "docker-compose.yml";
const CLUSTER: &str = "deploy/kubernetes";
const UNIT: &str = "deploy/systemd/anthropic-ecs.service";

/// How long a stage goes on delivering after it was told to stop, unless its configuration says otherwise; see `[delivery]`.
const DRAIN_SECONDS: u64 = 20;

fn text(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn toml(path: &str) -> toml::Table {
    text(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is at a JSON pointer, which must be there.
#[track_caller]
fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in {value:#}"))
}

#[track_caller]
fn word<'v>(value: &'v Value, pointer: &str) -> &'v str {
    at(value, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text in {value:#}"))
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"));
    command.args(arguments).output().unwrap()
}

#[track_caller]
fn said(arguments: &[&str]) -> String {
    let output = program(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the program says it has.
fn commands() -> BTreeSet<String> {
    let help = said(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Asserts that the program takes these arguments, and gives the configuration among them.
#[track_caller]
fn configuration_of<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let [command, rest @ ..] = arguments else { panic!("nothing is run") };
    assert!(commands().contains(*command), "there is no command {command}");
    let help = said(&[*command, "--help"]);
    for option in rest.iter().filter(|word| word.starts_with('-')) {
        assert!(help.contains(&format!("{option} ")), "{command} has no option {option}");
    }
    let at = rest.iter().position(|word| *word == "--config")?;
    Some(rest[at + 1])
}

/// A configuration that is installed, and where it lies here.
struct Installed {
    path: String,
    table: toml::Table,
}

impl Installed {
    fn read(path: impl Into<String>) -> Self {
        let path = path.into();
        Self { table: toml(&path), path }
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.table.get(section)?.get(key)?.as_str()
    }

    /// The environment variables it takes something from.
    fn variables(&self) -> BTreeSet<String> {
        let text = toml::to_string(&self.table).unwrap();
        let names = text.split("${").skip(1).map(|rest| rest.split_once('}').unwrap().0.to_owned());
        names.collect()
    }

    /// The topics it reads and writes.
    fn topics(&self) -> BTreeSet<&str> {
        [("source", "topics"), ("sink", "topic"), ("dead_letters", "topic")]
            .into_iter()
            .filter_map(|(section, key)| self.get(section, key))
            .collect()
    }

    /// The files with secrets that it names.
    fn secrets(&self) -> BTreeSet<&str> {
        let sections = self.table.values().filter_map(toml::Value::as_table).flatten();
        sections.filter(|(key, _)| key.ends_with("_file")).filter_map(|(_, value)| value.as_str()).collect()
    }

    fn port(&self) -> u64 {
        let listen = self.get("telemetry", "listen").unwrap();
        listen.rsplit_once(':').unwrap().1.parse().unwrap()
    }
}

/// Every configuration that ships.
fn configurations() -> Vec<Installed> {
    let folders = ["examples", "deploy/docker", "deploy/systemd", CLUSTER];
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".toml") {
                found.push(Installed::read(format!("{folder}/{name}")));
            }
        }
    }
    found
}

#[test]
fn every_source_has_an_example_for_every_sink() {
    let mut missing = BTreeSet::new();
    for source in ["compliance_api", "file", "kafka"] {
        missing.extend(["elasticsearch", "kafka", "ndjson"].map(|sink| (source, sink)));
    }
    let all = configurations();
    for config in all.iter().filter(|config| config.path.starts_with("examples/")) {
        let (source, sink) = (config.get("source", "type").unwrap(), config.get("sink", "type").unwrap());
        missing.remove(&(source, sink));
        let name = format!("examples/{}-to-{sink}", source.trim_start_matches("compliance_"));
        assert!(config.path.starts_with(&name), "{} is an example of {source} to {sink}", config.path);
    }
    assert!(missing.is_empty(), "no example has {missing:?}");
}

#[test]
fn every_configuration_names_the_schema_for_editors() {
    let schema = fs::canonicalize(root("docs/configuration.schema.json")).unwrap();
    let all = configurations();
    assert!(all.len() >= 15, "{} configurations", all.len());
    for config in all {
        let text = text(&config.path);
        let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema "));
        let named = named.unwrap_or_else(|| panic!("{}: the first line names no schema", config.path));
        // Editors take it from where the file is.
        let meant = fs::canonicalize(root(&config.path).parent().unwrap().join(named));
        assert_eq!(meant.ok().as_ref(), Some(&schema), "{}: {named}", config.path);
    }
}

#[test]
fn every_configuration_can_be_used() {
    let authority = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    for mut config in configurations() {
        let folder = tempfile::tempdir().unwrap();
        for (section, value) in &mut config.table {
            furnish(folder.path(), section, value, &authority);
        }
        fs::write(folder.path().join("c.toml"), toml::to_string(&config.table).unwrap()).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"));
        let output = check.args(["check", "--config", "c.toml"]).current_dir(&folder).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {said}", config.path);
    }
}

/// Puts what a configuration names into a folder, and makes it name it there.
fn furnish(folder: &Path, key: &str, value: &mut toml::Value, authority: &str) {
    match value {
        toml::Value::Table(table) => {
            table.iter_mut().for_each(|(key, value)| furnish(folder, key, value, authority));
        }
        toml::Value::Array(items) => {
            items.iter_mut().for_each(|item| furnish(folder, key, item, authority));
        }
        toml::Value::String(text) => {
            let plain = text
                .replace("${ELASTICSEARCH_URL}", "https://localhost:9200")
                .replace("${KAFKA_BROKERS}", "localhost:9092")
                .replace("${CREDENTIALS_DIRECTORY}", "/run/credentials");
            *text = match plain.find("${") {
                Some(_) => "something".to_owned(),
                None => plain,
            };
            let contents: Option<Vec<u8>> = match key {
                "geoip" => {
                    let database = if text.contains("-ASN") { "test-asn.mmdb" } else { "test-city.mmdb" };
                    Some(fs::read(root("tests/data").join(database)).unwrap())
                }
                "ca_file" => Some(authority.into()),
                _ if key.ends_with("_file") => Some(b"something\n".into()),
                "paths" => Some(b"{\"id\":\"1\"}\n".into()),
                _ => None,
            };
            if !text.starts_with('/') && key != "paths" {
                return;
            }
            let path = folder.join(text.trim_start_matches('/'));
            let file = if text.ends_with('/') { path.join("export.ndjson") } else { path.clone() };
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            if let Some(contents) = contents {
                fs::write(file, contents).unwrap();
            }
            *text = path.to_str().unwrap().to_owned();
        }
        _ => {}
    }
}

#[test]
fn images_are_pinned() {
    let version = format!("anthropic-ecs:{}", env!("CARGO_PKG_VERSION"));
    let stack = &yaml(STACK)[0];
    for service in at(stack, "/services").as_object().unwrap().values() {
        let image = word(service, "/image");
        let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag")).1;
        assert!(tag.split('.').count() == 3 && tag.starts_with(|c: char| c.is_ascii_digit()), "{image}");
        assert!(!image.starts_with("anthropic-ecs") || image == version, "{image} is not {version}");
    }
    let mut stages = BTreeSet::from(["scratch"]);
    let file = text("Dockerfile");
    for line in file.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        let (image, name) = line.split_once(" AS ").unwrap_or((line, ""));
        let digest = image.split_once("@sha256:").map(|(_, digest)| digest.len());
        assert!(digest == Some(64) || stages.contains(image), "{image} is not named by its digest");
        stages.insert(name);
    }
    assert!(file.contains(&format!("--tag {version} ")), "the Dockerfile shows another tag than {version}");
    let custom = &yaml(&format!("{CLUSTER}/kustomization.yaml"))[0];
    assert_eq!(word(custom, "/images/0/newTag"), env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_the_image_is_made_of_is_told_by_the_tool_of_the_gate() {
    let (gate, image, script) = (text(".ci/run"), text("Dockerfile"), text("deploy/sbom.sh"));
    let version = gate.split_once("cargo_cyclonedx=").unwrap().1.split_whitespace().next().unwrap();
    assert!(
        image.contains(&format!(" cargo-cyclonedx@{version}\n")),
        "the image uses another than {version}"
    );
    let call = |text: &str| {
        let (_, rest) = text.split_once("cargo cyclonedx ").unwrap();
        // In the image it is one command of several, and goes on over line ends.
        let command = rest.replace("\\\n", " ");
        let command = command.lines().next().unwrap().split(" && ").next().unwrap();
        let words = command.split_whitespace().filter(|word| *word != "--quiet");
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(call(&image), call(&script));
}

/// Arguments of a service of the stack by the name of the option.
fn argument<'s>(service: &'s Value, option: &str) -> &'s str {
    let command = words(at(service, "/command"));
    command[command.iter().position(|word| *word == option).unwrap() + 1]
}

#[test]
fn the_stack_is_what_its_parts_expect() {
    let stack = &yaml(STACK)[0];
    let services = at(stack, "/services").as_object().unwrap();
    let made = word(&services["topics"], "/command/0");
    let mut ours = 0;
    for (name, service) in services {
        for port in words(service.get("ports").unwrap_or(&Value::Null)) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to other machines");
        }
        for dependency in keys(service.get("depends_on").unwrap_or(&Value::Null)) {
            assert!(services.contains_key(&dependency), "{name} depends on {dependency}");
        }
        if !word(service, "/image").starts_with("anthropic-ecs:") {
            continue;
        }
        ours += 1;
        assert_eq!(*at(service, "/ulimits/core"), 0, "{name}: a core file would hold its keys");
        let Some(inside) = configuration_of(&words(at(service, "/command"))) else { continue };
        let mounted = at(service, "/configs").as_array().unwrap();
        let mounted = mounted.iter().find(|config| word(config, "/target") == inside).unwrap();
        let file = word(stack, &format!("/configs/{}/file", word(mounted, "/source")));
        let config = Installed::read(file);
        assert_eq!(config.variables(), keys(at(service, "/environment")), "{name}");
        for topic in config.topics() {
            assert!(made.split([' ', ';', '\n']).any(|word| word == topic), "{topic} is not made");
        }
        let volumes = words(service.get("volumes").unwrap_or(&Value::Null));
        if let Some(state) = config.get("state", "path") {
            let kept = volumes.iter().any(|volume| state.starts_with(volume.split_once(':').unwrap().1));
            assert!(kept, "{name}: the state in {state} is on no volume");
        }
        if let Some(test) = service.pointer("/healthcheck/test") {
            let ["CMD", "/usr/bin/anthropic-ecs", rest @ ..] = &words(test)[..] else { panic!("{test}") };
            configuration_of(rest);
            assert_eq!(config.port(), 9464, "that is where `status` asks");
        }
    }
    assert_eq!(ours, 4, "services are not recognised");
}

#[test]
fn the_poller_of_the_stack_is_let_in_by_the_simulator_beside_it() {
    let stack = &yaml(STACK)[0];
    let (simulator, poller) = (at(stack, "/services/simulator"), at(stack, "/services/poller"));
    assert_eq!(word(poller, "/network_mode"), "service:simulator");
    let config = Installed::read("deploy/docker/poller.toml");
    let url = format!("http://127.0.0.1:{}", argument(simulator, "--port"));
    assert_eq!(config.get("source", "base_url"), Some(url.as_str()));
    assert_eq!(config.get("source", "api_key"), Some("${ANTHROPIC_COMPLIANCE_KEY}"));
    let seed = argument(simulator, "--seed").parse().unwrap();
    let simulation = Simulation::new(Settings { seed, ..Settings::default() });
    assert_eq!(word(poller, "/environment/ANTHROPIC_COMPLIANCE_KEY"), simulation.key("activities"));
    // It has no network of its own, so its port is opened by the simulator's container.
    let ports = words(at(simulator, "/ports"));
    assert!(ports.iter().any(|port| port.ends_with(&format!(":{}", config.port()))), "{ports:?}");
}

/// Values of a setting of a unit file, in order.
fn settings<'u>(unit: &'u str, name: &str) -> Vec<&'u str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn the_service_gives_its_configuration_what_that_names() {
    let unit = text(UNIT);
    let [start] = settings(&unit, "ExecStart")[..] else { panic!("one command is started") };
    let mut started = start.split(' ');
    assert_eq!(started.next(), Some("/usr/bin/anthropic-ecs"));
    let inside = configuration_of(&started.collect::<Vec<_>>());
    assert_eq!(inside, Some("/etc/anthropic-ecs/anthropic-ecs.toml"));
    let config = Installed::read("deploy/systemd/anthropic-ecs.toml");
    assert_eq!(config.variables(), ["CREDENTIALS_DIRECTORY".to_owned()].into());
    let credentials = settings(&unit, "LoadCredential");
    let given = credentials.iter().map(|line| line.split_once(':').unwrap().0);
    let named =
        config.secrets().into_iter().map(|path| path.strip_prefix("${CREDENTIALS_DIRECTORY}/").unwrap());
    assert_eq!(given.collect::<BTreeSet<_>>(), named.collect());
    let [state] = settings(&unit, "StateDirectory")[..] else { panic!("one folder is kept") };
    for section in ["state", "dead_letters"] {
        let path = config.get(section, "path").unwrap();
        assert!(path.starts_with(&format!("/var/lib/{state}/")), "{path} cannot be written");
    }
    assert_eq!(settings(&unit, "SocketBindAllow"), [format!("tcp:{}", config.port())]);
    assert_eq!(settings(&unit, "LimitCORE"), ["0"], "a core file would hold its keys");
    let [patience] = settings(&unit, "TimeoutStopSec")[..] else {
        panic!("how long a stop may take is said")
    };
    assert!(patience.trim_end_matches('s').parse::<u64>().unwrap() > DRAIN_SECONDS);
    for page in settings(&unit, "Documentation").into_iter().flat_map(str::split_whitespace) {
        let page = page.strip_prefix("man:").unwrap().replace('(', ".").replace(')', "");
        assert!(pages().contains_key(&page), "there is no manual page {page}");
    }
}

/// The manual pages, by the names of their files.
fn pages() -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("made/if need be");
    said(&["manual", "--output", inside.to_str().unwrap()]);
    let entries = fs::read_dir(inside).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| fs::read_to_string(entry.path()).unwrap();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), read(entry))).collect()
}

#[test]
fn manual_and_completions_have_every_command() {
    let commands = commands();
    assert!(commands.len() > 10 && commands.contains("normalize"), "{commands:?}");
    let pages = pages();
    assert_eq!(pages["anthropic-ecs.1"], said(&["manual"]), "the page is not the one that is written");
    assert!(pages.contains_key("anthropic-ecs-state-reset.1"), "{:?}", pages.keys());
    for command in &commands {
        let page = pages.get(&format!("anthropic-ecs-{command}.1")).unwrap();
        let title = page.lines().find(|line| line.starts_with(".TH")).unwrap();
        let version = format!("\"anthropic-ecs {}\"", env!("CARGO_PKG_VERSION"));
        assert!(
            title.starts_with(&format!(".TH anthropic-ecs-{command} 1 ")) && title.contains(&version),
            "{title}"
        );
    }
    // A list, and not running text.
    let run = &pages["anthropic-ecs-run.1"];
    for status in ["0", "3", "130"] {
        assert!(run.contains(&format!("\n.TP\n\\fB{status}\\fR\n")), "{run}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell} does not know {command}");
        }
    }
    // Each state that the script for bash can be in has an answer; a hyphen in a name was taken for two different things.
    let script = said(&["completions", "bash"]);
    let states: Vec<_> =
        script.lines().filter_map(|line| line.trim().strip_prefix("cmd=\"anthropic")).collect();
    assert!(states.len() > commands.len(), "{states:?}");
    for state in states {
        let answer = format!(" anthropic{})\n            opts=", state.trim_end_matches('"'));
        assert!(script.contains(&answer), "nothing is completed after{}", state.replace("__", " "));
    }
    assert_eq!(program(&["completions", "csh"]).status.code(), Some(2));
}
