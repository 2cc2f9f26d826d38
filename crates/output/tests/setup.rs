//! Setup against a fake cluster: a few dozen lines that keep what they are given and answer as the real servers do.
//!
//! It stands in for what the servers of the live tests lack (lifecycle policies), and for servers that misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lints' own exception covers only functions marked as tests"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use elasticsearch::http::transport::Transport;
use model::fault::FaultKind;
use model::tables::Tables;
use output::assets::{Action, Api, Assets, Flavour, Lifecycle, Step, Target, apply, detect, plan, refusal};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const STREAM: &str = "logs-anthropic.audit-default";
const ELASTICSEARCH: &str = r#"{"version":{"number":"9.5.3"}}"#;
const OPENSEARCH: &str = r#"{"version":{"distribution":"opensearch","number":"3.8.0"}}"#;

#[derive(Default)]
struct State {
    /// What was put, by path.
    kept: BTreeMap<String, Value>,
    /// Fixed answers, by method and path.
    fixed: BTreeMap<String, (u16, String)>,
    /// Every request that is not a read.
    changes: Vec<String>,
}

impl State {
    fn answer(&mut self, method: &str, target: &str, body: &str) -> (u16, String) {
        let path = target.split('?').next().unwrap_or_default();
        if method != "GET" {
            self.changes.push(format!("{method} {path}"));
        }
        if let Some(fixed) = self.fixed.get(&format!("{method} {path}")) {
            return fixed.clone();
        }
        let missing =
            (404, r#"{"error":{"type":"resource_not_found_exception","reason":"missing"}}"#.to_owned());
        if method == "PUT" {
            self.kept.insert(path.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null));
            return (200, r#"{"acknowledged":true}"#.to_owned());
        }
        let (folder, name) = path.rsplit_once('/').unwrap();
        let answer = match (folder, self.kept.get(path)) {
            ("/_ilm" | "/_plugins/_ism", _) => json!({}),
            ("/_ilm/policy", Some(policy)) => json!({name: {"version": 1, "policy": policy["policy"]}}),
            ("/_plugins/_ism/policies", Some(policy)) => json!({"_id": name, "policy": policy["policy"]}),
            ("/_component_template", Some(body)) => {
                json!({"component_templates": [{"name": name, "component_template": body}]})
            }
            ("/_index_template", Some(body)) => {
                json!({"index_templates": [{"name": name, "index_template": body}]})
            }
            ("", _) if name == "_index_template" => {
                let all = self.kept.iter().filter_map(|(path, body)| {
                    Some(json!({"name": path.strip_prefix("/_index_template/")?, "index_template": body}))
                });
                json!({"index_templates": all.collect::<Vec<_>>()})
            }
            ("/_resolve/index", _) if self.kept.contains_key(&format!("/_data_stream/{name}")) => {
                json!({"indices": [], "aliases": [], "data_streams": [{"name": name, "backing_indices": [".ds-1"]}]})
            }
            ("/.ds-1", _) if name == "_settings" => json!({".ds-1": {"settings": {}}}),
            // The stream's index is as the index template is now.
            ("/.ds-1", _) => {
                let template = &self.kept["/_index_template/anthropic-ecs-default"]["template"];
                json!({".ds-1": {"mappings": {"_meta": template["mappings"]["_meta"]}}})
            }
            _ => return missing,
        };
        (200, answer.to_string())
    }
}

struct Fake {
    state: Arc<Mutex<State>>,
    url: String,
}

impl Fake {
    async fn start(root: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Self { state: Arc::default(), url };
        fake.fix("GET /", 200, root);
        let state = Arc::clone(&fake.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        fake
    }

    fn fix(&self, call: &str, status: u16, body: &str) {
        self.state.lock().unwrap().fixed.insert(call.to_owned(), (status, body.to_owned()));
    }

    fn unfix(&self, call: &str) {
        self.state.lock().unwrap().fixed.remove(call);
    }

    fn keep(&self, path: &str, body: Value) {
        self.state.lock().unwrap().kept.insert(path.to_owned(), body);
    }

    fn kept(&self, path: &str) -> Value {
        self.state.lock().unwrap().kept.get(path).cloned().unwrap_or_default()
    }

    /// What was changed since the last call.
    fn changes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().changes)
    }

    fn transport(&self) -> Transport {
        Transport::single_node(&self.url).unwrap()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            match header.trim_end().to_ascii_lowercase().strip_prefix("content-length:") {
                Some(value) => length = value.trim().parse().unwrap(),
                None if header.trim_end().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let mut words = first.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (status, answer) =
            state.lock().unwrap().answer(method, target, &String::from_utf8(body).unwrap());
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + &answer).as_bytes()).await.unwrap();
    }
}

fn assets(flavour: Flavour) -> Assets {
    Assets::render(&Tables::builtin(), Target::new(flavour, Lifecycle::Policy, "default").unwrap())
}

fn actions(steps: &[Step]) -> Vec<Action> {
    steps.iter().map(|step| step.action).collect()
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let hidden = r#"{"error":"Incorrect HTTP method for uri [/] and method [GET]","status":405}"#;
    let cases = [
        (200, ELASTICSEARCH, None, Ok(Flavour::Elasticsearch)),
        (200, OPENSEARCH, None, Ok(Flavour::OpenSearch)),
        (200, r#"{"version":{"number":"8.7.0"}}"#, None, Ok(Flavour::Elasticsearch)),
        (200, r#"{"version":{"number":"8.6.2"}}"#, None, Err("8.7 or later")),
        (200, r#"{"version":{"number":"7.17.29"}}"#, None, Err("8.7 or later")),
        (200, r#"{"version":{"distribution":"opensearch","number":"2.14.0"}}"#, None, Err("2.15 or later")),
        (200, "<html>welcome</html>", None, Err("`url`")),
        (405, hidden, None, Err("set `flavour`")),
        (405, hidden, Some(Flavour::OpenSearch), Ok(Flavour::OpenSearch)),
    ];
    for (status, root, told, expected) in cases {
        let fake = Fake::start(root).await;
        fake.fix("GET /", status, root);
        let transport = fake.transport();
        match (detect(&Api::new(&transport, &fake.url), told).await, expected) {
            (Ok(server), Ok(flavour)) => {
                assert_eq!((server.flavour, server.lifecycle), (flavour, Lifecycle::Policy))
            }
            (Err(fault), Err(remedy)) => {
                assert!(
                    fault.kind == FaultKind::Unusable && fault.remedy.contains(remedy),
                    "{root}: {fault}"
                );
                assert!(fault.cause.contains(&fake.url), "{fault}");
            }
            (got, _) => panic!("{root}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_policies_gets_none() {
    for (root, call, flavour) in [
        (ELASTICSEARCH, "GET /_ilm/policy", Flavour::Elasticsearch),
        (OPENSEARCH, "GET /_plugins/_ism/policies", Flavour::OpenSearch),
    ] {
        let fake = Fake::start(root).await;
        fake.fix(call, 400, r#"{"error":"no handler found for uri"}"#);
        let transport = fake.transport();
        let server = detect(&Api::new(&transport, &fake.url), None).await.unwrap();
        assert_eq!((server.flavour, server.lifecycle), (flavour, Lifecycle::None));
    }
}

#[tokio::test]
async fn everything_is_installed_in_order_and_once() {
    for (root, flavour, policy) in [
        (ELASTICSEARCH, Flavour::Elasticsearch, "/_ilm/policy/anthropic-ecs"),
        (OPENSEARCH, Flavour::OpenSearch, "/_plugins/_ism/policies/anthropic-ecs-default"),
    ] {
        let fake = Fake::start(root).await;
        let (transport, assets) = (fake.transport(), assets(flavour));
        let api = Api::new(&transport, &fake.url);
        let planned = plan(&api, &assets).await.unwrap();
        assert_eq!(actions(&planned), [Action::Create; 6]);
        assert_eq!(fake.changes(), Vec::<String>::new(), "a dry run changes nothing");

        assert_eq!(apply(&api, &assets).await.unwrap(), planned);
        let template = |name: &str| format!("PUT /_component_template/anthropic-ecs-{name}");
        let in_order = [
            format!("PUT {policy}"),
            template("settings"),
            template("ecs"),
            template("audit"),
            "PUT /_index_template/anthropic-ecs-default".to_owned(),
            format!("PUT /_data_stream/{STREAM}"),
        ];
        assert_eq!(fake.changes(), in_order);

        assert_eq!(actions(&apply(&api, &assets).await.unwrap()), [Action::Unchanged; 6]);
        assert_eq!(fake.changes(), Vec::<String>::new(), "the second time changes nothing");

        // Of another version, everything but the policy is brought up to date.
        for path in in_order.iter().filter_map(|call| call.strip_prefix("PUT ")) {
            let kept = fake.kept(path).to_string();
            let older = kept.replace("hash=", "hash=0").replace("\"hash\":\"", "\"hash\":\"0");
            fake.keep(path, serde_json::from_str(&older).unwrap());
        }
        let steps = apply(&api, &assets).await.unwrap();
        let update = Action::Update;
        assert_eq!(actions(&steps), [Action::Keep, update, update, update, update, update]);
        let changes = fake.changes();
        assert_eq!(changes[..4], in_order[1..5]);
        assert_eq!(changes[4..], [format!("PUT /{STREAM}/_mapping")]);
    }
}

#[tokio::test]
async fn what_others_made_is_refused_before_anything_is_changed() {
    let meta = json!({"managed_by": "fleet"});
    let foreign = json!({"policy": {"phases": {}}, "template": {}, "index_patterns": ["x-*"], "_meta": meta});
    for path in [
        "/_ilm/policy/anthropic-ecs",
        "/_component_template/anthropic-ecs-settings",
        "/_component_template/anthropic-ecs-audit",
        "/_index_template/anthropic-ecs-default",
    ] {
        let fake = Fake::start(ELASTICSEARCH).await;
        fake.keep(path, foreign.clone());
        let (transport, assets) = (fake.transport(), assets(Flavour::Elasticsearch));
        let api = Api::new(&transport, &fake.url);
        let planned = plan(&api, &assets).await.unwrap();
        let refuses = |step: &Step| step.action == Action::Refuse && path.ends_with(&step.name);
        assert!(planned.iter().any(refuses), "{planned:?}");
        let fault = apply(&api, &assets).await.unwrap_err();
        assert_eq!(Some(&fault), refusal(&planned).as_ref());
        assert_eq!(fault.kind, FaultKind::Taken);
        assert_eq!(fake.changes(), Vec::<String>::new(), "{path}");
        assert_eq!(fake.kept(path), foreign);
    }
}

#[tokio::test]
async fn a_stream_that_elastic_filled_needs_a_rollover() {
    let fake = Fake::start(ELASTICSEARCH).await;
    fake.keep(&format!("/_data_stream/{STREAM}"), Value::Null);
    let settings = json!({".ds-1": {"settings": {"index.default_pipeline": "logs-anthropic.audit-1.2.0"}}});
    fake.fix("GET /.ds-1/_settings", 200, &settings.to_string());
    let (transport, assets) = (fake.transport(), assets(Flavour::Elasticsearch));
    let steps = apply(&Api::new(&transport, &fake.url), &assets).await.unwrap();
    let stream = steps.last().unwrap();
    assert_eq!(stream.action, Action::ByHand);
    for words in ["logs-anthropic.audit-1.2.0", "POST /logs-anthropic.audit-default/_rollover"] {
        assert!(stream.note.contains(words), "{}", stream.note);
    }
}

#[tokio::test]
async fn elastics_integration_is_left_alone_and_mentioned() {
    let fake = Fake::start(ELASTICSEARCH).await;
    let theirs = json!({"index_patterns": ["logs-anthropic.audit-*"], "priority": 200, "data_stream": {}});
    fake.keep("/_index_template/logs-anthropic.audit", theirs.clone());
    fake.keep(
        "/_index_template/logs",
        json!({"index_patterns": ["logs-*-*"], "priority": 100, "data_stream": {}}),
    );
    let (transport, assets) = (fake.transport(), assets(Flavour::Elasticsearch));
    let steps = apply(&Api::new(&transport, &fake.url), &assets).await.unwrap();
    assert_eq!(actions(&steps), [Action::Create; 6]);
    assert!(steps[4].note.contains("another namespace"), "{:?}", steps[4]);
    assert_eq!(fake.kept("/_index_template/logs-anthropic.audit"), theirs);
}

#[tokio::test]
async fn a_failure_half_way_says_why_and_the_next_call_goes_on() {
    let fake = Fake::start(ELASTICSEARCH).await;
    let call = "PUT /_index_template/anthropic-ecs-default";
    let refused = json!({"error": {"type": "illegal_argument_exception", "reason": "outer",
        "caused_by": {"type": "mapper_parsing_exception", "reason": "no handler for type [wildcard]"}}});
    fake.fix(call, 400, &refused.to_string());
    let (transport, assets) = (fake.transport(), assets(Flavour::Elasticsearch));
    let api = Api::new(&transport, &fake.url);
    let fault = apply(&api, &assets).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unusable);
    assert!(fault.cause.contains("mapper_parsing_exception: no handler for type [wildcard]"), "{fault}");
    fake.unfix(call);
    fake.changes();
    apply(&api, &assets).await.unwrap();
    assert_eq!(fake.changes(), [call.to_owned(), format!("PUT /_data_stream/{STREAM}")]);
}

#[tokio::test]
async fn every_refusal_has_a_cause_and_a_remedy() {
    let error = r#"{"error":{"type":"security_exception","reason":"because"}}"#;
    let assets = assets(Flavour::Elasticsearch);
    for (status, kind) in [
        (401, FaultKind::Unauthenticated),
        (403, FaultKind::Forbidden),
        (429, FaultKind::Throttled),
        (500, FaultKind::Unusable),
        (503, FaultKind::Throttled),
    ] {
        for call in ["GET /_ilm/policy/anthropic-ecs", "PUT /_component_template/anthropic-ecs-ecs"] {
            let fake = Fake::start(ELASTICSEARCH).await;
            fake.fix(call, status, error);
            let transport = fake.transport();
            let fault = apply(&Api::new(&transport, &fake.url), &assets).await.unwrap_err();
            assert_eq!(fault.kind, kind, "{status} {call}");
            for words in [status.to_string().as_str(), "because", call.split_once(' ').unwrap().1] {
                assert!(fault.cause.contains(words), "{status} {call}: {fault}");
            }
            assert!(!fault.remedy.is_empty());
        }
    }
    // Nobody listens where somebody just did.
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let host = url.strip_prefix("http://").unwrap();
    let url = format!("http://ada:hunter2@{host}");
    let transport = Transport::single_node(&url).unwrap();
    let fault = detect(&Api::new(&transport, &url), None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.cause.contains(host) && !fault.remedy.is_empty(), "{fault}");
    assert!(!fault.to_string().contains("hunter2"), "{fault}");
}
